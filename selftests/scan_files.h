/* SPDX-License-Identifier: MIT */
/*
 * scan_files.h - Arrow files of every type, and fragments run over them. Files are memfds, named by /proc/self/fd.
 */
#ifndef DX_SELFTESTS_SCAN_FILES_H
#define DX_SELFTESTS_SCAN_FILES_H

#include "harness.h"
#include "rows.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsmx/ipc.h"
#include "dsmx/plan.h"
#include "exec/build.h"
#include "exec/eval.h"
#include "exec/filecache.h"

/* --- files -------------------------------------------------------------------------------------------- */

enum { NUMBER, TEXT, PRICE, WIDE, FLAG, LARGE, DAY, SMALL, FLOAT, COLUMNS };

static const struct dsmx_field fields[COLUMNS] = {
	[NUMBER] = { "number", { .id = DSMX_INT64 }, true },
	[TEXT] = { "text", { .id = DSMX_UTF8 }, true },
	[PRICE] = { "price", { .id = DSMX_DECIMAL, .precision = 15, .scale = 2 }, true },
	[WIDE] = { "wide", { .id = DSMX_DECIMAL, .precision = 30, .scale = 2 }, true },
	[FLAG] = { "flag", { .id = DSMX_BOOL }, true },
	[LARGE] = { "large", { .id = DSMX_LARGE_UTF8 }, true },
	[DAY] = { "day", { .id = DSMX_DATE32 }, true },
	[SMALL] = { "small", { .id = DSMX_UINT8 }, true },
	[FLOAT] = { "float", { .id = DSMX_FLOAT64 }, true },
};

struct file {
	int fd;
	char path[40];
};

static inline struct file file_new(void)
{
	struct file file = { .fd = memfd_create("scan_test", MFD_CLOEXEC) };

	if (file.fd < 0)
		abort();
	(void)snprintf(file.path, sizeof(file.path), "/proc/self/fd/%d", file.fd);
	return file;
}

/* The rows in record batches of at most @most rows, texts by dictionary where a bit of @coded is set. */
static inline bool file_write(const struct file *file, const struct table *rows, uint32_t most,
                              uint32_t coded, uint64_t chance)
{
	struct dsmx_ipc_writer *writer;
	struct dsmx_error err = { 0 };
	bool dictionary[COLUMNS];
	uint32_t next = 0;
	int code;

	for (uint32_t c = 0; c < rows->schema.field_count; c++)
		dictionary[c] = dsmx_type_is_text(rows->schema.fields[c].type) && (coded >> c & 1);
	if (ftruncate(file->fd, 0) < 0 || lseek(file->fd, 0, SEEK_SET) < 0)
		return false;
	code = dsmx_ipc_writer_new(file->fd, DSMX_IPC_FILE, &rows->schema, dictionary, &writer,
	                           &err);
	while (code == 0 && next < rows->rows) {
		struct rows_batch made;

		next += rows_batch_make(&made, rows, next, 1 + rows_below(&chance, most), &chance);
		code = dsmx_ipc_write(writer, &made.batch, &err);
		rows_batch_free(&made);
	}
	if (code == 0)
		code = dsmx_ipc_finish(writer, &err);
	if (code < 0)
		printf("# %s\n", err.message);
	return code == 0;
}

static inline struct table random_rows(uint32_t rows, uint32_t nulls, uint64_t chance)
{
	struct table table = table_new(fields, COLUMNS);

	for (uint32_t i = 0; i < rows; i++)
		(void)table_add_random(&table, 300, nulls, &chance);
	return table;
}

/* --- running ------------------------------------------------------------------------------------------ */

struct run {
	struct dx_exec_env env;
	bool hurried;
	uint32_t polls;
	struct dsmx_error err;
};

/* All rows of one partition, behind those that are there. */
static inline int drain(struct run *run, struct dsmx_operator *op, uint32_t partition,
                        struct table *rows)
{
	struct dsmx_cx cx = { .err = &run->err, .slice_end_ns = run->hurried ? 0 : UINT64_MAX };
	struct dsmx_stream *stream;
	struct dsmx_batch batch;
	int code = op->ops->execute(op, &cx, partition, &stream);

	if (code < 0)
		return code;
	do {
		cx.yielded = false;
		code = stream->ops->poll_next(stream, &cx, &batch);
		run->polls++;
		if (code == 1 && batch.length > DX_VECTOR_ROWS)
			code = -E2BIG;
		if (code == 1)
			table_read(rows, &batch);
		if (code == -EAGAIN && !cx.yielded)
			code = -EDEADLK;
	} while (code == 1 || code == -EAGAIN);
	if (code == 0 && stream->ops->poll_next(stream, &cx, &batch) != 0)
		code = -ENOTRECOVERABLE;
	stream->ops->close(stream);
	return code;
}

/* Every partition of a fragment. */
static inline int run_fragment(struct run *run, const struct dsmx_rel *rel, struct table *ret_rows)
{
	struct dsmx_operator *op;
	int code = dx_exec_build(&run->env, rel, &op, &run->err);

	*ret_rows = table_new(rel->schema.fields, rel->schema.field_count);
	if (code < 0)
		return code;
	for (uint32_t t = 0; code == 0 && t < run->env.tasks; t++)
		code = drain(run, op, t, ret_rows);
	op->ops->free(op);
	return code;
}

#endif /* DX_SELFTESTS_SCAN_FILES_H */
