/* popularity.c: see popularity.h. A sorted array of digests: 16 bytes a domain. Pure. */
#include "facts/popularity.h"

#include <stdlib.h>

enum { DOMAIN_BYTES_MAX = 253 };

struct ranked {
    uint64_t digest;
    uint32_t rank;
};

struct popularity {
    uint8_t key[SIPHASH_KEY_BYTES];
    size_t count;
    struct ranked items[]; /* by digest, then by rank */
};

static uint64_t digest_of(const struct popularity *p, struct span domain)
{
    uint8_t bytes[SIPHASH_BYTES];
    uint64_t digest;
    siphash(p->key, domain, bytes);
    memcpy(&digest, bytes, sizeof digest);
    return digest;
}

static int by_digest(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->digest != y->digest)
        return x->digest < y->digest ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* The next line of `text`, without its end; `text` moves on. */
static struct span next_line(struct span *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end ? (size_t)(end - text->data) : text->len;
    struct span line = span_of(text->data, len);
    *text = span_from(*text, end ? len + 1 : len);
    while (line.len > 0 && (line.data[line.len - 1] == '\r' || line.data[line.len - 1] == ' '))
        line.len--;
    return line;
}

static bool is_domain(struct span s)
{
    if (s.len == 0 || s.len > DOMAIN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        if (!good)
            return false;
    }
    return true;
}

/* Takes "RANK," from the front of the line, if it is there. False: the number is none. */
static bool take_rank(struct span *line, uint32_t *rank)
{
    const uint8_t *comma = memchr(line->data, ',', line->len);
    uint64_t value = 0;
    if (!comma)
        return true;
    for (const uint8_t *at = line->data; at < comma; at++) {
        if (*at < '0' || *at > '9' || value > UINT32_MAX / 10)
            return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (value == 0 || value > UINT32_MAX)
        return false;
    *rank = (uint32_t)value;
    *line = span_from(*line, (size_t)(comma - line->data) + 1);
    return true;
}

static size_t count_lines(struct span text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    return count;
}

struct popularity *popularity_parse(struct span text, const uint8_t key[SIPHASH_KEY_BYTES], const char *name,
                                    struct err *reterr)
{
    size_t lines = count_lines(text);
    if (lines > POPULARITY_LINES_MAX)
        return err_set(reterr, name, 0, 0, "more than %d lines", POPULARITY_LINES_MAX), NULL;
    struct popularity *p = calloc(1, sizeof *p + lines * sizeof p->items[0]);
    if (!p)
        return err_set(reterr, name, 0, 0, "no memory for %zu domains", lines), NULL;
    memcpy(p->key, key, sizeof p->key);
    for (unsigned number = 1; text.len > 0; number++) {
        struct span line = next_line(&text);
        uint32_t rank = number;
        if (line.len == 0 || line.data[0] == '#')
            continue;
        if (!take_rank(&line, &rank) || !is_domain(line)) {
            err_set(reterr, name, number, 1,
                    "a domain in lower case is expected here, or a rank, a comma and a domain");
            free(p);
            return NULL;
        }
        p->items[p->count++] = (struct ranked){digest_of(p, line), rank};
    }
    qsort(p->items, p->count, sizeof p->items[0], by_digest);
    return p;
}

void popularity_free(struct popularity *take_p)
{
    free(take_p);
}

uint32_t popularity_rank(const struct popularity *p, struct span domain)
{
    uint64_t digest = digest_of(p, domain);
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->items[middle].digest < digest)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->count && p->items[low].digest == digest ? p->items[low].rank : 0;
}
