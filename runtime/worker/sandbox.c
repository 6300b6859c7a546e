/* SPDX-License-Identifier: MIT */
/*
 * Which steps make which level, and in which order.
 *
 *	                         cgroup  standard  strict
 *	no dumps, no look inside    x       x        x
 *	files to allow: opened              x        x     while it still may
 *	namespaces                                   x     while it still may
 *	a user of its own                            x     as root
 *	no_new_privs                        x        x     before Landlock and seccomp, which ask for it
 *	no capabilities                     x        x
 *	segments not for children                    x
 *	Landlock                            x        x
 *	seccomp                             x        x     last: it refuses what the others call
 *
 * The ring can only wait, whatever the level (wait/uring.c): seccomp does not see what goes through it.
 */
#include "worker/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/err.h"

static void note_missing(struct dx_sandbox *sandbox, const struct dsmx_error *why)
{
	size_t len = strlen(sandbox->missing);

	(void)snprintf(sandbox->missing + len, sizeof(sandbox->missing) - len, "%s%.200s",
	               len > 0 ? "; " : "", why->message);
}

/* A step that was taken, or one that is missing. */
static void note(struct dx_sandbox *sandbox, int r, enum dsmx_isolation_step step,
                 const struct dsmx_error *why)
{
	if (r >= 0)
		sandbox->word |= (uint32_t)step;
	else
		note_missing(sandbox, why);
}

static void enter_namespaces(struct dx_sandbox *sandbox)
{
	struct dsmx_error why;

	if (dx_sandbox_namespaces(&sandbox->word, &why) != 0)
		note_missing(sandbox, &why);
	if (geteuid() != 0) /* a user namespace is all that he can have */
		return;
	dx_sandbox_forget_capabilities();
	note(sandbox, dx_sandbox_own_user(&why), DSMX_STEP_UID, &why);
}

/* What a process that it forks would have: not its segments, which it alone may write. */
static void keep_from_children(struct dx_sandbox *sandbox, const struct dx_mesh *mesh)
{
	const struct dx_segment *segments[] = { dx_mesh_page_segment(mesh),
		                                dx_mesh_data_segment(mesh) };
	struct dsmx_error why;
	int r = 0;

	for (size_t i = 0; i < DX_ARRAY_LEN(segments) && r == 0; i++)
		if (madvise(segments[i]->base, segments[i]->bytes, MADV_DONTFORK) != 0)
			r = dx_error(&why, dx_errno(), "segments would be inherited by fork: %s",
			             dx_strerror(errno));
	note(sandbox, r, DSMX_STEP_DONTFORK, &why);
}

static void enter_seccomp(struct dx_sandbox *sandbox, enum dsmx_isolation level)
{
	struct dsmx_error why;
	int r = dx_seccomp_enter(level, true, &why);

	if (r < 0) {
		note_missing(sandbox, &why);
		note(sandbox, dx_seccomp_enter(level, false, &why), DSMX_STEP_SECCOMP, &why);
		return;
	}
	sandbox->listener = r;
	sandbox->word |= DSMX_STEP_SECCOMP | DSMX_STEP_SECCOMP_LOG;
	if (level == DSMX_ISOLATION_STRICT)
		sandbox->word |= DSMX_STEP_NO_EXEC;
}

static void drop_privileges(struct dx_sandbox *sandbox)
{
	struct dsmx_error why;

	dx_sandbox_forget_capabilities();
	note(sandbox, dx_sandbox_no_new_privileges(&why), DSMX_STEP_NO_NEW_PRIVS, &why);
	note(sandbox, dx_sandbox_no_capabilities(&why), DSMX_STEP_CAPABILITIES, &why);
}

int dx_sandbox_enter(const struct dx_sandbox_params *params, struct dx_sandbox *ret_sandbox,
                     struct dsmx_error *err)
{
	struct dx_sandbox *sandbox = ret_sandbox;
	struct dsmx_error why = { .message = "dumps cannot be switched" };
	bool scoped = false;
	int rules = -1;

	*sandbox = (struct dx_sandbox){ .word = (uint32_t)params->level | DSMX_STEP_RING,
		                        .listener = -1 };
	if (params->level >= DSMX_ISOLATION_STANDARD) {
		rules = dx_landlock_rules(params, &scoped, &why);
		if (rules == -EOPNOTSUPP)
			note_missing(sandbox, &why);
		else if (rules < 0)
			return dx_error(err, rules, "%s", why.message);
	}
	if (params->level == DSMX_ISOLATION_STRICT)
		enter_namespaces(sandbox);
	if (params->level >= DSMX_ISOLATION_STANDARD)
		drop_privileges(sandbox);
	if (params->level != DSMX_ISOLATION_NONE) /* changing the user has set it as well */
		note(sandbox, prctl(PR_SET_DUMPABLE, params->core_dumps ? 1 : 0),
		     params->core_dumps ? (enum dsmx_isolation_step)0 : DSMX_STEP_NO_DUMP, &why);
	if (params->level == DSMX_ISOLATION_STRICT)
		keep_from_children(sandbox, params->mesh);
	if (rules >= 0) {
		note(sandbox, dx_landlock_enter(rules, &why), DSMX_STEP_LANDLOCK, &why);
		if (scoped && (sandbox->word & DSMX_STEP_LANDLOCK) != 0)
			sandbox->word |= DSMX_STEP_SCOPE;
	}
	if (params->level >= DSMX_ISOLATION_STANDARD)
		enter_seccomp(sandbox, params->level);
	return 0;
}
