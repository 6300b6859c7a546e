/* SPDX-License-Identifier: MIT */
/*
 * Which system calls a worker may make.
 *
 *	standard	all, but those that are about other processes, the machine, or more rights (sandbox_calls.h)
 *	strict		none, but those that a worker and a plain library need
 *
 * Others are refused with EPERM, by the supervisor: it holds the filter's listener, hears each refused call, says so
 * once, and answers (refusal.c). Where a process can have no listener, a container's manager being one already, the
 * filter itself says EPERM and nobody hears of it.
 *
 * Arguments are looked at where they are values, never where they are pointers: what those point to could change
 * after the look. libseccomp writes the program; it is installed by hand, as libseccomp has no listener for a
 * filter that refuses by default.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/sandbox.h"
#include "worker/sandbox_calls.h"
#include "worker/spawn.h"

#define NEW_NAMESPACES                                                                             \
	(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | \
	 CLONE_NEWCGROUP)

/* The bits that make an open write, create or cut. */
#define WRITES (O_ACCMODE | O_CREAT | O_TRUNC)

/* Commands of fcntl(2) that name a process to signal. */
#define FCNTL_SETOWN    8
#define FCNTL_SETOWN_EX 15

struct filter {
	scmp_filter_ctx context;
	uint32_t allow, refuse;
	int code; /* of the first rule that could not be added */
};

/* One rule: @action for @call if the comparisons hold. Calls that this machine does not have are none of ours. */
static void rule(struct filter *f, uint32_t action, int call, unsigned count,
                 const struct scmp_arg_cmp *args)
{
	int r = seccomp_rule_add_array(f->context, action, call, count, args);

	if (r < 0 && r != -EDOM && f->code == 0)
		f->code = r;
}

#define RULE(f, action, call, ...)                                                                 \
	do {                                                                                       \
		const struct scmp_arg_cmp args_[] = { __VA_ARGS__ };                               \
		rule(f, action, SCMP_SYS(call), (unsigned)DX_ARRAY_LEN(args_), args_);             \
	} while (0)

/* A call that names a process: itself, or nobody. */
static void add_only_self(struct filter *f, uint32_t action, int call)
{
	const scmp_datum_t self = (scmp_datum_t)getpid();
	const struct scmp_arg_cmp is = SCMP_A0_32(SCMP_CMP_EQ, self);
	const struct scmp_arg_cmp is_not = SCMP_A0_32(SCMP_CMP_NE, self);

	rule(f, action, call, 1, action == f->allow ? &is : &is_not);
}

/* --- standard ----------------------------------------------------------------------------------------------- */

static void add_standard(struct filter *f)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(dx_calls_refused); i++)
		rule(f, f->refuse, dx_calls_refused[i], 0, NULL);
	add_only_self(f, f->refuse, SCMP_SYS(kill));
	add_only_self(f, f->refuse, SCMP_SYS(tgkill));
	add_only_self(f, f->refuse, SCMP_SYS(rt_sigqueueinfo));
	add_only_self(f, f->refuse, SCMP_SYS(rt_tgsigqueueinfo));
	RULE(f, f->refuse, fcntl, SCMP_A1_32(SCMP_CMP_EQ, FCNTL_SETOWN));
	RULE(f, f->refuse, fcntl, SCMP_A1_32(SCMP_CMP_EQ, FCNTL_SETOWN_EX));
	RULE(f, f->refuse, ioctl, SCMP_A1_32(SCMP_CMP_EQ, TIOCSTI));
	RULE(f, f->refuse, ioctl, SCMP_A1_32(SCMP_CMP_EQ, TIOCLINUX));
	RULE(f, f->refuse, ioctl, SCMP_A1_32(SCMP_CMP_EQ, FIOSETOWN));
	RULE(f, f->refuse, ioctl, SCMP_A1_32(SCMP_CMP_EQ, SIOCSPGRP));
	for (scmp_datum_t flag = 1; flag <= (scmp_datum_t)NEW_NAMESPACES; flag <<= 1)
		if ((flag & (scmp_datum_t)NEW_NAMESPACES) != 0)
			RULE(f, f->refuse, clone, SCMP_A0_64(SCMP_CMP_MASKED_EQ, flag, flag));
	/* Its flags are behind a pointer. The C library takes ENOSYS for an older kernel, and clone() instead. */
	rule(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
	/* Limits and scheduling: of itself only, which is 0, too. */
	RULE(f, f->refuse, prlimit64, SCMP_A0_32(SCMP_CMP_GT, 0));
	RULE(f, f->refuse, sched_setaffinity, SCMP_A0_32(SCMP_CMP_GT, 0));
	RULE(f, f->refuse, sched_setscheduler, SCMP_A0_32(SCMP_CMP_GT, 0));
}

/* --- strict --------------------------------------------------------------------------------------------------- */

