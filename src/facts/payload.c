/* payload.c: see payload.h. Pure. */
#include "facts/payload.h"

#include "base/must.h"
#include "wire/opening.h"

#include <math.h>

enum {
    BYTE_VALUES = 256,
    PREFIX_BYTES = 6,
    RUN_BYTES = 20,
    UNEXPLAINED_BYTES_MIN = 256, /* shorter samples of anything compressed look random too */
};

static const char *const exemption_names[PAYLOAD_EXEMPT_COUNT] = {NULL,   "popcount", "prefix",
                                                                  "half", "run",      "protocol"};

const char *payload_exemption_name(enum payload_exemption e)
{
    must((unsigned)e < PAYLOAD_EXEMPT_COUNT);
    return exemption_names[e];
}

static bool is_printable(uint8_t c)
{
    return c >= 0x20 && c <= 0x7e;
}

/* What one pass over the bytes counts. */
struct tally {
    size_t frequency[BYTE_VALUES];
    size_t bits, printable, longest_run;
};

static void count(struct span bytes, struct tally *t)
{
    size_t run = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        t->frequency[c]++;
        t->bits += (size_t)__builtin_popcount(c);
        run = is_printable(c) ? run + 1 : 0;
        t->printable += is_printable(c);
        if (run > t->longest_run)
            t->longest_run = run;
    }
}

static bool has_printable_prefix(struct span b)
{
    for (size_t i = 0; i < PREFIX_BYTES; i++)
        if (i >= b.len || !is_printable(b.data[i]))
            return false;
    return true;
}

static bool has_prefix(struct span b, const char *text)
{
    size_t len = strlen(text);
    return b.len >= len && memcmp(b.data, text, len) == 0;
}

/* The test's own idea of a TLS record, wider than any TLS. */
static bool names_protocol(struct span b)
{
    bool record = b.len >= 3 && (b.data[0] == 0x16 || b.data[0] == 0x17) && b.data[1] == 3 && b.data[2] <= 9;
    return record || has_prefix(b, "GET ") || has_prefix(b, "PUT ") || has_prefix(b, "POST ") ||
           has_prefix(b, "HEAD ");
}

static enum payload_exemption find_exemption(struct span b, const struct tally *t)
{
    if (10 * t->bits <= 34 * b.len || 10 * t->bits >= 46 * b.len)
        return PAYLOAD_EXEMPT_POPCOUNT;
    if (has_printable_prefix(b))
        return PAYLOAD_EXEMPT_PREFIX;
    if (2 * t->printable > b.len)
        return PAYLOAD_EXEMPT_HALF;
    if (t->longest_run > RUN_BYTES)
        return PAYLOAD_EXEMPT_RUN;
    return names_protocol(b) ? PAYLOAD_EXEMPT_PROTOCOL : PAYLOAD_EXEMPT_NONE;
}

/* A TLS record (RFC 8446, 5.1) whose length is possible. */
static bool looks_tls(struct span b)
{
    return b.len >= 3 && b.data[0] >= 20 && b.data[0] <= 24 && b.data[1] == 3 && b.data[2] <= 4 &&
           (b.len < 4 || b.data[3] <= 0x48);
}

static double entropy_of(const struct tally *t, size_t len)
{
    double sum = 0;
    for (size_t i = 0; i < BYTE_VALUES; i++)
        if (t->frequency[i])
            sum += (double)t->frequency[i] * log2((double)t->frequency[i]);
    double entropy = len ? log2((double)len) - sum / (double)len : 0;
    return entropy > 0 ? entropy : 0; /* rounding must not show as -0 */
}

static double chi_square_of(const struct tally *t, size_t len)
{
    double expected = (double)len / BYTE_VALUES, sum = 0;
    for (size_t i = 0; len && i < BYTE_VALUES; i++) {
        double off = (double)t->frequency[i] - expected;
        sum += off * off / expected;
    }
    return sum;
}

/* E[H] = log2 N - (256/N) E[K log2 K], where K, how often one value occurs, is binomial(N, 1/256). Terms further than 12 standard
 * deviations from the mean add less than a double can show; dividing by
 * what all terms add up to takes lgamma()'s rounding out. */
