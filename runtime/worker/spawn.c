/* SPDX-License-Identifier: MIT */
/*
 * Starting processes.
 *
 * Workers: clone3() into their cgroup, from the supervisor, which is small. Between the clone and the exec the
 * child is a copy of its parent with one thread; it makes system calls only. Where a container's seccomp filter
 * says that there is no clone3(), the child joins the group itself before it executes anything.
 *
 * The supervisor: the application may be large, have threads, handlers for SIGCHLD, and loops around wait().
 * So the child borrows the caller's memory (CLONE_VM | CLONE_VFORK, as posix_spawn() does), and it is made by
 * a middleman that ends at once: a process that executes a program signals its parent by SIGCHLD at its end
 * whatever clone() was told, so its parent must not be the application.
 *
 *	caller ─ middleman (shares memory and descriptors, signals nothing, reaped here)
 *	            └ supervisor (shares memory until it executes; then its parent is init)
 *
 * All signals are blocked meanwhile, as a handler would run in memory that is the caller's.
 */
#include "worker/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/point.h"

#define STACK_BYTES (64U << 10)

/* Descriptors that the child sorts out are first moved to or above this. */
#define HIGH_FD 10

/* The child's functions run on a stack that the sanitizer does not know. */
#define ON_FOREIGN_STACK __attribute__((no_sanitize("address", "thread", "undefined")))

/* The middleman's and the detached child's arguments and results: all in the caller's memory. */
struct detached {
	const struct dx_spawn *spawn;
	char *stack_end;
	struct dx_process process;
	int clone_error;
	int exec_error;
};

/*
 * The kernel's call, not the C library's: that refuses the two signals that it keeps for itself, and a program that
 * was started by posix_spawn(), as make does, has inherited them ignored.
 */
ON_FOREIGN_STACK static void default_signals(void)
{
	static const unsigned long by_default[4] = { 0 }; /* handler, flags, restorer, mask */
	sigset_t none;

	for (int sig = 1; sig < _NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, by_default, NULL, sizeof(by_default[0]));
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Standard descriptors and the control socket, nothing else. The caller may have closed any of 0, 1 and 2. */
ON_FOREIGN_STACK static int sort_descriptors(int control)
{
	bool no_stderr = control == STDERR_FILENO || fcntl(STDERR_FILENO, F_GETFD) < 0;
	int high = fcntl(control, F_DUPFD, HIGH_FD), null = open("/dev/null", O_RDWR);

	if (high < 0 || null < 0)
		return dx_errno();
	null = fcntl(null, F_DUPFD, HIGH_FD);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    (no_stderr && dup2(null, STDERR_FILENO) < 0) || dup2(high, DX_CONTROL_FD) < 0)
		return dx_errno();
	return syscall(SYS_close_range, DX_CONTROL_FD + 1, ~0U, 0) == 0 ? 0 : dx_errno();
}

/* Before Linux 6.2 a process that enters a cpuset may run on all of it, wherever it was told to run before. */
ON_FOREIGN_STACK static void keep_to(const cpu_set_t *cpus)
{
	cpu_set_t allowed, both;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return;
	CPU_AND(&both, &allowed, cpus);
	if (!CPU_EQUAL(&both, &allowed) && CPU_COUNT(&both) > 0)
		(void)sched_setaffinity(0, sizeof(both), &both);
}

/* In the child: become the program. Returns -errno only. */
ON_FOREIGN_STACK static int become(const struct dx_spawn *spawn)
{
	struct rlimit no_core = { 0, 0 };
	int r;

	if (setsid() < 0)
		return dx_errno();
	for (int i = 0; spawn->v1_procs != NULL && i < DX_V1_COUNT; i++)
		if (spawn->v1_procs[i] >= 0 && write(spawn->v1_procs[i], "0", 1) != 1)
			return dx_errno();
	if (spawn->cpus != NULL)
		keep_to(spawn->cpus);
	if (spawn->no_core && setrlimit(RLIMIT_CORE, &no_core) != 0)
		return dx_errno();
	r = sort_descriptors(spawn->control);
	if (r != 0)
		return r;
	default_signals();
	(void)execve(spawn->path, spawn->argv, environ);
	return dx_errno();
}

/* --- a child of this process ---------------------------------------------------------------------------- */

