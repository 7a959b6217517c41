/* DPDK's longest-prefix-match tables behind one small interface. A lookup of many addresses is one
 * call from Rust; the batches are cut here, so that calls between languages cost nothing. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_lpm.h>
#include <rte_lpm6.h>

/* Mirrored by Kind in dpdk.rs. */
enum kind { FIB_2B, FIB_4B, LPM, FIB6_4B, LPM6 };

struct shim {
	enum kind kind;
	union {
		struct rte_fib *fib;
		struct rte_fib6 *fib6;
		struct rte_lpm *lpm;
		struct rte_lpm6 *lpm6;
	};
};

int shim_start(int argc, char **argv)
{
	return rte_eal_init(argc, argv) < 0 ? -rte_errno : 0;
}

/* A next hop of 0 is no route, in all of them. */
struct shim *shim_new(const char *name, enum kind kind, uint32_t routes, uint32_t groups)
{
	struct rte_fib_conf fib = { .type = RTE_FIB_DIR24_8, .max_routes = routes };
	struct rte_fib6_conf fib6 = { .type = RTE_FIB6_TRIE, .max_routes = routes };
	struct rte_lpm_config lpm = { .max_rules = routes, .number_tbl8s = groups };
	struct rte_lpm6_config lpm6 = { .max_rules = routes, .number_tbl8s = groups };
	struct shim *shim = malloc(sizeof(*shim));

	if (!shim)
		return NULL;
	shim->kind = kind;
	fib.dir24_8.nh_sz = kind == FIB_2B ? RTE_FIB_DIR24_8_2B : RTE_FIB_DIR24_8_4B;
	fib.dir24_8.num_tbl8 = groups;
	fib6.trie.nh_sz = RTE_FIB6_TRIE_4B;
	fib6.trie.num_tbl8 = groups;
	switch (kind) {
	case FIB_2B:
	case FIB_4B:
		shim->fib = rte_fib_create(name, -1, &fib);
		break;
	case FIB6_4B:
		shim->fib6 = rte_fib6_create(name, -1, &fib6);
		break;
	case LPM:
		shim->lpm = rte_lpm_create(name, -1, &lpm);
		break;
	case LPM6:
		shim->lpm6 = rte_lpm6_create(name, -1, &lpm6);
		break;
	}
	if (!shim->fib) {
		free(shim);
		return NULL;
	}
	return shim;
}

void shim_free(struct shim *shim)
{
	switch (shim->kind) {
	case FIB_2B:
	case FIB_4B:
		rte_fib_free(shim->fib);
		break;
	case FIB6_4B:
		rte_fib6_free(shim->fib6);
		break;
	case LPM:
		rte_lpm_free(shim->lpm);
		break;
	case LPM6:
		rte_lpm6_free(shim->lpm6);
		break;
	}
	free(shim);
}

static uint32_t host_order(const uint8_t *octets)
{
	return (uint32_t)octets[0] << 24 | octets[1] << 16 | octets[2] << 8 | octets[3];
}

int shim_add(struct shim *shim, const uint8_t *to, uint8_t len, uint16_t hop)
{
	switch (shim->kind) {
	case FIB_2B:
	case FIB_4B:
		return rte_fib_add(shim->fib, host_order(to), len, hop);
	case FIB6_4B:
		return rte_fib6_add(shim->fib6, to, len, hop);
	case LPM:
		return rte_lpm_add(shim->lpm, host_order(to), len, hop);
	case LPM6:
		return rte_lpm6_add(shim->lpm6, to, len, hop);
	}
	return -1;
}

int shim_delete(struct shim *shim, const uint8_t *to, uint8_t len)
{
	switch (shim->kind) {
	case FIB_2B:
	case FIB_4B:
		return rte_fib_delete(shim->fib, host_order(to), len);
	case FIB6_4B:
		return rte_fib6_delete(shim->fib6, to, len);
	case LPM:
		return rte_lpm_delete(shim->lpm, host_order(to), len);
	case LPM6:
		return rte_lpm6_delete(shim->lpm6, to, len);
	}
	return -1;
}

/* 0 if the processor and the table have such a lookup. */
int shim_select(struct shim *shim, int avx512)
{
	switch (shim->kind) {
	case FIB_2B:
	case FIB_4B:
		return rte_fib_select_lookup(shim->fib, avx512 ? RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512
							       : RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO);
	case FIB6_4B:
		return rte_fib6_select_lookup(shim->fib6, avx512 ? RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512
								 : RTE_FIB6_LOOKUP_TRIE_SCALAR);
	default:
		return avx512 ? -1 : 0;
	}
}

static void look_up_lpm(struct rte_lpm *lpm, const uint32_t *ips, uint32_t *hops, unsigned int n)
{
	if (n > 1)
		rte_lpm_lookup_bulk(lpm, ips, hops, n);
	else if (rte_lpm_lookup(lpm, *ips, hops))
		*hops = 0;
}

static void look_up_lpm6(struct rte_lpm6 *lpm, uint8_t (*ips)[16], int32_t *hops, unsigned int n)
{
	if (n > 1)
		rte_lpm6_lookup_bulk_func(lpm, ips, hops, n);
	else if (rte_lpm6_lookup(lpm, *ips, (uint32_t *)hops))
		*hops = 0;
}

/* IPv4 addresses in host order; IPv6 addresses as they are sent. found has 8 octets for each; LPM
 * and LPM6 use half of them. */
void shim_look_up(struct shim *shim, void *addresses, void *found, uint32_t count, uint32_t batch)
{
	uint8_t (*ips6)[16] = addresses;
	uint32_t *ips = addresses;
	uint64_t *wide = found;
	uint32_t *narrow = found;

	for (uint32_t i = 0; i < count; i += batch) {
		uint32_t n = count - i < batch ? count - i : batch;

		switch (shim->kind) {
		case FIB_2B:
		case FIB_4B:
			rte_fib_lookup_bulk(shim->fib, ips + i, wide + i, n);
			break;
		case FIB6_4B:
			rte_fib6_lookup_bulk(shim->fib6, ips6 + i, wide + i, n);
			break;
		case LPM:
			look_up_lpm(shim->lpm, ips + i, narrow + i, n);
			break;
		case LPM6:
			look_up_lpm6(shim->lpm6, ips6 + i, (int32_t *)narrow + i, n);
			break;
		}
	}
}

/* The i-th answer. */
uint16_t shim_found(const struct shim *shim, const void *found, uint32_t i)
{
	const uint64_t *wide = found;
	const uint32_t *narrow = found;

	switch (shim->kind) {
	case LPM:
		return narrow[i] & 0x00ffffff;
	case LPM6:
		return (int32_t)narrow[i] < 0 ? 0 : narrow[i];
	default:
		return wide[i];
	}
}
