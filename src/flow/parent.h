/* parent.h: what a parent proxy is asked, by a flow (parent.c) and by a probe that goes the same way (peek.c). Private to flow/. */
#ifndef EXEAT_FLOW_PARENT_H
#define EXEAT_FLOW_PARENT_H

#include "base/buf.h"
#include "conf/conf.h"

/* CONNECT with the parent's own credentials, appended. 0, or -1 when it didn't fit. */
int parent_ask_write(struct buf *out, const struct conf_parent *parent, const struct host *host,
                     uint16_t port);

#endif
