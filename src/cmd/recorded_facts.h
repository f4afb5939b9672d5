/* recorded_facts.h: the facts of an exchange read back from its record, by the table that wrote them, so that rules can be asked about the past.
 * What records don't hold (cookies; queries unless audit.include_query) stays unknown, and so does what that exchange's path didn't show.
 * `exeat rules explain` and `exeat replay` ask. */
#ifndef EXEAT_CMD_RECORDED_FACTS_H
#define EXEAT_CMD_RECORDED_FACTS_H

#include "cmd/recorded.h"

#include "base/arena.h"
#include "facts/facts.h"

struct recorded_facts {
    struct arena arena; /* the facts' texts */
    struct facts facts;
    struct ip ips[FACT_COUNT];
    bool not_recorded[FACT_COUNT]; /* no record holds it */
    bool partial[FACT_COUNT];      /* the record may hold less than there was: for struct evaluate_how */
};

void recorded_facts_init(struct recorded_facts *p);
void recorded_facts_free(struct recorded_facts *p);

/* What was read before is forgotten. */
void recorded_facts_read(struct recorded_facts *p, const json_t *record);

/* The last record of its exchange? */
bool recorded_is_close(const json_t *record);

#endif
