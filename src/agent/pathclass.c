/* pathclass.c: see pathclass.h. Pure. */
#include "agent/pathclass.h"

#include "base/must.h"

#include <strings.h>

/* The first prefix that holds decides. */
static const struct {
    const char *prefix;
    enum sender_path_class which;
} places[] = {
    {"/usr/local/", SENDER_PATH_OPTIONAL},  {"/usr/", SENDER_PATH_SYSTEM},
    {"/bin/", SENDER_PATH_SYSTEM},          {"/sbin/", SENDER_PATH_SYSTEM},
    {"/lib", SENDER_PATH_SYSTEM},           {"/opt/", SENDER_PATH_OPTIONAL},
    {"/snap/", SENDER_PATH_OPTIONAL},       {"/srv", SENDER_PATH_OPTIONAL},
    {"/home/", SENDER_PATH_HOME},           {"/root/", SENDER_PATH_HOME},
    {"/tmp/", SENDER_PATH_TEMPORARY},       {"/var/tmp/", SENDER_PATH_TEMPORARY},
    {"/dev/shm/", SENDER_PATH_TEMPORARY},   {"/run/user/", SENDER_PATH_TEMPORARY},
    {"/run/media/", SENDER_PATH_REMOVABLE}, {"/media/", SENDER_PATH_REMOVABLE},
    {"/mnt", SENDER_PATH_REMOVABLE},        {"/memfd:", SENDER_PATH_MEMORY},
};

/* What browsers call the folder that they save to, in the languages that Debian's xdg-user-dirs knows most of. */
static const char *const downloads[] = {
    "downloads",
    "download",
    "t\303\251l\303\251chargements",
    "telechargements",
    "descargas",
    "scaricati",
    "transferencias",
    "hentet",
    "h\xc3\xa4mtningar",
    "nedlastinger",
    "lataukset",
    "pobrane",
    "sta\305\276en\303\251",
    "indirilenler",
    "\xd0\x97\xd0\xb0\xd0\xb3\xd1\x80\xd1\x83\xd0\xb7\xd0\xba\xd0\xb8",
    "\xe4\xb8\x8b\xe8\xbd\xbd",
    "\xe3\x83\x80\xe3\x82\xa6\xe3\x83\xb3\xe3\x83\xad\xe3\x83\xbc\xe3\x83\x89"};

static bool is_downloads(const char *part, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(downloads); i++)
        if (strlen(downloads[i]) == len && strncasecmp(downloads[i], part, len) == 0)
            return true;
    return false;
}

uint32_t pathclass_of(const char *path)
{
    uint32_t set = 0;
    if (!path)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(places) && !set; i++)
        if (strncmp(path, places[i].prefix, strlen(places[i].prefix)) == 0)
            set |= 1u << places[i].which;
    for (const char *part = path; *part;) {
        part += strspn(part, "/");
        size_t len = strcspn(part, "/");
        if (len > 1 && part[0] == '.')
            set |= 1u << SENDER_PATH_HIDDEN;
        if (part[len] == '/' && is_downloads(part, len)) /* a folder, not the file itself */
            set |= 1u << SENDER_PATH_DOWNLOADS;
        part += len;
    }
    return set ? set : 1u << SENDER_PATH_OTHER;
}
