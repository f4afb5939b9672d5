/* world.h: what a run of the flow code needs beside the fake network: certificates, snapshots, a worker's environment; and
 * what must hold at the end of every run, whatever happened in it. For sim.c and flow_fuzz.c. */
#ifndef EXEAT_TESTS_SIM_WORLD_H
#define EXEAT_TESTS_SIM_WORLD_H

#include "fake_ledger.h"
#include "fake_net.h"
#include "flow/env.h"
#include "tls/signer.h"

/* ---- made once a process ---- */

enum fixture_certificate {
    CERTIFICATE_GOOD,
    CERTIFICATE_SELF_SIGNED,
    CERTIFICATE_WRONG_NAME,
    CERTIFICATE_OLD,    /* as GOOD, and no TLS above 1.2 */
    CERTIFICATE_ASKING, /* as GOOD, and the server asks for the client's */
    CERTIFICATE_COUNT
};

/* A temporary folder with a CA, certificates (for example.com, example.net, proxy.example), users and passwords; removed at exit. */
struct fixture {
    char folder[64];
    struct tls_context *servers[CERTIFICATE_COUNT]; /* owned */
    struct tls_context *client;                     /* owned: trusts the CA */
    struct tls_context
        *inspected; /* owned: trusts the inspection CA alone, as the client of a terminated tunnel does */
    struct ca *ca;  /* owned: the inspection CA, with its key */
    struct tls_prober *prober;   /* owned */
    struct trust *trust;         /* owned: what the proxy trusts */
    struct tls_context *inspect; /* owned: the proxy's, to servers of terminated tunnels */
};
const struct fixture *fixture_get(void);

/* `conf` as in exeat.yaml; `password_file: users` (alice:secret) and `parent.password` (parent-secret) are there. Exits with
 * the place of the mistake when something is wrong. */
struct snapshot *world_snapshot(const char *name, const char *conf, const char *baseline,
                                uint64_t generation);

/* ---- one run ---- */

/* The signing process, in this one. `answer` says what it does from now on. */
enum signer_mood { SIGNER_SIGNS, SIGNER_REFUSES, SIGNER_IS_GONE };
struct fake_signer {
    struct signer signer; /* first */
    enum signer_mood mood;
};

struct sim {
    struct net *net;             /* owned */
    struct ledger *ledger;       /* owned */
    struct limits *limits;       /* owned */
    struct sightings *sightings; /* owned */
    struct fake_signer signer;
    struct pins *pins;     /* owned */
    struct pairs *pairs;   /* owned */
    struct habits *habits; /* owned */
    struct flow_env env;
    struct flow_listener plain, tls;           /* listeners */
    struct snapshot *revoke_cut, *revoke_keep; /* borrowed: what the injections publish; NULL */
    unsigned long expectations;
};

/* `snapshot`: a reference is taken. `world`: its to_server and inject are set here. */
int64_t sim_wall_start_s(void); /* of the virtual clock, since 1970 */
void sim_open(struct sim *s, struct snapshot *snapshot, struct world *world);
/* A client connects: the flow begins. NULL: too many. */
struct peer *sim_connect(struct sim *s, const struct endpoint *client, const struct endpoint *proxy,
                         bool tls_listener, bool speaks_tls);
void sim_reload(struct sim *s, struct snapshot *snapshot); /* takes a reference of its own */
/* Lets all flows end, checks what must hold, frees. Aborts (sim_abort) on a violation. */
void sim_close(struct sim *s);

#endif
