/* SPDX-License-Identifier: MIT */
/*
 * steered.h - sessions that are seen and steered from outside, by what dsmx/control.h promises
 *
 * The test's program is its own supervisor and worker; its main() is steered_main(), which has its sessions entered
 * in a directory of its own.
 */
#ifndef DX_SELFTESTS_STEERED_H
#define DX_SELFTESTS_STEERED_H

#include "base/clock.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"
#include "series.h"

static char registry[64];

static inline int open_session(uint32_t workers, struct dsmx_session_options *options,
                               struct dsmx_session **ret_session)
{
	*options = options_of(workers, NULL);
	options->extensions = extensions;
	options->restart = DSMX_RESTART_ON_FAILURE;
	options->restart_delay_ms = 1;
	options->restart_max_delay_ms = 2;
	return dsmx_session_open(options, ret_session, NULL);
}

static inline int steer(const struct dsmx_session *session, uint32_t worker,
                        enum dsmx_control_verb verb, uint64_t timeout_ms, bool no_wait,
                        struct dsmx_error *err)
{
	struct dsmx_control control = { .size = sizeof(control),
		                        .session = session->id,
		                        .worker = worker,
		                        .verb = verb,
		                        .timeout_ms = timeout_ms,
		                        .no_wait = no_wait };

	return dsmx_control(&control, err);
}

/* A copy of what is seen of one worker; state "": it is not there. */
struct seen {
	struct dsmx_worker_status worker;
	char state[16], cgroup[DX_CGROUP_PATH], text[256];
	bool is_there, alive;
	int64_t queries;
};

static inline struct seen see(uint64_t session, uint32_t worker)
{
	struct seen seen = { .alive = false };
	struct dsmx_snapshot *snapshot;

	if (dsmx_snapshot_take(&snapshot, NULL) != 0)
		return seen;
	for (uint32_t i = 0; i < snapshot->session_count; i++) {
		const struct dsmx_session_status *s = &snapshot->sessions[i];

		seen.is_there |= s->session == session;
		if (s->session != session || worker >= s->worker_count)
			continue;
		seen.worker = s->workers[worker];
		seen.alive = s->alive;
		seen.queries = s->queries;
		(void)snprintf(seen.state, sizeof(seen.state), "%s", seen.worker.state);
		(void)snprintf(seen.cgroup, sizeof(seen.cgroup), "%s", seen.worker.cgroup);
		(void)snprintf(seen.text, sizeof(seen.text), "%s", seen.worker.exit_text);
	}
	dsmx_snapshot_free(snapshot);
	return seen;
}

/* Until @worker is seen in @state, or for long. */
static inline bool comes_to(uint64_t session, uint32_t worker, const char *state)
{
	uint64_t deadline_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	struct seen seen;

	do
		seen = see(session, worker);
	while (strcmp(seen.state, state) != 0 && dx_now_ns() < deadline_ns);
	if (strcmp(seen.state, state) != 0)
		printf("# worker %u is %s, not %s: %s\n", worker, seen.state, state, seen.text);
	return strcmp(seen.state, state) == 0;
}

static inline int run_one(struct dsmx_session *session, int64_t end, struct dsmx_error *err)
{
	struct dsmx_query *query;
	int64_t sum;
	int r = start_query(session, KIND_SHUFFLE, end, &query, err);

	if (r != 0)
		return r;
	r = drain(query, KIND_SHUFFLE, &sum, err);
	dsmx_query_close(query);
	return r != 0 ? r : sum == sum_of(end) ? 0 : -EBADMSG;
}

/* The same, while the leader runs queries that have to be right: a new worker waits for it. */
static inline bool serves_until(struct dsmx_session *session, uint32_t worker, const char *state)
{
	uint64_t deadline_ns = dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS;
	struct dsmx_error err;

	while (strcmp(see(session->id, worker).state, state) != 0 && dx_now_ns() < deadline_ns)
		if (run_one(session, 5000, &err) != 0) {
			printf("# %s\n", err.message);
			return false;
		}
	return comes_to(session->id, worker, state);
}

static inline int steered_main(int argc, char **argv)
{
	char dir[80];
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, extensions);
	if (status >= 0)
		return status;
	(void)snprintf(registry, sizeof(registry), "/tmp/dsmx-control-XXXXXX");
	if (mkdtemp(registry) == NULL)
		return 1;
	(void)setenv("XDG_RUNTIME_DIR", registry, 1);
	status = harness_main(argc, argv);
	(void)snprintf(dir, sizeof(dir), "%s/dsmx", registry);
	(void)rmdir(dir);
	(void)rmdir(registry);
	return status;
}

#endif /* DX_SELFTESTS_STEERED_H */
