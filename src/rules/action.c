/* action.c: see action.h. Pure. */
#include "rules/action.h"

#include "base/must.h"

#include <stdlib.h>

enum { BYTES_MAX = 64 * 1024 * 1024, VERSION = 1 };

static const char *const kind_names[ACTION_KIND_COUNT] = {"alert", "terminate", "block", "cut"};
static const char *const unknown_names[ACTION_UNKNOWN_COUNT] = {"pass", "hold", "block"};
static const char *const unevaluable_names[UNEVALUABLE_COUNT] = {"pass", "alert", "terminate", "refuse"};

struct entry {
    struct sigma_names rules, tags; /* views into the arena; empty: any */
    unsigned levels, statuses;      /* bits; 0: any */
    struct action action;
};

struct actions {
    struct arena arena;
    const char *file;
    struct entry *entries; /* view into the arena */
    size_t count;
};

const char *action_name(enum action_kind k)
{
    must(k < ACTION_KIND_COUNT);
    return kind_names[k];
}

/* ---- reading ---- */

static int fail_memory(const struct yaml_node *n, struct err *reterr)
{
    return yaml_error(n, reterr, "the file is too large");
}

static int add_name(struct arena *a, const struct yaml_node *n, const char **names, struct place *places,
                    struct sigma_names *ret, struct err *reterr)
{
    const char *text;
    if (yaml_get_string(n, &text, reterr) != 0)
        return -1;
    names[ret->count] = arena_strdup(a, text);
    places[ret->count] = (struct place){NULL, n->line, n->column};
    return names[ret->count++] ? 0 : fail_memory(n, reterr);
}

/* One text or a list of them. */
static int read_names(struct arena *a, const struct yaml_node *n, struct sigma_names *ret, struct err *reterr)
{
    size_t count = n->kind == YAML_SEQUENCE ? n->count : 1;
    if (count == 0 || count > ACTION_NAMES_MAX)
        return yaml_error(n, reterr, "1 to %d names are expected here", ACTION_NAMES_MAX);
    const char **names = arena_alloc(a, count * sizeof *names);
    struct place *places = arena_alloc(a, count * sizeof *places);
    if (!names || !places)
        return fail_memory(n, reterr);
    ret->items = names;
    ret->places = places;
    if (n->kind != YAML_SEQUENCE)
        return add_name(a, n, names, places, ret, reterr);
    for (YAML_EACH(v, n))
        if (add_name(a, v, names, places, ret, reterr) != 0)
            return -1;
    return 0;
}

static int read_bits(const struct yaml_node *n, const char *const *words, size_t count, unsigned *ret,
                     struct err *reterr)
{
    size_t which;
    if (n->kind != YAML_SEQUENCE) {
        if (yaml_get_enum(n, words, count, &which, reterr) != 0)
            return -1;
        *ret = 1u << which;
        return 0;
    }
    if (n->count == 0)
        return yaml_error(n, reterr, "an empty list never holds");
    for (YAML_EACH(v, n)) {
        if (yaml_get_enum(v, words, count, &which, reterr) != 0)
            return -1;
        *ret |= 1u << which;
    }
    return 0;
}

static int read_whom(struct arena *a, const struct yaml_node *n, struct entry *e, struct err *reterr)
{
    const struct yaml_node *rule = yaml_find(n, "rule"), *tag = yaml_find(n, "tag"),
                           *level = yaml_find(n, "level"), *status = yaml_find(n, "status");
    if (!rule && !tag && !level && !status)
        return yaml_error(n, reterr, "rule, tag, level or status is expected: which rules is this for?");
    if ((rule && read_names(a, rule, &e->rules, reterr) != 0) ||
        (tag && read_names(a, tag, &e->tags, reterr) != 0) ||
        (level && read_bits(level, sigma_levels, ARRAY_LEN(sigma_levels), &e->levels, reterr) != 0) ||
        (status && read_bits(status, sigma_statuses, ARRAY_LEN(sigma_statuses), &e->statuses, reterr) != 0))
        return -1;
    return 0;
}

