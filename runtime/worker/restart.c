/* SPDX-License-Identifier: MIT */
#include "worker/restart.h"

#include <stdbool.h>

#include "base/clock.h"
#include "dsmx/error.h"

static bool may_restart(const struct dx_restart *restart, int reason)
{
	switch (reason) {
	case DSMX_EXIT_EXEC_FAILED:
	case DSMX_EXIT_PROTOCOL:
	case DSMX_EXIT_LEADER_GONE:
	case DSMX_EXIT_STOP_TIMEOUT:
		return false;
	case DSMX_EXIT_CLEAN:
		return restart->policy == DSMX_RESTART_ALWAYS;
	default:
		return restart->policy != DSMX_RESTART_NEVER;
	}
}

/* xorshift64: nobody gains anything by guessing it. */
static uint64_t draw(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static int64_t delay_of(const struct dx_restart *restart, struct dx_restart_history *history)
{
	uint64_t ms = restart->delay_ms;

	if (history->tries == 0)
		return 0;
	for (uint32_t i = 1; i < history->tries && ms < restart->max_delay_ms; i++)
		ms *= 2;
	if (ms > restart->max_delay_ms)
		ms = restart->max_delay_ms;
	return (int64_t)(ms - draw(&history->random) % (ms / 4 + 1));
}

int64_t dx_restart_after(const struct dx_restart *restart, struct dx_restart_history *history,
                         int reason, uint64_t ready_ns, uint64_t now_ns)
{
	int64_t ms;

	if (!may_restart(restart, reason))
		return -1;
	if (ready_ns >= restart->reset_ms * DX_NS_PER_MS)
		history->tries = 0;
	if (history->count == 0 ||
	    now_ns - history->begin_ns >= restart->interval_ms * DX_NS_PER_MS) {
		history->count = 0;
		history->begin_ns = now_ns;
	}
	if (++history->count > restart->burst)
		return -1;
	ms = delay_of(restart, history);
	history->tries++;
	return ms;
}
