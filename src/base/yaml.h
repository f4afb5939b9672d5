/* yaml.h: a strict reader of what people write: YAML into a tree of nodes that know their place. Config and baseline are
 * read through it. Refused, with the place: more than one document, anchors, aliases, tags, duplicate and non-scalar keys,
 * merge keys, NUL bytes, nesting deeper than YAML_DEPTH_MAX, texts over YAML_BYTES_MAX. Pure but for libyaml. */
#ifndef EXEAT_BASE_YAML_H
#define EXEAT_BASE_YAML_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { YAML_DEPTH_MAX = 32, YAML_BYTES_MAX = 4 * 1024 * 1024 };

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    bool quoted;           /* a scalar that isn't plain: always a string */
    unsigned line, column; /* from 1 */
    const char *file; /* view into the arena: the name given to yaml_read(); yaml_read_part(): borrowed */
    const char *key;  /* view into the arena; NULL unless a value of a mapping */
    unsigned key_line, key_column;
    const char *text; /* scalars: view into the arena, NUL-terminated */
    size_t len;       /* of text, bytes */
    struct yaml_node
        *next; /* view into the arena: the next in the same sequence or mapping, in the file's order */
    struct yaml_node
        *items;   /* view into the arena: first item (sequence) or value (mapping); NULL when empty */
    size_t count; /* of items */
};

#define YAML_EACH(item, of)                                                                                  \
    const struct yaml_node *item = (of)->items;                                                              \
    item;                                                                                                    \
    item = item->next

/* Reads one document. `name` is what places are told with. NULL fills reterr. The tree lives as long as the arena. An empty
 * text is an empty plain scalar. */
const struct yaml_node *yaml_read(struct arena *a, struct span text, const char *name, struct err *reterr);

/* The same for one document of a file that has several: `text` begins at the file's line `first_line`. `name` must live as long as the
 * places that are kept. */
const struct yaml_node *yaml_read_part(struct arena *a, struct span text, const char *name,
                                       unsigned first_line, struct err *reterr);

/* Sets an error at the node (or at its key) and returns -1. */
int yaml_error(const struct yaml_node *n, struct err *reterr, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int yaml_error_key(const struct yaml_node *n, struct err *reterr, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A plain null, ~ or nothing at all. */
bool yaml_is_null(const struct yaml_node *n);

/* The value of `key` in a mapping, or NULL. */
const struct yaml_node *yaml_find(const struct yaml_node *mapping, const char *key);

/* Typed reading: 0, or -1 with reterr at the node; *ret is untouched then. */
int yaml_want(const struct yaml_node *n, enum yaml_kind kind, struct err *reterr);
int yaml_get_string(const struct yaml_node *n, const char **ret,
                    struct err *reterr); /* not empty, null, true, false */
int yaml_get_bool(const struct yaml_node *n, bool *ret, struct err *reterr); /* true or false, nothing else */
int yaml_get_int(const struct yaml_node *n, int64_t min, int64_t max, int64_t *ret, struct err *reterr);
/* Index into `names`; the error lists them. */
int yaml_get_enum(const struct yaml_node *n, const char *const *names, size_t count, size_t *ret,
                  struct err *reterr);

/* Every key of the mapping must be one of `names`; else an error at the key, with the nearest name. */
int yaml_check_keys(const struct yaml_node *mapping, const char *const *names, size_t count,
                    struct err *reterr);

/* A document {version: N, `name`: [...]} and nothing else: *ret_list is the list, NULL where it is null. 0, or -1 with reterr. With `flag`
 * (NULL: none) there may be that boolean, too: *ret_flag, false where it isn't there. */
int yaml_get_list_document_with(const struct yaml_node *top, const char *name, int64_t version, size_t most,
                                const char *flag, bool *ret_flag, const struct yaml_node **ret_list,
                                struct err *reterr);
int yaml_get_list_document(const struct yaml_node *top, const char *name, int64_t version, size_t most,
                           const struct yaml_node **ret_list, struct err *reterr);

/* The name nearest to `text` by edit distance, or NULL when none is near. */
const char *yaml_nearest(const char *text, const char *const *names, size_t count);

/* Appends `text` as a double-quoted scalar (YAML 1.2, 7.3.1) on one line, so that it reads back as it is whatever stands in it. */
void yaml_write_text(struct buf *out, const char *text);

#endif
