// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sender and the sink of the benchmark, each for IPv4 and for IPv6. Both run on one processor
 * at a time (one BPF_PROG_RUN, the NAPI of one queue), so plain counters are right.
 */
#include "traffic.h"

/* Destinations, of 4 octets or of 16. Filled in by live.rs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 4 * sizeof(__u32));
	__uint(max_entries, 1);
} destinations SEC(".maps");

const volatile __u32 destination_count = 1;
const volatile __u32 flow_count = 1;
/* The low word of the first flow's source address, in the host's order. */
const volatile __u32 first_source = 0;
/* So many frames are sent one behind the other, and share a time stamp. */
const volatile __u32 burst = 64;
/* Nanoseconds from burst to burst; 0: as fast as it can. */
const volatile __u64 interval = 0;
/* Who was kept from sending makes up for no more than this, nanoseconds. */
const volatile __u64 backlog = 0;

__u64 sent __attribute__((aligned(64)));
static __u64 due, now;
static __u32 left, flow, destination, kind;

/* Where a frame that arrived differs. Mirrored by `WRONG` in sink.rs. */
enum wrong {
	WRONG_LENGTH,
	WRONG_MAC,
	WRONG_HOP_LIMIT,
	WRONG_CHECKSUM,
	WRONG_CONTENTS,
	WRONGS,
	RIGHT = WRONGS,
};

/* User space reads them while they are written. */
__u64 received __attribute__((aligned(64)));
__u64 octets;
/* The sequence number after the highest that came, and how many of those before it did not. */
__u32 next;
__u64 lost;
__u64 reordered;
__u64 duplicated;
__u64 wrong[WRONGS] __attribute__((aligned(64)));
__u64 latency[BUCKETS] __attribute__((aligned(64)));
/* A bit for each of the last sequence numbers: it came. */
static __u64 seen[WINDOW];
/* So many more come before one's latency is measured. */
static __u32 measured;

static long is_due(__u32 round, void *context)
{
	return bpf_ktime_get_ns() >= due;
}

/* Wait until the next burst is due. */
static void begin_burst(void)
{
	left = burst;
	now = bpf_ktime_get_ns();
	if (!interval)
		return;
	if (due + backlog < now)
		due = now - backlog;
	if (now < due) {
		bpf_loop(1 << 23, is_due, 0, 0);
		now = bpf_ktime_get_ns();
	}
	due += interval;
}

/* The next of `count` values. */
static __u32 step(__u32 *value, __u32 count)
{
	__u32 current = *value;

	*value = current + 1 == count ? 0 : current + 1;
	return current;
}

/* Source ports first, then source addresses. */
static __always_inline void write_flow(void *data, const int v6)
{
	__u32 number = step(&flow, flow_count);

	*(__u32 *)(data + SOURCE(v6)) = bpf_htonl(first_source + number / PORTS);
	*(__u16 *)(data + UDP(v6)) = bpf_htons(FIRST_PORT + number % PORTS);
}

static __always_inline void write_destination(void *data, const int v6)
{
	__u32 number = step(&destination, destination_count);
	const __u32 *from = bpf_map_lookup_elem(&destinations, &number);
	__u32 *to = data + SOURCE(v6) + 4;

	if (!from)
		return;
	to[0] = from[0];
	if (v6) {
		to[1] = from[1];
		to[2] = from[2];
		to[3] = from[3];
	}
}

static __always_inline void write_stamp(void *data, const int v6)
{
	void *stamp = data + UDP(v6) + STAMP;

	*(__u32 *)(stamp + SEQUENCE) = sent;
	*(__u32 *)(stamp + TIME_LOW) = now;
	*(__u16 *)(stamp + TIME_HIGH) = now >> 32;
}

