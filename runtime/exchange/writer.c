/* SPDX-License-Identifier: MIT */
#include "exchange/writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Text of a column that a first frame is planned for. */
#define FIRST_TEXT_BYTES 16

int dx_writer_init(struct dx_writer *w, struct dx_mesh *mesh, const struct dsmx_schema *schema)
{
	size_t n = schema->field_count + 1;

	*w = (struct dx_writer){ .mesh = mesh, .schema = schema };
	w->columns = calloc(n, sizeof(*w->columns));
	w->text_used = calloc(n, sizeof(*w->text_used));
	w->has_nulls = calloc(n, sizeof(*w->has_nulls));
	w->seen_text = calloc(n, sizeof(*w->seen_text));
	w->text_rooms = calloc(n, sizeof(*w->text_rooms));
	w->row_bytes = dx_frame_row_bytes(schema);
	if (w->columns == NULL || w->text_used == NULL || w->has_nulls == NULL ||
	    w->seen_text == NULL || w->text_rooms == NULL) {
		dx_writer_fini(w);
		return -ENOMEM;
	}
	return 0;
}

void dx_writer_fini(struct dx_writer *w)
{
	if (w->frame != NULL)
		dx_frame_release(w->frame);
	free(w->columns);
	free(w->text_used);
	free(w->has_nulls);
	free(w->seen_text);
	free(w->text_rooms);
	*w = (struct dx_writer){ 0 };
}

/* --- text of a row ------------------------------------------------------------------------------------------ */

static bool is_null(const struct dsmx_column *c, uint32_t row)
{
	return c->validity != NULL && (c->validity[row / 8] >> (row % 8) & 1) == 0;
}

struct span {
	uint64_t from;
	uint64_t len;
};

static inline struct span text_span(const struct dsmx_column *c, bool large, uint32_t row)
{
	uint32_t at = c->codes != NULL ? (uint32_t)c->codes[row] : row;

	if (large) {
		const int64_t *o = c->values;

		return (struct span){ (uint64_t)o[at], (uint64_t)(o[at + 1] - o[at]) };
	}
	const int32_t *o = c->values;

	return (struct span){ (uint64_t)o[at], (uint64_t)(o[at + 1] - o[at]) };
}

static uint64_t text_len(const struct dsmx_column *c, bool large, uint32_t row)
{
	return is_null(c, row) ? 0 : text_span(c, large, row).len;
}

/* --- planning ------------------------------------------------------------------------------------------------ */

static bool is_large(const struct dx_writer *w, uint32_t i)
{
	return w->schema->fields[i].type.id == DSMX_LARGE_UTF8;
}

static uint64_t mean_text(const struct dx_writer *w, uint32_t i)
{
	return w->seen_rows == 0 ? FIRST_TEXT_BYTES : w->seen_text[i] / w->seen_rows + 1;
}

/* Room for one row, exactly. Returns the bytes of such a frame. */
static int64_t plan_one(struct dx_writer *w, const struct dsmx_batch *batch, uint32_t row)
{
	for (uint32_t i = 0; i < w->schema->field_count; i++) {
		uint64_t len = 0;

		if (dsmx_type_is_text(w->schema->fields[i].type))
			len = text_len(&batch->columns[i], is_large(w, i), row);
		if (len > INT32_MAX)
			return -E2BIG;
		w->text_rooms[i] = (uint32_t)len;
	}
	w->capacity = 1;
	return dx_frame_plan(w->schema, 1, w->text_rooms, w->columns);
}

/* Room for as many rows of the usual width as @room bytes hold; what is over goes to the text. */
static int64_t plan_many(struct dx_writer *w, size_t room)
{
	uint32_t fields = w->schema->field_count, texts = 0;
	uint64_t lines = ((uint64_t)fields * 3 + 1) * DSMX_LINE_BYTES;
	uint64_t row = w->row_bytes, spare;

	for (uint32_t i = 0; i < fields; i++) {
		w->text_rooms[i] = 0;
		if (!dsmx_type_is_text(w->schema->fields[i].type))
			continue;
		texts++;
		row += mean_text(w, i) + mean_text(w, i) / 8;
	}
	lines += (uint64_t)fields * sizeof(struct dsmx_frame_column_abi) + DSMX_LINE_BYTES;
	if (room <= lines)
		return -EMSGSIZE;
	w->capacity = (uint32_t)((room - lines) / (row > 0 ? row : 1));
	if (w->capacity > DSMX_BATCH_ROWS_MAX)
		w->capacity = DSMX_BATCH_ROWS_MAX;
	if (w->capacity == 0)
		return -EMSGSIZE;
	spare = room - lines - w->capacity * row;
	for (uint32_t i = 0; i < fields; i++)
		if (dsmx_type_is_text(w->schema->fields[i].type))
			w->text_rooms[i] =
				(uint32_t)(w->capacity * (mean_text(w, i) + mean_text(w, i) / 8) +
			                   spare / texts);
	return dx_frame_plan(w->schema, w->capacity, w->text_rooms, w->columns);
}

