/* sigma_item.c: see sigma_item.h. An item's key is read into struct item, each value into atoms, the atoms joined. Pure. */
#include "rules/sigma_item.h"

#include "base/buf.h"
#include "rules/sigma_text.h"

#include <stdio.h>
#include <stdlib.h>

enum modifier {
#define MODIFIER(id, name, group) MODIFIER_##id,
#include "rules/modifiers.def"
#undef MODIFIER
    MODIFIER_COUNT
};

enum group {
    GROUP_TYPE,
    GROUP_AFFIX,
    GROUP_ENCODING,
    GROUP_LIST,
    GROUP_CASE,
    GROUP_REGEX,
    GROUP_COMPARE,
    GROUP_TIME,
    GROUP_COUNT
};

static const struct {
    const char *name;
    enum group group;
} modifiers[MODIFIER_COUNT] = {
#define MODIFIER(id, name, group) {name, GROUP_##group},
#include "rules/modifiers.def"
#undef MODIFIER
};

static const char *const modifier_names[MODIFIER_COUNT] = {
#define MODIFIER(id, name, group) name,
#include "rules/modifiers.def"
#undef MODIFIER
};

/* "Field|modifier|..." taken apart. */
struct item {
    const struct yaml_node *node; /* view into the tree */
    const char *field;            /* view into the arena; NULL for keywords */
    enum modifier list[SIGMA_MODIFIERS_MAX];
    size_t count;
    bool has[MODIFIER_COUNT];
    int of_group[GROUP_COUNT]; /* the last modifier of the group, or -1 */
};

/* The expressions that an item's values have become. */
struct results {
    const struct expr **items; /* owned */
    size_t count, room;
};

static const struct expr *fail_memory(struct item_context *c, const struct yaml_node *n)
{
    yaml_error(n, c->reterr, "too large");
    return NULL;
}

static bool results_add(struct item_context *c, struct results *r, const struct yaml_node *n,
                        const struct expr *e)
{
    if (!e)
        return false;
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 8;
        const struct expr **items =
            r->room < SIGMA_VALUES_MAX ? realloc(r->items, room * sizeof *items) : NULL;
        if (!items)
            return fail_memory(c, n) != NULL;
        r->items = items;
        r->room = room;
    }
    r->items[r->count++] = e;
    return true;
}

static const struct expr *results_join(struct item_context *c, struct results *r, const struct yaml_node *n,
                                       enum expr_kind kind)
{
    const struct expr *e = r->count ? expr_join(c->arena, kind, r->items, r->count) : NULL;
    free(r->items);
    return e ? e : fail_memory(c, n);
}

/* ---- the key ---- */

