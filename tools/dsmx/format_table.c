/* SPDX-License-Identifier: MIT */
/*
 * format_table.c - an aligned table, as psql prints it
 *
 * Widths come from the rows, so rows are kept until they are known: the first SAMPLE_ROWS decide, later
 * rows only widen what they need, and memory stays bounded. Control characters in values are shown
 * escaped: a value can neither break the table nor drive the terminal.
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/mem.h"
#include "format.h"

#define SAMPLE_ROWS 10000

struct cell {
	size_t start; /* in text */
	size_t len;
	uint32_t width; /* characters */
};

struct table {
	uint32_t columns;
	uint32_t *width;
	char *text;
	size_t used, room;
	struct cell *cells;
	size_t cell_count, cell_room;
	bool printed_head;
};

/* Characters, taking each code point as one column wide. */
static uint32_t width_of(const char *bytes, size_t len)
{
	uint32_t width = 0;

	for (size_t i = 0; i < len; i++)
		width += ((unsigned char)bytes[i] & 0xc0) != 0x80;
	return width;
}

static void reserve(struct table *table, size_t bytes)
{
	if (table->room - table->used >= bytes)
		return;
	table->room = 2 * (table->used + bytes);
	table->text = mem_resize(table->text, table->room);
}

/* Copy with control characters as \n, \t, \r or \xNN. */
static size_t copy_escaped(char *to, const char *from, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)from[i];
		char name = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : 'x';

		if (c >= 32 && c != 127) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '\\';
		to[n++] = name;
		if (name == 'x') {
			to[n++] = hex[c >> 4];
			to[n++] = hex[c & 15];
		}
	}
	return n;
}

static void add_cell(struct table *table, uint32_t column, const char *bytes, size_t len)
{
	struct cell cell = { .start = table->used };

	reserve(table, 4 * len);
	cell.len = copy_escaped(table->text + table->used, bytes, len);
	cell.width = width_of(table->text + table->used, cell.len);
	table->used += cell.len;
	if (cell.width > table->width[column])
		table->width[column] = cell.width;
	if (table->cell_count == table->cell_room) {
		table->cell_room = table->cell_room > 0 ? 2 * table->cell_room : 1024;
		table->cells = mem_resize(table->cells, table->cell_room * sizeof(struct cell));
	}
	table->cells[table->cell_count++] = cell;
}

static void print_row(struct format_state *state, const struct cell *cells)
{
	struct table *table = state->table;

	for (uint32_t i = 0; i < table->columns; i++) {
		bool right = value_is_number(state->schema->fields[i].type);
		size_t pad = table->width[i] - cells[i].width;

		out_text(state->out, i > 0 ? " | " : " ");
		if (right)
			out_repeat(state->out, ' ', pad);
		out_bytes(state->out, table->text + cells[i].start, cells[i].len);
		if (!right && i + 1 < table->columns)
			out_repeat(state->out, ' ', pad);
	}
	out_char(state->out, '\n');
}

static void print_rule(struct format_state *state)
{
	for (uint32_t i = 0; i < state->table->columns; i++) {
		if (i > 0)
			out_char(state->out, '+');
		out_repeat(state->out, '-', (size_t)state->table->width[i] + 2);
	}
	out_char(state->out, '\n');
}

/* Print and forget the rows that are kept; the first time the head too. */
static void print_kept(struct format_state *state)
{
	struct table *table = state->table;
	size_t at = 0;

	if (!table->printed_head) {
		print_row(state, table->cells);
		print_rule(state);
		table->printed_head = true;
		at = table->columns;
	}
	for (; at < table->cell_count; at += table->columns)
		print_row(state, table->cells + at);
	table->cell_count = 0;
	table->used = 0;
}

static int table_begin(struct format_state *state, struct dsmx_error *err)
{
	struct table *table = mem_alloc(sizeof(*table));

	(void)err;
	state->table = table;
	table->columns = state->schema->field_count;
	table->width = mem_alloc(table->columns * sizeof(uint32_t));
	for (uint32_t i = 0; i < table->columns; i++) {
		const char *name = state->schema->fields[i].name;

		add_cell(table, i, name, strlen(name));
	}
	return 0;
}

static int table_batch(struct format_state *state, const struct dsmx_batch *batch,
                       struct dsmx_error *err)
{
	struct table *table = state->table;

	(void)err;
	for (uint32_t k = 0; k < batch->selected; k++) {
		uint32_t row = format_row(batch, k);

		for (uint32_t i = 0; i < table->columns; i++) {
			struct value_text text = { "", 0 };

			if (!dsmx_column_is_null(&batch->columns[i], row))
				text = value_text(state->schema->fields[i].type, &batch->columns[i],
				                  row, &state->scratch);
			add_cell(table, i, text.bytes, text.len);
		}
		if (table->columns > 0 && table->cell_count / table->columns > SAMPLE_ROWS)
			print_kept(state);
	}
	return 0;
}

static int table_end(struct format_state *state, struct dsmx_error *err)
{
	char count[48];
	struct dsmx_type uint64 = { .id = DSMX_UINT64 };
	struct dsmx_column column = { .values = &state->rows };
	struct value_text text = value_text(uint64, &column, 0, &state->scratch);

	(void)err;
	print_kept(state);
	memcpy(count, text.bytes, text.len);
	count[text.len] = '\0';
	out_char(state->out, '(');
	out_text(state->out, count);
	out_text(state->out, state->rows == 1 ? " row)\n" : " rows)\n");
	return 0;
}

static void table_fini(struct format_state *state)
{
	if (state->table == NULL)
		return;
	free(state->table->width);
	free(state->table->text);
	free(state->table->cells);
	free(state->table);
	state->table = NULL;
}

const struct format format_table = { "table", table_begin, table_batch, table_end, table_fini };
