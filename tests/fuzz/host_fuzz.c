/* host_fuzz.c: hosts, authorities, addresses and networks from any bytes. What is accepted is canonical: reading it again gives
 * the same, in the bare form too. */
#include "base/must.h"
#include "wire/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_host(struct span text)
{
    struct host h, again;
    if (host_canonical(text, &h) != HOST_OK && host_canonical_bare(text, &h) != HOST_OK)
        return;
    must(h.len > 0 && h.len == strlen(h.name) && h.len < HOST_NAME_BYTES);
    must(h.is_ip == (h.ip.version != 0));
    must(host_canonical_bare(span_str(h.name), &again) == HOST_OK);
    must(host_equal(&h, &again) && ip_equal(&h.ip, &again.ip));
    must(h.is_ip || host_is_within(&h, again.name));
    for (size_t i = 0; i < h.len; i++)
        must(h.name[i] > ' ' && h.name[i] < 0x7f && !(h.name[i] >= 'A' && h.name[i] <= 'Z'));
    ip_special_range(&h.ip);
}

static void check_authority(struct span text)
{
    struct host h;
    uint16_t port = 0;
    bool had;
    if (host_port_parse(text, 80, &h, &port, &had) != HOST_OK)
        return;
    must(port != 0 && (had || port == 80));
    must(host_port_parse(text, 0, &h, &port, NULL) == (had ? HOST_OK : HOST_PORT_MISSING));
}

static void check_addresses(struct span text)
{
    struct ip_network net;
    struct endpoint e, again;
    char out[ENDPOINT_TEXT_BYTES];
    if (ip_network_parse(text, &net))
        must(ip_in(&net.ip, &net) && net.prefix <= (net.ip.version == 4 ? 32 : 128));
    if (endpoint_parse(text, &e)) {
        must(endpoint_parse(span_str(endpoint_format(&e, out)), &again));
        must(again.port == e.port && ip_equal(&again.ip, &e.ip));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    check_host(text);
    check_authority(text);
    check_addresses(text);
    return 0;
}
