/* SPDX-License-Identifier: MIT */
#include "batch/ipc_range.h"

#include <stdio.h>
#include <string.h>

#include "batch/bits.h"

struct range {
	int64_t min, max;
};

/* One loop for each width, so that the plain case can be vectorised. */
#define DEFINE_RANGE_OF(name, c_type)                                                              \
	static struct range name(const void *from, const uint8_t *validity, uint32_t rows,         \
	                         size_t stride)                                                    \
	{                                                                                          \
		const c_type *values = from;                                                       \
		struct range range = { INT64_MAX, INT64_MIN };                                     \
                                                                                                   \
		for (uint32_t i = 0; i < rows; i++) {                                              \
			int64_t value = (int64_t)values[i * stride];                               \
                                                                                                   \
			if (validity != NULL && !dx_bit_get(validity, i))                          \
				continue;                                                          \
			range.min = value < range.min ? value : range.min;                         \
			range.max = value > range.max ? value : range.max;                         \
		}                                                                                  \
		return range;                                                                      \
	}

DEFINE_RANGE_OF(range_of_int8, int8_t)
DEFINE_RANGE_OF(range_of_int16, int16_t)
DEFINE_RANGE_OF(range_of_int32, int32_t)
DEFINE_RANGE_OF(range_of_int64, int64_t)
DEFINE_RANGE_OF(range_of_uint8, uint8_t)
DEFINE_RANGE_OF(range_of_uint16, uint16_t)
DEFINE_RANGE_OF(range_of_uint32, uint32_t)

static struct range range_of(struct dsmx_type type, const struct dsmx_column *column, size_t width,
                             uint32_t rows)
{
	const void *values = column->values;
	const uint8_t *validity = column->validity;

	switch (type.id) {
	case DSMX_INT8:
		return range_of_int8(values, validity, rows, 1);
	case DSMX_INT16:
		return range_of_int16(values, validity, rows, 1);
	case DSMX_INT32:
	case DSMX_DATE32:
		return range_of_int32(values, validity, rows, 1);
	case DSMX_UINT8:
		return range_of_uint8(values, validity, rows, 1);
	case DSMX_UINT16:
		return range_of_uint16(values, validity, rows, 1);
	case DSMX_UINT32:
		return range_of_uint32(values, validity, rows, 1);
	case DSMX_INT64:
	case DSMX_TIMESTAMP:
	case DSMX_TIMESTAMP_TZ:
		return range_of_int64(values, validity, rows, 1);
	case DSMX_DECIMAL:
		/* Of a wide one of up to 18 digits the low half is the value. */
		if (type.precision <= DSMX_DECIMAL_NARROW_DIGITS)
			return range_of_int64(values, validity, rows, width / 8);
		return (struct range){ 1, 0 };
	default:
		return (struct range){ 1, 0 };
	}
}

void dx_ipc_range_write(struct dsmx_type type, const struct dsmx_column *column, size_t width,
                        uint32_t rows, char *text)
{
	struct range range = range_of(type, column, width, rows);
	char digits[DX_IPC_RANGE_CHARS + 1];

	memset(text, '-', DX_IPC_RANGE_CHARS);
	if (range.min > range.max)
		return;
	(void)snprintf(digits, sizeof(digits), "+%016llx%016llx", (unsigned long long)range.min,
	               (unsigned long long)range.max);
	memcpy(text, digits, DX_IPC_RANGE_CHARS);
}

static bool read_hex(const char *text, int64_t *ret_value)
{
	uint64_t value = 0;

	for (int i = 0; i < 16; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret_value = (int64_t)value;
	return true;
}

bool dx_ipc_range_read(const char *text, int64_t *ret_min, int64_t *ret_max)
{
	int64_t min, max;

	if (text[0] != '+' || !read_hex(text + 1, &min) || !read_hex(text + 17, &max) || min > max)
		return false;
	*ret_min = min;
	*ret_max = max;
	return true;
}
