/* SPDX-License-Identifier: MIT */
/*
 * wait.h - the one place where a process sleeps: any of its words, descriptors and a deadline
 *
 * A word is 32 bits in somebody's shared memory, a bell or a liveness word; a descriptor is a pidfd, a
 * socket, an eventfd. The caller does the protocol (publish, fence, look again; task/reactor.c has the loop)
 * and this layer only arms and sleeps. What it guarantees:
 *
 *   - an armed wait ends as soon as the word is no longer `seen`, or was woken; `fired` is set then, the wait
 *     is gone, and the next sleep arms it again, with the `seen` of that time;
 *   - a word that is armed stays so across sleeps until it fires: sleeping again costs nothing for it;
 *   - nothing is lost: a word that differs from `seen` when it is armed makes the sleep return at once.
 *
 * Two back ends do the same: io_uring (FUTEX_WAIT, POLL_ADD; one enter for all) and futex_waitv(2) with
 * poll(2). Wakes are futex(2), shared, INT_MAX waiters, in both. futex_waitv cannot wait for descriptors:
 * beside words they are looked at from time to time, at most as late as the process was idle, and never
 * later than 100 ms (waitv.c); so what has to be fast goes through a word.
 */
#ifndef DX_WAIT_WAIT_H
#define DX_WAIT_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "dsmx/session.h"

struct dx_wait;
struct dsmx_error;

/* A word that is waited for. Filled by its owner, who writes `seen` and reads and clears `fired`. */
struct dx_wait_word {
	struct dx_list link;
	const uint32_t *word; /* maybe in a mapping that is read-only */
	uint32_t seen;        /* the value at the owner's last look */
	bool fired;           /* the wait ended since the owner cleared this: look */
	bool armed;           /* the back end's */
	uint32_t armed_value; /* the back end's */
};

/* A descriptor that is waited for: level-triggered, one poll at a time. */
struct dx_wait_fd {
	struct dx_list link;
	int fd;
	short events; /* POLLIN, ... */
	short fired;  /* what poll said; the owner clears it */
	bool armed;   /* the back end's */
};

/*
 * @backend: DSMX_WAIT_AUTO tries io_uring and falls back; the environment variable DSMX_WAIT (uring, futex)
 *	overrides AUTO only
 * Returns 0, -EOPNOTSUPP where the one asked for does not work here (the sentence says why), -ENOMEM, or
 * -EINVAL: DSMX_WAIT is neither.
 */
int dx_wait_new(enum dsmx_wait_backend backend, struct dx_wait **ret_wait,
                struct dsmx_error *err) DX_MUST_CHECK;
void dx_wait_free(struct dx_wait *wait);

/* The clock that deadlines are on. */
uint64_t dx_wait_now(struct dx_wait *wait);

/* "io_uring" or "futex_waitv". */
const char *dx_wait_name(const struct dx_wait *wait);
/* Why AUTO did not take io_uring; NULL where it did. */
const char *dx_wait_missing(const struct dx_wait *wait);

/* 0, -EINVAL (no word at an aligned address, no descriptor), -ENOMEM, or -E2BIG: about a thousand. */
int dx_wait_add_word(struct dx_wait *wait, struct dx_wait_word *word) DX_MUST_CHECK;
int dx_wait_add_fd(struct dx_wait *wait, struct dx_wait_fd *fd) DX_MUST_CHECK;

/* Cancels what is armed and waits for the cancellation, so that memory and descriptor may go after it. */
void dx_wait_remove_word(struct dx_wait *wait, struct dx_wait_word *word);
void dx_wait_remove_fd(struct dx_wait *wait, struct dx_wait_fd *fd);

/*
 * Arm what is not armed, sleep until something fires or @deadline_ns (CLOCK_MONOTONIC; DX_NEVER), mark what
 * fired. A deadline in the past only arms and collects.
 *
 * Returns how many fired, 0 at the deadline, -EINTR on a signal (call again). After a handler with SA_RESTART
 * futex_waitv sleeps on: whoever wants to be seen at once from a handler changes a word and wakes it.
 */
int dx_wait_sleep(struct dx_wait *wait, uint64_t deadline_ns);

/*
 * A descriptor that becomes readable when something that is armed fires: for an application's own poll loop. It is
 * readable at first, as things may have fired already. From the first call on each sleep has to drain it.
 * Returns it, or -EOPNOTSUPP (futex_waitv has none: see dx_mesh_set_peer_eventfd()).
 */
int dx_wait_pollable(struct dx_wait *wait);
/* Will that be one? Makes none. */
bool dx_wait_has_pollable(const struct dx_wait *wait);

/* Counters since dx_wait_new(), for tests and the trace. */
struct dx_wait_stats {
	uint64_t sleeps; /* that really entered the kernel to block */
	uint64_t arms;
	uint64_t fires;
	uint64_t timers; /* io_uring: that were set to end sleeps */
};
void dx_wait_stats(const struct dx_wait *wait, struct dx_wait_stats *ret_stats);

/* Wake whoever waits for @word; the caller has changed it. Works on read-only mappings too. */
void dx_wake(const uint32_t *word);

#endif /* DX_WAIT_WAIT_H */
