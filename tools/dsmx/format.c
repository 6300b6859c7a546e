/* SPDX-License-Identifier: MIT */
/*
 * format.c - csv, json and arrow
 *
 *	csv	header line; NULL is empty, an empty text is ""; quoted where it must be
 *	json	one array of objects, one object a line; numbers of any precision as digits
 *	arrow	an IPC stream
 */
#include "format.h"

#include <string.h>

static int nothing_to_begin(struct format_state *state, struct dsmx_error *err)
{
	(void)state;
	(void)err;
	return 0;
}

static void nothing_to_free(struct format_state *state)
{
	(void)state;
}

/* --- csv -------------------------------------------------------------------------------------------------- */

static void csv_text(struct out *out, const char *bytes, size_t len)
{
	bool quote = len == 0;

	for (size_t i = 0; i < len && !quote; i++)
		quote = bytes[i] == ',' || bytes[i] == '"' || bytes[i] == '\n' || bytes[i] == '\r';
	if (!quote) {
		out_bytes(out, bytes, len);
		return;
	}
	out_char(out, '"');
	while (len > 0) {
		const char *mark = memchr(bytes, '"', len);
		size_t n = mark != NULL ? (size_t)(mark - bytes) + 1 : len;

		out_bytes(out, bytes, n);
		if (mark != NULL)
			out_char(out, '"');
		bytes += n;
		len -= n;
	}
	out_char(out, '"');
}

static int csv_begin(struct format_state *state, struct dsmx_error *err)
{
	(void)err;
	for (uint32_t i = 0; i < state->schema->field_count; i++) {
		const char *name = state->schema->fields[i].name;

		if (i > 0)
			out_char(state->out, ',');
		csv_text(state->out, name, strlen(name));
	}
	out_char(state->out, '\n');
	return 0;
}

static int csv_batch(struct format_state *state, const struct dsmx_batch *batch,
                     struct dsmx_error *err)
{
	(void)err;
	for (uint32_t k = 0; k < batch->selected; k++) {
		uint32_t row = format_row(batch, k);

		for (uint32_t i = 0; i < batch->column_count; i++) {
			const struct dsmx_column *column = &batch->columns[i];
			struct dsmx_type type = state->schema->fields[i].type;
			struct value_text text;

			if (i > 0)
				out_char(state->out, ',');
			if (dsmx_column_is_null(column, row))
				continue;
			text = value_text(type, column, row, &state->scratch);
			if (dsmx_type_is_text(type))
				csv_text(state->out, text.bytes, text.len);
			else
				out_bytes(state->out, text.bytes, text.len);
		}
		out_char(state->out, '\n');
	}
	return 0;
}

static int csv_end(struct format_state *state, struct dsmx_error *err)
{
	(void)state;
	(void)err;
	return 0;
}

const struct format format_csv = { "csv", csv_begin, csv_batch, csv_end, nothing_to_free };

/* --- json ------------------------------------------------------------------------------------------------- */

static void json_text(struct out *out, const char *bytes, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	out_char(out, '"');
	for (size_t i = 0, start = 0; i <= len; i++) {
		unsigned char c = i < len ? (unsigned char)bytes[i] : '"';

		if (c >= 32 && c != '"' && c != '\\')
			continue;
		out_bytes(out, bytes + start, i - start);
		start = i + 1;
		if (i == len)
			break;
		if (c == '"' || c == '\\') {
			out_char(out, '\\');
			out_char(out, (char)c);
		} else {
			out_bytes(out, "\\u00", 4);
			out_char(out, hex[c >> 4]);
			out_char(out, hex[c & 15]);
		}
	}
	out_char(out, '"');
}

static void json_value(struct format_state *state, struct dsmx_type type,
                       const struct dsmx_column *column, uint32_t row)
{
	struct value_text text;

	if (dsmx_column_is_null(column, row)) {
		out_text(state->out, "null");
		return;
	}
	text = value_text(type, column, row, &state->scratch);
	if (type.id == DSMX_BOOL)
		out_text(state->out, text.bytes[0] == 't' ? "true" : "false");
	else if (value_is_number(type) && text.bytes[text.len - 1] <= '9')
		out_bytes(state->out, text.bytes, text.len);
	else
		json_text(state->out, text.bytes, text.len); /* NaN and Infinity too */
}

static int json_batch(struct format_state *state, const struct dsmx_batch *batch,
                      struct dsmx_error *err)
{
	(void)err;
	for (uint32_t k = 0; k < batch->selected; k++) {
		uint32_t row = format_row(batch, k);

		out_text(state->out, state->rows + k == 0 ? "[\n{" : ",\n{");
		for (uint32_t i = 0; i < batch->column_count; i++) {
			const struct dsmx_field *field = &state->schema->fields[i];

			if (i > 0)
				out_text(state->out, ", ");
			json_text(state->out, field->name, strlen(field->name));
			out_text(state->out, ": ");
			json_value(state, field->type, &batch->columns[i], row);
		}
		out_char(state->out, '}');
	}
	return 0;
}

static int json_end(struct format_state *state, struct dsmx_error *err)
{
	(void)err;
	out_text(state->out, state->rows == 0 ? "[]\n" : "\n]\n");
	return 0;
}

const struct format format_json = { "json", nothing_to_begin, json_batch, json_end,
	                            nothing_to_free };

/* --- arrow ------------------------------------------------------------------------------------------------ */

/* The writer has the descriptor to itself: nothing of ours is in the buffer then. */
static int arrow_begin(struct format_state *state, struct dsmx_error *err)
{
	if (out_flush(state->out) < 0)
		return 0;
	return dsmx_ipc_writer_new(state->out->fd, DSMX_IPC_STREAM, state->schema, NULL,
	                           &state->writer, err);
}

static int arrow_batch(struct format_state *state, const struct dsmx_batch *batch,
                       struct dsmx_error *err)
{
	return state->writer != NULL ? dsmx_ipc_write(state->writer, batch, err) : 0;
}

static int arrow_end(struct format_state *state, struct dsmx_error *err)
{
	struct dsmx_ipc_writer *writer = state->writer;

	state->writer = NULL;
	return writer != NULL ? dsmx_ipc_finish(writer, err) : 0;
}

static void arrow_fini(struct format_state *state)
{
	dsmx_ipc_abandon(state->writer);
	state->writer = NULL;
}

const struct format format_arrow = { "arrow", arrow_begin, arrow_batch, arrow_end, arrow_fini };

const struct format *format_find(const char *name)
{
	static const struct format *const formats[] = { &format_table, &format_csv, &format_json,
		                                        &format_arrow };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	return NULL;
}
