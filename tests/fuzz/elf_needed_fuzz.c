/* elf_needed_fuzz.c: a file from anybody as a library: what it needs are texts with an end, or nothing. */
#include "agent/linux/elf_needed.h"
#include "base/must.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_needed of = {.count = 0};
    struct arena arena;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    arena_init(&arena, 1 << 20);
    if (elf_needed_read(fd, &arena, &of) == 0)
        for (size_t i = 0; i < of.count; i++)
            must(strlen(of.names[i]) < size);
    arena_reset(&arena);
    close(fd);
    return 0;
}
