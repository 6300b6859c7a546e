/* SPDX-License-Identifier: MIT */
/*
 * What a session asks for beside what the process and the groups above it allow: refused with a sentence where it
 * cannot fit, open where it just does. And what EXPLAIN ANALYZE says that it took.
 *
 * Limits are put on a child of ours, or on groups of our own. This program is its own supervisor and worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"
#include "series.h"
#include "worker/cgroup_file.h"

static struct dsmx_session_options small_options(uint32_t workers, struct log *log)
{
	struct dsmx_session_options options = options_of(workers, log);

	options.pages = DSMX_PAGES_SMALL;
	options.data_bytes = 4U << 20;
	options.extensions = extensions;
	return options;
}

static bool is_sanitized(void)
{
	const char *variant = getenv("DSMX_VARIANT");

	return variant != NULL && (strcmp(variant, "asan") == 0 || strcmp(variant, "tsan") == 0);
}

/* --- under limits of a process, and of groups --------------------------------------------------------------------- */

struct trial {
	struct dsmx_session_options *options;
	int resource; /* -1: none is limited */
	uint64_t limit;
	const char *group; /* to move into, or NULL */
	const char *says;  /* in the sentence, where it is refused */
	bool as_user;
};

/* In the child: 0 where the code is @code and the sentence has what it should. */
static int try_here(const struct trial *t, int code)
{
	struct rlimit limit = { t->limit, t->limit };
	struct dsmx_session *session = NULL;
	struct dsmx_error err = { 0 };
	int checked, opened;

	if (t->group != NULL && dx_cgroup_write_file(t->group, "cgroup.procs", "0") != 0)
		return 2;
	if (t->resource >= 0 && setrlimit((__rlimit_resource_t)t->resource, &limit) != 0)
		return 3;
	if (t->as_user && setresuid(65534, 65534, 65534) != 0)
		return 4;
	checked = dsmx_session_check(t->options, &err);
	if (code != 0)
		printf("# %s\n", err.message);
	if (checked != code || (code != 0 && strstr(err.message, t->says) == NULL))
		return 5;
	if (t->as_user) /* who may not execute this program */
		return 0;
	opened = dsmx_session_open(t->options, &session, &err);
	if (opened != code)
		printf("# open: %d: %s\n", opened, err.message);
	dsmx_session_close(session);
	return opened == code ? 0 : 6;
}

