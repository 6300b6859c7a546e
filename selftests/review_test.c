/* SPDX-License-Identifier: MIT */
/*
 * What an application may do with a session besides reading one query to its end: time-outs of every size, and
 * polling instead of blocking, and a worker that lies.
 */
#include <poll.h>

#include "exchange/internal.h"
#include "processes.h"
#include "series.h"
#include "session/query.h"

/* --- a worker that lies ---------------------------------------------------------------------------------------- */

/* In a worker: its own page, found among its mappings. */
static char *own_page(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	void *page = NULL;

	while (maps != NULL && page == NULL && fgets(line, sizeof(line), maps) != NULL)
		if (strstr(line, "dsmx-page") == NULL || strstr(line, " rw-s ") == NULL ||
		    sscanf(line, "%p", &page) != 1)
			page = NULL;
	if (maps != NULL)
		(void)fclose(maps);
	return page;
}

static int lie_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                    struct dsmx_batch *ret_batch)
{
	char *page = own_page();

	(void)state, (void)input, (void)ret_batch;
	if (page != NULL) {
		const struct dsmx_page_abi *head = (const void *)page;
		struct dx_layout l = dx_layout(head->peers, head->slots, head->frames, head->tasks);

		for (uint32_t slot = 0; slot < l.slots; slot++)
			DX_LAYOUT_AT(struct dsmx_stream_abi, page, l.streams,
			             dx_layout_slot(&l, DSMX_ABI_LEADER, slot))
				->tail = 1ULL << 40;
	}
	dsmx_cx_yield(cx);
	return -EAGAIN;
}

static int lie_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                    struct dsmx_operator **inputs, uint32_t input_count,
                    struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Lie", lie_next, free };

	(void)bytes, (void)len, (void)inputs, (void)input_count, (void)err;
	return dsmx_simple_new(&ops, calloc(1, 1), output, NULL, ret_operator);
}

static const struct dsmx_extension liars[] = { { "series", series_make },
	                                       { "lie", lie_make },
	                                       { NULL, NULL } };

static struct dsmx_session *open_session(uint32_t workers, enum dsmx_wait_backend wait)
{
	struct dsmx_session_options options = options_of(workers, NULL);
	struct dsmx_session *session;

	options.wait = wait;
	options.extensions = liars;
	return dsmx_session_open(&options, &session, NULL) == 0 ? session : NULL;
}

/* --- time-outs -------------------------------------------------------------------------------------------------- */

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

TEST(review_liar,
     "a worker whose words break the rules fails the query, and is ended with PROTOCOL")
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct dsmx_session *session = open_session(1, DSMX_WAIT_AUTO);
	struct dsmx_plan *plan;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dsmx_error err;
	struct dsmx_rel *rel;
	uint64_t until_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;

	CHECK(session != NULL);
	CHECK_EQ(dsmx_plan_new(&plan), 0);
	rel = dsmx_rel_extension(plan, "lie", "", 1, &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	CHECK_EQ(dsmx_plan_finish(plan, rel, NULL, NULL), 0);
	CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
	dsmx_plan_free(plan);
	CHECK_EQ(dsmx_query_next_batch(query, 5000, &batch, &err), -EBADMSG);
	CHECK_EQ(err.worker, 0);
	while (session->member.verdicts[1].epoch == 0 && dx_now_ns() < until_ns)
		(void)dx_reactor_turn(session->reactor, until_ns);
	CHECK_EQ(session->member.verdicts[1].reason, DSMX_EXIT_PROTOCOL);
	dsmx_query_close(query);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, liars);
	return status >= 0 ? status : harness_main(argc, argv);
}
