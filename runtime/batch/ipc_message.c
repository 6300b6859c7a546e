/* SPDX-License-Identifier: MIT */
/*
 * ipc_message.c - the messages of a file, checked
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "batch/bits.h"
#include "batch/ipc_file.h"

/* Fields of table RecordBatch. */
enum { BATCH_ROWS, BATCH_NODES, BATCH_BUFFERS, BATCH_COMPRESSION, BATCH_VARIADIC };

/* Files from before Arrow 0.15 have no continuation in front of a message's length. */
static int read_prefix(const uint8_t *at, const struct dx_ipc_span *span, uint64_t *ret_prefix,
                       struct dsmx_error *err)
{
	uint32_t words[2];
	uint64_t prefix = 4;

	if (span->metadata < DX_IPC_PREFIX_BYTES)
		return dx_error(err, -EBADMSG, "a message of %llu bytes",
		                (unsigned long long)span->metadata);
	memcpy(words, at, sizeof(words));
	if (words[0] == DX_IPC_CONTINUATION) {
		words[0] = words[1];
		prefix = DX_IPC_PREFIX_BYTES;
	}
	if (words[0] != span->metadata - prefix)
		return dx_error(err, -EBADMSG,
		                "its length in front of it is %u, but %llu in the footer", words[0],
		                (unsigned long long)(span->metadata - prefix));
	*ret_prefix = prefix;
	return 0;
}

int dx_ipc_open_message(const struct dsmx_ipc_file *file, const struct dx_ipc_span *span,
                        enum dx_ipc_header header, struct dx_fb *fb,
                        struct dx_fb_table *ret_message, struct dsmx_error *err)
{
	const uint8_t *at = file->map + span->offset;
	struct dx_fb_table message;
	int64_t version, kind, body;
	uint64_t prefix = 0;
	int ret = read_prefix(at, span, &prefix, err);

	if (ret < 0)
		return ret;
	(void)dx_fb_root(fb, at + prefix, (size_t)(span->metadata - prefix), &message);
	version = dx_fb_int(&message, 0, 2, 0);
	kind = dx_fb_int(&message, 1, 1, 0);
	body = dx_fb_int(&message, 3, 8, 0);
	ret = dx_ipc_check_buffer(fb, err);
	if (ret < 0)
		return ret;
	if (version != DX_IPC_VERSION_V5 && version != DX_IPC_VERSION_V4)
		return dx_error(err, -EOPNOTSUPP, "metadata version %lld", (long long)version + 1);
	if (kind != header)
		return dx_error(err, -EBADMSG, "it is a message of kind %d, not %d", (int)kind,
		                (int)header);
	if (body != (int64_t)span->body)
		return dx_error(err, -EBADMSG,
		                "it has a body of %lld bytes, but %llu in the footer",
		                (long long)body, (unsigned long long)span->body);
	*ret_message = message;
	return 0;
}

/* Offset and length of buffer @number, which must lie in a body of @body bytes. */
static int check_buffer(const struct dx_fb_vector *buffers, uint32_t number, uint64_t body,
                        uint64_t least, struct dsmx_error *err)
{
	const uint8_t *at = buffers->items + DX_IPC_PAIR_BYTES * (size_t)number;
	uint64_t offset = (uint64_t)dx_fb_load_i64(at), len = (uint64_t)dx_fb_load_i64(at + 8);

	if (offset > body || len > body - offset)
		return dx_error(err, -EBADMSG, "buffer %u reaches beyond the body", number);
	if (len < least)
		return dx_error(err, -EBADMSG, "buffer %u has %llu bytes where the rows need %llu",
		                number, (unsigned long long)len, (unsigned long long)least);
	if (len > 0 && offset % 8 != 0)
		return dx_error(err, -EBADMSG,
		                "buffer %u begins at %llu, which is no multiple of 8", number,
		                (unsigned long long)offset);
	return 0;
}

/* Node @number and the buffers of one column. @width: of a value, an index or an offset; 0: bits */
static int check_column(const struct dx_fb_vector *nodes, uint32_t number,
                        const struct dx_fb_vector *buffers, uint32_t first, bool text, size_t width,
                        uint64_t rows, uint64_t body, struct dsmx_error *err)
{
	const uint8_t *node = nodes->items + DX_IPC_PAIR_BYTES * (size_t)number;
	int64_t length = dx_fb_load_i64(node), nulls = dx_fb_load_i64(node + 8);
	uint64_t values = width > 0 ? rows * width : dx_bits_bytes(rows);
	int ret;

	if (length != (int64_t)rows || nulls < 0 || nulls > length)
		return dx_error(err, -EBADMSG,
		                "column %u has %lld rows and %lld nulls, the batch %llu rows",
		                number, (long long)length, (long long)nulls,
		                (unsigned long long)rows);
	ret = check_buffer(buffers, first, body, nulls > 0 ? dx_bits_bytes(rows) : 0, err);
	if (text && rows > 0)
		values += width;
	if (ret == 0)
		ret = check_buffer(buffers, first + 1, body, values, err);
	if (ret == 0 && text)
		ret = check_buffer(buffers, first + 2, body, 0, err);
	return ret;
}

static size_t value_width(struct dsmx_type type, const struct dx_ipc_encoding *encoding)
{
	if (encoding != NULL && encoding->index > 0)
		return encoding->index;
	if (dsmx_type_is_text(type))
		return type.id == DSMX_LARGE_UTF8 ? 8 : 4;
	return encoding->width;
}

