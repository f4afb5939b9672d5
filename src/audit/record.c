/* record.c: see record.h. Each object is written when its first field is met, together with all later fields under it, so
 * fields come out in the order in which they were first named. */
#include "audit/record.h"

#include "base/json.h"
#include "base/must.h"

enum { FIELDS_MAX = 512, PATH_BYTES_MAX = 255 };

struct writer {
    struct json json;
    const struct record_field *fields; /* borrowed */
    size_t count, string_limit;
    bool done[FIELDS_MAX];
    uint8_t path_len[FIELDS_MAX]; /* PATH_BYTES_MAX fits: each record compares paths some thousand times */
};

/* Bytes of `text` that a cut keeps: no character (RFC 3629) is split. */
static size_t cut_at(struct span text, size_t limit)
{
    if (text.len <= limit)
        return text.len;
    size_t at = limit;
    while (at > 0 && limit - at < 3 && (text.data[at] & 0xc0) == 0x80)
        at--;
    return (text.data[at] & 0xc0) == 0x80 ? limit : at; /* four in a row: not UTF-8 anyway */
}

static void write_string(struct writer *w, const char *key, struct span text)
{
    size_t keep = cut_at(text, w->string_limit);
    if (keep == text.len) {
        json_span(&w->json, key, text);
        return;
    }
    struct buf cut;
    buf_init(&cut, keep + 3);
    buf_append(&cut, text.data, keep);
    buf_append_str(&cut, "...");
    json_span(&w->json, key, buf_span(&cut));
    buf_free(&cut);
}

static void write_value(struct writer *w, const char *key, const struct record_field *f)
{
    switch (f->type) {
    case RECORD_STRING:
        write_string(w, key, f->value.string);
        break;
    case RECORD_INT:
        json_int(&w->json, key, f->value.integer);
        break;
    case RECORD_BOOL:
        json_bool(&w->json, key, f->value.integer != 0);
        break;
    case RECORD_JSON:
        json_raw(&w->json, key, f->value.string);
        break;
    case RECORD_STRINGS:
        json_array(&w->json, key);
        for (size_t i = 0; i < f->value.strings.count; i++)
            write_string(w, NULL, f->value.strings.items[i]);
        json_end_array(&w->json);
        break;
    }
}

/* A path is both a value and an object: one of them must go. A mistake of the caller, counted. */
static void drop_misplaced(struct writer *w, size_t which)
{
    w->done[which] = true;
    bool value_where_an_object_is = true;
    expect(!value_where_an_object_is);
}

/* The last field of the same path wins. */
static void write_leaf(struct writer *w, size_t first, const char *key)
{
    const char *path = w->fields[first].path;
    size_t len = w->path_len[first], last = first;
    for (size_t i = first; i < w->count; i++) {
        const char *other = w->fields[i].path;
        if (w->done[i] || w->path_len[i] < len || (other[len] != '.' && other[len] != '\0') ||
            memcmp(other, path, len) != 0)
            continue;
        if (other[len] == '.')
            drop_misplaced(w, i);
        if (other[len] != '\0')
            continue;
        w->done[i] = true;
        last = i;
    }
    write_value(w, key, &w->fields[last]);
}

/* Is field `i` the object itself whose members begin with the first `len` bytes of `prefix`? */
static bool is_object_path(const struct writer *w, size_t i, const char *prefix, size_t len)
{
    return len > 0 && w->path_len[i] == len - 1 && memcmp(w->fields[i].path, prefix, len - 1) == 0;
}

/* Is it a member? The prefix ends in a dot: looking there first settles nearly all. */
static bool is_member(const struct writer *w, size_t i, const char *prefix, size_t len)
{
    const char *path = w->fields[i].path;
    return len == 0 || (w->path_len[i] > len && path[len - 1] == '.' && memcmp(path, prefix, len) == 0);
}

/* Writes what is under the first `len` bytes of `prefix` (with their dot), from field `first` on. */
static void write_group(struct writer *w, size_t first, const char *prefix, size_t len)
{
    for (size_t i = first; i < w->count; i++) {
        const char *path = w->fields[i].path;
        if (w->done[i])
            continue;
        if (is_object_path(w, i, prefix, len))
            drop_misplaced(w, i);
        if (!is_member(w, i, prefix, len))
            continue;
        const char *name = path + len, *dot = strchr(name, '.');
        if (!dot) {
            write_leaf(w, i, name);
            continue;
        }
        char key[64];
        size_t key_len = (size_t)(dot - name);
        must(key_len < sizeof key); /* paths are static */
        memcpy(key, name, key_len);
        key[key_len] = '\0';
        json_object(&w->json, key);
        write_group(w, i, path, len + key_len + 1);
        json_end_object(&w->json);
    }
}

int record_write(struct buf *out, const struct record_field *fields, size_t count, size_t string_limit)
{
    if (!expect(count <= FIELDS_MAX))
        return -1;
    struct writer w = {.fields = fields, .count = count, .string_limit = string_limit};
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(fields[i].path);
        must(len > 0 && len <= PATH_BYTES_MAX); /* paths are static */
        w.path_len[i] = (uint8_t)len;
    }
    size_t before = buf_len(out);
    json_init(&w.json, out);
    json_object(&w.json, NULL);
    write_group(&w, 0, "", 0);
    json_end_object(&w.json);
    if (buf_append(out, "\n", 1) == 0)
        return 0;
    out->tail = out->head + before; /* no half records */
    return -1;
}
