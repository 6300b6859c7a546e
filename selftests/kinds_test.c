/* SPDX-License-Identifier: MIT */
/*
 * Every kind of exchange, over real processes: each row arrives once, where its kind says, in the order in which its
 * producer gave it.
 *
 *	file ── stamp ── exchange of the kind ── stamp ── project ── gather ── here
 *
 * The stamps say of each row which task it passed below and above the exchange, and the how manieth it was there.
 */
#include "engine.h"

/* --- files ----------------------------------------------------------------------------------------------------- */

static const struct dsmx_field file_fields[] = {
	{ "key", { DSMX_INT64, 0, 0, 0 }, true },
	{ "seq", { DSMX_INT64, 0, 0, 0 }, false },
	{ "target", { DSMX_UINT16, 0, 0, 0 }, true },
	{ "text", { DSMX_UTF8, 0, 0, 0 }, false },
};

#define KEYS    97
#define PARTS   4U
#define TURN    64
#define COLUMNS 8

struct file {
	const char *name;
	uint32_t rows;
	uint32_t batch_rows;
	uint32_t null_every; /* key of every so manieth row; 0: none */
	uint32_t text_every; /* a row has seq % it * 100 bytes of text */
	int64_t lost_target; /* seq of a row whose target is no partition; -1: none */
	bool halves;         /* targets are 1 in the first half, 0 in the second */
};

static const struct file files[] = {
	{ "empty", 0, 1, 0, 1, -1, false },        { "one", 1, 1, 0, 1, -1, false },
	{ "nulls", 3000, 200, 2, 1, -1, false },   { "wide", 200, 10, 7, 1000, -1, false },
	{ "many", 100000, 3000, 0, 1, -1, false },
};
static const struct file lost = { "lost", 5000, 500, 0, 1, 4321, false };
static const struct file one_each = { "one_each", PARTS, 1, 0, 1, -1, false };
static const struct file crowd = { "crowd", 60000, 60000, 0, 1, -1, false };
static const struct file halves = { "halves", 20000, 20000, 0, 1, -1, true };

static int64_t key_of(int64_t seq)
{
	return seq * 7919 % KEYS;
}

static uint16_t target_of(const struct file *file, int64_t seq)
{
	if (file->halves)
		return seq < file->rows / 2;
	if (seq == file->lost_target)
		return (uint16_t)PARTS;
	return (uint16_t)(seq * 7 % PARTS);
}

static int32_t text_of(const struct file *file, int64_t seq)
{
	return (int32_t)(seq % file->text_every * 100);
}

static bool is_null(const struct file *file, int64_t seq)
{
	return file->null_every > 0 && seq % file->null_every == 0;
}

static void write_batch(struct dsmx_ipc_writer *writer, const struct file *file, int64_t first,
                        uint32_t rows)
{
	int64_t *keys = calloc(rows, sizeof(*keys)), *seqs = calloc(rows, sizeof(*seqs));
	uint16_t *targets = calloc(rows, sizeof(*targets));
	int32_t *offsets = calloc(rows + 1, sizeof(*offsets));
	uint8_t *valid = calloc(rows / 8 + 1, 1), *text;
	struct dsmx_column columns[] = {
		{ .validity = valid, .values = keys },
		{ .values = seqs },
		{ .values = targets },
		{ .values = offsets },
	};
	struct dsmx_batch batch = {
		.length = rows, .selected = rows, .column_count = 4, .columns = columns
	};

	for (uint32_t i = 0; i < rows; i++) {
		keys[i] = key_of(first + i);
		seqs[i] = first + i;
		targets[i] = target_of(file, first + i);
		offsets[i + 1] = offsets[i] + text_of(file, first + i);
		valid[i / 8] = (uint8_t)(valid[i / 8] | !is_null(file, first + i) << i % 8);
	}
	text = malloc((size_t)offsets[rows] + 1);
	memset(text, 'x', (size_t)offsets[rows]);
	columns[3].bytes = text;
	if (dsmx_ipc_write(writer, &batch, NULL) != 0)
		abort();
	free(keys);
	free(seqs);
	free(targets);
	free(offsets);
	free(valid);
	free(text);
}

static void make_file(const struct file *file)
{
	static const struct dsmx_schema schema = { DX_ARRAY_LEN(file_fields), file_fields };
	int fd;
	struct dsmx_ipc_writer *writer = file_new(file->name, &schema, NULL, &fd);

	for (uint32_t at = 0; at < file->rows; at += file->batch_rows)
		write_batch(writer, file, at,
		            at + file->batch_rows < file->rows ? file->batch_rows
		                                               : file->rows - at);
	file_end(writer, fd);
}