static int take_modifier(struct item_context *c, struct item *it, const char *name, size_t len)
{
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text - 1), name);
    for (int m = 0; m < MODIFIER_COUNT; m++) {
        if (strcmp(modifiers[m].name, text) != 0)
            continue;
        if (it->has[m])
            return yaml_error_key(it->node, c->reterr, "the modifier %s is given twice", text);
        if (it->count == SIGMA_MODIFIERS_MAX)
            return yaml_error_key(it->node, c->reterr, "more than %d modifiers", SIGMA_MODIFIERS_MAX);
        if (modifiers[m].group == GROUP_REGEX && !it->has[MODIFIER_RE])
            return yaml_error_key(it->node, c->reterr, "the modifier %s comes after re", text);
        it->has[m] = true;
        it->list[it->count++] = (enum modifier)m;
        return 0;
    }
    const char *near = yaml_nearest(text, modifier_names, MODIFIER_COUNT);
    return yaml_error_key(it->node, c->reterr, "unknown modifier \"%s\"%s%s%s", text,
                          near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* Which groups may stand beside each other. */
static int check_modifiers(struct item_context *c, struct item *it)
{
    static const bool goes_with[GROUP_COUNT][GROUP_COUNT] = {
        [GROUP_AFFIX] = {[GROUP_ENCODING] = true, [GROUP_LIST] = true, [GROUP_CASE] = true},
        [GROUP_ENCODING] = {[GROUP_ENCODING] = true, [GROUP_LIST] = true, [GROUP_CASE] = true},
        [GROUP_TYPE] = {[GROUP_LIST] = true},
        [GROUP_LIST] = {[GROUP_LIST] = true,
                        [GROUP_CASE] = true,
                        [GROUP_REGEX] = true,
                        [GROUP_COMPARE] = true,
                        [GROUP_TIME] = true},
        [GROUP_REGEX] = {[GROUP_REGEX] = true, [GROUP_TYPE] = true},
        [GROUP_COMPARE] = {[GROUP_TIME] = true},
    };
    for (size_t i = 0; i < it->count; i++) {
        for (size_t k = i + 1; k < it->count; k++) {
            enum modifier a = it->list[i], b = it->list[k];
            enum group ga = modifiers[a].group, gb = modifiers[b].group;
            bool reference = (a == MODIFIER_FIELDREF && (gb == GROUP_AFFIX || gb == GROUP_CASE)) ||
                             (b == MODIFIER_FIELDREF && (ga == GROUP_AFFIX || ga == GROUP_CASE));
            if (!reference && !goes_with[ga][gb] && !goes_with[gb][ga])
                return yaml_error_key(it->node, c->reterr, "the modifiers %s and %s don't go together",
                                      modifiers[a].name, modifiers[b].name);
        }
    }
    if (it->has[MODIFIER_EXISTS] && it->count > 1)
        return yaml_error_key(it->node, c->reterr, "the modifier exists stands alone");
    return 0;
}

static int read_key(struct item_context *c, const struct yaml_node *n, struct item *ret)
{
    *ret = (struct item){.node = n};
    const char *key = n->key ? n->key : "", *at = key + strcspn(key, "|");
    if (at > key) {
        ret->field = arena_strndup(c->arena, key, (size_t)(at - key));
        if (!ret->field)
            return yaml_error(n, c->reterr, "too large");
    }
    while (*at == '|') {
        size_t len = strcspn(++at, "|");
        if (take_modifier(c, ret, at, len) != 0)
            return -1;
        at += len;
    }
    for (int g = 0; g < GROUP_COUNT; g++)
        ret->of_group[g] = -1;
    for (size_t i = 0; i < ret->count; i++)
        ret->of_group[modifiers[ret->list[i]].group] = (int)ret->list[i];
    bool about_field = ret->of_group[GROUP_COMPARE] >= 0 || ret->of_group[GROUP_TIME] >= 0 ||
                       (ret->of_group[GROUP_TYPE] >= 0 && !ret->has[MODIFIER_RE]);
    if (!ret->field && about_field)
        return yaml_error_key(n, c->reterr, "this modifier needs a field's name before it");
    return check_modifiers(c, ret);
}

/* ---- values ---- */

static struct atom *atom_new(struct item_context *c, const struct item *it, const struct yaml_node *v,
                             enum atom_kind kind)
{
    struct atom *a = arena_alloc(c->arena, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct atom){
        .kind = kind,
        .field = it->field,
        .weight = 16,
        .place = {v->file, v->line, v->column},
        .key = {it->node->file, it->node->key ? it->node->key_line : v->line,
                it->node->key ? it->node->key_column : v->column},
        .next = c->atoms,
    };
    c->atoms = a;
    return a;
}

static const struct expr *make(struct item_context *c, const struct atom *a, const struct yaml_node *v)
{
    const struct expr *e = a ? expr_atom(c->arena, a) : NULL;
    return e ? e : fail_memory(c, v);
}

static const struct expr *make_regex(struct item_context *c, const struct item *it, const struct yaml_node *v,
                                     const char *text)
{
    struct atom *a = atom_new(c, it, v, ATOM_PATTERN);
    const char *copy = arena_strdup(c->arena, text); /* the tree it stands in goes */
    if (!text[0]) {
        yaml_error(v, c->reterr, "an empty regular expression");
        return NULL;
    }
    if (!copy)
        return fail_memory(c, v);
    if (a) {
        a->pattern = copy;
        a->flags = PATTERN_UTF8 | PATTERN_COSTLY | (it->has[MODIFIER_I] ? PATTERN_CASELESS : 0u) |
                   (it->has[MODIFIER_M] ? PATTERN_MULTILINE : 0u) |
                   (it->has[MODIFIER_S] ? PATTERN_DOTALL : 0u);
        a->weight = 8;
    }
    return make(c, a, v);
}

static const struct expr *make_network(struct item_context *c, const struct item *it,
                                       const struct yaml_node *v, const char *text)
{
    struct ip_network network;
    if (!ip_network_parse(span_str(text), &network)) {
        yaml_error(v, c->reterr, "\"%.60s\" is no network in CIDR notation (are bits set behind its prefix?)",
                   text);
        return NULL;
    }
    struct atom *a = atom_new(c, it, v, ATOM_CIDR);
    if (a)
        a->network = network;
    return make(c, a, v);
}

static const struct expr *make_reference(struct item_context *c, const struct item *it,
                                         const struct yaml_node *v, const char *text)
{
    if (!text[0]) {
        yaml_error(v, c->reterr, "a field's name is expected here");
        return NULL;
    }
    struct atom *a = atom_new(c, it, v, ATOM_FIELDREF);
    const char *copy = arena_strdup(c->arena, text);
    if (!copy)
        return fail_memory(c, v);
    if (a) {
        a->other = copy;
        a->cased = it->has[MODIFIER_CASED];
        a->affix = it->has[MODIFIER_CONTAINS]     ? AFFIX_CONTAINS
                   : it->has[MODIFIER_STARTSWITH] ? AFFIX_STARTS
                   : it->has[MODIFIER_ENDSWITH]   ? AFFIX_ENDS
                                                  : AFFIX_NONE;
    }
    return make(c, a, v);
}

static const struct expr *make_number(struct item_context *c, const struct item *it,
                                      const struct yaml_node *v)
{
    struct number number;
    int compare = it->of_group[GROUP_COMPARE], part = it->of_group[GROUP_TIME];
    if (v->kind != YAML_SCALAR || v->quoted || !number_parse(span_of(v->text, v->len), &number)) {
        yaml_error(v, c->reterr, "a number is expected here");
        return NULL;
    }
    struct atom *a = atom_new(c, it, v, part >= 0 ? ATOM_TIME : ATOM_COMPARE);
    if (a) {
        a->number = number;
        a->compare = compare >= 0 ? (enum compare)(compare == MODIFIER_LT    ? COMPARE_LT
                                                   : compare == MODIFIER_LTE ? COMPARE_LTE
                                                   : compare == MODIFIER_GT  ? COMPARE_GT
                                                                             : COMPARE_GTE)
                                  : COMPARE_EQ;
        a->part = part >= 0 ? (enum date_part)(part - MODIFIER_MINUTE) : DATE_MINUTE;
    }
    return make(c, a, v);
}

static int encode(struct item_context *c, const struct item *it, struct sigma_texts *texts,
                  const char **ret_why)
{
    for (size_t i = 0; i < it->count; i++) {
        int result = 0;
        switch (it->list[i]) {
        case MODIFIER_WINDASH:
            result = sigma_text_windash(c->arena, texts, ret_why);
            break;
        case MODIFIER_BASE64:
            result = sigma_text_base64(c->arena, texts, ret_why);
            break;
        case MODIFIER_BASE64OFFSET:
            result = sigma_text_base64offset(c->arena, texts, ret_why);
            break;
        case MODIFIER_WIDE:
        case MODIFIER_UTF16LE:
            result = sigma_text_utf16(c->arena, texts, false, false, ret_why);
            break;
        case MODIFIER_UTF16BE:
            result = sigma_text_utf16(c->arena, texts, true, false, ret_why);
            break;
        case MODIFIER_UTF16:
            result = sigma_text_utf16(c->arena, texts, false, true, ret_why);
            break;
        default:
            break;
        }
        if (result != 0)
            return -1;
    }
    return 0;
}

/* A text as the modifiers want it: several atoms when an encoding has several forms. */
static const struct expr *make_text(struct item_context *c, const struct item *it, const struct yaml_node *v,
                                    const char *text)
{
    struct sigma_text one;
    struct sigma_texts texts = {.items = &one, .count = 1};
    struct results r = {0};
    const char *why = "too large";
    enum affix affix = !it->field || it->has[MODIFIER_CONTAINS] ? AFFIX_CONTAINS
                       : it->has[MODIFIER_STARTSWITH]           ? AFFIX_STARTS
                       : it->has[MODIFIER_ENDSWITH]             ? AFFIX_ENDS
                                                                : AFFIX_NONE;
    if (sigma_text_read(c->arena, span_str(text), &one) != 0 || encode(c, it, &texts, &why) != 0) {
        yaml_error(v, c->reterr, "%s", why);
        return NULL;
    }
    for (size_t i = 0; i < texts.count; i++) {
        struct atom *a = atom_new(c, it, v, ATOM_PATTERN);
        if (!a || sigma_text_finish(c->arena, &texts.items[i], affix, it->has[MODIFIER_CASED], a) != 0 ||
            !results_add(c, &r, v, make(c, a, v))) {
            free(r.items);
            return fail_memory(c, v);
        }
    }
    return results_join(c, &r, v, EXPR_OR);
}

/* A plain 1.50 or 1e3 is the number: it matches as it is written and as 1.5 and 1000. */
static const struct expr *make_plain_text(struct item_context *c, const struct item *it,
                                          const struct yaml_node *v, const char *text)
{
    struct number number;
    char canonical[40];
    const struct expr *both[2] = {make_text(c, it, v, text)};
    if (!both[0] || v->quoted || !number_parse(span_str(text), &number) || number.is_integer)
        return both[0];
    snprintf(canonical, sizeof canonical, "%.15g", number.real);
    if (strcmp(canonical, text) == 0)
        return both[0];
    char *copy = arena_strdup(c->arena, canonical);
    both[1] = copy ? make_text(c, it, v, copy) : fail_memory(c, v);
    const struct expr *e = both[1] ? expr_join(c->arena, EXPR_OR, both, 2) : NULL;
    return e ? e : fail_memory(c, v);
}

static const struct expr *make_one(struct item_context *c, const struct item *it, const struct yaml_node *v,
                                   const char *text)
{
    if (it->has[MODIFIER_RE])
        return make_regex(c, it, v, text);
    if (it->has[MODIFIER_CIDR])
        return make_network(c, it, v, text);
    if (it->has[MODIFIER_FIELDREF])
        return make_reference(c, it, v, text);
    return make_plain_text(c, it, v, text);
}

/* ---- expand ---- */

static const struct placeholder *find_placeholder(const struct item_context *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->placeholder_count; i++)
        if (strlen(c->placeholders[i].name) == len && memcmp(c->placeholders[i].name, name, len) == 0)
            return &c->placeholders[i];
    return NULL;
}

