/* SPDX-License-Identifier: MIT */
/*
 * query.c - the leader's side of a query that was started (start.c): next, cancel, close
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

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"

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

void dx_query_begin_root(struct dsmx_query *q)
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

int dx_query_hear_cancels(struct dsmx_session *s)
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
	s->close_queries = close_queries;
	return 0;
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

uint64_t dx_query_later(uint64_t now_ns, uint64_t ms)
{
	return ms > (DX_NEVER - now_ns) / DX_NS_PER_MS ? DX_NEVER : now_ns + ms * DX_NS_PER_MS;
}

static uint64_t until(int64_t timeout_ms)
{
	if (timeout_ms < 0)
		return DX_NEVER;
	return timeout_ms == 0 ? 0 : dx_query_later(dx_now_ns(), (uint64_t)timeout_ms);
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
