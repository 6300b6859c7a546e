/* SPDX-License-Identifier: MIT */
/*
 * codec_type.c - types, schemas and literals, both ways
 *
 * Substrait has no unsigned integers among its own types: they are the user-defined u8 to u64 of its extension
 * "unsigned_integers". Text with 64-bit offsets is a string in a variation of ours. All else is Substrait's.
 */
#include <errno.h>
#include <string.h>

#include "batch/format.h"
#include "batch/parse.h"
#include "plan/codec.h"
#include "plan/substrait.pb-c.h"
#include "plan/tree.h"

#define KIND(name)    SUBSTRAIT__TYPE__KIND_##name
#define LITERAL(name) SUBSTRAIT__EXPRESSION__LITERAL__LITERAL_TYPE_##name

#define LARGE_UTF8 "large_utf8"

/* What Substrait calls a type: in a function's name, and which oneof members it uses. */
struct type_line {
	const char *short_name;
	const char *user_defined; /* its name as a user-defined type */
	int kind;
	int literal;
};

static const struct type_line lines[DSMX_TYPE_COUNT] = {
	[DSMX_BOOL] = { "bool", NULL, KIND(BOOL), LITERAL(BOOLEAN) },
	[DSMX_INT8] = { "i8", NULL, KIND(I8), LITERAL(I8) },
	[DSMX_INT16] = { "i16", NULL, KIND(I16), LITERAL(I16) },
	[DSMX_INT32] = { "i32", NULL, KIND(I32), LITERAL(I32) },
	[DSMX_INT64] = { "i64", NULL, KIND(I64), LITERAL(I64) },
	[DSMX_UINT8] = { "u!u8", "u8", KIND(USER_DEFINED), LITERAL(USER_DEFINED) },
	[DSMX_UINT16] = { "u!u16", "u16", KIND(USER_DEFINED), LITERAL(USER_DEFINED) },
	[DSMX_UINT32] = { "u!u32", "u32", KIND(USER_DEFINED), LITERAL(USER_DEFINED) },
	[DSMX_UINT64] = { "u!u64", "u64", KIND(USER_DEFINED), LITERAL(USER_DEFINED) },
	[DSMX_FLOAT32] = { "fp32", NULL, KIND(FP32), LITERAL(FP32) },
	[DSMX_FLOAT64] = { "fp64", NULL, KIND(FP64), LITERAL(FP64) },
	[DSMX_DECIMAL] = { "dec", NULL, KIND(DECIMAL), LITERAL(DECIMAL) },
	[DSMX_DATE32] = { "date", NULL, KIND(DATE), LITERAL(DATE) },
	[DSMX_TIMESTAMP] = { "pts", NULL, KIND(PRECISION_TIMESTAMP), LITERAL(PRECISION_TIMESTAMP) },
	[DSMX_TIMESTAMP_TZ] = { "ptstz", NULL, KIND(PRECISION_TIMESTAMP_TZ),
	                        LITERAL(PRECISION_TIMESTAMP_TZ) },
	[DSMX_UTF8] = { "str", NULL, KIND(STRING), LITERAL(STRING) },
	[DSMX_LARGE_UTF8] = { "str", NULL, KIND(STRING), LITERAL(STRING) },
	[DSMX_BINARY] = { "vbin", NULL, KIND(BINARY), LITERAL(BINARY) },
};

const char *dx_encode_short_name(struct dsmx_type type)
{
	return lines[type.id].short_name;
}

static struct dsmx_type plain(enum dsmx_type_id id)
{
	return (struct dsmx_type){ .id = (uint8_t)id };
}

/* --- types out ----------------------------------------------------------------------------------------- */

static Substrait__Type__Nullability nullability(bool nullable)
{
	return nullable ? SUBSTRAIT__TYPE__NULLABILITY__NULLABILITY_NULLABLE
	                : SUBSTRAIT__TYPE__NULLABILITY__NULLABILITY_REQUIRED;
}

static uint32_t declare_user_type(struct dx_encoder *e, struct dsmx_type type)
{
	return dx_encode_declare(e, DX_DECLARED_TYPE, DX_FILE_UNSIGNED,
	                         lines[type.id].user_defined);
}

