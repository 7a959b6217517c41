/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fast path: a plain packet whose way is known is rewritten and leaves here. The decision is
 * the worker's (router/pipeline/): whatever is not plain goes up to it unchanged, so this file
 * never says no, and never anything to a sender.
 *
 * Plain: to our MAC, from a possible one; IPv4 without options or IPv6 without hop-by-hop options,
 * whole and right; more than one hop left; no address that has a meaning of its own; not longer
 * than the links allow; not to go back where it came from; a transport checksum that is finished;
 * and a neighbour whose MAC is known, behind a port that XDP can send by.
 */
#ifndef XROUTER_FORWARD_H
#define XROUTER_FORWARD_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flow.h"
#include "tables.h"

struct mac {
	__u8 octets[ETH_ALEN];
};

/* In `flags` of a port. */
#define PORT_ACTIVE 1U     /* the workers take its frames */
#define PORT_FAST 2U       /* plain packets leave here */
#define PORT_UNFINISHED 4U /* whoever is behind it may leave checksums to his card */

/*
 * The port that a frame comes in by. Each half is written by control with one store: a reader sees
 * the old or the new, whole.
 */
struct port {
	struct mac mac;
	__u8 flags;
	__u8 number;
	/* Largest IP packet, in octets. */
	__u16 mtu;
	/* XR_BY_DRIVER or XR_BY_STACK: where this program runs. */
	__u8 engine;
	__u8 reserved[5];
};
_Static_assert(sizeof(struct port) == 16, "two stores");

/* A frame's way out. */
struct way {
	/* The port's number. */
	__u32 port;
	/* Octets behind the packet that go no further: what a sender left there is nobody's business. */
	__u32 padding;
};

/* What the headers of a plain packet say. */
struct packet {
	/* Octets from the IP header's start to the packet's end. */
	__u32 length;
	/* 0 if there is no route. */
	__u32 next_hop;
};

/* An address as one number, to be compared: two loads, wherever it lies. */
static __always_inline __u64 number(const struct mac *mac)
{
	return (__u64)*(const __u16 *)(mac->octets + 4) << 32 | *(const __u32 *)mac->octets;
}

/*
 * Octets that there are from a place in the frame on. A length that the packet tells is compared
 * with this number and never added to a pointer, not by the compiler either: Linux 6.1 does not
 * know that what bpf_ntohs() gives is small.
 */
static __always_inline __u32 octets_from(const void *start, const void *data_end)
{
	__u64 octets = data_end - start;

	asm volatile("" : "+r"(octets));
	return octets;
}

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* Where ports and checksum of what an IP packet carries are, in octets. */
#define PORTS_END 4
#define TCP_CHECKSUM 16
#define UDP_CHECKSUM 6
#define UDP_LENGTH 4

#define IPPROTO_LITE 136

/*
 * Whether the checksum field can be just the sum over the pseudo-header: a kernel behind a veth
 * leaves that to a card that does not exist. `addresses` is the sum of those. Some finished ones
 * look the same; the worker handles both.
 */
static __always_inline int is_unfinished(const void *transport, const void *data_end,
					 __u8 protocol, __u32 length, __u64 addresses)
{
	const __be16 *checksum, *datagram = transport + UDP_LENGTH;

	if (protocol == IPPROTO_TCP)
		checksum = transport + TCP_CHECKSUM;
	else if (protocol == IPPROTO_UDP)
		checksum = transport + UDP_CHECKSUM;
	else
		return 0;
	if ((const void *)(checksum + 1) > data_end)
		return 0;
	if (protocol == IPPROTO_UDP)
		length = bpf_ntohs(*datagram);
	return *checksum == fold(addresses + bpf_htons(length) + bpf_htons(protocol));
}

/* The ports, if the protocol has them there and they are in the packet; else 0. */
static __always_inline __u32 ports_of(const void *transport, const void *data_end, __u8 protocol,
				      __u32 length, int *found)
{
	const __be32 *ports = transport;

	*found = 0;
	if (length < PORTS_END || transport + PORTS_END > data_end)
		return 0;
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_DCCP:
	case IPPROTO_SCTP:
	case IPPROTO_LITE:
		*found = 1;
		return bpf_ntohl(*ports);
	default:
		return 0;
	}
}

/* RFC 1812 5.2.2, 5.3.7; RFC 3927 7. `source` and `destination` in host order. */
static __always_inline int are_plain4(__u32 source, __u32 destination)
{
	__u32 from = source >> 24, to = destination >> 24;

	if (from == 0 || from == 127 || from >= 224 || to == 0 || to == 127 || to >= 224)
		return 0;
	return source >> 16 != 0xa9fe && destination >> 16 != 0xa9fe && !may_be_own(0, source);
}

