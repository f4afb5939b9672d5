/* auth.c: the proxy's users (RFC 7617). crypt(3) takes tens of milliseconds by design, so a password is checked by a job off
 * the loop; what was right is remembered as a salted digest, for a while and under one policy.
 * A step of the hub; touches its flow, net.h's jobs and libcrypt. */
#include "flow/inside.h"

#include "base/base64.h"
#include "base/must.h"
#include "tls/digest.h"

#include <crypt.h>
#include <stdlib.h>

enum { CREDENTIALS_BYTES_MAX = 512, CACHE_ENTRIES = 256, CACHE_MS = 5 * 60 * 1000 };

/* A fixed-size table, overwritten when two credentials meet: it saves work and decides nothing by being full. */
struct auth_cache {
    struct {
        uint8_t digest[DIGEST_SHA256_BYTES];
        uint64_t until_ms, generation;
    } entries[CACHE_ENTRIES];
};

struct auth_job {
    struct net_job job; /* first: net.h hands its address back */
    char password[CREDENTIALS_BYTES_MAX];
    char hash[256];
    uint8_t digest[DIGEST_SHA256_BYTES];
    bool good;
};

/* Checked for names that don't exist, so that the time taken doesn't tell which do. */
static const char no_such_user[] = "$6$exeat.no.such$0";

void auth_cache_free(struct auth_cache *take_cache)
{
    free(take_cache);
}

/* "Basic <base64 of user:password>" into two NUL-terminated texts in `buffer`. */
static bool parse_credentials(struct span field, char buffer[CREDENTIALS_BYTES_MAX], char **ret_user,
                              char **ret_password)
{
    static const char scheme[] = "Basic ";
    size_t skip = sizeof scheme - 1;
    if (field.len <= skip || !span_is_nocase(span_of(field.data, skip), scheme))
        return false;
    while (skip < field.len && field.data[skip] == ' ')
        skip++;
    int len = base64_decode(span_from(field, skip), buffer, CREDENTIALS_BYTES_MAX);
    char *colon = len < 0 || strlen(buffer) != (size_t)len ? NULL : strchr(buffer, ':');
    if (!colon || colon == buffer)
        return false;
    *colon = '\0';
    *ret_user = buffer;
    *ret_password = colon + 1;
    return true;
}

static bool cache_has(struct flow *f, const uint8_t digest[DIGEST_SHA256_BYTES])
{
    if (!f->env->auth_cache)
        f->env->auth_cache = calloc(1, sizeof *f->env->auth_cache);
    struct auth_cache *c = f->env->auth_cache;
    unsigned i = digest[0];
    return c && c->entries[i].until_ms > net_now_ms(f->env->net) &&
           c->entries[i].generation == f->snapshot->generation &&
           memcmp(c->entries[i].digest, digest, DIGEST_SHA256_BYTES) == 0;
}

static void cache_put(struct flow *f, const uint8_t digest[DIGEST_SHA256_BYTES])
{
    struct auth_cache *c = f->env->auth_cache;
    if (!c)
        return;
    memcpy(c->entries[digest[0]].digest, digest, DIGEST_SHA256_BYTES);
    c->entries[digest[0]].until_ms = net_now_ms(f->env->net) + CACHE_MS;
    c->entries[digest[0]].generation = f->snapshot->generation;
}

static void job_work(struct net_job *j)
{
    struct auth_job *job = (struct auth_job *)j;
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *made = data ? crypt_r(job->password, job->hash, data) : NULL;
    size_t len = made ? strlen(made) : 0;
    unsigned differ = made && len == strlen(job->hash) ? 0 : 1;
    for (size_t i = 0; !differ && i < len; i++)
        differ |= (unsigned)(made[i] ^ job->hash[i]);
    job->good = !differ && strcmp(job->hash, no_such_user) != 0;
    if (data)
        explicit_bzero(data, sizeof *data);
    free(data);
}

