/* baseline_parse.c: policy/baseline.yaml into struct baseline, strictly: what is unknown, mistyped, or can never count is an
 * error with its place. run/ calls in once per snapshot; baseline_match.c reads an entry's senders, baseline_allow.c its
 * destinations. Pure: malloc, libyaml, libpsl's built-in list. */
#include "rules/baseline_read.h"

#include "base/must.h"

enum {
    TREE_BYTES = 256 * 1024 * 1024, /* budgets: YAML_BYTES_MAX bounds what is really used */
    BASELINE_BYTES = 256 * 1024 * 1024,
    ENTRIES_MAX = 4096,
    TEXT_MAX = 4096
};

void *baseline_take(struct baseline_reader *r, const struct yaml_node *n, size_t bytes)
{
    void *p = arena_alloc(&r->b->arena, bytes ? bytes : 1);
    if (!p)
        yaml_error(n, r->reterr, "the baseline is too large");
    return p;
}

const char *baseline_keep(struct baseline_reader *r, const struct yaml_node *n, const char *text)
{
    size_t len = strlen(text);
    char *copy = baseline_take(r, n, len + 1);
    return copy ? memcpy(copy, text, len + 1) : NULL;
}

static bool is_printable(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

int baseline_read_text(struct baseline_reader *r, const struct yaml_node *n, const char **ret)
{
    const char *text;
    if (yaml_get_string(n, &text, r->reterr) != 0)
        return -1;
    if (n->len > TEXT_MAX || !is_printable(text)) {
        yaml_error(n, r->reterr, "a text has at most %d characters, all of them printable", TEXT_MAX);
        return -1;
    }
    *ret = text;
    return 0;
}

static int read_mode(struct baseline_reader *r, const struct yaml_node *n, enum verdict_mode *ret)
{
    const char *const names[] = {verdict_mode_name(MODE_OPEN), verdict_mode_name(MODE_REPORT),
                                 verdict_mode_name(MODE_ENFORCE)};
    size_t mode;
    if (yaml_get_enum(n, names, ARRAY_LEN(names), &mode, r->reterr) != 0)
        return -1;
    *ret = (enum verdict_mode)mode;
    return 0;
}

int baseline_read_handling(struct baseline_reader *r, const struct yaml_node *n, enum verdict_handling *ret)
{
    const char *const names[] = {verdict_handling_name(HANDLING_TUNNEL), verdict_handling_name(HANDLING_PEEK),
                                 verdict_handling_name(HANDLING_TERMINATE)};
    size_t which;
    if (yaml_get_enum(n, names, ARRAY_LEN(names), &which, r->reterr) != 0)
        return -1;
    *ret = (enum verdict_handling)(HANDLING_TUNNEL + which);
    if (*ret == HANDLING_TERMINATE && !r->b->terminate_line)
        r->b->terminate_line = n->line;
    return 0;
}

static int read_probe(struct baseline_reader *r, const struct yaml_node *n, enum verdict_probe *ret)
{
    const char *const names[] = {verdict_probe_name(PROBE_NEVER), verdict_probe_name(PROBE_BACKGROUND),
                                 verdict_probe_name(PROBE_WAIT)};
    size_t which;
    if (yaml_get_enum(n, names, ARRAY_LEN(names), &which, r->reterr) != 0)
        return -1;
    *ret = (enum verdict_probe)(PROBE_NEVER + which);
    return 0;
}

/* ---- senders ---- */

static int check_entry(struct baseline_reader *r, const struct yaml_node *n, size_t index)
{
    const struct entry *entries = r->b->entries, *e = &entries[index];
    for (size_t i = 0; i < index; i++)
        if (strcmp(entries[i].name, e->name) == 0)
            return yaml_error(yaml_find(n, "name"), r->reterr,
                              "the name \"%.100s\" is already taken by line %u", e->name, entries[i].line);
    for (size_t i = 0; i < index; i++)
        if (entry_shadows(&entries[i], e))
            return yaml_error(n, r->reterr,
                              "never counts: \"%.100s\" (line %u) already matches all of its senders",
                              entries[i].name, entries[i].line);
    return 0;
}

/* The value of a key that must be there, or NULL with an error at the mapping. */
static const struct yaml_node *need(struct baseline_reader *r, const struct yaml_node *mapping,
                                    const char *key)
{
    const struct yaml_node *n = yaml_find(mapping, key);
    if (!n)
        yaml_error(mapping, r->reterr, "%s is missing here", key);
    return n;
}

static int read_entry(struct baseline_reader *r, const struct yaml_node *n, size_t index)
{
    static const char *const keys[] = {"name",     "owner", "purpose", "match",     "mode",
                                       "handling", "chain", "allow",   "exception", "adds"};
    struct entry *e = &r->b->entries[index];
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *name = need(r, n, "name"), *match = need(r, n, "match"),
                           *allow = need(r, n, "allow"), *mode = yaml_find(n, "mode"),
                           *owner = yaml_find(n, "owner"), *purpose = yaml_find(n, "purpose"),
                           *handling = yaml_find(n, "handling"), *chain = yaml_find(n, "chain"),
                           *exception = yaml_find(n, "exception"), *adds = yaml_find(n, "adds");
    const char *text;
    if ((handling && baseline_read_handling(r, handling, &e->handling) != 0) ||
        (chain && read_probe(r, chain, &e->probe) != 0))
        return -1;
    if (!name || !match || !allow || (owner && baseline_read_text(r, owner, &text) != 0) ||
        (purpose && baseline_read_text(r, purpose, &text) != 0) || baseline_read_text(r, name, &text) != 0)
        return -1;
    e->name = baseline_keep(r, name, text);
    e->line = n->line;
    if (adds && yaml_get_bool(adds, &e->adds, r->reterr) != 0)
        return -1;
    if (exception && baseline_read_term(r, exception, owner, &e->term) != 0)
        return -1;
    e->has_mode = mode != NULL;
    if (!e->name || (mode && read_mode(r, mode, &e->mode) != 0) || baseline_read_match(r, match, e) != 0 ||
        check_entry(r, n, index) != 0)
        return -1;
    return baseline_read_destinations(r, allow, true, &e->allow) != 0 ? -1 : baseline_check_tool_allow(r, e);
}

static int read_senders(struct baseline_reader *r, const struct yaml_node *n)
{
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count > ENTRIES_MAX)
        return yaml_error(n, r->reterr, "more than %d senders", ENTRIES_MAX);
    r->b->entries = baseline_take(r, n, n->count * sizeof *r->b->entries);
    r->b->filters = baseline_take(r, n, n->count);
    if (!r->b->entries || !r->b->filters)
        return -1;
    for (YAML_EACH(item, n)) {
        if (read_entry(r, item, r->b->entry_count) != 0)
            return -1;
        const char *executable = r->b->entries[r->b->entry_count].conditions[CONDITION_EXECUTABLE];
        r->b->filters[r->b->entry_count++] = executable ? filter_of(executable) : FILTER_NONE;
    }
    return 0;
}

