/* logsource.c: see logsource.h. Pure. */
#include "rules/logsource.h"

#include "base/buf.h"
#include "base/must.h"

enum { TREE_BYTES = 64 * 1024 * 1024, OF_MAX = 32, FIELDS_MAX = 1024, JOINED_BYTES = 65536 };

static const char *const phase_names[] = {"accept",  "connect",  "address", "hello", "chain",
                                          "request", "response", "relay",   "close"};

const char *logsource_phase_name(enum fact_phase phase)
{
    must((size_t)phase < ARRAY_LEN(phase_names));
    return phase_names[phase];
}

/* ---- tables ---- */

static int fail_memory(const struct yaml_node *n, struct err *reterr)
{
    return yaml_error(n, reterr, "too large");
}

static int read_fact(const struct yaml_node *n, enum fact *ret, struct err *reterr)
{
    const char *name;
    const char *names[FACT_COUNT];
    if (yaml_get_string(n, &name, reterr) != 0)
        return -1;
    for (int i = 0; i < FACT_COUNT; i++) {
        names[i] = fact_table[i].name;
        if (strcmp(fact_table[i].name, name) == 0) {
            *ret = (enum fact)i;
            return 0;
        }
    }
    const char *near = yaml_nearest(name, names, FACT_COUNT);
    return yaml_error(n, reterr, "there is no fact %.60s%s%s%s", name, near ? ": did you mean " : "",
                      near ? near : "", near ? "?" : "");
}

/* NULL without memory. */
static const char *join_facts(struct arena *a, const bool *wanted)
{
    struct buf text;
    buf_init(&text, JOINED_BYTES);
    for (int i = 0; i < FACT_COUNT; i++)
        if (wanted[i])
            buf_printf(&text, "%s%s", buf_len(&text) ? "+" : "", fact_table[i].name);
    struct span all = buf_span(&text);
    const char *joined = text.failed ? NULL : arena_strndup(a, (const char *)all.data, all.len);
    buf_free(&text);
    return joined;
}

static int read_field(struct arena *a, const struct yaml_node *n, struct logsource_field *ret,
                      struct err *reterr)
{
    if (yaml_want(n, YAML_SEQUENCE, reterr) != 0)
        return -1;
    if (n->count == 0 || n->count > LOGSOURCE_FACTS_MAX)
        return yaml_error(n, reterr, "from 1 to %d facts are expected here", LOGSOURCE_FACTS_MAX);
    ret->name = arena_strdup(a, n->key);
    if (!ret->name)
        return fail_memory(n, reterr);
    bool wanted[FACT_COUNT] = {false};
    for (YAML_EACH(v, n)) {
        if (read_fact(v, &ret->facts[ret->count], reterr) != 0)
            return -1;
        wanted[ret->facts[ret->count++]] = true;
    }
    ret->joined = join_facts(a, wanted);
    return ret->joined ? 0 : fail_memory(n, reterr);
}

static int read_word(struct arena *a, const struct yaml_node *top, const char *key, const char **ret,
                     struct err *reterr)
{
    const struct yaml_node *n = yaml_find(top, key);
    const char *text;
    if (!n)
        return 0;
    if (yaml_get_string(n, &text, reterr) != 0)
        return -1;
    *ret = arena_strdup(a, text);
    return *ret ? 0 : fail_memory(n, reterr);
}

static int read_of(struct arena *a, const struct yaml_node *n, struct logsource *l, struct err *reterr)
{
    static const char *const keys[] = {"category", "product", "service"};
    if (yaml_want(n, YAML_SEQUENCE, reterr) != 0)
        return -1;
    if (n->count == 0 || n->count > OF_MAX)
        return yaml_error(n, reterr, "from 1 to %d logsources are expected here", OF_MAX);
    l->of = arena_alloc(a, n->count * sizeof *l->of);
    if (!l->of)
        return fail_memory(n, reterr);
    for (YAML_EACH(v, n)) {
        struct sigma_logsource *of = &l->of[l->of_count++];
        if (yaml_check_keys(v, keys, ARRAY_LEN(keys), reterr) != 0 ||
            read_word(a, v, "category", &of->category, reterr) != 0 ||
            read_word(a, v, "product", &of->product, reterr) != 0 ||
            read_word(a, v, "service", &of->service, reterr) != 0)
            return -1;
        if (!of->category && !of->product && !of->service)
            return yaml_error(v, reterr, "category, product or service is expected here");
    }
    return 0;
}

