/* SPDX-License-Identifier: MIT */
/*
 * estimate.h - how many rows a relation may have: to choose what to broadcast, no more
 */
#ifndef DX_PLAN_ESTIMATE_H
#define DX_PLAN_ESTIMATE_H

#include "dsmx/ipc.h"
#include "plan/node.h"

/*
 * @rows: the guess
 * @base: the same with all conditions left out, so that rows / base is what the conditions leave over
 */
struct dx_estimate {
	double rows, base;
};

/* Take down what a file says of its size; the ranges of columns are the plan's. */
void dx_scan_look(struct dsmx_plan *plan, struct dsmx_rel *scan, struct dsmx_ipc_file *file);

struct dx_estimate dx_estimate(const struct dsmx_rel *rel);

#endif /* DX_PLAN_ESTIMATE_H */
