/* SPDX-License-Identifier: MIT */
/*
 * What a session asks for, beside the limits that are on this process and on the groups above it.
 *
 * All segments are populated when a session opens, so one that cannot fit would meet the OOM killer, EMFILE in the
 * middle of a handshake, or SIGXFSZ. It is refused before anything is started, with a sentence. Nothing is locked in
 * memory, so RLIMIT_MEMLOCK does not matter: rings of io_uring have not been counted in it since Linux 5.12.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "session/session.h"
#include "worker/cgroup.h"

#define HUGE_BYTES (2ULL << 20)
/* Of the supervisor for each worker: socket, pidfd, page, data, the page of the one before; and its own. */
#define SUPERVISOR_FDS_EACH 5
#define SUPERVISOR_FDS      12

struct budget {
	const struct dsmx_session_options *o;
	struct dsmx_session_estimate e;
	uint64_t
		huge_bytes; /* of each process's data that will be on huge pages, so that no memory limit counts it */
	struct dx_cgroup group;
	char own[DX_CGROUP_PATH]; /* the group of version 2 that this process sits in */
};

static unsigned long long mib(uint64_t bytes)
{
	return (unsigned long long)((bytes + (1 << 20) - 1) >> 20);
}

static uint64_t read_number(const char *path)
{
	unsigned long long number = 0;
	FILE *file = fopen(path, "re");

	if (file != NULL && fscanf(file, "%llu", &number) != 1)
		number = 0;
	if (file != NULL)
		(void)fclose(file);
	return number;
}

static uint64_t soft_limit(int what)
{
	struct rlimit limit;

	return getrlimit((__rlimit_resource_t)what, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
	               ? limit.rlim_cur
	               : UINT64_MAX;
}

static uint32_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	uint32_t count = 0;

	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		(void)closedir(dir);
	return count > 3 ? count - 3 : 0; /* ".", "..", the directory itself */
}

/* --- of the process */

static int check_files(const struct budget *b, struct dsmx_error *err)
{
	uint64_t limit = soft_limit(RLIMIT_NOFILE);
	uint64_t open_now = limit < UINT32_MAX ? count_entries("/proc/self/fd") : 0;
	uint64_t ours = open_now + b->e.fds, its = 0;

	if (b->o->workers > 0)
		its = SUPERVISOR_FDS + (uint64_t)SUPERVISOR_FDS_EACH * b->o->workers;
	if (ours > limit || its > limit)
		return dx_error(err, -EMFILE,
		                "a session of %u workers takes %u descriptors in this process, "
		                "which has %llu open, and %llu in its supervisor; RLIMIT_NOFILE is "
		                "%llu: raise it (`ulimit -n`, LimitNOFILE=) or have fewer workers",
		                b->o->workers, b->e.fds, (unsigned long long)open_now,
		                (unsigned long long)its, (unsigned long long)limit);
	if (b->o->data_bytes > soft_limit(RLIMIT_FSIZE))
		return dx_error(err, -EFBIG,
		                "data_bytes is %llu MiB, and RLIMIT_FSIZE, which holds for shared "
		                "memory too, is %llu bytes: raise it (`ulimit -f`, LimitFSIZE=)",
		                mib(b->o->data_bytes),
		                (unsigned long long)soft_limit(RLIMIT_FSIZE));
	return 0;
}

static int check_address_space(const struct budget *b, struct dsmx_error *err)
{
	uint64_t limit = soft_limit(RLIMIT_AS), needed;

	needed = (b->o->workers + 1ULL) *
	         (b->e.page_bytes_per_process + b->e.data_bytes_per_process);
	if (limit == UINT64_MAX)
		return 0;
	needed += read_number("/proc/self/statm") * (uint64_t)sysconf(_SC_PAGESIZE);
	if (needed <= limit)
		return 0;
	return dx_error(
		err, -ENOMEM,
		"every process of this session maps everybody's memory and comes to %llu "
		"MiB of addresses; RLIMIT_AS is %llu MiB: raise it (`ulimit -v`, LimitAS=), "
		"have fewer workers or less data_bytes",
		mib(needed), mib(limit));
}

