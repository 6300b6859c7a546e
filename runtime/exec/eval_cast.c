/* SPDX-License-Identifier: MIT */
/*
 * eval_cast.c - from type to type, with every range checked
 *
 * Most casts go by way of a few: integers through int64 (uint64 through 128 bits), decimals through a change
 * of scale, floats through float64, the rest through text. Rounding is PostgreSQL's: decimals half away from
 * zero, floats to integers half to even. A float becomes a decimal by its value times a power of ten,
 * rounded.
 *
 * dx_compile_digits() is the cast of arithmetic: to another width or scale, where the type's precision holds
 * by construction and is not looked at again.
 */
#include "batch/format.h"
#include "batch/parse.h"
#include "exec/cast_loops.h"
#include "exec/decimal.h"
#include "exec/texts.h"

/* --- text -------------------------------------------------------------------------------------------- */

static int parse_error(struct dx_eval *eval, const struct dx_step *step, struct dx_text text,
                       int code)
{
	char type[32];

	(void)dsmx_type_format(step->type, type, sizeof(type));
	return dx_error(eval->err, code == -EINVAL ? -EILSEQ : code, "%s %s: \"%.*s\"%s",
	                code == -ERANGE ? "out of range for" : "no", type,
	                text.len < 40 ? (int)text.len : 40, text.bytes != NULL ? text.bytes : "",
	                text.len < 40 ? "" : "...");
}

static int run_parse(struct dx_eval *eval, struct dx_step *step)
{
	const struct dx_text *from = step->args[0]->values;
	size_t width = dx_phys_width(step->phys);
	uint32_t n = dx_step_rows(eval, step);

	dx_combine_valid(step, n);
	for (uint32_t i = 0; i < n; i++) {
		union dx_value value = { 0 };
		int err = 0;

		if (step->valid == NULL || step->valid[i])
			err = dx_parse_value(step->type, from[i].bytes, from[i].len, &value);
		if (err < 0)
			return parse_error(eval, step, from[i], err);
		dx_value_store(step->type, &value, (uint8_t *)step->values_room + i * width);
	}
	return 0;
}

static int run_format(struct dx_eval *eval, struct dx_step *step)
{
	const struct dx_step *arg = step->args[0];
	size_t width = dx_phys_width(arg->phys), len;
	uint32_t n = dx_step_rows(eval, step);
	struct dx_texts *texts = step->state;
	struct dx_text *to = step->values_room;
	int err = dx_texts_reserve(texts, (size_t)n * DX_FORMAT_BYTES);

	if (err < 0)
		return err;
	dx_combine_valid(step, n);
	for (uint32_t i = 0; i < n; i++) {
		union dx_value value;
		char *at = texts->bytes + texts->used;

		dx_value_load(arg->type, (const uint8_t *)arg->values + i * width, &value);
		len = step->valid == NULL || step->valid[i] ? dx_format_value(arg->type, &value, at)
		                                            : 0;
		to[i] = (struct dx_text){ .bytes = at, .len = (uint32_t)len };
		texts->used += len;
	}
	return 0;
}

/* --- choosing ---------------------------------------------------------------------------------------- */

static int emit(struct dx_eval *eval, dx_loop *loop, struct dx_step *arg, struct dsmx_type type,
                enum dx_phys phys, int64_t param, struct dx_step **ret_step)
{
	struct dx_step like = { .run = dx_run_loop, .type = type, .phys = phys, .args = &arg };

	like.arg_count = 1;
	like.loop = loop;
	like.param = param;
	like.what = "cast";
	return dx_emit(eval, &like, ret_step);
}

static int run_alias(struct dx_eval *eval, struct dx_step *step)
{
	(void)eval;
	step->valid = step->args[0]->valid;
	step->values = step->args[0]->values;
	return 0;
}

/* The same values under another type. The operand's rooms become the alias's. */
static int alias(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                 struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_alias, .type = type, .args = &arg, .arg_count = 1 };

	like.phys = arg->phys;
	like.values_room = arg->held ? NULL : arg->values_room;
	like.valid_room = arg->held ? NULL : arg->valid_room;
	like.values = arg->values;
	return dx_add(eval, &like, ret_step);
}

static struct dsmx_type plain(enum dsmx_type_id id)
{
	return (struct dsmx_type){ .id = (uint8_t)id };
}

/* Any integer, or bool, as int64; uint64 as a decimal of 128 bits. */
static int from_int(struct dx_eval *eval, struct dx_step *arg, struct dx_step **ret_step)
{
	static dx_loop *const loops[DX_PHYS_COUNT] = {
		[DX_PHYS_BOOL] = dx_i64_of_u8, [DX_PHYS_I8] = dx_i64_of_i8,
		[DX_PHYS_I16] = dx_i64_of_i16, [DX_PHYS_I32] = dx_i64_of_i32,
		[DX_PHYS_U8] = dx_i64_of_u8,   [DX_PHYS_U16] = dx_i64_of_u16,
		[DX_PHYS_U32] = dx_i64_of_u32, [DX_PHYS_U64] = dx_i128_of_u64,
	};
	struct dsmx_type wide = { .id = DSMX_DECIMAL, .precision = DSMX_DECIMAL_MAX_DIGITS };

	if (arg->phys == DX_PHYS_I64) {
		*ret_step = arg;
		return 0;
	}
	if (arg->phys == DX_PHYS_U64)
		return emit(eval, dx_i128_of_u64, arg, wide, DX_PHYS_I128, 0, ret_step);
	return emit(eval, loops[arg->phys], arg, plain(DSMX_INT64), DX_PHYS_I64, 0, ret_step);
}

