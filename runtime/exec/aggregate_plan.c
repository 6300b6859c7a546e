/* SPDX-License-Identifier: MIT */
#include "exec/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* --- sources ------------------------------------------------------------------------------------------- */

static bool is_same_literal(const struct dsmx_expr *a, const struct dsmx_expr *b)
{
	if (a->is_null || b->is_null)
		return a->is_null == b->is_null;
	if (dsmx_type_is_text(a->type))
		return a->value.text.len == b->value.text.len &&
		       (a->value.text.len == 0 ||
		        memcmp(a->value.text.bytes, b->value.text.bytes, a->value.text.len) == 0);
	if (a->type.id == DSMX_DECIMAL)
		return a->value.d == b->value.d;
	return a->value.u == b->value.u; /* the bits, also of floats */
}

/* Do two expressions have the same value in every row? False is always safe. */
static bool is_same(const struct dsmx_expr *a, const struct dsmx_expr *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind || !dsmx_type_equal(a->type, b->type) ||
	    a->function != b->function || a->arg_count != b->arg_count)
		return false;
	if (a->kind == DX_EXPR_COLUMN)
		return a->column == b->column;
	if (a->kind == DX_EXPR_LITERAL)
		return is_same_literal(a, b);
	for (uint32_t i = 0; i < a->arg_count; i++)
		if (!is_same(a->args[i], b->args[i]))
			return false;
	return true;
}

/* The place of a measure's argument among the sources; keys have places of their own, in front. */
static uint32_t add_source(struct dx_aggregate_operator *op, const struct dsmx_expr *expr)
{
	struct dx_aggregate_source source = { .expr = expr, .type = expr->type };

	if (expr->kind == DX_EXPR_COLUMN)
		source = (struct dx_aggregate_source){ NULL, expr->column, expr->type };
	for (uint32_t i = op->aggregate->key_count; i < op->source_count; i++) {
		const struct dx_aggregate_source *other = &op->sources[i];

		if (source.expr == NULL ? other->expr == NULL && other->column == source.column
		                        : other->expr != NULL && is_same(other->expr, expr))
			return i;
	}
	op->sources[op->source_count] = source;
	return op->source_count++;
}

static uint32_t add_column(struct dx_aggregate_operator *op, uint32_t column)
{
	struct dsmx_type type = op->base.inputs[0]->schema.fields[column].type;

	op->sources[op->source_count] = (struct dx_aggregate_source){ NULL, column, type };
	return op->source_count++;
}

/* --- states -------------------------------------------------------------------------------------------- */

static uint32_t add_state(struct dx_aggregate_operator *op, enum dx_accumulate kind,
                          uint32_t source, struct dsmx_type input, struct dsmx_type type)
{
	for (uint32_t i = 0; i < op->state_count; i++) {
		const struct dx_aggregate_state *other = &op->states[i];

		if (other->kind == kind && other->source == source &&
		    dsmx_type_equal(other->type, type))
			return i;
	}
	op->states[op->state_count] = (struct dx_aggregate_state){ kind, source, input, type };
	return op->state_count++;
}

/* As dsmx/plan.h has it for SUM. */
static struct dsmx_type sum_type(struct dsmx_type arg)
{
	struct dsmx_type type = { .id = DSMX_INT64 };

	if (arg.id == DSMX_FLOAT32 || arg.id == DSMX_FLOAT64)
		type.id = DSMX_FLOAT64;
	if (arg.id == DSMX_INT64 || arg.id == DSMX_UINT64 || arg.id == DSMX_DECIMAL)
		type = (struct dsmx_type){ .id = DSMX_DECIMAL,
			                   .precision = DSMX_DECIMAL_MAX_DIGITS,
			                   .scale = arg.scale };
	return type;
}

static uint32_t add_nulls(struct dx_aggregate_operator *op, uint32_t source)
{
	return add_state(op, DX_ACCUMULATE_NULLS, source, op->sources[source].type,
	                 (struct dsmx_type){ .id = DSMX_INT64 });
}

