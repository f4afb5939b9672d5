/* answers.c: somebody who looks at what was found, each weekday at half past nine: acknowledges what is an attack, and lets it run to learn
 * more; closes what is none; and where the same comes again, suppresses it for this program, host and domain, for thirty days. See office.h. */
#include "answers.h"

#include "base/buf.h"
#include "base/must.h"
#include "base/rfc3339.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 20, LOOKS_AT_S = 9 * HOUR_S + 1800, SUPPRESSED_S = 30 * DAY_S };

struct answer {
    struct answer *next;
    char uid[40], rule[72], host[80], sender[264], domain[264];
    bool attack, answered;
};

struct answers {
    struct answer *all; /* owned, the latest first */
    struct buf text;    /* of suppressions.yaml */
    unsigned suppressions, last_day;
};

struct answers *answers_new(void)
{
    struct answers *a = calloc(1, sizeof *a);
    must(a);
    buf_init(&a->text, TEXT_BYTES_MAX);
    must(buf_append_str(&a->text, SUPPRESSIONS_NONE) == 0);
    return a;
}

void answers_free(struct answers *take_a)
{
    for (struct answer *one = take_a->all, *next; one; one = next) {
        next = one->next;
        free(one);
    }
    buf_free(&take_a->text);
    free(take_a);
}

void answers_note(struct answers *a, json_t *record, bool attack)
{
    const char *uid, *rule, *host, *sender, *domain;
    struct answer *one = calloc(1, sizeof *one);
    must(one);
    must(json_unpack(record, "{s:{s:s, s:{s:s}}, s:{s:s}, s:{s:{s:s, s:s}}}", "finding_info", "uid", &uid,
                     "analytic", "uid", &rule, "device", "hostname", &host, "unmapped", "finding", "sender",
                     &sender, "domain", &domain) == 0);
    snprintf(one->uid, sizeof one->uid, "%s", uid);
    snprintf(one->rule, sizeof one->rule, "%s", rule);
    snprintf(one->host, sizeof one->host, "%s", host);
    snprintf(one->sender, sizeof one->sender, "%s", sender);
    snprintf(one->domain, sizeof one->domain, "%s", domain);
    one->attack = attack;
    one->next = a->all;
    a->all = one;
}

static bool came_before(const struct answer *one)
{
    for (const struct answer *b = one->next; b; b = b->next)
        if (b->answered && strcmp(b->rule, one->rule) == 0 && strcmp(b->host, one->host) == 0 &&
            strcmp(b->sender, one->sender) == 0 && strcmp(b->domain, one->domain) == 0)
            return true;
    return false;
}

static void suppress(struct answers *a, const struct answer *one, int64_t now_s)
{
    char until[RFC3339_TEXT_BYTES];
    must(buf_printf(&a->text,
                    "  - {rule: '%s', host: '%s', sender: '%s', domain: '%s', owner: desk, ticket: D-%u, "
                    "expires: '%s'}\n",
                    one->rule, one->host, one->sender, one->domain, ++a->suppressions,
                    rfc3339_format(now_s + SUPPRESSED_S, until)) == 0);
}

bool answers_give(struct answers *a, struct findings *f, int64_t at_ms, int64_t now_ms)
{
    unsigned day = (unsigned)(at_ms / 1000 / DAY_S), before = a->suppressions;
    if (day % 7 >= 5 || day == a->last_day || at_ms / 1000 % DAY_S < LOOKS_AT_S)
        return false;
    a->last_day = day;
    for (struct answer *one = a->all; one && !one->answered; one = one->next) {
        if (!one->attack && came_before(one))
            suppress(a, one, now_ms / 1000);
        one->answered = true;
        findings_set_status(f, one->uid, one->attack ? FINDING_IN_PROGRESS : FINDING_RESOLVED, "desk",
                            now_ms);
    }
    return a->suppressions > before;
}

struct suppressions *answers_suppressions(const struct answers *a)
{
    struct err e = {0};
    struct suppressions *s = suppressions_parse(buf_span(&a->text), "suppressions.yaml", &e);
    must(s);
    return s;
}

unsigned answers_suppressed(const struct answers *a)
{
    return a->suppressions;
}
