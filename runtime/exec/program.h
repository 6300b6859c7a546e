/* SPDX-License-Identifier: MIT */
/*
 * program.h - what an evaluator is made of; between the eval_*.c files only
 *
 * An expression becomes a list of steps, operands before those who use them. Running it means running each
 * step once over all rows, so a step costs one indirect call for a whole vector. A step writes its own
 * result; rooms for results are reused as soon as the step that read them has one of its own, as on a stack.
 *
 * Where rows must be left out (CASE, COALESCE, AND, OR: what was not asked for must raise no error) the
 * operand is a block of its own: a list of steps that its owner runs over fewer rows, the frame. Columns are
 * gathered for the frame, so inside a block everything is dense again.
 *
 * A constant step has one value, at place 0, and runs over one row. The kernels of arithmetic and
 * comparison take constants as they are; for all others dx_fill() spreads them.
 */
#ifndef DX_EXEC_PROGRAM_H
#define DX_EXEC_PROGRAM_H

#include "base/err.h"
#include "exec/eval.h"

struct dx_select;

/* How the values of a vector are stored. */
enum dx_phys {
	DX_PHYS_NONE,
	DX_PHYS_BOOL, /* a byte, 0 or 1 */
	DX_PHYS_I8,
	DX_PHYS_I16,
	DX_PHYS_I32, /* date32 too */
	DX_PHYS_I64, /* timestamps and decimals of up to 18 digits too */
	DX_PHYS_U8,
	DX_PHYS_U16,
	DX_PHYS_U32,
	DX_PHYS_U64,
	DX_PHYS_F32,
	DX_PHYS_F64,
	DX_PHYS_I128, /* wide decimals */
	DX_PHYS_TEXT, /* struct dx_text */
	DX_PHYS_COUNT
};

enum dx_phys dx_phys_of(struct dsmx_type type);
size_t dx_phys_width(enum dx_phys phys);

struct dx_eval;
struct dx_step;

/* Runs over eval->rows rows (constant steps: one). */
typedef int dx_step_run(struct dx_eval *eval, struct dx_step *step);

#define DX_A_CONSTANT 1U
#define DX_B_CONSTANT 2U

/*
 * An inner loop over @n values of one or two operands.
 *
 * @shape: which operands are one value for all rows; never both
 * @param: the step's
 *
 * Returns 0, or -ERANGE, -EDOM where any row, a null one perhaps, failed; that row's result is any.
 */
typedef int dx_loop(const void *a, const void *b, unsigned int shape, uint32_t n, void *out,
                    int64_t param);

struct dx_step {
	dx_step_run *run; /* NULL: the result stands since the step was made */
	struct dsmx_type type;
	enum dx_phys phys;
	bool constant;

	/* the result */
	const uint8_t *valid;
	const void *values;

	/* where it goes; NULL where the step has memory of its own */
	uint8_t *valid_room;
	void *values_room;
	bool held; /* a column: to the end of its block, for others who read it too */

	struct dx_step **args;
	uint32_t arg_count;
	dx_loop *loop;
	const char *what; /* for a sentence: "addition" */
	int64_t param;
	void *state; /* of the kind of step */
	void (*free_state)(void *state);
};

/* Steps that run over the same rows, and the one whose result is the block's. */
struct dx_block {
	struct dx_step **steps;
	uint32_t count, room;
	struct dx_step *result;
};

struct dx_room {
	void *memory;
	size_t width;
	bool taken;
};

struct dx_eval {
	struct dx_block root;
	struct dx_select *select; /* made by the first dx_eval_select() */
	const struct dsmx_expr *expr;
	bool plain_dictionaries; /* no step over dictionary entries: this is inside of one */

	/* while compiling */
	struct dx_block *block;
	struct dx_step **made; /* every step, to free them */
	uint32_t made_count, made_room;
	struct dx_room *rooms;
	uint32_t room_count, rooms_room;
	uint32_t dictionary_count; /* steps over dictionary entries */

	/* while running */
	const struct dsmx_batch *frame;
	uint32_t rows; /* frame->selected */
	struct dsmx_error *err;
};

/* --- compiling (eval_compile.c; steps and rooms: eval_step.c) ---------------------------------------- */

/* The steps of @expr, at the end of the current block. */
int dx_compile(struct dx_eval *eval, const struct dsmx_expr *expr,
               struct dx_step **ret_step) DX_MUST_CHECK;

/* The same in a block of its own; its result may be constant. */
int dx_compile_block(struct dx_eval *eval, const struct dsmx_expr *expr,
                     struct dx_block *block) DX_MUST_CHECK;

/*
 * Add a step like @like to the current block, with copies of its arguments; its state is the step's, also on
 * failure. A step whose arguments are all constant is constant.
 */
int dx_add(struct dx_eval *eval, const struct dx_step *like,
           struct dx_step **ret_step) DX_MUST_CHECK;

