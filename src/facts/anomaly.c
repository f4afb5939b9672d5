/* anomaly.c: see anomaly.h. One small function an anomaly, and a table that runs them all. Pure. */
#include "facts/anomaly.h"

#include "base/ip.h"
#include "base/must.h"
#include "facts/registry.h"

enum {
    HTTPS_PORT = 443,
    PADDING_BYTES_ODD = 501, /* "more than 500" */
    RECORDS_TINY_ODD = 4,    /* records under 64 bytes before the last one; one hello needs none */
    RANDOM_TAIL_BYTES = 28,  /* of the random's 32: older clients put the time in the first four */
    RANDOM_DISTINCT_MIN =
        15, /* 28 random bytes have 26.6 different values; 14 or fewer once in 10^8 hellos */
    HOST_BYTES_MAX = 255,
    LABEL_BYTES_MAX = 63,
    SUITE_FALLBACK_SCSV = 0x5600,
};

const struct anomaly_row anomaly_table[ANOMALY_COUNT] = {
#define ANOMALY(id, name, severity, doc) [ANOMALY_##id] = {#id, name, doc, ANOMALY_##severity},
#include "facts/anomalies.def"
#undef ANOMALY
};

/* Which anomaly a fault of the wire is: the column of hello_faults.def that wire/ doesn't read. */
static const uint8_t fault_anomalies[HELLO_FAULT_COUNT] = {
#define FAULT(id, anomaly, text) [HELLO_FAULT_##id] = ANOMALY_##anomaly,
#include "wire/hello_faults.def"
#undef FAULT
};

void anomaly_set_add(struct anomaly_set *set, enum anomaly anomaly)
{
    must((unsigned)anomaly < ANOMALY_COUNT);
    set->bits[anomaly / 64] |= (uint64_t)1 << (anomaly % 64);
}

void anomaly_set_merge(struct anomaly_set *set, const struct anomaly_set *other)
{
    for (size_t i = 0; i < ARRAY_LEN(set->bits); i++)
        set->bits[i] |= other->bits[i];
}

bool anomaly_set_has(const struct anomaly_set *set, enum anomaly anomaly)
{
    must((unsigned)anomaly < ANOMALY_COUNT);
    return set->bits[anomaly / 64] >> (anomaly % 64) & 1;
}

bool anomaly_set_is_empty(const struct anomaly_set *set)
{
    return anomaly_set_next(set, 0) == ANOMALY_NONE;
}

enum anomaly anomaly_set_next(const struct anomaly_set *set, unsigned from)
{
    while (from < ANOMALY_COUNT && !(set->bits[from / 64] >> (from % 64) & 1))
        from++;
    return (enum anomaly)from;
}

/* ---- names ---- */

static bool is_label_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

static struct span without_brackets(struct span name)
{
    bool bracketed = name.len >= 2 && name.data[0] == '[' && name.data[name.len - 1] == ']';
    return bracketed ? span_of(name.data + 1, name.len - 2) : name;
}

/* One trailing dot is another spelling of the same name. */
static struct span without_dot(struct span name)
{
    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    return name;
}

static bool is_number(struct span label)
{
    bool hex = label.len >= 2 && label.data[0] == '0' && (label.data[1] | 0x20) == 'x';
    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        uint8_t c = label.data[i], lower = c | 0x20;
        if (!(c >= '0' && c <= '9') && !(hex && lower >= 'a' && lower <= 'f'))
            return false;
    }
    return label.len > 0;
}

/* An address however it is spelt: a name whose last label is a number (decimal or 0x..) is one to every resolver, too. */
static bool name_is_address(struct span name)
{
    struct ip ip;
    name = without_dot(without_brackets(name));
    if (ip_parse(name, &ip))
        return true;
    const uint8_t *dot = name.len ? memrchr(name.data, '.', name.len) : NULL;
    return is_number(dot ? span_from(name, (size_t)(dot + 1 - name.data)) : name);
}

/* Labels of letters, digits, hyphen and underscore, 1 to 63 bytes each, no trailing dot, 255 bytes in all. */
static bool name_is_host(struct span name)
{
    size_t label = 0;
    if (name.len == 0 || name.len > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '.' ? label == 0 : !is_label_byte(name.data[i]))
            return false;
        label = name.data[i] == '.' ? 0 : label + 1;
        if (label > LABEL_BYTES_MAX)
            return false;
    }
    return label > 0;
}

static bool names_equal(struct span a, struct span b)
{
    a = without_dot(a);
    b = without_dot(b);
    return a.len == b.len &&
           (a.len == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0);
}

static bool addresses_equal(struct span a, struct span b)
{
    struct ip x, y;
    return ip_parse(without_brackets(a), &x) && ip_parse(without_brackets(b), &y) && ip_equal(&x, &y);
}

/* ---- what a hello shows; `ctx` is never NULL here ---- */

static bool shows_part_fault(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return h->part_fault != HELLO_FAULT_NONE;
}