static int try(const struct trial *trial, int code)
{
	int status = -1;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int r = try_here(trial, code);

		(void)fflush(stdout);
		_exit(r);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

TEST(budget_descriptors, "RLIMIT_NOFILE: too few for a session are refused, enough are not")
{
	struct dsmx_session_options options = small_options(4, NULL);
	struct trial trial = { .options = &options,
		               .resource = RLIMIT_NOFILE,
		               .limit = 20,
		               .says = "RLIMIT_NOFILE is 20" };

	CHECK_EQ(try(&trial, -EMFILE), 0);
	trial.limit = 64;
	CHECK_EQ(try(&trial, 0), 0);
	options.workers = 32;
	options.data_bytes = 16U << 20;
	trial.says = "RLIMIT_NOFILE is 64";
	CHECK_EQ(try(&trial, -EMFILE), 0);
}

TEST(budget_file_size, "RLIMIT_FSIZE: refused, where it was SIGXFSZ for the application")
{
	struct dsmx_session_options options = small_options(1, NULL);
	struct trial trial = { .options = &options,
		               .resource = RLIMIT_FSIZE,
		               .limit = 1U << 20,
		               .says = "RLIMIT_FSIZE" };

	CHECK_EQ(try(&trial, -EFBIG), 0);
	trial.limit = 8U << 20;
	CHECK_EQ(try(&trial, 0), 0);
}

/* That this process takes already. */
static uint64_t own_addresses(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (file == NULL || fscanf(file, "%llu", &pages) != 1)
		abort();
	(void)fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

TEST(budget_addresses, "RLIMIT_AS: less than everybody's memory is refused")
{
	struct dsmx_session_options options = small_options(2, NULL);
	struct trial trial = { .options = &options,
		               .resource = RLIMIT_AS,
		               .limit = 4U << 20,
		               .says = "RLIMIT_AS is 4 MiB" };
	struct dsmx_session_estimate estimate;

	if (is_sanitized())
		SKIP("a sanitizer takes terabytes of addresses");
	CHECK_EQ(try(&trial, -ENOMEM), 0);
	trial.limit = 4ULL << 30;
	CHECK_EQ(try(&trial, 0), 0);
	/* Enough for the segments of all, and not for what this process has beside them. */
	CHECK_EQ(dsmx_session_estimate(&options, &estimate, NULL), 0);
	trial.limit = 3 * (estimate.page_bytes_per_process + estimate.data_bytes_per_process) +
	              (1U << 20);
	trial.says = "RLIMIT_AS is";
	CHECK_EQ(try(&trial, -ENOMEM), 0);
	/* Enough for this process and the segments of one. */
	trial.limit = own_addresses() +
	              2 * (estimate.page_bytes_per_process + estimate.data_bytes_per_process);
	CHECK_EQ(try(&trial, -ENOMEM), 0);
}

TEST(budget_user, "RLIMIT_NPROC: fewer than the session has processes are refused, but not to root")
{
	struct dsmx_session_options options = small_options(4, NULL);
	struct trial trial = { .options = &options,
		               .resource = RLIMIT_NPROC,
		               .limit = 3,
		               .says = "RLIMIT_NPROC is 3" };

	if (geteuid() != 0)
		SKIP("not root");
	CHECK_EQ(try(&trial, 0), 0);
	trial.as_user = true;
	CHECK_EQ(try(&trial, -EAGAIN), 0);
	trial.limit = 5; /* the application, the supervisor and four workers are six */
	trial.says = "RLIMIT_NPROC is 5";
	CHECK_EQ(try(&trial, -EAGAIN), 0);
	trial.limit = 6;
	CHECK_EQ(try(&trial, 0), 0);
	trial.limit = 4096;
	CHECK_EQ(try(&trial, 0), 0);
}

TEST(budget_machine, "more than the machine has is refused before anything is started")
{
	struct dsmx_session_options options = small_options(64, NULL);
	struct trial trial = { .options = &options, .resource = -1, .says = "the machine has" };

	options.data_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * 4096 / 32;
	CHECK_EQ(try(&trial, -ENOMEM), 0);
}

/* --- groups: a hierarchy with the controller, of version 2 or 1 --------------------------------------------------- */

struct place {
	char dir[DX_CGROUP_PATH];
	bool v1;
};

/* A group of ours where the file @v2 or @v1 is. Returns whether there is one. */
static bool make_place(const char *controller, const char *v2, const char *v1, struct place *place)
{
	char own[DX_CGROUP_PATH], path[DX_CGROUP_PATH];
	const char *const names[] = { NULL, controller };

	for (int i = 0; i < 2; i++) {
		char enable[32];

		dx_cgroup_own(names[i], own);
		(void)snprintf(enable, sizeof(enable), "+%s", controller);
		if (i == 0 && own[0] != '\0') /* as a session does that has such a limit */
			(void)dx_cgroup_write_file(own, "cgroup.subtree_control", enable);
		if (own[0] == '\0' ||
		    snprintf(place->dir, sizeof(place->dir), "%s/dsmx-budget-%d", own,
		             (int)getpid()) >= DX_CGROUP_PATH ||
		    mkdir(place->dir, 0755) != 0)
			continue;
		place->v1 = i == 1;
		if (dx_cgroup_join(path, place->dir, i == 1 ? v1 : v2) && access(path, W_OK) == 0)
			return true;
		(void)rmdir(place->dir);
	}
	return false;
}

/* Workers are below it: by its being named, or as all that this process starts. */
static void use_place(const struct place *place, struct trial *trial)
{
	if (place->v1)
		trial->group = place->dir;
	else
		trial->options->cgroup_root = place->dir;
}

static int limit_place(const struct place *place, const char *v2, const char *v1,
                       unsigned long long bytes)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", bytes);
	return dx_cgroup_write_file(place->dir, place->v1 ? v1 : v2, text);
}

TEST(budget_memory, "a group too small for the segments refuses, one that is large enough does not")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = small_options(3, &log);
	struct trial trial = { .options = &options, .resource = -1, .says = "MiB of memory" };
	struct place place;

	if (geteuid() != 0)
		SKIP("not root");
	if (!make_place("memory", "memory.max", "memory.limit_in_bytes", &place))
		SKIP("no memory controller");
	use_place(&place, &trial);
	CHECK_EQ(limit_place(&place, "memory.max", "memory.limit_in_bytes", 12U << 20), 0);
	CHECK_EQ(try(&trial, -ENOMEM), 0);
	CHECK_EQ(limit_place(&place, "memory.max", "memory.limit_in_bytes", 256U << 20), 0);
	CHECK_EQ(try(&trial, 0), 0);
	CHECK_EQ(rmdir(place.dir), 0);
}

