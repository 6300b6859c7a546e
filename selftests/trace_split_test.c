/* SPDX-License-Identifier: MIT */
/*
 * Where a producer's time goes: one that sleeps, one that spins, and one that spins beside others on its CPU are told
 * apart, within 15 per cent of what they did. And what one task sleeps is not told of another of the same thread.
 */
#include <sched.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "dsmx/dsmx.h"
#include "processes.h"
#include "simple.h"
#include "tracer.h"

#define QUERIES 20

/* --- a producer that takes its time ---------------------------------------------------------------------------------- */

struct work {
	uint64_t sleep_us;
	uint64_t spin_us;
};

struct working {
	struct work work;
	bool done;
	struct one_row row;
};

static uint64_t cpu_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * DX_NS_PER_S + (uint64_t)now.tv_nsec;
}

static int work_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	struct working *w = state;
	uint64_t until_ns = cpu_ns() + w->work.spin_us * 1000;

	(void)input, (void)cx;
	if (w->done)
		return 0;
	w->done = true;
	if (w->work.sleep_us > 0)
		(void)usleep((useconds_t)w->work.sleep_us);
	while (w->work.spin_us > 0 && cpu_ns() < until_ns)
		;
	return give_row(&w->row, ret_batch);
}

static int work_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Work", work_next, free };

	(void)inputs, (void)input_count, (void)err;
	return simple_make(&ops, sizeof(struct working), sizeof(struct work), bytes, len, output,
	                   ret_operator);
}

static const struct dsmx_extension extensions[] = { { "work", work_make },
	                                            { "pass", pass_make },
	                                            { NULL, NULL } };

/* @stages: 1: the work alone. 2: behind it two tasks that pass its rows on. */
static bool run(struct dsmx_session *session, const struct work *work, int stages)
{
	static const uint32_t key;
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct dsmx_query *query = NULL;
	struct dsmx_plan *plan;
	struct dsmx_error err = { .message = "" };
	struct dsmx_batch batch;
	struct dsmx_rel *rel;
	int r;

	if (dsmx_plan_new(&plan) != 0)
		return false;
	rel = dsmx_rel_extension(plan, "work", work, sizeof(*work), &schema, NULL, 0);
	if (stages == 2) {
		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, 2, NULL);
		rel = dsmx_rel_extension(plan, "pass", NULL, 0, &schema, &rel, 1);
	}
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	r = dsmx_plan_finish(plan, rel, NULL, &err);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, &query, &err);
	if (r == 0)
		r = dsmx_query_next_batch(query, 10000, &batch, &err);
	while (r == 1)
		r = dsmx_query_next_batch(query, 10000, &batch, &err);
	if (r != 0)
		printf("# %s\n", err.message);
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	return r == 0;
}

/* --- what the tracer says of it --------------------------------------------------------------------------------------- */

enum { BLOCKED, WAITING, RAN, PARTS };

struct split {
	uint64_t streams;
	uint64_t ns[PARTS][QUERIES];
};

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* A sleep that was disturbed once is no matter. */
static uint64_t median(struct split *split, int part)
{
	qsort(split->ns[part], split->streams, sizeof(uint64_t), by_size);
	return split->ns[part][split->streams / 2];
}

/* The times of phase "first" of all streams of the session that were recorded. */
static bool read_splits(const char *file, uint64_t session, struct split *ret)
{
	char line[4096], path[PATH_MAX];
	unsigned long long first, blocked, waiting;
	FILE *pipe;

	ret->streams = 0;
	(void)snprintf(line, sizeof(line), "'%s' export --from '%s' -s %016llx 2>/dev/null",
	               built("dsmx-trace", path), file, (unsigned long long)session);
	pipe = popen(line, "re");
	while (pipe != NULL && fgets(line, sizeof(line), pipe) != NULL) {
		const char *at = strstr(line, "\"first_ns\":");
		const char *split = strstr(line, "\"first_blocked_ns\":");

		if (at == NULL || split == NULL || sscanf(at, "\"first_ns\":%llu", &first) != 1 ||
		    sscanf(split, "\"first_blocked_ns\":%llu,\"first_waiting_ns\":%llu", &blocked,
		           &waiting) != 2 ||
		    ret->streams == QUERIES)
			continue;
		ret->ns[BLOCKED][ret->streams] = blocked;
		ret->ns[WAITING][ret->streams] = waiting;
		ret->ns[RAN][ret->streams++] = first - blocked - waiting;
	}
	return pipe != NULL && pclose(pipe) == 0 && ret->streams > 0;
}

static void pin(pid_t pid)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	(void)sched_setaffinity(pid, sizeof(set), &set);
}

static pid_t start_hog(void)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	pin(0);
	for (;;)
		;
}

/* An emulated machine stands still while others run on its host, and what it did at that moment takes longer. */
static bool is_near(uint64_t seen_us, uint64_t want_us)
{
	return seen_us * 100 >= want_us * 85 &&
	       (seen_us * 100 <= want_us * 115 || harness_slow() > 1);
}

