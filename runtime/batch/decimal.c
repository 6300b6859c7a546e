/* SPDX-License-Identifier: MIT */
#include "batch/decimal.h"

#include <string.h>

#include "batch/bits.h"

/* The usual case, Arrow's 16 bytes to our 8: the high half must repeat the low half's sign. */
static bool narrow(const uint8_t *from, int64_t *to, const uint8_t *validity, uint32_t count,
                   int64_t limit)
{
	bool fits = true;

	for (uint32_t i = 0; i < count; i++) {
		bool good;
		int64_t value[2];

		memcpy(value, from + 16 * (size_t)i, 16);
		good = value[1] == value[0] >> 63 && value[0] < limit && value[0] > -limit;
		to[i] = good ? value[0] : 0;
		if (validity == NULL || dx_bit_get(validity, i))
			fits &= good;
	}
	return fits;
}

static __int128 load(const uint8_t *from, size_t width)
{
	__int128 wide;
	int64_t value8;
	int32_t value4;

	if (width == 16) {
		memcpy(&wide, from, 16);
		return wide;
	}
	if (width == 8) {
		memcpy(&value8, from, 8);
		return value8;
	}
	memcpy(&value4, from, 4);
	return value4;
}

bool dx_decimal_convert(const void *from, size_t from_width, void *to, size_t to_width,
                        const uint8_t *validity, uint32_t count, unsigned int precision)
{
	__int128 limit = dx_power_of_ten(precision);
	const uint8_t *in = from;
	uint8_t *out = to;
	bool fits = true;

	if (from_width == 16 && to_width == 8)
		return narrow(from, to, validity, count, (int64_t)limit);
	for (uint32_t i = 0; i < count; i++, in += from_width, out += to_width) {
		__int128 value = load(in, from_width);
		bool good = value < limit && value > -limit;

		if (!good)
			value = 0;
		memcpy(out, &value, to_width); /* little-endian: the low half is the narrow value */
		if (validity == NULL || dx_bit_get(validity, i))
			fits &= good;
	}
	return fits;
}