static bool shows_duplicate(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return h->duplicate_extension || h->sni == HELLO_SNI_SEVERAL;
}

static bool shows_sni_invalid(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    if (h->sni == HELLO_SNI_ABSENT)
        return false;
    if (h->sni != HELLO_SNI_ONE && h->sni != HELLO_SNI_SEVERAL)
        return true;
    struct ip ip; /* an address is odd in its own way (H13) */
    return h->server_name.data[h->server_name.len - 1] == '.' ||
           (!name_is_host(h->server_name) && !ip_parse(h->server_name, &ip));
}

static bool shows_sni_missing(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return h->sni == HELLO_SNI_ABSENT;
}

static bool shows_sni_address(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return h->server_name.len > 0 && name_is_address(h->server_name);
}

/* A second server_name extension may hold another name than the one that was read. */
static bool sni_is_repeated(const struct client_hello *h)
{
    struct hello_extension e;
    size_t cursor = 0;
    unsigned count = 0;
    while (h->duplicate_extension && client_hello_next_extension(h, &cursor, &e))
        count += e.type == HELLO_EXT_SERVER_NAME;
    return count > 1;
}

/* What can't be compared because it is broken or said twice counts as different: some server may read the other name. */
static bool shows_sni_mismatch(const struct client_hello *h, const struct hello_context *ctx)
{
    if (!ctx->connect_host || h->sni == HELLO_SNI_ABSENT)
        return false;
    if (h->sni == HELLO_SNI_SEVERAL || h->sni == HELLO_SNI_MALFORMED || sni_is_repeated(h))
        return true;
    if (h->server_name.len == 0)
        return false;
    struct span host = span_str(ctx->connect_host);
    if (name_is_address(h->server_name))
        return !addresses_equal(h->server_name, host);
    return !ctx->connect_is_ip && !names_equal(h->server_name, host);
}

static bool shows_connect_address(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)h;
    return ctx->connect_is_ip;
}

static bool shows_alpn_missing(const struct client_hello *h, const struct hello_context *ctx)
{
    return ctx->connect_port == HTTPS_PORT && !client_hello_has(h, HELLO_EXT_ALPN);
}

static bool shows_alpn_uncommon(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    struct span name;
    size_t cursor = 0;
    while (client_hello_next_alpn(h, &cursor, &name)) {
        if (name.len == 2 && hello_is_grease((uint16_t)(name.data[0] << 8 | name.data[1])))
            continue;
        if (!registry_has_alpn(name) || (span_is(name, "h2") && h->sni == HELLO_SNI_ABSENT))
            return true;
    }
    return false;
}

static bool shows_obsolete_version(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return h->highest_version < 0x0303;
}

static bool shows_weak_suite(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < hello_u16_count(h->cipher_suites); i++) {
        enum suite_kind kind = registry_suite_kind(hello_u16_at(h->cipher_suites, i));
        if (kind == SUITE_WEAK_STATIC || kind == SUITE_WEAK_EPHEMERAL)
            return true;
    }
    return false;
}

static bool groups_are_weak(const struct client_hello *h)
{
    size_t weak = 0, strong = 0;
    for (size_t i = 0; i < hello_u16_count(h->groups); i++) {
        uint16_t group = hello_u16_at(h->groups, i);
        if (registry_group_is_weak(group))
            weak++;
        else if (!hello_is_grease(group))
            strong++;
    }
    return weak > 0 && strong == 0;
}

static bool shows_no_forward_secrecy(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    size_t fixed = 0;
    for (size_t i = 0; i < hello_u16_count(h->cipher_suites); i++) {
        uint16_t suite = hello_u16_at(h->cipher_suites, i);
        enum suite_kind kind = registry_suite_kind(suite);
        if (kind == SUITE_STATIC || kind == SUITE_WEAK_STATIC)
            fixed++;
        else if (kind != SUITE_SIGNAL && !hello_is_grease(suite))
            return groups_are_weak(h); /* ephemeral, or nobody knows */
    }
    return fixed > 0 || groups_are_weak(h);
}

static bool shows_fallback(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < hello_u16_count(h->cipher_suites); i++)
        if (hello_u16_at(h->cipher_suites, i) == SUITE_FALLBACK_SCSV)
            return true;
    return false;
}

static bool shows_heartbeat(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return client_hello_has(h, HELLO_EXT_HEARTBEAT);
}

static bool shows_early_data(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return client_hello_has(h, HELLO_EXT_EARLY_DATA);
}

static bool shows_ech(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return h->ech;
}

static bool shows_suites_unregistered(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    size_t unknown = 0;
    for (size_t i = 0; i < hello_u16_count(h->cipher_suites); i++) {
        uint16_t suite = hello_u16_at(h->cipher_suites, i);
        enum suite_kind kind = registry_suite_kind(suite);
        if (kind == SUITE_SIGNAL || hello_is_grease(suite))
            continue;
        if (kind != SUITE_UNKNOWN)
            return false;
        unknown++;
    }
    return unknown > 0;
}

