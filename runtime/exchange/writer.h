/* SPDX-License-Identifier: MIT */
/*
 * writer.h - rows into the open frame of one output
 *
 * One write from the input's columns to what the consumer reads: values, bits and text go straight into a
 * slab. A frame is planned for as many rows as fit its slab by the widths seen so far, and closed when a row
 * or its text does not fit any more. A row that is wider than a whole slab gets a frame of its own size.
 */
#ifndef DX_EXCHANGE_WRITER_H
#define DX_EXCHANGE_WRITER_H

#include "batch/frame.h"
#include "chan/tx.h"

/* Where a frame is to be. */
enum dx_writer_memory {
	DX_MEMORY_SLAB,
	DX_MEMORY_RESERVED, /* a slab, the reserved piece if there is no other */
	DX_MEMORY_PRIVATE,  /* on its way to a file */
};

struct dx_writer {
	struct dx_mesh *mesh;
	const struct dsmx_schema *schema;
	struct dx_frame *frame; /* open one; NULL: none */
	uint32_t rows;          /* in it */
	uint32_t capacity;
	uint32_t len_bytes; /* as planned */
	struct dx_frame_column *columns;
	uint32_t *text_used;
	bool *has_nulls;
	/* Text seen so far, to plan the next frame. */
	uint64_t seen_rows;
	uint64_t *seen_text;
	size_t row_bytes; /* without text */
	uint32_t opened;  /* frames so far */
	uint32_t *text_rooms;
};

int dx_writer_init(struct dx_writer *writer, struct dx_mesh *mesh,
                   const struct dsmx_schema *schema) DX_MUST_CHECK;
void dx_writer_fini(struct dx_writer *writer);

/*
 * Open a frame in a slab of about @slab_bytes, wider where row rows[0] of the batch needs it.
 *
 * Returns 0; -EAGAIN: no memory now, @waker will be woken; -EMSGSIZE: the row is wider than the longest run
 * (the sentence has both); -ENOMEM.
 */
int dx_writer_open(struct dx_writer *writer, const struct dsmx_batch *batch, const uint32_t *rows,
                   size_t slab_bytes, enum dx_writer_memory memory, struct dsmx_waker *waker,
                   struct dsmx_error *err) DX_MUST_CHECK;

/* Append rows[0..count) (row numbers of the batch). Returns how many fitted; fewer: close the frame. */
uint32_t dx_writer_append(struct dx_writer *writer, const struct dsmx_batch *batch,
                          const uint32_t *rows, uint32_t count);

/* Close the frame: its header is written, it is the caller's with one reference. NULL: none, or no rows. */
struct dx_frame *dx_writer_close(struct dx_writer *writer, uint32_t *ret_len_bytes,
                                 uint32_t *ret_rows);

#endif /* DX_EXCHANGE_WRITER_H */