static uint32_t declare_large(struct dx_encoder *e)
{
	return dx_encode_declare(e, DX_DECLARED_VARIATION, DX_FILE_DSMX, LARGE_UTF8);
}

static Substrait__Type__Decimal *decimal_type(struct dx_encoder *e, struct dsmx_type type,
                                              bool nullable)
{
	Substrait__Type__Decimal *pb = DX_NEW(e, type__decimal);

	pb->scale = type.scale;
	pb->has_scale = type.scale != 0;
	pb->precision = type.precision;
	pb->has_precision = true;
	pb->nullability = nullability(nullable);
	pb->has_nullability = true;
	return pb;
}

static Substrait__Type__Sized *timestamp_type(struct dx_encoder *e, struct dsmx_type type,
                                              bool nullable)
{
	Substrait__Type__Sized *pb = DX_NEW(e, type__sized);

	pb->size = type.precision;
	pb->has_size = type.precision != 0;
	pb->nullability = nullability(nullable);
	pb->has_nullability = true;
	return pb;
}

static Substrait__Type__UserDefined *user_type(struct dx_encoder *e, struct dsmx_type type,
                                               bool nullable)
{
	Substrait__Type__UserDefined *pb = DX_NEW(e, type__user_defined);

	pb->type_reference = declare_user_type(e, type);
	pb->has_type_reference = true;
	pb->nullability = nullability(nullable);
	pb->has_nullability = true;
	return pb;
}

static Substrait__Type__Simple *simple_type(struct dx_encoder *e, struct dsmx_type type,
                                            bool nullable)
{
	Substrait__Type__Simple *pb = DX_NEW(e, type__simple);

	if (type.id == DSMX_LARGE_UTF8) {
		pb->type_variation_reference = declare_large(e);
		pb->has_type_variation_reference = true;
	}
	pb->nullability = nullability(nullable);
	pb->has_nullability = true;
	return pb;
}

Substrait__Type *dx_encode_type(struct dx_encoder *e, struct dsmx_type type, bool nullable)
{
	Substrait__Type *pb = DX_NEW(e, type);

	pb->kind_case = (Substrait__Type__KindCase)lines[type.id].kind;
	if (type.id == DSMX_DECIMAL)
		pb->decimal = decimal_type(e, type, nullable);
	else if (type.id == DSMX_TIMESTAMP || type.id == DSMX_TIMESTAMP_TZ)
		pb->precision_timestamp = timestamp_type(e, type, nullable);
	else if (lines[type.id].user_defined != NULL)
		pb->user_defined = user_type(e, type, nullable);
	else
		pb->bool_ = simple_type(e, type, nullable);
	return pb;
}

Substrait__NamedStruct *dx_encode_schema(struct dx_encoder *e, const struct dsmx_schema *schema)
{
	Substrait__NamedStruct *pb = DX_NEW(e, named_struct);

	pb->struct_ = DX_NEW(e, type__struct);
	pb->struct_->nullability = nullability(false);
	pb->struct_->has_nullability = true;
	pb->names = dx_encode_array(e, schema->field_count, &pb->n_names);
	pb->struct_->types = dx_encode_array(e, schema->field_count, &pb->struct_->n_types);
	for (size_t i = 0; i < pb->n_names && i < pb->struct_->n_types; i++) {
		const struct dsmx_field *field = &schema->fields[i];

		pb->names[i] = dx_encode_text(e, field->name, strlen(field->name));
		pb->struct_->types[i] = dx_encode_type(e, field->type, field->nullable);
	}
	return pb;
}

/* --- literals out -------------------------------------------------------------------------------------- */

static Substrait__Expression__Literal__Decimal *decimal_literal(struct dx_encoder *e,
                                                                const struct dsmx_expr *expr)
{
	Substrait__Expression__Literal__Decimal *pb = DX_NEW(e, expression__literal__decimal);
	__int128 value = expr->value.d;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "decimals are little-endian");
	pb->value.data = (uint8_t *)dx_encode_text(e, (const char *)&value, sizeof(value));
	pb->value.len = sizeof(value);
	pb->has_value = true;
	pb->precision = expr->type.precision;
	pb->has_precision = true;
	pb->scale = expr->type.scale;
	pb->has_scale = expr->type.scale != 0;
	return pb;
}

