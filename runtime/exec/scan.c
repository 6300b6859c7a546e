/* SPDX-License-Identifier: MIT */
/*
 * scan.c - rows of an Arrow file, filtered where they lie
 *
 * A record batch of the file is looked at in slices of DX_VECTOR_ROWS rows. Nothing is read that need not
 * be: a record batch whose statistics contradict the filter is left out; the filter's conjuncts are applied
 * one after the other, each to what is left, and a column is looked up when a conjunct or the output first
 * needs it. What comes out is the slice of the mapped file under a selection, not a copy.
 *
 * Filters of joins' keys that are on offer (offer.h) come last: a record batch that none of their keys is in is
 * left out, too, and so are rows before the columns are prepared that only the output needs.
 *
 * The one thing that is made is the 8-byte form of decimals that a file has in 16 bytes: for the rows that
 * are still selected when the column is first needed, at their places in the slice.
 */
#include "base/err.h"
#include "batch/ipc.h"
#include "exec/bits.h"
#include "exec/build.h"
#include "exec/decimal.h"
#include "exec/eval.h"
#include "exec/filecache.h"
#include "exec/offer.h"
#include "exec/op.h"
#include "exec/select.h"
#include "exec/window.h"

struct scan_op {
	struct dsmx_operator op;
	const struct dsmx_rel *rel;
	struct dx_exec_env *env;
	struct dx_cached_file *file;
};

/* A column of the record batch at hand. */
struct source {
	struct dsmx_column column; /* of the whole record batch */
	bool known;                /* is `column` of this record batch? */
	bool wide;                 /* 16 bytes for a narrow decimal */
	int64_t *narrow;           /* of the slice */
};

/* Filters on offer to this scan, and whether each is worth its work. */
#define FILTERS_MAX 4

struct offered {
	const struct dx_key_filter *filter;
	struct dx_worth worth;
};

struct scan {
	struct dsmx_stream stream;
	struct scan_op *op;
	struct dsmx_ipc_file *file;
	struct dx_select *select; /* NULL: no filter */
	uint32_t column_count;
	struct source *sources;
	struct dsmx_column *columns; /* of the slice */
	bool *ready;                 /* has columns[i] been set for this slice? */
	uint32_t batch, batch_rows;  /* the record batch, and how many rows it has */
	uint32_t next_batch;
	uint32_t at; /* where in it the next slice begins */
	bool ended;  /* with `end`: what every further poll gives */
	int end;
	struct offered filters[FILTERS_MAX];
	uint32_t filter_count;
	struct dx_filter_hashes hashes;
	uint32_t rows[DX_VECTOR_ROWS];
};

/* --- decimals ---------------------------------------------------------------------------------------- */

/* One 16-byte value as 8 bytes. What is lost, and what the value's size is, gather in @lost and @size. */
#define NARROW(row)                                                                                \
	do {                                                                                       \
		uint64_t low = from[2 * (size_t)(row)], high = from[2 * (size_t)(row) + 1];        \
		uint64_t sign = (uint64_t)((int64_t)low >> 63);                                    \
		to[row] = (int64_t)low;                                                            \
		lost |= high ^ sign;                                                               \
		size |= low ^ sign;                                                                \
	} while (0)

/*
 * Narrow the selected rows.
 *
 * Returns whether all are sure to be under 10^precision; the value of a null or of another row, or sizes taken
 * together, may make it false without need.
 */
static bool narrow_rows(const uint64_t *from, const struct dsmx_batch *batch, int precision,
                        int64_t *to)
{
	uint64_t lost = 0, size = 0;

	/* While most rows are selected, all of them in order cost less. */
	if (batch->selected > batch->length / 2) {
		for (uint32_t row = 0; row < batch->length; row++)
			NARROW(row);
	} else {
		for (uint32_t k = 0; k < batch->selected; k++)
			NARROW(batch->selection[k]);
	}
	/* The size of -n is n - 1. */
	return lost == 0 && size < (uint64_t)dx_power_of_ten((unsigned int)precision) - 1;
}

/* The same question, asked of each selected row that has a value. */
static bool rows_fit(const uint64_t *from, const uint8_t *bits, const struct dsmx_batch *batch,
                     int precision)
{
	for (uint32_t k = 0; k < batch->selected; k++) {
		uint32_t row = batch->selection != NULL ? batch->selection[k] : k;

		if ((bits == NULL || dx_bit_get(bits, row)) &&
		    !dx_decimal_fits(dx_load_i128(from, row), (unsigned int)precision))
			return false;
	}
	return true;
}

