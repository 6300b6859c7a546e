/* SPDX-License-Identifier: MIT */
/*
 * aggregate.c - make aggregates: in one phase, or in two around an exchange
 */
#include <stdio.h>

#include "base/err.h"
#include "plan/tree.h"

/* The states of a measure between the phases; see node.h. */
static uint32_t state_count(enum dsmx_aggregate function)
{
	return function == DSMX_AGG_AVG ? 2 : 1;
}

static uint32_t states_of(const struct dx_measure *measures, uint32_t count)
{
	uint32_t states = 0;

	for (uint32_t i = 0; i < count; i++)
		states += state_count(measures[i].function);
	return states;
}

static bool is_count(enum dsmx_aggregate function)
{
	return function == DSMX_AGG_COUNT || function == DSMX_AGG_COUNT_STAR;
}

static struct dsmx_field key_field(const struct dsmx_rel *input, const struct dsmx_expr *key)
{
	return (struct dsmx_field){ .name = key->kind == DX_EXPR_COLUMN
		                                    ? input->schema.fields[key->column].name
		                                    : "",
		                    .type = key->type,
		                    .nullable = key->nullable };
}

static bool measure_fill(struct dsmx_plan *plan, const struct dsmx_rel *input,
                         const struct dsmx_measure *from, struct dx_measure *ret_measure)
{
	struct dsmx_error err;

	if ((from->function == DSMX_AGG_COUNT_STAR) != (from->arg == NULL)) {
		(void)dx_plan_fail(plan, -EINVAL, "%s: %s", dx_aggregate_str(from->function),
		                   from->arg == NULL ? "it takes an argument"
		                                     : "count(*) takes no argument");
		return false;
	}
	if (from->arg != NULL && !dx_expr_fits(plan, "an aggregate", from->arg, &input->schema))
		return false;
	*ret_measure = (struct dx_measure){ .function = from->function, .arg = from->arg };
	if (from->arg != NULL)
		ret_measure->arg_type = from->arg->type;
	if (dx_aggregate_type(from->function, ret_measure->arg_type, &ret_measure->type, &err) < 0)
		(void)dx_plan_fail(plan, err.code, "%s", err.message);
	return !dx_plan_failed(plan);
}

struct dsmx_rel *dsmx_rel_aggregate(struct dsmx_plan *plan, struct dsmx_rel *input,
                                    struct dsmx_expr *const *keys, uint32_t key_count,
                                    const struct dsmx_measure *measures, uint32_t measure_count)
{
	struct dsmx_rel *rel;
	uint64_t columns = (uint64_t)key_count + measure_count;

	if (!dx_plan_given(plan, "the input of an aggregate", (const void *const *)&input, 1) ||
	    !dx_plan_given(plan, "a key of an aggregate", (const void *const *)keys, key_count))
		return NULL;
	rel = dx_rel_new(plan, DX_REL_AGGREGATE, &input, 1,
	                 columns > DSMX_PLAN_COLUMNS_MAX ? UINT32_MAX : (uint32_t)columns);
	if (rel == NULL)
		return NULL;
	rel->aggregate =
		(struct dx_aggregate){ .key_count = key_count, .measure_count = measure_count };
	rel->aggregate.keys = dx_plan_copy(plan, keys, key_count, sizeof(struct dsmx_expr *));
	rel->aggregate.measures =
		dx_plan_alloc(plan, measure_count, sizeof(rel->aggregate.measures[0]));
	for (uint32_t i = 0; i < key_count && !dx_plan_failed(plan); i++) {
		if (dx_expr_fits(plan, "a group key", keys[i], &input->schema))
			dx_rel_set_field(rel, i, key_field(input, keys[i]));
	}
	for (uint32_t i = 0; i < measure_count && !dx_plan_failed(plan); i++) {
		const struct dsmx_measure *from = &measures[i];
		struct dx_measure *m = &rel->aggregate.measures[i];

		if (!measure_fill(plan, input, from, m))
			return NULL;
		dx_rel_set_field(
			rel, key_count + i,
			(struct dsmx_field){
				.name = dx_plan_text(plan, from->name != NULL
		                                                   ? from->name
		                                                   : dx_aggregate_str(m->function)),
				.type = m->type,
				.nullable = !is_count(m->function) &&
		                            (key_count == 0 || m->arg->nullable) });
	}
	return dx_plan_failed(plan) ? NULL : dx_rel_seal(plan, rel);
}

/* The fields of a measure's states, under the measure's name; returns how many. */
static uint32_t state_fields(enum dsmx_aggregate function, struct dsmx_type arg_type,
                             struct dsmx_type type, const char *name,
                             struct dsmx_field ret_fields[2])
{
	const struct dsmx_type int64 = { .id = DSMX_INT64 };

	if (function == DSMX_AGG_AVG)
		(void)dx_aggregate_type(DSMX_AGG_SUM, arg_type, &type, NULL);
	ret_fields[0] =
		(struct dsmx_field){ .name = name, .type = type, .nullable = !is_count(function) };
	ret_fields[1] = (struct dsmx_field){ .name = name, .type = int64 };
	return state_count(function);
}

