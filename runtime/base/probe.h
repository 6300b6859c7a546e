/* SPDX-License-Identifier: MIT */
/*
 * probe.h - firing a probe of dsmx/trace.h
 *
 *	DX_PROBE(ss_send, session, query, exchange, task, partition, attempt);
 *
 * Each probe has a semaphore that a tracer raises in every process that it traces; the site reads it, and goes
 * on. Only behind it are the arguments computed and the probe's function called, which stands in probe.c with
 * all the others and holds the one instruction that a tracer replaces: see there why not here.
 */
#ifndef DX_BASE_PROBE_H
#define DX_BASE_PROBE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/order.h"
#include "dsmx/trace.h"

#define DX_PROBE_DECLARE_(name, args, meaning)                                                     \
	extern uint16_t dx_probe_##name##_semaphore __attribute__((visibility("hidden")));         \
	void dx_probe_##name(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
DSMX_PROBES(DX_PROBE_DECLARE_)

/*
 * Written by tracers, through the kernel. selftests/trace_cost_test.c is built without any as well, to compare what
 * is executed.
 */
#ifdef DX_NO_PROBES
#define DX_PROBE_ON(name) 0
#else
#define DX_PROBE_ON(name) DX_UNLIKELY(dx_load_plain(&dx_probe_##name##_semaphore) != 0)
#endif

/* Up to six arguments, of any integer type. */
#define DX_PROBE(name, ...) DX_PROBE_SIX_(name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define DX_PROBE_SIX_(name, a, b, c, d, e, f, ...)                                                 \
	do {                                                                                       \
		if (DX_PROBE_ON(name))                                                             \
			dx_probe_##name((uint64_t)(a), (uint64_t)(b), (uint64_t)(c),               \
			                (uint64_t)(d), (uint64_t)(e), (uint64_t)(f));              \
	} while (0)

#endif /* DX_BASE_PROBE_H */
