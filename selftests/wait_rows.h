/* SPDX-License-Identifier: MIT */
/*
 * wait_rows.h - a row is a test of each back end; beside it, somebody who comes while the thread sleeps
 *
 * Whoever has to come while another sleeps waits until the kernel says that he does: no pause is long enough
 * on some machine.
 */
#ifndef DX_SELFTESTS_WAIT_ROWS_H
#define DX_SELFTESTS_WAIT_ROWS_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/order.h"
#include "harness.h"
#include "wait/wait.h"

/* Longer than anything takes here; a test that needs it has failed. */
#define LONG_NS (20 * DX_NS_PER_S)

static inline uint64_t in(uint64_t ns)
{
	return dx_now_ns() + ns;
}

static inline bool has(enum dsmx_wait_backend backend)
{
	struct dx_wait *wait;

	if (dx_wait_new(backend, &wait, NULL) < 0)
		return false;
	dx_wait_free(wait);
	return true;
}

/* Each row is two tests, one for each back end. */
#define ROW(id, claim)                                                                             \
	static void id##_row(bool *ok, struct dx_wait *wait);                                      \
	static void id##_on(bool *ok, enum dsmx_wait_backend backend)                              \
	{                                                                                          \
		struct dx_wait *wait;                                                              \
                                                                                                   \
		CHECK_EQ(dx_wait_new(backend, &wait, NULL), 0);                                    \
		id##_row(ok, wait);                                                                \
		dx_wait_free(wait);                                                                \
	}                                                                                          \
	TEST(id##_uring, claim " (io_uring)")                                                      \
	{                                                                                          \
		if (!has(DSMX_WAIT_URING))                                                         \
			SKIP("no futex operations in io_uring");                                   \
		id##_on(ok, DSMX_WAIT_URING);                                                      \
	}                                                                                          \
	TEST(id##_futex, claim " (futex_waitv)")                                                   \
	{                                                                                          \
		id##_on(ok, DSMX_WAIT_FUTEX);                                                      \
	}                                                                                          \
	static void id##_row(bool *ok, struct dx_wait *wait)

/* --- somebody who comes while this thread sleeps ------------------------------------------------------ */

struct visitor {
	pthread_t thread;
	int tid;        /* who must be asleep first */
	uint32_t *word; /* set to `value` and woken; NULL: none */
	uint32_t value;
	int fd;       /* an eventfd to be written; -1: none */
	bool signals; /* the sleeper's thread, by SIGUSR1 */
};

static inline void *visit(void *arg)
{
	struct visitor *visitor = arg;

	while (harness_state_of(visitor->tid) != 'S')
		(void)sched_yield();
	if (visitor->word != NULL) {
		dx_store_release(DX_EDGE_BELL, visitor->word, visitor->value);
		dx_wake(visitor->word);
	}
	if (visitor->fd >= 0)
		(void)eventfd_write(visitor->fd, 1);
	if (visitor->signals)
		(void)syscall(SYS_tgkill, getpid(), visitor->tid, SIGUSR1);
	return NULL;
}

static inline void invite(struct visitor *visitor)
{
	visitor->tid = (int)syscall(SYS_gettid);
	if (pthread_create(&visitor->thread, NULL, visit, visitor) != 0)
		abort();
}

static inline void goodbye(struct visitor *visitor)
{
	(void)pthread_join(visitor->thread, NULL);
}

#endif /* DX_SELFTESTS_WAIT_ROWS_H */