static int read_table(struct arena *a, const struct yaml_node *top, struct logsource *l, struct err *reterr)
{
    static const char *const keys[] = {"logsource", "fields"};
    if (yaml_check_keys(top, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    const struct yaml_node *of = yaml_find(top, "logsource"), *fields = yaml_find(top, "fields");
    if (!of || !fields)
        return yaml_error(top, reterr, "a table has logsource and fields");
    if (read_of(a, of, l, reterr) != 0 || yaml_want(fields, YAML_MAPPING, reterr) != 0)
        return -1;
    if (fields->count > FIELDS_MAX)
        return yaml_error(fields, reterr, "more than %d fields", FIELDS_MAX);
    l->fields = arena_alloc(a, (fields->count + 1) * sizeof *l->fields);
    if (!l->fields)
        return fail_memory(fields, reterr);
    bool any[FACT_COUNT] = {false};
    for (YAML_EACH(v, fields)) {
        struct logsource_field *f = &l->fields[l->field_count++];
        if (read_field(a, v, f, reterr) != 0)
            return -1;
        for (size_t i = 0; i < f->count; i++)
            any[f->facts[i]] = true;
    }
    l->any = join_facts(a, any);
    return l->any ? 0 : fail_memory(fields, reterr);
}

struct logsource *logsource_read(struct arena *a, struct span text, const char *file, struct logsource *next,
                                 struct err *reterr)
{
    struct arena tree;
    arena_init(&tree, TREE_BYTES);
    struct logsource *l = arena_alloc(a, sizeof *l);
    const struct yaml_node *top = yaml_read(&tree, text, file, reterr);
    if (l)
        l->next = next;
    else
        err_set(reterr, file, 0, 0, "too large");
    if (!l || !top || read_table(a, top, l, reterr) != 0)
        l = NULL;
    arena_reset(&tree);
    return l;
}

/* ---- our own: product exeat, whose fields are the facts themselves, by their names and by what Sigma calls them ---- */

enum { OWN_FIELDS_MAX = FACT_COUNT * 6 };

static int add_own(struct arena *a, struct logsource *l, struct span name, enum fact fact)
{
    struct logsource_field *f = NULL;
    for (size_t i = 0; i < l->field_count && !f; i++)
        if (span_is(name, l->fields[i].name))
            f = &l->fields[i];
    if (!f && l->field_count < OWN_FIELDS_MAX) {
        f = &l->fields[l->field_count++];
        f->name = arena_strndup(a, (const char *)name.data, name.len);
    }
    if (!f || !f->name)
        return -1;
    for (size_t i = 0; i < f->count; i++)
        if (f->facts[i] == fact)
            return 0;
    if (f->count == LOGSOURCE_FACTS_MAX)
        return -1;
    f->facts[f->count++] = fact;
    return 0;
}

static int add_fact(struct arena *a, struct logsource *l, enum fact fact)
{
    int result = add_own(a, l, span_str(fact_table[fact].name), fact);
    for (const char *at = fact_table[fact].sigma; *at;) {
        size_t len = strcspn(at, "|");
        result |= add_own(a, l, span_of(at, len), fact);
        at += len + (at[len] == '|');
    }
    return result;
}

static struct logsource *make_own(struct arena *a, struct logsource *next, struct err *reterr)
{
    bool wanted[FACT_COUNT];
    struct logsource *l = arena_alloc(a, sizeof *l);
    int result = l ? 0 : -1;
    if (l) {
        l->next = next;
        l->of = arena_alloc(a, sizeof *l->of);
        l->fields = arena_alloc(a, OWN_FIELDS_MAX * sizeof *l->fields);
        result = l->of && l->fields ? 0 : -1;
    }
    for (int i = 0; i < FACT_COUNT && result == 0; i++) {
        wanted[i] = true;
        result = add_fact(a, l, (enum fact)i);
    }
    if (result == 0) {
        l->of->product = "exeat";
        l->of_count = 1;
        l->any = join_facts(a, wanted);
        result = l->any ? 0 : -1;
    }
    for (size_t i = 0; result == 0 && i < l->field_count; i++) {
        memset(wanted, 0, sizeof wanted);
        for (size_t k = 0; k < l->fields[i].count; k++)
            wanted[l->fields[i].facts[k]] = true;
        l->fields[i].joined = join_facts(a, wanted);
        result = l->fields[i].joined ? 0 : -1;
    }
    return result == 0 ? l : (err_set(reterr, NULL, 0, 0, "no memory for the table of facts"), NULL);
}

struct logsource *logsource_read_all(struct arena *a, struct err *reterr)
{
    struct logsource *tables = make_own(a, NULL, reterr);
    if (!tables)
        return NULL;
    for (const struct logsource_file *f = logsource_files; f->name; f++) {
        tables = logsource_read(a, span_of(f->bytes, f->len), f->name, tables, reterr);
        if (!tables)
            return NULL;
    }
    return tables;
}

/* How many words of `of` the rule's logsource has; -1 when one differs. */
static int agree(const struct sigma_logsource *of, const struct sigma_logsource *rule)
{
    const char *const words[][2] = {
        {of->category, rule->category}, {of->product, rule->product}, {of->service, rule->service}};
    int same = 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!words[i][0])
            continue;
        if (!words[i][1] || strcmp(words[i][0], words[i][1]) != 0)
            return -1;
        same++;
    }
    return same;
}

const struct logsource *logsource_find(const struct logsource *tables, const struct sigma_logsource *rule)
{
    const struct logsource *best = NULL;
    int most = 0;
    for (const struct logsource *l = tables; l; l = l->next) {
        for (size_t i = 0; i < l->of_count; i++) {
            int same = agree(&l->of[i], rule);
            if (same > most) {
                most = same;
                best = l;
            }
        }
    }
    return best;
}

