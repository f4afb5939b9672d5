/* streams.h: runs the programs that tell what happens (eslogger, `log stream`), reads their lines and gives them to intake.c. A program that
 * ended is started again after STREAMS_RETRY_MS; what it might have told meanwhile is a loss. Lines longer than STREAMS_LINE_BYTES are
 * dropped and counted. What is not read waits in the pipe; the programs drop what does not fit, and number what they tell. One thread.
 * platform_macos.c and main.c call in; tests give other programs. */
#ifndef EXEAT_AGENT_MACOS_STREAMS_H
#define EXEAT_AGENT_MACOS_STREAMS_H

#include "agent/macos/intake.h"

enum { STREAMS_LINE_BYTES = 256 * 1024, STREAMS_RETRY_MS = 60 * 1000 };

struct streams;

/* Each command ends with a NULL, its first part is a path; NULL: that stream is not wanted. Commands and `in` are borrowed. NULL without
 * memory. Starts nothing yet. */
struct streams *streams_new(struct intake *in, const char *const *const commands[INTAKE_STREAMS]);
void streams_free(struct streams *s); /* ends the programs; NULL is fine */

/* Descriptors that become readable when there is something to take in; -1: that program does not run. */
void streams_fds(const struct streams *s, int ret[INTAKE_STREAMS]);

/* Starts what is to be started, takes in what waits, up to a bound. Every second at least. */
void streams_turn(struct streams *s, int64_t now_ms);

#endif
