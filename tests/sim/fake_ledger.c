/* fake_ledger.c: see fake_ledger.h. */
#include "fake_ledger.h"

#include "base/must.h"
#include "fake_net.h"

#include <stdio.h>
#include <stdlib.h>

struct ledger {
    char (*uids)[64]; /* owned: metadata.uid of each line */
    char **lines;     /* owned, like what they point to */
    unsigned count, reserved, refused;
    bool full;
};

struct ledger *fake_ledger_new(void)
{
    struct ledger *l = calloc(1, sizeof *l);
    must(l);
    return l;
}

void fake_ledger_free(struct ledger *take_l)
{
    if (take_l->reserved)
        sim_abort("%u slots of the ledger are still reserved", take_l->reserved);
    for (unsigned i = 0; i < take_l->count; i++)
        free(take_l->lines[i]);
    free(take_l->lines);
    free(take_l->uids);
    free(take_l);
}

void fake_ledger_fill(struct ledger *l, bool full)
{
    l->full = full;
}

unsigned fake_ledger_count(const struct ledger *l)
{
    return l->count;
}

const char *fake_ledger_line(const struct ledger *l, unsigned i)
{
    return l->lines[i];
}

unsigned fake_ledger_refused(const struct ledger *l)
{
    return l->refused;
}

unsigned fake_ledger_find(const struct ledger *l, const char *uid)
{
    unsigned found = 0;
    for (unsigned i = 0; i < l->count; i++)
        found += strcmp(l->uids[i], uid) == 0;
    return found;
}

int ledger_reserve(struct ledger *l, unsigned count)
{
    if (l->full) {
        l->refused++;
        return -1;
    }
    l->reserved += count;
    return 0;
}

void ledger_release(struct ledger *l, unsigned count)
{
    must(l->reserved >= count);
    l->reserved -= count;
}

void ledger_append(struct ledger *l, struct span line)
{
    must(l->reserved > 0);
    must(line.len > 1 && line.data[line.len - 1] == '\n' && line.len <= LEDGER_LINE_MAX_BYTES);
    l->reserved--;
    l->lines = realloc(l->lines, (l->count + 1) * sizeof *l->lines);
    l->uids = realloc(l->uids, (l->count + 1) * sizeof *l->uids);
    must(l->lines && l->uids);
    l->lines[l->count] = strndup((const char *)line.data, line.len - 1);
    must(l->lines[l->count]);
    const char *uid = strstr(l->lines[l->count], "\"uid\":\""); /* metadata comes first */
    must(uid && sscanf(uid, "\"uid\":\"%63[^\"]", l->uids[l->count]) == 1);
    l->count++;
}
