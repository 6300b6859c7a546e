/* SPDX-License-Identifier: MIT */
#include "worker/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/supervisor.h"

/* Between a change and the next one there is more than enough time to read. */
#define READ_TRIES 100

static const char *const v1_keys[DX_V1_COUNT] = {
	[DX_V1_MEMORY] = "CGROUP_MEMORY", [DX_V1_PIDS] = "CGROUP_PIDS",
	[DX_V1_CPU] = "CGROUP_CPU",       [DX_V1_CPUSET] = "CGROUP_CPUSET",
	[DX_V1_BLKIO] = "CGROUP_BLKIO",
};

/* Numbers of a usage, by key. */
#define USAGES(row)                                                                                \
	row("CPU_NS", cpu_ns) row("THROTTLED_NS", throttled_ns) row("MEMORY_BYTES", memory_bytes)  \
		row("MEMORY_PEAK_BYTES", memory_peak_bytes) row("PIDS", pids)                      \
			row("OOM_KILLS", oom_kills) row("FORKS_REFUSED", forks_refused)            \
				row("HUGETLB_BYTES", hugetlb_bytes) row("HUGETLB_REFUSED",         \
	                                                                hugetlb_refused)           \
					row("CPU_PRESSURE_NS", cpu_pressure_ns)                    \
						row("MEMORY_PRESSURE_NS", memory_pressure_ns)      \
							row("IO_PRESSURE_NS", io_pressure_ns)

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void put_usage(FILE *file, const struct dsmx_usage *usage)
{
#define PUT(key, field)                                                                            \
	if (usage->field != 0)                                                                     \
		(void)fprintf(file, "LAST_" key "=%llu\n", (unsigned long long)usage->field);
	USAGES(PUT)
#undef PUT
}

static void put_worker(FILE *file, const struct dx_worker *worker)
{
	const struct dx_verdict *last = &worker->verdict;
	bool alive = dx_worker_is_there(worker) && worker->state != DX_WORKER_EXITED;

	(void)fprintf(file, "WORKER=%u\nSTATE=%s\nFROZEN=%d\nEPOCH=%llu\nPID=%d\nRESTARTS=%u\n",
	              worker->peer - 1, dx_worker_state_str(worker->state), worker->frozen,
	              (unsigned long long)worker->epoch, alive ? worker->process.pid : 0,
	              worker->started > 0 ? worker->started - 1 : 0);
	if (worker->leaf.v2[0] != '\0')
		(void)fprintf(file, "LEAF=%s\n", strrchr(worker->leaf.v2, '/') + 1);
	if (last->epoch == 0)
		return;
	(void)fprintf(
		file,
		"LAST_EPOCH=%llu\nLAST_PID=%d\nLAST_REASON=%d\nLAST_STATUS=%d\nLAST_TEXT=%.*s\n",
		(unsigned long long)last->epoch, last->pid, last->reason, last->status,
		(int)strcspn(last->text, "\n"), last->text);
	put_usage(file, &worker->usage);
}

static void put_all(FILE *file, const struct dx_supervisor *supervisor)
{
	const struct dx_start *start = &supervisor->start;

	(void)fprintf(
		file,
		"SESSION=%016llx\nLEADER=%d\nSUPERVISOR=%d\nISOLATION=%s\n"
		"LEVEL=%s\nMISSING=%s\nCGROUP=%s\nMEMORY_MAX=%llu\nPAGE=%d\nSLOTS=%u\nFRAMES=%u\n"
		"TASKS=%u\nWORKERS=%u\n",
		(unsigned long long)start->session, supervisor->leader_pid, (int)getpid(),
		dx_cgroup_str(&supervisor->group),
		dsmx_isolation_str(start->isolation, start->isolation_required),
		supervisor->missing, supervisor->group.v2,
		(unsigned long long)start->limits.memory_max,
		supervisor->offer.ready ? supervisor->offer.page_fd : -1, start->slots,
		start->frames, start->tasks, start->workers);
	for (int i = 0; i < DX_V1_COUNT; i++)
		if (supervisor->group.v1[i][0] != '\0')
			(void)fprintf(file, "%s=%s\n", v1_keys[i], supervisor->group.v1[i]);
	for (uint32_t i = 0; i < start->workers; i++)
		put_worker(file, &supervisor->workers[i]);
}

