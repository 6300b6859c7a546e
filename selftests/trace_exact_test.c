/* SPDX-License-Identifier: MIT */
/*
 * As many StartStreams as there were: of one, of a thousand and of a hundred thousand the five stamps of each are
 * seen once, in order, and what is not seen is what the tracer itself says that it lost.
 */
#define HARNESS_TIMEOUT_S 200
#include "base/err.h"
#include "dsmx/dsmx.h"
#include "processes.h"
#include "tracer.h"

#define PARTITIONS 50
#define WIDE       (2 * PARTITIONS) /* StartStreams of the wide plan: to its consumers, and of the root */

/* --- queries of as many streams as are wanted -------------------------------------------------------------------------- */

struct rows {
	int64_t left;
	int64_t values[PARTITIONS];
	struct dsmx_column column;
};

static int rows_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	struct rows *s = state;

	(void)input, (void)cx;
	for (int64_t i = 0; i < s->left; i++)
		s->values[i] = i;
	s->column.values = s->values;
	*ret_batch = (struct dsmx_batch){ .length = (uint32_t)s->left,
		                          .selected = (uint32_t)s->left,
		                          .column_count = 1,
		                          .columns = &s->column };
	s->left = 0;
	return ret_batch->length > 0;
}

static int rows_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Rows", rows_next, free };
	struct rows *s = calloc(1, sizeof(*s));
	int r = s == NULL ? -ENOMEM : 0;

	(void)bytes, (void)len, (void)inputs, (void)input_count, (void)err;
	if (r == 0) {
		s->left = PARTITIONS;
		r = dsmx_simple_new(&ops, s, output, NULL, ret_operator);
	}
	if (r != 0)
		free(s);
	return r;
}

static const struct dsmx_extension extensions[] = { { "rows", rows_make },
	                                            { "pass", pass_make },
	                                            { NULL, NULL } };

/* Of one stream, or of WIDE. */
static struct dsmx_plan *make_plan(bool wide)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	static const uint32_t key;
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;

	if (dsmx_plan_new(&plan) != 0)
		return NULL;
	rel = dsmx_rel_extension(plan, "rows", NULL, 0, &schema, NULL, 0);
	if (wide) {
		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, PARTITIONS, NULL);
		rel = dsmx_rel_extension(plan, "pass", NULL, 0, &schema, &rel, 1);
	}
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	if (dsmx_plan_finish(plan, rel, NULL, NULL) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}

/* Returns how many StartStreams the library itself counted, 0 after a failure. */
static uint64_t run(struct dsmx_session *session, bool wide)
{
	struct dsmx_plan *plan = make_plan(wide);
	struct dsmx_query *query = NULL;
	struct dsmx_error err = { .message = "no plan" };
	struct dsmx_query_stats stats = { .rows = 0 };
	struct dsmx_batch batch;
	int r = plan == NULL ? -ENOMEM : dsmx_query_start(session, plan, NULL, &query, &err);

	while (r >= 0 &&
	       (r = dsmx_query_next_batch(query, 20000 * (int)harness_slow(), &batch, &err)) == 1)
		;
	if (r == 0)
		dsmx_query_stats(query, &stats);
	else
		printf("# %s\n", err.message);
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	return stats.start_streams;
}

/* --- what was seen ------------------------------------------------------------------------------------------------------ */

struct stream {
	unsigned long long query, exchange, task, partition;
};

struct seen {
	uint64_t streams, lost, wrong;
	struct stream *list; /* room for as many as there can be, and one more */
	uint64_t room;
};

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct stream));
}

static void take_stream(struct seen *seen, const char *line)
{
	const char *arguments = strstr(line, "\"arguments\":[");
	const char *stamps = strstr(line, "\"stamps_ns\":[");
	const char *phases = strstr(line, "\"request_ns\":");
	unsigned long long t[5], ns[5];
	struct stream s = { 0 };
	bool fine = seen->streams < seen->room && arguments != NULL && stamps != NULL &&
	            phases != NULL &&
	            sscanf(arguments, "\"arguments\":[%llu,%llu,%llu,%llu", &s.query, &s.exchange,
	                   &s.task, &s.partition) == 4 &&
	            sscanf(stamps, "\"stamps_ns\":[%llu,%llu,%llu,%llu,%llu]", &t[0], &t[1], &t[2],
	                   &t[3], &t[4]) == 5 &&
	            sscanf(phases,
	                   "\"request_ns\":%llu,\"spawn_ns\":%llu,\"first_ns\":%llu,"
	                   "\"deliver_ns\":%llu,\"total_ns\":%llu",
	                   &ns[0], &ns[1], &ns[2], &ns[3], &ns[4]) == 5;

	fine = fine && t[0] > 0 && ns[0] + ns[1] + ns[2] + ns[3] == ns[4] && ns[4] == t[4] - t[0];
	for (int i = 1; fine && i < 5; i++)
		fine = t[i] >= t[i - 1] && t[i] - t[i - 1] == ns[i - 1];
	if (fine)
		seen->list[seen->streams++] = s;
	else
		seen->wrong++;
}