const struct logsource_field *logsource_field_find(const struct logsource *l, const char *name)
{
    for (size_t i = 0; i < l->field_count; i++)
        if (strcmp(l->fields[i].name, name) == 0)
            return &l->fields[i];
    return NULL;
}

const char *logsource_name_field(const struct logsource *tables, const struct sigma_logsource *rule,
                                 const char *field)
{
    const struct logsource *l = logsource_find(tables, rule);
    const struct logsource_field *f = l && field ? logsource_field_find(l, field) : NULL;
    return !l ? "?" : !field ? l->any : f ? f->joined : "?";
}

/* ---- rules against tables ---- */

static int check_field(const struct logsource *l, const char *name, const struct place *place,
                       struct err *reterr)
{
    const char *names[FIELDS_MAX];
    if (logsource_field_find(l, name))
        return 0;
    for (size_t i = 0; i < l->field_count; i++)
        names[i] = l->fields[i].name;
    const char *near = yaml_nearest(name, names, l->field_count);
    return err_set(reterr, place->file, place->line, place->column,
                   "no fact answers to the field \"%.100s\" of this logsource%s%s%s", name,
                   near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* The first fault in the file's order: atoms are listed the last first. */
static int check_atoms(const struct logsource *l, const struct sigma_document *d, struct err *reterr)
{
    int result = 0;
    for (const struct atom *a = d->atoms; a; a = a->next) {
        struct err err = {0};
        if ((a->field && check_field(l, a->field, &a->key, &err) != 0) ||
            (a->other && check_field(l, a->other, &a->place, &err) != 0)) {
            *reterr = err;
            result = -1;
        }
    }
    return result;
}

int logsource_check(const struct logsource *tables, const struct sigma_document *d, struct err *reterr)
{
    const struct sigma_logsource *s = &d->logsource;
    if (d->kind == SIGMA_CORRELATION)
        return 0;
    const struct logsource *l = logsource_find(tables, s);
    if (l)
        return check_atoms(l, d, reterr);
    return err_set(reterr, s->place.file, s->place.line, s->place.column,
                   "no table says which facts answer to this logsource (%s%.60s%s%.60s%s%.60s)",
                   s->category ? "category " : "", s->category ? s->category : "",
                   s->product ? " product " : "", s->product ? s->product : "", s->service ? " service " : "",
                   s->service ? s->service : "");
}

/* ---- phases ---- */

static enum fact_phase pick(enum fact_phase a, enum fact_phase b, bool later)
{
    return (a > b) == later ? a : b;
}

/* When a fact answers an atom that is to be `wanted`: a rising one says no, and all but gt and gte, only at the end. */
static enum fact_phase fact_answers(enum fact which, const struct atom *a, bool wanted)
{
    bool grows = wanted && a->kind == ATOM_COMPARE && (a->compare == COMPARE_GT || a->compare == COMPARE_GTE);
    bool there = (a->kind == ATOM_EXISTS && wanted) || (a->kind == ATOM_NULL && !wanted);
    return fact_table[which].moves == FACT_RISING && !grows && !there ? FACT_CLOSE : fact_table[which].phase;
}

static enum fact_phase field_answers(const struct logsource_field *f, const struct atom *a, bool wanted,
                                     bool later)
{
    enum fact_phase phase = later ? FACT_ACCEPT : FACT_CLOSE;
    for (size_t i = 0; f && i < f->count; i++)
        phase = pick(phase, fact_answers(f->facts[i], a, wanted), later);
    return phase;
}

/* That something is so, one source can show; that it is not, all must. */
static enum fact_phase atom_phase(const struct logsource *l, const struct atom *a, bool wanted)
{
    bool later = (a->kind == ATOM_NULL) == wanted;
    if (!a->field) {
        enum fact_phase phase = later ? FACT_ACCEPT : FACT_CLOSE;
        for (size_t i = 0; i < l->field_count; i++)
            phase = pick(phase, field_answers(&l->fields[i], a, wanted, later), later);
        return phase;
    }
    enum fact_phase phase = field_answers(logsource_field_find(l, a->field), a, wanted, later);
    if (a->kind == ATOM_FIELDREF)
        phase = pick(phase, field_answers(logsource_field_find(l, a->other), a, wanted, later), true);
    return phase;
}

static enum fact_phase expr_phase(const struct logsource *l, const struct expr *e, bool wanted)
{
    if (e->kind == EXPR_ATOM)
        return atom_phase(l, e->atom, wanted);
    if (e->kind == EXPR_NOT)
        return expr_phase(l, e->items[0], !wanted);
    bool all = (e->kind == EXPR_AND) == wanted;
    enum fact_phase phase = expr_phase(l, e->items[0], wanted);
    for (size_t i = 1; i < e->count; i++)
        phase = pick(phase, expr_phase(l, e->items[i], wanted), all);
    return phase;
}

enum fact_phase logsource_phase(const struct logsource *l, const struct expr *e)
{
    return expr_phase(l, e, true);
}
