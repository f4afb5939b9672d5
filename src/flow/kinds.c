/* kinds.c: see kinds.h. */
#include "flow/kinds.h"

#include "flow/flow.h"

/* NULL: nobody whom it is certain about. */
static const struct sender_kind *kind_of(const struct flow *f)
{
    const struct net_attribution *a = &f->attribution;
    const struct sender_view v = baseline_view_sender(a->sender, a->confidence);
    return a->sender ? sender_kinds_find(f->snapshot->sender_kinds, &v) : NULL;
}

static bool is_above_0(const struct facts *facts, enum fact which)
{
    const struct fact_value *v = &facts->values[which];
    return v->state == FACT_KNOWN && v->as.integer > 0;
}

/* Everything that the lineage did and that this kind of program needs an excuse for. *ret_any: there was something. */
static bool expects_all(const struct facts *facts, const struct sender_kind *kind, bool *ret_any)
{
    const struct fact_value *classes = &facts->values[FACT_history_sensitive_classes];
    uint32_t count = classes->state == FACT_KNOWN ? classes->count : 0;
    bool archive =
        is_above_0(facts, FACT_history_archive_written) || is_above_0(facts, FACT_history_exec_archiver);
    bool all = kind && (!archive || sender_kind_expects(kind, span_str("archive")));
    for (uint32_t i = 0; i < count && all; i++)
        all = sender_kind_expects(kind, classes->as.items[i]);
    *ret_any = archive || is_above_0(facts, FACT_history_sensitive_access);
    return all;
}

static void set_expected(struct flow *f, const struct sender_kind *kind)
{
    struct facts *facts = &f->x->facts;
    bool any, all = expects_all(facts, kind, &any);
    struct fact_value *v = &facts->values[FACT_access_expected];
    if (any)
        fact_set_bool(facts, FACT_access_expected, all);
    else
        v->state = facts->values[FACT_history].state == FACT_KNOWN ? FACT_ABSENT : FACT_UNOBSERVABLE;
}

void kinds_set_sender(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    const struct sender_kind *kind = kind_of(f);
    facts->values[FACT_sender_kind].state = f->attribution.sender ? FACT_ABSENT : FACT_UNOBSERVABLE;
    if (kind)
        fact_set_text(facts, FACT_sender_kind, sender_kind_name(kind));
    set_expected(f, kind);
}

void kinds_set_destination(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    const struct sender_kind *kind = kind_of(f);
    if (!f->attribution.sender) {
        facts->values[FACT_sender_at_home].state = facts->values[FACT_sender_not_tls_here].state =
            FACT_UNOBSERVABLE;
        return;
    }
    fact_set_bool(facts, FACT_sender_at_home, kind && sender_kind_is_home(kind, &f->x->host));
    fact_set_bool(facts, FACT_sender_not_tls_here, kind && sender_kind_has_plain_port(kind, f->x->port));
}