/* --- a slow consumer: task 0 asks its input every 20 ms ---------------------------------------------------------- */

static int slow_next(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;
	int64_t now_ns = (int64_t)dx_now_ns();

	if (s->task == 0 && now_ns < s->rows) { /* that is when it will be ready */
		dsmx_cx_yield(cx);
		return -EAGAIN;
	}
	s->rows = now_ns + 20 * (int64_t)DX_NS_PER_MS;
	return s->inputs[0]->ops->poll_next(s->inputs[0], cx, ret_batch);
}

static int slow_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                        struct dsmx_stream **ret_stream)
{
	static const struct dsmx_stream_ops ops = { slow_next, pipe_close };

	return pipe_execute(op, cx, partition, &ops, ret_stream);
}

static int slow_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_operator_ops ops = { "Slow", slow_execute, pipe_free };

	(void)bytes, (void)len, (void)err;
	return input_count != 1 ? -EINVAL
	                        : pipe_make(&ops, output, inputs, input_count, ret_operator);
}

static const struct dsmx_extension own[] = {
	{ "stamp", stamp_make },
	{ "slow", slow_make },
	{ NULL, NULL },
};

/* --- plans ----------------------------------------------------------------------------------------------------- */

static const char *const bound_texts[] = { "10", "10", "60" };

static struct dsmx_rel *exchange_of(struct dsmx_plan *plan, enum dsmx_exchange_kind kind,
                                    struct dsmx_rel *rel)
{
	const struct dsmx_sort_key key = { .column = 0 };
	const uint32_t hash_key = 0, target = 2;
	struct dsmx_expr *bounds[DX_ARRAY_LEN(bound_texts)];

	switch (kind) {
	case DSMX_EXCHANGE_HASH:
		return dsmx_rel_exchange(plan, kind, rel, &hash_key, 1, 0, NULL);
	case DSMX_EXCHANGE_EXPLICIT:
		return dsmx_rel_exchange(plan, kind, rel, &target, 1, PARTS, NULL);
	case DSMX_EXCHANGE_RANGE:
		for (size_t i = 0; i < DX_ARRAY_LEN(bounds); i++)
			bounds[i] = dsmx_expr_literal(plan, file_fields[0].type, bound_texts[i]);
		return dsmx_rel_exchange_range(plan, rel, &key, bounds, DX_ARRAY_LEN(bounds), NULL);
	case DSMX_EXCHANGE_MERGE: /* made when the plan is distributed */
		return dsmx_rel_sort(plan, rel, &key, 1);
	default:
		return dsmx_rel_exchange(plan, kind, rel, NULL, 0, 0, NULL);
	}
}

/* The columns that come here, all int64. */
static struct dsmx_rel *columns_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	static const struct dsmx_type int64 = { DSMX_INT64, 0, 0, 0 };
	struct dsmx_expr *exprs[COLUMNS], *text = dsmx_expr_column(plan, rel, 3);

	for (uint32_t i = 0; i < COLUMNS; i++)
		exprs[i] = dsmx_expr_column(plan, rel, i);
	exprs[2] = dsmx_expr_cast(plan, exprs[2], int64);
	exprs[3] = dsmx_expr_cast(plan, dsmx_expr_call(plan, DSMX_FN_CHAR_LENGTH, &text, 1), int64);
	return dsmx_rel_project(plan, rel, exprs, NULL, COLUMNS);
}

static struct dsmx_plan *kind_plan(enum dsmx_exchange_kind kind, const struct file *file,
                                   uint32_t tasks)
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = rel_stamp(plan, rel_file(plan, file->name));

	rel = columns_of(plan, rel_stamp(plan, exchange_of(plan, kind, rel)));
	if (kind != DSMX_EXCHANGE_MERGE) /* which is a gather itself */
		rel = rel_gather(plan, rel);
	if (plan_end(plan, rel, tasks) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}

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

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->consumer != y->consumer)
		return (x->consumer > y->consumer) - (x->consumer < y->consumer);
	return (x->consumed > y->consumed) - (x->consumed < y->consumed);
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

#define TASKS_MAX 16

/* Sorted by consumer and arrival: the rows of each producer come in its order. */
static void check_order(bool *ok, const struct row *rows, uint32_t count)
{
	int64_t last[TASKS_MAX];

	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || rows[i].consumer != rows[i - 1].consumer)
			for (int t = 0; t < TASKS_MAX; t++)
				last[t] = -1;
		CHECK(rows[i].producer >= 0 && rows[i].producer < TASKS_MAX);
		CHECK(rows[i].produced > last[rows[i].producer]);
		last[rows[i].producer] = rows[i].produced;
	}
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

