/* SPDX-License-Identifier: MIT */
/*
 * codec_decode.c - relations from messages
 *
 * Everything goes through the constructors of plan.h, with their checks. What Substrait says in another way is
 * brought into ours: a join's condition is taken apart into keys and a rest, an emit mapping becomes a project.
 */
#include <errno.h>
#include <string.h>

#include "plan/codec.h"
#include "plan/substrait.pb-c.h"
#include "plan/tree.h"

#define REL(name)     SUBSTRAIT__REL__REL_TYPE_##name
#define DEALING(name) SUBSTRAIT__DSMX_EXCHANGE__DEALING__DEALING_##name
#define SORT(name)    SUBSTRAIT__SORT_FIELD__SORT_DIRECTION__SORT_DIRECTION_##name

static void *missing(struct dx_decoder *d, const char *what)
{
	return dx_plan_fail(d->plan, -EBADMSG, "not a plan: %s is missing", what);
}

static void *unsupported(struct dx_decoder *d, const char *what)
{
	return dx_plan_fail(d->plan, -EOPNOTSUPP, "%s is not supported", what);
}

/* The failure of a function that says whether it was well. */
static bool no(const void *failed)
{
	return failed != NULL;
}

static void *array(struct dx_decoder *d, size_t count, size_t size)
{
	void *pieces = dx_arena_array(&d->arena, count, size);

	return pieces != NULL ? pieces : dx_plan_fail(d->plan, -ENOMEM, "no memory for a plan");
}

static struct dsmx_rel *input_of(struct dx_decoder *d, const Substrait__Rel *pb)
{
	return pb != NULL ? dx_decode_rel(d, pb) : missing(d, "the input of a relation");
}

/* --- what all relations have in common ----------------------------------------------------------------- */

static bool has_optimization(const Substrait__RelCommon *common, const char *url)
{
	const Substrait__AdvancedExtension *own =
		common != NULL ? common->advanced_extension : NULL;

	for (size_t i = 0; own != NULL && i < own->n_optimization; i++) {
		if (dx_decode_is(own->optimization[i], url))
			return true;
	}
	return false;
}

/* An enhancement changes what a relation means: only ours, and only where it belongs, is understood. */
static bool is_local(struct dx_decoder *d, const Substrait__RelCommon *common)
{
	const Substrait__Any *any = common != NULL && common->advanced_extension != NULL
	                                    ? common->advanced_extension->enhancement
	                                    : NULL;

	if (any == NULL)
		return false;
	if (dx_decode_is(any, DX_URL_LOCAL) && any->value.len == 0)
		return true;
	(void)dx_plan_fail(d->plan, -EOPNOTSUPP,
	                   "a relation's enhancement '%.64s' is not supported",
	                   any->type_url != NULL ? any->type_url : "");
	return false;
}

/* Relations that can be local have looked at theirs. */
static bool no_enhancement(struct dx_decoder *d, const Substrait__RelCommon *common,
                           enum dx_rel_kind kind)
{
	if (kind != DX_REL_SORT && kind != DX_REL_LIMIT && is_local(d, common))
		(void)unsupported(d, "\"dsmx/local\" of this relation");
	return !dx_plan_failed(d->plan);
}

/* Which columns are put out; NULL where it is all of them. */
static const Substrait__RelCommon__Emit *emit_of(const Substrait__RelCommon *common)
{
	return common != NULL && common->emit_kind_case == SUBSTRAIT__REL_COMMON__EMIT_KIND_EMIT
	               ? common->emit
	               : NULL;
}

static uint32_t *emitted(struct dx_decoder *d, const Substrait__RelCommon__Emit *emit,
                         uint32_t field_count)
{
	uint32_t *columns = array(d, emit->n_output_mapping, sizeof(columns[0]));

	for (size_t i = 0; columns != NULL && i < emit->n_output_mapping; i++) {
		columns[i] = (uint32_t)emit->output_mapping[i];
		if (columns[i] >= field_count)
			return dx_plan_fail(d->plan, -EINVAL, "a relation emits column %d of %u",
			                    emit->output_mapping[i], field_count);
	}
	return columns;
}

static struct dsmx_rel *emit(struct dx_decoder *d, const Substrait__RelCommon *common,
                             struct dsmx_rel *rel)
{
	const Substrait__RelCommon__Emit *pb = emit_of(common);
	uint32_t *columns;

