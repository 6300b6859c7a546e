/* SPDX-License-Identifier: MIT */
/*
 * cast_loops.c - a loop says at its end whether any value, null or not, did not fit
 */
#include "exec/cast_loops.h"

#include "batch/calendar.h"
#include "batch/format.h"
#include "batch/parse.h"
#include "exec/decimal.h"

/* --- loops ------------------------------------------------------------------------------------------- */

#define CAST(name, in, out_type, body)                                                             \
	int name(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,          \
	         int64_t param)                                                                    \
	{                                                                                          \
		const in *from = a;                                                                \
		out_type *to = out;                                                                \
		int bad = 0;                                                                       \
		(void)b;                                                                           \
		(void)shape;                                                                       \
		(void)param;                                                                       \
		for (uint32_t i = 0; i < n; i++) {                                                 \
			in x = from[i];                                                            \
			out_type r;                                                                \
			body;                                                                      \
			to[i] = r;                                                                 \
		}                                                                                  \
		return bad ? -ERANGE : 0;                                                          \
	}

/* To an integer type, which then must hold the same value. */
#define WITHIN(type)                                                                               \
	{                                                                                          \
		r = (type)x;                                                                       \
		bad |= (__int128)r != (__int128)x;                                                 \
	}

CAST(dx_i64_of_i8, int8_t, int64_t, r = x)
CAST(dx_i64_of_i16, int16_t, int64_t, r = x)
CAST(dx_i64_of_i32, int32_t, int64_t, r = x)
CAST(dx_i64_of_u8, uint8_t, int64_t, r = x)
CAST(dx_i64_of_u16, uint16_t, int64_t, r = x)
CAST(dx_i64_of_u32, uint32_t, int64_t, r = x)
CAST(dx_i8_of_i64, int64_t, int8_t, WITHIN(int8_t))
CAST(dx_i16_of_i64, int64_t, int16_t, WITHIN(int16_t))
CAST(dx_i32_of_i64, int64_t, int32_t, WITHIN(int32_t))
CAST(dx_u8_of_i64, int64_t, uint8_t, WITHIN(uint8_t))
CAST(dx_u16_of_i64, int64_t, uint16_t, WITHIN(uint16_t))
CAST(dx_u32_of_i64, int64_t, uint32_t, WITHIN(uint32_t))
CAST(dx_i128_of_i64, int64_t, struct dx_words, r = dx_words_of(x))
CAST(dx_i128_of_u64, uint64_t, struct dx_words, r = dx_words_of((__int128)x))
CAST(dx_i64_of_i128, struct dx_words, int64_t, {
	r = (int64_t)x.low;
	bad |= (uint64_t)(r >> 63) != x.high;
})
CAST(dx_u64_of_i128, struct dx_words, uint64_t, {
	r = x.low;
	bad |= x.high != 0;
})

CAST(dx_f64_of_i64, int64_t, double, r = (double)x)
CAST(dx_f64_of_u64, uint64_t, double, r = (double)x)
CAST(dx_f64_of_f32, float, double, r = (double)x)
CAST(dx_f32_of_i64, int64_t, float, r = (float)x)
CAST(dx_f32_of_u64, uint64_t, float, r = (float)x)
CAST(dx_f32_of_f64, double, float, {
	r = (float)x;
	bad |= r - r != 0 && x - x == 0; /* infinite, and was not */
})

/* To a whole number, half to even; beyond 2^52 there are no others. */
static inline double whole(double x)
{
	if (x >= 0)
		return x < 0x1p52 ? (x + 0x1p52) - 0x1p52 : x;
	return x > -0x1p52 ? (x - 0x1p52) + 0x1p52 : x;
}

CAST(dx_i128_of_f64, double, struct dx_words, {
	double rounded = whole(x);
	bool fits = rounded > -1e38 && rounded < 1e38;
	r = dx_words_of(fits ? (__int128)rounded : 0);
	bad |= !fits;
})

/* --- scales ------------------------------------------------------------------------------------------ */