static int read_what(const struct yaml_node *n, struct action *ret, struct err *reterr)
{
    const struct yaml_node *action = yaml_find(n, "action"), *simulate = yaml_find(n, "simulate"),
                           *unknown = yaml_find(n, "on_unknown"),
                           *unevaluable = yaml_find(n, "on_unevaluable");
    size_t kind = 0, which = 0, never = 0;
    ret->line = n->line;
    if (!action)
        return yaml_error(n, reterr, "action is missing: alert, block, cut or terminate");
    if (yaml_get_enum(action, kind_names, ACTION_KIND_COUNT, &kind, reterr) != 0 ||
        (simulate && yaml_get_bool(simulate, &ret->simulate, reterr) != 0) ||
        (unknown && yaml_get_enum(unknown, unknown_names, ACTION_UNKNOWN_COUNT, &which, reterr) != 0) ||
        (unevaluable &&
         yaml_get_enum(unevaluable, unevaluable_names, UNEVALUABLE_COUNT, &never, reterr) != 0))
        return -1;
    ret->kind = (enum action_kind)kind;
    ret->on_unknown = (enum action_unknown)which;
    ret->on_unevaluable = (enum action_unevaluable)never;
    const struct yaml_node *strict = which != ACTION_PASS          ? unknown
                                     : never == UNEVALUABLE_REFUSE ? unevaluable
                                                                   : NULL;
    if (strict && kind < ACTION_BLOCK)
        return yaml_error_key(strict, reterr, "only of use with the action block or cut");
    return 0;
}

static int read_entry(struct arena *a, const struct yaml_node *n, struct entry *e, struct err *reterr)
{
    static const char *const keys[] = {"rule",   "tag",      "level",      "status",
                                       "action", "simulate", "on_unknown", "on_unevaluable"};
    if (yaml_want(n, YAML_MAPPING, reterr) != 0 || yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    return read_whom(a, n, e, reterr) != 0 ? -1 : read_what(n, &e->action, reterr);
}

static int read_all(struct actions *a, const struct yaml_node *top, struct err *reterr)
{
    const struct yaml_node *list;
    if (yaml_get_list_document(top, "actions", VERSION, ACTION_ENTRIES_MAX, &list, reterr) != 0)
        return -1;
    if (!list)
        return 0;
    a->entries = arena_alloc(&a->arena, (list->count + 1) * sizeof *a->entries);
    if (!a->entries)
        return fail_memory(list, reterr);
    for (YAML_EACH(n, list))
        if (read_entry(&a->arena, n, &a->entries[a->count++], reterr) != 0)
            return -1;
    return 0;
}

struct actions *actions_parse(struct span text, const char *file, struct err *reterr)
{
    struct arena tree;
    struct actions *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(reterr, file, 0, 0, "out of memory"), NULL;
    arena_init(&tree, BYTES_MAX);
    arena_init(&a->arena, BYTES_MAX);
    a->file = arena_strdup(&a->arena, file);
    const struct yaml_node *top = yaml_read(&tree, text, file, reterr);
    bool good = a->file && top && read_all(a, top, reterr) == 0;
    arena_reset(&tree);
    if (good)
        return a;
    actions_free(a);
    return NULL;
}

void actions_free(struct actions *take_a)
{
    if (!take_a)
        return;
    arena_reset(&take_a->arena);
    free(take_a);
}

/* ---- asking ---- */

static bool has_name(const struct sigma_names *names, const char *text)
{
    for (size_t i = 0; text && i < names->count; i++)
        if (strcmp(names->items[i], text) == 0)
            return true;
    return false;
}

static bool has_tag(const struct sigma_names *wanted, const struct sigma_names *tags)
{
    for (size_t i = 0; i < tags->count; i++)
        if (has_name(wanted, tags->items[i]))
            return true;
    return false;
}

static bool has_bit(unsigned bits, unsigned value)
{
    return bits == 0 || (value > 0 && (bits >> (value - 1) & 1));
}

struct action actions_find(const struct actions *a, const struct sigma_document *d)
{
    for (size_t i = 0; a && i < a->count; i++) {
        const struct entry *e = &a->entries[i];
        if ((e->rules.count == 0 || has_name(&e->rules, d->id) || has_name(&e->rules, d->name)) &&
            (e->tags.count == 0 || has_tag(&e->tags, &d->tags)) && has_bit(e->levels, (unsigned)d->level) &&
            has_bit(e->statuses, (unsigned)d->status))
            return e->action;
    }
    return (struct action){.kind = ACTION_ALERT};
}

int actions_check(const struct actions *a, bool (*has)(void *context, const char *rule), void *context,
                  struct err *reterr)
{
    for (size_t i = 0; a && i < a->count; i++) {
        const struct sigma_names *names = &a->entries[i].rules;
        for (size_t n = 0; n < names->count; n++)
            if (!has(context, names->items[n]))
                return err_set(reterr, a->file, names->places[n].line, names->places[n].column,
                               "no rule that was loaded has the id or name \"%.100s\"", names->items[n]);
    }
    return 0;
}
