/* status.h: what the workers said, as JSON. */
#ifndef EXEAT_ADMIN_STATUS_H
#define EXEAT_ADMIN_STATUS_H

#include "admin/gather.h"

void status_write(struct daemon *d, const struct gather *g, struct buf *out);
void status_write_flows(const struct gather *g, struct buf *out);

#endif
