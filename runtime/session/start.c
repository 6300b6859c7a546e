/* SPDX-License-Identifier: MIT */
/*
 * start.c - a query is dealt to the workers that are there, offered to them, and begun; or begun again
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "session/query.h"

/* That workers have for hearing that earlier queries are closed: some 15 are before this one. */
#define RECORD_NS DX_NS_PER_S

/* Workers that are there and whose segments everybody has mapped; the leader alone where there are none. */
static uint32_t place(const struct dsmx_session *s, uint8_t *ret_placement, uint64_t *ret_epochs)
{
	uint32_t count = 0;

	for (uint32_t p = 1; p <= s->options.workers; p++) {
		if (!dx_mesh_alive(s->mesh, p) || !dx_mesh_mapped_by_all(s->mesh, p) ||
		    dx_session_drains(s, p))
			continue;
		ret_epochs[count] = dx_mesh_epoch(s->mesh, p);
		ret_placement[count++] = (uint8_t)p;
	}
	if (s->options.workers == 0)
		ret_placement[count++] = DSMX_ABI_LEADER;
	return count;
}

static uint64_t deadline_of(const struct dsmx_query_options *options, uint64_t start_ns)
{
	if (options->timeout_ms == 0)
		return DX_NEVER;
	return dx_query_later(start_ns, options->timeout_ms);
}

static int deal(struct dsmx_query *q, struct dsmx_error *err)
{
	const struct dsmx_session *s = q->session;
	bool drains = false;

	q->verdict.epoch = 0;
	q->placements = place(s, q->placement, q->epochs);
	if (q->placements > 0)
		return 0;
	for (uint32_t p = 1; p <= s->options.workers; p++)
		drains |= dx_session_drains(s, p);
	return dx_error(err, -EOWNERDEAD, "no worker of the session %s: open another session",
	                drains ? "takes anything new: an operator has them drained" : "is alive");
}

static int check_start(struct dsmx_query *q, struct dsmx_error *err)
{
	struct dsmx_session *s = q->session;
	int r;

	dx_session_await_workers(s, q->deadline_ns);
	if (s->broken.code != 0) {
		if (err != NULL)
			*err = s->broken;
		return s->broken.code;
	}
	r = deal(q, err);
	return r == 0 ? dx_query_hear_cancels(s) : r;
}

/* Tasks to distribute a plan over: the workers, or, where that was done before, as many as it got then. */
static uint32_t tasks_of(const struct dsmx_plan *plan, uint32_t workers)
{
	uint32_t count = dsmx_plan_exchange_count(plan), tasks = 0;
	struct dsmx_exchange_info info;

	for (uint32_t i = 0; i < count; i++) {
		if (dsmx_plan_exchange(plan, i, &info) != 0 || info.producer_tasks == 0)
			return workers;
		if (info.producer_tasks > tasks)
			tasks = info.producer_tasks;
	}
	return tasks > 0 ? tasks : workers;
}

/*
 * An offer is out, and nobody has been asked for anything yet: has an operator wanted one of its workers drained
 * meanwhile? The supervisor, who has said so before it looks at the records, may let that worker go (worker/steer.c).
 */
static bool is_overtaken(struct dsmx_query *q)
{
	struct dsmx_session *s = q->session;

	if (!s->is_member)
		return false;
	dx_member_hear(&s->member);
	for (uint32_t i = 0; i < q->placements; i++)
		if (s->member.drains[q->placement[i]].epoch == q->epochs[i])
			return true; /* it may be gone already */
	return false;
}

