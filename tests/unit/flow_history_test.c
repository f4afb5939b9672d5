/* flow_history_test.c: what an agent tells of a sender's history, as facts: what cannot be seen is unobservable, what was looked for
 * in vain is absent; and when two histories differ. */
#include <jansson.h>

#include "flow/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct agent_history *decode(const char *text)
{
    json_t *object = json_loads(text, 0, NULL);
    struct agent_history *h = agent_history_decode(object);
    json_decref(object);
    assert_non_null(h);
    return h;
}

static const char told[] =
    "{\"window_s\":3600,\"seen\":["
    "{\"kind\":\"sensitive_access\",\"class\":\"ssh_key\",\"count\":2,\"first_s\":50,\"last_s\":40},"
    "{\"kind\":\"sensitive_access\",\"class\":\"plans\",\"count\":3,\"first_s\":30,\"last_s\":20}],"
    "\"losses\":{\"events\":1,\"files\":2,\"forgotten\":3},\"not_observable\":[\"public_key_outside_tls\"],"
    "\"usage\":{\"executions\":{\"count\":9},\"connections\":{\"count\":4},\"connected_executions\":2}}";

static void facts_of_what_is_told(void **state)
{
    (void)state;
    struct facts *f = calloc(1, sizeof *f);
    struct agent_history *h = decode(told);
    history_set_facts(f, h);
    assert_int_equal(f->values[FACT_history_sensitive_access].as.integer, 5);
    assert_int_equal(f->values[FACT_history_sensitive_access_age_s].as.integer, 20);
    assert_int_equal(f->values[FACT_history_sensitive_classes].count, 2);
    assert_true(span_is(f->values[FACT_history_sensitive_classes].as.items[1], "plans"));
    assert_int_equal(f->values[FACT_history_archive_written].state, FACT_ABSENT);
    assert_int_equal(f->values[FACT_history_archive_bytes].state, FACT_ABSENT);
    assert_int_equal(f->values[FACT_history_public_key_outside_tls].state, FACT_UNOBSERVABLE);
    assert_int_equal(f->values[FACT_history_lost].as.integer, 6);
    assert_int_equal(f->values[FACT_sender_executions].as.integer, 9);
    assert_int_equal(f->values[FACT_sender_connected_executions].as.integer, 2);
    assert_int_equal(f->values[FACT_history].state, FACT_KNOWN);
    agent_history_unref(h);
    free(f);
}

static void the_largest_archive_counts(void **state)
{
    (void)state;
    struct facts *f = calloc(1, sizeof *f);
    struct agent_history *h =
        decode("{\"seen\":[{\"kind\":\"archive_written\",\"class\":\"gzip\",\"bytes\":9000},"
               "{\"kind\":\"archive_written\",\"class\":\"zip\",\"bytes\":700000},"
               "{\"kind\":\"archive_written\",\"class\":\"xz\"}]}");
    history_set_facts(f, h);
    assert_int_equal(f->values[FACT_history_archive_bytes].as.integer, 700000);
    agent_history_unref(h);
    free(f);
}

static void nobody_tells(void **state)
{
    (void)state;
    struct facts *f = calloc(1, sizeof *f);
    history_set_facts(f, NULL);
    assert_int_equal(f->values[FACT_history_archive_written].state, FACT_UNOBSERVABLE);
    assert_int_equal(f->values[FACT_history_archive_written_age_s].state, FACT_UNOBSERVABLE);
    assert_int_not_equal(f->values[FACT_history].state, FACT_KNOWN);
    free(f);
}

static void only_other_things_are_news(void **state)
{
    (void)state;
    struct agent_history *first = decode(told), *none = decode("{}");
    struct agent_history *later =
        decode("{\"seen\":[{\"kind\":\"sensitive_access\",\"class\":\"plans\",\"count\":9},"
               "{\"kind\":\"sensitive_access\",\"class\":\"ssh_key\"}]}");
    struct agent_history *more =
        decode("{\"seen\":[{\"kind\":\"sensitive_access\",\"class\":\"plans\"},"
               "{\"kind\":\"sensitive_access\",\"class\":\"ssh_key\"},{\"kind\":\"tls_library\"}]}");
    assert_true(agent_history_signature(first) == agent_history_signature(later));
    assert_true(agent_history_signature(first) != agent_history_signature(more));
    assert_true(agent_history_signature(none) == 0 && agent_history_signature(NULL) == 0);
    agent_history_unref(first);
    agent_history_unref(later);
    agent_history_unref(more);
    agent_history_unref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_of_what_is_told),
        cmocka_unit_test(the_largest_archive_counts),
        cmocka_unit_test(nobody_tells),
        cmocka_unit_test(only_other_things_are_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