static void add_files(struct filter *f)
{
	RULE(f, f->allow, openat, SCMP_A2_32(SCMP_CMP_MASKED_EQ, WRITES, O_RDONLY));
	RULE(f, f->allow, open, SCMP_A1_32(SCMP_CMP_MASKED_EQ, WRITES, O_RDONLY));
	RULE(f, f->allow, fallocate, /* of what has left the overflow file */
	     SCMP_A1_32(SCMP_CMP_EQ, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
	RULE(f, f->allow, ioctl, SCMP_A1_32(SCMP_CMP_EQ, TCGETS)); /* isatty() */
	RULE(f, f->allow, fcntl, SCMP_A1_32(SCMP_CMP_EQ, F_GETFD));
	RULE(f, f->allow, fcntl, SCMP_A1_32(SCMP_CMP_EQ, F_SETFD));
	RULE(f, f->allow, fcntl, SCMP_A1_32(SCMP_CMP_EQ, F_GETFL));
	RULE(f, f->allow, fcntl, SCMP_A1_32(SCMP_CMP_EQ, F_SETFL));
	RULE(f, f->allow, fcntl, SCMP_A1_32(SCMP_CMP_EQ, F_DUPFD_CLOEXEC));
	RULE(f, f->allow, fcntl, SCMP_A1_32(SCMP_CMP_EQ, F_GET_SEALS));
}

static void add_memory(struct filter *f)
{
	RULE(f, f->allow, mmap, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	RULE(f, f->allow, mprotect, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (f->refuse == SCMP_ACT_NOTIFY)
		return;
	/* Who refuses would have to know whether plug-ins are loaded, and only the supervisor does. */
	RULE(f, f->allow, mmap, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	RULE(f, f->allow, mprotect, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
}

static void add_strict(struct filter *f)
{
	for (size_t i = 0; i < DX_ARRAY_LEN(dx_calls_allowed); i++)
		rule(f, f->allow, dx_calls_allowed[i], 0, NULL);
	add_files(f);
	add_memory(f);
	add_only_self(f, f->allow, SCMP_SYS(tgkill)); /* abort() */
	add_only_self(f, f->allow, SCMP_SYS(kill));
	RULE(f, f->allow, recvmsg, SCMP_A0_32(SCMP_CMP_EQ, DX_CONTROL_FD));
	RULE(f, f->allow, sendmsg, SCMP_A0_32(SCMP_CMP_EQ, DX_CONTROL_FD));
	RULE(f, f->allow, prctl, SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME));
	RULE(f, f->allow, prctl, SCMP_A0_32(SCMP_CMP_EQ, PR_SET_VMA));
	RULE(f, f->allow, prlimit64, SCMP_A0_32(SCMP_CMP_EQ, 0), SCMP_A2_64(SCMP_CMP_EQ, 0));
}

/* --- both ------------------------------------------------------------------------------------------------------ */

/* The kernel takes at most 4096 instructions, and a pipe holds twice as much. */
#define PROGRAM_BYTES (BPF_MAXINSNS * sizeof(struct sock_filter))

static int export(const struct filter *f, struct sock_filter *code, size_t *ret_bytes)
{
	int ends[2], r;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return dx_errno();
	r = seccomp_export_bpf(f->context, ends[1]);
	n = r == 0 ? read(ends[0], code, PROGRAM_BYTES) : 0;
	(void)close(ends[0]);
	(void)close(ends[1]);
	if (r == 0 && n <= 0)
		r = n < 0 ? dx_errno() : -EIO;
	*ret_bytes = n > 0 ? (size_t)n : 0;
	return r;
}

/* Returns the listener, or 0 if none is asked for. */
static int install(const struct filter *f, bool with_listener)
{
	unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW |
	                 (with_listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0U);
	struct sock_filter *code = malloc(PROGRAM_BYTES);
	struct sock_fprog program = { .filter = code };
	size_t bytes;
	int r = code == NULL ? -ENOMEM : export(f, code, &bytes);

	if (r == 0) {
		program.len = (unsigned short)(bytes / sizeof(*code));
		r = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
		r = r < 0 ? dx_errno() : r;
	}
	free(code);
	return r;
}

static int fill(struct filter *f, enum dsmx_isolation level)
{
	/* Calls of another ABI (32 bits, x32) do not exist here; the tree of numbers is searched, not walked. */
	int r = seccomp_attr_set(f->context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));

	if (r == 0)
		r = seccomp_attr_set(f->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r != 0)
		return r;
	if (level == DSMX_ISOLATION_STRICT)
		add_strict(f);
	else
		add_standard(f);
	return f->code;
}

int dx_seccomp_enter(enum dsmx_isolation level, bool with_listener, struct dsmx_error *err)
{
	struct filter f = { .allow = SCMP_ACT_ALLOW,
		            .refuse = with_listener ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(EPERM) };
	int r;

	f.context = seccomp_init(level == DSMX_ISOLATION_STRICT ? f.refuse : f.allow);
	if (f.context == NULL)
		return dx_error(err, -ENOMEM, "seccomp: no filter can be made");
	r = fill(&f, level);
	if (r == 0)
		r = install(&f, with_listener);
	seccomp_release(f.context);
	if (r >= 0)
		return r;
	return with_listener
	               ? dx_error(err, r, "seccomp: what it refuses is not logged: %s%s",
	                          dx_strerror(r),
	                          r == -EBUSY ? " (the container's manager listens already)" : "")
	               : dx_error(err, r,
	                          "seccomp: %s; it needs CONFIG_SECCOMP_FILTER, and a container "
	                          "that allows seccomp(2)",
	                          dx_strerror(r));
}
