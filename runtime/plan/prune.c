/* SPDX-License-Identifier: MIT */
/*
 * prune.c - read, ship and join only the columns that somebody uses
 *
 * From the root down, each relation is told which of its columns are needed, and answers with a new relation
 * and a map from its old column numbers to the new ones. Maps keep the order, so a relation of which all is
 * needed keeps its numbers. A scan drops columns; a project, its expressions; an aggregate, its measures. A
 * join puts out all that comes in, so what comes in is narrowed first: by a project of plain columns, under
 * each input of a join and under each exchange that would get more than is needed (the columns of a scan's
 * filter, the keys of the join below).
 *
 * A relation keeps one column at least: count(*) needs rows.
 */
#include <string.h>

#include "base/err.h"
#include "plan/tree.h"

struct prune {
	struct dsmx_plan *plan;
	struct dx_arena scratch; /* maps and marks */
};

struct pruned {
	struct dsmx_rel *rel;
	uint32_t *map; /* from old column numbers; DX_COLUMN_GONE */
};

static bool prune(struct prune *p, struct dsmx_rel *rel, const bool *need, struct pruned *ret);

static void *scratch(struct prune *p, size_t count, size_t size)
{
	void *array = dx_arena_array(&p->scratch, count, size);

	return array != NULL ? array : dx_plan_fail(p->plan, -ENOMEM, "no memory for a plan");
}

static bool *marks(struct prune *p, uint32_t count, const bool *from)
{
	bool *marked = scratch(p, count, sizeof(bool));

	if (marked != NULL && from != NULL)
		memcpy(marked, from, count * sizeof(bool));
	return marked;
}

static bool *all_marked(struct prune *p, uint32_t count)
{
	bool *marked = scratch(p, count, sizeof(bool));

	if (marked != NULL)
		memset(marked, true, count * sizeof(bool));
	return marked;
}

/* The map that keeps what is marked; returns how many that is. */
static uint32_t map_of(const bool *keep, uint32_t count, uint32_t *ret_map)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		ret_map[i] = keep[i] ? kept++ : DX_COLUMN_GONE;
	return kept;
}

/* The new relation's fields are called as the old ones were: names may have come from elsewhere. */
static bool done(struct prune *p, const struct dsmx_rel *old, struct dsmx_rel *rel, uint32_t *map,
                 struct pruned *ret)
{
	if (dx_plan_failed(p->plan) || rel == NULL)
		return false;
	for (uint32_t i = 0; i < old->schema.field_count; i++) {
		struct dsmx_field field;

		if (map[i] == DX_COLUMN_GONE)
			continue;
		field = rel->schema.fields[map[i]];
		field.name = old->schema.fields[i].name;
		dx_rel_set_field(rel, map[i], field);
	}
	*ret = (struct pruned){ rel, map };
	return true;
}

/* The fields of @rel under @map, in an array of their own. */
static void narrow_schema(struct prune *p, const struct dsmx_rel *old, const uint32_t *map,
                          uint32_t kept, struct dsmx_rel *rel)
{
	struct dsmx_field *fields = dx_plan_alloc(p->plan, kept, sizeof(fields[0]));

	for (uint32_t i = 0; fields != NULL && i < old->schema.field_count; i++) {
		if (map[i] != DX_COLUMN_GONE)
			fields[map[i]] = old->schema.fields[i];
	}
	rel->schema = (struct dsmx_schema){ .field_count = kept, .fields = fields };
}

/* Drop what is not marked by a project, if anything is left over. */
static bool narrow(struct prune *p, const bool *used, uint32_t count, struct pruned *pruned)
{
	uint32_t *columns = scratch(p, count, sizeof(uint32_t)), kept = 0;

	if (columns == NULL)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (used[i])
			columns[kept++] = pruned->map[i];
	}
	if (kept == 0 || kept == pruned->rel->schema.field_count)
		return true;
	pruned->rel = dx_rel_pick(p->plan, pruned->rel, columns, kept);
	(void)map_of(used, count, pruned->map);
	return pruned->rel != NULL;
}

/* --- scans --------------------------------------------------------------------------------------------- */

/* The cheapest column to count rows with: the narrowest of fixed width. */
static uint32_t narrowest(const struct dsmx_schema *schema)
{
	size_t best_width = SIZE_MAX, width;
	uint32_t best = 0;

	for (uint32_t i = 0; i < schema->field_count; i++) {
		struct dsmx_type type = schema->fields[i].type;

		width = dsmx_type_is_text(type) ? SIZE_MAX : dsmx_type_width(type);
		if (width < best_width) {
			best = i;
			best_width = width;
		}
	}
	return best;
}