	if (rel == NULL || !no_enhancement(d, common, rel->kind))
		return NULL;
	if (pb == NULL)
		return rel;
	columns = emitted(d, pb, rel->schema.field_count);
	if (columns == NULL)
		return NULL;
	return dx_rel_pick(d->plan, rel, columns, (uint32_t)pb->n_output_mapping);
}

/* The names of a relation's columns, where they do not follow from its input's: one for each, or none. */
static struct dsmx_rel *name(struct dx_decoder *d, const Substrait__RelCommon *common,
                             struct dsmx_rel *rel)
{
	const Substrait__RelCommon__Hint *hint = common != NULL ? common->hint : NULL;

	if (rel == NULL || hint == NULL || hint->n_output_names == 0)
		return rel;
	if (hint->n_output_names != rel->schema.field_count)
		return dx_plan_fail(d->plan, -EBADMSG, "not a plan: %zu names for %u columns",
		                    hint->n_output_names, rel->schema.field_count);
	for (uint32_t i = 0; i < rel->schema.field_count && !dx_plan_failed(d->plan); i++) {
		struct dsmx_field field = rel->schema.fields[i];

		field.name = dx_plan_text(d->plan, hint->output_names[i]);
		dx_rel_set_field(rel, i, field);
	}
	return dx_plan_failed(d->plan) ? NULL : rel;
}

/* --- one input ----------------------------------------------------------------------------------------- */

static struct dsmx_rel *filter(struct dx_decoder *d, const Substrait__FilterRel *pb)
{
	struct dsmx_rel *input = input_of(d, pb->input);

	if (input == NULL)
		return NULL;
	return dsmx_rel_filter(d->plan, input, dx_decode_expr(d, pb->condition, &input->schema));
}

/* Substrait's project gives its input's columns, then its expressions; the mapping picks among both. */
static struct dsmx_rel *project(struct dx_decoder *d, const Substrait__ProjectRel *pb)
{
	const Substrait__RelCommon__Emit *mapping = emit_of(pb->common);
	struct dsmx_rel *input = input_of(d, pb->input);
	struct dsmx_expr **all, **picked;
	uint32_t *columns = NULL, first;
	size_t count;

	if (input == NULL || !no_enhancement(d, pb->common, DX_REL_PROJECT))
		return NULL;
	first = input->schema.field_count;
	if (pb->n_expressions > DSMX_PLAN_COLUMNS_MAX)
		return dx_plan_fail(d->plan, -E2BIG, "a project has %zu columns, the most is %u",
		                    pb->n_expressions, DSMX_PLAN_COLUMNS_MAX);
	all = array(d, first + pb->n_expressions, sizeof(all[0]));
	count = mapping != NULL ? mapping->n_output_mapping : first + pb->n_expressions;
	picked = array(d, count, sizeof(picked[0]));
	if (mapping != NULL)
		columns = emitted(d, mapping, first + (uint32_t)pb->n_expressions);
	for (uint32_t i = 0; !dx_plan_failed(d->plan) && i < first; i++)
		all[i] = dx_expr_field(d->plan, &input->schema, i);
	for (size_t i = 0; !dx_plan_failed(d->plan) && i < pb->n_expressions; i++)
		all[first + i] = dx_decode_expr(d, pb->expressions[i], &input->schema);
	if (dx_plan_failed(d->plan))
		return NULL;
	for (size_t i = 0; i < count; i++)
		picked[i] = all[columns != NULL ? columns[i] : i];
	return dsmx_rel_project(d->plan, input, picked, NULL, (uint32_t)count);
}

static bool sort_key(struct dx_decoder *d, const Substrait__SortField *pb,
                     struct dsmx_sort_key *ret_key)
{
	if (pb->expr == NULL ||
	    pb->expr->rex_type_case != SUBSTRAIT__EXPRESSION__REX_TYPE_SELECTION)
		return no(unsupported(d, "a sort by something that is no column"));
	if (pb->sort_kind_case != SUBSTRAIT__SORT_FIELD__SORT_KIND_DIRECTION ||
	    pb->direction < SORT(ASC_NULLS_FIRST) || pb->direction > SORT(DESC_NULLS_LAST))
		return no(unsupported(d, "a sort in no direction"));
	if (!dx_decode_field(d, pb->expr->selection, &ret_key->column))
		return false;
	ret_key->descending =
		pb->direction == SORT(DESC_NULLS_FIRST) || pb->direction == SORT(DESC_NULLS_LAST);
	ret_key->nulls_first =
		pb->direction == SORT(ASC_NULLS_FIRST) || pb->direction == SORT(DESC_NULLS_FIRST);
	return true;
}

