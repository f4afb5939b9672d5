/* sigma_correlation.c: see sigma_correlation.h. Pure. */
#include "rules/sigma_correlation.h"

#include "base/must.h"

#include <stdlib.h>

enum { DAYS_MAX = 30 };

static int fail_memory(const struct yaml_node *n, struct err *reterr)
{
    return yaml_error(n, reterr, "too large");
}

/* What a name may be: any text, numbers too. */
static int read_name(struct arena *a, const struct yaml_node *n, const char **ret, struct err *reterr)
{
    if (yaml_get_string(n, ret, reterr) != 0)
        return -1;
    *ret = arena_strdup(a, *ret);
    return *ret ? 0 : fail_memory(n, reterr);
}

int sigma_names_read(struct arena *a, const struct yaml_node *n, size_t max, struct sigma_names *ret,
                     struct err *reterr)
{
    size_t count = n->kind == YAML_SEQUENCE ? n->count : 1, i = 0;
    const struct yaml_node *v = n->kind == YAML_SEQUENCE ? n->items : n;
    if (n->kind == YAML_MAPPING)
        return yaml_want(n, YAML_SEQUENCE, reterr);
    if (count == 0 || count > max)
        return yaml_error(n, reterr, "from 1 to %zu texts are expected here", max);
    const char **items = arena_alloc(a, count * sizeof *items);
    struct place *places = arena_alloc(a, count * sizeof *places);
    if (!items || !places)
        return fail_memory(n, reterr);
    for (; i < count; i++, v = v->next) {
        if (read_name(a, v, &items[i], reterr) != 0)
            return -1;
        places[i] = (struct place){v->file, v->line, v->column};
        for (size_t k = 0; k < i; k++)
            if (strcmp(items[k], items[i]) == 0)
                return yaml_error(v, reterr, "\"%.100s\" is given twice", items[i]);
    }
    *ret = (struct sigma_names){items, places, count};
    return 0;
}

/* 90s, 10m, 1h, 7d */
static int read_timespan(const struct yaml_node *n, int64_t *ret_ms, struct err *reterr)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    if (yaml_want(n, YAML_SCALAR, reterr) != 0)
        return -1;
    size_t digits = strspn(n->text, "0123456789");
    for (size_t i = 0; digits && digits <= 9 && n->len == digits + 1 && i < ARRAY_LEN(units); i++) {
        int64_t ms = strtoll(n->text, NULL, 10) * units[i].ms;
        if (n->text[digits] != units[i].unit)
            continue;
        if (ms == 0 || ms > DAYS_MAX * 86400000LL)
            return yaml_error(n, reterr, "a timespan from 1s to %dd is expected here", DAYS_MAX);
        *ret_ms = ms;
        return 0;
    }
    return yaml_error(n, reterr, "a number and s, m, h or d is expected here, as in 90m");
}

/* One limit of the condition; several make a range. */
static int read_limit(struct sigma_correlation *c, const struct yaml_node *n, struct err *reterr)
{
    int64_t value;
    if (yaml_get_int(n, 0, SIGMA_COUNT_MAX, &value, reterr) != 0)
        return -1;
    if (strcmp(n->key, "gt") == 0 && value + 1 > c->min)
        c->min = value + 1;
    else if (strcmp(n->key, "gte") == 0 && value > c->min)
        c->min = value;
    else if (strcmp(n->key, "lt") == 0 && value - 1 < c->max)
        c->max = value - 1;
    else if (strcmp(n->key, "lte") == 0 && value < c->max)
        c->max = value;
    else if (strcmp(n->key, "eq") == 0)
        c->min = c->max = value;
    else if (strcmp(n->key, "neq") == 0)
        c->not = value;
    return 0;
}

static int read_condition(struct arena *a, struct sigma_correlation *c, const struct yaml_node *n,
                          struct err *reterr)
{
    static const char *const keys[] = {"field", "gt", "gte", "lt", "lte", "eq", "neq"};
    if (n->kind == YAML_SCALAR)
        return yaml_error(n, reterr,
                          "conditions in words are not supported: give gt, gte, lt, lte, eq or neq");
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    size_t limits = 0;
    for (YAML_EACH(v, n)) {
        bool field = strcmp(v->key, "field") == 0;
        limits += !field;
        if (field ? sigma_names_read(a, v, SIGMA_GROUP_MAX, &c->fields, reterr) != 0
                  : read_limit(c, v, reterr) != 0)
            return -1;
    }
    if (limits == 0)
        return yaml_error(n, reterr, "a limit is missing: gt, gte, lt, lte, eq or neq");
    if (c->min > c->max)
        return yaml_error(n, reterr, "no number lies within these limits");
    if (c->fields.count && c->type != CORRELATION_VALUE_COUNT)
        return yaml_error_key(yaml_find(n, "field"), reterr, "only value_count takes a field");
    return 0;
}

