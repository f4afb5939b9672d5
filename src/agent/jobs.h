/* jobs.h: what keeps starting a program, as the texts say that root and users write about it: timers, crontabs, desktop
 * entries. The back end finds the files and asks here. Pure. */
#ifndef EXEAT_AGENT_JOBS_H
#define EXEAT_AGENT_JOBS_H

#include "base/span.h"

enum { JOB_TEXT_BYTES = 512 };

/* The lines of a unit file (timer, socket, path) that say when it starts its service: "OnCalendar=daily; Persistent..."; only keys
 * that begin one of `keys` (words with spaces between). False when there is none. */
bool jobs_read_trigger(struct span text, const char *keys, char ret[JOB_TEXT_BYTES]);

/* Does a unit file say `Unit=name` (or Service=name)? */
bool jobs_names_unit(struct span text, const char *name);

/* The crontab's line that runs this command. `argv` is the process that cron started: either a shell with -c, or (a shell
 * executes the last command in its own place) the command itself. `with_user`: lines name a user after the times, who must be
 * `user`. Fills the times. False when no line does. */
bool jobs_match_crontab(struct span text, bool with_user, const char *user, const char *const *argv,
                        size_t argc, char ret_times[JOB_TEXT_BYTES]);

/* Does a desktop entry start this program? Compares the first word of Exec= with argv[0] and the executable, by their last
 * parts where it is no path. */
bool jobs_match_desktop(struct span text, const char *executable, const char *argv0);

/* "app-org.x\x2dy@autostart.service" to "org.x-y": the desktop entry that systemd made this unit of. False: no such unit. */
bool jobs_desktop_name(const char *unit, char *ret, size_t size);

#endif
