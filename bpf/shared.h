/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables in shared memory: the only description of their layout. The writer is
 * router/table/ (control's thread); readers are its workers and any XDP program. A unit test
 * there compares the constants.
 *
 * Each table is a BPF array map with one element, mapped into the router (BPF_F_MMAPABLE).
 * All numbers are in the machine's byte order.
 *
 * What a reader may assume:
 *  - An aligned entry is read whole: read it once, as a volatile of its own size.
 *  - What an entry names was filled before it was named, and is not used for anything else before
 *    the reader's grace period is over.
 *  - Nothing else. Every index that comes from memory is checked against the table's size, and
 *    every walk has a limit.
 */
#ifndef XROUTER_SHARED_H
#define XROUTER_SHARED_H

#include <linux/types.h>

/* A next hop's number is 1..XR_NEXT_HOP_ID_MAX; 0 in a table means "no route". */
#define XR_NEXT_HOP_ID_MAX 0x7fffU

/*
 * fib4: __u16 entry[XR_FIB4_BASE + groups * XR_FIB4_GROUP], DIR-24-8.
 *
 * entry[address >> 8] is a next hop, or XR_FIB4_IS_GROUP | g: then the answer is
 * entry[XR_FIB4_BASE + g * XR_FIB4_GROUP + (address & 0xff)]. Addresses in host order.
 */
#define XR_FIB4_BASE 16777216U
#define XR_FIB4_GROUP 256U
#define XR_FIB4_GROUPS_MAX 32767U
#define XR_FIB4_IS_GROUP 0x8000U

/*
 * fib6: __u32 entry[XR_FIB6_TOP + nodes * XR_FIB6_NODE], then struct xr_skip skip[skips].
 *
 * An entry is one of (n in the 30 lower bits):
 *   a next hop, or 0           the two highest bits are 00 (01 is never written)
 *   XR_FIB6_IS_NODE | n        go on in node n, at entry[XR_FIB6_TOP + n * XR_FIB6_NODE]
 *   XR_FIB6_IS_SKIP | n        look at skip[n]
 * The two highest bits are compared as a whole: XR_FIB6_IS_SKIP contains XR_FIB6_IS_NODE.
 *
 * The walk begins with entry[bits 0..15 of the address]. A node that is reached with 16 bits used
 * up is a "second": 65,536 entries (XR_FIB6_UNITS_OF_SECOND nodes in a row) by the next 16 bits.
 * Any other node has 256, by the next 8. Skips occur from bit XR_FIB6_SKIPS_FROM on. Sound tables
 * need at most XR_FIB6_STEPS_MAX steps after the first.
 */
#define XR_FIB6_TOP 65536U
#define XR_FIB6_NODE 256U
#define XR_FIB6_UNITS_OF_SECOND 256U
#define XR_FIB6_IS_NODE 0x80000000U
#define XR_FIB6_IS_SKIP 0xc0000000U
#define XR_FIB6_SKIPS_FROM 48U
#define XR_FIB6_SKIP_OCTETS 32U
#define XR_FIB6_STEPS_MAX 16U

/*
 * If the address agrees with the key in its first `len` bits, the walk goes on at bit `len` with
 * the entry ways >> 32; if not, it ends with the leaf (__u32)ways. Key and length never change
 * while the skip is named; the ways do, both at once.
 */
struct xr_skip {
	__u64 key_high; /* octets 0..7 of the address, as a number */
	__u64 key_low;
	__u64 ways;
	__u64 len; /* 1..128 */
};

/*
 * next_hops: __u32 to[XR_NEXT_HOP_ID_MAX + 1], by the next hop's number: a slot of `adjacencies`,
 * or XR_NEXT_HOP_IS_GROUP | a slot of `ecmp`. The slots that are named change by one store.
 */
#define XR_NEXT_HOP_IS_GROUP 0x80000000U

/*
 * adjacencies: struct xr_adjacency slot[2 * next hops + 1]. Slot 0 is always empty (kind 0): a
 * packet for it is dropped. A slot does not change while it is named.
 */
#define XR_ADJACENCY_OCTETS 32U

#define XR_FORWARD 1U      /* rewrite and send */
#define XR_GLEAN 2U        /* resolve the packet's destination: to the worker */
#define XR_RECEIVE 3U      /* for the router itself: to the worker */
#define XR_BLACKHOLE 4U    /* drop */
#define XR_UNREACHABLE 5U  /* drop with an ICMP error: to the worker */
#define XR_PROHIBIT 6U     /* the same */
#define XR_INCOMPLETE 7U   /* resolve the gateway: to the worker */

/* In `engines`: which XDP programs may send out of this port themselves. */
#define XR_BY_DRIVER 1U  /* those in a driver: the device takes their frames */
#define XR_BY_STACK 2U   /* those in generic mode */

struct xr_adjacency {
	__u8 kind;
	__u8 port;          /* number of the port out */
	__u16 mtu;          /* largest IP packet out, in octets */
	__u32 ifindex;      /* device out */
	__u8 destination[6]; /* MACs to write */
	__u8 source[6];
	__u8 engines;
	__u8 reserved[11];  /* 0 */
};

/*
 * ecmp: __u16 member[2 * groups][XR_ECMP_BUCKETS]: the next hop for flow hash % XR_ECMP_BUCKETS,
 * or 0. A member is never a group.
 */
#define XR_ECMP_BUCKETS 128U

/*
 * used: __u8 packets_were_sent[XR_NEXT_HOP_ID_MAX + 1], by the next hop's number. Readers of the
 * other tables store 1, control takes it back: a neighbour in use is a neighbour to be confirmed.
 */

/*
 * own: __u64 word[XR_OWN_WORDS], a filter of the addresses that no packet in transit comes from:
 * the router's own, and the broadcast addresses of its subnets. If the bit of an address is not
 * set, it is none of them; if it is, it may be (the worker knows). The bit's number is
 * (high * XR_OWN_FOLD ^ low) * XR_OWN_SPREAD >> 48, of 64 bits each; an IPv4 address is `low`.
 */
#define XR_OWN_WORDS 1024U
#define XR_OWN_FOLD 0xff51afd7ed558ccdULL
#define XR_OWN_SPREAD 0x9e3779b97f4a7c15ULL

_Static_assert(sizeof(struct xr_skip) == XR_FIB6_SKIP_OCTETS, "layout of a skip");
_Static_assert(sizeof(struct xr_adjacency) == XR_ADJACENCY_OCTETS, "layout of an adjacency");

#endif
