/* SPDX-License-Identifier: MIT */
/*
 * query.c - the leader's side of a query: start, next, cancel, close
 *
 *	RUNNING ──▶ ENDED				the root's stream said so
 *	   │ ──▶ FAILED					cancelled, timed out, or a cause is known
 *	   └──▶ FAILING ──▶ FAILED			a stream broke, and why is not known yet
 *
 * The root's fragment is a task of the leader's reactor, which runs only inside the calls below. It reads one
 * batch ahead of the application and parks. FAILING: a dead peer or a cancelled stream is never a cause; the
 * supervisor's verdict or the earliest operator's error takes its place, or after `verdict_timeout_ms` it stands.
 */
#include "session/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"

/* That workers have for hearing that earlier queries are closed: some 15 are before this one. */
#define RECORD_NS DX_NS_PER_S

/* --- the root's task --------------------------------------------------------------------------------------- */

static int start_root(struct dsmx_query *q, struct dsmx_cx *cx)
{
	struct dsmx_operator *op;
	struct dsmx_stream *stream;
	int r = dx_query_root(q->inner, cx, &op, &stream, cx->err);

	if (r < 0)
		return r;
	q->op = op;
	q->stream = stream;
	return 0;
}

static int root_poll(struct dx_task *task, struct dsmx_cx *cx)
{
	struct dsmx_query *q = DX_CONTAINER(task, struct dsmx_query, root);
	int r;

	if (q->has_batch)
		return 0;
	if (q->root_parked)
		dx_query_root_park(q->inner, DSMX_PARK_NONE);
	q->root_parked = false;
	r = q->stream == NULL ? start_root(q, cx) : 0;
	if (r < 0)
		return r;
	r = q->stream->ops->poll_next(q->stream, cx, &q->batch);
	if (r == -EAGAIN) {
		q->root_parked = !cx->yielded;
		if (q->root_parked)
			dx_query_root_park(q->inner, DSMX_PARK_INPUT);
		return 0;
	}
	if (r == 1) {
		q->has_batch = true;
		return 0;
	}
	return r == 0 ? 1 : r;
}

void dx_query_stop_root(struct dsmx_query *q)
{
	if (q->root_runs)
		dx_task_stop(&q->root);
	q->root_runs = q->root_parked = q->has_batch = false;
	if (q->stream != NULL)
		q->stream->ops->close(q->stream);
	q->stream = NULL;
	if (q->op != NULL)
		q->op->ops->free(q->op);
	q->op = NULL;
	dx_mesh_flush(q->session->mesh);
}

static void root_end(struct dx_task *task, int result, const struct dsmx_error *err)
{
	struct dsmx_query *q = DX_CONTAINER(task, struct dsmx_query, root);

	q->root_runs = false;
	if (result > 0) {
		q->state = DX_QUERY_ENDED;
		dx_query_stop_root(q);
		return;
	}
	q->error = *err;
	if (q->error.code != result)
		(void)dx_error(&q->error, result, "%s", dx_strerror(result));
	dx_query_failing(q);
}

static void begin_root(struct dsmx_query *q)
{
	q->state = DX_QUERY_RUNNING;
	q->root = (struct dx_task){ .name = "root", .poll = root_poll, .end = root_end };
	q->root_runs = true;
	dx_task_start(q->session->reactor, &q->root);
}

/* --- waking from outside ----------------------------------------------------------------------------------------- */

static bool cancel_look(struct dx_source *source)
{
	struct dsmx_session *s = DX_CONTAINER(source, struct dsmx_session, cancel_source);
	uint32_t count = dx_load_plain(&s->cancel_count);
	bool news = count != s->cancel.seen;

	s->cancel.seen = count;
	s->cancel.fired = false;
	return news;
}

static int make_cancel(struct dsmx_session *s)
{
	int r;

	if (s->cancel.word != NULL)
		return 0;
	s->cancel.word = &s->cancel_count;
	r = dx_wait_add_word(dx_reactor_wait(s->reactor), &s->cancel);
	if (r < 0) {
		s->cancel.word = NULL;
		return r;
	}
	s->cancel_source.look = cancel_look;
	dx_reactor_add_source(s->reactor, &s->cancel_source);
	return 0;
}

/* Everything that queries left in the session. */
static void close_queries(struct dsmx_session *s)
{
	dx_list_each(link, &s->queries)
		dsmx_query_close(DX_CONTAINER(link, struct dsmx_query, link));
	if (s->cancel.word == NULL)
		return;
	dx_reactor_remove_source(s->reactor, &s->cancel_source);
	dx_wait_remove_word(dx_reactor_wait(s->reactor), &s->cancel);
	s->cancel.word = NULL;
}

void dsmx_query_cancel(struct dsmx_query *query)
{
	static const uint64_t one = 1;
	int saved = errno;

	dx_store_plain(&query->cancelled, 1);
	dx_bump_own(&query->session->cancel_count);
	dx_wake(&query->session->cancel_count);
	if (query->session->eventfd >= 0) /* somebody may poll it */
		(void)!write(query->session->eventfd, &one, sizeof(one));
	errno = saved;
}

/* --- start ---------------------------------------------------------------------------------------------------------- */

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

/* DX_NEVER where that is later than the clock can say. */
static uint64_t later(uint64_t now_ns, uint64_t ms)
{
	return ms > (DX_NEVER - now_ns) / DX_NS_PER_MS ? DX_NEVER : now_ns + ms * DX_NS_PER_MS;
}

