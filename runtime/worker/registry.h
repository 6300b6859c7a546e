/* SPDX-License-Identifier: MIT */
/*
 * registry.h - which sessions there are, and what is left of those that were killed
 *
 * Each session has a file, named by its id, that its supervisor holds locked as long as it lives. It says who
 * the session is and which cgroups are its. A file that can be locked belongs to nobody: every process of that
 * session was killed at once, and whoever finds it removes what it names. A lock, not a guess.
 *
 * The files are in $XDG_RUNTIME_DIR/dsmx, for root else in /run/dsmx, as a last resort in /tmp/dsmx-UID; only
 * in a directory that is ours and that nobody else may write.
 */
#ifndef DX_WORKER_REGISTRY_H
#define DX_WORKER_REGISTRY_H

#include <sys/types.h>

#include "base/compiler.h"
#include "worker/cgroup.h"
#include "worker/message.h"

struct dx_registry_entry {
	int fd; /* holds the lock; -1: none */
	char path[DX_CGROUP_PATH];
};

/* Enter a session, before its groups are made. @status_fd: of this process, for status.h; -1: none */
int dx_registry_add(uint64_t session, pid_t leader, int status_fd, const struct dx_cgroup *group,
                    struct dx_registry_entry *ret_entry, struct dsmx_error *err) DX_MUST_CHECK;

/* Its groups are removed: forget it. */
void dx_registry_remove(struct dx_registry_entry *entry);
/* Remove the file of a session, and what is beside it: its socket. */
void dx_registry_unlink(const char *path);

/*
 * Each session's file in the directories that this user may look into; as root, in those of all users. The
 * directory is a descriptor, the name relative to it. Ends when @each returns other than 0.
 */
void dx_registry_each(int (*each)(void *arg, int dir, const char *name), void *arg);

/* Read an entry: an open file, whose user nobody has to be. @ret_lines can be asked for its keys. */
int dx_registry_read(int fd, struct dx_message *ret_lines) DX_MUST_CHECK;

/*
 * Remove what is left of sessions whose every process was killed. Does not wait.
 *
 * Returns how many are still dying: call again.
 */
int dx_registry_sweep(void);

#endif /* DX_WORKER_REGISTRY_H */
