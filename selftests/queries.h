/* SPDX-License-Identifier: MIT */
/*
 * queries.h - queries over sessions of 0, 1 and 2 workers, and whether such a session goes on after one
 */
#ifndef DX_SELFTESTS_QUERIES_H
#define DX_SELFTESTS_QUERIES_H

#include "engine.h"

#define TINY setenv("DSMX_TINY", "1", 1)

static const uint32_t worker_counts[] = { 0, 1, 2 };

/* An endless or finite query of series.h, with or without a limit over it. */
static inline struct dsmx_query *begin(struct dsmx_session *session, enum kind kind, int64_t end)
{
	struct dsmx_query *query = NULL;
	struct dsmx_error err;

	if (start_query(session, kind, end, &query, &err) != 0)
		printf("# start: %s\n", err.message);
	return query;
}

static inline bool goes_on(struct dsmx_session *session)
{
	struct dsmx_error err = { .message = "" };
	bool fine = true;

	for (int kind = 0; fine && kind < KIND_COUNT; kind++) {
		struct dsmx_query *query = begin(session, (enum kind)kind, 54321);
		int64_t sum = 0;

		fine = query != NULL && drain(query, (enum kind)kind, &sum, &err) == 0 &&
		       sum == sum_of(54321);
		dsmx_query_close(query);
	}
	if (!fine)
		printf("# the next query: %s\n", err.message);
	return fine && count_late_parks(session) == 0;
}

/* A thread that cancels a query. */
static inline void *cancel_soon(void *query)
{
	(void)usleep(3000);
	dsmx_query_cancel(query);
	return NULL;
}

#endif /* DX_SELFTESTS_QUERIES_H */
