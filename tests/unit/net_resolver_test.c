/* net_resolver_test.c: the resolver against a small DNS server (UDP and TCP) that runs step by step beside the loop. */
#include "net_help.h"

#include <sys/stat.h>

/* ---- the server: what it says depends on the first label of the name ---- */

struct server {
    int udp, tcp, connection;
    struct endpoint at;
    unsigned queries, a_queries, aaaa_queries, tcp_queries;
    bool dead;          /* reads and says nothing */
    unsigned last_byte; /* of the addresses: tells answers apart */
};

static bool server_bind(struct server *s, const struct endpoint *wanted)
{
    struct sockaddr_storage storage;
    int on = 1;
    s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(s->tcp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(s->udp, (struct sockaddr *)&storage, endpoint_to_sockaddr(wanted, &storage)), 0);
    s->at = help_local(s->udp);
    if (bind(s->tcp, (struct sockaddr *)&storage, endpoint_to_sockaddr(&s->at, &storage)) == 0)
        return true;
    close(s->udp);
    close(s->tcp);
    return false;
}

/* The port that UDP is given may be in use by somebody's TCP: then another is taken. */
static void server_start(struct server *s, const char *address, uint16_t port)
{
    *s = (struct server){.connection = -1, .last_byte = 1};
    struct endpoint e = help_any_port(address);
    e.port = port;
    bool bound = false;
    for (int i = 0; i < 50 && !bound; i++)
        bound = server_bind(s, &e);
    assert_true(bound);
    assert_int_equal(listen(s->tcp, 4), 0);
}

