/* suppression.c: see suppression.h. Pure. */
#include "rules/suppression.h"

#include "base/must.h"
#include "base/rfc3339.h"
#include "base/yaml.h"

#include <stdlib.h>
#include <strings.h>

enum { BYTES_MAX = 16 * 1024 * 1024, VERSION = 1 };

struct suppressions {
    struct arena arena;
    struct suppression *entries; /* view into the arena */
    size_t count;
};

/* ---- reading ---- */

static int read_text(struct arena *a, const struct yaml_node *mapping, const char *key, const char **ret,
                     struct err *reterr)
{
    const struct yaml_node *n = yaml_find(mapping, key);
    const char *text;
    if (!n)
        return 0;
    if (yaml_get_string(n, &text, reterr) != 0)
        return -1;
    *ret = arena_strdup(a, text);
    return *ret ? 0 : yaml_error(n, reterr, "the file is too large");
}

static int read_expiry(const struct yaml_node *mapping, int64_t *ret, struct err *reterr)
{
    const struct yaml_node *n = yaml_find(mapping, "expires");
    const char *text;
    if (!n)
        return yaml_error(mapping, reterr, "expires is missing: until when, as 2026-12-31T00:00:00Z?");
    if (yaml_get_string(n, &text, reterr) != 0)
        return -1;
    if (rfc3339_parse(span_str(text), ret))
        return 0;
    return yaml_error(n, reterr, "a time as 2026-12-31T00:00:00Z is expected");
}

static int check_entry(const struct yaml_node *n, const struct suppression *s, struct err *reterr)
{
    const struct suppression_subject *a = &s->about;
    if (!a->rule)
        return yaml_error(n, reterr, "rule is missing: findings of which rule?");
    if (!a->host && !a->sender && !a->user && !a->domain)
        return yaml_error(n, reterr,
                          "host, sender, user or domain is expected: about what? A whole rule is turned off "
                          "where it is loaded");
    if (!s->owner || !s->ticket)
        return yaml_error(n, reterr,
                          "owner and ticket are expected: who answers for it, and where is that written?");
    if (a->sha256 && (strlen(a->sha256) != 64 || strspn(a->sha256, "0123456789abcdef") != 64))
        return yaml_error(yaml_find(n, "sha256"), reterr, "64 lower-case hexadecimal digits are expected");
    return 0;
}

static int read_entry(struct arena *a, const struct yaml_node *n, struct suppression *ret, struct err *reterr)
{
    static const char *const keys[] = {"rule",   "host",  "sender", "user",   "domain",
                                       "sha256", "owner", "ticket", "reason", "expires"};
    const struct {
        const char *key;
        const char **to;
    } texts[] = {{"rule", &ret->about.rule}, {"host", &ret->about.host},     {"sender", &ret->about.sender},
                 {"user", &ret->about.user}, {"domain", &ret->about.domain}, {"sha256", &ret->about.sha256},
                 {"owner", &ret->owner},     {"ticket", &ret->ticket},       {"reason", &ret->reason}};
    if (yaml_want(n, YAML_MAPPING, reterr) != 0 || yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (read_text(a, n, texts[i].key, texts[i].to, reterr) != 0)
            return -1;
    return read_expiry(n, &ret->expires_s, reterr) != 0 ? -1 : check_entry(n, ret, reterr);
}

static int read_all(struct suppressions *s, const struct yaml_node *top, struct err *reterr)
{
    const struct yaml_node *list;
    if (yaml_get_list_document(top, "suppressions", VERSION, SUPPRESSIONS_MAX, &list, reterr) != 0)
        return -1;
    if (!list)
        return 0;
    s->entries = arena_alloc(&s->arena, (list->count + 1) * sizeof *s->entries);
    if (!s->entries)
        return yaml_error(list, reterr, "the file is too large");
    for (YAML_EACH(n, list))
        if (read_entry(&s->arena, n, &s->entries[s->count++], reterr) != 0)
            return -1;
    return 0;
}

struct suppressions *suppressions_parse(struct span text, const char *file, struct err *reterr)
{
    struct arena tree;
    struct suppressions *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(reterr, file, 0, 0, "out of memory"), NULL;
    arena_init(&tree, BYTES_MAX);
    arena_init(&s->arena, BYTES_MAX);
    const struct yaml_node *top = yaml_read(&tree, text, file, reterr);
    bool good = top && read_all(s, top, reterr) == 0;
    arena_reset(&tree);
    if (good)
        return s;
    suppressions_free(s);
    return NULL;
}

void suppressions_free(struct suppressions *take_s)
{
    if (!take_s)
        return;
    arena_reset(&take_s->arena);
    free(take_s);
}

/* ---- asking ---- */

static bool fits(const char *wanted, const char *text)
{
    return !wanted || strcmp(wanted, text) == 0;
}

const struct suppression *suppressions_find(const struct suppressions *s,
                                            const struct suppression_subject *about, int64_t now_s)
{
    for (size_t i = 0; s && i < s->count; i++) {
        const struct suppression *e = &s->entries[i];
        const struct suppression_subject *a = &e->about;
        if (now_s < e->expires_s && fits(a->rule, about->rule) && fits(a->host, about->host) &&
            fits(a->sender, about->sender) && fits(a->user, about->user) && fits(a->sha256, about->sha256) &&
            (!a->domain || strcasecmp(a->domain, about->domain) == 0))
            return e;
    }
    return NULL;
}
