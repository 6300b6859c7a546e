/* SPDX-License-Identifier: MIT */
/*
 * eval_arith.c - + - * / %, the sign and the magnitude
 *
 * A loop is chosen when the expression is compiled. It never branches on a failure: it runs to the end and
 * says whether any row failed, null or not; dx_run_loop() finds out whether that row counts. Decimals are
 * integers with a scale: operands are brought to the scale and the width of the result by casts, then added
 * as integers.
 */
#include "exec/decimal.h"
#include "exec/program.h"

/* --- loops ------------------------------------------------------------------------------------------- */

#define BEYOND  1U /* out of range */
#define BY_ZERO 2U

#define UNUSED __attribute__((unused))

#define EACH(in, name, a_at, b_at)                                                                 \
	for (uint32_t i = 0; i < n; i++) {                                                         \
		in x = (a_at), y = (b_at);                                                         \
		failed |= one_##name(x, y, &to[i], param);                                         \
	}

/*
 * A loop over the function whose body follows: it computes *r from x and y, and returns 0 or what failed.
 * There is one loop for each shape, so that the compiler sees which operand does not move.
 */
#define LOOP(name, in, out_type)                                                                   \
	static inline unsigned int one_##name(in x, in y, out_type *r, int64_t param);             \
	static int name(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,   \
	                int64_t param)                                                             \
	{                                                                                          \
		const in *from_a = a, *from_b = b;                                                 \
		out_type *to = out;                                                                \
		unsigned int failed = 0;                                                           \
		if (shape == DX_A_CONSTANT) {                                                      \
			const in one = *from_a;                                                    \
			EACH(in, name, one, from_b[i])                                             \
		} else if (shape == DX_B_CONSTANT) {                                               \
			const in one = *from_b;                                                    \
			EACH(in, name, from_a[i], one)                                             \
		} else {                                                                           \
			EACH(in, name, from_a[i], from_b[i])                                       \
		}                                                                                  \
		return failed & BY_ZERO ? -EDOM : failed ? -ERANGE : 0;                            \
	}                                                                                          \
	static inline unsigned int one_##name(in x, in y, out_type *r, UNUSED int64_t param)

#define CHECKED_LOOP(name, type, builtin)                                                          \
	LOOP(name, type, type)                                                                     \
	{                                                                                          \
		return builtin(x, y, r) ? BEYOND : 0;                                              \
	}

