/* SPDX-License-Identifier: MIT */
/*
 * self.c - a StartStream of our own, for dsmx-trace doctor
 *
 * A probe can be set and never fire: then everything seems well, and nothing is seen. So doctor has a child run a
 * query within itself, and looks whether its five stamps come.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dsmx/dsmx.h"
#include "source.h"

#define SELF_QUERIES 3
#define AT_MOST_S    10

static int one_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                    struct dsmx_batch *ret_batch)
{
	static const int64_t value = 1;
	static const struct dsmx_column column = { .values = &value };
	bool *given = state;

	(void)input, (void)cx;
	*ret_batch = (struct dsmx_batch){
		.length = 1, .selected = 1, .column_count = 1, .columns = &column
	};
	*given = !*given;
	return *given;
}

static int one_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                    struct dsmx_operator **inputs, uint32_t input_count,
                    struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "One", one_next, free };
	bool *given = calloc(1, sizeof(*given));
	int r = given == NULL ? -ENOMEM : dsmx_simple_new(&ops, given, output, NULL, ret_operator);

	(void)bytes, (void)len, (void)inputs, (void)input_count, (void)err;
	if (r != 0)
		free(given);
	return r;
}

static int run_one(struct dsmx_session *session)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct dsmx_query *query = NULL;
	struct dsmx_plan *plan;
	struct dsmx_batch batch;
	struct dsmx_rel *rel;
	int r = dsmx_plan_new(&plan);

	if (r != 0)
		return r;
	rel = dsmx_rel_extension(plan, "one", NULL, 0, &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	r = dsmx_plan_finish(plan, rel, NULL, NULL);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, &query, NULL);
	while (r >= 0 && (r = dsmx_query_next_batch(query, 1000, &batch, NULL)) == 1)
		;
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	return r;
}

static int run_queries(void)
{
	static const struct dsmx_extension extensions[] = { { "one", one_make }, { NULL, NULL } };
	struct dsmx_session_options options = { .size = sizeof(options), .extensions = extensions };
	struct dsmx_session *session;
	int r = dsmx_session_open(&options, &session, NULL);

	for (int i = 0; r == 0 && i < SELF_QUERIES; i++)
		r = run_one(session);
	if (r == 0)
		dsmx_session_close(session);
	return r;
}

struct seen {
	pid_t child;
	int start; /* closed by us: the probes are set */
	int streams;
	int status;
	bool ended;
};

static void count_own(void *arg, const struct ss_event *event)
{
	struct seen *seen = arg;
	uint64_t ns[DSMX_STREAM_PHASES];

	if (event->tgid == (uint32_t)seen->child && event_phases(event, ns))
		seen->streams++;
}

static void let_start(void *arg)
{
	struct seen *seen = arg;

	(void)close(seen->start);
	seen->start = -1;
}

static bool has_ended(void *arg)
{
	struct seen *seen = arg;

	seen->ended = waitpid(seen->child, &seen->status, WNOHANG) == seen->child;
	return seen->ended;
}

int self_look(void)
{
	struct trace_options options = TRACE_OPTIONS;
	struct seen seen = { .status = -1 };
	struct source_ops ops = {
		.event = count_own, .watching = let_start, .enough = has_ended, .arg = &seen
	};
	struct source_sum sum;
	int start[2], traced;

	options.duration_s = AT_MOST_S;
	options.quiet = true;
	if (pipe2(start, O_CLOEXEC) != 0)
		return -1;
	seen.child = fork();
	if (seen.child == 0) {
		char none;

		(void)close(start[1]);
		(void)!read(start[0], &none, 1);
		_exit(run_queries() == 0 ? EXIT_OK : EXIT_ERROR);
	}
	(void)close(start[0]);
	seen.start = start[1];
	traced = kernel_run(&options, &ops, &sum);
	if (seen.start >= 0)
		(void)close(seen.start);
	if (seen.child > 0 && !seen.ended)
		(void)waitpid(seen.child, &seen.status, 0);
	return seen.status == 0 && traced == EXIT_OK ? seen.streams : -1;
}
