/* SPDX-License-Identifier: MIT */
/*
 * estimate.h - how many rows a relation may have: to choose what to broadcast, no more
 */
#ifndef DX_PLAN_ESTIMATE_H
#define DX_PLAN_ESTIMATE_H

#include "plan/node.h"

/*
 * @rows: the guess
 * @base: the same with all conditions left out, so that rows / base is what the conditions leave over
 */
struct dx_estimate {
	double rows, base;
};

struct dx_estimate dx_estimate(const struct dsmx_rel *rel);

#endif /* DX_PLAN_ESTIMATE_H */
