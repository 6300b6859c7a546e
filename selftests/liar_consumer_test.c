/* SPDX-License-Identifier: MIT */
/*
 * liar_consumer_test.c - a worker that lies, or is as slow as a lie, as a consumer: beside it, its sibling produces
 *
 *	series on worker 0 -- shuffle -- shuffle -- consumer on both -- gather
 *
 * This program is its own supervisor and worker. Only the "consumer" of worker 0 is one, and only in the incarnation
 * that the plan names: who comes in its place is honest. What producers do is in liar_test.c.
 */
#include <pthread.h>

#include "base/order.h"
#include "liars.h"
#include "segments.h"
#include "series.h"

enum { LIAR_PEER = 1, SIBLING_PEER = 2 };

enum lie {
	LIE_STALLS, /* it reads no more, and gives nothing back, as long as the query runs */
	LIE_KEEPS,  /* it never gives back what it was lent */
	LIE_EPOCHS, /* what it asks for it asks of an incarnation that is not there */
};

static const char *const lie_names[] = { "stalls", "keeps", "epochs" };

struct liar_bytes {
	int64_t lie;
	uint64_t epoch;
};

/* --- the worker --------------------------------------------------------------------------------------------------- */

/* As a thread, from the first query on. */
HOSTILE static void *ask_the_dead(void *arg)
{
	struct segments *s = arg;

	for (;;)
		for (uint32_t i = 0; i < s->layout.slots; i++)
			dx_store_plain(&DX_LAYOUT_AT(struct dsmx_request_abi, s->page,
			                             s->layout.requests,
			                             dx_layout_slot(&s->layout, SIBLING_PEER, i))
			                        ->epoch,
			               (uint64_t)DX_LEADER_EPOCH);
	return NULL;
}

struct consumer {
	struct liar_bytes is;
	bool lies;
	uint32_t batches;
};

static int consumer_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                         struct dsmx_batch *ret_batch)
{
	struct consumer *c = state;
	int r;

	if (c->lies && c->is.lie == LIE_STALLS && c->batches > 2)
		return -EAGAIN;
	r = input->ops->poll_next(input, cx, ret_batch);
	c->batches += r == 1;
	if (r == 1 && c->lies && c->is.lie == LIE_KEEPS && ret_batch->lease != NULL)
		ret_batch->lease->retain(ret_batch->lease);
	return r;
}

static int consumer_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                         struct dsmx_operator **inputs, uint32_t input_count,
                         struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Consumer", consumer_next, free };
	static struct segments segments; /* of this process, for as long as it lives */
	static bool asks;
	struct consumer *c = calloc(1, sizeof(*c));
	pthread_t thread;
	int r = c != NULL && len == sizeof(c->is) && input_count == 1 ? 0 : -EINVAL;

	if (r == 0 && segments.page == NULL && !find_segments(&segments))
		r = dx_error(err, -ENOENT, "the segments are not where they should be");
	if (r == 0) {
		memcpy(&c->is, bytes, len);
		c->lies = segments.page->epoch == c->is.epoch;
	}
	if (r == 0 && c->lies && c->is.lie == LIE_EPOCHS && !asks) {
		asks = true;
		r = -pthread_create(&thread, NULL, ask_the_dead, &segments);
	}
	if (r == 0)
		r = dsmx_simple_new(&ops, c, output, inputs[0], ret_operator);
	if (r < 0)
		free(c);
	return r;
}

static const struct dsmx_extension operators[] = {
	{ "series", series_make },
	{ "consumer", consumer_make },
	{ NULL, NULL },
};

/* --- the leader --------------------------------------------------------------------------------------------------- */

#define QUERY_MS 1000U
#define ROWS     300000

static struct dsmx_plan *plan_of(enum lie lie, uint64_t epoch)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	const struct series_bytes series = { ROWS, 100 };
	const struct liar_bytes bytes = { lie, epoch };
	static const uint32_t key;
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;

	if (dsmx_plan_new(&plan) != 0)
		abort();
	rel = dsmx_rel_extension(plan, "series", &series, sizeof(series), &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, 0, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ROUND_ROBIN, rel, NULL, 0, 0, NULL);
	rel = dsmx_rel_extension(plan, "consumer", &bytes, sizeof(bytes), &schema, &rel, 1);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	if (dsmx_plan_finish(plan, rel, NULL, NULL) != 0)
		abort();
	return plan;
}

/* Returns its end, and the sum of what it gave. */
static int run(struct dsmx_session *session, enum lie lie, uint64_t epoch, int64_t *ret_sum,
               struct dsmx_error *err)
{
	const struct dsmx_query_options options = { .size = sizeof(options),
		                                    .timeout_ms = QUERY_MS * harness_slow() };
	struct dsmx_plan *plan = plan_of(lie, epoch);
	struct dsmx_query *query;
	int r = dsmx_query_start(session, plan, &options, &query, err);

	dsmx_plan_free(plan);
	if (r < 0)
		return r;
	r = drain(query, KIND_SHUFFLE, ret_sum, err);
	dsmx_query_close(query);
	return r;
}

static int run_lie(struct dsmx_session *session, uint32_t lie, uint64_t epoch,
                   struct dsmx_error *err)
{
	int64_t sum;

	return run(session, lie, epoch, &sum, err);
}

static int run_honest(struct dsmx_session *session)
{
	struct dsmx_error err = { 0 };
	int64_t sum = 0;
	int r = run(session, LIE_STALLS, 0, &sum, &err);

	if (r < 0)
		printf("# %d %s\n", r, err.message);
	return r == 0 && sum != sum_of(ROWS) ? -EBADE : r;
}

static const struct liars liars = { operators, lie_names, run_lie, run_honest };

TEST(liar_stalls,
     "a worker that never gives a frame back ends its query at the deadline, and what it held serves the next")
{
	struct dsmx_session *session = open_session(&liars);
	struct dsmx_error err = { .message = "" };
	uint64_t epochs[2];
	int64_t sum;

	CHECK(session != NULL);
	for (uint32_t w = 0; w < 2; w++)
		epochs[w] = info_of(session, w).epoch;
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(run(session, LIE_STALLS, epochs[0], &sum, &err), -ETIMEDOUT);
		CHECK_EQ(run_honest(session), 0);
	}
	for (uint32_t w = 0; w < 2; w++)
		CHECK_EQ(info_of(session, w).epoch, epochs[w]);
	dsmx_session_close(session);
}

TEST(liar_keeps,
     "a worker that keeps frames of closed queries loses them, is accused, and both are replaced")
{
	replace_both(&liars, LIE_KEEPS, ok);
}

TEST(liar_epochs,
     "a worker that asks for streams of an incarnation that is gone is accused, and both are replaced")
{
	replace_both(&liars, LIE_EPOCHS, ok);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, operators);
	return status >= 0 ? status : harness_main(argc, argv);
}
