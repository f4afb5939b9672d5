/* scenario.c: see scenario.h. */
#include "scenario.h"

#include "base/must.h"
#include "flow/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 1 << 20 };

char *read_whole(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    char *text = f ? malloc(FILE_BYTES_MAX + 1) : NULL;
    size_t len = text ? fread(text, 1, FILE_BYTES_MAX, f) : 0;
    if (f)
        fclose(f);
    if (!text)
        return NULL;
    text[len] = '\0';
    *ret_len = len;
    return text;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Unescapes a quoted word in place; `at` is behind the opening quote. The end, or NULL. */
static char *read_quoted(char *at, struct span *ret)
{
    char *to = at, *begin = at;
    for (; *at && *at != '"'; at++) {
        if (*at != '\\') {
            *to++ = *at;
            continue;
        }
        static const char from[] = "rnt0\\\"", meant[] = {'\r', '\n', '\t', '\0', '\\', '"'};
        const char *known = *++at ? strchr(from, *at) : NULL;
        if (known) {
            *to++ = meant[known - from];
        } else if (*at == 'x' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
            *to++ = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
            at += 2;
        } else {
            return NULL;
        }
    }
    if (*at != '"')
        return NULL;
    *ret = span_of(begin, (size_t)(to - begin));
    *to = '\0';
    return at + 1;
}

static int read_words(char *at, struct line *l)
{
    for (;;) {
        while (*at == ' ' || *at == '\t')
            at++;
        if (*at == '\0')
            return 0;
        if (l->count == WORDS_MAX)
            return -1;
        struct span *word = &l->words[l->count++];
        if (*at == '"') {
            l->quoted |= 1u << (l->count - 1);
            at = read_quoted(at + 1, word);
            if (!at)
                return -1;
            continue;
        }
        size_t len = strcspn(at, " \t");
        *word = span_of(at, len);
        at += len;
        if (*at)
            *at++ = '\0';
    }
}

static int read_line(struct scenario *s, const char *path, char *text, unsigned number, struct err *reterr)
{
    while (*text == ' ' || *text == '\t')
        text++;
    if (*text == '\0' || *text == '#')
        return 0;
    s->lines = realloc(s->lines, (s->count + 1) * sizeof *s->lines);
    must(s->lines);
    struct line *l = &s->lines[s->count++];
    *l = (struct line){.number = number};
    l->rest = strdup(text + strcspn(text, " \t"));
    char *words = strdup(text); /* freed by the first word's address: it is the beginning */
    must(l->rest && words);
    if (*text == '"' || read_words(words, l) != 0)
        return err_set(reterr, path, number, 1, "cannot be read: quotes, escapes, or too many words");
    return 0;
}

struct scenario *scenario_read(const char *path, struct err *reterr)
{
    size_t len;
    char *text = read_whole(path, &len);
    if (!text)
        return err_set(reterr, path, 0, 0, "cannot be read"), NULL;
    struct scenario *s = calloc(1, sizeof *s);
    must(s);
    const char *slash = strrchr(path, '/');
    snprintf(s->name, sizeof s->name, "%s", slash ? slash + 1 : path);
    unsigned number = 0;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (read_line(s, path, line, ++number, reterr) != 0) {
            free(text);
            scenario_free(s);
            return NULL;
        }
    }
    free(text);
    return s;
}

void scenario_free(struct scenario *take_s)
{
    for (size_t i = 0; i < take_s->count; i++) {
        free((void *)(uintptr_t)take_s->lines[i].words[0].data);
        free((void *)(uintptr_t)take_s->lines[i].rest);
        sender_unref(take_s->lines[i].sender);
    }
    for (int i = 0; i < SNAPSHOTS_MAX; i++)
        snapshot_unref(take_s->snapshots[i]);
    snapshot_unref(take_s->revoke_cut);
    snapshot_unref(take_s->revoke_keep);
    free(take_s->lines);
    free(take_s);
}
