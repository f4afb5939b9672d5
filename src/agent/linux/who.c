/* who.c: see who.h. */
#include "agent/linux/who.h"

#include "agent/linux/owner.h"
#include "agent/pathclass.h"
#include "agent/programs.h"
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CMDLINE_BYTES = AGENT_ARGUMENTS_BYTES * 2 };

/* A package vouches for a file only where users cannot write. */
static struct program_id id_of(const struct sender *s)
{
    bool fixed = s->writable_by_user == 0;
    return (struct program_id){.package = fixed && s->package_verified != 0 ? s->package_name : NULL,
                               .executable = fixed ? s->executable : NULL};
}

static void keep(struct process *p, const struct borrowed *b)
{
    if (!p->fixed_why[0])
        snprintf(p->fixed_why, sizeof p->fixed_why, "%s", b->why);
    p->fixed_borrowed |= b->set;
}

/* ---- browsers ---- */

/* The options of a process above that runs the same file: a browser's helpers make connections in its name. */
static uint32_t look_above(struct describer *d, const struct program_id *id, int64_t pid)
{
    const char *const *argv = NULL;
    struct arena arena;
    bool truncated;
    uint32_t set = 0;
    int dirfd = proc_open_pid(d->procfd, pid);
    if (dirfd < 0)
        return 0;
    arena_init(&arena, CMDLINE_BYTES * 4);
    char *text = malloc(CMDLINE_BYTES);
    ssize_t n = text ? proc_read_at(dirfd, "cmdline", text, CMDLINE_BYTES) : -1;
    if (n > 0) {
        size_t argc = arguments_split(&arena, text, (size_t)n, &argv, &truncated);
        set = programs_not_browser(d->know.programs, id, argv, argc);
    }
    free(text);
    arena_reset(&arena);
    close(dirfd);
    return set;
}

static void describe_browser(struct describer *d, struct process *p, const char *const *argv, size_t argc)
{
    struct sender *s = p->sender;
    struct program_id id = id_of(s);
    const char *name = programs_browser(d->know.programs, &id);
    if (!name)
        return;
    s->who.browser = arena_strdup(&s->arena, name);
    s->who.not_browser = programs_not_browser(d->know.programs, &id, argv, argc);
    for (size_t i = 0; i < s->parent_count && s->parents[i].executable; i++) {
        if (strcmp(s->parents[i].executable, s->executable) != 0)
            break;
        s->who.not_browser |= look_above(d, &id, s->parents[i].pid);
    }
}

/* ---- since when ---- */

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A program is its executable and its script, by their paths: a new version of it is nothing new. */
static void find_since(struct describer *d, struct sender *s)
{
    if (!d->know.seen || !s->executable)
        return;
    const struct span key[] = {span_str("program"), span_str(s->executable),
                               span_str(s->script ? s->script : ""), span_of(&s->uid, sizeof s->uid)};
    int64_t now = wall_ms();
    s->who.first_seen_ms = seen_note(d->know.seen, key, ARRAY_LEN(key) - 1, now);
    s->who.first_seen_by_user_ms = s->uid >= 0 ? seen_note(d->know.seen, key, ARRAY_LEN(key), now) : -1;
}

void who_describe_arguments(struct describer *d, struct process *p, const char *const *argv, size_t argc)
{
    struct program_id id = id_of(p->sender);
    struct borrowed b = {.set = 0};
    describe_browser(d, p, argv, argc);
    if (p->sender->who.not_browser) {
        b.set |= 1u << SENDER_BORROWED_AUTOMATED;
        snprintf(b.why, sizeof b.why, "its browser is run by a program");
    }
    const char *orders = programs_orders(d->know.programs, &id, argv, argc);
    if (orders) {
        b.set |= 1u << SENDER_BORROWED_OPTION_FILE;
        if (!b.why[0])
            snprintf(b.why, sizeof b.why, "option %.*s", (int)strcspn(orders, "= "), orders);
    }
    keep(p, &b);
    find_since(d, p->sender);
    job_find(&d->jobs, p->sender, argv, argc, owner_now_ms(), wall_ms());
}

/* ---- all ---- */

static void classify(struct sender *s)
{
    s->who.path_class = pathclass_of(s->executable);
    s->who.script_path_class = pathclass_of(s->script);
}

void who_describe(struct describer *d, const struct entry *e, struct process *p)
{
    struct sender *s = p->sender;
    struct program_id id = id_of(s);
    struct borrowed b = {.set = 0};
    classify(s);
    p->is_jit = programs_is_jit(d->know.programs, &id);
    borrowed_look_fixed(&d->looker, e, s, &b);
    keep(p, &b);
    borrowed_look_again(&d->looker, e, p, owner_now_ms());
    s->provenance[SENDER_FIELD_BORROWED] = AGENT_PROVENANCE_PROC;
}

void who_describe_gone(struct process *p)
{
    struct sender *s = p->sender;
    classify(s);
    p->fixed_borrowed |= 1u << SENDER_BORROWED_UNOBSERVED;
    if (borrowed_is_loader(s->executable))
        p->fixed_borrowed |= 1u << SENDER_BORROWED_LOADER;
    s->who.borrowed_known = true;
    s->who.borrowed = p->fixed_borrowed;
    s->who.borrowed_why = arena_strdup(&s->arena, p->fixed_why[0] ? p->fixed_why : "it was gone");
}
