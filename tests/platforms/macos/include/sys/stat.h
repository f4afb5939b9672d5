/* stat.h: the part of macOS' sys/stat.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_SYS_STAT_H
#define EXEAT_TESTS_MACOS_SYS_STAT_H

#include <time.h>

#define S_IWGRP    0020
#define S_IWOTH    0002
#define S_ISREG(m) (((m)&0170000) == 0100000)

struct stat {
    dev_t st_dev;
    mode_t st_mode;
    nlink_t st_nlink;
    ino_t st_ino;
    uid_t st_uid;
    gid_t st_gid;
    dev_t st_rdev;
    struct timespec st_atimespec, st_mtimespec, st_ctimespec, st_birthtimespec;
    off_t st_size, st_blocks;
    int32_t st_blksize;
    uint32_t st_flags, st_gen;
    int32_t st_lspare;
    int64_t st_qspare[2];
};
_Static_assert(sizeof(struct stat) == 144, "struct stat with 64-bit inodes");

int chmod(const char *path, mode_t mode);
#ifdef __x86_64__
int fstat(int fd, struct stat *ret) __asm("_fstat$INODE64");
int stat(const char *path, struct stat *ret) __asm("_stat$INODE64");
#else
int fstat(int fd, struct stat *ret);
int stat(const char *path, struct stat *ret);
#endif

#endif
