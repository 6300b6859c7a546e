/* SPDX-License-Identifier: MIT */
/*
 * What a tracer says of single workers: one that the kernel killed for its memory, one that was chosen by its number and
 * started again, one whose consumer slept in io_uring.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "dsmx/dsmx.h"
#include "processes.h"
#include "simple.h"
#include "tracer.h"

#define SLEEP_US   20000
#define MEMORY_MAX (64UL << 20)

/* --- a producer of one row --------------------------------------------------------------------------------------------- */

struct meal {
	uint64_t sleep_us;
	uint64_t bytes; /* of memory, before its row */
};

struct eater {
	struct meal meal;
	bool done;
	struct one_row row;
};

static int eater_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                      struct dsmx_batch *ret_batch)
{
	struct eater *e = state;

	(void)input, (void)cx;
	if (e->done)
		return 0;
	e->done = true;
	if (e->meal.sleep_us > 0)
		(void)usleep((useconds_t)e->meal.sleep_us);
	for (uint64_t eaten = 0; eaten < e->meal.bytes; eaten += 1 << 20) {
		char *piece = malloc(1 << 20);

		if (piece == NULL)
			return -ENOMEM;
		memset(piece, 1, 1 << 20);
		/* Never given back, and not to be left out by the compiler. */
		__asm__ volatile("" : : "r"(piece) : "memory");
	}
	return give_row(&e->row, ret_batch);
}

static int eater_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                      struct dsmx_operator **inputs, uint32_t input_count,
                      struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Eater", eater_next, free };

	(void)inputs, (void)input_count, (void)err;
	return simple_make(&ops, sizeof(struct eater), sizeof(struct meal), bytes, len, output,
	                   ret_operator);
}

static const struct dsmx_extension extensions[] = { { "eater", eater_make }, { NULL, NULL } };

/* Returns 0, or what the query failed with. */
static int run(struct dsmx_session *session, const struct meal *meal, struct dsmx_error *ret_err)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct dsmx_query *query = NULL;
	struct dsmx_plan *plan;
	struct dsmx_batch batch;
	struct dsmx_rel *rel;
	int r;

	if (dsmx_plan_new(&plan) != 0)
		return -ENOMEM;
	rel = dsmx_rel_extension(plan, "eater", meal, sizeof(*meal), &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	r = dsmx_plan_finish(plan, rel, NULL, ret_err);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, &query, ret_err);
	while (r >= 0 &&
	       (r = dsmx_query_next_batch(query, 20 * (int)SOON_MS, &batch, ret_err)) == 1)
		;
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	return r;
}

/* How many lines of `dsmx-trace COMMAND FILE` have all of these words. */
static int count_lines(const char *command, const char *file, const char *a, const char *b)
{
	char line[4096], path[PATH_MAX];
	int count = 0;
	FILE *pipe;

	(void)snprintf(line, sizeof(line), "'%s' %s '%s' 2>/dev/null", built("dsmx-trace", path),
	               command, file);
	pipe = popen(line, "re");
	while (pipe != NULL && fgets(line, sizeof(line), pipe) != NULL)
		count += strstr(line, a) != NULL && strstr(line, b) != NULL;
	return pipe != NULL && pclose(pipe) == 0 ? count : -1;
}

/* A session, and a tracer of it that writes to @file. Returns the tracer, or 0: see TRACER_START. */
static pid_t open_traced(const struct dsmx_session_options *options, const char *more, char *file,
                         struct dsmx_session **ret_session, int *ret_status)
{
	struct dsmx_session_info info;
	char command[128];
	pid_t tracer;

	*ret_status = 0;
	(void)close(mkostemp(file, O_CLOEXEC));
	if (dsmx_session_open(options, ret_session, NULL) != 0)
		return 0;
	dsmx_session_info(*ret_session, &info);
	(void)snprintf(command, sizeof(command), "record %s -s %016llx", more,
	               (unsigned long long)info.id);
	tracer = tracer_start(command, file, ret_status);
	if (tracer == 0) {
		dsmx_session_close(*ret_session);
		(void)unlink(file);
	}
	return tracer;
}

#define OPEN_TRACED(tracer, options, more, file, session)                                          \
	do {                                                                                       \
		int status_ = 0;                                                                   \
		(tracer) = open_traced(options, more, file, session, &status_);                    \
		if ((tracer) == 0) {                                                               \
			CHECK(WEXITSTATUS(status_) == 3 || WEXITSTATUS(status_) == 4);             \
			SKIP("no permission to load BPF programs, or none were built");            \
		}                                                                                  \
	} while (0)

/* --- what is said ------------------------------------------------------------------------------------------------------ */

