/* conf_test.c: defaults, each type of option, places of errors, what is shown reads back, secrets stay out of it. */
#include "base/must.h"
#include "conf/conf.h"
#include "conf/file.h"
#include "conf/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct conf *parse(const char *text)
{
    struct err err = {0};
    struct conf *c = conf_parse(span_str(text), "c.yaml", "/etc/exeat", &err);
    if (!c)
        fail_msg("%u:%u: %s\n%s", err.line, err.column, err.text, text);
    return c;
}

static void defaults(void **state)
{
    (void)state;
    struct conf *c = parse("");
    char text[ENDPOINT_TEXT_BYTES];
    assert_int_equal(c->listen.addresses.count, 2);
    assert_string_equal(endpoint_format(&c->listen.addresses.items[1], text), "[::1]:3128");
    assert_int_equal(c->timeouts.head_ms, 10000);
    assert_int_equal(c->limits.hello_bytes, 65536);
    assert_int_equal(c->agent.timeout_ms, 50);
    assert_int_equal(c->connect.ports.count, 3);
    assert_true(conf_port_has(&c->connect.ports, 8443));
    assert_false(conf_port_has(&c->connect.ports, 8444));
    assert_string_equal(c->policy.baseline, "/etc/exeat/baseline.yaml");
    assert_string_equal(c->process.pid_file, "/var/lib/exeat/exeatd.pid");
    assert_string_equal(c->admin.socket, "/var/lib/exeat/admin.sock");
    assert_string_equal(c->audit.file, "/var/lib/exeat/audit.jsonl");
    assert_null(c->auth.password_file);
    assert_false(c->auth.required);
    assert_int_equal(c->audit.full, CONF_FULL_CLOSED);
    assert_int_equal(c->policy.on_revoke, CONF_ON_REVOKE_CUT);
    assert_int_equal(c->process.log_level, LOG_LEVEL_NOTICE);
    assert_int_equal(c->parent_count, 0);
    conf_free(c);
}

static void each_type(void **state)
{
    (void)state;
    struct conf *c = parse(
        "listen:\n"
        "  addresses: [\"0.0.0.0:1\"]\n"
        "  proxy_protocol_from: [10.0.0.0/8, \"fd00::/8\"]\n"
        "  workers: 3\n"
        "process: {state_folder: state, log_level: debug, user: nobody}\n"
        "admin:\n"
        "agent: {socket: ~, timeout: 1s}\n"
        "resolver: {servers: [192.0.2.1, \"192.0.2.1:5353\", \"2001:db8::1\", \"[2001:db8::1]:5353\"]}\n"
        "limits: {head: 1MiB, target: 300B, hello: 8KiB}\n"
        "timeouts: {drain: 0s, tunnel_idle: 2d, idle: 90s}\n"
        "auth: {password_file: /p, required: true}\n"
        "policy: {sni_mismatch: refuse, on_revoke: keep}\n"
        "audit: {full: open, file: log/a.jsonl, include_query: true}\n");
    char text[ENDPOINT_TEXT_BYTES];
    assert_int_equal(c->listen.addresses.count, 1);
    assert_int_equal(c->listen.workers, 3);
    assert_int_equal(c->listen.proxy_protocol_from.items[1].prefix, 8);
    struct ip ip;
    assert_true(ip_parse(span_str("10.9.9.9"), &ip) && conf_network_has(&c->listen.proxy_protocol_from, &ip));
    assert_true(ip_parse(span_str("11.9.9.9"), &ip) &&
                !conf_network_has(&c->listen.proxy_protocol_from, &ip));
    assert_string_equal(c->process.state_folder, "/etc/exeat/state");
    assert_string_equal(c->admin.socket, "/etc/exeat/state/admin.sock");
    assert_int_equal(c->process.log_level, LOG_LEVEL_DEBUG);
    assert_string_equal(c->process.user, "nobody");
    assert_null(c->agent.socket);
    assert_int_equal(c->agent.timeout_ms, 1000);
    assert_int_equal(c->resolver.servers.count, 4);
    assert_string_equal(endpoint_format(&c->resolver.servers.items[2], text), "[2001:db8::1]:53");
    assert_int_equal(c->limits.head_bytes, 1 << 20);
    assert_int_equal(c->limits.target_bytes, 300);
    assert_int_equal(c->timeouts.drain_ms, 0);
    assert_int_equal(c->timeouts.tunnel_idle_ms, 2 * 86400000);
    assert_int_equal(c->timeouts.idle_ms, 90000);
    assert_true(c->auth.required);
    assert_int_equal(c->policy.sni_mismatch, CONF_SNI_MISMATCH_REFUSE);
    assert_int_equal(c->policy.on_revoke, CONF_ON_REVOKE_KEEP);
    assert_int_equal(c->audit.full, CONF_FULL_OPEN);
    assert_string_equal(c->audit.file, "/etc/exeat/log/a.jsonl");
    assert_true(c->audit.include_query);
    conf_free(c);
}

