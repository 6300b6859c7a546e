/* SPDX-License-Identifier: MIT */
/*
 * eval_compare.c - = <> < <= and their mirror images
 *
 * Floats have a total order: NaN equals NaN and is greater than all else, -0.0 equals 0.0. Text is compared
 * by bytes. Decimals are compared as integers where bringing them to one scale cannot overflow 64 bits, else
 * with the scales taken into account row by row.
 */
#include "exec/decimal.h"
#include "exec/program.h"

enum relation { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, RELATION_COUNT };

#define ROWS(type, a_at, b_at, test)                                                               \
	for (uint32_t i = 0; i < n; i++) {                                                         \
		type x = (a_at), y = (b_at);                                                       \
		to[i] = (uint8_t)(test);                                                           \
	}

#define LOOP(name, type, test)                                                                     \
	static int name(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,   \
	                int64_t param)                                                             \
	{                                                                                          \
		const type *from_a = a, *from_b = b;                                               \
		uint8_t *to = out;                                                                 \
		(void)param;                                                                       \
		if (shape == DX_A_CONSTANT) {                                                      \
			const type one = *from_a;                                                  \
			ROWS(type, one, from_b[i], test)                                           \
		} else if (shape == DX_B_CONSTANT) {                                               \
			const type one = *from_b;                                                  \
			ROWS(type, from_a[i], one, test)                                           \
		} else {                                                                           \
			ROWS(type, from_a[i], from_b[i], test)                                     \
		}                                                                                  \
		return 0;                                                                          \
	}

