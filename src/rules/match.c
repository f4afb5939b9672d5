/* match.c: see match.h. What is true of the event at hand is marked with its generation, so that beginning costs nothing. */
#include "rules/match.h"

#include "base/must.h"
#include "base/utf8.h"
#include "rules/date.h"
#include "rules/networks.h"
#include "rules/numbers.h"

#include <hs.h>
#include <stdlib.h>

/* One text and what it is when read as something else: asked for by many atoms in a row. */
struct reading {
    struct span text; /* view into a value */
    uint32_t generation;
    bool number_read, ip_read, date_read, is_number, is_ip, is_date;
    struct number number;
    struct ip ip;
    struct date date;
};

struct match {
    const struct ruleset *set;       /* borrowed */
    const struct compiled *compiled; /* borrowed */
    hs_scratch_t *scratch;           /* owned; NULL when there is no database */
    bool complete;
    uint32_t generation;
    struct match_value *values; /* owned: by field */
    uint32_t *value_stamps;     /* owned: the generation a field was set in */
    uint32_t *atom_stamps;      /* owned: the generation an atom came true in */
    uint32_t *rule_stamps;      /* owned: the generation a rule became a candidate in */
    uint32_t *found;            /* owned: the atoms that came true */
    size_t found_count;
    uint32_t *candidates; /* owned */
    size_t candidate_count;
    uint32_t *matched;    /* owned */
    uint32_t *eager;      /* owned: atoms that rules are found by and no database answers, by field */
    uint32_t *eager_from; /* owned: by field, where its atoms begin; one more at the end */
    uint8_t *clean;       /* owned: a copy of a value that was not UTF-8 */
    size_t clean_room;
    struct reading reading;
    struct networks networks;
    struct numbers numbers;
};

static void *array(size_t count, size_t size)
{
    return calloc(count ? count : 1, size);
}

static bool is_eager(const struct ruleset_atom *a)
{
    return a->count > 0 && a->atom->kind != ATOM_PATTERN && a->atom->kind != ATOM_CIDR &&
           a->atom->kind != ATOM_COMPARE;
}

static bool sort_eager(struct match *m)
{
    const struct ruleset *s = m->set;
    uint32_t count = 0;
    m->eager = array(s->atom_count, sizeof *m->eager);
    m->eager_from = array(s->fields.count + 2, sizeof *m->eager_from);
    if (!m->eager || !m->eager_from)
        return false;
    for (size_t i = 0; i < s->atom_count; i++)
        m->eager_from[s->atoms[i].field + 1] += is_eager(&s->atoms[i]);
    for (uint32_t f = 0; f < s->fields.count; f++) {
        count += m->eager_from[f + 1];
        m->eager_from[f + 1] = count;
    }
    for (size_t i = s->atom_count; i-- > 0;)
        if (is_eager(&s->atoms[i]))
            m->eager[--m->eager_from[s->atoms[i].field + 1]] = (uint32_t)i;
    /* each start has moved one place down the array: put them back */
    memmove(m->eager_from, m->eager_from + 1, s->fields.count * sizeof *m->eager_from);
    m->eager_from[s->fields.count] = count;
    return true;
}

static bool add_scratch(struct match *m, const struct compile_database *database)
{
    return !database || hs_alloc_scratch((const hs_database_t *)database, &m->scratch) == HS_SUCCESS;
}

static bool make_scratch(struct match *m)
{
    for (uint32_t f = 0; f < m->compiled->field_count; f++)
        if (!add_scratch(m, m->compiled->literals[f]) || !add_scratch(m, m->compiled->patterns[f]))
            return false;
    return true;
}

struct match *match_new(const struct ruleset *s, const struct compiled *c)
{
    struct match *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    must(c->field_count == s->fields.count);
    m->set = s;
    m->compiled = c;
    m->values = array(s->fields.count, sizeof *m->values);
    m->value_stamps = array(s->fields.count, sizeof *m->value_stamps);
    m->atom_stamps = array(s->atom_count, sizeof *m->atom_stamps);
    m->rule_stamps = array(s->rule_count, sizeof *m->rule_stamps);
    m->found = array(s->atom_count, sizeof *m->found);
    m->candidates = array(s->rule_count, sizeof *m->candidates);
    m->matched = array(s->rule_count, sizeof *m->matched);
    if (m->values && m->value_stamps && m->atom_stamps && m->rule_stamps && m->found && m->candidates &&
        m->matched && sort_eager(m) && networks_init(&m->networks, s) && numbers_init(&m->numbers, s) &&
        make_scratch(m))
        return m;
    match_free(m);
    return NULL;
}

