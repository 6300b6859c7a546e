/* SPDX-License-Identifier: MIT */
/*
 * startstream.c - dsmx-bench startstream: from a consumer's request to its first batch in hand
 *
 * The leader's fragment is a chain of operators "in turn": each reads its first input to the end, and only then asks
 * for its second. Every input is an exchange over an operator "one row" in a worker. So the streams of a query are
 * asked for one after the other, and the producer is idle in between:
 *
 *	hot	the next request comes right after the answer to the last one, while the producer still looks by itself
 *	parked	each comes 3 ms later, when it sleeps; the futex that it is compared with rests as long
 *	loose	as hot, but where the scheduler puts both: often on one processor, where each yields to the other
 *	query	the first of each query: its plan is new to the worker, which reads and decodes it first
 *
 * hot and parked bind consumer and producer to a processor each, as all other pairs here: "one row" binds its worker.
 *
 * "in hand" is the time from executing the exchange until its batch is there, by the clock of the consumer; the
 * phases are what the library says of the same stream. Medians of the streams of a round.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "dsmx/dsmx.h"
#include "engine.h"
#include "pair.h"

#define STREAMS     17U /* of a query: the first is counted by itself */
#define QUERIES     10U /* of a round, hot and parked */
#define PAUSE_NS    3000000U
#define SAMPLES_MAX (STREAMS * QUERIES)

/* What the operators of the leader note, for the round under way. */
static struct {
	struct dsmx_session *session;
	uint32_t count;
	double in_hand_ns[SAMPLES_MAX];
	double phase_ns[DSMX_STREAM_PHASES][SAMPLES_MAX];
	bool wrong; /* something else ran beside */
} noted;

/* The processor of this process. */
static int bound_to = -1;

/* --- one row -------------------------------------------------------------------------------------------------- */

/* In the plan. */
struct row_bytes {
	int32_t cpu; /* to bind to; -1: to none */
};

struct row {
	bool given;
	struct dsmx_column column;
};

static int row_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                    struct dsmx_batch *ret_batch)
{
	static const int64_t value = 42;
	struct row *s = state;

	(void)input;
	(void)cx;
	if (s->given)
		return 0;
	s->given = true;
	s->column.values = &value;
	*ret_batch = (struct dsmx_batch){
		.length = 1, .selected = 1, .column_count = 1, .columns = &s->column
	};
	return 1;
}

int startstream_row_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                         struct dsmx_operator **inputs, uint32_t input_count,
                         struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "OneRow", row_next, free };
	struct row_bytes row;
	struct row *s;
	int r;

	(void)inputs;
	(void)input_count;
	(void)err;
	if (len != sizeof(row))
		return -EINVAL;
	memcpy(&row, bytes, len);
	if (row.cpu != bound_to && pair_bind(row.cpu) < 0)
		return -EINVAL;
	bound_to = row.cpu;
	s = calloc(1, sizeof(*s));
	r = s == NULL ? -ENOMEM : dsmx_simple_new(&ops, s, output, NULL, ret_operator);
	if (r < 0)
		free(s);
	return r;
}

/* --- in turn --------------------------------------------------------------------------------------------------- */

struct turn {
	struct dsmx_operator op; /* must be first */
	uint64_t pause_ns;
};

struct turn_stream {
	struct dsmx_stream stream; /* must be first */
	struct turn *turn;
	struct dsmx_stream *input;
	bool second;
	bool first_row; /* of the second is there */
	uint64_t start_ns;
	struct dsmx_phases before;
};

static void note(struct turn_stream *s)
{
	uint64_t now_ns = dx_now_ns();
	struct dsmx_phases after;
	uint32_t i = noted.count;

	s->first_row = true;
	dsmx_session_phases(noted.session, &after);
	if (after.streams != s->before.streams + 1 || i == SAMPLES_MAX) {
		noted.wrong = true;
		return;
	}
	noted.in_hand_ns[i] = (double)(now_ns - s->start_ns);
	for (int k = 0; k < DSMX_STREAM_PHASES; k++)
		noted.phase_ns[k][i] = (double)(after.sum_ns[k] - s->before.sum_ns[k]);
	noted.count++;
}

static int begin_second(struct turn_stream *s, struct dsmx_cx *cx)
{
	struct dsmx_operator *second = s->turn->op.inputs[1];
	struct timespec pause = { 0, (long)s->turn->pause_ns };

	s->input->ops->close(s->input);
	s->input = NULL;
	s->second = true;
	if (s->turn->pause_ns > 0)
		(void)nanosleep(&pause, NULL);
	dsmx_session_phases(noted.session, &s->before);
	s->start_ns = dx_now_ns();
	return second->ops->execute(second, cx, 0, &s->input);
}

static int turn_poll(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct turn_stream *s = (struct turn_stream *)stream;
	int r = s->input == NULL ? 0 : s->input->ops->poll_next(s->input, cx, ret_batch);

	if (r == 0 && !s->second) {
		r = begin_second(s, cx);
		if (r == 0)
			r = s->input->ops->poll_next(s->input, cx, ret_batch);
	}
	if (r == 1 && s->second && !s->first_row)
		note(s);
	return r;
}

static void turn_close(struct dsmx_stream *stream)
{
	struct turn_stream *s = (struct turn_stream *)stream;

	if (s->input != NULL)
		s->input->ops->close(s->input);
	free(s);
}

