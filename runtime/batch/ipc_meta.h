/* SPDX-License-Identifier: MIT */
/*
 * ipc_meta.h - Arrow's metadata: what messages and the footer say, read and written
 *
 * Field numbers follow Arrow's Schema.fbs, Message.fbs and File.fbs.
 *
 * A file that dsmx writes also carries, between the end marker and the footer, 16 bytes that Arrow readers pass
 * over: a mark, and a hash of everything in the file that is structure and not data. So any damage to
 * structure is noticed; in files of others only what contradicts itself is. docs/ipc.md has the details.
 */
#ifndef DX_BATCH_IPC_META_H
#define DX_BATCH_IPC_META_H

#include "base/compiler.h"
#include "batch/flatbuf.h"
#include "dsmx/batch.h"

#define DX_IPC_MAGIC        "ARROW1\0\0" /* padded; at the end of a file without its two zeros */
#define DX_IPC_MAGIC_BYTES  8
#define DX_IPC_CONTINUATION 0xffffffffU
#define DX_IPC_PREFIX_BYTES 8 /* continuation and length in front of a message */
#define DX_IPC_ALIGN        64
#define DX_IPC_BLOCK_BYTES                                                                         \
	24 /* struct Block of the footer: offset, metadata's length, body's length */
#define DX_IPC_PAIR_BYTES 16 /* structs FieldNode and Buffer: two int64 */

#define DX_IPC_VERSION_V4 3
#define DX_IPC_VERSION_V5 4

enum dx_ipc_header {
	DX_IPC_HEADER_SCHEMA = 1,
	DX_IPC_HEADER_DICTIONARY = 2,
	DX_IPC_HEADER_BATCH = 3,
};

/* Our keys of custom metadata, and the mark that goes with the first. */
#define DX_IPC_KEY_HASHED  "dsmx.hashed"
#define DX_IPC_KEY_RANGES  "dsmx.ranges"
#define DX_IPC_HASHED_MARK "DSMXHASH"

/* The end of our files: this, the footer, and then what ends every Arrow file. */
struct dx_ipc_tail {
	uint32_t continuation; /* this and the zero: the end marker of the stream */
	uint32_t zero;
	char mark[8];
	uint64_t hash;
};

struct dx_ipc_end {
	int32_t footer_len;
	char magic[8]; /* 6 of it are in the file */
};

#define DX_IPC_END_BYTES 10

/*
 * The hash begins at 0 with the schema's message, then the record batches', then the dictionaries', each
 * in two parts, prefix and metadata; this is its end. The field tail->hash is not in it.
 */
uint64_t dx_ipc_hash_end(uint64_t hash, const struct dx_ipc_tail *tail, const uint8_t *footer,
                         size_t footer_len, const struct dx_ipc_end *end);

/* For each column '-', or '+' and two numbers as 16 hexadecimal digits each: least and greatest. */
#define DX_IPC_RANGE_CHARS 33

/* How a column is stored; its type is the schema's. */
struct dx_ipc_encoding {
	int64_t dictionary; /* id, where index > 0 */
	uint8_t width;      /* bytes of a value; 0: bits or text */
	uint8_t index;      /* bytes of a dictionary index; 0: no dictionary */
	bool index_is_unsigned;
};

/* --- reading: 0 or -errno with a sentence about the metadata only, which the caller prefixes with a place ------ */

/* @ret_schema: the caller's to free; @ret_encodings: malloc'ed, one for each field. */
int dx_ipc_read_schema(const struct dx_fb_table *schema, struct dsmx_schema *ret_schema,
                       struct dx_ipc_encoding **ret_encodings,
                       struct dsmx_error *err) DX_MUST_CHECK;

/* The value of a key in field @field (a vector of KeyValue); NULL: none. */
const char *dx_ipc_find_key(const struct dx_fb_table *table, unsigned int field, const char *key,
                            uint32_t *ret_len);

/* -EBADMSG if anything in the buffer was broken, else 0. */
int dx_ipc_check_buffer(const struct dx_fb *fb, struct dsmx_error *err) DX_MUST_CHECK;

/* --- writing ------------------------------------------------------------------------------------------- */

/* @indexed: NULL, or for each field whether it has a dictionary; its id is the field's number. */
void dx_ipc_write_schema(struct dx_fb_writer *writer, size_t table, unsigned int field,
                         const struct dsmx_schema *schema, const bool *indexed);

/* One pair, in field @field of @table. */
void dx_ipc_write_key(struct dx_fb_writer *writer, size_t table, unsigned int field,
                      const char *key, const char *value, size_t len);

#endif /* DX_BATCH_IPC_META_H */