/* NULL: the plan has failed. */
static struct dsmx_sort_key *sort_keys(struct dx_decoder *d, Substrait__SortField *const *pb,
                                       size_t count)
{
	struct dsmx_sort_key *keys = array(d, count, sizeof(keys[0]));

	for (size_t i = 0; keys != NULL && i < count; i++)
		if (!sort_key(d, pb[i], &keys[i]))
			return NULL;
	return keys;
}

static struct dsmx_rel *sort(struct dx_decoder *d, const Substrait__SortRel *pb)
{
	bool local = is_local(d, pb->common);
	struct dsmx_rel *input = input_of(d, pb->input);
	struct dsmx_sort_key *keys = sort_keys(d, pb->sorts, pb->n_sorts);

	if (input == NULL || keys == NULL)
		return NULL;
	input = dsmx_rel_sort(d->plan, input, keys, (uint32_t)pb->n_sorts);
	return local && input != NULL ? dx_rel_local(d->plan, input) : input;
}

/* A number of rows: an integer literal, or null for @if_null. */
static bool row_count(struct dx_decoder *d, const Substrait__Expression *pb, uint64_t if_null,
                      uint64_t *ret_count)
{
	const struct dsmx_schema none = { 0 };
	const struct dsmx_expr *expr = dx_decode_expr(d, pb, &none);

	if (expr == NULL)
		return false;
	if (expr->kind != DX_EXPR_LITERAL || expr->type.id < DSMX_INT8 ||
	    expr->type.id > DSMX_INT64) {
		(void)unsupported(d, "a limit that is no integer literal");
		return false;
	}
	if (!expr->is_null && expr->value.i < 0) {
		(void)dx_plan_fail(d->plan, -EINVAL, "a limit or offset is negative");
		return false;
	}
	*ret_count = expr->is_null ? if_null : (uint64_t)expr->value.i;
	return true;
}

static struct dsmx_rel *limit(struct dx_decoder *d, const Substrait__FetchRel *pb)
{
	uint64_t offset = 0, count = UINT64_MAX;
	bool local = is_local(d, pb->common);
	struct dsmx_rel *input = input_of(d, pb->input);

	if (input == NULL)
		return NULL;
	if (pb->offset < 0 || pb->count < -1)
		return dx_plan_fail(d->plan, -EINVAL, "a limit or offset is negative");
	if (pb->has_offset)
		offset = (uint64_t)pb->offset;
	if (pb->has_count && pb->count >= 0)
		count = (uint64_t)pb->count;
	if (pb->offset_expr != NULL && !row_count(d, pb->offset_expr, 0, &offset))
		return NULL;
	if (pb->count_expr != NULL && !row_count(d, pb->count_expr, UINT64_MAX, &count))
		return NULL;
	input = dsmx_rel_limit(d->plan, input, offset, count);
	return local && input != NULL ? dx_rel_local(d->plan, input) : input;
}

/* --- joins --------------------------------------------------------------------------------------------- */

/* Keys that have been found, with room for all there can be. */
struct keys {
	uint32_t *left, *right;
	uint32_t count;
};

static bool make_keys(struct dx_decoder *d, size_t count, struct keys *ret_keys)
{
	ret_keys->left = array(d, count, sizeof(uint32_t));
	ret_keys->right = array(d, count, sizeof(uint32_t));
	ret_keys->count = 0;
	return !dx_plan_failed(d->plan);
}

