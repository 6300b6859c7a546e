/* SPDX-License-Identifier: MIT */
/*
 * side.h - one of two processes that tell each other how far they are: a count each way, a reactor on each side
 *
 * The reactors do all that the library's do: look, arm, fence, look again, sleep in the one wait.
 */
#ifndef DSMX_BENCH_SIDE_H
#define DSMX_BENCH_SIDE_H

#include "task/reactor.h"

/* What one side writes. */
struct side_words {
	_Alignas(128) uint32_t bell;
	uint64_t wanted;
	uint64_t parks;
	uint64_t rings;
	_Alignas(128) uint64_t count;
};

struct side {
	struct side_words *own;
	const struct side_words *peer;
	struct dx_reactor *reactor;
	struct dx_source source;
	struct dx_wait_word bell;
	uint64_t tested;
	uint64_t seen, wanted; /* of the other one's counts */
	uint64_t rings;
};

/* In the process that will use it; failure is _exit(1). @patient: waits awake for a while, as the library's do. */
void side_init(struct side *side, struct side_words *own, const struct side_words *peer,
               enum dsmx_wait_backend backend, bool patient);

/* Say the own count, and wake the other side if it waits for that. */
void side_publish(struct side *side, uint64_t count);

/* Has the other side published @count? As of a look that is made now. */
bool side_has(struct side *side, uint64_t count);

/* Until it has. */
void side_wait(struct side *side, uint64_t count);

#endif /* DSMX_BENCH_SIDE_H */
