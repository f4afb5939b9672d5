/* launchctl_parse.h: a line of `launchctl list`: PID, last status and label, with tabs between. Pure. */
#ifndef EXEAT_AGENT_MACOS_LAUNCHCTL_PARSE_H
#define EXEAT_AGENT_MACOS_LAUNCHCTL_PARSE_H

#include "base/span.h"

/* PARSE_MORE: a job that doesn't run. PARSE_BAD: no such line, as the heading. *ret_label is a view into `line`. A label with a slash is
 * refused: units have one before the name (agent_protocol.h). */
enum parse launchctl_parse(struct span line, int64_t *ret_pid, struct span *ret_label);

#endif
