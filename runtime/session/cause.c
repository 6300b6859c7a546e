/* SPDX-License-Identifier: MIT */
/*
 * cause.c - why a query failed, and whether it may run again
 *
 * A stream that broke says that its producer is dead, or was cancelled: symptoms. Within `verdict_timeout_ms` (100)
 * the cause is known: the earliest error of an operator, or the supervisor's verdict on a worker. The verdict follows
 * the kernel's notice, and that the tearing down of the worker's memory, some 80 ms for each GiB, where its streams broke
 * at once: so for a process that is dead and not yet gone that time begins when it is. If the cause is a death, the
 * caller allowed it and has received no row, the whole query runs again under a new id; rows of the old one
 * cannot be mistaken for rows of the new. It waits a little for the worker's successor, as a query that starts
 * does, and runs on those that there are.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/order.h"
#include "session/query.h"

#define GONE_NS     (10 * DX_NS_PER_S)
#define RETRIES_MAX 3

/* That the supervisor has for its verdict. */
static uint64_t verdict_ns(const struct dsmx_query *q)
{
	return q->session->options.verdict_timeout_ms * DX_NS_PER_MS;
}

/* Does the kernel still tear down a process that this query was dealt to, or is it about to be found out? */
static bool is_going(const struct dsmx_query *q)
{
	const struct dsmx_session *s = q->session;

	for (uint32_t i = 0; i < q->placements && s->is_member; i++) {
		uint32_t peer = q->placement[i];
		int pidfd = s->member.pidfds[peer];

		if (dx_mesh_epoch(s->mesh, peer) == q->epochs[i] && pidfd >= 0 &&
		    (!dx_mesh_alive(s->mesh, peer) || dx_suspects_are(s, peer)) &&
		    dx_pidfd_wait(pidfd, 0) != 0)
			return true;
	}
	return false;
}

void dx_query_failing(struct dsmx_query *q)
{
	q->state = DX_QUERY_FAILING;
	q->failed_ns = dx_now_ns();
	q->cause_deadline_ns = q->failed_ns + verdict_ns(q);
	q->gone = !is_going(q);
	q->stats.failed_ns = q->failed_ns - q->start_ns;
}

static void fail(struct dsmx_query *q)
{
	q->state = DX_QUERY_FAILED;
	dx_query_stop_root(q);
	q->stats.run_ns = dx_now_ns() - q->start_ns;
}

static bool is_symptom(int code)
{
	return code == -EOWNERDEAD || code == -ECANCELED || code == -EPIPE;
}

/*
 * Kept by each query that the process was dealt: a successor may die, too, before anybody asks. A death before the
 * failure may have been mended by another attempt, so a later one counts; the first one after it is the cause.
 */
void dx_queries_hear_death(struct dsmx_session *session, const struct dx_verdict *verdict)
{
	dx_list_each(link, &session->queries)
	{
		struct dsmx_query *q = DX_CONTAINER(link, struct dsmx_query, link);

		if (q->state != DX_QUERY_RUNNING && q->verdict.epoch != 0)
			continue;
		for (uint32_t i = 0; i < q->placements; i++)
			if (q->placement[i] == verdict->peer && q->epochs[i] == verdict->epoch)
				q->verdict = *verdict;
	}
}

/* The supervisor's word on a process that this query was dealt to; also from before the query had a place. */
static bool find_verdict(struct dsmx_query *q)
{
	const struct dx_verdict *v = q->verdict.epoch != 0 ? &q->verdict : NULL;
	int exchange = q->error.exchange;

	for (uint32_t i = 0; v == NULL && i < q->placements; i++)
		v = dx_session_verdict(q->session, q->placement[i], q->epochs[i]);
	if (v == NULL)
		return false;
	(void)dx_session_verdict_error(v, &q->error);
	q->error.exchange = exchange;
	return true;
}

/* @now_ns is past the deadline: is there reason to wait on? The end of who was going begins a last time-out. */
static bool wait_on(struct dsmx_query *q, uint64_t now_ns)
{
	bool going = is_going(q);

	if (now_ns - q->failed_ns >= GONE_NS + verdict_ns(q) || (q->gone && !going))
		return false;
	q->gone = !going;
	q->cause_deadline_ns = now_ns + verdict_ns(q);
	return true;
}

/* A worker's death is the cause, the caller allowed it, and has seen nothing: the same again. */
static bool may_run_again(const struct dsmx_query *q)
{
	return q->retry && q->error.reason != DSMX_EXIT_NONE && q->stats.rows == 0 &&
	       !q->has_batch && q->leaves == NULL && q->session->broken.code == 0 &&
	       q->stats.retries < RETRIES_MAX;
}

static void look_for_cause(struct dsmx_query *q)
{
	struct dsmx_error cause;
	uint64_t now_ns;

	if (q->state != DX_QUERY_FAILING)
		return;
	if (is_symptom(q->error.code)) {
		if (dx_query_cause(q->inner, &cause))
			q->error = cause;
		else if (q->session->broken.code != 0)
			q->error = q->session->broken;
		else if (!find_verdict(q) &&
		         ((now_ns = dx_now_ns()) < q->cause_deadline_ns || wait_on(q, now_ns)))
			return;
	}
	if (may_run_again(q)) {
		uint64_t due_ns = dx_session_workers_due_ns(q->session, q->failed_ns);

		if (dx_now_ns() < due_ns) {
			q->cause_deadline_ns =
				due_ns; /* until then it is FAILING: judged by each turn */
			return;
		}
		if (dx_query_again(q) == 0)
			return;
	}
	fail(q);
}

/* What ends a query from outside. */
static void look_outside(struct dsmx_query *q)
{
	if (q->state != DX_QUERY_RUNNING && q->state != DX_QUERY_FAILING)
		return;
	if (dx_load_plain(&q->cancelled) != 0) {
		(void)dx_error(&q->error, -ECANCELED, "the query was cancelled");
		fail(q);
	} else if (dx_now_ns() >= q->deadline_ns) {
		(void)dx_error(&q->error, -ETIMEDOUT, "the query did not end within its %llu ms",
		               (unsigned long long)((q->deadline_ns - q->start_ns) / DX_NS_PER_MS));
		fail(q);
	} else if (q->session->broken.code != 0) {
		q->error = q->session->broken;
		fail(q);
	}
}

void dx_query_judge(struct dsmx_query *q)
{
	look_outside(q);
	look_for_cause(q);
}
