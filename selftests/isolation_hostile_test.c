/* SPDX-License-Identifier: MIT */
/*
 * A plug-in that attacks everybody (hostile_plugin.c), at each level: what each attempt is told, as a table, and which
 * of the refused calls the supervisor names in the application's log.
 */
#include <fcntl.h>
#include <sys/wait.h>

#include "dsmx/dsmx.h"
#include "harness.h"
#include "hostile.h"
#include "processes.h"

#define LOG_TRIES 50

static const struct {
	const char *name, *call;
	int strict, standard, none;
} attempts[HOSTILE_COUNT] = {
#define ONE(name, strict, standard, none, call)                                                    \
	[HOSTILE_##name] = { #name, call, strict, standard, none },
	HOSTILE_ATTEMPTS(ONE)
#undef ONE
};

struct big_log {
	char text[1 << 16];
	size_t len;
};

static void keep_all(void *data, enum dsmx_log_level level, const char *message)
{
	struct big_log *log = data;
	size_t room = sizeof(log->text) - log->len;
	int n = snprintf(log->text + log->len, room, "%d %s\n", (int)level, message);

	log->len += (size_t)n < room ? (size_t)n : room - 1;
}

static int expected(enum dsmx_isolation level, int attempt)
{
	return level == DSMX_ISOLATION_STRICT     ? attempts[attempt].strict
	       : level == DSMX_ISOLATION_STANDARD ? attempts[attempt].standard
	                                          : attempts[attempt].none;
}

static struct hostile_target target_of(const struct dsmx_session *session, const char *scratch,
                                       enum dsmx_isolation level)
{
	struct hostile_target t = { .leader = getpid(),
		                    .sibling = dsmx_session_worker_pid(session, 1) };
	struct dsmx_session_info info;

	dsmx_session_info(session, &info);
	t.supervisor = info.supervisor_pid;
	for (int i = 0; i < HOSTILE_COUNT; i++)
		t.tried |= (uint64_t)(expected(level, i) != SKIP_IT) << i;
	if (info.cgroup[0] == '\0') /* nothing to leave */
		t.tried &= ~(1ULL << HOSTILE_leave_cgroup | 1ULL << HOSTILE_enter_sibling_cgroup |
		             1ULL << HOSTILE_make_cgroup);
	(void)snprintf(t.scratch, sizeof(t.scratch), "%s", scratch);
	(void)snprintf(t.outside, sizeof(t.outside), "%s/cgroup.procs", info.cgroup);
	(void)snprintf(t.sibling_group, sizeof(t.sibling_group), "%s/w1.g1/cgroup.procs",
	               info.cgroup);
	(void)snprintf(t.new_group, sizeof(t.new_group), "%s/w0.g1/new", info.cgroup);
	return t;
}

/* Run the plug-in; @told[i] is what attempt i was told, or SKIP_IT. */
static int attack(struct dsmx_session *session, const struct hostile_target *target,
                  int told[HOSTILE_COUNT], struct dsmx_error *err)
{
	static const struct dsmx_field fields[] = { { "which", { .id = DSMX_INT64 }, false },
		                                    { "told", { .id = DSMX_INT64 }, false } };
	const struct dsmx_schema schema = { 2, fields };
	struct dsmx_plan *plan = NULL;
	struct dsmx_query *query = NULL;
	struct dsmx_batch batch;
	int r = dsmx_plan_new(&plan);

	for (int i = 0; i < HOSTILE_COUNT; i++)
		told[i] = SKIP_IT;
	if (r == 0)
		r = dsmx_plan_finish(plan,
		                     dsmx_rel_extension(plan, "hostile", target, sizeof(*target),
		                                        &schema, NULL, 0),
		                     NULL, err);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, &query, err);
	while (r == 0 && (r = dsmx_query_next_batch(query, 20000, &batch, err)) > 0) {
		const int64_t *which = batch.columns[0].values, *code = batch.columns[1].values;

		for (uint32_t i = 0; i < batch.length; i++)
			told[which[i]] = (int)code[i];
		r = 0;
	}
	dsmx_query_close(query);
	dsmx_plan_free(plan);
	return r;
}