void match_free(struct match *m)
{
    if (!m)
        return;
    hs_free_scratch(m->scratch);
    free(m->values);
    free(m->value_stamps);
    free(m->atom_stamps);
    free(m->rule_stamps);
    free(m->found);
    free(m->candidates);
    free(m->matched);
    free(m->eager);
    free(m->eager_from);
    free(m->clean);
    networks_free(&m->networks);
    numbers_free(&m->numbers);
    free(m);
}

void match_begin(struct match *m, bool complete)
{
    if (++m->generation == 0) { /* once in four thousand million events: old stamps could mean this one */
        memset(m->value_stamps, 0, m->set->fields.count * sizeof *m->value_stamps);
        memset(m->atom_stamps, 0, m->set->atom_count * sizeof *m->atom_stamps);
        memset(m->rule_stamps, 0, m->set->rule_count * sizeof *m->rule_stamps);
        m->generation = 1;
    }
    m->complete = complete;
    m->candidate_count = m->found_count = 0;
}

/* ---- scanning ---- */

static void note_true(struct match *m, uint32_t atom)
{
    const struct ruleset_atom *a = &m->set->atoms[atom];
    if (m->atom_stamps[atom] == m->generation)
        return;
    m->atom_stamps[atom] = m->generation;
    m->found[m->found_count++] = atom;
    for (uint32_t i = 0; i < a->count; i++) {
        uint32_t rule = m->set->triggers[a->first + i];
        if (m->rule_stamps[rule] == m->generation)
            continue;
        m->rule_stamps[rule] = m->generation;
        m->candidates[m->candidate_count++] = rule;
    }
}

static int on_pattern(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *context)
{
    (void)from;
    (void)to;
    (void)flags;
    note_true(context, id);
    return 0;
}

/* A text being searched for literals. */
struct search {
    struct match *match;
    size_t len;
};

/* A literal ends at `to`: is that where it may stand? */
static int on_literal(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *context)
{
    const struct search *s = context;
    const struct atom *a = s->match->set->atoms[id].atom;
    (void)from;
    (void)flags;
    bool at_start = a->affix == AFFIX_ENDS || a->affix == AFFIX_CONTAINS || to == a->literal.len;
    bool at_end = a->affix == AFFIX_STARTS || a->affix == AFFIX_CONTAINS || to == s->len;
    if (at_start && at_end)
        note_true(s->match, id);
    return 0;
}

/* The text with '?' for each byte that is not part of UTF-8: hyperscan's answers are undefined without. NULL without memory. */
static const uint8_t *clean_text(struct match *m, struct span text)
{
    if (text.len > m->clean_room) {
        uint8_t *p = realloc(m->clean, text.len);
        if (!p)
            return NULL;
        m->clean = p;
        m->clean_room = text.len;
    }
    for (size_t i = 0; text.data && i < text.len;) {
        size_t len = 1;
        bool good = utf8_valid(span_of(text.data + i, 1));
        for (size_t n = 2; !good && n <= 4 && i + n <= text.len; n++) {
            good = utf8_valid(span_of(text.data + i, n));
            len = good ? n : 1;
        }
        if (good)
            memcpy(m->clean + i, text.data + i, len);
        else
            m->clean[i] = '?';
        i += len;
    }
    return m->clean;
}

static void scan(struct match *m, uint32_t field, struct span text)
{
    const hs_database_t *literals = (const hs_database_t *)m->compiled->literals[field],
                        *patterns = (const hs_database_t *)m->compiled->patterns[field];
    struct search search = {m, text.len};
    const uint8_t *data = text.data ? text.data : (const uint8_t *)"";
    if (text.len > UINT32_MAX)
        return;
    if (literals && text.len > 0)
        hs_scan(literals, (const char *)data, (unsigned)text.len, 0, m->scratch, on_literal, &search);
    if (patterns && m->compiled->utf8[field] && !utf8_valid(text))
        data = clean_text(m, text);
    if (patterns && data)
        hs_scan(patterns, (const char *)data, (unsigned)text.len, 0, m->scratch, on_pattern, m);
}

static void scan_all(struct match *m, uint32_t field, const struct span *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (field != RULESET_KEYWORD)
            scan(m, field, values[i]);
        scan(m, RULESET_KEYWORD, values[i]);
    }
}

static void find_networks(struct match *m, uint32_t field, const struct span *values, size_t count)
{
    uint32_t found[NETWORKS_FOUND_MAX];
    struct ip ip;
    if (count == 0 || !networks_has(&m->networks, field))
        return;
    for (size_t i = 0; i < count; i++) {
        size_t n = ip_parse(values[i], &ip) ? networks_find(&m->networks, field, &ip, found) : 0;
        while (n > 0)
            note_true(m, found[--n]);
    }
}

