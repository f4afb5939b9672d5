/* net_loop_test.c: deadlines, messages from other threads, jobs. */
#include "net_help.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

/* ---- deadlines ---- */

struct timed {
    struct net_deadline deadline;
    struct net *net;
    uint64_t set_ms, wanted_ms, fired_ms;
    unsigned fired;
    struct timed *clears, *sets;
};

static void on_timed(struct net_deadline *d)
{
    struct timed *t = (struct timed *)d;
    t->fired++;
    t->fired_ms = net_now_ms(t->net);
    if (t->clears)
        net_deadline_clear(&t->clears->deadline);
    if (t->sets)
        net_deadline_set(t->net, &t->sets->deadline, t->sets->wanted_ms);
}

static void timed_set(struct net *net, struct timed *t, uint64_t ms)
{
    t->net = net;
    t->deadline.expired = on_timed;
    t->set_ms = net_now_ms(net);
    t->wanted_ms = ms;
    net_deadline_set(net, &t->deadline, ms);
}

static void deadlines_are_never_early_and_hardly_late(void **state)
{
    (void)state;
    static struct timed t[600];
    struct net *net = help_net(NULL);
    unsigned fired = 0;
    memset(t, 0, sizeof(t));
    for (unsigned i = 0; i < 600; i++)
        timed_set(net, &t[i], i);
    while (fired < 600) {
        uv_run(&net->loop, UV_RUN_ONCE);
        fired = 0;
        for (unsigned i = 0; i < 600; i++) {
            fired += t[i].fired;
            assert_true(t[i].fired <= 1);
        }
    }
    for (unsigned i = 0; i < 600; i++) {
        assert_true(t[i].fired_ms >= t[i].set_ms + t[i].wanted_ms);
        assert_true(t[i].fired_ms <= t[i].set_ms + t[i].wanted_ms + 1000); /* a shared machine */
    }
    net_free(net);
}

static void a_callback_may_clear_and_set_any_deadline(void **state)
{
    (void)state;
    struct timed t[4];
    struct net *net = help_net(NULL);
    memset(t, 0, sizeof(t));
    for (unsigned i = 0; i < 4; i++)
        timed_set(net, &t[i], 20); /* one slot */
    t[0].clears = &t[1];
    t[0].sets = &t[0];
    t[2].sets = &t[3]; /* in the same slot, still to fire: moved instead */
    help_until(net, t[0].fired == 3);
    net_deadline_clear(&t[0].deadline);
    help_until(net, t[3].fired);
    assert_int_equal(t[1].fired, 0);
    assert_int_equal(t[2].fired, 1);
    assert_true(t[3].fired_ms >= t[2].fired_ms + 20);
    net_deadline_clear(&t[0].deadline);
    net_deadline_clear(&t[0].deadline);
    net_free(net);
}

static void a_deadline_that_moves_on_does_not_wake_the_loop(void **state)
{
    (void)state;
    static struct timed idle[5000];
    struct net *net = help_net(NULL);
    memset(idle, 0, sizeof(idle));
    for (unsigned i = 0; i < 5000; i++)
        timed_set(net, &idle[i], 300000 + i * 7);
    assert_true(help_turns(net, 300) < 10);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(idle[i].fired, 0);
    net_free(net); /* those still set are cut loose */
    assert_null(idle[0].deadline.next);
}

/* More than a round of the wheel ahead shares a slot with what is near. */
static void rounds_of_the_wheel_are_told_apart(void **state)
{
    (void)state;
    struct timed near = {0}, far = {0};
    struct net *net = help_net(NULL);
    timed_set(net, &far, WHEEL_SLOTS * WHEEL_TICK_MS + 32);
    timed_set(net, &near, 32);
    help_until(net, near.fired);
    help_turns(net, 50);
    assert_int_equal(far.fired, 0);
    net_deadline_clear(&far.deadline);
    net_free(net);
}

/* ---- posts ---- */

struct posted {
    struct net *net;
    unsigned ran, accepted;
    bool ordered;
};

static void on_post(void *argument)
{
    struct posted *p = argument;
    p->ran++;
}

static void *post_many(void *argument)
{
    struct posted *p = argument;
    for (unsigned i = 0; i < 5000; i++) {
        while (net_post(p->net, on_post, p) != 0)
            sched_yield();
        p->accepted++;
    }
    return NULL;
}

