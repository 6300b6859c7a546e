/* SPDX-License-Identifier: MIT */
/*
 * ipc_column.c - columns of an open Arrow file
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "batch/bits.h"
#include "batch/decimal.h"
#include "batch/ipc_file.h"
#include "batch/ipc_range.h"

const struct dsmx_schema *dsmx_ipc_schema(const struct dsmx_ipc_file *file)
{
	return &file->schema;
}

uint32_t dsmx_ipc_batch_count(const struct dsmx_ipc_file *file)
{
	return file->part_count;
}

uint32_t dsmx_ipc_batch_rows(const struct dsmx_ipc_file *file, uint32_t batch)
{
	return file->parts[batch].rows;
}

uint64_t dsmx_ipc_rows(const struct dsmx_ipc_file *file)
{
	return file->rows;
}

bool dx_ipc_range(const struct dsmx_ipc_file *file, uint32_t batch, uint32_t column,
                  int64_t *ret_min, int64_t *ret_max)
{
	const char *ranges = file->blocks[file->parts[batch].block].ranges;

	if (ranges == NULL || file->encodings[column].index > 0)
		return false;
	return dx_ipc_range_read(ranges + (size_t)column * DX_IPC_RANGE_CHARS, ret_min, ret_max);
}

/* Column @column of part @batch on its way through the checks. */
struct job {
	struct dsmx_ipc_file *file;
	const struct dx_ipc_rows *block;
	uint32_t batch, column;
	uint32_t from, rows; /* of the block */
	bool first;          /* not checked yet */
	struct dsmx_error *err;
};

static int bad(const struct job *job, const char *what)
{
	return dx_error(job->err, -EBADMSG, "%s: record batch %u, column %u (%s): %s",
	                job->file->path, job->file->parts[job->batch].block, job->column,
	                job->file->schema.fields[job->column].name, what);
}

static const uint8_t *buffer(const struct dx_ipc_rows *block, uint32_t number, uint64_t *ret_len)
{
	const uint8_t *pair = block->buffers + DX_IPC_PAIR_BYTES * (size_t)number;

	*ret_len = (uint64_t)dx_fb_load_i64(pair + 8);
	return block->body + dx_fb_load_i64(pair);
}

/* --- forms that are not ours ----------------------------------------------------------------------------- */

/* Memory for a column that cannot be shown in place; it lives as long as the file. */
static int copy_room(const struct job *job, size_t bytes, void **ret_copy)
{
	struct dsmx_ipc_file *file = job->file;
	size_t fields = file->schema.field_count;
	size_t at = (size_t)job->batch * fields + job->column;

	if (file->copies == NULL)
		file->copies = calloc((size_t)file->part_count * fields, sizeof(*file->copies));
	if (file->copies != NULL && file->copies[at] == NULL)
		file->copies[at] = malloc(bytes > 0 ? bytes : 1);
	if (file->copies == NULL || file->copies[at] == NULL)
		return dx_error(job->err, -ENOMEM, "no memory for a column of %s", job->file->path);
	*ret_copy = file->copies[at];
	return 0;
}

static const void *copy_of(const struct job *job)
{
	size_t at = (size_t)job->batch * job->file->schema.field_count + job->column;

	return job->file->copies != NULL ? job->file->copies[at] : NULL;
}

/* --- validity ------------------------------------------------------------------------------------------- */

static int open_validity(const struct job *job, struct dsmx_column *column)
{
	const uint8_t *node = job->block->nodes + DX_IPC_PAIR_BYTES * (size_t)job->column;
	uint64_t nulls = (uint64_t)dx_fb_load_i64(node + 8), len;
	uint32_t number = job->file->first_buffers[job->column];

	if (nulls == 0)
		return 0;
	column->validity = buffer(job->block, number, &len) + job->from / 8;
	if (!job->first)
		return 0;
	if (!job->file->schema.fields[job->column].nullable)
		return bad(job, "it has nulls, and its schema says that it has none");
	if (job->rows == job->block->rows &&
	    dx_bits_count(column->validity, 0, job->rows) != job->rows - nulls)
		return bad(job, "its nulls are not as many as it says");
	return 0;
}

/* --- text ----------------------------------------------------------------------------------------------- */

