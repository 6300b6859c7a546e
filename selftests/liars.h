/* SPDX-License-Identifier: MIT */
/*
 * liars.h - worker 0 of a session of two lies: query after query until it is gone, and what is there then
 *
 * A test has lies, each with a name, a session with its operators, and a query in which one incarnation of worker 0 lies.
 */
#ifndef SELFTESTS_LIARS_H
#define SELFTESTS_LIARS_H

#include "base/clock.h"
#include "processes.h"

/* A test's own. Any end of a query will do, if it is in time; an honest one gives its rows. */
struct liars {
	const struct dsmx_extension *operators;
	const char *const *names; /* of the lies */
	int (*run)(struct dsmx_session *session, uint32_t lie, uint64_t epoch,
	           struct dsmx_error *err);
	int (*run_honest)(struct dsmx_session *session);
};

static inline struct dsmx_worker_info info_of(struct dsmx_session *session, uint32_t worker)
{
	struct dsmx_worker_info info = { .pid = 0 };

	(void)dsmx_session_worker(session, worker, &info);
	return info;
}

/* Another is there in its place, or none will be. */
static inline bool is_gone(struct dsmx_session *session, uint32_t worker, uint64_t epoch)
{
	struct dsmx_worker_info info = info_of(session, worker);

	return info.state == DSMX_WORKER_FAILED ||
	       (info.epoch > epoch && info.state == DSMX_WORKER_READY);
}

static inline struct dsmx_session *open_session(const struct liars *liars)
{
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_session *session = NULL;
	struct dsmx_error err;

	options.extensions = liars->operators;
	options.restart = DSMX_RESTART_ON_FAILURE;
	options.start_timeout_ms = 4000ULL * harness_slow();
	if (dsmx_session_open(&options, &session, &err) != 0)
		printf("# %s\n", err.message);
	return session;
}

/* Query after query, until worker 0 is gone. Returns how many it took; 0: it stays. */
static inline int run_until_gone(const struct liars *liars, struct dsmx_session *session,
                                 uint32_t lie)
{
	uint64_t begin_ns = dx_now_ns(), epoch = info_of(session, 0).epoch;
	struct dsmx_error err = { 0 };
	int count = 0, r;

	do {
		if (info_of(session, 0).epoch == epoch) {
			err.message[0] = '\0';
			r = liars->run(session, lie, epoch, &err);
			if (count++ == 0)
				printf("# %s: %d, %s\n", liars->names[lie], r, err.message);
		}
		dx_session_await_workers(session, dx_now_ns() + 100 * DX_NS_PER_MS);
	} while (!is_gone(session, 0, epoch) &&
	         dx_now_ns() - begin_ns < 15000 * DX_NS_PER_MS * harness_slow());
	printf("# %s: %d queries, %.0f ms: %s: %s\n", liars->names[lie], count,
	       (double)(dx_now_ns() - begin_ns) / 1e6,
	       dsmx_exit_reason_str(info_of(session, 0).reason), info_of(session, 0).text);
	return is_gone(session, 0, epoch) ? count : 0;
}

/* One that the leader cannot see: both have others in their places, and their end says why. */
static inline void replace_both(const struct liars *liars, uint32_t lie, bool *ok)
{
	struct dsmx_session *session = open_session(liars);
	uint64_t sibling;

	CHECK(session != NULL);
	sibling = info_of(session, 1).epoch;
	CHECK(run_until_gone(liars, session, lie) > 0);
	for (uint64_t end_ns = dx_now_ns() + 5000 * DX_NS_PER_MS * harness_slow();
	     !is_gone(session, 1, sibling) && dx_now_ns() < end_ns;)
		dx_session_await_workers(session, end_ns);
	for (uint32_t w = 0; w < 2; w++) {
		CHECK_EQ(info_of(session, w).state, DSMX_WORKER_READY);
		CHECK_EQ(info_of(session, w).restarts, 1);
		CHECK(strstr(info_of(session, w).text, "one of the two lies") != NULL);
	}
	CHECK_EQ(liars->run_honest(session), 0);
	dsmx_session_close(session);
}

#endif /* SELFTESTS_LIARS_H */