/* How a loop is told by how many digits to shift, and how many the result may have (0: its width's). */
int64_t dx_shift_by(int from_scale, int to_scale, int digits)
{
	return (to_scale - from_scale) + 128 + 256 * digits;
}

static int shift_of(int64_t param)
{
	return (int)(param & 255) - 128;
}

static int64_t most_of(int64_t param)
{
	int digits = (int)(param >> 8);

	return digits == 0 ? INT64_MAX : (int64_t)dx_power_of_ten((unsigned int)digits) - 1;
}

#define PLAIN_CAST(name)                                                                           \
	int name(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,          \
	         int64_t param)

PLAIN_CAST(dx_i64_scaled)
{
	int shift = shift_of(param);
	int64_t power = (int64_t)dx_power_of_ten((unsigned int)(shift < 0 ? -shift : shift));
	int64_t most = most_of(param), half = power - power / 2;
	const int64_t *from = a;
	int64_t *to = out;
	int bad = 0;

	(void)b;
	(void)shape;
	for (uint32_t i = 0; shift >= 0 && i < n; i++) {
		int64_t r;

		bad |= __builtin_mul_overflow(from[i], power, &r);
		bad |= (r > most) | (r < -most);
		to[i] = r;
	}
	for (uint32_t i = 0; shift < 0 && i < n; i++) {
		int64_t rest = from[i] % power, r = from[i] / power;

		r += (rest >= half) - (rest <= -half);
		bad |= (r > most) | (r < -most);
		to[i] = r;
	}
	return bad ? -ERANGE : 0;
}

PLAIN_CAST(dx_i128_scaled)
{
	int shift = shift_of(param), digits = (int)(param >> 8);
	struct dx_words *to = out;
	int bad = 0;

	(void)b;
	(void)shape;
	for (uint32_t i = 0; i < n; i++) {
		__int128 r = 0;

		bad |= !dx_decimal_rescale(dx_load_i128(a, i), 0, shift, &r);
		bad |= !dx_decimal_fits(r, (unsigned int)digits);
		to[i] = dx_words_of(r);
	}
	return bad ? -ERANGE : 0;
}

/* Exact where a double can be: else by way of the digits. */
static double double_of(__int128 value, unsigned int scale)
{
	struct dsmx_type type = { .id = DSMX_DECIMAL, .precision = 38, .scale = (int8_t)scale };
	union dx_value number = { .d = value }, result;
	char text[DX_FORMAT_BYTES];
	size_t len;

	if (dx_abs128(value) <= 1ULL << 53 && scale <= 22)
		return (double)(int64_t)value / (double)dx_power_of_ten(scale);
	len = dx_format_value(type, &number, text);
	if (dx_parse_value((struct dsmx_type){ .id = DSMX_FLOAT64 }, text, len, &result) < 0)
		return (double)value / (double)dx_power_of_ten(scale);
	return result.f;
}

CAST(dx_f64_of_d64, int64_t, double, r = double_of(x, (unsigned int)param))
CAST(dx_f64_of_d128, struct dx_words, double, r = double_of(dx_wide_of(x), (unsigned int)param))

/* @param: as dx_i128_scaled()'s */
CAST(dx_d128_of_f64, double, struct dx_words, {
	double scaled = x * (double)dx_power_of_ten((unsigned int)shift_of(param));
	bool fits = scaled > -1e38 && scaled < 1e38;
	__int128 rounded = fits ? (__int128)scaled : 0;
	double rest = scaled - (double)rounded;
	rounded += fits && rest >= 0.5 ? 1 : fits && rest <= -0.5 ? -1 : 0;
	bad |= !fits || !dx_decimal_fits(rounded, (unsigned int)(param >> 8));
	r = dx_words_of(rounded);
})

/* @param: ticks in a day */
CAST(dx_ticks_of_days, int32_t, int64_t, bad |= __builtin_mul_overflow((int64_t)x, param, &r))
CAST(dx_days_of_ticks, int64_t, int32_t, {
	int64_t days = dx_floor_div(x, param);
	r = (int32_t)days;
	bad |= r != days;
})
