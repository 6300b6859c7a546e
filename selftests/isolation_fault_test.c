/* SPDX-License-Identifier: MIT */
/*
 * A plug-in that goes wrong in one worker of several: what the query is told, what its sibling's streams and the next
 * query have of it. The plug-in is the one of docs/examples, and for nonsense in its own pages that of hostile.h.
 */
#include <errno.h>

#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"

#define COUNT       40000
#define WATCHDOG_MS 1000U
/* Of a machine on which filling the memory takes long, or a verdict does: neither is what is tested. */
#define PATIENT_MS 30000U
#define TIMEOUT_MS 60000
#define TRIES      100

/* Of a wild write: a sanitizer says what it was, and exits. */
#if defined(__SANITIZE_ADDRESS__)
#define WILD DSMX_EXIT_CODE
#else
#define WILD DSMX_EXIT_SIGNAL
#endif

static const enum dsmx_isolation levels[] = { DSMX_ISOLATION_CGROUP, DSMX_ISOLATION_STANDARD,
	                                      DSMX_ISOLATION_STRICT };

static char example[PATH_MAX], hostile[PATH_MAX], worker[PATH_MAX];

static int open_at(enum dsmx_isolation level, uint32_t watchdog_ms, struct log *log,
                   struct dsmx_session **ret_session, struct dsmx_error *err)
{
	const char *const plugins[] = { example, hostile, NULL };
	struct dsmx_session_options options = options_of(2, log);

	(void)snprintf(example, sizeof(example), "%s/examples/filter_plugin.so",
	               getenv("DSMX_BUILD"));
	(void)snprintf(hostile, sizeof(hostile), "%s/selftests/hostile_plugin.so",
	               getenv("DSMX_BUILD"));
	(void)snprintf(worker, sizeof(worker), "%s/dsmx-worker", getenv("DSMX_BUILD"));
	options.worker_path = worker;
	options.plugins = plugins;
	options.isolation = level;
	options.restart = DSMX_RESTART_ALWAYS;
	options.restart_burst = 100;
	options.watchdog_ms = watchdog_ms * harness_slow();
	options.verdict_timeout_ms = PATIENT_MS;
	options.worker_memory_max = 128 << 20;
	return dsmx_session_open(&options, ret_session, err);
}

/* numbers, dealt to both workers, through the filter; or the operator "scribble". */
static struct dsmx_rel *tree(struct dsmx_plan *plan, const char *function)
{
	static const struct dsmx_field field = { "n", { .id = DSMX_INT64 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	static const int64_t count = COUNT;
	struct dsmx_rel *rel;

	if (strcmp(function, "own pages") == 0)
		return dsmx_rel_extension(plan, "scribble", NULL, 0, &schema, NULL, 0);
	rel = dsmx_rel_extension(plan, "numbers", &count, sizeof(count), &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ROUND_ROBIN, rel, NULL, 0, 0, NULL);
	return dsmx_rel_extension(plan, "filter", function, strlen(function), &schema, &rel, 1);
}

/* Run it. Every row that comes is odd and comes once; @ret_rows are so many, or -1: one was not so. */
static int run(struct dsmx_session *session, const char *function, int *ret_rows,
               struct dsmx_error *err)
{
	static uint8_t seen[COUNT];
	struct dsmx_plan *plan = NULL;
	struct dsmx_query *query = NULL;
	struct dsmx_batch batch;
	int r = dsmx_plan_new(&plan);

	memset(seen, 0, sizeof(seen));
	*ret_rows = 0;
	if (r == 0)
		r = dsmx_plan_finish(plan, tree(plan, function), NULL, err);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, &query, err);
	while (r == 0 && (r = dsmx_query_next_batch(query, TIMEOUT_MS, &batch, err)) > 0) {
		const int64_t *values = batch.columns[0].values;

		for (uint32_t i = 0; i < batch.selected; i++) {
			uint32_t row = batch.selection != NULL ? batch.selection[i] : i;
			int64_t n = values[row];

			if (n < 0 || n >= COUNT || n % 2 == 0 || seen[n]++ != 0)
				*ret_rows = -1;
			*ret_rows += *ret_rows >= 0;
		}
		r = 0;
	}
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	return r;
}

/* The worker that is another one than it was, when it is READY; -1: none is, in time. */
static int who_died(struct dsmx_session *session, const struct dsmx_worker_info before[2])
{
	for (int tries = 0; tries < TRIES; tries++) {
		struct dsmx_error err;
		int rows;

		for (int w = 0; w < 2; w++) {
			struct dsmx_worker_info now;

			if (dsmx_session_worker(session, (uint32_t)w, &now) == 0 &&
			    now.state == DSMX_WORKER_READY && now.epoch != before[w].epoch)
				return w;
		}
		/* The leader hears while it does something. */
		(void)run(session, "odd", &rows, &err);
	}
	return -1;
}

/* One fault: the query fails, its worker dies of @reason, the sibling is the same process, the next query is right. */
static void fault(bool *ok, struct dsmx_session *session, const char *function, int reason)
{
	struct dsmx_worker_info before[2], after[2];
	struct dsmx_error err = { .message = "" };
	int rows, dead;

	for (uint32_t w = 0; w < 2; w++)
		CHECK_EQ(dsmx_session_worker(session, w, &before[w]), 0);
	CHECK(run(session, function, &rows, &err) < 0);
	printf("#   %-9s %s: %s\n", function, dsmx_exit_reason_str(err.reason), err.message);
	CHECK(rows >= 0);
	CHECK_EQ(err.reason, reason);
	dead = who_died(session, before);
	CHECK(dead >= 0);
	for (uint32_t w = 0; w < 2; w++)
		CHECK_EQ(dsmx_session_worker(session, w, &after[w]), 0);
	CHECK_EQ(after[dead].reason, reason);
	CHECK_EQ(after[dead].restarts, 1);
	CHECK_EQ(after[1 - dead].pid, before[1 - dead].pid);
	CHECK_EQ(after[1 - dead].isolation, after[dead].isolation);
	CHECK_EQ(run(session, "odd", &rows, &err), 0);
	CHECK_EQ(rows, COUNT / 2);
}

static void faults(bool *ok, const char *function, int reason)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(levels); i++) {
		struct log log = { .notices = 0 };
		struct dsmx_session *session;
		struct dsmx_error err;
		struct dsmx_session_info info;

		CHECK_EQ(open_at(levels[i], reason == DSMX_EXIT_WATCHDOG ? WATCHDOG_MS : PATIENT_MS,
		                 &log, &session, &err),
		         0);
		dsmx_session_info(session, &info);
		printf("# %s (%s)\n", info.level, info.steps);
		if (reason == DSMX_EXIT_OOM && strstr(log.text, "without") != NULL) {
			dsmx_session_close(session);
			SKIP("no cgroup to limit memory by");
		}
		fault(ok, session, function, reason);
		dsmx_session_close(session);
		if (!*ok)
			return;
	}
}