static struct reading *read_text(struct match *m, struct span text)
{
    struct reading *r = &m->reading;
    if (r->generation != m->generation || r->text.data != text.data || r->text.len != text.len)
        *r = (struct reading){.text = text, .generation = m->generation};
    return r;
}

static bool read_number(struct reading *r)
{
    if (!r->number_read)
        r->is_number = number_parse(r->text, &r->number);
    r->number_read = true;
    return r->is_number;
}

/* The number is equal to one asked about; whether it must be more or less than it, the atom knows. */
static void on_number(void *context, uint32_t atom)
{
    struct match *m = context;
    const struct atom *a = m->set->atoms[atom].atom;
    if (number_holds(&m->reading.number, a->compare, &a->number))
        note_true(m, atom);
}

static void find_numbers(struct match *m, uint32_t field, const struct span *values, size_t count,
                         bool rising)
{
    if (count == 0 || !numbers_has(&m->numbers, field))
        return;
    for (size_t i = 0; i < count; i++) {
        struct reading *r = read_text(m, values[i]);
        if (read_number(r))
            numbers_find(&m->numbers, field, &r->number, rising, on_number, m);
    }
}

void match_set_again(struct match *m, uint32_t field, const struct match_value *v, const struct span *fresh,
                     size_t count)
{
    must(field != RULESET_KEYWORD && field < m->set->fields.count);
    m->values[field] = *v;
    m->value_stamps[field] = m->generation;
    if (!v->rising) { /* a number that can still grow has no text yet */
        scan_all(m, field, fresh, count);
        find_networks(m, field, fresh, count);
    }
    find_numbers(m, field, fresh, count, v->rising);
    for (uint32_t i = m->eager_from[field]; v->state == FACT_KNOWN && i < m->eager_from[field + 1]; i++)
        if (match_atom(m, m->eager[i]) == TRUTH_TRUE)
            note_true(m, m->eager[i]);
}

void match_set(struct match *m, uint32_t field, const struct match_value *v)
{
    match_set_again(m, field, v, v->values, v->state == FACT_KNOWN ? v->count : 0);
}

void match_note(struct match *m, uint32_t atom)
{
    must(atom < m->set->atom_count);
    note_true(m, atom);
}

const uint32_t *match_atoms(const struct match *m, size_t *ret_count)
{
    *ret_count = m->found_count;
    return m->found;
}

void match_set_unnamed(struct match *m, const struct match_value *v)
{
    if (v->state == FACT_KNOWN && !v->rising)
        scan_all(m, RULESET_KEYWORD, v->values, v->count);
}

const struct match_value *match_value(const struct match *m, uint32_t field)
{
    return m->value_stamps[field] == m->generation ? &m->values[field] : NULL;
}

/* ---- atoms ---- */

static bool compare_holds(const struct atom *a, struct reading *r)
{
    return read_number(r) && number_holds(&r->number, a->compare, &a->number);
}

static bool network_holds(const struct atom *a, struct reading *r)
{
    if (!r->ip_read)
        r->is_ip = ip_parse(r->text, &r->ip);
    r->ip_read = true;
    return r->is_ip && ip_in(&r->ip, &a->network);
}

static bool date_holds(const struct atom *a, struct reading *r)
{
    if (!r->date_read)
        r->is_date = date_parse(r->text, &r->date);
    r->date_read = true;
    struct number n = {true, r->is_date ? r->date.part[a->part] : 0, r->is_date ? r->date.part[a->part] : 0};
    return r->is_date && number_holds(&n, a->compare, &a->number);
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len, bool cased)
{
    return len == 0 ||
           (cased ? memcmp(a, b, len) == 0 : strncasecmp((const char *)a, (const char *)b, len) == 0);
}

static bool text_relates(struct span text, struct span part, enum affix affix, bool cased)
{
    if (part.len > text.len || (affix == AFFIX_NONE && part.len != text.len))
        return false;
    size_t last = text.len - part.len, first = affix == AFFIX_ENDS ? last : 0;
    for (size_t at = first; at <= (affix == AFFIX_CONTAINS ? last : first); at++)
        if (same_bytes(text.data + at, part.data, part.len, cased))
            return true;
    return false;
}

