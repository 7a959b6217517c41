/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looking things up in the tables of shared.h, as the workers do (router/table/).
 *
 * The router makes the maps, gives them their sizes, and hands them to every object that it
 * loads; those here stand for them.
 */
#ifndef XROUTER_TABLES_H
#define XROUTER_TABLES_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"

/*
 * What does not change while the program is loaded, written by router/io/xdp.rs before it is: the
 * verifier knows the values, and so that no index below them leads out of a map.
 */
const volatile struct {
	__u32 fib4_entries;
	__u32 fib6_entries;
	__u32 fib6_skips;
	__u32 adjacencies;
	__u32 ecmp_groups;
	/* Of ECMP: `hash_seed` in router.toml. */
	__u32 hash_seed;
} constants SEC(".rodata.constants");

#define TABLE(name)                                  \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_ARRAY);    \
		__uint(map_flags, BPF_F_MMAPABLE);   \
		__uint(max_entries, 1);              \
		__uint(key_size, sizeof(__u32));     \
		__uint(value_size, sizeof(__u64));   \
	} name SEC(".maps")

TABLE(fib4);
TABLE(fib6);
TABLE(next_hops);
TABLE(adjacencies);
TABLE(ecmp);
TABLE(used);
TABLE(own);

/* An IPv6 address as two numbers. */
struct address6 {
	__u64 high;
	__u64 low;
};

/*
 * Whether an index is below the limit. The compiler must not see through this: else it checks one
 * copy of the number and uses another, and the verifier knows nothing of that one.
 */
static __always_inline int is_below(__u64 *index, __u32 limit)
{
	asm volatile("" : "+r"(*index));
	return *index < limit;
}

static __always_inline void *table(void *map)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(map, &first);
}

/* The next hop for an address in host order, or 0. */
static __always_inline __u32 fib4_lookup(__u32 address)
{
	const volatile __u16 *entries = table(&fib4);
	__u64 index = address >> 8;
	__u32 entry;

	if (!entries || !is_below(&index, constants.fib4_entries))
		return 0;
	entry = entries[index];
	if (!(entry & XR_FIB4_IS_GROUP))
		return entry;
	index = XR_FIB4_BASE + (entry & ~XR_FIB4_IS_GROUP) * XR_FIB4_GROUP + (address & 0xff);
	return is_below(&index, constants.fib4_entries) ? entries[index] : 0;
}

/* The bits of an address from `bit` (below 128) to the end of its half. */
static __always_inline __u64 bits_from(const struct address6 *address, __u32 bit)
{
	return (bit < 64 ? address->high : address->low) << (bit & 63);
}

/* Whether the address agrees with the skip's key in its first `len` bits. */
static __always_inline int holds(const volatile struct xr_skip *skip, __u64 len,
				 const struct address6 *address)
{
	__u64 high = skip->key_high ^ address->high;
	__u64 low = skip->key_low ^ address->low;

	if (len <= 64)
		return high >> ((64 - len) & 63) == 0;
	return high == 0 && low >> ((128 - len) & 63) == 0;
}

/* The bits that the walk's first entry stands for. */
#define FIB6_FIRST 16

/* Where an address is on its way through fib6. */
struct walk {
	__u32 entry;
	__u32 bit;
};

static __always_inline void step_over(struct walk *walk, const void *base,
				      const struct address6 *address)
{
	const volatile struct xr_skip *skip;
	__u64 number = walk->entry & ~XR_FIB6_IS_SKIP;
	__u64 ways, len;

	walk->entry = 0;
	if (!is_below(&number, constants.fib6_skips))
		return;
	skip = base + (__u64)constants.fib6_entries * sizeof(__u32);
	skip += number;
	ways = skip->ways;
	len = skip->len;
	if (!holds(skip, len, address)) {
		walk->entry = (__u32)ways;
		return;
	}
	walk->entry = ways >> 32;
	walk->bit = len & 127;
}

static __always_inline void step_down(struct walk *walk, const volatile __u32 *entries,
				      const struct address6 *address)
{
	__u64 index = XR_FIB6_TOP + (walk->entry & ~XR_FIB6_IS_SKIP) * XR_FIB6_NODE;
	__u64 ahead = bits_from(address, walk->bit);

	walk->entry = 0;
	index += walk->bit == FIB6_FIRST ? ahead >> 48 : ahead >> 56;
	walk->bit = (walk->bit + (walk->bit == FIB6_FIRST ? 16 : 8)) & 127;
	if (is_below(&index, constants.fib6_entries))
		walk->entry = entries[index];
}

/*
 * The next hop for an address, or 0. `bit` is FIB6_FIRST. A function of its own, not static, and
 * with that as an argument, so that the verifier walks through it once: not once for each way that
 * leads to it, nor for each number that `bit` can be on the way.
 */
__attribute__((noinline)) __u32 fib6_lookup(__u64 high, __u64 low, __u32 bit)
{
	const volatile __u32 *entries = table(&fib6);
	const struct address6 address = { high, low };
	struct walk walk = { 0, bit & 127 };
	int steps;

	if (!entries || constants.fib6_entries < XR_FIB6_TOP)
		return 0;
	walk.entry = entries[high >> 48];
	for (steps = 0; steps < (int)XR_FIB6_STEPS_MAX; steps++) {
		if (!(walk.entry & XR_FIB6_IS_NODE))
			return walk.entry;
		if ((walk.entry & XR_FIB6_IS_SKIP) == XR_FIB6_IS_SKIP)
			step_over(&walk, (const void *)entries, &address);
		else
			step_down(&walk, entries, &address);
	}
	return 0;
}

/* The word of a next hop: a slot of `adjacencies`, or of `ecmp`; 0 if there is none. */
static __always_inline __u32 next_hop_word(__u32 next_hop)
{
	const volatile __u32 *words = table(&next_hops);

	return words ? words[next_hop & XR_NEXT_HOP_ID_MAX] : 0;
}

/* The next hop that a flow has in a group, or 0. */
static __always_inline __u32 member_of(__u32 slot, __u32 flow_hash)
{
	const volatile __u16 *members = table(&ecmp);

	__u64 index = (__u64)slot * XR_ECMP_BUCKETS + flow_hash % XR_ECMP_BUCKETS;

	if (!members || !is_below(&index, constants.ecmp_groups * XR_ECMP_BUCKETS))
		return 0;
	return members[index];
}

/* The adjacency in a slot; nothing if there is no such slot. */
static __always_inline const struct xr_adjacency *adjacency_at(__u64 slot)
{
	const struct xr_adjacency *slots = table(&adjacencies);

	if (!slots || !is_below(&slot, constants.adjacencies))
		return NULL;
	return slots + slot;
}

/* A packet went to this next hop. Stores only if that is news: the line stays shared. */
static __always_inline void mark_used(__u32 next_hop)
{
	volatile __u8 *flags = table(&used);

	if (!flags)
		return;
	flags += next_hop & XR_NEXT_HOP_ID_MAX;
	if (!*flags)
		*flags = 1;
}

/* Whether this may be an address that no packet in transit comes from. */
static __always_inline int may_be_own(__u64 high, __u64 low)
{
	const volatile __u64 *words = table(&own);
	__u32 bit = (high * XR_OWN_FOLD ^ low) * XR_OWN_SPREAD >> 48;

	return !words || words[bit / 64] >> (bit % 64) & 1;
}

#endif
