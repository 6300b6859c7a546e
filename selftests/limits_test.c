/* SPDX-License-Identifier: MIT */
/*
 * What a worker may take: processes, processor time, processors. Memory: session_test.c.
 *
 * This program is its own supervisor and worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/err.h"
#include "dsmx/dsmx.h"
#include "harness.h"
#include "processes.h"
#include "series.h"
#include "simple.h"
#include "worker/supervisor.h"

#define FORKS_MAX 100

/* --- an operator that forks until it is refused: one row, 1000 times the errno and the number of children ----- */

struct bomb {
	bool done;
	struct one_row row;
};

static int bomb_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                     struct dsmx_batch *ret_batch)
{
	struct bomb *bomb = state;
	int count = 0, pid = 0, code = 0;

	(void)input;
	(void)cx;
	if (bomb->done)
		return 0;
	bomb->done = true;
	while (count < FORKS_MAX && (pid = fork()) >= 0) {
		if (pid == 0)
			for (;;)
				(void)pause();
		count++;
	}
	code = pid < 0 ? errno : 0;
	bomb->row.value = code * 1000 + count;
	return give_row(&bomb->row, ret_batch);
}

static int bomb_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Bomb", bomb_next, free };

	(void)inputs, (void)input_count, (void)err;
	return simple_make(&ops, sizeof(struct bomb), 0, bytes, len, output, ret_operator);
}

static const struct dsmx_extension bombing[] = {
	{ "series", series_make },
	{ "bomb", bomb_make },
	{ NULL, NULL },
};

static int start_bomb(struct dsmx_session *session, struct dsmx_query **ret_query)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;
	int r = dsmx_plan_new(&plan);

	if (r != 0)
		return r;
	rel = dsmx_rel_extension(plan, "bomb", "", 0, &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	r = dsmx_plan_finish(plan, rel, NULL, NULL);
	if (r == 0)
		r = dsmx_query_start(session, plan, NULL, ret_query, NULL);
	dsmx_plan_free(plan);
	return r;
}

/* A line of /proc/PID/status, its value after the colon and blanks. */
static void read_status(int pid, const char *key, char *ret_value, size_t room)
{
	char path[64], line[512];
	FILE *file;

	ret_value[0] = '\0';
	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		const char *value = line + strlen(key);

		if (strncmp(line, key, strlen(key)) == 0 && *value == ':')
			(void)snprintf(ret_value, room, "%.*s",
			               (int)strcspn(value + 1 + strspn(value + 1, " \t"), "\n"),
			               value + 1 + strspn(value + 1, " \t"));
	}
	if (file != NULL)
		(void)fclose(file);
}

/* Ticks of processor time that a process used: fields 14 and 15 of its stat. */
static long read_ticks(int pid)
{
	char path[64], text[1024] = "";
	unsigned long user = 0, system = 0;
	const char *end;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	end = fgets(text, sizeof(text), file) != NULL ? strrchr(text, ')') : NULL;
	(void)fclose(file);
	if (end == NULL || sscanf(end + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu",
	                          &user, &system) != 2)
		return 0;
	return (long)(user + system);
}

/* --- limits --------------------------------------------------------------------------------------------------------- */

TEST(limits_pids,
     "a fork bomb in an operator ends at worker_pids_max with EAGAIN; its children go with the session")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	struct dsmx_session_info info;
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	struct dx_cgroup group;

	options.extensions = bombing;
	options.worker_pids_max = 8;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_pids_max") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no pids controller");
	}
	group = session->group;
	dsmx_session_info(session, &info);
	CHECK_EQ(start_bomb(session, &query), 0);
	CHECK_EQ(dsmx_query_next_batch(query, 10000, &batch, NULL), 1);
	CHECK_EQ(*(const int64_t *)batch.columns[0].values, EAGAIN * 1000 + 7);
	CHECK_EQ(count_processes(info.id), 2 + 7);
	dsmx_query_close(query);
	dsmx_session_close(session);
	CHECK_EQ(count_processes(info.id), 0);
	CHECK(groups_gone(&group));
	for (int i = 0; i < DX_V1_COUNT; i++)
		CHECK(!is_dir(group.v1[i]));
}

TEST(limits_cpu, "a worker that could use a whole processor gets worker_cpu_percent of it")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	long before, after, ticks = sysconf(_SC_CLK_TCK);
	struct dsmx_session *session;
	struct dsmx_query *query;
	struct dsmx_batch batch;
	int pid;

	options.extensions = bombing;
	options.worker_cpu_percent = 20;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_cpu_percent") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no cpu controller");
	}
	pid = dsmx_session_worker_pid(session, 0);
	CHECK_EQ(start_query(session, KIND_GROUPS, ENDLESS, &query, NULL), 0);
	CHECK_EQ(dsmx_query_next_batch(query, 500, &batch, NULL), -ETIMEDOUT);
	before = read_ticks(pid);
	CHECK_EQ(dsmx_query_next_batch(query, 2000, &batch, NULL), -ETIMEDOUT);
	after = read_ticks(pid);
	printf("# %ld of %ld ticks\n", after - before, 2 * ticks);
	CHECK(after > before);
	CHECK(after - before <= 2 * ticks * 30 / 100);
	dsmx_query_close(query);
	dsmx_session_close(session);
}

