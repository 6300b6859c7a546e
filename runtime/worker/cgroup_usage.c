/* SPDX-License-Identifier: MIT */
/*
 * What a group has counted: the same numbers from version 2, or from the controllers of version 1 that there are.
 *
 * Version 2 counts processor time and pressure in every group, whatever controllers are enabled in it. The
 * directories may be named by another user's file, so nothing here may block or believe.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/cgroup_file.h"

#define NS_PER_US 1000U

bool dx_cgroup_join(char path[DX_CGROUP_PATH], const char *dir, const char *name)
{
	int n = snprintf(path, DX_CGROUP_PATH, "%s/%s", dir, name);

	return n > 0 && n < DX_CGROUP_PATH;
}

void dx_cgroup_read_file(const char *dir, const char *name, char *ret_text, size_t room)
{
	char path[DX_CGROUP_PATH];
	ssize_t n = -1;
	int fd;

	if (dx_cgroup_join(path, dir, name)) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0) {
			n = read(fd, ret_text, room - 1);
			(void)close(fd);
		}
	}
	ret_text[n > 0 ? n : 0] = '\0';
}

/* The number after @key and a separator in a text of lines or words; 0 where there is none. */
static uint64_t number_after(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *at = text; (at = strstr(at, key)) != NULL; at += len)
		if ((at == text || strchr(" \n", at[-1]) != NULL) &&
		    (at[len] == ' ' || at[len] == '='))
			return strtoull(at + len + 1, NULL, 10);
	return 0;
}

uint64_t dx_cgroup_read_key(const char *dir, const char *name, const char *key)
{
	char text[4096];

	if (dir[0] == '\0')
		return 0;
	dx_cgroup_read_file(dir, name, text, sizeof(text));
	return number_after(text, key);
}

static uint64_t read_number(const char *dir, const char *name)
{
	char text[32];

	if (dir[0] == '\0')
		return 0;
	dx_cgroup_read_file(dir, name, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

/* The first line of such a file is of "some" threads. */
static uint64_t read_pressure_ns(const char *dir, const char *name)
{
	return dx_cgroup_read_key(dir, name, "total") * NS_PER_US;
}

static void read_memory(const struct dx_cgroup_leaf *leaf, struct dsmx_usage *usage)
{
	const char *v1 = leaf->v1[DX_V1_MEMORY], *v2 = leaf->v2;

	if (v1[0] != '\0') {
		usage->oom_kills = dx_cgroup_read_key(v1, "memory.oom_control", "oom_kill");
		usage->memory_bytes = read_number(v1, "memory.usage_in_bytes");
		usage->memory_peak_bytes = read_number(v1, "memory.max_usage_in_bytes");
		return;
	}
	if (leaf->above != NULL && leaf->above[0] != '\0') { /* shared with the application */
		usage->oom_kills =
			dx_cgroup_read_key(leaf->above, "memory.oom_control", "oom_kill") -
			leaf->oom_kills_before;
		return;
	}
	usage->oom_kills = dx_cgroup_read_key(v2, "memory.events", "oom_kill");
	usage->memory_bytes = read_number(v2, "memory.current");
	usage->memory_peak_bytes = read_number(v2, "memory.peak");
	if (usage->memory_peak_bytes == 0) /* before Linux 5.19 */
		usage->memory_peak_bytes = usage->memory_bytes;
}

void dx_cgroup_leaf_read(const struct dx_cgroup_leaf *leaf, struct dsmx_usage *ret_usage)
{
	const char *pids = leaf->v1[DX_V1_PIDS][0] != '\0' ? leaf->v1[DX_V1_PIDS] : leaf->v2;
	struct dsmx_usage usage = { 0 };

	if (leaf->v2[0] != '\0') {
		read_memory(leaf, &usage);
		usage.cpu_ns = dx_cgroup_read_key(leaf->v2, "cpu.stat", "usage_usec") * NS_PER_US;
		usage.throttled_ns =
			dx_cgroup_read_key(leaf->v2, "cpu.stat", "throttled_usec") * NS_PER_US;
		usage.pids = read_number(pids, "pids.current");
		usage.forks_refused = dx_cgroup_read_key(pids, "pids.events", "max");
		usage.cpu_pressure_ns = read_pressure_ns(leaf->v2, "cpu.pressure");
		usage.memory_pressure_ns = read_pressure_ns(leaf->v2, "memory.pressure");
		usage.io_pressure_ns = read_pressure_ns(leaf->v2, "io.pressure");
	}
	if (leaf->v2[0] != '\0') {
		usage.hugetlb_bytes = read_number(leaf->v2, "hugetlb.2MB.current");
		usage.hugetlb_refused = dx_cgroup_read_key(leaf->v2, "hugetlb.2MB.events", "max");
	}
	if (leaf->v1[DX_V1_CPU][0] != '\0')
		usage.throttled_ns =
			dx_cgroup_read_key(leaf->v1[DX_V1_CPU], "cpu.stat", "throttled_time");
	*ret_usage = usage;
}
