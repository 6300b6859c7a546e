/* SPDX-License-Identifier: MIT */
/*
 * Namespaces: no network, no System V objects, and a view of the files in which nothing can be written.
 *
 * Root unshares them by right. Anybody else gets the right from a user namespace, in which one user is mapped:
 * himself. Descriptors that were opened before keep the mounts that they were opened on, so the overflow file stays
 * writable.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/sandbox.h"

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return dx_errno();
	if (dprintf(fd, "%s", text) < 0)
		r = dx_errno();
	(void)close(fd);
	return r;
}

static int enter_user(struct dsmx_error *err)
{
	unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();
	char map[48];
	int r;

	if (unshare(CLONE_NEWUSER) != 0)
		return dx_error(
			err, dx_errno(),
			"user namespace: %s; allow them to uid %u (user.max_user_namespaces, "
			"kernel.unprivileged_userns_clone, AppArmor, the container's seccomp profile) "
			"or start as root",
			dx_strerror(errno), uid);
	(void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	r = write_file("/proc/self/uid_map", map);
	if (r == 0)
		r = write_file("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	if (r == 0)
		r = write_file("/proc/self/gid_map", map);
	return r == 0 ? 0
	              : dx_error(err, r, "user namespace: its maps cannot be written: %s",
	                         dx_strerror(r));
}

/* Everything that is mounted, as it is, for reading. */
static int make_read_only(struct dsmx_error *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) == 0)
		return 0;
	return dx_error(err, dx_errno(), "mount namespace: it cannot be made read-only: %s",
	                dx_strerror(errno));
}

int dx_sandbox_namespaces(uint32_t *steps, struct dsmx_error *err)
{
	static const struct {
		int flag;
		uint32_t step;
		const char *name;
	} rows[] = {
		{ CLONE_NEWNET, DSMX_STEP_NET_NS, "network" },
		{ CLONE_NEWIPC, DSMX_STEP_IPC_NS, "IPC" },
		{ CLONE_NEWNS, DSMX_STEP_MOUNT_NS, "mount" },
	};
	int r;

	if (geteuid() != 0) {
		r = enter_user(err);
		if (r != 0)
			return r;
		*steps |= DSMX_STEP_USER_NS;
	}
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		if (unshare(rows[i].flag) != 0)
			return dx_error(err, dx_errno(),
			                "%s namespace: %s; it needs CAP_SYS_ADMIN and a container "
			                "whose seccomp profile allows unshare",
			                rows[i].name, dx_strerror(errno));
		*steps |= rows[i].step;
	}
	r = make_read_only(err);
	if (r != 0)
		*steps &= ~(uint32_t)DSMX_STEP_MOUNT_NS;
	return r;
}