/* A part of a condition: a key if it says that a left column equals a right one, else some more condition. */
static struct dsmx_expr *take_part(struct dx_decoder *d, struct dsmx_expr *part,
                                   uint32_t left_count, struct keys *keys, struct dsmx_expr *rest)
{
	bool equal = part->kind == DX_EXPR_CALL && part->function == DSMX_FN_EQUAL &&
	             part->args[0]->kind == DX_EXPR_COLUMN && part->args[1]->kind == DX_EXPR_COLUMN;
	uint32_t a = equal ? part->args[0]->column : 0, b = equal ? part->args[1]->column : 0;

	if (!equal || (a < left_count) == (b < left_count) ||
	    !dsmx_type_equal(part->args[0]->type, part->args[1]->type))
		return dx_expr_and(d->plan, rest, part);
	keys->left[keys->count] = a < b ? a : b;
	keys->right[keys->count++] = (a < b ? b : a) - left_count;
	return rest;
}

static struct dsmx_expr *split_condition(struct dx_decoder *d, struct dsmx_expr *condition,
                                         uint32_t left_count, struct keys *ret_keys)
{
	bool is_and = condition->kind == DX_EXPR_CALL && condition->function == DSMX_FN_AND;
	struct dsmx_expr *rest = NULL;

	if (!make_keys(d, is_and ? condition->arg_count : 1, ret_keys))
		return NULL;
	if (!is_and)
		return take_part(d, condition, left_count, ret_keys, NULL);
	for (uint32_t i = 0; i < condition->arg_count && !dx_plan_failed(d->plan); i++)
		rest = take_part(d, condition->args[i], left_count, ret_keys, rest);
	return rest;
}

/* The columns of both sides, as a condition sees them. */
static bool pair_of(struct dx_decoder *d, const struct dsmx_rel *left, const struct dsmx_rel *right,
                    struct dsmx_schema *ret_pair)
{
	uint32_t l = left->schema.field_count, r = right->schema.field_count;
	struct dsmx_field *fields = array(d, (size_t)l + r, sizeof(fields[0]));

	if (fields == NULL)
		return false;
	memcpy(fields, left->schema.fields, l * sizeof(fields[0]));
	memcpy(fields + l, right->schema.fields, r * sizeof(fields[0]));
	*ret_pair = (struct dsmx_schema){ .field_count = l + r, .fields = fields };
	return true;
}

static struct dsmx_rel *post_filter(struct dx_decoder *d, const Substrait__Expression *pb,
                                    struct dsmx_rel *rel)
{
	if (rel == NULL || pb == NULL)
		return rel;
	return dsmx_rel_filter(d->plan, rel, dx_decode_expr(d, pb, &rel->schema));
}

static struct dsmx_rel *join(struct dx_decoder *d, const Substrait__JoinRel *pb)
{
	static const int kinds[] = {
		[SUBSTRAIT__JOIN_REL__JOIN_TYPE__JOIN_TYPE_INNER] = DSMX_JOIN_INNER + 1,
		[SUBSTRAIT__JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT] = DSMX_JOIN_LEFT + 1,
		[SUBSTRAIT__JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT_SEMI] = DSMX_JOIN_SEMI + 1,
		[SUBSTRAIT__JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT_ANTI] = DSMX_JOIN_ANTI + 1,
	};
	struct dsmx_rel *left = input_of(d, pb->left), *right = input_of(d, pb->right);
	struct dsmx_expr *condition;
	struct dsmx_schema pair;
	struct keys keys = { 0 };

	if ((unsigned)pb->type >= DX_ARRAY_LEN(kinds) || kinds[pb->type] == 0)
		return unsupported(d, "a join that is not inner, left, left semi or left anti");
	if (left == NULL || right == NULL || !pair_of(d, left, right, &pair))
		return NULL;
	condition = dx_decode_expr(d, pb->expression, &pair);
	if (condition == NULL)
		return NULL;
	condition = split_condition(d, condition, left->schema.field_count, &keys);
	if (dx_plan_failed(d->plan))
		return NULL;
	left = dsmx_rel_join(d->plan, (enum dsmx_join_kind)(kinds[pb->type] - 1), left, right,
	                     keys.left, keys.right, keys.count, condition);
	return post_filter(d, pb->post_join_filter, left);
}

static bool hash_join_keys(struct dx_decoder *d, const Substrait__HashJoinRel *pb,
                           struct keys *ret_keys)
{
	bool old = pb->n_keys == 0;
	size_t count = old ? pb->n_left_keys : pb->n_keys;

