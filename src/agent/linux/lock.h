/* lock.h: can programs here get out without the proxy? Found out by trying, as the agent's own user, whom no lock lets out: an empty
 * datagram to port 443 of 192.0.2.1 and 2001:db8::1, addresses that belong to nobody (RFC 5737, RFC 3849), which may live
 * for one hop only. A packet filter that drops or rejects what goes out says so to the sender (EPERM); without one the datagram is
 * on its way, and dies at the first router. */
#ifndef EXEAT_AGENT_LINUX_LOCK_H
#define EXEAT_AGENT_LINUX_LOCK_H

/* 1: there is a lock, 0: there is none, -1: cannot be told (no route outside, no right to sockets). */
int lock_look(void);

#endif
