/* bypass.bpf.c: what goes around the proxy, counted where a program asks for it: connect() of TCP anywhere outside, and UDP to the
 * ports of DNS, DNS over TLS and QUIC, connected or sent to. Attached to the root of all cgroups, it sees all of them, in whatever
 * network namespace; it lets everything pass. bypass.c loads and reads it. Apache-2.0 or GPL-2.0, as owner.bpf.c says.
 *
 * Counted are attempts: a packet filter may refuse them afterwards. Not seen: raw and packet sockets, and what is sent from
 * another machine or virtual machine through this one. */
#include <linux/bpf.h>
#include <stdbool.h>

#include "bypass_record.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char kernel_license[] SEC("license") = "GPL";

enum { TCP = 6, UDP = 17, DNS = 53, HTTPS = 443, DNS_TLS = 853 };

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, BYPASS_KEYS_MAX);
    __type(key, struct bypass_key);
    __type(value, struct bypass_count);
} counts SEC(".maps");

/* Told when somebody new is counted. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, BYPASS_RING_BYTES);
} ring SEC(".maps");

/* The proxies themselves, by process. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, BYPASS_PROXIES_MAX);
    __type(key, __u32);
    __type(value, __u8);
} proxies SEC(".maps");

/* Loopback, private, link-local, multicast: what is no way out. */
static __always_inline bool is_near4(__u32 a)
{
    return a >> 24 == 0 || a >> 24 == 127 || a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 ||
           a >> 16 == 0xa9fe || a >> 28 >= 14;
}

static __always_inline bool is_near6(__u32 first, __u32 second, __u32 third, __u32 fourth)
{
    return (first == 0 && second == 0 && third == 0 && fourth <= 1) || first >> 22 == 0x3fa || /* fe80::/10 */
           first >> 25 == 0x7e || first >> 24 == 0xff;
}

static __always_inline void count(struct bypass_key *key)
{
    struct bypass_count first = {.count = 1}, *known;
    __u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (key->port == 0 || bpf_map_lookup_elem(&proxies, &pid))
        return;
    if (key->transport == UDP && key->port != HTTPS && key->port != DNS && key->port != DNS_TLS)
        return;
    if (key->transport != TCP && key->transport != UDP)
        return;
    key->pid = pid;
    key->uid = (__u32)bpf_get_current_uid_gid();
    known = bpf_map_lookup_elem(&counts, key);
    if (known) {
        __sync_fetch_and_add(&known->count, 1);
        return;
    }
    bpf_get_current_comm(first.name, sizeof first.name);
    bpf_map_update_elem(&counts, key, &first, BPF_ANY);
    bpf_ringbuf_output(&ring, key, sizeof *key, 0);
}

static __always_inline int look4(struct bpf_sock_addr *at, __u8 transport)
{
    struct bypass_key key = {.transport = transport, .version = 4};
    __u32 address = at->user_ip4;
    key.port = bpf_ntohs((__u16)at->user_port);
    __builtin_memcpy(key.address, &address, 4);
    if (!is_near4(bpf_ntohl(address)))
        count(&key);
    return 1;
}

static __always_inline int look6(struct bpf_sock_addr *at, __u8 transport)
{
    struct bypass_key key = {.transport = transport, .version = 6};
    __u32 a = at->user_ip6[0], b = at->user_ip6[1], c = at->user_ip6[2], d = at->user_ip6[3];
    key.port = bpf_ntohs((__u16)at->user_port);
    if (a == 0 && b == 0 && c == bpf_htonl(0xffff)) { /* an IPv4 address in disguise */
        key.version = 4;
        __builtin_memcpy(key.address, &d, 4);
        if (!is_near4(bpf_ntohl(d)))
            count(&key);
        return 1;
    }
    __builtin_memcpy(key.address, &a, 4);
    __builtin_memcpy(key.address + 4, &b, 4);
    __builtin_memcpy(key.address + 8, &c, 4);
    __builtin_memcpy(key.address + 12, &d, 4);
    if (!is_near6(bpf_ntohl(a), bpf_ntohl(b), bpf_ntohl(c), bpf_ntohl(d)))
        count(&key);
    return 1;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *at)
{
    return look4(at, (__u8)at->protocol);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *at)
{
    return look6(at, (__u8)at->protocol);
}

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *at)
{
    return look4(at, UDP);
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *at)
{
    return look6(at, UDP);
}
