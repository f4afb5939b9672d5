/* usage.c: see usage.h. */
#include "agent/usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SETS = USAGE_MAX / 8, WAYS = 8 };

/* The last days are counted in slices, of which the oldest is given up when a new one begins. */
enum { SLICES = 6, SLICE_DAYS = USAGE_RECENT_DAYS / SLICES, COUNT_MAX = 99999999 };
static const int64_t SLICE_MS = SLICE_DAYS * INT64_C(86400000);

struct slice {
    uint32_t executions, connected; /* no more than COUNT_MAX */
};

struct program {
    int64_t slice;               /* the number of the latest, since 1970 */
    struct slice slices[SLICES]; /* by number modulo SLICES */
    char *path;                  /* owned; NULL: free */
    struct agent_usage numbers;
    int64_t used_ms;
};

struct usage {
    struct program programs[SETS][WAYS];
};

struct usage *usage_new(void)
{
    return calloc(1, sizeof(struct usage));
}

void usage_free(struct usage *u)
{
    for (size_t i = 0; u && i < SETS; i++)
        for (size_t k = 0; k < WAYS; k++)
            free(u->programs[i][k].path);
    free(u);
}

static struct program *set_of(const struct usage *u, const char *path)
{
    uint64_t x = 0xcbf29ce484222325u;
    for (const char *c = path; *c; c++)
        x = (x ^ (uint8_t)*c) * 0x100000001b3u;
    return (struct program *)u->programs[(x ^ x >> 29) % SETS];
}

/* The one of now; while a clock is a little behind, the latest. */
static struct slice *slice_now(struct program *p, int64_t now_ms)
{
    int64_t now = now_ms / SLICE_MS;
    if (now - p->slice >= SLICES || p->slice - now > 1) {
        memset(p->slices, 0, sizeof p->slices);
        p->slice = now;
    }
    while (p->slice < now)
        p->slices[++p->slice % SLICES] = (struct slice){0};
    return &p->slices[p->slice % SLICES];
}

static struct program *find(const struct usage *u, const char *path)
{
    struct program *set = set_of(u, path);
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].path && strcmp(set[i].path, path) == 0)
            return &set[i];
    return NULL;
}

/* NULL: no such path, or no memory. */
static struct program *get(struct usage *u, const char *path)
{
    struct program *p = find(u, path), *set = set_of(u, path);
    char *copy =
        !p && path[0] && strlen(path) < USAGE_PATH_BYTES && !strpbrk(path, "\n") ? strdup(path) : NULL;
    if (!copy)
        return p;
    p = &set[0];
    for (size_t i = 1; i < WAYS; i++)
        if (p->path && (!set[i].path || set[i].used_ms < p->used_ms))
            p = &set[i];
    free(p->path);
    *p = (struct program){.path = copy};
    return p;
}

/* A tab between the two: no script of that interpreter's can have the name of a program without one. */
bool usage_name(const char *path, const char *script, char ret[USAGE_PATH_BYTES])
{
    if (!path[0] || strchr(path, '\t'))
        return false;
    int n = snprintf(ret, USAGE_PATH_BYTES, "%s%s%s", path, script ? "\t" : "", script ? script : "");
    return n > 0 && n < USAGE_PATH_BYTES;
}

void usage_execute(struct usage *u, const char *path, int64_t now_ms)
{
    struct program *p = get(u, path);
    if (!p)
        return;
    struct agent_usage *n = &p->numbers;
    p->used_ms = n->executions_last_ms = now_ms;
    n->executions_first_ms = n->executions ? n->executions_first_ms : now_ms;
    n->executions++;
    struct slice *now = slice_now(p, now_ms);
    now->executions += now->executions < COUNT_MAX;
}

void usage_connect(struct usage *u, const char *path, bool first_of_process, int64_t now_ms)
{
    struct program *p = get(u, path);
    if (!p)
        return;
    struct agent_usage *n = &p->numbers;
    p->used_ms = n->connections_last_ms = now_ms;
    n->connections_first_ms = n->connections ? n->connections_first_ms : now_ms;
    n->connections++;
    n->connected_executions += first_of_process;
    struct slice *now = slice_now(p, now_ms);
    now->connected += first_of_process && now->connected < COUNT_MAX;
}

