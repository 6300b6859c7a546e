/* SPDX-License-Identifier: MIT */
/*
 * latency.c - dsmx-bench latency: one frame of 64 bytes to and fro
 *
 *	latency/spin	two rings, both sides spin; limit: one bare cache line
 *	latency/hot	two reactors with patience, one count each way; limit: the same
 *	latency/parked	the same two reactors without patience: each trip is two parks and two wakes; limit: a bare
 *			futex that both sleep on
 *
 * The reactors are those of side.h. Beside the times: rings of the bell for each park while parked, and for each trip while hot, where there should be none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"
#include "pair.h"
#include "ring/ring.h"
#include "side.h"

#define TRIPS 1000U
#define SLOTS 64U /* of a stream by default: room is seen once for all of them */

/* --- spinning ---------------------------------------------------------------------------------------------- */

struct spin_words {
	_Alignas(128) __u64 tail;
	_Alignas(128) __u64 taken;
	_Alignas(128) struct dsmx_descriptor_abi slots[SLOTS];
	_Alignas(128) char frame[64];
};

static void spin_send(struct dx_ring_tx *ring, struct spin_words *w, uint32_t i)
{
	while (dx_ring_room(ring) == 0)
		dx_spin_pause();
	memset(w->frame, (int)(i & 0xff), sizeof(w->frame)); /* the answer said that it was read */
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
	struct dx_ring_tx tx = { out->slots, SLOTS - 1, &out->tail, &out->taken, 0, 0, 0 };
	struct dx_ring_rx rx = { in->slots, SLOTS - 1, &in->tail, &in->taken, 0, 0 };
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

struct how {
	enum dsmx_wait_backend backend;
	bool patient;
};

static void side_run(struct pair *pair, int number)
{
	const struct how *how = pair->arg;
	struct side_words *words = pair->shared;
	struct side side;
	static double trips[TRIPS];
	struct dx_reactor_stats stats;

	side_init(&side, &words[number], &words[1 - number], how->backend, how->patient);
	pair_meet(pair, number);
	for (uint32_t i = 0; i < TRIPS; i++) {
		uint64_t start_ns = dx_now_ns();

		if (number == 1)
			side_wait(&side, i + 1);
		side_publish(&side, i + 1);
		if (number == 0)
			side_wait(&side, i + 1);
		trips[i] = (double)(dx_now_ns() - start_ns);
	}
	dx_reactor_stats(side.reactor, &stats);
	side.own->parks = stats.parks;
	side.own->rings = side.rings;
	if (number == 1) { /* the other one reads what both counted */
		side_publish(&side, TRIPS + 1);
		return;
	}
	side_wait(&side, TRIPS + 1);
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
	int r = pair_run_on(bench->pages, 2 * sizeof(struct side_words), &how, side_first,
	                    side_second, result);

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
		r = pair_run_on(bench->pages, 2 * sizeof(struct spin_words), NULL, spin_first,
		                spin_second, spin);
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