/* A divisor that would trap is replaced: 0, and -1 (whose quotient is the negation, with its overflow). */
#define DIVISION_LOOPS(id, type, minus_one)                                                        \
	LOOP(divide_##id, type, type)                                                              \
	{                                                                                          \
		*r = (type)(x / (y == 0 || minus_one ? 1 : y));                                    \
		if (minus_one)                                                                     \
			return __builtin_sub_overflow(0, x, r) ? BEYOND : 0;                       \
		return y == 0 ? BY_ZERO : 0;                                                       \
	}                                                                                          \
	LOOP(modulus_##id, type, type)                                                             \
	{                                                                                          \
		*r = (type)(x % (y == 0 || minus_one ? 1 : y));                                    \
		return y == 0 ? BY_ZERO : 0;                                                       \
	}

#define INT_LOOPS(id, type, minus_one)                                                             \
	CHECKED_LOOP(add_##id, type, __builtin_add_overflow)                                       \
	CHECKED_LOOP(subtract_##id, type, __builtin_sub_overflow)                                  \
	CHECKED_LOOP(multiply_##id, type, __builtin_mul_overflow)                                  \
	DIVISION_LOOPS(id, type, minus_one)

INT_LOOPS(i8, int8_t, y == -1)
INT_LOOPS(i16, int16_t, y == -1)
INT_LOOPS(i32, int32_t, y == -1)
INT_LOOPS(u8, uint8_t, false)
INT_LOOPS(u16, uint16_t, false)
INT_LOOPS(u32, uint32_t, false)
INT_LOOPS(u64, uint64_t, false)
CHECKED_LOOP(multiply_i64, int64_t, __builtin_mul_overflow)
DIVISION_LOOPS(i64, int64_t, y == -1)

/*
 * The most used ones, written so that they vectorise: a sum overflows where both operands have a sign that
 * the result has not.
 */
LOOP(add_i64, int64_t, int64_t)
{
	int64_t sum = (int64_t)((uint64_t)x + (uint64_t)y);

	*r = sum;
	return (unsigned int)((uint64_t)((x ^ sum) & (y ^ sum)) >> 63);
}

LOOP(subtract_i64, int64_t, int64_t)
{
	int64_t difference = (int64_t)((uint64_t)x - (uint64_t)y);

	*r = difference;
	return (unsigned int)((uint64_t)((x ^ y) & (x ^ difference)) >> 63);
}

/* As in PostgreSQL: infinity is an operand, but no result of finite ones. */
#define FINITE(v) ((v) - (v) == 0)
#define FLOAT_LOOP(name, type, operator)                                                           \
	LOOP(name, type, type)                                                                     \
	{                                                                                          \
		type result = x operator y;                                                        \
		*r = result;                                                                       \
		return (!FINITE(result) & FINITE(x) & FINITE(y)) ? BEYOND : 0;                     \
	}
#define FLOAT_LOOPS(id, type)                                                                      \
	FLOAT_LOOP(add_##id, type, +)                                                              \
	FLOAT_LOOP(subtract_##id, type, -)                                                         \
	FLOAT_LOOP(multiply_##id, type, *)                                                         \
	LOOP(divide_##id, type, type)                                                              \
	{                                                                                          \
		type result = x / (y == 0 ? 1 : y);                                                \
		*r = result;                                                                       \
		if (y == 0)                                                                        \
			return BY_ZERO;                                                            \
		return (!FINITE(result) & FINITE(x) & FINITE(y)) ? BEYOND : 0;                     \
	}

FLOAT_LOOPS(f32, float)
FLOAT_LOOPS(f64, double)

/* --- wide decimals: aligned to 8 only, so loaded and stored by words --------------------------------- */

static inline unsigned int within(bool is_within, __int128 value, struct dx_words *r)
{
	*r = dx_words_of(is_within ? value : 0);
	return is_within ? 0 : BEYOND;
}

/* Two narrow decimals: the product is under 2^126 and always fits. */
LOOP(multiply_i64_i128, int64_t, struct dx_words)
{
	*r = dx_words_of((__int128)x * y);
	return 0;
}

LOOP(add_i128, struct dx_words, struct dx_words)
{
	__int128 sum;
	bool beyond = __builtin_add_overflow(dx_wide_of(x), dx_wide_of(y), &sum);

	return within(!beyond && dx_decimal_fits(sum, DSMX_DECIMAL_MAX_DIGITS), sum, r);
}

LOOP(subtract_i128, struct dx_words, struct dx_words)
{
	__int128 difference;
	bool beyond = __builtin_sub_overflow(dx_wide_of(x), dx_wide_of(y), &difference);

	return within(!beyond && dx_decimal_fits(difference, DSMX_DECIMAL_MAX_DIGITS), difference,
	              r);
}

LOOP(multiply_i128, struct dx_words, struct dx_words)
{
	__int128 product = 0;
	bool fits = dx_decimal_multiply(dx_wide_of(x), dx_wide_of(y), &product);

	return within(fits, product, r);
}

/* @param: the power of ten that gives the quotient its scale */
LOOP(divide_i128, struct dx_words, struct dx_words)
{
	__int128 by = dx_wide_of(y), quotient = 0;
	bool fits = by != 0 && dx_decimal_divide(dx_wide_of(x), by, (unsigned int)param, &quotient);

	return by == 0 ? BY_ZERO : within(fits, quotient, r);
}

LOOP(modulus_i128, struct dx_words, struct dx_words)
{
	__int128 by = dx_wide_of(y);

	*r = dx_words_of(by == 0 || by == -1 ? 0 : dx_wide_of(x) % by);
	return by == 0 ? BY_ZERO : 0;
}

/* Wide times narrow, in this order: sums of products in a query's inner loop. */
static int multiply_i128_i64(const void *a, const void *b, unsigned int shape, uint32_t n,
                             void *out, int64_t param)
{
	size_t a_step = shape & DX_A_CONSTANT ? 0 : 1, b_step = shape & DX_B_CONSTANT ? 0 : 1;
	const int64_t *narrow = b;
	struct dx_words *to = out;
	int bad = 0;

	(void)param;
	for (uint32_t i = 0; i < n; i++) {
		__int128 result = 0;

		bad |= !dx_decimal_multiply(dx_load_i128(a, i * a_step), narrow[i * b_step],
		                            &result);
		to[i] = dx_words_of(result);
	}
	return bad ? -ERANGE : 0;
}

/* --- one operand ------------------------------------------------------------------------------------- */

#define UNARY(name, type, body)                                                                    \
	static int name(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,   \
	                int64_t param)                                                             \
	{                                                                                          \
		const type *from = a;                                                              \
		type *to = out;                                                                    \
		int bad = 0;                                                                       \
		(void)b;                                                                           \
		(void)shape;                                                                       \
		(void)param;                                                                       \
		for (uint32_t i = 0; i < n; i++) {                                                 \
			type x = from[i], r;                                                       \
			body;                                                                      \
			to[i] = r;                                                                 \
		}                                                                                  \
		return bad ? -ERANGE : 0;                                                          \
	}

#define NEGATE_INT bad |= __builtin_sub_overflow(0, x, &r)
#define ABS_INT                                                                                    \
	{                                                                                          \
		r = x;                                                                             \
		if (x < 0)                                                                         \
			bad |= __builtin_sub_overflow(0, x, &r);                                   \
	}
#define WIDE_UNARY(condition)                                                                      \
	{                                                                                          \
		__int128 value = dx_wide_of(x);                                                    \
		r = dx_words_of(condition ? (__int128)-(unsigned __int128)value : value);          \
	}

UNARY(negate_i8, int8_t, NEGATE_INT)
UNARY(negate_i16, int16_t, NEGATE_INT)
UNARY(negate_i32, int32_t, NEGATE_INT)
UNARY(negate_i64, int64_t, NEGATE_INT)
UNARY(negate_u8, uint8_t, NEGATE_INT)
UNARY(negate_u16, uint16_t, NEGATE_INT)
UNARY(negate_u32, uint32_t, NEGATE_INT)
UNARY(negate_u64, uint64_t, NEGATE_INT)
UNARY(negate_f32, float, r = -x)
UNARY(negate_f64, double, r = -x)
UNARY(negate_i128, struct dx_words, WIDE_UNARY(true))
UNARY(abs_i8, int8_t, ABS_INT)
UNARY(abs_i16, int16_t, ABS_INT)
UNARY(abs_i32, int32_t, ABS_INT)
UNARY(abs_i64, int64_t, ABS_INT)
UNARY(abs_u8, uint8_t, r = x)
UNARY(abs_u16, uint16_t, r = x)
UNARY(abs_u32, uint32_t, r = x)
UNARY(abs_u64, uint64_t, r = x)
UNARY(abs_f32, float, r = __builtin_fabsf(x))
UNARY(abs_f64, double, r = __builtin_fabs(x))
UNARY(abs_i128, struct dx_words, WIDE_UNARY(value < 0))

/* --- choosing ---------------------------------------------------------------------------------------- */

#define OF_EACH_INT(op)                                                                            \
	[DX_PHYS_I8] = op##_i8, [DX_PHYS_I16] = op##_i16, [DX_PHYS_I32] = op##_i32,                \
	[DX_PHYS_I64] = op##_i64, [DX_PHYS_U8] = op##_u8, [DX_PHYS_U16] = op##_u16,                \
	[DX_PHYS_U32] = op##_u32, [DX_PHYS_U64] = op##_u64, [DX_PHYS_I128] = op##_i128
#define OF_EACH(op) OF_EACH_INT(op), [DX_PHYS_F32] = op##_f32, [DX_PHYS_F64] = op##_f64

static const struct {
	const char *what;
	dx_loop *loops[DX_PHYS_COUNT];
} kinds[DSMX_FN_COUNT] = {
	[DSMX_FN_ADD] = { "addition", { OF_EACH(add) } },
	[DSMX_FN_SUBTRACT] = { "subtraction", { OF_EACH(subtract) } },
	[DSMX_FN_MULTIPLY] = { "multiplication", { OF_EACH(multiply) } },
	[DSMX_FN_DIVIDE] = { "division", { OF_EACH(divide) } },
	[DSMX_FN_MODULUS] = { "modulus", { OF_EACH_INT(modulus) } },
	[DSMX_FN_NEGATE] = { "negation", { OF_EACH(negate) } },
	[DSMX_FN_ABS] = { "magnitude", { OF_EACH(abs) } },
};

static int emit(struct dx_eval *eval, enum dsmx_function function, struct dsmx_type type,
                struct dx_step **args, uint32_t count, struct dx_step *like,
                struct dx_step **ret_step)
{
	like->run = dx_run_loop;
	like->type = type;
	like->phys = dx_phys_of(type);
	like->args = args;
	like->arg_count = count;
	like->what = kinds[function].what;
	if (like->loop == NULL)
		like->loop = kinds[function].loops[like->phys];
	return dx_emit(eval, like, ret_step);
}

static struct dsmx_type decimal(int precision, int scale)
{
	return (struct dsmx_type){ .id = DSMX_DECIMAL,
		                   .precision = (uint8_t)precision,
		                   .scale = (int8_t)scale };
}

/* Product of the scales' sum; then to the result's own scale, should that be another. */
static int compile_multiply(struct dx_eval *eval, struct dsmx_type type, struct dx_step **args,
                            struct dx_step **ret_step)
{
	bool narrow_a = args[0]->phys == DX_PHYS_I64, narrow_b = args[1]->phys == DX_PHYS_I64;
	int scale = args[0]->type.scale + args[1]->type.scale;
	struct dsmx_type exact = decimal(type.precision, scale);
	struct dx_step *pair[2] = { args[0], args[1] };
	struct dx_step like = { 0 };
	int err;

	if (scale > DSMX_DECIMAL_MAX_DIGITS)
		return dx_error(eval->err, -ERANGE, "a decimal product of scale %d: over %d digits",
		                scale, DSMX_DECIMAL_MAX_DIGITS);
	if (scale > type.precision || scale != type.scale || !(narrow_a && narrow_b))
		exact.precision = DSMX_DECIMAL_MAX_DIGITS;
	if (narrow_a && !narrow_b) {
		pair[0] = args[1];
		pair[1] = args[0];
	}
	if (narrow_a && narrow_b && dx_phys_of(exact) == DX_PHYS_I128)
		like.loop = multiply_i64_i128;
	else if (narrow_a != narrow_b)
		like.loop = multiply_i128_i64;
	err = emit(eval, DSMX_FN_MULTIPLY, exact, pair, 2, &like, ret_step);
	return err < 0 ? err : dx_compile_digits(eval, *ret_step, type, ret_step);
}

/* Both at full width, each of its own scale. */
static int compile_divide(struct dx_eval *eval, struct dsmx_type type, struct dx_step **args,
                          struct dx_step **ret_step)
{
	int power = type.scale - args[0]->type.scale + args[1]->type.scale, err;
	struct dx_step like = { .loop = divide_i128, .param = power };

	if (power < 0 || power > DSMX_DECIMAL_MAX_DIGITS)
		return dx_error(eval->err, -EOPNOTSUPP, "a decimal quotient of scale %d",
		                type.scale);
	for (int i = 0; i < 2; i++) {
		err = dx_compile_digits(eval, args[i],
		                        decimal(DSMX_DECIMAL_MAX_DIGITS, args[i]->type.scale),
		                        &args[i]);
		if (err < 0)
			return err;
	}
	err = emit(eval, DSMX_FN_DIVIDE, decimal(DSMX_DECIMAL_MAX_DIGITS, type.scale), args, 2,
	           &like, ret_step);
	return err < 0 ? err : dx_compile_digits(eval, *ret_step, type, ret_step);
}

/* Sums and remainders: both operands at the greater scale, in the result's width. */
static int compile_same_scale(struct dx_eval *eval, const struct dsmx_expr *expr,
                              struct dx_step **args, struct dx_step **ret_step)
{
	int a = args[0]->type.scale, b = args[1]->type.scale, scale = a > b ? a : b;
	struct dsmx_type type = expr->type, common = decimal(DSMX_DECIMAL_MAX_DIGITS, scale);
	struct dx_step like = { 0 };
	bool narrow = dx_phys_of(type) == DX_PHYS_I64 && scale == type.scale;
	int err;

	for (int i = 0; i < 2; i++)
		narrow &= args[i]->type.precision + scale - args[i]->type.scale <=
		          DSMX_DECIMAL_NARROW_DIGITS;
	if (narrow)
		common.precision = DSMX_DECIMAL_NARROW_DIGITS;
	for (int i = 0; i < 2; i++) {
		err = dx_compile_digits(eval, args[i], common, &args[i]);
		if (err < 0)
			return err;
	}
	if (narrow)
		common = type;
	err = emit(eval, expr->function, common, args, 2, &like, ret_step);
	return err < 0 ? err : dx_compile_digits(eval, *ret_step, type, ret_step);
}

static int compile_decimal(struct dx_eval *eval, const struct dsmx_expr *expr,
                           struct dx_step **args, struct dx_step **ret_step)
{
	switch (expr->function) {
	case DSMX_FN_MULTIPLY:
		return compile_multiply(eval, expr->type, args, ret_step);
	case DSMX_FN_DIVIDE:
		return compile_divide(eval, expr->type, args, ret_step);
	default:
		return compile_same_scale(eval, expr, args, ret_step);
	}
}

int dx_compile_arith(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **args,
                     struct dx_step **ret_step)
{
	enum dx_phys phys = dx_phys_of(expr->type);
	bool is_decimal = expr->type.id == DSMX_DECIMAL;
	bool is_number = expr->type.id >= DSMX_INT8 && expr->type.id <= DSMX_DECIMAL;
	struct dx_step like = { 0 };

	for (uint32_t i = 0; i < expr->arg_count; i++) {
		is_number &= args[i]->type.id == expr->type.id;
		if (expr->arg_count == 1)
			is_number &= dsmx_type_equal(args[i]->type, expr->type);
	}
	if (!is_number)
		return dx_error(eval->err, -EINVAL, "%s of types that do not agree",
		                kinds[expr->function].what);
	if (kinds[expr->function].loops[phys] == NULL)
		return dx_error(eval->err, -EOPNOTSUPP, "%s of floats", kinds[expr->function].what);
	if (is_decimal && expr->arg_count == 2)
		return compile_decimal(eval, expr, args, ret_step);
	return emit(eval, expr->function, expr->type, args, expr->arg_count, &like, ret_step);
}