struct dsmx_rel *dx_rel_partial(struct dsmx_plan *plan, const struct dsmx_rel *like,
                                struct dsmx_rel *input)
{
	const struct dx_aggregate *agg = &like->aggregate;
	uint32_t at = agg->key_count;
	struct dsmx_rel *rel;

	if (dx_plan_failed(plan))
		return NULL;
	rel = dx_rel_new(plan, DX_REL_AGGREGATE, &input, 1,
	                 at + states_of(agg->measures, agg->measure_count));
	if (rel == NULL)
		return NULL;
	rel->aggregate = *agg;
	rel->aggregate.phase = DX_PHASE_PARTIAL;
	for (uint32_t i = 0; i < agg->key_count; i++)
		dx_rel_set_field(rel, i, like->schema.fields[i]);
	for (uint32_t i = 0; i < agg->measure_count; i++) {
		const struct dx_measure *m = &agg->measures[i];
		struct dsmx_field fields[2];
		uint32_t count = state_fields(m->function, m->arg_type, m->type,
		                              like->schema.fields[agg->key_count + i].name, fields);

		for (uint32_t s = 0; s < count; s++)
			dx_rel_set_field(rel, at++, fields[s]);
	}
	return dx_rel_seal(plan, rel);
}

/* Are the states of @m in the columns of @input from *@at on? Moves *@at behind them. */
static bool states_there(struct dsmx_plan *plan, const struct dsmx_rel *input, uint32_t *at,
                         const struct dx_measure *m)
{
	struct dsmx_field fields[2];
	uint32_t count = state_fields(m->function, m->arg_type, m->type, "", fields);

	for (uint32_t s = 0; s < count; s++, (*at)++) {
		if (*at < input->schema.field_count &&
		    dsmx_type_equal(input->schema.fields[*at].type, fields[s].type))
			continue;
		(void)dx_plan_fail(
			plan, -EINVAL,
			"column %u of the input of a final aggregate is not the state of "
			"its %s",
			*at, dx_aggregate_str(m->function));
		return false;
	}
	return true;
}

static bool final_measure(struct dsmx_plan *plan, struct dsmx_rel *rel, uint32_t i,
                          const struct dx_final_measure *from, uint32_t *at)
{
	struct dx_measure *m = &rel->aggregate.measures[i];
	uint32_t key_count = rel->aggregate.key_count;
	struct dsmx_error err;

	*m = (struct dx_measure){ .function = from->function, .arg_type = from->arg_type };
	if (dx_aggregate_type(from->function, from->arg_type, &m->type, &err) < 0) {
		(void)dx_plan_fail(plan, err.code, "%s", err.message);
		return false;
	}
	dx_rel_set_field(rel, key_count + i,
	                 (struct dsmx_field){ .name = dx_plan_text(plan, from->name),
	                                      .type = m->type,
	                                      .nullable = !is_count(m->function) &&
	                                                  (key_count == 0 || from->arg_nullable) });
	return states_there(plan, rel->inputs[0], at, m);
}

struct dsmx_rel *dx_rel_final(struct dsmx_plan *plan, struct dsmx_rel *input, uint32_t key_count,
                              const struct dx_final_measure *measures, uint32_t measure_count)
{
	uint64_t columns = (uint64_t)key_count + measure_count;
	uint32_t at = key_count;
	struct dsmx_rel *rel;

	if (dx_plan_failed(plan))
		return NULL;
	rel = dx_rel_new(plan, DX_REL_AGGREGATE, &input, 1,
	                 columns > DSMX_PLAN_COLUMNS_MAX ? UINT32_MAX : (uint32_t)columns);
	if (rel == NULL)
		return NULL;
	rel->aggregate = (struct dx_aggregate){ .phase = DX_PHASE_FINAL,
		                                .key_count = key_count,
		                                .measure_count = measure_count };
	rel->aggregate.keys = dx_plan_alloc(plan, key_count, sizeof(struct dsmx_expr *));
	rel->aggregate.measures =
		dx_plan_alloc(plan, measure_count, sizeof(rel->aggregate.measures[0]));
	for (uint32_t i = 0; i < key_count && !dx_plan_failed(plan); i++) {
		rel->aggregate.keys[i] = dx_expr_field(plan, &input->schema, i);
		if (rel->aggregate.keys[i] != NULL)
			dx_rel_set_field(rel, i, input->schema.fields[i]);
	}
	for (uint32_t i = 0; i < measure_count && !dx_plan_failed(plan); i++)
		(void)final_measure(plan, rel, i, &measures[i], &at);
	if (!dx_plan_failed(plan) && at != input->schema.field_count)
		return dx_plan_fail(
			plan, -EINVAL,
			"the input of a final aggregate has %u columns, its states need %u",
			input->schema.field_count, at);
	return dx_plan_failed(plan) ? NULL : dx_rel_seal(plan, rel);
}
