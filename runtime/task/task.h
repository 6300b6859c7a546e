/* SPDX-License-Identifier: MIT */
/*
 * task.h - the reactor: many tasks, one thread, one wait
 *
 * A task is polled in slices of about a millisecond and either ends, wants to go on (dsmx_cx_yield()), or
 * has left its waker with somebody. A source is where news come from outside: a peer's bell, a descriptor.
 * Between any two slices the reactor looks at its sources, so control is served while tasks are busy.
 *
 *	turn:	look at every source; poll each task that was ready when the turn began, looking in between
 *		nothing ready: flush every source, then spin and yield within the budget, looking
 *		still nothing: arm every source; fence; look at all of them: news, disarm and go on
 *		               sleep in the one wait until something fires, a timer is due, or the bound
 *
 * Everything here belongs to one thread. There is no global: a process may have several reactors.
 */
#ifndef DX_TASK_TASK_H
#define DX_TASK_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/cx.h"
#include "base/list.h"
#include "wait/wait.h"

#define DX_SLICE_NS 1000000ULL /* one poll of a task */
/*
 * Every park ends by a bound, if only to see that nothing was missed: the first by this one, the next of an idle
 * process after twice as long, up to the last. So a lost wake is found at most as late as it was idle before.
 */
#ifndef DX_PARK_BOUND_NS /* selftests/stress has its own */
#define DX_PARK_BOUND_NS 100000000ULL
#endif
#define DX_PARK_BOUND_MAX_NS (16 * DX_PARK_BOUND_NS)

struct dx_reactor;

/* A task. Embedded in its owner's struct, who frees it after @end or dx_task_stop(). */
struct dx_task {
	struct dsmx_waker waker; /* set by dx_task_start() */
	struct dx_list link;     /* in the ready list, or alone */
	struct dx_list all;
	struct dx_reactor *reactor;
	const char *name;
	/* 0: parked, or yielded through @cx; 1: done; else it failed. May stop other tasks, not itself. */
	int (*poll)(struct dx_task *task, struct dsmx_cx *cx);
	/* After poll returned 1 or an error: the task is in no list any more and may free itself. */
	void (*end)(struct dx_task *task, int result, const struct dsmx_error *err);
	/* It becomes ready: before whoever wakes it goes on. May be NULL. */
	void (*woken)(struct dx_task *task);
	bool polling;
};

/* Where news come from. Embedded in its owner's struct, other fields zero. All but @look may be NULL. */
struct dx_source {
	struct dx_list link;
	/* News? Then handle them: wake tasks. Cheap when there are none. */
	bool (*look)(struct dx_source *source);
	/* Publish what was batched: somebody is about to wait. */
	void (*flush)(struct dx_source *source);
	/* Say to the peers what a wake is wanted for. */
	void (*arm)(struct dx_source *source);
	/* Awake again. */
	void (*disarm)(struct dx_source *source);
	/* A park is over by its bound: look once at all that waits, whoever should have told of it. */
	void (*doubt)(struct dx_source *source);
	/* A number that moves with every ring of its peers. NULL: its news may come without, by the bound. */
	uint64_t (*rung)(struct dx_source *source);
	uint64_t rung_parked; /* the reactor's */
};

struct dx_timer {
	struct dx_list link;
	uint64_t due_ns;
	void (*fire)(struct dx_timer *timer); /* once; may start it again */
};

int dx_reactor_new(enum dsmx_wait_backend backend, struct dx_reactor **ret_reactor,
                   struct dsmx_error *err) DX_MUST_CHECK;
/* Every task has ended or was stopped, every source was removed. */
void dx_reactor_free(struct dx_reactor *reactor);

/* The longest bound of a park, where something needs a look more often than every DX_PARK_BOUND_MAX_NS. */
void dx_reactor_limit_parks(struct dx_reactor *reactor, uint64_t max_ns);

/* For words and descriptors: their owners add them, and look at `fired` in a source. */
struct dx_wait *dx_reactor_wait(struct dx_reactor *reactor);

void dx_reactor_add_source(struct dx_reactor *reactor, struct dx_source *source);
void dx_reactor_remove_source(struct dx_reactor *reactor, struct dx_source *source);

/* Ready at once. */
void dx_task_start(struct dx_reactor *reactor, struct dx_task *task);
/* Forget the task at any point but inside its own poll; @end is not called. Also twice. */
void dx_task_stop(struct dx_task *task);
/* The same as task->waker.wake(&task->waker). */
void dx_task_wake(struct dx_task *task);

/* Starts it anew if it runs already. */
void dx_timer_start(struct dx_reactor *reactor, struct dx_timer *timer, uint64_t due_ns);
void dx_timer_stop(struct dx_timer *timer);

/*
 * One turn; blocks for news until @deadline_ns at the most (0: does not block, arms and returns).
 *
 * Returns 1 if anything was polled, looked at with news, or fired; 0 at the deadline; -EINTR on a signal.
 */
int dx_reactor_turn(struct dx_reactor *reactor, uint64_t deadline_ns);

/* Let a source's owner look and flush in the middle of something long, without polling tasks. */
void dx_reactor_look(struct dx_reactor *reactor);

struct dx_reactor_stats {
	uint64_t turns;
	uint64_t polls;
	uint64_t parks; /* sleeps that reached the kernel */
	uint64_t
		late_parks; /* ended by the bound, found news whose bell did not ring: must stay 0 */
	uint64_t spin_hits; /* news came while spinning or yielding */
};
void dx_reactor_stats(const struct dx_reactor *reactor, struct dx_reactor_stats *ret_stats);

#endif /* DX_TASK_TASK_H */
