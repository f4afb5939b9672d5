/* certificates.c: see wire.h: the company's CA and the inspecting firewall's, both configured; what devices and implants made themselves. */
#include "wire.h"

#include "../../unit/chain_make.h"

enum { ISSUED_MOST = 32768, ISSUED_BUCKETS = 1024 };

struct issued {
    struct issued *next; /* of the bucket */
    enum visit_kind kind;
    char name[NAME_BYTES];
    struct span der; /* owned */
};

struct authorities {
    struct trust *trust;                   /* owned */
    struct span root[2];                   /* owned: the company's, the firewall's */
    struct issued *issued[ISSUED_BUCKETS]; /* owned */
};

static const struct cert_plan roots[] = {
    {.subject = "CN=Corp Root,O=Corp",
     .is_ca = true,
     .from = "2020-01-01T00:00:00Z",
     .until = "2040-01-01T00:00:00Z"},
    {.subject = "CN=Corp TLS Inspection,O=Corp",
     .is_ca = true,
     .from = "2020-01-01T00:00:00Z",
     .until = "2040-01-01T00:00:00Z"},
};

/* Keys of which everything is the same each time, signatures too (RFC 8032): what a run finds is then the same everywhere. */
static void make_keys(void)
{
    static const char *const names[] = {"CN=Corp Root,O=Corp", "CN=Corp TLS Inspection,O=Corp",
                                        "made by itself", "a server"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint8_t secret[32] = {(uint8_t)(i + 1)};
        snprintf(made_keys[i].name, sizeof made_keys[i].name, "%s", names[i]);
        made_keys[i].key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
        must(made_keys[i].key);
    }
}

struct authorities *authorities_new(void)
{
    make_keys();
    struct authorities *a = calloc(1, sizeof *a);
    struct err e = {0};
    must(a);
    for (int i = 0; i < 2; i++)
        a->root[i] = make_certificate(&roots[i]);
    struct chain *c = chain_parse_der(a->root, 2, &e);
    must(c);
    a->trust = trust_new_from(NULL, c, &e);
    must(a->trust);
    chain_free(c);
    return a;
}

void authorities_free(struct authorities *take_a)
{
    for (int i = 0; i < ISSUED_BUCKETS; i++)
        for (struct issued *one = take_a->issued[i], *next; one; one = next) {
            next = one->next;
            free((void *)(uintptr_t)one->der.data);
            free(one);
        }
    for (int i = 0; i < 2; i++)
        free((void *)(uintptr_t)take_a->root[i].data);
    trust_free(take_a->trust);
    make_free_keys();
    free(take_a);
}

const struct trust *authorities_trust(const struct authorities *a)
{
    return a->trust;
}

/* Those that made their own bear their own name, but for test servers, which take what the guide says. */
static struct span issue(enum visit_kind kind, const char *name)
{
    char subject[NAME_BYTES + 16], san[NAME_BYTES + 16];
    bool test = strncmp(name, "localhost", 9) == 0;
    snprintf(subject, sizeof subject, "CN=%s", test ? "localhost" : name);
    snprintf(san, sizeof san, "DNS:%s", test ? "localhost" : name);
    const struct cert_plan plan = {.subject = subject,
                                   .issuer = kind == VISIT_SELF_SIGNED ? NULL
                                             : kind == VISIT_COMPANY   ? roots[0].subject
                                                                       : roots[1].subject,
                                   .key = kind == VISIT_SELF_SIGNED ? "made by itself" : "a server",
                                   .san = san};
    return make_certificate(&plan);
}

size_t authorities_chain(struct authorities *a, enum visit_kind kind, const char *name, struct span ret[2])
{
    uint32_t hash = 2166136261u;
    for (const char *at = name; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    struct issued **at = &a->issued[hash % ISSUED_BUCKETS];
    while (*at && ((*at)->kind != kind || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof **at);
        must(*at);
        (*at)->kind = kind;
        snprintf((*at)->name, sizeof(*at)->name, "%s", name);
        (*at)->der = issue(kind, name);
    }
    ret[0] = (*at)->der;
    if (kind == VISIT_SELF_SIGNED)
        return 1;
    ret[1] = a->root[kind == VISIT_INSPECTED];
    return 2;
}