#define INT_LOOPS(id, type)                                                                        \
	LOOP(equal_##id, type, x == y)                                                             \
	LOOP(not_equal_##id, type, x != y)                                                         \
	LOOP(less_##id, type, x < y)                                                               \
	LOOP(less_equal_##id, type, x <= y)

INT_LOOPS(i8, int8_t)
INT_LOOPS(i16, int16_t)
INT_LOOPS(i32, int32_t)
INT_LOOPS(i64, int64_t)
INT_LOOPS(u8, uint8_t)
INT_LOOPS(u16, uint16_t)
INT_LOOPS(u32, uint32_t)
INT_LOOPS(u64, uint64_t)

/* v != v: is NaN */
#define FLOAT_LOOPS(id, type)                                                                      \
	LOOP(equal_##id, type, (x == y) | ((x != x) & (y != y)))                                   \
	LOOP(not_equal_##id, type, !((x == y) | ((x != x) & (y != y))))                            \
	LOOP(less_##id, type, (x < y) | ((x == x) & (y != y)))                                     \
	LOOP(less_equal_##id, type, (x <= y) | (y != y))

FLOAT_LOOPS(f32, float)
FLOAT_LOOPS(f64, double)

static inline bool text_equal(struct dx_text x, struct dx_text y)
{
	return x.len == y.len && (x.len == 0 || memcmp(x.bytes, y.bytes, x.len) == 0);
}

static inline int text_order(struct dx_text x, struct dx_text y)
{
	uint32_t least = x.len < y.len ? x.len : y.len;
	int order = least > 0 ? memcmp(x.bytes, y.bytes, least) : 0;

	return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

LOOP(equal_text, struct dx_text, text_equal(x, y))
LOOP(not_equal_text, struct dx_text, !text_equal(x, y))
LOOP(less_text, struct dx_text, text_order(x, y) < 0)
LOOP(less_equal_text, struct dx_text, text_order(x, y) <= 0)

/* @param: the scales, a's + 64 * b's. */
#define WIDE_LOOP(name, test)                                                                      \
	static int name(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,   \
	                int64_t param)                                                             \
	{                                                                                          \
		size_t a_step = shape & DX_A_CONSTANT ? 0 : 1;                                     \
		size_t b_step = shape & DX_B_CONSTANT ? 0 : 1;                                     \
		int a_scale = (int)(param & 63), b_scale = (int)(param >> 6);                      \
		uint8_t *to = out;                                                                 \
		for (uint32_t i = 0; i < n; i++) {                                                 \
			int order = dx_decimal_compare(dx_load_i128(a, i * a_step), a_scale,       \
			                               dx_load_i128(b, i * b_step), b_scale);      \
			to[i] = (uint8_t)(test);                                                   \
		}                                                                                  \
		return 0;                                                                          \
	}

WIDE_LOOP(equal_i128, order == 0)
WIDE_LOOP(not_equal_i128, order != 0)
WIDE_LOOP(less_i128, order < 0)
WIDE_LOOP(less_equal_i128, order <= 0)

#define OF_EACH(op)                                                                                \
	{                                                                                          \
		[DX_PHYS_BOOL] = op##_u8,   [DX_PHYS_I8] = op##_i8,   [DX_PHYS_I16] = op##_i16,    \
		[DX_PHYS_I32] = op##_i32,   [DX_PHYS_I64] = op##_i64, [DX_PHYS_U8] = op##_u8,      \
		[DX_PHYS_U16] = op##_u16,   [DX_PHYS_U32] = op##_u32, [DX_PHYS_U64] = op##_u64,    \
		[DX_PHYS_F32] = op##_f32,   [DX_PHYS_F64] = op##_f64, [DX_PHYS_I128] = op##_i128,  \
		[DX_PHYS_TEXT] = op##_text,                                                        \
	}

static dx_loop *const loops[RELATION_COUNT][DX_PHYS_COUNT] = {
	[EQUAL] = OF_EACH(equal),
	[NOT_EQUAL] = OF_EACH(not_equal),
	[LESS] = OF_EACH(less),
	[LESS_EQUAL] = OF_EACH(less_equal),
};

/* Decimals to one scale in 64 bits, or both to 128 bits. */
static int align_decimals(struct dx_eval *eval, struct dx_step *pair[2], int64_t *ret_scales)
{
	int scale = pair[0]->type.scale > pair[1]->type.scale ? pair[0]->type.scale
	                                                      : pair[1]->type.scale;
	bool narrow = true;
	int err = 0;

	for (int i = 0; i < 2; i++)
		narrow &= pair[i]->type.precision + scale - pair[i]->type.scale <=
		          DSMX_DECIMAL_NARROW_DIGITS;
	for (int i = 0; err == 0 && i < 2; i++) {
		struct dsmx_type type = pair[i]->type;

		type.precision = narrow ? DSMX_DECIMAL_NARROW_DIGITS : DSMX_DECIMAL_MAX_DIGITS;
		type.scale = narrow ? (int8_t)scale : type.scale;
		err = dx_compile_digits(eval, pair[i], type, &pair[i]);
	}
	if (err == 0)
		*ret_scales = pair[0]->type.scale + 64 * pair[1]->type.scale;
	return err;
}

static bool comparable(struct dsmx_type a, struct dsmx_type b)
{
	if (a.id == DSMX_DECIMAL)
		return b.id == DSMX_DECIMAL;
	if (dsmx_type_is_text(a))
		return dsmx_type_is_text(b) && (a.id == DSMX_BINARY) == (b.id == DSMX_BINARY);
	return dsmx_type_equal(a, b);
}

int dx_compile_compare(struct dx_eval *eval, enum dsmx_function function, struct dx_step *a,
                       struct dx_step *b, struct dx_step **ret_step)
{
	static const struct {
		enum relation relation;
		bool mirrored;
	} by_function[DSMX_FN_COUNT] = {
		[DSMX_FN_EQUAL] = { EQUAL, false }, [DSMX_FN_NOT_EQUAL] = { NOT_EQUAL, false },
		[DSMX_FN_LT] = { LESS, false },     [DSMX_FN_LTE] = { LESS_EQUAL, false },
		[DSMX_FN_GT] = { LESS, true },      [DSMX_FN_GTE] = { LESS_EQUAL, true },
	};
	bool mirrored = by_function[function].mirrored;
	struct dx_step *pair[2] = { mirrored ? b : a, mirrored ? a : b };
	struct dx_step like = { .run = dx_run_loop, .type = { .id = DSMX_BOOL }, .args = pair };
	char names[2][32];
	int err;

	if (!comparable(a->type, b->type))
		return dx_error(eval->err, -EINVAL, "%s compared with %s",
		                dsmx_type_format(a->type, names[0], sizeof(names[0])),
		                dsmx_type_format(b->type, names[1], sizeof(names[1])));
	if (a->type.id == DSMX_DECIMAL) {
		err = align_decimals(eval, pair, &like.param);
		if (err < 0)
			return err;
	}
	like.arg_count = 2;
	like.what = "comparison";
	like.loop = loops[by_function[function].relation][pair[0]->phys];
	return dx_emit(eval, &like, ret_step);
}
