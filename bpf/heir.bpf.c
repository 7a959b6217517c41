// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel as the router's heir (`on_exit = "open"`): two tc programs, at the card and at its tap,
 * by which the kernel forwards while there is no worker. The tap has the card's MAC, the addresses,
 * the routes and the neighbours; all that is missing is the wire.
 *
 * They hang on the devices and need no process. Whether there is a worker they see by its socket,
 * which the kernel takes out of `xsks` when it is closed, however its process ends: nobody has to
 * say so, and nothing that a dead router left behind can be wrong.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include "card.h"

/* Written by router/io/heir.rs before the programs are loaded. */
const volatile struct {
	__u32 card;
	__u32 tap;
} devices SEC(".rodata.devices");

/* A card that is in use has a socket at its first queue, and at all others. */
static __always_inline int has_worker(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&xsks, &first) != NULL;
}

/*
 * Into the card, past the XDP program. Beside a worker that leaves nothing for the router, but what
 * is sent to other stations and to groups that nobody on the tap has joined: these stay at the card,
 * as they do without this. So do LLDP and its like, always.
 */
SEC("tc")
int from_card(struct __sk_buff *skb)
{
	int shared = skb->pkt_type == PACKET_OTHERHOST || skb->pkt_type == PACKET_MULTICAST;

	if (!is_routed(skb->protocol) || (shared && has_worker()))
		return TC_ACT_UNSPEC;
	return bpf_redirect(devices.tap, BPF_F_INGRESS);
}

/* Out of the tap: to the queue that a worker reads, or else to the wire. */
SEC("tc")
int from_kernel(struct __sk_buff *skb)
{
	(void)skb;
	return has_worker() ? TC_ACT_UNSPEC : bpf_redirect(devices.card, 0);
}

char LICENSE[] SEC("license") = "GPL";
