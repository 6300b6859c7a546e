/* SPDX-License-Identifier: MIT */
/* What exchanges of some kinds do beside dealing rows: a slow consumer, a row that is nobody's, a merge in a cycle. */
#include <sched.h>
#include <sys/mount.h>

#include "kinds.h"

static const struct file lost = { "lost", 5000, 500, 0, 1, 4321, false, 0 };
static const struct file crowd = { "crowd", 60000, 60000, 0, 1, -1, false, 0 };
static const struct file halves = { "halves", 20000, 20000, 0, 1, -1, true, 0 };

/* --- operators that take their time: a batch each so many ms ------------------------------------------------------- */

static int poll_each(struct pipe_stream *s, int64_t ms, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	int64_t now_ns = (int64_t)dx_now_ns();

	if (now_ns < s->rows) { /* that is when it will be ready */
		dsmx_cx_yield(cx);
		return -EAGAIN;
	}
	s->rows = now_ns + ms * (int64_t)DX_NS_PER_MS;
	return s->inputs[0]->ops->poll_next(s->inputs[0], cx, ret_batch);
}

/* A slow consumer: task 0. */
static int slow_next(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;

	return poll_each(s, s->task == 0 ? 20 : 0, cx, ret_batch);
}
PIPE(slow_make, "Slow", slow_next, 1, 0)

/* A paced producer: what it gives a consumer that is awake has long read by the next time; one that is not... */
static int pace_next(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	return poll_each((struct pipe_stream *)stream, 10, cx, ret_batch);
}
PIPE(pace_make, "Pace", pace_next, 1, 0)

/* ...dozes: task 0, longer. */
static int doze_next(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;

	return poll_each(s, s->task == 0 ? 200 : 0, cx, ret_batch);
}
PIPE(doze_make, "Doze", doze_next, 1, 0)

static const struct dsmx_extension own[] = {
	{ "stamp", stamp_make }, { "slow", slow_make }, { "pace", pace_make },
	{ "doze", doze_make },   { NULL, NULL },
};
/* --- rows ------------------------------------------------------------------------------------------------------ */

struct row {
	int64_t key, seq, target, text, producer, produced, consumer, consumed;
	bool null;
};

/* Returns 0 or the failure; *ret_rows is the caller's. */
static int read_rows(struct dsmx_session *session, struct dsmx_plan *plan, uint32_t room,
                     struct row **ret_rows, uint32_t *ret_count, struct dsmx_query_stats *ret_stats,
                     struct dsmx_error *err)
{
	struct row *rows = calloc(room + 1, sizeof(*rows));
	struct dsmx_query *query;
	struct dsmx_batch batch;
	uint32_t count = 0;
	int r = dsmx_query_start(session, plan, NULL, &query, err);

	*ret_rows = rows;
	*ret_count = 0;
	if (r != 0)
		return r;
	while ((r = dsmx_query_next_batch(query, 30000, &batch, err)) == 1) {
		for (uint32_t k = 0; k < batch.selected; k++) {
			uint32_t at = batch.selection != NULL ? batch.selection[k] : k;
			int64_t v[COLUMNS];

			for (uint32_t c = 0; c < COLUMNS; c++)
				v[c] = ((const int64_t *)batch.columns[c].values)[at];
			if (count == room) /* one too many is as wrong as any other number */
				continue;
			rows[count++] = (struct row){
				v[0], v[1], v[2],
				v[3], v[4], v[5],
				v[6], v[7], dsmx_column_is_null(&batch.columns[0], at)
			};
		}
	}
	if (ret_stats != NULL)
		dsmx_query_stats(query, ret_stats);
	dsmx_query_close(query);
	*ret_count = count;
	return r;
}
/* Every row of the file once, as it was. */
static void check_once(bool *ok, const struct file *file, const struct row *rows, uint32_t count)
{
	bool *seen = calloc(file->rows + 1, 1);

	for (uint32_t i = 0; i < count && *ok; i++) {
		const struct row *r = &rows[i];

		*ok = r->seq >= 0 && r->seq < file->rows && !seen[r->seq] &&
		      r->null == is_null(file, r->seq) && (r->null || r->key == key_of(r->seq)) &&
		      r->target == target_of(file, r->seq) && r->text == text_of(file, r->seq);
		if (*ok)
			seen[r->seq] = true;
		else
			printf("# row %lld is not as it was\n", (long long)r->seq);
	}
	free(seen);
	CHECK(*ok);
	CHECK_EQ(count, file->rows);
}
static const uint32_t worker_counts[] = { 0, 1, 2, 8 };