int dx_status_create(void)
{
	int fd = memfd_create("dsmx-status", MFD_CLOEXEC);

	if (fd >= 0)
		(void)fchmod(fd, 0400);
	return fd >= 0 ? fd : dx_errno();
}

void dx_status_write(struct dx_supervisor *supervisor)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file;

	if (supervisor->status_fd < 0)
		return;
	file = open_memstream(&text, &len);
	if (file == NULL)
		return;
	supervisor->status_serial++;
	(void)fprintf(file, "STATUS=%d\nSERIAL=%u\n", DX_STATUS_VERSION, supervisor->status_serial);
	put_all(file, supervisor);
	(void)fprintf(file, "END=%u\n", supervisor->status_serial);
	if (fclose(file) == 0 && pwrite(supervisor->status_fd, text, len, 0) == (ssize_t)len)
		(void)!ftruncate(supervisor->status_fd, (off_t)len);
	free(text);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* A decimal number, perhaps negative, in its range; 0 where it is none. */
static int64_t number(const char *value, int64_t min, int64_t max)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(value, &end, 10);
	return errno != 0 || end == value || *end != '\0' || n < min || n > max ? 0 : (int64_t)n;
}

static uint64_t count(const char *value)
{
	return (uint64_t)number(value, 0, INT64_MAX);
}

