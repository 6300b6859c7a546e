/* SPDX-License-Identifier: MIT */
/*
 * What operators want of a worker: drain, restart, kill, freeze, thaw, reset-failed.
 *
 * Draining must not fail a query, and the leader may be anywhere: in the application, for hours. So it is not
 * asked, it is told; and what it has dealt is read from the query records in its page:
 *
 *	supervisor	DRAIN to the leader's socket; then look at the records, again and again: does an open one
 *			deal to this incarnation? If none does, the worker may go
 *	leader		deal, publish the record; then empty the socket: was one of these told to drain? Then take
 *			the record back, before anything was asked of anybody, and deal again
 *
 * Both pass the lock of the socket's queue between their two steps, so one of the two sees the other: a leader that
 * did not find DRAIN had published before it was sent, and the supervisor, who looks after that, finds the record.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "chan/layout.h"
#include "worker/supervisor.h"

#define LOOK_MS 10U

static const char *const verbs[DSMX_CONTROL_COUNT] = {
	[DSMX_CONTROL_DRAIN] = "drain", [DSMX_CONTROL_RESTART] = "restart",
	[DSMX_CONTROL_KILL] = "kill",   [DSMX_CONTROL_FREEZE] = "freeze",
	[DSMX_CONTROL_THAW] = "thaw",   [DSMX_CONTROL_RESET_FAILED] = "reset-failed",
};

const char *dsmx_control_verb_str(int verb)
{
	return verb >= 0 && verb < DSMX_CONTROL_COUNT ? verbs[verb] : NULL;
}

static const char *const states[DX_WORKER_STATE_COUNT] = {
	[DX_WORKER_NONE] = "NONE",         [DX_WORKER_SPAWNING] = "SPAWNING",
	[DX_WORKER_STARTING] = "STARTING", [DX_WORKER_READY] = "READY",
	[DX_WORKER_DRAINING] = "DRAINING", [DX_WORKER_STOPPING] = "STOPPING",
	[DX_WORKER_EXITED] = "EXITED",     [DX_WORKER_BACKOFF] = "BACKOFF",
	[DX_WORKER_FAILED] = "FAILED",
};

const char *dx_worker_state_str(enum dx_worker_state state)
{
	return (unsigned)state < DX_WORKER_STATE_COUNT ? states[state] : "?";
}

static uint64_t now_ns(const struct dx_worker *worker)
{
	return dx_wait_now(dx_reactor_wait(worker->supervisor->reactor));
}

/* --- what a worker was dealt ------------------------------------------------------------------------------- */

/* Is the record an open one that deals to @peer's incarnation @epoch? The word is read before the fields. */
static bool deals_to(const struct dsmx_query_abi *record, uint32_t peer, uint64_t epoch)
{
	uint64_t word = dx_load_acquire(DX_EDGE_PLAN, &record->word);
	uint32_t placements = dx_load_plain(&record->placements);

	if (DSMX_WORD_STATE(word) != DSMX_QUERY_OPEN || dx_load_plain(&record->epoch_max) < epoch)
		return false;
	if (placements > sizeof(record->placement))
		placements = sizeof(record->placement);
	for (uint32_t i = 0; i < placements; i++)
		if (dx_load_plain(&record->placement[i]) == peer)
			return true;
	return false;
}

uint32_t dx_queries_dealt(const void *page, const struct dx_layout *layout, uint32_t peer,
                          uint64_t epoch)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < DSMX_ABI_QUERIES; i++) {
		const struct dsmx_query_abi *record =
			DX_LAYOUT_PEER(struct dsmx_query_abi, page, layout->queries, i);

		if (peer == DSMX_ABI_LEADER)
			count += DSMX_WORD_STATE(dx_load_acquire(DX_EDGE_PLAN, &record->word)) ==
			         DSMX_QUERY_OPEN;
		else
			count += deals_to(record, peer, epoch);
	}
	return count;
}

static bool map_leader(struct dx_supervisor *supervisor)
{
	struct dx_mesh_params params = dx_start_mesh(&supervisor->start);
	size_t bytes = dx_segment_round(dx_mesh_page_bytes(&params), DSMX_PAGES_SMALL);

	return supervisor->page.base != NULL ||
	       dx_segment_attach(supervisor->offer.page_fd, bytes, &supervisor->page, NULL) == 0;
}

bool dx_retired_is_done(struct dx_worker *worker, uint64_t *ret_next_ms)
{
	struct dx_supervisor *supervisor = worker->supervisor;
	const struct dx_start *start = &supervisor->start;
	struct dx_layout layout =
		dx_layout(start->workers + 1, start->slots, start->frames, start->tasks);

	/* A page that cannot be mapped here could not be mapped by any worker either. */
	if (!map_leader(supervisor) ||
	    dx_queries_dealt(supervisor->page.base, &layout, worker->peer, worker->epoch) == 0)
		return true;
	*ret_next_ms = now_ns(worker) < worker->retire_until_ns ? LOOK_MS : 0;
	return false;
}

/* --- verbs ---------------------------------------------------------------------------------------------------- */

static int retire(struct dx_worker *worker, enum dx_after after, uint64_t timeout_ms,
                  struct dsmx_error *err)
{
	struct dx_supervisor *supervisor = worker->supervisor;
	struct dx_message *out = &supervisor->out;
	int r;

