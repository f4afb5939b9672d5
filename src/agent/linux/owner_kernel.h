/* owner_kernel.h: the few members of the kernel's structs that owner.bpf.c reads. Not their layout: the loader looks up
 * where each member is in the running kernel (CO-RE), so only names and types matter here. */
#ifndef EXEAT_AGENT_LINUX_OWNER_KERNEL_H
#define EXEAT_AGENT_LINUX_OWNER_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#define KERNEL_STRUCT __attribute__((preserve_access_index))

typedef struct {
    __u32 val;
} KERNEL_STRUCT kuid_t;

typedef struct {
    __s64 counter;
} KERNEL_STRUCT atomic64_t;

struct ns_common {
    unsigned int inum;
} KERNEL_STRUCT;

struct net {
    struct ns_common ns;
} KERNEL_STRUCT;

typedef struct {
    struct net *net;
} KERNEL_STRUCT possible_net_t;

struct in6_addr {
    __u8 bytes[16];
};

struct sock_common {
    __be32 skc_daddr, skc_rcv_saddr;
    __be16 skc_dport;
    __u16 skc_num;
    unsigned short skc_family;
    unsigned char skc_state;
    possible_net_t skc_net;
    struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
    atomic64_t skc_cookie;
} KERNEL_STRUCT;

struct hlist_head {
    void *first;
} KERNEL_STRUCT;

struct upid {
    int nr;
} KERNEL_STRUCT;

struct pid {
    struct hlist_head tasks[4];
    struct upid numbers[1];
} KERNEL_STRUCT;

struct sock {
    struct sock_common __sk_common;
    __u16 sk_protocol;
    struct pid *sk_peer_pid;
} KERNEL_STRUCT;

struct unix_address;

struct unix_sock {
    struct unix_address *addr;
} KERNEL_STRUCT;

struct tcp_sock {
    __u32 rcv_nxt, snd_una;
} KERNEL_STRUCT;

struct super_block {
    __u32 s_dev;
} KERNEL_STRUCT;

struct timespec64 {
    __s64 tv_sec;
    long tv_nsec;
} KERNEL_STRUCT;

struct inode {
    unsigned short i_mode;
    unsigned long i_ino;
    __s64 i_size;
    unsigned int i_nlink;
    struct super_block *i_sb;
    __s64 i_ctime_sec; /* Linux 6.11 and later */
    __u32 i_ctime_nsec;
} KERNEL_STRUCT;

struct inode___6_6 {
    struct timespec64 __i_ctime;
} KERNEL_STRUCT;

struct inode___5 {
    struct timespec64 i_ctime;
} KERNEL_STRUCT;

struct qstr {
    const unsigned char *name;
} KERNEL_STRUCT;

struct dentry {
    struct dentry *d_parent;
    struct qstr d_name;
} KERNEL_STRUCT;

struct vfsmount {
    struct dentry *mnt_root;
} KERNEL_STRUCT;

struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
} KERNEL_STRUCT;

struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
} KERNEL_STRUCT;

typedef struct {
    atomic64_t refcnt;
} KERNEL_STRUCT file_ref_t;

struct file {
    struct path f_path;
    struct inode *f_inode;
    void *private_data;
    file_ref_t f_ref; /* Linux 6.13 and later */
} KERNEL_STRUCT;

struct file___6_12 {
    atomic64_t f_count;
} KERNEL_STRUCT;

struct socket {
    struct file *file;
    struct sock *sk;
} KERNEL_STRUCT;

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
} KERNEL_STRUCT;

struct files_struct {
    struct fdtable *fdt;
} KERNEL_STRUCT;

struct list_head {
    struct list_head *next;
} KERNEL_STRUCT;

struct fs_struct {
    struct path root, pwd;
} KERNEL_STRUCT;

struct mm_struct {
    unsigned long arg_start, arg_end;
    struct file *exe_file;
} KERNEL_STRUCT;

struct task_struct {
    unsigned int flags;
    int pid, tgid;
    char comm[16];
    __u64 start_boottime;
    struct mm_struct *mm;
    struct fs_struct *fs;
    struct files_struct *files;
    struct task_struct *group_leader, *real_parent;
    struct list_head children, sibling;
    kuid_t loginuid;
} KERNEL_STRUCT;

struct pt_regs {
    unsigned long di; /* x86-64 only: the first argument of a system call */
} KERNEL_STRUCT;

struct seq_file;

struct bpf_iter_meta {
    struct seq_file *seq;
} KERNEL_STRUCT;

struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    struct file *file;
} KERNEL_STRUCT;

struct linux_binprm {
    struct file *file;
} KERNEL_STRUCT;

#endif