/* --- columns ----------------------------------------------------------------------------------------- */

/* Set columns[i] for the slice, of which @batch says what is selected. */
static int prepare(struct scan *scan, uint32_t i, uint32_t start, const struct dsmx_batch *batch,
                   struct dsmx_error *err)
{
	struct dsmx_type type = scan->op->op.schema.fields[i].type;
	uint32_t file_column = scan->op->rel->scan.columns[i];
	struct source *source = &scan->sources[i];
	struct dsmx_column *column = &scan->columns[i];
	const uint64_t *from;
	int code;

	if (!source->known) {
		code = dx_ipc_column(scan->file, scan->batch, file_column, &source->column,
		                     &source->wide, err);
		if (code < 0)
			return code;
		source->known = true;
	}
	scan->ready[i] = true;
	if (!source->wide) {
		*column = dx_column_at(type, &source->column, start);
		return 0;
	}
	if (source->narrow == NULL)
		source->narrow = aligned_alloc(64, DX_VECTOR_ROWS * sizeof(*source->narrow));
	if (source->narrow == NULL)
		return dx_error(err, -ENOMEM, "no memory for a scan");
	*column = (struct dsmx_column){ .values = source->narrow };
	if (source->column.validity != NULL)
		column->validity = source->column.validity + start / 8;
	from = (const uint64_t *)source->column.values + 2 * (size_t)start;
	if (!narrow_rows(from, batch, type.precision, source->narrow) &&
	    !rows_fit(from, column->validity, batch, type.precision))
		return dx_error(err, -EBADMSG,
		                "%s: record batch %u, column %u: a decimal of over %d digits",
		                scan->op->rel->scan.path, scan->batch, file_column, type.precision);
	return 0;
}

/* --- record batches ---------------------------------------------------------------------------------- */

/* Do the file's statistics say that no row of the record batch can pass the filter? */
static bool is_ruled_out(const struct scan *scan, uint32_t batch)
{
	uint32_t count = scan->select != NULL ? dx_select_count(scan->select) : 0;
	int64_t min, max;

	for (uint32_t i = 0; i < count; i++) {
		const struct dx_range *range = dx_select_range(scan->select, i);

		if (range == NULL || range->column >= scan->column_count)
			break; /* ranges come first; a wrong number fails where it is evaluated */
		if (range->low > range->high)
			return true;
		if (dx_ipc_range(scan->file, batch, scan->op->rel->scan.columns[range->column],
		                 &min, &max) &&
		    (max < range->low || min > range->high))
			return true;
	}
	return false;
}

/* The same of the filters on offer: is none of their keys in the record batch? */
static bool has_no_key(const struct scan *scan, uint32_t batch)
{
	for (uint32_t i = 0; i < scan->filter_count; i++) {
		const struct dx_key_filter *f = scan->filters[i].filter;

		for (uint32_t k = 0; k < f->key_count; k++) {
			int64_t min, max;

			if ((f->ranged >> k & 1) != 0 &&
			    dx_ipc_range(scan->file, batch,
			                 scan->op->rel->scan.columns[f->columns[k]], &min, &max) &&
			    (max < f->least[k] || min > f->greatest[k]))
				return true;
		}
	}
	return false;
}

/* Go to the next record batch of this partition. Returns false at the end. */
static bool next_batch(struct scan *scan)
{
	struct dx_exec_env *env = scan->op->env;
	uint32_t count = dsmx_ipc_batch_count(scan->file);

	while (scan->next_batch < count) {
		uint32_t batch = scan->next_batch;

		if (__builtin_add_overflow(batch, env->tasks, &scan->next_batch))
			scan->next_batch = count;
		env->scanned_batches++;
		if (is_ruled_out(scan, batch)) {
			env->skipped_batches++;
			continue;
		}
		if (has_no_key(scan, batch)) {
			env->skipped_batches++;
			env->filter_tested += dsmx_ipc_batch_rows(scan->file, batch);
			env->filter_dropped += dsmx_ipc_batch_rows(scan->file, batch);
			continue;
		}
		scan->batch = batch;
		scan->batch_rows = dsmx_ipc_batch_rows(scan->file, batch);
		scan->at = 0;
		for (uint32_t i = 0; i < scan->column_count; i++)
			scan->sources[i].known = false;
		return true;
	}
	return false;
}

