/* SPDX-License-Identifier: MIT */
/*
 * Which program is started as supervisor and workers.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/spawn.h"

static int check_program(const char *path, const char *who, struct dsmx_error *err)
{
	if (access(path, X_OK) == 0)
		return 0;
	return dx_error(err, dx_errno(), "the worker program %s (%s): %s", path, who,
	                dx_strerror(errno));
}

int dx_spawn_program(const char *named, char *ret_path, size_t room, struct dsmx_error *err)
{
	const char *who = "worker_path";
	char self[PATH_MAX], *slash;
	ssize_t n;

	if (named == NULL) {
		named = secure_getenv("DSMX_WORKER");
		who = "DSMX_WORKER";
	}
	if (named != NULL && named[0] != '\0') {
		if ((size_t)snprintf(ret_path, room, "%s", named) >= room)
			return dx_error(err, -ENAMETOOLONG, "%s: too long a path", who);
		return check_program(ret_path, who, err);
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL) {
		*slash = '\0';
		if ((size_t)snprintf(ret_path, room, "%s/dsmx-worker", self) < room &&
		    access(ret_path, X_OK) == 0)
			return 0;
	}
	(void)snprintf(ret_path, room, "%s/dsmx-worker", DSMX_LIBEXECDIR);
	if (access(ret_path, X_OK) == 0)
		return 0;
	return dx_error(
		err, -ENOENT,
		"no dsmx-worker beside the program (%.200s) nor in %s; set DSMX_WORKER or the "
		"option worker_path to it",
		self, DSMX_LIBEXECDIR);
}
