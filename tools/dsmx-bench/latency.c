/* SPDX-License-Identifier: MIT */
/*
 * latency.c - dsmx-bench latency: one frame of 64 bytes to and fro
 *
 *	latency/spin	two rings, both sides spin; limit: one bare cache line
 *	latency/hot	two reactors with patience, one count each way; limit: the same
 *	latency/parked	the same two reactors without patience: each trip is two parks and two wakes; limit: a bare
 *			futex that both sleep on
 *
 * The reactors do all that the library's do: look, arm, fence, look again, sleep in the one wait. Beside the times:
 * rings of the bell for each park while parked, and for each trip while hot, where there should be none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"
#include "pair.h"
#include "ring/ring.h"
#include "task/reactor.h"

#define TRIPS 1000U

/* --- spinning ---------------------------------------------------------------------------------------------- */

struct spin_words {
	_Alignas(128) __u64 tail;
	_Alignas(128) __u64 taken;
	_Alignas(128) struct dsmx_descriptor_abi slot;
	_Alignas(128) char frame[64];
};

static void spin_send(struct dx_ring_tx *ring, struct spin_words *w, uint32_t i)
{
	while (dx_ring_room(ring) == 0)
		dx_spin_pause();
	memset(w->frame, (int)(i & 0xff), sizeof(w->frame));
	dx_ring_push(ring, &(struct dsmx_descriptor_abi){ .bytes = sizeof(w->frame), .frame = i });
	dx_ring_publish(ring);
}

static void spin_get(struct dx_ring_rx *ring, struct spin_words *w, uint32_t i)
{
	struct dsmx_descriptor_abi d;

	while (dx_ring_ready(ring) == 0)
		dx_spin_pause();
	dx_ring_pop(ring, &d);
	if (d.frame != i || pair_sum(w->frame, d.bytes) != 8 * (i & 0xff) * 0x0101010101010101ULL)
		_exit(1);
	dx_ring_retire(ring);
}

static void spin_run(struct pair *pair, int number)
{
	struct spin_words *out = (struct spin_words *)pair->shared + number;
	struct spin_words *in = (struct spin_words *)pair->shared + (1 - number);
	struct dx_ring_tx tx = { &out->slot, 0, &out->tail, &out->taken, 0, 0, 0 };
	struct dx_ring_rx rx = { &in->slot, 0, &in->tail, &in->taken, 0, 0 };
	static double trips[TRIPS];

	pair_meet(pair, number);
	for (uint32_t i = 1; i <= TRIPS; i++) {
		uint64_t start_ns = dx_now_ns();

		if (number == 1)
			spin_get(&rx, in, i);
		spin_send(&tx, out, i);
		if (number == 0)
			spin_get(&rx, in, i);
		trips[i - 1] = (double)(dx_now_ns() - start_ns);
	}
	if (number == 0)
		*pair->result = bench_median(trips, TRIPS);
}

static void spin_first(struct pair *pair)
{
	spin_run(pair, 0);
}

static void spin_second(struct pair *pair)
{
	spin_run(pair, 1);
}

/* --- two reactors -------------------------------------------------------------------------------------------- */

struct side_words {
	_Alignas(128) uint32_t bell;
	uint64_t wanted;
	uint64_t parks;
	uint64_t rings;
	_Alignas(128) uint64_t count;
};

struct how {
	enum dsmx_wait_backend backend;
	bool patient;
};

struct side {
	struct side_words *own;
	const struct side_words *peer;
	struct dx_source source;
	struct dx_wait_word bell;
	uint64_t count, tested;
	uint64_t seen, wanted; /* of the other one's counts */
	uint64_t rings;
};

static void side_publish(struct side *side)
{
	dx_store_release(DX_EDGE_TAIL, &side->own->count, ++side->count);
	dx_fence(DX_FENCE_WAKE);
	if (dx_wanted_crossed(dx_load_plain(&side->peer->wanted), side->tested, side->count)) {
		dx_store_release(DX_EDGE_BELL, &side->own->bell, side->own->bell + 1);
		dx_wake(&side->own->bell);
		side->rings++;
	}
	side->tested = side->count;
}

static bool side_look(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);

	side->bell.seen = dx_load_acquire(DX_EDGE_BELL, &side->peer->bell);
	side->bell.fired = false;
	side->seen = dx_load_acquire(DX_EDGE_TAIL, &side->peer->count);
	return side->seen >= side->wanted;
}

