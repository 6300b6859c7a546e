/* SPDX-License-Identifier: MIT */
/*
 * ipc_writer.c - Arrow files and streams, written from front to back
 *
 * A record batch is gathered into plain columns by a builder (16-byte decimals, no selection). Columns that are
 * to be dictionary-encoded go through an index of the texts seen so far and leave as codes; what the codes mean
 * is written behind the last record batch, which the file format allows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "batch/bits.h"
#include "batch/builder.h"
#include "batch/ipc_out.h"
#include "batch/ipc_range.h"
#include "batch/schema.h"
#include "batch/text_index.h"
#include "dsmx/ipc.h"

struct dsmx_ipc_writer {
	enum dsmx_ipc_format format;
	struct dsmx_schema schema;
	bool *indexed;
	struct dx_text_index *indexes; /* one for each field */
	struct dsmx_schema plain;      /* the fields that are not indexed, in the schema's order */
	struct dx_builder *builder;    /* of them */
	struct dsmx_column *columns;   /* scratch for them */
	struct dx_ipc_node *nodes;     /* one for each field */
	char *ranges;
	uint8_t *codes; /* of one batch: for each indexed field codes, then validity */
	size_t codes_room;
	int32_t *translation; /* of a batch's dictionary to ours; -1: not looked up */
	size_t translation_room;
	struct dx_ipc_out out;
	struct dx_ipc_blocks batches, dictionaries;
};

static int write_schema(struct dsmx_ipc_writer *writer, struct dsmx_error *err)
{
	size_t message = dx_ipc_begin_message(&writer->out, DX_IPC_HEADER_SCHEMA, NULL, 0, false);

	dx_ipc_write_schema(&writer->out.meta, message, 2, &writer->schema, writer->indexed);
	return dx_ipc_end_message(&writer->out, NULL, 0, NULL, err);
}

/* --- life ----------------------------------------------------------------------------------------------- */

void dsmx_ipc_abandon(struct dsmx_ipc_writer *writer)
{
	if (writer == NULL)
		return;
	for (uint32_t i = 0; i < writer->schema.field_count && writer->indexes != NULL; i++)
		dx_text_index_fini(&writer->indexes[i]);
	free(writer->indexes);
	free(writer->indexed);
	dx_builder_free(writer->builder);
	dsmx_schema_free(&writer->plain);
	dsmx_schema_free(&writer->schema);
	free(writer->columns);
	free(writer->nodes);
	free(writer->ranges);
	free(writer->codes);
	free(writer->translation);
	dx_ipc_out_fini(&writer->out);
	free(writer->batches.list);
	free(writer->dictionaries.list);
	free(writer);
}

/* The schema of the columns that are not indexed. */
static int make_plain_schema(struct dsmx_ipc_writer *writer)
{
	struct dsmx_field *fields = calloc((size_t)writer->schema.field_count + 1, sizeof(*fields));
	struct dsmx_schema plain = { 0, fields };
	int ret;

	if (fields == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < writer->schema.field_count; i++) {
		if (!writer->indexed[i])
			fields[plain.field_count++] = writer->schema.fields[i];
	}
	ret = dx_schema_copy(&plain, &writer->plain);
	free(fields);
	return ret;
}

static int allocate(struct dsmx_ipc_writer *writer, const struct dsmx_schema *schema,
                    const bool *dictionary)
{
	size_t count = schema->field_count;

	if (dx_schema_copy(schema, &writer->schema) < 0)
		return -ENOMEM;
	writer->indexed = calloc(count + 1, sizeof(*writer->indexed));
	writer->indexes = calloc(count + 1, sizeof(*writer->indexes));
	writer->columns = calloc(count + 1, sizeof(*writer->columns));
	writer->nodes = calloc(count + 1, sizeof(*writer->nodes));
	writer->ranges = malloc((count + 1) * DX_IPC_RANGE_CHARS);
	if (writer->indexed == NULL || writer->indexes == NULL || writer->columns == NULL ||
	    writer->nodes == NULL || writer->ranges == NULL)
		return -ENOMEM;
	if (dictionary != NULL)
		memcpy(writer->indexed, dictionary, count * sizeof(*dictionary));
	if (make_plain_schema(writer) < 0)
		return -ENOMEM;
	return dx_builder_new_wide(&writer->plain, &writer->builder);
}

