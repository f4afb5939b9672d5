/* bypass.h: who goes around the proxy: loads bypass.bpf.c, gives names to what it counts, keeps the latest. platform_linux.c owns
 * it. Needs CAP_BPF and CAP_NET_ADMIN at the start, and a cgroup2 file system. */
#ifndef EXEAT_AGENT_LINUX_BYPASS_H
#define EXEAT_AGENT_LINUX_BYPASS_H

#include "wire/agent_around.h"

struct bypass;

/* NULL and why (a sentence). */
struct bypass *bypass_new(char why[AROUND_WHY_BYTES]);
void bypass_free(struct bypass *b); /* NULL is fine */

int bypass_fd(const struct bypass *b); /* readable when somebody new is counted; then bypass_take_in() */
void bypass_take_in(struct bypass *b);

/* A proxy's process: what it does is no way around. */
void bypass_except(struct bypass *b, int64_t pid, bool is_proxy);

/* Adds up what was counted since the last time; true when there was something. Fills observed, tcp, udp, senders. */
bool bypass_sum_up(struct bypass *b, struct agent_around *ret, int64_t wall_ms);

#endif
