/* SPDX-License-Identifier: MIT */
/*
 * join.h - the state of a hash join, shared by its two halves: join.c builds, join_probe.c probes
 */
#ifndef DX_EXEC_JOIN_H
#define DX_EXEC_JOIN_H

#include "batch/builder.h"
#include "exec/build.h"
#include "exec/join_index.h"
#include "exec/take.h"

struct dx_join_operator {
	struct dsmx_operator base; /* inputs: left, right */
	const struct dx_join *join;
	bool *wide;                     /* for each key: a decimal that is wide on one side */
	bool *condition_uses;           /* for each column of a pair; NULL: no condition */
	struct dx_exec_env *env;        /* NULL: nobody to offer a filter to */
	struct dx_filter_target target; /* rel NULL: nobody has a use for it */
};

/*
 * One part of the probe side on its way through the index.
 *
 * A part whose rows have one build row each at the most is given out as it is: its columns stay, what it
 * matches becomes the selection, and the right columns are written beside the rows. Otherwise pairs are
 * listed, a vector at a time, until the part is done.
 */
struct dx_join_probe {
	const struct dx_join_operator *op;
	const struct dx_join_index *index;
	struct dsmx_batch built; /* the build rows */

	struct dx_join_side side;
	struct dx_keys keys;
	struct dx_window *window;
	struct dsmx_batch part;
	bool in_part;      /* pairs of it are still to be listed, or rows without one */
	uint32_t *numbers; /* of the part's keys, by place in its selection */
	uint8_t *matched;  /* a condition held for one of its pairs; by the same place */
	uint32_t place;    /* where listing goes on: in the part, */
	uint32_t at;       /* and among the build rows of its key, if it is there already */
	bool in_run;

	uint32_t pair_count;
	uint32_t *places, *left_rows, *right_rows;
	struct dx_eval *condition;
	uint32_t *selection; /* of what is given out */
	struct dx_take *take_left, *take_right;
	struct dsmx_column *columns;
};

int dx_join_probe_init(struct dx_join_probe *probe, const struct dx_join_operator *op,
                       struct dsmx_error *err) DX_MUST_CHECK;
void dx_join_probe_fini(struct dx_join_probe *probe);

/* The build side is complete. */
void dx_join_probe_start(struct dx_join_probe *probe, const struct dx_join_index *index,
                         const struct dsmx_batch *built);

/* Begin with a batch of the probe side. */
void dx_join_probe_batch(struct dx_join_probe *probe, const struct dsmx_batch *batch);

/*
 * About one vector of work. Returns 1: one batch, 0: none from this vector, -ENODATA: the probe side's batch
 * is done; else it failed.
 */
int dx_join_probe_step(struct dx_join_probe *probe, struct dsmx_batch *ret_batch,
                       struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_EXEC_JOIN_H */
