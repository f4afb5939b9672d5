/* sample.c: see sample.h. Relay copies instead of splicing while a sample is wanted, so that the bytes come by here. */
#include "flow/flow.h"

#include "facts/payload.h"

#include <stdlib.h>

enum {
    SAMPLE_FIRST_BYTES = 64,
    RANDOM_BYTES_MIN = 200
}; /* each way, before a tunnel is said to carry noise */

static struct samples *samples_get(struct flow *f)
{
    if (!f->x->samples)
        f->x->samples = calloc(1, sizeof *f->x->samples);
    return f->x->samples;
}

void samples_free(struct samples *take_samples)
{
    for (int way = 0; take_samples && way < SAMPLE_WAYS; way++)
        free(take_samples->ways[way].bytes);
    free(take_samples);
}

static void want(struct flow *f, enum sample_way way, bool body)
{
    struct samples *s = samples_get(f);
    if (!s)
        return;
    free(s->ways[way].bytes);
    s->ways[way] = (struct sample){.wanted = true};
    s->body[way] = body;
}

/* As much as is needed: an idle tunnel that said little holds little. */
static bool make_room(struct sample *s, size_t len)
{
    size_t room = s->room ? s->room : SAMPLE_FIRST_BYTES;
    while (room < len)
        room *= 2;
    if (room == s->room)
        return true;
    uint8_t *bytes = realloc(s->bytes, room);
    if (!bytes)
        return false;
    s->bytes = bytes;
    s->room = (uint16_t)room;
    return true;
}

/* ---- what is wanted ---- */

void sample_tunnel(struct flow *f, struct span first)
{
    struct facts *facts = &f->x->facts;
    want(f, SAMPLE_OUT, false);
    want(f, SAMPLE_IN, false);
    if (first.len == 0)
        return;
    struct payload p;
    payload_judge(span_of(first.data, first.len < SAMPLE_BYTES ? first.len : SAMPLE_BYTES), &p);
    fact_set_bool(facts, FACT_payload_fully_encrypted, p.fully_encrypted);
    fact_set_text(facts, FACT_payload_exempt_by, payload_exemption_name(p.exempt));
}

void sample_body(struct flow *f, enum sample_way way, const struct http1_head *head)
{
    const struct http1_header *type = http1_header_find(head, "content-type"),
                              *encoding = http1_header_find(head, "content-encoding");
    const struct span none = {NULL, 0};
    if (head->framing != HTTP1_NO_BODY && head->framing != HTTP1_TUNNEL &&
        !payload_is_explained(type ? type->value : none, encoding ? encoding->value : none))
        want(f, way, true);
}

bool sample_is_wanted(const struct flow *f, enum sample_way way)
{
    const struct samples *s = f->x ? f->x->samples : NULL;
    return s && s->ways[way].wanted && s->ways[way].len < SAMPLE_BYTES;
}

bool sample_is_watched(const struct flow *f, enum sample_way way)
{
    return (f->x && f->x->frames) || sample_is_wanted(f, way);
}

void sample_add(struct flow *f, enum sample_way way, struct span bytes)
{
    frames_add(f, way, bytes);
    if (!sample_is_wanted(f, way) || bytes.len == 0)
        return;
    struct sample *s = &f->x->samples->ways[way];
    size_t room = SAMPLE_BYTES - s->len, len = bytes.len < room ? bytes.len : room;
    if (!make_room(s, s->len + len)) {
        s->wanted = false;
        return;
    }
    memcpy(s->bytes + s->len, bytes.data, len);
    s->len = (uint16_t)(s->len + len);
}

/* ---- facts ---- */

static void set_tunnel(struct facts *facts, enum sample_way way, struct span bytes)
{
    static const struct {
        enum fact bytes, entropy, expected, chi_square, random;
    } of[SAMPLE_WAYS] = {
        {FACT_payload_out_bytes, FACT_payload_out_entropy, FACT_payload_out_entropy_expected,
         FACT_payload_out_chi_square, FACT_payload_out_random},
        {FACT_payload_in_bytes, FACT_payload_in_entropy, FACT_payload_in_entropy_expected,
         FACT_payload_in_chi_square, FACT_payload_in_random},
    };
    struct payload p;
    payload_judge(bytes, &p);
    fact_set_int(facts, of[way].bytes, (int64_t)p.len);
    fact_set_real(facts, of[way].entropy, p.entropy);
    fact_set_real(facts, of[way].expected, p.entropy_expected);
    fact_set_real(facts, of[way].chi_square, p.chi_square);
    fact_set_bool(facts, of[way].random, p.len >= RANDOM_BYTES_MIN && payload_is_random(&p));
}

static void set_body(struct facts *facts, enum sample_way way, struct span bytes)
{
    fact_set_bool(facts, way == SAMPLE_OUT ? FACT_request_body_unexplained : FACT_response_body_unexplained,
                  payload_looks_random(bytes));
}

void sample_set_facts(struct flow *f)
{
    struct samples *s = f->x->samples;
    frames_set_facts(f);
    for (int way = 0; s && way < SAMPLE_WAYS; way++) {
        struct sample *one = &s->ways[way];
        if (!one->bytes || one->len == one->judged)
            continue;
        struct span bytes = span_of(one->bytes, one->len);
        if (s->body[way])
            set_body(&f->x->facts, (enum sample_way)way, bytes);
        else
            set_tunnel(&f->x->facts, (enum sample_way)way, bytes);
        one->judged = one->len;
        if (one->len < SAMPLE_BYTES)
            continue;
        free(one->bytes);
        *one = (struct sample){.wanted = false};
    }
}
