/* SPDX-License-Identifier: MIT */
/*
 * zips.h - a plan whose tasks come to wait for each other: each task of zip reads a batch here, a batch there, and each
 * of its sides has the other's rows first
 */
#ifndef DX_SELFTESTS_ZIPS_H
#define DX_SELFTESTS_ZIPS_H

#include "engine.h"

#define HALF 200000

/* HALF rows of one key, then HALF of the other, by hash. */
static inline struct dsmx_rel *two_halves(struct dsmx_plan *plan, int64_t first, int64_t second,
                                          const struct dsmx_exchange_config *config)
{
	struct dsmx_rel *rel = rel_series(plan, 2 * HALF, 2 * HALF);
	struct dsmx_expr *args[] = { dsmx_expr_column(plan, rel, 0), dsmx_expr_int64(plan, HALF) };
	struct dsmx_expr *is_first = dsmx_expr_call(plan, DSMX_FN_LT, args, 2);
	struct dsmx_expr *key = dsmx_expr_int64(plan, first);
	struct dsmx_expr *exprs[] = {
		dsmx_expr_case(plan, &is_first, &key, 1, dsmx_expr_int64(plan, second)), args[0]
	};

	return rel_hash(plan, dsmx_rel_project(plan, rel, exprs, NULL, 2), 0, config);
}

/* @first and @second are keys of different tasks. NULL: it could not be made. */
static inline struct dsmx_plan *plan_zip(int64_t first, int64_t second, bool forbidden)
{
	struct dsmx_exchange_config config = { .credit_bytes = 64 << 10,
		                               .overflow_forbidden = forbidden };
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *inputs[] = { two_halves(plan, first, second, &config),
		                      two_halves(plan, second, first, &config) };
	struct dsmx_rel *zip =
		dsmx_rel_extension(plan, "zip", NULL, 0, dsmx_rel_schema(inputs[0]), inputs, 2);

	if (plan_end(plan, rel_gather(plan, zip), 2) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}

#endif /* DX_SELFTESTS_ZIPS_H */