static bool is_logged(const struct big_log *log, const char *call)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "was refused the system call %s (", call);
	return strstr(log->text, text) != NULL;
}

/* Was this attempt refused by seccomp? At standard not by the same call everywhere: then it is not looked for. */
static bool is_seccomps(enum dsmx_isolation level, int attempt)
{
	const char *call = attempts[attempt].call;

	return call != NULL &&
	       (level == DSMX_ISOLATION_STRICT ||
	        (level == DSMX_ISOLATION_STANDARD && attempts[attempt].standard == EPERM &&
	         strcmp(call, "pidfd_open") != 0 && strcmp(call, "capset") != 0 &&
	         strcmp(call, "setuid") != 0));
}

/* The leader hears when it runs: let it, until it has heard of all. */
static bool await_log(struct dsmx_session *session, enum dsmx_isolation level,
                      struct hostile_target target, const struct big_log *log,
                      const int told[HOSTILE_COUNT])
{
	int ignored[HOSTILE_COUNT];
	const char *missing = NULL;

	target.tried = 0;
	for (int tries = 0; tries < LOG_TRIES; tries++) {
		missing = NULL;
		for (int i = 0; i < HOSTILE_COUNT; i++)
			if (told[i] != SKIP_IT && is_seccomps(level, i) &&
			    !is_logged(log, attempts[i].call))
				missing = attempts[i].call;
		if (missing == NULL)
			return true;
		if (attack(session, &target, ignored, NULL) != 0)
			break;
	}
	printf("# nobody was told of %s\n", missing);
	return false;
}

static void print_row(int attempt, int got, int want)
{
	printf("# %-26s %s%s%s\n", attempts[attempt].name,
	       got == SKIP_IT ? "-"
	       : got == 0     ? "done"
	                      : strerrorname_np(got),
	       got != want && got != SKIP_IT ? ", expected " : "",
	       got == want || got == SKIP_IT ? ""
	       : want == 0                   ? "done"
	                                     : strerrorname_np(want));
}

/* More than there are attempts: what this machine lacks for the table to be right. */
#define NO_LANDLOCK 200
#define NO_SPACES   201
#define NO_PROGRAM  202

static int lacks(const struct dsmx_session *session, enum dsmx_isolation level)
{
	struct dsmx_session_info info;

	dsmx_session_info(session, &info);
	if (level >= DSMX_ISOLATION_STANDARD && strstr(info.steps, "landlock") == NULL)
		return NO_LANDLOCK;
	if (level == DSMX_ISOLATION_STRICT && strstr(info.steps, "mount-ns") == NULL)
		return NO_SPACES;
	return 0;
}

#define SKIP_WHAT_LACKS(code)                                                                      \
	do {                                                                                       \
		if ((code) == NO_LANDLOCK)                                                         \
			SKIP("no Landlock");                                                       \
		if ((code) == NO_SPACES)                                                           \
			SKIP("no namespaces for this user");                                       \
		if ((code) == NO_PROGRAM)                                                          \
			SKIP("another user cannot execute the programs here");                     \
	} while (0)