static void job_done(struct net_job *j)
{
    struct auth_job *job = (struct auth_job *)j;
    struct flow *f = j->owner;
    f->x->auth_job = NULL;
    f->x->auth_done = true;
    f->x->auth_good = job->good;
    counter_add(&f->env->counters, COUNTER_auth_checked, 1);
    if (job->good)
        cache_put(f, job->digest);
    flow_wake(f);
}

static void job_destroy(struct net_job *j)
{
    explicit_bzero(j, sizeof(struct auth_job));
    free(j);
}

void auth_cancel(struct flow *f)
{
    if (f->x && f->x->auth_job)
        net_job_cancel(f->x->auth_job);
    if (f->x)
        f->x->auth_job = NULL;
}

static enum step start_job(struct flow *f, const char *password, const char *hash, const uint8_t *digest)
{
    struct auth_job *job = calloc(1, sizeof *job);
    if (!job)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    job->job = (struct net_job){.work = job_work, .done = job_done, .destroy = job_destroy, .owner = f};
    memcpy(job->password, password, strlen(password) + 1);
    strncpy(job->hash, hash ? hash : no_such_user, sizeof job->hash - 1);
    memcpy(job->digest, digest, sizeof job->digest);
    f->x->auth_job = &job->job;
    if (net_job_start(f->env->net, &job->job))
        return WAIT;
    f->x->auth_job = NULL;
    return flow_fail(f, REASON_AUTH_BUSY, NULL);
}

static enum step check(struct flow *f)
{
    struct exchange *x = f->x;
    char buffer[CREDENTIALS_BYTES_MAX], *user, *password;
    if (!parse_credentials(x->request.proxy_authorization, buffer, &user, &password)) {
        explicit_bzero(buffer, sizeof buffer);
        return flow_fail(f, REASON_AUTH_FAILED, "the Proxy-Authorization field cannot be read");
    }
    x->user = strdup(user);
    uint8_t digest[DIGEST_SHA256_BYTES];
    const struct span parts[] = {span_of(f->env->auth_salt, sizeof f->env->auth_salt), span_str(user),
                                 span_str(password)};
    enum step step = WAIT;
    if (!x->user || digest_sha256(parts, ARRAY_LEN(parts), digest) != 0)
        step = flow_fail(f, REASON_NO_MEMORY, NULL);
    else if (cache_has(f, digest))
        x->auth_done = x->auth_good = true;
    else
        step = start_job(f, password, conf_find_user(flow_conf(f), span_str(user)), digest);
    explicit_bzero(buffer, sizeof buffer);
    return step;
}

/* A CONNECT's head is done with after this step: what follows it belongs to the tunnel. */
static enum step go_on(struct flow *f)
{
    struct exchange *x = f->x;
    if (x->user)
        fact_set_text(&x->facts, FACT_proxy_user, x->user);
    if (x->connect) {
        buf_consume(&f->client.in, x->request.head_bytes);
        x->request = (struct http1_head){0};
        x->head_consumed = true;
    }
    return flow_goto(f, FLOW_ATTRIBUTE);
}

enum step flow_authenticate(struct flow *f)
{
    struct exchange *x = f->x;
    const struct conf *c = flow_conf(f);
    if (f->inside && f->inside->tunnel->user && !(x->user = strdup(f->inside->tunnel->user)))
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (c->user_count == 0 || f->inside) /* the tunnel's user is that of the requests inside */
        return go_on(f);
    if (!x->request.proxy_authorization.data)
        return c->auth.required ? flow_fail(f, REASON_AUTH_REQUIRED, NULL) : go_on(f);
    if (!x->auth_done && !x->auth_job && check(f) == MOVE)
        return MOVE;
    if (!x->auth_done)
        return WAIT;
    if (x->auth_good)
        return go_on(f);
    free(x->user);
    x->user = NULL; /* nobody is recorded by a name that he only claims */
    return flow_fail(f, REASON_AUTH_FAILED, NULL);
}
