/* SPDX-License-Identifier: MIT */
/*
 * codec_encode.c - relations to messages
 *
 * What is written where is in docs/plan.md. The same tree gives the same bytes: extensions are declared in the
 * order in which the walk from the root meets them.
 */
#include <string.h>

#include "plan/codec.h"
#include "plan/substrait.pb-c.h"
#include "plan/tree.h"

#define REL(name) SUBSTRAIT__REL__REL_TYPE_##name

/* --- memory and declarations --------------------------------------------------------------------------- */

void *dx_encode_new(struct dx_encoder *e, const ProtobufCMessageDescriptor *type)
{
	void *message = e->arena.failed ? NULL : dx_arena_alloc(&e->arena, type->sizeof_message);

	_Static_assert(sizeof(Substrait__Plan) <= DX_SPARE_BYTES, "a spare is large enough");
	if (message == NULL)
		message = e->spare[e->spares++ % DX_SPARES];
	protobuf_c_message_init(type, message);
	return message;
}

void *dx_encode_array(struct dx_encoder *e, size_t count, size_t *ret_count)
{
	void *array = count > 0 && !e->arena.failed
	                      ? dx_arena_array(&e->arena, count, sizeof(void *))
	                      : NULL;

	*ret_count = array != NULL ? count : 0;
	return array;
}

char *dx_encode_text(struct dx_encoder *e, const char *bytes, size_t len)
{
	char *text = dx_arena_text(&e->arena, bytes, len);

	return text != NULL ? text : e->no_text;
}

static bool declared_room(struct dx_encoder *e)
{
	uint32_t room = e->declared_room == 0 ? 32 : e->declared_room * 2;
	struct dx_declared *more;

	if (e->declared_count < e->declared_room)
		return true;
	more = dx_arena_array(&e->arena, room, sizeof(more[0]));
	if (more == NULL)
		return false;
	if (e->declared_count > 0)
		memcpy(more, e->declared, e->declared_count * sizeof(more[0]));
	e->declared = more;
	e->declared_room = room;
	return true;
}

uint32_t dx_encode_declare(struct dx_encoder *e, enum dx_declared_kind kind,
                           enum dx_extension_file file, const char *name)
{
	for (uint32_t i = 0; i < e->declared_count; i++) {
		const struct dx_declared *known = &e->declared[i];

		if (known->kind == kind && known->file == file && strcmp(known->name, name) == 0)
			return known->anchor;
	}
	if (!declared_room(e))
		return 0;
	e->declared[e->declared_count++] =
		(struct dx_declared){ kind, file, name, ++e->anchors[kind] };
	return e->anchors[kind];
}

Substrait__Any *dx_encode_any(struct dx_encoder *e, const char *url,
                              const ProtobufCMessage *message)
{
	Substrait__Any *any = DX_NEW(e, any);
	uint8_t *bytes;

	any->type_url = dx_encode_text(e, url, strlen(url));
	if (message == NULL || e->arena.failed)
		return any;
	any->value.len = protobuf_c_message_get_packed_size(message);
	bytes = dx_arena_alloc(&e->arena, any->value.len);
	if (bytes == NULL)
		return any;
	(void)protobuf_c_message_pack(message, bytes);
	any->value.data = bytes;
	any->has_value = any->value.len > 0;
	return any;
}

/* --- relations ----------------------------------------------------------------------------------------- */

static Substrait__RelCommon *common(struct dx_encoder *e)
{
	Substrait__RelCommon *pb = DX_NEW(e, rel_common);

	pb->emit_kind_case = SUBSTRAIT__REL_COMMON__EMIT_KIND_DIRECT;
	pb->direct = DX_NEW(e, rel_common__direct);
	return pb;
}

/* What must be understood to do the right thing (enhancement), or is good to know (optimization). */
static Substrait__AdvancedExtension *enhancement(struct dx_encoder *e, Substrait__Any *any)
{
	Substrait__AdvancedExtension *pb = DX_NEW(e, advanced_extension);

	pb->enhancement = any;
	return pb;
}

static Substrait__AdvancedExtension *optimization(struct dx_encoder *e, Substrait__Any *any)
{
	Substrait__AdvancedExtension *pb = DX_NEW(e, advanced_extension);

	pb->optimization = dx_encode_array(e, 1, &pb->n_optimization);
	if (pb->n_optimization == 1)
		pb->optimization[0] = any;
	return pb;
}