/* All attempts at a level, by this user; returns how many did not end as the table says, -errno. */
static int attack_at(enum dsmx_isolation level, const char *scratch, struct big_log *log)
{
	struct dsmx_session_options options = options_of(2, NULL);
	struct dsmx_error err = { .message = "" };
	struct hostile_target target;
	struct dsmx_session *session;
	char plugin[PATH_MAX], worker[PATH_MAX];
	const char *plugins[] = { plugin, NULL };
	int told[HOSTILE_COUNT], wrong = 0, r, fd;

	(void)snprintf(plugin, sizeof(plugin), "%s/selftests/hostile_plugin.so",
	               getenv("DSMX_BUILD"));
	(void)snprintf(worker, sizeof(worker), "%s/dsmx-worker", getenv("DSMX_BUILD"));
	options.worker_path = worker; /* this program does not lend its functions to plug-ins */
	options.isolation = level;
	options.plugins = plugins;
	options.log = keep_all;
	options.log_data = log;
	r = dsmx_session_open(&options, &session, &err);
	if (r == 0 && (r = lacks(session, level)) != 0) {
		dsmx_session_close(session);
		return r;
	}
	if (r == 0) {
		fd = open(scratch, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		(void)close(fd);
		target = target_of(session, scratch, level);
		r = attack(session, &target, told, &err);
		for (int i = 0; i < HOSTILE_COUNT && r == 0; i++) {
			int want = expected(level, i);

			print_row(i, told[i], want);
			wrong += (target.tried >> i & 1) != 0 && told[i] != want;
		}
		if (r == 0 && !await_log(session, level, target, log, told))
			wrong++;
		dsmx_session_close(session);
		(void)unlink(scratch);
	}
	if (r != 0)
		printf("# %s\n", err.message);
	if (wrong > 0)
		printf("# %s", log->text);
	return r != 0 ? r : wrong;
}

static void set_scratch(char path[128])
{
	const char *dir = getenv("TMPDIR");

	(void)snprintf(path, 128, "%s/hostile-%d", dir != NULL ? dir : "/tmp", (int)getpid());
}

TEST(isolation_strict,
     "strict: everything that a hostile plug-in tries is refused, and the log names what seccomp refuses")
{
	static struct big_log log;
	char scratch[128];
	int code;

	set_scratch(scratch);
	code = attack_at(DSMX_ISOLATION_STRICT, scratch, &log);
	SKIP_WHAT_LACKS(code);
	CHECK_EQ(code, 0);
	CHECK(strstr(log.text, "lacks") == NULL || geteuid() != 0);
}

TEST(isolation_standard,
     "standard: what a hostile plug-in tries against others is refused; what it may do is as written")
{
	static struct big_log log;
	char scratch[128];
	int code;

	set_scratch(scratch);
	code = attack_at(DSMX_ISOLATION_STANDARD, scratch, &log);
	SKIP_WHAT_LACKS(code);
	CHECK_EQ(code, 0);
	CHECK(!is_logged(&log, "socketpair"));
}

TEST(isolation_none, "none: the same plug-in does what does no harm, so refusals are the level's")
{
	static struct big_log log;
	char scratch[128];

	set_scratch(scratch);
	CHECK_EQ(attack_at(DSMX_ISOLATION_NONE, scratch, &log), 0);
	CHECK(strstr(log.text, "refused") == NULL);
}

/* The same by somebody who is not root, in another process. */
static int as_user(enum dsmx_isolation level)
{
	static struct big_log log;
	char dir[] = "/tmp/dsmx-hostile-XXXXXX", scratch[128];
	int status = -1;
	pid_t pid;

	if (mkdtemp(dir) == NULL || chmod(dir, 0777) != 0)
		return -1;
	(void)snprintf(scratch, sizeof(scratch), "%s/x", dir);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)setenv("XDG_RUNTIME_DIR", dir, 1);
		(void)setenv("TMPDIR", dir, 1);
		if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0 ||
		    access(self_path, X_OK) != 0)
			_exit(NO_PROGRAM);
		status = attack_at(level, scratch, &log);
		(void)fflush(stdout);
		_exit(status < 0 ? 199 : status);
	}
	(void)waitpid(pid, &status, 0);
	(void)snprintf(scratch, sizeof(scratch), "%s/dsmx", dir);
	(void)rmdir(scratch);
	(void)rmdir(dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(isolation_strict_user, "strict without root, in a user namespace: the same is refused")
{
	int code;

	if (geteuid() != 0)
		SKIP("only root can become somebody else");
	code = as_user(DSMX_ISOLATION_STRICT);
	SKIP_WHAT_LACKS(code);
	CHECK_EQ(code, 0);
}

TEST(isolation_standard_user, "standard without root: the same is refused")
{
	int code;

	if (geteuid() != 0)
		SKIP("only root can become somebody else");
	code = as_user(DSMX_ISOLATION_STANDARD);
	SKIP_WHAT_LACKS(code);
	CHECK_EQ(code, 0);
}

int main(int argc, char **argv)
{
	int served = dsmx_worker_main(argc, argv, NULL);

	find_self();
	return served >= 0 ? served : harness_main(argc, argv);
}