static void refuse(const char *text, unsigned line, unsigned column, const char *part)
{
    struct err err = {0};
    struct conf *c = conf_parse(span_str(text), "c.yaml", "/etc/exeat", &err);
    conf_free(c);
    if (c)
        fail_msg("taken:\n%s", text);
    if (err.line != line || err.column != column || !strstr(err.text, part))
        fail_msg("%u:%u: %s (expected %u:%u %s)\n%s", err.line, err.column, err.text, line, column, part,
                 text);
    assert_string_equal(err.file, "c.yaml");
}

static void errors(void **state)
{
    (void)state;
    refuse("[]", 1, 1, "a mapping");
    refuse("listn: {}", 1, 1, "did you mean \"listen\"?");
    refuse("listen: []", 1, 9, "a mapping");
    refuse("timeouts:\n  head: 5s\n  hed: 5s\n", 3, 3, "did you mean \"head\"?");
    refuse("timeouts: {head_ms: 5s}", 1, 12, "did you mean \"head\"?");
    refuse("timeouts: {head: 5}", 1, 18, "a time with its unit from 100ms to 10m");
    refuse("timeouts: {head: 5 s}", 1, 18, "a time with its unit");
    refuse("timeouts: {head: '5s'}", 1, 18, "a time with its unit");
    refuse("timeouts: {head: 05s}", 1, 18, "a time with its unit");
    refuse("timeouts: {head: -5s}", 1, 18, "a time with its unit");
    refuse("timeouts: {head: 9999999999d}", 1, 18, "a time with its unit");
    refuse("timeouts: {head: 11m}", 1, 18, "a time with its unit");
    refuse("timeouts: {head: }", 1, 18, "a time with its unit");
    refuse("timeouts: {head: [5s]}", 1, 18, "a time with its unit");
    refuse("limits: {hello: 65KiB}", 1, 17, "a size with its unit from 4KiB to 64KiB");
    refuse("limits: {hello: 8192}", 1, 17, "a size with its unit");
    refuse("limits: {flows: 1.5}", 1, 17, "a whole number from 1 to 1000000");
    refuse("limits: {flows: many}", 1, 17, "a whole number");
    refuse("auth: {required: yes}", 1, 18, "true or false");
    refuse("listen: {addresses: \"127.0.0.1:1\"}", 1, 21, "a list");
    refuse("listen: {addresses: [\"127.0.0.1\"]}", 1, 22, "an address with its port");
    refuse("listen: {addresses: [\"localhost:1\"]}", 1, 22, "an address with its port");
    refuse("listen: {addresses: [\"127.0.0.1:1\", \"127.0.0.1:1\"]}", 1, 37, "given twice");
    refuse("resolver: {servers: [dns.example]}", 1, 22, "an address");
    refuse("guard: {allow_networks: [10.0.0.1/8]}", 1, 26, "a network");
    refuse("guard: {allow_networks: [10.0.0.0/8, 10.0.0.0/8]}", 1, 38, "given twice");
    refuse("connect: {ports: []}", 1, 18, "1 to 4096 items");
    refuse("connect: {ports: [0]}", 1, 19, "a port");
    refuse("connect: {ports: [443, 443]}", 1, 24, "given twice");
    refuse("connect: {ports: [65536]}", 1, 19, "a port");
    refuse("process: {log_level: verbose}", 1, 22, "error, warning, notice, info or debug");
    refuse("process: {state_folder: }", 1, 25, "not nothing");
    refuse("process: {user: \"a\\tb\"}", 1, 17, "control character");
    refuse("policy: {baseline: ~}", 1, 20, "not nothing");
    refuse("http: {via: a b}", 1, 13, "a token");
    refuse("audit: {full: yes}", 1, 15, "closed or open");
    refuse("a: 1\na: 1", 2, 1, "given twice");
}