/* Names that do not follow from the input's. */
static void hint_names(struct dx_encoder *e, const struct dsmx_schema *schema,
                       Substrait__RelCommon *pb)
{
	pb->hint = DX_NEW(e, rel_common__hint);
	pb->hint->output_names = dx_encode_array(e, schema->field_count, &pb->hint->n_output_names);
	for (size_t i = 0; i < pb->hint->n_output_names; i++) {
		const char *name = schema->fields[i].name;

		pb->hint->output_names[i] = dx_encode_text(e, name, strlen(name));
	}
}

static Substrait__FilterRel *filter(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	Substrait__FilterRel *pb = DX_NEW(e, filter_rel);

	pb->common = common(e);
	pb->input = dx_encode_rel(e, rel->inputs[0]);
	pb->condition = dx_encode_expr(e, rel->condition, NULL);
	return pb;
}

/* Substrait's project gives its input's columns too: only what comes after them is put out. */
static Substrait__ProjectRel *project(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	Substrait__ProjectRel *pb = DX_NEW(e, project_rel);
	Substrait__RelCommon__Emit *emit = DX_NEW(e, rel_common__emit);
	uint32_t first = rel->inputs[0]->schema.field_count, count = rel->schema.field_count;

	pb->common = DX_NEW(e, rel_common);
	pb->common->emit_kind_case = SUBSTRAIT__REL_COMMON__EMIT_KIND_EMIT;
	pb->common->emit = emit;
	emit->output_mapping = dx_arena_array(&e->arena, count, sizeof(int32_t));
	emit->n_output_mapping = emit->output_mapping != NULL ? count : 0;
	for (size_t i = 0; i < emit->n_output_mapping; i++)
		emit->output_mapping[i] = (int32_t)(first + i);
	hint_names(e, &rel->schema, pb->common);
	pb->input = dx_encode_rel(e, rel->inputs[0]);
	pb->expressions = dx_encode_array(e, count, &pb->n_expressions);
	for (size_t i = 0; i < pb->n_expressions; i++)
		pb->expressions[i] = dx_encode_expr(e, rel->exprs[i], NULL);
	return pb;
}

static Substrait__ComparisonJoinKey *join_key(struct dx_encoder *e, uint32_t left, uint32_t right)
{
	Substrait__ComparisonJoinKey *pb = DX_NEW(e, comparison_join_key);

	pb->left = dx_encode_field(e, left);
	pb->right = dx_encode_field(e, right);
	pb->comparison = DX_NEW(e, comparison_join_key__comparison_type);
	pb->comparison->inner_type_case =
		SUBSTRAIT__COMPARISON_JOIN_KEY__COMPARISON_TYPE__INNER_TYPE_SIMPLE;
	pb->comparison->simple =
		SUBSTRAIT__COMPARISON_JOIN_KEY__SIMPLE_COMPARISON_TYPE__SIMPLE_COMPARISON_TYPE_EQ;
	return pb;
}

/* Marks of ours that other readers may pass over. */
static Substrait__AdvancedExtension *join_marks(struct dx_encoder *e, const struct dx_join *join)
{
	Substrait__AdvancedExtension *pb = DX_NEW(e, advanced_extension);
	uint32_t count = 0;

	pb->optimization =
		dx_encode_array(e, (size_t)join->joinscan + join->unfiltered, &pb->n_optimization);
	if (join->joinscan && count < pb->n_optimization)
		pb->optimization[count++] = dx_encode_any(e, DX_URL_JOINSCAN, NULL);
	if (join->unfiltered && count < pb->n_optimization)
		pb->optimization[count++] = dx_encode_any(e, DX_URL_UNFILTERED, NULL);
	return pb;
}

