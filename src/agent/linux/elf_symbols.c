/* elf_symbols.c: see elf_symbols.h. */
#include "agent/linux/elf_symbols.h"

#include <elf.h>

enum { HEADERS_MAX = 256, SYMBOLS_MAX = 1 << 16, NAME_BYTES_MAX = 128 };

/* `count` items of `size` bytes at `offset`, or NULL when the file ends before. Items are copied out: nothing is aligned. */
static const uint8_t *part(struct span file, uint64_t offset, uint64_t size, uint64_t count)
{
    if (count > file.len || (size && count > file.len / size) || offset > file.len ||
        size * count > file.len - offset)
        return NULL;
    return file.data + offset;
}

static bool read_header(struct span file, Elf64_Ehdr *ret)
{
    if (file.len < sizeof *ret)
        return false;
    memcpy(ret, file.data, sizeof *ret);
    return memcmp(ret->e_ident, ELFMAG, SELFMAG) == 0 && ret->e_ident[EI_CLASS] == ELFCLASS64 &&
           ret->e_ident[EI_DATA] == ELFDATA2LSB && ret->e_phentsize == sizeof(Elf64_Phdr) &&
           ret->e_shentsize == sizeof(Elf64_Shdr) && ret->e_phnum <= HEADERS_MAX &&
           ret->e_shnum <= HEADERS_MAX;
}

/* Of code alone: 0 is no function's. */
static uint64_t file_offset(struct span file, const Elf64_Ehdr *e, uint64_t address)
{
    const uint8_t *at = part(file, e->e_phoff, sizeof(Elf64_Phdr), e->e_phnum);
    for (unsigned i = 0; at && i < e->e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, at + i * sizeof p, sizeof p);
        if (p.p_type == PT_LOAD && (p.p_flags & PF_X) && address >= p.p_vaddr &&
            address - p.p_vaddr < p.p_filesz)
            return address - p.p_vaddr + p.p_offset;
    }
    return 0;
}

static bool find_section(struct span file, const Elf64_Ehdr *e, unsigned type, Elf64_Shdr *ret,
                         Elf64_Shdr *ret_names)
{
    const uint8_t *at = part(file, e->e_shoff, sizeof *ret, e->e_shnum);
    for (unsigned i = 0; at && i < e->e_shnum; i++) {
        memcpy(ret, at + i * sizeof *ret, sizeof *ret);
        if (ret->sh_type != type || ret->sh_link >= e->e_shnum || ret->sh_entsize != sizeof(Elf64_Sym))
            continue;
        memcpy(ret_names, at + ret->sh_link * sizeof *ret_names, sizeof *ret_names);
        return true;
    }
    return false;
}

/* Of a name that is no longer than any that is looked for. */
static bool has_end(const uint8_t *name, uint64_t most)
{
    return memchr(name, 0, most < NAME_BYTES_MAX ? most : NAME_BYTES_MAX) != NULL;
}

bool elf_symbols_each(struct span file, void (*each)(void *context, const char *name, uint64_t offset),
                      void *context)
{
    Elf64_Ehdr e;
    Elf64_Shdr symbols, names;
    if (!read_header(file, &e) || !find_section(file, &e, SHT_DYNSYM, &symbols, &names))
        return false;
    uint64_t count = symbols.sh_size / sizeof(Elf64_Sym);
    count = count < SYMBOLS_MAX ? count : SYMBOLS_MAX;
    const uint8_t *at = part(file, symbols.sh_offset, sizeof(Elf64_Sym), count);
    const uint8_t *text = part(file, names.sh_offset, 1, names.sh_size);
    for (uint64_t i = 0; at && text && i < count; i++) {
        Elf64_Sym s;
        memcpy(&s, at + i * sizeof s, sizeof s);
        if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx == SHN_UNDEF || s.st_name >= names.sh_size ||
            !has_end(text + s.st_name, names.sh_size - s.st_name))
            continue;
        uint64_t offset = file_offset(file, &e, s.st_value);
        if (offset)
            each(context, (const char *)text + s.st_name, offset);
    }
    return at && text;
}