/* Length of the placeholder's name when %name% stands at `at`. */
static size_t placeholder_len(const char *at)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t len = at[0] == '%' ? strspn(at + 1, word) : 0;
    return len && at[1 + len] == '%' ? len : 0;
}

/* The first placeholder of `text` replaced by each of its values, and so on with the rest; \% is a plain %. `head` holds
 * what is before `text`. */
static int expand_from(struct item_context *c, const struct item *it, const struct yaml_node *v,
                       const char *text, struct buf *head, struct results *r)
{
    size_t mark = buf_len(head), len = 0;
    while (*text && (len = placeholder_len(text)) == 0) {
        bool escaped = text[0] == '\\' && text[1];
        bool percent = escaped && text[1] == '%';
        buf_append(head, text + percent, 1u + (escaped && !percent));
        text += 1 + escaped;
    }
    if (!*text) {
        char *copy =
            head->failed ? NULL : arena_strndup(c->arena, (const char *)buf_span(head).data, buf_len(head));
        const struct expr *e = copy ? make_one(c, it, v, copy) : fail_memory(c, v);
        head->tail = head->head + mark;
        return results_add(c, r, v, e) ? 0 : -1;
    }
    const struct placeholder *p = find_placeholder(c, text + 1, len);
    if (!p)
        return yaml_error(v, c->reterr, "the placeholder %%%.*s%% has no value", (int)(len < 100 ? len : 100),
                          text + 1);
    size_t before = buf_len(head);
    for (size_t i = 0; i < p->count; i++) {
        buf_append_str(head, p->values[i]);
        if (expand_from(c, it, v, text + len + 2, head, r) != 0)
            return -1;
        head->tail = head->head + before;
    }
    head->tail = head->head + mark;
    return 0;
}