/* ---- the file ---- */

static int read_unknown(struct baseline_reader *r, const struct yaml_node *n)
{
    static const char *const keys[] = {"mode", "action"};
    static const char *const actions[] = {"block", "allow"};
    size_t action = 0;
    r->b->unknown_mode = r->b->mode;
    if (!n)
        return 0;
    r->b->unknown_line = n->key_line;
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *mode = yaml_find(n, "mode"), *wanted = yaml_find(n, "action");
    if (!mode && !wanted)
        return yaml_error(n, r->reterr, "action (block or allow) or mode is missing here");
    if (wanted && yaml_get_enum(wanted, actions, ARRAY_LEN(actions), &action, r->reterr) != 0)
        return -1;
    r->b->unknown_allowed = action == 1;
    return mode ? read_mode(r, mode, &r->b->unknown_mode) : 0;
}

static int read_head(struct baseline_reader *r, const struct yaml_node *top)
{
    static const char *const keys[] = {"version", "mode",    "unknown_sender", "destination_sets",
                                       "pki",     "senders", "transfer_tools"};
    int64_t number;
    if (yaml_check_keys(top, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *version = need(r, top, "version"), *mode = yaml_find(top, "mode");
    if (!version || yaml_get_int(version, 1, 1, &number, r->reterr) != 0)
        return -1;
    r->b->mode = MODE_ENFORCE;
    if (mode && read_mode(r, mode, &r->b->mode) != 0)
        return -1;
    static const char *const tools[] = {"as_written", "narrow"};
    const struct yaml_node *wanted = yaml_find(top, "transfer_tools");
    size_t which = 0;
    if (wanted && yaml_get_enum(wanted, tools, ARRAY_LEN(tools), &which, r->reterr) != 0)
        return -1;
    r->b->narrow_tools = which == 1;
    return read_unknown(r, yaml_find(top, "unknown_sender"));
}

static int read_top(struct baseline_reader *r, const struct yaml_node *top)
{
    const struct yaml_node *sets, *senders;
    if (read_head(r, top) != 0)
        return -1;
    const struct yaml_node *pki = yaml_find(top, "pki");
    sets = yaml_find(top, "destination_sets");
    senders = need(r, top, "senders");
    if (!senders || (sets && baseline_read_sets(r, sets) != 0) || (pki && baseline_read_pki(r, pki) != 0) ||
        read_senders(r, senders) != 0)
        return -1;
    for (size_t i = 0; i < r->set_count; i++)
        if (!r->sets[i].used)
            return yaml_error_key(r->sets[i].node, r->reterr, "no sender uses the destination set \"%.100s\"",
                                  r->sets[i].node->key);
    return 0;
}

static struct baseline *baseline_new(void)
{
    struct arena arena;
    arena_init(&arena, BASELINE_BYTES);
    struct baseline *b = arena_alloc(&arena, sizeof *b);
    if (b)
        b->arena = arena;
    return b;
}

struct baseline *baseline_parse(struct span text, const char *name, struct err *reterr)
{
    struct destinations *kinds = destinations_new(reterr);
    struct baseline *b = kinds ? baseline_parse_with(text, name, kinds, reterr) : NULL;
    destinations_free(kinds);
    return b;
}

struct baseline *baseline_parse_with(struct span text, const char *name, struct destinations *kinds,
                                     struct err *reterr)
{
    struct baseline_reader r = {.b = baseline_new(), .reterr = reterr, .file = name, .kinds = kinds};
    struct arena tree;
    if (!r.b) {
        err_set(reterr, name, 0, 0, "no memory");
        return NULL;
    }
    r.b->kinds = destinations_ref(kinds);
    arena_init(&tree, TREE_BYTES);
    const struct yaml_node *top = yaml_read(&tree, text, name, reterr);
    bool fine = top && read_top(&r, top) == 0;
    arena_reset(&tree);
    if (fine)
        return r.b;
    baseline_free(r.b);
    return NULL;
}

void baseline_free(struct baseline *b)
{
    if (!b)
        return;
    destinations_free(b->kinds);
    struct arena arena = b->arena; /* b lives in it */
    arena_reset(&arena);
}