static Substrait__HashJoinRel *join(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	static const Substrait__HashJoinRel__JoinType types[] = {
		[DSMX_JOIN_INNER] = SUBSTRAIT__HASH_JOIN_REL__JOIN_TYPE__JOIN_TYPE_INNER,
		[DSMX_JOIN_LEFT] = SUBSTRAIT__HASH_JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT,
		[DSMX_JOIN_SEMI] = SUBSTRAIT__HASH_JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT_SEMI,
		[DSMX_JOIN_ANTI] = SUBSTRAIT__HASH_JOIN_REL__JOIN_TYPE__JOIN_TYPE_LEFT_ANTI,
	};
	Substrait__HashJoinRel *pb = DX_NEW(e, hash_join_rel);

	pb->common = common(e);
	if (rel->join.joinscan || rel->join.unfiltered)
		pb->common->advanced_extension = join_marks(e, &rel->join);
	pb->left = dx_encode_rel(e, rel->inputs[0]);
	pb->right = dx_encode_rel(e, rel->inputs[1]);
	pb->type = types[rel->join.kind];
	pb->has_type = true;
	pb->build_input = SUBSTRAIT__HASH_JOIN_REL__BUILD_INPUT__BUILD_INPUT_RIGHT;
	pb->has_build_input = true;
	pb->keys = dx_encode_array(e, rel->join.key_count, &pb->n_keys);
	for (size_t i = 0; i < pb->n_keys; i++)
		pb->keys[i] = join_key(e, rel->join.left_keys[i], rel->join.right_keys[i]);
	if (rel->join.condition != NULL)
		pb->residual_expression = dx_encode_expr(e, rel->join.condition, NULL);
	return pb;
}

/* In the FINAL phase the argument is a type: what the PARTIAL one took; its states stand in their places. */
static Substrait__FunctionArgument *measure_argument(struct dx_encoder *e,
                                                     const struct dx_measure *m, bool nullable)
{
	Substrait__FunctionArgument *pb = DX_NEW(e, function_argument);

	if (m->arg != NULL) {
		pb->arg_type_case = SUBSTRAIT__FUNCTION_ARGUMENT__ARG_TYPE_VALUE;
		pb->value = dx_encode_expr(e, m->arg, NULL);
	} else {
		pb->arg_type_case = SUBSTRAIT__FUNCTION_ARGUMENT__ARG_TYPE_TYPE;
		pb->type = dx_encode_type(e, m->arg_type, nullable);
	}
	return pb;
}

static Substrait__AggregateRel__Measure *measure(struct dx_encoder *e, const struct dsmx_rel *rel,
                                                 uint32_t i)
{
	static const Substrait__AggregationPhase phases[] = {
		[DX_PHASE_SINGLE] =
			SUBSTRAIT__AGGREGATION_PHASE__AGGREGATION_PHASE_INITIAL_TO_RESULT,
		[DX_PHASE_PARTIAL] =
			SUBSTRAIT__AGGREGATION_PHASE__AGGREGATION_PHASE_INITIAL_TO_INTERMEDIATE,
		[DX_PHASE_FINAL] =
			SUBSTRAIT__AGGREGATION_PHASE__AGGREGATION_PHASE_INTERMEDIATE_TO_RESULT,
	};
	const struct dx_aggregate *agg = &rel->aggregate;
	const struct dx_measure *m = &agg->measures[i];
	Substrait__AggregateRel__Measure *pb = DX_NEW(e, aggregate_rel__measure);
	Substrait__AggregateFunction *function = DX_NEW(e, aggregate_function);
	/* Of a PARTIAL the columns are states: what it says of nullability is that of its argument. */
	bool nullable = agg->phase == DX_PHASE_PARTIAL
	                        ? dsmx_expr_nullable(m->arg)
	                        : rel->schema.fields[agg->key_count + i].nullable;

	function->function_reference = dx_encode_aggregate_function(e, m->function, m->arg_type);
	function->has_function_reference = true;
	function->phase = phases[agg->phase];
	function->has_phase = true;
	function->output_type = dx_encode_type(e, m->type, nullable);
	function->invocation =
		SUBSTRAIT__AGGREGATE_FUNCTION__AGGREGATION_INVOCATION__AGGREGATION_INVOCATION_ALL;
	function->has_invocation = true;
	if (m->function != DSMX_AGG_COUNT_STAR)
		function->arguments = dx_encode_array(e, 1, &function->n_arguments);
	if (function->n_arguments == 1)
		function->arguments[0] = measure_argument(e, m, nullable);
	pb->measure = function;
	return pb;
}

static Substrait__AggregateRel__Grouping *grouping(struct dx_encoder *e, uint32_t key_count)
{
	Substrait__AggregateRel__Grouping *pb = DX_NEW(e, aggregate_rel__grouping);

	pb->expression_references = dx_arena_array(&e->arena, key_count, sizeof(uint32_t));
	pb->n_expression_references = pb->expression_references != NULL ? key_count : 0;
	for (size_t i = 0; i < pb->n_expression_references; i++)
		pb->expression_references[i] = (uint32_t)i;
	return pb;
}