double payload_entropy_expected(size_t len)
{
    if (len == 0)
        return 0;
    double n = (double)len, p = 1.0 / BYTE_VALUES, mean = n * p, reach = 12 * sqrt(mean) + 40;
    double first = mean > reach ? floor(mean - reach) : 0, last = fmin(n, mean + reach), sum = 0, all = 0;
    double term = exp(lgamma(n + 1) - lgamma(first + 1) - lgamma(n - first + 1) + first * log(p) +
                      (n - first) * log1p(-p));
    for (uint64_t i = (uint64_t)first; i <= (uint64_t)last; i++) {
        double k = (double)i;
        if (k > 1)
            sum += k * log2(k) * term;
        all += term;
        term *= (n - k) / (k + 1) * (p / (1 - p));
    }
    return fmax(0, log2(n) - BYTE_VALUES / n * (sum / all));
}

void payload_judge(struct span bytes, struct payload *ret)
{
    struct tally t = {0};
    count(bytes, &t);
    *ret = (struct payload){
        .len = bytes.len,
        .entropy = entropy_of(&t, bytes.len),
        .entropy_expected = payload_entropy_expected(bytes.len),
        .chi_square = chi_square_of(&t, bytes.len),
        .exempt = find_exemption(bytes, &t),
        .kind = looks_tls(bytes) ? "tls" : opening_name(opening_classify(bytes)),
    };
    ret->fully_encrypted = bytes.len > 0 && ret->exempt == PAYLOAD_EXEMPT_NONE;
}

static bool starts_nocase(struct span s, const char *text)
{
    size_t len = strlen(text);
    return s.len >= len && strncasecmp((const char *)s.data, text, len) == 0;
}

/* Media types whose content is compressed or encrypted by nature, by how they begin. */
static bool type_explains(struct span type)
{
    static const char *const dense[] = {"image/",
                                        "video/",
                                        "audio/",
                                        "font/",
                                        "application/zip",
                                        "application/gzip",
                                        "application/x-gzip",
                                        "application/x-7z",
                                        "application/x-xz",
                                        "application/zstd",
                                        "application/x-bzip",
                                        "application/vnd.rar",
                                        "application/x-rar",
                                        "application/pdf",
                                        "application/java-archive",
                                        "application/vnd.android",
                                        "application/vnd.openxmlformats",
                                        "application/vnd.debian",
                                        "application/x-debian",
                                        "application/x-rpm",
                                        "application/pkcs",
                                        "application/x-pkcs",
                                        "application/pgp",
                                        "application/jose",
                                        "application/vnd.ms-cab",
                                        "application/x-apple-diskimage",
                                        "application/grpc",
                                        "application/wasm"};
    for (size_t i = 0; i < ARRAY_LEN(dense); i++)
        if (starts_nocase(type, dense[i]))
            return !starts_nocase(type, "image/svg");
    return false;
}

/* Within six standard deviations (sqrt(2 * 255)) of 255. */
static bool may_be_random(double chi_square)
{
    return chi_square < 255 + 6 * sqrt(2 * 255.0);
}

bool payload_is_random(const struct payload *p)
{
    return p->len > 0 && p->entropy > p->entropy_expected - 0.1 && may_be_random(p->chi_square);
}

bool payload_looks_random(struct span bytes)
{
    struct tally t = {0};
    if (bytes.len < UNEXPLAINED_BYTES_MIN)
        return false;
    count(bytes, &t);
    return may_be_random(chi_square_of(&t, bytes.len)) &&
           entropy_of(&t, bytes.len) > payload_entropy_expected(bytes.len) - 0.1;
}

bool payload_is_explained(struct span media_type, struct span content_encoding)
{
    bool encoded = content_encoding.len > 0 && !span_is_nocase(content_encoding, "identity");
    return encoded || type_explains(media_type);
}

bool payload_is_unexplained(const struct payload *p, struct span media_type, struct span content_encoding)
{
    return p->len >= UNEXPLAINED_BYTES_MIN && payload_is_random(p) &&
           !payload_is_explained(media_type, content_encoding);
}
