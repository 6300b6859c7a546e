/* SPDX-License-Identifier: MIT */
/*
 * decimal.h - exact arithmetic on decimals: a value is an integer, its scale is the type's
 *
 * Results of more than 38 digits do not exist: the functions that could make one say so. Nothing here needs
 * a helper function of the compiler's (clang would call __muloti4, which libgcc has not).
 */
#ifndef DX_EXEC_DECIMAL_H
#define DX_EXEC_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "batch/decimal.h"
#include "dsmx/batch.h"

static inline unsigned __int128 dx_abs128(__int128 value)
{
	return value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
}

/* A wide decimal in a vector: aligned to 8, so loaded and stored by words. */
struct dx_words {
	uint64_t low, high;
};

static inline __int128 dx_wide_of(struct dx_words words)
{
	return (__int128)((unsigned __int128)words.high << 64 | words.low);
}

static inline struct dx_words dx_words_of(__int128 value)
{
	return (struct dx_words){ (uint64_t)value, (uint64_t)((unsigned __int128)value >> 64) };
}

/* Has @value at most @precision digits? */
static inline bool dx_decimal_fits(__int128 value, unsigned int precision)
{
	return dx_abs128(value) < (unsigned __int128)dx_power_of_ten(precision);
}

/* a * b for magnitudes. Returns whether it needs over 128 bits. */
static inline bool dx_multiply_overflows(unsigned __int128 a, unsigned __int128 b,
                                         unsigned __int128 *ret_product)
{
	uint64_t a_high = (uint64_t)(a >> 64), b_high = (uint64_t)(b >> 64);
	unsigned __int128 cross, low = (unsigned __int128)(uint64_t)a * (uint64_t)b;

	*ret_product = a * b;
	if (a_high == 0 && b_high == 0)
		return false;
	if (a_high != 0 && b_high != 0)
		return true;
	cross = a_high != 0 ? (unsigned __int128)a_high * (uint64_t)b
	                    : (unsigned __int128)b_high * (uint64_t)a;
	return cross + (low >> 64) > UINT64_MAX;
}

/* @magnitude with the sign. Returns false: over 38 digits. */
static inline bool dx_decimal_signed(unsigned __int128 magnitude, bool negative,
                                     __int128 *ret_value)
{
	if (magnitude >= (unsigned __int128)dx_power_of_ten(DSMX_DECIMAL_MAX_DIGITS))
		return false;
	*ret_value = negative ? -(__int128)magnitude : (__int128)magnitude;
	return true;
}

/* Returns false: over 38 digits. */
static inline bool dx_decimal_multiply(__int128 a, __int128 b, __int128 *ret_product)
{
	unsigned __int128 magnitude;

	if (a == (int64_t)a && b == (int64_t)b) {
		*ret_product = (__int128)(int64_t)a * (int64_t)b;
		return true;
	}
	if (dx_multiply_overflows(dx_abs128(a), dx_abs128(b), &magnitude))
		return false;
	return dx_decimal_signed(magnitude, (a < 0) != (b < 0), ret_product);
}

/* value / 10^k, half away from zero. */
static inline __int128 dx_decimal_round(__int128 value, unsigned int k)
{
	__int128 power = dx_power_of_ten(k), quotient, rest;

	quotient = value / power;
	rest = value % power;
	if (dx_abs128(rest) >= (unsigned __int128)power - dx_abs128(rest) && rest != 0)
		quotient += value < 0 ? -1 : 1;
	return quotient;
}

/* From one scale to another, half away from zero. Returns false: over 38 digits. */
static inline bool dx_decimal_rescale(__int128 value, int from, int to, __int128 *ret_value)
{
	if (to >= from)
		return dx_decimal_multiply(value, dx_power_of_ten((unsigned int)(to - from)),
		                           ret_value);
	*ret_value = dx_decimal_round(value, (unsigned int)(from - to));
	return true;
}

/* The quotient and remainder of (high, low) / @by where high < by, a bit at a time. */
static inline unsigned __int128 dx_divide_256(unsigned __int128 high, unsigned __int128 low,
                                              unsigned __int128 by, unsigned __int128 *ret_rest)
{
	unsigned __int128 quotient = 0;

	for (int bit = 127; bit >= 0; bit--) {
		bool carry = high >> 127 != 0;

		high = high << 1 | (low >> bit & 1);
		quotient <<= 1;
		if (carry || high >= by) {
			high -= by;
			quotient |= 1;
		}
	}
	*ret_rest = high;
	return quotient;
}

/*
 * a * 10^k / b, half away from zero; b is not 0, k is at most 38.
 *
 * Returns false: over 38 digits.
 */
static inline bool dx_decimal_divide(__int128 a, __int128 b, unsigned int k, __int128 *ret_quotient)
{
	unsigned __int128 by = dx_abs128(b), power = (unsigned __int128)dx_power_of_ten(k);
	unsigned __int128 left = dx_abs128(a), product, quotient, rest;

	if (!dx_multiply_overflows(left, power, &product)) {
		if (product >> 64 == 0 && by >> 64 == 0) {
			quotient = (uint64_t)product / (uint64_t)by;
			rest = (uint64_t)product % (uint64_t)by;
		} else {
			quotient = product / by;
			rest = product % by;
		}
	} else {
		uint64_t l1 = (uint64_t)(left >> 64), l0 = (uint64_t)left;
		uint64_t p1 = (uint64_t)(power >> 64), p0 = (uint64_t)power;
		unsigned __int128 m00 = (unsigned __int128)l0 * p0;
		unsigned __int128 m01 = (unsigned __int128)l0 * p1;
		unsigned __int128 m10 = (unsigned __int128)l1 * p0;
		unsigned __int128 middle = (m00 >> 64) + (uint64_t)m01 + (uint64_t)m10;
		unsigned __int128 high =
			(unsigned __int128)l1 * p1 + (m01 >> 64) + (m10 >> 64) + (middle >> 64);

		if (high >= by)
			return false;
		quotient = dx_divide_256(high, product, by, &rest);
	}
	if (rest != 0 && rest >= by - rest)
		quotient++;
	return dx_decimal_signed(quotient, (a < 0) != (b < 0), ret_quotient);
}

/* Three-way comparison of values of different scales: exact, never overflows. */
static inline int dx_decimal_compare(__int128 a, int a_scale, __int128 b, int b_scale)
{
	bool swap = a_scale > b_scale;
	__int128 low = swap ? b : a, high = swap ? a : b;
	unsigned int k = (unsigned int)(swap ? a_scale - b_scale : b_scale - a_scale);
	unsigned __int128 scaled;
	int order;

	/* @low has the lesser scale. Where it does not fit scaled up, it is beyond the other. */
	if (dx_multiply_overflows(dx_abs128(low), (unsigned __int128)dx_power_of_ten(k), &scaled) ||
	    scaled > (unsigned __int128)INT64_MAX << 64)
		order = low < 0 ? -1 : 1;
	else
		order = ((low < 0 ? -(__int128)scaled : (__int128)scaled) > high) -
		        ((low < 0 ? -(__int128)scaled : (__int128)scaled) < high);
	return swap ? -order : order;
}

#endif /* DX_EXEC_DECIMAL_H */