static Substrait__AggregateRel *aggregate(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	const struct dx_aggregate *agg = &rel->aggregate;
	Substrait__AggregateRel *pb = DX_NEW(e, aggregate_rel);

	pb->common = common(e);
	hint_names(e, &rel->schema, pb->common);
	/* Without a measure, nothing else tells the phase. */
	if (agg->measure_count == 0 && agg->phase != DX_PHASE_SINGLE)
		pb->common->advanced_extension = optimization(
			e, dx_encode_any(e,
		                         agg->phase == DX_PHASE_PARTIAL ? DX_URL_PARTIAL
		                                                        : DX_URL_FINAL,
		                         NULL));
	pb->input = dx_encode_rel(e, rel->inputs[0]);
	if (agg->key_count > 0)
		pb->groupings = dx_encode_array(e, 1, &pb->n_groupings);
	if (pb->n_groupings == 1)
		pb->groupings[0] = grouping(e, agg->key_count);
	pb->grouping_expressions = dx_encode_array(e, agg->key_count, &pb->n_grouping_expressions);
	for (size_t i = 0; i < pb->n_grouping_expressions; i++)
		pb->grouping_expressions[i] = dx_encode_expr(e, agg->keys[i], NULL);
	pb->measures = dx_encode_array(e, agg->measure_count, &pb->n_measures);
	for (size_t i = 0; i < pb->n_measures; i++)
		pb->measures[i] = measure(e, rel, (uint32_t)i);
	return pb;
}

static Substrait__SortField__SortDirection direction(const struct dsmx_sort_key *key)
{
	if (key->descending)
		return key->nulls_first
		               ? SUBSTRAIT__SORT_FIELD__SORT_DIRECTION__SORT_DIRECTION_DESC_NULLS_FIRST
		               : SUBSTRAIT__SORT_FIELD__SORT_DIRECTION__SORT_DIRECTION_DESC_NULLS_LAST;
	return key->nulls_first
	               ? SUBSTRAIT__SORT_FIELD__SORT_DIRECTION__SORT_DIRECTION_ASC_NULLS_FIRST
	               : SUBSTRAIT__SORT_FIELD__SORT_DIRECTION__SORT_DIRECTION_ASC_NULLS_LAST;
}

static Substrait__SortField **sort_fields(struct dx_encoder *e, const struct dsmx_sort_key *keys,
                                          uint32_t count, size_t *ret_count)
{
	Substrait__SortField **fields = dx_encode_array(e, count, ret_count);

	for (size_t i = 0; i < *ret_count; i++) {
		fields[i] = DX_NEW(e, sort_field);
		fields[i]->expr = dx_encode_column(e, keys[i].column);
		fields[i]->sort_kind_case = SUBSTRAIT__SORT_FIELD__SORT_KIND_DIRECTION;
		fields[i]->direction = direction(&keys[i]);
	}
	return fields;
}

static Substrait__SortRel *sort(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	Substrait__SortRel *pb = DX_NEW(e, sort_rel);

	pb->common = common(e);
	if (rel->sort.local)
		pb->common->advanced_extension =
			enhancement(e, dx_encode_any(e, DX_URL_LOCAL, NULL));
	pb->input = dx_encode_rel(e, rel->inputs[0]);
	pb->sorts = sort_fields(e, rel->sort.keys, rel->sort.key_count, &pb->n_sorts);
	return pb;
}

static Substrait__Expression *number(struct dx_encoder *e, uint64_t value)
{
	Substrait__Expression *pb = DX_NEW(e, expression);
	Substrait__Expression__Literal *literal = DX_NEW(e, expression__literal);

	literal->literal_type_case = SUBSTRAIT__EXPRESSION__LITERAL__LITERAL_TYPE_I64;
	literal->i64 = (int64_t)value;
	pb->rex_type_case = SUBSTRAIT__EXPRESSION__REX_TYPE_LITERAL;
	pb->literal = literal;
	return pb;
}

