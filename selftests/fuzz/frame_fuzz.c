/* SPDX-License-Identifier: MIT */
/* frame_fuzz.c - frames of every type: what is read points into the frame, or is the reader's own */
#include <errno.h>
#include <string.h>

#include "batch/frame.h"
#include "fuzz.h"

static const struct dsmx_field fields[] = {
	{ "a", { DSMX_INT64, 0, 0, 0 }, false },   { "b", { DSMX_UTF8, 0, 0, 0 }, true },
	{ "c", { DSMX_BOOL, 0, 0, 0 }, true },     { "d", { DSMX_LARGE_UTF8, 0, 0, 0 }, false },
	{ "e", { DSMX_DECIMAL, 38, 2, 0 }, true }, { "f", { DSMX_BINARY, 0, 0, 0 }, true },
	{ "g", { DSMX_INT8, 0, 0, 0 }, false },
};
static const struct dsmx_schema schema = { sizeof(fields) / sizeof(fields[0]), fields };

enum { ROWS = 21, COLUMNS = sizeof(fields) / sizeof(fields[0]) };

/* The first two bytes of an input are the rows that the descriptor says. */
static size_t seed(uint32_t index, uint8_t *buf, size_t room)
{
	struct dx_frame_column at[COLUMNS];
	struct dsmx_frame_column_abi part;
	uint32_t rooms[COLUMNS], rows = index == 0 ? ROWS : index == 1 ? 0 : 1;
	struct dsmx_frame_abi head = { DSMX_FRAME_MAGIC, rows, COLUMNS, 0 };
	uint8_t *frame = buf + 2;

	if (index > 2)
		return 0;
	for (uint32_t i = 0; i < COLUMNS; i++)
		rooms[i] = 64;
	head.bytes = (uint32_t)dx_frame_plan(&schema, rows, rooms, at);
	FUZZ_CHECK(head.bytes + 2 <= room);
	memset(buf, 0, head.bytes + 2);
	buf[0] = (uint8_t)rows;
	memcpy(frame, &head, sizeof(head));
	for (uint32_t i = 0; i < COLUMNS; i++) {
		part = (struct dsmx_frame_column_abi){ at[i].validity, at[i].values, at[i].text,
			                               at[i].text == 0 ? 0 : 64 };
		memcpy(frame + sizeof(head) + i * sizeof(part), &part, sizeof(part));
		for (uint32_t row = 0; row <= rows && dsmx_type_is_text(fields[i].type); row++)
			frame[at[i].values + row * (fields[i].type.id == DSMX_LARGE_UTF8 ? 8 : 4)] =
				(uint8_t)row;
	}
	return head.bytes + 2;
}

const struct fuzz_target fuzz_target = { .name = "frame", .seed = seed, .len_max = 8192 };

static void check_column(const struct dsmx_column *column, struct dsmx_type type, uint32_t rows,
                         const char *begin, const char *end)
{
	uint64_t bytes =
		type.id == DSMX_BOOL ? (rows + 7) / 8 : (uint64_t)rows * dsmx_type_width(type);
	size_t len;

	FUZZ_CHECK(column->validity == NULL ||
	           ((const char *)column->validity >= begin &&
	            (const char *)column->validity + (rows + 7) / 8 <= end));
	if (!dsmx_type_is_text(type)) {
		const char *values = column->values;

		FUZZ_CHECK(values >= begin && values + bytes <= end);
		return;
	}
	for (uint32_t row = 0; row < rows; row++) {
		const char *text = dsmx_column_text(type, column, row, &len);

		FUZZ_CHECK(len == 0 || (text >= begin && text + len <= end));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t rows = size < 2 ? 0 : data[0] + 256U * data[1],
		 len = (uint32_t)(size < 2 ? 0 : size - 2);
	char *frame =
		aligned_alloc(DSMX_LINE_BYTES, (len + DSMX_LINE_BYTES) & ~(DSMX_LINE_BYTES - 1));
	struct dx_frame_reader *reader;
	struct dsmx_batch batch;
	int r;

	FUZZ_CHECK(frame != NULL && dx_frame_reader_new(&schema, &reader) == 0);
	if (len > 0)
		memcpy(frame, data + 2, len);
	r = dx_frame_read(reader, frame, len, rows, &batch);
	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	for (uint32_t i = 0; r == 0 && i < COLUMNS; i++)
		check_column(&batch.columns[i], fields[i].type, batch.length, frame, frame + len);
	dx_frame_reader_free(reader);
	free(frame);
	return 0;
}
