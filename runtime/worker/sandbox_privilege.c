/* SPDX-License-Identifier: MIT */
/*
 * Who a worker is: a user of its own, without capabilities and without a way back to any.
 */
#include <grp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/sandbox.h"

/*
 * A user who is nobody else: these numbers plus a process's id, which is its own while it lives. The first range is
 * far from those that are handed out; the second, systemd's for users that come and go, is what a container that maps
 * 65536 users has.
 */
#define OWN_USERS       0x70000000U
#define OWN_USERS_SMALL 61184U
#define SMALL_COUNT     4336U

int dx_sandbox_own_user(struct dsmx_error *err)
{
	const unsigned pid = (unsigned)getpid();
	const unsigned ids[] = { OWN_USERS + pid, OWN_USERS_SMALL + pid % SMALL_COUNT };

	if (setgroups(0, NULL) != 0)
		return dx_error(err, dx_errno(), "a user of its own: setgroups: %s",
		                dx_strerror(errno));
	for (size_t i = 0; i < DX_ARRAY_LEN(ids); i++)
		if (setresgid(ids[i], ids[i], ids[i]) == 0 &&
		    setresuid(ids[i], ids[i], ids[i]) == 0)
			return 0;
	return dx_error(err, dx_errno(),
	                "a user of its own: %s; it needs CAP_SETUID and CAP_SETGID, and user %u to "
	                "be mapped in this container",
	                dx_strerror(errno), ids[1]);
}

int dx_sandbox_no_new_privileges(struct dsmx_error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	return dx_error(err, dx_errno(), "no_new_privs: %s", dx_strerror(errno));
}

void dx_sandbox_forget_capabilities(void)
{
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		(void)cap_drop_bound(cap); /* without CAP_SETPCAP no_new_privs has to do */
}

int dx_sandbox_no_capabilities(struct dsmx_error *err)
{
	cap_t none = cap_init();
	int r = none == NULL || cap_set_proc(none) != 0 ? dx_errno() : 0;

	(void)cap_free(none);
	return r == 0 ? 0 : dx_error(err, r, "capabilities cannot be given up: %s", dx_strerror(r));
}
