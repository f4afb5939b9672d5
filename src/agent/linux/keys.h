/* keys.h: who uses ciphers and key pairs outside TLS: uprobes on the libraries' functions (key_calls.def), a few microseconds a call.
 * A call counts when the code that made it is not a TLS library's, nor the library's own. observer.c calls in. */
#ifndef EXEAT_AGENT_LINUX_KEYS_H
#define EXEAT_AGENT_LINUX_KEYS_H

#include "agent/history.h"
#include "agent/platform.h"
#include "base/span.h"

enum { KEYS_WHY_BYTES = 160, KEYS_LINKS_MAX = 128 };

struct key_watch;

/* Needs CAP_BPF and CAP_PERFMON once. ALL: of every process from now on. SEEN: of those that are named later. NULL: `why` says why
 * not. */
struct key_watch *key_watch_new(enum history_keys whose, char why[KEYS_WHY_BYTES]);
void key_watch_free(struct key_watch *w); /* NULL is fine */

int key_watch_fd(const struct key_watch *w); /* readable when somebody called */
bool key_watch_turn(struct key_watch *w, struct history *h, unsigned max);
uint64_t key_watch_lost(const struct key_watch *w);

/* SEEN: this process' calls, too; the one that was named first makes room. */
void key_watch_process(struct key_watch *w, int64_t pid);

/* A library that lies in a container, by a process there and the path that it sees: watched from here on, once for each file. */
void key_watch_add(struct key_watch *w, int64_t pid, uint64_t mounts, const char *path);

/* Where `has_processes` says no, nothing is held any more: what is held keeps others from unmounting. */
void key_watch_forget(struct key_watch *w, bool (*has_processes)(void *context, uint64_t mounts),
                      void *context);

/* Calls `each` with the names that such libraries have in a root. */
void key_library_patterns(void (*each)(void *context, const char *pattern), void *context);

/* One record into the history, for the ring and for tests. */
void key_record_take(struct history *h, const void *data, size_t size);

#endif
