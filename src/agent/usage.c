/* usage.c: see usage.h. */
#include "agent/usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SETS = USAGE_MAX / 8, WAYS = 8 };

struct program {
    char *path; /* owned; NULL: free */
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
}

bool usage_find(const struct usage *u, const char *path, struct agent_usage *ret)
{
    const struct program *p = find(u, path);
    if (p)
        *ret = p->numbers;
    return p != NULL;
}

/* ---- the file ---- */

enum { NUMBERS = 7, DIGITS_MAX = 15 };

/* Seven numbers and blanks; what follows, or NULL. */
static const char *read_numbers(const char *line, int64_t numbers[NUMBERS])
{
    for (size_t i = 0; i < NUMBERS; i++) {
        size_t digits = strspn(line, "0123456789");
        if (digits == 0 || digits > DIGITS_MAX || line[digits] != ' ')
            return NULL;
        numbers[i] = strtoll(line, NULL, 10);
        line += digits + 1;
    }
    return line;
}

static bool take_line(struct usage *u, const char *line)
{
    int64_t n[NUMBERS];
    const char *path = read_numbers(line, n);
    struct program *p = path && path[0] == '/' ? get(u, path) : NULL;
    if (!p)
        return false;
    p->numbers = (struct agent_usage){n[0], n[1], n[2], n[3], n[4], n[5], n[6]};
    p->used_ms = n[5] > n[2] ? n[5] : n[2];
    return true;
}

size_t usage_read(struct usage *u, struct span text)
{
    char line[USAGE_PATH_BYTES + 160];
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

int usage_write(const struct usage *u, struct buf *out)
{
    for (size_t i = 0; i < SETS; i++) {
        for (size_t k = 0; k < WAYS; k++) {
            const struct program *p = &u->programs[i][k];
            const struct agent_usage *n = &p->numbers;
            if (p->path)
                buf_printf(out,
                           "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
                           " %s\n",
                           n->executions, n->executions_first_ms, n->executions_last_ms, n->connections,
                           n->connections_first_ms, n->connections_last_ms, n->connected_executions, p->path);
        }
    }
    return out->failed ? -1 : 0;
}
