/* SPDX-License-Identifier: MIT */
/*
 * StartStreams of real sessions: counted exactly, with all five stamps, and seen from outside; a deadlock that is
 * held for inspection is named by dsmx-trace why.
 */
#include <sys/wait.h>

#include "engine.h"
#include "zips.h"

/* --- phases ---------------------------------------------------------------------------------------------------------- */

/* Every stream is counted once in each phase, and the phases add up. */
static bool is_sound(const struct dsmx_phases *p)
{
	uint64_t sum_ns = 0;

	for (int i = 0; i < DSMX_STREAM_PHASES; i++) {
		uint64_t count = 0;

		for (int b = 0; b < DSMX_STREAM_BUCKETS; b++)
			count += p->buckets[i][b];
		if (count != p->streams || p->max_ns[i] > p->sum_ns[i])
			return false;
		if (i != DSMX_STREAM_TOTAL)
			sum_ns += p->sum_ns[i];
	}
	return sum_ns == p->sum_ns[DSMX_STREAM_TOTAL] && p->odd == 0;
}

static int64_t run(struct dsmx_session *session, enum kind kind, int64_t end)
{
	struct dsmx_query_stats stats = { .start_streams = 0 };
	struct dsmx_query *query = NULL;
	struct dsmx_error err;
	int64_t sum = 0;

	if (start_query(session, kind, end, &query, &err) != 0 ||
	    drain(query, kind, &sum, &err) != 0 || sum != sum_of(end))
		printf("# %s\n", err.message);
	else
		dsmx_query_stats(query, &stats);
	dsmx_query_close(query);
	return (int64_t)stats.start_streams;
}

TEST(trace_counts, "n StartStreams are n in every phase, with rows and without, 1 and 1000 of them")
{
	static const struct {
		uint32_t workers;
		int64_t queries;
		int64_t rows;
	} rows[] = { { 0, 1, 1000 }, { 1, 1, 1000 },  { 1, 1, 0 },   { 2, 1, 0 },
		     { 2, 40, 300 }, { 1, 1000, 10 }, { 0, 1000, 0 } };

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session_options options = engine_options(rows[i].workers);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_phases phases;
		int64_t sent = 0;

		CHECK(session != NULL);
		for (int64_t n = 0; n < rows[i].queries; n++) {
			int64_t more =
				run(session, rows[i].workers > 1 ? KIND_SHUFFLE : KIND_GATHER,
			            rows[i].rows);

			CHECK(more > 0);
			sent += more;
		}
		dsmx_session_phases(session, &phases);
		CHECK_EQ(phases.streams, sent);
		CHECK_EQ(phases.unread, 0);
		CHECK(is_sound(&phases));
		CHECK(phases.sum_ns[DSMX_STREAM_TOTAL] > 0);
		dsmx_session_close(session);
	}
}

TEST(trace_unread, "a query that is closed early leaves its streams counted, read or unread")
{
	for (uint32_t workers = 0; workers < 3; workers++) {
		struct dsmx_session_options options = engine_options(workers);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_query_stats stats;
		struct dsmx_phases phases;
		uint64_t sent = 0;

		CHECK(session != NULL);
		for (int i = 0; i < 20; i++) {
			struct dsmx_query *query;
			struct dsmx_error err;
			struct dsmx_batch batch;

			CHECK_EQ(start_query(session, KIND_GATHER, ENDLESS, &query, &err), 0);
			/* Half of them before, half of them after the first rows. */
			(void)dsmx_query_next_batch(query, i % 2 == 0 ? 0 : 5000, &batch, &err);
			dsmx_query_stats(query, &stats);
			sent += stats.start_streams;
			dsmx_query_close(query);
		}
		dsmx_session_phases(session, &phases);
		CHECK_EQ(phases.streams + phases.unread, sent);
		CHECK(phases.streams >= 10);
		CHECK(is_sound(&phases));
		dsmx_session_close(session);
	}
}

/* --- from outside ------------------------------------------------------------------------------------------------------ */

