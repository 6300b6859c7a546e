/* SPDX-License-Identifier: MIT */
/*
 * Any process of a session killed at any moment of finite queries, many times: the right answer or an error within
 * a second at whoever survives, and nothing left: processes, cgroups, registry entries, mappings, descriptors.
 *
 * DSMX_KILL_ROUNDS has the number of rounds, DSMX_KILL_SEED a seed that was printed. With --lead this program is a
 * leader that is killed itself.
 */
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "processes.h"
#include "series.h"

#define ROUNDS    60
#define ROWS      700000
#define MOMENT_NS 25000000U /* the latest moment: after most of the queries have ended */

enum victim { WORKER_0, WORKER_1, SUPERVISOR, LEADER, VICTIM_COUNT };

static const char *const victim_names[] = { "worker 0", "worker 1", "the supervisor",
	                                    "the leader" };

/* Whether it happens within a second. */
#define SOON(condition)                                                                            \
	({                                                                                         \
		uint64_t until_ns_ = dx_now_ns() + SOON_MS * DX_NS_PER_MS;                         \
		while (!(condition) && dx_now_ns() < until_ns_)                                    \
			(void)usleep(1000);                                                        \
		(condition);                                                                       \
	})

static int open_session(struct dsmx_session **ret_session, struct dsmx_error *err)
{
	struct dsmx_session_options options = options_of(2, NULL);

	options.extensions = extensions;
	return dsmx_session_open(&options, ret_session, err);
}

/* One query after the other until one fails, or @rounds of each kind are over. */
static int run_queries(struct dsmx_session *session, int rounds, bool *ret_right,
                       struct dsmx_error *err)
{
	int r = 0;

	*ret_right = true;
	for (int i = 0; r == 0 && i < rounds * KIND_COUNT; i++) {
		enum kind kind = (enum kind)(i % KIND_COUNT);
		struct dsmx_query *query;
		int64_t sum;

		r = start_query(session, kind, ROWS, &query, err);
		if (r != 0)
			break;
		r = drain(query, kind, &sum, err);
		dsmx_query_close(query);
		*ret_right = *ret_right && (r != 0 || sum == sum_of(ROWS));
	}
	return r;
}

/* --- a worker or the supervisor -------------------------------------------------------------------------------- */

/* Kill @pid in @moment_ns, and note when that was. */
static pid_t start_killer(int pid, unsigned moment_ns, uint64_t *ret_killed_ns)
{
	struct timespec moment = { .tv_nsec = moment_ns };
	pid_t killer = fork();

	if (killer != 0)
		return killer;
	(void)nanosleep(&moment, NULL);
	*ret_killed_ns = dx_now_ns();
	(void)kill(pid, SIGKILL);
	_exit(0);
}

struct tally {
	int answers, errors;
	uint64_t slowest_ns;
};