static __always_inline void write_lengths(void *data, const volatile struct shape *shape,
					  const int v6)
{
	__u64 varying = varying_sum(data, v6);

	*(__u16 *)(data + IP_LENGTH(v6)) = shape->ip_length;
	*(__u16 *)(data + UDP(v6) + UDP_LENGTH) = shape->udp_length;
	if (!v6)
		*(__u16 *)(data + HEADER_CHECKSUM) = ~folded(shape->ip_sum + address_sum(data, v6));
	/* RFC 768: a checksum of zero is sent as all ones. */
	*(__u16 *)(data + UDP(v6) + UDP_CHECKSUM) =
		(__u16)~folded(shape->udp_sum + varying) ?: 0xffff;
}

/*
 * Live frames are pages that come back as the forwarder left them, with other MAC addresses and a
 * smaller TTL: so all headers are written every time. What follows them was there from the start.
 */
static __always_inline int generate(struct xdp_md *context, const int v6)
{
	const volatile struct shape *shape = shape_at(step(&kind, shape_count));
	__u64 *words;
	void *data;

	if (!left)
		begin_burst();
	left--;
	if (shape->length != longest && bpf_xdp_adjust_tail(context, shape->length - longest))
		return XDP_ABORTED;
	data = (void *)(long)context->data;
	if (data + STAMPED(v6) > (void *)(long)context->data_end)
		return XDP_ABORTED;
	words = data;
#pragma unroll
	for (int i = 0; i < WORDS(v6); i++)
		words[i] = header[i];
	if (flow_count > 1)
		write_flow(data, v6);
	write_destination(data, v6);
	write_stamp(data, v6);
	write_lengths(data, shape, v6);
	sent++;
	return XDP_TX;
}

/* UDP to the port that nobody else uses here: anything else is the host's own business. */
static __always_inline int is_test(const void *data, const int v6)
{
	const volatile __u16 *expected = (const volatile __u16 *)header;

	return *(__u16 *)(data + 12) == expected[12 / 2] &&
	       *(__u8 *)(data + PROTOCOL(v6)) == IPPROTO_UDP &&
	       *(__u16 *)(data + UDP(v6) + 2) == expected[(UDP(v6) + 2) / 2];
}

/* As a receiver checks them: RFC 1071, and RFC 768 and 8200 for UDP's of zero. */
static __always_inline int checksums_are_right(const void *data,
					       const volatile struct shape *shape, const int v6)
{
	__u16 udp = *(__u16 *)(data + UDP(v6) + UDP_CHECKSUM);
	__u64 varying = varying_sum(data, v6);

	if (!v6 && folded(shape->ip_sum + address_sum(data, v6) +
			  *(__u16 *)(data + HEADER_CHECKSUM)) != 0xffff)
		return 0;
	return udp && folded(shape->udp_sum + varying + udp) == 0xffff;
}

/* Whether all behind the stamp is filler, of a frame that is as long as it should be. */
static __always_inline int is_filled(void *data, void *end, __u32 length, const int v6)
{
	__u64 begin = length - 8, differs = 0;
	const __u64 *word = data + STAMPED(v6);

	if (length > LONGEST || length <= STAMPED(v6))
		return length == STAMPED(v6);
	/* A bound for eight words costs less than eight bounds. */
	for (int i = 0; i < LONGEST / 64 && (void *)(word + 8) <= end; i++, word += 8)
#pragma unroll
		for (int j = 0; j < 8; j++)
			differs |= word[j] ^ FILLER;
	for (int i = 0; i < 8 && (void *)(word + 1) <= end; i++, word++)
		differs |= *word ^ FILLER;
	/*
	 * The last word begins in the middle of another one, perhaps one of the stamp. The barrier:
	 * the verifier knows only of the mask how large this can be.
	 */
	barrier_var(begin);
	word = data + (begin & 0x7ff);
	if ((void *)(word + 1) > end)
		return 0;
	differs |= (*word ^ FILLER) >> (begin < STAMPED(v6) ? 8 * (STAMPED(v6) - begin) : 0);
	return !differs;
}