static Substrait__Expression__Literal__PrecisionTimestamp *
timestamp_literal(struct dx_encoder *e, const struct dsmx_expr *expr)
{
	Substrait__Expression__Literal__PrecisionTimestamp *pb =
		DX_NEW(e, expression__literal__precision_timestamp);

	pb->precision = expr->type.precision;
	pb->has_precision = expr->type.precision != 0;
	pb->value = expr->value.i;
	pb->has_value = expr->value.i != 0;
	return pb;
}

/* Substrait's unsigned integers are structs of one text. */
static Substrait__Expression__Literal__UserDefined *unsigned_literal(struct dx_encoder *e,
                                                                     const struct dsmx_expr *expr)
{
	Substrait__Expression__Literal__UserDefined *pb =
		DX_NEW(e, expression__literal__user_defined);
	Substrait__Expression__Literal *digits = DX_NEW(e, expression__literal);
	char text[DX_FORMAT_BYTES];
	size_t len = dx_format_value(expr->type, &expr->value, text);

	digits->literal_type_case = LITERAL(STRING);
	digits->string = dx_encode_text(e, text, len);
	pb->type_reference = declare_user_type(e, expr->type);
	pb->has_type_reference = true;
	pb->struct_ = DX_NEW(e, expression__literal__struct);
	pb->struct_->fields = dx_encode_array(e, 1, &pb->struct_->n_fields);
	if (pb->struct_->n_fields == 1)
		pb->struct_->fields[0] = digits;
	return pb;
}

Substrait__Expression__Literal *dx_encode_literal(struct dx_encoder *e,
                                                  const struct dsmx_expr *expr)
{
	Substrait__Expression__Literal *pb = DX_NEW(e, expression__literal);
	const union dx_value *value = &expr->value;

	pb->literal_type_case =
		expr->is_null
			? LITERAL(NULL)
			: (Substrait__Expression__Literal__LiteralTypeCase)lines[expr->type.id]
				  .literal;
	switch (pb->literal_type_case) {
	case LITERAL(NULL):
		pb->null = dx_encode_type(e, expr->type, true);
		break;
	case LITERAL(BOOLEAN):
		pb->boolean = value->i != 0;
		break;
	case LITERAL(I64):
		pb->i64 = value->i;
		break;
	case LITERAL(FP32):
		pb->fp32 = (float)value->f;
		break;
	case LITERAL(FP64):
		pb->fp64 = value->f;
		break;
	case LITERAL(DECIMAL):
		pb->decimal = decimal_literal(e, expr);
		break;
	case LITERAL(PRECISION_TIMESTAMP):
	case LITERAL(PRECISION_TIMESTAMP_TZ):
		pb->precision_timestamp = timestamp_literal(e, expr);
		break;
	case LITERAL(USER_DEFINED):
		pb->user_defined = unsigned_literal(e, expr);
		break;
	case LITERAL(STRING):
		pb->string = dx_encode_text(e, value->text.bytes, value->text.len);
		if (expr->type.id == DSMX_LARGE_UTF8) {
			pb->type_variation_reference = declare_large(e);
			pb->has_type_variation_reference = true;
		}
		break;
	case LITERAL(BINARY):
		pb->binary.data = (uint8_t *)dx_encode_text(e, value->text.bytes, value->text.len);
		pb->binary.len = value->text.len;
		break;
	default: /* the narrow integers and dates share a member */
		pb->i32 = (int32_t)value->i;
		break;
	}
	return pb;
}

/* --- types in ------------------------------------------------------------------------------------------ */

static bool unsupported_type(struct dx_decoder *d, const char *what)
{
	(void)dx_plan_fail(d->plan, -EOPNOTSUPP, "type %s is not supported", what);
	return false;
}

