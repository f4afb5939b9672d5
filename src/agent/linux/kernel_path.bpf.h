/* kernel_path.bpf.h: the path and the change time of a file, read inside the kernel: for owner.bpf.c and exec.bpf.c, after owner_kernel.h and owner_record.h. */
#ifndef EXEAT_AGENT_LINUX_KERNEL_PATH_BPF_H
#define EXEAT_AGENT_LINUX_KERNEL_PATH_BPF_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define CTIME_QUERIED (1u << 31) /* I_CTIME_QUERIED: a note of the kernel's inside the nanoseconds */

static __s64 read_ctime(struct inode *inode)
{
    struct inode___6_6 *middle = (void *)inode;
    struct inode___5 *old = (void *)inode;
    if (bpf_core_field_exists(inode->i_ctime_sec))
        return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000 +
               (BPF_CORE_READ(inode, i_ctime_nsec) & ~CTIME_QUERIED);
    if (bpf_core_field_exists(middle->__i_ctime))
        return BPF_CORE_READ(middle, __i_ctime.tv_sec) * 1000000000 +
               BPF_CORE_READ(middle, __i_ctime.tv_nsec);
    if (bpf_core_field_exists(old->i_ctime))
        return BPF_CORE_READ(old, i_ctime.tv_sec) * 1000000000 + BPF_CORE_READ(old, i_ctime.tv_nsec);
    return -1;
}

/* The parts of a path up to the root of all mounts, the last one first. Returns the bytes used, 0 when it is too long. */
static __noinline __u32 read_path(struct dentry *dentry, struct vfsmount *mnt, char *out)
{
    struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
    __u32 used = 0;
    if (!out)
        return 0;
    for (int i = 0; i < OWNER_PARTS_MAX; i++) {
        struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
        if (dentry == BPF_CORE_READ(mount, mnt.mnt_root) || dentry == parent) {
            struct mount *above = BPF_CORE_READ(mount, mnt_parent);
            if (above == mount)
                return used;
            dentry = BPF_CORE_READ(mount, mnt_mountpoint);
            mount = above;
            continue;
        }
        if (used >= OWNER_PATH_BYTES)
            return 0;
        long n = bpf_probe_read_kernel_str(out + (used & (OWNER_PATH_BYTES - 1)), OWNER_PART_BYTES,
                                           BPF_CORE_READ(dentry, d_name.name));
        if (n <= 1)
            return 0;
        used += (__u32)n;
        dentry = parent;
    }
    return 0;
}

#endif
