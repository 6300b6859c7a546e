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

struct dx_registry_entry {
	int fd; /* holds the lock; -1: none */
	char path[DX_CGROUP_PATH];
};

/* Enter a session, before its groups are made. */
int dx_registry_add(uint64_t session, pid_t leader, const struct dx_cgroup *group,
                    struct dx_registry_entry *ret_entry, struct dsmx_error *err) DX_MUST_CHECK;

/* Its groups are removed: forget it. */
void dx_registry_remove(struct dx_registry_entry *entry);

/*
 * Remove what is left of sessions whose every process was killed. Does not wait.
 *
 * Returns how many are still dying: call again.
 */
int dx_registry_sweep(void);

#endif /* DX_WORKER_REGISTRY_H */
