/* declarations.h: what macOS has beyond the C library that the agent uses: libproc, code signing, CommonCrypto. Declared here, with the sizes
 * and offsets that the kernel's ABI has, so that this folder is type-checked and linked where there is no Mac. Sources: the interfaces
 * libproc.h, sys/proc_info.h, sys/codesign.h and CommonDigest.h of Apple's open source xnu and CommonCrypto. */
#ifndef EXEAT_AGENT_MACOS_DECLARATIONS_H
#define EXEAT_AGENT_MACOS_DECLARATIONS_H

#include <stddef.h>
#include <stdint.h>

enum {
    MAC_PROC_ALL_PIDS = 1,
    MAC_PIDLISTFDS = 1,
    MAC_PIDTBSDINFO = 3,
    MAC_PIDREGIONPATHINFO = 8,
    MAC_PIDUNIQIDENTIFIERINFO = 17,
    MAC_PIDFDSOCKETINFO = 3,
    MAC_FDTYPE_SOCKET = 2,
    MAC_SOCKINFO_TCP = 2,
    MAC_TCPS_LISTEN = 1,
    MAC_INI_IPV4 = 1,
    MAC_INI_IPV6 = 2,
    MAC_PATH_BYTES = 4096,
    MAC_CS_STATUS = 0,
    MAC_CS_IDENTITY = 11,
    MAC_CS_TEAMID = 14,
    MAC_CS_VALID = 1,
    MAC_CS_PLATFORM_BINARY = 0x04000000,
    MAC_CS_DEBUGGED = 0x10000000
};

/* proc_fdinfo */
struct mac_fd {
    int32_t fd;
    uint32_t type;
};
_Static_assert(sizeof(struct mac_fd) == 8, "proc_fdinfo");

/* in_sockinfo; an IPv4 address is the last four bytes of its sixteen. Ports in network order in the lower half. */
struct mac_inet {
    int32_t foreign_port, local_port;
    uint64_t generation;
    uint32_t flags, flow;
    uint8_t version, ttl;
    uint8_t hole[6];
    uint8_t foreign[16], local[16];
    uint8_t rest[16];
};
_Static_assert(sizeof(struct mac_inet) == 80, "in_sockinfo");
_Static_assert(offsetof(struct mac_inet, local_port) == 4, "insi_lport");
_Static_assert(offsetof(struct mac_inet, version) == 24, "insi_vflag");
_Static_assert(offsetof(struct mac_inet, foreign) == 32, "insi_faddr");
_Static_assert(offsetof(struct mac_inet, local) == 48, "insi_laddr");

/* socket_fdinfo: proc_fileinfo (24), then socket_info, whose union of protocols is at 264. */
struct mac_socket {
    uint8_t file[24];
    uint8_t socket[232];
    int32_t kind;
    uint32_t hole;
    struct mac_inet inet; /* tcp_sockinfo begins with it */
    int32_t tcp_state;
    uint8_t rest[792 - 348];
};
_Static_assert(sizeof(struct mac_socket) == 792, "socket_fdinfo");
_Static_assert(offsetof(struct mac_socket, kind) == 256, "soi_kind");
_Static_assert(offsetof(struct mac_socket, inet) == 264, "soi_proto");

/* proc_bsdinfo */
struct mac_process {
    uint32_t flags, status, xstatus, pid, parent, uid, gid, ruid, rgid, svuid, svgid, hole;
    char command[16], name[32];
    uint32_t files, group, job_count, terminal, terminal_group;
    int32_t nice;
    uint64_t start_s, start_us;
};
_Static_assert(sizeof(struct mac_process) == 136, "proc_bsdinfo");
_Static_assert(offsetof(struct mac_process, start_s) == 120, "pbi_start_tvsec");

/* proc_uniqidentifierinfo */
struct mac_unique {
    uint8_t uuid[16];
    uint64_t id, parent_id;
    int32_t version, parent_version;
    uint64_t hole[2];
};
_Static_assert(sizeof(struct mac_unique) == 56, "proc_uniqidentifierinfo");

/* proc_regionwithpathinfo: the region (96), its file's vnode_info (152) and path. */
struct mac_region {
    uint8_t before[80];
    uint64_t address, size;
    uint8_t vnode[152];
    char path[1024];
};
_Static_assert(sizeof(struct mac_region) == 1272, "proc_regionwithpathinfo");

int proc_listpids(uint32_t type, uint32_t info, void *buffer, int size);
int proc_pidinfo(int pid, int flavor, uint64_t argument, void *buffer, int size);
int proc_pidfdinfo(int pid, int fd, int flavor, void *buffer, int size);
int proc_pidpath(int pid, void *buffer, uint32_t size);
int csops(int pid, unsigned operation, void *buffer, size_t size);
int responsibility_get_pid_responsible_for_pid(int pid);

/* CC_SHA256_CTX */
struct mac_sha256 {
    uint32_t count[2], hash[8], wbuf[16];
};
_Static_assert(sizeof(struct mac_sha256) == 104, "CC_SHA256_CTX");
int CC_SHA256_Init(struct mac_sha256 *c);
int CC_SHA256_Update(struct mac_sha256 *c, const void *data, uint32_t len);
int CC_SHA256_Final(unsigned char *md, struct mac_sha256 *c);

#endif
