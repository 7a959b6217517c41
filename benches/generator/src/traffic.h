/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What sender and sink both know of a frame: UDP over IPv4 or IPv6, and in its payload a stamp and
 * a filler. `v6` is 0 or 1, and known to the compiler. Mirrored by frame.rs, which fills the
 * constants in.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Places in the frame. Of the source address the last word, which the destination follows. */
#define IP_LENGTH(v6) ((v6) ? 18 : 16)
#define HOP_LIMIT(v6) ((v6) ? 21 : 22)
#define PROTOCOL(v6) ((v6) ? 20 : 23)
#define HEADER_CHECKSUM 24
#define SOURCE(v6) ((v6) ? 34 : 26)
#define UDP(v6) ((v6) ? 54 : 34)
/* In the UDP header, and its payload. */
#define UDP_LENGTH 4
#define UDP_CHECKSUM 6
#define STAMP 8
/* In the stamp: 2 octets of magic, the number, 48 bits of nanoseconds. All in the host's order. */
#define SEQUENCE 2
#define TIME_LOW 6
#define TIME_HIGH 10
#define TIME_MASK 0xffffffffffffULL
/* The end of the stamp. */
#define STAMPED(v6) (UDP(v6) + STAMP + 12)
/* As many words have all that is the same in every frame. */
#define WORDS(v6) ((v6) ? 8 : 6)
#define LONGEST 1514
#define FILLER 0xa5a5a5a5a5a5a5a5ULL

/* Flows: so many source ports, from this one on, with each source address. */
#define PORTS 32768
#define FIRST_PORT 32768

/* A frame of one size. The sums, in the host's order, leave out what varies. */
struct shape {
	__u32 length;
	/* In the network's order, as they are in the frame. */
	__u16 ip_length;
	__u16 udp_length;
	__u32 ip_sum;
	__u32 udp_sum;
};

/* IMIX has twelve frames in a row; sixteen are a bound that the verifier understands. */
#define SHAPES 16
const volatile struct shape shapes[SHAPES] = {};
const volatile __u32 shape_count = 1;
/* The length of the longest. */
const volatile __u32 longest = 0;

/* The frame without what varies, and which of its bits those are that do not. */
const volatile __u64 header[WORDS(1)] = {};
const volatile __u64 constant[WORDS(1)] = {};

/* Latency: 32 buckets for each octave of nanoseconds, up to 2^32. Mirrored by `bucket` in sink.rs. */
#define BUCKETS (28 * 32)
/* Reading the clock takes a fifth of the time that all else takes: one frame in so many has to do.
 * A prime, so that each size of IMIX and each place in a burst has its turn. */
#define EVERY 13
/* Words of 64 sequence numbers. */
#define WINDOW 64

static __always_inline const volatile struct shape *shape_at(__u32 index)
{
	return &shapes[index % SHAPES];
}

/* RFC 1071. */
static __always_inline __u16 folded(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The destination and the last word of the source. */
static __always_inline __u64 address_sum(const void *data, const int v6)
{
	const __u32 *words = data + SOURCE(v6);
	__u64 sum = (__u64)words[0] + words[1];

	return v6 ? sum + words[2] + words[3] + words[4] : sum;
}

/* All that varies and that the checksum of UDP covers. */
static __always_inline __u64 varying_sum(const void *data, const int v6)
{
	const void *udp = data + UDP(v6), *stamp = udp + STAMP;

	return address_sum(data, v6) + *(__u16 *)udp + *(__u32 *)(stamp + SEQUENCE) +
	       *(__u32 *)(stamp + TIME_LOW) + *(__u16 *)(stamp + TIME_HIGH);
}

/* The five bits below the highest one, and where that is. */
static __always_inline __u32 bucket_of(__u64 value)
{
	__u32 ns = value >> 32 ? 0xffffffff : value, shift = 0, high = ns >> 6;

#pragma unroll
	for (int bits = 16; bits; bits /= 2)
		if (high >> bits) {
			high >>= bits;
			shift += bits;
		}
	shift += high;
	return shift * 32 + (ns >> shift);
}
