/* elf_needed.h: what an ELF file says that the dynamic linker must load with it: DT_NEEDED, DT_SONAME, DT_RUNPATH (gABI chapter 5). ELF 64,
 * little endian; any bytes may come. Reads only the headers, the dynamic section and the names. linked.c calls in. */
#ifndef EXEAT_AGENT_LINUX_ELF_NEEDED_H
#define EXEAT_AGENT_LINUX_ELF_NEEDED_H

#include "base/arena.h"

enum { ELF_NEEDED_MAX = 256 };

/* Strings live in the arena; NULL: none. */
struct elf_needed {
    const char *soname, *runpath; /* runpath: DT_RUNPATH, else DT_RPATH */
    const char *names[ELF_NEEDED_MAX];
    size_t count;
};

/* 0; -1: no such ELF file, or one that makes no sense. A static one needs nothing. */
int elf_needed_read(int fd, struct arena *arena, struct elf_needed *ret);

#endif
