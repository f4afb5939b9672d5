/* role.c: see role.h. Memory of the flow's own; it lives as long as the flow, because facts are views into it. */
#include "flow/role.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NAMES_MAX = 64,       /* of a certificate's; with more the rest doesn't count */
    NAME_MAX_BYTES = 512, /* longer ones don't count */
    ARENA_BYTES = 64 * 1024,
};

struct role {
    struct chain *chain; /* owned */
    struct arena arena;
    struct span names[NAMES_MAX]; /* views into the arena */
    size_t count;
    bool refused;
};

/* What could be cut, or look like something else, is nobody's name. */
static bool is_plain(struct span text, bool ascii)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= (ascii ? 0x20 : 0x1f) || text.data[i] == 0x7f || (ascii && text.data[i] > 0x7f))
            return false;
    return text.len > 0 && text.len <= NAME_MAX_BYTES;
}

static int add(struct role *r, const char *kind, struct span text, bool lower)
{
    char name[NAME_MAX_BYTES + 16];
    if (r->count == NAMES_MAX)
        return 0;
    int len = snprintf(name, sizeof name, "%s:%.*s", kind, (int)text.len, (const char *)text.data);
    for (char *c = name; lower && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    struct span copy = arena_copy(&r->arena, span_of(name, (size_t)len));
    if (!copy.data)
        return -1;
    r->names[r->count++] = copy;
    return 0;
}

/* A common name that OpenSSL had to cut at a NUL is none (the subject shows it as \00). */
static bool has_common_name(const struct chain_certificate *c)
{
    return c->common_name && is_plain(span_str(c->common_name), false) && !strstr(c->subject, "\\00");
}

static int name_all(struct role *r, const struct chain_certificate *c)
{
    static const char *const kinds[] = {[CHAIN_NAME_DNS] = "dns",
                                        [CHAIN_NAME_IP] = "ip",
                                        [CHAIN_NAME_EMAIL] = "email",
                                        [CHAIN_NAME_URI] = "uri"};
    int result = add(r, "sha256", span_str(c->sha256), false);
    if (result == 0 && has_common_name(c))
        result = add(r, "cn", span_str(c->common_name), false);
    for (size_t i = 0; result == 0 && i < c->name_listed; i++) {
        const struct chain_name *n = &c->names[i];
        if (n->kind <= CHAIN_NAME_URI && is_plain(n->text, true))
            result = add(r, kinds[n->kind], n->text, n->kind == CHAIN_NAME_DNS);
    }
    return result;
}

int role_take(struct flow *f)
{
    struct chain *chain = tls_session_client(f->client.tls);
    if (!chain)
        return 0;
    struct role *r = chain_count(chain) > 0 ? calloc(1, sizeof *r) : NULL;
    if (!r) {
        chain_free(chain);
        return -1;
    }
    const struct chain_certificate *c = chain_certificate_at(chain, 0);
    r->chain = chain;
    r->refused = tls_session_certificate_failed(f->client.tls) || c->malformed;
    arena_init(&r->arena, ARENA_BYTES);
    f->role = r;
    return r->refused ? 0 : name_all(r, c);
}

void role_set_facts(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    const struct role *r = f->role;
    if (!r)
        return;
    const struct chain_certificate *c = chain_certificate_at(r->chain, 0);
    size_t count;
    const struct span *names = role_names(f, &count);
    if (count > 0)
        fact_set_items(facts, FACT_client_roles, names, count);
    fact_set_text(facts, FACT_client_subject, c->subject);
    fact_set_text(facts, FACT_client_issuer, c->issuer);
    fact_set_text(facts, FACT_client_sha256, c->sha256);
}

const struct span *role_names(const struct flow *f, size_t *ret_count)
{
    const struct role *r = f->role;
    *ret_count = 0;
    if (!r || r->refused)
        return NULL;
    const struct chain_certificate *c = chain_certificate_at(r->chain, 0);
    bool ended = !c->times_good || c->not_after_s < (int64_t)(net_wall_ms(f->env->net) / 1000);
    const struct tls_session *shown = f->client.carrier ? f->client.carrier : f->client.tls;
    if (ended || !shown || !tls_session_client_fits(shown, f->snapshot->proxy_tls))
        return NULL;
    *ret_count = r->count;
    return r->names;
}

bool role_is_missing(const struct flow *f)
{
    size_t count;
    return f->listener && f->listener->tls && flow_conf(f)->listen.tls_client_required &&
           !role_names(f, &count);
}

void role_free(struct flow *f)
{
    if (!f->role)
        return;
    chain_free(f->role->chain);
    arena_reset(&f->role->arena);
    free(f->role);
    f->role = NULL;
}