	if (old && pb->n_right_keys != count)
		return no(missing(d, "a key of a join"));
	if (!make_keys(d, count, ret_keys))
		return false;
	for (size_t i = 0; i < count; i++) {
		const Substrait__ComparisonJoinKey__ComparisonType *type =
			old ? NULL : pb->keys[i]->comparison;

		if (type != NULL &&
		    (type->inner_type_case !=
		             SUBSTRAIT__COMPARISON_JOIN_KEY__COMPARISON_TYPE__INNER_TYPE_SIMPLE ||
		     type->simple !=
		             SUBSTRAIT__COMPARISON_JOIN_KEY__SIMPLE_COMPARISON_TYPE__SIMPLE_COMPARISON_TYPE_EQ))
			return no(unsupported(d, "a join that does not compare by equality"));
		if (!dx_decode_field(d, old ? pb->left_keys[i] : pb->keys[i]->left,
		                     &ret_keys->left[i]) ||
		    !dx_decode_field(d, old ? pb->right_keys[i] : pb->keys[i]->right,
		                     &ret_keys->right[i]))
			return false;
	}
	ret_keys->count = (uint32_t)count;
	return true;
}

static struct dsmx_rel *hash_join(struct dx_decoder *d, const Substrait__HashJoinRel *pb)
{
	static const int kinds[] = {
		[SUBSTRAIT__HASH_JOIN_REL__JOIN_TYPE__JOIN_TYPE_INNER] = DSMX_JOIN_INNER + 1,
		[SUBSTRAIT__HASH_JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT] = DSMX_JOIN_LEFT + 1,
		[SUBSTRAIT__HASH_JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT_SEMI] = DSMX_JOIN_SEMI + 1,
		[SUBSTRAIT__HASH_JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT_ANTI] = DSMX_JOIN_ANTI + 1,
	};
	struct dsmx_rel *left = input_of(d, pb->left), *right = input_of(d, pb->right), *rel;
	struct dsmx_expr *condition = NULL;
	struct dsmx_schema pair;
	struct keys keys = { 0 };

	if ((unsigned)pb->type >= DX_ARRAY_LEN(kinds) || kinds[pb->type] == 0)
		return unsupported(d, "a join that is not inner, left, left semi or left anti");
	if (left == NULL || right == NULL || !hash_join_keys(d, pb, &keys) ||
	    !pair_of(d, left, right, &pair))
		return NULL;
	if (pb->residual_expression != NULL)
		condition = dx_decode_expr(d, pb->residual_expression, &pair);
	if (dx_plan_failed(d->plan))
		return NULL;
	rel = dsmx_rel_join(d->plan, (enum dsmx_join_kind)(kinds[pb->type] - 1), left, right,
	                    keys.left, keys.right, keys.count, condition);
	if (rel != NULL) {
		rel->join.joinscan = has_optimization(pb->common, DX_URL_JOINSCAN);
		rel->join.unfiltered = has_optimization(pb->common, DX_URL_UNFILTERED);
	}
	return post_filter(d, pb->post_join_filter, rel);
}

/* --- exchanges and extensions -------------------------------------------------------------------------- */

/* The fields of a scatter: keys, but with an order it is by range. */
static bool exchange_scatter(struct dx_decoder *d, const Substrait__ExchangeRel__ScatterFields *pb,
                             struct dx_exchange *e)
{
	uint32_t *keys = array(d, pb->n_fields, sizeof(keys[0]));

	for (size_t i = 0; i < pb->n_fields; i++)
		if (keys == NULL || !dx_decode_field(d, pb->fields[i], &keys[i]))
			return false;
	e->kind = e->order_count > 0 ? DSMX_EXCHANGE_RANGE : DSMX_EXCHANGE_HASH;
	if (e->kind == DSMX_EXCHANGE_RANGE) {
		bool same = pb->n_fields == e->order_count;

		for (size_t i = 0; same && i < pb->n_fields; i++)
			same = keys[i] == e->order[i].column;
		return same || no(missing(d, "the column of a range exchange"));
	}
	e->keys = keys;
	e->key_count = (uint32_t)pb->n_fields;
	return true;
}

/* One bucket for each row: always bucket 0, or the one that a column names. */
static bool exchange_target(struct dx_decoder *d, const Substrait__Expression *pb,
                            struct dx_exchange *e)
{
	uint64_t bucket;

