/* coverage.h: what the analytics' rules ask about, and of how many hosts that was observed within 24 hours, by platform: for
 * `exeat status coverage`. server.c calls in, on admin's thread; what agents see is the workers' word (gather.h). */
#ifndef EXEAT_ADMIN_COVERAGE_H
#define EXEAT_ADMIN_COVERAGE_H

#include "admin/gather.h"

void coverage_write(struct daemon *d, const struct gather *g, struct buf *out);

#endif