/* A type that Substrait has one message for; a variation is ours or none. */
static bool take_simple(struct dx_decoder *d, const Substrait__Type__Simple *pb,
                        struct dsmx_type *type, bool *ret_nullable)
{
	const char *variation;

	if (pb->type_variation_reference != 0) {
		variation =
			dx_decode_declared(d, DX_DECLARED_VARIATION, pb->type_variation_reference);
		if (variation == NULL)
			return false;
		if (type->id != DSMX_UTF8 || strcmp(variation, LARGE_UTF8) != 0)
			return unsupported_type(d, variation);
		type->id = DSMX_LARGE_UTF8;
	}
	*ret_nullable = pb->nullability != SUBSTRAIT__TYPE__NULLABILITY__NULLABILITY_REQUIRED;
	return true;
}

static bool take_user_defined(struct dx_decoder *d, uint32_t reference, struct dsmx_type *ret_type)
{
	const char *name = dx_decode_declared(d, DX_DECLARED_TYPE, reference);

	for (int id = 0; name != NULL && id < DSMX_TYPE_COUNT; id++) {
		if (lines[id].user_defined != NULL && strcmp(lines[id].user_defined, name) == 0) {
			*ret_type = plain((enum dsmx_type_id)id);
			return true;
		}
	}
	return name != NULL ? unsupported_type(d, name) : false;
}

/* Numbers from outside, before they are cut to a type's fields. */
static bool take_digits(struct dx_decoder *d, enum dsmx_type_id id, int32_t precision,
                        int32_t scale, struct dsmx_type *ret_type)
{
	struct dsmx_error err = { 0 };
	struct dsmx_type type = { .id = (uint8_t)id,
		                  .precision = (uint8_t)precision,
		                  .scale = (int8_t)scale };

	if (precision < 0 || precision > UINT8_MAX || scale < 0 || scale > INT8_MAX ||
	    dx_type_check(type, &err) < 0) {
		(void)dx_plan_fail(d->plan, -EOPNOTSUPP,
		                   "a decimal or timestamp with precision %d and scale %d is not "
		                   "supported",
		                   precision, scale);
		return false;
	}
	*ret_type = type;
	return true;
}

static enum dsmx_type_id type_of_kind(int kind)
{
	for (int id = DSMX_NONE + 1; id < DSMX_TYPE_COUNT; id++) {
		if (lines[id].kind == kind && lines[id].user_defined == NULL)
			return (enum dsmx_type_id)id;
	}
	return DSMX_NONE;
}

bool dx_decode_type(struct dx_decoder *d, const Substrait__Type *pb, struct dsmx_type *ret_type,
                    bool *ret_nullable)
{
	const Substrait__Type__Nullability required =
		SUBSTRAIT__TYPE__NULLABILITY__NULLABILITY_REQUIRED;

	if (pb == NULL) {
		(void)dx_plan_fail(d->plan, -EBADMSG, "not a plan: a type is missing");
		return false;
	}
	switch (pb->kind_case) {
	case KIND(_NOT_SET):
		(void)dx_plan_fail(d->plan, -EBADMSG, "not a plan: a type has no kind");
		return false;
	case KIND(DECIMAL):
		*ret_nullable = pb->decimal->nullability != required;
		return take_digits(d, DSMX_DECIMAL, pb->decimal->precision, pb->decimal->scale,
		                   ret_type);
	case KIND(PRECISION_TIMESTAMP):
	case KIND(PRECISION_TIMESTAMP_TZ):
		*ret_nullable = pb->precision_timestamp->nullability != required;
		return take_digits(d, type_of_kind((int)pb->kind_case),
		                   pb->precision_timestamp->size, 0, ret_type);
	case KIND(USER_DEFINED):
		*ret_nullable = pb->user_defined->nullability != required;
		return take_user_defined(d, pb->user_defined->type_reference, ret_type);
	case KIND(FIXED_CHAR):
	case KIND(VARCHAR): /* lengths are not enforced here */
		*ret_nullable = pb->varchar->nullability != required;
		*ret_type = plain(DSMX_UTF8);
		return true;
	case KIND(TIMESTAMP):
	case KIND(TIMESTAMP_TZ):
		*ret_type = plain(pb->kind_case == KIND(TIMESTAMP) ? DSMX_TIMESTAMP
		                                                   : DSMX_TIMESTAMP_TZ);
		ret_type->precision = 6;
		return take_simple(d, pb->timestamp, ret_type, ret_nullable);
	default:
		*ret_type = plain(type_of_kind((int)pb->kind_case));
		return take_simple(d, pb->bool_, ret_type, ret_nullable);
	}
}

