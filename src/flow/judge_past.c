/* judge_past.c: what the rules of policies before said of an exchange that outlived them. Its numbers mean nothing under the next policy, so it is
 * written down while they still do, as the close record will have it, and bounded; what was counted or told is remembered by the rule's identity,
 * so that the same rule doesn't count or tell one exchange twice. Part of struct judgement; judge.c asks, record.c writes it down. */
#include "flow/flow.h"

#include <stdlib.h>

enum { PAST_SAID_MAX = 64, MATCH_BYTES_MAX = 4096 };

struct judge_past {
    struct buf text;     /* JSON objects, with commas between them */
    size_t count, shown; /* matches; those of them that stand in `text` */
    struct said {
        uint64_t identity;
        bool tallied;
    } said[PAST_SAID_MAX];
    size_t said_count;
};

void judge_past_free(struct judge_past *take_p)
{
    if (!take_p)
        return;
    buf_free(&take_p->text);
    free(take_p);
}

static struct judge_past *past_get(struct judgement *j)
{
    if (!j->past && (j->past = calloc(1, sizeof *j->past)))
        buf_init(&j->past->text, JUDGE_PAST_BYTES_MAX + MATCH_BYTES_MAX);
    return j->past;
}

static void write_down(struct judge_past *p, const struct flow *f, const struct judge_match *m)
{
    struct buf one;
    struct json j;
    buf_init(&one, MATCH_BYTES_MAX);
    json_init(&j, &one);
    record_write_match(&j, f, m, f->x->judgement.generation);
    p->count++;
    size_t len = buf_len(&one);
    if (!one.failed && buf_len(&p->text) + len < JUDGE_PAST_BYTES_MAX &&
        (p->shown == 0 || buf_append_str(&p->text, ",") == 0) &&
        buf_append(&p->text, buf_span(&one).data, len) == 0)
        p->shown++;
    buf_free(&one);
}

void judge_past_add(struct flow *f)
{
    struct judgement *j = &f->x->judgement;
    struct judge_past *p = j->count > 0 ? past_get(j) : NULL;
    for (size_t i = 0; p && i < j->count; i++) {
        const struct judge_match *m = &j->matches[i];
        if (m->outcome != JUDGE_COUNTED)
            write_down(p, f, m);
        if (!m->unknown && p->said_count < PAST_SAID_MAX)
            p->said[p->said_count++] =
                (struct said){f->snapshot->rules->set->rules[m->rule].identity, m->tallied};
    }
}

bool judge_past_has(const struct flow *f, uint32_t rule, bool tallied)
{
    const struct judge_past *p = f->x->judgement.past;
    uint64_t identity = f->snapshot->rules->set->rules[rule].identity;
    for (size_t i = 0; p && i < p->said_count; i++)
        if (p->said[i].identity == identity && (p->said[i].tallied || !tallied))
            return true;
    return false;
}

struct span judge_past_text(const struct judgement *j, size_t *ret_count, size_t *ret_shown)
{
    *ret_count = j->past ? j->past->count : 0;
    *ret_shown = j->past ? j->past->shown : 0;
    return j->past ? buf_span(&j->past->text) : (struct span){NULL, 0};
}