static void combinations(void **state)
{
    (void)state;
    refuse("listen: {addresses: []}", 1, 21, "no address to listen on");
    refuse("listen:\n  tls_addresses: [\"127.0.0.1:1\"]", 2, 18, "tls_certificate and tls_key");
    refuse("listen:\n  tls_addresses: [\"127.0.0.1:1\"]\n  tls_key: k", 2, 18, "tls_certificate and tls_key");
    refuse("listen:\n  tls_key: k", 2, 12, "nothing uses it");
    refuse("listen:\n  tls_addresses: [\"127.0.0.1:3128\"]\n  tls_key: k\n  tls_certificate: c", 2, 18,
           "in addresses as well");
    refuse("listen: {tls_client_ca: c}", 1, 25, "nothing uses it");
    refuse("listen: {tls_client_required: true}", 1, 31, "tls_client_ca is needed");
    refuse("listen: {tls_client_crl: c}", 1, 26, "tls_client_ca is needed");
    refuse("listen: {proxy_protocol_from: [0.0.0.0/0]}", 1, 31, "anyone may say");
    refuse("auth: {required: true}", 1, 18, "password_file");
    refuse("auth: {realm: 'a\"b'}", 1, 15, "without quotes");
    refuse("limits: {flows: 10}", 1, 17, "flows_per_client is larger");
    refuse("limits: {head: 2KiB}", 1, 16, "target is larger");
    refuse("dial: {timeout: 200ms}", 1, 17, "attempt_delay");
    refuse("process: {group: g}", 1, 18, "without a user");
    refuse("agent: {socket: ~, when_unavailable: refuse}", 1, 38, "every flow would be refused");
    char text[512];
    snprintf(text, sizeof text, "admin: {socket: /%0120d}", 0);
    refuse(text, 1, 17, "at most 107 bytes");
    conf_free(
        parse("listen: {addresses: [], tls_addresses: [\"127.0.0.1:1\"], tls_key: k, tls_certificate: c}"));
}

static const struct conf_parent *parent_for(const struct conf *c, const char *name)
{
    struct host h;
    assert_int_equal(host_canonical_bare(span_str(name), &h), HOST_OK);
    return conf_find_parent(c, &h);
}

static void parents(void **state)
{
    (void)state;
    struct conf *c = parse("parents:\n"
                           "  - match: [Intra.Example, 10.0.0.0/8]\n"
                           "    direct: true\n"
                           "  - match: [partner.example]\n"
                           "    proxies: [\"p.example:3128\", \"[2001:db8::1]:8080\"]\n"
                           "    user: gateway\n"
                           "    password_file: secret\n");
    assert_int_equal(c->parent_count, 2);
    assert_ptr_equal(parent_for(c, "a.intra.example"), &c->parents[0]);
    assert_ptr_equal(parent_for(c, "10.1.1.1"), &c->parents[0]);
    assert_null(parent_for(c, "11.1.1.1"));
    assert_null(parent_for(c, "xintra.example"));
    const struct conf_parent *p = parent_for(c, "partner.example");
    assert_int_equal(p->proxy_count, 2);
    assert_string_equal(p->proxies[1].host.name, "2001:db8::1");
    assert_int_equal(p->proxies[1].port, 8080);
    assert_string_equal(p->password_file, "/etc/exeat/secret");
    assert_null(p->password);
    assert_int_equal(p->line, 4);
    conf_free(c);
    refuse("parents: {}", 1, 10, "a list");
    refuse("parents: [{proxies: [\"a:1\"]}]", 1, 11, "match is missing");
    refuse("parents: [{match: [any]}]", 1, 11, "either proxies or direct");
    refuse("parents: [{match: [any], proxies: [\"a:1\"], direct: true}]", 1, 11, "either proxies or direct");
    refuse("parents: [{match: [any], direct: false}]", 1, 11, "either proxies or direct");
    refuse("parents: [{match: [], direct: true}]", 1, 19, "1 to 1024 items");
    refuse("parents: [{match: [\"*.x\"], direct: true}]", 1, 20, "any, a domain or a network");
    refuse("parents: [{match: [any], proxies: [a]}]", 1, 36, "a proxy is host:port: there is no port");
    refuse("parents: [{match: [any], proxies: [\"u:p@a:1\"]}]", 1, 36, "a proxy is host:port");
    refuse("parents: [{match: [any], proxies: [\"a:1\"], user: u}]", 1, 11, "go together");
    refuse("parents: [{match: [any], proxies: [\"a:1\"], user: \"u:v\", password_file: f}]", 1, 50,
           "no colon");
    refuse("parents: [{match: [any], direct: true, user: u, password_file: f}]", 1, 11, "no credentials");
    refuse("parents: [{match: [any], direct: true}, {match: [x], direct: true}]", 1, 41, "never counts");
    refuse("parents: [{match: [any], proxys: [\"a:1\"]}]", 1, 26, "did you mean \"proxies\"?");
}