bool dx_decode_schema(struct dx_decoder *d, const Substrait__NamedStruct *pb,
                      struct dsmx_schema *ret_schema)
{
	struct dsmx_field *fields;
	size_t count;

	if (pb == NULL || pb->struct_ == NULL || pb->n_names != pb->struct_->n_types) {
		(void)dx_plan_fail(d->plan, -EBADMSG,
		                   "not a plan: a schema is missing, or has not one name for each "
		                   "column");
		return false;
	}
	count = pb->n_names;
	if (count == 0 || count > DSMX_PLAN_COLUMNS_MAX) {
		(void)dx_plan_fail(d->plan, count == 0 ? -EINVAL : -E2BIG,
		                   "a relation has %zu columns: 1 to %u are possible", count,
		                   DSMX_PLAN_COLUMNS_MAX);
		return false;
	}
	fields = dx_arena_array(&d->arena, count, sizeof(fields[0]));
	if (fields == NULL) {
		(void)dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		fields[i].name = pb->names[i];
		if (!dx_decode_type(d, pb->struct_->types[i], &fields[i].type, &fields[i].nullable))
			return false;
	}
	*ret_schema = (struct dsmx_schema){ .field_count = (uint32_t)count, .fields = fields };
	return true;
}

/* --- literals in --------------------------------------------------------------------------------------- */

static struct dsmx_expr *bad_literal(struct dx_decoder *d, const char *what)
{
	return dx_plan_fail(d->plan, -EBADMSG, "not a plan: a literal is %s", what);
}

static struct dsmx_expr *integer(struct dx_decoder *d, enum dsmx_type_id id, int64_t value,
                                 int64_t most)
{
	if (value > most || value < -most - 1)
		return bad_literal(d, "wider than its type");
	return dx_expr_value(d->plan, plain(id), &(union dx_value){ .i = value });
}

static struct dsmx_expr *text(struct dx_decoder *d, enum dsmx_type_id id, const char *bytes,
                              size_t len)
{
	union dx_value value = { .text = { bytes, (uint32_t)len } };

	return dx_expr_value(d->plan, plain(id), &value);
}

static bool too_many_digits(__int128 value, int precision)
{
	__int128 limit = 1;

	for (int i = 0; i < precision; i++)
		limit *= 10;
	return value >= limit || value <= -limit;
}

static struct dsmx_expr *take_decimal(struct dx_decoder *d,
                                      const Substrait__Expression__Literal__Decimal *pb)
{
	struct dsmx_type type;
	union dx_value value;

	if (!take_digits(d, DSMX_DECIMAL, pb->precision, pb->scale, &type))
		return NULL;
	if (pb->value.len != sizeof(value.d))
		return bad_literal(d, "a decimal, but not of 16 bytes");
	memcpy(&value.d, pb->value.data, sizeof(value.d));
	if (too_many_digits(value.d, type.precision))
		return bad_literal(d, "wider than its type");
	return dx_expr_value(d->plan, type, &value);
}

static struct dsmx_expr *take_timestamp(struct dx_decoder *d, enum dsmx_type_id id,
                                        int32_t precision, int64_t value)
{
	struct dsmx_type type;

	if (!take_digits(d, id, precision, 0, &type))
		return NULL;
	return dx_expr_value(d->plan, type, &(union dx_value){ .i = value });
}