static void take_text(char *to, size_t room, const char *value)
{
	(void)snprintf(to, room, "%s", value);
	for (char *c = to; *c != '\0'; c++) /* it goes to terminals */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

static void take_of_session(struct dx_status *status, const char *key, const char *value)
{
	if (strcmp(key, "SESSION") == 0)
		status->session = strtoull(value, NULL, 16);
	else if (strcmp(key, "SERIAL") == 0)
		status->serial = count(value);
	else if (strcmp(key, "LEADER") == 0)
		status->leader = (int)number(value, 0, INT32_MAX);
	else if (strcmp(key, "SUPERVISOR") == 0)
		status->supervisor = (int)number(value, 0, INT32_MAX);
	else if (strcmp(key, "ISOLATION") == 0)
		take_text(status->isolation, sizeof(status->isolation), value);
	else if (strcmp(key, "LEVEL") == 0)
		take_text(status->level, sizeof(status->level), value);
	else if (strcmp(key, "MISSING") == 0)
		take_text(status->missing, sizeof(status->missing), value);
	else if (strcmp(key, "CGROUP") == 0)
		take_text(status->group.v2, sizeof(status->group.v2), value);
	else if (strcmp(key, "MEMORY_MAX") == 0)
		status->memory_max = count(value);
	else if (strcmp(key, "PAGE") == 0)
		status->page_fd = (int)number(value, -1, INT32_MAX);
	else if (strcmp(key, "SLOTS") == 0)
		status->slots = (uint32_t)number(value, 0, UINT32_MAX);
	else if (strcmp(key, "FRAMES") == 0)
		status->frames = (uint32_t)number(value, 0, UINT32_MAX);
	else if (strcmp(key, "TASKS") == 0)
		status->tasks = (uint32_t)number(value, 0, UINT32_MAX);
	else if (strcmp(key, "WORKERS") == 0)
		status->workers = (uint32_t)number(value, 0, DSMX_WORKERS_MAX);
	for (int i = 0; i < DX_V1_COUNT; i++)
		if (strcmp(key, v1_keys[i]) == 0)
			take_text(status->group.v1[i], DX_CGROUP_PATH, value);
}

static void take_usage(struct dsmx_usage *usage, const char *key, const char *value)
{
#define TAKE(name, field)                                                                          \
	if (strcmp(key, name) == 0)                                                                \
		usage->field = count(value);
	USAGES(TAKE)
#undef TAKE
}

static void take_of_last(struct dx_status_worker *worker, const char *key, const char *value)
{
	if (strcmp(key, "EPOCH") == 0)
		worker->exit_epoch = count(value);
	else if (strcmp(key, "PID") == 0)
		worker->exit_pid = (int)number(value, 0, INT32_MAX);
	else if (strcmp(key, "REASON") == 0)
		worker->exit_reason = (int)number(value, 0, DSMX_EXIT_COUNT - 1);
	else if (strcmp(key, "STATUS") == 0)
		worker->exit_status = (int)number(value, 0, 255);
	else if (strcmp(key, "TEXT") == 0)
		take_text(worker->exit_text, sizeof(worker->exit_text), value);
	else
		take_usage(&worker->exit_usage, key, value);
}

static void take_of_worker(struct dx_status_worker *worker, const char *key, const char *value)
{
	if (strncmp(key, "LAST_", 5) == 0)
		take_of_last(worker, key + 5, value);
	else if (strcmp(key, "STATE") == 0)
		take_text(worker->state, sizeof(worker->state), value);
	else if (strcmp(key, "FROZEN") == 0)
		worker->frozen = number(value, 0, 1) == 1;
	else if (strcmp(key, "EPOCH") == 0)
		worker->epoch = count(value);
	else if (strcmp(key, "PID") == 0)
		worker->pid = (int)number(value, 0, INT32_MAX);
	else if (strcmp(key, "RESTARTS") == 0)
		worker->restarts = (uint32_t)number(value, 0, UINT32_MAX);
	else if (strcmp(key, "LEAF") == 0 && strchr(value, '/') == NULL && value[0] != '.')
		take_text(worker->leaf, sizeof(worker->leaf), value);
}

int dx_status_parse(char *text, size_t len, struct dx_status *ret_status)
{
	struct dx_status_worker *worker = NULL;
	char *end = text + len, *next;

	*ret_status = (struct dx_status){ .page_fd = -1 };
	if (len < 10 || strncmp(text, "STATUS=1\n", 9) != 0 || end[-1] != '\n' ||
	    memchr(text, '\0', len) != NULL)
		return -EPROTO;
	for (char *line = text; line < end; line = next) {
		char *value;

		next = strchr(line, '\n');
		*next++ = '\0';
		value = strchr(line, '=');
		if (value == NULL)
			return -EPROTO;
		*value++ = '\0';
		if (strcmp(line, "END") == 0)
			return count(value) == ret_status->serial && next == end ? 0 : -EAGAIN;
		if (strcmp(line, "WORKER") == 0) {
			int64_t index = number(value, 0, DSMX_WORKERS_MAX - 1);

			if (index >= ret_status->workers)
				return -EPROTO;
			worker = &ret_status->worker[index];
		} else if (worker != NULL) {
			take_of_worker(worker, line, value);
		} else {
			take_of_session(ret_status, line, value);
		}
	}
	return -EAGAIN; /* it was being written */
}

/* Once. What has more bytes than a session's status can have is none. */
static int read_once(int fd, struct dx_status *ret_status)
{
	struct stat st;
	ssize_t n;
	char *text;
	int r;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > DX_STATUS_BYTES_MAX)
		return -EPROTO;
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return -ENOMEM;
	n = pread(fd, text, (size_t)st.st_size, 0);
	text[n > 0 ? n : 0] = '\0';
	r = n < 0 ? dx_errno() : dx_status_parse(text, (size_t)n, ret_status);
	free(text);
	return r;
}

int dx_status_read(int pid, int number, struct dx_status *ret_status)
{
	char path[64];
	int fd, r = -EAGAIN;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, number);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return dx_errno();
	for (int i = 0; r == -EAGAIN && i < READ_TRIES; i++)
		r = read_once(fd, ret_status);
	(void)close(fd);
	return r;
}
