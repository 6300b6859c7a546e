/* SPDX-License-Identifier: MIT */
/*
 * restart.h - whether and when a worker that ended is started again
 *
 * The first restart is made at once; each further one waits twice as long as the one before it, beginning with
 * `delay_ms`, up to `max_delay_ms`, less a random part of up to a quarter, so that workers which died together
 * do not come back together. A worker that was READY for `reset_ms` begins anew. One that is to be restarted
 * more than `burst` times within `interval_ms` is given up: FAILED.
 *
 * What would only happen again is never restarted: a program that cannot be executed, a broken protocol.
 */
#ifndef DX_WORKER_RESTART_H
#define DX_WORKER_RESTART_H

#include <stdint.h>

#include "dsmx/session.h"

struct dx_restart {
	enum dsmx_restart policy;
	uint32_t delay_ms;
	uint32_t max_delay_ms;
	uint32_t reset_ms;
	uint32_t burst;
	uint32_t interval_ms;
};

/* Of one worker, over its incarnations. */
struct dx_restart_history {
	uint32_t tries; /* restarts since it was last READY for long */
	uint32_t count; /* restarts in the interval that began at begin_ns */
	uint64_t begin_ns;
	uint64_t random; /* any number but 0 */
};

/*
 * It ended at @now_ns for @reason, after it had been READY for @ready_ns.
 *
 * Returns milliseconds until it is to be started again, -1: never.
 */
int64_t dx_restart_after(const struct dx_restart *restart, struct dx_restart_history *history,
                         int reason, uint64_t ready_ns, uint64_t now_ns);

#endif /* DX_WORKER_RESTART_H */
