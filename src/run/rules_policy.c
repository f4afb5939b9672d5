/* rules_policy.c: see rules_policy.h. */
#include "run/rules_policy.h"

#include "base/log.h"
#include "conf/file.h"
#include "run/rules_load.h"

enum { ACTIONS_BYTES_MAX = 8 * 1024 * 1024, REJECTED_LOGGED_MAX = 100 };

static int read_actions(const char *path, struct actions **ret, struct err *reterr)
{
    struct buf text;
    if (!path)
        return 0;
    buf_init(&text, ACTIONS_BYTES_MAX);
    if (conf_file_read(path, false, &text, reterr) == 0)
        *ret = actions_parse(buf_span(&text), path, reterr);
    buf_free(&text);
    return *ret ? 0 : -1;
}

static int read_rules(struct rules_load *l, const struct rules_sources *s, struct err *reterr)
{
    if (s->placeholders && rules_load_placeholders(l, s->placeholders, reterr) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        if (rules_load_path(l, s->paths[i], reterr) != 0)
            return -1;
    return rules_load_tables(l, reterr) == 0 ? rules_load_finish(l, reterr) : -1;
}

static bool has_rule(void *context, const char *name)
{
    const struct rules_load *l = context;
    for (size_t i = 0; i < l->count; i++) {
        const struct sigma_document *d = l->entries[i].document;
        if (d && d->kind != SIGMA_FILTER && !l->entries[i].err.text[0] &&
            ((d->id && strcmp(d->id, name) == 0) || (d->name && strcmp(d->name, name) == 0)))
            return true;
    }
    return false;
}

/* A rule that would only alert is missed by its author, who is told; one that would block is a hole in the policy. */
static int judge_rejected(const struct rules_load *l, const struct actions *actions, struct err *reterr)
{
    size_t rejected = 0;
    char text[1024];
    for (size_t i = 0; i < l->count; i++) {
        const struct rules_entry *e = &l->entries[i];
        if (!e->err.text[0])
            continue;
        const struct action a =
            e->document ? actions_find(actions, e->document) : (struct action){.kind = ACTION_ALERT};
        if (a.kind >= ACTION_BLOCK && !a.simulate)
            return err_set(reterr, e->err.file, e->err.line, e->err.column,
                           "this rule is to %s, and can't be loaded: %s", action_name(a.kind), e->err.text);
        if (rejected++ < REJECTED_LOGGED_MAX)
            log_warning("rules", "rejected %s", err_format(&e->err, text, sizeof text));
    }
    log_notice("rules", "%zu rules, filters and correlations are loaded, %zu rejected", l->count - rejected,
               rejected);
    return 0;
}

int rules_policy_read(const struct rules_sources *s, struct rulebook **ret, struct err *reterr)
{
    struct rules_load l;
    struct actions *actions = NULL;
    struct rulebook *b = NULL;
    rules_load_init(&l);
    if (read_actions(s->actions, &actions, reterr) == 0 && read_rules(&l, s, reterr) == 0 &&
        judge_rejected(&l, actions, reterr) == 0 && actions_check(actions, has_rule, &l, reterr) == 0) {
        b = rulebook_make(&l.arena, l.set, l.compiled, l.tables, actions, reterr);
        l.set = NULL;
        l.compiled = NULL;
    }
    actions_free(actions);
    rules_load_free(&l);
    if (b)
        *ret = b;
    return b ? 0 : -1;
}

int rules_policy_load(const struct conf *c, struct rulebook **ret, struct err *reterr)
{
    const struct rules_sources sources = {(const char *const *)c->policy.rules.items, c->policy.rules.count,
                                          c->policy.actions, c->policy.placeholders};
    if (sources.count > 0)
        return rules_policy_read(&sources, ret, reterr);
    return sources.actions
               ? err_set(reterr, c->file, 0, 0, "policy.actions: without policy.rules nothing uses it")
               : 0;
}