	if (pb != NULL && pb->rex_type_case == SUBSTRAIT__EXPRESSION__REX_TYPE_SELECTION) {
		e->kind = DSMX_EXCHANGE_EXPLICIT;
		e->key_count = 1;
		e->keys = array(d, 1, sizeof(e->keys[0]));
		return e->keys != NULL && dx_decode_field(d, pb->selection, &e->keys[0]);
	}
	e->kind = e->order_count > 0 ? DSMX_EXCHANGE_MERGE : DSMX_EXCHANGE_GATHER;
	return row_count(d, pb, 0, &bucket) &&
	       (bucket == 0 || no(unsupported(d, "an exchange to a bucket other than 0")));
}

static bool exchange_round_robin(struct dx_decoder *d, const Substrait__ExchangeRel__RoundRobin *pb,
                                 const Substrait__DsmxExchange *own, struct dx_exchange *e)
{
	switch (own->dealing) {
	case DEALING(IN_TURN):
		e->kind = DSMX_EXCHANGE_ROUND_ROBIN;
		break;
	case DEALING(PASSTHROUGH):
		e->kind = DSMX_EXCHANGE_PASSTHROUGH;
		break;
	case DEALING(ARBITRARY):
		e->kind = DSMX_EXCHANGE_ARBITRARY;
		break;
	default:
		return no(unsupported(d, "an exchange that deals in another way"));
	}
	return !pb->exact || no(unsupported(d, "a round robin that is exact"));
}

static bool exchange_kind(struct dx_decoder *d, const Substrait__ExchangeRel *pb,
                          const Substrait__DsmxExchange *own, struct dx_exchange *e)
{
	switch (pb->exchange_kind_case) {
	case SUBSTRAIT__EXCHANGE_REL__EXCHANGE_KIND_SCATTER_BY_FIELDS:
		return exchange_scatter(d, pb->scatter_by_fields, e);
	case SUBSTRAIT__EXCHANGE_REL__EXCHANGE_KIND_BROADCAST:
		e->kind = DSMX_EXCHANGE_BROADCAST;
		return true;
	case SUBSTRAIT__EXCHANGE_REL__EXCHANGE_KIND_SINGLE_TARGET:
		return exchange_target(d, pb->single_target->expression, e);
	case SUBSTRAIT__EXCHANGE_REL__EXCHANGE_KIND_ROUND_ROBIN:
		return exchange_round_robin(d, pb->round_robin, own, e);
	default:
		return no(missing(d, "the kind of an exchange"));
	}
}

static bool exchange_bounds(struct dx_decoder *d, const Substrait__DsmxExchange *own,
                            struct dx_exchange *e)
{
	e->bounds = array(d, own->n_bounds, sizeof(struct dsmx_expr *));
	e->bound_count = (uint32_t)own->n_bounds;
	for (size_t i = 0; e->bounds != NULL && i < own->n_bounds; i++) {
		e->bounds[i] = dx_decode_literal(d, own->bounds[i]);
		if (e->bounds[i] == NULL)
			return false;
	}
	return e->bounds != NULL;
}

/* Our own details; those of an exchange that another planner made are all zero. */
static const Substrait__DsmxExchange *exchange_details(struct dx_decoder *d,
                                                       const Substrait__ExchangeRel *pb)
{
	static const Substrait__DsmxExchange none = SUBSTRAIT__DSMX_EXCHANGE__INIT;
	const Substrait__Any *any =
		pb->advanced_extension != NULL ? pb->advanced_extension->enhancement : NULL;

	if (any == NULL)
		return &none;
	if (!dx_decode_is(any, DX_URL_EXCHANGE))
		return unsupported(d, "an exchange's enhancement that is not dsmx's");
	return dx_decode_any(d, any, &substrait__dsmx_exchange__descriptor);
}

static struct dsmx_rel *exchange(struct dx_decoder *d, const Substrait__ExchangeRel *pb)
{
	struct dsmx_rel *input = input_of(d, pb->input);
	const Substrait__DsmxExchange *own = exchange_details(d, pb);
	struct dx_exchange e = { 0 };