static const struct expr *make_expanded(struct item_context *c, const struct item *it,
                                        const struct yaml_node *v)
{
    struct buf head;
    struct results r = {0};
    unsigned placeholders = 0;
    for (const char *at = v->text; *at; at++)
        placeholders += placeholder_len(at) > 0;
    if (placeholders > 8) {
        yaml_error(v, c->reterr, "more than 8 placeholders in one value");
        return NULL;
    }
    buf_init(&head, SIGMA_TEXT_BYTES_MAX);
    int result = expand_from(c, it, v, v->text, &head, &r);
    buf_free(&head);
    if (result == 0)
        return results_join(c, &r, v, EXPR_OR);
    free(r.items);
    return NULL;
}

/* ---- items ---- */

static const struct expr *make_exists(struct item_context *c, const struct item *it,
                                      const struct yaml_node *v)
{
    bool yes;
    if (yaml_get_bool(v, &yes, c->reterr) != 0)
        return NULL;
    struct atom *a = atom_new(c, it, v, ATOM_EXISTS);
    if (a)
        a->weight = 128;
    const struct expr *e = make(c, a, v);
    if (e && !yes)
        e = expr_not(c->arena, e);
    return e ? e : fail_memory(c, v);
}

static const struct expr *make_null(struct item_context *c, const struct item *it, const struct yaml_node *v,
                                    bool alone)
{
    if (!alone) {
        yaml_error(v, c->reterr, "null can't be part of a list of values: give it a detection of its own");
        return NULL;
    }
    if (!it->field || it->count > (it->has[MODIFIER_NEQ] ? 1u : 0u)) {
        yaml_error(v, c->reterr, it->field ? "null doesn't go with modifiers" : "a keyword can't be null");
        return NULL;
    }
    return make(c, atom_new(c, it, v, ATOM_NULL), v);
}