/* Apply the filter to the slice at @start. */
static int filter_slice(struct scan *scan, uint32_t start, struct dsmx_batch *batch,
                        struct dsmx_error *err)
{
	uint32_t conjuncts = scan->select != NULL ? dx_select_count(scan->select) : 0;

	for (uint32_t i = 0; i < conjuncts && batch->selected > 0; i++) {
		uint32_t count;
		int code = 0;

		for (uint32_t c = 0; code == 0 && c < scan->column_count; c++) {
			if (!scan->ready[c] && dx_select_reads(scan->select, i, c))
				code = prepare(scan, c, start, batch, err);
		}
		if (code == 0)
			code = dx_select_step(scan->select, i, batch, scan->rows, &count, err);
		if (code < 0)
			return code;
		if (count < batch->selected) {
			batch->selection = scan->rows;
			batch->selected = count;
		}
	}
	return 0;
}

/* Apply one filter on offer to what is left of the slice at @start. */
static int drop_keyless(struct scan *scan, struct offered *offered, uint32_t start,
                        struct dsmx_batch *batch, struct dsmx_error *err)
{
	const struct dx_key_filter *f = offered->filter;
	uint32_t before = batch->selected, kept;

	if (f->key_count == 0 || !dx_worth_asking(&offered->worth, before))
		return 0;
	for (uint32_t k = 0; k < f->key_count; k++) {
		int code = scan->ready[f->columns[k]]
		                   ? 0
		                   : prepare(scan, f->columns[k], start, batch, err);

		if (code < 0)
			return code;
	}
	kept = dx_key_filter_keep(f, &scan->op->op.schema, batch, scan->rows, &scan->hashes);
	dx_worth_note(&offered->worth, before, before - kept, DX_WORTH_SCAN);
	scan->op->env->filter_tested += before;
	scan->op->env->filter_dropped += before - kept;
	if (kept < before) {
		batch->selection = scan->rows;
		batch->selected = kept;
	}
	return 0;
}

/* The next slice; @ret_batch may turn out to have no rows. */
static int next_slice(struct scan *scan, struct dsmx_batch *ret_batch, struct dsmx_error *err)
{
	uint32_t start = scan->at, rows = scan->batch_rows - start;
	struct dsmx_batch batch = { .column_count = scan->column_count, .columns = scan->columns };
	int code;

	if (rows > DX_VECTOR_ROWS)
		rows = DX_VECTOR_ROWS;
	scan->at += rows;
	batch.length = rows;
	batch.selected = rows;
	memset(scan->ready, 0, scan->column_count * sizeof(*scan->ready));
	code = filter_slice(scan, start, &batch, err);
	for (uint32_t i = 0; code == 0 && batch.selected > 0 && i < scan->filter_count; i++)
		code = drop_keyless(scan, &scan->filters[i], start, &batch, err);
	for (uint32_t c = 0; code == 0 && batch.selected > 0 && c < scan->column_count; c++) {
		if (!scan->ready[c])
			code = prepare(scan, c, start, &batch, err);
	}
	*ret_batch = batch;
	return code;
}

static int scan_next(struct scan *scan, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct dsmx_batch batch;
	int err;

	for (;;) {
		if (scan->at >= scan->batch_rows && !next_batch(scan))
			return 0;
		if (scan->batch_rows == 0)
			continue;
		err = next_slice(scan, &batch, dsmx_cx_error(cx));
		if (err < 0)
			return err;
		if (batch.selected > 0) {
			*ret_batch = batch;
			return 1;
		}
		if (dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return -EAGAIN;
		}
	}
}

static int scan_poll(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct scan *scan = DX_CONTAINER(stream, struct scan, stream);
	int err;

	if (scan->ended)
		return scan->end;
	err = scan_next(scan, cx, ret_batch);
	scan->ended = err <= 0 && err != -EAGAIN;
	scan->end = err;
	return err;
}

static void scan_close(struct dsmx_stream *stream)
{
	struct scan *scan = DX_CONTAINER(stream, struct scan, stream);

	for (uint32_t i = 0; scan->sources != NULL && i < scan->column_count; i++)
		free(scan->sources[i].narrow);
	dx_select_free(scan->select);
	dx_filter_hashes_fini(&scan->hashes);
	free(scan->sources);
	free(scan->columns);
	free(scan->ready);
	free(scan);
}

static const struct dsmx_stream_ops scan_stream_ops = {
	.poll_next = scan_poll,
	.close = scan_close,
};

