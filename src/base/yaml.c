/* yaml.c: libyaml's events into a tree of places and texts, refusing what people can't see through. See yaml.h.
 * conf/ and rules/ call in; touches the arena and libyaml's own memory only. */
#include "base/yaml.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

/* Bounds the search for duplicate keys as well. */
enum { KEYS_MAX = 1024 };

/* A collection being read. */
struct frame {
    struct yaml_node *node;  /* view into the arena */
    struct yaml_node **tail; /* where the next item goes */
    const char *key;         /* view into the arena: read, its value is still to come */
    unsigned key_line, key_column;
};

struct reader {
    struct arena *arena;   /* borrowed for the call */
    const char *file;      /* view into the arena */
    struct err *reterr;    /* borrowed for the call */
    struct yaml_node *top; /* view into the arena; NULL until it began */
    struct frame frames[YAML_DEPTH_MAX];
    unsigned depth;
    unsigned documents;
    size_t lines_before; /* the text is a part of a file, this far below its top */
};

static unsigned place(size_t from_zero)
{
    return from_zero < 1u << 31 ? (unsigned)from_zero + 1 : 0;
}

static unsigned line_of(const struct reader *r, yaml_mark_t at)
{
    return place(at.line + r->lines_before);
}

__attribute__((format(printf, 3, 4))) static int fail(struct reader *r, yaml_mark_t at, const char *format,
                                                      ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(r->reterr, r->file, line_of(r, at), place(at.column), "%s", text);
}

static int fail_memory(struct reader *r)
{
    return err_set(r->reterr, r->file, 0, 0,
                   "too large: its content does not fit into memory set aside for it");
}

static struct yaml_node *node_new(struct reader *r, enum yaml_kind kind, yaml_mark_t at)
{
    struct yaml_node *n = arena_alloc(r->arena, sizeof *n);
    if (!n)
        return NULL;
    n->kind = kind;
    n->file = r->file;
    n->line = line_of(r, at);
    n->column = place(at.column);
    return n;
}

/* Puts the node where it belongs: at the top, as an item, or as the value of the key before it. */
static void attach(struct reader *r, struct yaml_node *n)
{
    if (r->depth == 0) {
        r->top = n;
        return;
    }
    struct frame *f = &r->frames[r->depth - 1];
    n->key = f->key;
    n->key_line = f->key_line;
    n->key_column = f->key_column;
    f->key = NULL;
    *f->tail = n;
    f->tail = &n->next;
    f->node->count++;
}

static bool key_is_due(const struct reader *r)
{
    return r->depth > 0 && r->frames[r->depth - 1].node->kind == YAML_MAPPING && !r->frames[r->depth - 1].key;
}

static int take_key(struct reader *r, const yaml_event_t *e, const char *text)
{
    struct frame *f = &r->frames[r->depth - 1];
    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(text, "<<") == 0)
        return fail(r, e->start_mark, "merge keys (<<) are not allowed here");
    if (text[0] == '\0')
        return fail(r, e->start_mark, "a key is empty");
    for (YAML_EACH(n, f->node))
        if (strcmp(n->key, text) == 0)
            return fail(r, e->start_mark, "\"%.100s\" is given twice: first in line %u", text, n->key_line);
    if (f->node->count == KEYS_MAX)
        return fail(r, e->start_mark, "more than %d keys in one mapping", KEYS_MAX);
    f->key = text;
    f->key_line = line_of(r, e->start_mark);
    f->key_column = place(e->start_mark.column);
    return 0;
}

static int take_scalar(struct reader *r, const yaml_event_t *e)
{
    const char *value = (const char *)e->data.scalar.value;
    size_t len = e->data.scalar.length;
    if (memchr(value, '\0', len))
        return fail(r, e->start_mark, "a NUL character in a text");
    char *text = arena_strndup(r->arena, value, len);
    if (!text)
        return fail_memory(r);
    if (key_is_due(r))
        return take_key(r, e, text);
    struct yaml_node *n = node_new(r, YAML_SCALAR, e->start_mark);
    if (!n)
        return fail_memory(r);
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    n->text = text;
    n->len = len;
    attach(r, n);
    return 0;
}