static int turn_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                        struct dsmx_stream **ret_stream)
{
	static const struct dsmx_stream_ops ops = { turn_poll, turn_close };
	struct turn_stream *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (s != NULL) {
		s->stream.ops = &ops;
		s->turn = (struct turn *)op;
		r = op->inputs[0]->ops->execute(op->inputs[0], cx, partition, &s->input);
	}
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_stream = &s->stream;
	return 0;
}

static void turn_free(struct dsmx_operator *op)
{
	for (uint32_t i = 0; i < op->input_count; i++)
		op->inputs[i]->ops->free(op->inputs[i]);
	free(op);
}

int startstream_turn_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                          struct dsmx_operator **inputs, uint32_t input_count,
                          struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_operator_ops ops = { "InTurn", turn_execute, turn_free };
	struct turn *turn;

	(void)err;
	if (len != sizeof(turn->pause_ns) || input_count != 2)
		return -EINVAL;
	turn = calloc(1, sizeof(*turn));
	if (turn == NULL)
		return -ENOMEM;
	turn->op = (struct dsmx_operator){
		.ops = &ops, .schema = *output, .input_count = 2, .inputs = { inputs[0], inputs[1] }
	};
	memcpy(&turn->pause_ns, bytes, len);
	*ret_operator = &turn->op;
	return 0;
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

static struct dsmx_plan *make_plan(uint64_t pause_ns, int cpu)
{
	const struct row_bytes bytes = { cpu };
	static const struct dsmx_field field = { "value", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct dsmx_rel *rel = NULL;
	struct dsmx_plan *plan;

	if (dsmx_plan_new(&plan) != 0)
		return NULL;
	for (uint32_t i = 0; i < STREAMS; i++) {
		struct dsmx_rel *row = dsmx_rel_extension(plan, "one row", &bytes, sizeof(bytes),
		                                          &schema, NULL, 0);
		struct dsmx_rel *both[] = {
			dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, row, NULL, 0, 1, NULL), rel
		};

		rel = i == 0 ? both[0]
		             : dsmx_rel_extension(plan, "in turn", &pause_ns, sizeof(pause_ns),
		                                  &schema, both, 2);
	}
	if (dsmx_plan_finish(plan, rel, NULL, NULL) != 0) {
		dsmx_plan_free(plan);
		return NULL;
	}
	return plan;
}

/* @ret_first_us: from the start of the query to its first row. */
static int run_query(uint64_t pause_ns, int cpu, double *ret_first_us)
{
	struct dsmx_plan *plan = make_plan(pause_ns, cpu);
	struct dsmx_error err = { .message = "no plan" };
	struct dsmx_query *query = NULL;
	struct dsmx_query_stats stats;
	struct dsmx_batch batch;
	int r = plan == NULL ? -ENOMEM : dsmx_query_start(noted.session, plan, NULL, &query, &err);

	if (r == 0)
		while ((r = dsmx_query_next_batch(query, -1, &batch, &err)) == 1)
			;
	if (r == 0) {
		dsmx_query_stats(query, &stats);
		*ret_first_us = (double)(stats.first_row_ns - stats.plan_ns) / 1000;
		if (stats.ring_rows != STREAMS)
			noted.wrong = true;
	}
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	if (r < 0)
		fprintf(stderr, "dsmx-bench: %s\n", err.message);
	return r;
}

static int measure(struct bench *bench, const char *name, uint64_t pause_ns, bool bound,
                   double limit_ns)
{
	static const char *const phases[DSMX_STREAM_PHASES] = { "request", "spawn", "first",
		                                                "deliver", "total" };
	int cpus[2] = { bound ? pair_processor(0) : -1, bound ? pair_processor(1) : -1 };
	double firsts[QUERIES];
	char text[48];
	int r = pair_bind(cpus[0]);

	noted.count = 0;
	for (uint32_t i = 0; r == 0 && i < QUERIES; i++)
		r = run_query(pause_ns, cpus[1], &firsts[i]);
	if (r == 0)
		r = pair_bind(-1);
	if (r == 0 && (noted.wrong || noted.count != (STREAMS - 1) * QUERIES)) {
		fputs("dsmx-bench: not every stream came alone, with its one row\n", stderr);
		r = -EIO;
	}
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "startstream/%s/in hand", name);
	bench_add(bench, text, "us", bench_median(noted.in_hand_ns, noted.count) / 1000,
	          limit_ns / 1000);
	for (int k = 0; k < DSMX_STREAM_PHASES; k++) {
		snprintf(text, sizeof(text), "startstream/%s/%s", name, phases[k]);
		bench_add(bench, text, "us", bench_median(noted.phase_ns[k], noted.count) / 1000,
		          0);
	}
	if (pause_ns == 0 && bound)
		bench_add(bench, "startstream/query/first row", "us", bench_median(firsts, QUERIES),
		          0);
	return 0;
}

int startstream_round(struct bench *bench)
{
	double line, futex;
	int r = pair_line(&line);

	if (r == 0)
		r = pair_futex(PAUSE_NS, &futex);
	if (r == 0)
		r = engine_open(bench, bench->workers, &noted.session);
	if (r < 0)
		return r;
	r = measure(bench, "hot", 0, true, line);
	if (r == 0)
		r = measure(bench, "loose", 0, false, line);
	if (r == 0)
		r = measure(bench, "parked", PAUSE_NS, true, futex);
	dsmx_session_close(noted.session);
	noted.session = NULL;
	return r;
}
