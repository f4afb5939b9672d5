/* confine.h: what the answerer may ask of the kernel from here on: to read, write and wait on what it has, to accept on its socket,
 * to run the one program in the kernel that it was given, memory and time. No files, no sockets of its own, no programs, no other processes. What is not on the list ends the process,
 * and its keeper starts another one: an answerer that tries more is somebody else's. exeat_agent.c calls in, last of all. */
#ifndef EXEAT_AGENT_LINUX_CONFINE_H
#define EXEAT_AGENT_LINUX_CONFINE_H

/* 0, or -1 with errno: the kernel cannot. Needs PR_SET_NO_NEW_PRIVS before. Nothing is undone later. */
int confine_answerer(void);

/* What the marker (marker.h) may ask, likewise: to look at files, to mark file systems, to read and to write on the socket that it has. */
int confine_marker(void);

#endif