static void show(const struct conf *c, bool only_changed, struct buf *out)
{
    buf_init(out, 1 << 20);
    conf_show(c, only_changed, out);
    assert_false(out->failed);
    buf_append(out, "", 1);
}

/* What is shown reads back to the same, with nothing lost. */
static void assert_shows_back(const char *text)
{
    struct buf first, second;
    struct conf *c = parse(text);
    show(c, false, &first);
    struct conf *again = parse((const char *)buf_span(&first).data);
    show(again, false, &second);
    assert_string_equal((const char *)buf_span(&first).data, (const char *)buf_span(&second).data);
    assert_null(conf_restart_needed(c, again));
    buf_free(&first);
    buf_free(&second);
    conf_free(c);
    conf_free(again);
}

static void shows_what_it_reads(void **state)
{
    (void)state;
    assert_shows_back("");
    assert_shows_back(
        "listen: {addresses: [\"[::1]:5\"], proxy_protocol_from: [10.0.0.0/8]}\n"
        "process: {state_folder: 'a \"quoted\" b\\c', log_level: error, user: \"\xc3\xbc\"}\n"
        "agent: {socket: null}\ntimeouts: {head: 1234ms, drain: 0s}\nlimits: {head: 65537B}\n"
        "resolver: {servers: [192.0.2.1]}\n"
        "parents: [{match: [any], proxies: [\"[::1]:1\", \"a:2\"], user: 'a\"b', password_file: x}]\n");
    struct buf out;
    struct conf *c = parse("timeouts: {head: 10s, hello: 5s}\nprocess: {log_level: notice}\n");
    show(c, true, &out);
    assert_string_equal((const char *)buf_span(&out).data, "timeouts:\n  hello: 5s\n");
    buf_free(&out);
    conf_free(c);
}

static void reloads(void **state)
{
    (void)state;
    struct conf *a = parse("listen: {workers: 2}\ntimeouts: {head: 5s}"), *b = parse("listen: {workers: 2}"),
                *c = parse("listen: {workers: 3}"),
                *d = parse("listen: {addresses: [\"127.0.0.1:3128\"], workers: 2}");
    assert_null(conf_restart_needed(a, b));
    assert_string_equal(conf_restart_needed(b, c), "listen.workers");
    assert_string_equal(conf_restart_needed(b, d), "listen.addresses");
    conf_free(a);
    conf_free(b);
    conf_free(c);
    conf_free(d);
}

static void references(void **state)
{
    (void)state;
    struct buf markdown, man;
    buf_init(&markdown, 1 << 20);
    buf_init(&man, 1 << 20);
    conf_reference_markdown(&markdown);
    conf_reference_man(&man);
    assert_false(markdown.failed || man.failed);
    buf_append(&markdown, "", 1);
    buf_append(&man, "", 1);
    for (size_t i = 0; i < option_count; i++) {
        char row[128];
        snprintf(row, sizeof row, "| `%s` |", option_table[i].name);
        assert_non_null(strstr((const char *)buf_span(&markdown).data, row));
        snprintf(row, sizeof row, ".TP\n.B %s\n", option_table[i].name);
        if (!strchr(option_table[i].name, '-'))
            assert_non_null(strstr((const char *)buf_span(&man).data, row));
        assert_true(strlen(option_table[i].doc) > 5);
    }
    buf_free(&markdown);
    buf_free(&man);
}

