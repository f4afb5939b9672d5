/* baseline_pki.c: the baseline's `pki`: roots and issuers of the house's own, and of products that look into TLS on the way: at which destinations
 * their chains are expected, and until when. A part of the parser (baseline_parse.c), and what is asked of the result. Pure. */
#include "rules/baseline_read.h"

#include "base/must.h"

enum { PKI_MAX = 256 };

static int read_scope(struct baseline_reader *r, const struct yaml_node *n, struct destination_list *ret)
{
    const struct destinations *kinds = r->kinds;
    r->kinds = NULL; /* who vouches for a chain is no approval of what is sent */
    int result = baseline_read_destinations(r, n, true, ret);
    r->kinds = kinds;
    for (size_t i = 0; result == 0 && i < ret->count; i++) {
        const struct destination *d = ret->items[i];
        if (d->name == DESTINATION_UNNAMED || d->has_network || d->asn)
            return yaml_error(n, r->reterr,
                              "line %u: host, domain or any is expected: certificates are about names",
                              d->line);
    }
    return result;
}

static int read_texts(struct baseline_reader *r, const struct yaml_node *n, struct pki_entry *e)
{
    const struct {
        const char *key;
        const char **to;
        bool needed;
    } texts[] = {{"name", &e->name, true},
                 {"owner", &e->owner, true},
                 {"purpose", &e->purpose, true},
                 {"sha256", &e->sha256, true},
                 {"certificate", &e->certificate, false}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const struct yaml_node *value = yaml_find(n, texts[i].key);
        const char *text;
        if (!value && texts[i].needed)
            return yaml_error(n, r->reterr, "%s is missing here", texts[i].key);
        if (!value)
            continue;
        if (baseline_read_text(r, value, &text) != 0)
            return -1;
        const char *wrong = texts[i].to == &e->sha256 ? baseline_check_sha256(text) : NULL;
        if (wrong)
            return yaml_error(value, r->reterr, "%s", wrong);
        *texts[i].to = baseline_keep(r, value, text);
        if (!*texts[i].to)
            return -1;
    }
    return 0;
}

static int read_entry(struct baseline_reader *r, const struct yaml_node *n, struct pki_entry *e)
{
    static const char *const keys[] = {"name",        "owner",        "purpose", "sha256",
                                       "certificate", "destinations", "expires"};
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *where = yaml_find(n, "destinations"), *expires = yaml_find(n, "expires");
    e->line = n->line;
    if (read_texts(r, n, e) != 0)
        return -1;
    if (!where || !expires)
        return yaml_error(n, r->reterr, "%s is missing here", where ? "expires" : "destinations");
    return baseline_read_time(r, expires, &e->expires_s) != 0 ? -1 : read_scope(r, where, &e->where);
}

int baseline_read_pki(struct baseline_reader *r, const struct yaml_node *n)
{
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count > PKI_MAX)
        return yaml_error(n, r->reterr, "more than %d entries", PKI_MAX);
    r->b->pki = baseline_take(r, n, (n->count + 1) * sizeof *r->b->pki);
    if (!r->b->pki)
        return -1;
    for (YAML_EACH(item, n)) {
        struct pki_entry *e = &r->b->pki[r->b->pki_count];
        *e = (struct pki_entry){0};
        if (read_entry(r, item, e) != 0)
            return -1;
        r->b->pki_count++;
    }
    return 0;
}

/* ---- asking ---- */

bool baseline_next_pki(const struct baseline *b, size_t *cursor, struct baseline_pki *ret)
{
    if (*cursor >= b->pki_count)
        return false;
    const struct pki_entry *e = &b->pki[(*cursor)++];
    *ret = (struct baseline_pki){e->name, e->sha256, e->certificate, e->line};
    return true;
}

static bool is_in_scope(const struct pki_entry *e, const struct host *host, uint16_t port)
{
    for (size_t i = 0; i < e->where.count; i++)
        if (destination_holds_name(e->where.items[i], host, port))
            return true;
    return false;
}

const char *baseline_find_pki(const struct baseline *b, const char *sha256, const struct host *host,
                              uint16_t port, int64_t now_s)
{
    for (size_t i = 0; i < b->pki_count; i++) {
        const struct pki_entry *e = &b->pki[i];
        if (now_s < e->expires_s && strcmp(e->sha256, sha256) == 0 && is_in_scope(e, host, port))
            return e->name;
    }
    return NULL;
}