	if (worker->frozen)
		return dx_error(err, -EBUSY, "worker %u is frozen: thaw it first, or kill it",
		                worker->peer - 1);
	dx_message_start(out);
	dx_message_put(out, "DRAIN", "%u", worker->peer);
	dx_message_put(out, "EPOCH", "%llu", (unsigned long long)worker->epoch);
	dx_message_put(out, "AGAIN", "%d", after == DX_AFTER_AGAIN);
	r = dx_message_send(supervisor->control.fd, out);
	if (r != 0)
		return dx_error(err, -EBUSY, "the leader cannot be told: %s", dx_strerror(r));
	worker->after = after;
	worker->retire_until_ns =
		timeout_ms == 0 ? DX_NEVER : now_ns(worker) + timeout_ms * DX_NS_PER_MS;
	if (worker->state == DX_WORKER_READY)
		dx_worker_retire(worker, 0);
	return 0;
}

static int refuse(const struct dx_worker *worker, enum dsmx_control_verb verb,
                  struct dsmx_error *err)
{
	return dx_error(err, -EBUSY, "worker %u is %s: %s cannot be done now", worker->peer - 1,
	                dx_worker_state_str(worker->state), verbs[verb]);
}

static bool has_process(const struct dx_worker *worker)
{
	return dx_worker_is_there(worker) && worker->state != DX_WORKER_EXITED;
}

static int drain(struct dx_worker *worker, enum dsmx_control_verb verb, uint64_t timeout_ms,
                 struct dsmx_error *err)
{
	bool again = verb == DSMX_CONTROL_RESTART;

	switch (worker->state) {
	case DX_WORKER_READY:
	case DX_WORKER_DRAINING:
		return retire(worker, again ? DX_AFTER_AGAIN : DX_AFTER_STAY, timeout_ms, err);
	case DX_WORKER_STOPPING:
		if (worker->after == DX_AFTER_POLICY)
			return refuse(worker, verb, err);
		worker->after = again ? DX_AFTER_AGAIN : DX_AFTER_STAY;
		return 0;
	case DX_WORKER_EXITED:
	case DX_WORKER_BACKOFF:
	case DX_WORKER_FAILED:
		if (!again)
			return worker->state == DX_WORKER_EXITED ? 0 : refuse(worker, verb, err);
		dx_worker_start_again(worker);
		return 0;
	default:
		return refuse(worker, verb, err);
	}
}

static int freeze(struct dx_worker *worker, enum dsmx_control_verb verb, struct dsmx_error *err)
{
	if (worker->state != DX_WORKER_READY && worker->state != DX_WORKER_DRAINING)
		return refuse(worker, verb, err);
	dx_worker_freeze(worker, verb == DSMX_CONTROL_FREEZE);
	return 0;
}

static int kill_it(struct dx_worker *worker, const char *who, struct dsmx_error *err)
{
	char text[96];

	if (!has_process(worker))
		return refuse(worker, DSMX_CONTROL_KILL, err);
	(void)snprintf(text, sizeof(text), "an operator (%s) wanted it", who);
	dx_worker_kill(worker, text);
	return 0;
}

static int reset_failed(struct dx_worker *worker, struct dsmx_error *err)
{
	if (worker->state != DX_WORKER_FAILED && worker->state != DX_WORKER_BACKOFF)
		return refuse(worker, DSMX_CONTROL_RESET_FAILED, err);
	worker->history.tries = 0;
	worker->history.count = 0;
	dx_worker_start_again(worker);
	return 0;
}

int dx_steer(struct dx_worker *worker, enum dsmx_control_verb verb, uint64_t timeout_ms,
             const char *who, struct dsmx_error *err)
{
	if (worker->supervisor->ending || !worker->supervisor->open)
		return dx_error(err, -EBUSY, "the session is %s",
		                worker->supervisor->ending ? "ending" : "not open yet");
	switch (verb) {
	case DSMX_CONTROL_DRAIN:
	case DSMX_CONTROL_RESTART:
		return drain(worker, verb, timeout_ms, err);
	case DSMX_CONTROL_KILL:
		return kill_it(worker, who, err);
	case DSMX_CONTROL_FREEZE:
	case DSMX_CONTROL_THAW:
		return freeze(worker, verb, err);
	case DSMX_CONTROL_RESET_FAILED:
		return reset_failed(worker, err);
	default:
		return dx_error(err, -EINVAL, "there is no such verb");
	}
}

/* --- what came of it -------------------------------------------------------------------------------------------- */

/* It has mapped all others. That they have mapped it may take until an idle application calls the library. */
static bool has_started(const struct dx_worker *worker)
{
	return worker->state == DX_WORKER_READY ||
	       (worker->state == DX_WORKER_STARTING && worker->offer.round > 0 &&
	        worker->offer.mapped >= worker->offer.round);
}

/* Waited for: another incarnation. */
static int await_next(const struct dx_worker *worker, uint64_t epoch, struct dsmx_error *err)
{
	if (worker->epoch > epoch && has_started(worker))
		return 0;
	if (worker->state == DX_WORKER_FAILED)
		return dx_error(err, -EOWNERDEAD, "it could not be started again: %s",
		                worker->verdict.text);
	if (worker->state == DX_WORKER_EXITED && worker->after == DX_AFTER_STAY)
		return dx_error(err, -ECANCELED, "somebody else had it drained");
	return -EINPROGRESS;
}

int dx_steer_result(const struct dx_worker *worker, enum dsmx_control_verb verb, uint64_t epoch,
                    struct dsmx_error *err)
{
	switch (verb) {
	case DSMX_CONTROL_DRAIN:
		if (worker->epoch == epoch && has_process(worker))
			return -EINPROGRESS;
		if (worker->after != DX_AFTER_STAY)
			return dx_error(err, -ECANCELED, "somebody else had it started again");
		return dx_worker_is_there(worker) ? -EINPROGRESS : 0;
	case DSMX_CONTROL_RESTART:
	case DSMX_CONTROL_RESET_FAILED:
		return await_next(worker, epoch, err);
	case DSMX_CONTROL_KILL:
		return worker->verdict.epoch >= epoch ? 0 : -EINPROGRESS;
	default:
		return 0;
	}
}
