/* SPDX-License-Identifier: MIT */
/* clock.h - one clock for everything: CLOCK_MONOTONIC in nanoseconds, the same in all processes */
#ifndef DX_BASE_CLOCK_H
#define DX_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define DX_NS_PER_US 1000ULL
#define DX_NS_PER_MS 1000000ULL
#define DX_NS_PER_S  1000000000ULL

/* A deadline that never comes. */
#define DX_NEVER UINT64_MAX

static inline uint64_t dx_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * DX_NS_PER_S + (uint64_t)t.tv_nsec;
}

#endif /* DX_BASE_CLOCK_H */