TEST(trace_split,
     "a producer that sleeps is blocked, one that spins runs, one with others on its CPU waits")
{
	static const struct {
		struct work work;
		int hogs;
	} rows[] = { { { 4000, 0 }, 0 }, { { 0, 3000 }, 0 }, { { 0, 15000 }, 3 } };
	struct dsmx_session_options options = options_of(1, NULL);
	char file[] = "/tmp/dsmx-split-XXXXXX";
	int fd = mkostemp(file, O_CLOEXEC);

	options.extensions = extensions;
	(void)close(fd);
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session_info info;
		struct dsmx_session *session;
		struct split split;
		uint64_t blocked_ns, waiting_ns, ran_ns;
		pid_t tracer, hogs[3] = { 0 };
		bool fine = true;

		TRACER_START(tracer, "record", file);
		CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
		dsmx_session_info(session, &info);
		if (rows[i].hogs > 0)
			pin(dsmx_session_worker_pid(session, 0));
		for (int n = 0; n < rows[i].hogs; n++)
			hogs[n] = start_hog();
		for (int n = 0; n < QUERIES && fine; n++)
			fine = run(session, &rows[i].work, 1);
		for (int n = 0; n < rows[i].hogs; n++)
			tracer_stop(hogs[n], SIGKILL);
		dsmx_session_close(session);
		tracer_stop(tracer, SIGINT);
		CHECK(fine);
		CHECK(read_splits(file, info.id, &split));
		blocked_ns = median(&split, BLOCKED);
		waiting_ns = median(&split, WAITING);
		ran_ns = median(&split, RAN);
		printf("# sleeps %llu us, spins %llu us, %d others: blocked %.0f, waiting %.0f, ran %.0f us\n",
		       (unsigned long long)rows[i].work.sleep_us,
		       (unsigned long long)rows[i].work.spin_us, rows[i].hogs,
		       (double)blocked_ns / 1e3, (double)waiting_ns / 1e3, (double)ran_ns / 1e3);
		CHECK_EQ(split.streams, QUERIES);
		if (rows[i].work.sleep_us > 0)
			CHECK(is_near(blocked_ns / 1000, rows[i].work.sleep_us));
		else
			CHECK(is_near(ran_ns / 1000, rows[i].work.spin_us));
		if (rows[i].work.sleep_us == 0)
			CHECK(blocked_ns * 20 < ran_ns);
		if (rows[i].hogs > 0)
			CHECK(waiting_ns * 4 > ran_ns);
	}
	(void)unlink(file);
}

/* --- by task ----------------------------------------------------------------------------------------------------------- */

struct off {
	uint64_t sleepers;
	uint64_t blocked_ns, others_ns; /* in turns: of the one that sleeps; of those behind it */
	uint64_t parked_ns[2];          /* for rows, by task behind it */
	uint64_t lost;
};

static uint64_t number_of(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* What `dsmx-trace offcpu --format json` said of the session; the task that sleeps is the one of its exchange. */
static bool read_off(const char *path, uint64_t session, struct off *ret)
{
	FILE *file = fopen(path, "re");
	char line[1024], id[40];

	*ret = (struct off){ .lost = 0 };
	(void)snprintf(id, sizeof(id), "\"session\":\"%016llx\"", (unsigned long long)session);
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		uint64_t blocked_ns = number_of(line, "\"turn_blocked_ns\":");

		ret->lost += number_of(line, "\"turns\":") + number_of(line, "\"tasks_full\":");
		if (strstr(line, id) == NULL)
			continue;
		if (blocked_ns > 1000000) {
			ret->sleepers++;
			ret->blocked_ns += blocked_ns;
		} else {
			ret->others_ns += blocked_ns;
			ret->parked_ns[number_of(line, "\"task\":") % 2] +=
				number_of(line, "\"parked_input_ns\":");
		}
	}
	return file != NULL && fclose(file) == 0;
}

TEST(trace_off_cpu,
     "what a task sleeps is its own, not of another task of its thread; who waits for it in another process is parked")
{
	struct dsmx_session_options options = options_of(2, NULL);
	const struct work work = { .sleep_us = 4000 };
	char file[] = "/tmp/dsmx-split-XXXXXX";
	int fd = mkostemp(file, O_CLOEXEC);
	uint64_t slept_ns = QUERIES * work.sleep_us * 1000;
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct off off;
	bool fine = true;
	pid_t tracer;

	options.extensions = extensions;
	(void)close(fd);
	TRACER_START(tracer, "offcpu --format json", file);
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_info(session, &info);
	for (int n = 0; n < QUERIES && fine; n++)
		fine = run(session, &work, 2);
	dsmx_session_close(session);
	tracer_stop(tracer, SIGINT);
	CHECK(fine);
	CHECK(read_off(file, info.id, &off));
	(void)unlink(file);
	printf("# slept %llu us: blocked %llu, the others %llu; parked for rows: beside it %llu, in another process %llu us; %llu lost\n",
	       (unsigned long long)slept_ns / 1000, (unsigned long long)off.blocked_ns / 1000,
	       (unsigned long long)off.others_ns / 1000,
	       (unsigned long long)off.parked_ns[0] / 1000,
	       (unsigned long long)off.parked_ns[1] / 1000, (unsigned long long)off.lost);
	/* Memory of the process that is not there at that moment cannot be read by the tracer. */
	CHECK(off.sleepers <= QUERIES && off.sleepers + off.lost >= QUERIES);
	slept_ns = slept_ns / QUERIES * off.sleepers;
	CHECK(is_near(off.blocked_ns / 1000, slept_ns / 1000));
	CHECK(off.others_ns * 20 < slept_ns);
	/* Its own process was not asleep meanwhile: it was in the sleeper's turn. */
	CHECK(off.parked_ns[0] * 2 < slept_ns);
	CHECK(off.parked_ns[1] * 100 >= slept_ns * 85);
}

int main(int argc, char **argv)
{
	int r;

	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0)
		return KSFT_FAIL;
	r = dsmx_worker_main(argc, argv, extensions);
	return r >= 0 ? r : harness_main(argc, argv);
}
