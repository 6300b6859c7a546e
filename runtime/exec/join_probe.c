/* SPDX-License-Identifier: MIT */
#include "exec/join.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static bool gives_right(const struct dx_join_probe *probe)
{
	enum dsmx_join_kind kind = probe->op->join->kind;

	return kind == DSMX_JOIN_INNER || kind == DSMX_JOIN_LEFT;
}

static uint32_t left_columns(const struct dx_join_probe *probe)
{
	return probe->op->base.inputs[0]->schema.field_count;
}

/* --- life ---------------------------------------------------------------------------------------------- */

static int init_memory(struct dx_join_probe *probe)
{
	const struct dsmx_schema *left = &probe->op->base.inputs[0]->schema;
	const struct dsmx_schema *right = &probe->op->base.inputs[1]->schema;
	size_t columns = (size_t)left->field_count + right->field_count;
	uint32_t **rows[] = { &probe->numbers, &probe->places, &probe->left_rows,
		              &probe->right_rows, &probe->selection };
	int err;

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		*rows[i] = calloc(DX_VECTOR_ROWS, sizeof(**rows[i]));
		if (*rows[i] == NULL)
			return -ENOMEM;
	}
	probe->matched = calloc(DX_VECTOR_ROWS, 1);
	probe->columns = calloc(columns > 0 ? columns : 1, sizeof(*probe->columns));
	if (probe->matched == NULL || probe->columns == NULL)
		return -ENOMEM;
	err = dx_take_new(left, DX_VECTOR_ROWS, &probe->take_left);
	if (err == 0)
		err = dx_take_new(right, DX_VECTOR_ROWS, &probe->take_right);
	if (err == 0)
		err = dx_window_new(left, &probe->window);
	return err;
}

static int init_keys(struct dx_join_probe *probe)
{
	const struct dsmx_schema *left = &probe->op->base.inputs[0]->schema;
	const struct dx_join *join = probe->op->join;
	struct dsmx_type *types = calloc(join->key_count > 0 ? join->key_count : 1, sizeof(*types));
	int err;

	if (types == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < join->key_count; i++)
		types[i] = left->fields[join->left_keys[i]].type;
	err = dx_keys_init(&probe->keys, types, probe->op->wide, join->key_count);
	free(types);
	if (err == 0)
		err = dx_join_side_init(&probe->side, left, join->left_keys, join->key_count);
	return err;
}

int dx_join_probe_init(struct dx_join_probe *probe, const struct dx_join_operator *op,
                       struct dsmx_error *err)
{
	int ret;

	*probe = (struct dx_join_probe){ .op = op };
	ret = init_memory(probe);
	if (ret == 0)
		ret = init_keys(probe);
	if (ret == 0 && op->join->condition != NULL)
		ret = dx_eval_new(op->join->condition, &probe->condition, err);
	return ret;
}

void dx_join_probe_fini(struct dx_join_probe *probe)
{
	dx_join_side_fini(&probe->side);
	dx_keys_fini(&probe->keys);
	dx_window_free(probe->window);
	dx_eval_free(probe->condition);
	dx_take_free(probe->take_left);
	dx_take_free(probe->take_right);
	free(probe->numbers);
	free(probe->places);
	free(probe->left_rows);
	free(probe->right_rows);
	free(probe->selection);
	free(probe->matched);
	free(probe->columns);
	*probe = (struct dx_join_probe){ 0 };
}

void dx_join_probe_start(struct dx_join_probe *probe, const struct dx_join_index *index,
                         const struct dsmx_batch *built)
{
	probe->index = index;
	probe->built = *built;
}

void dx_join_probe_batch(struct dx_join_probe *probe, const struct dsmx_batch *batch)
{
	dx_window_set(probe->window, batch);
	probe->in_part = false;
}

/* --- the part as it is --------------------------------------------------------------------------------- */

static inline uint32_t row_at(const struct dx_join_probe *probe, uint32_t place)
{
	return probe->part.selection != NULL ? probe->part.selection[place] : place;
}

