/* SPDX-License-Identifier: MIT */
/*
 * offer.h - filters on offer in one fragment: from who knows something to the scan or exchange that it is about
 *
 * A join offers its filter when its build side is complete and before its probe side is executed, so whoever is
 * executed below finds it there; it takes it back when the probe side is closed. A producer offers what the
 * filters of its consumers have in common, to the scans of its own fragment, and may change it between two polls.
 */
#ifndef DX_EXEC_OFFER_H
#define DX_EXEC_OFFER_H

#include "exec/build.h"
#include "exec/key_filter.h"

struct dx_offer_filter {
	struct dx_offer_filter *next;
	const struct dsmx_rel *rel; /* the scan or exchange */
	uint32_t partition;
	const struct dx_key_filter *filter; /* columns are the relation's */
};

static inline void dx_filter_offer(struct dx_exec_env *env, struct dx_offer_filter *offer)
{
	offer->next = env->offers;
	env->offers = offer;
}

static inline void dx_filter_withdraw(struct dx_exec_env *env, const struct dx_offer_filter *offer)
{
	struct dx_offer_filter **at = &env->offers;

	while (*at != NULL && *at != offer)
		at = &(*at)->next;
	if (*at != NULL)
		*at = offer->next;
}

/* The next offer to partition @partition of @rel, after @after (NULL: the first); NULL: no more. */
static inline const struct dx_offer_filter *dx_filter_next(const struct dx_exec_env *env,
                                                           const struct dx_offer_filter *after,
                                                           const struct dsmx_rel *rel,
                                                           uint32_t partition)
{
	const struct dx_offer_filter *at = after != NULL ? after->next : env->offers;

	while (at != NULL && (at->rel != rel || at->partition != partition))
		at = at->next;
	return at;
}

#endif /* DX_EXEC_OFFER_H */