/* int64, or 128 bits of scale 0, to any integer. */
static int to_int(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                  struct dx_step **ret_step)
{
	static dx_loop *const loops[DX_PHYS_COUNT] = {
		[DX_PHYS_I8] = dx_i8_of_i64,   [DX_PHYS_I16] = dx_i16_of_i64,
		[DX_PHYS_I32] = dx_i32_of_i64, [DX_PHYS_U8] = dx_u8_of_i64,
		[DX_PHYS_U16] = dx_u16_of_i64, [DX_PHYS_U32] = dx_u32_of_i64,
	};
	enum dx_phys phys = dx_phys_of(type);
	int err;

	if (phys == DX_PHYS_U64) {
		if (arg->phys == DX_PHYS_I64) {
			err = emit(eval, dx_i128_of_i64, arg, type, DX_PHYS_I128, 0, &arg);
			if (err < 0)
				return err;
		}
		return emit(eval, dx_u64_of_i128, arg, type, phys, 0, ret_step);
	}
	if (arg->phys == DX_PHYS_I128) {
		err = emit(eval, dx_i64_of_i128, arg, type, DX_PHYS_I64, 0, &arg);
		if (err < 0)
			return err;
	}
	if (phys == DX_PHYS_I64)
		return alias(eval, arg, type, ret_step);
	return emit(eval, loops[phys], arg, type, phys, 0, ret_step);
}

/*
 * An integer at @scale (a decimal's, or 0), in 64 or 128 bits, to @type: through 128 bits where either needs
 * them. @digits: that the result may have; 0: it has no more by construction.
 */
static int to_decimal(struct dx_eval *eval, struct dx_step *arg, int scale, struct dsmx_type type,
                      int digits, struct dx_step **ret_step)
{
	enum dx_phys phys = dx_phys_of(type);
	int err = 0;

	if (arg->phys == DX_PHYS_I64 && phys == DX_PHYS_I64) {
		if (scale == type.scale && digits == 0)
			return alias(eval, arg, type, ret_step);
		return emit(eval, dx_i64_scaled, arg, type, phys,
		            dx_shift_by(scale, type.scale, digits), ret_step);
	}
	if (arg->phys == DX_PHYS_I64)
		err = emit(eval, dx_i128_of_i64, arg, type, DX_PHYS_I128, 0, &arg);
	if (err == 0 && (scale != type.scale || digits != 0))
		err = emit(eval, dx_i128_scaled, arg, type, DX_PHYS_I128,
		           dx_shift_by(scale, type.scale,
		                       digits != 0 ? digits : DSMX_DECIMAL_MAX_DIGITS),
		           &arg);
	if (err < 0)
		return err;
	if (phys == DX_PHYS_I64)
		return emit(eval, dx_i64_of_i128, arg, type, phys, 0, ret_step);
	return alias(eval, arg, type, ret_step);
}

int dx_compile_digits(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                      struct dx_step **ret_step)
{
	if (dsmx_type_equal(arg->type, type)) {
		*ret_step = arg;
		return 0;
	}
	return to_decimal(eval, arg, arg->type.scale, type, 0, ret_step);
}

static int from_decimal(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                        struct dx_step **ret_step)
{
	struct dsmx_type units = { .id = DSMX_DECIMAL, .precision = arg->type.precision };
	struct dsmx_type from = arg->type;
	int digits = 0, err;

	if (type.id == DSMX_DECIMAL) {
		if (from.precision - from.scale > type.precision - type.scale ||
		    from.scale > type.scale)
			digits = type.precision;
		return to_decimal(eval, arg, from.scale, type, digits, ret_step);
	}
	if (type.id == DSMX_FLOAT64 || type.id == DSMX_FLOAT32) {
		err = emit(eval, arg->phys == DX_PHYS_I64 ? dx_f64_of_d64 : dx_f64_of_d128, arg,
		           plain(DSMX_FLOAT64), DX_PHYS_F64, from.scale, &arg);
		if (err < 0 || type.id == DSMX_FLOAT64) {
			*ret_step = arg;
			return err;
		}
		return emit(eval, dx_f32_of_f64, arg, type, DX_PHYS_F32, 0, ret_step);
	}
	err = to_decimal(eval, arg, from.scale, units, 0, &arg);
	return err < 0 ? err : to_int(eval, arg, type, ret_step);
}

