/* history_bench.c: what history costs an exchange: all that flow/remember.c asks and notes, on tables that are full. By hand:
 *   ninja history_bench && tests/history_bench [THREADS] */
#include "base/must.h"
#include "facts/domain.h"
#include "flow/habits.h"
#include "flow/pairs.h"
#include "flow/sightings.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ENTRIES = 65536, ROUNDS = 200000, NAMES = 50000 };
static const int64_t now_s = 1767225600;

static struct sightings *sightings;
static struct pairs *pairs;
static struct habits *habits;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct names {
    char host[64], pair[128], own[96], both[128];
};

static struct names names_of(unsigned n)
{
    struct names v;
    snprintf(v.host, sizeof v.host, "www.name%u.example.com", n % NAMES);
    snprintf(v.own, sizeof v.own, "local\npackage tool%u /usr/bin/tool%u", n % 300, n % 300);
    snprintf(v.pair, sizeof v.pair, "user%u\n%s\nname%u.com", n % 40, v.own, n % NAMES);
    snprintf(v.both, sizeof v.both, "package tool%u /usr/bin/tool%u\nname%u.com", n % 300, n % 300,
             n % NAMES);
    return v;
}

static void ask(const struct names *v, const struct sighting_by *by, unsigned n)
{
    struct sighting s;
    struct pair_view pair;
    struct habit_view habit;
    sightings_look(sightings, SIGHTING_HISTORY, span_str("all"), NULL, now_s, &s);
    sightings_look(sightings, SIGHTING_DOMAIN, span_str(v->host), by, now_s, &s);
    sightings_look(sightings, SIGHTING_SENDER_DOMAIN, span_str(v->both), NULL, now_s, &s);
    sightings_look(sightings, SIGHTING_ADDRESS, span_str(v->host + 4), NULL, now_s, &s);
    sightings_look(sightings, SIGHTING_ASN, span_str(n % 2 ? "1" : "2"), NULL, now_s, &s);
    sightings_look(sightings, SIGHTING_JA4, span_str("t13d1516h2_8daaf6152771_02713d6af862"), NULL, now_s,
                   &s);
    sightings_look(sightings, SIGHTING_SENDER_JA4, span_str(v->both), NULL, now_s, &s);
    pairs_look(pairs, span_str(v->pair), true, now_s * 1000 + n, &pair);
    habits_look(habits, span_str(v->own), span_str(v->own + 6), &habit);
}

static void note(const struct names *v, const struct sighting_by *by, unsigned n)
{
    const struct span none = {NULL, 0};
    struct pair_view pair;
    pairs_add(pairs, span_str(v->pair), 1000, 5000, now_s);
    pairs_look(pairs, span_str(v->pair), false, now_s * 1000, &pair);
    sightings_note(sightings, SIGHTING_HISTORY, span_str("all"), by, none, now_s, NULL);
    sightings_note(sightings, SIGHTING_DOMAIN, span_str(v->host), by, none, now_s, NULL);
    sightings_note(sightings, SIGHTING_SENDER_DOMAIN, span_str(v->both), by, none, now_s, NULL);
    sightings_note(sightings, SIGHTING_ADDRESS, span_str(v->host + 4), by, none, now_s, NULL);
    sightings_note(sightings, SIGHTING_ASN, span_str(n % 2 ? "1" : "2"), by, none, now_s, NULL);
    sightings_note(sightings, SIGHTING_JA4, span_str("t13d1516h2_8daaf6152771_02713d6af862"), by, none, now_s,
                   NULL);
    sightings_note(sightings, SIGHTING_SENDER_JA4, span_str(v->both), by, none, now_s, NULL);
    sightings_note(sightings, SIGHTING_LEARNED, span_str(v->both), by, none, now_s, NULL);
    pairs_end(pairs, span_str(v->pair), (now_s + n % 5000) * 1000, 1000, span_str(v->host), now_s);
    habits_add(habits, span_str(v->own), span_str(v->own + 6), 1000 + n, 5000, now_s);
}

static void *run(void *argument)
{
    double *cost = argument, name_s = 0, ask_s = 0, note_s = 0, psl_s = 0;
    static const char labels[] = "a.b.name.co.uk";
    for (unsigned n = 0; n < ROUNDS; n++) {
        double t0 = seconds();
        struct names v = names_of(n * 2654435761u);
        struct sighting_by by = {sightings_hash(sightings, span_str(v.own)),
                                 sightings_hash(sightings, span_str("local")),
                                 sightings_hash(sightings, span_str("user"))};
        double t1 = seconds();
        ask(&v, &by, n);
        double t2 = seconds();
        note(&v, &by, n);
        double t3 = seconds();
        struct host host;
        must(host_canonical(span_str(labels), &host) == HOST_OK && domain_registrable(&host).len == 10);
        psl_s += seconds() - t3;
        name_s += t1 - t0;
        ask_s += t2 - t1;
        note_s += t3 - t2;
    }
    cost[0] = name_s;
    cost[1] = ask_s;
    cost[2] = note_s;
    cost[3] = psl_s;
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    pthread_t ids[64];
    double cost[64][4];
    must(threads > 0 && threads <= 64);
    sightings = sightings_new(NULL, ENTRIES);
    pairs = pairs_new(NULL, ENTRIES / 4);
    habits = habits_new(NULL, ENTRIES / 8);
    must(sightings && pairs && habits);
    for (unsigned i = 0; i < threads; i++)
        must(pthread_create(&ids[i], NULL, run, cost[i]) == 0);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    static const char *const what[] = {"names and hashes", "facts before it leaves",
                                       "volume and marks after it", "registrable domain"};
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        for (unsigned i = 0; i < threads; i++)
            sum += cost[i][k];
        printf("%-26s %6.2f us an exchange\n", what[k], sum / threads / ROUNDS * 1e6);
    }
    habits_free(habits);
    pairs_free(pairs);
    sightings_free(sightings);
    return 0;
}