/* What others of this user run is not counted: that it is too little for this session alone is certain. */
static int check_user(const struct budget *b, struct dsmx_error *err)
{
	uint64_t limit = soft_limit(RLIMIT_NPROC);

	if (geteuid() == 0 || b->o->workers == 0 || b->e.processes <= limit)
		return 0;
	return dx_error(err, -EAGAIN,
	                "a session of %u workers is %u processes; RLIMIT_NPROC is %llu: raise it "
	                "(`ulimit -u`, LimitNPROC=) or have fewer workers",
	                b->o->workers, b->e.processes, (unsigned long long)limit);
}

/* --- of the groups */

static int refuse(const struct dx_cgroup_short *found, const char *what, bool is_bytes, int code,
                  const char *advice, struct dsmx_error *err)
{
	uint64_t unit = is_bytes ? 1 << 20 : 1;

	return dx_error(err, code,
	                "this session takes %llu %s; %s is %llu%s, of which %llu "
	                "are taken: %s",
	                (unsigned long long)((found->needed + unit - 1) / unit), what, found->file,
	                (unsigned long long)(found->limit / unit), is_bytes ? " MiB" : "",
	                (unsigned long long)(found->used / unit), advice);
}

/* Version 2's file in version 2's groups, and version 1's in those of that controller. */
static bool lacks(const struct budget *b, const char *controller, const struct dx_cgroup_need *v2,
                  const char *v1_limit, const char *v1_used, struct dx_cgroup_short *ret_short)
{
	struct dx_cgroup_need v1 = *v2;
	char own[DX_CGROUP_PATH];

	if (dx_cgroup_lacks(v2, b->own, b->group.v2[0] != '\0' ? b->group.v2 : b->own, ret_short))
		return true;
	v1.limit = v1_limit;
	v1.used = v1_used;
	dx_cgroup_own(controller, own);
	return dx_cgroup_lacks(&v1, own, own, ret_short);
}

static void warn_sum(const struct budget *b)
{
	struct dx_cgroup_need need = { .limit = "memory.max" };
	struct dx_cgroup_short found;
	char text[DSMX_ERROR_MESSAGE_BYTES];

	need.workers = b->o->worker_memory_max * b->o->workers;
	if (b->o->log == NULL || b->o->worker_memory_max == 0 ||
	    !lacks(b, "memory", &need, "memory.limit_in_bytes", NULL, &found))
		return;
	(void)snprintf(text, sizeof(text),
	               "workers may take %llu MiB each, %llu MiB together, but %s is %llu MiB: "
	               "before any meets its own limit the kernel may choose whom to kill",
	               mib(b->o->worker_memory_max), mib(found.needed), found.file,
	               mib(found.limit));
	b->o->log(b->o->log_data, DSMX_LOG_WARNING, text);
}

static int check_memory(const struct budget *b, struct dsmx_error *err)
{
	uint64_t each = b->e.page_bytes_per_process + b->e.data_bytes_per_process - b->huge_bytes;
	struct dx_cgroup_need need = { .limit = "memory.max",
		                       .leader = each,
		                       .workers = each * b->o->workers };
	uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	struct dx_cgroup_short found;

	if (need.leader + need.workers > machine)
		return dx_error(err, -ENOMEM,
		                "the segments of this session take %llu MiB, and the machine has "
		                "%llu MiB: have fewer workers or less data_bytes",
		                mib(need.leader + need.workers), mib(machine));
	if (lacks(b, "memory", &need, "memory.limit_in_bytes", NULL, &found))
		return refuse(&found, "MiB of memory for its segments", true, -ENOMEM,
		              "raise it (MemoryMax= of the service), have fewer workers (Workers=) "
		              "or smaller segments (data_bytes, DataSize=)",
		              err);
	warn_sum(b);
	return 0;
}

