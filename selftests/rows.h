/* SPDX-License-Identifier: MIT */
/*
 * rows.h - the rows of a table (tables.h) for operator tests: fed to an operator, and read back from it
 *
 * The source operator gives a table's rows in batches of all shapes that the contract allows: with rows that are
 * not selected, dictionaries, bitmaps, longer than a vector. Memory of a batch is freed at the next poll, so that
 * an operator that looks at it later is caught by ASan.
 */
#ifndef DX_SELFTESTS_ROWS_H
#define DX_SELFTESTS_ROWS_H

#include <errno.h>

#include "base/cx.h"
#include "batch/bits.h"
#include "dsmx/exec.h"
#include "tables.h"

/* --- a table as batches -------------------------------------------------------------------------------- */

#define ROWS_COLUMNS 16

/* Memory of one batch: each piece exactly as long as the contract says. */
struct rows_batch {
	struct dsmx_batch batch;
	struct dsmx_column columns[ROWS_COLUMNS];
	void *pieces[5 * ROWS_COLUMNS + 1];
	uint32_t piece_count;
};

static inline void *rows_piece(struct rows_batch *made, size_t len)
{
	void *piece = calloc(1, len > 0 ? len : 1);

	if (piece == NULL)
		abort();
	made->pieces[made->piece_count++] = piece;
	return piece;
}

static inline void rows_batch_free(struct rows_batch *made)
{
	for (uint32_t i = 0; i < made->piece_count; i++)
		free(made->pieces[i]);
	made->piece_count = 0;
}

static inline void rows_put_text(struct rows_batch *made, struct dsmx_column *column, bool large,
                                 struct value *const *values, uint32_t count)
{
	size_t total = 0, at = 0;
	uint8_t *bytes;
	void *offsets;

	for (uint32_t i = 0; i < count; i++)
		total += values[i]->null ? 0 : values[i]->len;
	bytes = rows_piece(made, total);
	offsets = rows_piece(made, (count + 1UL) * (large ? 8 : 4));
	for (uint32_t i = 0; i <= count; i++) {
		if (large)
			((int64_t *)offsets)[i] = (int64_t)at;
		else
			((int32_t *)offsets)[i] = (int32_t)at;
		if (i == count || values[i]->null)
			continue;
		memcpy(bytes + at, values[i]->text, values[i]->len);
		at += values[i]->len;
	}
	column->values = offsets;
	column->bytes = bytes;
}

/* Each distinct text once, in order of first sight, with a spare entry; nulls have code 0. */
static inline void rows_put_codes(struct rows_batch *made, struct dsmx_column *column, bool large,
                                  struct value *const *values, uint32_t count)
{
	struct dsmx_type type = { .id = DSMX_UTF8 };
	struct value spare = { .len = 1, .text = "#" }, **entries;
	int32_t *codes = rows_piece(made, count * sizeof(*codes));
	uint32_t entry_count = 1;

	entries = calloc(count + 1UL, sizeof(struct value *));
	if (entries == NULL)
		abort();
	entries[0] = &spare;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t code = 0;

		if (values[i]->null)
			continue;
		while (code < entry_count && value_compare(type, entries[code], values[i]) != 0)
			code++;
		if (code == entry_count)
			entries[entry_count++] = values[i];
		codes[i] = (int32_t)code;
	}
	rows_put_text(made, column, large, entries, entry_count);
	column->codes = codes;
	column->dictionary_length = entry_count;
	free(entries);
}

static inline void rows_put_value(struct dsmx_type type, const struct value *value, void *to,
                                  uint32_t i)
{
	float f = (float)value->f;

	if (type.id == DSMX_BOOL)
		dx_bit_put(to, i, value->i != 0);
	else if (type.id == DSMX_FLOAT32)
		memcpy((float *)to + i, &f, sizeof(f));
	else if (type.id == DSMX_FLOAT64)
		memcpy((double *)to + i, &value->f, sizeof(value->f));
	else
		memcpy((uint8_t *)to + i * dsmx_type_width(type), &value->i, dsmx_type_width(type));
}

static inline void rows_put_column(struct rows_batch *made, uint32_t c, struct dsmx_type type,
                                   struct value *const *values, uint32_t count, bool coded)
{
	struct dsmx_column *column = &made->columns[c];
	bool large = type.id == DSMX_LARGE_UTF8, nulls = false;

	for (uint32_t i = 0; i < count; i++)
		nulls |= values[i]->null;
	if (nulls) {
		uint8_t *validity = rows_piece(made, dx_bits_bytes(count));

		for (uint32_t i = 0; i < count; i++)
			dx_bit_put(validity, i, !values[i]->null);
		column->validity = validity;
	}
	if (dsmx_type_is_text(type) && coded) {
		rows_put_codes(made, column, large, values, count);
	} else if (dsmx_type_is_text(type)) {
		rows_put_text(made, column, large, values, count);
	} else {
		size_t width = dsmx_type_width(type);
		void *to = rows_piece(made, width > 0 ? width * count : dx_bits_bytes(count));

		for (uint32_t i = 0; i < count; i++)
			rows_put_value(type, values[i], to, i);
		column->values = to;
	}
}

