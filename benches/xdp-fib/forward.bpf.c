// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's routes, looked up by an XDP program: what comes nearest to xrouter's fast path among
 * the things that everybody can have. A plain packet with a known neighbour leaves without an skb;
 * everything else goes to the kernel's own stack.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10

/* The network cards by the kernel's number; the harness fills it in. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

/* Is it a packet without options that has a hop left? If so, what to ask for. */
static int ask4(const struct iphdr *ip, const void *end, struct bpf_fib_lookup *asked)
{
	if ((const void *)(ip + 1) > end || ip->version != 4 || ip->ihl != 5 || ip->ttl <= 1)
		return 0;
	asked->family = AF_INET;
	asked->tos = ip->tos;
	asked->l4_protocol = ip->protocol;
	asked->tot_len = bpf_ntohs(ip->tot_len);
	asked->ipv4_src = ip->saddr;
	asked->ipv4_dst = ip->daddr;
	return 1;
}

static int ask6(const struct ipv6hdr *ip, const void *end, struct bpf_fib_lookup *asked)
{
	if ((const void *)(ip + 1) > end || ip->version != 6 || ip->hop_limit <= 1)
		return 0;
	asked->family = AF_INET6;
	asked->flowinfo = *(const __be32 *)ip & bpf_htonl(0x0fffffff);
	asked->l4_protocol = ip->nexthdr;
	asked->tot_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	__builtin_memcpy(asked->ipv6_src, &ip->saddr, sizeof(asked->ipv6_src));
	__builtin_memcpy(asked->ipv6_dst, &ip->daddr, sizeof(asked->ipv6_dst));
	return 1;
}

/* RFC 1624 for a TTL, the high octet of its word, that is one less. */
static void take_hop4(struct iphdr *ip)
{
	__u32 sum = ip->check + bpf_htons(0x0100);

	ip->check = sum + (sum >= 0xffff);
	ip->ttl--;
}

SEC("xdp")
int forward(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct bpf_fib_lookup asked = { .ifindex = context->ingress_ifindex };
	struct ethhdr *ethernet = data;
	void *packet = ethernet + 1;

	if (packet > end)
		return XDP_PASS;
	int is_ipv4 = ethernet->h_proto == bpf_htons(ETH_P_IP) && ask4(packet, end, &asked);
	if (!is_ipv4 && (ethernet->h_proto != bpf_htons(ETH_P_IPV6) || !ask6(packet, end, &asked)))
		return XDP_PASS;
	if (bpf_fib_lookup(context, &asked, sizeof(asked), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return XDP_PASS;
	if (is_ipv4)
		take_hop4(packet);
	else
		((struct ipv6hdr *)packet)->hop_limit--;
	__builtin_memcpy(ethernet->h_dest, asked.dmac, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, asked.smac, ETH_ALEN);
	return bpf_redirect_map(&ports, asked.ifindex, XDP_PASS);
}

/* At a host's card: passes everything. A veth has NAPI, as real cards do, while it has a program. */
SEC("xdp/host")
int host(struct xdp_md *context)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
