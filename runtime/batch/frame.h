/* SPDX-License-Identifier: MIT */
/*
 * frame.h - a batch as bytes that another process can read in place
 *
 * Layout in dsmx/abi.h: a header, a part for each column, then 64-byte-aligned Arrow buffers. There is no
 * schema in it: both ends have it from the plan. A writer plans the buffers for a number of rows and of text
 * bytes, fills them row by row, and closes the frame with what it really has; unused room stays unused.
 *
 * A reader trusts nothing: sizes are checked against the frame, and the offsets of text are copied before
 * they are checked, because the memory is another process's, which may change it at any time.
 */
#ifndef DX_BATCH_FRAME_H
#define DX_BATCH_FRAME_H

#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/abi.h"
#include "dsmx/batch.h"

/* Where the buffers of one column are, from the start of the frame; 0: none. */
struct dx_frame_column {
	uint32_t validity;
	uint32_t values;
	uint32_t text;
	uint32_t text_room;
};

/*
 * Plan a frame of @rows rows.
 *
 * @text_rooms: bytes for the text of each column, NULL: none has any
 * @ret_columns: schema->field_count of them
 * Returns the bytes that it takes, or -E2BIG where that is over 2 GiB.
 */
int64_t dx_frame_plan(const struct dsmx_schema *schema, uint32_t rows, const uint32_t *text_rooms,
                      struct dx_frame_column *ret_columns) DX_MUST_CHECK;

/* Fixed bytes of one row, without text, rounded up; what planning needs besides a small constant. */
size_t dx_frame_row_bytes(const struct dsmx_schema *schema);

/* The reader's private memory: offsets of text columns, and the columns of the batch that it gives. */
struct dx_frame_reader;

int dx_frame_reader_new(const struct dsmx_schema *schema,
                        struct dx_frame_reader **ret_reader) DX_MUST_CHECK;
void dx_frame_reader_free(struct dx_frame_reader *reader);

/*
 * Check a frame and give it as a batch: columns point into the frame, offsets of text into the reader, until
 * the next read.
 *
 * Returns 0, -EBADMSG, -ENOMEM.
 */
int dx_frame_read(struct dx_frame_reader *reader, const void *bytes, uint32_t len_bytes,
                  uint32_t rows, struct dsmx_batch *ret_batch) DX_MUST_CHECK;

#endif /* DX_BATCH_FRAME_H */
