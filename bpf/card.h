/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs of a card have in common: the workers' sockets, and what workers understand.
 */
#ifndef XROUTER_CARD_H
#define XROUTER_CARD_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* A network device can have more queues; those above stay with the kernel. */
#define QUEUES_MAX 64

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

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

#endif
