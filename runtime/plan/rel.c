/* SPDX-License-Identifier: MIT */
/*
 * rel.c - make relations: scans, leaves and all that have one input
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "dsmx/ipc.h"
#include "plan/estimate.h"
#include "plan/tree.h"

/* --- what all constructors use ------------------------------------------------------------------------- */

struct dsmx_rel *dx_rel_new(struct dsmx_plan *plan, enum dx_rel_kind kind,
                            struct dsmx_rel *const *inputs, uint32_t input_count,
                            uint32_t field_count)
{
	struct dsmx_rel *rel;

	if (field_count > DSMX_PLAN_COLUMNS_MAX)
		return dx_plan_fail(plan, -E2BIG, "a relation has %u columns, the most is %u",
		                    field_count, DSMX_PLAN_COLUMNS_MAX);
	if (field_count == 0)
		return dx_plan_fail(plan, -EINVAL, "a relation has no columns");
	rel = dx_plan_alloc(plan, 1, sizeof(*rel));
	if (rel == NULL)
		return NULL;
	rel->kind = kind;
	rel->input_count = input_count;
	if (input_count > 0)
		memcpy(rel->inputs, inputs, input_count * sizeof(inputs[0]));
	rel->schema.field_count = field_count;
	rel->schema.fields = dx_plan_alloc(plan, field_count, sizeof(struct dsmx_field));
	return rel->schema.fields != NULL ? rel : NULL;
}

void dx_rel_set_field(struct dsmx_rel *rel, uint32_t column, struct dsmx_field field)
{
	/* The array is the plan's own; it is constant for everybody else. */
	((struct dsmx_field *)(uintptr_t)rel->schema.fields)[column] = field;
}

static uint16_t exprs_depth(struct dsmx_expr *const *exprs, uint32_t count)
{
	uint16_t depth = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (exprs[i] != NULL && exprs[i]->depth > depth)
			depth = exprs[i]->depth;
	}
	return depth;
}

static uint16_t own_exprs_depth(const struct dsmx_rel *rel)
{
	uint16_t depth = 0, arg;

	switch (rel->kind) {
	case DX_REL_SCAN:
		return exprs_depth(&rel->scan.filter, 1);
	case DX_REL_FILTER:
		return exprs_depth(&rel->condition, 1);
	case DX_REL_PROJECT:
		return exprs_depth(rel->exprs, rel->schema.field_count);
	case DX_REL_JOIN:
		return exprs_depth(&rel->join.condition, 1);
	case DX_REL_AGGREGATE:
		depth = exprs_depth(rel->aggregate.keys, rel->aggregate.key_count);
		for (uint32_t i = 0; i < rel->aggregate.measure_count; i++) {
			arg = exprs_depth(&rel->aggregate.measures[i].arg, 1);
			depth = arg > depth ? arg : depth;
		}
		return depth;
	default:
		return 0;
	}
}

struct dsmx_rel *dx_rel_seal(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	uint32_t depth = own_exprs_depth(rel);
	uint64_t size = 1;

	for (uint32_t i = 0; i < rel->input_count; i++) {
		if (rel->inputs[i]->depth > depth)
			depth = rel->inputs[i]->depth;
		size += rel->inputs[i]->size;
	}
	if (depth >= DSMX_PLAN_DEPTH_MAX)
		return dx_plan_fail(plan, -E2BIG, "the plan is over %d levels deep",
		                    DSMX_PLAN_DEPTH_MAX);
	if (size > DX_PLAN_RELS_MAX)
		return dx_plan_fail(plan, -E2BIG, "the plan has over %u relations",
		                    DX_PLAN_RELS_MAX);
	rel->depth = (uint16_t)(depth + 1);
	rel->size = (uint32_t)size;
	rel->properties = (struct dx_properties){ 0 };
	dx_rel_properties(rel);
	return dx_plan_failed(plan) ? NULL : rel;
}

struct dsmx_rel *dx_rel_over(struct dsmx_plan *plan, const struct dsmx_rel *rel,
                             struct dsmx_rel *const *inputs)
{
	struct dsmx_rel *copy;

