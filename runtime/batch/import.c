/* SPDX-License-Identifier: MIT */
#include "batch/import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "batch/arrow_format.h"
#include "batch/bits.h"
#include "batch/decimal.h"

/* Memory that grows and is used again by every run. */
struct scratch {
	void *memory;
	size_t room;
};

struct source {
	uint8_t width; /* bytes of a value in the arrays; 0: bool and text */
	uint8_t index; /* bytes of a dictionary index; 0: no dictionary */
	bool index_is_unsigned;
	struct scratch validity, values, bits;
};

struct dx_importer {
	struct dsmx_schema schema;
	struct dsmx_column *columns;
	struct source sources[];
};

/* The column that is imported: where, and which rows of @array. */
struct job {
	const struct dsmx_field *field;
	struct source *source;
	const struct ArrowArray *array;
	uint64_t from; /* the array's own offset is in it */
	uint32_t count;
	struct dsmx_column *column;
	struct dsmx_error *err;
};

static int source_init(struct source *source, const struct ArrowSchema *from,
                       struct dsmx_error *err)
{
	const struct ArrowSchema *value = from->dictionary != NULL ? from->dictionary : from;
	struct dsmx_type type;
	uint8_t width;

	/* dsmx_schema_import() has taken it already. */
	if (dx_arrow_format_parse(value->format, &type, &source->width) < 0)
		return dx_error(err, -EOPNOTSUPP, "unknown Arrow type");
	if (from->dictionary == NULL)
		return 0;
	if (dx_arrow_format_parse(from->format, &type, &width) < 0 || type.id < DSMX_INT8 ||
	    type.id > DSMX_UINT64)
		return dx_error(err, -EINVAL,
		                "the indexes of dictionary column '%s' are no integers",
		                from->name != NULL ? from->name : "");
	source->index = width;
	source->index_is_unsigned = type.id >= DSMX_UINT8;
	return 0;
}

int dx_importer_new(const struct ArrowSchema *schema, struct dx_importer **ret_importer,
                    struct dsmx_error *err)
{
	struct dx_importer *importer;
	struct dsmx_schema imported;
	int ret = dsmx_schema_import(schema, &imported, err);

	if (ret < 0)
		return ret;
	importer = calloc(1, sizeof(*importer) + imported.field_count * sizeof(struct source));
	if (importer == NULL) {
		dsmx_schema_free(&imported);
		return dx_error(err, -ENOMEM, "no memory to import Arrow arrays");
	}
	importer->schema = imported;
	importer->columns = calloc((size_t)imported.field_count + 1, sizeof(*importer->columns));
	if (importer->columns == NULL)
		ret = dx_error(err, -ENOMEM, "no memory to import Arrow arrays");
	for (uint32_t i = 0; i < imported.field_count && ret == 0; i++)
		ret = source_init(&importer->sources[i], schema->children[i], err);
	if (ret < 0) {
		dx_importer_free(importer);
		return ret;
	}
	*ret_importer = importer;
	return 0;
}

void dx_importer_free(struct dx_importer *importer)
{
	if (importer == NULL)
		return;
	for (uint32_t i = 0; i < importer->schema.field_count; i++) {
		free(importer->sources[i].validity.memory);
		free(importer->sources[i].values.memory);
		free(importer->sources[i].bits.memory);
	}
	dsmx_schema_free(&importer->schema);
	free(importer->columns);
	free(importer);
}

const struct dsmx_schema *dx_importer_schema(const struct dx_importer *importer)
{
	return &importer->schema;
}

static int bad(const struct job *job, const char *what)
{
	return dx_error(job->err, -EBADMSG, "column '%s' of an Arrow array: %s", job->field->name,
	                what);
}

static int scratch_room(const struct job *job, struct scratch *scratch, size_t bytes)
{
	void *memory;

	if (bytes <= scratch->room)
		return 0;
	memory = malloc(bytes);
	if (memory == NULL)
		return dx_error(job->err, -ENOMEM, "no memory to import Arrow arrays");
	free(scratch->memory);
	*scratch = (struct scratch){ memory, bytes };
	return 0;
}

/* --- bitmaps ------------------------------------------------------------------------------------------- */

/* Bits from job->from on: in place where a byte begins there, else copied. */
static int import_bits(const struct job *job, const void *bits, struct scratch *scratch,
                       const void **ret_bits)
{
	int ret;

	if ((job->from & 7) == 0) {
		*ret_bits = (const uint8_t *)bits + (job->from >> 3);
		return 0;
	}
	ret = scratch_room(job, scratch, dx_bits_bytes(job->count) + 1);
	if (ret < 0)
		return ret;
	dx_bits_copy(scratch->memory, 0, bits, job->from, job->count);
	*ret_bits = scratch->memory;
	return 0;
}

