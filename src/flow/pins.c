/* pins.c: see pins.h. */
#include "flow/pins.h"

#include "base/hex.h"
#include "facts/stable_sender.h"
#include "flow/kept.h"
#include "tls/digest.h"

#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES = 512, KEY_DIGITS = 2 * DIGEST_SHA256_BYTES, KEY_BYTES = 256 + KEY_DIGITS };

struct entry {
    struct kept_entry kept;
    struct pin pin;
};

struct pins {
    struct kept *kept; /* owned */
};

static struct entry *entry_of(struct kept_entry *e)
{
    return (struct entry *)(void *)e;
}

/* ---- to and from the disk ---- */

static void write_state(const struct kept_entry *kept, struct buf *state)
{
    pin_write(state, &((const struct entry *)(const void *)kept)->pin);
}

static enum parse read_state(struct span state, struct kept_entry *kept)
{
    return pin_read(state, &entry_of(kept)->pin);
}

static void clear(struct kept_entry *kept)
{
    entry_of(kept)->pin = (struct pin){0};
}

static const struct kept_type type = {sizeof(struct entry), PIN_STATE_MAX_BYTES, write_state, read_state,
                                      clear};

struct pins *pins_new(struct store *store)
{
    static const unsigned kinds[] = {PIN_STORE_KIND};
    struct pins *p = calloc(1, sizeof *p);
    if (p && !(p->kept = kept_new(&type, kinds, 1, store, ENTRIES))) {
        free(p);
        return NULL;
    }
    return p;
}

void pins_free(struct pins *take_p)
{
    if (!take_p)
        return;
    kept_free(take_p->kept);
    free(take_p);
}

/* ---- who, and where ---- */

/* Names that are tools' only here: apt's way of fetching has one of them, too. */
static bool fetches_anything(const char *executable)
{
    const char *base = strrchr(executable, '/') + 1;
    return strcmp(base, "http") == 0 || strcmp(base, "https") == 0 || strcmp(base, "xh") == 0;
}

bool pins_may_learn(const struct sender *s)
{
    return s && s->executable && s->executable[0] == '/' && !s->who.browser && s->who.borrowed == 0 &&
           s->script_kind == SENDER_SCRIPT_NONE && !baseline_is_interpreter(s->executable) &&
           !baseline_is_transfer_tool(s->executable, s->package_name) && !fetches_anything(s->executable);
}

/* The host in front is for people. */
static struct span make_key(const struct sender *s, const char *host, char ret[KEY_BYTES])
{
    const struct span parts[] = {span_str(s->executable), span_str("\n"), span_str(host)};
    uint8_t digest[DIGEST_SHA256_BYTES];
    if (digest_sha256(parts, sizeof parts / sizeof parts[0], digest) != 0)
        return span_of(NULL, 0);
    int len = snprintf(ret, KEY_BYTES - KEY_DIGITS, "%.250s\n", host);
    char *end = hex_write(span_of(digest, sizeof digest), ret + len);
    return span_of(ret, (size_t)(end - ret));
}

static bool is_alive(const struct kept_entry *e, int64_t now_s)
{
    return now_s - (int64_t)e->head.last_s < PIN_LIFE_S;
}

static const char *hash_of(const struct sender *s)
{
    return s->hash_state == SENDER_HASH_DONE && s->sha256 ? s->sha256 : "";
}

/* Is it the file that the pin was learned of? A path can be given another one; where users can do that, only the hash says so. */
static bool is_same_file(const struct pin *pin, const struct sender *s)
{
    const char *hash = hash_of(s);
    return pin->sha256[0] && hash[0] ? strcmp(pin->sha256, hash) == 0 : s->writable_by_user == 0;
}

static void describe(struct pin *pin, const struct sender *s, const char *host)
{
    stable_sender_name(s, pin->sender);
    snprintf(pin->executable, sizeof pin->executable, "%s", s->executable);
    snprintf(pin->package, sizeof pin->package, "%s",
             s->package_name && s->package_verified != 0 ? s->package_name : "");
    snprintf(pin->host, sizeof pin->host, "%s", host);
    pin->writable = s->writable_by_user != 0;
}

/* ---- noting and asking ---- */

static void add(struct pin *pin, const struct sender *s, uint16_t port, const char *why, bool alert)
{
    pin->alerts += alert;
    pin->closes += !alert;
    pin->port = port;
    snprintf(pin->why, sizeof pin->why, "%s", why);
    if (hash_of(s)[0])
        snprintf(pin->sha256, sizeof pin->sha256, "%s", hash_of(s));
}

void pins_note(struct pins *p, const struct sender *s, const char *host, uint16_t port, const char *why,
               bool alert, int64_t now_s)
{
    char text[KEY_BYTES];
    bool known = p && pins_may_learn(s) && (s->writable_by_user == 0 || hash_of(s)[0]);
    struct span key = known ? make_key(s, host, text) : span_of(NULL, 0);
    if (!key.len)
        return;
    struct kept_entry *found = kept_find(p->kept, PIN_STORE_KIND, key);
    bool again = found && is_alive(found, now_s) && is_same_file(&entry_of(found)->pin, s);
    if (found)
        kept_release(p->kept, found, false);
    struct entry *e = entry_of(kept_make(p->kept, PIN_STORE_KIND, key, now_s));
    if (!again) { /* what was noted long ago, or of another file, counts no more */
        e->kept.count = 0;
        e->kept.first_s = e->kept.head.last_s;
        e->pin = (struct pin){0};
        describe(&e->pin, s, host);
    }
    e->kept.count++;
    add(&e->pin, s, port, why, alert);
    kept_release(p->kept, &e->kept, true);
}

bool pins_has(struct pins *p, const struct sender *s, const char *host, int64_t now_s)
{
    char text[KEY_BYTES];
    struct span key = p && pins_may_learn(s) ? make_key(s, host, text) : span_of(NULL, 0);
    struct kept_entry *e = key.len ? kept_find(p->kept, PIN_STORE_KIND, key) : NULL;
    bool learned =
        e && is_alive(e, now_s) && is_same_file(&entry_of(e)->pin, s) && pin_is_learned(&entry_of(e)->pin);
    if (e)
        kept_release(p->kept, e, false);
    return learned;
}

struct listing {
    struct json *out;
    int64_t now_s;
};

static void list(void *owner, const struct kept_entry *e)
{
    const struct listing *l = owner;
    const struct pin *pin = &((const struct entry *)(const void *)e)->pin;
    if (!is_alive(e, l->now_s) || !pin_is_learned(pin))
        return;
    json_object(l->out, NULL);
    json_str(l->out, "executable", pin->executable);
    json_str(l->out, "host", pin->host);
    json_str(l->out, "why", pin->why);
    json_int(l->out, "times", (int64_t)pin->alerts + pin->closes);
    json_int(l->out, "expires_s", (int64_t)e->head.last_s + PIN_LIFE_S - l->now_s);
    json_end_object(l->out);
}

void pins_describe(struct pins *p, struct json *out, int64_t now_s)
{
    struct listing l = {out, now_s};
    kept_each(p->kept, list, &l);
}
