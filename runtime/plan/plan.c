/* SPDX-License-Identifier: MIT */
/*
 * plan.c - the life of a plan, its failure, and what others read of it
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "plan/tree.h"

int dsmx_plan_new(struct dsmx_plan **ret_plan)
{
	struct dsmx_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL)
		return -ENOMEM;
	*ret_plan = plan;
	return 0;
}

void dsmx_plan_free(struct dsmx_plan *plan)
{
	if (plan == NULL)
		return;
	dx_arena_free(&plan->arena);
	free(plan);
}

/* --- failing ------------------------------------------------------------------------------------------- */

void *dx_plan_fail(struct dsmx_plan *plan, int code, const char *fmt, ...)
{
	char message[DSMX_ERROR_MESSAGE_BYTES];
	va_list args;

	if (dx_plan_failed(plan))
		return NULL;
	va_start(args, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	(void)dx_error(&plan->error, code, "%s", message);
	return NULL;
}

int dsmx_plan_error(const struct dsmx_plan *plan, struct dsmx_error *err)
{
	if (plan->error.code != 0 && err != NULL)
		*err = plan->error;
	return plan->error.code;
}

void *dx_plan_alloc(struct dsmx_plan *plan, size_t count, size_t size)
{
	void *array = dx_arena_array(&plan->arena, count, size);

	return array != NULL ? array : dx_plan_fail(plan, -ENOMEM, "no memory for a plan");
}

void *dx_plan_copy(struct dsmx_plan *plan, const void *array, size_t count, size_t size)
{
	void *copy = dx_plan_alloc(plan, count, size);

	if (copy != NULL && count > 0)
		memcpy(copy, array, count * size);
	return copy;
}

const char *dx_plan_text(struct dsmx_plan *plan, const char *text)
{
	return dx_plan_copy(plan, text, strlen(text) + 1, 1);
}

bool dx_plan_given(struct dsmx_plan *plan, const char *what, const void *const *pointers,
                   uint32_t count)
{
	for (uint32_t i = 0; i < count && !dx_plan_failed(plan); i++) {
		if (pointers[i] == NULL)
			(void)dx_plan_fail(plan, -EINVAL, "%s is NULL", what);
	}
	return !dx_plan_failed(plan);
}

/* --- finishing ----------------------------------------------------------------------------------------- */

/* Each exchange after those below it, left before right. */
static void collect(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	for (uint32_t i = 0; i < rel->input_count; i++)
		collect(plan, rel->inputs[i]);
	if (rel->kind != DX_REL_EXCHANGE)
		return;
	rel->exchange.number = plan->exchange_count;
	plan->exchanges[plan->exchange_count++] = rel;
}

static uint32_t count_exchanges(const struct dsmx_rel *rel)
{
	uint32_t count = rel->kind == DX_REL_EXCHANGE;

	for (uint32_t i = 0; i < rel->input_count; i++)
		count += count_exchanges(rel->inputs[i]);
	return count;
}

/* The exchanges directly below @rel are consumed by exchange @consumer. */
static void set_consumers(struct dsmx_plan *plan, const struct dsmx_rel *rel, int consumer)
{
	for (uint32_t i = 0; i < rel->input_count; i++) {
		const struct dsmx_rel *input = rel->inputs[i];

		if (input->kind == DX_REL_EXCHANGE) {
			plan->consumers[input->exchange.number] = consumer;
			set_consumers(plan, input, (int)input->exchange.number);
		} else {
			set_consumers(plan, input, consumer);
		}
	}
}

void dx_plan_collect(struct dsmx_plan *plan)
{
	uint32_t count = count_exchanges(plan->root);

	if (count > DSMX_PLAN_EXCHANGES_MAX) {
		(void)dx_plan_fail(plan, -E2BIG, "the plan has %u exchanges, the most is %u", count,
		                   DSMX_PLAN_EXCHANGES_MAX);
		return;
	}
	plan->exchange_count = 0;
	plan->exchanges = dx_plan_alloc(plan, count, sizeof(struct dsmx_rel *));
	plan->consumers = dx_plan_alloc(plan, count, sizeof(int));
	if (dx_plan_failed(plan))
		return;
	collect(plan, plan->root);
	if (plan->root->kind == DX_REL_EXCHANGE)
		plan->consumers[plan->root->exchange.number] = -1;
	set_consumers(plan, plan->root,
	              plan->root->kind == DX_REL_EXCHANGE ? (int)plan->root->exchange.number : -1);
}

void dx_plan_set_root(struct dsmx_plan *plan, struct dsmx_rel *root, const char *const *names)
{
	struct dsmx_field *fields;

	if (dx_plan_failed(plan))
		return;
	fields = dx_plan_copy(plan, root->schema.fields, root->schema.field_count,
	                      sizeof(fields[0]));
	for (uint32_t i = 0; fields != NULL && names != NULL && i < root->schema.field_count; i++) {
		if (names[i] != NULL)
			fields[i].name = dx_plan_text(plan, names[i]);
	}
	if (dx_plan_failed(plan))
		return;
	plan->schema =
		(struct dsmx_schema){ .field_count = root->schema.field_count, .fields = fields };
	plan->root = root;
	dx_plan_collect(plan);
}

int dsmx_plan_finish(struct dsmx_plan *plan, struct dsmx_rel *root, const char *const *names,
                     struct dsmx_error *err)
{
	if (dx_plan_given(plan, "the root of the plan", (const void *const *)&root, 1) &&
	    plan->root != NULL)
		(void)dx_plan_fail(plan, -EINVAL, "the plan is finished already");
	if (!dx_plan_failed(plan))
		root = dx_plan_prune(plan, root);
	dx_plan_set_root(plan, root, names);
	if (dx_plan_failed(plan))
		plan->root = NULL;
	return dsmx_plan_error(plan, err);
}

/* --- reading ------------------------------------------------------------------------------------------- */

const struct dsmx_schema *dsmx_plan_schema(const struct dsmx_plan *plan)
{
	return plan->root != NULL ? &plan->schema : NULL;
}

const struct dsmx_schema *dsmx_rel_schema(const struct dsmx_rel *rel)
{
	return rel != NULL ? &rel->schema : NULL;
}

struct dsmx_rel *dx_plan_root(const struct dsmx_plan *plan)
{
	return plan->root;
}

uint32_t dsmx_plan_exchange_count(const struct dsmx_plan *plan)
{
	return plan->exchange_count;
}

struct dsmx_rel *dx_plan_exchange_rel(const struct dsmx_plan *plan, uint32_t number)
{
	return number < plan->exchange_count ? plan->exchanges[number] : NULL;
}

int dsmx_plan_exchange(const struct dsmx_plan *plan, uint32_t number,
                       struct dsmx_exchange_info *ret_info)
{
	const struct dsmx_rel *rel = dx_plan_exchange_rel(plan, number);

	if (rel == NULL)
		return -EINVAL;
	*ret_info = (struct dsmx_exchange_info){ .number = number,
		                                 .kind = rel->exchange.kind,
		                                 .producer_tasks = rel->exchange.producer_tasks,
		                                 .consumer_partitions = rel->exchange.partitions,
		                                 .keys = rel->exchange.keys,
		                                 .key_count = rel->exchange.key_count,
		                                 .schema = &rel->schema,
		                                 .config = rel->exchange.config,
		                                 .order = rel->exchange.order,
		                                 .order_count = rel->exchange.order_count,
		                                 .bound_count = rel->exchange.bound_count,
		                                 .sampled = rel->exchange.sampled };
	return 0;
}

int dx_plan_consumer(const struct dsmx_plan *plan, uint32_t number)
{
	return number < plan->exchange_count ? plan->consumers[number] : -1;
}

bool dx_rel_has_leaf(const struct dsmx_rel *rel)
{
	if (rel->kind == DX_REL_LEAF)
		return true;
	for (uint32_t i = 0; rel->kind != DX_REL_EXCHANGE && i < rel->input_count; i++) {
		if (dx_rel_has_leaf(rel->inputs[i]))
			return true;
	}
	return false;
}

bool dx_plan_leader_only(const struct dsmx_plan *plan, uint32_t number)
{
	const struct dsmx_rel *rel = dx_plan_exchange_rel(plan, number);

	return rel != NULL && dx_rel_has_leaf(rel->inputs[0]);
}

uint64_t dx_plan_hash(const void *bytes, size_t len)
{
	return dx_hash_bytes(bytes, len, DX_HASH_K2);
}

uint64_t dx_schema_hash(const struct dsmx_schema *schema)
{
	uint64_t hash = dx_hash_u64(schema->field_count, DX_HASH_K2);

	for (uint32_t i = 0; i < schema->field_count; i++) {
		struct dsmx_type type = schema->fields[i].type;
		uint64_t word = type.id | (uint64_t)type.precision << 8 |
		                (uint64_t)(uint8_t)type.scale << 16;

		hash = dx_hash_combine(hash, dx_hash_u64(word, DX_HASH_K0));
	}
	return hash;
}
