/* ja4_known.c: see ja4_known.h. Pure. */
#include "facts/ja4_known.h"

#include "base/must.h"

static const struct ja4_known rows[] = {
#define KNOWN(ciphers, name, browser) {ciphers, name, browser},
#include "facts/ja4_known.def"
#undef KNOWN
};

const struct ja4_known *ja4_known_find(struct span ja4)
{
    const uint8_t *first = ja4.len ? memchr(ja4.data, '_', ja4.len) : NULL;
    struct span rest = first ? span_from(ja4, (size_t)(first - ja4.data) + 1) : (struct span){NULL, 0};
    const uint8_t *second = rest.len ? memchr(rest.data, '_', rest.len) : NULL;
    if (!second)
        return NULL;
    struct span ciphers = span_of(rest.data, (size_t)(second - rest.data));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (span_is(ciphers, rows[i].ciphers))
            return &rows[i];
    return NULL;
}

bool ja4_contradicts(const struct ja4_known *known, bool sender_is_browser, bool grease, bool h2)
{
    /* Firefox sends no GREASE */
    bool greases = !known || strcmp(known->name, "firefox") != 0;
    if (!sender_is_browser)
        return known && known->browser;
    return (known && !known->browser) || (greases && !grease) || !h2;
}