static void kill_other(bool *ok, enum victim victim, unsigned moment_ns, struct tally *tally)
{
	int fds = harness_each_fd(NULL);
	uint64_t *killed_ns = mmap(NULL, sizeof(*killed_ns), PROT_READ | PROT_WRITE,
	                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct dsmx_session *session;
	struct dsmx_session_info info;
	char state[DX_CGROUP_PATH];
	struct dx_cgroup group;
	struct dsmx_error err;
	bool right;
	pid_t killer;
	int r;

	CHECK(killed_ns != MAP_FAILED);
	CHECK_EQ(open_session(&session, &err), 0);
	dsmx_session_info(session, &info);
	group = session->group;
	memcpy(state, session->state_path, sizeof(state));
	killer = start_killer(victim == SUPERVISOR
	                              ? info.supervisor_pid
	                              : dsmx_session_worker_pid(session, victim == WORKER_1),
	                      moment_ns, killed_ns);
	r = run_queries(session, 1, &right, &err);
	if (r != 0) {
		uint64_t took_ns = dx_now_ns() - *killed_ns;

		if (r != -EOWNERDEAD)
			printf("# %d: %s\n", r, err.message);
		CHECK_EQ(r, -EOWNERDEAD);
		CHECK(victim == SUPERVISOR ? strstr(err.message, "supervisor") != NULL
		                           : err.worker == (victim == WORKER_1));
		CHECK(took_ns < DX_NS_PER_S);
		tally->slowest_ns = took_ns > tally->slowest_ns ? took_ns : tally->slowest_ns;
	}
	CHECK(right);
	tally->answers += r == 0;
	tally->errors += r != 0;
	CHECK_EQ(waitpid(killer, NULL, 0), killer);
	dsmx_session_close(session);
	CHECK(SOON(count_processes(info.id) == 0));
	CHECK(groups_gone(&group));
	CHECK(access(state, F_OK) != 0);
	CHECK_EQ(count_mappings(), 0);
	CHECK_EQ(harness_each_fd(NULL), fds);
	CHECK_EQ(munmap(killed_ns, sizeof(*killed_ns)), 0);
}

/* --- the leader ------------------------------------------------------------------------------------------------ */

/* Say what will be left behind, then run queries for ever. */
static int lead(void)
{
	struct dsmx_session *session;
	struct dsmx_error err;
	bool right;

	if (open_session(&session, &err) != 0)
		return KSFT_FAIL;
	printf("%llx %s %s %s\n", (unsigned long long)session->id, session->state_path,
	       session->group.v2[0] != '\0' ? session->group.v2 : "-",
	       session->group.v1[DX_V1_MEMORY][0] != '\0' ? session->group.v1[DX_V1_MEMORY] : "-");
	(void)fflush(stdout);
	(void)run_queries(session, 1000, &right, &err);
	return KSFT_FAIL;
}

/* Reads what it says, if it comes to that. Its processes keep the pipe open as long as one of them is there. */
static void kill_leader(bool *ok, unsigned moment_ns, struct tally *tally)
{
	struct timespec moment = { .tv_nsec = 2 * moment_ns };
	char line[4 * DX_CGROUP_PATH] = "", state[DX_CGROUP_PATH], flag[] = "--lead";
	char *argv[] = { self_path, flag, NULL };
	struct dx_cgroup group = { .own_root = false };
	unsigned long long id = 0;
	size_t len = 0;
	ssize_t n;
	int out;
	pid_t pid;

	pid = start_self(argv, &out);
	CHECK(pid > 0);
	(void)nanosleep(&moment, NULL);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	do {
		struct pollfd fd = { .fd = out, .events = POLLIN };

		CHECK_EQ(poll(&fd, 1, (int)SOON_MS), 1); /* else somebody lives */
		n = read(out, line + len, sizeof(line) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	(void)close(out);
	tally->errors++;
	if (sscanf(line, "%llx %511s %511s %511s", &id, state, group.v2, group.v1[DX_V1_MEMORY]) !=
	    4)
		return; /* it died while it opened */
	CHECK(SOON(count_processes(id) == 0));
	CHECK(SOON(groups_gone(&group)));
	CHECK(SOON(access(state, F_OK) != 0));
	tally->answers++;
}

/* --- the storm ------------------------------------------------------------------------------------------------- */

static unsigned number_from(const char *name, unsigned otherwise)
{
	const char *said = getenv(name);

	return said != NULL ? (unsigned)strtoul(said, NULL, 10) : otherwise;
}

TEST(storm,
     "whoever is killed, whenever: the right answer or an error within a second, and nothing left")
{
	unsigned seed = number_from("DSMX_KILL_SEED", (unsigned)getpid());
	unsigned rounds = number_from("DSMX_KILL_ROUNDS", ROUNDS);
	struct tally tallies[VICTIM_COUNT] = { { 0 } };

	printf("# seed %u\n", seed);
	for (unsigned round = 0; round < rounds; round++) {
		enum victim victim = (enum victim)((unsigned)rand_r(&seed) % VICTIM_COUNT);
		unsigned moment_ns = (unsigned)rand_r(&seed) % MOMENT_NS;

		(void)alarm(harness_timeout_s()); /* for each round */
		if (victim == LEADER)
			kill_leader(ok, moment_ns, &tallies[victim]);
		else
			kill_other(ok, victim, moment_ns, &tallies[victim]);
		if (!*ok)
			printf("# round %u: %s after %u us\n", round, victim_names[victim],
			       moment_ns / 1000);
		CHECK(*ok);
	}
	for (int v = 0; v < LEADER; v++)
		printf("# %s: %d answers, %d errors, the slowest after %.1f ms\n", victim_names[v],
		       tallies[v].answers, tallies[v].errors, (double)tallies[v].slowest_ns / 1e6);
	printf("# the leader: %d times, %d with an open session\n", tallies[LEADER].errors,
	       tallies[LEADER].answers);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	if (argc == 2 && strcmp(argv[1], "--lead") == 0)
		return lead();
	status = dsmx_worker_main(argc, argv, extensions);
	return status >= 0 ? status : harness_main(argc, argv);
}