TEST(budget_sum, "workers that may take more together than their group has are warned of, and run")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = small_options(3, &log);
	struct place place;
	int status;
	pid_t pid;

	if (!make_place("memory", "memory.max", "memory.limit_in_bytes", &place))
		SKIP("no memory controller");
	CHECK_EQ(limit_place(&place, "memory.max", "memory.limit_in_bytes", 256U << 20), 0);
	options.worker_memory_max = 100U << 20;
	if (!place.v1)
		options.cgroup_root = place.dir;
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int r = place.v1 ? dx_cgroup_write_file(place.dir, "cgroup.procs", "0") : 0;

		if (r == 0)
			r = dsmx_session_check(&options, NULL);
		if (r == 0 && strstr(log.text, "300 MiB together") == NULL)
			r = 1;
		options.worker_memory_max = 80U << 20;
		log.text[0] = '\0';
		if (r == 0)
			r = dsmx_session_check(&options, NULL);
		if (r == 0 && strstr(log.text, "together") != NULL)
			r = 2;
		_exit(r == 0 ? 0 : 1);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(rmdir(place.dir), 0);
}

TEST(budget_pids, "a group for too few processes refuses, one for enough does not")
{
	struct dsmx_session_options options = small_options(4, NULL);
	struct trial trial = { .options = &options, .resource = -1, .says = " processes; " };
	struct place place;

	if (geteuid() != 0)
		SKIP("not root");
	if (!make_place("pids", "pids.max", "pids.max", &place))
		SKIP("no pids controller");
	use_place(&place, &trial);
	CHECK_EQ(limit_place(&place, "pids.max", "pids.max", 3), 0);
	CHECK_EQ(try(&trial, -EAGAIN), 0);
	/* The supervisor is born of a process that does not stay. */
	CHECK_EQ(limit_place(&place, "pids.max", "pids.max", 7), 0);
	CHECK_EQ(try(&trial, 0), 0);
	CHECK_EQ(rmdir(place.dir), 0);
}

TEST(budget_huge, "huge pages that are demanded and that a group does not allow are refused")
{
	struct dsmx_session_options options = options_of(1, NULL);
	struct trial trial = { .options = &options, .resource = -1, .says = "huge pages" };
	struct place place;

	options.pages = DSMX_PAGES_HUGETLB;
	options.worker_hugetlb_max = 2U << 20;
	trial.says = "worker_hugetlb_max is 2 MiB";
	CHECK_EQ(try(&trial, -ENOMEM), 0);
	options.worker_hugetlb_max = 0;
	if (geteuid() != 0)
		SKIP("not root");
	if (!make_place("hugetlb", "hugetlb.2MB.rsvd.max", "hugetlb.2MB.rsvd.limit_in_bytes",
	                &place))
		SKIP("no hugetlb controller");
	use_place(&place, &trial);
	trial.says = "MiB of huge pages";
	CHECK_EQ(limit_place(&place, "hugetlb.2MB.rsvd.max", "hugetlb.2MB.rsvd.limit_in_bytes",
	                     2U << 20),
	         0);
	CHECK_EQ(try(&trial, -ENOMEM), 0);
	options.pages = DSMX_PAGES_AUTO; /* others do */
	CHECK_EQ(try(&trial, 0), 0);
	CHECK_EQ(rmdir(place.dir), 0);
}