static int take_start(struct reader *r, const yaml_event_t *e, enum yaml_kind kind)
{
    if (key_is_due(r))
        return fail(r, e->start_mark, "a key must be a plain text");
    if (r->depth == YAML_DEPTH_MAX)
        return fail(r, e->start_mark, "nested deeper than %d", YAML_DEPTH_MAX);
    struct yaml_node *n = node_new(r, kind, e->start_mark);
    if (!n)
        return fail_memory(r);
    attach(r, n);
    r->frames[r->depth++] = (struct frame){.node = n, .tail = &n->items};
    return 0;
}

static const yaml_char_t *event_anchor(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT           ? e->data.scalar.anchor
           : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor
           : e->type == YAML_MAPPING_START_EVENT  ? e->data.mapping_start.anchor
                                                  : NULL;
}

static const yaml_char_t *event_tag(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT           ? e->data.scalar.tag
           : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.tag
           : e->type == YAML_MAPPING_START_EVENT  ? e->data.mapping_start.tag
                                                  : NULL;
}

static const char no_anchors[] =
    "anchors and aliases (& and *) are not allowed here; quote a text that begins so";

static int take_event(struct reader *r, const yaml_event_t *e)
{
    if (e->type == YAML_ALIAS_EVENT || event_anchor(e))
        return fail(r, e->start_mark, "%s", no_anchors);
    if (event_tag(e))
        return fail(r, e->start_mark, "tags (!) are not allowed here; quote a text that begins so");
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->documents++ == 0 ? 0
                                   : fail(r, e->start_mark, "a second document: one file is one document");
    case YAML_SCALAR_EVENT:
        return take_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return take_start(r, e, YAML_SEQUENCE);
    case YAML_MAPPING_START_EVENT:
        return take_start(r, e, YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        must(r->depth > 0);
        r->depth--;
        return 0;
    default:
        return 0;
    }
}

static int fail_syntax(struct reader *r, const yaml_parser_t *p, struct span text)
{
    yaml_mark_t at = p->problem_mark;
    if (p->error == YAML_MEMORY_ERROR)
        return fail_memory(r);
    if (p->error == YAML_READER_ERROR) { /* has an offset only */
        at = (yaml_mark_t){0};
        for (size_t i = 0; i < p->problem_offset && i < text.len; i++) {
            at.line += text.data[i] == '\n';
            at.column = text.data[i] == '\n' ? 0 : at.column + 1;
        }
    }
    if (p->context && (strstr(p->context, "an alias") || strstr(p->context, "an anchor")))
        return fail(r, p->context_mark, "%s", no_anchors);
    const char *problem = p->problem ? p->problem : "not YAML";
    return fail(r, at, "%s%s%s", problem, p->context ? ", " : "", p->context ? p->context : "");
}