/* @count + 1 offsets that ascend within @len bytes */
static bool offsets_fit(const uint8_t *offsets, bool large, uint64_t count, uint64_t len)
{
	const int64_t *wide = (const int64_t *)(const void *)offsets;
	const int32_t *narrow = (const int32_t *)(const void *)offsets;
	bool good;

	if (large) {
		good = wide[0] >= 0 && (uint64_t)wide[count] <= len;
		for (uint64_t i = 0; i < count; i++)
			good &= wide[i] <= wide[i + 1];
	} else {
		good = narrow[0] >= 0 && (uint64_t)(uint32_t)narrow[count] <= len;
		for (uint64_t i = 0; i < count; i++)
			good &= narrow[i] <= narrow[i + 1];
	}
	return good;
}

static int open_text(const struct job *job, struct dsmx_column *column)
{
	bool large = job->file->schema.fields[job->column].type.id == DSMX_LARGE_UTF8;
	uint32_t number = job->file->first_buffers[job->column];
	uint64_t len;
	const uint8_t *offsets = buffer(job->block, number + 1, &len);

	offsets += (size_t)job->from * (large ? 8 : 4);
	column->values = offsets;
	column->bytes = buffer(job->block, number + 2, &len);
	if (job->first && !offsets_fit(offsets, large, job->rows, len))
		return bad(job, "its offsets do not ascend within its bytes");
	return 0;
}

/* --- dictionaries --------------------------------------------------------------------------------------- */

static int check_dictionary(const struct job *job, struct dx_ipc_dictionary *dictionary)
{
	bool large = dictionary->type.id == DSMX_LARGE_UTF8;
	uint64_t len, bytes;
	const uint8_t *offsets = buffer(&dictionary->rows, 1, &len);

	(void)buffer(&dictionary->rows, 2, &bytes);
	if (dx_fb_load_i64(dictionary->rows.nodes + 8) != 0)
		return dx_error(job->err, -EOPNOTSUPP, "%s: dictionary %lld has null entries",
		                job->file->path, (long long)dictionary->id);
	if (dictionary->rows.rows > 0 && !offsets_fit(offsets, large, dictionary->rows.rows, bytes))
		return dx_error(job->err, -EBADMSG,
		                "%s: dictionary %lld: its offsets do not ascend within its bytes",
		                job->file->path, (long long)dictionary->id);
	dictionary->checked = true;
	return 0;
}

static uint64_t index_at(const struct dx_ipc_encoding *encoding, const uint8_t *indexes, uint32_t i)
{
	unsigned int unused = 64 - 8U * encoding->index;
	uint64_t index = 0;

	memcpy(&index, indexes + (size_t)i * encoding->index, encoding->index);
	if (encoding->index_is_unsigned)
		return index;
	return (uint64_t)((int64_t)(index << unused) >> unused);
}

/* Do all codes point into the dictionary, those of nulls too? Then they can be shown as they are. */
static bool codes_fit(const uint8_t *indexes, uint32_t rows, uint32_t entries)
{
	const uint32_t *codes = (const uint32_t *)(const void *)indexes;
	uint32_t most = 0;

	for (uint32_t i = 0; i < rows; i++)
		most = codes[i] > most ? codes[i] : most;
	return most < entries || rows == 0;
}

static int convert_codes(const struct job *job, const uint8_t *indexes, uint32_t entries,
                         const uint8_t *validity)
{
	const struct dx_ipc_encoding *encoding = &job->file->encodings[job->column];
	void *copy;
	int ret = copy_room(job, (size_t)job->rows * sizeof(int32_t), &copy);
	int32_t *codes = copy;

	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < job->rows; i++) {
		uint64_t index = index_at(encoding, indexes, i);
		bool null = validity != NULL && !dx_bit_get(validity, i);

		if (index >= entries && !null)
			return bad(job, "a code points beyond its dictionary");
		codes[i] = index < entries ? (int32_t)index : 0;
	}
	return 0;
}

