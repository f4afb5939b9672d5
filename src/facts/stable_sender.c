/* stable_sender.c: see stable_sender.h. Pure. */
#include "facts/stable_sender.h"

#include "base/siphash.h"

#include <stdio.h>

enum { PARTS_BYTES = 3 * AGENT_PATH_BYTES, DIGEST_DIGITS = 16 };

static void write_program(const struct sender *s, char *out, size_t size)
{
    const char *path = s->executable ? s->executable : "?";
    /* whether its file still is the package's is told late: until then it counts that users can't have changed it */
    if (s->who.signer && s->who.signature_valid)
        snprintf(out, size, "signature %s %s", s->who.signer, path);
    else if (s->package_name &&
             (s->package_verified == 1 || (s->package_verified < 0 && s->writable_by_user == 0)))
        snprintf(out, size, "package %s %s", s->package_name, path);
    else if (s->writable_by_user == 0)
        snprintf(out, size, "path %s", path);
    else if (s->sha256 && s->hash_state == SENDER_HASH_DONE)
        snprintf(out, size, "sha256 %s", s->sha256);
    else
        snprintf(out, size, "unsure %s", path);
}

static void write_script(const struct sender *s, char *out, size_t size)
{
    out[0] = '\0';
    if (s->script_kind == SENDER_SCRIPT_FILE && s->script && s->script_writable_by_user == 0)
        snprintf(out, size, " script %s", s->script);
    else if (s->script_kind == SENDER_SCRIPT_FILE && s->script_sha256)
        snprintf(out, size, " script sha256 %s", s->script_sha256);
    else if (s->script_kind != SENDER_SCRIPT_NONE)
        snprintf(out, size, " script %s", sender_script_kind_name(s->script_kind));
}

char *stable_sender_name(const struct sender *s, char out[STABLE_SENDER_BYTES])
{
    static const uint8_t key[SIPHASH_KEY_BYTES]; /* nobody's secret: it only makes long names different */
    char program[PARTS_BYTES], script[PARTS_BYTES];
    uint8_t digest[SIPHASH_BYTES];
    if (!s) {
        memcpy(out, "unknown", sizeof "unknown");
        return out;
    }
    write_program(s, program, sizeof program);
    write_script(s, script, sizeof script);
    int len = snprintf(out, STABLE_SENDER_BYTES, "%s%s", program, script);
    if (len < STABLE_SENDER_BYTES)
        return out;
    size_t whole = strlen(program);
    memmove(program + whole, script, strnlen(script, sizeof program - whole - 1) + 1);
    program[sizeof program - 1] = '\0';
    siphash(key, span_str(program), digest);
    char *at = out + STABLE_SENDER_BYTES - 1 - DIGEST_DIGITS;
    for (unsigned i = 0; i < DIGEST_DIGITS / 2; i++)
        snprintf(at + 2 * (size_t)i, 3, "%02x", digest[i]);
    at[-1] = '~';
    return out;
}