static int read_events(struct reader *r, struct span text)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return fail_memory(r);
    yaml_parser_set_input_string(&parser, text.data, text.len);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    int result = 0;
    for (bool more = true; more && result == 0;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            result = fail_syntax(r, &parser, text);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        result = take_event(r, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return result;
}

const struct yaml_node *yaml_read(struct arena *a, struct span text, const char *name, struct err *reterr)
{
    const char *copy = arena_strdup(a, name);
    return yaml_read_part(a, text, copy ? copy : name, 1, reterr);
}

const struct yaml_node *yaml_read_part(struct arena *a, struct span text, const char *name,
                                       unsigned first_line, struct err *reterr)
{
    struct reader r = {.arena = a, .file = name, .reterr = reterr, .lines_before = first_line - 1};
    if (text.len > YAML_BYTES_MAX) {
        err_set(reterr, name, 0, 0, "larger than %d MiB", YAML_BYTES_MAX / 1024 / 1024);
        return NULL;
    }
    if (read_events(&r, text.data ? text : span_str("")) != 0)
        return NULL;
    if (!r.top) {
        r.top = node_new(&r, YAML_SCALAR, (yaml_mark_t){0});
        if (!r.top)
            fail_memory(&r);
        else
            r.top->text = "";
    }
    return r.top;
}

int yaml_error(const struct yaml_node *n, struct err *reterr, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(reterr, n->file, n->line, n->column, "%s", text);
}

int yaml_error_key(const struct yaml_node *n, struct err *reterr, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(reterr, n->file, n->key ? n->key_line : n->line, n->key ? n->key_column : n->column, "%s",
                   text);
}

static bool is_one_of(const struct yaml_node *n, const char *const *words, size_t count)
{
    if (n->kind != YAML_SCALAR || n->quoted)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(n->text, words[i]) == 0)
            return true;
    return false;
}

bool yaml_is_null(const struct yaml_node *n)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    return is_one_of(n, words, ARRAY_LEN(words));
}

const struct yaml_node *yaml_find(const struct yaml_node *mapping, const char *key)
{
    for (YAML_EACH(n, mapping))
        if (n->key && strcmp(n->key, key) == 0)
            return n;
    return NULL;
}

static const char *describe(const struct yaml_node *n)
{
    return n->kind == YAML_SEQUENCE  ? "a list"
           : n->kind == YAML_MAPPING ? "a mapping"
           : yaml_is_null(n)         ? "nothing"
                                     : "a text";
}

int yaml_want(const struct yaml_node *n, enum yaml_kind kind, struct err *reterr)
{
    static const char *const wanted[] = {"a single value", "a list", "a mapping (key: value)"};
    if (n->kind == kind)
        return 0;
    return yaml_error(n, reterr, "%s is expected here, not %s", wanted[kind], describe(n));
}

int yaml_get_string(const struct yaml_node *n, const char **ret, struct err *reterr)
{
    static const char *const words[] = {"true", "false", "True", "False", "TRUE", "FALSE"};
    if (yaml_want(n, YAML_SCALAR, reterr) != 0)
        return -1;
    if (n->len == 0 || yaml_is_null(n))
        return yaml_error(n, reterr, "a text is expected here, not nothing");
    if (is_one_of(n, words, ARRAY_LEN(words)))
        return yaml_error(n, reterr, "a text is expected here; quote it if the word %s is meant", n->text);
    *ret = n->text;
    return 0;
}

int yaml_get_bool(const struct yaml_node *n, bool *ret, struct err *reterr)
{
    static const char *const yes[] = {"true"}, *const no[] = {"false"};
    if (!is_one_of(n, yes, 1) && !is_one_of(n, no, 1))
        return yaml_error(n, reterr, "true or false is expected here");
    *ret = is_one_of(n, yes, 1);
    return 0;
}

/* Plain decimal, one optional minus, no leading zero; at most 18 digits fit for sure. */
static bool read_int(const struct yaml_node *n, int64_t *ret)
{
    if (n->kind != YAML_SCALAR || n->quoted)
        return false;
    bool minus = n->text[0] == '-';
    const char *digits = n->text + minus;
    size_t len = strspn(digits, "0123456789");
    if (len == 0 || len > 18 || digits[len] != '\0' || (digits[0] == '0' && (len > 1 || minus)))
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (digits[i] - '0');
    *ret = minus ? -value : value;
    return true;
}

int yaml_get_int(const struct yaml_node *n, int64_t min, int64_t max, int64_t *ret, struct err *reterr)
{
    int64_t value;
    if (!read_int(n, &value) || value < min || value > max)
        return yaml_error(n, reterr, "a whole number from %lld to %lld is expected here", (long long)min,
                          (long long)max);
    *ret = value;
    return 0;
}

