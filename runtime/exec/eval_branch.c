/* SPDX-License-Identifier: MIT */
/*
 * eval_branch.c - CASE, COALESCE, AND, OR: operands that only some rows take
 *
 * Each keeps a list of the rows that are still open: where they stand in the step's own result, and which
 * rows of the batch they are. An operand is a block that runs over those rows as its frame; its dense result
 * is put back at their places, and the rows that it has settled leave the list.
 *
 *	CASE		a condition runs over the open rows; those where it is true take its result and leave
 *	COALESCE	rows that have a value leave
 *	AND, OR		rows that are false (true) leave. An operand that cannot fail may also run over all rows
 *			while most are open: that is cheaper than a list, and settled rows do not change
 */
#include <stdlib.h>

#include "exec/decimal.h"
#include "exec/program.h"

/* Open rows; @all: every row of the frame, and the arrays are not filled. */
struct open_rows {
	bool all;
	uint32_t count;
	uint32_t *places; /* in the step's result */
	uint32_t *rows;   /* of the batch */
};

struct branches {
	struct dx_block *blocks;
	bool *can_fail; /* for each block */
	uint32_t count;
	bool is_or;
	struct open_rows open;
	struct open_rows taken; /* of CASE: those that take the result at hand */
};

static void free_branches(void *state)
{
	struct branches *branches = state;

	for (uint32_t i = 0; branches->blocks != NULL && i < branches->count; i++)
		free(branches->blocks[i].steps);
	free(branches->blocks);
	free(branches->can_fail);
	free(branches);
}

/* --- lists of rows ----------------------------------------------------------------------------------- */

static uint32_t row_of(const struct dsmx_batch *batch, uint32_t place)
{
	return batch->selection != NULL ? batch->selection[place] : place;
}

/* The rows @from as a frame of the batch. */
static struct dsmx_batch frame_of(const struct dx_eval *eval, const struct open_rows *from)
{
	struct dsmx_batch frame = *eval->frame;

	if (!from->all) {
		frame.selection = from->rows;
		frame.selected = from->count;
	}
	return frame;
}

/*
 * Those of @from for which test[k], k counting @from's rows, is 1; may be @from itself. Branch-free: a row
 * is always written, and kept by moving on.
 */
static void keep_rows(const struct dx_eval *eval, const struct open_rows *from, const uint8_t *test,
                      struct open_rows *to)
{
	uint32_t count = 0;

	for (uint32_t k = 0; k < from->count; k++) {
		uint32_t place = from->all ? k : from->places[k];

		to->rows[count] = from->all ? row_of(eval->frame, k) : from->rows[k];
		to->places[count] = place;
		count += test[k];
	}
	to->all = from->all && count == from->count;
	to->count = count;
}

#define PUT(type)                                                                                  \
	do {                                                                                       \
		const type *in_ = from->values;                                                    \
		type *out_ = step->values_room;                                                    \
		for (uint32_t k = 0; k < rows->count; k++)                                         \
			out_[rows->all ? k : rows->places[k]] = in_[from->constant ? 0 : k];       \
	} while (0)

/* The result of a block over @rows into the step's own. */
static void put_result(struct dx_step *step, const struct dx_step *from,
                       const struct open_rows *rows)
{
	switch (dx_phys_width(step->phys)) {
	case 1:
		PUT(uint8_t);
		break;
	case 2:
		PUT(uint16_t);
		break;
	case 4:
		PUT(uint32_t);
		break;
	case 8:
		PUT(uint64_t);
		break;
	default:
		PUT(struct dx_words);
		break;
	}
	if (from->valid == NULL)
		return; /* the step's bytes say "value" from the start */
	step->valid = step->valid_room;
	for (uint32_t k = 0; k < rows->count; k++)
		step->valid_room[rows->all ? k : rows->places[k]] =
			from->valid[from->constant ? 0 : k];
}

static void open_all(struct dx_eval *eval, struct dx_step *step, struct open_rows *open)
{
	open->all = true;
	open->count = eval->rows;
	step->valid = NULL;
	memset(step->valid_room, 1, eval->rows);
}

/* --- CASE and COALESCE ------------------------------------------------------------------------------- */

static int run_branch(struct dx_eval *eval, struct dx_step *step, const struct dx_block *block,
                      const struct open_rows *rows)
{
	struct dsmx_batch frame = frame_of(eval, rows);
	int err;

	if (rows->count == 0)
		return 0;
	err = dx_block_run(eval, block, &frame);
	if (err == 0)
		put_result(step, block->result, rows);
	return err;
}

