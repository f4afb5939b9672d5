/* geo_test.c: databases made here (MaxMind DB format 2.0: a binary tree of 24-bit records, then data), in MaxMind's nested
 * layout and in the flat one, and broken ones. */
#include "facts/geo.h"
#include "base/buf.h"
#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

/* ---- a tiny writer ---- */

enum { TYPE_STRING = 2, TYPE_UINT16 = 5, TYPE_UINT32 = 6, TYPE_MAP = 7, TYPE_UINT64 = 9, TYPE_ARRAY = 11 };

static void put_control(struct buf *b, unsigned type, size_t size)
{
    uint8_t short_size = size < 29 ? (uint8_t)size : 29;
    must(size < 29 + 256);
    uint8_t head = (uint8_t)((type < 8 ? type << 5 : 0) | short_size);
    buf_append(b, &head, 1);
    if (type >= 8)
        buf_append(b, (uint8_t[]){(uint8_t)(type - 7)}, 1);
    if (size >= 29)
        buf_append(b, (uint8_t[]){(uint8_t)(size - 29)}, 1);
}

static void put_string(struct buf *b, const char *text)
{
    put_control(b, TYPE_STRING, strlen(text));
    buf_append_str(b, text);
}

static void put_number(struct buf *b, unsigned type, uint32_t n)
{
    uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    size_t size = type == TYPE_UINT16 ? 2 : 4;
    put_control(b, type, size);
    buf_append(b, bytes + 4 - size, size);
}

