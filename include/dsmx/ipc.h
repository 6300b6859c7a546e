/* SPDX-License-Identifier: MIT */
/*
 * ipc.h - Arrow IPC files and streams
 *
 * Format: arrow.apache.org/docs/format/Columnar.html, sections "IPC streaming format" and "IPC file
 * format", metadata version V5. Read: uncompressed record batches, dictionaries of text (one per
 * field, no deltas). Written: the same. Every number in a file is checked before it is used.
 */
#ifndef DSMX_IPC_H
#define DSMX_IPC_H

#include "dsmx/batch.h"

#ifdef __cplusplus
extern "C" {
#endif

struct dsmx_ipc_file;   /* an Arrow file, memory-mapped */
struct dsmx_ipc_writer; /* an Arrow file or stream that is being written */

/*
 * dsmx_ipc_open() - map an Arrow file and check its structure
 *
 * @path: the file; must not be changed while it is open (a truncation would be a SIGBUS)
 * Return: 0, -ENOENT and other errors of open(2) and mmap(2), -EPROTO: not an Arrow file, -EBADMSG: a
 * rule of the format is broken (the sentence has the place), -EOPNOTSUPP: a feature that dsmx has not.
 */
DSMX_API int dsmx_ipc_open(const char *path, struct dsmx_ipc_file **ret_file,
                           struct dsmx_error *err);
DSMX_API void dsmx_ipc_close(struct dsmx_ipc_file *file);

/* The schema of a file; it is the file's. Text columns that are dictionary-encoded say plain text. */
DSMX_API const struct dsmx_schema *dsmx_ipc_schema(const struct dsmx_ipc_file *file);

/* Record batches in a file (long ones count as several), rows in one of them, rows in all. */
DSMX_API uint32_t dsmx_ipc_batch_count(const struct dsmx_ipc_file *file);
DSMX_API uint32_t dsmx_ipc_batch_rows(const struct dsmx_ipc_file *file, uint32_t batch);
DSMX_API uint64_t dsmx_ipc_rows(const struct dsmx_ipc_file *file);

/* What a file's own statistics say of a column. They are hints: a planner that believes them is at worst slow. */
struct dsmx_ipc_stats {
	bool has_range; /* @min and @max are set: integers, dates, timestamps, decimals of up to 18 digits */
	int64_t min, max;
	uint32_t dictionary_length; /* different texts there may be; 0: unknown */
};

/* dsmx_ipc_stats() - for column @column of a file, which it must have */
DSMX_API void dsmx_ipc_stats(const struct dsmx_ipc_file *file, uint32_t column,
                             struct dsmx_ipc_stats *ret_stats);

enum dsmx_ipc_format {
	DSMX_IPC_FILE,
	DSMX_IPC_STREAM,
};

/*
 * dsmx_ipc_writer_new() - start a file or stream on a descriptor
 *
 * @fd: stays the caller's; written with write(2), never seeked
 * @dictionary: NULL, or for each field whether it is to be written dictionary-encoded: text only, and
 *	only in a file, since the dictionaries are written at its end
 * Return: 0, -EINVAL, -ENOMEM or an error of write(2).
 */
DSMX_API int dsmx_ipc_writer_new(int fd, enum dsmx_ipc_format format,
                                 const struct dsmx_schema *schema, const bool *dictionary,
                                 struct dsmx_ipc_writer **ret_writer, struct dsmx_error *err);

/* dsmx_ipc_write() - one record batch: the selected rows of @batch */
DSMX_API int dsmx_ipc_write(struct dsmx_ipc_writer *writer, const struct dsmx_batch *batch,
                            struct dsmx_error *err);

/* dsmx_ipc_finish() - the end marker and, for a file, the footer. Frees the writer, also on failure. */
DSMX_API int dsmx_ipc_finish(struct dsmx_ipc_writer *writer, struct dsmx_error *err);

/* dsmx_ipc_abandon() - free the writer of an output that is not wanted any more; NULL is fine */
DSMX_API void dsmx_ipc_abandon(struct dsmx_ipc_writer *writer);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_IPC_H */
