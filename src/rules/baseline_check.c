/* baseline_check.c: what can never count, because something before it always does. A baseline that holds such lines says
 * something else than its author reads in it. Pure. */
#include "rules/baseline.h"
#include "rules/baseline_model.h"

static bool network_within(const struct ip_network *inner, const struct ip_network *outer)
{
    return inner->prefix >= outer->prefix && ip_in(&inner->ip, outer);
}

/* `earlier` matches fewer senders than its conditions say: not those with a writable path, not interpreters. So it shadows
 * only entries with the same reservations. */
bool entry_shadows(const struct entry *earlier, const struct entry *later)
{
    if (earlier->term.ticket || earlier->adds)
        return false; /* it adds, and what it doesn't let out goes on */
    for (int i = 0; i < CONDITION_COUNT; i++) {
        const char *want = earlier->conditions[i], *have = later->conditions[i];
        if (want && (!have || strcmp(want, have) != 0))
            return false;
    }
    if (earlier->proxy_user && (!later->proxy_user || strcmp(earlier->proxy_user, later->proxy_user) != 0))
        return false;
    if (earlier->role && (!later->role || strcmp(earlier->role, later->role) != 0))
        return false;
    if (earlier->has_client && (!later->has_client || !network_within(&later->client, &earlier->client)))
        return false;
    if (later->confidences & ~earlier->confidences)
        return false;
    if (earlier->names_program && (!later->names_program || (later->borrowed & ~earlier->borrowed)))
        return false; /* what suspends the earlier one reaches the later one */
    if (earlier->wants_fixed_path && !later->wants_fixed_path)
        return false;
    if (earlier->wants_no_transfer_tool && !later->wants_no_transfer_tool)
        return false;
    return !earlier->wants_no_interpreter || later->wants_no_interpreter;
}

static bool name_covers(const struct destination *wide, const struct destination *narrow)
{
    switch (wide->name) {
    case DESTINATION_ANY:
        return !narrow->many;
    case DESTINATION_HOST:
        return narrow->name == DESTINATION_HOST && host_equal(&wide->host, &narrow->host);
    case DESTINATION_DOMAIN:
        return (narrow->name == DESTINATION_HOST || narrow->name == DESTINATION_DOMAIN) &&
               host_is_within(&narrow->host, wide->host.name);
    case DESTINATION_UNNAMED:
        break;
    }
    if (narrow->name == DESTINATION_UNNAMED)
        return wide->resolve || !narrow->resolve;
    if (narrow->name == DESTINATION_ANY)
        return false;
    return (wide->resolve && !narrow->many) || (narrow->name == DESTINATION_HOST && narrow->host.is_ip);
}

static bool network_covers(const struct destination *wide, const struct destination *narrow)
{
    if (!wide->has_network)
        return true;
    if (narrow->has_network)
        return network_within(&narrow->network, &wide->network);
    return narrow->name == DESTINATION_HOST && narrow->host.is_ip && ip_in(&narrow->host.ip, &wide->network);
}

static bool ports_cover(const struct destination *wide, const struct destination *narrow)
{
    if (wide->port_count == 0 || narrow->port_count == 0)
        return wide->port_count == 0;
    size_t w = 0;
    for (size_t n = 0; n < narrow->port_count; n++) {
        while (w < wide->port_count && wide->ports[w] < narrow->ports[n])
            w++;
        if (w == wide->port_count || wide->ports[w] != narrow->ports[n])
            return false;
    }
    return true;
}

static bool path_covers(const struct destination *wide, const struct destination *narrow)
{
    return !wide->path || (narrow->path && strncmp(narrow->path, wide->path, strlen(wide->path)) == 0);
}

bool destination_covers(const struct destination *wide, const struct destination *narrow)
{
    return name_covers(wide, narrow) && network_covers(wide, narrow) &&
           (wide->asn == 0 || wide->asn == narrow->asn) && ports_cover(wide, narrow) &&
           path_covers(wide, narrow);
}

const struct destination *destination_find_cover(const struct destination *const *items, size_t count,
                                                 const struct destination *d)
{
    for (size_t i = 0; i < count; i++)
        if (destination_covers(items[i], d))
            return items[i];
    return NULL;
}

/* ---- what holds for less than it may seem to ---- */

static const char only_exact[] =
    "holds for senders that are exact alone; where no agent tells who it is, say "
    "confidence: [exact, unknown] beside it";
static const char not_many[] = "does not hold for places of many tenants (policy/destinations.yaml): name "
                               "one tenant's host, or a path of a "
                               "host that they share";

static const struct destination *find_wide(const struct destination_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i]->name == DESTINATION_ANY || l->items[i]->resolve)
            return l->items[i];
    return NULL;
}

/* Two for each sender: the cursor counts them all. */
bool baseline_next_hint(const struct baseline *b, size_t *cursor, struct baseline_hint *ret)
{
    for (; *cursor < 2 * b->entry_count; ++*cursor) {
        const struct entry *e = &b->entries[*cursor / 2];
        const struct destination *wide = *cursor % 2 ? find_wide(&e->allow) : NULL;
        if (*cursor % 2 ? !wide : e->by_process || e->names_confidence)
            continue;
        *ret = wide ? (struct baseline_hint){e->name, wide->line, not_many}
                    : (struct baseline_hint){e->name, e->line, only_exact};
        ++*cursor;
        return true;
    }
    return false;
}