TEST(trace_worker_oom, "a worker that is killed for its memory is said to be")
{
	static const struct meal none, too_much = { .bytes = 4 * MEMORY_MAX };
	char file[] = "/tmp/dsmx-trace-XXXXXX", ended[64];
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct dsmx_error err = { .reason = 0 };
	pid_t tracer, eater;
	int r;

	options.extensions = extensions;
	options.worker_memory_max = MEMORY_MAX;
	OPEN_TRACED(tracer, &options, "", file, &session);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(run(session, &none, &err), 0);
	eater = dsmx_session_worker_pid(session, 0);
	r = run(session, &too_much, &err);
	dsmx_session_close(session);
	tracer_stop(tracer, SIGINT);
	printf("# %d: %s\n", r, err.message);
	if (r == 0) {
		(void)unlink(file);
		SKIP("no memory controller for us here");
	}
	CHECK_EQ(err.reason, DSMX_EXIT_OOM);
	(void)snprintf(ended, sizeof(ended), "process %d has ended: ", eater);
	CHECK_EQ(count_lines("replay", file, ended, "out of memory, signal 9"), 1);
	(void)snprintf(ended, sizeof(ended), "process %d, is gone", eater);
	CHECK_EQ(count_lines("replay", file, ended, ""), 1);
	(void)unlink(file);
}

TEST(trace_worker_restarted,
     "a worker that is chosen by its number is traced after its restart, too")
{
	static const struct meal none;
	char file[] = "/tmp/dsmx-trace-XXXXXX", first[32], second[32], ended[64];
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct dsmx_error err;
	pid_t tracer, old;
	uint64_t deadline_ns = dx_now_ns() + 20 * SOON_MS * DX_NS_PER_MS;

	options.extensions = extensions;
	options.restart = DSMX_RESTART_ON_FAILURE;
	OPEN_TRACED(tracer, &options, "-w 0", file, &session);
	old = dsmx_session_worker_pid(session, 0);
	CHECK_EQ(run(session, &none, &err), 0);
	CHECK_EQ(kill(old, SIGKILL), 0);
	while ((run(session, &none, &err) != 0 || dsmx_session_worker_pid(session, 0) == old) &&
	       dx_now_ns() < deadline_ns)
		;
	(void)snprintf(first, sizeof(first), "\"producer_pid\":%d,", old);
	(void)snprintf(second, sizeof(second), "\"producer_pid\":%d,",
	               dsmx_session_worker_pid(session, 0));
	dsmx_session_close(session);
	tracer_stop(tracer, SIGINT);
	CHECK(strcmp(first, second) != 0);
	(void)snprintf(ended, sizeof(ended), "process %d has ended: signal 9", old);
	CHECK_EQ(count_lines("replay", file, ended, ""), 1);
	CHECK(count_lines("export --from", file, "\"ss_read\"", first) > 0);
	CHECK(count_lines("export --from", file, "\"ss_read\"", second) > 0);
	(void)unlink(file);
}

/* The number behind @name in @line. */
static uint64_t number_of(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

TEST(trace_worker_uring,
     "a consumer that waits is blocked in io_uring; an operator that sleeps is blocked elsewhere")
{
	static const struct meal late = { .sleep_us = SLEEP_US };
	char file[] = "/tmp/dsmx-trace-XXXXXX", line[4096], path[PATH_MAX];
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct dsmx_error err;
	uint64_t streams = 0, blocked_ns = 0, uring_ns = 0, first_ns = 0, first_uring_ns = 0;
	pid_t tracer;
	FILE *pipe;

	options.extensions = extensions;
	options.wait = DSMX_WAIT_URING;
	if (dsmx_session_open(&options, &session, NULL) != 0)
		SKIP("no io_uring with futexes");
	dsmx_session_close(session);
	OPEN_TRACED(tracer, &options, "", file, &session);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(run(session, &late, &err), 0);
	dsmx_session_close(session);
	tracer_stop(tracer, SIGINT);
	(void)snprintf(line, sizeof(line), "'%s' export --from '%s' 2>/dev/null",
	               built("dsmx-trace", path), file);
	pipe = popen(line, "re");
	CHECK(pipe != NULL);
	while (fgets(line, sizeof(line), pipe) != NULL) {
		if (strstr(line, "\"consumer_uring_ns\":") == NULL)
			continue;
		streams++;
		blocked_ns += number_of(line, "\"consumer_blocked_ns\":");
		uring_ns += number_of(line, "\"consumer_uring_ns\":");
		first_ns += number_of(line, "\"first_blocked_ns\":");
		first_uring_ns += number_of(line, "\"first_uring_ns\":");
	}
	CHECK_EQ(pclose(pipe), 0);
	printf("# the consumer was blocked %.1f ms, in io_uring %.1f; the operator %.1f, %.1f\n",
	       (double)blocked_ns / 1e6, (double)uring_ns / 1e6, (double)first_ns / 1e6,
	       (double)first_uring_ns / 1e6);
	CHECK_EQ(streams, 10);
	CHECK(uring_ns <= blocked_ns && uring_ns * 100 >= blocked_ns * 85);
	CHECK(uring_ns >= 10 * SLEEP_US * 500ULL);
	CHECK(first_ns >= 10 * SLEEP_US * 850ULL);
	CHECK(first_uring_ns * 20 < first_ns);
	(void)unlink(file);
}

int main(int argc, char **argv)
{
	int r;

	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0)
		return KSFT_FAIL;
	r = dsmx_worker_main(argc, argv, extensions);
	return r >= 0 ? r : harness_main(argc, argv);
}