/* Each row is where its kind says. */
static void check_places(bool *ok, enum dsmx_exchange_kind kind, uint32_t parts,
                         const struct row *rows, uint32_t count)
{
	int64_t place[KEYS + 1];

	memset(place, -1, sizeof(place));
	for (uint32_t i = 0; i < count; i++) {
		const struct row *r = &rows[i];
		int64_t *at = &place[r->null ? KEYS : r->key];

		CHECK(r->consumer >= 0 && r->consumer < parts);
		if (kind == DSMX_EXCHANGE_HASH) {
			CHECK(*at == -1 || *at == r->consumer);
			*at = r->consumer;
		} else if (kind == DSMX_EXCHANGE_ROUND_ROBIN) {
			CHECK_EQ(r->consumer, (r->producer + r->produced / TURN) % parts);
		} else if (kind == DSMX_EXCHANGE_EXPLICIT) {
			CHECK_EQ(r->consumer, r->target);
		} else if (kind == DSMX_EXCHANGE_PASSTHROUGH) {
			CHECK_EQ(r->consumer, r->producer);
		} else if (kind == DSMX_EXCHANGE_RANGE) {
			CHECK_EQ(r->consumer, range_of(r));
		}
	}
}

static int compare_keys(const struct row *a, const struct row *b)
{
	if (a->null || b->null)
		return a->null - b->null;
	return (a->key > b->key) - (a->key < b->key);
}

/* By key, of equal ones by task, and there as they came: the tasks' own sorts are stable. */
static void check_sorted(bool *ok, const struct row *rows, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		const struct row *a = &rows[i - 1], *b = &rows[i];
		int order = compare_keys(a, b);

		CHECK(order < 0 ||
		      (order == 0 && (a->producer < b->producer ||
		                      (a->producer == b->producer && a->produced < b->produced))));
	}
}

static void check_file(bool *ok, struct dsmx_session *session, enum dsmx_exchange_kind kind,
                       const struct file *file, uint32_t workers)
{
	struct dsmx_plan *plan = kind_plan(kind, file, workers > 1 ? workers : 3);
	struct dsmx_exchange_info info;
	struct dsmx_error err = { 0 };
	struct row *rows;
	uint32_t count;
	int r;

	CHECK(plan != NULL);
	CHECK_EQ(dsmx_plan_exchange(plan, 0, &info), 0);
	CHECK_EQ(info.kind, kind);
	r = read_rows(session, plan, file->rows + 1, &rows, &count, NULL, &err);
	if (r != 0)
		printf("# %s\n", err.message);
	CHECK_EQ(r, 0);
	qsort(rows, count, sizeof(*rows), compare_rows);
	check_once(ok, file, rows, count);
	if (*ok && kind == DSMX_EXCHANGE_MERGE)
		check_sorted(ok, rows, count);
	else if (*ok)
		check_order(ok, rows, count);
	if (*ok)
		check_places(ok, kind, info.consumer_partitions, rows, count);
	free(rows);
	dsmx_plan_free(plan);
}

static const uint32_t worker_counts[] = { 0, 1, 2, 8 };