/* RFC 4291 2.5, 2.7; RFC 4007. The first half 0: unspecified, loopback, mapped IPv4. */
static __always_inline int are_plain6(const struct address6 *source,
				      const struct address6 *destination)
{
	if (!source->high || source->high >> 54 == 0xfe80 >> 6 || source->high >> 56 == 0xff)
		return 0;
	if (!destination->high || destination->high >> 54 == 0xfe80 >> 6 ||
	    destination->high >> 56 == 0xff)
		return 0;
	return !may_be_own(source->high, source->low);
}

/* Not 0 if the packet is a fragment: that more follow, and the offset. */
static __always_inline __u16 fragment_of(const struct iphdr *ip)
{
	return bpf_ntohs(ip->frag_off) & 0x3fff;
}

/* An IPv4 packet's headers, if it is plain so far. */
static __always_inline int parse4(const struct iphdr *ip, const void *data_end, __u8 port_flags,
				  struct packet *packet)
{
	const __u32 *words = (const __u32 *)ip;
	const void *transport = ip + 1;
	__u16 place;

	if (transport > data_end || *(const __u8 *)ip != 0x45 || ip->ttl <= 1)
		return 0;
	if (fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]) != 0xffff)
		return 0;
	packet->length = bpf_ntohs(ip->tot_len);
	if (packet->length < sizeof(*ip) || packet->length > octets_from(ip, data_end))
		return 0;
	__u32 source = bpf_ntohl(ip->saddr), destination = bpf_ntohl(ip->daddr);
	if (!are_plain4(source, destination))
		return 0;
	/* More fragments, or not the first. */
	place = fragment_of(ip);
	/* RFC 3128 2: it begins in the middle of the TCP header. */
	if ((place & 0x1fff) == 1 && ip->protocol == IPPROTO_TCP)
		return 0;
	__u32 carried = packet->length - sizeof(*ip);
	if (port_flags & PORT_UNFINISHED && !place &&
	    is_unfinished(transport, data_end, ip->protocol, carried, (__u64)ip->saddr + ip->daddr))
		return 0;
	packet->next_hop = fib4_lookup(destination);
	return 1;
}

static __always_inline __u64 half(const __be32 *words)
{
	return (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]);
}

/* Headers that are between the first one and the ports, or whose packets have another's flow. */
static __always_inline int hides_flow(__u8 next_header)
{
	switch (next_header) {
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
		return 1;
	default:
		return 0;
	}
}

/* An IPv6 packet's headers, if it is plain so far. */
static __always_inline int parse6(const struct ipv6hdr *ip, const void *data_end, __u8 port_flags,
				  struct packet *packet)
{
	const void *transport = ip + 1;
	const __be32 *from, *to;
	__u64 addresses = 0;
	int i;

	if (transport > data_end || ip->version != 6 || ip->hop_limit <= 1)
		return 0;
	if (ip->nexthdr == IPPROTO_HOPOPTS)
		return 0;
	__u32 carried = bpf_ntohs(ip->payload_len);
	packet->length = carried + sizeof(*ip);
	if (packet->length > octets_from(ip, data_end))
		return 0;
	from = ip->saddr.in6_u.u6_addr32;
	to = ip->daddr.in6_u.u6_addr32;
	struct address6 source = { half(from), half(from + 2) };
	struct address6 destination = { half(to), half(to + 2) };
	if (!are_plain6(&source, &destination))
		return 0;
	if (port_flags & PORT_UNFINISHED) {
		for (i = 0; i < 4; i++)
			addresses += (__u64)from[i] + to[i];
		if (hides_flow(ip->nexthdr) ||
		    is_unfinished(transport, data_end, ip->nexthdr, carried, addresses))
			return 0;
	}
	packet->next_hop = fib6_lookup(destination.high, destination.low, FIB6_FIRST);
	return 1;
}

/* The flow of an IPv4 packet. A fragment's has no ports; an ICMP error's is another packet's. */
static __always_inline int flow4(const struct iphdr *ip, const void *data_end, __u32 length,
				 struct flow *flow)
{
	int found;

	if (ip->protocol == IPPROTO_ICMP)
		return 0;
	flow->words[0] = (__u64)bpf_ntohl(ip->saddr) << 32 | bpf_ntohl(ip->daddr);
	flow->count = 1;
	flow->protocol = ip->protocol;
	flow->ports = fragment_of(ip) ? 0 :
					ports_of(ip + 1, data_end, ip->protocol,
						 length - sizeof(*ip), &found);
	return 1;
}

