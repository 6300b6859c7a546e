/* SPDX-License-Identifier: MIT */
/*
 * ring.c - dsmx-bench ring: frames through a stream's two queues, written once, every byte read once
 *
 * The queues are runtime/ring's and are used as runtime/chan does: when to publish, and when to look for frames that
 * came back, is as said there; each publication is followed by the fence of the wait protocol and a look at the other
 * side's `wanted`. A series "each" shows what it would cost to publish each release by itself. What chan adds for each
 * frame are its books in private memory. The limit is a copy of blocks of the same size through the same window, with
 * nothing but two counters. All have the same window, in the same kind of pages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"
#include "pair.h"
#include "peer.h"
#include "ring/ring.h"

#define WINDOW_BYTES (1U << 20)
#define FRAMES_MAX   1024U

struct flow {
	size_t bytes;
	uint32_t frames; /* power of two */
	bool each;       /* each release is published by itself */
};

/* What both sides write, each on lines of its own. */
struct flow_words {
	_Alignas(128) __u64 tail;
	__u64 wanted_released;
	_Alignas(128) __u64 taken;
	__u64 released;
	__u64 wanted;
	_Alignas(128) uint32_t log[FRAMES_MAX];
	_Alignas(128) struct dsmx_descriptor_abi slots[FRAMES_MAX];
	_Alignas(4096) char window[];
};

static void produce(struct pair *pair)
{
	const struct flow *flow = pair->arg;
	struct flow_words *w = pair->shared;
	struct dx_ring_tx ring = { w->slots, flow->frames - 1, &w->tail, &w->taken, 0, 0, 0 };
	struct dx_log_rx log = { w->log, flow->frames - 1, &w->released, 0, 0 };
	uint64_t count = pair_blocks(flow->bytes), tested = 0, start_ns;
	uint32_t free_ids[FRAMES_MAX], free_count = 0, unpublished = 0, id;
	uint32_t batch = dx_publish_bytes(flow->frames * flow->bytes);
	char *source = aligned_alloc(4096, flow->bytes < 4096 ? 4096 : flow->bytes);

	if (source == NULL)
		_exit(1);
	memset(source, 1, flow->bytes);
	for (uint32_t i = 0; i < flow->frames; i++)
		free_ids[free_count++] = flow->frames - 1 - i;
	pair_meet(pair, 0);
	start_ns = dx_now_ns();
	for (uint64_t i = 0; i < count || free_count < flow->frames;) {
		int r = free_count == 0 || i == count
		                ? dx_log_next(&log, flow->frames - free_count, &id)
		                : 0;

		if (r < 0 || dx_ring_room(&ring) < 0)
			_exit(1);
		if (r > 0) {
			free_ids[free_count++] = id;
			continue;
		}
		if (free_count == 0 || i == count) { /* about to wait */
			if (ring.published != ring.tail)
				dx_ring_publish(&ring);
			unpublished = 0;
			continue;
		}
		id = free_ids[--free_count];
		pair_put(w->window + id * flow->bytes, source, flow->bytes);
		dx_ring_push(&ring, &(struct dsmx_descriptor_abi){ .offset = id * flow->bytes,
		                                                   .bytes = (uint32_t)flow->bytes,
		                                                   .frame = id });
		i++;
		unpublished += (uint32_t)flow->bytes;
		if (unpublished < batch)
			continue;
		dx_ring_publish(&ring);
		unpublished = 0;
		dx_fence(DX_FENCE_WAKE);
		if (dx_wanted_crossed(dx_load_plain(&w->wanted), tested, ring.tail))
			_exit(1); /* nobody sleeps */
		tested = ring.tail;
	}
	*pair->result = (double)count * (double)flow->bytes / (double)(dx_now_ns() - start_ns);
}

static void consume(struct pair *pair)
{
	const struct flow *flow = pair->arg;
	struct flow_words *w = pair->shared;
	struct dx_ring_rx ring = { w->slots, flow->frames - 1, &w->tail, &w->taken, 0, 0 };
	struct dx_log_tx log = { w->log, flow->frames - 1, &w->released, 0 };
	uint64_t count = pair_blocks(flow->bytes), tested = 0, sum = 0;
	struct dsmx_descriptor_abi d;
	uint32_t unpublished = 0;

	dx_store_plain(&w->wanted, DSMX_WANTED_NONE);
	dx_store_plain(&w->wanted_released, DSMX_WANTED_NONE);
	pair_meet(pair, 1);
	for (uint64_t i = 0; i < count;) {
		int64_t ready = dx_ring_ready(&ring);

		if (ready < 0)
			_exit(1);
		if (ready == 0 && unpublished == 0)
			continue;
		if (ready > 0) {
			dx_ring_pop(&ring, &d);
			sum += pair_sum(w->window + d.offset, d.bytes);
			dx_log_append(&log, d.frame);
			i++;
			unpublished += d.bytes;
			if (!flow->each && unpublished < DX_RELEASE_BYTES && i < count)
				continue;
		}
		dx_ring_retire(&ring);
		dx_log_publish(&log);
		unpublished = 0;
		dx_fence(DX_FENCE_WAKE);
		if (dx_wanted_crossed(dx_load_plain(&w->wanted_released), tested, log.released))
			_exit(1);
		tested = log.released;
	}
	if (sum != count * (flow->bytes / 8) * 0x0101010101010101ULL)
		_exit(1);
}

static int measure(struct bench *bench, size_t bytes, bool each)
{
	struct flow flow = { bytes, WINDOW_BYTES / (uint32_t)bytes, each };
	double result[PAIR_RESULTS], limit;
	char name[48];
	int r;

	flow.frames = flow.frames < 4 ? 4 : flow.frames > FRAMES_MAX ? FRAMES_MAX : flow.frames;
	r = pair_copy(bench->pages, bytes, flow.frames, &limit);
	if (r == 0)
		r = pair_run_on(bench->pages, sizeof(struct flow_words) + bytes * flow.frames,
		                &flow, produce, consume, result);
	if (r != 0)
		return r;
	snprintf(name, sizeof(name), "ring/%zu%s", bytes, each ? "/each" : "");
	bench_add(bench, name, "GB/s", result[0], limit);
	for (size_t i = 0; r == 0 && !each && !bench->alone && peers[i] != NULL; i++) {
		r = peer_run(peers[i], bench->pages, bytes, flow.frames, &limit);
		snprintf(name, sizeof(name), "ring/%zu : %s", bytes, peers[i]->name);
		if (r == 0)
			bench_add(bench, name, "GB/s", result[0], limit);
	}
	return r;
}

int ring_round(struct bench *bench)
{
	static const size_t sizes[] = { 64, 4096, 65536, 1 << 20 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		r = measure(bench, sizes[i], false);
		if (r == 0 && sizes[i] < DX_RELEASE_BYTES)
			r = measure(bench, sizes[i], true);
	}
	return r;
}
