// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sender and the sink of the benchmark: one frame, written anew each time and compared octet
 * by octet. Both run on one processor at a time (one BPF_PROG_RUN, the NAPI of one queue), so
 * plain counters are right.
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

const volatile struct frame frame = {};

/* Where a frame that arrived differs. Mirrored by `Wrong` in sink.rs. */
enum wrong {
	WRONG_LENGTH,
	WRONG_MAC,
	WRONG_TTL,
	WRONG_CHECKSUM,
	WRONG_REST,
	WRONGS,
};

/* On lines of their own: user space reads them while they are written. */
__u64 sent __attribute__((aligned(64)));
__u64 received __attribute__((aligned(64)));
__u64 wrong[WRONGS] __attribute__((aligned(64)));

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
	sent++;
	return XDP_TX;
}

#define OCTET(at) (((const volatile __u8 *)&frame)[at])
#define SAME(at) (((const __u8 *)data)[at] == OCTET(at))

/* Which part of it is not as expected; the frame is long enough. */
static enum wrong difference(const void *data)
{
	for (int i = 0; i < 2 * ETH_ALEN; i++)
		if (!SAME(i))
			return WRONG_MAC;
	if (!SAME(22))
		return WRONG_TTL;
	return SAME(24) && SAME(25) ? WRONG_REST : WRONG_CHECKSUM;
}

/* UDP over IPv4 to the test's address: anything else is the host's own business. */
static int is_test(const void *data)
{
	return SAME(12) && SAME(13) && SAME(23) && SAME(30) && SAME(31) && SAME(32) && SAME(33);
}

SEC("xdp")
int count(struct xdp_md *context)
{
	const void *data = (const void *)(long)context->data;
	const void *end = (const void *)(long)context->data_end;
	const __u64 *words = data;
	__u64 differs;

	if (data + FRAME_LENGTH > end)
		return XDP_PASS;
	differs = *(const __u32 *)(words + WORDS) ^ frame.rest;
#pragma unroll
	for (int i = 0; i < WORDS; i++)
		differs |= words[i] ^ frame.words[i];
	if (!differs && data + FRAME_LENGTH == end) {
		received++;
		return XDP_DROP;
	}
	if (!is_test(data))
		return XDP_PASS;
	wrong[differs ? difference(data) : WRONG_LENGTH]++;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