static bool prune_scan(struct prune *p, const struct dsmx_rel *rel, const bool *need,
                       struct pruned *ret)
{
	uint32_t count = rel->schema.field_count, kept, *map;
	bool *used = marks(p, count, need);
	struct dsmx_rel *scan = dx_plan_copy(p->plan, rel, 1, sizeof(*rel));

	map = scratch(p, count, sizeof(uint32_t));
	if (used == NULL || map == NULL || scan == NULL)
		return false;
	dx_expr_columns(rel->scan.filter, used);
	if (memchr(used, true, count) == NULL)
		used[narrowest(&rel->schema)] = true;
	kept = map_of(used, count, map);
	narrow_schema(p, rel, map, kept, scan);
	scan->scan.columns = dx_plan_alloc(p->plan, kept, sizeof(uint32_t));
	if (dx_plan_failed(p->plan))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (used[i])
			scan->scan.columns[map[i]] = rel->scan.columns[i];
	}
	scan->scan.filter = dx_expr_renumber(p->plan, rel->scan.filter, map);
	return done(p, rel, dx_rel_seal(p->plan, scan), map, ret);
}

/* --- one input ----------------------------------------------------------------------------------------- */

static struct dsmx_sort_key *sort_keys(struct prune *p, const struct dsmx_sort_key *keys,
                                       uint32_t count, const uint32_t *map)
{
	struct dsmx_sort_key *copy = dx_plan_copy(p->plan, keys, count, sizeof(keys[0]));

	for (uint32_t i = 0; copy != NULL && i < count; i++)
		copy[i].column = map[keys[i].column];
	return copy;
}

/* A filter, sort, limit or exchange: the columns of the input go through. */
static bool prune_passing(struct prune *p, const struct dsmx_rel *rel, const bool *need,
                          struct pruned *ret)
{
	uint32_t count = rel->schema.field_count;
	bool *used = marks(p, count, need);
	struct dsmx_rel *copy = dx_plan_copy(p->plan, rel, 1, sizeof(*rel));
	struct pruned input;

	if (used == NULL || copy == NULL)
		return false;
	dx_expr_columns(rel->kind == DX_REL_FILTER ? rel->condition : NULL, used);
	for (uint32_t i = 0; rel->kind == DX_REL_SORT && i < rel->sort.key_count; i++)
		used[rel->sort.keys[i].column] = true;
	for (uint32_t i = 0; rel->kind == DX_REL_EXCHANGE && i < rel->exchange.key_count; i++)
		used[rel->exchange.keys[i]] = true;
	for (uint32_t i = 0; rel->kind == DX_REL_EXCHANGE && i < rel->exchange.order_count; i++)
		used[rel->exchange.order[i].column] = true;
	if (!prune(p, rel->inputs[0], used, &input) ||
	    (rel->kind == DX_REL_EXCHANGE && !narrow(p, used, count, &input)))
		return false;
	copy->inputs[0] = input.rel;
	copy->schema = input.rel->schema;
	if (rel->kind == DX_REL_FILTER) {
		copy->condition = dx_expr_renumber(p->plan, rel->condition, input.map);
	} else if (rel->kind == DX_REL_SORT) {
		copy->sort.keys = sort_keys(p, rel->sort.keys, rel->sort.key_count, input.map);
	} else if (rel->kind == DX_REL_EXCHANGE) {
		copy->exchange.keys =
			dx_plan_alloc(p->plan, rel->exchange.key_count, sizeof(uint32_t));
		for (uint32_t i = 0; copy->exchange.keys != NULL && i < rel->exchange.key_count;
		     i++)
			copy->exchange.keys[i] = input.map[rel->exchange.keys[i]];
		copy->exchange.order =
			sort_keys(p, rel->exchange.order, rel->exchange.order_count, input.map);
	}
	if (dx_plan_failed(p->plan))
		return false;
	*ret = (struct pruned){ dx_rel_seal(p->plan, copy), input.map };
	return ret->rel != NULL;
}

/* Does a project of @exprs put out its input as it is? */
static bool changes_nothing(const struct dsmx_rel *project, const struct dsmx_rel *input)
{
	if (project->schema.field_count != input->schema.field_count)
		return false;
	for (uint32_t i = 0; i < project->schema.field_count; i++) {
		if (project->exprs[i]->kind != DX_EXPR_COLUMN || project->exprs[i]->column != i ||
		    strcmp(project->schema.fields[i].name, input->schema.fields[i].name) != 0)
			return false;
	}
	return true;
}