TEST(limits_cpus, "workers run on worker_cpus only; a list that is none is refused")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	struct dsmx_session *session;
	char value[64];

	options.worker_cpus = "zero";
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), -EINVAL);
	options.worker_cpus = "0";
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_cpus") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no cpuset controller");
	}
	read_status(dsmx_session_worker_pid(session, 0), "Cpus_allowed_list", value, sizeof(value));
	CHECK_STR(value, "0");
	dsmx_session_close(session);
}

/* A file of worker 0's group, of version 1 if its controller is there. */
static void read_leaf(const struct dsmx_session *session, enum dx_v1 controller,
                      const char *v1_file, const char *v2_file, char *ret_text, size_t room)
{
	bool v1 = session->group.v1[controller][0] != '\0';
	char path[DX_CGROUP_PATH + 64];
	FILE *file;

	ret_text[0] = '\0';
	(void)snprintf(path, sizeof(path), "%s/w0.g1/%s",
	               v1 ? session->group.v1[controller] : session->group.v2,
	               v1 ? v1_file : v2_file);
	file = fopen(path, "re");
	if (file != NULL && fgets(ret_text, (int)room, file) != NULL)
		ret_text[strcspn(ret_text, "\n")] = '\0';
	if (file != NULL)
		(void)fclose(file);
}

TEST(limits_cpu_weight, "worker_cpu_weight is in the worker's group; more than 10000 is refused")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	struct dsmx_session *session;
	char value[64];
	bool v1;

	options.worker_cpu_weight = 10001;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), -EINVAL);
	options.worker_cpu_weight = 50;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_cpu_weight") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no cpu controller");
	}
	v1 = session->group.v1[DX_V1_CPU][0] != '\0';
	read_leaf(session, DX_V1_CPU, "cpu.shares", "cpu.weight", value, sizeof(value));
	CHECK_STR(value, v1 ? "512" : "50");
	dsmx_session_close(session);
}

TEST(limits_memory_high, "worker_memory_high is in the worker's group, where that is of version 2")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	struct dsmx_session *session;
	char value[64];

	options.worker_memory_high = 512U << 20;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_memory_high") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no memory controller of version 2");
	}
	read_leaf(session, DX_V1_MEMORY, "", "memory.high", value, sizeof(value));
	CHECK_STR(value, "536870912");
	dsmx_session_close(session);
}

TEST(limits_hugetlb, "a worker that may reserve no huge pages takes others, and nothing dies of it")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	struct dsmx_session_info info;
	struct dsmx_session *session;

	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	dsmx_session_info(session, &info);
	if (strcmp(info.pages, "hugetlb") != 0) {
		dsmx_session_close(session);
		SKIP("no huge pages");
	}
	dsmx_session_close(session);
	options.worker_hugetlb_max = 2U << 20;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_hugetlb_max") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no hugetlb controller");
	}
	dsmx_session_info(session, &info);
	CHECK(strcmp(info.pages, "hugetlb") != 0);
	CHECK(dsmx_session_worker_pid(session, 0) > 0);
	dsmx_session_close(session);
}

/* Nanoseconds that 4 MiB take, written past all caches to a file beside @beside by a process in @group; 0: it could not. */
static uint64_t time_write(const char *beside, const char *group)
{
	static const size_t bytes = 4U << 20;
	char path[256], procs[DX_CGROUP_PATH + 64];
	uint64_t start_ns = dx_now_ns();
	int status = -1;
	pid_t pid = fork();

	(void)snprintf(path, sizeof(path), "%s/dsmx-io-%d", beside, (int)getpid());
	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	if (pid == 0) {
		void *data = NULL;
		int to = open(procs, O_WRONLY | O_CLOEXEC);
		int fd = open(path, O_WRONLY | O_CREAT | O_DIRECT | O_DSYNC | O_CLOEXEC, 0600);
		bool done = to >= 0 && fd >= 0 && write(to, "0", 1) == 1 &&
		            posix_memalign(&data, 4096, bytes) == 0;

		(void)unlink(path);
		if (done)
			memset(data, 1, bytes);
		_exit(done && write(fd, data, bytes) == (ssize_t)bytes ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return 0;
	return dx_now_ns() - start_ns;
}

TEST(limits_io_max,
     "what runs in a worker's group writes no more a second than worker_io_write_max")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	char group[DX_CGROUP_PATH + 64], text[64];
	struct dsmx_session *session;
	struct dx_cgroup made;
	uint64_t took_ns;
	struct stat st;

	if (stat("/var/tmp", &st) != 0 || major(st.st_dev) == 0)
		SKIP("/var/tmp is on no disk");
	options.worker_io_write_max = "/var/tmp 4M";
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_io_write_max") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no io controller");
	}
	read_leaf(session, DX_V1_BLKIO, "blkio.throttle.write_bps_device", "io.max", text,
	          sizeof(text));
	printf("# %s\n", text);
	CHECK(strstr(text, "4000000") != NULL);
	(void)snprintf(group, sizeof(group), "%s/w0.g1",
	               session->group.v1[DX_V1_BLKIO][0] != '\0' ? session->group.v1[DX_V1_BLKIO]
	                                                         : session->group.v2);
	took_ns = time_write("/var/tmp", group);
	printf("# 4 MiB: %.0f ms\n", (double)took_ns / 1e6);
	CHECK(took_ns >= 700 * DX_NS_PER_MS);
	made = session->group;
	dsmx_session_close(session);
	CHECK(groups_gone(&made) && !is_dir(made.v1[DX_V1_BLKIO]));
}