	if (dx_plan_failed(plan))
		return NULL;
	copy = dx_plan_copy(plan, rel, 1, sizeof(*rel));
	if (copy == NULL)
		return NULL;
	if (rel->input_count > 0)
		memcpy(copy->inputs, inputs, rel->input_count * sizeof(inputs[0]));
	return dx_rel_seal(plan, copy);
}

struct dsmx_rel *dx_rel_passing(struct dsmx_plan *plan, enum dx_rel_kind kind,
                                struct dsmx_rel *input)
{
	struct dsmx_rel *rel = dx_rel_new(plan, kind, &input, 1, input->schema.field_count);

	if (rel != NULL)
		rel->schema = input->schema;
	return rel;
}

static bool input_given(struct dsmx_plan *plan, const char *what, struct dsmx_rel *input)
{
	return dx_plan_given(plan, what, (const void *const *)&input, 1);
}

/* Are @count columns of a relation with @field_count? */
static bool columns_there(struct dsmx_plan *plan, const char *what, const uint32_t *columns,
                          uint32_t count, uint32_t field_count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (columns[i] >= field_count) {
			(void)dx_plan_fail(plan, -EINVAL, "%s: there is no column %u: there are %u",
			                   what, columns[i], field_count);
			return false;
		}
	}
	return true;
}

/* A copy of a schema; each type is checked, names may be NULL in it. */
static bool schema_copy(struct dsmx_plan *plan, const char *what, const struct dsmx_schema *schema,
                        struct dsmx_schema *ret_schema)
{
	struct dsmx_field *fields;
	struct dsmx_error err;

	if (schema->field_count > DSMX_PLAN_COLUMNS_MAX) {
		(void)dx_plan_fail(plan, -E2BIG, "%s has %u columns, the most is %u", what,
		                   schema->field_count, DSMX_PLAN_COLUMNS_MAX);
		return false;
	}
	fields = dx_plan_copy(plan, schema->fields, schema->field_count, sizeof(fields[0]));
	for (uint32_t i = 0; fields != NULL && i < schema->field_count; i++) {
		if (dx_type_check(fields[i].type, &err) < 0)
			(void)dx_plan_fail(plan, err.code, "%s, column %u: %s", what, i,
			                   err.message);
		fields[i].name = dx_plan_text(plan, fields[i].name != NULL ? fields[i].name : "");
	}
	ret_schema->field_count = schema->field_count;
	ret_schema->fields = fields;
	return !dx_plan_failed(plan);
}

/* --- scan and leaf ------------------------------------------------------------------------------------- */

struct dsmx_rel *dx_rel_scan_of(struct dsmx_plan *plan, const char *path,
                                const struct dsmx_schema *file_schema, const uint32_t *columns,
                                uint32_t column_count)
{
	uint32_t count = column_count != 0 ? column_count : file_schema->field_count;
	struct dsmx_rel *rel;

	if (dx_plan_failed(plan) ||
	    !columns_there(plan, path, columns, column_count, file_schema->field_count))
		return NULL;
	rel = dx_rel_new(plan, DX_REL_SCAN, NULL, 0, count);
	if (rel == NULL || !schema_copy(plan, path, file_schema, &rel->scan.file_schema))
		return NULL;
	rel->scan.path = dx_plan_text(plan, path);
	rel->scan.columns = dx_plan_alloc(plan, count, sizeof(uint32_t));
	if (rel->scan.path == NULL || rel->scan.columns == NULL)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		rel->scan.columns[i] = column_count != 0 ? columns[i] : i;
		dx_rel_set_field(rel, i, rel->scan.file_schema.fields[rel->scan.columns[i]]);
	}
	return dx_rel_seal(plan, rel);
}

