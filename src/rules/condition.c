/* condition.c: see condition.h. Recursive descent, one function a level of precedence. Pure. */
#include "rules/condition.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    struct arena *arena; /* borrowed for the call */
    const char *text, *at;
    const struct detection *detections; /* borrowed for the call */
    size_t count;
    struct condition_fault *fault; /* borrowed for the call; the first stays */
    unsigned depth;
    struct span word; /* the token at hand: a view into text; len 0 at the end */
};

__attribute__((format(printf, 3, 4))) static const struct expr *fail(struct reader *r, const uint8_t *where,
                                                                     const char *format, ...)
{
    va_list args;
    if (r->fault->text[0])
        return NULL;
    r->fault->offset = (size_t)((const char *)where - r->text);
    va_start(args, format);
    vsnprintf(r->fault->text, sizeof r->fault->text, format, args);
    va_end(args);
    return NULL;
}

static const struct expr *fail_memory(struct reader *r)
{
    return fail(r, r->word.data, "too large");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void next(struct reader *r)
{
    while (is_blank(*r->at))
        r->at++;
    const char *end = r->at + (*r->at && strchr("()|", *r->at) ? 1 : strcspn(r->at, " \t\r\n()|"));
    r->word = span_of(r->at, (size_t)(end - r->at));
    r->at = end;
}

/* Does `word` say this word of the language: all lower or all upper case? */
static bool says(struct span word, const char *lower)
{
    if (span_is(word, lower))
        return true;
    if (!span_is_nocase(word, lower))
        return false;
    for (size_t i = 0; i < word.len; i++)
        if (word.data[i] >= 'a' && word.data[i] <= 'z')
            return false;
    return true;
}

static bool accept(struct reader *r, const char *word)
{
    if (!says(r->word, word))
        return false;
    next(r);
    return true;
}

/* `pattern` with any number of *, against the whole name; linear by going back to the last star only. */
static bool name_matches(const char *name, struct span pattern)
{
    size_t p = 0, star = SIZE_MAX;
    const char *retry = NULL;
    while (*name) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            retry = name;
        } else if (p < pattern.len && pattern.data[p] == (uint8_t)*name) {
            p++;
            name++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}

static const struct expr *parse_quantified(struct reader *r, enum expr_kind kind)
{
    struct span pattern = r->word;
    bool them = says(pattern, "them");
    if (pattern.len == 0 || strchr("()|", pattern.data[0]))
        return fail(r, pattern.data, "after \"of\" comes \"them\" or a pattern");
    const struct expr **items = arena_alloc(r->arena, r->count * sizeof *items);
    size_t count = 0;
    if (!items)
        return fail_memory(r);
    for (size_t i = 0; i < r->count; i++) {
        const char *name = r->detections[i].name;
        if (them ? name[0] != '_' : (name[0] != '_' || pattern.data[0] == '_') && name_matches(name, pattern))
            items[count++] = r->detections[i].expr;
    }
    if (count == 0)
        return fail(r, pattern.data, "no detection answers to \"%.*s\"", (int)pattern.len,
                    (const char *)pattern.data);
    next(r);
    const struct expr *e = expr_join(r->arena, kind, items, count);
    return e ? e : fail_memory(r);
}

static const struct expr *parse_name(struct reader *r)
{
    struct span name = r->word;
    for (size_t i = 0; i < r->count; i++) {
        if (!span_is(name, r->detections[i].name))
            continue;
        next(r);
        return r->detections[i].expr;
    }
    if (memchr(name.data, '*', name.len))
        return fail(r, name.data, "a pattern needs \"1 of\" or \"all of\" before it");
    return fail(r, name.data, "there is no detection \"%.*s\"", (int)(name.len < 100 ? name.len : 100),
                (const char *)name.data);
}

static const struct expr *parse_or(struct reader *r);

/* A name, a quantifier or parentheses. */
static const struct expr *parse_operand(struct reader *r)
{
    struct reader before = *r;
    const uint8_t *at = r->word.data;
    if (r->word.len == 0)
        return fail(r, at, "the condition ends where a detection's name is expected");
    if (span_is(r->word, "|"))
        return fail(r, at, "aggregations (|) are not supported: correlation rules took their place");
    if (accept(r, "(")) {
        const struct expr *e = parse_or(r);
        if (e && !accept(r, ")"))
            return fail(r, r->word.data, "a parenthesis is not closed");
        return e;
    }
    if (span_is(r->word, ")") || says(r->word, "and") || says(r->word, "or"))
        return fail(r, at, "a detection's name is expected here, not \"%.*s\"", (int)r->word.len,
                    (const char *)at);
    next(r);
    if (!accept(r, "of")) {
        *r = before;
        return parse_name(r);
    }
    if (says(before.word, "all"))
        return parse_quantified(r, EXPR_AND);
    if (span_is(before.word, "1") || says(before.word, "any"))
        return parse_quantified(r, EXPR_OR);
    return fail(r, at, "only \"1 of\", \"any of\" and \"all of\" are known, not \"%.*s of\"",
                (int)(before.word.len < 40 ? before.word.len : 40), (const char *)at);
}

static const struct expr *parse_not(struct reader *r)
{
    if (++r->depth > CONDITION_DEPTH_MAX)
        return fail(r, r->word.data, "nested deeper than %d", CONDITION_DEPTH_MAX);
    const struct expr *e;
    if (accept(r, "not")) {
        const struct expr *item = parse_not(r);
        e = item ? expr_not(r->arena, item) : NULL;
        if (item && !e)
            fail_memory(r);
    } else {
        e = parse_operand(r);
    }
    r->depth--;
    return e;
}

struct list {
    const struct expr **items; /* owned */
    size_t count, room;
};

static bool list_add(struct list *l, const struct expr *e)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 8;
        const struct expr **items = realloc(l->items, room * sizeof *items);
        if (!items)
            return false;
        l->items = items;
        l->room = room;
    }
    l->items[l->count++] = e;
    return true;
}

