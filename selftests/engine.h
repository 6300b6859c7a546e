/* SPDX-License-Identifier: MIT */
/*
 * engine.h - an engine for tests: operators of its own, files made at run time, plans run to their end
 *
 * Its operators are those of pipes.h, and "series" of series.h. The test's program is its own supervisor and worker: its main() calls engine_main().
 */
#ifndef DX_SELFTESTS_ENGINE_H
#define DX_SELFTESTS_ENGINE_H

#include <errno.h>
#include <unistd.h>

#include "base/order.h"
#include "dsmx/dsmx.h"
#include "dsmx/ipc.h"
#include "pipes.h"
#include "processes.h"
#include "rows.h"
#include "series.h"

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

/* Is a task of any query, in any process of the session, one that @is so? */
static inline bool any_task(const struct dsmx_session *session,
                            bool (*is)(const struct dsmx_task_abi *record, uint64_t arg),
                            uint64_t arg)
{
	const struct dx_layout *l = dx_mesh_layout(session->mesh);

	for (uint32_t p = 0; p < l->peers; p++)
		for (uint32_t i = 0; i < l->tasks; i++) {
			const struct dsmx_task_abi *record = DX_LAYOUT_PEER(
				struct dsmx_task_abi, dx_mesh_peer_page(session->mesh, p),
				l->task_records, i);

			if (dx_load_acquire(DX_EDGE_PARK, &record->query) != 0 && is(record, arg))
				return true;
		}
	return false;
}

static inline bool is_producer_at_work(const struct dsmx_task_abi *record, uint64_t arg)
{
	(void)arg;
	return record->exchange != DSMX_ROOT_TASK &&
	       dx_load_plain(&record->state) == DSMX_STREAM_RUNNING;
}

/* Do all producer tasks end within a second, without a call of the application's? */
static inline bool producers_end(const struct dsmx_session *session)
{
	uint64_t deadline_ns = dx_now_ns() + DX_NS_PER_S;

	while (any_task(session, is_producer_at_work, 0)) {
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