/*
 * Rows @first.. of a table as a batch of some shape. Some places hold other rows, which are not selected.
 * Returns how many rows went in.
 */
static inline uint32_t rows_batch_make(struct rows_batch *made, const struct table *table,
                                       uint32_t first, uint32_t most, uint64_t *chance)
{
	uint32_t left = table->rows - first, count = 0, length = 0, columns;
	bool sparse = rows_below(chance, 2) == 0;
	struct value **column;
	uint32_t *places, *rows;

	left = left < most ? left : most;
	columns = table->schema.field_count;
	*made = (struct rows_batch){ 0 };
	places = rows_piece(made, left * sizeof(*places));
	rows = calloc(3UL * left + 1, sizeof(*rows));
	column = calloc(3UL * left + 1, sizeof(struct value *));
	if (rows == NULL || column == NULL || columns > ROWS_COLUMNS)
		abort();
	while (count < left) {
		bool junk = sparse && length < 2 * left && rows_below(chance, 2) == 0;

		rows[length] = junk ? rows_below(chance, table->rows) : first + count;
		if (!junk)
			places[count++] = length;
		length++;
	}
	for (uint32_t c = 0; c < columns; c++) {
		for (uint32_t i = 0; i < length; i++)
			column[i] = table_at(table, rows[i], c);
		rows_put_column(made, c, table->schema.fields[c].type, column, length,
		                length < 600 && rows_below(chance, 2) == 0);
	}
	free(rows);
	free(column);
	made->batch = (struct dsmx_batch){
		.length = length,
		.selected = count,
		.selection = sparse ? places : NULL,
		.column_count = columns,
		.columns = made->columns,
	};
	return count;
}

/* --- the source operator ------------------------------------------------------------------------------- */

struct source {
	struct dsmx_operator base;
	const struct table *table;
	uint64_t chance;
	uint32_t most;    /* rows of a batch */
	bool often_idle;  /* -EAGAIN now and then */
	uint32_t fail_at; /* poll that fails with -EIO; 0: none does */
	uint32_t executed, polls, closed, freed;
	bool idle_now; /* the last poll said -EAGAIN */
	bool ended;
};

struct source_stream {
	struct dsmx_stream base;
	struct source *source;
	struct rows_batch made;
	uint32_t next;
};

static inline int source_poll(struct dsmx_stream *base, struct dsmx_cx *cx,
                              struct dsmx_batch *ret_batch)
{
	struct source_stream *stream = DX_CONTAINER(base, struct source_stream, base);
	struct source *source = stream->source;

	rows_batch_free(&stream->made);
	source->polls++;
	source->idle_now = false;
	if (source->polls == source->fail_at) {
		(void)snprintf(dsmx_cx_error(cx)->message, DSMX_ERROR_MESSAGE_BYTES, "as asked");
		return -EIO;
	}
	if (source->often_idle && rows_below(&source->chance, 2) == 0) {
		source->idle_now = true;
		return -EAGAIN;
	}
	if (stream->next == source->table->rows) {
		source->ended = true;
		return 0;
	}
	stream->next +=
		rows_batch_make(&stream->made, source->table, stream->next,
	                        1 + rows_below(&source->chance, source->most), &source->chance);
	*ret_batch = stream->made.batch;
	return 1;
}

static inline void source_close(struct dsmx_stream *base)
{
	struct source_stream *stream = DX_CONTAINER(base, struct source_stream, base);

	stream->source->closed++;
	rows_batch_free(&stream->made);
	free(stream);
}

static const struct dsmx_stream_ops source_stream_ops = { source_poll, source_close };

static inline int source_execute(struct dsmx_operator *base, struct dsmx_cx *cx, uint32_t partition,
                                 struct dsmx_stream **ret_stream)
{
	struct source *source = DX_CONTAINER(base, struct source, base);
	struct source_stream *stream = calloc(1, sizeof(*stream));

	(void)cx;
	(void)partition;
	if (stream == NULL)
		abort();
	stream->base.ops = &source_stream_ops;
	stream->source = source;
	source->executed++;
	*ret_stream = &stream->base;
	return 0;
}

static inline void source_free(struct dsmx_operator *base)
{
	DX_CONTAINER(base, struct source, base)->freed++;
}

static const struct dsmx_operator_ops source_ops = { "source", source_execute, source_free };

/* The caller keeps the source, also when the operator above has freed it. */
static inline void source_init(struct source *source, const struct table *table, uint64_t chance)
{
	*source = (struct source){
		.base = { .ops = &source_ops, .schema = table->schema },
		.table = table,
		.chance = chance,
		.most = 100,
	};
}

