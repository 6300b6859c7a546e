/* SPDX-License-Identifier: MIT */
/* cgroup_set.c - the limits of a worker's group, written: each into a controller of version 1 or 2, where there is one */
#include <stdio.h>

#include "base/err.h"
#include "worker/cgroup_file.h"

#define CPU_PERIOD_US 100000U

/* Write one limit; -EOPNOTSUPP where the file is not there, as its controller is not. */
static int set_limit(const struct dx_cgroup_leaf *leaf, enum dx_v1 controller, const char *option,
                     const char *v1_file, const char *v2_file, const char *text,
                     struct dsmx_error *err)
{
	bool v1 = leaf->v1[controller][0] != '\0';
	const char *dir = v1 ? leaf->v1[controller] : leaf->v2, *file = v1 ? v1_file : v2_file;
	int r = dx_cgroup_write_file(dir, file, text);

	if (r == -ENOENT)
		return dx_error(err, -EOPNOTSUPP,
		                "%s: its controller is not enabled in %s; a delegated group can "
		                "enable it only while no process sits in it directly: start the "
		                "program in a group below it",
		                option, dir);
	if (r != 0)
		return dx_error(err, r, "%s: %s/%s: %s", option, dir, file, dx_strerror(r));
	return 0;
}

static int set_memory(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                      struct dsmx_error *err)
{
	char text[24];
	int r;

	if (limits->memory_max == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)limits->memory_max);
	r = set_limit(leaf, DX_V1_MEMORY, "worker_memory_max", "memory.limit_in_bytes",
	              "memory.max", text, err);
	if (r == -EOPNOTSUPP)
		limits->memory_max = 0;
	if (r == 0 && leaf->v1[DX_V1_MEMORY][0] == '\0') /* what it forked goes with it */
		(void)dx_cgroup_write_file(leaf->v2, "memory.oom.group", "1");
	return r;
}

static int set_pids(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                    struct dsmx_error *err)
{
	char text[24];
	int r;

	if (limits->pids_max == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)limits->pids_max);
	r = set_limit(leaf, DX_V1_PIDS, "worker_pids_max", "pids.max", "pids.max", text, err);
	if (r == -EOPNOTSUPP)
		limits->pids_max = 0;
	return r;
}

static int set_cpu(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                   struct dsmx_error *err)
{
	unsigned long long quota_us = limits->cpu_percent * (CPU_PERIOD_US / 100);
	char v1[24], v2[48];
	int r;

	if (limits->cpu_percent == 0)
		return 0;
	(void)snprintf(v1, sizeof(v1), "%llu", quota_us);
	(void)snprintf(v2, sizeof(v2), "%llu %u", quota_us, CPU_PERIOD_US);
	r = set_limit(leaf, DX_V1_CPU, "worker_cpu_percent", "cpu.cfs_quota_us", "cpu.max",
	              leaf->v1[DX_V1_CPU][0] != '\0' ? v1 : v2, err);
	if (r == -EOPNOTSUPP)
		limits->cpu_percent = 0;
	return r;
}

static int set_cpus(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                    struct dsmx_error *err)
{
	int r;

	if (limits->cpus == NULL)
		return 0;
	if (leaf->v1[DX_V1_CPUSET][0] != '\0')
		dx_cgroup_inherit_cpuset(leaf->v1[DX_V1_CPUSET]);
	r = set_limit(leaf, DX_V1_CPUSET, "worker_cpus", "cpuset.cpus", "cpuset.cpus", limits->cpus,
	              err);
	if (r == -EOPNOTSUPP)
		limits->cpus = NULL;
	return r;
}

/* Where a worker begins to be slowed down: version 1 has nothing like it. */
static int set_high(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                    struct dsmx_error *err)
{
	char text[24];
	int r;

	if (limits->memory_high == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)limits->memory_high);
	r = dx_cgroup_write_file(leaf->v2, "memory.high", text);
	if (r == 0)
		return 0;
	limits->memory_high = 0;
	return dx_error(err, -EOPNOTSUPP,
	                "worker_memory_high: there is no memory controller of version 2 in %s",
	                leaf->v2);
}

/* 100 is what everybody has; version 1 counts 1024 for it. */
static int set_weight(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                      struct dsmx_error *err)
{
	bool v1 = leaf->v1[DX_V1_CPU][0] != '\0';
	unsigned long long weight = v1 ? limits->cpu_weight * 1024 / 100 : limits->cpu_weight;
	char text[24];
	int r;

	if (limits->cpu_weight == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%llu", v1 && weight < 2 ? 2 : weight);
	r = set_limit(leaf, DX_V1_CPU, "worker_cpu_weight", "cpu.shares", "cpu.weight", text, err);
	if (r == -EOPNOTSUPP)
		limits->cpu_weight = 0;
	return r;
}

/*
 * What may be reserved, not what may be touched: a reservation that is refused is an error of mmap(), a page that
 * is refused when it is touched is SIGBUS.
 */
static int set_hugetlb(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                       struct dsmx_error *err)
{
	char text[24];
	int r;

	if (limits->hugetlb_max == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)limits->hugetlb_max);
	r = dx_cgroup_write_file(leaf->v2, "hugetlb.2MB.rsvd.max", text);
	if (r == 0)
		return 0;
	limits->hugetlb_max = 0;
	return dx_error(err, -EOPNOTSUPP,
	                "worker_hugetlb_max: there is no hugetlb controller of version 2 in %s",
	                leaf->v2);
}

int dx_cgroup_set_limits(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                         struct dsmx_error *err)
{
	int r = set_memory(leaf, limits, err);

	if (r == 0)
		r = set_high(leaf, limits, err);
	if (r == 0)
		r = set_weight(leaf, limits, err);
	if (r == 0)
		r = set_hugetlb(leaf, limits, err);
	if (r == 0)
		r = dx_cgroup_set_io(leaf, limits, err);
	if (r == 0)
		r = set_pids(leaf, limits, err);
	if (r == 0)
		r = set_cpu(leaf, limits, err);
	return r == 0 ? set_cpus(leaf, limits, err) : r;
}
