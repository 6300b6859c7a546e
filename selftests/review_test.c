/* SPDX-License-Identifier: MIT */
/*
 * What an application may do with a session besides reading one query to its end: time-outs of every size, and
 * polling instead of blocking.
 */
#include <poll.h>

#include "exchange/internal.h"
#include "processes.h"
#include "series.h"
#include "session/query.h"

static struct dsmx_session *open_session(uint32_t workers, enum dsmx_wait_backend wait)
{
	struct dsmx_session_options options = options_of(workers, NULL);
	struct dsmx_session *session;

	options.wait = wait;
	options.extensions = extensions;
	return dsmx_session_open(&options, &session, NULL) == 0 ? session : NULL;
}

TEST(review_timeouts,
     "a time-out ends a wait while the leader itself is busy, and none is too long")
{
	static const struct {
		uint64_t query_ms;
		int64_t next_ms;
		int want;
	} rows[] = {
		{ 0, 20, -ETIMEDOUT },          { 20, -1, -ETIMEDOUT },
		{ 20, INT64_MAX, -ETIMEDOUT },  { UINT64_MAX, 20, -ETIMEDOUT },
		{ 1ULL << 60, 20, -ETIMEDOUT },
	};
	struct dsmx_session *session = open_session(0, DSMX_WAIT_AUTO);

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_query_options options = { .size = sizeof(options),
			                              .timeout_ms = rows[i].query_ms };
		uint64_t start_ns = dx_now_ns();
		struct dsmx_query *query;
		struct ArrowArray array;

		CHECK_EQ(start_query_with(session, KIND_GROUPS, ENDLESS, &options, &query, NULL),
		         0);
		CHECK_EQ(dsmx_query_next(query, rows[i].next_ms, &array, NULL), rows[i].want);
		CHECK_EQ(dx_now_ns() - start_ns >= 20 * DX_NS_PER_MS, 1);
		/* Its own, not the query's: that one runs. */
		CHECK_EQ(query->state == DX_QUERY_RUNNING, rows[i].query_ms != 20);
		dsmx_query_close(query);
	}
	dsmx_session_close(session);
}

TEST(review_polling,
     "polled, the descriptor is quiet when there is nothing, and tells of a cancel and of a death")
{
	static const struct {
		enum dsmx_wait_backend wait;
		bool kills;
		int want;
	} rows[] = {
		{ DSMX_WAIT_AUTO, false, -ECANCELED },
		{ DSMX_WAIT_AUTO, true, -EOWNERDEAD },
		{ DSMX_WAIT_FUTEX, false, -ECANCELED },
		{ DSMX_WAIT_FUTEX, true, -EOWNERDEAD },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_session *session = open_session(1, rows[i].wait);
		struct pollfd fd = { .fd = dsmx_session_fd(session), .events = POLLIN };
		struct dsmx_query *query;
		struct ArrowArray array;
		int quiet = 0, r = -EAGAIN;

		CHECK_EQ(start_query(session, KIND_GROUPS, ENDLESS, &query, NULL), 0);
		for (int n = 0; n < 50 && quiet == 0; n++) {
			CHECK_EQ(dsmx_query_next(query, 0, &array, NULL), -EAGAIN);
			quiet = poll(&fd, 1, 100) == 0;
		}
		CHECK_EQ(quiet, 1);
		/* Between two calls it waits for its producers, not for the application: see deadlock.c. */
		CHECK_EQ(query->inner->root_record->park_kind, DSMX_PARK_INPUT);
		if (rows[i].kills)
			CHECK_EQ(kill(dsmx_session_worker_pid(session, 0), SIGKILL), 0);
		else
			dsmx_query_cancel(query);
		for (int n = 0; n < 50 && r == -EAGAIN && poll(&fd, 1, 2000) == 1; n++)
			r = dsmx_query_next(query, 0, &array, NULL);
		CHECK_EQ(r, rows[i].want);
		dsmx_query_close(query);
		dsmx_session_close(session);
	}
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, extensions);
	return status >= 0 ? status : harness_main(argc, argv);
}
