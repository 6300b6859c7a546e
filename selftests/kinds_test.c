/* SPDX-License-Identifier: MIT */
/*
 * Every kind of exchange × workers × files, over real processes, against a serial run without any exchange: the
 * same rows, each where its kind says, in the order in which its producer gave it.
 *
 * One session of each number of workers serves all kinds. Rows are judged as they come, so that a million of them
 * need a bit each.
 */
#include "base/cx.h"
#include "exec/build.h"
#include "kinds.h"

#define TASKS_MAX    16
#define PARTS_MAX    16
#define MILLION      1000000U
#define TOO_LONG     (4U << 20)
#define LONG_ROWS    9U
#define SERIAL_WIDTH 4 /* key, seq, target, length of the text */

static const struct file files[] = {
	{ "empty", 0, 1, 0, 1, -1, false, 0 },
	{ "one", 1, 1, 0, 1, -1, false, 0 },
	{ "nulls", 3000, 200, 2, 1, -1, false, 0 },
	{ "wide", 200, 10, 7, 1000, -1, false, 0 },
	{ "million", MILLION, 20000, 0, 1, -1, false, 0 },
};

static const uint32_t worker_counts[] = { 0, 1, 2, 8 };
#define SESSIONS DX_ARRAY_LEN(worker_counts)

static struct dsmx_session *sessions[SESSIONS];

/* --- the serial run -------------------------------------------------------------------------------------------- */

struct tally {
	uint64_t rows, hash;
};

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Whatever the order: a sum over the rows. */
static void count_row(struct tally *t, const int64_t *values, bool null)
{
	uint64_t hash = null;

	for (int i = 0; i < SERIAL_WIDTH; i++)
		hash = mix(hash * 31 + (i == 0 && null ? 0 : (uint64_t)values[i]));
	t->rows++;
	t->hash += hash;
}

/* Values of the first @width columns, which are int64. Returns whether the key is null. */
static bool row_of(const struct dsmx_batch *batch, uint32_t k, int width, int64_t *ret_values)
{
	uint32_t at = batch->selection != NULL ? batch->selection[k] : k;

	for (int c = 0; c < width; c++)
		ret_values[c] = ((const int64_t *)batch->columns[c].values)[at];
	return dsmx_column_is_null(&batch->columns[0], at);
}

/* Poll one stream to its end, here. */
static int count_stream(struct dsmx_stream *stream, struct dsmx_error *err, struct tally *tally)
{
	struct dsmx_cx cx = { .err = err, .slice_end_ns = UINT64_MAX };
	struct dsmx_batch batch;
	int r;

	while ((r = stream->ops->poll_next(stream, &cx, &batch)) == 1) {
		for (uint32_t k = 0; k < batch.selected; k++) {
			int64_t values[SERIAL_WIDTH];
			bool null = row_of(&batch, k, SERIAL_WIDTH, values);

			count_row(tally, values, null);
		}
	}
	return r;
}

/* The file's rows by one task in this process, past no exchange. */
static void run_serial(bool *ok, const struct file *file, struct tally *ret_tally)
{
	static const struct dsmx_type int64 = { DSMX_INT64, 0, 0, 0 };
	struct dx_exec_env env = { .tasks = 1 };
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_file(plan, file->name);
	struct dsmx_expr *exprs[SERIAL_WIDTH], *text = dsmx_expr_column(plan, rel, 3);
	struct dsmx_error err = { 0 };
	struct dsmx_cx cx = { .err = &err };
	struct dsmx_stream *stream;
	struct dsmx_operator *op;

	for (uint32_t i = 0; i < 3; i++)
		exprs[i] = dsmx_expr_column(plan, rel, i);
	exprs[2] = dsmx_expr_cast(plan, exprs[2], int64);
	exprs[3] = dsmx_expr_cast(plan, dsmx_expr_call(plan, DSMX_FN_CHAR_LENGTH, &text, 1), int64);
	rel = dsmx_rel_project(plan, rel, exprs, NULL, SERIAL_WIDTH);
	CHECK_EQ(dsmx_plan_finish(plan, rel, NULL, &err), 0);
	CHECK_EQ(dx_file_cache_new(&env.files), 0);
	CHECK_EQ(dx_exec_build(&env, dx_plan_root(plan), &op, &err), 0);
	CHECK_EQ(op->ops->execute(op, &cx, 0, &stream), 0);
	*ret_tally = (struct tally){ 0 };
	CHECK_EQ(count_stream(stream, &err, ret_tally), 0);
	stream->ops->close(stream);
	op->ops->free(op);
	dx_file_cache_free(env.files);
	dsmx_plan_free(plan);
	CHECK_EQ(ret_tally->rows, file->rows);
}

