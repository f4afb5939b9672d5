/* elf_symbols.h: where in a library's file the code of an exported function begins. Pure; ELF 64, little endian, as gABI chapter 4
 * and 5 have it. Any bytes may come. */
#ifndef EXEAT_AGENT_LINUX_ELF_SYMBOLS_H
#define EXEAT_AGENT_LINUX_ELF_SYMBOLS_H

#include "base/span.h"

/* Calls `each` for every defined function of the dynamic symbol table, with its offset in the file. The name is a view into
 * `file`. False: no such ELF file. */
bool elf_symbols_each(struct span file, void (*each)(void *context, const char *name, uint64_t offset),
                      void *context);

#endif
