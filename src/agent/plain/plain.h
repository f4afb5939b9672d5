/* plain.h: the agent's core where there is no libuv and no jansson: Windows and macOS. Bytes of a link in, bytes out; the system is asked
 * through platform.h, as agent.c does. What a program owns (pipes, sockets, the loop) is in windows/ and macos/; the tests run this
 * core on Linux. One thread. Every list has a bound: links are the program's, asks that wait for a hash PLAIN_WAITING_MAX.
 *
 * Of platform.h it needs: platform_new, platform_free, platform_owner, platform_name, platform_not_observable, platform_degraded,
 * platform_attribute, platform_history, platform_history_losses, platform_host, platform_open_executable, platform_file_key,
 * process_unref. Connections that are watched (agent/watch.h) are asked about again, each once in WATCH_ROUND_MS, by plain_turn(). */
#ifndef EXEAT_AGENT_PLAIN_PLAIN_H
#define EXEAT_AGENT_PLAIN_PLAIN_H

#include "agent/platform.h"
#include "base/buf.h"

enum { PLAIN_WAITING_MAX = 256, PLAIN_WATCHED_MAX = 256, PLAIN_OUT_BYTES = 4 * 1024 * 1024 };

struct plain;
struct plain_link;

/* `know` may be NULL where the platform needs none. NULL and *ret_error when something cannot be had. */
struct plain *plain_new(const struct knowledge *know, const char **ret_error);
void plain_free(struct plain *p); /* after its links are closed */

struct platform *plain_platform(struct plain *p); /* a view, as long as the core */

/* A peer that may ask has connected: says hello to it. `uid` -1: this system has none. */
struct plain_link *plain_link_open(struct plain *p, int64_t peer_uid, int64_t peer_pid);
void plain_link_close(struct plain_link *link);

/* What it sent. `now_ms` of a steady clock. -1: it speaks wrongly or too long, or reads nothing: close it. */
int plain_link_take(struct plain_link *link, struct span bytes, int64_t now_ms);

/* What is to be written to it: consume what was. */
struct buf *plain_link_out(struct plain_link *link);

/* Hashes a piece of a file, answers those whose wait is over, and looks at some of those that are watched. How many milliseconds may
 * pass until the next call: 0 there is more to do at once, -1 nothing waits. */
int plain_turn(struct plain *p, int64_t now_ms);

#endif