static void side_arm(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);

	dx_store_plain(&side->own->wanted, side->seen);
}

static void side_disarm(struct dx_source *source)
{
	struct side *side = DX_CONTAINER(source, struct side, source);

	dx_store_plain(&side->own->wanted, DSMX_WANTED_NONE);
}

/* Until the other side has published @count. */
static void side_wait(struct side *side, struct dx_reactor *reactor, uint64_t count)
{
	side->wanted = count;
	while (!side_look(&side->source))
		(void)dx_reactor_turn(reactor, DX_NEVER);
}

static void side_run(struct pair *pair, int number)
{
	const struct how *how = pair->arg;
	struct side_words *words = pair->shared;
	struct side side = { .own = &words[number],
		             .peer = &words[1 - number],
		             .source = {
				     .look = side_look, .arm = side_arm, .disarm = side_disarm } };
	static double trips[TRIPS];
	struct dx_reactor_stats stats;
	struct dx_reactor *reactor;
	struct dx_wait *wait;

	if (dx_wait_new(how->backend, &wait, NULL) < 0 ||
	    dx_reactor_new_over(wait, how->patient, &reactor, NULL) < 0)
		_exit(1);
	side.bell.word = &side.peer->bell;
	if (dx_wait_add_word(wait, &side.bell) < 0)
		_exit(1);
	dx_reactor_add_source(reactor, &side.source);
	side_disarm(&side.source);
	pair_meet(pair, number);
	for (uint32_t i = 0; i < TRIPS; i++) {
		uint64_t start_ns = dx_now_ns();

		if (number == 1)
			side_wait(&side, reactor, i + 1);
		side_publish(&side);
		if (number == 0)
			side_wait(&side, reactor, i + 1);
		trips[i] = (double)(dx_now_ns() - start_ns);
	}
	dx_reactor_stats(reactor, &stats);
	side.own->parks = stats.parks;
	side.own->rings = side.rings;
	if (number == 1) { /* the other one reads what both counted */
		side_publish(&side);
		return;
	}
	side_wait(&side, reactor, TRIPS + 1);
	pair->result[0] = bench_median(trips, TRIPS);
	pair->result[1] = (double)(words[0].rings + words[1].rings);
	pair->result[2] = (double)(words[0].parks + words[1].parks);
}

static void side_first(struct pair *pair)
{
	side_run(pair, 0);
}

static void side_second(struct pair *pair)
{
	side_run(pair, 1);
}

static int measure(struct bench *bench, const char *name, struct how how, double limit)
{
	double result[PAIR_RESULTS];
	char text[48];
	int r = pair_run(2 * sizeof(struct side_words), &how, side_first, side_second, result);

	if (r != 0)
		return r;
	bench_add(bench, name, "ns", result[0], limit);
	if (how.patient) {
		snprintf(text, sizeof(text), "%s/wakes per trip", name);
		bench_add(bench, text, "", result[1] / TRIPS, 0);
	} else {
		snprintf(text, sizeof(text), "%s/wakes per park", name);
		bench_add(bench, text, "", result[2] > 0 ? result[1] / result[2] : 0, 1);
	}
	return 0;
}

int latency_round(struct bench *bench)
{
	double line, futex, spin[PAIR_RESULTS];
	struct dx_wait *wait;
	bool uring = dx_wait_new(DSMX_WAIT_URING, &wait, NULL) == 0;
	int r = pair_line(&line);

	if (uring)
		dx_wait_free(wait);
	if (r == 0)
		r = pair_run(2 * sizeof(struct spin_words), NULL, spin_first, spin_second, spin);
	if (r == 0)
		bench_add(bench, "latency/spin", "ns", spin[0], line);
	if (r == 0)
		r = measure(bench, "latency/hot", (struct how){ DSMX_WAIT_AUTO, true }, line);
	if (r == 0)
		r = pair_futex(0, &futex);
	if (r == 0 && uring)
		r = measure(bench, "latency/parked/io_uring",
		            (struct how){ DSMX_WAIT_URING, false }, futex);
	if (r == 0)
		r = measure(bench, "latency/parked/futex_waitv",
		            (struct how){ DSMX_WAIT_FUTEX, false }, futex);
	return r;
}
