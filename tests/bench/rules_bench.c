/* rules_bench.c: what rules cost. Run by hand: rules_bench [RULES]. Generates rules as people write them (hosts, URLs, user agents, JA3 hashes,
 * processes, networks, volumes; some with `not`), says how long they take to load and what memory they need, and what all looks at one
 * tunnel and at one plain request, none of which match, cost together. */
#include "rules/evaluate.h"

#include "base/buf.h"
#include "base/must.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RULES_DEFAULT = 4000, ROUNDS = 20000, TEXT_BYTES = 64 << 20 };

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static const char *const bodies[] = {
    "{category: proxy}\ndetection: {s: {cs-host|endswith: '.bad%u.example'}, condition: s}",
    "{category: proxy}\ndetection: {s: {c-uri|contains: ['/gate%u.php', '/panel%u/login'], cs-method: POST}, "
    "condition: s}",
    "{category: proxy}\ndetection: {s: {c-useragent|contains: 'agent-%u/'}, condition: s}",
    "{category: proxy}\ndetection: {s: {c-uri|re: '/[a-z]{4,8}%u/[0-9]+\\.bin'}, condition: s}",
    "{product: zeek, service: ssl}\ndetection: {s: {ja3: '%032u'}, condition: s}",
    "{product: zeek, service: ssl}\ndetection: {s: {server_name|startswith: 'x%u.'}, condition: s}",
    "{category: process_creation}\ndetection: {s: {Image|endswith: '/tool%u', CommandLine|contains: ' -e '}, "
    "condition: s}",
    "{category: network_connection}\ndetection: {s: {Image|endswith: '/bin/p%u'}, f: "
    "{DestinationHostname|endswith: '.good%u.example'}, "
    "condition: s and not f}",
    "{category: firewall}\ndetection: {s: {dst_ip|cidr: '10.%u.0.0/16', dst_port: %u}, condition: s}",
    "{category: proxy}\ndetection: {s: {cs-bytes|gt: %u000000, cs-host|contains: 'share%u'}, condition: s}",
};

static void generate(struct buf *text, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned n = i % 10 == 8 ? i / 10 % 256 : i, m = i % 10 == 8 ? 1 + i % 60000 : i;
        buf_printf(text,
                   "title: rule %u\nid: %08u-0000-4000-8000-000000000000\nlevel: medium\nlogsource: ", i, i);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        buf_printf(text, bodies[i % ARRAY_LEN(bodies)], n, m);
#pragma GCC diagnostic pop
        buf_append_str(text, "\n---\n");
    }
    must(!text->failed);
}

struct load {
    struct arena arena;
    const struct logsource *tables;
    struct sigma_document *first, **tail;
};

static void take(void *context, struct sigma_document *d, const struct err *e)
{
    struct load *l = context;
    if (!d) {
        fprintf(stderr, "%u:%u %s\n", e->line, e->column, e->text);
        exit(1);
    }
    *l->tail = d;
    l->tail = &d->next;
}

static void reject(void *context, const struct sigma_document *d, const struct err *e)
{
    (void)context;
    (void)d;
    fprintf(stderr, "%u:%u %s\n", e->line, e->column, e->text);
    exit(1);
}

static const char *name_field(void *context, const struct sigma_document *d, const char *field)
{
    const struct load *l = context;
    return logsource_name_field(l->tables, &d->logsource, field);
}

static struct rulebook *load(unsigned count)
{
    struct load l = {.tail = &l.first};
    struct buf text;
    struct err err = {0};
    char why[COMPILE_WHY_BYTES];
    buf_init(&text, TEXT_BYTES);
    generate(&text, count);
    arena_init(&l.arena, 1 << 30);
    size_t before = mallinfo2().uordblks;
    double begun = now_us();
    l.tables = logsource_read_all(&l.arena, &err);
    struct span all = buf_span(&text);
    for (size_t at = 0; at < all.len;) { /* a file has an end of its own */
        size_t len = all.len - at < 1 << 20 ? all.len - at : 1 << 20;
        while (at + len < all.len && memcmp(all.data + at + len - 5, "\n---\n", 5) != 0)
            len--;
        sigma_read(&l.arena, span_of(all.data + at, len - 5), "generated.yml", &(struct sigma_options){0},
                   take, &l);
        at += len;
    }
    double read = now_us();
    struct ruleset *set = ruleset_link_named(l.first, name_field, reject, &l);
    must(set);
    double linked = now_us();
    struct compiled *compiled = compile_all(set, why);
    must(compiled);
    double done = now_us();
    printf("rules %zu, questions %zu, fields %u\n", set->rule_count, set->atom_count, set->fields.count);
    printf("read %.0f ms, link %.0f ms, compile %.0f ms\n", (read - begun) / 1e3, (linked - read) / 1e3,
           (done - linked) / 1e3);
    struct rulebook *b = rulebook_make(&l.arena, set, compiled, l.tables, NULL, &err);
    must(b);
    printf("memory %.1f MiB, of which databases %.1f MiB\n",
           (double)(mallinfo2().uordblks - before) / 1048576 - 0.0, (double)compiled->bytes / 1048576);
    buf_free(&text);
    return b;
}

