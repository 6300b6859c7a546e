/* SPDX-License-Identifier: MIT */
/*
 * engine.h - an engine for tests: operators of its own, files made at run time, plans run to their end
 *
 *	series	the numbers 0 .. end - 1					(series.h)
 *	stamp	what comes, with two columns more: the task that it passed, and the how manieth row there
 *	zip	a batch of the left input, a batch of the right one, and so on
 *	break	what comes, until a row of a given number: then a failure of a given code
 *
 * The test's program is its own supervisor and worker: its main() calls engine_main().
 */
#ifndef DX_SELFTESTS_ENGINE_H
#define DX_SELFTESTS_ENGINE_H

#include <errno.h>
#include <unistd.h>

#include "base/order.h"
#include "dsmx/dsmx.h"
#include "dsmx/ipc.h"
#include "processes.h"
#include "rows.h"
#include "series.h"

/* --- an operator over other streams ---------------------------------------------------------------------------- */

struct pipe_op;

struct pipe_stream {
	struct dsmx_stream stream; /* must be first */
	struct pipe_op *op;
	struct dsmx_stream *inputs[DSMX_OPERATOR_INPUTS];
	uint32_t task;
	int64_t rows;
	uint32_t turn;
	uint32_t ended;
	struct dsmx_column columns[ROWS_COLUMNS];
	int64_t *tasks, *numbers;
};

/* The bytes of each in the plan. */
struct break_bytes {
	int64_t after;
	int32_t code;
	int32_t task; /* -1: every one */
};

struct pipe_op {
	struct dsmx_operator op; /* must be first */
	struct break_bytes how;
};

static inline void pipe_close(struct dsmx_stream *stream)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;

	for (int i = 0; i < DSMX_OPERATOR_INPUTS; i++)
		if (s->inputs[i] != NULL)
			s->inputs[i]->ops->close(s->inputs[i]);
	free(s->tasks);
	free(s->numbers);
	free(s);
}

static inline void pipe_free(struct dsmx_operator *op)
{
	for (uint32_t i = 0; i < op->input_count; i++)
		op->inputs[i]->ops->free(op->inputs[i]);
	free(op);
}

static inline int pipe_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                               const struct dsmx_stream_ops *ops, struct dsmx_stream **ret_stream)
{
	struct pipe_stream *s = calloc(1, sizeof(*s));
	int r = s == NULL ? -ENOMEM : 0;

	for (uint32_t i = 0; r == 0 && i < op->input_count; i++)
		r = op->inputs[i]->ops->execute(op->inputs[i], cx, partition, &s->inputs[i]);
	if (r != 0) {
		if (s != NULL)
			pipe_close(&s->stream);
		return r;
	}
	s->stream.ops = ops;
	s->op = (struct pipe_op *)op;
	s->task = partition;
	*ret_stream = &s->stream;
	return 0;
}

static inline int pipe_make(const struct dsmx_operator_ops *ops, const struct dsmx_schema *output,
                            struct dsmx_operator **inputs, uint32_t input_count,
                            struct dsmx_operator **ret_operator)
{
	struct pipe_op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return -ENOMEM;
	op->op =
		(struct dsmx_operator){ .ops = ops, .schema = *output, .input_count = input_count };
	memcpy(op->op.inputs, inputs, input_count * sizeof(struct dsmx_operator *));
	*ret_operator = &op->op;
	return 0;
}

/* --- stamp ----------------------------------------------------------------------------------------------------- */

static inline int stamp_next(struct dsmx_stream *stream, struct dsmx_cx *cx,
                             struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;
	int r = s->inputs[0]->ops->poll_next(s->inputs[0], cx, ret_batch);
	uint32_t n = ret_batch->column_count;
	size_t bytes = sizeof(int64_t) * ret_batch->length;

	if (r != 1)
		return r;
	s->tasks = realloc(s->tasks, bytes + 1);
	s->numbers = realloc(s->numbers, bytes + 1);
	if (s->tasks == NULL || s->numbers == NULL || n + 2 > ROWS_COLUMNS)
		abort();
	for (uint32_t i = 0; i < ret_batch->length; i++)
		s->tasks[i] = s->task;
	for (uint32_t i = 0; i < ret_batch->selected; i++)
		s->numbers[ret_batch->selection != NULL ? ret_batch->selection[i] : i] = s->rows++;
	memcpy(s->columns, ret_batch->columns, n * sizeof(*s->columns));
	s->columns[n] = (struct dsmx_column){ .values = s->tasks };
	s->columns[n + 1] = (struct dsmx_column){ .values = s->numbers };
	ret_batch->columns = s->columns;
	ret_batch->column_count = n + 2;
	ret_batch->lease = NULL;
	return 1;
}

