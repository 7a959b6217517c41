/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which packets belong together: the flow's key and hash of router/packet/flow.rs, for the packets
 * whose key is plain to see. Both have to give the same number, else a flow's packets take two
 * ways; a test compares them.
 */
#ifndef XROUTER_FLOW_H
#define XROUTER_FLOW_H

#include <linux/types.h>

struct flow {
	/* The addresses; of IPv4 both in one word. */
	__u64 words[4];
	__u32 count;
	/* Source port in the upper half, destination port in the lower; or the flow label. */
	__u32 ports;
	__u8 protocol;
};

static __always_inline __u64 mix(__u64 state, __u64 word)
{
	__u64 product = (state ^ word) * 0x9e3779b97f4a7c15ULL;

	return product << 29 | product >> 35;
}

static __always_inline __u32 flow_hash(const struct flow *flow, __u32 seed)
{
	__u64 last = (__u64)seed << 40 ^ (__u64)flow->ports << 8 ^ flow->protocol;
	__u64 state = mix(seed, last);

	state = mix(state, flow->words[0]);
	if (flow->count == 4) {
		state = mix(state, flow->words[1]);
		state = mix(state, flow->words[2]);
		state = mix(state, flow->words[3]);
	}
	state = (state ^ state >> 33) * 0xff51afd7ed558ccdULL;
	state = (state ^ state >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return state ^ state >> 33;
}

#endif