static size_t look(struct evaluator *e, struct evaluation *x, struct facts *f, enum fact_phase phase)
{
    const uint32_t *rules;
    size_t count;
    must(evaluate(e, x, f, (struct evaluate_how){.phase = phase}, &rules, &count) == 0);
    return count;
}

static void set_sender(struct facts *f, const struct ip *client)
{
    fact_set_ip(f, FACT_client_ip, client);
    fact_set_int(f, FACT_client_port, 51234);
    fact_set_text(f, FACT_transport, "tcp");
    fact_set_text(f, FACT_sender_image, "/usr/bin/python3.11");
    fact_set_text(f, FACT_sender_command_line,
                  "/usr/bin/python3 /opt/report/send.py --to reports.example.com --quiet");
    fact_set_text(f, FACT_sender_user, "report");
    fact_set_int(f, FACT_sender_pid, 4711);
    fact_set_text(f, FACT_method, "CONNECT");
    fact_set_text(f, FACT_host, "reports.eu-central-1.cloud.example.com");
    fact_set_int(f, FACT_port, 443);
    fact_set_text(f, FACT_user_agent,
                  "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0");
    facts_settle(f, FACT_ACCEPT, FACT_ABSENT);
    facts_settle(f, FACT_CONNECT, FACT_ABSENT);
}

static size_t tunnel(struct evaluator *e, const struct ip *client, const struct ip *server)
{
    struct facts f = {0};
    struct evaluation x = {0};
    set_sender(&f, client);
    size_t matched = look(e, &x, &f, FACT_CONNECT);
    fact_set_ip(&f, FACT_server_ip, server);
    facts_settle(&f, FACT_ADDRESS, FACT_ABSENT);
    matched += look(e, &x, &f, FACT_ADDRESS);
    fact_set_text(&f, FACT_sni, "reports.eu-central-1.cloud.example.com");
    fact_set_text(&f, FACT_ja3, "5e2a7c1f0b9d4e8fa6c3b2d1e0f9a8b7");
    fact_set_text(&f, FACT_ja4, "t13d1516h2_8daaf6152771_02713d6af862");
    fact_set_text(&f, FACT_tunnel_protocol, "tls");
    facts_settle(&f, FACT_HELLO, FACT_ABSENT);
    facts_settle(&f, FACT_CHAIN, FACT_UNOBSERVABLE);
    facts_settle(&f, FACT_REQUEST, FACT_UNOBSERVABLE);
    matched += look(e, &x, &f, FACT_HELLO);
    fact_set_int(&f, FACT_bytes_out, 3000);
    fact_set_int(&f, FACT_bytes_in, 90000);
    matched += look(e, &x, &f, FACT_RELAY);
    matched += look(e, &x, &f, FACT_CLOSE);
    evaluation_free(&x);
    return matched;
}

static size_t request(struct evaluator *e, const struct ip *client, const struct ip *server)
{
    struct facts f = {0};
    struct evaluation x = {0};
    set_sender(&f, client);
    size_t matched = look(e, &x, &f, FACT_CONNECT);
    fact_set_text(
        &f, FACT_url_whole,
        "http://reports.eu-central-1.cloud.example.com/v2/upload/2026/11/21/part-0001?token=abcdef");
    fact_set_text(&f, FACT_url_target, "/v2/upload/2026/11/21/part-0001?token=abcdef");
    fact_set_text(&f, FACT_url_path, "/v2/upload/2026/11/21/part-0001");
    fact_set_text(&f, FACT_request_method, "POST");
    facts_settle(&f, FACT_HELLO, FACT_UNOBSERVABLE);
    facts_settle(&f, FACT_REQUEST, FACT_ABSENT);
    matched += look(e, &x, &f, FACT_REQUEST);
    fact_set_ip(&f, FACT_server_ip, server);
    matched += look(e, &x, &f, FACT_ADDRESS);
    fact_set_int(&f, FACT_status, 200);
    matched += look(e, &x, &f, FACT_RESPONSE);
    fact_set_int(&f, FACT_bytes_out, 3000);
    matched += look(e, &x, &f, FACT_CLOSE);
    evaluation_free(&x);
    return matched;
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : RULES_DEFAULT;
    struct rulebook *b = load(count);
    size_t before = mallinfo2().uordblks, matched = 0;
    struct evaluator *e = evaluator_new(b);
    must(e);
    printf("memory a worker %.1f MiB\n", (double)(mallinfo2().uordblks - before) / 1048576);
    struct ip client, server;
    must(ip_parse(span_str("192.0.2.17"), &client) && ip_parse(span_str("203.0.113.9"), &server));
    for (int what = 0; what < 2; what++) {
        double begun = now_us();
        for (int i = 0; i < ROUNDS; i++)
            matched += what ? request(e, &client, &server) : tunnel(e, &client, &server);
        printf("%s, five looks: %.2f us\n", what ? "plain request" : "tunnel", (now_us() - begun) / ROUNDS);
    }
    printf("matched %zu\n", matched);
    evaluator_free(e);
    rulebook_free(b);
    return 0;
}