static bool prune_project(struct prune *p, const struct dsmx_rel *rel, const bool *need,
                          struct pruned *ret)
{
	uint32_t count = rel->schema.field_count, in_count = rel->inputs[0]->schema.field_count;
	bool *keep = marks(p, count, need), *used = marks(p, in_count, NULL);
	struct dsmx_rel *copy = dx_plan_copy(p->plan, rel, 1, sizeof(*rel));
	uint32_t *map = scratch(p, count, sizeof(uint32_t)), kept;
	struct pruned input;

	if (keep == NULL || used == NULL || copy == NULL || map == NULL)
		return false;
	if (memchr(keep, true, count) == NULL)
		keep[0] = true;
	kept = map_of(keep, count, map);
	for (uint32_t i = 0; i < count; i++)
		dx_expr_columns(keep[i] ? rel->exprs[i] : NULL, used);
	if (!prune(p, rel->inputs[0], used, &input))
		return false;
	copy->inputs[0] = input.rel;
	copy->exprs = dx_plan_alloc(p->plan, kept, sizeof(struct dsmx_expr *));
	narrow_schema(p, rel, map, kept, copy);
	if (dx_plan_failed(p->plan))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (keep[i])
			copy->exprs[map[i]] = dx_expr_renumber(p->plan, rel->exprs[i], input.map);
	}
	if (dx_plan_failed(p->plan))
		return false;
	if (changes_nothing(copy, input.rel)) {
		*ret = (struct pruned){ input.rel, map };
		return true;
	}
	return done(p, rel, dx_rel_seal(p->plan, copy), map, ret);
}

/* --- aggregates ---------------------------------------------------------------------------------------- */

/* The states between two phases stand in fixed places: a FINAL needs all, and a PARTIAL gives all. */
static bool prune_final(struct prune *p, const struct dsmx_rel *rel, struct pruned *ret)
{
	uint32_t count = rel->inputs[0]->schema.field_count;
	bool *used = all_marked(p, count), *keep = all_marked(p, rel->schema.field_count);
	uint32_t *map = scratch(p, rel->schema.field_count, sizeof(uint32_t));
	struct pruned input;

	if (used == NULL || keep == NULL || map == NULL ||
	    !prune(p, rel->inputs[0], used, &input) || !narrow(p, used, count, &input))
		return false;
	(void)map_of(keep, rel->schema.field_count, map);
	return done(p, rel, dx_rel_over(p->plan, rel, &input.rel), map, ret);
}

static bool prune_aggregate(struct prune *p, const struct dsmx_rel *rel, const bool *need,
                            struct pruned *ret)
{
	const struct dx_aggregate *agg = &rel->aggregate;
	bool partial = agg->phase == DX_PHASE_PARTIAL;
	uint32_t count = rel->schema.field_count, in_count = rel->inputs[0]->schema.field_count;
	struct dsmx_measure *measures = scratch(p, agg->measure_count, sizeof(measures[0]));
	struct dsmx_expr **keys = scratch(p, agg->key_count, sizeof(keys[0]));
	bool *keep = partial ? all_marked(p, count) : marks(p, count, need);
	bool *used = marks(p, in_count, NULL);
	uint32_t *map = scratch(p, count, sizeof(uint32_t)), kept = 0;
	struct dsmx_rel *copy;
	struct pruned input;

	if (dx_plan_failed(p->plan))
		return false;
	memset(keep, true, agg->key_count * sizeof(bool));
	if (memchr(keep, true, count) == NULL)
		keep[0] = true;
	(void)map_of(keep, count, map);
	for (uint32_t i = 0; i < agg->key_count; i++)
		dx_expr_columns(agg->keys[i], used);
	for (uint32_t i = 0; i < agg->measure_count; i++) {
		if (partial || keep[agg->key_count + i])
			dx_expr_columns(agg->measures[i].arg, used);
	}
	if (!prune(p, rel->inputs[0], used, &input))
		return false;
	for (uint32_t i = 0; i < agg->key_count; i++)
		keys[i] = dx_expr_renumber(p->plan, agg->keys[i], input.map);
	for (uint32_t i = 0; i < agg->measure_count; i++) {
		const struct dx_measure *m = &agg->measures[i];

		if (!partial && !keep[agg->key_count + i])
			continue;
		measures[kept++] = (struct dsmx_measure){
			.function = m->function,
			.arg = dx_expr_renumber(p->plan, m->arg, input.map),
			.name = "",
		};
	}
	copy = dsmx_rel_aggregate(p->plan, input.rel, keys, agg->key_count, measures, kept);
	if (copy != NULL && partial)
		copy = dx_rel_partial(p->plan, copy, input.rel);
	return done(p, rel, copy, map, ret);
}

/* --- two inputs ---------------------------------------------------------------------------------------- */

