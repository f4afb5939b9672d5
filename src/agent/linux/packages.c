/* packages.c: see packages.h. The files are root's; they are still read with bounds. */
#include "agent/linux/packages.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATHS_MAX = 4 << 20, NAMES_MAX = 1 << 17, LINE_BYTES = 8192 };

void packages_init(struct packages *p, const char *folder, uint64_t key)
{
    *p = (struct packages){.key = key};
    snprintf(p->folder, sizeof p->folder, "%s", folder);
}

static void clear(struct packages *p)
{
    for (size_t i = 0; i < p->name_count; i++)
        free(p->names[i]);
    p->name_count = p->path_count = 0;
}

void packages_free(struct packages *p)
{
    clear(p);
    free(p->names);
    free(p->paths);
    *p = (struct packages){.key = 0};
}

/* FNV-1a, begun at a key: only spreads paths over the index; a hit is confirmed. */
static uint64_t hash_path(uint64_t key, const char *path)
{
    uint64_t h = key ^ 0xcbf29ce484222325u;
    for (; *path; path++)
        h = (h ^ (uint8_t)*path) * 0x100000001b3u;
    return h;
}

/* Doubles an array when it is full; false at the bound or without memory. */
static bool make_room(void **array, size_t count, size_t *cap, size_t item, size_t most)
{
    if (count < *cap)
        return true;
    size_t wanted = *cap ? *cap * 2 : 1024;
    void *more = wanted <= most ? realloc(*array, wanted * item) : NULL;
    if (!more)
        return false;
    *array = more;
    *cap = wanted;
    return true;
}

static FILE *open_list(const struct packages *p, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/info/%s.list", p->folder, name);
    return fopen(path, "re");
}

static void chop(char *line)
{
    line[strcspn(line, "\n")] = 0;
}

static int read_list(struct packages *p, const char *name)
{
    char line[LINE_BYTES];
    FILE *f = open_list(p, name);
    if (!f)
        return 0;
    void *names = p->names, *paths = p->paths;
    bool room = make_room(&names, p->name_count, &p->name_cap, sizeof *p->names, NAMES_MAX);
    p->names = names;
    if (room && (p->names[p->name_count] = strdup(name)))
        p->name_count++;
    else
        room = false;
    while (room && fgets(line, sizeof line, f)) {
        chop(line);
        room = make_room(&paths, p->path_count, &p->path_cap, sizeof *p->paths, PATHS_MAX);
        p->paths = paths;
        if (room)
            p->paths[p->path_count++] =
                (struct package_path){hash_path(p->key, line), (uint32_t)p->name_count - 1};
    }
    fclose(f);
    return room ? 0 : -1;
}

static int compare_paths(const void *a, const void *b)
{
    const struct package_path *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash) : 0;
}

int packages_refresh(struct packages *p)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/info", p->folder);
    if (stat(path, &st) != 0)
        return -1;
    if (p->path_count && st.st_mtim.tv_sec == p->info_changed.tv_sec &&
        st.st_mtim.tv_nsec == p->info_changed.tv_nsec)
        return 0;
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    clear(p);
    p->info_changed = st.st_mtim;
    int result = 0;
    for (struct dirent *e; result == 0 && (e = readdir(dir));) {
        char name[256];
        size_t len = strlen(e->d_name);
        if (len < 6 || len - 5 >= sizeof name || strcmp(e->d_name + len - 5, ".list") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(len - 5), e->d_name);
        result = read_list(p, name);
    }
    closedir(dir);
    if (p->path_count)
        qsort(p->paths, p->path_count, sizeof *p->paths, compare_paths);
    return result;
}

static bool list_has(const struct packages *p, const char *name, const char *path)
{
    char line[LINE_BYTES];
    bool found = false;
    FILE *f = open_list(p, name);
    while (f && !found && fgets(line, sizeof line, f)) {
        chop(line);
        found = strcmp(line, path) == 0;
    }
    if (f)
        fclose(f);
    return found;
}

