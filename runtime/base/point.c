/* SPDX-License-Identifier: MIT */
#include "base/point.h"

#ifdef DX_POINTS

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "base/order.h"

_Static_assert((int)DX_POINT_SAMPLE == (int)DX_EDGE_SAMPLE,
               "the table has the edges in their order");
_Static_assert((int)DX_POINT_WAKE - (int)DX_POINT_SLEEP == (int)DX_FENCE_WAKE, "and the fences");

struct plan {
	uint64_t hits;
	uint64_t fail_at, fail_times; /* 0: never */
	int code;
	uint64_t kill_at; /* 0: never */
	uint32_t one_in;  /* 0: never lingers */
};

/* The only thing in the library that can change and hangs off no context: so it is the thread's, and not in releases. */
static __thread struct {
	struct plan plans[DX_POINT_COUNT];
	uint64_t seed;
	uint64_t failed;
} points;

#define NAME(name) #name,
static const char *const names[] = { DX_POINT_TABLE(NAME) };
#undef NAME

const char *dx_point_str(enum dx_point point)
{
	return point < DX_POINT_COUNT ? names[point] : "?";
}

enum dx_point dx_point_find(const char *name)
{
	unsigned int point = 0;

	while (point < DX_POINT_COUNT && strcmp(names[point], name) != 0)
		point++;
	return (enum dx_point)point;
}

/* --- what a test says --------------------------------------------------------------------------------------------- */

void dx_points_reset(void)
{
	memset(&points, 0, sizeof(points));
}

void dx_points_linger(uint64_t seed, uint32_t one_in)
{
	points.seed = seed;
	for (unsigned int p = 0; p <= DX_POINT_STORE; p++)
		points.plans[p].one_in = seed == 0 ? 0 : dx_hash_u64(p, seed) % 4 == 0 ? 2 : one_in;
}

void dx_point_fail(enum dx_point point, uint64_t at, uint64_t times, int code)
{
	struct plan *plan = &points.plans[point];

	plan->fail_at = at;
	plan->fail_times = times;
	plan->code = code;
}

void dx_point_kill(enum dx_point point, uint64_t at)
{
	points.plans[point].kill_at = at;
}

uint64_t dx_point_hits(enum dx_point point)
{
	return points.plans[point].hits;
}

uint64_t dx_points_failed(void)
{
	return points.failed;
}

/* --- what the code says ------------------------------------------------------------------------------------------- */

static void sleep_ns(long ns)
{
	struct timespec time = { .tv_nsec = ns };

	(void)nanosleep(&time, NULL);
}

/* Shorter than the other side's next step, as long as that, until somebody else had the processor, and longer. */
static void linger(uint64_t chance)
{
	uint64_t what = chance % 64, much = chance >> 32, end_ns;

	if (what < 40) {
		end_ns = dx_now_ns() + much % 3000;
		while (dx_now_ns() < end_ns)
			dx_spin_pause();
	} else if (what < 56) {
		(void)sched_yield();
	} else {
		sleep_ns((long)(what < 63 ? much % 60000 : much % 2000000));
	}
}

static struct plan *arrive(enum dx_point point)
{
	struct plan *plan = &points.plans[point];

	if (++plan->hits == plan->kill_at)
		(void)kill(getpid(), SIGKILL);
	return plan;
}

void dx_point_pass(enum dx_point point)
{
	const struct plan *plan = arrive(point);
	int kept = errno;
	uint64_t chance;

	if (DX_LIKELY(plan->one_in == 0))
		return;
	chance = dx_hash_combine(dx_hash_u64(plan->hits, points.seed), point);
	if ((chance >> 8) % plan->one_in == 0)
		linger(dx_hash_u64(chance, points.seed));
	errno = kept;
}

bool dx_point_fails(enum dx_point point)
{
	const struct plan *plan = arrive(point);

	if (DX_LIKELY(plan->fail_at == 0 || plan->hits < plan->fail_at ||
	              plan->hits - plan->fail_at >= plan->fail_times))
		return false;
	points.failed++;
	errno = plan->code;
	return true;
}

#endif /* DX_POINTS */
