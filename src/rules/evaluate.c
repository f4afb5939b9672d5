/* evaluate.c: see evaluate.h. Pure. */
#include "rules/evaluate.h"

#include "base/buf.h"
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEEN_FINAL = 0x80, TEXT_BYTES = IP_TEXT_BYTES > 24 ? IP_TEXT_BYTES : 24 };

enum { PROCESSES = 128, PROCESS_KEY_BYTES_MAX = 4096, PROCESS_ATOMS_MAX = 256 };

/* What was found true of a process: it is asked once, and that holds for each of its connections. The key is all that was looked at. */
struct process {
    uint8_t *key;    /* owned; NULL: none */
    uint32_t *atoms; /* owned */
    size_t len, count;
};

struct evaluator {
    const struct rulebook *book; /* borrowed */
    struct match *match;         /* owned */
    const bool *partial;         /* borrowed for evaluate() */
    uint32_t generation;
    uint32_t made[FACT_COUNT]; /* the generation a fact's text was made in */
    struct span one[FACT_COUNT];
    char texts[FACT_COUNT][TEXT_BYTES];
    union {
        int64_t integer;
        struct ip ip;
    } written[FACT_COUNT]; /* what stands in texts, of integers and addresses */
    bool is_written[FACT_COUNT];
    struct span *joined,
        *fresh; /* owned: the values of fields with several facts, and those not scanned yet */
    size_t joined_room, joined_count;
    struct buf key;
    struct process processes[PROCESSES]; /* by the key's hash; the latest stays */
    uint64_t processes_asked;
};

void evaluation_free(struct evaluation *x)
{
    free(x->atoms);
    *x = (struct evaluation){0};
}

struct evaluator *evaluator_new(const struct rulebook *b)
{
    struct evaluator *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->book = b;
    buf_init(&e->key, PROCESS_KEY_BYTES_MAX);
    e->match = match_new(b->set, b->compiled);
    if (e->match)
        return e;
    free(e);
    return NULL;
}

void evaluator_free(struct evaluator *take_e)
{
    if (!take_e)
        return;
    match_free(take_e->match);
    for (size_t i = 0; i < PROCESSES; i++) {
        free(take_e->processes[i].key);
        free(take_e->processes[i].atoms);
    }
    buf_free(&take_e->key);
    free(take_e->joined);
    free(take_e->fresh);
    free(take_e);
}

uint64_t evaluator_processes_asked(const struct evaluator *e)
{
    return e->processes_asked;
}

struct match *evaluator_match(struct evaluator *e)
{
    return e->match;
}

/* ---- values ---- */

static struct span make_text(struct evaluator *e, const struct fact_value *v, enum fact which)
{
    char *text = e->texts[which];
    bool again = e->is_written[which];
    e->is_written[which] = true;
    switch (fact_table[which].type) {
    case FACT_BOOL:
        return span_str(v->as.integer ? "true" : "false");
    case FACT_INT:
        if (!again || e->written[which].integer != v->as.integer)
            snprintf(text, TEXT_BYTES, "%lld", (long long)v->as.integer);
        e->written[which].integer = v->as.integer;
        return span_str(text);
    case FACT_REAL:
        snprintf(text, TEXT_BYTES, "%.15g", v->as.real);
        return span_str(text);
    case FACT_IP:
        if (!again || !ip_equal(&e->written[which].ip, v->as.ip))
            ip_format(v->as.ip, text);
        e->written[which].ip = *v->as.ip;
        return span_str(text);
    case FACT_STRING:
    case FACT_STRINGS:
    case FACT_JSON:
        break;
    }
    return span_of(v->as.text, v->count);
}

const struct span *evaluator_texts(struct evaluator *e, const struct facts *facts, enum fact which,
                                   size_t *ret_count)
{
    const struct fact_value *v = &facts->values[which];
    *ret_count = 0;
    if (v->state != FACT_KNOWN)
        return NULL;
    if (fact_table[which].type == FACT_STRINGS) {
        *ret_count = v->count;
        return v->as.items;
    }
    if (e->made[which] != e->generation)
        e->one[which] = make_text(e, v, which);
    e->made[which] = e->generation;
    *ret_count = 1;
    return &e->one[which];
}

