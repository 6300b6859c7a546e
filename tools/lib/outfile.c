/* SPDX-License-Identifier: MIT */
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

#define MODE      0666
#define NAMES_MAX 1000

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_copy(".", 1);
	return mem_copy(path, slash == path ? 1 : (size_t)(slash - path));
}

/* The @number-th name beside the target that might be free. */
static char *name_beside(const char *path, int number)
{
	size_t len = strlen(path) + 40;
	char *name = mem_alloc(len);

	(void)snprintf(name, len, "%s.%ld-%d.part", path, (long)getpid(), number);
	return name;
}

static int open_named(struct outfile *file)
{
	for (int i = 0; i < NAMES_MAX; i++) {
		file->temporary = name_beside(file->path, i);
		file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
		if (file->fd >= 0)
			return 0;
		free(file->temporary);
		file->temporary = NULL;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int outfile_open(struct outfile *file, const char *path)
{
	struct stat st;
	char *directory;
	int ret = 0;

	*file = (struct outfile){ .fd = -1, .path = mem_copy(path, strlen(path)) };
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		file->special = 1;
		file->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		ret = file->fd < 0 ? -errno : 0;
	} else {
		directory = directory_of(path);
		file->fd = open(directory, O_WRONLY | O_TMPFILE | O_CLOEXEC, MODE);
		free(directory);
		if (file->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
			ret = open_named(file);
		else if (file->fd < 0)
			ret = -errno;
	}
	if (ret < 0)
		outfile_drop(file);
	return ret;
}

/* Give a file without a name one: the target's if that is free, else one beside it. */
static int name_it(struct outfile *file)
{
	char link[40];

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file->fd);
	if (linkat(AT_FDCWD, link, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	for (int i = 0; errno == EEXIST && i < NAMES_MAX; i++) {
		char *name = name_beside(file->path, i);

		if (linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
			file->temporary = name;
			return 0;
		}
		free(name);
	}
	return -errno;
}

int outfile_keep(struct outfile *file)
{
	int ret = 0;

	if (!file->special && file->temporary == NULL)
		ret = name_it(file);
	if (ret == 0 && file->temporary != NULL) {
		if (rename(file->temporary, file->path) < 0) {
			ret = -errno;
		} else {
			free(file->temporary);
			file->temporary = NULL;
		}
	}
	if (close(file->fd) < 0 && ret == 0) {
		ret = -errno; /* some file systems tell of a full disk only now */
		if (!file->special)
			unlink(file->path);
	}
	file->fd = -1;
	outfile_drop(file);
	return ret;
}

void outfile_drop(struct outfile *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->temporary != NULL)
		unlink(file->temporary);
	free(file->temporary);
	free(file->path);
	*file = (struct outfile){ .fd = -1 };
}