/* --- rows past an exchange ------------------------------------------------------------------------------------- */

struct row {
	int64_t key, seq, target, text, producer, produced, consumer, consumed;
	bool null;
};

/* What was seen so far of one query's rows. */
struct judge {
	enum dsmx_exchange_kind kind;
	const struct file *file;
	uint32_t parts;
	struct tally tally;
	uint8_t *seen; /* a bit for each row; BROADCAST: and partition */
	int64_t consumed[PARTS_MAX];
	int64_t produced[PARTS_MAX][TASKS_MAX];
	int64_t place[KEYS + 1];
	struct row before;
	const char *wrong; /* NULL: nothing so far */
};

static bool is_as_it_was(const struct file *file, const struct row *r)
{
	return r->seq >= 0 && r->seq < file->rows && r->null == is_null(file, r->seq) &&
	       (r->null || r->key == key_of(r->seq)) && r->target == target_of(file, r->seq) &&
	       r->text == text_of(file, r->seq);
}

/* Once in all, or once in its partition. */
static bool is_first(struct judge *j, const struct row *r)
{
	uint64_t part = j->kind == DSMX_EXCHANGE_BROADCAST ? (uint64_t)r->consumer : 0;
	uint64_t at = part * j->file->rows + (uint64_t)r->seq;
	bool seen = (j->seen[at / 8] >> at % 8 & 1) != 0;

	j->seen[at / 8] = (uint8_t)(j->seen[at / 8] | 1U << at % 8);
	return !seen;
}

static int64_t range_of(const struct row *r)
{
	if (r->null)
		return DX_ARRAY_LEN(bound_texts); /* last, as a sort has them */
	for (uint32_t i = 0; i < DX_ARRAY_LEN(bound_texts); i++)
		if (r->key < atoi(bound_texts[i]))
			return i;
	return DX_ARRAY_LEN(bound_texts);
}

static bool is_in_place(struct judge *j, const struct row *r)
{
	int64_t *place = &j->place[r->null ? KEYS : r->key];

	switch (j->kind) {
	case DSMX_EXCHANGE_HASH:
		if (*place == -1)
			*place = r->consumer;
		return *place == r->consumer;
	case DSMX_EXCHANGE_ROUND_ROBIN:
		return r->consumer == (r->producer + r->produced / TURN) % j->parts;
	case DSMX_EXCHANGE_EXPLICIT:
		return r->consumer == r->target;
	case DSMX_EXCHANGE_PASSTHROUGH:
		return r->consumer == r->producer;
	case DSMX_EXCHANGE_RANGE:
		return r->consumer == range_of(r);
	default:
		return true;
	}
}

/* By key, of equal ones by task, and there as they came: the tasks' own sorts are stable. */
static bool is_sorted(const struct row *a, const struct row *b)
{
	if (a->null != b->null)
		return b->null;
	if (!a->null && a->key != b->key)
		return a->key < b->key;
	return a->producer < b->producer ||
	       (a->producer == b->producer && a->produced < b->produced);
}

/* Rows of a partition come here in its order, and there in the order of each of its producers. */
static bool is_in_order(struct judge *j, const struct row *r)
{
	int64_t *produced = &j->produced[r->consumer][r->producer];
	bool in_order = r->produced > *produced && r->consumed == j->consumed[r->consumer] + 1;

	*produced = r->produced;
	j->consumed[r->consumer] = r->consumed;
	if (j->kind == DSMX_EXCHANGE_BROADCAST) /* through a join, which keeps no order */
		return true;
	if (j->kind != DSMX_EXCHANGE_MERGE)
		return in_order;
	in_order = j->tally.rows == 0 || is_sorted(&j->before, r);
	j->before = *r;
	return in_order;
}

static void judge_row(struct judge *j, const struct row *r)
{
	const int64_t values[SERIAL_WIDTH] = { r->key, r->seq, r->target, r->text };

	if (!is_as_it_was(j->file, r))
		j->wrong = "is not as it was";
	else if (r->producer < 0 || r->producer >= TASKS_MAX || r->consumer < 0 ||
	         r->consumer >= j->parts)
		j->wrong = "is of a task that there is not";
	else if (!is_first(j, r))
		j->wrong = "came twice";
	else if (!is_in_place(j, r))
		j->wrong = "is in the wrong partition";
	else if (!is_in_order(j, r))
		j->wrong = "is out of order";
	if (j->wrong != NULL)
		printf("# row %lld of producer %lld's %lld in partition %lld %s\n",
		       (long long)r->seq, (long long)r->producer, (long long)r->produced,
		       (long long)r->consumer, j->wrong);
	count_row(&j->tally, values, r->null);
}