int dsmx_ipc_writer_new(int fd, enum dsmx_ipc_format format, const struct dsmx_schema *schema,
                        const bool *dictionary, struct dsmx_ipc_writer **ret_writer,
                        struct dsmx_error *err)
{
	struct dsmx_ipc_writer *writer;
	int ret = 0;

	for (uint32_t i = 0; i < schema->field_count && dictionary != NULL; i++) {
		if (!dictionary[i])
			continue;
		if (format != DSMX_IPC_FILE)
			return dx_error(err, -EINVAL,
			                "a stream cannot have dictionaries: they "
			                "are written at the end of a file");
		if (!dsmx_type_is_text(schema->fields[i].type))
			return dx_error(err, -EINVAL, "column '%s' is no text: no dictionary",
			                schema->fields[i].name);
	}
	writer = calloc(1, sizeof(*writer));
	if (writer == NULL)
		return dx_error(err, -ENOMEM, "no memory for a writer of Arrow data");
	writer->format = format;
	if (dx_ipc_out_init(&writer->out, fd, schema->field_count) < 0 ||
	    allocate(writer, schema, dictionary) < 0)
		ret = dx_error(err, -ENOMEM, "no memory for a writer of Arrow data");
	if (ret == 0 && format == DSMX_IPC_FILE)
		ret = dx_ipc_out_write(&writer->out, DX_IPC_MAGIC, DX_IPC_MAGIC_BYTES, err);
	if (ret == 0)
		ret = write_schema(writer, err);
	if (ret < 0)
		dsmx_ipc_abandon(writer);
	else
		*ret_writer = writer;
	return ret;
}

/* --- record batches ------------------------------------------------------------------------------------- */

static struct dx_ipc_node plain_node(struct dsmx_type type, const struct dsmx_column *column,
                                     uint32_t rows)
{
	size_t width = type.id == DSMX_DECIMAL ? 16 : dsmx_type_width(type);
	struct dx_ipc_node node = { .rows = rows, .buffer_count = 2 };

	if (column->validity != NULL)
		node.nulls = rows - dx_bits_count(column->validity, 0, rows);
	if (node.nulls > 0)
		node.buffers[0] = (struct dx_ipc_buffer){ column->validity, dx_bits_bytes(rows) };
	node.buffers[1].bytes = column->values;
	if (!dsmx_type_is_text(type)) {
		node.buffers[1].len = width > 0 ? rows * width : dx_bits_bytes(rows);
		return node;
	}
	node.buffer_count = 3;
	node.buffers[2].bytes = column->bytes;
	if (type.id == DSMX_LARGE_UTF8) {
		node.buffers[1].len = 8 * ((uint64_t)rows + 1);
		node.buffers[2].len = ((const uint64_t *)column->values)[rows];
	} else {
		node.buffers[1].len = 4 * ((uint64_t)rows + 1);
		node.buffers[2].len = ((const uint32_t *)column->values)[rows];
	}
	return node;
}

static int make_room(void *memory, size_t *room, size_t bytes)
{
	void **at = memory, *now;

	if (bytes <= *room)
		return 0;
	now = realloc(*at, bytes);
	if (now == NULL)
		return -ENOMEM;
	*at = now;
	*room = bytes;
	return 0;
}

/* Codes of the selected rows of an indexed column, and their validity. */
static int index_column(struct dsmx_ipc_writer *writer, uint32_t number,
                        const struct dsmx_batch *batch, int32_t *codes, uint8_t *validity)
{
	const struct dsmx_column *column = &batch->columns[number];
	struct dsmx_type type = writer->schema.fields[number].type;
	struct dx_ipc_node node = { .rows = batch->selected, .buffer_count = 2 };
	int ret = 0;

	if (column->codes != NULL && column->dictionary_length > 0) {
		ret = make_room(&writer->translation, &writer->translation_room,
		                column->dictionary_length * sizeof(int32_t));
		if (ret < 0)
			return ret;
		memset(writer->translation, 0xff, column->dictionary_length * sizeof(int32_t));
	}
	for (uint32_t i = 0; i < batch->selected && ret == 0; i++) {
		uint32_t row = batch->selection != NULL ? batch->selection[i] : i;
		bool null = dsmx_column_is_null(column, row);
		int32_t *known = NULL;
		const char *text;
		size_t len;

		codes[i] = 0;
		dx_bit_put(validity, i, !null);
		node.nulls += null;
		if (null)
			continue;
		if (column->codes != NULL) {
			known = &writer->translation[column->codes[row]];
			codes[i] = *known;
			if (*known >= 0)
				continue;
		}
		text = dsmx_column_text(type, column, row, &len);
		ret = dx_text_index_add(&writer->indexes[number], text, len, &codes[i]);
		if (known != NULL)
			*known = codes[i];
	}
	if (node.nulls > 0)
		node.buffers[0] = (struct dx_ipc_buffer){ validity, dx_bits_bytes(node.rows) };
	node.buffers[1] = (struct dx_ipc_buffer){ codes, node.rows * sizeof(*codes) };
	writer->nodes[number] = node;
	return ret;
}