static enum fact_state state_at(const struct facts *facts, enum fact which, enum fact_phase phase)
{
    enum fact_state state = facts->values[which].state;
    if (phase == FACT_CONNECT && fact_table[which].phase > FACT_CONNECT)
        return FACT_PENDING;
    return phase == FACT_CLOSE && state == FACT_PENDING ? FACT_UNOBSERVABLE : state;
}

static bool grows(enum fact which, enum fact_phase phase)
{
    return fact_table[which].moves == FACT_RISING && phase != FACT_CLOSE;
}

/* The values that are to be scanned: of facts that changed, and not what another source has said already. */
struct fresh {
    const struct span *values;
    size_t count;
};

static bool is_said(const struct span *values, size_t count, struct span text)
{
    for (size_t i = 0; i < count; i++)
        if (values[i].len == text.len && (text.len == 0 || memcmp(values[i].data, text.data, text.len) == 0))
            return true;
    return false;
}

/* Adds a source's values to those that begin at `first`. */
static void join(struct evaluator *e, size_t first, const struct span *texts, size_t count, bool fresh,
                 struct fresh *ret)
{
    must(e->joined_count + count <= e->joined_room);
    for (size_t i = 0; i < count; i++) {
        if (fresh && !is_said(e->joined + first, e->joined_count - first, texts[i]))
            e->fresh[ret->count++] = texts[i];
        e->joined[e->joined_count++] = texts[i];
    }
    ret->values = e->fresh;
}

/* Of several sources one with a value is enough; that there is none, all must show that this path can reach. */
static struct match_value field_value(struct evaluator *e, const struct rulebook_field *f,
                                      const struct facts *facts, enum fact_phase phase, const bool *changed,
                                      struct fresh *ret)
{
    struct match_value v = {.state = FACT_UNOBSERVABLE};
    bool pending = false, absent = false, partial = false;
    size_t first = e->joined_count;
    for (uint32_t i = 0; i < f->count; i++) {
        enum fact which = f->facts[i];
        enum fact_state state = state_at(facts, which, phase);
        size_t count;
        pending = pending || state == FACT_PENDING;
        absent = absent || state == FACT_ABSENT;
        if (state != FACT_KNOWN)
            continue;
        partial = partial || (e->partial && e->partial[which]);
        bool is_fresh = f->running || changed[which];
        const struct span *texts = evaluator_texts(e, facts, which, &count);
        v.state = FACT_KNOWN;
        v.rising = v.rising || grows(which, phase);
        v.count += count;
        if (f->count > 1)
            join(e, first, texts, count, is_fresh, ret);
        else if (is_fresh)
            *ret = (struct fresh){texts, count};
        v.values = f->count > 1 ? e->joined + first : texts;
    }
    v.more = pending || partial;
    if (v.state != FACT_KNOWN)
        v.state = pending ? FACT_PENDING : absent ? FACT_ABSENT : FACT_UNOBSERVABLE;
    return v;
}

static int reserve_joined(struct evaluator *e, const struct facts *facts)
{
    const struct rulebook *b = e->book;
    size_t wanted = 1;
    for (uint32_t i = 0; i < b->set->fields.count; i++)
        for (uint32_t n = 0; b->fields[i].count > 1 && n < b->fields[i].count; n++) {
            enum fact which = b->fields[i].facts[n];
            wanted += fact_table[which].type == FACT_STRINGS ? facts->values[which].count : 1;
        }
    e->joined_count = 0;
    if (wanted <= e->joined_room)
        return 0;
    struct span *joined = realloc(e->joined, 2 * wanted * sizeof *joined);
    e->joined = joined ? joined : e->joined;
    struct span *fresh = joined ? realloc(e->fresh, 2 * wanted * sizeof *fresh) : NULL;
    if (!fresh)
        return -1;
    e->fresh = fresh;
    e->joined_room = 2 * wanted;
    return 0;
}