TEST(limits_io_wrong,
     "weights out of range, and maxima that are no path and number or on no disk, are refused")
{
	static const char *const wrong[] = {
		"",       "4M",           "/var/tmp",    "/var/tmp 0",           "/var/tmp 4Q",
		"tmp 4M", "/var/tmp 4MB", "/var/tmp -1", "/var/tmp 99999999999T"
	};
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	struct dsmx_error err;

	options.worker_io_weight = 10001;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), -EINVAL);
	options.worker_io_weight = 0;
	for (size_t i = 0; i < DX_ARRAY_LEN(wrong); i++) {
		options.worker_io_read_max = wrong[i];
		CHECK_EQ(dsmx_session_open(&options, &session, &err), -EINVAL);
		CHECK(strstr(err.message, "worker_io_read_max") != NULL);
	}
}

TEST(limits_io_weight, "worker_io_weight is in the worker's group, where there are weights")
{
	struct log log = { .notices = 0 };
	struct dsmx_session_options options = options_of(1, &log);
	struct dsmx_session *session;
	char value[64];

	options.worker_io_weight = 50;
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	if (strstr(log.text, "worker_io_weight") != NULL || session->group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no io controller with weights");
	}
	read_leaf(session, DX_V1_BLKIO, "blkio.bfq.weight", "io.weight", value, sizeof(value));
	CHECK(strstr(value, "50") != NULL);
	dsmx_session_close(session);
}

TEST(limits_groups_below, "groups that a worker has made below its own are removed with it")
{
	struct dsmx_session_options options = options_of(1, NULL);
	struct dsmx_session *session;
	char path[DX_CGROUP_PATH + 64];
	struct dx_cgroup group;

	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	group = session->group;
	if (group.v2[0] == '\0') {
		dsmx_session_close(session);
		SKIP("no cgroup");
	}
	(void)snprintf(path, sizeof(path), "%s/w0.g1/a", group.v2);
	CHECK_EQ(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/w0.g1/a/b", group.v2);
	CHECK_EQ(mkdir(path, 0755), 0);
	dsmx_session_close(session);
	CHECK(groups_gone(&group));
}

TEST(limits_verdicts,
     "SIGBUS at the limit of huge pages has that reason; a limit of processes is in the sentence")
{
	struct dx_worker *worker = calloc(1, sizeof(*worker));
	siginfo_t info = { .si_code = CLD_KILLED };
	struct dsmx_usage usage = { .cpu_ns = 0 };
	struct dx_verdict verdict;

	info.si_status = SIGBUS;
	worker->peer = 1;
	dx_verdict_make(worker, &info, &usage, &verdict);
	CHECK_EQ(verdict.reason, DSMX_EXIT_SIGNAL);
	CHECK(strstr(verdict.text, "limit") == NULL);
	usage.hugetlb_refused = 1;
	dx_verdict_make(worker, &info, &usage, &verdict);
	CHECK_EQ(verdict.reason, DSMX_EXIT_HUGETLB_LIMIT);
	CHECK(strstr(verdict.text, "huge pages") != NULL);
	info.si_status = SIGKILL;
	usage.forks_refused = 12;
	dx_verdict_make(worker, &info, &usage, &verdict);
	CHECK_EQ(verdict.reason, DSMX_EXIT_SIGNAL);
	CHECK(strstr(verdict.text, "limit of processes refused 12 more") != NULL);
	free(worker);
}

TEST(limits_need_groups, "limits without cgroups are refused, each by its name")
{
	struct dsmx_session_options rows[9];
	struct dsmx_session *session;
	struct dsmx_error err;

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		rows[i] = options_of(1, NULL);
		rows[i].isolation = DSMX_ISOLATION_NONE;
	}
	rows[0].worker_pids_max = 8;
	rows[1].worker_cpu_percent = 50;
	rows[2].worker_cpus = "0";
	rows[3].worker_memory_high = 1U << 30;
	rows[4].worker_hugetlb_max = 1U << 30;
	rows[5].worker_cpu_weight = 50;
	rows[6].worker_io_weight = 50;
	rows[7].worker_io_read_max = "/var/tmp 1M";
	rows[8].worker_io_write_max = "/var/tmp 1M";
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++)
		CHECK_EQ(dsmx_session_open(&rows[i], &session, &err), -EINVAL);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = dsmx_worker_main(argc, argv, bombing);
	return status >= 0 ? status : harness_main(argc, argv);
}
