/* SPDX-License-Identifier: MIT */
/*
 * aggregate.h - the state of a hash aggregate, shared by its parts: aggregate.c is the operator and reads its
 * input, aggregate_plan.c says which values accumulate what, aggregate_result.c makes rows of groups
 */
#ifndef DX_EXEC_AGGREGATE_H
#define DX_EXEC_AGGREGATE_H

#include "exec/accumulate.h"
#include "exec/build.h"
#include "exec/eval.h"
#include "exec/table.h"
#include "exec/window.h"

/* A vector that keys and accumulators read: a column of the input, or an expression over it. */
struct dx_aggregate_source {
	const struct dsmx_expr *expr; /* NULL: column @column */
	uint32_t column;
	struct dsmx_type type;
};

/* A running value. Measures whose arguments are the same share it: sum(x) and avg(x) add x once. */
struct dx_aggregate_state {
	enum dx_accumulate kind;
	uint32_t source; /* of the vector; any for DX_ACCUMULATE_ROWS */
	struct dsmx_type input;
	struct dsmx_type type;
};

/*
 * Which states a measure is made of. Over rows, what it counts is rows less nulls; over states, the sum of the
 * counts that came in.
 */
#define DX_AGGREGATE_NO_STATE UINT32_MAX

struct dx_aggregate_parts {
	uint32_t value;  /* sum, least or greatest; unused by counts over rows */
	uint32_t nulls;  /* of the argument: SUM, and over rows AVG and COUNT */
	uint32_t counts; /* over states, AVG and counts: their sum */
};

struct dx_aggregate_operator {
	struct dsmx_operator base;
	const struct dx_aggregate *aggregate;
	uint32_t source_count, state_count;
	struct dx_aggregate_source *sources; /* the keys first, as many as there are */
	struct dx_aggregate_state *states;   /* the first one counts rows */
	struct dx_aggregate_parts *parts;    /* of each measure */
	struct dsmx_type *key_types;
};

/* Fill @op, whose input is in place. Returns 0, -EINVAL, -EOPNOTSUPP, -ENOMEM. */
int dx_aggregate_plan(struct dx_aggregate_operator *op, struct dsmx_error *err) DX_MUST_CHECK;

/* The groups so far. */
struct dx_aggregate_groups {
	struct dx_keys keys;
	struct dx_table table;               /* unused without keys: there is group 0 alone */
	struct dx_accumulator *accumulators; /* one for each state */
	uint32_t count;
};

/* Rows of groups, a vector at a time. */
struct dx_aggregate_result {
	const struct dx_aggregate_operator *op;
	struct dx_gather **gathers; /* of each output column */
	struct dsmx_column *columns;
	uint8_t *valid;  /* of one column, while it is made */
	int64_t *counts; /* of one measure, likewise */
	void **values;   /* of each column that is not given out in place */
};

int dx_aggregate_result_init(struct dx_aggregate_result *result,
                             const struct dx_aggregate_operator *op) DX_MUST_CHECK;
void dx_aggregate_result_fini(struct dx_aggregate_result *result);

/*
 * Groups @first.. @first + @count - 1, at most DX_VECTOR_ROWS, as rows.
 *
 * Returns 0, -ERANGE (a sum of over 38 digits, texts of over 2 GiB), -ENOMEM, with the sentence in @err.
 */
int dx_aggregate_result_run(struct dx_aggregate_result *result,
                            const struct dx_aggregate_groups *groups, uint32_t first,
                            uint32_t count, struct dsmx_batch *ret_batch,
                            struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_EXEC_AGGREGATE_H */