static uint64_t deadline_of(const struct dsmx_query_options *options, uint64_t start_ns)
{
	if (options->timeout_ms == 0)
		return DX_NEVER;
	return later(start_ns, options->timeout_ms);
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
	return r == 0 ? make_cancel(s) : r;
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

/* The same bytes under a new id, on the workers that are alive now; nothing was given out yet. */
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
	begin_root(q);
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
	s->close_queries = close_queries;
	begin_root(q);
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

/* --- next ------------------------------------------------------------------------------------------------------------ */

static void first_row(struct dsmx_query *q)
{
	if (q->stats.rows == 0)
		q->stats.first_row_ns = dx_now_ns() - q->start_ns;
	q->stats.rows += q->batch.selected;
}

/* 1: a batch is there; 0: the end; else as dsmx_query_next(). */
static int turn_until_batch(struct dsmx_query *q, uint64_t until_ns, struct dsmx_error *err)
{
	struct dx_reactor *reactor = q->session->reactor;

	if (q->given) {
		q->given = q->has_batch = false;
		if (q->root_runs)
			dx_task_wake(&q->root);
	}
	for (;;) {
		uint64_t deadline = q->deadline_ns < until_ns ? q->deadline_ns : until_ns;
		int r;

		dx_query_judge(q);
		if (q->state == DX_QUERY_FAILED) {
			if (err != NULL)
				*err = q->error;
			return q->error.code;
		}
		if (q->has_batch && q->batch.selected > 0)
			return 1;
		if (q->has_batch) { /* an empty one */
			q->has_batch = false;
			dx_task_wake(&q->root);
		}
		if (q->state == DX_QUERY_ENDED) {
			if (q->stats.run_ns == 0)
				q->stats.run_ns = dx_now_ns() - q->start_ns;
			return 0;
		}
		/* Not only when there is nothing to do: the leader's own tasks may have work for hours. */
		if (until_ns != 0 && until_ns != DX_NEVER && dx_now_ns() >= until_ns)
			return -ETIMEDOUT;
		if (q->state == DX_QUERY_FAILING && q->cause_deadline_ns < deadline)
			deadline = q->cause_deadline_ns;
		r = dx_reactor_turn(reactor, deadline);
		if (r == 0 && until_ns == 0)
			return -EAGAIN;
	}
}

/* While the application is elsewhere, the root waits for it, and is in no deadlock. */
static int wait_for_batch(struct dsmx_query *q, uint64_t until_ns, struct dsmx_error *err)
{
	int r;

	if (q->root_parked)
		dx_query_root_park(q->inner, DSMX_PARK_INPUT);
	r = turn_until_batch(q, until_ns, err);
	/* Sent away without rows, it waits for the producers: they must see that, nobody else will look. */
	if ((r != -EAGAIN && r != -ETIMEDOUT) || q->state != DX_QUERY_RUNNING || !q->root_parked)
		dx_query_root_park(q->inner, DSMX_PARK_OTHER);
	return r;
}

static uint64_t until(int64_t timeout_ms)
{
	if (timeout_ms < 0)
		return DX_NEVER;
	return timeout_ms == 0 ? 0 : later(dx_now_ns(), (uint64_t)timeout_ms);
}

int dsmx_query_next_batch(struct dsmx_query *query, int64_t timeout_ms,
                          struct dsmx_batch *ret_batch, struct dsmx_error *err)
{
	int r = dx_session_enter(query->session, err);

	if (r < 0)
		return r;
	dx_session_unpoll(query->session);
	r = wait_for_batch(query, until(timeout_ms), err);
	if (r == 1) {
		query->given = true;
		first_row(query);
		*ret_batch = query->batch;
	}
	dx_session_leave(query->session);
	return r;
}

int dsmx_query_next(struct dsmx_query *query, int64_t timeout_ms, struct ArrowArray *ret_array,
                    struct dsmx_error *err)
{
	int r = dx_session_enter(query->session, err);

	if (r < 0)
		return r;
	dx_session_unpoll(query->session);
	r = wait_for_batch(query, until(timeout_ms), err);
	if (r == 1) {
		r = dx_lease_export(&query->session->leases, dsmx_query_schema(query),
		                    &query->batch, ret_array);
		if (r == 0) {
			query->given = true;
			first_row(query);
		} else {
			(void)dx_error(err, r, "cannot hand %u rows out: %s", query->batch.selected,
			               dx_strerror(r));
		}
		r = r == 0 ? 1 : r;
	}
	dx_session_leave(query->session);
	return r;
}

/* --- the end ---------------------------------------------------------------------------------------------------------- */

static void release_leaves(struct dsmx_query *q)
{
	for (const struct dsmx_leaf *leaf = q->leaves; leaf != NULL && leaf->name != NULL; leaf++)
		if (leaf->stream->release != NULL)
			leaf->stream->release(leaf->stream);
}

void dsmx_query_close(struct dsmx_query *query)
{
	if (query == NULL)
		return;
	dx_query_stop_root(query);
	dx_query_close(query->inner);
	dx_suspects_soon(query->session);
	release_leaves(query);
	dx_list_unlink(&query->link);
	dsmx_plan_free(query->schema_plan);
	free(query->bytes);
	free(query);
}

const struct dsmx_schema *dsmx_query_schema(const struct dsmx_query *query)
{
	return dsmx_plan_schema(query->schema_plan != NULL ? query->schema_plan
	                                                   : dx_query_plan(query->inner));
}

void dsmx_query_stats(const struct dsmx_query *query, struct dsmx_query_stats *ret_stats)
{
	*ret_stats = query->stats;
	dx_query_sum(query->inner, ret_stats);
}

int dsmx_query_explain(const struct dsmx_query *query, bool analyze, char **ret_text)
{
	int r = dx_query_text(query->inner, analyze, ret_text);

	return r == 0 && analyze ? dx_session_explain(query->session, ret_text) : r;
}