/* Run dsmx-trace COMMAND on the session. Returns its exit status, or -1. */
static int trace(struct dsmx_session *session, const char *command, char *ret_text, size_t len)
{
	const char *build = getenv("DSMX_BUILD");
	struct dsmx_session_info info;
	char line[PATH_MAX + 100];
	size_t used;
	FILE *pipe;
	int status;

	dsmx_session_info(session, &info);
	(void)snprintf(line, sizeof(line), "%s/dsmx-trace %s -s %016llx 2>&1",
	               build != NULL ? build : DSMX_TOP "/build/release", command,
	               (unsigned long long)info.id);
	pipe = popen(line, "re");
	if (pipe == NULL)
		return -1;
	used = fread(ret_text, 1, len - 1, pipe);
	ret_text[used] = '\0';
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(trace_outside,
     "the tool finds a session of 0, 1 or 2 workers, with the numbers that the library has")
{
	for (uint32_t workers = 0; workers < 3; workers++) {
		struct dsmx_session_options options = engine_options(workers);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_phases phases;
		char text[16384], want[64];

		CHECK(session != NULL);
		CHECK(run(session, KIND_GATHER, 1000) > 0);
		CHECK(run(session, KIND_GROUPS, 1000) > 0);
		dsmx_session_phases(session, &phases);
		CHECK_EQ(trace(session, "hist", text, sizeof(text)), 0);
		(void)snprintf(want, sizeof(want), "%llu StartStreams read, 0 closed unread\n",
		               (unsigned long long)phases.streams);
		CHECK(strstr(text, want) != NULL);
		CHECK_EQ(trace(session, "stat", text, sizeof(text)), 0);
		CHECK(strstr(text, "leader") != NULL);
		CHECK_EQ(strstr(text, "worker 0") != NULL, workers > 0);
		CHECK_EQ(strstr(text, "worker 1") != NULL, workers > 1);
		dsmx_session_close(session);
	}
}

/* --- why --------------------------------------------------------------------------------------------------------------- */

/* Keys of other tasks: among a few, two whose order makes tasks of zip wait for each other. */
static struct dsmx_query *start_zip(struct dsmx_session *session, int64_t first, int64_t second)
{
	struct dsmx_plan *plan = plan_zip(first, second, true);
	struct dsmx_query *query = NULL;
	struct dsmx_error err;

	if (plan != NULL)
		(void)dsmx_query_start(session, plan, NULL, &query, &err);
	dsmx_plan_free(plan);
	return query;
}

/* Read until nothing comes for a while (-ETIMEDOUT), or to the end (0). */
static int read_until_stuck(struct dsmx_query *query)
{
	struct dsmx_batch batch;
	struct dsmx_error err;
	int r;

	do
		r = dsmx_query_next_batch(query, 500, &batch, &err);
	while (r == 1);
	return r;
}

TEST(trace_why, "a deadlock that is held is named, with its circle; a running query has none")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session;
	char text[16384] = "";
	int r = 0;

	CHECK_EQ(setenv("DSMX_HOLD_DEADLOCKS", "1", 1), 0);
	session = open_engine(&options);
	CHECK_EQ(unsetenv("DSMX_HOLD_DEADLOCKS"), 0);
	CHECK(session != NULL);
	for (int64_t second = 1; second < 8 && r == 0; second++) {
		struct dsmx_query *query = start_zip(session, 0, second);

		CHECK(query != NULL);
		r = read_until_stuck(query);
		if (r == -ETIMEDOUT)
			CHECK_EQ(trace(session, "why", text, sizeof(text)), 0);
		dsmx_query_close(query);
	}
	CHECK_EQ(r, -ETIMEDOUT);
	printf("# %s\n", strstr(text, "a deadlock") != NULL ? strstr(text, "a deadlock") : text);
	CHECK(strstr(text, "a deadlock: a circle of ") != NULL);
	CHECK(strstr(text, "waits for room in its partition") != NULL);
	CHECK(strstr(text, "waits for rows of exchange") != NULL);
	dsmx_session_close(session);
}

TEST(trace_why_not, "a query that waits for its reader is no deadlock")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	char text[16384];

	CHECK(session != NULL);
	CHECK_EQ(start_query(session, KIND_SHUFFLE, ENDLESS, &query, &err), 0);
	CHECK_EQ(dsmx_query_next_batch(query, 5000, &batch, &err), 1);
	CHECK_EQ(trace(session, "why", text, sizeof(text)), 0);
	CHECK(strstr(text, "the root (leader)") != NULL);
	CHECK(strstr(text, "no deadlock") != NULL);
	CHECK(strstr(text, "circle") == NULL);
	dsmx_query_close(query);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
