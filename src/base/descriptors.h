/* descriptors.h: room for descriptors, made at once. The kernel's table of a process grows by doubling, and where the process has threads each
 * time waits for all processors to have let go of the old one (synchronize_rcu in the kernel's fs/file.c: 5 to 30 ms here at the 256th and at the 512th
 * descriptor), in whichever call wanted the next. The table never shrinks. */
#ifndef EXEAT_BASE_DESCRIPTORS_H
#define EXEAT_BASE_DESCRIPTORS_H

/* Makes it large enough for `count` descriptors, or for as many as the process may have; before it has threads. 8 bytes each. Without that
 * room it grows as it did. */
void descriptors_reserve(unsigned long count);

#endif