/* Rows come in: states of the argument. */
static void plan_rows(struct dx_aggregate_operator *op, uint32_t m)
{
	const struct dx_measure *measure = &op->aggregate->measures[m];
	struct dx_aggregate_parts *parts = &op->parts[m];
	struct dsmx_type arg = measure->arg_type;
	uint32_t source;

	parts->nulls = DX_AGGREGATE_NO_STATE;
	if (measure->function == DSMX_AGG_COUNT_STAR)
		return;
	source = add_source(op, measure->arg);
	if (measure->function == DSMX_AGG_MIN)
		parts->value = add_state(op, DX_ACCUMULATE_MIN, source, arg, measure->type);
	else if (measure->function == DSMX_AGG_MAX)
		parts->value = add_state(op, DX_ACCUMULATE_MAX, source, arg, measure->type);
	else
		parts->nulls = add_nulls(op, source);
	if (measure->function == DSMX_AGG_SUM)
		parts->value = add_state(op, DX_ACCUMULATE_SUM, source, arg, measure->type);
	if (measure->function == DSMX_AGG_AVG)
		parts->value = add_state(op, DX_ACCUMULATE_SUM, source, arg, sum_type(arg));
}

/* Column @column of states, summed up or compared on. */
static uint32_t add_input(struct dx_aggregate_operator *op, enum dx_accumulate kind,
                          uint32_t column, uint32_t *ret_source)
{
	uint32_t source = add_column(op, column);
	struct dsmx_type type = op->sources[source].type;

	*ret_source = source;
	return add_state(op, kind, source, type, type);
}

/* States come in. @column: where this measure's are; moves on to the next one's. */
static void plan_states(struct dx_aggregate_operator *op, uint32_t m, uint32_t *column)
{
	enum dsmx_aggregate function = op->aggregate->measures[m].function;
	struct dx_aggregate_parts *parts = &op->parts[m];
	uint32_t source;

	parts->nulls = DX_AGGREGATE_NO_STATE;
	switch (function) {
	case DSMX_AGG_COUNT_STAR:
	case DSMX_AGG_COUNT:
		parts->counts = add_input(op, DX_ACCUMULATE_SUM, (*column)++, &source);
		break;
	case DSMX_AGG_MIN:
		parts->value = add_input(op, DX_ACCUMULATE_MIN, (*column)++, &source);
		break;
	case DSMX_AGG_MAX:
		parts->value = add_input(op, DX_ACCUMULATE_MAX, (*column)++, &source);
		break;
	default:
		parts->value = add_input(op, DX_ACCUMULATE_SUM, (*column)++, &source);
		parts->nulls = add_nulls(op, source);
		if (function == DSMX_AGG_AVG)
			parts->counts = add_input(op, DX_ACCUMULATE_SUM, (*column)++, &source);
		break;
	}
}

/* --- checks -------------------------------------------------------------------------------------------- */

static bool is_count(enum dsmx_aggregate function)
{
	return function == DSMX_AGG_COUNT_STAR || function == DSMX_AGG_COUNT;
}

/* A plan may come from outside: nothing below relies on a type that was not looked at. */
static int check_measure(const struct dx_aggregate_operator *op, uint32_t m, struct dsmx_error *err)
{
	const struct dx_measure *measure = &op->aggregate->measures[m];
	bool has_counts = op->aggregate->phase == DX_PHASE_FINAL &&
	                  (is_count(measure->function) || measure->function == DSMX_AGG_AVG);
	struct dsmx_type value = op->states[op->parts[m].value].type;
	int digits = measure->type.scale - value.scale;
	bool good;

	if (is_count(measure->function))
		good = measure->type.id == DSMX_INT64;
	else if (measure->function != DSMX_AGG_AVG)
		good = dsmx_type_equal(measure->type, value);
	else if (value.id == DSMX_FLOAT64)
		good = measure->type.id == DSMX_FLOAT64;
	else
		good = measure->type.id == DSMX_DECIMAL && dsmx_type_width(measure->type) == 16 &&
		       digits >= -18 && digits <= 18;
	if (has_counts)
		good &= op->states[op->parts[m].counts].type.id == DSMX_INT64;
	return good ? 0
	            : dx_error(err, -EINVAL, "measure %u of an aggregate cannot have its type", m);
}

