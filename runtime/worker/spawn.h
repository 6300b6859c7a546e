/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - start a process: the one door to clone3() and execve()
 *
 * What is started gets its end of a socket as descriptor DX_CONTROL_FD, /dev/null as standard input and output,
 * the caller's standard error, a session of its own, default signal handling, and no other descriptor.
 */
#ifndef DX_WORKER_SPAWN_H
#define DX_WORKER_SPAWN_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "dsmx/error.h"
#include "worker/cgroup.h"

#define DX_CONTROL_FD 3

/* The one argument of a program that is to serve, and what as. */
#define DX_SERVE_SUPERVISOR "--dsmx-serve=supervisor"
#define DX_SERVE_WORKER     "--dsmx-serve=worker"

struct dx_spawn {
	const char *path;  /* of the program */
	char *const *argv; /* NULL-ended */
	int control;       /* its end of the socket; stays open here */
	int cgroup_fd;     /* to be born in; -1: where the caller is */
	const int *
		v1_procs; /* DX_V1_COUNT cgroup.procs to write itself to, -1: none; NULL: none at all */
	const cpu_set_t *cpus; /* not to run on others, though its group may; NULL: no matter */
	bool no_core;          /* no core dump */
};

struct dx_process {
	pid_t pid;
	int pidfd;
};

/*
 * A child of this process, reaped by waitid(P_PIDFD). It costs by the memory of the caller, who must be small.
 * If the program cannot be executed, the child sends ERRNO= and STATUS= over its socket and exits with 127.
 */
int dx_spawn_child(const struct dx_spawn *spawn, struct dx_process *ret_process,
                   struct dsmx_error *err) DX_MUST_CHECK;

/*
 * A process that is nobody's child here: the caller gets no SIGCHLD for it and its wait() does not see it.
 * Costs the same whatever the caller's size. Returns what execve() said, too.
 */
int dx_spawn_detached(const struct dx_spawn *spawn, struct dx_process *ret_process,
                      struct dsmx_error *err) DX_MUST_CHECK;

/*
 * The program for supervisor and workers: @named, else DSMX_WORKER, dsmx-worker beside the executable, or that
 * of the installation. Returns 0, or -ENOENT, -EACCES, ... with a sentence.
 */
int dx_spawn_program(const char *named, char *ret_path, size_t room,
                     struct dsmx_error *err) DX_MUST_CHECK;

/* Descriptor of a process, -errno. */
int dx_pidfd_open(pid_t pid);
/* Send @sig; a process that is gone is fine. */
void dx_pidfd_kill(int pidfd, int sig);

/* Wait for its end. Returns 0, or -ETIMEDOUT at @deadline_ns. */
int dx_pidfd_wait(int pidfd, uint64_t deadline_ns) DX_MUST_CHECK;

#endif /* DX_WORKER_SPAWN_H */