static void server_stop(struct server *s)
{
    close(s->udp);
    close(s->tcp);
    if (s->connection >= 0)
        close(s->connection);
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* One record: `name` is bytes of a name on the wire; returns the new length. */
static size_t put_record(uint8_t *p, size_t at, const uint8_t *name, size_t name_len, unsigned type,
                         unsigned ttl, const uint8_t *data, size_t len)
{
    memcpy(p + at, name, name_len);
    at += name_len;
    put16(p + at, type);
    put16(p + at + 2, 1);
    put16(p + at + 4, ttl >> 16);
    put16(p + at + 6, ttl & 0xffff);
    put16(p + at + 8, (unsigned)len);
    memcpy(p + at + 10, data, len);
    return at + 10 + len;
}

static const uint8_t target_name[] = "\x06target\x04test"; /* its NUL ends the name */

struct behaviour {
    const char *label;
    unsigned rcode, a, aaaa, ttl;
    bool cname, truncate, silent, silent_aaaa, silent_a, same, ech;
};

static const struct behaviour behaviours[] = {
    {.label = "both", .a = 1, .aaaa = 1, .ttl = 30},
    {.label = "four", .a = 1, .ttl = 30},
    {.label = "six", .aaaa = 1, .ttl = 30},
    {.label = "short", .a = 1, .ttl = 1},
    {.label = "zero", .a = 1, .ttl = 0},
    {.label = "long", .a = 1, .ttl = 1000000},
    {.label = "many", .a = 30, .aaaa = 30, .ttl = 30},
    {.label = "same", .a = 5, .ttl = 30, .same = true},
    {.label = "alias", .a = 2, .ttl = 30, .cname = true},
    {.label = "big", .a = 3, .ttl = 30, .truncate = true},
    {.label = "ech", .ttl = 300, .ech = true},
    {.label = "none", .rcode = 3},
    {.label = "empty"},
    {.label = "fail", .rcode = 2},
    {.label = "refused", .rcode = 5},
    {.label = "silent", .silent = true},
    {.label = "slow6", .a = 1, .aaaa = 1, .ttl = 30, .silent_aaaa = true},
    {.label = "slow4", .a = 1, .aaaa = 1, .ttl = 30, .silent_a = true},
};

static size_t server_records(const struct server *s, const struct behaviour *b, unsigned type, uint8_t *p,
                             size_t at)
{
    static const uint8_t pointer[] = {0xc0, 12};
    const uint8_t *name = pointer;
    size_t name_len = 2;
    unsigned count = type == 1 ? b->a : type == 28 ? b->aaaa : 0, answers = count;
    if (b->cname && count) {
        at = put_record(p, at, pointer, 2, 5, b->ttl, target_name, sizeof(target_name));
        name = target_name;
        name_len = sizeof(target_name);
        answers++;
    }
    for (unsigned i = 0; i < count; i++) {
        uint8_t data[16] = {192, 0, 2, (uint8_t)(s->last_byte + (b->same ? 0 : i))};
        if (type == 28) {
            memcpy(data, "\x20\x01\x0d\xb8", 4);
            data[15] = (uint8_t)(s->last_byte + i);
        }
        at = put_record(p, at, name, name_len, type, b->ttl, data, type == 1 ? 4 : 16);
    }
    if (type == DNS_TYPE_HTTPS && b->ech) {
        static const uint8_t service[] = "\0\1\0\0\5\0\x1c\0\x1a\xfe\x0d\0\x16\7\0\x20\0\1k\0\4\0\1\0\1\0\x06"
                                         "a.test\0";
        at = put_record(p, at, pointer, 2, DNS_TYPE_HTTPS, b->ttl, service, sizeof service);
        answers++;
    }
    put16(p + 6, answers);
    return at;
}

/* The answer's length; 0: none. */
static size_t server_answer(struct server *s, const uint8_t *query, size_t len, uint8_t *p, bool tcp)
{
    size_t at = 12;
    const struct behaviour *b = NULL;
    assert_true(len > 16);
    for (unsigned i = 0; i < ARRAY_LEN(behaviours); i++) {
        if (strlen(behaviours[i].label) == query[12] &&
            memcmp(behaviours[i].label, query + 13, query[12]) == 0)
            b = &behaviours[i];
    }
    assert_non_null(b);
    while (query[at])
        at += query[at] + 1u;
    unsigned type = query[at + 2];
    at += 5;
    s->queries++;
    s->a_queries += type == 1;
    s->aaaa_queries += type == 28;
    s->tcp_queries += tcp;
    if (s->dead || b->silent || (b->silent_aaaa && type == 28) || (b->silent_a && type == 1))
        return 0;
    memcpy(p, query, at);
    p[2] = 0x81;
    p[3] = (uint8_t)(0x80 | b->rcode);
    memset(p + 6, 0, 6);
    if (b->truncate && !tcp) {
        p[2] |= 2;
        return at;
    }
    return server_records(s, b, type, p, at);
}

static void server_step(struct server *s)
{
    uint8_t query[600], answer[4096];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(s->udp, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);
    if (n > 0) {
        size_t len = server_answer(s, query, (size_t)n, answer, false);
        if (len)
            sendto(s->udp, answer, len, 0, (struct sockaddr *)&from, from_len);
    }
    if (s->connection < 0)
        s->connection = accept4(s->tcp, NULL, NULL, SOCK_NONBLOCK);
    if (s->connection >= 0 && recv(s->connection, query, 2, MSG_PEEK) == 2) {
        size_t want = (size_t)query[0] * 256 + query[1];
        if (recv(s->connection, query, want + 2, MSG_PEEK) != (ssize_t)want + 2)
            return;
        assert_int_equal(recv(s->connection, query, want + 2, 0), want + 2);
        size_t len = server_answer(s, query + 2, want, answer + 2, true);
        put16(answer, (unsigned)len);
        if (len)
            assert_int_equal(send(s->connection, answer, len + 2, MSG_NOSIGNAL), len + 2);
    }
}

/* ---- asking ---- */

struct asked {
    struct net_resolution resolution;
    unsigned done;
};

static void on_done(struct net_resolution *r)
{
    ((struct asked *)r)->done++;
    assert_null(r->operation);
}

static bool ask(struct net *net, struct asked *a, const char *host)
{
    *a = (struct asked){.resolution = {.done = on_done}};
    bool at_once = net_resolve(net, &a->resolution, host);
    assert_int_equal(a->done, 0);
    assert_true(at_once == (a->resolution.operation == NULL));
    return at_once;
}

static bool step(struct server *s)
{
    server_step(s);
    return false;
}

/* Asks and waits; true: answered at once. */
static bool resolve(struct net *net, struct server *s, struct asked *a, const char *host)
{
    if (ask(net, a, host))
        return true;
    help_until(net, step(s) || a->done);
    assert_int_equal(a->done, 1);
    return false;
}

static char csv[ENDPOINT_TEXT_BYTES];

static struct net *net_with(struct server *s, unsigned timeout_ms)
{
    struct net_options o = help_options();
    server_start(s, "127.0.0.1", 0);
    o.dns_servers = endpoint_format(&s->at, csv);
    o.dns_timeout_ms = timeout_ms;
    return help_net(&o);
}

static void check_address(const struct net_resolution *r, unsigned i, const char *text)
{
    char got[IP_TEXT_BYTES];
    assert_true(i < r->count);
    assert_string_equal(ip_format(&r->addresses[i], got), text);
}

static void addresses_of_both_families_come_and_are_cached(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    struct net *net = net_with(&s, 3000);
    assert_false(resolve(net, &s, &a, "both.test"));
    assert_int_equal(a.resolution.status, NET_DNS_OK);
    assert_int_equal(a.resolution.count, 2);
    check_address(&a.resolution, 0, "2001:db8::1");
    check_address(&a.resolution, 1, "192.0.2.1");
    assert_false(a.resolution.from_cache);
    assert_int_equal(s.a_queries, 1);
    assert_int_equal(s.aaaa_queries, 1);
    assert_true(resolve(net, &s, &a, "both.test"));
    assert_true(a.resolution.from_cache);
    assert_int_equal(a.resolution.count, 2);
    assert_int_equal(net->stats.dns_queries, 2);
    assert_int_equal(net->stats.dns_cache_hits, 1);
    net_free(net);
    server_stop(&s);
}

static void each_outcome_has_its_status(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum net_dns status;
        unsigned count;
    } cases[] = {
        {"four.test", NET_DNS_OK, 1},         {"six.test", NET_DNS_OK, 1},
        {"many.test", NET_DNS_OK, 16},        {"same.test", NET_DNS_OK, 1},
        {"alias.test", NET_DNS_OK, 2},        {"none.test", NET_DNS_NOT_FOUND, 0},
        {"empty.test", NET_DNS_NOT_FOUND, 0}, {"fail.test", NET_DNS_FAILED, 0},
        {"refused.test", NET_DNS_FAILED, 0},
    };
    struct server s;
    struct asked a;
    struct net *net = net_with(&s, 3000);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        assert_false(resolve(net, &s, &a, cases[i].host));
        assert_int_equal(a.resolution.status, cases[i].status);
        assert_int_equal(a.resolution.count, cases[i].count);
        assert_true(resolve(net, &s, &a, cases[i].host)); /* bad news too, for a short while */
        assert_int_equal(a.resolution.status, cases[i].status);
    }
    resolve(net, &s, &a, "many.test");
    check_address(&a.resolution, 7, "2001:db8::8");
    check_address(&a.resolution, 8, "192.0.2.1");
    net_free(net);
    server_stop(&s);
}