static void find_filters(struct scan *scan, uint32_t partition)
{
	const struct dx_exec_env *env = scan->op->env;
	const struct dx_offer_filter *offer = NULL;

	while (scan->filter_count < FILTERS_MAX &&
	       (offer = dx_filter_next(env, offer, scan->op->rel, partition)) != NULL)
		scan->filters[scan->filter_count++].filter = offer->filter;
}

static int scan_execute(struct dsmx_operator *base, struct dsmx_cx *cx, uint32_t partition,
                        struct dsmx_stream **ret_stream)
{
	struct scan_op *op = DX_CONTAINER(base, struct scan_op, op);
	struct scan *scan = calloc(1, sizeof(*scan));
	size_t count = op->op.schema.field_count;
	int err = 0;

	if (scan == NULL)
		return dx_error(dsmx_cx_error(cx), -ENOMEM, "no memory for a scan");
	scan->stream.ops = &scan_stream_ops;
	scan->op = op;
	scan->file = dx_cached_ipc(op->file);
	scan->column_count = (uint32_t)count;
	scan->next_batch = partition;
	find_filters(scan, partition);
	scan->sources = calloc(count + 1, sizeof(*scan->sources));
	scan->columns = calloc(count + 1, sizeof(*scan->columns));
	scan->ready = calloc(count + 1, sizeof(*scan->ready));
	if (scan->sources == NULL || scan->columns == NULL || scan->ready == NULL)
		err = dx_error(dsmx_cx_error(cx), -ENOMEM, "no memory for a scan");
	else if (op->rel->scan.filter != NULL)
		err = dx_select_new(op->rel->scan.filter, &scan->select, dsmx_cx_error(cx));
	if (err < 0) {
		scan_close(&scan->stream);
		return err;
	}
	*ret_stream = &scan->stream;
	return 0;
}

/* --- the operator ------------------------------------------------------------------------------------ */

static void scan_free(struct dsmx_operator *base)
{
	struct scan_op *op = DX_CONTAINER(base, struct scan_op, op);

	dx_file_cache_put(op->env->files, op->file);
	free(op);
}

static const struct dsmx_operator_ops scan_ops = {
	.name = "Scan",
	.execute = scan_execute,
	.free = scan_free,
};

/* Is the file what the plan says, and does the scan read columns that are there, as what they are? */
static int check_schema(const struct dsmx_rel *rel, const struct dsmx_schema *file,
                        struct dsmx_error *err)
{
	const struct dsmx_schema *planned = &rel->scan.file_schema;
	char names[2][32];

	if (file->field_count != planned->field_count)
		return dx_error(err, -EBADMSG, "%s has %u columns, the plan says %u",
		                rel->scan.path, file->field_count, planned->field_count);
	for (uint32_t i = 0; i < file->field_count; i++) {
		struct dsmx_type is = file->fields[i].type, said = planned->fields[i].type;

		if (!dsmx_type_equal(is, said))
			return dx_error(err, -EBADMSG, "%s: column %u is %s, the plan says %s",
			                rel->scan.path, i,
			                dsmx_type_format(is, names[0], sizeof(names[0])),
			                dsmx_type_format(said, names[1], sizeof(names[1])));
	}
	for (uint32_t i = 0; i < rel->schema.field_count; i++) {
		uint32_t column = rel->scan.columns[i];

		if (column >= file->field_count ||
		    !dsmx_type_equal(rel->schema.fields[i].type, file->fields[column].type))
			return dx_error(err, -EBADMSG,
			                "the plan's scan of %s reads column %u of %u as what it "
			                "is not",
			                rel->scan.path, column, file->field_count);
	}
	return 0;
}

int dx_scan_make(struct dx_exec_env *env, const struct dsmx_rel *rel,
                 struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct scan_op *op = calloc(1, sizeof(*op));
	int code;

	if (op == NULL)
		return dx_error(err, -ENOMEM, "no memory for a scan");
	op->op.ops = &scan_ops;
	op->op.schema = rel->schema;
	op->rel = rel;
	op->env = env;
	code = env->tasks == 0 ? dx_error(err, -EINVAL, "a scan by no tasks") : 0;
	if (code == 0)
		code = dx_file_cache_get(env->files, rel->scan.path, &op->file, err);
	if (code == 0)
		code = check_schema(rel, dsmx_ipc_schema(dx_cached_ipc(op->file)), err);
	if (code < 0) {
		scan_free(&op->op);
		return code;
	}
	*ret_operator = &op->op;
	return 0;
}
