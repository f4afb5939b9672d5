/* observed_test.c: which facts were observed of which host within a day; how many hosts there is room for. */
#include "flow/observed.h"

#include "base/must.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

struct count {
    unsigned hosts, ja4, sni, linux_hosts;
};

static void on_host(void *owner, const char *platform, const bool seen[FACT_COUNT])
{
    struct count *c = owner;
    c->hosts++;
    c->ja4 += seen[FACT_ja4];
    c->sni += seen[FACT_sni];
    c->linux_hosts += strcmp(platform, "linux") == 0;
}

static struct count count(struct observed *o, int64_t now_s)
{
    struct count c = {0};
    observed_each(o, now_s, on_host, &c);
    return c;
}

static void what_was_looked_for_is_observed(void **state)
{
    (void)state;
    enum { NOW = 1000000, DAY = OBSERVED_WINDOW_S };
    struct observed *o = observed_new(NULL);
    static struct facts facts;
    fact_set_text(&facts, FACT_ja4, "t13d");
    facts.values[FACT_sni].state = FACT_UNOBSERVABLE;
    observed_note(o, span_str("a"), "linux", &facts, NOW);
    facts.values[FACT_sni].state = FACT_ABSENT; /* looked for, not there */
    observed_note(o, span_str("b"), "", &facts, NOW + 10);
    struct count c = count(o, NOW + 20);
    assert_int_equal(c.hosts, 2);
    assert_int_equal(c.ja4, 2);
    assert_int_equal(c.sni, 1);
    assert_int_equal(c.linux_hosts, 1);
    assert_int_equal(count(o, NOW + DAY).hosts, 1);
    assert_int_equal(count(o, NOW + DAY + 10).hosts, 0);
    facts.values[FACT_sni].state =
        FACT_PENDING; /* seen again: what was not observed since is forgotten in its time */
    observed_note(o, span_str("b"), "linux", &facts, NOW + DAY);
    c = count(o, NOW + DAY + 10);
    assert_int_equal(c.hosts, 1);
    assert_int_equal(c.ja4, 1);
    assert_int_equal(c.sni, 0);
    assert_int_equal(c.linux_hosts, 1);
    observed_free(o);
}

static void there_is_an_end_to_it(void **state)
{
    (void)state;
    struct observed *o = observed_new(NULL);
    static struct facts facts;
    char name[16];
    for (int i = 0; i < OBSERVED_HOSTS_MAX + 10; i++) {
        snprintf(name, sizeof name, "host-%d", i);
        observed_note(o, span_str(name), "", &facts, 1000000);
    }
    struct count c = {0};
    assert_int_equal(observed_each(o, 1000000, on_host, &c), 10);
    assert_int_equal(c.hosts, OBSERVED_HOSTS_MAX);
    observed_note(o, span_str("new"), "", &facts,
                  1000000 + OBSERVED_WINDOW_S + 100); /* the old ones make room */
    assert_int_equal(count(o, 1000000 + OBSERVED_WINDOW_S + 100).hosts, 1);
    observed_free(o);
}

static struct store *start(const char *path)
{
    struct store *s = store_open(path);
    assert_non_null(s);
    return s;
}

static void finish(struct store *s, struct observed *o)
{
    assert_true(store_close(s, 10000));
    observed_free(o);
}

static void a_restart_forgets_nothing(void **state)
{
    (void)state;
    enum { DAY = OBSERVED_WINDOW_S };
    const int64_t now_s = (int64_t)time(NULL); /* the store forgets what is years old */
    static struct facts facts;
    struct err e;
    char folder[] = "/tmp/exeat-observed-XXXXXX", path[64], command[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/history.sqlite", folder);
    struct store *s = start(path);
    struct observed *o = observed_new(s);
    assert_int_equal(store_start(s, &e), 0);
    fact_set_text(&facts, FACT_ja4, "t13d");
    facts.values[FACT_sni].state = FACT_UNOBSERVABLE;
    observed_note(o, span_str("a"), "linux", &facts, now_s);
    facts.values[FACT_sni].state = FACT_ABSENT;
    observed_note(o, span_str("b"), "", &facts, now_s + 10);
    finish(s, o);
    s = start(path);
    o = observed_new(s);
    assert_int_equal(store_start(s, &e), 0);
    struct count c = count(o, now_s + 20);
    assert_int_equal(c.hosts, 2);
    assert_int_equal(c.ja4, 2);
    assert_int_equal(c.sni, 1);
    assert_int_equal(c.linux_hosts, 1);
    observed_note(o, span_str("a"), "linux", &facts, now_s + DAY); /* goes on, in its place */
    finish(s, o);
    s = start(path);
    o = observed_new(s);
    assert_int_equal(count(o, now_s + DAY + 10).hosts, 1);
    assert_int_equal(count(o, now_s + DAY + 10).sni, 1);
    finish(s, o);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_looked_for_is_observed),
                                       cmocka_unit_test(a_restart_forgets_nothing),
                                       cmocka_unit_test(there_is_an_end_to_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