TEST(plugin_crash, "a function that aborts: SIGNAL, at each level; the sibling serves on")
{
	faults(ok, "crash", DSMX_EXIT_SIGNAL);
}

TEST(plugin_stack, "a function that writes over the stack: SIGNAL; the sibling serves on")
{
	faults(ok, "stack", WILD);
}

TEST(plugin_scribble,
     "a function that writes into a peer's mapping: SIGNAL, and the peer's rows are right")
{
	faults(ok, "scribble", WILD);
}

TEST(plugin_loop, "a function that loops: WATCHDOG; the sibling serves on")
{
	faults(ok, "loop", DSMX_EXIT_WATCHDOG);
}

TEST(plugin_leak, "a function that leaks: OOM, of its worker alone")
{
	faults(ok, "leak", DSMX_EXIT_OOM);
}

/*
 * What it says of itself is its own to spoil, that it is dead, too: then nobody asks it for anything any more. The
 * query is right or it fails, a row is right or it is not there, and the session goes on with who is left, or says
 * that nobody is: a task may have been run again, and have spoiled the next worker.
 */
TEST(plugin_own_pages,
     "an operator that fills its own page with nonsense: no wrong row, then or later, and no query hangs")
{
	for (size_t i = 0; i < DX_ARRAY_LEN(levels); i++) {
		struct dsmx_session *session;
		struct dsmx_error err = { .message = "" };
		int rows, r;

		CHECK_EQ(open_at(levels[i], WATCHDOG_MS, NULL, &session, &err), 0);
		r = run(session, "own pages", &rows, &err);
		printf("# %s: %s, %d rows: %s\n", dsmx_isolation_str(levels[i], false),
		       r == 0 ? "ended" : dsmx_exit_reason_str(err.reason), rows, err.message);
		CHECK(rows >= 0);
		CHECK(r != -ETIMEDOUT);
		for (int later = 0; later < 3; later++) {
			r = run(session, "odd", &rows, &err);
			CHECK(rows >= 0);
			CHECK(r != 0 || rows == COUNT / 2);
			CHECK(r == 0 || r == -EOWNERDEAD || r == -EBADMSG);
		}
		dsmx_session_close(session);
	}
}

int main(int argc, char **argv)
{
	find_self();
	return harness_main(argc, argv);
}