static int index_columns(struct dsmx_ipc_writer *writer, const struct dsmx_batch *batch)
{
	size_t codes = batch->selected * sizeof(int32_t);
	size_t each = codes + (dx_bits_bytes(batch->selected) + 7) / 8 * 8;
	uint8_t *at;
	int ret = make_room(&writer->codes, &writer->codes_room,
	                    each * (writer->schema.field_count - writer->plain.field_count));

	at = writer->codes;
	for (uint32_t i = 0; i < writer->schema.field_count && ret == 0; i++) {
		if (!writer->indexed[i])
			continue;
		ret = index_column(writer, i, batch, (int32_t *)(void *)at, at + codes);
		at += each;
	}
	return ret;
}

static int plain_columns(struct dsmx_ipc_writer *writer, const struct dsmx_batch *batch)
{
	struct dsmx_batch plain = *batch, view;
	uint32_t count = 0;
	int ret;

	for (uint32_t i = 0; i < writer->schema.field_count; i++) {
		if (!writer->indexed[i])
			writer->columns[count++] = batch->columns[i];
	}
	plain.columns = writer->columns;
	plain.column_count = count;
	dx_builder_clear(writer->builder);
	ret = dx_builder_append(writer->builder, &plain);
	if (ret < 0)
		return ret;
	dx_builder_view(writer->builder, &view);
	count = 0;
	for (uint32_t i = 0; i < writer->schema.field_count; i++) {
		struct dsmx_type type = writer->schema.fields[i].type;
		char *range = writer->ranges + (size_t)i * DX_IPC_RANGE_CHARS;

		memset(range, '-', DX_IPC_RANGE_CHARS);
		if (writer->indexed[i])
			continue;
		writer->nodes[i] = plain_node(type, &view.columns[count], view.length);
		dx_ipc_range_write(type, &view.columns[count],
		                   type.id == DSMX_DECIMAL ? 16 : dsmx_type_width(type),
		                   view.length, range);
		count++;
	}
	return 0;
}

int dsmx_ipc_write(struct dsmx_ipc_writer *writer, const struct dsmx_batch *batch,
                   struct dsmx_error *err)
{
	uint32_t fields = writer->schema.field_count;
	bool keys = writer->format == DSMX_IPC_FILE;
	size_t message;
	int ret;

	if (batch->column_count != fields)
		return dx_error(err, -EINVAL, "a batch of %u columns for a schema of %u",
		                batch->column_count, fields);
	if (batch->selected == 0)
		return 0;
	ret = plain_columns(writer, batch);
	if (ret == 0)
		ret = index_columns(writer, batch);
	if (ret < 0)
		return dx_error(err, ret, "cannot gather a record batch of %u rows: %s",
		                batch->selected, dx_strerror(ret));
	message = dx_ipc_begin_message(&writer->out, DX_IPC_HEADER_BATCH, writer->nodes, fields,
	                               keys);
	dx_ipc_add_batch(&writer->out, message, 2, writer->nodes, fields, batch->selected);
	if (keys)
		dx_ipc_write_key(&writer->out.meta, message, 4, DX_IPC_KEY_RANGES, writer->ranges,
		                 (size_t)fields * DX_IPC_RANGE_CHARS);
	return dx_ipc_end_message(&writer->out, writer->nodes, fields, &writer->batches, err);
}

/* --- the end -------------------------------------------------------------------------------------------- */

