/* SPDX-License-Identifier: MIT */
/*
 * explain.c - EXPLAIN: a plan as an indented tree, one line for each relation
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/text.h"
#include "plan/tree.h"

#define NOTE_BYTES 512

static void columns(struct dx_out *out, const struct dsmx_schema *schema, const uint32_t *numbers,
                    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		dx_out_add(out, i > 0 ? ", " : "");
		dx_out_column(out, schema, numbers[i]);
	}
}

static void all_columns(struct dx_out *out, const struct dsmx_schema *schema)
{
	for (uint32_t i = 0; i < schema->field_count; i++) {
		dx_out_add(out, i > 0 ? ", " : "");
		dx_out_column(out, schema, i);
	}
}

static void scan(struct dx_out *out, const struct dsmx_rel *rel)
{
	dx_out_add(out, "Scan %s: ", rel->scan.path);
	all_columns(out, &rel->schema);
	if (rel->scan.filter == NULL)
		return;
	dx_out_add(out, " where ");
	dx_out_expr(out, rel->scan.filter, &rel->schema);
}

/* Expressions; one that is not the column it is called after gets its name. */
static void project(struct dx_out *out, const struct dsmx_rel *rel)
{
	dx_out_add(out, "Project: ");
	for (uint32_t i = 0; i < rel->schema.field_count; i++) {
		const struct dsmx_schema *input = &rel->inputs[0]->schema;
		const struct dsmx_expr *expr = rel->exprs[i];
		const char *name = rel->schema.fields[i].name;
		bool same = expr->kind == DX_EXPR_COLUMN &&
		            strcmp(input->fields[expr->column].name, name) == 0;

		dx_out_add(out, i > 0 ? ", " : "");
		dx_out_expr(out, expr, input);
		if (!same && name[0] != 0)
			dx_out_add(out, " as %s", name);
	}
}

/* What a join's condition sees: names of both inputs in turn. */
static void pair_expr(struct dx_out *out, const struct dsmx_rel *rel)
{
	const struct dsmx_schema *l = &rel->inputs[0]->schema, *r = &rel->inputs[1]->schema;
	struct dsmx_schema pair = { .field_count = l->field_count + r->field_count };
	struct dsmx_field *fields = calloc(pair.field_count, sizeof(fields[0]));

	if (fields == NULL) {
		out->failed = true;
		return;
	}
	memcpy(fields, l->fields, l->field_count * sizeof(fields[0]));
	memcpy(fields + l->field_count, r->fields, r->field_count * sizeof(fields[0]));
	pair.fields = fields;
	dx_out_expr(out, rel->join.condition, &pair);
	free(fields);
}

static void join(struct dx_out *out, const struct dsmx_rel *rel)
{
	static const char *const kinds[] = { "inner", "left", "semi", "anti" };
	struct dx_filter_target target;

	dx_out_add(out, "%s %s: ", rel->join.joinscan ? "JoinScan" : "HashJoin",
	           kinds[rel->join.kind]);
	for (uint32_t i = 0; i < rel->join.key_count; i++) {
		dx_out_add(out, i > 0 ? " and " : "");
		dx_out_column(out, &rel->inputs[0]->schema, rel->join.left_keys[i]);
		dx_out_add(out, " = ");
		dx_out_column(out, &rel->inputs[1]->schema, rel->join.right_keys[i]);
	}
	if (rel->join.condition != NULL) {
		dx_out_add(out, " and ");
		pair_expr(out, rel);
	}
	if (!dx_join_filter_target(rel, &target))
		return;
	if (target.rel->kind == DX_REL_EXCHANGE)
		dx_out_add(out, " (filters #%u)", target.rel->exchange.number);
	else
		dx_out_add(out, " (filters scan)");
}

static void aggregate(struct dx_out *out, const struct dsmx_rel *rel)
{
	static const char *const phases[] = {
		[DX_PHASE_SINGLE] = "Aggregate: ",
		[DX_PHASE_PARTIAL] = "Aggregate (partial): ",
		[DX_PHASE_FINAL] = "Aggregate (final): ",
	};
	const struct dx_aggregate *agg = &rel->aggregate;
	const struct dsmx_schema *input = &rel->inputs[0]->schema;

	dx_out_add(out, "%s", phases[agg->phase]);
	for (uint32_t i = 0; i < agg->measure_count; i++) {
		const struct dx_measure *m = &agg->measures[i];

		dx_out_add(out, "%s%s(", i > 0 ? ", " : "", dx_aggregate_str(m->function));
		if (m->function == DSMX_AGG_COUNT_STAR)
			dx_out_add(out, "*");
		else if (m->arg != NULL)
			dx_out_expr(out, m->arg, input);
		else
			dx_out_column(out, &rel->schema, agg->key_count + i);
		dx_out_add(out, ")");
	}
	for (uint32_t i = 0; i < agg->key_count; i++) {
		dx_out_add(out, i > 0 ? ", " : agg->measure_count > 0 ? " by " : "by ");
		dx_out_expr(out, agg->keys[i], input);
	}
}

static void sort_keys(struct dx_out *out, const struct dsmx_schema *schema,
                      const struct dsmx_sort_key *keys, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct dsmx_sort_key *key = &keys[i];

		dx_out_add(out, i > 0 ? ", " : "");
		dx_out_column(out, schema, key->column);
		dx_out_add(out, key->descending ? " desc" : "");
		if (key->nulls_first != key->descending)
			dx_out_add(out, key->nulls_first ? " nulls first" : " nulls last");
	}
}