static int run_case(struct dx_eval *eval, struct dx_step *step)
{
	struct branches *branches = step->state;
	struct open_rows *open = &branches->open;
	uint8_t test[DX_VECTOR_ROWS];
	int err;

	open_all(eval, step, open);
	for (uint32_t i = 0; i + 1 < branches->count && open->count > 0; i += 2) {
		const struct dx_step *when = branches->blocks[i].result;
		struct dsmx_batch frame = frame_of(eval, open);
		const uint8_t *is;

		err = dx_block_run(eval, &branches->blocks[i], &frame);
		if (err < 0)
			return err;
		is = when->values;
		for (uint32_t k = 0; k < open->count; k++)
			test[k] = is[k] & (when->valid == NULL || when->valid[k]);
		keep_rows(eval, open, test, &branches->taken);
		err = run_branch(eval, step, &branches->blocks[i + 1], &branches->taken);
		if (err < 0)
			return err;
		for (uint32_t k = 0; k < open->count; k++)
			test[k] ^= 1;
		keep_rows(eval, open, test, open);
	}
	return run_branch(eval, step, &branches->blocks[branches->count - 1], open);
}

static int run_coalesce(struct dx_eval *eval, struct dx_step *step)
{
	struct branches *branches = step->state;
	struct open_rows *open = &branches->open;
	uint8_t test[DX_VECTOR_ROWS];

	open_all(eval, step, open);
	for (uint32_t i = 0; i < branches->count; i++) {
		const struct dx_step *value = branches->blocks[i].result;
		int err = run_branch(eval, step, &branches->blocks[i], open);

		if (err < 0)
			return err;
		if (open->count == 0 || value->valid == NULL) {
			/* No row is left without a value. What a block before wrote as null is
			 * overwritten, but its bytes are not. */
			for (uint32_t k = 0; k < open->count; k++)
				step->valid_room[open->all ? k : open->places[k]] = 1;
			return 0;
		}
		for (uint32_t k = 0; k < open->count; k++)
			test[k] = value->valid[value->constant ? 0 : k] ^ 1;
		keep_rows(eval, open, test, open);
	}
	return 0;
}

/* --- AND and OR -------------------------------------------------------------------------------------- */

/*
 * Join an operand's rows to the result. With t and f for true and false, both 0 for null:
 * AND is t = ta & tb, f = fa | fb; OR is the same with t and f swapped.
 */
static void join_rows(struct dx_step *step, const struct dx_step *operand,
                      const struct open_rows *rows, bool is_or)
{
	const uint8_t *value = operand->values, *valid = operand->valid;
	uint8_t *out = step->values_room, *out_valid = step->valid_room;

	if (rows->all && valid == NULL && step->valid == NULL) {
		for (uint32_t k = 0; k < rows->count; k++)
			out[k] = is_or ? out[k] | value[k] : out[k] & value[k];
		return;
	}
	step->valid = step->valid_room;
	for (uint32_t k = 0; k < rows->count; k++) {
		uint32_t i = rows->all ? k : rows->places[k];
		uint8_t known = valid == NULL ? 1 : valid[k], a = out[i] & out_valid[i];
		uint8_t not_a = (out[i] ^ 1) & out_valid[i], b = value[k] & known;
		uint8_t not_b = (value[k] ^ 1) & known;

		out[i] = is_or ? a | b : a & b;
		out_valid[i] = out[i] | (is_or ? not_a & not_b : not_a | not_b);
	}
}

/* Which rows are neither false (AND) nor true (OR)? */
static void find_open(struct dx_eval *eval, const struct dx_step *step, bool is_or,
                      struct open_rows *open)
{
	const uint8_t *value = step->values_room, *valid = step->valid_room;
	uint8_t test[DX_VECTOR_ROWS];

	for (uint32_t k = 0; k < eval->rows; k++)
		test[k] = (uint8_t)((value[k] ^ is_or) | (valid[k] ^ 1));
	open->all = true;
	open->count = eval->rows;
	keep_rows(eval, open, test, open);
}

static int run_and_or(struct dx_eval *eval, struct dx_step *step)
{
	struct branches *branches = step->state;
	struct open_rows *open = &branches->open;
	bool is_or = branches->is_or;

	open_all(eval, step, open);
	memset(step->values_room, !is_or, eval->rows);
	for (uint32_t i = 0; i < branches->count; i++) {
		struct dsmx_batch frame;
		int err;

		if (i > 0)
			find_open(eval, step, is_or, open);
		if (open->count == 0)
			break;
		if (!branches->can_fail[i] && open->count > eval->rows / 2) {
			open->all = true;
			open->count = eval->rows;
		}
		frame = frame_of(eval, open);
		err = dx_block_run(eval, &branches->blocks[i], &frame);
		if (err < 0)
			return err;
		join_rows(step, branches->blocks[i].result, open, is_or);
	}
	return 0;
}