struct dsmx_rel *dsmx_rel_scan(struct dsmx_plan *plan, const char *path, const uint32_t *columns,
                               uint32_t column_count)
{
	struct dsmx_ipc_file *file;
	struct dsmx_error err;
	struct dsmx_rel *rel;
	int rc;

	if (!dx_plan_given(plan, "the path of a scan", (const void *const *)&path, 1))
		return NULL;
	rc = dsmx_ipc_open(path, &file, &err);
	if (rc < 0)
		return dx_plan_fail(plan, rc, "%s", err.message);
	rel = dx_rel_scan_of(plan, path, dsmx_ipc_schema(file), columns, column_count);
	if (rel != NULL)
		dx_scan_look(plan, rel, file);
	dsmx_ipc_close(file);
	return dx_plan_failed(plan) ? NULL : rel;
}

struct dsmx_rel *dsmx_rel_leaf(struct dsmx_plan *plan, const char *name,
                               const struct dsmx_schema *schema)
{
	const void *given[] = { name, schema };
	struct dsmx_rel *rel;

	if (!dx_plan_given(plan, "the name or schema of a leaf", given, 2))
		return NULL;
	rel = dx_rel_new(plan, DX_REL_LEAF, NULL, 0, schema->field_count);
	if (rel == NULL || !schema_copy(plan, name, schema, &rel->schema))
		return NULL;
	rel->leaf = dx_plan_text(plan, name);
	return rel->leaf != NULL ? dx_rel_seal(plan, rel) : NULL;
}

/* --- filter and project -------------------------------------------------------------------------------- */

/* Over a scan, or over another filter, the condition joins the one that is there. */
struct dsmx_rel *dsmx_rel_filter(struct dsmx_plan *plan, struct dsmx_rel *input,
                                 struct dsmx_expr *condition)
{
	const void *given[] = { input, condition };
	struct dsmx_rel *rel;

	if (!dx_plan_given(plan, "the input or condition of a filter", given, 2))
		return NULL;
	if (condition->type.id != DSMX_BOOL)
		return dx_plan_fail(plan, -EINVAL, "the condition of a filter is no bool");
	if (!dx_expr_fits(plan, "a filter", condition, &input->schema))
		return NULL;
	if (input->kind == DX_REL_SCAN || input->kind == DX_REL_FILTER) {
		rel = dx_plan_copy(plan, input, 1, sizeof(*input));
		if (rel == NULL)
			return NULL;
		if (input->kind == DX_REL_SCAN)
			rel->scan.filter = dx_expr_and(plan, input->scan.filter, condition);
		else
			rel->condition = dx_expr_and(plan, input->condition, condition);
	} else {
		rel = dx_rel_passing(plan, DX_REL_FILTER, input);
		if (rel != NULL)
			rel->condition = condition;
	}
	return dx_plan_failed(plan) ? NULL : dx_rel_seal(plan, rel);
}

struct dsmx_rel *dsmx_rel_project(struct dsmx_plan *plan, struct dsmx_rel *input,
                                  struct dsmx_expr *const *exprs, const char *const *names,
                                  uint32_t count)
{
	struct dsmx_rel *rel;

	if (!input_given(plan, "the input of a project", input) ||
	    !dx_plan_given(plan, "an expression of a project", (const void *const *)exprs, count))
		return NULL;
	rel = dx_rel_new(plan, DX_REL_PROJECT, &input, 1, count);
	if (rel == NULL)
		return NULL;
	rel->exprs = dx_plan_copy(plan, exprs, count, sizeof(struct dsmx_expr *));
	if (rel->exprs == NULL)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		const char *name = names != NULL ? names[i] : NULL;

		if (!dx_expr_fits(plan, "a project", exprs[i], &input->schema))
			return NULL;
		if (name == NULL && exprs[i]->kind == DX_EXPR_COLUMN)
			name = input->schema.fields[exprs[i]->column].name;
		dx_rel_set_field(
			rel, i,
			(struct dsmx_field){ .name = dx_plan_text(plan, name != NULL ? name : ""),
		                             .type = exprs[i]->type,
		                             .nullable = exprs[i]->nullable });
	}
	return dx_plan_failed(plan) ? NULL : dx_rel_seal(plan, rel);
}

