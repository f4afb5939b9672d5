/* owner_bpf.h: the records that owner.bpf.c keeps in the kernel, read. Loading needs CAP_BPF and CAP_PERFMON (or root); reading needs
 * nothing once it is loaded, so it is loaded before privileges are dropped. Without libbpf at build time, without rights, BTF
 * or a kernel of 5.12 there is none, and a sentence says why. platform_linux.c and recorded.c call in. */
#ifndef EXEAT_AGENT_LINUX_OWNER_BPF_H
#define EXEAT_AGENT_LINUX_OWNER_BPF_H

#include "agent/linux/owner_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OWNER_BPF_WHY_BYTES = 160 };

struct owner_bpf;

/* Loads and attaches, and sees whether a connection of its own is written down. NULL fills `why` with a sentence. */
struct owner_bpf *owner_bpf_new(char why[OWNER_BPF_WHY_BYTES]);
void owner_bpf_free(struct owner_bpf *b); /* NULL is fine */

/* Are the records still readable? To be asked after privileges were dropped. */
bool owner_bpf_is_readable(const struct owner_bpf *b);

bool owner_bpf_record(const struct owner_bpf *b, uint64_t cookie, struct owner_record *ret);
bool owner_bpf_sockets(const struct owner_bpf *b, const struct owner_tuple *tuple, struct owner_sockets *ret);
bool owner_bpf_accepted(const struct owner_bpf *b, uint64_t cookie, struct owner_accepted *ret);
bool owner_bpf_image(const struct owner_bpf *b, uint64_t image, struct owner_image *ret);

void owner_bpf_put_image(const struct owner_bpf *b, uint64_t image, const struct owner_image *what);

enum owner_bpf_tagged { OWNER_BPF_GONE, OWNER_BPF_UNTAGGED, OWNER_BPF_TAGGED };

/* What the process that has this number runs now. UNTAGGED: it began before us and never connected. */
enum owner_bpf_tagged owner_bpf_tag(const struct owner_bpf *b, int64_t pid, struct owner_tag *ret);

/* Tags a process that began before us with what it runs; false when it has a tag, or is gone. */
bool owner_bpf_seed(struct owner_bpf *b, int64_t pid, uint64_t start_ns, const struct owner_image *image);

/* All of it in one call, where the kernel takes the program for it (Linux 6.10). False: nothing is recorded under that cookie,
 * or it must be looked up piece by piece. */
bool owner_bpf_look(const struct owner_bpf *b, uint64_t accepted, struct owner_look *ret);

int owner_bpf_look_fd(const struct owner_bpf *b); /* what that runs; -1 */

/* A walk through all descriptors, for these sockets and these processes (at most WANTED_MAX each): see struct owner_walked, told
 * perhaps more than once. False: the kernel does not take the program for it, or won't have it run with the rights that are left. */
struct owner_wanted {
    const uint64_t *cookies; /* borrowed for the call, like pids */
    const uint32_t *pids;
    size_t cookie_count, pid_count;
};
bool owner_bpf_walk(const struct owner_bpf *b, const struct owner_wanted *wanted,
                    void (*each)(void *context, const struct owner_walked *found), void *context);

/* Our own namespace and root folder, as records say them. */
uint32_t owner_bpf_netns(const struct owner_bpf *b);
bool owner_bpf_is_our_root(const struct owner_bpf *b, const struct owner_file *file);

/* Who connects to this port is told at once from now on, and what becomes of him: the descriptor becomes readable. */
void owner_bpf_tell_port(struct owner_bpf *b, uint16_t port);
int owner_bpf_events_fd(const struct owner_bpf *b);
void owner_bpf_each_event(struct owner_bpf *b, void (*each)(void *context, const struct owner_event *event),
                          void *context);

/* Of enum owner_loss, all processors together; the last one counts execs and forks that the kernel skipped. */
void owner_bpf_losses(const struct owner_bpf *b, uint64_t ret[OWNER_LOSS_COUNT + 1]);

#endif
