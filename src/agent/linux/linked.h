/* linked.h: does a program's package link this library? By the files that the package's source brings: what they need, and what that needs,
 * until nothing new comes; what any program may load as a module (modules.def); what the package's dependencies name, for libraries that are
 * opened by name. A library that none of this explains was brought along by somebody else. Reads dpkg's lists and the headers of many
 * files: on the scanning thread, one question at a time. foreign.c asks. */
#ifndef EXEAT_AGENT_LINUX_LINKED_H
#define EXEAT_AGENT_LINUX_LINKED_H

#include "agent/platform.h"

struct linked;

/* `dpkg` is "/var/lib/dpkg", `folders` (ends with NULL) where the dynamic linker looks, before what /etc/ld.so.conf.d names when `system`;
 * a test has its own. Texts are borrowed until linked_free(). NULL without memory. */
struct linked *linked_new(const char *dpkg, const char *const *folders, bool system);
void linked_free(struct linked *l); /* NULL is fine */

/* UNKNOWN: no package owns the program, it loads what others made, or not everything could be looked at. Real paths. */
enum history_linked linked_judge(struct linked *l, const char *executable, const char *library);

#endif