static int open_codes(const struct job *job, struct dsmx_column *column)
{
	struct dsmx_ipc_file *file = job->file;
	struct dx_ipc_dictionary *dictionary =
		&file->dictionaries[file->field_dictionaries[job->column]];
	const struct dx_ipc_encoding *encoding = &file->encodings[job->column];
	uint32_t entries = dictionary->rows.rows;
	static const int64_t no_offsets[1];
	const uint8_t *indexes;
	uint64_t len;
	int ret = dictionary->checked ? 0 : check_dictionary(job, dictionary);

	if (ret < 0)
		return ret;
	indexes = buffer(job->block, file->first_buffers[job->column] + 1, &len) +
	          (size_t)job->from * encoding->index;
	if (job->first &&
	    (encoding->index != sizeof(int32_t) || !codes_fit(indexes, job->rows, entries))) {
		ret = convert_codes(job, indexes, entries, column->validity);
		if (ret < 0)
			return ret;
	}
	column->codes = copy_of(job);
	if (column->codes == NULL)
		column->codes = (const int32_t *)(const void *)indexes;
	column->dictionary_length = entries;
	column->values =
		entries > 0 ? (const void *)buffer(&dictionary->rows, 1, &len) : no_offsets;
	column->bytes = buffer(&dictionary->rows, 2, &len);
	return 0;
}

/* --- fixed width ---------------------------------------------------------------------------------------- */

static bool digits_fit(const uint8_t *values, const struct job *job, size_t width,
                       const uint8_t *validity)
{
	__int128 limit = dx_power_of_ten(job->file->schema.fields[job->column].type.precision);
	bool fit = true;

	for (uint32_t i = 0; i < job->rows; i++) {
		__int128 value = 0;

		if (width == 16)
			memcpy(&value, values + (size_t)i * 16, 16);
		else
			value = dx_fb_load_i64(values + (size_t)i * 8);
		fit &= (value < limit && value > -limit) ||
		       (validity != NULL && !dx_bit_get(validity, i));
	}
	return fit;
}

/*
 * A wide one of few digits is left to the scan, which narrows and checks in one go. Otherwise the width is ours,
 * or is made so; and a wide value may lie at a multiple of 8 only, where ours are at 16.
 */
static int open_decimal(const struct job *job, struct dsmx_column *column, bool *ret_wide)
{
	struct dsmx_type type = job->file->schema.fields[job->column].type;
	size_t width = job->file->encodings[job->column].width, ours = dsmx_type_width(type);
	void *copy;
	int ret;

	*ret_wide = width == 16 && ours == 8;
	if (*ret_wide)
		return 0;
	if (width == ours && (uintptr_t)column->values % ours == 0) {
		if (job->first && !digits_fit(column->values, job, width, column->validity))
			return bad(job, "a decimal has more digits than its type");
		return 0;
	}
	if (job->first) {
		ret = copy_room(job, (size_t)job->rows * ours, &copy);
		if (ret < 0)
			return ret;
		if (!dx_decimal_convert(column->values, width, copy, ours, column->validity,
		                        job->rows, type.precision))
			return bad(job, "a decimal has more digits than its type");
	}
	column->values = copy_of(job);
	return 0;
}

static int open_fixed(const struct job *job, struct dsmx_column *column, bool *ret_wide)
{
	size_t width = job->file->encodings[job->column].width;
	uint32_t number = job->file->first_buffers[job->column];
	uint64_t len;
	const uint8_t *values = buffer(job->block, number + 1, &len);

	column->values = values + (width > 0 ? job->from * width : job->from / 8);
	if (job->file->schema.fields[job->column].type.id == DSMX_DECIMAL)
		return open_decimal(job, column, ret_wide);
	return 0;
}

int dx_ipc_column(struct dsmx_ipc_file *file, uint32_t batch, uint32_t column,
                  struct dsmx_column *ret_column, bool *ret_wide, struct dsmx_error *err)
{
	const struct dx_ipc_part *part = &file->parts[batch];
	uint64_t bit = (uint64_t)batch * file->schema.field_count + column;
	struct job job = {
		.file = file,
		.block = &file->blocks[part->block],
		.batch = batch,
		.column = column,
		.from = part->from,
		.rows = part->rows,
		.first = !dx_bit_get(file->checked, bit),
		.err = err,
	};
	struct dsmx_column opened = { 0 };
	bool wide = false;
	int ret = open_validity(&job, &opened);

	if (ret < 0)
		return ret;
	if (file->encodings[column].index > 0)
		ret = open_codes(&job, &opened);
	else if (dsmx_type_is_text(file->schema.fields[column].type))
		ret = open_text(&job, &opened);
	else
		ret = open_fixed(&job, &opened, &wide);
	if (ret < 0)
		return ret;
	dx_bit_put(file->checked, bit, true);
	*ret_column = opened;
	*ret_wide = wide;
	return 0;
}
