/* SPDX-License-Identifier: MIT */
/*
 * ring.c - dsmx-bench ring: frames through a stream's two queues, written once, every byte read once
 *
 * The queues are runtime/ring's and are used as runtime/chan does: when to publish, and when to look for frames that
 * came back, is as said there; each publication is followed by the fence of the wait protocol and a look at the other
 * side's `wanted`. A series "each" shows what it would cost to publish each release by itself. What chan adds for each
 * frame are its books in private memory, and its slabs, which give out first what they got last; here frames are used
 * again in the order in which they came back. The limit is a copy of blocks of the same size through the same window,
 * with nothing but two counters. All have the same window, in the same kind of pages: Boost's queue, which always leaves
 * one of its slots empty, has no more of them for that.
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
	_Alignas(128) __u64 wanted;
	_Alignas(64) __u64 taken; /* on the next line, as in a request */
	__u64 released;
	_Alignas(128) uint32_t log[FRAMES_MAX];
	_Alignas(128) struct dsmx_descriptor_abi slots[FRAMES_MAX];
	_Alignas(4096) char window[];
};

/* All that came back, as chan takes it; @out: more cannot come. */
static inline uint32_t collect(struct dx_log_rx *log, uint32_t out, uint32_t *ids)
{
	uint32_t count = 0;
	int r = 0;

	while (count < out && (r = dx_log_next(log, out - count, &ids[count])) > 0)
		count++;
	if (r < 0)
		_exit(1);
	return count;
}

static void produce(struct pair *pair)
{
	const struct flow *flow = pair->arg;
	struct flow_words *w = pair->shared;
	struct dx_ring_tx ring = { w->slots, flow->frames - 1, &w->tail, &w->taken, 0, 0, 0 };
	struct dx_log_rx log = { w->log, flow->frames - 1, &w->released, 0, 0 };
	uint64_t count = pair_blocks(flow->bytes), tested = 0, start_ns;
	uint32_t ids[FRAMES_MAX], next = 0, spare = flow->frames, unpublished = 0, id;
	uint32_t batch = dx_publish_bytes(flow->frames * flow->bytes);
	char *source = aligned_alloc(4096, flow->bytes < 4096 ? 4096 : flow->bytes);

	if (source == NULL)
		_exit(1);
	memset(source, 1, flow->bytes);
	for (uint32_t i = 0; i < flow->frames; i++)
		ids[i] = i;
	pair_meet(pair, 0);
	start_ns = dx_now_ns();
	for (uint64_t i = 0; i < count || log.read < count;) {
		if (next == spare || i == count) {
			next = 0;
			spare = collect(&log, (uint32_t)(i - log.read), ids);
			if (spare > 0)
				continue;
			if (ring.published != ring.tail) /* about to wait */
				dx_ring_publish(&ring);
			unpublished = 0;
			continue;
		}
		if (dx_ring_room(&ring) <= 0)
			_exit(1); /* a frame that is back was read */
		id = ids[next++];
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

/* --- rounds ----------------------------------------------------------------------------------------------- */

/*
 * A turn of some milliseconds says little by itself: Boost's queue beside itself, a turn each of 2 ms, has quartiles of
 * 0.98 and 1.05. So in a round all take TURNS of them, to and fro, and what counts of each is its median. Each round
 * begins with another, so that nobody always comes after the same. Who is so slow that TURN_ENOUGH_NS have passed needs
 * no more turns to be told apart.
 */
#define TURNS          5
#define TURN_ENOUGH_NS 100000000U
#define LANES_MAX      12

enum lane_kind { LANE_LIMIT, LANE_RING, LANE_EACH, LANE_PEER };

struct lane {
	enum lane_kind kind;
	const struct peer *peer;
	uint64_t spent_ns;
	uint32_t turns;
	double values[TURNS];
};

static int take_turn(const struct bench *bench, size_t bytes, uint32_t frames, struct lane *lane)
{
	struct flow flow = { bytes, frames, lane->kind == LANE_EACH };
	double result[PAIR_RESULTS];
	uint64_t start_ns = dx_now_ns();
	int r;

	if (lane->kind == LANE_LIMIT)
		r = pair_copy(bench->pages, bytes, frames, result);
	else if (lane->kind == LANE_PEER)
		r = peer_run(lane->peer, bench->pages, bytes, frames, result);
	else
		r = pair_run_on(bench->pages, sizeof(struct flow_words) + bytes * frames, &flow,
		                produce, consume, result);
	lane->values[lane->turns++] = result[0];
	lane->spent_ns += dx_now_ns() - start_ns;
	return r;
}

static uint32_t make_lanes(const struct bench *bench, size_t bytes, struct lane lanes[LANES_MAX])
{
	uint32_t count = 0;

	lanes[count++] = (struct lane){ .kind = LANE_LIMIT };
	lanes[count++] = (struct lane){ .kind = LANE_RING };
	if (bytes < DX_RELEASE_BYTES)
		lanes[count++] = (struct lane){ .kind = LANE_EACH };
	for (size_t i = 0; !bench->alone && peers[i] != NULL && count < LANES_MAX; i++)
		lanes[count++] = (struct lane){ .kind = LANE_PEER, .peer = peers[i] };
	return count;
}

static void add_lane(struct bench *bench, size_t bytes, struct lane *lane, double limit,
                     double ring)
{
	double value = bench_median(lane->values, lane->turns);
	char name[48];

	if (lane->kind == LANE_PEER) {
		snprintf(name, sizeof(name), "ring/%zu : %s", bytes, lane->peer->name);
		bench_add(bench, name, "GB/s", ring, value);
		return;
	}
	snprintf(name, sizeof(name), "ring/%zu%s", bytes, lane->kind == LANE_EACH ? "/each" : "");
	bench_add(bench, name, "GB/s", value, limit);
}

static int measure(struct bench *bench, size_t bytes)
{
	struct lane lanes[LANES_MAX];
	uint32_t count = make_lanes(bench, bytes, lanes), frames = WINDOW_BYTES / (uint32_t)bytes;
	double limit, ring;

	frames = frames < 4 ? 4 : frames > FRAMES_MAX ? FRAMES_MAX : frames;
	for (uint32_t i = 0; i < TURNS * count; i++) {
		uint32_t turn = i / count, nth = turn % 2 == 0 ? i % count : count - 1 - i % count;
		struct lane *lane = &lanes[(nth + bench->round) % count];
		int r = lane->spent_ns > TURN_ENOUGH_NS ? 0 : take_turn(bench, bytes, frames, lane);

		if (r != 0)
			return r;
	}
	limit = bench_median(lanes[0].values, lanes[0].turns);
	ring = bench_median(lanes[1].values, lanes[1].turns);
	for (uint32_t i = 1; i < count; i++)
		add_lane(bench, bytes, &lanes[i], limit, ring);
	return 0;
}

int ring_round(struct bench *bench)
{
	static const size_t sizes[] = { 64, 4096, 65536, 1 << 20 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		r = measure(bench, sizes[i]);
	return r;
}