static void no_search_domain_is_ever_tried(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    setenv("LOCALDOMAIN", "test", 1);
    struct net *net = net_with(&s, 3000);
    assert_false(resolve(net, &s, &a, "none"));
    assert_int_equal(a.resolution.status, NET_DNS_NOT_FOUND);
    assert_int_equal(s.queries, 2);
    unsetenv("LOCALDOMAIN");
    net_free(net);
    server_stop(&s);
}

static void names_are_kept_as_long_as_they_live(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    struct net *net = net_with(&s, 3000);
    resolve(net, &s, &a, "short.test");
    uint64_t from = net_now_ms(net);
    s.last_byte = 9;
    while (resolve(net, &s, &a, "short.test")) {
        check_address(&a.resolution, 0, "192.0.2.1");
        help_turns(net, 50);
    }
    assert_true(net_now_ms(net) - from >= 1000);
    check_address(&a.resolution, 0, "192.0.2.9");
    resolve(net, &s, &a, "zero.test"); /* at least a second, or each request would ask */
    assert_true(resolve(net, &s, &a, "zero.test"));
    net_free(net);
    server_stop(&s);
}

static void ttls_are_clamped_and_the_cache_is_bounded(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    struct net_options o = help_options();
    server_start(&s, "127.0.0.1", 0);
    o.dns_servers = endpoint_format(&s.at, csv);
    o.dns_ttl_max_s = 1;
    o.dns_cache_entries = 2;
    struct net *net = help_net(&o);
    resolve(net, &s, &a, "long.test");
    help_turns(net, 1100);
    assert_false(resolve(net, &s, &a, "long.test"));
    resolve(net, &s, &a, "both.test");
    resolve(net, &s, &a, "four.test"); /* pushes long.test out */
    assert_true(resolve(net, &s, &a, "four.test"));
    assert_false(resolve(net, &s, &a, "long.test"));
    net_free(net);
    server_stop(&s);
}