static void judge_batch(struct judge *j, const struct dsmx_batch *batch)
{
	for (uint32_t k = 0; k < batch->selected && j->wrong == NULL; k++) {
		int64_t v[COLUMNS];
		bool null = row_of(batch, k, COLUMNS, v);
		struct row row = { v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], null };

		judge_row(j, &row);
	}
}

/* --- one cell of the matrix ------------------------------------------------------------------------------------ */

static struct dsmx_plan *plan_of(enum dsmx_exchange_kind kind, const struct file *file,
                                 uint32_t workers)
{
	uint32_t tasks = workers > 1 ? workers : 3;

	return kind == DSMX_EXCHANGE_BROADCAST ? broadcast_plan(file, tasks)
	                                       : kind_plan(kind, file, tasks);
}

/* The exchange of @kind among the plan's; the broadcast's join has another one. */
static bool find_exchange(const struct dsmx_plan *plan, enum dsmx_exchange_kind kind,
                          struct dsmx_exchange_info *ret_info)
{
	for (uint32_t i = 0; i < dsmx_plan_exchange_count(plan); i++)
		if (dsmx_plan_exchange(plan, i, ret_info) == 0 && ret_info->kind == kind)
			return true;
	return false;
}

/* Returns 0 or the failure. */
static int run_judged(struct dsmx_session *session, struct dsmx_plan *plan, struct judge *j,
                      struct dsmx_query_stats *ret_stats, struct dsmx_error *err)
{
	struct dsmx_query *query;
	struct dsmx_batch batch;
	int r = dsmx_query_start(session, plan, NULL, &query, err);

	if (r != 0)
		return r;
	while ((r = dsmx_query_next_batch(query, 30000, &batch, err)) == 1)
		judge_batch(j, &batch);
	dsmx_query_stats(query, ret_stats);
	dsmx_query_close(query);
	return r;
}

static void check_cell(bool *ok, enum dsmx_exchange_kind kind, const struct file *file,
                       const struct tally *serial, uint32_t s)
{
	uint32_t copies = kind == DSMX_EXCHANGE_BROADCAST ? PARTS : 1;
	struct judge *j = calloc(1, sizeof(*j));
	struct dsmx_plan *plan = plan_of(kind, file, worker_counts[s]);
	struct dsmx_query_stats stats = { 0 };
	struct dsmx_exchange_info info;
	struct dsmx_error err = { 0 };
	int r;

	CHECK(plan != NULL && find_exchange(plan, kind, &info));
	CHECK(info.consumer_partitions <= PARTS_MAX);
	j->kind = kind;
	j->file = file;
	j->parts = info.consumer_partitions;
	j->seen = calloc((size_t)copies * file->rows / 8 + 1, 1);
	memset(j->consumed, -1, sizeof(j->consumed));
	memset(j->produced, -1, sizeof(j->produced));
	memset(j->place, -1, sizeof(j->place));
	r = run_judged(sessions[s], plan, j, &stats, &err);
	if (r != 0)
		printf("# %s\n", err.message);
	CHECK_EQ(r, 0);
	CHECK(j->wrong == NULL);
	CHECK_EQ(j->tally.rows, copies * serial->rows);
	CHECK_EQ(j->tally.hash, copies * serial->hash);
	/* The rows went through the exchange, and not round it. */
	CHECK(stats.ring_rows + stats.local_rows >= j->tally.rows);
	CHECK(file->rows == 0 || (worker_counts[s] == 0) == (stats.ring_rows == 0));
	CHECK(stats.start_streams > 0);
	free(j->seen);
	free(j);
	dsmx_plan_free(plan);
}

/* --- the longest row ------------------------------------------------------------------------------------------- */

/* Run it in session @s: -EMSGSIZE with the size and the limit in the sentence, which become these. */
static void check_too_long(bool *ok, enum dsmx_exchange_kind kind, const struct file *file,
                           uint32_t s, long long *ret_size, long long *ret_limit)
{
	struct dsmx_plan *plan;
	struct outcome o;
	const char *at;

	make_file(file);
	plan = plan_of(kind, file, worker_counts[s]);
	CHECK(plan != NULL);
	o = run_plan(sessions[s], plan, NULL);
	CHECK_EQ(o.code, -EMSGSIZE);
	at = strstr(o.error.message, "a row of ");
	CHECK(at != NULL);
	CHECK_EQ(sscanf(at, "a row of %lld bytes is longer than the longest run of %lld", ret_size,
	                ret_limit),
	         2);
	CHECK(*ret_size > *ret_limit && o.error.exchange >= 0);
	dsmx_plan_free(plan);
}