/* dx_add() for a strict function: it gets rooms for its result; its arguments' are free from here on. */
int dx_emit(struct dx_eval *eval, const struct dx_step *like,
            struct dx_step **ret_step) DX_MUST_CHECK;

/* A step with a result of @rows rows, zeros or nulls, in memory of its own: its state. One row: a constant. */
int dx_add_constant(struct dx_eval *eval, struct dsmx_type type, uint32_t rows, bool is_null,
                    struct dx_step **ret_step) DX_MUST_CHECK;

/* The null of @type, as a constant. */
int dx_compile_null(struct dx_eval *eval, struct dsmx_type type,
                    struct dx_step **ret_step) DX_MUST_CHECK;
bool dx_step_is_null(const struct dx_step *step);

/*
 * A room that a step needs beside its result, or before its operands are compiled: DX_VECTOR_ROWS times
 * @width bytes. So memory grows with an expression's depth, not with its size.
 */
int dx_room_take(struct dx_eval *eval, size_t width, void **ret_memory) DX_MUST_CHECK;
void dx_room_give(struct dx_eval *eval, const void *memory);
/* Both rooms of a result. */
int dx_rooms_take(struct dx_eval *eval, struct dx_step *step) DX_MUST_CHECK;
void dx_rooms_give(struct dx_eval *eval, const struct dx_step *step);

/* @step as a full vector: itself if it is one. */
int dx_fill(struct dx_eval *eval, struct dx_step *step, struct dx_step **ret_step) DX_MUST_CHECK;

/* Can an evaluation of @expr fail for some value of its columns? */
bool dx_can_fail(const struct dsmx_expr *expr);

/* Strict functions, arguments compiled already. In eval_arith.c, eval_compare.c, ... */
int dx_compile_arith(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **args,
                     struct dx_step **ret_step) DX_MUST_CHECK;
int dx_compile_compare(struct dx_eval *eval, enum dsmx_function function, struct dx_step *a,
                       struct dx_step *b, struct dx_step **ret_step) DX_MUST_CHECK;
int dx_compile_cast(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                    struct dx_step **ret_step) DX_MUST_CHECK;
/* A decimal to another width or scale where the type's precision holds by construction. */
int dx_compile_digits(struct dx_eval *eval, struct dx_step *arg, struct dsmx_type type,
                      struct dx_step **ret_step) DX_MUST_CHECK;
int dx_compile_text(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **args,
                    struct dx_step **ret_step) DX_MUST_CHECK;
int dx_compile_extract(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step *arg,
                       struct dx_step **ret_step) DX_MUST_CHECK;
int dx_compile_in(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step *arg,
                  struct dx_step **ret_step) DX_MUST_CHECK;

/* Those that decide for themselves which rows an operand sees (eval_branch.c). */
int dx_compile_and_or(struct dx_eval *eval, const struct dsmx_expr *expr,
                      struct dx_step **ret_step) DX_MUST_CHECK;
int dx_compile_case(struct dx_eval *eval, const struct dsmx_expr *expr,
                    struct dx_step **ret_step) DX_MUST_CHECK;
int dx_compile_coalesce(struct dx_eval *eval, const struct dsmx_expr *expr,
                        struct dx_step **ret_step) DX_MUST_CHECK;

/*
 * A step that evaluates @expr, over one text column, per dictionary entry where it can (eval_dictionary.c).
 *
 * Returns 1, or 0: @expr is not of that kind; or an error.
 */
int dx_compile_dictionary(struct dx_eval *eval, const struct dsmx_expr *expr,
                          struct dx_step **ret_step) DX_MUST_CHECK;

/*
 * dx_eval_new(); @plain_dictionaries: for the evaluation of dictionary entries themselves.
 */
int dx_eval_make(const struct dsmx_expr *expr, bool plain_dictionaries, struct dx_eval **ret_eval,
                 struct dsmx_error *err) DX_MUST_CHECK;

/* dx_gather_run() into rooms. */
int dx_gather_into(struct dsmx_type type, const struct dsmx_batch *batch, uint32_t column,
                   uint8_t *valid, void *values, struct dx_vector *ret_vector) DX_MUST_CHECK;

/* --- running (eval.c) --------------------------------------------------------------------------------- */

/* Run @block over the rows of @frame. */
int dx_block_run(struct dx_eval *eval, const struct dx_block *block,
                 const struct dsmx_batch *frame) DX_MUST_CHECK;

/* A strict step's nulls: where any operand is null. */
void dx_combine_valid(struct dx_step *step, uint32_t n);

/* A strict step around step->loop: nulls, and errors of rows that are null left out. */
dx_step_run dx_run_loop;

/* "value out of range: int32 addition", "division by zero: ..." */
int dx_step_error(struct dx_eval *eval, const struct dx_step *step, int code);

/* Rows that a strict kernel without a loop runs over. */
static inline uint32_t dx_step_rows(const struct dx_eval *eval, const struct dx_step *step)
{
	return step->constant ? 1 : eval->rows;
}

#endif /* DX_EXEC_PROGRAM_H */