static const struct expr *make_value(struct item_context *c, const struct item *it, const struct yaml_node *v,
                                     bool alone)
{
    if (yaml_want(v, YAML_SCALAR, c->reterr) != 0)
        return NULL;
    if (it->has[MODIFIER_EXISTS])
        return alone ? make_exists(c, it, v)
                     : (yaml_error(v, c->reterr, "exists takes true or false, not a list"), NULL);
    if (yaml_is_null(v))
        return make_null(c, it, v, alone);
    if (it->of_group[GROUP_COMPARE] >= 0 || it->of_group[GROUP_TIME] >= 0)
        return make_number(c, it, v);
    if (!it->field && v->len == 0) {
        yaml_error(v, c->reterr, "an empty keyword");
        return NULL;
    }
    return it->has[MODIFIER_EXPAND] ? make_expanded(c, it, v) : make_one(c, it, v, v->text);
}

static const struct expr *make_list(struct item_context *c, const struct item *it,
                                    const struct yaml_node *list)
{
    struct results r = {0};
    if (list->count == 0) {
        yaml_error(list, c->reterr, "an empty list matches nothing");
        return NULL;
    }
    if (it->has[MODIFIER_ALL] && list->count == 1) {
        yaml_error(list, c->reterr, "the modifier all needs a list of several values");
        return NULL;
    }
    for (YAML_EACH(v, list)) {
        if (!results_add(c, &r, v, make_value(c, it, v, false))) {
            free(r.items);
            return NULL;
        }
    }
    return results_join(c, &r, list, it->has[MODIFIER_ALL] ? EXPR_AND : EXPR_OR);
}

static const struct expr *make_item(struct item_context *c, const struct yaml_node *n)
{
    struct item it;
    const struct expr *e;
    if (read_key(c, n, &it) != 0)
        return NULL;
    if (n->kind == YAML_SEQUENCE) {
        e = make_list(c, &it, n);
    } else if (it.has[MODIFIER_ALL]) {
        yaml_error_key(n, c->reterr, "the modifier all needs a list of several values");
        return NULL;
    } else {
        e = make_value(c, &it, n, true);
    }
    if (!e || !it.has[MODIFIER_NEQ])
        return e;
    e = expr_not(c->arena, e);
    return e ? e : fail_memory(c, n);
}

static const struct expr *make_map(struct item_context *c, const struct yaml_node *map)
{
    struct results r = {0};
    if (map->count == 0) {
        yaml_error(map, c->reterr, "an empty detection matches everything");
        return NULL;
    }
    for (YAML_EACH(n, map)) {
        if (!results_add(c, &r, n, make_item(c, n))) {
            free(r.items);
            return NULL;
        }
    }
    return results_join(c, &r, map, EXPR_AND);
}

static const struct expr *make_keyword(struct item_context *c, const struct yaml_node *n)
{
    struct item it = {.node = n};
    for (int g = 0; g < GROUP_COUNT; g++)
        it.of_group[g] = -1;
    return make_value(c, &it, n, false);
}

static const struct expr *make_alternatives(struct item_context *c, const struct yaml_node *list)
{
    struct results r = {0};
    if (list->count == 0) {
        yaml_error(list, c->reterr, "an empty list matches nothing");
        return NULL;
    }
    for (YAML_EACH(n, list)) {
        const struct expr *e = NULL;
        if (n->kind == YAML_SEQUENCE)
            yaml_error(n, c->reterr, "a list in a list");
        else
            e = n->kind == YAML_MAPPING ? make_map(c, n) : make_keyword(c, n);
        if (!results_add(c, &r, n, e)) {
            free(r.items);
            return NULL;
        }
    }
    return results_join(c, &r, list, EXPR_OR);
}

const struct expr *sigma_item_detection(struct item_context *c, const struct yaml_node *n)
{
    if (n->kind == YAML_MAPPING)
        return make_map(c, n);
    if (n->kind == YAML_SEQUENCE)
        return make_alternatives(c, n);
    if (yaml_is_null(n)) {
        yaml_error(n, c->reterr, "an empty detection matches everything");
        return NULL;
    }
    return make_keyword(c, n);
}
