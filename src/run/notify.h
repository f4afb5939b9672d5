/* notify.h: tells the service manager how we are (the sd_notify protocol: a datagram to NOTIFY_SOCKET), without libsystemd.
 * `exeat run` listens in the same way. Touches one socket. */
#ifndef EXEAT_RUN_NOTIFY_H
#define EXEAT_RUN_NOTIFY_H

/* Sends e.g. "READY=1" or "STATUS=...". Harmless when nobody listens. */
void notify_send(const char *text);
/* "RELOADING=1" with the time stamp that Type=notify-reload asks for. */
void notify_reloading(void);

#endif