static int read_aliases(struct arena *a, struct sigma_correlation *c, const struct yaml_node *n,
                        struct err *reterr)
{
    size_t total = 0;
    if (yaml_want(n, YAML_MAPPING, reterr) != 0)
        return -1;
    for (YAML_EACH(alias, n)) {
        if (yaml_want(alias, YAML_MAPPING, reterr) != 0)
            return -1;
        total += alias->count;
    }
    c->aliases = arena_alloc(a, (total ? total : 1) * sizeof *c->aliases);
    if (!c->aliases)
        return fail_memory(n, reterr);
    for (YAML_EACH(alias, n)) {
        for (YAML_EACH(v, alias)) {
            struct sigma_alias *to = &c->aliases[c->alias_count];
            to->alias = arena_strdup(a, alias->key);
            to->rule = arena_strdup(a, v->key);
            to->place = (struct place){v->file, v->key_line, v->key_column};
            if (!to->alias || !to->rule)
                return fail_memory(v, reterr);
            if (read_name(a, v, &to->field, reterr) != 0)
                return -1;
            c->alias_count++;
        }
    }
    return 0;
}

static int check_complete(const struct sigma_correlation *c, const struct yaml_node *n, struct err *reterr)
{
    bool counts = c->type == CORRELATION_EVENT_COUNT || c->type == CORRELATION_VALUE_COUNT;
    const char *missing = c->rules.count == 0                    ? "rules"
                          : c->timespan_ms == 0                  ? "timespan"
                          : counts && !yaml_find(n, "condition") ? "condition"
                          : c->type == CORRELATION_VALUE_COUNT && c->fields.count == 0
                              ? "field (in condition)"
                              : NULL;
    if (missing)
        return yaml_error_key(n, reterr, "the correlation lacks %s", missing);
    if (!counts && c->rules.count < 2)
        return yaml_error(yaml_find(n, "rules"), reterr, "a temporal correlation needs two rules or more");
    if (c->type == CORRELATION_TEMPORAL_ORDERED && yaml_find(n, "condition"))
        return yaml_error_key(yaml_find(n, "condition"), reterr,
                              "temporal_ordered takes no condition: all rules must match");
    return 0;
}

struct sigma_correlation *sigma_correlation_read(struct arena *a, const struct yaml_node *n,
                                                 struct err *reterr)
{
    static const char *const keys[] = {"type",     "rules",     "aliases", "group-by",
                                       "timespan", "condition", "generate"};
    static const char *const types[] = {"event_count", "value_count", "temporal", "temporal_ordered"};
    static const char *const unsupported[] = {"value_sum", "value_avg", "value_percentile"};
    struct sigma_correlation *c = arena_alloc(a, sizeof *c);
    if (!c)
        return fail_memory(n, reterr), NULL;
    *c = (struct sigma_correlation){.max = INT64_MAX, .not = -1};
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return NULL;
    const struct yaml_node *type = yaml_find(n, "type"), *v;
    size_t which;
    for (size_t i = 0; type && type->kind == YAML_SCALAR && i < ARRAY_LEN(unsupported); i++)
        if (strcmp(type->text, unsupported[i]) == 0)
            return yaml_error(type, reterr, "correlations of type %s are not supported", type->text), NULL;
    if (!type)
        return yaml_error_key(n, reterr, "the correlation lacks type"), NULL;
    if (yaml_get_enum(type, types, ARRAY_LEN(types), &which, reterr) != 0)
        return NULL;
    c->type = (enum correlation_type)which;
    if ((v = yaml_find(n, "rules")) && sigma_names_read(a, v, SIGMA_CORRELATED_MAX, &c->rules, reterr) != 0)
        return NULL;
    if ((v = yaml_find(n, "group-by")) && sigma_names_read(a, v, SIGMA_GROUP_MAX, &c->group_by, reterr) != 0)
        return NULL;
    if ((v = yaml_find(n, "timespan")) && read_timespan(v, &c->timespan_ms, reterr) != 0)
        return NULL;
    if ((v = yaml_find(n, "aliases")) && read_aliases(a, c, v, reterr) != 0)
        return NULL;
    if ((v = yaml_find(n, "generate")) && yaml_get_bool(v, &c->generate, reterr) != 0)
        return NULL;
    if ((v = yaml_find(n, "condition")) && read_condition(a, c, v, reterr) != 0)
        return NULL;
    if (check_complete(c, n, reterr) != 0)
        return NULL;
    bool temporal = c->type == CORRELATION_TEMPORAL || c->type == CORRELATION_TEMPORAL_ORDERED;
    if (temporal && !yaml_find(n, "condition"))
        c->min = (int64_t)c->rules.count;
    return c;
}
