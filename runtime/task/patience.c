/* SPDX-License-Identifier: MIT */
/*
 * patience.c - see patience.h
 *
 * A park costs both sides together about WAKE_NS: most of it is the interrupt to another processor, which no
 * way of sleeping avoids. Waiting awake for longer than that never pays, and for a processor that others need
 * it does not pay at all. So the budget doubles when news came while yielding, or ended a park so soon that
 * a full budget would have met them awake; it halves when it came to any other park; below YIELD_MIN_NS it is
 * nothing. A yield that takes as long as a wake has let others run: then it parks at once.
 *
 * The first looks are made without a pause between them: an answer of a peer that is awake takes some 100 ns, of which
 * the pauses of both sides were a fifth.
 *
 * Who has no budget left does not spin either: what it waits for comes rarely, and each look costs as much as
 * there are streams to look at.
 */
#include "task/patience.h"

#include <sched.h>

#include "base/order.h"

/* Measured between virtual processors: 15 to 20 us, 6 to 7 of them the waker's. */
#define WAKE_NS      25000ULL
#define SPIN_NS      2000ULL
#define EAGER_NS     500ULL
#define YIELD_MIN_NS 1000ULL

/* Looks between two readings of the clock, if they are cheap beside it. */
#define SPIN_BATCH    8
#define CHEAP_LOOK_NS 100ULL

void dx_patience_init(struct dx_patience *patience, bool none)
{
	*patience = (struct dx_patience){ .none = none, .yield_ns = WAKE_NS };
}

static void grow(struct dx_patience *patience)
{
	uint64_t more_ns = 2 * patience->yield_ns;

	if (more_ns < YIELD_MIN_NS)
		more_ns = YIELD_MIN_NS;
	patience->yield_ns = more_ns < WAKE_NS ? more_ns : WAKE_NS;
}

static bool spin(const struct dx_patience *patience, struct dx_wait *wait, uint64_t until_ns,
                 bool (*look)(void *arg), void *arg)
{
	uint64_t now_ns = patience->start_ns;
	int batch = 1;

	while (now_ns < until_ns && now_ns - patience->start_ns < SPIN_NS) {
		uint64_t before_ns = now_ns;

		for (int i = 0; i < batch; i++) {
			if (look(arg))
				return true;
			if (now_ns - patience->start_ns >= EAGER_NS)
				dx_spin_pause();
		}
		now_ns = dx_wait_now(wait);
		batch = batch > 1 || now_ns - before_ns < CHEAP_LOOK_NS ? SPIN_BATCH : 1;
	}
	return false;
}

bool dx_patience_wait(struct dx_patience *patience, struct dx_wait *wait, uint64_t until_ns,
                      bool (*look)(void *arg), void *arg)
{
	uint64_t start_ns, now_ns;

	patience->start_ns = dx_wait_now(wait);
	if (patience->none || patience->yield_ns == 0)
		return false;
	if (spin(patience, wait, until_ns, look, arg))
		return true;
	start_ns = now_ns = dx_wait_now(wait);
	while (now_ns < until_ns && now_ns - start_ns < patience->yield_ns) {
		uint64_t before_ns = now_ns;

		(void)sched_yield();
		if (look(arg)) {
			grow(patience);
			return true;
		}
		now_ns = dx_wait_now(wait);
		if (now_ns - before_ns >= WAKE_NS) {
			patience->yield_ns = 0;
			break;
		}
	}
	return false;
}

void dx_patience_learn(struct dx_patience *patience, uint64_t now_ns, bool fired)
{
	/* The wait contains one wake; without it, it would have been that much shorter. */
	if (fired && now_ns - patience->start_ns < WAKE_NS + SPIN_NS + WAKE_NS) {
		grow(patience);
		return;
	}
	patience->yield_ns /= 2;
	if (patience->yield_ns < YIELD_MIN_NS)
		patience->yield_ns = 0;
}
