/* renames.c: see renames.h. */
#include "agent/linux/renames.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { CARRIED_MAX = 64, EVENTS_BYTES = 16384, FULL_PATH_BYTES = 4096 + 256 };

/* A class that goes with a name (by folder and name) or with a rename (by the kernel's number for it). */
struct carried {
    int folder;
    uint32_t number;
    char name[NAME_MAX + 1];
    const char *class_name; /* borrowed from the globs; NULL: free */
};

struct renames {
    int fd;                    /* owned */
    const struct globs *globs; /* borrowed until freed */
    pthread_mutex_t lock;      /* of the folders */
    struct folder {
        int number; /* 0: free */
        uint64_t root;
        char *path; /* owned */
    } folders[RENAMES_FOLDERS_MAX];
    size_t folder_count;                 /* that were ever used */
    struct carried moves[CARRIED_MAX];   /* on their way; the latest overwrite the first */
    struct carried renamed[CARRIED_MAX]; /* where they arrived under another name */
    unsigned next_move, next_renamed;
};

struct renames *renames_new(const struct globs *globs)
{
    struct renames *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->globs = globs;
    n->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (n->fd < 0) {
        free(n);
        return NULL;
    }
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

void renames_free(struct renames *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->folder_count; i++)
        free(n->folders[i].path);
    close(n->fd);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

int renames_fd(const struct renames *n)
{
    return n->fd;
}

/* ---- folders ---- */

/* Its place, or one for it; NULL: all are taken. */
static struct folder *place_of(struct renames *n, int number)
{
    struct folder *empty = NULL;
    for (size_t i = 0; i < n->folder_count; i++) {
        if (n->folders[i].number == number)
            return &n->folders[i];
        if (n->folders[i].number == 0 && !empty)
            empty = &n->folders[i];
    }
    return empty ? empty : n->folder_count < RENAMES_FOLDERS_MAX ? &n->folders[n->folder_count++] : NULL;
}

static void set_folder(struct folder *f, int number, const char *path, uint64_t root)
{
    char *copy = f->path && strcmp(f->path, path) == 0 ? f->path : strdup(path);
    if (copy != f->path)
        free(f->path);
    uint64_t first = f->number == number ? f->root : root; /* ours stays ours */
    *f = (struct folder){copy ? number : 0, first == 0 ? 0 : root, copy};
}

bool renames_add(struct renames *n, int folder_fd, const char *path, uint64_t root)
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder_fd);
    pthread_mutex_lock(&n->lock); /* before the kernel can tell of it */
    int number = inotify_add_watch(n->fd, link, IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR);
    struct folder *f = number > 0 ? place_of(n, number) : NULL;
    if (f)
        set_folder(f, number, path, root);
    else if (number > 0)
        inotify_rm_watch(n->fd, number);
    pthread_mutex_unlock(&n->lock);
    return f != NULL;
}

static bool folder_path(struct renames *n, const struct inotify_event *e, char path[FULL_PATH_BYTES],
                        uint64_t *ret_root)
{
    bool known = false;
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < n->folder_count; i++) {
        struct folder *f = &n->folders[i];
        if (f->number != e->wd)
            continue;
        if (e->mask & IN_IGNORED) { /* the folder is gone */
            free(f->path);
            *f = (struct folder){.number = 0};
            break;
        }
        known = snprintf(path, FULL_PATH_BYTES, "%s/%s", f->path, e->len ? e->name : "") < FULL_PATH_BYTES;
        *ret_root = f->root;
        break;
    }
    pthread_mutex_unlock(&n->lock);
    return known && e->len > 0;
}

/* ---- events ---- */

/* Taken out. NULL: nothing is carried there. */
static const char *take(struct carried list[CARRIED_MAX], int folder, uint32_t number, const char *name)
{
    for (size_t i = 0; i < CARRIED_MAX; i++) {
        struct carried *c = &list[i];
        if (!c->class_name || c->folder != folder || c->number != number || strcmp(c->name, name) != 0)
            continue;
        const char *class_name = c->class_name;
        c->class_name = NULL;
        return class_name;
    }
    return NULL;
}

static void carry(struct carried list[CARRIED_MAX], unsigned *next, struct carried c, const char *name)
{
    snprintf(c.name, sizeof c.name, "%s", name);
    list[(*next)++ % CARRIED_MAX] = c;
}

struct turn {
    struct renames *names;
    void (*each)(void *context, const struct name_appeared *a);
    void *context;
};

static void on_event(const struct turn *t, const struct inotify_event *e)
{
    struct renames *n = t->names;
    char path[FULL_PATH_BYTES];
    bool in_folder;
    struct name_appeared a = {.path = path, .is_folder = (e->mask & IN_ISDIR) != 0};
    if (!folder_path(n, e, path, &a.root))
        return;
    const char *by_name = globs_class(n->globs, path, &in_folder);
    const char *before = take(n->renamed, e->wd, 0, e->name);
    a.class_name = by_name ? by_name : before;
    if (e->mask & IN_MOVED_FROM) {
        if (a.class_name)
            carry(n->moves, &n->next_move, (struct carried){.number = e->cookie, .class_name = a.class_name},
                  "");
        return;
    }
    const char *moved = e->mask & IN_MOVED_TO ? take(n->moves, 0, e->cookie, "") : NULL;
    a.class_name = by_name ? by_name : moved; /* what had the name before was replaced */
    if (moved && !by_name)
        carry(n->renamed, &n->next_renamed, (struct carried){.folder = e->wd, .class_name = moved}, e->name);
    t->each(t->context, &a);
}

bool renames_turn(struct renames *n, unsigned max_bytes, uint64_t *ret_lost,
                  void (*each)(void *context, const struct name_appeared *a), void *context)
{
    alignas(struct inotify_event) char events[EVENTS_BYTES];
    const struct turn t = {n, each, context};
    size_t room = max_bytes < sizeof events ? max_bytes : sizeof events;
    ssize_t got = read(n->fd, events, room);
    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *e = (const struct inotify_event *)(const void *)(events + at);
        if (e->mask & IN_Q_OVERFLOW)
            ++*ret_lost;
        else
            on_event(&t, e);
        at += (ssize_t)(sizeof *e + e->len);
    }
    return got > 0 && (size_t)got > room - sizeof(struct inotify_event) - NAME_MAX - 1;
}