/* The part's rows listed in probe->selection, or all of them. */
static int give_left(struct dx_join_probe *probe, uint32_t count, struct dsmx_batch *ret_batch)
{
	if (count == 0)
		return 0;
	*ret_batch = probe->part;
	if (count < probe->part.selected) {
		ret_batch->selection = probe->selection;
		ret_batch->selected = count;
	}
	return 1;
}

/* Semi and anti join without a condition: a row passes or not. */
static int give_existing(struct dx_join_probe *probe, struct dsmx_batch *ret_batch)
{
	bool wanted = probe->op->join->kind == DSMX_JOIN_SEMI;
	uint32_t count = 0;

	for (uint32_t i = 0; i < probe->part.selected; i++) {
		probe->selection[count] = row_at(probe, i);
		count += (probe->numbers[i] != DX_TABLE_NONE) == wanted;
	}
	return give_left(probe, count, ret_batch);
}

/* Inner and left join, one build row at the most: the right columns are written beside the rows. */
static int give_beside(struct dx_join_probe *probe, struct dsmx_batch *ret_batch)
{
	const uint32_t *list = probe->index->list, *numbers = probe->numbers;
	bool inner = probe->op->join->kind == DSMX_JOIN_INNER;
	uint32_t count = 0, left = left_columns(probe);
	bool dense;
	int ret;

	for (uint32_t i = 0; i < probe->part.selected; i++) {
		uint32_t number = numbers[i];

		probe->selection[count] = row_at(probe, i);
		probe->right_rows[count] = number;
		count += !inner || number != DX_TABLE_NONE;
	}
	if (list != NULL)
		for (uint32_t i = 0; i < count; i++)
			if (inner || probe->right_rows[i] != DX_TABLE_NONE)
				probe->right_rows[i] = list[probe->right_rows[i]];
	ret = give_left(probe, count, ret_batch);
	if (ret == 0)
		return 0;
	dense = ret_batch->selection == NULL;
	memcpy(probe->columns, probe->part.columns, left * sizeof(*probe->columns));
	dx_take_run(probe->take_right, probe->built.columns, probe->built.length, probe->right_rows,
	            dense ? NULL : probe->selection, count, NULL, probe->columns + left);
	ret_batch->columns = probe->columns;
	ret_batch->column_count = probe->op->base.schema.field_count;
	ret_batch->lease = NULL; /* the right columns are not under it */
	return 1;
}

/* --- pairs --------------------------------------------------------------------------------------------- */

static inline void add_pair(struct dx_join_probe *probe, uint32_t place, uint32_t right_row)
{
	probe->places[probe->pair_count] = place;
	probe->left_rows[probe->pair_count] = row_at(probe, place);
	probe->right_rows[probe->pair_count] = right_row;
	probe->pair_count++;
}

/* Lists the next pairs, at most a vector of them. @with_none: and rows that have none, with none. */
static void list_pairs(struct dx_join_probe *probe, bool with_none)
{
	const struct dx_join_index *index = probe->index;

	probe->pair_count = 0;
	while (probe->place < probe->part.selected && probe->pair_count < DX_VECTOR_ROWS) {
		uint32_t number = probe->numbers[probe->place], first, end;

		if (number == DX_TABLE_NONE) {
			if (with_none)
				add_pair(probe, probe->place, DX_TAKE_NONE);
			probe->place++;
			continue;
		}
		dx_join_index_rows(index, number, &first, &end);
		if (!probe->in_run)
			probe->at = first;
		while (probe->at < end && probe->pair_count < DX_VECTOR_ROWS)
			add_pair(probe, probe->place, dx_join_index_row(index, probe->at++));
		probe->in_run = probe->at < end;
		probe->place += !probe->in_run;
	}
}

/* The listed pairs as a batch of both sides' columns, or of those that the condition uses. */
static void make_pairs(struct dx_join_probe *probe, const bool *only, struct dsmx_batch *ret_batch)
{
	uint32_t left = left_columns(probe);
	uint32_t right = probe->op->base.inputs[1]->schema.field_count;

	dx_take_run(probe->take_left, probe->part.columns, probe->part.length, probe->left_rows,
	            NULL, probe->pair_count, only, probe->columns);
	dx_take_run(probe->take_right, probe->built.columns, probe->built.length, probe->right_rows,
	            NULL, probe->pair_count, only != NULL ? only + left : NULL,
	            probe->columns + left);
	*ret_batch = (struct dsmx_batch){
		.length = probe->pair_count,
		.selected = probe->pair_count,
		.column_count = left + right,
		.columns = probe->columns,
	};
}