static struct dsmx_expr *take_unsigned(struct dx_decoder *d,
                                       const Substrait__Expression__Literal__UserDefined *pb)
{
	const Substrait__Expression__Literal *digits;
	struct dsmx_type type;
	union dx_value value;

	if (!take_user_defined(d, pb->type_reference, &type))
		return NULL;
	if (pb->struct_ == NULL || pb->struct_->n_fields != 1)
		return bad_literal(d, "no struct of one text");
	digits = pb->struct_->fields[0];
	if (digits->literal_type_case != LITERAL(STRING) ||
	    dx_parse_value(type, digits->string, strlen(digits->string), &value) < 0)
		return bad_literal(d, "no unsigned number");
	return dx_expr_value(d->plan, type, &value);
}

static struct dsmx_expr *take_string(struct dx_decoder *d, const Substrait__Expression__Literal *pb)
{
	Substrait__Type__Simple type = SUBSTRAIT__TYPE__SIMPLE__INIT;
	struct dsmx_type utf8 = plain(DSMX_UTF8);
	bool nullable;

	type.type_variation_reference = pb->type_variation_reference;
	if (!take_simple(d, &type, &utf8, &nullable))
		return NULL;
	return text(d, (enum dsmx_type_id)utf8.id, pb->string, strlen(pb->string));
}

static struct dsmx_expr *take_null(struct dx_decoder *d, const Substrait__Type *pb)
{
	struct dsmx_type type;
	bool nullable;

	return dx_decode_type(d, pb, &type, &nullable) ? dx_expr_null(d->plan, type) : NULL;
}

struct dsmx_expr *dx_decode_literal(struct dx_decoder *d, const Substrait__Expression__Literal *pb)
{
	const char *varchar;

	switch (pb->literal_type_case) {
	case LITERAL(BOOLEAN):
		return integer(d, DSMX_BOOL, pb->boolean != 0, 1);
	case LITERAL(I8):
		return integer(d, DSMX_INT8, pb->i8, INT8_MAX);
	case LITERAL(I16):
		return integer(d, DSMX_INT16, pb->i16, INT16_MAX);
	case LITERAL(I32):
		return integer(d, DSMX_INT32, pb->i32, INT32_MAX);
	case LITERAL(I64):
		return integer(d, DSMX_INT64, pb->i64, INT64_MAX);
	case LITERAL(DATE):
		return integer(d, DSMX_DATE32, pb->date, INT32_MAX);
	case LITERAL(FP32):
		return dx_expr_value(d->plan, plain(DSMX_FLOAT32),
		                     &(union dx_value){ .f = (double)pb->fp32 });
	case LITERAL(FP64):
		return dx_expr_value(d->plan, plain(DSMX_FLOAT64),
		                     &(union dx_value){ .f = pb->fp64 });
	case LITERAL(STRING):
		return take_string(d, pb);
	case LITERAL(FIXED_CHAR):
		return text(d, DSMX_UTF8, pb->fixed_char, strlen(pb->fixed_char));
	case LITERAL(VAR_CHAR):
		varchar = pb->var_char->value != NULL ? pb->var_char->value : "";
		return text(d, DSMX_UTF8, varchar, strlen(varchar));
	case LITERAL(BINARY):
		return text(d, DSMX_BINARY, (const char *)pb->binary.data, pb->binary.len);
	case LITERAL(DECIMAL):
		return take_decimal(d, pb->decimal);
	case LITERAL(PRECISION_TIMESTAMP):
		return take_timestamp(d, DSMX_TIMESTAMP, pb->precision_timestamp->precision,
		                      pb->precision_timestamp->value);
	case LITERAL(PRECISION_TIMESTAMP_TZ):
		return take_timestamp(d, DSMX_TIMESTAMP_TZ, pb->precision_timestamp->precision,
		                      pb->precision_timestamp->value);
	case LITERAL(TIMESTAMP):
		return take_timestamp(d, DSMX_TIMESTAMP, 6, pb->timestamp);
	case LITERAL(TIMESTAMP_TZ):
		return take_timestamp(d, DSMX_TIMESTAMP_TZ, 6, pb->timestamp_tz);
	case LITERAL(USER_DEFINED):
		return take_unsigned(d, pb->user_defined);
	case LITERAL(NULL):
		return take_null(d, pb->null);
	default:
		return bad_literal(d, "empty");
	}
}
