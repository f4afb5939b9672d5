/* finding_read.c: a finding back from the store's bytes. What is too long is cut, what is out of range makes it unreadable. See finding.h. */
#include <jansson.h>

#include "audit/finding.h"

#include <stdio.h>
#include <stdlib.h>

static void read_text(const json_t *o, const char *key, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(o, key));
    snprintf(ret, size, "%s", text ? text : "");
}

static int64_t read_number(const json_t *o, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(o, key));
}

static unsigned read_texts(const json_t *o, const char *key, char *ret, size_t stride, unsigned room)
{
    const json_t *list = json_object_get(o, key);
    unsigned count = 0;
    for (size_t i = 0; i < json_array_size(list) && count < room; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text)
            snprintf(ret + count++ * stride, stride, "%s", text);
    }
    return count;
}

/* The caller's; NULL: it isn't there. */
static char *read_object(const json_t *o, const char *key)
{
    const json_t *found = json_object_get(o, key);
    return json_is_object(found) ? json_dumps(found, JSON_COMPACT) : NULL;
}

static bool is_sound(const struct finding *f)
{
    return f->uid[0] && f->rule[0] && f->level >= SEVERITY_INFORMATIONAL && f->level <= SEVERITY_CRITICAL &&
           f->severity >= SEVERITY_INFORMATIONAL && f->severity <= SEVERITY_CRITICAL &&
           f->status >= FINDING_NEW && f->status <= FINDING_RESOLVED && f->first_ms >= 0 &&
           f->last_ms >= f->first_ms;
}

enum parse finding_read(struct span text, struct finding *ret)
{
    struct finding f = {0};
    json_t *o =
        text.len <= FINDING_STATE_MAX_BYTES ? json_loadb((const char *)text.data, text.len, 0, NULL) : NULL;
    if (!json_is_object(o)) {
        json_decref(o);
        return PARSE_BAD;
    }
#define TEXT(name)   read_text(o, #name, f.name, sizeof f.name);
#define NUMBER(name) f.name = (__typeof__(f.name))read_number(o, #name);
#define FLAG(name)   f.name = json_is_true(json_object_get(o, #name));
#include "audit/finding_fields.def"
#undef TEXT
#undef NUMBER
#undef FLAG
    f.attack_count = read_texts(o, "attacks", f.attacks[0], sizeof f.attacks[0], FINDING_ATTACKS_MAX);
    f.record_count = read_texts(o, "records", f.records[0], sizeof f.records[0], FINDING_RECORDS_MAX);
    f.evidence = read_object(o, "evidence");
    f.history = read_object(o, "history");
    json_decref(o);
    if (!is_sound(&f)) {
        finding_clear(&f);
        return PARSE_BAD;
    }
    *ret = f;
    return PARSE_OK;
}