/* What is wrong, if something is that is the same in every frame. */
static __always_inline enum wrong blamed(const void *data, const int v6)
{
	const volatile __u8 *expected = (const volatile __u8 *)header;
	const __u8 *found = data;

	for (int i = 0; i < 2 * ETH_ALEN; i++)
		if (found[i] != expected[i])
			return WRONG_MAC;
	return found[HOP_LIMIT(v6)] != expected[HOP_LIMIT(v6)] ? WRONG_HOP_LIMIT : WRONG_CONTENTS;
}

static __always_inline enum wrong difference(void *data, void *end,
					     const volatile struct shape *shape, const int v6)
{
	const __u64 *words = data;
	__u64 differs = 0;

#pragma unroll
	for (int i = 0; i < WORDS(v6); i++)
		differs |= (words[i] ^ header[i]) & constant[i];
	if (data + shape->length != end || *(__u16 *)(data + IP_LENGTH(v6)) != shape->ip_length ||
	    *(__u16 *)(data + UDP(v6) + UDP_LENGTH) != shape->udp_length)
		return WRONG_LENGTH;
	if (differs)
		return blamed(data, v6);
	if (!checksums_are_right(data, shape, v6))
		return WRONG_CHECKSUM;
	return is_filled(data, end, shape->length, v6) ? RIGHT : WRONG_CONTENTS;
}

/* What is before the window is forgotten: `sequence` is the newest. */
static __always_inline void move_window(__u32 sequence)
{
	__u32 word = (next + 63) / 64;

	for (int i = 0; i < WINDOW && word <= sequence / 64; i++, word++)
		seen[word % WINDOW] = 0;
	next = sequence + 1;
}

/*
 * Not static: the verifier looks at this and at `measure` once, not once for each way that leads to
 * them. Sequence numbers begin at 0, and a trial has less than 2^32.
 */
__noinline int place(__u32 sequence)
{
	__u64 *word = &seen[sequence / 64 % WINDOW], bit = 1ULL << sequence % 64;

	if (sequence >= next) {
		lost += sequence - next;
		move_window(sequence);
	} else if (next - sequence > (WINDOW - 1) * 64) {
		/* It stays lost: it may as well be a duplicate. */
		reordered++;
		return 0;
	} else if (*word & bit) {
		duplicated++;
		return 0;
	} else {
		reordered++;
		lost--;
	}
	*word |= bit;
	return 0;
}

__noinline int measure(__u64 time)
{
	__u32 bucket = bucket_of((bpf_ktime_get_ns() - time) & TIME_MASK);

	if (bucket < BUCKETS)
		latency[bucket]++;
	return 0;
}

static __always_inline int count(struct xdp_md *context, const int v6)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	const void *stamp = data + UDP(v6) + STAMP;
	const volatile struct shape *shape;
	__u32 sequence;
	__u64 time;
	enum wrong what;

	if (data + STAMPED(v6) > end || !is_test(data, v6))
		return XDP_PASS;
	sequence = *(__u32 *)(stamp + SEQUENCE);
	time = *(__u32 *)(stamp + TIME_LOW) | (__u64) * (__u16 *)(stamp + TIME_HIGH) << 32;
	shape = shape_at(shape_count == 1 ? 0 : sequence % shape_count);
	what = difference(data, end, shape, v6);
	if (what == RIGHT) {
		received++;
		octets += shape->length;
		if (sequence == next && sequence % 64)
			seen[next++ / 64 % WINDOW] |= 1ULL << sequence % 64;
		else
			place(sequence);
		if (!measured--) {
			measured = EVERY - 1;
			measure(time);
		}
	} else {
		wrong[what]++;
	}
	return XDP_DROP;
}

SEC("xdp")
int generate4(struct xdp_md *context)
{
	return generate(context, 0);
}

SEC("xdp")
int generate6(struct xdp_md *context)
{
	return generate(context, 1);
}

SEC("xdp")
int count4(struct xdp_md *context)
{
	return count(context, 0);
}

SEC("xdp")
int count6(struct xdp_md *context)
{
	return count(context, 1);
}

char LICENSE[] SEC("license") = "GPL";