static bool row_fits(const struct dx_writer *w, const struct dsmx_batch *batch, uint32_t row)
{
	for (uint32_t i = 0; i < w->schema->field_count; i++)
		if (dsmx_type_is_text(w->schema->fields[i].type) &&
		    text_len(&batch->columns[i], is_large(w, i), row) > w->columns[i].text_room)
			return false;
	return true;
}

int dx_writer_open(struct dx_writer *w, const struct dsmx_batch *batch, const uint32_t *rows,
                   size_t slab_bytes, enum dx_writer_memory memory, struct dsmx_waker *waker,
                   struct dsmx_error *err)
{
	int64_t bytes = plan_many(w, slab_bytes);
	int r;

	if (bytes < 0 || (size_t)bytes > slab_bytes || !row_fits(w, batch, rows[0]))
		bytes = plan_one(w, batch, rows[0]);
	if (bytes < 0 || (size_t)bytes > dx_slab_longest(dx_mesh_slabs(w->mesh)))
		return dx_error(
			err, -EMSGSIZE,
			"a row of %lld bytes is longer than the longest run of %zu: open the session with larger data_bytes",
			(long long)bytes, dx_slab_longest(dx_mesh_slabs(w->mesh)));
	if (memory == DX_MEMORY_PRIVATE)
		r = dx_frame_new_private(w->mesh, (size_t)bytes, &w->frame);
	else
		r = dx_frame_new(w->mesh, (size_t)bytes, memory == DX_MEMORY_RESERVED, waker,
		                 &w->frame);
	if (r == -EAGAIN)
		return r;
	if (r < 0)
		return dx_error(err, r, "no frame of %lld bytes: %s", (long long)bytes,
		                dx_strerror(r));
	w->opened++;
	w->len_bytes = (uint32_t)bytes;
	w->rows = 0;
	memset(w->text_used, 0, w->schema->field_count * sizeof(*w->text_used));
	memset(w->has_nulls, 0, w->schema->field_count * sizeof(*w->has_nulls));
	for (uint32_t i = 0; i < w->schema->field_count; i++)
		if (dsmx_type_is_text(w->schema->fields[i].type))
			memset(w->frame->bytes + w->columns[i].values, 0, 8);
	return 0;
}

/* --- copying ------------------------------------------------------------------------------------------------- */

#define COPY(type)                                                                                 \
	do {                                                                                       \
		type *restrict out = (type *)to + base;                                            \
		const type *restrict in = from;                                                    \
		for (uint32_t k = 0; k < count; k++)                                               \
			out[k] = in[rows[k]];                                                      \
	} while (0)

struct wide {
	uint64_t half[2];
};

static void copy_fixed(size_t width, void *to, uint32_t base, const void *from,
                       const uint32_t *rows, uint32_t count)
{
	/* A run of rows is the usual case without a selection. */
	if (rows[count - 1] - rows[0] == count - 1) {
		memcpy((char *)to + base * width, (const char *)from + rows[0] * width,
		       count * width);
		return;
	}
	switch (width) {
	case 1:
		COPY(uint8_t);
		break;
	case 2:
		COPY(uint16_t);
		break;
	case 4:
		COPY(uint32_t);
		break;
	case 8:
		COPY(uint64_t);
		break;
	default:
		COPY(struct wide);
		break;
	}
}

static void copy_bits(uint8_t *to, uint32_t base, const uint8_t *from, const uint32_t *rows,
                      uint32_t count)
{
	for (uint32_t k = 0; k < count; k++) {
		uint32_t at = base + k, row = rows[k];
		uint8_t bit = (uint8_t)(from[row / 8] >> (row % 8) & 1);

		to[at / 8] =
			(uint8_t)((to[at / 8] & ~(1U << (at % 8))) | (unsigned)bit << (at % 8));
	}
}

static void set_bits(uint8_t *to, uint32_t base, uint32_t count)
{
	for (uint32_t at = base; at < base + count; at++)
		to[at / 8] = (uint8_t)(to[at / 8] | 1U << (at % 8));
}

