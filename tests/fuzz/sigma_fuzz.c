/* sigma_fuzz.c: a file of rules that someone wrote: read, linked, and its phases worked out; nothing is compiled (that is hyperscan's, and runs in a
 * child with limits). What loads is evaluated for an event that has nothing. */
#include "base/must.h"
#include "rules/logsource.h"

static void take(void *context, struct sigma_document *d, const struct err *e)
{
    struct sigma_document ***tail = context;
    must(!d != !e);
    must(!e || e->text[0]);
    if (d) {
        **tail = d;
        *tail = &d->next;
    }
}

static void reject(void *context, const struct sigma_document *d, const struct err *e)
{
    (void)context;
    must(d && e->text[0] && e->line > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const values[] = {"a", "b*"};
    static const struct placeholder placeholders[] = {{"x", values, 2}};
    const struct sigma_options options = {placeholders, 1};
    static struct arena tables_arena; /* the same tables for all inputs */
    static struct logsource *tables;
    struct sigma_document *first = NULL, **tail = &first;
    struct arena arena;
    struct err err = {0};
    if (size > 65536)
        return 0;
    arena_init(&arena, 64 * 1024 * 1024);
    sigma_read(&arena, span_of(data, size), "fuzz.yml", &options, take, &tail);
    if (!tables) {
        arena_init(&tables_arena, 16 * 1024 * 1024);
        tables = logsource_read_all(&tables_arena, &err);
        must(tables);
    }
    struct ruleset *s = ruleset_link(first, reject, NULL);
    for (size_t i = 0; s && i < s->rule_count; i++) {
        const struct rule *r = &s->rules[i];
        struct err why = {0};
        if (r->expr && logsource_check(tables, r->document, &why) == 0)
            must(logsource_phase(logsource_find(tables, &r->document->logsource), r->document->condition) <=
                 FACT_CLOSE);
    }
    ruleset_free(s);
    arena_reset(&arena);
    return 0;
}
