/* SPDX-License-Identifier: MIT */
/*
 * point.h - fault points: places where a test may have this thread linger, fail or die
 *
 * Built in where DX_POINTS is defined: VARIANT=debug, asan and tsan, and beside any other build the objects of
 * selftests/stress. Elsewhere there is nothing: no code, no word, no name.
 *
 *	edges and fences	each use of base/order.h, before it: lingers, dies
 *	calls			each allocation and the system calls below: fails with an errno, dies
 *
 * Edges are points because they are the steps of the protocols: to linger at any of them, for a random time, is to try
 * another order of two processes' steps. Calls are points wherever runtime/ makes them: base/point_calls.h stands
 * before each of its sources and says so, and DX_POINT_FAILS() where a call has no name of its own.
 *
 * What a point does is decided by its name, the seed and how often this thread came by it. So it does not depend on
 * what other points or threads do, and a seed repeats it. All of it is the thread's own: a test arms its own thread,
 * and leaves the others alone.
 */
#ifndef DX_BASE_POINT_H
#define DX_BASE_POINT_H

#ifndef DX_POINTS

#define DX_POINT_FAILS(name) 0

#else

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define DX_POINT_TABLE(X)                                                                          \
	/* the edges of base/order.h, in their order */                                           \
	X(TAIL) X(TAKEN) X(RELEASED) X(REQUEST) X(STREAM) X(BELL) X(CHANGES) X(COUNTS) X(PLAN)     \
	X(STATE) X(LIVE) X(DEAD) X(MOVE) X(PARK) X(SEEN) X(PULSE) X(FLIGHT) X(SAMPLE)               \
	/* its fences, in their order */                                                          \
	X(SLEEP) X(WAKE)                                                                           \
	/* a store that one of those orders, such as a sleeper's `wanted` */                      \
	X(STORE)                                                                                   \
	/* calls */                                                                                \
	X(ALLOC)        /* memory of the heap */                                                   \
	X(MMAP)                                                                                    \
	X(MADVISE)                                                                                 \
	X(MEMFD)        /* memfd_create */                                                         \
	X(FTRUNCATE)                                                                               \
	X(FALLOCATE)                                                                               \
	X(SEAL)         /* any fcntl */                                                            \
	X(OPEN)         /* a file or folder, by whatever call */                                   \
	X(MKDIR)                                                                                   \
	X(READ)         /* pread */                                                                \
	X(WRITE)        /* pwrite */                                                               \
	X(EVENTFD)                                                                                 \
	X(EPOLL)                                                                                   \
	X(SOCKET)       /* one, or a pair */                                                       \
	X(PIPE)                                                                                    \
	X(PIDFD)        /* pidfd_open */                                                           \
	X(CHILD)        /* a new process */                                                        \
	X(URING)        /* io_uring_setup */
/* clang-format on */

#define DX_POINT_NAME_(name) DX_POINT_##name,
enum dx_point { DX_POINT_TABLE(DX_POINT_NAME_) DX_POINT_COUNT };
#undef DX_POINT_NAME_

/* "ALLOC"; and back, DX_POINT_COUNT if it is none. */
const char *dx_point_str(enum dx_point point);
enum dx_point dx_point_find(const char *name);

/* --- what a test says; each of it is about the calling thread ---------------------------------------------------- */

/* Forget everything, the counts too. */
void dx_points_reset(void);

/*
 * Linger at edges and fences: one time in @one_in, for a time from nothing to 2 ms; at a quarter of the points, which the
 * seed chooses, one time in two. @seed 0: no more.
 */
void dx_points_linger(uint64_t seed, uint32_t one_in);

/* From the @at-th time at this point on, counted from 1, fail @times calls with @code, a positive errno. */
void dx_point_fail(enum dx_point point, uint64_t at, uint64_t times, int code);

/* At the @at-th time at this point, end the process by SIGKILL. */
void dx_point_kill(enum dx_point point, uint64_t at);

/* How often this thread was there; how many calls were made to fail. */
uint64_t dx_point_hits(enum dx_point point);
uint64_t dx_points_failed(void);

/* --- what the code says ------------------------------------------------------------------------------------------- */

/* An edge or a fence: linger or die, if that was said. Leaves errno alone. */
void dx_point_pass(enum dx_point point);

/* A call: if it is to fail, errno is set. */
bool dx_point_fails(enum dx_point point);

#define DX_POINT_FAILS(name) dx_point_fails(DX_POINT_##name)

#endif /* DX_POINTS */

#endif /* DX_BASE_POINT_H */