/* The pairs that satisfy the condition: marks their left rows. Returns how many, or -errno. */
static int test_pairs(struct dx_join_probe *probe, const struct dsmx_batch *pairs,
                      struct dsmx_error *err)
{
	uint32_t count;
	int ret = dx_eval_select(probe->condition, pairs, probe->selection, &count, err);

	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < count; i++)
		probe->matched[probe->places[probe->selection[i]]] = 1;
	return (int)count;
}

/* All pairs of the part were tested: what has none, or one, as the kind of join wants. */
static int give_marked(struct dx_join_probe *probe, struct dsmx_batch *ret_batch)
{
	bool wanted = probe->op->join->kind == DSMX_JOIN_SEMI;
	uint32_t count = 0;

	if (probe->op->join->kind == DSMX_JOIN_INNER)
		return 0;
	for (uint32_t i = 0; i < probe->part.selected; i++) {
		probe->selection[count] = row_at(probe, i);
		probe->left_rows[count] = probe->selection[count];
		probe->right_rows[count] = DX_TAKE_NONE;
		count += (probe->matched[i] != 0) == wanted;
	}
	if (!gives_right(probe))
		return give_left(probe, count, ret_batch);
	probe->pair_count = count;
	if (count > 0)
		make_pairs(probe, NULL, ret_batch);
	return count > 0;
}

static int give_pairs(struct dx_join_probe *probe, struct dsmx_batch *ret_batch,
                      struct dsmx_error *err)
{
	bool tests = probe->condition != NULL;
	bool exists = !gives_right(probe);
	int count;

	if (probe->place >= probe->part.selected) {
		probe->in_part = false;
		return tests ? give_marked(probe, ret_batch) : 0;
	}
	list_pairs(probe, probe->op->join->kind == DSMX_JOIN_LEFT && !tests);
	if (probe->pair_count == 0)
		return 0;
	make_pairs(probe, exists ? probe->op->condition_uses : NULL, ret_batch);
	if (!tests)
		return 1;
	count = test_pairs(probe, ret_batch, err);
	if (count <= 0 || exists)
		return count < 0 ? count : 0;
	if ((uint32_t)count < probe->pair_count) {
		ret_batch->selection = probe->selection;
		ret_batch->selected = (uint32_t)count;
	}
	return 1;
}

/* --- a step -------------------------------------------------------------------------------------------- */

static int fail(int code, struct dsmx_error *err)
{
	return dx_error(err, code, "a hash join cannot read the keys of its left input: %s",
	                dx_strerror(code));
}

static int next_part(struct dx_join_probe *probe, struct dsmx_batch *ret_batch,
                     struct dsmx_error *err)
{
	int ret;

	if (!dx_window_next(probe->window, &probe->part))
		return -ENODATA;
	ret = dx_join_side_run(&probe->side, &probe->part);
	if (ret == 0)
		ret = dx_join_index_find(probe->index, &probe->keys, probe->side.vectors,
		                         probe->part.selected, probe->numbers);
	if (ret < 0)
		return fail(ret, err);
	if (probe->condition == NULL && !gives_right(probe))
		return give_existing(probe, ret_batch);
	if (probe->condition == NULL && dx_join_index_is_unique(probe->index))
		return give_beside(probe, ret_batch);
	probe->in_part = true;
	probe->in_run = false;
	probe->place = 0;
	if (probe->condition != NULL)
		memset(probe->matched, 0, probe->part.selected);
	return 0;
}

int dx_join_probe_step(struct dx_join_probe *probe, struct dsmx_batch *ret_batch,
                       struct dsmx_error *err)
{
	if (probe->in_part)
		return give_pairs(probe, ret_batch, err);
	return next_part(probe, ret_batch, err);
}
