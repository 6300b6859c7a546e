/* SPDX-License-Identifier: MIT */
/*
 * A producer killed, and its tasks run again elsewhere where nobody has taken of them; else the whole query, where
 * that is allowed, or the verdict.
 *
 *	file ── gate ── [explicit: 2 consumers] ── gather ── here
 *
 * The gate lets some batches of each task through and holds the rest until the test opens it, so that a death comes
 * at a moment that is known.
 */
#include <poll.h>

#include "base/cx.h"
#include "kinds.h"

#define ROWS       6000U
#define BATCH_ROWS 100U

static const struct file table_of_all = { "all", ROWS, BATCH_ROWS, 0, 1, -1, true, 0 };

/* --- the gate -------------------------------------------------------------------------------------------------- */

struct gate_bytes {
	int64_t task;   /* that lets some rows through before the gate opens */
	int64_t rows;   /* those */
	char path[512]; /* it is open when there is such a file */
};

struct gate_op {
	struct dsmx_operator op; /* must be first */
	struct dsmx_operator *input;
	struct gate_bytes how;
};

struct gate_stream {
	struct dsmx_stream stream; /* must be first */
	struct gate_op *op;
	struct dsmx_stream *input;
	uint32_t task;
	int64_t rows;
};

static int gate_next(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct gate_stream *s = (struct gate_stream *)stream;
	int r;

	if ((s->task != s->op->how.task || s->rows >= s->op->how.rows) &&
	    access(s->op->how.path, F_OK) != 0) {
		if (s->rows > 0 &&
		    s->rows < (int64_t)ROWS) { /* what it has let through is to be sent */
			s->rows += ROWS;
			cx->waker->wake(cx->waker);
			return -EAGAIN;
		}
		(void)poll(NULL, 0, 1);
		dsmx_cx_yield(cx);
		return -EAGAIN;
	}
	r = s->input->ops->poll_next(s->input, cx, ret_batch);
	if (r == 1)
		s->rows += ret_batch->selected;
	return r;
}

static void gate_close(struct dsmx_stream *stream)
{
	struct gate_stream *s = (struct gate_stream *)stream;

	s->input->ops->close(s->input);
	free(s);
}

static int gate_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                        struct dsmx_stream **ret_stream)
{
	static const struct dsmx_stream_ops ops = { gate_next, gate_close };
	struct gate_stream *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->stream.ops = &ops;
	s->op = (struct gate_op *)op;
	s->task = partition;
	r = s->op->input->ops->execute(s->op->input, cx, partition, &s->input);
	if (r != 0)
		free(s);
	else
		*ret_stream = &s->stream;
	return r;
}

static void gate_free(struct dsmx_operator *op)
{
	struct gate_op *gate = (struct gate_op *)op;

	gate->input->ops->free(gate->input);
	free(gate);
}

static int gate_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_operator_ops ops = { "Gate", gate_execute, gate_free };
	struct gate_op *op = calloc(1, sizeof(*op));

	(void)err;
	if (op == NULL || input_count != 1 || len != sizeof(op->how))
		return -EINVAL;
	op->op = (struct dsmx_operator){ .ops = &ops, .schema = *output };
	op->input = inputs[0];
	memcpy(&op->how, bytes, len);
	*ret_operator = &op->op;
	return 0;
}

static const struct dsmx_extension own[] = { { "gate", gate_make }, { NULL, NULL } };

/* --- a run ----------------------------------------------------------------------------------------------------- */

struct run {
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct gate_bytes how;
	struct dsmx_error err;
	bool shuffled, sorted;
	uint32_t seen; /* rows */
	bool twice;
	uint8_t is_seen[ROWS];
};

static struct dsmx_plan *gated_plan(const struct run *run, uint32_t tasks)
{
	const struct dsmx_exchange_config small = { .frame_bytes = 4096 };
	const struct dsmx_sort_key by_seq = { .column = 1 };
	const uint32_t target = 2;
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_file(plan, table_of_all.name);

	rel = dsmx_rel_extension(plan, "gate", &run->how, sizeof(run->how), dsmx_rel_schema(rel),
	                         &rel, 1);
	if (run->shuffled) /* the first half of the rows to partition 1, the second to 0 */
		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, rel, &target, 1, PARTS,
		                        &small);
	if (run->sorted) /* then no row comes here before the last */
		rel = dsmx_rel_sort(plan, rel, &by_seq, 1);
	else
		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, &small);
	return plan_end(plan, rel, tasks) == 0 ? plan : NULL;
}

static void begin(bool *ok, struct run *run, const struct dsmx_session_options *options,
                  uint32_t tasks, bool retry)
{
	struct dsmx_query_options how = { .size = sizeof(how), .retry = retry };
	struct dsmx_plan *plan;

	make_file(&table_of_all);
	(void)file_path("open", run->how.path, sizeof(run->how.path));
	(void)unlink(run->how.path);
	run->session = open_engine(options);
	CHECK(run->session != NULL);
	plan = gated_plan(run, tasks);
	CHECK(plan != NULL);
	CHECK_EQ(dsmx_query_start(run->session, plan, &how, &run->query, &run->err), 0);
	dsmx_plan_free(plan);
}

