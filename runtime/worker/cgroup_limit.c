/* SPDX-License-Identifier: MIT */
/*
 * What the groups above a session allow: a limit holds for all that is below it, so every group up to the top of
 * what is mounted is looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/cgroup_file.h"

/* A number, or UINT64_MAX: "max", version 1's greatest number of pages, no such file. */
static uint64_t read_limit(const char *dir, const char *name)
{
	char text[32];

	dx_cgroup_read_file(dir, name, text, sizeof(text));
	if (text[0] < '0' || text[0] > '9')
		return UINT64_MAX;
	return strtoull(text, NULL, 10) >= INT64_MAX / 2 ? UINT64_MAX : strtoull(text, NULL, 10);
}

static bool is_below(const char *dir, const char *top)
{
	size_t len = strlen(top);

	return strncmp(dir, top, len) == 0 && (dir[len] == '/' || dir[len] == '\0');
}

/* To the one above. Returns false at the top: there, nobody is counted. */
static bool go_up(char dir[DX_CGROUP_PATH])
{
	char path[DX_CGROUP_PATH], *slash = strrchr(dir, '/');

	if (slash == NULL || slash == dir)
		return false;
	*slash = '\0';
	return dx_cgroup_join(path, dir, "cgroup.procs") && access(path, F_OK) == 0;
}

static void look_up(const char *from, const struct dx_cgroup_need *need, const char *leader,
                    const char *workers, struct dx_cgroup_short *ret_short)
{
	char dir[DX_CGROUP_PATH];

	(void)snprintf(dir, sizeof(dir), "%s", from);
	if (dir[0] == '\0')
		return;
	do {
		uint64_t limit = read_limit(dir, need->limit), used = 0;
		uint64_t needed = (is_below(leader, dir) ? need->leader : 0) +
		                  (is_below(workers, dir) ? need->workers : 0);

		if (limit != UINT64_MAX && need->used != NULL)
			used = read_limit(dir, need->used);
		if (limit != UINT64_MAX && (used > limit || needed > limit - used) &&
		    needed > ret_short->needed) {
			*ret_short = (struct dx_cgroup_short){ .limit = limit,
				                               .used = used,
				                               .needed = needed };
			(void)dx_cgroup_join(ret_short->file, dir, need->limit);
		}
	} while (go_up(dir));
}

bool dx_cgroup_lacks(const struct dx_cgroup_need *need, const char *leader, const char *workers,
                     struct dx_cgroup_short *ret_short)
{
	*ret_short = (struct dx_cgroup_short){ .needed = 0 };
	look_up(leader, need, leader, workers, ret_short);
	look_up(workers, need, leader, workers, ret_short);
	return ret_short->needed > 0;
}
