/* SPDX-License-Identifier: MIT */
/*
 * order.h - every happens-before edge between two processes, by name: the only atomics of the tree
 *
 * Shared words are touched only through the macros below, and each use names the edge that it is one end
 * of. `make check-order` refuses an edge that has one end only, so that neither half can be changed or
 * dropped alone. Every word has one writer, so there is no read-modify-write.
 *
 *	edge		release end				acquire end
 *	TAIL		producer, after descriptor and frame	consumer, before it reads them
 *	TAKEN		consumer, after it copied descriptors	producer, before it writes their slots again
 *	RELEASED	consumer, after its last read of frames	producer, before it writes those frames again
 *			and after the ids in the log		and before it reads the log
 *	REQUEST		consumer, after the request's fields	producer, before it reads them
 *			and the filters that they name		and copies the filters
 *	STREAM		producer, after the stream's fields	consumer, before it reads them
 *	BELL		waker, after what it published		sleeper, before it looks at what was rung for
 *	CHANGES		waker, after a request or stream word	sleeper, before it scans the words
 *	COUNTS		waker, after a count that a peer wants	sleeper, before it reads the counts
 *	PLAN		leader, after the query's record	process, before it reads the record
 *	STATE		owner, after what a state stands for	peer, before it relies on it
 *	LIVE		kernel, when the owner dies		watcher
 *	DEAD		process, after the last it took of a dead	leader, before it reads what was taken
 *			peer's streams
 *	MOVE		leader, after where a task runs again	process, before it reads that
 *	PARK		task, after what it parks on		whoever walks the wait-for graph
 *	SEEN		producer, after those it woke were	whoever walks the wait-for graph, before it
 *			published as awake			looks again whether they are parked
 *	PULSE		process, in each look			supervisor: it moves, or it hangs
 *	FLIGHT		process, after an event it has recorded	tracer, before it reads the events
 *	SAMPLE		producer task, after its sample		tasks of the same exchange, before they copy it
 *
 * Two fences (store-load, one on each side) make the wait protocol complete; DESIGN.md calls them by their
 * places. SLEEP stands between a sleeper's `wanted` and its last look, WAKE between a waker's publication
 * and its look at `wanted`: at least one of the two sees the other.
 */
#ifndef DX_BASE_ORDER_H
#define DX_BASE_ORDER_H

#include <stddef.h>
#include <string.h>

enum dx_edge {
	DX_EDGE_TAIL,
	DX_EDGE_TAKEN,
	DX_EDGE_RELEASED,
	DX_EDGE_REQUEST,
	DX_EDGE_STREAM,
	DX_EDGE_BELL,
	DX_EDGE_CHANGES,
	DX_EDGE_COUNTS,
	DX_EDGE_PLAN,
	DX_EDGE_STATE,
	DX_EDGE_LIVE,
	DX_EDGE_DEAD,
	DX_EDGE_MOVE,
	DX_EDGE_PARK,
	DX_EDGE_SEEN,
	DX_EDGE_PULSE,
	DX_EDGE_FLIGHT,
	DX_EDGE_SAMPLE,
};

enum dx_fence_place {
	DX_FENCE_SLEEP,
	DX_FENCE_WAKE,
};

/* Where there are fault points (base/point.h), each of these is one. */
#ifdef DX_POINTS
#include "base/point.h"
#define DX_AT_EDGE_(edge)   dx_point_pass((enum dx_point)(edge))
#define DX_AT_FENCE_(place) dx_point_pass((enum dx_point)((int)DX_POINT_SLEEP + (int)(place)))
#define DX_AT_STORE_()      dx_point_pass(DX_POINT_STORE)
#else
#define DX_AT_EDGE_(edge)   ((void)(edge))
#define DX_AT_FENCE_(place) ((void)(place))
#define DX_AT_STORE_()      ((void)0)
#endif

#define dx_store_release(edge, word, value)                                                        \
	(DX_AT_EDGE_(edge), __atomic_store_n((word), (value), __ATOMIC_RELEASE))
#define dx_load_acquire(edge, word) (DX_AT_EDGE_(edge), __atomic_load_n((word), __ATOMIC_ACQUIRE))

/* A store-load fence: what stands before it is visible before what follows is read. */
#define dx_fence(place) (DX_AT_FENCE_(place), __atomic_thread_fence(__ATOMIC_SEQ_CST))

/* A word that only this process writes, or one whose order an edge or fence beside it gives. */
#define dx_load_plain(word) __atomic_load_n((word), __ATOMIC_RELAXED)
#define dx_store_plain(word, value)                                                                \
	(DX_AT_STORE_(), __atomic_store_n((word), (value), __ATOMIC_RELAXED))

/*
 * A copy of another process's record, to be checked and then used: that process may write it at any time, so the
 * compiler must not read it a second time where it finds the copy's value again.
 */
static inline void dx_copy_once(void *copy, const void *record, size_t bytes)
{
	memcpy(copy, record, bytes);
	__asm__ volatile("" ::: "memory");
}

/* Between two looks of a spinning loop: leaves the core to its other thread for a moment. */
static inline void dx_spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

/*
 * The one read-modify-write: a count that several threads and signal handlers of one process move, so that the
 * process's own wait ends. No peer sees it.
 */
#define dx_bump_own(word) ((void)__atomic_fetch_add((word), 1, __ATOMIC_SEQ_CST))

#endif /* DX_BASE_ORDER_H */