static void open_gate(const struct run *run)
{
	int fd = open(run->how.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
}

/* Rows that come within @timeout_ms each. Returns 0 at the end, or the failure. */
static int take(struct run *run, int64_t timeout_ms)
{
	struct dsmx_batch batch;
	int r;

	while ((r = dsmx_query_next_batch(run->query, timeout_ms, &batch, &run->err)) == 1) {
		for (uint32_t k = 0; k < batch.selected; k++) {
			uint32_t at = batch.selection != NULL ? batch.selection[k] : k;
			int64_t seq = ((const int64_t *)batch.columns[1].values)[at];

			run->seen++;
			run->twice |= seq < 0 || seq >= ROWS || run->is_seen[seq] != 0;
			if (seq >= 0 && seq < ROWS)
				run->is_seen[seq] = 1;
		}
	}
	return r;
}

/* Until the exchange's producers run everywhere: @tasks of them have a record. */
static bool await_producers(struct run *run, uint32_t tasks)
{
	uint64_t until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	struct dsmx_query_stats stats = { 0 };

	do {
		if (take(run, 2) != -ETIMEDOUT)
			return false;
		dsmx_query_stats(run->query, &stats);
	} while (stats.producer_tasks < tasks && dx_now_ns() < until_ns);
	return stats.producer_tasks >= tasks;
}

static void kill_worker(bool *ok, const struct run *run, uint32_t worker)
{
	int pid = dsmx_session_worker_pid(run->session, worker);

	CHECK(pid > 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
}

static void end(struct run *run)
{
	dsmx_query_close(run->query);
	dsmx_session_close(run->session);
}

/* All rows, each once; the counts of both kinds, and EXPLAIN ANALYZE that has them, too. */
static void check_whole(bool *ok, struct run *run, uint64_t reruns, uint64_t retries)
{
	char line[64], *text = NULL;
	struct dsmx_query_stats stats;
	int r;

	r = take(run, 20000);
	if (r != 0)
		printf("# %s\n", run->err.message);
	CHECK_EQ(r, 0);
	CHECK(!run->twice);
	CHECK_EQ(run->seen, ROWS);
	dsmx_query_stats(run->query, &stats);
	CHECK_EQ(stats.reruns, reruns);
	CHECK_EQ(stats.retries, retries);
	CHECK_EQ(dsmx_query_explain(run->query, true, &text), 0);
	(void)snprintf(line, sizeof(line), "retries=%d reruns=%d", (int)retries, (int)reruns);
	if (strstr(text, line) == NULL)
		printf("# %s\n", text);
	CHECK(strstr(text, line) != NULL);
	free(text);
}

static struct dsmx_session_options options_for(uint32_t workers)
{
	struct dsmx_session_options options = engine_options(workers);

	options.extensions = own;
	return options;
}

/* --- tests ----------------------------------------------------------------------------------------------------- */

TEST(rerun_before,
     "a producer killed before its first frame was taken: its tasks run again elsewhere, every row comes once")
{
	for (uint32_t workers = 2; workers <= 4; workers++) {
		struct dsmx_session_options options = options_for(workers);
		struct run *run = calloc(1, sizeof(*run));

		/* Others send and are read: only of the dead one nobody may have taken. */
		run->how.rows = 500;
		begin(ok, run, &options, workers, false);
		CHECK(*ok && await_producers(run, workers));
		kill_worker(ok, run, workers - 1);
		CHECK(*ok);
		(void)take(run, 20);
		open_gate(run);
		check_whole(ok, run, 1, 0);
		CHECK(*ok);
		end(run);
		free(run);
	}
}

TEST(rerun_after, "killed after a frame of it was taken: the verdict, and never a row twice")
{
	struct dsmx_session_options options = options_for(3);
	struct run *run = calloc(1, sizeof(*run));

	run->how.task = 2;
	run->how.rows = 500;
	begin(ok, run, &options, 3, true); /* rows were given out, so it may not run again */
	CHECK(*ok && await_producers(run, 3));
	while (run->seen == 0)
		CHECK_EQ(take(run, 5), -ETIMEDOUT);
	kill_worker(ok, run, 2);
	CHECK(*ok);
	open_gate(run);
	CHECK_EQ(take(run, 20000), -EOWNERDEAD);
	CHECK(!run->twice);
	CHECK_EQ(run->err.worker, 2);
	CHECK_EQ(run->err.reason, DSMX_EXIT_SIGNAL);
	end(run);
	free(run);
}

TEST(rerun_consumers,
     "with consumers in several processes of which none took: all partitions run again elsewhere")
{
	struct dsmx_session_options options = options_for(6);
	struct run *run = calloc(1, sizeof(*run));

	run->shuffled = true;
	begin(ok, run, &options, 6, false);
	CHECK(*ok && await_producers(run, 6 + PARTS));
	kill_worker(ok, run, 5); /* it has a producer, and no consumer: these are 0 to 3 */
	CHECK(*ok);
	open_gate(run);
	check_whole(ok, run, 1, 0);
	CHECK(*ok);
	end(run);
	free(run);
}

/* Let the consumers of exchange 0 take what there is: their frames come here. */
static void await_rows(struct run *run)
{
	uint64_t until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;

	while (run->seen == 0 && dx_now_ns() < until_ns)
		(void)take(run, 5);
}

/* Has any consumer in a worker taken of producer task @task within five seconds? */
static bool await_taken(const struct run *run, uint32_t task)
{
	const struct dsmx_session *session = run->session;
	uint64_t until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;

	while (dx_now_ns() < until_ns)
		for (uint32_t p = 1; p < dx_mesh_peers(session->mesh); p++) {
			const struct dsmx_query_abi *rec = DX_LAYOUT_PEER(
				struct dsmx_query_abi, dx_mesh_peer_page(session->mesh, p),
				dx_mesh_layout(session->mesh)->queries, 0);

			if ((dx_load_plain(&rec->took[0]) >> task & 1) != 0)
				return true;
		}
	return false;
}

TEST(rerun_one_took,
     "with several consumers of which one took: not the tasks alone, but the verdict; allowed, the whole query")
{
	for (int allowed = 0; allowed < 2; allowed++) {
		struct dsmx_session_options options = options_for(6);
		struct run *run = calloc(1, sizeof(*run));

		run->shuffled = true;
		run->sorted = allowed != 0;
		run->how.task = 5;
		run->how.rows = 100; /* for partition 1 */
		begin(ok, run, &options, 6, allowed != 0);
		CHECK(*ok && await_producers(run, 6 + PARTS));
		if (allowed == 0)
			await_rows(run);
		CHECK(await_taken(run, 5));
		kill_worker(ok, run, 5);
		CHECK(*ok);
		open_gate(run);
		if (allowed == 0) {
			CHECK(run->seen > 0);
			CHECK_EQ(take(run, 20000), -EOWNERDEAD);
			CHECK(!run->twice);
			CHECK_EQ(run->err.worker, 5);
		} else {
			check_whole(ok, run, 0, 1);
			CHECK(*ok);
		}
		end(run);
		free(run);
	}
}

TEST(rerun_twice, "the process where the tasks ran again is killed, too: they run once more")
{
	struct dsmx_session_options options = options_for(4);
	struct run *run = calloc(1, sizeof(*run));

	begin(ok, run, &options, 4, false);
	CHECK(*ok && await_producers(run, 4));
	for (uint32_t i = 0; i < 3; i++) {
		kill_worker(ok, run, i);
		CHECK(*ok);
		CHECK_EQ(take(run, 30), -ETIMEDOUT);
		CHECK(await_producers(run, 4));
	}
	open_gate(run);
	CHECK_EQ(take(run, 20000), 0);
	CHECK(!run->twice);
	CHECK_EQ(run->seen, ROWS);
	end(run);
	free(run);
}

TEST(rerun_at_once, "two producers killed at the same moment")
{
	struct dsmx_session_options options = options_for(4);
	struct run *run = calloc(1, sizeof(*run));

	begin(ok, run, &options, 8, false);
	CHECK(*ok && await_producers(run, 8));
	kill_worker(ok, run, 1);
	kill_worker(ok, run, 3);
	CHECK(*ok);
	open_gate(run);
	CHECK_EQ(take(run, 20000), 0);
	CHECK(!run->twice);
	CHECK_EQ(run->seen, ROWS);
	end(run);
	free(run);
}

TEST(rerun_replaced,
     "the successor at the dead one's place has no part: the tasks run again at those that were there")
{
	struct dsmx_session_options options = options_for(3);
	struct run *run = calloc(1, sizeof(*run));
	uint64_t until_ns;

	options.restart = DSMX_RESTART_ON_FAILURE;
	begin(ok, run, &options, 3, false);
	CHECK(*ok && await_producers(run, 3));
	kill_worker(ok, run, 1);
	CHECK(*ok);
	until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	while (dsmx_session_worker_pid(run->session, 1) == 0 && dx_now_ns() < until_ns)
		CHECK_EQ(take(run, 5), -ETIMEDOUT);
	CHECK_EQ(take(run, 20), -ETIMEDOUT);
	open_gate(run);
	check_whole(ok, run, 1, 0);
	CHECK(*ok);
	end(run);
	free(run);
}

TEST(rerun_nowhere,
     "the only worker killed: without a place the whole query waits for the successor and runs again; not allowed, the verdict")
{
	for (int allowed = 0; allowed < 2; allowed++) {
		struct dsmx_session_options options = options_for(1);
		struct run *run = calloc(1, sizeof(*run));

		options.restart = DSMX_RESTART_ON_FAILURE;
		begin(ok, run, &options, 3, allowed != 0);
		CHECK(*ok && await_producers(run, 3));
		kill_worker(ok, run, 0);
		CHECK(*ok);
		open_gate(run);
		if (allowed != 0) {
			check_whole(ok, run, 0, 1);
		} else {
			CHECK_EQ(take(run, 20000), -EOWNERDEAD);
			CHECK_EQ(run->err.worker, 0);
		}
		CHECK(*ok);
		end(run);
		free(run);
	}
}

int main(int argc, char **argv)
{
	return own_engine_main(argc, argv, own);
}