static inline int stamp_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                                struct dsmx_stream **ret_stream)
{
	static const struct dsmx_stream_ops ops = { stamp_next, pipe_close };

	return pipe_execute(op, cx, partition, &ops, ret_stream);
}

static inline int stamp_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                             struct dsmx_operator **inputs, uint32_t input_count,
                             struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_operator_ops ops = { "Stamp", stamp_execute, pipe_free };

	(void)bytes, (void)len, (void)err;
	return input_count != 1 ? -EINVAL
	                        : pipe_make(&ops, output, inputs, input_count, ret_operator);
}

/* --- zip ------------------------------------------------------------------------------------------------------- */

static inline int zip_next(struct dsmx_stream *stream, struct dsmx_cx *cx,
                           struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;

	while (s->ended != 3) {
		struct dsmx_stream *input = s->inputs[s->turn];
		int r = input->ops->poll_next(input, cx, ret_batch);

		if (r < 0)
			return r;
		if (r == 0)
			s->ended |= 1U << s->turn;
		if ((s->ended & 1U << (1 - s->turn)) == 0)
			s->turn = 1 - s->turn;
		if (r == 1)
			return 1;
	}
	return 0;
}

static inline int zip_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                              struct dsmx_stream **ret_stream)
{
	static const struct dsmx_stream_ops ops = { zip_next, pipe_close };

	return pipe_execute(op, cx, partition, &ops, ret_stream);
}

static inline int zip_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                           struct dsmx_operator **inputs, uint32_t input_count,
                           struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_operator_ops ops = { "Zip", zip_execute, pipe_free };

	(void)bytes, (void)len, (void)err;
	return input_count != 2 ? -EINVAL
	                        : pipe_make(&ops, output, inputs, input_count, ret_operator);
}

/* --- break ----------------------------------------------------------------------------------------------------- */

static inline int break_next(struct dsmx_stream *stream, struct dsmx_cx *cx,
                             struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;
	const struct break_bytes *how = &s->op->how;
	int r;

	if (s->rows >= how->after && (how->task < 0 || s->task == (uint32_t)how->task))
		return dx_error(dsmx_cx_error(cx), how->code, "task %u broke after %lld rows",
		                s->task, (long long)s->rows);
	r = s->inputs[0]->ops->poll_next(s->inputs[0], cx, ret_batch);
	if (r == 1)
		s->rows += ret_batch->selected;
	return r;
}

static inline int break_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                                struct dsmx_stream **ret_stream)
{
	static const struct dsmx_stream_ops ops = { break_next, pipe_close };

	return pipe_execute(op, cx, partition, &ops, ret_stream);
}

static inline int break_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                             struct dsmx_operator **inputs, uint32_t input_count,
                             struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_operator_ops ops = { "Break", break_execute, pipe_free };
	int r;

	(void)err;
	if (input_count != 1 || len != sizeof(struct break_bytes))
		return -EINVAL;
	r = pipe_make(&ops, output, inputs, input_count, ret_operator);
	if (r == 0)
		memcpy(&((struct pipe_op *)*ret_operator)->how, bytes, len);
	return r;
}

static const struct dsmx_extension engine[] = {
	{ "series", series_make }, { "stamp", stamp_make }, { "zip", zip_make },
	{ "break", break_make },   { NULL, NULL },
};

static inline struct dsmx_rel *rel_series(struct dsmx_plan *plan, int64_t end, int64_t modulo)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct series_bytes bytes = { end, modulo };

	return dsmx_rel_extension(plan, "series", &bytes, sizeof(bytes), &schema, NULL, 0);
}

static inline struct dsmx_rel *rel_stamp(struct dsmx_plan *plan, struct dsmx_rel *input)
{
	const struct dsmx_schema *in = dsmx_rel_schema(input);
	struct dsmx_field fields[ROWS_COLUMNS];
	struct dsmx_schema out = { in->field_count + 2, fields };

	memcpy(fields, in->fields, in->field_count * sizeof(*fields));
	fields[in->field_count] = (struct dsmx_field){ "task", { DSMX_INT64, 0, 0, 0 }, false };
	fields[in->field_count + 1] =
		(struct dsmx_field){ "number", { DSMX_INT64, 0, 0, 0 }, false };
	return dsmx_rel_extension(plan, "stamp", NULL, 0, &out, &input, 1);
}

