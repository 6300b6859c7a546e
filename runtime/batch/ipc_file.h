/* SPDX-License-Identifier: MIT */
/*
 * ipc_file.h - an Arrow file that is open
 *
 * What is checked when:
 *	at open		magic, footer, schema (twice: footer and first message agree), and for every message its
 *			prefix, metadata, and that each buffer is in the file and long enough for the rows;
 *			the hash of all that, if dsmx wrote the file
 *	at first use	offsets, codes, null counts and digits of one column of one part
 * What was checked is remembered in a bit, so that a column is looked at once per open file.
 *
 * Record batches may be long. They are shown in parts of at most DX_IPC_PART_ROWS rows, a multiple of 8, so that
 * bitmaps of a part begin at a byte.
 */
#ifndef DX_BATCH_IPC_FILE_H
#define DX_BATCH_IPC_FILE_H

#include "batch/ipc.h"
#include "batch/ipc_meta.h"

#define DX_IPC_PART_ROWS 65536

/* A message with rows; the pointers lead into the file. */
struct dx_ipc_rows {
	const uint8_t *nodes;   /* pairs: rows, nulls */
	const uint8_t *buffers; /* pairs: offset in the body, length */
	const uint8_t *body;
	const char *ranges; /* NULL: none */
	uint32_t rows;
};

struct dx_ipc_part {
	uint32_t block;
	uint32_t from;
	uint32_t rows;
};

struct dx_ipc_dictionary {
	int64_t id;
	struct dsmx_type type;
	bool found;
	bool checked;
	struct dx_ipc_rows rows;
};

struct dsmx_ipc_file {
	char *path;
	const uint8_t *map;
	size_t len;
	struct dsmx_schema schema;
	struct dx_ipc_encoding *encodings; /* one for each field */
	uint32_t *first_buffers;           /* the number of a field's first buffer in a batch */
	uint32_t *field_dictionaries;      /* where encodings[i].index > 0: place in dictionaries */
	struct dx_ipc_dictionary *dictionaries;
	uint32_t dictionary_count;
	struct dx_ipc_rows *blocks;
	uint32_t block_count;
	struct dx_ipc_part *parts;
	uint32_t part_count;
	uint64_t rows;
	uint8_t *checked; /* a bit for each part and field */
	void **copies; /* the same: columns whose form in the file is not ours; NULL until needed */
};

/* A block of the footer. */
struct dx_ipc_span {
	uint64_t offset, metadata, body;
};

/*
 * Check the message at @span (which lies within the file) and its prefix.
 *
 * @fb: for the metadata; must live as long as @ret_message
 */
int dx_ipc_open_message(const struct dsmx_ipc_file *file, const struct dx_ipc_span *span,
                        enum dx_ipc_header header, struct dx_fb *fb,
                        struct dx_fb_table *ret_message, struct dsmx_error *err) DX_MUST_CHECK;

/* Check the messages of the footer's blocks; they fill blocks and dictionaries. */
int dx_ipc_open_batch(struct dsmx_ipc_file *file, const struct dx_ipc_span *span,
                      struct dx_ipc_rows *ret_rows, struct dsmx_error *err) DX_MUST_CHECK;
int dx_ipc_open_dictionary(struct dsmx_ipc_file *file, const struct dx_ipc_span *span,
                           struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_BATCH_IPC_FILE_H */