static int check_states(const struct dx_aggregate_operator *op, struct dsmx_error *err)
{
	for (uint32_t i = 0; i < op->state_count; i++) {
		const struct dx_aggregate_state *state = &op->states[i];
		struct dx_accumulator acc;

		if (dx_accumulator_init(&acc, state->kind, state->input, state->type) < 0)
			return dx_error(err, -EINVAL,
			                "an aggregate sums up or compares what cannot be");
	}
	return 0;
}

static int check_columns(const struct dx_aggregate_operator *op, struct dsmx_error *err)
{
	const struct dx_aggregate *aggregate = op->aggregate;
	uint32_t states = 0, in = op->base.inputs[0]->schema.field_count, want;

	for (uint32_t m = 0; m < aggregate->measure_count; m++)
		states += aggregate->measures[m].function == DSMX_AGG_AVG ? 2 : 1;
	if (aggregate->phase == DX_PHASE_FINAL && in != aggregate->key_count + states)
		return dx_error(err, -EINVAL,
		                "a final aggregate has %u columns of input where its states are %u",
		                in, aggregate->key_count + states);
	want = aggregate->key_count +
	       (aggregate->phase == DX_PHASE_PARTIAL ? states : aggregate->measure_count);
	if (op->base.schema.field_count != want)
		return dx_error(err, -EINVAL, "an aggregate has %u columns of output, not %u",
		                op->base.schema.field_count, want);
	return 0;
}

int dx_aggregate_plan(struct dx_aggregate_operator *op, struct dsmx_error *err)
{
	const struct dx_aggregate *aggregate = op->aggregate;
	size_t most = aggregate->key_count + 3 * (size_t)aggregate->measure_count + 1;
	uint32_t column = aggregate->key_count;
	int ret = check_columns(op, err);

	if (ret < 0)
		return ret;
	op->sources = calloc(most, sizeof(*op->sources));
	op->states = calloc(most, sizeof(*op->states));
	op->parts = calloc(most, sizeof(*op->parts));
	op->key_types = calloc(most, sizeof(*op->key_types));
	if (op->sources == NULL || op->states == NULL || op->parts == NULL || op->key_types == NULL)
		return dx_error(err, -ENOMEM, "no memory for an aggregate");
	for (uint32_t k = 0; k < aggregate->key_count; k++) {
		const struct dsmx_expr *key =
			aggregate->phase == DX_PHASE_FINAL ? NULL : aggregate->keys[k];

		if (key == NULL)
			(void)add_column(op, k);
		else if (key->kind == DX_EXPR_COLUMN)
			(void)add_column(op, key->column);
		else
			op->sources[op->source_count++] =
				(struct dx_aggregate_source){ key, 0, key->type };
		op->key_types[k] = op->sources[k].type;
		if (!dsmx_type_equal(op->key_types[k], op->base.schema.fields[k].type))
			return dx_error(err, -EINVAL, "key %u of an aggregate changes its type", k);
	}
	(void)add_state(op, DX_ACCUMULATE_ROWS, 0, (struct dsmx_type){ .id = DSMX_INT64 },
	                (struct dsmx_type){ .id = DSMX_INT64 });
	for (uint32_t m = 0; m < aggregate->measure_count; m++) {
		if (aggregate->phase == DX_PHASE_FINAL)
			plan_states(op, m, &column);
		else
			plan_rows(op, m);
		ret = check_measure(op, m, err);
		if (ret < 0)
			return ret;
	}
	return check_states(op, err);
}