int yaml_get_enum(const struct yaml_node *n, const char *const *names, size_t count, size_t *ret,
                  struct err *reterr)
{
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (n->kind == YAML_SCALAR && strcmp(n->text, names[i]) == 0) {
            *ret = i;
            return 0;
        }
        int len = snprintf(list + used, sizeof list - used, "%s%s",
                           i == 0           ? ""
                           : i + 1 == count ? " or "
                                            : ", ",
                           names[i]);
        if (len > 0 && used + (size_t)len < sizeof list)
            used += (size_t)len;
    }
    return yaml_error(n, reterr, "%s is expected here", list);
}

int yaml_check_keys(const struct yaml_node *mapping, const char *const *names, size_t count,
                    struct err *reterr)
{
    if (yaml_want(mapping, YAML_MAPPING, reterr) != 0)
        return -1;
    for (YAML_EACH(n, mapping)) {
        bool known = false;
        for (size_t i = 0; i < count && !known; i++)
            known = strcmp(n->key, names[i]) == 0;
        if (known)
            continue;
        const char *near = yaml_nearest(n->key, names, count);
        return yaml_error_key(n, reterr, "unknown key \"%.100s\"%s%s%s", n->key,
                              near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return 0;
}

enum { NEAREST_TEXT_MAX = 48 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance of two texts of at most NEAREST_TEXT_MAX bytes. */
static unsigned distance(const char *a, const char *b)
{
    size_t len = strlen(b);
    unsigned row[NEAREST_TEXT_MAX + 1];
    for (size_t j = 0; j <= len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 1; j <= len; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[len];
}

const char *yaml_nearest(const char *text, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t len = strlen(text);
    unsigned limit = len < 4 ? 1 : (unsigned)len / 3 + 1; /* further away is another word */
    if (len > NEAREST_TEXT_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > NEAREST_TEXT_MAX)
            continue;
        unsigned d = distance(text, names[i]);
        if (d <= limit) {
            best = names[i];
            limit = d - (d > 0);
        }
    }
    return best;
}

void yaml_write_text(struct buf *out, const char *text)
{
    buf_append(out, "\"", 1);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_append(out, "\\", 1);
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            buf_printf(out, "\\x%02x", (unsigned char)*c);
        else
            buf_append(out, c, 1);
    }
    buf_append(out, "\"", 1);
}

int yaml_get_list_document_with(const struct yaml_node *top, const char *name, int64_t version, size_t most,
                                const char *flag, bool *ret_flag, const struct yaml_node **ret_list,
                                struct err *reterr)
{
    const char *const keys[] = {"version", name, flag};
    int64_t found;
    bool set = false;
    if (yaml_want(top, YAML_MAPPING, reterr) != 0 || yaml_check_keys(top, keys, flag ? 3 : 2, reterr) != 0)
        return -1;
    const struct yaml_node *f = flag ? yaml_find(top, flag) : NULL;
    if (f && yaml_get_bool(f, &set, reterr) != 0)
        return -1;
    const struct yaml_node *v = yaml_find(top, "version"), *list = yaml_find(top, name);
    if (!v || !list)
        return yaml_error(top, reterr, "version and %s are expected here", name);
    if (yaml_get_int(v, version, version, &found, reterr) != 0)
        return -1;
    if (!yaml_is_null(list) && yaml_want(list, YAML_SEQUENCE, reterr) != 0)
        return -1;
    if (list->count > most)
        return yaml_error(list, reterr, "more than %zu entries", most);
    *ret_list = yaml_is_null(list) ? NULL : list;
    if (flag)
        *ret_flag = set;
    return 0;
}

int yaml_get_list_document(const struct yaml_node *top, const char *name, int64_t version, size_t most,
                           const struct yaml_node **ret_list, struct err *reterr)
{
    return yaml_get_list_document_with(top, name, version, most, NULL, NULL, ret_list, reterr);
}