static int import_validity(const struct job *job)
{
	const void *validity = NULL;
	int ret = 0;

	if (job->array->null_count != 0 && job->array->buffers[0] != NULL)
		ret = import_bits(job, job->array->buffers[0], &job->source->validity, &validity);
	else if (job->array->null_count > 0)
		return bad(job, "it has nulls, but no validity bitmap");
	job->column->validity = validity;
	return ret;
}

/* --- fixed width --------------------------------------------------------------------------------------- */

static int import_decimal(const struct job *job, const uint8_t *from)
{
	size_t width = job->source->width, to_width = dsmx_type_width(job->field->type);
	const uint8_t *validity = job->column->validity;
	bool fits;
	int ret;

	ret = scratch_room(job, &job->source->values, (size_t)job->count * to_width + 16);
	if (ret < 0)
		return ret;
	fits = dx_decimal_convert(from, width, job->source->values.memory, to_width, validity,
	                          job->count, job->field->type.precision);
	job->column->values = job->source->values.memory;
	return fits ? 0 : bad(job, "a decimal has more digits than its type");
}

static int import_fixed(const struct job *job)
{
	size_t width = job->source->width;
	const uint8_t *from;
	int ret;

	if (job->count == 0 || job->array->buffers[1] == NULL) {
		static const uint64_t none[2];

		job->column->values = none;
		return job->count == 0 ? 0 : bad(job, "it has no values");
	}
	if (width == 0)
		return import_bits(job, job->array->buffers[1], &job->source->bits,
		                   &job->column->values);
	from = (const uint8_t *)job->array->buffers[1] + job->from * width;
	if (job->field->type.id == DSMX_DECIMAL)
		return import_decimal(job, from);
	job->column->values = from;
	if ((uintptr_t)from % width == 0)
		return 0;
	ret = scratch_room(job, &job->source->values, (size_t)job->count * width);
	if (ret < 0)
		return ret;
	job->column->values = memcpy(job->source->values.memory, from, job->count * width);
	return 0;
}

/* --- text ---------------------------------------------------------------------------------------------- */

static bool offsets_ascend(const void *offsets, uint64_t count, bool large)
{
	int64_t last = large ? ((const int64_t *)offsets)[0] : ((const int32_t *)offsets)[0];
	bool good = last >= 0;

	for (uint64_t i = 1; i <= count; i++) {
		int64_t next =
			large ? ((const int64_t *)offsets)[i] : ((const int32_t *)offsets)[i];

		good &= next >= last;
		last = next;
	}
	return good;
}

static bool texts_are_empty(const void *offsets, uint64_t count, bool large)
{
	if (large)
		return ((const int64_t *)offsets)[count] == ((const int64_t *)offsets)[0];
	return ((const int32_t *)offsets)[count] == ((const int32_t *)offsets)[0];
}

/* Offsets and bytes of @count texts of @array from @from on. */
static int import_text(const struct job *job, const struct ArrowArray *array, uint64_t from,
                       uint64_t count)
{
	static const int64_t empty[1];
	bool large = job->field->type.id == DSMX_LARGE_UTF8;
	size_t width = large ? 8 : 4;
	const uint8_t *offsets = array->buffers[1];
	int ret;

	job->column->bytes = array->buffers[2];
	job->column->values = empty;
	if (count == 0)
		return 0;
	if (offsets == NULL)
		return bad(job, "it has no offsets");
	offsets += from * width;
	if ((uintptr_t)offsets % width != 0) {
		ret = scratch_room(job, &job->source->values, (size_t)(count + 1) * width);
		if (ret < 0)
			return ret;
		offsets = memcpy(job->source->values.memory, offsets, (size_t)(count + 1) * width);
	}
	if (!offsets_ascend(offsets, count, large))
		return bad(job, "its offsets do not ascend from 0");
	if (array->buffers[2] == NULL && !texts_are_empty(offsets, count, large))
		return bad(job, "it has no bytes");
	job->column->values = offsets;
	return 0;
}

static uint64_t index_at(const struct source *source, const uint8_t *indexes, uint64_t i)
{
	unsigned int unused = 64 - 8U * source->index;
	uint64_t index = 0;

	memcpy(&index, indexes + i * source->index, source->index);
	if (source->index_is_unsigned)
		return index;
	return (uint64_t)((int64_t)(index << unused) >> unused);
}

