/* SPDX-License-Identifier: MIT */
/*
 * codec_aggregate.c - aggregates from messages
 *
 * Keys stand in grouping_expressions, referred to by one grouping, or (in older plans) in the grouping itself.
 * The phase of an aggregate is that of its measures, which have to agree. A planner that states another result
 * type than ours gets it, by a project with casts on top.
 */
#include <errno.h>
#include <string.h>

#include "plan/codec.h"
#include "plan/substrait.pb-c.h"
#include "plan/tree.h"

#define PHASE(name)    SUBSTRAIT__AGGREGATION_PHASE__AGGREGATION_PHASE_##name
#define ARGUMENT(name) SUBSTRAIT__FUNCTION_ARGUMENT__ARG_TYPE_##name

struct aggregate {
	struct dsmx_rel *input;
	enum dx_phase phase;
	struct dsmx_expr **keys;
	uint32_t key_count;
	uint32_t measure_count;
	struct dsmx_measure *measures;   /* SINGLE, PARTIAL */
	struct dx_final_measure *finals; /* FINAL */
	struct dsmx_type *types;         /* of the results, as stated */
};

static bool unsupported(struct dx_decoder *d, const char *what)
{
	(void)dx_plan_fail(d->plan, -EOPNOTSUPP, "%s is not supported", what);
	return false;
}

static void *array(struct dx_decoder *d, size_t count, size_t size)
{
	void *pieces = dx_arena_array(&d->arena, count, size);

	return pieces != NULL ? pieces : dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
}

/* --- keys and phase ------------------------------------------------------------------------------------ */

static bool decode_keys(struct dx_decoder *d, const Substrait__AggregateRel *pb,
                        struct aggregate *a)
{
	const Substrait__AggregateRel__Grouping *grouping;
	size_t count;
	bool old;

	if (pb->n_groupings > 1)
		return unsupported(d, "an aggregate with several grouping sets");
	if (pb->n_groupings == 0)
		return true;
	grouping = pb->groupings[0];
	old = grouping->n_grouping_expressions > 0;
	count = old ? grouping->n_grouping_expressions : grouping->n_expression_references;
	a->keys = array(d, count, sizeof(a->keys[0]));
	for (size_t i = 0; i < count && !dx_plan_failed(d->plan); i++) {
		size_t at = old ? i : grouping->expression_references[i];
		Substrait__Expression **from =
			old ? grouping->grouping_expressions : pb->grouping_expressions;

		if (!old && at >= pb->n_grouping_expressions)
			(void)dx_plan_fail(d->plan, -EBADMSG,
			                   "not a plan: there is no grouping expression %zu", at);
		else
			a->keys[i] = dx_decode_expr(d, from[at], &a->input->schema);
	}
	a->key_count = (uint32_t)count;
	return !dx_plan_failed(d->plan);
}

static bool phase_of(struct dx_decoder *d, Substrait__AggregationPhase phase,
                     enum dx_phase *ret_phase)
{
	switch (phase) {
	case PHASE(UNSPECIFIED):
	case PHASE(INITIAL_TO_RESULT):
		*ret_phase = DX_PHASE_SINGLE;
		return true;
	case PHASE(INITIAL_TO_INTERMEDIATE):
		*ret_phase = DX_PHASE_PARTIAL;
		return true;
	case PHASE(INTERMEDIATE_TO_RESULT):
		*ret_phase = DX_PHASE_FINAL;
		return true;
	default:
		return unsupported(d, "an aggregate from states to states");
	}
}

static bool decode_phase(struct dx_decoder *d, const Substrait__AggregateRel *pb,
                         struct aggregate *a)
{
	const Substrait__AdvancedExtension *own =
		pb->common != NULL ? pb->common->advanced_extension : NULL;