static void copy_validity(struct dx_writer *w, uint32_t i, const struct dsmx_column *c,
                          const uint32_t *rows, uint32_t count)
{
	uint8_t *to = (uint8_t *)w->frame->bytes + w->columns[i].validity;

	if (w->columns[i].validity == 0)
		return; /* the plan says that there are none */
	if (c->validity == NULL) {
		if (w->has_nulls[i])
			set_bits(to, w->rows, count);
		return;
	}
	if (!w->has_nulls[i]) {
		w->has_nulls[i] = true;
		set_bits(to, 0, w->rows);
	}
	copy_bits(to, w->rows, c->validity, rows, count);
}

/* Rows, of @count, whose text fits column @i. */
static uint32_t text_fits(const struct dx_writer *w, uint32_t i, const struct dsmx_column *c,
                          const uint32_t *rows, uint32_t count)
{
	uint64_t room = w->columns[i].text_room - w->text_used[i];
	bool large = is_large(w, i);

	for (uint32_t k = 0; k < count; k++) {
		uint64_t len = text_len(c, large, rows[k]);

		if (len > room)
			return k;
		room -= len;
	}
	return count;
}

static void copy_text(struct dx_writer *w, uint32_t i, const struct dsmx_column *c,
                      const uint32_t *rows, uint32_t count)
{
	char *base = w->frame->bytes;
	char *text = base + w->columns[i].text;
	uint32_t used = w->text_used[i];
	bool large = is_large(w, i);
	int64_t *wide = (int64_t *)(void *)(base + w->columns[i].values) + w->rows;
	int32_t *narrow = (int32_t *)(void *)(base + w->columns[i].values) + w->rows;

	for (uint32_t k = 0; k < count; k++) {
		if (!is_null(c, rows[k])) {
			struct span s = text_span(c, large, rows[k]);

			memcpy(text + used, c->bytes + s.from, s.len);
			used += (uint32_t)s.len;
		}
		if (large)
			wide[k + 1] = used;
		else
			narrow[k + 1] = (int32_t)used;
	}
	w->seen_text[i] += used - w->text_used[i];
	w->text_used[i] = used;
}

uint32_t dx_writer_append(struct dx_writer *w, const struct dsmx_batch *batch, const uint32_t *rows,
                          uint32_t count)
{
	if (count > w->capacity - w->rows)
		count = w->capacity - w->rows;
	for (uint32_t i = 0; i < w->schema->field_count; i++)
		if (dsmx_type_is_text(w->schema->fields[i].type))
			count = text_fits(w, i, &batch->columns[i], rows, count);
	if (count == 0)
		return 0;
	for (uint32_t i = 0; i < w->schema->field_count; i++) {
		const struct dsmx_column *c = &batch->columns[i];
		struct dsmx_type type = w->schema->fields[i].type;
		char *to = w->frame->bytes + w->columns[i].values;

		copy_validity(w, i, c, rows, count);
		if (dsmx_type_is_text(type))
			copy_text(w, i, c, rows, count);
		else if (type.id == DSMX_BOOL)
			copy_bits((uint8_t *)to, w->rows, c->values, rows, count);
		else
			copy_fixed(dsmx_type_width(type), to, w->rows, c->values, rows, count);
	}
	w->rows += count;
	w->seen_rows += count;
	return count;
}

struct dx_frame *dx_writer_close(struct dx_writer *w, uint32_t *ret_len_bytes, uint32_t *ret_rows)
{
	struct dx_frame *frame = w->frame;
	struct dsmx_frame_abi head = { .magic = DSMX_FRAME_MAGIC,
		                       .rows = w->rows,
		                       .columns = w->schema->field_count,
		                       .bytes = w->len_bytes };

	w->frame = NULL;
	if (frame == NULL)
		return NULL;
	if (w->rows == 0) {
		dx_frame_release(frame);
		return NULL;
	}
	memcpy(frame->bytes, &head, sizeof(head));
	for (uint32_t i = 0; i < w->schema->field_count; i++) {
		struct dsmx_frame_column_abi c = {
			.validity = w->has_nulls[i] ? w->columns[i].validity : 0,
			.values = w->columns[i].values,
			.text = w->columns[i].text,
			.text_bytes = w->text_used[i],
		};

		memcpy(frame->bytes + sizeof(head) + i * sizeof(c), &c, sizeof(c));
	}
	*ret_len_bytes = w->len_bytes;
	*ret_rows = w->rows;
	return frame;
}
