// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program that a port's frames meet first: is it ours? To the worker. Else the kernel has it.
 *
 * One object is loaded for each port, so `port`, `groups` and `xsks` are of one port. README.md
 * says who writes and who reads each map. Runs on Linux 6.1 and later: helpers only, no kfuncs.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* A network device can have more queues; those above stay with the kernel. */
#define QUEUES_MAX 64
/* Multicast groups that one port can have joined. */
#define GROUPS_MAX 1024

/* Aligned as it is after an Ethernet header's start, so that it is read in three loads. */
struct mac {
	__u8 octets[ETH_ALEN];
} __attribute__((aligned(2)));

#define BROADCAST 0xffffffffffffULL

/* Eight octets, written by control with one store: a reader sees the old or the new, whole. */
struct port {
	struct mac mac;
	/* Non-zero while the workers take the port's frames. */
	__u8 active;
	__u8 reserved;
};
_Static_assert(sizeof(struct port) == 8, "written with one store");

/* The ways through this program; each is counted. Mirrored by `Counters` in router/io/xdp.rs. */
enum decision {
	PASSED_NOT_OURS,
	PASSED_ETHER_TYPE,
	TO_WORKER,
	DECISIONS,
};

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct port);
} port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GROUPS_MAX);
	__type(key, struct mac);
	__type(value, __u8);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DECISIONS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(__u32 decision)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &decision);

	if (counter)
		(*counter)++;
}

/* An address as one number, to be compared. */
static __always_inline __u64 number(const struct mac *mac)
{
	__u64 number = 0;

	__builtin_memcpy(&number, mac, sizeof(*mac));
	return number;
}

/* Sent to this port: to its address, to all, or to a group that it has joined. */
static __always_inline int is_ours(const struct mac *destination)
{
	struct mac key = *destination;
	__u32 first = 0;
	const struct port *p = bpf_map_lookup_elem(&port, &first);

	if (!p || !p->active)
		return 0;
	if (number(&key) == number(&p->mac) || number(&key) == BROADCAST)
		return 1;
	return key.octets[0] & 1 && bpf_map_lookup_elem(&groups, &key);
}

/* What the workers understand. All else (LLDP, STP, PPPoE, ...) is the kernel's. */
static __always_inline int is_routed(__be16 ether_type)
{
	switch (bpf_ntohs(ether_type)) {
	case ETH_P_IP:
	case ETH_P_IPV6:
	case ETH_P_ARP:
	case ETH_P_8021Q:
	case ETH_P_8021AD:
		return 1;
	default:
		return 0;
	}
}

/*
 * The whole decision, over the octets alone: an XDP and a TC program can both call it. A runt
 * (shorter than an Ethernet header) is not ours.
 */
static __always_inline enum decision decide(const void *data, const void *data_end)
{
	const struct ethhdr *eth = data;

	if ((const void *)(eth + 1) > data_end)
		return PASSED_NOT_OURS;
	if (!is_ours((const struct mac *)eth->h_dest))
		return PASSED_NOT_OURS;
	if (!is_routed(eth->h_proto))
		return PASSED_ETHER_TYPE;
	/* A plain packet that the shared FIB resolves leaves here, when the fast path moves in. */
	return TO_WORKER;
}

SEC("xdp")
int xrouter(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *data_end = (const void *)(long)ctx->data_end;
	enum decision decision = decide(data, data_end);

	count(decision);
	if (decision != TO_WORKER)
		return XDP_PASS;
	/* Without a socket on this queue (no worker has it) the kernel has the frame. */
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "GPL";