static void truncated_answers_are_asked_for_over_tcp(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    struct net *net = net_with(&s, 5000);
    resolve(net, &s, &a, "big.test");
    assert_int_equal(a.resolution.status, NET_DNS_OK);
    assert_int_equal(a.resolution.count, 3);
    assert_int_equal(s.tcp_queries, 2);
    net_free(net);
    server_stop(&s);
}

static void silence_times_out(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    struct net *net = net_with(&s, 300);
    uint64_t from = net_now_ms(net);
    resolve(net, &s, &a, "silent.test");
    assert_int_equal(a.resolution.status, NET_DNS_TIMEOUT);
    assert_true(net_now_ms(net) - from >= 300);
    assert_true(net_now_ms(net) - from < 2000);
    assert_false(ask(net, &a, "silent.test")); /* not cached */
    net_resolve_cancel(net, &a.resolution);
    net_free(net); /* with queries under way */
    server_stop(&s);
}

/* The other family has 50 ms once there is something; what comes later is there for the next. */
static void one_family_does_not_wait_for_the_other(void **state)
{
    (void)state;
    static const char *const hosts[] = {"slow6.test", "slow4.test"};
    for (int i = 0; i < 2; i++) {
        struct server s;
        struct asked a;
        struct net *net = net_with(&s, 2000);
        uint64_t from = net_now_ms(net);
        resolve(net, &s, &a, hosts[i]);
        assert_int_equal(a.resolution.status, NET_DNS_OK);
        assert_int_equal(a.resolution.count, 1);
        assert_int_equal(a.resolution.addresses[0].version, i == 0 ? 4 : 6);
        assert_true(net_now_ms(net) - from >= 50);
        assert_true(net_now_ms(net) - from < 1000);
        assert_true(resolve(net, &s, &a, hosts[i])); /* still under way, good enough */
        assert_int_equal(a.resolution.count, 1);
        net_free(net);
        server_stop(&s);
    }
}

static void those_who_ask_for_the_same_name_share_a_lookup(void **state)
{
    (void)state;
    struct server s;
    static struct asked a[100];
    struct net *net = net_with(&s, 3000);
    for (int i = 0; i < 100; i++)
        assert_false(ask(net, &a[i], "both.test"));
    net_resolve_cancel(net, &a[0].resolution);
    net_resolve_cancel(net, &a[50].resolution);
    net_resolve_cancel(net, &a[50].resolution);
    help_until(net, step(&s) || a[99].done);
    help_step(net);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(a[i].done, i == 0 || i == 50 ? 0 : 1);
        assert_int_equal(a[i].resolution.count, i == 0 || i == 50 ? 0 : 2);
    }
    assert_int_equal(s.queries, 2);
    net_free(net);
    server_stop(&s);
}

static void cancelled_lookups_still_fill_the_cache(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    struct net *net = net_with(&s, 3000);
    assert_false(ask(net, &a, "four.test"));
    net_resolve_cancel(net, &a.resolution);
    help_until(net, step(&s) || net->resolver == NULL || s.queries == 2);
    help_turns(net, 50);
    assert_int_equal(a.done, 0);
    assert_true(ask(net, &a, "four.test"));
    assert_true(a.resolution.from_cache);
    net_free(net);
    server_stop(&s);
}