/* ---- files ---- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/exeat_conf_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"exeat.yaml", "users", "parent", "parent2"};
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static struct conf *load(struct err *reterr)
{
    char path[128];
    snprintf(path, sizeof path, "%s/exeat.yaml", folder);
    *reterr = (struct err){0};
    return conf_load(path, reterr);
}

static void refuse_load(const char *file, unsigned line, unsigned column, const char *part)
{
    struct err err;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    struct conf *c = load(&err);
    conf_free(c);
    assert_null(c);
    if (strcmp(err.file, path) != 0 || err.line != line || err.column != column || !strstr(err.text, part))
        fail_msg("%s:%u:%u: %s (expected %s:%u:%u %s)", err.file, err.line, err.column, err.text, file, line,
                 column, part);
}

static void loads_files(void **state)
{
    (void)state;
    struct err err;
    write_file("exeat.yaml",
               "auth: {password_file: users}\n"
               "parents: [{match: [any], proxies: [\"a:1\"], user: u, password_file: parent}]\n",
               0644);
    refuse_load("users", 0, 0, "cannot be opened");
    write_file("users", "# people\n\nzoe:$6$salt$hashhashhash\nal:$y$j9T$salt$hash\nalice:$2b$05$hashhash\n",
               0644);
    refuse_load("users", 0, 0, "others can read");
    write_file("users", "# people\n\nzoe:$6$salt$hashhashhash\nal:$y$j9T$salt$hash\nalice:$2b$05$hashhash\n",
               0640);
    refuse_load("parent", 0, 0, "cannot be opened");
    write_file("parent", "s3cret pass\n", 0600);
    struct conf *c = load(&err);
    if (!c)
        fail_msg("%s:%u:%u: %s", err.file, err.line, err.column, err.text);
    assert_int_equal(c->user_count, 3);
    assert_string_equal(conf_find_user(c, span_str("zoe")), "$6$salt$hashhashhash");
    assert_string_equal(conf_find_user(c, span_str("al")), "$y$j9T$salt$hash");
    assert_string_equal(conf_find_user(c, span_str("alice")), "$2b$05$hashhash");
    assert_null(conf_find_user(c, span_str("ali")));
    assert_null(conf_find_user(c, span_str("alicea")));
    assert_null(conf_find_user(c, span_str("")));
    assert_null(conf_find_user(c, span_of("al\0x", 4)));
    assert_string_equal(c->parents[0].password, "s3cret pass");
    struct buf out;
    show(c, false, &out);
    assert_null(strstr((const char *)buf_span(&out).data, "s3cret"));
    assert_null(strstr((const char *)buf_span(&out).data, "hashhash"));
    buf_free(&out);
    conf_free(c);
}

static void refuses_files(void **state)
{
    (void)state;
    write_file("exeat.yaml", "auth: {password_file: users}\n", 0644);
    static const struct {
        const char *text, *part;
        unsigned line, column;
    } rows[] = {
        {"a:$6$s$hashhash\nb\n", "a line is user:hash", 2, 1},
        {":$6$s$hashhash\n", "a line is user:hash", 1, 1},
        {"al:plain\n", "not a crypt(5) hash", 1, 4},
        {"al:$apr1$abc$abcdef\n", "not a crypt(5) hash", 1, 4},
        {"al:\n", "not a crypt(5) hash", 1, 4},
        {"al:$6$s$hash:more\n", "not a crypt(5) hash", 1, 4},
        {"al:$6$s$hash hash\n", "not a crypt(5) hash", 1, 4},
        {"a:$6$s$hashhash\nb:$6$s$hashhash\na:$6$s$hashhash\n", "there twice", 0, 0},
        {"al:$6$s$hashhash\r\n", "not a crypt(5) hash", 1, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        write_file("users", rows[i].text, 0600);
        refuse_load("users", rows[i].line, rows[i].column, rows[i].part);
    }
    write_file("exeat.yaml",
               "parents: [{match: [any], proxies: [\"a:1\"], user: u, password_file: parent2}]\n", 0644);
    write_file("parent2", "\n", 0600);
    refuse_load("parent2", 0, 0, "holds no password");
    write_file("parent2", "a\nb\n", 0600);
    refuse_load("parent2", 0, 0, "one line");
    write_file("exeat.yaml", "limits: {flow: 1}\n", 0644);
    refuse_load("exeat.yaml", 1, 10, "did you mean \"flows\"?");
    struct err err = {0};
    assert_null(conf_load(folder, &err));
    assert_non_null(strstr(err.text, "not a regular file"));
    struct buf small;
    buf_init(&small, 4);
    char path[128];
    snprintf(path, sizeof path, "%s/exeat.yaml", folder);
    err = (struct err){0};
    assert_int_equal(conf_file_read(path, false, &small, &err), -1);
    assert_non_null(strstr(err.text, "larger than 4 bytes"));
    buf_free(&small);
}

static void the_starting_configuration(void **state)
{
    (void)state;
    struct err err = {0};
    struct conf *c = conf_load(EXEAT_SOURCE_DIR "/policy/exeat.yaml", &err);
    if (!c)
        fail_msg("%u:%u: %s", err.line, err.column, err.text);
    assert_non_null(strstr(c->policy.baseline, "/policy/baseline.yaml"));
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(each_type),
        cmocka_unit_test(errors),
        cmocka_unit_test(combinations),
        cmocka_unit_test(parents),
        cmocka_unit_test(shows_what_it_reads),
        cmocka_unit_test(reloads),
        cmocka_unit_test(references),
        cmocka_unit_test(loads_files),
        cmocka_unit_test(refuses_files),
        cmocka_unit_test(the_starting_configuration),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
