/* SPDX-License-Identifier: MIT */
/*
 * pair.h - two processes on two processors, and what such a pair can do at most
 */
#ifndef DSMX_BENCH_PAIR_H
#define DSMX_BENCH_PAIR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dsmx/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers that a pair may give back. */
#define PAIR_RESULTS 4

struct pair {
	void *shared; /* @shared_bytes, zeroed, lines of 128 bytes are nobody else's */
	size_t shared_bytes;
	const void *arg;
	double *result; /* in shared memory: PAIR_RESULTS of them */
};

/*
 * Run both to their end, each in a process of its own that is bound to a processor.
 *
 * Returns 0, or -errno after a sentence: there is one processor only, or one of them failed.
 */
int pair_run(size_t shared_bytes, const void *arg, void (*first)(struct pair *pair),
             void (*second)(struct pair *pair), double ret_results[PAIR_RESULTS]);

/* The same, in memory of a kind: pair_run() takes 4 KiB pages. */
int pair_run_on(enum dsmx_pages pages, size_t shared_bytes, const void *arg,
                void (*first)(struct pair *pair), void (*second)(struct pair *pair),
                double ret_results[PAIR_RESULTS]);

/* The @nth processor of those that this process may use; -1: there is none. */
int pair_processor(int nth);

/* Bind this thread to a processor; -1: to none. Returns 0 or -errno. */
int pair_bind(int cpu);

/* Median round trip of one cache line, in ns. */
int pair_line(double *ret_ns);

/*
 * The same with a futex that both sleep on. @pause_ns: before each trip; a processor that has been idle for
 * milliseconds takes longer to wake.
 */
int pair_futex(uint64_t pause_ns, double *ret_ns);

/* From a process saying that it goes to sleep until it sleeps for sure. */
#define PAIR_ASLEEP_NS 20000U

void pair_spin(uint64_t ns);

/* A bare futex: say @value and wake who sleeps on it; sleep until it is said. */
void pair_say(uint32_t *word, uint32_t value);
void pair_hear(const uint32_t *word, uint32_t value);

/* GB/s: one copies blocks of @bytes from a hot buffer into @slots blocks in turn, the other adds up every word. */
int pair_copy(enum dsmx_pages pages, size_t bytes, uint32_t slots, double *ret_gb);

/* Blocks for about 512 MB, but not over a million. */
uint64_t pair_blocks(size_t bytes);

/* All words of a block, of a multiple of 64 bytes. A line is summed in place: a call costs as much as it does. */
uint64_t pair_sum_many(const void *block, size_t bytes);

static inline uint64_t pair_sum(const void *block, size_t bytes)
{
	uint64_t words[8], sum = 0;

	if (bytes != sizeof(words))
		return pair_sum_many(block, bytes);
	memcpy(words, block, sizeof(words));
	for (int i = 0; i < 8; i++)
		sum += words[i];
	return sum;
}

/* Write a message; the same for a line. */
static inline void pair_put(void *to, const void *message, size_t bytes)
{
	if (bytes == 64)
		memcpy(to, message, 64);
	else
		memcpy(to, message, bytes);
}

/* Before anything is timed: both processes are there. Each calls it with its number, 0 or 1. */
void pair_meet(struct pair *pair, int number);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_BENCH_PAIR_H */