static const struct expr *parse_joined(struct reader *r, const char *word, enum expr_kind kind,
                                       const struct expr *(*operand)(struct reader *))
{
    struct list l = {0};
    const struct expr *e;
    do {
        e = operand(r);
        if (e && !list_add(&l, e))
            e = fail_memory(r);
    } while (e && accept(r, word));
    if (e) {
        e = expr_join(r->arena, kind, l.items, l.count);
        if (!e)
            fail_memory(r);
    }
    free(l.items);
    return e;
}

static const struct expr *parse_and(struct reader *r)
{
    return parse_joined(r, "and", EXPR_AND, parse_not);
}

static const struct expr *parse_or(struct reader *r)
{
    return parse_joined(r, "or", EXPR_OR, parse_and);
}

const struct expr *condition_parse(struct arena *a, const char *text, const struct detection *detections,
                                   size_t count, struct condition_fault *ret_fault)
{
    struct condition_fault fault = {0};
    struct reader r = {
        .arena = a, .text = text, .at = text, .detections = detections, .count = count, .fault = &fault};
    const struct expr *e = NULL;
    next(&r);
    if (strlen(text) > CONDITION_BYTES_MAX)
        fail(&r, (const uint8_t *)text, "longer than %d bytes", CONDITION_BYTES_MAX);
    else
        e = parse_or(&r);
    if (e && span_is(r.word, "|"))
        e = fail(&r, r.word.data, "aggregations (|) are not supported: correlation rules took their place");
    else if (e && r.word.len > 0)
        e = fail(&r, r.word.data, "\"and\" or \"or\" is expected here, not \"%.*s\"",
                 (int)(r.word.len < 100 ? r.word.len : 100), (const char *)r.word.data);
    if (!e)
        *ret_fault = fault;
    return e;
}