	if (input == NULL || own == NULL)
		return NULL;
	/* Each partition is a task of the fragment above. */
	if (pb->partition_count < 0 || pb->partition_count > (int)DX_TASKS_MAX ||
	    own->producer_tasks > DX_TASKS_MAX)
		return dx_plan_fail(d->plan, -EINVAL, "an exchange has %u tasks, %d partitions",
		                    own->producer_tasks, pb->partition_count);
	/* Exchanges are numbered as they are met here: those below first. */
	if (pb->advanced_extension != NULL && own->number != d->exchanges)
		return dx_plan_fail(d->plan, -EBADMSG, "not a plan: exchange %u stands in place %u",
		                    own->number, d->exchanges);
	e.number = d->exchanges++;
	e.partitions = (uint32_t)pb->partition_count;
	e.producer_tasks = own->producer_tasks;
	e.config = (struct dsmx_exchange_config){ .credit_bytes = own->credit_bytes,
		                                  .frame_bytes = own->frame_bytes,
		                                  .hash_seed = own->hash_seed,
		                                  .overflow_forbidden = own->overflow_forbidden };
	e.order = sort_keys(d, own->order, own->n_order);
	e.order_count = (uint32_t)own->n_order;
	e.sampled = own->sampled;
	if (e.order == NULL || !exchange_bounds(d, own, &e) || !exchange_kind(d, pb, own, &e))
		return NULL;
	return dx_rel_exchange_like(d->plan, input, &e);
}

static struct dsmx_rel *extension(struct dx_decoder *d, const Substrait__Any *detail,
                                  Substrait__Rel *const *inputs, size_t input_count)
{
	struct dsmx_rel *rels[DSMX_OPERATOR_INPUTS] = { 0 };
	const Substrait__DsmxExtension *own;
	struct dsmx_schema output;

	if (!dx_decode_is(detail, DX_URL_EXTENSION))
		return dx_plan_fail(
			d->plan, -EOPNOTSUPP, "extension relation '%.200s' is not supported",
			detail != NULL && detail->type_url != NULL ? detail->type_url : "");
	if (input_count > DSMX_OPERATOR_INPUTS)
		return unsupported(d, "an extension relation of over two inputs");
	own = dx_decode_any(d, detail, &substrait__dsmx_extension__descriptor);
	if (own == NULL || !dx_decode_schema(d, own->output, &output))
		return NULL;
	for (size_t i = 0; i < input_count; i++)
		rels[i] = input_of(d, inputs[i]);
	return dsmx_rel_extension(d->plan, own->name != NULL ? own->name : "", own->bytes.data,
	                          own->bytes.len, &output, rels, (uint32_t)input_count);
}

/* --- any relation -------------------------------------------------------------------------------------- */

struct dsmx_rel *dx_decode_rel(struct dx_decoder *d, const Substrait__Rel *pb)
{
	if (dx_plan_failed(d->plan))
		return NULL;
	switch (pb->rel_type_case) {
	case REL(READ):
		return emit(d, pb->read->common, dx_decode_read(d, pb->read));
	case REL(FILTER):
		return emit(d, pb->filter->common, filter(d, pb->filter));
	case REL(FETCH):
		return emit(d, pb->fetch->common, limit(d, pb->fetch));
	case REL(AGGREGATE):
		return name(d, pb->aggregate->common,
		            emit(d, pb->aggregate->common, dx_decode_aggregate(d, pb->aggregate)));
	case REL(SORT):
		return emit(d, pb->sort->common, sort(d, pb->sort));
	case REL(JOIN):
		return emit(d, pb->join->common, join(d, pb->join));
	case REL(PROJECT):
		return name(d, pb->project->common, project(d, pb->project));
	case REL(EXTENSION_SINGLE):
		return emit(d, pb->extension_single->common,
		            extension(d, pb->extension_single->detail, &pb->extension_single->input,
		                      1));
	case REL(EXTENSION_MULTI):
		return emit(d, pb->extension_multi->common,
		            extension(d, pb->extension_multi->detail, pb->extension_multi->inputs,
		                      pb->extension_multi->n_inputs));
	case REL(EXTENSION_LEAF):
		return emit(d, pb->extension_leaf->common,
		            extension(d, pb->extension_leaf->detail, NULL, 0));
	case REL(HASH_JOIN):
		return emit(d, pb->hash_join->common, hash_join(d, pb->hash_join));
	case REL(EXCHANGE):
		return emit(d, pb->exchange->common, exchange(d, pb->exchange));
	default:
		return missing(d, "what a relation is");
	}
}