TEST(budget_worker_memory, "MemoryMax= below a worker's segments is refused, above it is not")
{
	struct dsmx_session_options options = small_options(1, NULL);
	struct trial trial = { .options = &options, .resource = -1, .says = "worker_memory_max" };

	options.worker_memory_max = 4U << 20;
	CHECK_EQ(try(&trial, -EINVAL), 0);
	options.worker_memory_max = 64U << 20;
	CHECK_EQ(try(&trial, 0), 0);
}

/* --- accounting --------------------------------------------------------------------------------------------------- */

/* The number behind @key in the line of worker @w; -1: there is none. */
static double number_of(const char *text, unsigned w, const char *key)
{
	char begin[16];
	const char *line, *end, *at;

	(void)snprintf(begin, sizeof(begin), "\n  w%u:", w);
	line = strstr(text, begin);
	if (line == NULL)
		return -1;
	end = line + 1 + strcspn(line + 1, "\n");
	at = strstr(line, key);
	return at != NULL && at < end ? strtod(at + strlen(key), NULL) : -1;
}

static char *explain_query(struct dsmx_session *session)
{
	struct dsmx_query *query;
	struct dsmx_batch batch;
	char *text = NULL;

	if (start_query(session, KIND_GROUPS, 100000, &query, NULL) != 0)
		return NULL;
	while (dsmx_query_next_batch(query, 10000, &batch, NULL) > 0)
		;
	if (dsmx_query_explain(query, true, &text) != 0)
		text = NULL;
	dsmx_query_close(query);
	return text;
}

TEST(account_analyze,
     "EXPLAIN ANALYZE has memory, its peak and limit, CPU and pressure of each worker")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = small_options(2, &log);
	bool pressure = access("/proc/pressure/cpu", F_OK) == 0;
	struct dsmx_session *session;
	char *text, *again;

	options.worker_memory_max = 256U << 20;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_memory_max") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no memory controller");
	}
	text = explain_query(session);
	CHECK(text != NULL);
	/* It grows with what is done, if not by a millisecond with every query. */
	for (;;) {
		again = explain_query(session);
		CHECK(again != NULL);
		if (number_of(again, 0, " cpu=") > number_of(text, 0, " cpu=") &&
		    number_of(again, 1, " cpu=") > number_of(text, 1, " cpu="))
			break;
		free(again);
	}
	printf("# %s\n", strstr(text, "Workers,"));
	for (unsigned w = 0; w < 2; w++) {
		CHECK(number_of(text, w, " memory=") >= 4); /* its data */
		CHECK(number_of(text, w, " peak=") >= number_of(text, w, " memory=") - 0.1);
		CHECK(number_of(text, w, " limit=") == 256);
		CHECK(number_of(text, w, " cpu=") > 0);
		CHECK((number_of(text, w, "stalled: cpu=") >= 0) == pressure);
		CHECK((number_of(text, w, " io=") >= 0) == pressure);
		CHECK_EQ((int)number_of(text, w, " epoch="), (int)w + 2);
	}
	CHECK(number_of(text, 2, " memory=") < 0);
	free(text);
	free(again);
	dsmx_session_close(session);
}

TEST(account_no_group, "without groups it has what is resident, and nothing that nobody counts")
{
	struct dsmx_session_options options = small_options(1, NULL);
	struct dsmx_session *session;
	char *text;

	options.isolation = DSMX_ISOLATION_NONE;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	text = explain_query(session);
	CHECK(text != NULL);
	CHECK(number_of(text, 0, " memory=") >= 4);
	CHECK(number_of(text, 0, " cpu=") < 0 && number_of(text, 0, " limit=") < 0);
	CHECK(number_of(text, 0, " peak=") < 0 && number_of(text, 0, " io=") < 0);
	free(text);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, extensions);
	return status >= 0 ? status : harness_main(argc, argv);
}