static unsigned count_done(const struct asked *a, unsigned count)
{
    unsigned done = 0;
    for (unsigned i = 0; i < count; i++)
        done += a[i].done;
    return done;
}

static void lookups_under_way_are_bounded(void **state)
{
    (void)state;
    struct server s;
    static struct asked a[2100];
    struct net *net = net_with(&s, 300);
    unsigned refused = 0;
    for (int i = 0; i < 2100; i++) {
        char host[32];
        snprintf(host, sizeof(host), "silent.n%d.test", i);
        if (ask(net, &a[i], host)) {
            assert_int_equal(a[i].resolution.status, NET_DNS_FAILED);
            refused++;
        }
    }
    assert_int_equal(refused, 2100 - 2048);
    help_until(net, count_done(a, 2100) == 2048);
    help_until(net, step(&s) || !ask(net, &a[0], "silent.again.test")); /* they end, too */
    net_resolve_cancel(net, &a[0].resolution);
    net_free(net);
    server_stop(&s);
}

static void a_server_that_dies_fails_the_lookup(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    struct net *net = net_with(&s, 3000);
    s.dead = true;
    assert_false(ask(net, &a, "both.test"));
    help_until(net, step(&s) || s.queries == 2);
    server_stop(&s); /* its port says "unreachable" to the next try */
    help_until(net, a.done);
    assert_true(a.resolution.status == NET_DNS_FAILED || a.resolution.status == NET_DNS_TIMEOUT);
    uint64_t from = net_now_ms(net);
    if (!ask(net, &a, "four.test"))
        help_until(net, a.done);
    assert_int_equal(a.resolution.status, NET_DNS_FAILED);
    assert_true(net_now_ms(net) - from < 1000);
    net_free(net);
}

/* ---- files ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void the_hosts_file_comes_first_and_is_followed(void **state)
{
    (void)state;
    struct server s;
    struct asked a;
    char path[] = "/tmp/exeat_hosts_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path,
               "# intranet\n10.1.2.3  Intra.Corp. intra # comment\nfe80::1 intra\nnonsense x\n\n10.0.0.9");
    struct net *net = net_with(&s, 3000);
    net->hosts_file = path;
    assert_true(ask(net, &a, "intra.corp"));
    assert_int_equal(a.resolution.count, 1);
    check_address(&a.resolution, 0, "10.1.2.3");
    assert_true(ask(net, &a, "intra"));
    assert_int_equal(a.resolution.count, 2);
    check_address(&a.resolution, 1, "fe80::1");
    assert_true(ask(net, &a, "localhost"));
    assert_int_equal(a.resolution.count, 2);
    assert_true(ask(net, &a, "a.localhost"));
    check_address(&a.resolution, 1, "127.0.0.1");
    write_file(path, "10.9.9.9 intra\n");
    help_turns(net, 1050);
    assert_true(ask(net, &a, "intra"));
    assert_int_equal(a.resolution.count, 1);
    check_address(&a.resolution, 0, "10.9.9.9");
    assert_int_equal(s.queries, 0);
    unlink(path);
    net_free(net);
    server_stop(&s);
}

/* Lookups under way end on the old servers, new ones go to the new; the cache starts again. */
static void resolv_conf_is_followed(void **state)
{
    (void)state;
    struct server old, new;
    struct asked a, slow;
    char path[] = "/tmp/exeat_resolv_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    server_start(&old, "127.53.0.1", 0);
    server_start(&new, "127.53.0.2", old.at.port);
    new.last_byte = 77;
    write_file(path, "nameserver 127.53.0.1\nsearch test\n");
    struct net_options o = help_options();
    o.dns_servers = NULL;
    struct net *net = help_net(&o);
    net->dns_port = old.at.port;
    net->resolv_conf = path; /* another file: the first lookup finds it changed */
    resolve(net, &old, &a, "four.test");
    check_address(&a.resolution, 0, "192.0.2.1");
    assert_false(ask(net, &slow, "silent.test"));
    write_file(path, "# moved\nnameserver 127.53.0.2\n");
    help_turns(net, 1050);
    assert_false(resolve(net, &new, &a, "four.test"));
    check_address(&a.resolution, 0, "192.0.2.77");
    help_until(net, step(&old) || step(&new) || slow.done);
    assert_int_equal(slow.resolution.status, NET_DNS_TIMEOUT);
    assert_true(old.queries >= 4);
    unlink(path);
    net_free(net);
    server_stop(&old);
    server_stop(&new);
}

