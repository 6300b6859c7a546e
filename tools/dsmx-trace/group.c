/* SPDX-License-Identifier: MIT */
/*
 * group.c - the processes of a cgroup and of those below it, by its directory, of version 2 or 1
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/mem.h"
#include "trace.h"

#define DEPTH_MAX 16

/* Returns whether the directory is a cgroup at all. */
static bool take_file(struct pids *pids, const char *dir)
{
	char path[1024];
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "%.1000s/cgroup.procs", dir);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	while (fscanf(file, "%d", &pid) == 1) {
		if (pids->count == pids->room) {
			pids->room = pids->room == 0 ? 64 : pids->room * 2;
			pids->list = mem_resize(pids->list, pids->room * sizeof(*pids->list));
		}
		pids->list[pids->count++] = (pid_t)pid;
	}
	fclose(file);
	return true;
}

static void take_dir(struct pids *pids, const char *dir, int depth)
{
	DIR *list = take_file(pids, dir) ? opendir(dir) : NULL;
	struct dirent *entry;
	char path[1024];

	while (list != NULL && depth < DEPTH_MAX && (entry = readdir(list)) != NULL)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%.700s/%.300s", dir, entry->d_name);
			take_dir(pids, path, depth + 1);
		}
	if (list != NULL)
		closedir(list);
}

void group_take(const char *dir, struct pids *ret_pids)
{
	*ret_pids = (struct pids){ .count = 0 };
	take_dir(ret_pids, dir, 0);
}

bool group_has(const struct pids *pids, pid_t pid)
{
	for (uint32_t i = 0; i < pids->count; i++)
		if (pids->list[i] == pid)
			return true;
	return false;
}

void group_free(struct pids *pids)
{
	free(pids->list);
	pids->list = NULL;
}
