/* sigma.c: see sigma.h. A file is cut at its document markers, so that one broken document does not take the others with it. Pure. */
#include "rules/sigma.h"

#include "base/must.h"
#include "rules/condition.h"
#include "rules/sigma_correlation.h"

enum {
    TREE_BYTES = 256 * 1024 * 1024 /* a budget: YAML_BYTES_MAX bounds what is really used */,
    NAMES_MAX = 4096
};

const char *const sigma_levels[SIGMA_CRITICAL] = {"informational", "low", "medium", "high", "critical"};
const char *const sigma_statuses[SIGMA_UNSUPPORTED] = {"stable", "test", "experimental", "deprecated",
                                                       "unsupported"};

/* One document being read. */
struct reader {
    struct arena *arena;                 /* borrowed: what stays */
    const struct sigma_options *options; /* borrowed */
    struct err *reterr;                  /* borrowed */
    struct sigma_document *d;            /* view into the arena */
};

const char *sigma_document_id(const struct sigma_document *d)
{
    return d->id ? d->id : d->name ? d->name : d->title;
}

const char *sigma_level_name(enum sigma_level level)
{
    return level == SIGMA_LEVEL_NONE ? NULL : sigma_levels[level - 1];
}

const char *sigma_status_name(enum sigma_status status)
{
    return status == SIGMA_STATUS_NONE ? NULL : sigma_statuses[status - 1];
}

static int fail_memory(struct reader *r, const struct yaml_node *n)
{
    return yaml_error(n, r->reterr, "too large");
}

static int read_text(struct reader *r, const struct yaml_node *top, const char *key, const char **ret)
{
    const struct yaml_node *n = yaml_find(top, key);
    const char *text;
    if (!n)
        return 0;
    if (yaml_get_string(n, &text, r->reterr) != 0)
        return -1;
    *ret = arena_strdup(r->arena, text);
    return *ret ? 0 : fail_memory(r, n);
}

/* YYYY-MM-DD, or with slashes, as rules had it before 2.0. */
static int check_date(struct reader *r, const struct yaml_node *top, const char *key)
{
    const struct yaml_node *n = yaml_find(top, key);
    if (!n)
        return 0;
    bool good = n->kind == YAML_SCALAR && n->len == 10 && (n->text[4] == '-' || n->text[4] == '/') &&
                n->text[4] == n->text[7];
    for (size_t i = 0; good && i < 10; i++)
        good = i == 4 || i == 7 || (n->text[i] >= '0' && n->text[i] <= '9');
    return good ? 0 : yaml_error(n, r->reterr, "a date is expected here, as YYYY-MM-DD");
}

static int read_word(struct reader *r, const struct yaml_node *top, const char *key, const char *const *words,
                     size_t count, size_t *ret)
{
    const struct yaml_node *n = yaml_find(top, key);
    if (!n || yaml_get_enum(n, words, count, ret, r->reterr) != 0)
        return n ? -1 : 0;
    ++*ret; /* 0 is none */
    return 0;
}

/* Texts nobody decides by: only that they are texts, or lists of such. */
static int check_texts(struct reader *r, const struct yaml_node *top, const char *key, bool list)
{
    const struct yaml_node *n = yaml_find(top, key);
    if (!n || yaml_is_null(n) || (n->kind == YAML_SCALAR && !list))
        return 0;
    if (n->kind == YAML_MAPPING || !list)
        return yaml_want(n, list ? YAML_SEQUENCE : YAML_SCALAR, r->reterr);
    for (const struct yaml_node *v = n->kind == YAML_SEQUENCE ? n->items : NULL; v; v = v->next)
        if (yaml_want(v, YAML_SCALAR, r->reterr) != 0)
            return -1;
    return 0;
}

static int check_related(struct reader *r, const struct yaml_node *top)
{
    static const char *const keys[] = {"id", "type"};
    static const char *const types[] = {"derived", "obsolete", "obsoletes",  "merged",
                                        "renamed", "similar",  "correlation"};
    const struct yaml_node *n = yaml_find(top, "related");
    size_t which;
    if (!n || yaml_is_null(n))
        return 0;
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    for (YAML_EACH(v, n)) {
        const struct yaml_node *type;
        if (yaml_check_keys(v, keys, ARRAY_LEN(keys), r->reterr) != 0)
            return -1;
        type = yaml_find(v, "type");
        if (!yaml_find(v, "id") || !type)
            return yaml_error(v, r->reterr, "a related rule has an id and a type");
        if (yaml_get_enum(type, types, ARRAY_LEN(types), &which, r->reterr) != 0)
            return -1;
    }
    return 0;
}