/* --- compiling --------------------------------------------------------------------------------------- */

/* Each operand into a block; all are to be of @type (or bool, for the conditions of a CASE). */
static int compile_blocks(struct dx_eval *eval, const struct dsmx_expr *expr, bool fill,
                          struct branches *branches)
{
	for (uint32_t i = 0; i < expr->arg_count; i++) {
		bool is_condition =
			expr->kind == DX_EXPR_CASE && i % 2 == 0 && i + 1 < expr->arg_count;
		struct dx_block *block = &branches->blocks[i], *outer = eval->block;
		int err = dx_compile_block(eval, expr->args[i], block);

		if (err == 0 && (fill || is_condition)) {
			eval->block = block;
			err = dx_fill(eval, block->result, &block->result);
			eval->block = outer;
		}
		if (err < 0)
			return err;
		if (is_condition ? block->result->phys != DX_PHYS_BOOL
		                 : !dsmx_type_equal(block->result->type, expr->type))
			return dx_error(eval->err, -EINVAL,
			                "operand %u of CASE, COALESCE, AND or OR is of another "
			                "type",
			                i);
		branches->can_fail[i] = dx_can_fail(expr->args[i]);
		dx_rooms_give(eval, block->result);
	}
	return 0;
}

static int take_lists(struct dx_eval *eval, struct branches *branches, bool has_taken)
{
	void *rooms[4] = { NULL };
	int err = 0;

	for (int i = 0; err == 0 && i < (has_taken ? 4 : 2); i++)
		err = dx_room_take(eval, sizeof(uint32_t), &rooms[i]);
	branches->open.places = rooms[0];
	branches->open.rows = rooms[1];
	branches->taken.places = rooms[2];
	branches->taken.rows = rooms[3];
	return err;
}

static void give_lists(struct dx_eval *eval, const struct branches *branches)
{
	dx_room_give(eval, branches->open.places);
	dx_room_give(eval, branches->open.rows);
	dx_room_give(eval, branches->taken.places);
	dx_room_give(eval, branches->taken.rows);
}

static int compile_branches(struct dx_eval *eval, const struct dsmx_expr *expr, dx_step_run *run,
                            struct dx_step **ret_step)
{
	struct dx_step like = { .run = run, .type = expr->type, .free_state = free_branches };
	struct branches *branches = calloc(1, sizeof(*branches));
	bool fill = run == run_and_or;
	int err;

	if (branches == NULL)
		return -ENOMEM;
	branches->is_or = expr->kind == DX_EXPR_CALL && expr->function == DSMX_FN_OR;
	branches->count = expr->arg_count;
	branches->blocks = calloc(expr->arg_count, sizeof(*branches->blocks));
	branches->can_fail = calloc(expr->arg_count, sizeof(*branches->can_fail));
	if (branches->blocks == NULL || branches->can_fail == NULL) {
		free_branches(branches);
		return -ENOMEM;
	}
	/* The result and the lists are in use while the blocks run: their rooms come before the blocks'. */
	like.state = branches;
	like.phys = dx_phys_of(expr->type);
	err = dx_rooms_take(eval, &like);
	if (err == 0)
		err = take_lists(eval, branches, run == run_case);
	if (err == 0)
		err = compile_blocks(eval, expr, fill, branches);
	give_lists(eval, branches);
	if (err < 0) {
		free_branches(branches);
		return err;
	}
	return dx_add(eval, &like, ret_step);
}

int dx_compile_and_or(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **ret_step)
{
	if (expr->type.id != DSMX_BOOL)
		return dx_error(eval->err, -EINVAL, "AND or OR that is no bool");
	return compile_branches(eval, expr, run_and_or, ret_step);
}

int dx_compile_case(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **ret_step)
{
	if (expr->arg_count % 2 == 0)
		return dx_error(eval->err, -EINVAL, "CASE with %u operands", expr->arg_count);
	return compile_branches(eval, expr, run_case, ret_step);
}

int dx_compile_coalesce(struct dx_eval *eval, const struct dsmx_expr *expr,
                        struct dx_step **ret_step)
{
	return compile_branches(eval, expr, run_coalesce, ret_step);
}