static void impossible_names_are_not_found(void **state)
{
    (void)state;
    struct asked a;
    char host[400];
    struct net *net = help_net(NULL);
    memset(host, 'a', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    assert_true(ask(net, &a, host)); /* too long */
    assert_true(ask(net, &a, ""));
    host[200] = '\0';
    assert_true(ask(net, &a, host)); /* a label over 63: c-ares refuses inside the call */
    assert_int_equal(a.resolution.status, NET_DNS_NOT_FOUND);
    net_free(net);
}

struct asked_https {
    struct net_https https;
    unsigned done;
};

static void on_https(struct net_https *h)
{
    ((struct asked_https *)h)->done++;
    assert_null(h->operation);
}

/* True: answered at once. */
static bool ask_https(struct net *net, struct server *s, struct asked_https *a, const char *host)
{
    *a = (struct asked_https){.https = {.done = on_https}};
    if (net_https_ask(net, &a->https, host))
        return true;
    help_until(net, step(s) || a->done);
    assert_int_equal(a->done, 1);
    return false;
}

static void https_records_give_public_names(void **state)
{
    (void)state;
    struct server s;
    struct asked_https a;
    struct net *net = net_with(&s, 1000);
    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(ask_https(net, &s, &a, "ech.test"), again == 1); /* then from the cache */
        assert_true(a.https.answered);
        assert_int_equal(a.https.record.count, 1);
        assert_string_equal(a.https.record.names[0], "a.test");
    }
    assert_int_equal(s.queries, 1);
    assert_false(ask_https(net, &s, &a, "none.test"));
    assert_true(a.https.answered);
    assert_int_equal(a.https.record.count, 0);
    assert_false(ask_https(net, &s, &a, "empty.test"));
    assert_true(a.https.answered);
    assert_false(ask_https(net, &s, &a, "silent.test"));
    assert_false(a.https.answered);
    assert_true(ask_https(net, &s, &a, "x.localhost")); /* never asked for */
    assert_false(a.https.answered);
    a = (struct asked_https){.https = {.done = on_https}};
    assert_false(net_https_ask(net, &a.https, "both.test"));
    net_https_cancel(net, &a.https);
    struct asked_https late = {.https = {.done = on_https}};
    assert_false(net_https_ask(net, &late.https, "four.test"));
    net_free(net); /* with queries under way */
    assert_int_equal(a.done + late.done, 0);
    assert_null(late.https.operation);
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_both_families_come_and_are_cached),
        cmocka_unit_test(each_outcome_has_its_status),
        cmocka_unit_test(no_search_domain_is_ever_tried),
        cmocka_unit_test(names_are_kept_as_long_as_they_live),
        cmocka_unit_test(ttls_are_clamped_and_the_cache_is_bounded),
        cmocka_unit_test(truncated_answers_are_asked_for_over_tcp),
        cmocka_unit_test(silence_times_out),
        cmocka_unit_test(one_family_does_not_wait_for_the_other),
        cmocka_unit_test(those_who_ask_for_the_same_name_share_a_lookup),
        cmocka_unit_test(cancelled_lookups_still_fill_the_cache),
        cmocka_unit_test(lookups_under_way_are_bounded),
        cmocka_unit_test(a_server_that_dies_fails_the_lookup),
        cmocka_unit_test(the_hosts_file_comes_first_and_is_followed),
        cmocka_unit_test(resolv_conf_is_followed),
        cmocka_unit_test(impossible_names_are_not_found),
        cmocka_unit_test(https_records_give_public_names),
    };
    return cmocka_run_group_tests_name("net_resolver", tests, NULL, NULL);
}
