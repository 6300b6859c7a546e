/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - a worker gives up what it does not need
 *
 * Once, when its segments and its wait are made and before a line of a plug-in's runs: a plug-in's constructors are
 * its code, too. Steps that cannot be taken back, in this order; which belong to which level is in sandbox.c:
 *
 *	sandbox_namespace.c	namespaces, a read-only view of all files
 *	sandbox_privilege.c	a user of its own, no capabilities, no new ones, no dumps
 *	sandbox_landlock.c	which files; no TCP, no signals beyond itself
 *	sandbox_seccomp.c	which system calls
 *
 * Each step says why it could not be taken. That ends a worker only where the level was asked for with a `!`.
 */
#ifndef DX_WORKER_SANDBOX_H
#define DX_WORKER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "chan/mesh.h"
#include "dsmx/isolation.h"

struct dx_sandbox_params {
	enum dsmx_isolation level;
	bool core_dumps;
	const char *const *plugins;    /* NULL-ended: their folders are readable */
	const char *const *read_paths; /* NULL-ended: readable as well */
	const struct dx_mesh *mesh;    /* its own segments */
};

struct dx_sandbox {
	uint32_t word; /* level and steps taken: dsmx/isolation.h */
	int listener;  /* hears of refused system calls; -1: nobody will */
	char missing
		[DSMX_ERROR_MESSAGE_BYTES]; /* steps that were not taken, and why; "": all were */
};

/*
 * Take the steps of the level. Returns 0, whatever is missing; or the caller's mistake: a path that is not there.
 * The listener is the caller's.
 */
int dx_sandbox_enter(const struct dx_sandbox_params *params, struct dx_sandbox *ret_sandbox,
                     struct dsmx_error *err) DX_MUST_CHECK;

/* --- the steps: 0, or -errno with a sentence that says why not and what to do */

/* Namespaces: each bit of DSMX_STEP_USER_NS, _NET_NS, _IPC_NS, _MOUNT_NS that was taken is set in @steps. */
int dx_sandbox_namespaces(uint32_t *steps, struct dsmx_error *err) DX_MUST_CHECK;

/* As root: the user that nobody else is while this process lives. */
int dx_sandbox_own_user(struct dsmx_error *err) DX_MUST_CHECK;
/* No step to more privileges by executing anything; no capability. */
int dx_sandbox_no_new_privileges(struct dsmx_error *err) DX_MUST_CHECK;
int dx_sandbox_no_capabilities(struct dsmx_error *err) DX_MUST_CHECK;
/* What this process could have again by executing: before dx_sandbox_own_user(). */
void dx_sandbox_forget_capabilities(void);

/*
 * Landlock in two halves: what is allowed is opened while this process may still open it. Returns the rule set's
 * descriptor, -ENOENT and the like for a path of @params, -EOPNOTSUPP without Landlock.
 */
int dx_landlock_rules(const struct dx_sandbox_params *params, bool *ret_scoped,
                      struct dsmx_error *err) DX_MUST_CHECK;
int dx_landlock_enter(int rules, struct dsmx_error *err) DX_MUST_CHECK;

/*
 * The system calls of the level; refused ones fail with EPERM. Those that a wait or this process's own end needs are
 * never refused. Returns a listener (descriptor of seccomp(2)), or -EBUSY and the like: none.
 */
int dx_seccomp_enter(enum dsmx_isolation level, bool with_listener,
                     struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_WORKER_SANDBOX_H */
