/* elf_needed.c: see elf_needed.h. */
#include "agent/linux/elf_needed.h"

#include <elf.h>
#include <unistd.h>

enum { HEADERS_MAX = 64, ENTRIES_MAX = 1024, NAME_BYTES = 1024 };

struct image {
    int fd;
    Elf64_Ehdr header;
    Elf64_Phdr parts[HEADERS_MAX];
    Elf64_Dyn entries[ENTRIES_MAX];
    size_t entry_count;
};

static bool read_at(int fd, uint64_t offset, void *ret, size_t size)
{
    return offset <= INT64_MAX - size && pread(fd, ret, size, (off_t)offset) == (ssize_t)size;
}

static bool read_headers(struct image *m)
{
    const Elf64_Ehdr *e = &m->header;
    return read_at(m->fd, 0, &m->header, sizeof m->header) && memcmp(e->e_ident, ELFMAG, SELFMAG) == 0 &&
           e->e_ident[EI_CLASS] == ELFCLASS64 && e->e_ident[EI_DATA] == ELFDATA2LSB &&
           (e->e_type == ET_EXEC || e->e_type == ET_DYN) && e->e_phentsize == sizeof(Elf64_Phdr) &&
           e->e_phnum > 0 && e->e_phnum <= HEADERS_MAX &&
           read_at(m->fd, e->e_phoff, m->parts, e->e_phnum * sizeof(Elf64_Phdr));
}

/* False: it has one that cannot be read. */
static bool read_dynamic(struct image *m)
{
    for (unsigned i = 0; i < m->header.e_phnum; i++) {
        const Elf64_Phdr *p = &m->parts[i];
        if (p->p_type != PT_DYNAMIC)
            continue;
        m->entry_count = p->p_filesz / sizeof(Elf64_Dyn);
        return m->entry_count > 0 && m->entry_count <= ENTRIES_MAX &&
               read_at(m->fd, p->p_offset, m->entries, m->entry_count * sizeof(Elf64_Dyn));
    }
    return true;
}

static uint64_t value_of(const struct image *m, int64_t tag)
{
    for (size_t i = 0; i < m->entry_count && m->entries[i].d_tag != DT_NULL; i++)
        if (m->entries[i].d_tag == tag)
            return m->entries[i].d_un.d_val;
    return 0;
}

/* Where the byte at an address stands in the file; 0: nowhere. */
static uint64_t offset_of(const struct image *m, uint64_t address)
{
    for (unsigned i = 0; i < m->header.e_phnum; i++) {
        const Elf64_Phdr *p = &m->parts[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz &&
            p->p_offset <= INT64_MAX - p->p_filesz)
            return address - p->p_vaddr + p->p_offset;
    }
    return 0;
}

/* The name at `at` of the table at `table`; NULL: it has no end, or there is no memory. */
static const char *name_at(const struct image *m, uint64_t table, uint64_t at, struct arena *arena)
{
    char name[NAME_BYTES];
    if (at > INT64_MAX / 2 || table > INT64_MAX / 2)
        return NULL;
    ssize_t n = pread(m->fd, name, sizeof name, (off_t)(table + at));
    if (n <= 0 || !memchr(name, 0, (size_t)n))
        return NULL;
    return arena_strdup(arena, name);
}

static bool take_name(const struct image *m, uint64_t table, const Elf64_Dyn *d, struct arena *arena,
                      struct elf_needed *ret)
{
    const char **to = d->d_tag == DT_NEEDED && ret->count < ELF_NEEDED_MAX ? &ret->names[ret->count]
                      : d->d_tag == DT_SONAME                              ? &ret->soname
                      : d->d_tag == DT_RUNPATH || (d->d_tag == DT_RPATH && !ret->runpath) ? &ret->runpath
                                                                                          : NULL;
    if (!to)
        return d->d_tag != DT_NEEDED; /* more than anybody needs */
    *to = name_at(m, table, d->d_un.d_val, arena);
    ret->count += *to && d->d_tag == DT_NEEDED;
    return *to != NULL;
}

int elf_needed_read(int fd, struct arena *arena, struct elf_needed *ret)
{
    struct image m = {.fd = fd};
    struct elf_needed found = {.count = 0};
    if (!read_headers(&m) || !read_dynamic(&m))
        return -1;
    uint64_t table = m.entry_count ? offset_of(&m, value_of(&m, DT_STRTAB)) : 0;
    for (size_t i = 0; i < m.entry_count && m.entries[i].d_tag != DT_NULL; i++) {
        int64_t tag = m.entries[i].d_tag;
        if (tag != DT_NEEDED && tag != DT_SONAME && tag != DT_RUNPATH && tag != DT_RPATH)
            continue;
        if (table == 0 || !take_name(&m, table, &m.entries[i], arena, &found))
            return -1;
    }
    *ret = found;
    return 0;
}
