// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sender and the sink of the benchmark: one frame, written anew each time and compared octet
 * by octet; its destination may vary. Both run on one processor at a time (one BPF_PROG_RUN, the
 * NAPI of one queue), so plain counters are right.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Mirrored by frame.rs: 64 octets with the frame check sequence, which no veth has. */
#define FRAME_LENGTH 60
#define WORDS 7

/* A frame as it is compared: seven words and what is left. */
struct frame {
	__u64 words[WORDS];
	__u32 rest;
};

/* Where in the frame something is that both need to know. Filled in by frame.rs. */
struct places {
	__u32 protocol;
	__u32 hop_limit;
	/* Two words of the destination. */
	__u32 high;
	__u32 low;
	/* Checksums that cover the destination; 0: no second one. */
	__u32 checksums[2];
};

const volatile struct frame frame = {};
const volatile struct places places = {};

/* Bits of the destination's two words that vary: none, or VARIED in main.rs. In `frame` they are 0. */
const volatile __u32 varied = 0;

/* Where a frame that arrived differs. Mirrored by `Wrong` in sink.rs. */
enum wrong {
	WRONG_LENGTH,
	WRONG_MAC,
	WRONG_HOP_LIMIT,
	WRONG_CHECKSUM,
	WRONG_REST,
	WRONGS,
};

/* On lines of their own: user space reads them while they are written. */
__u64 sent __attribute__((aligned(64)));
__u64 received __attribute__((aligned(64)));
__u64 wrong[WRONGS] __attribute__((aligned(64)));

/*
 * The n-th destination. Each of the 2^20 comes once before the first comes again (an odd factor is
 * a permutation of 20 bits), and those that follow each other are far apart. 15 bits of it become
 * bits 14 to 28 of the two words, the lowest 5 become bits 3 to 7.
 */
static __u32 scattered(__u64 n)
{
	__u32 place = n * 0x9e375 & 0xfffff;

	return (place << 9 ^ place << 3) & varied;
}

/* RFC 1624, equation 3; `change`: the new words and the complements of the old ones, added up. */
static __u16 updated(__u16 checksum, __u32 change)
{
	__u32 sum = (__u16)~checksum + change;

	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* The two words of the destination, as one number. */
static __u32 destination(const volatile void *data)
{
	const volatile __u16 *high = data + places.high, *low = data + places.low;

	return bpf_ntohs(*high) << 16 | bpf_ntohs(*low);
}

/* Change these bits of the destination, and the checksums with it. */
static void flip(void *data, __u32 bits)
{
	__u16 *high = data + places.high, *low = data + places.low;
	__u32 change = (__u16)~*high + (__u16)~*low;
	__u16 *checksum;

	*high ^= bpf_htons(bits >> 16);
	*low ^= bpf_htons(bits & 0xffff);
	change += *high + *low;
	checksum = data + places.checksums[0];
	*checksum = updated(*checksum, change);
	if (places.checksums[1]) {
		checksum = data + places.checksums[1];
		*checksum = updated(*checksum, change);
	}
}

/*
 * Live frames are pages that come back as the forwarder left them, with other MAC addresses and a
 * smaller TTL: so the whole frame is written every time.
 */
SEC("xdp")
int generate(struct xdp_md *context)
{
	void *data = (void *)(long)context->data;
	void *end = (void *)(long)context->data_end;
	__u64 *words = data;

	if (data + FRAME_LENGTH > end)
		return XDP_ABORTED;
#pragma unroll
	for (int i = 0; i < WORDS; i++)
		words[i] = frame.words[i];
	*(__u32 *)(words + WORDS) = frame.rest;
	flip(data, scattered(sent));
	sent++;
	return XDP_TX;
}

/* Whether the octet of the frame is as expected. */
static int same(const void *data, __u32 at)
{
	return *(const __u8 *)(data + at) == ((const volatile __u8 *)&frame)[at];
}

/* Which part of it is not as expected; the frame is long enough. */
static enum wrong difference(const void *data)
{
	for (int i = 0; i < 2 * ETH_ALEN; i++)
		if (!same(data, i))
			return WRONG_MAC;
	if (!same(data, places.hop_limit))
		return WRONG_HOP_LIMIT;
	for (int i = 0; i < 2; i++)
		if (!same(data, places.checksums[i]) || !same(data, places.checksums[i] + 1))
			return WRONG_CHECKSUM;
	return WRONG_REST;
}

/* The test's protocol, to one of its destinations: anything else is the host's own business. */
static int is_test(const void *data)
{
	return same(data, 12) && same(data, 13) && same(data, places.protocol) &&
	       !((destination(data) ^ destination(&frame)) & ~varied);
}

SEC("xdp")
int count(struct xdp_md *context)
{
	void *data = (void *)(long)context->data;
	void *end = (void *)(long)context->data_end;
	const __u64 *words = data;
	__u64 differs;

	if (data + FRAME_LENGTH > end || !is_test(data))
		return XDP_PASS;
	/* The checksums are right if they become the one frame's with its destination. */
	flip(data, destination(data) & varied);
	differs = *(const __u32 *)(words + WORDS) ^ frame.rest;
#pragma unroll
	for (int i = 0; i < WORDS; i++)
		differs |= words[i] ^ frame.words[i];
	if (!differs && data + FRAME_LENGTH == end)
		received++;
	else
		wrong[differs ? difference(data) : WRONG_LENGTH]++;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