static inline struct dsmx_rel *rel_break(struct dsmx_plan *plan, struct dsmx_rel *input,
                                         struct break_bytes how)
{
	return dsmx_rel_extension(plan, "break", &how, sizeof(how), dsmx_rel_schema(input), &input,
	                          1);
}

static inline struct dsmx_rel *rel_hash(struct dsmx_plan *plan, struct dsmx_rel *input,
                                        uint32_t key, const struct dsmx_exchange_config *config)
{
	return dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, input, &key, 1, 0, config);
}

static inline struct dsmx_rel *rel_gather(struct dsmx_plan *plan, struct dsmx_rel *input)
{
	return dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, input, NULL, 0, 1, NULL);
}

/* --- files ----------------------------------------------------------------------------------------------------- */

/* The folder of this process's files; removed by leave_folder(). */
static char folder[PATH_MAX];

static inline void enter_folder(void)
{
	const char *dir = getenv("TMPDIR");

	(void)snprintf(folder, sizeof(folder), "%s/dsmx-engine-XXXXXX", dir != NULL ? dir : "/tmp");
	if (mkdtemp(folder) == NULL)
		abort();
}

static inline void leave_folder(void)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
	(void)rmdir(folder);
}

static inline const char *file_path(const char *name, char *buf, size_t len)
{
	(void)snprintf(buf, len, "%s/%s", folder, name);
	return buf;
}

/* A file that holds these batches; aborts if it cannot be. */
static inline struct dsmx_ipc_writer *file_new(const char *name, const struct dsmx_schema *schema,
                                               const bool *dictionary, int *ret_fd)
{
	struct dsmx_ipc_writer *writer;
	char path[PATH_MAX + 64];

	*ret_fd = open(file_path(name, path, sizeof(path)), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC,
	               0600);
	if (*ret_fd < 0 ||
	    dsmx_ipc_writer_new(*ret_fd, DSMX_IPC_FILE, schema, dictionary, &writer, NULL) != 0)
		abort();
	return writer;
}

static inline void file_end(struct dsmx_ipc_writer *writer, int fd)
{
	if (dsmx_ipc_finish(writer, NULL) != 0)
		abort();
	(void)close(fd);
}

/* A table as a file of record batches of @batch_rows. */
static inline void file_write(const char *name, const struct table *table, uint32_t batch_rows,
                              const bool *dictionary, uint64_t *chance)
{
	struct rows_batch made;
	uint32_t at = 0;
	int fd;
	struct dsmx_ipc_writer *writer = file_new(name, &table->schema, dictionary, &fd);

	while (at < table->rows) {
		at += rows_batch_make(&made, table, at, batch_rows, chance);
		if (dsmx_ipc_write(writer, &made.batch, NULL) != 0)
			abort();
		rows_batch_free(&made);
	}
	file_end(writer, fd);
}

static inline struct dsmx_rel *rel_file(struct dsmx_plan *plan, const char *name)
{
	char path[PATH_MAX + 64];

	return dsmx_rel_scan(plan, file_path(name, path, sizeof(path)), NULL, 0);
}

/* --- plans ------------------------------------------------------------------------------------------------------ */

static inline struct dsmx_plan *plan_new(void)
{
	struct dsmx_plan *plan;

	if (dsmx_plan_new(&plan) != 0)
		abort();
	return plan;
}

/* Finish and distribute. Says what is wrong with it. */
static inline int plan_end(struct dsmx_plan *plan, struct dsmx_rel *root, uint32_t tasks)
{
	struct dsmx_error err;
	int r = dsmx_plan_finish(plan, root, NULL, &err);

	if (r == 0)
		r = dsmx_plan_distribute(plan, tasks, &err);
	if (r != 0)
		printf("# plan: %s\n", err.message);
	return r;
}

/* Read a query to its end. @ret_rows NULL: only count them. Returns 0 or the failure. */
static inline int read_all(struct dsmx_query *query, struct table *ret_rows, uint64_t *ret_count,
                           struct dsmx_error *err)
{
	struct dsmx_batch batch;
	int r;