bool usage_find(const struct usage *u, const char *path, int64_t now_ms, struct agent_usage *ret)
{
    struct program *p = find(u, path);
    if (!p)
        return false;
    slice_now(p, now_ms);
    *ret = p->numbers;
    ret->recent_days = USAGE_RECENT_DAYS;
    for (size_t i = 0; i < SLICES; i++) {
        ret->recent_executions += p->slices[i].executions;
        ret->recent_connected += p->slices[i].connected;
    }
    return true;
}

/* ---- the file ---- */

enum { NUMBERS = 7, DIGITS_MAX = 15, SLICE_DIGITS_MAX = 6, COUNT_DIGITS_MAX = 8 };

/* A number of so many digits at most, and `end`; what follows, or NULL. NULL gives NULL. */
static const char *read_number(const char *text, size_t digits_max, char end, int64_t *ret)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (digits == 0 || digits > digits_max || text[digits] != end)
        return NULL;
    *ret = strtoll(text, NULL, 10);
    return text + digits + 1;
}

/* Seven numbers and blanks; what follows, or NULL. */
static const char *read_numbers(const char *line, int64_t numbers[NUMBERS])
{
    for (size_t i = 0; i < NUMBERS; i++)
        line = read_number(line, DIGITS_MAX, ' ', &numbers[i]);
    return line;
}

/* "@SLICE:1,0,7,0,... ": of the last days, the oldest first; nothing where the line says nothing of them. What follows, or NULL. */
static const char *read_slices(const char *line, int64_t *ret_slice, struct slice slices[SLICES])
{
    int64_t slice = 0, counts[2 * SLICES] = {0};
    if (line[0] != '@')
        return line;
    line = read_number(line + 1, SLICE_DIGITS_MAX, ':', &slice);
    for (size_t i = 0; i < 2 * SLICES; i++)
        line = read_number(line, COUNT_DIGITS_MAX, i + 1 < 2 * SLICES ? ',' : ' ', &counts[i]);
    for (size_t i = 0; line && i < SLICES; i++)
        slices[(size_t)(slice + 1 + (int64_t)i) % SLICES] =
            (struct slice){(uint32_t)counts[2 * i], (uint32_t)counts[2 * i + 1]};
    *ret_slice = slice;
    return line;
}

static bool take_line(struct usage *u, const char *line)
{
    int64_t n[NUMBERS], slice = 0;
    struct slice slices[SLICES] = {0};
    const char *path = read_numbers(line, n);
    path = path ? read_slices(path, &slice, slices) : NULL;
    struct program *p = path && path[0] == '/' ? get(u, path) : NULL;
    if (!p)
        return false;
    p->numbers = (struct agent_usage){n[0], n[1], n[2], n[3], n[4], n[5], n[6], 0, 0, 0};
    p->slice = slice;
    memcpy(p->slices, slices, sizeof slices);
    p->used_ms = n[5] > n[2] ? n[5] : n[2];
    return true;
}

size_t usage_read(struct usage *u, struct span text)
{
    char line[USAGE_PATH_BYTES + USAGE_NUMBERS_BYTES];
    size_t count = 0;
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        if (len < sizeof line) {
            memcpy(line, text.data, len);
            line[len] = 0;
            count += take_line(u, line);
        }
        text = span_from(text, len + 1);
    }
    return count;
}

static void write_slices(const struct program *p, struct buf *out)
{
    buf_printf(out, "@%" PRId64, p->slice);
    for (size_t i = 0; i < SLICES; i++) {
        const struct slice *s = &p->slices[(size_t)(p->slice + 1 + (int64_t)i) % SLICES];
        buf_printf(out, "%c%u,%u", i == 0 ? ':' : ',', s->executions, s->connected);
    }
    buf_append_str(out, " ");
}

int usage_write(const struct usage *u, struct buf *out)
{
    for (size_t i = 0; i < SETS; i++) {
        for (size_t k = 0; k < WAYS; k++) {
            const struct program *p = &u->programs[i][k];
            const struct agent_usage *n = &p->numbers;
            if (!p->path)
                continue;
            buf_printf(out,
                       "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " ",
                       n->executions, n->executions_first_ms, n->executions_last_ms, n->connections,
                       n->connections_first_ms, n->connections_last_ms, n->connected_executions);
            write_slices(p, out);
            buf_printf(out, "%s\n", p->path);
        }
    }
    return out->failed ? -1 : 0;
}