/* Every file over every number of workers. */
static void check_kind(bool *ok, enum dsmx_exchange_kind kind)
{
	for (size_t f = 0; f < DX_ARRAY_LEN(files); f++)
		make_file(&files[f]);
	for (size_t w = 0; w < DX_ARRAY_LEN(worker_counts); w++) {
		struct dsmx_session_options options = engine_options(worker_counts[w]);
		struct dsmx_session *session = open_engine(&options);

		CHECK(session != NULL);
		for (size_t f = 0; f < DX_ARRAY_LEN(files); f++) {
			check_file(ok, session, kind, &files[f], worker_counts[w]);
			if (!*ok)
				printf("# %u workers, file %s\n", worker_counts[w], files[f].name);
			CHECK(*ok);
		}
		dsmx_session_close(session);
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

/* @rel with a column more that is the same in all rows, to join on. */
static struct dsmx_rel *with_constant(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	uint32_t count = dsmx_rel_schema(rel)->field_count;
	struct dsmx_expr *exprs[COLUMNS];

	for (uint32_t i = 0; i < count; i++)
		exprs[i] = dsmx_expr_column(plan, rel, i);
	exprs[count] = dsmx_expr_int64(plan, 1);
	return dsmx_rel_project(plan, rel, exprs, NULL, count + 1);
}

/* A row for each task of the fragment, by its target, joined with all rows of the file. */
static struct dsmx_plan *broadcast_plan(const struct file *file, uint32_t tasks)
{
	/* Left: a file's four columns and the constant; right: those, the stamp's two, the constant. */
	static const uint32_t columns[COLUMNS] = { 5, 6, 7, 8, 9, 10, 2, 1 };
	const uint32_t target = 2, left_key = 4, right_key = 6;
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *left = rel_file(plan, one_each.name), *right, *rel;
	struct dsmx_expr *exprs[COLUMNS];

	left = dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, left, &target, 1, PARTS, NULL);
	left = with_constant(plan, left);
	right = with_constant(plan, rel_stamp(plan, rel_file(plan, file->name)));
	right = dsmx_rel_exchange(plan, DSMX_EXCHANGE_BROADCAST, right, NULL, 0, 0, NULL);
	rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, left, right, &left_key, &right_key, 1, NULL);
	for (uint32_t i = 0; i < COLUMNS; i++)
		exprs[i] = dsmx_expr_column(plan, rel, columns[i]);
	exprs[6] = dsmx_expr_cast(plan, exprs[6], file_fields[1].type);
	rel = dsmx_rel_project(plan, rel, exprs, NULL, COLUMNS);
	if (plan_end(plan, rel_gather(plan, columns_of(plan, rel)), tasks) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}

static void check_broadcast(bool *ok, struct dsmx_session *session, const struct file *file,
                            uint32_t workers)
{
	struct dsmx_plan *plan = broadcast_plan(file, workers > 1 ? workers : 3);
	struct dsmx_error err = { 0 };
	uint32_t count, at = 0;
	struct row *rows;

	CHECK(plan != NULL);
	CHECK_EQ(read_rows(session, plan, PARTS * file->rows + 1, &rows, &count, NULL, &err), 0);
	CHECK_EQ(count, PARTS * file->rows);
	for (uint32_t i = 0; i < count; i++)
		rows[i].consumed = rows[i].seq; /* a join keeps no order */
	qsort(rows, count, sizeof(*rows), compare_rows);
	for (uint32_t part = 0; part < PARTS && *ok; part++, at += file->rows) {
		check_once(ok, file, rows + at, file->rows);
		CHECK(file->rows == 0 ||
		      (rows[at].consumer == part && rows[at + file->rows - 1].consumer == part));
	}
	free(rows);
	dsmx_plan_free(plan);
}

TEST(kind_broadcast, "broadcast: every row once in each partition")
{
	make_file(&one_each);
	for (size_t f = 0; f < DX_ARRAY_LEN(files); f++)
		make_file(&files[f]);
	for (size_t w = 0; w < DX_ARRAY_LEN(worker_counts); w++) {
		struct dsmx_session_options options = engine_options(worker_counts[w]);
		struct dsmx_session *session = open_engine(&options);

		CHECK(session != NULL);
		for (size_t f = 0; f < DX_ARRAY_LEN(files); f++) {
			check_broadcast(ok, session, &files[f], worker_counts[w]);
			if (!*ok)
				printf("# %u workers, file %s\n", worker_counts[w], files[f].name);
			CHECK(*ok);
		}
		dsmx_session_close(session);
	}
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
TEST(merge_cycle,
     "a merge that waits for a task which is behind one that is full goes on by overflow")
{
	const struct dsmx_exchange_config small = { .credit_bytes = 8192, .frame_bytes = 4096 };
	const struct dsmx_sort_key by_seq = { .column = 1 };
	const uint32_t target = 2;

	make_file(&halves);
	for (size_t w = 0; w < DX_ARRAY_LEN(worker_counts); w++) {
		struct dsmx_session_options options = engine_options(worker_counts[w]);
		struct dsmx_session *session = open_engine(&options);
		struct dsmx_query_stats stats = { 0 };
		struct dsmx_plan *plan = plan_new();
		struct dsmx_error err = { 0 };
		struct dsmx_rel *rel = rel_stamp(plan, rel_file(plan, halves.name));
		struct row *rows;
		uint32_t count;

		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, rel, &target, 1, PARTS,
		                        &small);
		rel = dsmx_rel_exchange_merge(plan, rel_stamp(plan, rel), &by_seq, 1, &small);
		CHECK_EQ(plan_end(plan, columns_of(plan, rel), 2), 0);
		CHECK(session != NULL);
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

int main(int argc, char **argv)
{
	return own_engine_main(argc, argv, own);
}
