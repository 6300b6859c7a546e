/* SPDX-License-Identifier: MIT */
/*
 * control.h - sessions seen and steered from outside: what `dsmx ps` and `dsmx ctl` do
 *
 * Any process of the session's user, or root, may look and steer; it needs no session of its own. Looking
 * disturbs nobody: it reads what a session's supervisor has written down, the counters of cgroups, and pages.
 * Steering is asked of the supervisor, over a socket beside its entry in $XDG_RUNTIME_DIR/dsmx, else
 * /run/dsmx; the supervisor does it.
 */
#ifndef DSMX_CONTROL_H
#define DSMX_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmx/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a worker's cgroup has counted since it was made; 0 where there is no such counter. */
struct dsmx_usage {
	uint64_t cpu_ns;
	uint64_t throttled_ns; /* that it was kept from running, by its quota */
	uint64_t memory_bytes; /* where no cgroup counts it, of a living worker: what is resident */
	uint64_t memory_peak_bytes;
	uint64_t pids; /* processes and threads now */
	uint64_t oom_kills;
	uint64_t forks_refused;   /* for the limit of processes */
	uint64_t hugetlb_bytes;   /* huge pages that it has touched */
	uint64_t hugetlb_refused; /* for the limit of huge pages */
	/* Time that some of its threads waited for want of a resource (pressure stall information). */
	uint64_t cpu_pressure_ns;
	uint64_t memory_pressure_ns;
	uint64_t io_pressure_ns;
};

struct dsmx_worker_status {
	uint32_t worker;
	const char *
		state; /* "SPAWNING", "STARTING", "READY", "DRAINING", "STOPPING", "EXITED", "BACKOFF",
	                      "FAILED", or "NONE" before the first */
	bool frozen;
	bool dying; /* its streams have ended, and the kernel takes back its memory: some 80 ms a GiB */
	int pid;                 /* 0: there is none now */
	uint64_t epoch;          /* of its last incarnation */
	uint32_t restarts;       /* incarnations after the first */
	const char *cgroup;      /* the directory; "": none */
	uint64_t memory_max;     /* bytes; 0: no limit */
	int64_t queries;         /* open ones that it was dealt; -1: not to be seen */
	struct dsmx_usage usage; /* of this incarnation */

	/* How the incarnation that ended last did; reason 0: none has. */
	int exit_reason; /* enum dsmx_exit_reason */
	int exit_status; /* exit code or signal number */
	uint64_t exit_epoch;
	int exit_pid;
	const char *exit_text;
	struct dsmx_usage exit_usage; /* its counters at its end */
};

struct dsmx_session_status {
	uint64_t session;
	bool alive; /* false: every process of it was killed; the next start removes what is left */
	uint32_t uid; /* whose it is */
	int leader_pid;
	int supervisor_pid;
	const char *isolation; /* "cgroup v2", ... */
	const char *level;     /* of isolation.h, as it was asked for: "standard!"; "": not known */
	const char *cgroup;    /* "": none */
	const char
		*missing; /* what this machine lacks for what was asked, a sentence; "": nothing */
	int64_t queries;  /* open ones; -1: not to be seen */
	uint32_t worker_count;
	const struct dsmx_worker_status *workers;
};

struct dsmx_snapshot {
	uint32_t session_count;
	const struct dsmx_session_status *sessions; /* ordered by id */
};

/*
 * dsmx_snapshot_take() - all sessions with workers that this user may see: his own, as root everybody's
 *
 * @ret_snapshot: to be freed, and all in it with it
 * Return: 0, also if there is none; -ENOMEM.
 */
DSMX_API int dsmx_snapshot_take(struct dsmx_snapshot **ret_snapshot, struct dsmx_error *err);
DSMX_API void dsmx_snapshot_free(struct dsmx_snapshot *snapshot);

enum dsmx_control_verb {
	DSMX_CONTROL_DRAIN, /* nothing new for it, what it was dealt ends, then it does; it stays away */
	DSMX_CONTROL_RESTART, /* the same, and another takes its place; also for one that stays away */
	DSMX_CONTROL_KILL,    /* SIGKILL to its cgroup; the restart policy decides what follows */
	DSMX_CONTROL_FREEZE, /* stop it where it is; its watchdog waits */
	DSMX_CONTROL_THAW,
	DSMX_CONTROL_RESET_FAILED, /* FAILED, or waiting in BACKOFF: start it now, its past forgotten */
	DSMX_CONTROL_COUNT
};

/* "drain", "restart", ...; NULL for a number that is no verb. */
DSMX_API const char *dsmx_control_verb_str(int verb);

struct dsmx_control {
	size_t size; /* sizeof(struct dsmx_control) */
	uint64_t session;
	uint32_t worker;
	enum dsmx_control_verb verb;
	uint64_t
		timeout_ms; /* DRAIN, RESTART: what the worker was dealt may take so long; then it is ended. 0:
	                        as long as it takes */
	bool no_wait; /* return when the supervisor has begun */
};

/*
 * dsmx_control() - have a session's supervisor do something to a worker; blocks until it is done
 *
 * A new incarnation is done with when it has started; it is READY when the application has called the library
 * again, so it may call this itself.
 * Return: 0; -EINVAL, -ENOENT (no such session or worker), -EACCES (another user's), -EBUSY (the worker's
 * state does not allow it now, or too many ask), -EOWNERDEAD (the session, or what was waited for, is gone),
 * -ETIMEDOUT (the supervisor does not answer).
 */
DSMX_API int dsmx_control(const struct dsmx_control *control, struct dsmx_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_CONTROL_H */