/* ---- looking again ---- */

static uint8_t look(const struct facts *facts, enum fact which, enum fact_phase phase)
{
    enum fact_state state = state_at(facts, which, phase);
    return (uint8_t)(state | (state == FACT_KNOWN && !grows(which, phase) ? SEEN_FINAL : 0));
}

/* Has it changed since? What grows or runs may always have. */
static bool has_changed(const struct evaluation *x, const struct facts *facts, enum fact which,
                        enum fact_phase phase)
{
    uint8_t now = look(facts, which, phase);
    bool moves = fact_table[which].moves == FACT_RUNNING || grows(which, phase);
    return now != x->seen[which] || !x->begun || ((now & ~SEEN_FINAL) == FACT_KNOWN && moves);
}

static int remember(struct evaluator *e, struct evaluation *x, const struct facts *facts,
                    enum fact_phase phase)
{
    size_t count, kept = 0;
    const uint32_t *atoms = match_atoms(e->match, &count);
    if (count > x->room) {
        uint32_t *more = realloc(x->atoms, 2 * count * sizeof *more);
        if (!more)
            return -1;
        x->atoms = more;
        x->room = 2 * count;
    }
    for (size_t i = 0; i < count; i++)
        if (!e->book->fields[e->book->set->atoms[atoms[i]].field].running)
            x->atoms[kept++] = atoms[i];
    x->count = kept;
    for (uint32_t i = 0; i < e->book->used_count; i++)
        x->seen[e->book->used[i]] = look(facts, e->book->used[i], phase);
    x->begun = true;
    return 0;
}

static void set_field(struct evaluator *e, uint32_t field, const struct facts *facts, enum fact_phase phase,
                      const bool *changed, bool scan)
{
    struct fresh fresh = {0};
    const struct match_value v = field_value(e, &e->book->fields[field], facts, phase, changed, &fresh);
    match_set_again(e->match, field, &v, fresh.values, scan ? fresh.count : 0);
}

static void set_fields(struct evaluator *e, const struct facts *facts, enum fact_phase phase,
                       const bool *changed, bool without_process)
{
    for (uint32_t i = 1; i < e->book->set->fields.count; i++)
        if (!without_process || !e->book->fields[i].process)
            set_field(e, i, facts, phase, changed, true);
}

/* ---- processes ---- */

/* Writes down all that fields of the process can look at; false when it isn't known yet, or too long to keep. */
static bool make_process_key(struct evaluator *e, const struct facts *facts)
{
    buf_clear(&e->key);
    e->key.failed = false;
    for (uint32_t i = 0; i < e->book->used_count; i++) {
        enum fact which = e->book->used[i];
        const struct fact_value *v = &facts->values[which];
        if (!rulebook_is_of_process(which))
            continue;
        const uint32_t head[2] = {(uint32_t)v->state, v->state == FACT_KNOWN ? v->count : 0};
        if (v->state == FACT_PENDING || buf_append(&e->key, head, sizeof head) != 0 ||
            (head[1] > 0 && buf_append(&e->key, v->as.text, head[1]) != 0))
            return false;
    }
    return buf_len(&e->key) > 0;
}

static struct process *place_of_process(struct evaluator *e)
{
    struct span key = buf_span(&e->key);
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ key.data[i]) * 0x100000001b3;
    return &e->processes[(h ^ h >> 32) % PROCESSES];
}

static void keep_process(struct evaluator *e, struct process *p)
{
    size_t count;
    const uint32_t *atoms = match_atoms(e->match, &count);
    struct span key = buf_span(&e->key);
    struct process made = {.key = malloc(key.len + 1),
                           .atoms = malloc((count + 1) * sizeof *atoms),
                           .len = key.len,
                           .count = count};
    if (key.data && made.key && made.atoms && count <= PROCESS_ATOMS_MAX) {
        memcpy(made.key, key.data, key.len);
        memcpy(made.atoms, atoms, count * sizeof *atoms);
    } else {
        free(made.key);
        free(made.atoms);
        made = (struct process){0};
    }
    free(p->key);
    free(p->atoms);
    *p = made;
}