/* The flow of an IPv6 packet; its label where there are no ports. */
static __always_inline int flow6(const struct ipv6hdr *ip, const void *data_end, __u32 length,
				 struct flow *flow)
{
	const __be32 *from = ip->saddr.in6_u.u6_addr32, *to = ip->daddr.in6_u.u6_addr32;
	int found;

	if (ip->nexthdr == IPPROTO_ICMPV6 || hides_flow(ip->nexthdr))
		return 0;
	flow->words[0] = half(from);
	flow->words[1] = half(from + 2);
	flow->words[2] = half(to);
	flow->words[3] = half(to + 2);
	flow->count = 4;
	flow->protocol = ip->nexthdr;
	flow->ports = ports_of(ip + 1, data_end, ip->nexthdr, length - sizeof(*ip), &found);
	if (!found)
		flow->ports = bpf_ntohl(*(const __be32 *)ip) & 0xfffff;
	return 1;
}

/* The member of a group that a packet's flow goes by; 0 if that is for the worker to say. */
static __always_inline __u32 member_for(__u32 group, const void *ip, const void *data_end,
					__u32 length)
{
	struct flow flow = {};
	int is_plain;

	if (ip + sizeof(struct iphdr) > data_end)
		return 0;
	if (*(const __u8 *)ip == 0x45)
		is_plain = flow4(ip, data_end, length, &flow);
	else if (ip + sizeof(struct ipv6hdr) > data_end)
		return 0;
	else
		is_plain = flow6(ip, data_end, length, &flow);
	return is_plain ? member_of(group, flow_hash(&flow, constants.hash_seed)) : 0;
}

/* Where a packet's next hop leads; nothing if that is for the worker to say. */
static __always_inline const struct xr_adjacency *resolve(struct packet *packet, const void *ip,
							  const void *data_end, __u8 engine)
{
	const struct xr_adjacency *adjacency;
	__u32 word = next_hop_word(packet->next_hop);

	if (word & XR_NEXT_HOP_IS_GROUP) {
		packet->next_hop =
			member_for(word & ~XR_NEXT_HOP_IS_GROUP, ip, data_end, packet->length);
		word = next_hop_word(packet->next_hop);
	}
	adjacency = adjacency_at(word);
	if (!adjacency || adjacency->kind != XR_FORWARD)
		return NULL;
	return adjacency->engines & engine ? adjacency : NULL;
}

/* RFC 1624, equation 3. Never 0xffff, as the worker has it: a hop is left, so the sum is not 0. */
static __always_inline void decrement_ttl(struct iphdr *ip)
{
	__u16 *word = (__u16 *)&ip->ttl;
	__u32 sum = (__u16)~ip->check + (__u16)~*word;

	ip->ttl--;
	ip->check = ~fold((__u64)sum + *word);
}

/* Twelve octets in two stores: after `destination` comes `source`, there as here. */
static __always_inline void write_macs(struct ethhdr *eth, const struct xr_adjacency *adjacency)
{
	const __u8 *macs = adjacency->destination;

	*(__u64 *)eth = *(const __u64 *)macs;
	*(__u32 *)((void *)eth + 8) = *(const __u32 *)(macs + 8);
}

/* No group sends, nor does nobody, and our own MAC is a loop's or a forger's. */
static __always_inline int can_send(const struct mac *source, const struct port *port)
{
	__u64 mac = number(source);

	return mac && mac != number(&port->mac) && !(source->octets[0] & 1);
}

/*
 * Forward a frame that was sent to a MAC of ours: then 1, the frame is as it leaves (but for its padding) and
 * `way` says where. Else 0, and the frame is as it came.
 */
static __always_inline int forward(void *data, void *data_end, const struct port *port,
				   struct way *way)
{
	const struct xr_adjacency *adjacency;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct packet packet;

	if ((void *)(eth + 1) > data_end)
		return 0;
	if (!can_send((const struct mac *)eth->h_source, port))
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if (!parse4(ip, data_end, port->flags, &packet))
			return 0;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if (!parse6((const void *)ip, data_end, port->flags, &packet))
			return 0;
	} else {
		return 0;
	}
	adjacency = resolve(&packet, ip, data_end, port->engine);
	if (!adjacency || adjacency->port == port->number)
		return 0;
	if (packet.length > adjacency->mtu || packet.length > port->mtu)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		decrement_ttl(ip);
	else
		((struct ipv6hdr *)ip)->hop_limit--;
	write_macs(eth, adjacency);
	mark_used(packet.next_hop);
	way->port = adjacency->port;
	way->padding = octets_from(ip, data_end) - packet.length;
	return 1;
}

#endif