static const char *find_exact(const struct packages *p, const char *path)
{
    uint64_t hash = hash_path(p->key, path);
    size_t low = 0, high = p->path_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->paths[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < p->path_count && p->paths[low].hash == hash; low++)
        if (list_has(p, p->names[p->paths[low].package], path))
            return p->names[p->paths[low].package];
    return NULL;
}

/* "/usr/bin/x" may be listed as "/bin/x" and the other way round. */
static const char *find_merged(const struct packages *p, const char *path)
{
    char other[4096 + 8];
    const char *name = find_exact(p, path);
    if (name)
        return name;
    if (strncmp(path, "/usr/", 5) == 0)
        snprintf(other, sizeof other, "%s", path + 4);
    else
        snprintf(other, sizeof other, "/usr%s", path);
    const char *top = strncmp(path, "/usr/", 5) == 0 ? path + 5 : path + 1;
    static const char *const merged[] = {"bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/"};
    for (size_t i = 0; i < sizeof merged / sizeof *merged; i++)
        if (strncmp(top, merged[i], strlen(merged[i])) == 0)
            return find_exact(p, other);
    return NULL;
}

/* Is `listed` ("bin/ls", without the first slash) this path, /usr before it or not? */
static bool is_listed_as(const char *listed, const char *path)
{
    if (strcmp(listed, path + 1) == 0)
        return true;
    return strncmp(path, "/usr/", 5) == 0
               ? strcmp(listed, path + 5) == 0
               : strncmp(listed, "usr/", 4) == 0 && strcmp(listed + 4, path + 1) == 0;
}

bool packages_digest(struct packages *p, const char *path, char ret_md5[33])
{
    char line[LINE_BYTES];
    const char *name = find_merged(p, path);
    bool found = false;
    if (!name)
        return false;
    snprintf(line, sizeof line, "%s/info/%s.md5sums", p->folder, name);
    FILE *f = fopen(line, "re");
    while (f && !found && fgets(line, sizeof line, f)) { /* "0123...  usr/bin/ls" */
        chop(line);
        found = strlen(line) > 34 && line[32] == ' ' && is_listed_as(line + 34, path) &&
                strspn(line, "0123456789abcdef") == 32;
    }
    if (f)
        fclose(f);
    if (found)
        snprintf(ret_md5, 33, "%.32s", line);
    return found;
}

/* The Version of `name` ("curl" or "libc6:amd64") in dpkg's status file. */
static const char *find_version(const struct packages *p, const char *name, struct arena *arena)
{
    char path[512], line[LINE_BYTES];
    size_t len = strcspn(name, ":");
    const char *architecture = name[len] ? name + len + 1 : NULL, *version = NULL;
    snprintf(path, sizeof path, "%s/status", p->folder);
    FILE *f = fopen(path, "re");
    bool ours = false, right = !architecture;
    while (f && !(ours && right && version) && fgets(line, sizeof line, f)) {
        chop(line);
        if (line[0] == 0) {
            ours = false;
            right = !architecture;
            version = NULL;
        } else if (strncmp(line, "Package: ", 9) == 0) {
            ours = strlen(line + 9) == len && strncmp(line + 9, name, len) == 0;
        } else if (ours && architecture && strncmp(line, "Architecture: ", 14) == 0) {
            right = strcmp(line + 14, architecture) == 0;
        } else if (ours && strncmp(line, "Version: ", 9) == 0) {
            version = arena_strdup(arena, line + 9);
        }
    }
    if (f)
        fclose(f);
    return ours && right ? version : NULL;
}

bool packages_find(struct packages *p, const char *path, struct arena *arena, const char **ret_name,
                   const char **ret_version)
{
    if (packages_refresh(p) != 0)
        return false;
    const char *name = find_merged(p, path);
    const char *copy = name ? arena_strndup(arena, name, strcspn(name, ":")) : NULL;
    if (!copy)
        return false;
    *ret_name = copy;
    *ret_version = find_version(p, name, arena);
    return true;
}