/* Indexes become int32 codes; a row of a null entry becomes null; codes under nulls become 0. */
static int import_codes(const struct job *job, const struct ArrowArray *dictionary)
{
	const uint8_t *indexes = job->array->buffers[1], *validity = job->column->validity;
	const uint8_t *entries = dictionary->null_count != 0 ? dictionary->buffers[0] : NULL;
	size_t bytes = dx_bits_bytes(job->count);
	uint8_t *nulls = NULL;
	int32_t *codes;
	int ret;

	if (job->count > 0 && indexes == NULL)
		return bad(job, "it has no indexes");
	ret = scratch_room(job, &job->source->bits,
	                   (size_t)job->count * sizeof(*codes) + bytes + 8);
	if (ret < 0)
		return ret;
	codes = job->source->bits.memory;
	if (entries != NULL) {
		nulls = (uint8_t *)(codes + job->count);
		if (validity != NULL)
			memcpy(nulls, validity, bytes);
		else
			memset(nulls, 0xff, bytes);
		job->column->validity = nulls;
	}
	for (uint32_t i = 0; i < job->count; i++) {
		uint64_t index = index_at(job->source, indexes, job->from + i);

		codes[i] = 0;
		if (validity != NULL && !dx_bit_get(validity, i))
			continue;
		if (index >= (uint64_t)dictionary->length)
			return bad(job, "an index points beyond its dictionary");
		if (nulls != NULL && !dx_bit_get(entries, (uint64_t)dictionary->offset + index))
			dx_bit_put(nulls, i, false);
		else
			codes[i] = (int32_t)index;
	}
	job->column->codes = codes;
	job->column->dictionary_length = (uint32_t)dictionary->length;
	return 0;
}

/* --- arrays -------------------------------------------------------------------------------------------- */

/* A live array of @buffers buffers whose offset and length cannot overflow. */
static bool array_is_sane(const struct ArrowArray *array, int64_t buffers)
{
	return array != NULL && array->release != NULL && array->n_buffers == buffers &&
	       array->buffers != NULL && array->length >= 0 && array->offset >= 0 &&
	       array->length <= INT64_MAX / 64 && array->offset <= INT64_MAX / 64;
}

static int import_dictionary(const struct job *job)
{
	const struct ArrowArray *dictionary = job->array->dictionary;
	int ret;

	if (!array_is_sane(dictionary, 3) || dictionary->length > INT32_MAX)
		return bad(job, "its dictionary is not there or not sane");
	ret = import_text(job, dictionary, (uint64_t)dictionary->offset,
	                  (uint64_t)dictionary->length);
	if (ret < 0)
		return ret;
	return import_codes(job, dictionary);
}

static int import_column(struct job *job, uint64_t from)
{
	bool text = dsmx_type_is_text(job->field->type);
	int ret;

	*job->column = (struct dsmx_column){ 0 };
	if (!array_is_sane(job->array, text && job->source->index == 0 ? 3 : 2))
		return bad(job, "it is released, or its buffers are not those of its type");
	if (from + job->count > (uint64_t)job->array->length)
		return bad(job, "it has fewer rows than the struct that it is in");
	job->from = from + (uint64_t)job->array->offset;
	ret = import_validity(job);
	if (ret < 0)
		return ret;
	if (job->source->index > 0)
		ret = import_dictionary(job);
	else if (text)
		ret = import_text(job, job->array, job->from, job->count);
	else
		ret = import_fixed(job);
	/* Whoever plans on it takes the schema's word. */
	if (ret == 0 && !job->field->nullable && job->column->validity != NULL &&
	    dx_bits_count(job->column->validity, 0, job->count) < job->count)
		return bad(job, "it has nulls, and its schema says that it has none");
	return ret;
}

int dx_array_import(struct dx_importer *importer, const struct ArrowArray *array, uint64_t from,
                    uint32_t count, struct dsmx_batch *ret_batch, struct dsmx_error *err)
{
	uint32_t columns = importer->schema.field_count;

	if (!array_is_sane(array, 1) || array->n_children != columns ||
	    (columns > 0 && array->children == NULL) || from > (uint64_t)array->length ||
	    count > (uint64_t)array->length - from)
		return dx_error(err, -EBADMSG, "an Arrow array is not the struct of its schema");
	if (array->null_count != 0 && array->buffers[0] != NULL &&
	    dx_bits_count(array->buffers[0], (uint64_t)array->offset + from, count) < count)
		return dx_error(err, -EBADMSG, "an Arrow array has rows that are null as a whole");
	for (uint32_t i = 0; i < columns; i++) {
		struct job job = {
			.field = &importer->schema.fields[i],
			.source = &importer->sources[i],
			.array = array->children[i],
			.count = count,
			.column = &importer->columns[i],
			.err = err,
		};
		int ret = import_column(&job, from + (uint64_t)array->offset);

		if (ret < 0)
			return ret;
	}
	*ret_batch = (struct dsmx_batch){
		.length = count,
		.selected = count,
		.column_count = columns,
		.columns = importer->columns,
	};
	return 0;
}