	*ret_count = 0;
	while ((r = dsmx_query_next_batch(query, 30000, &batch, err)) == 1) {
		*ret_count += batch.selected;
		if (ret_rows != NULL)
			table_read(ret_rows, &batch);
	}
	return r;
}

struct outcome {
	int code;
	struct dsmx_error error;
	uint64_t rows;
	struct dsmx_query_stats stats;
};

/* Run a plan, its rows into @ret_rows (or NULL), and close it. */
static inline struct outcome run_plan(struct dsmx_session *session, struct dsmx_plan *plan,
                                      struct table *ret_rows)
{
	struct outcome o = { .code = 0 };
	struct dsmx_query *query;

	o.code = dsmx_query_start(session, plan, NULL, &query, &o.error);
	if (o.code != 0)
		return o;
	if (ret_rows != NULL)
		ret_rows->schema = *dsmx_plan_schema(plan);
	o.code = read_all(query, ret_rows, &o.rows, &o.error);
	dsmx_query_stats(query, &o.stats);
	dsmx_query_close(query);
	return o;
}

/* Every stream of the plan, and every task. */
static inline void plan_needs(const struct dsmx_plan *plan, uint64_t *ret_streams,
                              uint64_t *ret_tasks)
{
	struct dsmx_exchange_info info;

	*ret_streams = *ret_tasks = 0;
	for (uint32_t i = 0; i < dsmx_plan_exchange_count(plan); i++) {
		if (dsmx_plan_exchange(plan, i, &info) != 0)
			abort();
		*ret_streams += (uint64_t)info.producer_tasks * info.consumer_partitions;
		*ret_tasks += info.producer_tasks;
	}
}

static inline struct dsmx_session_options engine_options(uint32_t workers)
{
	struct dsmx_session_options options = options_of(workers, NULL);

	options.extensions = engine;
	return options;
}

static inline struct dsmx_session *open_engine(const struct dsmx_session_options *options)
{
	struct dsmx_session *session;
	struct dsmx_error err;

	if (dsmx_session_open(options, &session, &err) == 0)
		return session;
	printf("# open: %s\n", err.message);
	return NULL;
}

/* Wakes that processes of the session missed, ever. */
static inline uint64_t count_late_parks(const struct dsmx_session *session)
{
	uint64_t count = 0;

	for (uint32_t p = 0; p < dx_mesh_peers(session->mesh); p++)
		count += dx_mesh_peer_page(session->mesh, p)->late_parks;
	return count;
}

/* Streams that they refused: none, but of a query that was closed meanwhile. */
static inline uint64_t count_naks(const struct dsmx_session *session)
{
	uint64_t count = 0;

	for (uint32_t p = 0; p < dx_mesh_peers(session->mesh); p++)
		count += dx_mesh_peer_page(session->mesh, p)->naks;
	return count;
}

/* Is a producer task of any query at work, in any process of the session? */
static inline bool any_producer_runs(const struct dsmx_session *session)
{
	const struct dx_layout *l = dx_mesh_layout(session->mesh);

	for (uint32_t p = 0; p < l->peers; p++)
		for (uint32_t i = 0; i < l->tasks; i++) {
			const struct dsmx_task_abi *record = DX_LAYOUT_PEER(
				struct dsmx_task_abi, dx_mesh_peer_page(session->mesh, p),
				l->task_records, i);

			if (dx_load_acquire(DX_EDGE_PARK, &record->query) != 0 &&
			    record->exchange != DSMX_ROOT_TASK &&
			    dx_load_plain(&record->state) == DSMX_STREAM_RUNNING)
				return true;
		}
	return false;
}

/* Do all producer tasks end within a second, without a call of the application's? */
static inline bool producers_end(const struct dsmx_session *session)
{
	uint64_t deadline_ns = dx_now_ns() + DX_NS_PER_S;

	while (any_producer_runs(session)) {
		if (dx_now_ns() > deadline_ns)
			return false;
		(void)usleep(200);
	}
	return true;
}

/* With other operators; the test gives them to its sessions, too. */
static inline int own_engine_main(int argc, char **argv, const struct dsmx_extension *operators)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, operators);
	if (status >= 0)
		return status;
	enter_folder();
	status = harness_main(argc, argv);
	leave_folder();
	return status;
}

static inline int engine_main(int argc, char **argv)
{
	return own_engine_main(argc, argv, engine);
}

#endif /* DX_SELFTESTS_ENGINE_H */