/* The first look at an exchange: the process' fields, found true before or scanned and kept. False: not this time. */
static bool set_process(struct evaluator *e, const struct facts *facts, enum fact_phase phase,
                        const bool *changed)
{
    if (!e->book->uses_process || !make_process_key(e, facts))
        return false;
    struct process *p = place_of_process(e);
    struct span key = buf_span(&e->key);
    bool kept = p->key && key.data && p->len == key.len && memcmp(p->key, key.data, key.len) == 0;
    for (size_t i = 0; kept && i < p->count; i++)
        match_note(e->match, p->atoms[i]);
    for (uint32_t i = 1; i < e->book->set->fields.count; i++)
        if (e->book->fields[i].process)
            set_field(e, i, facts, phase, changed, !kept);
    if (!kept) {
        e->processes_asked++;
        keep_process(e, p);
    }
    return true;
}

int evaluate(struct evaluator *e, struct evaluation *x, const struct facts *facts, struct evaluate_how how,
             const uint32_t **ret_rules, size_t *ret_count)
{
    bool changed[FACT_COUNT], any = !x->begun || how.always;
    *ret_rules = NULL;
    *ret_count = 0;
    for (uint32_t i = 0; i < e->book->used_count; i++) {
        enum fact which = e->book->used[i];
        changed[which] = has_changed(x, facts, which, how.phase);
        any = any || changed[which];
    }
    if (!any)
        return 0;
    e->generation++;
    if (e->generation == 0) {
        memset(e->made, 0, sizeof e->made);
        e->generation = 1;
    }
    if (reserve_joined(e, facts) != 0)
        return -1;
    e->partial = how.partial;
    match_begin(e->match, false);
    for (size_t i = 0; i < x->count; i++)
        match_note(e->match, x->atoms[i]);
    set_fields(e, facts, how.phase, changed, !x->begun && set_process(e, facts, how.phase, changed));
    *ret_rules = match_run(e->match, ret_count);
    return how.only_try ? 0 : remember(e, x, facts, how.phase);
}

/* ---- unknown ---- */

static bool may_change(const struct match_value *v)
{
    return v && (v->state == FACT_PENDING || v->more || v->rising);
}

bool evaluator_may_become_known(const struct evaluator *e, uint32_t rule)
{
    const struct ruleset *s = e->book->set;
    const struct rule *r = &s->rules[rule];
    for (uint32_t i = 0; i < r->code_words; i++) {
        uint32_t word = s->code[r->code + i];
        if (word >> RULE_CODE_SHIFT != EXPR_ATOM)
            continue;
        const struct ruleset_atom *a = &s->atoms[word & ((1u << RULE_CODE_SHIFT) - 1)];
        if (may_change(match_value(e->match, a->field)) ||
            (a->atom->kind == ATOM_FIELDREF && may_change(match_value(e->match, a->other))))
            return true;
    }
    return false;
}

static bool field_waits(const struct rulebook_field *f, const struct facts *facts, enum fact_phase phase)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (fact_table[f->facts[i]].phase == phase && facts->values[f->facts[i]].state == FACT_PENDING)
            return true;
    return false;
}

bool evaluator_waits_for(const struct evaluator *e, const struct facts *facts, uint32_t rule,
                         enum fact_phase phase)
{
    const struct ruleset *s = e->book->set;
    const struct rule *r = &s->rules[rule];
    for (uint32_t i = 0; i < r->code_words; i++) {
        uint32_t word = s->code[r->code + i];
        if (word >> RULE_CODE_SHIFT != EXPR_ATOM)
            continue;
        const struct ruleset_atom *a = &s->atoms[word & ((1u << RULE_CODE_SHIFT) - 1)];
        if (field_waits(&e->book->fields[a->field], facts, phase) ||
            (a->other && field_waits(&e->book->fields[a->other], facts, phase)))
            return true;
    }
    return false;
}