TEST(arbitrary_slow,
     "arbitrary: a consumer that takes a frame every 20 ms does not hold up the other")
{
	const struct dsmx_exchange_config small = { .credit_bytes = 16384, .frame_bytes = 4096 };
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_plan *plan = plan_new();
	struct dsmx_session *session;
	struct dsmx_error err = { 0 };
	uint32_t count, slow = 0;
	struct dsmx_rel *rel;
	struct row *rows;

	make_file(&crowd);
	rel = rel_stamp(plan, rel_file(plan, crowd.name));
	options.extensions = own;
	session = open_engine(&options);
	CHECK(session != NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ARBITRARY, rel, NULL, 0, 2, &small);
	rel = dsmx_rel_extension(plan, "slow", NULL, 0, dsmx_rel_schema(rel), &rel, 1);
	rel = rel_gather(plan, columns_of(plan, rel_stamp(plan, rel)));
	CHECK_EQ(plan_end(plan, rel, 2), 0);
	CHECK_EQ(read_rows(session, plan, crowd.rows + 1, &rows, &count, NULL, &err), 0);
	check_once(ok, &crowd, rows, count);
	for (uint32_t i = 0; i < count; i++)
		slow += rows[i].consumer == 0;
	printf("# %u of %u rows went to the slow one\n", slow, count);
	CHECK(slow > 0 && slow < count / 4);
	free(rows);
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

/* Nobody is ever out of credit here: who has room does not decide, who has most of it does. */
TEST(kind_arbitrary_credit,
     "arbitrary: of consumers that all have room, the slow one gets fewer frames")
{
	const struct dsmx_exchange_config ample = { .credit_bytes = 8 << 20, .frame_bytes = 65536 };
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_plan *plan = plan_new();
	struct dsmx_query_stats stats;
	struct dsmx_session *session;
	struct dsmx_error err = { 0 };
	uint32_t count, slow = 0;
	struct dsmx_rel *rel;
	struct row *rows;

	make_file(&crowd);
	options.extensions = own;
	options.data_bytes = 32 << 20;
	session = open_engine(&options);
	CHECK(session != NULL);
	rel = rel_stamp(plan, rel_file(plan, crowd.name));
	rel = dsmx_rel_extension(plan, "pace", NULL, 0, dsmx_rel_schema(rel), &rel, 1);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ARBITRARY, rel, NULL, 0, 2, &ample);
	rel = dsmx_rel_extension(plan, "doze", NULL, 0, dsmx_rel_schema(rel), &rel, 1);
	rel = rel_gather(plan, columns_of(plan, rel_stamp(plan, rel)));
	CHECK_EQ(plan_end(plan, rel, 2), 0);
	CHECK_EQ(read_rows(session, plan, crowd.rows + 1, &rows, &count, &stats, &err), 0);
	check_once(ok, &crowd, rows, count);
	for (uint32_t i = 0; i < count; i++)
		slow += rows[i].consumer == 0;
	printf("# %u of %u rows went to the slow one, after %llu waits\n", slow, count,
	       (unsigned long long)stats.waits);
	CHECK(slow > 0 && slow < count / 4);
	free(rows);
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

/* Does a task of exchange 0 say in its record that it waits for credit of any of the partitions @any? */
static bool waits_for_any(const struct dsmx_task_abi *record, uint64_t any)
{
	return record->exchange == 0 && dx_load_plain(&record->park_kind) == DSMX_PARK_CREDIT &&
	       dx_load_plain(&record->park_any) == any;
}

TEST(kind_arbitrary_parks,
     "arbitrary: who is out of credit everywhere says that any partition would do")
{
	const struct dsmx_exchange_config small = { .credit_bytes = 8192, .frame_bytes = 4096 };
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct dsmx_plan *plan = plan_new();
	struct dsmx_error err = { 0 };
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_rel *rel;
	uint64_t until_ns, count;

	make_file(&crowd);
	CHECK(session != NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ARBITRARY, rel_file(plan, crowd.name), NULL, 0,
	                        2, &small);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel_stamp(plan, rel), NULL, 0, 1,
	                        &small);
	CHECK_EQ(plan_end(plan, rel, 2), 0);
	CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
	CHECK_EQ(dsmx_query_next_batch(query, 30000, &batch, &err), 1);
	until_ns = dx_now_ns() +
	           5 * DX_NS_PER_S; /* nobody reads on: credit runs out, here and there */
	while (!any_task(session, waits_for_any, 3) && dx_now_ns() < until_ns)
		(void)usleep(200);
	CHECK(any_task(session, waits_for_any, 3));
	count = batch.selected;
	while (dsmx_query_next_batch(query, 30000, &batch, &err) == 1)
		count += batch.selected;
	CHECK_EQ(count, crowd.rows);
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

TEST(explicit_lost, "a row that names no partition ends the query with -ERANGE and the value")
{
	make_file(&lost);
	for (size_t w = 0; w < DX_ARRAY_LEN(worker_counts); w++) {
		struct dsmx_session_options options = engine_options(worker_counts[w]);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_plan *plan = kind_plan(DSMX_EXCHANGE_EXPLICIT, &lost, 3);
		struct dsmx_error err = { 0 };
		struct row *rows;
		uint32_t count;

		CHECK(session != NULL && plan != NULL);
		CHECK_EQ(read_rows(session, plan, lost.rows, &rows, &count, NULL, &err), -ERANGE);
		CHECK_STR(
			err.message,
			"exchange 0: target of a row is 4, which is no partition: they are 0 to 3");
		CHECK_EQ(err.exchange, 0);
		free(rows);
		dsmx_plan_free(plan);
		dsmx_session_close(session);
	}
}

/*
 * The merge cannot begin without task 0, which gets its first row when task 1 has had all of its own; but task 1 is
 * full, as the merge does not take from it.
 */
static struct dsmx_plan *cycle_plan(void)
{
	const struct dsmx_exchange_config small = { .credit_bytes = 8192, .frame_bytes = 4096 };
	const struct dsmx_sort_key by_seq = { .column = 1 };
	const uint32_t target = 2;
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_stamp(plan, rel_file(plan, halves.name));

	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, rel, &target, 1, PARTS, &small);
	rel = dsmx_rel_exchange_merge(plan, rel_stamp(plan, rel), &by_seq, 1, &small);
	return plan_end(plan, columns_of(plan, rel), 2) == 0 ? plan : NULL;
}

