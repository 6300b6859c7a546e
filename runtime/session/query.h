/* SPDX-License-Identifier: MIT */
/*
 * query.h - a query in the leader, and the arrays that it handed out
 */
#ifndef DX_SESSION_QUERY_H
#define DX_SESSION_QUERY_H

#include "exchange/query.h"
#include "session/lease.h"
#include "session/session.h"

enum dx_query_state {
	DX_QUERY_RUNNING,
	DX_QUERY_ENDED,
	DX_QUERY_FAILING, /* a stream broke; the cause is not known yet */
	DX_QUERY_FAILED,
};

struct dsmx_query {
	struct dx_list link;
	struct dsmx_session *session;
	struct dx_query *inner;
	enum dx_query_state state;
	struct dx_task root;
	bool root_runs;
	bool root_parked;
	struct dsmx_operator *op;
	struct dsmx_stream *stream;
	struct dsmx_batch batch;
	bool has_batch;     /* the root's, read ahead */
	bool given;         /* it is the application's until the next call */
	uint32_t cancelled; /* stored by any thread or signal handler */
	uint64_t start_ns;
	uint64_t deadline_ns;
	uint64_t failed_ns; /* when its stream broke */
	uint64_t cause_deadline_ns;
	bool gone; /* nobody was going, when that was set */
	struct dsmx_error error;
	struct dsmx_query_stats stats; /* the leader's own fields */
	const struct dsmx_leaf *leaves;
	uint32_t placements;
	uint8_t placement[64];
	uint64_t epochs[64];       /* of the processes at @placement */
	struct dx_verdict verdict; /* on the last of them that died; epoch 0: none has */
	bool retry;
	void *bytes; /* of the plan, to run it again */
	size_t len_bytes;
	struct dsmx_plan
		*schema_plan; /* of the first run, whose schema was given out; NULL: this is it */
};

/* --- start.c */
/* The same bytes under a new id, on the workers that are alive now; nothing was given out yet. */
int dx_query_again(struct dsmx_query *query) DX_MUST_CHECK;

/* --- query.c */
void dx_query_begin_root(struct dsmx_query *query);
/* From now on a cancel ends the sleeps of this session, and its close closes what queries are left. */
int dx_query_hear_cancels(struct dsmx_session *session) DX_MUST_CHECK;
/* DX_NEVER where that is later than the clock can say. */
uint64_t dx_query_later(uint64_t now_ns, uint64_t ms);
/* The root is over: whoever produces for it learns so now, not when the application closes the query. */
void dx_query_stop_root(struct dsmx_query *query);

/* --- cause.c */
/* The root's stream broke: q->error says how. */
void dx_query_failing(struct dsmx_query *query);
/* What ends the query from outside, and what became of a cause. */
void dx_query_judge(struct dsmx_query *query);

#endif /* DX_SESSION_QUERY_H */