static int from_float(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                      struct dx_step **ret_step)
{
	int err;

	if (arg->phys == DX_PHYS_F32) {
		err = emit(eval, dx_f64_of_f32, arg, plain(DSMX_FLOAT64), DX_PHYS_F64, 0, &arg);
		if (err < 0 || type.id == DSMX_FLOAT64) {
			*ret_step = arg;
			return err;
		}
	}
	if (type.id == DSMX_FLOAT32)
		return emit(eval, dx_f32_of_f64, arg, type, DX_PHYS_F32, 0, ret_step);
	if (type.id == DSMX_DECIMAL) {
		err = emit(eval, dx_d128_of_f64, arg, type, DX_PHYS_I128,
		           dx_shift_by(0, type.scale, type.precision), &arg);
		return err < 0 ? err : to_decimal(eval, arg, type.scale, type, 0, ret_step);
	}
	err = emit(eval, dx_i128_of_f64, arg, type, DX_PHYS_I128, 0, &arg);
	return err < 0 ? err : to_int(eval, arg, type, ret_step);
}

static int int_to(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                  struct dx_step **ret_step)
{
	bool is_float = type.id == DSMX_FLOAT32 || type.id == DSMX_FLOAT64;
	bool is_single = type.id == DSMX_FLOAT32;
	int err;

	if (is_float && arg->phys == DX_PHYS_U64)
		return emit(eval, is_single ? dx_f32_of_u64 : dx_f64_of_u64, arg, type,
		            dx_phys_of(type), 0, ret_step);
	err = from_int(eval, arg, &arg);
	if (err < 0)
		return err;
	if (is_float)
		return emit(eval, is_single ? dx_f32_of_i64 : dx_f64_of_i64, arg, type,
		            dx_phys_of(type), 0, ret_step);
	if (type.id == DSMX_DECIMAL)
		return to_decimal(eval, arg, 0, type, type.precision, ret_step);
	return to_int(eval, arg, type, ret_step);
}

static int time_to(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                   struct dx_step **ret_step)
{
	struct dsmx_type ticks = arg->type.id == DSMX_DATE32 ? type : arg->type;
	int64_t per_day = 86400 * (int64_t)dx_power_of_ten(ticks.precision);

	if (arg->type.id == DSMX_DATE32)
		return emit(eval, dx_ticks_of_days, arg, type, DX_PHYS_I64, per_day, ret_step);
	if (type.id == DSMX_DATE32)
		return emit(eval, dx_days_of_ticks, arg, type, DX_PHYS_I32, per_day, ret_step);
	if (arg->type.precision == type.precision)
		return alias(eval, arg, type, ret_step);
	return emit(eval, dx_i64_scaled, arg, type, DX_PHYS_I64,
	            dx_shift_by(arg->type.precision, type.precision, 0), ret_step);
}

static int text_to(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                   struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_parse, .type = type, .args = &arg, .arg_count = 1 };

	if (dsmx_type_is_text(type))
		return alias(eval, arg, type, ret_step);
	return dx_emit(eval, &like, ret_step);
}

static int to_text(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                   struct dx_step **ret_step)
{
	struct dx_step like = { .run = run_format, .type = type, .args = &arg, .arg_count = 1 };

	like.state = dx_texts_new();
	like.free_state = dx_texts_free;
	if (like.state == NULL)
		return -ENOMEM;
	return dx_emit(eval, &like, ret_step);
}

static bool is_int(struct dsmx_type type)
{
	return type.id >= DSMX_INT8 && type.id <= DSMX_UINT64;
}

static bool is_float(struct dsmx_type type)
{
	return type.id == DSMX_FLOAT32 || type.id == DSMX_FLOAT64;
}

static bool is_time(struct dsmx_type type)
{
	return type.id == DSMX_DATE32 || type.id == DSMX_TIMESTAMP || type.id == DSMX_TIMESTAMP_TZ;
}

int dx_compile_cast(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                    struct dx_step **ret_step)
{
	struct dsmx_type from = arg->type;
	bool to_number = is_int(type) || is_float(type) || type.id == DSMX_DECIMAL;
	char names[2][32];

	if (dsmx_type_equal(from, type)) {
		*ret_step = arg;
		return 0;
	}
	if (dsmx_type_is_text(from) && from.id != DSMX_BINARY)
		return text_to(eval, arg, type, ret_step);
	if (dsmx_type_is_text(type) && type.id != DSMX_BINARY)
		return to_text(eval, arg, type, ret_step);
	if (is_time(from) && is_time(type))
		return time_to(eval, arg, type, ret_step);
	if (from.id == DSMX_DECIMAL && to_number)
		return from_decimal(eval, arg, type, ret_step);
	if (is_float(from) && to_number)
		return from_float(eval, arg, type, ret_step);
	if ((is_int(from) && to_number) || (from.id == DSMX_BOOL && is_int(type)))
		return int_to(eval, arg, type, ret_step);
	return dx_error(eval->err, -EOPNOTSUPP, "a cast of %s to %s",
	                dsmx_type_format(from, names[0], sizeof(names[0])),
	                dsmx_type_format(type, names[1], sizeof(names[1])));
}
