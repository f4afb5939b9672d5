/* record.c: see record.h. Each object is written when its first field is met, together with all later fields under it, so
 * fields come out in the order in which they were first named. */
#include "audit/record.h"

#include "base/json.h"
#include "base/must.h"

enum {
    FIELDS_MAX = 512,
    DEPTH_MAX = 8,
    NODES_MAX = FIELDS_MAX + 256,
    BUCKETS = 256,
    NONE = 0xffff,
    REAL_DECIMALS = 3
};

/* One name under its parent; fields that follow each other mostly have the same parent, which is where the search begins. */
struct node {
    const char *name; /* view into a path; `len` bytes of it */
    uint16_t len;
    uint16_t next, child,
        last;       /* numbers of nodes: the next of the same parent, and its own first and last */
    uint16_t field; /* its value; NONE: an object */
    uint16_t parent, next_in_bucket;
};

struct writer {
    struct json json;
    const struct record_field *fields; /* borrowed */
    size_t string_limit, node_count;
    uint16_t buckets[BUCKETS];    /* first node of each; NONE */
    struct node nodes[NODES_MAX]; /* 0 is the record itself */
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
    case RECORD_REAL:
        json_double(&w->json, key, f->value.real, REAL_DECIMALS);
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
static void drop_misplaced(void)
{
    bool value_where_an_object_is = true;
    expect(!value_where_an_object_is);
}

static uint16_t find_child(struct writer *w, uint16_t parent, const char *name, size_t len)
{
    must(len > 0 && len < 64); /* paths are static */
    size_t bucket = (parent * 31u + len * 7u + (uint8_t)name[0] * 5u + (uint8_t)name[len - 1]) % BUCKETS;
    for (uint16_t i = w->buckets[bucket]; i != NONE; i = w->nodes[i].next_in_bucket) {
        const struct node *n = &w->nodes[i];
        if (n->parent == parent && n->len == len && n->name && memcmp(n->name, name, len) == 0)
            return i;
    }
    must(w->node_count < NODES_MAX);
    uint16_t made = (uint16_t)w->node_count++;
    w->nodes[made] = (struct node){name, (uint16_t)len, NONE, NONE, NONE, NONE, parent, w->buckets[bucket]};
    w->buckets[bucket] = made;
    struct node *p = &w->nodes[parent];
    *(p->child == NONE ? &p->child : &w->nodes[p->last].next) = made;
    p->last = made;
    return made;
}

/* Where a path's objects lead: the parent of its last name, NONE when a value is in the way. */
static uint16_t find_parent(struct writer *w, const char *path, const char **ret_name)
{
    uint16_t parent = 0;
    const char *dot;
    for (; (dot = strchr(path, '.')); path = dot + 1) {
        parent = find_child(w, parent, path, (size_t)(dot - path));
        if (w->nodes[parent].field != NONE)
            return NONE;
    }
    *ret_name = path;
    return parent;
}

/* The last field of the same path wins. */
static void place(struct writer *w, uint16_t field, uint16_t parent, const char *name)
{
    struct node *leaf = &w->nodes[find_child(w, parent, name, strlen(name))];
    if (leaf->child != NONE)
        drop_misplaced();
    else
        leaf->field = field;
}

static void build(struct writer *w, size_t count)
{
    const char *before = "";
    size_t before_len = 0; /* of the last field's objects, with their dot */
    uint16_t parent = 0;
    w->nodes[0] = (struct node){"", 0, NONE, NONE, NONE, NONE, NONE, NONE};
    memset(w->buckets, 0xff, sizeof w->buckets);
    w->node_count = 1;
    for (size_t i = 0; i < count; i++) {
        const char *path = w->fields[i].path, *name = path + before_len;
        if (strncmp(path, before, before_len) != 0 || strchr(name, '.')) {
            uint16_t found = find_parent(w, path, &name);
            if (found == NONE) {
                drop_misplaced();
                continue;
            }
            parent = found;
            before = path;
            before_len = (size_t)(name - path);
        }
        place(w, (uint16_t)i, parent, name);
    }
}

static void write_node(struct writer *w, uint16_t which, unsigned depth)
{
    must(depth < DEPTH_MAX);
    for (uint16_t i = w->nodes[which].child; i != NONE; i = w->nodes[i].next) {
        const struct node *n = &w->nodes[i];
        char key[64];
        memcpy(key, n->name, n->len);
        key[n->len] = '\0';
        if (n->field != NONE) {
            write_value(w, key, &w->fields[n->field]);
        } else if (n->child != NONE) {
            json_object(&w->json, key);
            write_node(w, i, depth + 1);
            json_end_object(&w->json);
        }
    }
}

int record_write(struct buf *out, const struct record_field *fields, size_t count, size_t string_limit)
{
    if (!expect(count <= FIELDS_MAX))
        return -1;
    struct writer w = {0};
    w.fields = fields;
    w.string_limit = string_limit;
    size_t before = buf_len(out);
    build(&w, count);
    json_init(&w.json, out);
    json_object(&w.json, NULL);
    write_node(&w, 0, 0);
    json_end_object(&w.json);
    if (buf_append(out, "\n", 1) == 0)
        return 0;
    out->tail = out->head + before; /* no half records */
    return -1;
}