static void sort(struct dx_out *out, const struct dsmx_rel *rel)
{
	dx_out_add(out, "Sort%s: ", rel->sort.local ? " (local)" : "");
	sort_keys(out, &rel->schema, rel->sort.keys, rel->sort.key_count);
}

static void limit(struct dx_out *out, const struct dsmx_rel *rel)
{
	dx_out_add(out, "Limit%s: ", rel->limit.local ? " (local)" : "");
	if (rel->limit.count == UINT64_MAX)
		dx_out_add(out, "all");
	else
		dx_out_add(out, "%llu", (unsigned long long)rel->limit.count);
	if (rel->limit.offset > 0)
		dx_out_add(out, " from %llu", (unsigned long long)rel->limit.offset);
}

/* As many bounds as a line can take. */
#define BOUNDS_SHOWN 8

static void bounds(struct dx_out *out, const struct dsmx_rel *rel)
{
	const struct dx_exchange *e = &rel->exchange;

	for (uint32_t i = 0; i < e->bound_count && i < BOUNDS_SHOWN; i++) {
		dx_out_add(out, i > 0 ? ", " : " at ");
		dx_out_expr(out, e->bounds[i], &rel->schema);
	}
	if (e->bound_count > BOUNDS_SHOWN)
		dx_out_add(out, ", and %u more", e->bound_count - BOUNDS_SHOWN);
}

/* "DsmExchangeExec #3: hash(l_orderkey) 2 -> 2": producer tasks, consumer partitions. */
static void exchange(struct dx_out *out, const struct dsmx_rel *rel)
{
	static const char *const kinds[DSMX_EXCHANGE_KIND_COUNT] = {
		[DSMX_EXCHANGE_HASH] = "hash",
		[DSMX_EXCHANGE_BROADCAST] = "broadcast",
		[DSMX_EXCHANGE_GATHER] = "gather",
		[DSMX_EXCHANGE_ROUND_ROBIN] = "round robin",
		[DSMX_EXCHANGE_EXPLICIT] = "explicit",
		[DSMX_EXCHANGE_PASSTHROUGH] = "passthrough",
		[DSMX_EXCHANGE_MERGE] = "merge",
		[DSMX_EXCHANGE_RANGE] = "range",
		[DSMX_EXCHANGE_ARBITRARY] = "arbitrary",
	};
	const struct dx_exchange *e = &rel->exchange;
	bool has_details = e->key_count + e->order_count > 0;

	dx_out_add(out, "DsmExchangeExec #%u: %s%s", e->number, kinds[e->kind],
	           has_details ? "(" : "");
	columns(out, &rel->schema, e->keys, e->key_count);
	dx_out_add(out, e->sampled ? "sampled: " : "");
	sort_keys(out, &rel->schema, e->order, e->order_count);
	bounds(out, rel);
	dx_out_add(out, has_details ? ")" : "");
	if (e->producer_tasks > 0)
		dx_out_add(out, " %u -> %u", e->producer_tasks, e->partitions);
}

static void line(struct dx_out *out, const struct dsmx_rel *rel)
{
	switch (rel->kind) {
	case DX_REL_SCAN:
		scan(out, rel);
		break;
	case DX_REL_LEAF:
		dx_out_add(out, "Leaf %s: ", rel->leaf);
		all_columns(out, &rel->schema);
		break;
	case DX_REL_FILTER:
		dx_out_add(out, "Filter: ");
		dx_out_expr(out, rel->condition, &rel->schema);
		break;
	case DX_REL_PROJECT:
		project(out, rel);
		break;
	case DX_REL_JOIN:
		join(out, rel);
		break;
	case DX_REL_AGGREGATE:
		aggregate(out, rel);
		break;
	case DX_REL_SORT:
		sort(out, rel);
		break;
	case DX_REL_LIMIT:
		limit(out, rel);
		break;
	case DX_REL_EXCHANGE:
		exchange(out, rel);
		break;
	case DX_REL_EXTENSION:
		dx_out_add(out, "%s: ", rel->extension.name);
		all_columns(out, &rel->schema);
		break;
	default:
		break;
	}
}

/* Each line of @below, indented. */
static void add_below(struct dx_out *out, const char *below, int indent)
{
	while (*below != 0) {
		size_t len = strcspn(below, "\n");

		dx_out_add(out, "%*s", indent, "");
		dx_out_bytes(out, below, len);
		dx_out_add(out, "\n");
		below += len + (below[len] == '\n');
	}
}

static void tree(struct dx_out *out, const struct dsmx_rel *rel, int indent,
                 const struct dx_explain_notes *notes)
{
	char note[NOTE_BYTES] = "", *below = NULL;

	dx_out_add(out, "%*s", indent, "");
	line(out, rel);
	if (rel->kind == DX_REL_EXCHANGE && notes != NULL && notes->note != NULL)
		notes->note(notes->arg, rel->exchange.number, note, sizeof(note), &below);
	dx_out_add(out, "%s%s\n", note[0] != 0 ? "  " : "", note);
	if (below != NULL)
		add_below(out, below, indent + 4);
	free(below);
	for (uint32_t i = 0; i < rel->input_count; i++)
		tree(out, rel->inputs[i], indent + 2, notes);
}

int dx_plan_explain(const struct dsmx_plan *plan, const struct dx_explain_notes *notes,
                    char **ret_text)
{
	struct dx_out out = { 0 };

	if (plan->root == NULL)
		return -EINVAL;
	tree(&out, plan->root, 0, notes);
	if (out.failed) {
		free(out.text);
		return -ENOMEM;
	}
	*ret_text = out.text;
	return 0;
}

int dsmx_plan_explain(const struct dsmx_plan *plan, char **ret_text)
{
	return dx_plan_explain(plan, NULL, ret_text);
}
