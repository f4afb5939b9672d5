/* baseline_term.c: for how long something in the baseline holds: exceptions, each with an owner, a ticket, a reason and an end. A part of the
 * parser (baseline_parse.c), and what is asked of the result. Pure: whoever asks says what time it is. */
#include "rules/baseline_read.h"

#include "base/must.h"
#include "base/rfc3339.h"

#include <stdio.h>

enum { DAY_S = 86400 };

/* ---- reading ---- */

int baseline_read_time(struct baseline_reader *r, const struct yaml_node *n, int64_t *ret_s)
{
    const char *text;
    char whole[32];
    if (baseline_read_text(r, n, &text) != 0)
        return -1;
    snprintf(whole, sizeof whole, strlen(text) == 10 ? "%.10sT00:00:00Z" : "%.31s", text);
    if (rfc3339_parse(span_str(whole), ret_s))
        return 0;
    return yaml_error(n, r->reterr,
                      "a day as 2026-12-31, or a time as 2026-12-31T12:00:00Z, is expected here");
}

static int read_kept(struct baseline_reader *r, const struct yaml_node *n, const char **ret)
{
    const char *text;
    if (baseline_read_text(r, n, &text) != 0)
        return -1;
    *ret = baseline_keep(r, n, text);
    return *ret ? 0 : -1;
}

static int check_length(struct baseline_reader *r, const struct yaml_node *expires, const struct term *t)
{
    char until[RFC3339_TEXT_BYTES];
    if (t->expires_s <= t->granted_s)
        return yaml_error(expires, r->reterr, "it ends before it begins");
    if (t->expires_s - t->granted_s > (int64_t)BASELINE_EXCEPTION_DAYS_MAX * DAY_S)
        return yaml_error(expires, r->reterr, "an exception lasts %d days at most: until %s",
                          BASELINE_EXCEPTION_DAYS_MAX,
                          rfc3339_format(t->granted_s + (int64_t)BASELINE_EXCEPTION_DAYS_MAX * DAY_S, until));
    return 0;
}

int baseline_read_term(struct baseline_reader *r, const struct yaml_node *n, const struct yaml_node *owner,
                       struct term *ret)
{
    static const char *const keys[] = {"ticket", "reason", "granted", "expires"};
    const struct yaml_node *values[ARRAY_LEN(keys)];
    struct term t = {0};
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!(values[i] = yaml_find(n, keys[i])))
            return yaml_error(n, r->reterr,
                              "%s is missing: an exception has ticket, reason, granted, expires", keys[i]);
    if (!owner)
        return yaml_error(n, r->reterr, "an exception needs an owner beside it: who answers for it?");
    if (read_kept(r, owner, &t.owner) != 0 || read_kept(r, values[0], &t.ticket) != 0 ||
        read_kept(r, values[1], &t.reason) != 0 || baseline_read_time(r, values[2], &t.granted_s) != 0 ||
        baseline_read_time(r, values[3], &t.expires_s) != 0 || check_length(r, values[3], &t) != 0)
        return -1;
    *ret = t;
    return 0;
}

/* ---- asking ---- */

static struct baseline_exception of_entry(const struct entry *e)
{
    return (struct baseline_exception){.name = e->name,
                                       .owner = e->term.owner,
                                       .ticket = e->term.ticket,
                                       .reason = e->term.reason,
                                       .granted_s = e->term.granted_s,
                                       .expires_s = e->term.expires_s,
                                       .line = e->line};
}

static struct baseline_exception of_pki(const struct pki_entry *e)
{
    return (struct baseline_exception){
        .name = e->name, .owner = e->owner, .reason = e->purpose, .expires_s = e->expires_s, .line = e->line};
}

bool baseline_next_exception(const struct baseline *b, size_t *cursor, struct baseline_exception *ret)
{
    while (*cursor < b->entry_count + b->pki_count) {
        size_t at = (*cursor)++;
        if (at >= b->entry_count)
            *ret = of_pki(&b->pki[at - b->entry_count]);
        else if (b->entries[at].term.ticket)
            *ret = of_entry(&b->entries[at]);
        else
            continue;
        return true;
    }
    return false;
}

int64_t baseline_next_change(const struct baseline *b, int64_t now_s)
{
    struct baseline_exception e;
    int64_t next = INT64_MAX;
    for (size_t cursor = 0; baseline_next_exception(b, &cursor, &e);) {
        int64_t at = e.granted_s > now_s ? e.granted_s : e.expires_s;
        if (at > now_s && at < next)
            next = at;
    }
    return next;
}
