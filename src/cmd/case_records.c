/* case_records.c: see case_records.h. */
#include "cmd/case_records.h"

#include "base/hex.h"
#include "base/md.h"
#include "base/must.h"
#include "cmd/recorded.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINES_BYTES_MAX = 16 * 1024 * 1024, LINE_BYTES_MAX = 1 << 20, PATH_BYTES = 4096 };

static const char *text_at(const json_t *o, const char *path)
{
    const char *s = json_string_value(recorded_find(o, path));
    return s ? s : "";
}

/* ---- one line ---- */

/* Cheap: most lines are somebody else's. */
static bool may_concern(const char *line, const struct finding *f)
{
    for (unsigned i = 0; i < f->record_count; i++)
        if (strstr(line, f->records[i]))
            return true;
    return strstr(line, f->uid) != NULL;
}

static bool concerns(const json_t *o, const struct finding *f)
{
    const char *id = text_at(o, "metadata.correlation_uid");
    if (json_integer_value(recorded_find(o, "class_uid")) == 2004)
        return strcmp(text_at(o, "finding_info.uid"), f->uid) == 0;
    for (unsigned i = 0; i < f->record_count; i++)
        if (strcmp(id, f->records[i]) == 0)
            return true;
    return false;
}

static int keep(struct case_records *r, const char *line, json_t *take_record, const char *file,
                int64_t offset)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    char hex[2 * 32 + 1] = "";
    size_t len = strlen(line);
    if (EVP_Digest(line, len, digest, NULL, md_sha256(), NULL) == 1)
        *hex_write(span_of(digest, 32), hex) = '\0';
    json_t *place = json_pack("{sssssIss}", "uid", text_at(take_record, "metadata.uid"), "file", file,
                              "offset", (json_int_t)offset, "sha256", hex);
    int result = buf_append(&r->lines, line, len);
    if (json_array_append_new(r->places, place) != 0)
        result = -1;
    return json_array_append_new(r->records, take_record) == 0 ? result : -1;
}

static int take_line(struct case_records *r, const struct finding *f, const char *line, const char *file,
                     int64_t offset)
{
    json_t *o = may_concern(line, f) ? json_loads(line, 0, NULL) : NULL;
    if (!o) {
        r->unreadable += may_concern(line, f);
        return 0;
    }
    if (concerns(o, f))
        return keep(r, line, o, file, offset);
    json_decref(o);
    return 0;
}

/* ---- files ---- */

static int read_file(struct case_records *r, const struct finding *f, const char *path, const char *name,
                     struct err *reterr)
{
    FILE *in = fopen(path, "re");
    char *line = in ? malloc(LINE_BYTES_MAX) : NULL;
    int result = 0;
    if (!line) {
        err_set(reterr, path, 0, 0, "can't be read: %s", strerror(errno));
        if (in)
            fclose(in);
        return -1;
    }
    for (int64_t offset = 0; result == 0 && fgets(line, LINE_BYTES_MAX, in); offset = ftello(in))
        result = take_line(r, f, line, name, offset);
    free(line);
    fclose(in);
    return result == 0 ? 0 : err_set(reterr, path, 0, 0, "the case's records are too much");
}

static int any_file(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool is_compressed(const char *name)
{
    static const char *const ends[] = {".gz", ".xz", ".zst", ".bz2"};
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (len > strlen(ends[i]) && strcmp(name + len - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static int look_through(struct case_records *r, const struct finding *f, const char *folder, const char *base,
                        struct err *reterr)
{
    struct dirent **names;
    char path[PATH_BYTES];
    int count = scandir(folder, &names, any_file, alphasort), result = 0;
    if (count < 0)
        return err_set(reterr, folder, 0, 0, "can't be read: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        bool ours = strncmp(name, base, strlen(base)) == 0 && result == 0;
        if (ours && is_compressed(name))
            json_array_append_new(r->files, json_sprintf("%s: compressed, not looked through", name));
        else if (ours && snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path) {
            json_array_append_new(r->files, json_string(name));
            result = read_file(r, f, path, name, reterr);
        }
        free(names[i]);
    }
    free(names);
    return result;
}

static void name_missing(struct case_records *r, const struct finding *f)
{
    size_t i;
    const json_t *o;
    for (unsigned n = 0; n < f->record_count; n++) {
        bool found = false;
        json_array_foreach(r->records, i, o)
        {
            found |= strcmp(text_at(o, "metadata.correlation_uid"), f->records[n]) == 0;
        }
        if (!found)
            json_array_append_new(r->not_found, json_string(f->records[n]));
    }
}

int case_records_find(const char *ledger, const struct finding *f, struct case_records *ret,
                      struct err *reterr)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(ledger, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - ledger) : 1, slash ? ledger : ".");
    *ret = (struct case_records){
        .places = json_array(), .records = json_array(), .not_found = json_array(), .files = json_array()};
    buf_init(&ret->lines, LINES_BYTES_MAX);
    if (look_through(ret, f, folder[0] ? folder : "/", slash ? slash + 1 : ledger, reterr) == 0) {
        name_missing(ret, f);
        return 0;
    }
    case_records_free(ret);
    return -1;
}

void case_records_free(struct case_records *r)
{
    buf_free(&r->lines);
    json_decref(r->places);
    json_decref(r->records);
    json_decref(r->not_found);
    json_decref(r->files);
    *r = (struct case_records){0};
}

json_t *case_records_extract(const struct case_records *r, const char *const *paths, size_t count)
{
    json_t *list = json_array();
    size_t i;
    const json_t *o;
    json_array_foreach(r->records, i, o)
    {
        json_t *one = json_pack("{ss}", "record", text_at(o, "metadata.uid"));
        for (size_t n = 0; n < count; n++) {
            const char *dot = strrchr(paths[n], '.');
            const json_t *found = recorded_find(o, paths[n]);
            if (found)
                json_object_set(one, dot ? dot + 1 : paths[n], (json_t *)(uintptr_t)found);
        }
        if (json_object_size(one) > 1 && json_integer_value(recorded_find(o, "class_uid")) != 2004)
            json_array_append(list, one);
        json_decref(one);
    }
    return list;
}