/* --- the sink ------------------------------------------------------------------------------------------ */

static inline void rows_read_text(struct dsmx_type type, const struct dsmx_column *column,
                                  uint32_t row, struct value *value)
{
	uint32_t entry = column->codes != NULL ? (uint32_t)column->codes[row] : row;
	int64_t from, to;

	if (type.id == DSMX_LARGE_UTF8) {
		from = ((const int64_t *)column->values)[entry];
		to = ((const int64_t *)column->values)[entry + 1];
	} else {
		from = ((const int32_t *)column->values)[entry];
		to = ((const int32_t *)column->values)[entry + 1];
	}
	value->len = (uint32_t)(to - from);
	if (value->len > sizeof(value->text))
		abort();
	if (value->len > 0)
		memcpy(value->text, column->bytes + from, value->len);
}

static inline struct value rows_read(struct dsmx_type type, const struct dsmx_column *column,
                                     uint32_t row)
{
	bool is_unsigned = type.id >= DSMX_UINT8 && type.id <= DSMX_UINT64;
	size_t width = dsmx_type_width(type);
	struct value value = { 0 };
	const uint8_t *at;

	if (column->codes != NULL && (uint32_t)column->codes[row] >= column->dictionary_length)
		abort(); /* also for nulls */
	if (column->validity != NULL && !dx_bit_get(column->validity, row)) {
		value.null = true;
		return value;
	}
	if (dsmx_type_is_text(type)) {
		rows_read_text(type, column, row, &value);
		return value;
	}
	at = (const uint8_t *)column->values + row * width;
	if (type.id == DSMX_BOOL)
		value.i = dx_bit_get(column->values, row);
	else if (type.id == DSMX_FLOAT32)
		value.f = (double)((const float *)column->values)[row];
	else if (type.id == DSMX_FLOAT64)
		value.f = ((const double *)column->values)[row];
	else
		memcpy(&value.i, at, width);
	if (!is_unsigned && !type_is_float(type) && width > 0 && width < 16)
		value.i = (int64_t)((uint64_t)value.i << (64 - 8 * width)) >> (64 - 8 * width);
	return value;
}

static inline void table_read(struct table *table, const struct dsmx_batch *batch)
{
	for (uint32_t i = 0; i < batch->selected; i++) {
		uint32_t row = batch->selection != NULL ? batch->selection[i] : i;
		struct value *values = table_add(table);

		for (uint32_t c = 0; c < table->schema.field_count; c++)
			values[c] =
				rows_read(table->schema.fields[c].type, &batch->columns[c], row);
	}
}

/* How a stream is polled: with slices that are over at once, or never. */
struct drive {
	bool hurried;
	uint32_t stop_after; /* polls; 0: until it ends */
	struct source *sources[2];
	uint32_t polls;
	uint32_t most_rows; /* of a batch seen */
	struct dsmx_error err;
};

/*
 * Execute and poll @op to its end, then close and free it. Rows go to @ret_rows.
 *
 * Returns 0, the error that it ended with, or -EDEADLK: it said -EAGAIN, and nobody would wake it.
 */
static inline int drive_operator(struct drive *drive, struct dsmx_operator *op,
                                 struct table *ret_rows)
{
	struct dsmx_cx cx = { .err = &drive->err };
	struct dsmx_stream *stream;
	struct dsmx_batch batch;
	int ret;

	*ret_rows = table_new(op->schema.fields, op->schema.field_count);
	cx.slice_end_ns = drive->hurried ? 0 : UINT64_MAX;
	ret = op->ops->execute(op, &cx, 0, &stream);
	if (ret < 0) {
		op->ops->free(op);
		return ret;
	}
	do {
		bool idle = false;

		cx.yielded = false;
		memset(&batch, 0xa5, sizeof(batch));
		ret = stream->ops->poll_next(stream, &cx, &batch);
		drive->polls++;
		for (int i = 0; i < 2; i++)
			idle |= drive->sources[i] != NULL && drive->sources[i]->idle_now;
		if (ret == 1)
			table_read(ret_rows, &batch);
		if (ret == 1 && batch.selected > drive->most_rows)
			drive->most_rows = batch.selected;
		if (ret == -EAGAIN && !cx.yielded && !idle) {
			ret = -EDEADLK;
			break;
		}
		if (drive->stop_after > 0 && drive->polls >= drive->stop_after)
			break;
	} while (ret == 1 || ret == -EAGAIN);
	if (ret == 0 || ret == -EIO || ret == -ERANGE) { /* a second time the same */
		int again = stream->ops->poll_next(stream, &cx, &batch);

		ret = again == ret ? ret : -ENOTRECOVERABLE;
	}
	stream->ops->close(stream);
	op->ops->free(op);
	return ret == 1 || ret == -EAGAIN ? 0 : ret;
}

#endif /* DX_SELFTESTS_ROWS_H */
