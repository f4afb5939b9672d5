/* sim.c: plays text scenarios against the real flow code on a virtual clock.
 *
 *   sim FILE...                              each as it is written
 *   sim --inject FILE...                     each many times: something goes wrong at every step in turn; deterministically
 *                                            thinned out where it would be too many runs
 *   sim --inject NAME --at K FILE            one of those again
 *   sim --records FILE                       prints the records too */
#include "run.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

static struct scenario *read_scenario(const char *path)
{
    struct err e = {0};
    char text[1024];
    struct scenario *s = scenario_read(path, &e);
    if (!s) {
        fprintf(stderr, "%s\n", err_format(&e, text, sizeof text));
        exit(1);
    }
    return s;
}

static int play_all(char **paths, int count)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        struct run_result result;
        struct scenario *s = read_scenario(paths[i]);
        failed += run_scenario(s, INJECT_NOTHING, 0, &result) != 0;
        scenario_free(s);
    }
    printf("%d scenarios played, %d failed\n", count, failed);
    return failed != 0;
}

/* Runs of one scenario for one injection, at most `most`, spread evenly over its steps. */
static unsigned long inject_one(struct scenario *s, enum injection what, uint64_t steps, uint64_t most)
{
    struct run_result result;
    if (what < INJECT_FIRST_AT_STEP) {
        run_scenario(s, what, UINT64_MAX, &result);
        return 1;
    }
    unsigned long runs = 0;
    uint64_t stride = steps > most ? (steps + most - 1) / most : 1;
    for (uint64_t at = 0; at < steps; at += stride, runs++)
        run_scenario(s, what, at, &result);
    return runs;
}

/* Long scenarios cost more and are tried at fewer places, so that all of it ends within a minute. */
static uint64_t runs_of_each(const struct run_result *plain)
{
    enum { WORK = 40000, FEWEST = 24, MOST = 200, TLS_MOST = 48 };
    uint64_t most = WORK / (plain->steps + plain->bytes / 512);
    most = most < FEWEST ? FEWEST : most;
    return most > (plain->used_tls ? TLS_MOST : MOST) ? (plain->used_tls ? TLS_MOST : MOST) : most;
}

static int inject_all(char **paths, int count)
{
    unsigned long runs = 0;
    for (int i = 0; i < count; i++) {
        struct run_result plain;
        struct scenario *s = read_scenario(paths[i]);
        if (run_scenario(s, INJECT_NOTHING, 0, &plain) != 0)
            return 1;
        uint64_t most = runs_of_each(&plain);
        for (int what = INJECT_NOTHING + 1; what < INJECT_COUNT; what++)
            runs += inject_one(s, (enum injection)what, plain.steps, most);
        scenario_free(s);
    }
    printf("%d scenarios played with injections, %lu runs\n", count, runs);
    return 0;
}

static int inject_again(const char *name, uint64_t at, const char *path)
{
    struct run_result result;
    struct scenario *s = read_scenario(path);
    for (int what = 0; what < INJECT_COUNT; what++)
        if (strcmp(injection_name((enum injection)what), name) == 0)
            run_scenario(s, (enum injection)what, at, &result);
    scenario_free(s);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--records") == 0) {
        run_verbose = true;
        return play_all(argv + 2, argc - 2);
    }
    if (argc == 6 && strcmp(argv[1], "--inject") == 0 && strcmp(argv[3], "--at") == 0)
        return run_verbose = true, inject_again(argv[2], strtoull(argv[4], NULL, 10), argv[5]);
    if (argc > 2 && strcmp(argv[1], "--inject") == 0)
        return inject_all(argv + 2, argc - 2);
    if (argc > 1 && argv[1][0] != '-')
        return play_all(argv + 1, argc - 1);
    fprintf(stderr,
            "usage: sim [--records | --inject] SCENARIO...\n       sim --inject NAME --at STEP SCENARIO\n");
    return 2;
}