static bool value_holds(struct match *m, const struct atom *a, struct span text,
                        const struct match_value *other)
{
    switch (a->kind) {
    case ATOM_COMPARE:
        return compare_holds(a, read_text(m, text));
    case ATOM_CIDR:
        return network_holds(a, read_text(m, text));
    case ATOM_TIME:
        return date_holds(a, read_text(m, text));
    case ATOM_FIELDREF:
        for (size_t i = 0; i < other->count; i++)
            if (text_relates(text, other->values[i], a->affix, a->cased))
                return true;
        return false;
    default:
        return false;
    }
}

/* Never NULL: what was not set is absent or pending. */
static const struct match_value *look(const struct match *m, uint32_t field)
{
    static const struct match_value absent = {.state = FACT_ABSENT}, pending = {.state = FACT_PENDING};
    const struct match_value *v = match_value(m, field);
    return v ? v : m->complete ? &absent : &pending;
}

static bool is_unknown(const struct match_value *v)
{
    return v->state == FACT_PENDING || v->state == FACT_UNOBSERVABLE;
}

/* Whether the field is there at all, or has a value: what several sources don't show yet one may still. */
static enum truth presence(const struct match_value *v, bool there)
{
    if (there)
        return TRUTH_TRUE;
    return is_unknown(v) || v->more ? TRUTH_UNKNOWN : TRUTH_FALSE;
}

enum truth match_atom(struct match *m, uint32_t atom)
{
    const struct ruleset_atom *ra = &m->set->atoms[atom];
    const struct atom *a = ra->atom;
    if (m->atom_stamps[atom] == m->generation)
        return TRUTH_TRUE;
    if (ra->field == RULESET_KEYWORD)
        return m->complete ? TRUTH_FALSE : TRUTH_UNKNOWN;
    const struct match_value *v = look(m, ra->field),
                             *other = a->kind == ATOM_FIELDREF ? look(m, ra->other) : v;
    bool known = v->state == FACT_KNOWN;
    if (a->kind == ATOM_EXISTS)
        return presence(v, known);
    if (a->kind == ATOM_NULL)
        return (enum truth)(TRUTH_TRUE - presence(v, known && v->count > 0));
    bool can_answer =
        !v->rising || (a->kind == ATOM_COMPARE && (a->compare == COMPARE_GT || a->compare == COMPARE_GTE));
    for (size_t i = 0;
         known && can_answer && a->kind != ATOM_PATTERN && other->state == FACT_KNOWN && i < v->count; i++)
        if (value_holds(m, a, v->values[i], other))
            return TRUTH_TRUE;
    bool open = is_unknown(v) || v->more || v->rising || is_unknown(other) || other->more || other->rising;
    return open ? TRUTH_UNKNOWN : TRUTH_FALSE;
}

/* ---- rules ---- */

/* The code at `at`, whose end *ret_next is. Depth is bounded by what conditions may be nested. */
static enum truth evaluate(struct match *m, uint32_t at, uint32_t *ret_next)
{
    uint32_t word = m->set->code[at], payload = word & ((1u << RULE_CODE_SHIFT) - 1), next;
    enum expr_kind kind = (enum expr_kind)(word >> RULE_CODE_SHIFT);
    *ret_next = at + 1 + (kind == EXPR_ATOM ? 0 : payload);
    if (kind == EXPR_ATOM)
        return match_atom(m, payload);
    if (kind == EXPR_NOT)
        return (enum truth)(TRUTH_TRUE - evaluate(m, at + 1, &next));
    enum truth worst = kind == EXPR_AND ? TRUTH_FALSE : TRUTH_TRUE,
               result = kind == EXPR_AND ? TRUTH_TRUE : TRUTH_FALSE;
    for (uint32_t child = at + 1; child < *ret_next && result != worst; child = next) {
        enum truth t = evaluate(m, child, &next);
        if (kind == EXPR_AND ? t < result : t > result)
            result = t;
    }
    return result;
}

enum truth match_code(struct match *m, uint32_t at)
{
    uint32_t next;
    must(at < m->set->code_words);
    return evaluate(m, at, &next);
}

enum truth match_rule(struct match *m, uint32_t rule)
{
    uint32_t next;
    must(rule < m->set->rule_count && m->set->rules[rule].code_words > 0);
    return evaluate(m, m->set->rules[rule].code, &next);
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

const uint32_t *match_run(struct match *m, size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < m->set->always_count; i++)
        if (match_rule(m, m->set->always[i]) == TRUTH_TRUE)
            m->matched[count++] = m->set->always[i];
    for (size_t i = 0; i < m->candidate_count; i++)
        if (match_rule(m, m->candidates[i]) == TRUTH_TRUE)
            m->matched[count++] = m->candidates[i];
    if (count > 1)
        qsort(m->matched, count, sizeof *m->matched, compare_numbers);
    *ret_count = count;
    return m->matched;
}
