/* watched.c: see watched.h. Sets of a few places: a file's set follows from its number. */
#include "agent/linux/watched.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { PLACES = 8, SETS = WATCHED_FILES_MAX / PLACES };

struct place {
    struct watched_file file;
    const char *class_name; /* borrowed; NULL: free */
    uint64_t seen;          /* when it was added, by the count of all */
};

struct watched {
    pthread_mutex_t lock;
    uint64_t count;
    struct place places[SETS][PLACES];
};

bool watched_file_of(int fd, struct watched_file *ret)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_BTIME, &st) != 0)
        return false;
    bool born = (st.stx_mask & STATX_BTIME) != 0;
    *ret =
        (struct watched_file){.device = makedev(st.stx_dev_major, st.stx_dev_minor),
                              .inode = st.stx_ino,
                              .born_ns = born ? st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec : 0,
                              .size = st.stx_size,
                              .mode = st.stx_mode};
    return true;
}

struct watched *watched_new(void)
{
    struct watched *w = calloc(1, sizeof *w);
    if (w)
        pthread_mutex_init(&w->lock, NULL);
    return w;
}

void watched_free(struct watched *w)
{
    if (w)
        pthread_mutex_destroy(&w->lock);
    free(w);
}

static bool is_same(const struct watched_file *a, const struct watched_file *b)
{
    return a->device == b->device && a->inode == b->inode && a->born_ns == b->born_ns;
}

static struct place *set_of(struct watched *w, const struct watched_file *file)
{
    uint64_t x = (file->inode ^ file->device << 40) * 0x9e3779b97f4a7c15u;
    return w->places[(x >> 32) % SETS];
}

static struct place *find(struct place *set, const struct watched_file *file)
{
    for (int i = 0; i < PLACES; i++)
        if (set[i].class_name && is_same(&set[i].file, file))
            return &set[i];
    return NULL;
}

bool watched_add(struct watched *w, const struct watched_file *file, const char *class_name)
{
    pthread_mutex_lock(&w->lock);
    struct place *set = set_of(w, file), *p = find(set, file);
    bool fresh = !p;
    for (int i = 0; fresh && i < PLACES; i++)
        if (!p || set[i].seen < p->seen) /* a free one was never seen */
            p = &set[i];
    if (fresh)
        *p = (struct place){.file = *file, .class_name = class_name};
    p->seen = ++w->count;
    pthread_mutex_unlock(&w->lock);
    return fresh;
}

const char *watched_class(struct watched *w, const struct watched_file *file)
{
    pthread_mutex_lock(&w->lock);
    const struct place *p = find(set_of(w, file), file);
    const char *class_name = p ? p->class_name : NULL;
    pthread_mutex_unlock(&w->lock);
    return class_name;
}