/* What the codes of an indexed column mean. */
static int write_dictionary(struct dsmx_ipc_writer *writer, uint32_t number, struct dsmx_error *err)
{
	const struct dx_text_index *index = &writer->indexes[number];
	bool large = writer->schema.fields[number].type.id == DSMX_LARGE_UTF8;
	size_t width = large ? 8 : 4;
	uint64_t bytes = dx_text_index_bytes(index);
	struct dx_ipc_node node = { .rows = index->count, .buffer_count = 3 };
	const struct dx_fb_field fields[2] = { { 8, number }, { 4, 0 } };
	uint8_t *offsets;
	size_t message, at;
	int ret;

	if (!large && bytes > INT32_MAX)
		return dx_error(err, -ERANGE, "the dictionary of column '%s' is over 2 GiB",
		                writer->schema.fields[number].name);
	offsets = calloc((size_t)index->count + 1, width);
	if (offsets == NULL)
		return dx_error(err, -ENOMEM, "no memory for a dictionary");
	for (uint32_t i = 0; i < index->count; i++)
		memcpy(offsets + width * ((size_t)i + 1), &index->ends[i], width);
	node.buffers[1] = (struct dx_ipc_buffer){ offsets, width * ((uint64_t)index->count + 1) };
	node.buffers[2] = (struct dx_ipc_buffer){ index->bytes, bytes };
	message = dx_ipc_begin_message(&writer->out, DX_IPC_HEADER_DICTIONARY, &node, 1, false);
	at = dx_fb_add_child(&writer->out.meta, message, 2, fields, 2);
	dx_ipc_add_batch(&writer->out, at, 1, &node, 1, index->count);
	ret = dx_ipc_end_message(&writer->out, &node, 1, &writer->dictionaries, err);
	free(offsets);
	return ret;
}

static void add_footer_blocks(struct dx_fb_writer *meta, size_t footer, unsigned int field,
                              const struct dx_ipc_blocks *blocks)
{
	size_t at = dx_fb_add_vector(meta, footer, field, blocks->count, DX_IPC_BLOCK_BYTES);

	for (uint32_t i = 0; i < blocks->count; i++, at += DX_IPC_BLOCK_BYTES) {
		dx_fb_put_i64(meta, at, (int64_t)blocks->list[i].offset);
		dx_fb_put_i64(meta, at + 8, blocks->list[i].metadata);
		dx_fb_put_i64(meta, at + 16, (int64_t)blocks->list[i].body);
	}
}

static int write_footer(struct dsmx_ipc_writer *writer, struct dsmx_error *err)
{
	const struct dx_fb_field fields[5] = {
		{ 2, DX_IPC_VERSION_V5 }, { 4, 0 }, { 4, 0 }, { 4, 0 }, { 4, 0 },
	};
	struct dx_fb_writer *meta = &writer->out.meta;
	struct dx_ipc_tail tail = { .continuation = DX_IPC_CONTINUATION,
		                    .mark = DX_IPC_HASHED_MARK };
	struct dx_ipc_end end = { .magic = DX_IPC_MAGIC };
	size_t footer;
	int ret;

	meta->len = 0;
	footer = dx_fb_add_table(meta, fields, 5);
	dx_ipc_write_schema(meta, footer, 1, &writer->schema, writer->indexed);
	add_footer_blocks(meta, footer, 2, &writer->dictionaries);
	add_footer_blocks(meta, footer, 3, &writer->batches);
	dx_ipc_write_key(meta, footer, 4, DX_IPC_KEY_HASHED, "1", 1);
	dx_fb_pad(meta, 8, 0);
	if (meta->failed)
		return dx_error(err, -ENOMEM, "no memory for the footer");
	end.footer_len = (int32_t)meta->len;
	tail.hash = dx_ipc_hash_end(writer->out.hash, &tail, meta->bytes, meta->len, &end);
	ret = dx_ipc_out_write(&writer->out, &tail, sizeof(tail), err);
	if (ret == 0)
		ret = dx_ipc_out_write(&writer->out, meta->bytes, meta->len, err);
	if (ret == 0)
		ret = dx_ipc_out_write(&writer->out, &end, DX_IPC_END_BYTES, err);
	return ret;
}

int dsmx_ipc_finish(struct dsmx_ipc_writer *writer, struct dsmx_error *err)
{
	static const uint32_t stream_end[2] = { DX_IPC_CONTINUATION, 0 };
	int ret = 0;

	if (writer->format == DSMX_IPC_STREAM) {
		ret = dx_ipc_out_write(&writer->out, stream_end, sizeof(stream_end), err);
	} else {
		for (uint32_t i = 0; i < writer->schema.field_count && ret == 0; i++) {
			if (writer->indexed[i])
				ret = write_dictionary(writer, i, err);
		}
		if (ret == 0)
			ret = write_footer(writer, err);
	}
	dsmx_ipc_abandon(writer);
	return ret;
}
