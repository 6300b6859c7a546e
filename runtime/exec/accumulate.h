/* SPDX-License-Identifier: MIT */
/*
 * accumulate.h - one running value for each group: a count, a sum, a least, a greatest
 *
 * Whether a sum has seen a value, and how many, follows from rows and nulls, which measures share: so a sum
 * writes one word for each value, and no more.
 *
 * States are columns by group number; an update runs over a vector of (group, value). Where there is no key
 * there is one group, and sums run over the vector alone.
 */
#ifndef DX_EXEC_ACCUMULATE_H
#define DX_EXEC_ACCUMULATE_H

#include "base/compiler.h"
#include "dsmx/batch.h"
#include "exec/eval.h"
#include "exec/stash.h"

enum dx_accumulate {
	DX_ACCUMULATE_ROWS,  /* rows */
	DX_ACCUMULATE_NULLS, /* rows whose value is null: free while there are none */
	DX_ACCUMULATE_SUM,
	DX_ACCUMULATE_MIN,
	DX_ACCUMULATE_MAX,
};

struct dx_accumulator {
	enum dx_accumulate kind;
	struct dsmx_type input;
	struct dsmx_type type; /* of the state: int64, float64, a decimal of 16 bytes, or @input */
	size_t width;          /* of a state */
	uint32_t groups;       /* that are there */
	uint32_t room;         /* for so many; NULLS: 0 before the first one */
	void *states;
	uint8_t *has; /* MIN and MAX: a byte for each group: has it seen a value? */
	size_t has_room;
	struct dx_stash stash; /* texts that are least or greatest */
};

/* Returns 0 or -EINVAL: no such sum. */
int dx_accumulator_init(struct dx_accumulator *acc, enum dx_accumulate kind, struct dsmx_type input,
                        struct dsmx_type type) DX_MUST_CHECK;
void dx_accumulator_fini(struct dx_accumulator *acc);

/* Bytes in use. */
size_t dx_accumulator_used(const struct dx_accumulator *acc);

/* Groups 0..@groups-1 have a state; new ones an empty one. */
int dx_accumulator_reserve(struct dx_accumulator *acc, uint32_t groups) DX_MUST_CHECK;

/* No groups; memory is kept. */
void dx_accumulator_clear(struct dx_accumulator *acc);

/*
 * Take in @count values.
 *
 * @groups: of each value; NULL: all belong to group 0
 * @vector: of the input type; not looked at by ROWS
 * Returns 0, -ENOMEM, or -ERANGE: a sum does not fit its state.
 */
int dx_accumulator_update(struct dx_accumulator *acc, const uint32_t *groups,
                          const struct dx_vector *vector, uint32_t count) DX_MUST_CHECK;

/*
 * States of groups @first.. @first + @count - 1 as a vector, at most DX_VECTOR_ROWS.
 *
 * @texts: room for as many texts, used if the state is one
 *
 * The values are NULL for NULLS that have not been seen.
 */
struct dx_vector dx_accumulator_states(const struct dx_accumulator *acc, uint32_t first,
                                       uint32_t count, struct dx_text *texts);

#endif /* DX_EXEC_ACCUMULATE_H */