static void put_record(struct buf *b, size_t value)
{
    buf_append(b, (uint8_t[]){(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value}, 3);
}

static void put_metadata(struct buf *b, uint32_t nodes, uint32_t ip_version)
{
    buf_append_str(b, "\xab\xcd\xefMaxMind.com");
    put_control(b, TYPE_MAP, 9);
    put_string(b, "description"), put_control(b, TYPE_MAP, 0);
    put_string(b, "node_count"), put_number(b, TYPE_UINT32, nodes);
    put_string(b, "record_size"), put_number(b, TYPE_UINT16, 24);
    put_string(b, "ip_version"), put_number(b, TYPE_UINT16, ip_version);
    put_string(b, "database_type"), put_string(b, "Test");
    put_string(b, "languages"), put_control(b, TYPE_ARRAY, 0);
    put_string(b, "binary_format_major_version"), put_number(b, TYPE_UINT16, 2);
    put_string(b, "binary_format_minor_version"), put_number(b, TYPE_UINT16, 0);
    put_string(b, "build_epoch"), put_control(b, TYPE_UINT64, 1), buf_append(b, "\x01", 1);
}

/* One network, of `bits` bits, has `data`; nothing else is there. */
static const char *write_database(const char *name, const uint8_t *network, uint32_t bits,
                                  uint32_t ip_version, const struct buf *data)
{
    static char path[128];
    struct buf b;
    buf_init(&b, 65536);
    for (uint32_t i = 0; i < bits; i++) {
        size_t onward = i + 1 < bits ? i + 1 : bits + 16; /* the last points at the data's start */
        bool right = network[i / 8] & (0x80 >> (i % 8));
        put_record(&b, right ? bits : onward);
        put_record(&b, right ? onward : bits);
    }
    buf_append(&b, (uint8_t[16]){0}, 16);
    buf_append(&b, buf_span(data).data, buf_len(data));
    put_metadata(&b, bits, ip_version);
    snprintf(path, sizeof path, "%s/%s.mmdb", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fwrite(buf_span(&b).data, 1, buf_len(&b), f);
    fclose(f);
    buf_free(&b);
    return path;
}

static struct geo_place place_of(struct geo *g, const char *address)
{
    struct ip ip;
    struct geo_place place;
    assert_true(ip_parse(span_str(address), &ip));
    geo_lookup(g, &ip, &place);
    return place;
}

/* ---- the tests ---- */

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/exeat-geo-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const uint8_t documentation_v4[] = {192, 0, 2};

static void test_nested_layout(void **state)
{
    (void)state;
    struct buf data;
    buf_init(&data, 4096);
    put_control(&data, TYPE_MAP, 2);
    put_string(&data, "country"), put_control(&data, TYPE_MAP, 1), put_string(&data, "iso_code"),
        put_string(&data, "DE");
    put_string(&data, "city"), put_control(&data, TYPE_MAP, 1), put_string(&data, "names");
    put_control(&data, TYPE_MAP, 1), put_string(&data, "en"), put_string(&data, "Bonn");
    struct err err = {0};
    struct geo *g = geo_open(NULL, write_database("city", documentation_v4, 24, 4, &data), NULL, &err);
    assert_non_null(g);
    struct geo_place p = place_of(g, "192.0.2.77");
    assert_string_equal(p.country, "DE");
    assert_string_equal(p.city, "Bonn");
    assert_int_equal(p.asn, 0);
    assert_string_equal(place_of(g, "192.0.3.1").country, "");
    assert_string_equal(place_of(g, "2001:db8::1").country, ""); /* not in an IPv4 database */
    geo_close(g);
    buf_free(&data);
}

static void test_flat_layout_and_ipv6(void **state)
{
    (void)state;
    struct buf country, asn;
    char country_path[128];
    buf_init(&country, 4096);
    buf_init(&asn, 4096);
    put_control(&country, TYPE_MAP, 1), put_string(&country, "country_code"), put_string(&country, "FR");
    put_control(&asn, TYPE_MAP, 2);
    put_string(&asn, "autonomous_system_number"), put_number(&asn, TYPE_UINT32, 4200000001u);
    put_string(&asn, "autonomous_system_organization"), put_string(&asn, "Example Networks");
    const uint8_t v6[] = {0x20, 0x01, 0x0d, 0xb8};
    snprintf(country_path, sizeof country_path, "%s", write_database("country", v6, 32, 6, &country));
    struct geo *g = geo_open(country_path, NULL, write_database("asn", v6, 32, 6, &asn), NULL);
    assert_non_null(g);
    struct geo_place p = place_of(g, "2001:db8:ffff::1");
    assert_string_equal(p.country, "FR");
    assert_int_equal(p.asn, 4200000001u);
    assert_string_equal(p.organization, "Example Networks");
    assert_string_equal(place_of(g, "2001:db9::1").organization, "");
    geo_close(g);
    buf_free(&country);
    buf_free(&asn);
}

static void expect_asn(unsigned type, const char *text, uint32_t number, uint32_t wanted)
{
    struct buf asn;
    buf_init(&asn, 4096);
    put_control(&asn, TYPE_MAP, 1);
    put_string(&asn, "asn");
    if (type == TYPE_STRING)
        put_string(&asn, text);
    else
        put_number(&asn, type, number);
    struct geo *g = geo_open(NULL, NULL, write_database("asn2", documentation_v4, 24, 4, &asn), NULL);
    assert_int_equal(place_of(g, "192.0.2.1").asn, wanted);
    geo_close(g);
    buf_free(&asn);
}

static void test_asn_forms(void **state)
{
    (void)state;
    expect_asn(TYPE_STRING, "AS3320", 0, 3320);
    expect_asn(TYPE_STRING, "3320", 0, 3320);
    expect_asn(TYPE_STRING, "no number at all, and long", 0, 0);
    expect_asn(TYPE_UINT16, NULL, 3320, 3320);
}

static void test_odd_values_are_unknown(void **state)
{
    (void)state;
    struct buf data;
    char long_name[201];
    buf_init(&data, 4096);
    memset(long_name, 'x', 94);
    strcpy(long_name + 94, "\xc3\xa9\xc3\xa9"); /* the cut at 95 bytes falls into a character */
    put_control(&data, TYPE_MAP, 2);
    put_string(&data, "country_code"), put_string(&data, "Germany");
    put_string(&data, "city"), put_string(&data, long_name);
    struct geo *g = geo_open(NULL, write_database("odd", documentation_v4, 24, 4, &data), NULL, NULL);
    struct geo_place p = place_of(g, "192.0.2.1");
    assert_string_equal(p.country, "");
    assert_int_equal(strlen(p.city), 94);
    geo_close(g);
    buf_free(&data);
}

static void test_unusable_files_are_named(void **state)
{
    (void)state;
    struct err err = {0};
    assert_null(geo_open("/nonexistent.mmdb", NULL, NULL, &err));
    assert_string_equal(err.file, "/nonexistent.mmdb");
    char path[128];
    snprintf(path, sizeof path, "%s/text.mmdb", folder);
    FILE *f = fopen(path, "w");
    fputs("not a database", f);
    fclose(f);
    err = (struct err){0};
    assert_null(geo_open(NULL, NULL, path, &err));
    assert_string_equal(err.file, path);
    struct geo *none = geo_open(NULL, NULL, NULL, NULL);
    assert_non_null(none);
    assert_int_equal(place_of(none, "192.0.2.1").asn, 0);
    assert_int_equal(place_of(NULL, "192.0.2.1").asn, 0);
    geo_close(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_layout),
        cmocka_unit_test(test_flat_layout_and_ipv6),
        cmocka_unit_test(test_asn_forms),
        cmocka_unit_test(test_odd_values_are_unknown),
        cmocka_unit_test(test_unusable_files_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
