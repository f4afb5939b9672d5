/* pins.c: see pins.h. */
#include "flow/pins.h"

#include "rules/baseline.h"
#include "tls/digest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SETS = 128, WAYS = 4 };

struct pin {
    uint8_t key[DIGEST_SHA256_BYTES];
    uint64_t last_ms; /* 0: free */
    unsigned alerts, closes;
    char executable[256], host[256], why[32];
};

struct pins {
    pthread_mutex_t lock;
    struct pin kept[SETS][WAYS];
};

struct pins *pins_new(void)
{
    struct pins *p = calloc(1, sizeof *p);
    if (p)
        pthread_mutex_init(&p->lock, NULL);
    return p;
}

void pins_free(struct pins *take_p)
{
    if (!take_p)
        return;
    pthread_mutex_destroy(&take_p->lock);
    free(take_p);
}

static bool transfers_anything(const char *name)
{
    static const char *const tools[] = {"curl",  "wget",  "wget2",  "aria2c", "openssl",   "nc",  "ncat",
                                        "socat", "rsync", "rclone", "scp",    "sftp",      "ssh", "ftp",
                                        "lftp",  "http",  "https",  "xh",     "gnutls-cli"};
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
        if (strcmp(name, tools[i]) == 0)
            return true;
    return false;
}

bool pins_may_learn(const struct sender *s)
{
    const char *slash = s && s->executable ? strrchr(s->executable, '/') : NULL;
    return slash && !s->who.browser && !baseline_is_interpreter(s->executable) &&
           !transfers_anything(slash + 1);
}

/* By the file's hash where it is known: a path can be given another file. */
static int make_key(const struct sender *s, const char *host, uint8_t ret[DIGEST_SHA256_BYTES])
{
    bool hashed = s->hash_state == SENDER_HASH_DONE && s->sha256;
    const struct span parts[] = {span_str(s->executable), span_str(hashed ? s->sha256 : ""), span_str(host)};
    return digest_sha256(parts, sizeof parts / sizeof parts[0], ret);
}

static bool is_alive(const struct pin *pin, uint64_t now_ms)
{
    return pin->last_ms > 0 && now_ms - pin->last_ms < PINS_LIFE_MS;
}

static bool is_learned(const struct pin *pin, uint64_t now_ms)
{
    return is_alive(pin, now_ms) && (pin->alerts >= PINS_ALERTS || pin->closes >= PINS_CLOSES);
}

static struct pin *find(struct pins *p, const uint8_t key[DIGEST_SHA256_BYTES], uint64_t now_ms)
{
    struct pin *set = p->kept[key[0] % SETS];
    for (size_t w = 0; w < WAYS; w++)
        if (is_alive(&set[w], now_ms) && memcmp(set[w].key, key, DIGEST_SHA256_BYTES) == 0)
            return &set[w];
    return NULL;
}

/* In place of the oldest. */
static struct pin *add(struct pins *p, const uint8_t key[DIGEST_SHA256_BYTES], const struct sender *s,
                       const char *host)
{
    struct pin *set = p->kept[key[0] % SETS], *place = &set[0];
    for (size_t w = 1; w < WAYS; w++)
        if (set[w].last_ms < place->last_ms)
            place = &set[w];
    *place = (struct pin){0};
    memcpy(place->key, key, sizeof place->key);
    snprintf(place->executable, sizeof place->executable, "%s", s->executable);
    snprintf(place->host, sizeof place->host, "%s", host);
    return place;
}

void pins_note(struct pins *p, const struct sender *s, const char *host, const char *why, bool alert,
               uint64_t now_ms)
{
    uint8_t key[DIGEST_SHA256_BYTES];
    if (!p || !pins_may_learn(s) || make_key(s, host, key) != 0)
        return;
    pthread_mutex_lock(&p->lock);
    struct pin *pin = find(p, key, now_ms);
    if (!pin)
        pin = add(p, key, s, host);
    pin->last_ms = now_ms ? now_ms : 1;
    pin->alerts += alert;
    pin->closes += !alert;
    snprintf(pin->why, sizeof pin->why, "%s", why);
    pthread_mutex_unlock(&p->lock);
}

bool pins_has(struct pins *p, const struct sender *s, const char *host, uint64_t now_ms)
{
    uint8_t key[DIGEST_SHA256_BYTES];
    if (!p || !pins_may_learn(s) || make_key(s, host, key) != 0)
        return false;
    pthread_mutex_lock(&p->lock);
    const struct pin *pin = find(p, key, now_ms);
    bool learned = pin && is_learned(pin, now_ms);
    pthread_mutex_unlock(&p->lock);
    return learned;
}

void pins_describe(struct pins *p, struct json *out, uint64_t now_ms)
{
    pthread_mutex_lock(&p->lock);
    for (size_t s = 0; s < SETS; s++)
        for (size_t w = 0; w < WAYS; w++) {
            const struct pin *pin = &p->kept[s][w];
            if (!is_learned(pin, now_ms))
                continue;
            json_object(out, NULL);
            json_str(out, "executable", pin->executable);
            json_str(out, "host", pin->host);
            json_str(out, "why", pin->why);
            json_int(out, "times", (int64_t)pin->alerts + pin->closes);
            json_int(out, "expires_s", (int64_t)((PINS_LIFE_MS - (now_ms - pin->last_ms)) / 1000));
            json_end_object(out);
        }
    pthread_mutex_unlock(&p->lock);
}