static bool shows_padding(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return h->padding_bytes >= PADDING_BYTES_ODD;
}

static bool shows_unknown_extension(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    struct hello_extension e;
    size_t cursor = 0;
    while (client_hello_next_extension(h, &cursor, &e))
        if (!hello_is_grease(e.type) && !registry_has_extension(e.type))
            return true;
    return false;
}

/* Different values among the bytes, or (step 1) among the differences of neighbours, which are few in a counting pattern. */
static unsigned count_distinct(struct span bytes, size_t step)
{
    bool seen[256] = {false};
    unsigned distinct = 0;
    for (size_t i = step; i < bytes.len; i++) {
        uint8_t value = (uint8_t)(bytes.data[i] - (step ? bytes.data[i - step] : 0));
        distinct += !seen[value];
        seen[value] = true;
    }
    return distinct;
}

static bool is_printable(struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] < 0x20 || bytes.data[i] > 0x7e)
            return false;
    return true;
}

static bool shows_odd_random(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    struct span tail = span_from(h->random, h->random.len - RANDOM_TAIL_BYTES);
    if (is_printable(tail) || count_distinct(tail, 0) < RANDOM_DISTINCT_MIN ||
        count_distinct(tail, 1) < RANDOM_DISTINCT_MIN)
        return true;
    return h->session_id.len >= 8 && count_distinct(h->session_id, 0) <= 2;
}

static bool shows_compression(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < h->compression.len; i++)
        if (h->compression.data[i] != 0)
            return true;
    return false;
}

static bool shows_renegotiation(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)ctx;
    return h->renegotiation.len > 0;
}

static bool shows_odd_port(const struct client_hello *h, const struct hello_context *ctx)
{
    (void)h;
    return ctx->connect_port != 0 && !registry_port_is_tls(ctx->connect_port);
}

static const struct {
    enum anomaly anomaly;
    bool (*shows)(const struct client_hello *h, const struct hello_context *ctx);
} hello_checks[] = {
    {ANOMALY_H07, shows_part_fault},
    {ANOMALY_H10, shows_duplicate},
    {ANOMALY_H11, shows_sni_invalid},
    {ANOMALY_H12, shows_sni_missing},
    {ANOMALY_H13, shows_sni_address},
    {ANOMALY_H14, shows_sni_mismatch},
    {ANOMALY_H15, shows_connect_address},
    {ANOMALY_H16, shows_alpn_missing},
    {ANOMALY_H17, shows_alpn_uncommon},
    {ANOMALY_H18, shows_obsolete_version},
    {ANOMALY_H19, shows_weak_suite},
    {ANOMALY_H20, shows_no_forward_secrecy},
    {ANOMALY_H21, shows_fallback},
    {ANOMALY_H24, shows_heartbeat},
    {ANOMALY_H29, shows_early_data},
    {ANOMALY_H30, shows_ech},
    {ANOMALY_H34, shows_suites_unregistered},
    {ANOMALY_H35, shows_padding},
    {ANOMALY_H36, shows_unknown_extension},
    {ANOMALY_H37, shows_odd_random},
    {ANOMALY_H38, shows_compression},
    {ANOMALY_H39, shows_renegotiation},
    {ANOMALY_H44, shows_odd_port},
};

void anomaly_from_hello(const struct client_hello *h, const struct hello_context *ctx,
                        struct anomaly_set *set)
{
    static const struct hello_context nothing_known;
    for (size_t i = 0; i < ARRAY_LEN(hello_checks); i++)
        if (hello_checks[i].shows(h, ctx ? ctx : &nothing_known))
            anomaly_set_add(set, hello_checks[i].anomaly);
}

void anomaly_from_fault(enum hello_fault fault, struct anomaly_set *set)
{
    must((unsigned)fault < HELLO_FAULT_COUNT);
    if (fault_anomalies[fault] != ANOMALY_NONE)
        anomaly_set_add(set, (enum anomaly)fault_anomalies[fault]);
}

void anomaly_from_reader(const struct hello_reader *r, const struct hello_context *ctx,
                         struct anomaly_set *set)
{
    anomaly_from_fault(r->fault, set);
    if (r->odd_version)
        anomaly_set_add(set, ANOMALY_H03);
    if (r->odd_length)
        anomaly_set_add(set, ANOMALY_H05);
    if (hello_reader_is_followed(r))
        anomaly_set_add(set, ANOMALY_H08);
    if (r->records_tiny >= RECORDS_TINY_ODD)
        anomaly_set_add(set, ANOMALY_H35);
    if (ctx && ctx->connect_is_ip)
        anomaly_set_add(set, ANOMALY_H15);
    if (r->fault != HELLO_FAULT_NOT_TLS || !ctx || ctx->connect_port != HTTPS_PORT)
        return;
    anomaly_set_add(set, ANOMALY_H44);
    if (r->opening == OPENING_HTTP || r->opening == OPENING_HTTP2)
        anomaly_set_add(set, ANOMALY_H45);
}
