/* SPDX-License-Identifier: MIT */
/*
 * peer_rte.c - DPDK's rte_ring, one producer and one consumer: numbers of slots there, and back when they were read
 *
 * Its rings are made in our shared memory; nothing else of DPDK is needed. In bursts of 1 and of 32, as its users do.
 */
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define BURST_MAX 32U

/* Both rings, then the slots. */
static size_t ring_bytes(const struct peer_flow *flow)
{
	return ((size_t)rte_ring_get_memsize(2 * flow->slots) + 4095) & ~(size_t)4095;
}

static size_t shared_bytes(const struct peer_flow *flow)
{
	return 2 * ring_bytes(flow) + flow->slots * flow->bytes;
}

static struct rte_ring *ring_of(void *shared, const struct peer_flow *flow, int number)
{
	return (struct rte_ring *)(void *)((char *)shared + (size_t)number * ring_bytes(flow));
}

static int prepare(struct peer_flow *flow, void *shared)
{
	for (int i = 0; i < 2; i++)
		if (rte_ring_init(ring_of(shared, flow, i), i == 0 ? "there" : "back", flow->slots,
		                  RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ) != 0)
			return -22;
	return 0;
}

static void put_all(struct rte_ring *ring, void *const *ids, unsigned int count)
{
	for (unsigned int done = 0; done < count;)
		done += rte_ring_sp_enqueue_burst(ring, ids + done, count - done, NULL);
}

static inline void produce(void *shared, const struct peer_flow *flow, const void *message,
                           unsigned int burst)
{
	struct rte_ring *there = ring_of(shared, flow, 0), *back = ring_of(shared, flow, 1);
	char *slots = (char *)shared + 2 * ring_bytes(flow);
	uint64_t fresh = 0;
	void *ids[BURST_MAX];

	for (uint64_t sent = 0; sent < flow->count;) {
		unsigned int count = 0;

		if (fresh < flow->slots) {
			while (count < burst && fresh < flow->slots)
				ids[count++] = (void *)(uintptr_t)fresh++;
		} else {
			count = rte_ring_sc_dequeue_burst(back, ids, burst, NULL);
		}
		if (count > flow->count - sent)
			count = (unsigned int)(flow->count - sent);
		for (unsigned int i = 0; i < count; i++)
			pair_put(slots + (uintptr_t)ids[i] * flow->bytes, message, flow->bytes);
		put_all(there, ids, count);
		sent += count;
	}
}

static inline uint64_t consume(void *shared, const struct peer_flow *flow, unsigned int burst)
{
	struct rte_ring *there = ring_of(shared, flow, 0), *back = ring_of(shared, flow, 1);
	const char *slots = (const char *)shared + 2 * ring_bytes(flow);
	void *ids[BURST_MAX];
	uint64_t sum = 0;

	for (uint64_t got = 0; got < flow->count;) {
		unsigned int count = rte_ring_sc_dequeue_burst(there, ids, burst, NULL);

		for (unsigned int i = 0; i < count; i++)
			sum += pair_sum(slots + (uintptr_t)ids[i] * flow->bytes, flow->bytes);
		put_all(back, ids, count);
		got += count;
	}
	return sum;
}

static void produce_1(void *shared, const struct peer_flow *flow, const void *message)
{
	produce(shared, flow, message, 1);
}

static uint64_t consume_1(void *shared, const struct peer_flow *flow)
{
	return consume(shared, flow, 1);
}

static void produce_32(void *shared, const struct peer_flow *flow, const void *message)
{
	produce(shared, flow, message, BURST_MAX);
}

static uint64_t consume_32(void *shared, const struct peer_flow *flow)
{
	return consume(shared, flow, BURST_MAX);
}

const struct peer peer_rte_1 = { "rte_ring b1", shared_bytes, prepare, produce_1, consume_1 };
const struct peer peer_rte_32 = { "rte_ring b32", shared_bytes, prepare, produce_32, consume_32 };
