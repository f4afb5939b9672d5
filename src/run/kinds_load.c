/* kinds_load.c: see kinds_load.h. */
#include "run/kinds_load.h"

#include "conf/file.h"

enum { KINDS_MAX_BYTES = 16 * 1024 * 1024 };

struct sender_kinds *kinds_load_senders(const struct conf *c, struct err *reterr)
{
    const char *path = c->policy.senders;
    struct sender_kinds *k = NULL;
    struct buf text;
    if (!path)
        return sender_kinds_parse(sender_kinds_builtin(), SENDER_KINDS_BUILTIN_NAME, reterr);
    buf_init(&text, KINDS_MAX_BYTES);
    if (conf_file_read(path, false, &text, reterr) == 0)
        k = sender_kinds_parse(buf_span(&text), path, reterr);
    buf_free(&text);
    return k;
}

struct destinations *kinds_load_destinations_file(const char *path, struct err *reterr)
{
    struct destinations *d = NULL;
    struct buf text;
    if (!path)
        return destinations_new(reterr);
    buf_init(&text, KINDS_MAX_BYTES);
    if (conf_file_read(path, false, &text, reterr) == 0)
        d = destinations_parse(buf_span(&text), path, reterr);
    buf_free(&text);
    return d;
}

struct destinations *kinds_load_destinations(const struct conf *c, struct err *reterr)
{
    return kinds_load_destinations_file(c->policy.destinations, reterr);
}

struct baseline *kinds_load_baseline(const struct conf *c, struct span text, const char *name,
                                     struct err *reterr)
{
    struct destinations *d = kinds_load_destinations(c, reterr);
    struct baseline *b = d ? baseline_parse_with(text, name, d, reterr) : NULL;
    destinations_free(d);
    return b;
}
