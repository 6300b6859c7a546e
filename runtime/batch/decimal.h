/* SPDX-License-Identifier: MIT */
/*
 * decimal.h - decimals of one width as decimals of another
 */
#ifndef DX_BATCH_DECIMAL_H
#define DX_BATCH_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 10 ^ power, 0 <= power <= 38 */
static inline __int128 dx_power_of_ten(unsigned int power)
{
	static const uint64_t small[20] = {
		1ULL,
		10ULL,
		100ULL,
		1000ULL,
		10000ULL,
		100000ULL,
		1000000ULL,
		10000000ULL,
		100000000ULL,
		1000000000ULL,
		10000000000ULL,
		100000000000ULL,
		1000000000000ULL,
		10000000000000ULL,
		100000000000000ULL,
		1000000000000000ULL,
		10000000000000000ULL,
		100000000000000000ULL,
		1000000000000000000ULL,
		10000000000000000000ULL,
	};

	return power < 20 ? (__int128)small[power] : (__int128)small[19] * small[power - 19];
}

/*
 * Convert @count values from @from_width (4, 8 or 16) to @to_width (8 or 16) bytes, any alignment of @from,
 * and check that each that is valid (@validity as a column's) has at most @precision digits. Others
 * become 0.
 *
 * Returns whether all fit.
 */
bool dx_decimal_convert(const void *from, size_t from_width, void *to, size_t to_width,
                        const uint8_t *validity, uint32_t count, unsigned int precision);

#endif /* DX_BATCH_DECIMAL_H */