static Substrait__FetchRel *limit(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	Substrait__FetchRel *pb = DX_NEW(e, fetch_rel);

	pb->common = common(e);
	if (rel->limit.local)
		pb->common->advanced_extension =
			enhancement(e, dx_encode_any(e, DX_URL_LOCAL, NULL));
	pb->input = dx_encode_rel(e, rel->inputs[0]);
	if (rel->limit.offset > 0)
		pb->offset_expr = number(e, rel->limit.offset);
	if (rel->limit.count != UINT64_MAX)
		pb->count_expr = number(e, rel->limit.count);
	return pb;
}

#define DEALING(name) SUBSTRAIT__DSMX_EXCHANGE__DEALING__DEALING_##name

/* What Substrait's exchange does not say. */
static Substrait__Any *exchange_details(struct dx_encoder *e, const struct dx_exchange *exchange)
{
	const struct dsmx_exchange_config *config = &exchange->config;
	Substrait__DsmxExchange *pb = DX_NEW(e, dsmx_exchange);

	pb->number = exchange->number;
	pb->has_number = pb->number != 0;
	pb->producer_tasks = exchange->producer_tasks;
	pb->has_producer_tasks = pb->producer_tasks != 0;
	pb->credit_bytes = config->credit_bytes;
	pb->has_credit_bytes = pb->credit_bytes != 0;
	pb->frame_bytes = config->frame_bytes;
	pb->has_frame_bytes = pb->frame_bytes != 0;
	pb->hash_seed = config->hash_seed;
	pb->has_hash_seed = pb->hash_seed != 0;
	pb->overflow_forbidden = config->overflow_forbidden;
	pb->has_overflow_forbidden = config->overflow_forbidden;
	if (exchange->kind == DSMX_EXCHANGE_PASSTHROUGH)
		pb->dealing = DEALING(PASSTHROUGH);
	if (exchange->kind == DSMX_EXCHANGE_ARBITRARY)
		pb->dealing = DEALING(ARBITRARY);
	pb->has_dealing = pb->dealing != DEALING(IN_TURN);
	pb->sampled = exchange->sampled;
	pb->has_sampled = exchange->sampled;
	pb->order = sort_fields(e, exchange->order, exchange->order_count, &pb->n_order);
	pb->bounds = dx_encode_array(e, exchange->bound_count, &pb->n_bounds);
	for (size_t i = 0; i < pb->n_bounds; i++)
		pb->bounds[i] = dx_encode_literal(e, exchange->bounds[i]);
	return dx_encode_any(e, DX_URL_EXCHANGE, &pb->base);
}

static Substrait__ExchangeRel__ScatterFields *scatter_fields(struct dx_encoder *e,
                                                             const struct dx_exchange *exchange)
{
	Substrait__ExchangeRel__ScatterFields *pb = DX_NEW(e, exchange_rel__scatter_fields);
	bool range = exchange->kind == DSMX_EXCHANGE_RANGE;

	pb->fields = dx_encode_array(e, range ? exchange->order_count : exchange->key_count,
	                             &pb->n_fields);
	for (size_t i = 0; i < pb->n_fields; i++)
		pb->fields[i] =
			dx_encode_field(e, range ? exchange->order[i].column : exchange->keys[i]);
	return pb;
}

static Substrait__ExchangeRel *exchange(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	const struct dx_exchange *exchange = &rel->exchange;
	Substrait__ExchangeRel *pb = DX_NEW(e, exchange_rel);

	pb->common = common(e);
	pb->input = dx_encode_rel(e, rel->inputs[0]);
	pb->partition_count = (int32_t)exchange->partitions;
	pb->has_partition_count = pb->partition_count != 0;
	pb->advanced_extension = enhancement(e, exchange_details(e, exchange));
	switch (exchange->kind) {
	case DSMX_EXCHANGE_HASH:
	case DSMX_EXCHANGE_RANGE:
		pb->exchange_kind_case = SUBSTRAIT__EXCHANGE_REL__EXCHANGE_KIND_SCATTER_BY_FIELDS;
		pb->scatter_by_fields = scatter_fields(e, exchange);
		break;
	case DSMX_EXCHANGE_BROADCAST:
		pb->exchange_kind_case = SUBSTRAIT__EXCHANGE_REL__EXCHANGE_KIND_BROADCAST;
		pb->broadcast = DX_NEW(e, exchange_rel__broadcast);
		break;
	case DSMX_EXCHANGE_ROUND_ROBIN:
	case DSMX_EXCHANGE_PASSTHROUGH:
	case DSMX_EXCHANGE_ARBITRARY:
		pb->exchange_kind_case = SUBSTRAIT__EXCHANGE_REL__EXCHANGE_KIND_ROUND_ROBIN;
		pb->round_robin = DX_NEW(e, exchange_rel__round_robin);
		break;
	default: /* a gather or merge: every row goes to bucket 0; explicit: to that in its column */
		pb->exchange_kind_case = SUBSTRAIT__EXCHANGE_REL__EXCHANGE_KIND_SINGLE_TARGET;
		pb->single_target = DX_NEW(e, exchange_rel__single_bucket_expression);
		pb->single_target->expression = exchange->kind == DSMX_EXCHANGE_EXPLICIT
		                                        ? dx_encode_column(e, exchange->keys[0])
		                                        : number(e, 0);
		break;
	}
	return pb;
}

