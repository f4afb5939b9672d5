/* kinds.h: what policy/senders.yaml says of an exchange's sender becomes facts: its kind, whether it is at home, whether what it did before is what it
 * is meant to do. attribute.c and remember.c call in; touches the facts of one exchange. */
#ifndef EXEAT_FLOW_KINDS_H
#define EXEAT_FLOW_KINDS_H

struct flow;

/* Whenever more is known of the sender or of what it did. */
void kinds_set_sender(struct flow *f);

/* When the destination is known. */
void kinds_set_destination(struct flow *f);

#endif
