/* geo.c: see geo.h. libmaxminddb maps the files; a lookup walks that memory. Replace a database by rename, never in place. */
#include "facts/geo.h"

#include "base/must.h"

#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum geo_kind { GEO_COUNTRY, GEO_CITY, GEO_ASN, GEO_KINDS };

struct geo {
    MMDB_s databases[GEO_KINDS]; /* owned where open */
    bool open[GEO_KINDS];
};

static int open_database(struct geo *g, enum geo_kind kind, const char *path, struct err *reterr)
{
    if (!path)
        return 0;
    int status = MMDB_open(path, MMDB_MODE_MMAP, &g->databases[kind]);
    if (status != MMDB_SUCCESS)
        return err_set(reterr, path, 0, 0, "this GeoIP database cannot be used: %s", MMDB_strerror(status));
    g->open[kind] = true;
    return 0;
}

struct geo *geo_open(const char *country_db, const char *city_db, const char *asn_db, struct err *reterr)
{
    struct geo *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(reterr, NULL, 0, 0, "no memory for GeoIP"), NULL;
    if (open_database(g, GEO_COUNTRY, country_db, reterr) == 0 &&
        open_database(g, GEO_CITY, city_db, reterr) == 0 && open_database(g, GEO_ASN, asn_db, reterr) == 0)
        return g;
    geo_close(g);
    return NULL;
}

void geo_close(struct geo *take_g)
{
    if (!take_g)
        return;
    for (int i = 0; i < GEO_KINDS; i++)
        if (take_g->open[i])
            MMDB_close(&take_g->databases[i]);
    free(take_g);
}

/* ---- what a record says: each value at the first of its known places ---- */

enum { PATH_STEPS = 4 };

static const char *const country_places[][PATH_STEPS] = {{"country", "iso_code"},
                                                         {"country_code"},
                                                         {"country_iso_code"},
                                                         {"registered_country", "iso_code"},
                                                         {"country"}};
static const char *const city_places[][PATH_STEPS] = {{"city", "names", "en"}, {"city"}, {"city_name"}};
static const char *const asn_places[][PATH_STEPS] = {{"autonomous_system_number"}, {"asn"}, {"as_number"}};
static const char *const organization_places[][PATH_STEPS] = {
    {"autonomous_system_organization"}, {"as_organization"}, {"organization"}, {"as_name"}, {"org"}};

static bool find(MMDB_entry_s *entry, const char *const (*places)[PATH_STEPS], size_t count,
                 MMDB_entry_data_s *ret)
{
    for (size_t i = 0; i < count; i++)
        if (MMDB_aget_value(entry, ret, (const char *const *)places[i]) == MMDB_SUCCESS && ret->has_data &&
            (ret->type == MMDB_DATA_TYPE_UTF8_STRING || ret->type == MMDB_DATA_TYPE_UINT32 ||
             ret->type == MMDB_DATA_TYPE_UINT16))
            return true;
    return false;
}

/* Cut between characters where it is too long. */
static void copy_text(MMDB_entry_s *entry, const char *const (*places)[PATH_STEPS], size_t count, char *ret,
                      size_t size)
{
    MMDB_entry_data_s data;
    if (!find(entry, places, count, &data) || data.type != MMDB_DATA_TYPE_UTF8_STRING)
        return;
    size_t len = data.data_size < size ? data.data_size : size - 1;
    while (len > 0 && len < data.data_size && ((uint8_t)data.utf8_string[len] & 0xc0) == 0x80)
        len--;
    memcpy(ret, data.utf8_string, len);
    ret[len] = '\0';
}

static void copy_country(MMDB_entry_s *entry, char ret[3])
{
    char text[8] = "";
    copy_text(entry, country_places, ARRAY_LEN(country_places), text, sizeof text);
    if (strlen(text) == 2 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'A' && text[1] <= 'Z')
        memcpy(ret, text, 3);
}

/* A number, or text as "AS3320" or "3320". */
static void copy_asn(MMDB_entry_s *entry, uint32_t *ret)
{
    MMDB_entry_data_s data;
    if (!find(entry, asn_places, ARRAY_LEN(asn_places), &data))
        return;
    if (data.type == MMDB_DATA_TYPE_UTF8_STRING) {
        char text[16];
        snprintf(text, sizeof text, "%.*s", (int)(data.data_size < 15 ? data.data_size : 15),
                 data.utf8_string);
        *ret = (uint32_t)strtoul(strncmp(text, "AS", 2) == 0 ? text + 2 : text, NULL, 10);
    } else {
        *ret = data.type == MMDB_DATA_TYPE_UINT32 ? data.uint32 : data.uint16;
    }
}

static bool look_up(const struct geo *g, enum geo_kind kind, const struct ip *ip, MMDB_entry_s *ret)
{
    if (!g->open[kind])
        return false;
    struct sockaddr_storage address = {0};
    if (ip->version == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, ip->bytes, 4);
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
        in6->sin6_family = AF_INET6;
        memcpy(&in6->sin6_addr, ip->bytes, 16);
    }
    int status;
    MMDB_lookup_result_s result =
        MMDB_lookup_sockaddr(&g->databases[kind], (struct sockaddr *)&address, &status);
    if (status != MMDB_SUCCESS || !result.found_entry)
        return false;
    *ret = result.entry;
    return true;
}

void geo_lookup(const struct geo *g, const struct ip *ip, struct geo_place *ret)
{
    *ret = (struct geo_place){0};
    if (!g || ip->version == 0)
        return;
    MMDB_entry_s entry;
    if (look_up(g, GEO_CITY, ip, &entry)) {
        copy_country(&entry, ret->country);
        copy_text(&entry, city_places, ARRAY_LEN(city_places), ret->city, sizeof ret->city);
    }
    if (!ret->country[0] && look_up(g, GEO_COUNTRY, ip, &entry))
        copy_country(&entry, ret->country);
    if (look_up(g, GEO_ASN, ip, &entry)) {
        copy_asn(&entry, &ret->asn);
        copy_text(&entry, organization_places, ARRAY_LEN(organization_places), ret->organization,
                  sizeof ret->organization);
    }
}