TEST(merge_cycle,
     "a merge that waits for a task which is behind one that is full goes on by overflow")
{
	make_file(&halves);
	for (size_t w = 0; w < DX_ARRAY_LEN(worker_counts); w++) {
		struct dsmx_session_options options = engine_options(worker_counts[w]);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_query_stats stats = { 0 };
		struct dsmx_plan *plan = cycle_plan();
		struct dsmx_error err = { 0 };
		struct row *rows;
		uint32_t count;

		CHECK(session != NULL && plan != NULL);
		CHECK_EQ(read_rows(session, plan, halves.rows + 1, &rows, &count, &stats, &err), 0);
		CHECK_EQ(count, halves.rows);
		for (uint32_t i = 0; i < count; i++)
			CHECK(rows[i].seq == i && rows[i].consumer == rows[i].target);
		CHECK(stats.overflow_bytes > 0);
		free(rows);
		dsmx_plan_free(plan);
		dsmx_session_close(session);
	}
}
/* A disk of one page, that this process and its workers see and nobody else. */
static bool make_small_disk(const char *path)
{
	return mkdir(path, 0700) == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("dsmx", path, "tmpfs", 0, "size=4096") == 0;
}

TEST(overflow_full,
     "a full disk ends the query with -ENOSPC and the folder's name, and the session goes on")
{
	char path[PATH_MAX + 64];

	(void)file_path("disk", path, sizeof(path));
	if (!make_small_disk(path)) {
		int code = errno;

		(void)rmdir(path);
		SKIP("no file system may be mounted here: %s", strerror(code));
	}
	CHECK_EQ(setenv("DSMX_OVERFLOW_DIR", path, 1), 0);
	make_file(&halves);
	for (size_t w = 0; w < DX_ARRAY_LEN(worker_counts); w++) {
		struct dsmx_session_options options = engine_options(worker_counts[w]);
		struct dsmx_session *session = open_engine(&options);

		CHECK(session != NULL);
		for (int again = 0; again < 2; again++) {
			struct dsmx_plan *plan = cycle_plan();
			struct outcome o;

			CHECK(plan != NULL);
			o = run_plan(session, plan, NULL);
			CHECK_EQ(o.code, -ENOSPC);
			if (strstr(o.error.message, path) == NULL)
				printf("# %s\n", o.error.message);
			CHECK(strstr(o.error.message, path) != NULL && o.error.exchange >= 0);
			dsmx_plan_free(plan);
		}
		for (uint32_t i = 0; i < worker_counts[w]; i++)
			CHECK(dsmx_session_worker_pid(session, i) > 0);
		dsmx_session_close(session);
	}
	CHECK_EQ(unsetenv("DSMX_OVERFLOW_DIR"), 0);
	CHECK_EQ(umount2(path, MNT_DETACH), 0);
	CHECK_EQ(rmdir(path), 0);
}

int main(int argc, char **argv)
{
	return own_engine_main(argc, argv, own);
}