	for (size_t i = 0; own != NULL && pb->n_measures == 0 && i < own->n_optimization; i++) {
		if (dx_decode_is(own->optimization[i], DX_URL_PARTIAL))
			a->phase = DX_PHASE_PARTIAL;
		if (dx_decode_is(own->optimization[i], DX_URL_FINAL))
			a->phase = DX_PHASE_FINAL;
	}
	for (size_t i = 0; i < pb->n_measures; i++) {
		const Substrait__AggregateFunction *function = pb->measures[i]->measure;
		enum dx_phase phase;

		if (function == NULL) {
			(void)dx_plan_fail(d->plan, -EBADMSG, "not a plan: a measure is empty");
			return false;
		}
		if (!phase_of(d, function->phase, &phase))
			return false;
		if (i > 0 && phase != a->phase)
			return unsupported(d,
			                   "an aggregate whose measures are of different phases");
		a->phase = phase;
	}
	return true;
}

/* --- measures ------------------------------------------------------------------------------------------ */

/* The only argument, in the new or the old place; NULL with *@ret_type NULL: there is none. */
static const Substrait__Expression *argument(struct dx_decoder *d,
                                             const Substrait__AggregateFunction *pb,
                                             const Substrait__Type **ret_type)
{
	size_t count = pb->n_arguments != 0 ? pb->n_arguments : pb->n_args;

	*ret_type = NULL;
	if (count == 0)
		return NULL;
	if (count > 1)
		return dx_plan_fail(d->plan, -EOPNOTSUPP,
		                    "an aggregate of %zu arguments is not supported", count);
	if (pb->n_arguments == 0)
		return pb->args[0];
	if (pb->arguments[0]->arg_type_case == ARGUMENT(VALUE))
		return pb->arguments[0]->value;
	if (pb->arguments[0]->arg_type_case == ARGUMENT(TYPE))
		*ret_type = pb->arguments[0]->type;
	else
		(void)dx_plan_fail(d->plan, -EOPNOTSUPP,
		                   "an argument of an aggregate that is no value is not supported");
	return NULL;
}

static bool decode_function(struct dx_decoder *d, const Substrait__AggregateFunction *pb,
                            bool has_argument, enum dsmx_aggregate *ret_function)
{
	const char *name = dx_decode_declared(d, DX_DECLARED_FUNCTION, pb->function_reference);

	if (name == NULL || !dx_decode_options(d, pb->options, pb->n_options))
		return false;
	if (!dx_aggregate_find(name, strcspn(name, ":"), ret_function)) {
		(void)dx_plan_fail(d->plan, -EOPNOTSUPP, "aggregate '%.200s' is not supported",
		                   name);
		return false;
	}
	if (*ret_function == DSMX_AGG_COUNT_STAR && has_argument)
		*ret_function = DSMX_AGG_COUNT;
	if (pb->n_sorts > 0)
		return unsupported(d, "an aggregate over sorted rows");
	if (pb->invocation ==
	    SUBSTRAIT__AGGREGATE_FUNCTION__AGGREGATION_INVOCATION__AGGREGATION_INVOCATION_DISTINCT)
		return unsupported(d, "an aggregate of distinct values");
	return true;
}

static bool decode_measure(struct dx_decoder *d, const Substrait__AggregateRel__Measure *pb,
                           struct aggregate *a, uint32_t i)
{
	const Substrait__AggregateFunction *function = pb->measure;
	const Substrait__Type *arg_type;
	const Substrait__Expression *arg = argument(d, function, &arg_type);
	enum dsmx_aggregate aggregate;
	bool nullable;

	if (dx_plan_failed(d->plan) ||
	    !decode_function(d, function, arg != NULL || arg_type != NULL, &aggregate))
		return false;
	if (pb->filter != NULL)
		return unsupported(d, "an aggregate with a filter of its own");
	if (arg_type != NULL && a->phase != DX_PHASE_FINAL)
		return unsupported(d, "a type as the argument of an aggregate");
	if (arg != NULL && a->phase == DX_PHASE_FINAL)
		return unsupported(d, "another engine's states of an aggregate");
	if (function->output_type != NULL &&
	    !dx_decode_type(d, function->output_type, &a->types[i], &nullable))
		return false;
	if (a->phase == DX_PHASE_FINAL) {
		a->finals[i] = (struct dx_final_measure){ .function = aggregate, .name = "" };
		if (arg_type == NULL)
			return true;
		return dx_decode_type(d, arg_type, &a->finals[i].arg_type,
		                      &a->finals[i].arg_nullable);
	}
	a->measures[i].function = aggregate;
	if (arg != NULL)
		a->measures[i].arg = dx_decode_expr(d, arg, &a->input->schema);
	return !dx_plan_failed(d->plan);
}