static void extension(struct dx_encoder *e, const struct dsmx_rel *rel, Substrait__Rel *pb)
{
	const struct dx_extension *extension = &rel->extension;
	Substrait__DsmxExtension *own = DX_NEW(e, dsmx_extension);
	Substrait__Any *detail;

	own->name = dx_encode_text(e, extension->name, strlen(extension->name));
	own->bytes.len = extension->len_bytes;
	own->bytes.data = (uint8_t *)dx_encode_text(e, extension->bytes, extension->len_bytes);
	own->has_bytes = own->bytes.len > 0;
	own->output = dx_encode_schema(e, &rel->schema);
	detail = dx_encode_any(e, DX_URL_EXTENSION, &own->base);
	if (rel->input_count == 0) {
		pb->rel_type_case = REL(EXTENSION_LEAF);
		pb->extension_leaf = DX_NEW(e, extension_leaf_rel);
		pb->extension_leaf->common = common(e);
		pb->extension_leaf->detail = detail;
	} else if (rel->input_count == 1) {
		pb->rel_type_case = REL(EXTENSION_SINGLE);
		pb->extension_single = DX_NEW(e, extension_single_rel);
		pb->extension_single->common = common(e);
		pb->extension_single->input = dx_encode_rel(e, rel->inputs[0]);
		pb->extension_single->detail = detail;
	} else {
		pb->rel_type_case = REL(EXTENSION_MULTI);
		pb->extension_multi = DX_NEW(e, extension_multi_rel);
		pb->extension_multi->common = common(e);
		pb->extension_multi->detail = detail;
		pb->extension_multi->inputs =
			dx_encode_array(e, rel->input_count, &pb->extension_multi->n_inputs);
		for (size_t i = 0; i < pb->extension_multi->n_inputs; i++)
			pb->extension_multi->inputs[i] = dx_encode_rel(e, rel->inputs[i]);
	}
}

Substrait__Rel *dx_encode_rel(struct dx_encoder *e, const struct dsmx_rel *rel)
{
	Substrait__Rel *pb = DX_NEW(e, rel);

	if (e->arena.failed)
		return pb;
	switch (rel->kind) {
	case DX_REL_SCAN:
	case DX_REL_LEAF:
		pb->rel_type_case = REL(READ);
		pb->read =
			rel->kind == DX_REL_SCAN ? dx_encode_scan(e, rel) : dx_encode_leaf(e, rel);
		pb->read->common = common(e);
		break;
	case DX_REL_FILTER:
		pb->rel_type_case = REL(FILTER);
		pb->filter = filter(e, rel);
		break;
	case DX_REL_PROJECT:
		pb->rel_type_case = REL(PROJECT);
		pb->project = project(e, rel);
		break;
	case DX_REL_JOIN:
		pb->rel_type_case = REL(HASH_JOIN);
		pb->hash_join = join(e, rel);
		break;
	case DX_REL_AGGREGATE:
		pb->rel_type_case = REL(AGGREGATE);
		pb->aggregate = aggregate(e, rel);
		break;
	case DX_REL_SORT:
		pb->rel_type_case = REL(SORT);
		pb->sort = sort(e, rel);
		break;
	case DX_REL_LIMIT:
		pb->rel_type_case = REL(FETCH);
		pb->fetch = limit(e, rel);
		break;
	case DX_REL_EXCHANGE:
		pb->rel_type_case = REL(EXCHANGE);
		pb->exchange = exchange(e, rel);
		break;
	default:
		extension(e, rel, pb);
		break;
	}
	return pb;
}