static void take_losses(struct seen *seen, const char *line)
{
	/* Each of a stream. A probe that the kernel skipped makes a stream one of these, too. */
	static const char *const causes[] = { "streams_full", "flights_full", "unsent",
		                              "unseen",       "sent_twice",   "disordered",
		                              "abandoned",    "under_way" };
	char name[32];

	for (size_t i = 0; i < DX_ARRAY_LEN(causes); i++) {
		const char *at;

		(void)snprintf(name, sizeof(name), "\"%s\":", causes[i]);
		at = strstr(line, name);
		if (at == NULL)
			seen->wrong++;
		else
			seen->lost += strtoull(at + strlen(name), NULL, 10);
	}
}

/* All that a recorded file has, by dsmx-trace export. */
static bool read_all(const char *file, struct seen *seen)
{
	char line[4096], path[PATH_MAX];
	FILE *pipe;

	(void)snprintf(line, sizeof(line), "'%s' export --from '%s' 2>/dev/null",
	               built("dsmx-trace", path), file);
	pipe = popen(line, "re");
	while (pipe != NULL && fgets(line, sizeof(line), pipe) != NULL)
		if (strstr(line, "\"type\":\"ss_read\"") != NULL)
			take_stream(seen, line);
		else if (strstr(line, "\"type\":\"lost\"") != NULL)
			take_losses(seen, line);
	return pipe != NULL && pclose(pipe) == 0;
}

static uint64_t count_twice(struct seen *seen)
{
	uint64_t twice = 0;

	qsort(seen->list, seen->streams, sizeof(*seen->list), by_name);
	for (uint64_t i = 1; i < seen->streams; i++)
		twice += by_name(&seen->list[i - 1], &seen->list[i]) == 0;
	return twice;
}

static void see(uint64_t n, bool *ok)
{
	struct dsmx_session_options options = options_of(2, NULL);
	char file[] = "/tmp/dsmx-exact-XXXXXX", command[128];
	int fd = mkostemp(file, O_CLOEXEC);
	struct dsmx_session *session;
	struct dsmx_session_info info;
	struct seen seen = { .room = n + 1 };
	uint64_t sent = 0;
	pid_t tracer;

	options.extensions = extensions;
	(void)close(fd);
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_info(session, &info);
	(void)snprintf(command, sizeof(command), "record --buffer 16384 -s %016llx",
	               (unsigned long long)info.id);
	tracer = 0;
	{
		int status = 0;

		tracer = tracer_start(command, file, &status);
		if (tracer == 0) {
			dsmx_session_close(session);
			(void)unlink(file);
			CHECK(WEXITSTATUS(status) == 3 || WEXITSTATUS(status) == 4);
			SKIP("no permission to load BPF programs, or none were built");
		}
	}
	for (uint64_t got = 1; sent < n && got > 0; sent += got)
		got = run(session, n > 1);
	dsmx_session_close(session);
	tracer_stop(tracer, SIGINT);
	CHECK_EQ(sent, n);
	seen.list = calloc(seen.room, sizeof(*seen.list));
	CHECK(read_all(file, &seen));
	(void)unlink(file);
	printf("# %llu StartStreams: %llu seen, %llu lost, %llu that make no sense\n",
	       (unsigned long long)sent, (unsigned long long)seen.streams,
	       (unsigned long long)seen.lost, (unsigned long long)seen.wrong);
	CHECK_EQ(seen.wrong, 0);
	CHECK_EQ(seen.streams + seen.lost, n);
	CHECK_EQ(count_twice(&seen), 0);
	free(seen.list);
}

TEST(trace_exact_1, "the five stamps of one StartStream")
{
	see(1, ok);
}

TEST(trace_exact_1000, "the five stamps of each of a thousand StartStreams, in order, once")
{
	see(1000, ok);
}

TEST(trace_exact_100000,
     "of a hundred thousand StartStreams all are seen but those that are said to be lost")
{
	see(100000, ok);
}

int main(int argc, char **argv)
{
	int r;

	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0)
		return KSFT_FAIL;
	r = dsmx_worker_main(argc, argv, extensions);
	return r >= 0 ? r : harness_main(argc, argv);
}