struct dsmx_rel *dx_rel_pick(struct dsmx_plan *plan, struct dsmx_rel *input,
                             const uint32_t *columns, uint32_t count)
{
	struct dsmx_expr **exprs;

	if (dx_plan_failed(plan))
		return NULL;
	exprs = dx_plan_alloc(plan, count, sizeof(struct dsmx_expr *));
	for (uint32_t i = 0; exprs != NULL && i < count; i++)
		exprs[i] = dx_expr_field(plan, &input->schema, columns[i]);
	return dx_plan_failed(plan) ? NULL : dsmx_rel_project(plan, input, exprs, NULL, count);
}

/* --- sort and limit ------------------------------------------------------------------------------------ */

struct dsmx_rel *dsmx_rel_sort(struct dsmx_plan *plan, struct dsmx_rel *input,
                               const struct dsmx_sort_key *keys, uint32_t key_count)
{
	struct dsmx_rel *rel;

	if (!input_given(plan, "the input of a sort", input))
		return NULL;
	if (key_count == 0)
		return dx_plan_fail(plan, -EINVAL, "a sort has no keys");
	for (uint32_t i = 0; i < key_count; i++) {
		if (!columns_there(plan, "a sort", &keys[i].column, 1, input->schema.field_count))
			return NULL;
	}
	rel = dx_rel_passing(plan, DX_REL_SORT, input);
	if (rel == NULL)
		return NULL;
	rel->sort.key_count = key_count;
	rel->sort.keys = dx_plan_copy(plan, keys, key_count, sizeof(keys[0]));
	return rel->sort.keys != NULL ? dx_rel_seal(plan, rel) : NULL;
}

struct dsmx_rel *dsmx_rel_limit(struct dsmx_plan *plan, struct dsmx_rel *input, uint64_t offset,
                                uint64_t count)
{
	struct dsmx_rel *rel;

	if (!input_given(plan, "the input of a limit", input))
		return NULL;
	if (offset > INT64_MAX || (count > INT64_MAX && count != UINT64_MAX))
		return dx_plan_fail(plan, -EINVAL, "a limit or offset is over 2^63 - 1");
	rel = dx_rel_passing(plan, DX_REL_LIMIT, input);
	if (rel == NULL)
		return NULL;
	rel->limit = (struct dx_limit){ .offset = offset, .count = count };
	return dx_rel_seal(plan, rel);
}

struct dsmx_rel *dx_rel_local(struct dsmx_plan *plan, struct dsmx_rel *sort_or_limit)
{
	if (dx_plan_failed(plan))
		return NULL;
	if (sort_or_limit->kind == DX_REL_SORT)
		sort_or_limit->sort.local = true;
	else
		sort_or_limit->limit.local = true;
	return sort_or_limit;
}

/* --- extension ----------------------------------------------------------------------------------------- */

struct dsmx_rel *dsmx_rel_extension(struct dsmx_plan *plan, const char *name, const void *bytes,
                                    size_t len_bytes, const struct dsmx_schema *output,
                                    struct dsmx_rel *const *inputs, uint32_t input_count)
{
	const void *given[] = { name, output };
	struct dsmx_rel *rel;

	if (!dx_plan_given(plan, "the name or schema of an extension", given, 2) ||
	    !dx_plan_given(plan, name, (const void *const *)inputs, input_count))
		return NULL;
	if (input_count > DSMX_OPERATOR_INPUTS)
		return dx_plan_fail(plan, -EINVAL, "%s has %u inputs, the most is %d", name,
		                    input_count, DSMX_OPERATOR_INPUTS);
	if (len_bytes > DSMX_PLAN_BYTES_MAX)
		return dx_plan_fail(plan, -E2BIG, "%s has %zu bytes, the most is %u", name,
		                    len_bytes, DSMX_PLAN_BYTES_MAX);
	rel = dx_rel_new(plan, DX_REL_EXTENSION, inputs, input_count, output->field_count);
	if (rel == NULL || !schema_copy(plan, name, output, &rel->schema))
		return NULL;
	rel->extension.name = dx_plan_text(plan, name);
	rel->extension.bytes = dx_plan_copy(plan, bytes, len_bytes, 1);
	rel->extension.len_bytes = len_bytes;
	return dx_plan_failed(plan) ? NULL : dx_rel_seal(plan, rel);
}