static int check_huge(const struct budget *b, struct dsmx_error *err)
{
	uint64_t data = b->e.data_bytes_per_process;
	struct dx_cgroup_need need = { .limit = "hugetlb.2MB.rsvd.max",
		                       .used = "hugetlb.2MB.rsvd.current",
		                       .leader = data,
		                       .workers = data * b->o->workers };
	struct dx_cgroup_short found;
	bool too_few;

	if (b->o->pages != DSMX_PAGES_HUGETLB)
		return 0; /* others do */
	if (b->o->worker_hugetlb_max != 0 && b->o->worker_hugetlb_max < data)
		return dx_error(err, -ENOMEM,
		                "pages is HUGETLB and a worker's data takes %llu MiB, but "
		                "worker_hugetlb_max is %llu MiB: raise it (HugetlbMax=)",
		                mib(data), mib(b->o->worker_hugetlb_max));
	too_few = lacks(b, "hugetlb", &need, "hugetlb.2MB.rsvd.limit_in_bytes",
	                "hugetlb.2MB.rsvd.usage_in_bytes", &found);
	need.limit = "hugetlb.2MB.max";
	need.used = "hugetlb.2MB.current";
	if (!too_few)
		too_few = lacks(b, "hugetlb", &need, "hugetlb.2MB.limit_in_bytes",
		                "hugetlb.2MB.usage_in_bytes", &found);
	return too_few ? refuse(&found, "MiB of huge pages", true, -ENOMEM,
	                        "raise it, or take pages of another kind (pages, Pages=)", err)
	               : 0;
}

static int check_processes(const struct budget *b, struct dsmx_error *err)
{
	struct dx_cgroup_need need = { .limit = "pids.max",
		                       .used = "pids.current",
		                       .leader = 1, /* the supervisor */
		                       .workers = b->o->workers };
	struct dx_cgroup_short found;

	if (b->o->workers == 0 || !lacks(b, "pids", &need, "pids.max", "pids.current", &found))
		return 0;
	return refuse(&found, "processes", false, -EAGAIN,
	              "raise it (TasksMax= of the service) or have fewer workers (Workers=)", err);
}

/* Where the workers' groups would be. A place that cannot serve is the supervisor's to say. */
static void find_group(struct budget *b)
{
	const struct dx_limits limits = { .memory_max = b->o->worker_memory_max };
	char missing[DSMX_ERROR_MESSAGE_BYTES];

	b->group.v2[0] = '\0';
	if (b->o->workers == 0 || b->o->isolation == DSMX_ISOLATION_NONE ||
	    dx_cgroup_find(b->o->cgroup_root, 1, &limits, &b->group, missing, NULL) != 0)
		b->group.v2[0] = '\0';
}

int dx_session_budget(const struct dsmx_session_options *options, struct dsmx_error *err)
{
	struct budget b = { .o = options };
	uint64_t free_bytes;
	int r = dsmx_session_estimate(options, &b.e, err);

	if (r != 0)
		return r;
	free_bytes = HUGE_BYTES *
	             read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	if (options->pages == DSMX_PAGES_HUGETLB ||
	    (options->pages == DSMX_PAGES_AUTO &&
	     free_bytes >= b.e.data_bytes_per_process * (options->workers + 1)))
		b.huge_bytes = b.e.data_bytes_per_process;
	find_group(&b);
	dx_cgroup_own(NULL, b.own);
	r = check_files(&b, err);
	if (r == 0)
		r = check_address_space(&b, err);
	if (r == 0)
		r = check_user(&b, err);
	if (r == 0)
		r = check_huge(&b, err);
	if (r == 0)
		r = check_memory(&b, err);
	return r == 0 ? check_processes(&b, err) : r;
}

int dsmx_session_check(const struct dsmx_session_options *options, struct dsmx_error *err)
{
	struct dsmx_session_options o;
	int r = dx_session_options(options, &o, err);

	return r == 0 ? dx_session_budget(&o, err) : r;
}