/* Over the socket, which is still where it was unless the failure was the exec's. */
static void say_exec_failed(const char *path, int control, int code)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "ERRNO=%d\nSTATUS=cannot execute %.300s: %s\n", -code,
	                 path, dx_strerror(code));

	if (n > 0)
		(void)send(fcntl(control, F_GETFD) < 0 ? DX_CONTROL_FD : control, text, (size_t)n,
		           MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* In the child: into its v2 group, where it could not be born there. */
static int join_group(int cgroup_fd)
{
	int procs = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	return procs >= 0 && write(procs, "0", 1) == 1 ? 0 : dx_errno();
}

int dx_spawn_child(const struct dx_spawn *spawn, struct dx_process *ret_process,
                   struct dsmx_error *err)
{
	int pidfd = -1, code = 0;
	bool joins = false;
	struct clone_args args = {
		.flags = CLONE_PIDFD | (spawn->cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = spawn->cgroup_fd >= 0 ? (unsigned)spawn->cgroup_fd : 0U,
	};
	long pid = DX_POINT_FAILS(CHILD) ? -1 : syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0 && errno == ENOSYS) {
		joins = spawn->cgroup_fd >= 0;
		pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL);
	}
	if (pid == 0) {
		if (joins)
			code = join_group(spawn->cgroup_fd);
		if (code == 0)
			code = become(spawn);
		say_exec_failed(spawn->path, spawn->control, code);
		_exit(127);
	}
	if (pid < 0)
		return dx_error(err, dx_errno(), "cannot start %s%s: %s", spawn->path,
		                spawn->cgroup_fd >= 0 ? " in its cgroup" : "", dx_strerror(errno));
	*ret_process = (struct dx_process){ (pid_t)pid, pidfd };
	return 0;
}

/* --- a process that is nobody's child here ---------------------------------------------------------------- */

ON_FOREIGN_STACK static int detached_child(void *arg)
{
	struct detached *detached = arg;

	detached->exec_error = become(detached->spawn);
	return 127;
}

ON_FOREIGN_STACK static int middleman(void *arg)
{
	struct detached *detached = arg;
	int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;

	detached->process.pid = clone(detached_child, detached->stack_end, flags, detached,
	                              &detached->process.pidfd);
	if (detached->process.pid < 0)
		detached->clone_error = dx_errno();
	return 0;
}

/* What could not be executed has ended, or is about to. Its parent is gone: where orphans go to us, we reap it. */
static void bury(int pidfd)
{
	siginfo_t info;

	(void)!dx_pidfd_wait(pidfd, dx_now_ns() + DX_NS_PER_S);
	(void)waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
	(void)close(pidfd);
}

int dx_spawn_detached(const struct dx_spawn *spawn, struct dx_process *ret_process,
                      struct dsmx_error *err)
{
	struct detached detached = { .spawn = spawn, .process = { -1, -1 } };
	char *stacks = mmap(NULL, 2 * STACK_BYTES, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all, before;
	int r = 0, pid;

	if (stacks == MAP_FAILED)
		return dx_error(err, -ENOMEM, "no memory to start %s", spawn->path);
	detached.stack_end = stacks + STACK_BYTES;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = clone(middleman, stacks + 2 * STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_FILES,
	            &detached);
	if (pid < 0)
		r = dx_errno();
	else
		(void)waitpid(pid, NULL, (int)__WCLONE);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)munmap(stacks, 2 * STACK_BYTES);

	if (r == 0)
		r = detached.clone_error;
	if (r != 0)
		return dx_error(err, r, "cannot start %s: %s", spawn->path, dx_strerror(r));
	if (detached.exec_error != 0) {
		bury(detached.process.pidfd);
		return dx_error(err, detached.exec_error, "cannot execute %s: %s", spawn->path,
		                dx_strerror(detached.exec_error));
	}
	*ret_process = detached.process;
	return 0;
}

int dx_pidfd_open(pid_t pid)
{
	int fd = DX_POINT_FAILS(PIDFD) ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);

	return fd >= 0 ? fd : dx_errno();
}

void dx_pidfd_kill(int pidfd, int sig)
{
	if (pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int dx_pidfd_wait(int pidfd, uint64_t deadline_ns)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	for (;;) {
		uint64_t now_ns = dx_now_ns(),
			 left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
		struct timespec left = { .tv_sec = (time_t)(left_ns / DX_NS_PER_S),
			                 .tv_nsec = (long)(left_ns % DX_NS_PER_S) };

		if (ppoll(&end, 1, &left, NULL) > 0)
			return 0;
		if (left_ns == 0)
			return -ETIMEDOUT;
	}
}
