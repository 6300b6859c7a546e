/* SPDX-License-Identifier: MIT */
/*
 * targets.c - see targets.h
 *
 * A file may have been replaced or deleted since it was mapped, so it is opened through /proc/PID/map_files
 * where that is allowed, through the process's root otherwise.
 */
#include "targets.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/mem.h"

static bool is_known(const struct targets *targets, uint64_t device, uint64_t inode)
{
	for (uint32_t i = 0; i < targets->count; i++)
		if (targets->list[i].inode == inode && targets->list[i].device == device)
			return true;
	return false;
}

static void add(struct targets *targets, const struct target *target)
{
	if (targets->count == targets->room) {
		targets->room = targets->room == 0 ? 64 : targets->room * 2;
		targets->list = mem_resize(targets->list, targets->room * sizeof(*targets->list));
	}
	targets->list[targets->count++] = *target;
}

static void look_at_mapping(struct targets *targets, const char *pid, const char *line)
{
	struct target t = { .has_probes = false };
	unsigned long start, end, major, minor;
	unsigned long long inode;
	char flags[8], *name = strchr(line, '/');
	int r;

	if (sscanf(line, "%lx-%lx %7s %*x %lx:%lx %llu", &start, &end, flags, &major, &minor,
	           &inode) != 6 ||
	    flags[2] != 'x' || inode == 0 || name == NULL)
		return;
	t.device = (uint64_t)major << 32 | minor;
	t.inode = inode;
	if (is_known(targets, t.device, t.inode))
		return;
	name[strcspn(name, "\n")] = '\0';
	snprintf(t.name, sizeof(t.name), "%s", name);
	snprintf(t.path, sizeof(t.path), "/proc/%s/map_files/%lx-%lx", pid, start, end);
	r = note_read(t.path, targets->site, t.notes);
	if (r == -EACCES || r == -EPERM || r == -ENOENT) {
		snprintf(t.path, sizeof(t.path), "/proc/%s/root%s", pid, name);
		r = note_read(t.path, targets->site, t.notes);
	}
	if (r == -EACCES || r == -EPERM || r == -ENOENT) {
		snprintf(t.path, sizeof(t.path), "%s", name);
		r = note_read(t.path, targets->site, t.notes);
	}
	t.has_probes = r > 0;
	targets->odd += r == -ENOTSUP;
	add(targets, &t);
}

/* Whether or not a process has it mapped yet. */
static void look_at_file(struct targets *targets, const char *path)
{
	struct target t = { .has_probes = false };
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	t.device = st.st_dev;
	t.inode = st.st_ino;
	if (is_known(targets, t.device, t.inode))
		return;
	snprintf(t.name, sizeof(t.name), "%s", path);
	snprintf(t.path, sizeof(t.path), "%s", path);
	t.has_probes = note_read(path, targets->site, t.notes) > 0;
	add(targets, &t);
}

static void look_at_process(struct targets *targets, const char *pid)
{
	char path[64], line[1024];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%.12s/maps", pid);
	maps = fopen(path, "re");
	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
		look_at_mapping(targets, pid, line);
	if (maps != NULL)
		fclose(maps);
}

uint32_t targets_find(struct targets *targets)
{
	DIR *proc = targets->files == NULL ? opendir("/proc") : NULL;
	struct dirent *entry;
	uint32_t found = 0;

	targets->site = note_best_site();
	for (uint32_t i = 0; i < targets->file_count; i++)
		look_at_file(targets, targets->files[i]);
	if (targets->files == NULL)
		look_at_process(targets, "self");
	while (proc != NULL && (entry = readdir(proc)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			look_at_process(targets, entry->d_name);
	if (proc != NULL)
		closedir(proc);
	for (uint32_t i = 0; i < targets->count; i++)
		found += targets->list[i].has_probes;
	return found;
}

void targets_fini(struct targets *targets)
{
	free(targets->list);
	targets->list = NULL;
	targets->count = targets->room = targets->odd = 0;
}
