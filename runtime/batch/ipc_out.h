/* SPDX-License-Identifier: MIT */
/*
 * ipc_out.h - messages on their way out
 *
 * A message is prepared (metadata in `meta`, body as nodes of buffers), then written with one writev(2). All that
 * is metadata goes into a running hash (ipc_meta.h).
 */
#ifndef DX_BATCH_IPC_OUT_H
#define DX_BATCH_IPC_OUT_H

#include <sys/uio.h>

#include "batch/ipc_meta.h"

#define DX_IPC_COLUMN_BUFFERS 3

struct dx_ipc_buffer {
	const void *bytes;
	uint64_t len;
};

/* What a column of a message consists of. */
struct dx_ipc_node {
	uint64_t rows, nulls;
	unsigned int buffer_count;
	struct dx_ipc_buffer buffers[DX_IPC_COLUMN_BUFFERS];
};

/* Where a message is, for the footer. */
struct dx_ipc_block {
	uint64_t offset;
	uint32_t metadata; /* bytes, prefix included */
	uint64_t body;
};

struct dx_ipc_blocks {
	struct dx_ipc_block *list;
	uint32_t count, room;
};

struct dx_ipc_out {
	int fd;
	uint64_t offset; /* bytes written */
	uint64_t hash;
	struct dx_fb_writer meta;
	struct iovec *pieces;
	uint32_t piece_count;
};

/* @columns: that a message may have. 0 or -ENOMEM; fini is safe after both, and on zeros. */
int dx_ipc_out_init(struct dx_ipc_out *out, int fd, size_t columns) DX_MUST_CHECK;
void dx_ipc_out_fini(struct dx_ipc_out *out);

/* Write bytes that are no message. */
int dx_ipc_out_write(struct dx_ipc_out *out, const void *bytes, size_t len,
                     struct dsmx_error *err) DX_MUST_CHECK;

/* Bytes of a buffer of @len in a body. */
uint64_t dx_ipc_padded(uint64_t len);

/* Begin the metadata of a message; its header belongs into field 2, its keys, if any, into field 4. */
size_t dx_ipc_begin_message(struct dx_ipc_out *out, enum dx_ipc_header header,
                            const struct dx_ipc_node *nodes, uint32_t node_count, bool with_keys);

/* A RecordBatch table, in field @field of @table. */
void dx_ipc_add_batch(struct dx_ipc_out *out, size_t table, unsigned int field,
                      const struct dx_ipc_node *nodes, uint32_t node_count, uint64_t rows);

/*
 * Write the message. The metadata is padded so that the body begins at a multiple of 64, as every buffer does.
 *
 * @blocks: NULL, or gets one more
 */
int dx_ipc_end_message(struct dx_ipc_out *out, const struct dx_ipc_node *nodes, uint32_t node_count,
                       struct dx_ipc_blocks *blocks, struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_BATCH_IPC_OUT_H */
