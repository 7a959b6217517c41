// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program that a port's frames meet first. Is it ours? Else the kernel has it. Plain? Then it
 * leaves at once (forward.h). All the rest is the worker's.
 *
 * One object is loaded for each port, so `port`, `groups`, `xsks` and the counters are of one port.
 * README.md says who writes and who reads each map. Runs on Linux 6.1 and later: helpers only, no
 * kfuncs.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "card.h"
#include "forward.h"

/* Ports that one router can have. */
#define PORTS_MAX 64
/* Multicast groups that one port can have joined, and virtual routers that it can be. */
#define GROUPS_MAX 1024

#define BROADCAST 0xffffffffffffULL

/* The ways through this program; each is counted. Mirrored by `Counters` in router/io/xdp.rs. */
enum decision {
	PASSED_NOT_OURS,
	PASSED_ETHER_TYPE,
	TO_WORKER,
	DECISIONS,
	/* Counted by the port out, in `forwarded`. */
	FORWARDED = DECISIONS,
};

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

/* The devices of all ports, by the port's number; the same for every port's program. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, PORTS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

/* What left by this program, by the port that it left by. */
struct traffic {
	__u64 frames;
	__u64 octets_in;
	__u64 octets_out;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PORTS_MAX);
	__type(key, __u32);
	__type(value, struct traffic);
} forwarded SEC(".maps");

static __always_inline void count(__u32 decision)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &decision);

	if (counter)
		(*counter)++;
}

static __always_inline void count_forwarded(const struct way *way, __u64 octets_in)
{
	struct traffic *traffic = bpf_map_lookup_elem(&forwarded, &way->port);

	if (!traffic)
		return;
	traffic->frames++;
	traffic->octets_in += octets_in;
	traffic->octets_out += octets_in - way->padding;
}

/* The MACs that the port takes besides its own: of groups, and of virtual routers (RFC 5798 7.3). */
static __always_inline int has_joined(const struct mac *destination)
{
	struct mac key = *destination;

	return bpf_map_lookup_elem(&groups, &key) != NULL;
}

/* Sent to this port alone. */
static __always_inline int is_mine(const struct port *port, const struct mac *destination)
{
	if (number(destination) == number(&port->mac))
		return 1;
	return !(destination->octets[0] & 1) && has_joined(destination);
}

/* Sent to all, or to a group that the port has joined. */
static __always_inline int is_shared(const struct mac *destination)
{
	return number(destination) == BROADCAST ||
	       (destination->octets[0] & 1 && has_joined(destination));
}

/*
 * The whole decision, over the octets alone: an XDP and a TC program can both call it. A runt
 * (shorter than an Ethernet header) is not ours.
 */
static __always_inline enum decision decide(void *data, void *data_end, struct way *way)
{
	const struct ethhdr *eth = data;
	__u32 first = 0;
	const struct port *p = bpf_map_lookup_elem(&port, &first);
	const struct mac *destination = (const struct mac *)eth->h_dest;
	int mine;

	if ((const void *)(eth + 1) > data_end || !p || !(p->flags & PORT_ACTIVE))
		return PASSED_NOT_OURS;
	mine = is_mine(p, destination);
	if (mine && p->flags & PORT_FAST && forward(data, data_end, p, way))
		return FORWARDED;
	if (!mine && !is_shared(destination))
		return PASSED_NOT_OURS;
	return is_routed(eth->h_proto) ? TO_WORKER : PASSED_ETHER_TYPE;
}

SEC("xdp")
int xrouter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct way way = {};
	enum decision decision = decide(data, data_end, &way);

	if (decision != FORWARDED)
		count(decision);
	switch (decision) {
	case FORWARDED:
		count_forwarded(&way, data_end - data);
		if (way.padding)
			bpf_xdp_adjust_tail(ctx, -(int)way.padding);
		return bpf_redirect_map(&devices, way.port, XDP_DROP);
	case TO_WORKER:
		/* Without a socket on this queue (no worker has it) the kernel has the frame. */
		return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
	default:
		return XDP_PASS;
	}
}

char LICENSE[] SEC("license") = "GPL";