static void map_keys(const uint32_t *keys, uint32_t count, const uint32_t *map, uint32_t *ret_keys)
{
	for (uint32_t i = 0; i < count; i++)
		ret_keys[i] = map[keys[i]];
}

static bool prune_join(struct prune *p, const struct dsmx_rel *rel, const bool *need,
                       struct pruned *ret)
{
	const struct dx_join *join = &rel->join;
	uint32_t l = rel->inputs[0]->schema.field_count, r = rel->inputs[1]->schema.field_count;
	bool *used = marks(p, l + r, NULL);
	uint32_t *pair = scratch(p, (size_t)l + r, sizeof(uint32_t));
	uint32_t *left_keys = scratch(p, join->key_count, sizeof(uint32_t));
	uint32_t *right_keys = scratch(p, join->key_count, sizeof(uint32_t));
	struct pruned left, right;
	struct dsmx_rel *copy;

	if (dx_plan_failed(p->plan))
		return false;
	memcpy(used, need, rel->schema.field_count * sizeof(bool));
	dx_expr_columns(join->condition, used);
	for (uint32_t i = 0; i < join->key_count; i++)
		used[join->left_keys[i]] = used[l + join->right_keys[i]] = true;
	if (!prune(p, rel->inputs[0], used, &left) || !narrow(p, used, l, &left) ||
	    !prune(p, rel->inputs[1], used + l, &right) || !narrow(p, used + l, r, &right))
		return false;
	map_keys(join->left_keys, join->key_count, left.map, left_keys);
	map_keys(join->right_keys, join->key_count, right.map, right_keys);
	for (uint32_t i = 0; i < l + r; i++) {
		uint32_t column = i < l ? left.map[i] : right.map[i - l];
		uint32_t first = i < l ? 0 : left.rel->schema.field_count;

		pair[i] = column == DX_COLUMN_GONE ? DX_COLUMN_GONE : first + column;
	}
	copy = dsmx_rel_join(p->plan, join->kind, left.rel, right.rel, left_keys, right_keys,
	                     join->key_count, dx_expr_renumber(p->plan, join->condition, pair));
	if (copy != NULL) {
		copy->join.joinscan = join->joinscan;
		copy->join.unfiltered = join->unfiltered;
	}
	return done(p, rel, copy, pair, ret);
}

/* Leaves and extensions: what they put out, and what extensions take in, is fixed. */
static bool prune_fixed(struct prune *p, const struct dsmx_rel *rel, struct pruned *ret)
{
	struct dsmx_rel *inputs[DSMX_OPERATOR_INPUTS] = { 0 };
	uint32_t *map = scratch(p, rel->schema.field_count, sizeof(uint32_t));

	for (uint32_t i = 0; i < rel->input_count; i++) {
		uint32_t count = rel->inputs[i]->schema.field_count;
		bool *used = all_marked(p, count);
		struct pruned input;

		if (used == NULL || !prune(p, rel->inputs[i], used, &input) ||
		    !narrow(p, used, count, &input))
			return false;
		inputs[i] = input.rel;
	}
	for (uint32_t i = 0; map != NULL && i < rel->schema.field_count; i++)
		map[i] = i;
	if (dx_plan_failed(p->plan))
		return false;
	*ret = (struct pruned){ dx_rel_over(p->plan, rel, inputs), map };
	return ret->rel != NULL;
}

static bool prune(struct prune *p, struct dsmx_rel *rel, const bool *need, struct pruned *ret)
{
	if (dx_plan_failed(p->plan))
		return false;
	switch (rel->kind) {
	case DX_REL_SCAN:
		return prune_scan(p, rel, need, ret);
	case DX_REL_FILTER:
	case DX_REL_SORT:
	case DX_REL_LIMIT:
	case DX_REL_EXCHANGE:
		return prune_passing(p, rel, need, ret);
	case DX_REL_PROJECT:
		return prune_project(p, rel, need, ret);
	case DX_REL_AGGREGATE:
		if (rel->aggregate.phase == DX_PHASE_FINAL)
			return prune_final(p, rel, ret);
		return prune_aggregate(p, rel, need, ret);
	case DX_REL_JOIN:
		return prune_join(p, rel, need, ret);
	default:
		return prune_fixed(p, rel, ret);
	}
}

struct dsmx_rel *dx_plan_prune(struct dsmx_plan *plan, struct dsmx_rel *root)
{
	struct prune p = { .plan = plan };
	bool *need = all_marked(&p, root->schema.field_count);
	struct pruned pruned = { 0 };

	if (need != NULL)
		(void)prune(&p, root, need, &pruned);
	dx_arena_free(&p.scratch);
	return dx_plan_failed(plan) ? NULL : pruned.rel;
}