static int read_logsource(struct reader *r, const struct yaml_node *top)
{
    static const char *const keys[] = {"category", "product", "service", "definition"};
    const struct yaml_node *n = yaml_find(top, "logsource");
    struct sigma_logsource *l = &r->d->logsource;
    if (!n)
        return yaml_error_key(top->items, r->reterr, "the rule lacks logsource");
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0 ||
        read_text(r, n, "category", &l->category) != 0 || read_text(r, n, "product", &l->product) != 0 ||
        read_text(r, n, "service", &l->service) != 0)
        return -1;
    l->place = (struct place){r->d->place.file, n->line, n->column};
    if (!l->category && !l->product && !l->service)
        return yaml_error_key(n, r->reterr, "the logsource has no category, product or service");
    return 0;
}

static int read_meta(struct reader *r, const struct yaml_node *top)
{
    static const char *const plain[] = {"description", "taxonomy", "regression_tests_path"};
    static const char *const lists[] = {"references", "fields", "falsepositives", "scope"};
    struct sigma_document *d = r->d;
    size_t level = 0, status = 0;
    if (read_text(r, top, "title", &d->title) != 0 || read_text(r, top, "id", &d->id) != 0 ||
        read_text(r, top, "name", &d->name) != 0 || read_text(r, top, "author", &d->author) != 0 ||
        read_text(r, top, "license", &d->license) != 0 || check_date(r, top, "date") != 0 ||
        check_date(r, top, "modified") != 0 || check_related(r, top) != 0 ||
        read_word(r, top, "level", sigma_levels, ARRAY_LEN(sigma_levels), &level) != 0 ||
        read_word(r, top, "status", sigma_statuses, ARRAY_LEN(sigma_statuses), &status) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (check_texts(r, top, plain[i], false) != 0)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (check_texts(r, top, lists[i], true) != 0)
            return -1;
    d->level = (enum sigma_level)level;
    d->status = (enum sigma_status)status;
    const struct yaml_node *tags = yaml_find(top, "tags");
    if (tags && tags->kind == YAML_SEQUENCE && tags->count > 0 &&
        sigma_names_read(r->arena, tags, NAMES_MAX, &d->tags, r->reterr) != 0)
        return -1;
    if (tags && check_texts(r, top, "tags", true) != 0)
        return -1;
    const struct yaml_node *fields = yaml_find(top, "fields");
    if (fields && fields->kind == YAML_SEQUENCE)
        sigma_names_read(r->arena, fields, NAMES_MAX, &d->fields, NULL); /* a hint: not worth a refusal */
    return d->title ? 0 : yaml_error_key(top->items, r->reterr, "the rule lacks a title");
}

/* ---- detections ---- */

static const struct expr *read_condition(struct reader *r, const struct yaml_node *n,
                                         const struct detection *detections, size_t count)
{
    struct condition_fault fault;
    if (yaml_want(n, YAML_SCALAR, r->reterr) != 0)
        return NULL;
    if (n->len == 0) {
        yaml_error(n, r->reterr, "an empty condition");
        return NULL;
    }
    const struct expr *e = condition_parse(r->arena, n->text, detections, count, &fault);
    if (!e) {
        bool one_line = !strchr(n->text, '\n'); /* a folded text has lost its places */
        err_set(r->reterr, n->file, n->line, n->column + (one_line ? (unsigned)fault.offset + n->quoted : 0),
                "%s", fault.text);
    }
    return e;
}

/* A list of conditions: any of them. */
static const struct expr *read_conditions(struct reader *r, const struct yaml_node *n,
                                          const struct detection *detections, size_t count)
{
    enum { CONDITIONS_MAX = 64 };
    const struct expr *items[CONDITIONS_MAX];
    size_t found = 0;
    if (n->kind != YAML_SEQUENCE)
        return read_condition(r, n, detections, count);
    if (n->count == 0 || n->count > CONDITIONS_MAX) {
        yaml_error(n, r->reterr, "from 1 to %d conditions are expected here", CONDITIONS_MAX);
        return NULL;
    }
    for (YAML_EACH(v, n)) {
        items[found] = read_condition(r, v, detections, count);
        if (!items[found++])
            return NULL;
    }
    const struct expr *e = expr_join(r->arena, EXPR_OR, items, found);
    if (!e)
        fail_memory(r, n);
    return e;
}

/* The section `detection` of a rule or `filter` of a filter: named detections and a condition. */
static int read_detections(struct reader *r, const struct yaml_node *n, bool filter)
{
    const struct yaml_node *condition = NULL;
    struct item_context c = {.arena = r->arena,
                             .placeholders = r->options->placeholders,
                             .placeholder_count = r->options->placeholder_count,
                             .reterr = r->reterr};
    if (yaml_want(n, YAML_MAPPING, r->reterr) != 0)
        return -1;
    struct detection *detections = arena_alloc(r->arena, (n->count + 1) * sizeof *detections);
    size_t count = 0;
    if (!detections)
        return fail_memory(r, n);
    for (YAML_EACH(v, n)) {
        if (strcmp(v->key, "condition") == 0) {
            condition = v;
            continue;
        }
        if (strcmp(v->key, "timeframe") == 0)
            return yaml_error_key(v, r->reterr,
                                  "timeframe is not supported: correlation rules took its place");
        if (filter && strcmp(v->key, "rules") == 0)
            continue;
        detections[count].name = arena_strdup(r->arena, v->key);
        detections[count].expr = sigma_item_detection(&c, v);
        if (!detections[count].name || !detections[count].expr)
            return fail_memory(r, v);
        count++;
    }
    if (count == 0)
        return yaml_error_key(n, r->reterr, "there is no detection in it");
    if (!condition)
        return yaml_error_key(n, r->reterr, "the condition is missing");
    r->d->condition = read_conditions(r, condition, detections, count);
    r->d->atoms = c.atoms;
    return r->d->condition ? 0 : -1;
}

static int read_filter(struct reader *r, const struct yaml_node *n)
{
    if (yaml_want(n, YAML_MAPPING, r->reterr) != 0)
        return -1;
    const struct yaml_node *rules = yaml_find(n, "rules");
    if (!rules)
        return yaml_error_key(n, r->reterr, "the filter lacks rules");
    bool any = rules->kind == YAML_SCALAR && strcmp(rules->text, "any") == 0;
    if (!any && sigma_names_read(r->arena, rules, NAMES_MAX, &r->d->filtered, r->reterr) != 0)
        return -1;
    return read_detections(r, n, true);
}

static int read_document(struct reader *r, const struct yaml_node *top)
{
    static const char *const keys[] = {
        "title",
        "id",
        "name",
        "related",
        "taxonomy",
        "status",
        "description",
        "license",
        "author",
        "references",
        "date",
        "modified",
        "logsource",
        "detection",
        "fields",
        "falsepositives",
        "level",
        "tags",
        "scope",
        "filter",
        "correlation",
        "generate",
        /* and two of the public rule collection's own: */ "regression_tests_path",
        "simulation"};
    if (yaml_want(top, YAML_MAPPING, r->reterr) != 0)
        return -1;
    const struct yaml_node *action = yaml_find(top, "action");
    if (action)
        return yaml_error_key(action, r->reterr,
                              "collections with \"action\" are not supported: write whole rules");
    if (yaml_check_keys(top, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *detection = yaml_find(top, "detection"), *filter = yaml_find(top, "filter"),
                           *correlation = yaml_find(top, "correlation"),
                           *generate = yaml_find(top, "generate");
    if (!detection + !filter + !correlation != 2)
        return yaml_error_key(top->items, r->reterr,
                              "a document has one of detection, filter and correlation");
    r->d->place = (struct place){r->d->place.file, top->items->key_line, top->items->key_column};
    r->d->kind = detection ? SIGMA_RULE : filter ? SIGMA_FILTER : SIGMA_CORRELATION;
    if (generate && !correlation)
        return yaml_error_key(generate, r->reterr, "only a correlation has generate");
    if (read_meta(r, top) != 0 || (!correlation && read_logsource(r, top) != 0))
        return -1;
    if (detection)
        return read_detections(r, detection, false);
    if (filter)
        return read_filter(r, filter);
    r->d->correlation = sigma_correlation_read(r->arena, correlation, r->reterr);
    if (!r->d->correlation)
        return -1;
    return generate ? yaml_get_bool(generate, &r->d->correlation->generate, r->reterr) : 0;
}

static void read_part(struct reader *r, struct span text, const char *file, unsigned line, sigma_take *take,
                      void *context)
{
    struct arena tree;
    struct err err = {0};
    arena_init(&tree, TREE_BYTES);
    const struct yaml_node *top = yaml_read_part(&tree, text, file, line, &err);
    if (top &&
        !(yaml_is_null(top) && top->len == 0)) { /* nothing at all between two markers is no document */
        r->reterr = &err;
        r->d = arena_alloc(r->arena, sizeof *r->d);
        if (r->d)
            r->d->place.file = file;
        if (!r->d)
            fail_memory(r, top);
        else if (read_document(r, top) == 0)
            take(context, r->d, NULL);
    }
    if (err.text[0])
        take(context, NULL, &err);
    r->reterr = NULL; /* it was ours */
    arena_reset(&tree);
}

/* Does a line mark the end of a document: --- or ..., and nothing glued to it? (YAML 1.2, 9.1.2: nowhere else may a line begin so.) */
static bool is_marker(struct span line)
{
    return line.len >= 3 && (memcmp(line.data, "---", 3) == 0 || memcmp(line.data, "...", 3) == 0) &&
           (line.len == 3 || line.data[3] == ' ' || line.data[3] == '\t' || line.data[3] == '\r');
}

static bool is_nothing(struct span line)
{
    size_t i = 0;
    while (i < line.len && (line.data[i] == ' ' || line.data[i] == '\t' || line.data[i] == '\r'))
        i++;
    return i == line.len || line.data[i] == '#' || line.data[0] == '%';
}

void sigma_read(struct arena *arena, struct span text, const char *file, const struct sigma_options *options,
                sigma_take *take, void *context)
{
    struct reader r = {.arena = arena, .options = options};
    size_t start = 0, at = 0;
    unsigned line = 1, first_line = 1, documents = 0;
    bool content = false; /* something stands in the part that began at `start` */
    const char *name = arena_strdup(arena, file);
    while (name && at < text.len && documents < SIGMA_DOCUMENTS_MAX) {
        const uint8_t *newline = memchr(text.data + at, '\n', text.len - at);
        size_t end = newline ? (size_t)(newline - text.data) : text.len;
        struct span l = span_of(text.data + at, end - at);
        if (is_marker(l) && content) {
            read_part(&r, span_of(text.data + start, at - start), name, first_line, take, context);
            documents++;
        }
        if (is_marker(l)) {
            /* "..." ends without beginning: the parser is not to see it alone */
            bool dots = l.data[0] == '.';
            start = dots ? end + (newline != NULL) : at;
            first_line = line + dots;
            content = !dots && !is_nothing(span_from(l, 3));
        } else {
            content = content || !is_nothing(l);
        }
        at = end + 1;
        line++;
    }
    if (name && content && start < text.len)
        read_part(&r, span_from(text, start), name, first_line, take, context);
}

int sigma_read_placeholders(struct arena *arena, struct span text, const char *file, struct placeholder **ret,
                            struct err *reterr)
{
    struct sigma_names names;
    const struct yaml_node *top = yaml_read(arena, text, file, reterr);
    if (!top || yaml_want(top, YAML_MAPPING, reterr) != 0)
        return -1;
    struct placeholder *list = arena_alloc(arena, (top->count + 1) * sizeof *list);
    size_t count = 0;
    if (!list)
        return yaml_error(top, reterr, "too large");
    for (YAML_EACH(n, top)) {
        if (sigma_names_read(arena, n, SIGMA_VALUES_MAX, &names, reterr) != 0)
            return -1;
        list[count++] = (struct placeholder){n->key, names.items, names.count};
    }
    *ret = list;
    return (int)count;
}