/* A row as long as the longest run after some others passes, and a byte more is refused. */
static void check_longest(bool *ok, enum dsmx_exchange_kind kind, uint32_t s)
{
	struct file file = { "long", LONG_ROWS, 4, 3, 3, -1, false, TOO_LONG };
	long long size, limit, size_more, limit_more;
	struct tally serial;

	check_too_long(ok, kind, &file, s, &size, &limit);
	CHECK(*ok);
	file.last_text -= (uint32_t)(size - limit);
	make_file(&file);
	run_serial(ok, &file, &serial);
	if (*ok)
		check_cell(ok, kind, &file, &serial, s);
	CHECK(*ok);
	file.last_text++;
	check_too_long(ok, kind, &file, s, &size_more, &limit_more);
	CHECK(*ok);
	CHECK_EQ(limit_more, limit);
	CHECK(size_more > limit && size_more <= limit + (long long)DSMX_LINE_BYTES);
}

/* --- the matrix ------------------------------------------------------------------------------------------------ */

static void check_kind(bool *ok, enum dsmx_exchange_kind kind)
{
	make_file(&one_each);
	for (size_t f = 0; f < DX_ARRAY_LEN(files); f++) {
		struct tally serial;

		make_file(&files[f]);
		run_serial(ok, &files[f], &serial);
		for (uint32_t s = 0; *ok && s < SESSIONS; s++) {
			check_cell(ok, kind, &files[f], &serial, s);
			if (!*ok)
				printf("# %u workers, file %s\n", worker_counts[s], files[f].name);
		}
		CHECK(*ok);
	}
	for (uint32_t s = 0; s < SESSIONS; s++) {
		check_longest(ok, kind, s);
		if (!*ok)
			printf("# %u workers, the longest row\n", worker_counts[s]);
		CHECK(*ok);
	}
}

TEST(kind_hash, "hash: every row once, all rows of a key in one partition")
{
	check_kind(ok, DSMX_EXCHANGE_HASH);
}

TEST(kind_gather, "gather: every row once in the one partition, in the order of each task")
{
	check_kind(ok, DSMX_EXCHANGE_GATHER);
}

TEST(kind_broadcast, "broadcast: every row once in each partition")
{
	check_kind(ok, DSMX_EXCHANGE_BROADCAST);
}

TEST(kind_round_robin,
     "round robin: 64 rows to each partition in turn, task t beginning with its own")
{
	check_kind(ok, DSMX_EXCHANGE_ROUND_ROBIN);
}

TEST(kind_explicit, "explicit: every row in the partition that its column names")
{
	check_kind(ok, DSMX_EXCHANGE_EXPLICIT);
}

TEST(kind_passthrough, "passthrough: the rows of task t in partition t")
{
	check_kind(ok, DSMX_EXCHANGE_PASSTHROUGH);
}

TEST(kind_range, "range: every row between the bounds of its partition, nulls in the last one")
{
	check_kind(ok, DSMX_EXCHANGE_RANGE);
}

TEST(kind_merge, "merge: the rows in the order of the key, those of a lower task first")
{
	check_kind(ok, DSMX_EXCHANGE_MERGE);
}

TEST(kind_arbitrary, "arbitrary: every row once, in the order of its producer wherever it went")
{
	check_kind(ok, DSMX_EXCHANGE_ARBITRARY);
}

TEST(kind_nothing_left,
     "after all of that every worker lives, and nobody missed a wake or keeps memory")
{
	for (uint32_t s = 0; s < SESSIONS; s++) {
		for (uint32_t w = 0; w < worker_counts[s]; w++)
			CHECK(dsmx_session_worker_pid(sessions[s], w) > 0);
		CHECK_EQ(count_late_parks(sessions[s]), 0);
		CHECK_EQ(dx_slab_used(dx_mesh_slabs(sessions[s]->mesh)), 0);
		CHECK(producers_end(sessions[s]));
	}
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, engine);
	if (status >= 0)
		return status;
	enter_folder();
	for (uint32_t s = 0; s < SESSIONS; s++) {
		struct dsmx_session_options options = engine_options(worker_counts[s]);

		sessions[s] = open_engine(&options);
		if (sessions[s] == NULL)
			return KSFT_FAIL;
	}
	status = harness_main(argc, argv);
	for (uint32_t s = 0; s < SESSIONS; s++)
		dsmx_session_close(sessions[s]);
	leave_folder();
	return status;
}