/* A RecordBatch table with @fields columns and @buffer_count buffers. */
static int open_rows(const struct dx_fb_table *table, uint32_t fields, uint32_t buffer_count,
                     struct dx_fb_vector *ret_nodes, struct dx_fb_vector *ret_buffers,
                     uint32_t *ret_rows, struct dsmx_error *err)
{
	struct dx_fb_table compression;
	struct dx_fb_vector variadic;
	int64_t rows = dx_fb_int(table, BATCH_ROWS, 8, 0);
	bool compressed = dx_fb_table(table, BATCH_COMPRESSION, &compression);
	int ret;

	(void)dx_fb_vector(table, BATCH_NODES, DX_IPC_PAIR_BYTES, ret_nodes);
	(void)dx_fb_vector(table, BATCH_BUFFERS, DX_IPC_PAIR_BYTES, ret_buffers);
	(void)dx_fb_vector(table, BATCH_VARIADIC, 8, &variadic);
	ret = dx_ipc_check_buffer(table->fb, err);
	if (ret < 0)
		return ret;
	if (compressed)
		return dx_error(err, -EOPNOTSUPP, "its buffers are compressed");
	if (rows < 0)
		return dx_error(err, -EBADMSG, "it has %lld rows", (long long)rows);
	if (rows > INT32_MAX)
		return dx_error(err, -EOPNOTSUPP, "it has %lld rows, over 2^31", (long long)rows);
	if (ret_nodes->count != fields || ret_buffers->count != buffer_count || variadic.count != 0)
		return dx_error(err, -EBADMSG,
		                "it has %u columns and %u buffers; the schema needs %u and %u",
		                ret_nodes->count, ret_buffers->count, fields, buffer_count);
	*ret_rows = (uint32_t)rows;
	return 0;
}

int dx_ipc_open_batch(struct dsmx_ipc_file *file, const struct dx_ipc_span *span,
                      struct dx_ipc_rows *ret_rows, struct dsmx_error *err)
{
	uint32_t fields = file->schema.field_count, rows = 0, len;
	struct dx_fb_vector nodes, buffers;
	struct dx_fb_table message, table;
	struct dx_fb fb;
	int ret = dx_ipc_open_message(file, span, DX_IPC_HEADER_BATCH, &fb, &message, err);

	if (ret < 0)
		return ret;
	(void)dx_fb_table(&message, 2, &table);
	ret = open_rows(&table, fields, file->first_buffers[fields], &nodes, &buffers, &rows, err);
	for (uint32_t i = 0; i < fields && ret == 0; i++) {
		struct dsmx_type type = file->schema.fields[i].type;
		bool text = dsmx_type_is_text(type) && file->encodings[i].index == 0;

		ret = check_column(&nodes, i, &buffers, file->first_buffers[i], text,
		                   value_width(type, &file->encodings[i]), rows, span->body, err);
	}
	if (ret < 0)
		return ret;
	*ret_rows = (struct dx_ipc_rows){
		.nodes = nodes.items,
		.buffers = buffers.items,
		.body = file->map + span->offset + span->metadata,
		.ranges = dx_ipc_find_key(&message, 4, DX_IPC_KEY_RANGES, &len),
		.rows = rows,
	};
	if (ret_rows->ranges != NULL && len != (uint64_t)fields * DX_IPC_RANGE_CHARS)
		ret_rows->ranges = NULL;
	return dx_ipc_check_buffer(&fb, err);
}

int dx_ipc_open_dictionary(struct dsmx_ipc_file *file, const struct dx_ipc_span *span,
                           struct dsmx_error *err)
{
	struct dx_ipc_dictionary *dictionary = NULL;
	struct dx_fb_vector nodes, buffers;
	struct dx_fb_table message, header, table;
	struct dx_fb fb;
	uint32_t rows;
	int64_t id;
	int ret = dx_ipc_open_message(file, span, DX_IPC_HEADER_DICTIONARY, &fb, &message, err);

	if (ret < 0)
		return ret;
	(void)dx_fb_table(&message, 2, &header);
	(void)dx_fb_table(&header, 1, &table);
	id = dx_fb_int(&header, 0, 8, 0);
	if (dx_fb_int(&header, 2, 1, 0) != 0)
		return dx_error(err, -EOPNOTSUPP, "it is an addition to a dictionary");
	ret = open_rows(&table, 1, 3, &nodes, &buffers, &rows, err);
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < file->dictionary_count; i++) {
		if (file->dictionaries[i].id == id)
			dictionary = &file->dictionaries[i];
	}
	if (dictionary == NULL || dictionary->found)
		return dx_error(err, -EBADMSG, "it is dictionary %lld, which %s", (long long)id,
		                dictionary == NULL ? "no column has" : "was there before");
	ret = check_column(&nodes, 0, &buffers, 0, true, value_width(dictionary->type, NULL), rows,
	                   span->body, err);
	if (ret < 0)
		return ret;
	dictionary->rows = (struct dx_ipc_rows){
		.nodes = nodes.items,
		.buffers = buffers.items,
		.body = file->map + span->offset + span->metadata,
		.rows = rows,
	};
	dictionary->found = true;
	return 0;
}
