/* SPDX-License-Identifier: MIT */
/*
 * status.h - what a supervisor writes down of its session, for whoever looks
 *
 * A memfd of the supervisor's, which others find by its number in the session's entry in the registry and open as
 * /proc/PID/fd/NUMBER: the same user, or root. Lines KEY=value, of the session first, then of each worker after a
 * line WORKER=. It is written when something has changed, without a wait for any disk; a reader sees by the same
 * number in SERIAL= at its begin and END= at its end that it was not being written, and believes nothing else in it.
 */
#ifndef DX_WORKER_STATUS_H
#define DX_WORKER_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/session.h"
#include "worker/cgroup.h"

#define DX_STATUS_VERSION   1
#define DX_STATUS_BYTES_MAX (256U << 10)

struct dx_status_worker {
	char state[12];
	bool frozen;
	uint64_t epoch;
	int pid;
	uint32_t restarts;
	char leaf[32]; /* "w0.g1" */
	uint64_t exit_epoch;
	int exit_pid;
	int exit_reason;
	int exit_status;
	char exit_text[256];
	struct dsmx_usage exit_usage;
};

struct dx_status {
	uint64_t serial;
	uint64_t session;
	int leader;
	int supervisor;
	char isolation[32];
	char level[16];
	char missing[DSMX_ERROR_MESSAGE_BYTES];
	struct dx_cgroup group;
	uint64_t memory_max;
	int page_fd; /* in the supervisor: the leader's page; -1: none */
	uint32_t slots, frames, tasks;
	uint32_t workers;
	struct dx_status_worker worker[DSMX_WORKERS_MAX];
};

/* Returns the descriptor or -errno. */
int dx_status_create(void);

/*
 * Read @len bytes, which are changed. Returns 0, -EAGAIN: they are not whole; -EPROTO: another version's, or none.
 */
int dx_status_parse(char *text, size_t len, struct dx_status *ret_status) DX_MUST_CHECK;

/* Read descriptor @number of process @pid. Returns 0, -EPROTO, -ENOENT, -EACCES, ... */
int dx_status_read(int pid, int number, struct dx_status *ret_status) DX_MUST_CHECK;

#endif /* DX_WORKER_STATUS_H */