/* Distribute, encode; what runs is decoded from these bytes, here as in the workers. */
static int offer(struct dsmx_query *q, struct dsmx_plan *plan, struct dsmx_error *err)
{
	struct dx_offer how = { .placement = q->placement,
		                .placements = q->placements,
		                .leaves = q->leaves,
		                .overflow_max = q->session->options.overflow_max_bytes };
	uint64_t until_ns = dx_now_ns() + RECORD_NS;
	int r = dsmx_plan_distribute(plan, tasks_of(plan, q->placements), err);

	if (r == 0)
		r = dsmx_plan_encode(plan, &q->bytes, &q->len_bytes, err);
	if (r < 0)
		return r;
	for (;;) {
		r = dx_query_offer(q->session->service, q->bytes, q->len_bytes, &how, &q->inner,
		                   err);
		if (r == 0 && is_overtaken(q)) {
			dx_query_close(q->inner);
			r = deal(q, err);
			how.placements = q->placements;
			if (r == 0)
				continue;
		}
		if (r != -EAGAIN || dx_now_ns() >= until_ns)
			break;
		(void)dx_reactor_turn(q->session->reactor, until_ns);
	}
	if (r == -EAGAIN && err != NULL)
		err->code = -EBUSY;
	return r == -EAGAIN ? -EBUSY : r;
}

int dx_query_again(struct dsmx_query *q)
{
	struct dx_offer how = { .placement = q->placement,
		                .leaves = q->leaves,
		                .overflow_max = q->session->options.overflow_max_bytes,
		                .attempt = (uint32_t)q->stats.retries + 1 };
	struct dx_query *inner;
	bool again;
	int r;

	do {
		if (deal(q, NULL) != 0)
			return -EOWNERDEAD;
		how.placements = q->placements;
		r = dx_query_offer(q->session->service, q->bytes, q->len_bytes, &how, &inner, NULL);
		if (r < 0)
			return r;
		again = is_overtaken(q);
		if (again)
			dx_query_close(inner);
	} while (again);
	dx_query_stop_root(q);
	if (q->schema_plan == NULL)
		q->schema_plan = dx_query_take_plan(q->inner);
	dx_query_close(q->inner);
	q->inner = inner;
	q->stats.retries++;
	dx_query_begin_root(q);
	return 0;
}

static int start(struct dsmx_session *s, struct dsmx_plan *plan,
                 const struct dsmx_query_options *options, uint64_t start_ns,
                 struct dsmx_query **ret_query, struct dsmx_error *err)
{
	struct dsmx_query *q = calloc(1, sizeof(*q));
	int r;

	if (q == NULL)
		return dx_error(err, -ENOMEM, "no memory for a query");
	q->session = s;
	q->start_ns = start_ns;
	q->deadline_ns = deadline_of(options, q->start_ns);
	q->leaves = options->leaves;
	q->retry = options->retry;
	r = check_start(q, err);
	if (r == 0)
		r = offer(q, plan, err);
	if (r < 0) {
		free(q->bytes);
		free(q);
		return r;
	}
	q->stats.plan_ns = dx_now_ns() - q->start_ns;
	dx_list_append(&s->queries, &q->link);
	dx_query_begin_root(q);
	*ret_query = q;
	return 0;
}

int dsmx_query_start(struct dsmx_session *session, struct dsmx_plan *plan,
                     const struct dsmx_query_options *options, struct dsmx_query **ret_query,
                     struct dsmx_error *err)
{
	struct dsmx_query_options o = { 0 };
	uint64_t start_ns = dx_now_ns();
	int r;

	if (session == NULL || plan == NULL || ret_query == NULL ||
	    (options != NULL && options->size < offsetof(struct dsmx_query_options, retry)))
		return dx_error(err, -EINVAL,
		                "a session, a plan and a place for the query are needed");
	if (options != NULL)
		memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
	r = dx_session_enter(session, err);
	if (r < 0)
		return r;
	r = start(session, plan, &o, start_ns, ret_query, err);
	dx_session_leave(session);
	return r;
}

int dsmx_query_start_bytes(struct dsmx_session *session, const void *bytes, size_t len,
                           const struct dsmx_query_options *options, struct dsmx_query **ret_query,
                           struct dsmx_error *err)
{
	struct dsmx_plan *plan;
	int r;

	if (session == NULL || bytes == NULL)
		return dx_error(err, -EINVAL, "a session and bytes are needed");
	r = dsmx_plan_decode(bytes, len, &plan, err);
	if (r < 0)
		return r;
	r = dsmx_query_start(session, plan, options, ret_query, err);
	dsmx_plan_free(plan);
	return r;
}
