/* SPDX-License-Identifier: MIT */
/*
 * query.h - a query in one process: the plan that it was given, and the registry that decoding fills
 *
 * StreamRegistry: a plan is decoded as a whole and every exchange of it becomes a procedure, or nothing is
 * registered at all. The leader offers the bytes in its records, and decodes the same bytes as everybody.
 */
#ifndef DX_EXCHANGE_QUERY_H
#define DX_EXCHANGE_QUERY_H

#include "base/compiler.h"
#include "dsmx/session.h"
#include "exchange/service.h"
#include "plan/node.h"

struct dx_query;

/* What the consumers in one fragment did. */
struct dx_counts {
	uint64_t start_streams;
	uint64_t streams;
};

/*
 * How a plan is to be run.
 *
 * @placement: peers that tasks are dealt to, at least one (the leader itself where there are no workers)
 * @leaves: ended by a NULL name, or NULL; borrowed until the query is closed
 * @overflow_max: bytes that each process may have in overflow files for it
 */
struct dx_offer {
	const uint8_t *placement;
	uint32_t placements;
	const struct dsmx_leaf *leaves;
	uint64_t overflow_max;
	uint32_t attempt; /* 0 the first time */
};

/*
 * Leader: put a plan on offer and register it here.
 *
 * Returns 0, -EBUSY: all records are in use, -EAGAIN: likewise, but workers have yet to hear of one that is closed
 * (the leader is rung when they have), -E2BIG: the plan needs more streams, tasks or frames than there
 * are (the sentence has the numbers), -ENOSPC: no room for its bytes, or what decoding said.
 */
int dx_query_offer(struct dx_service *service, const void *bytes, size_t len,
                   const struct dx_offer *offer, struct dx_query **ret_query,
                   struct dsmx_error *err) DX_MUST_CHECK;

/* Leader: build the root's fragment and start its stream. @op and @stream are closed by the caller, first. */
int dx_query_root(struct dx_query *query, struct dsmx_cx *cx, struct dsmx_operator **ret_op,
                  struct dsmx_stream **ret_stream, struct dsmx_error *err) DX_MUST_CHECK;

/* Leader: what the root's task waits for, DSMX_PARK_: see deadlock.c. */
void dx_query_root_park(struct dx_query *query, uint32_t kind);

/* Leader: the query is over: every process drops it. The root's stream was closed before. */
void dx_query_close(struct dx_query *query);

/*
 * Leader: a closed query of which the live worker at @peer has yet to say that it is closed there, as a number of its
 * own: @of if that is still so of it, else any one; 0: of none.
 */
uint64_t dx_query_owed_echo(const struct dx_mesh *mesh, uint32_t peer, uint64_t of);

uint64_t dx_query_id(const struct dx_query *query);
const struct dsmx_plan *dx_query_plan(const struct dx_query *query);
/* Leader: keep the plan when the query is closed right after this; the caller's. */
struct dsmx_plan *dx_query_take_plan(struct dx_query *query);

/* Sums over every process's task records (live or dead) and the root. */
void dx_query_sum(const struct dx_query *query, struct dsmx_query_stats *stats);

/* EXPLAIN, with @analyze from the task records. */
int dx_query_text(const struct dx_query *query, bool analyze, char **ret_text) DX_MUST_CHECK;

/*
 * The earliest error of this query that any operator anywhere reported (PEER_DIED and CANCELLED are never
 * causes). Returns whether there is one.
 */
bool dx_query_cause(const struct dx_query *query, struct dsmx_error *ret_error);

#endif /* DX_EXCHANGE_QUERY_H */