static void posts_from_other_threads_run_exactly_once(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct posted p[2] = {{.net = net}, {.net = net}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &p[i]), 0);
    help_until(net, p[0].ran == 5000 && p[1].ran == 5000);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    net_free(net);
}

static void posts_are_bounded_and_the_last_run_at_the_end(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct posted p = {.net = net};
    for (unsigned i = 0; i < POSTS_MAX; i++)
        assert_int_equal(net_post(net, on_post, &p), 0);
    assert_int_equal(net_post(net, on_post, &p), -1);
    net_free(net);
    assert_int_equal(p.ran, POSTS_MAX);
}

static void stop_from_post(void *argument)
{
    net_stop(argument);
}

static void run_lasts_until_stop(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    net_post(net, stop_from_post, net);
    net_run(net);
    uint64_t wall = net_wall_ms(net);
    assert_true(wall > UINT64_C(1700000000000));
    assert_true(net_wall_ms(net) == wall);
    net_free(net);
}

/* ---- jobs ---- */

struct counted_job {
    struct net_job job;
    struct counts {
        unsigned done, destroyed;
        sem_t *gate;
    } * counts;
};

static void job_work(struct net_job *job)
{
    sem_t *gate = ((struct counted_job *)job)->counts->gate;
    if (gate) {
        sem_wait(gate);
        sem_post(gate);
    }
}

static void job_done(struct net_job *job)
{
    ((struct counted_job *)job)->counts->done++;
}

static void job_destroy(struct net_job *job)
{
    ((struct counted_job *)job)->counts->destroyed++;
    free(job);
}

static struct net_job *job_new(struct counts *counts)
{
    struct counted_job *j = calloc(1, sizeof(*j));
    assert_non_null(j);
    j->job = (struct net_job){job_work, job_done, job_destroy, counts};
    j->counts = counts;
    return &j->job;
}

static void jobs_finish_cancel_and_are_bounded(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    sem_t gate;
    struct counts counts = {.gate = &gate};
    sem_init(&gate, 0, 0);
    struct net_job *cancelled = job_new(&counts);
    assert_true(net_job_start(net, cancelled));
    for (unsigned i = 1; i < JOBS_MAX; i++)
        assert_true(net_job_start(net, job_new(&counts)));
    assert_false(net_job_start(net, job_new(&counts)));
    assert_int_equal(counts.destroyed, 1);
    net_job_cancel(cancelled);
    sem_post(&gate);
    help_until(net, counts.destroyed == JOBS_MAX + 1);
    assert_int_equal(counts.done, JOBS_MAX - 1);
    for (unsigned i = 0; i < 20; i++)
        assert_true(net_job_start(net, job_new(&counts)));
    net_free(net); /* in the middle of them */
    assert_int_equal(counts.done, JOBS_MAX - 1);
    assert_int_equal(counts.destroyed, JOBS_MAX + 21);
    sem_destroy(&gate);
}

static void bad_options_are_refused_and_reconfiguring_keeps_the_old(void **state)
{
    (void)state;
    struct net_options o = help_options();
    const char *error = NULL;
    o.dns_servers = "not an address";
    assert_null(net_new(&o, &error));
    assert_non_null(error);
    struct net *net = help_net(NULL);
    net_reconfigure(net, &o);
    o = help_options();
    o.dns_servers = NULL;
    net_reconfigure(net, &o);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_are_never_early_and_hardly_late),
        cmocka_unit_test(a_callback_may_clear_and_set_any_deadline),
        cmocka_unit_test(a_deadline_that_moves_on_does_not_wake_the_loop),
        cmocka_unit_test(rounds_of_the_wheel_are_told_apart),
        cmocka_unit_test(posts_from_other_threads_run_exactly_once),
        cmocka_unit_test(posts_are_bounded_and_the_last_run_at_the_end),
        cmocka_unit_test(run_lasts_until_stop),
        cmocka_unit_test(jobs_finish_cancel_and_are_bounded),
        cmocka_unit_test(bad_options_are_refused_and_reconfiguring_keeps_the_old),
    };
    return cmocka_run_group_tests_name("net_loop", tests, NULL, NULL);
}