/* --- all together -------------------------------------------------------------------------------------- */

/* In the FINAL phase the keys are the first columns; that they are said so is checked. */
static bool keys_first(struct dx_decoder *d, const struct aggregate *a)
{
	for (uint32_t i = 0; i < a->key_count; i++) {
		if (a->keys[i]->kind != DX_EXPR_COLUMN || a->keys[i]->column != i) {
			(void)dx_plan_fail(d->plan, -EINVAL,
			                   "key %u of a final aggregate is not column %u", i, i);
			return false;
		}
	}
	return true;
}

static struct dsmx_rel *make(struct dx_decoder *d, const struct aggregate *a)
{
	struct dsmx_rel *rel;

	if (a->phase == DX_PHASE_FINAL) {
		if (!keys_first(d, a))
			return NULL;
		return dx_rel_final(d->plan, a->input, a->key_count, a->finals, a->measure_count);
	}
	rel = dsmx_rel_aggregate(d->plan, a->input, a->keys, a->key_count, a->measures,
	                         a->measure_count);
	if (rel == NULL || a->phase == DX_PHASE_SINGLE)
		return rel;
	return dx_rel_partial(d->plan, rel, a->input);
}

/* Results of the types that the plan states. */
static struct dsmx_rel *as_stated(struct dx_decoder *d, const struct aggregate *a,
                                  struct dsmx_rel *rel)
{
	struct dsmx_expr **exprs = array(d, rel->schema.field_count, sizeof(exprs[0]));
	bool same = true;

	for (uint32_t i = 0; exprs != NULL && i < rel->schema.field_count; i++) {
		exprs[i] = dx_expr_field(d->plan, &rel->schema, i);
		if (i < a->key_count || a->types[i - a->key_count].id == DSMX_NONE ||
		    dsmx_type_equal(a->types[i - a->key_count], rel->schema.fields[i].type))
			continue;
		exprs[i] = dsmx_expr_cast(d->plan, exprs[i], a->types[i - a->key_count]);
		same = false;
	}
	if (dx_plan_failed(d->plan))
		return NULL;
	return same ? rel : dsmx_rel_project(d->plan, rel, exprs, NULL, rel->schema.field_count);
}

struct dsmx_rel *dx_decode_aggregate(struct dx_decoder *d, const Substrait__AggregateRel *pb)
{
	struct aggregate a = { .phase = DX_PHASE_SINGLE };
	struct dsmx_rel *rel;

	if (pb->input == NULL)
		return dx_plan_fail(d->plan, -EBADMSG, "not a plan: an aggregate has no input");
	a.input = dx_decode_rel(d, pb->input);
	if (a.input == NULL || !decode_keys(d, pb, &a) || !decode_phase(d, pb, &a))
		return NULL;
	a.measure_count = (uint32_t)pb->n_measures;
	a.measures = array(d, pb->n_measures, sizeof(a.measures[0]));
	a.finals = array(d, pb->n_measures, sizeof(a.finals[0]));
	a.types = array(d, pb->n_measures, sizeof(a.types[0]));
	for (uint32_t i = 0; i < a.measure_count && !dx_plan_failed(d->plan); i++)
		(void)decode_measure(d, pb->measures[i], &a, i);
	if (dx_plan_failed(d->plan))
		return NULL;
	rel = make(d, &a);
	return rel != NULL && a.phase != DX_PHASE_PARTIAL ? as_stated(d, &a, rel) : rel;
}
