/* SPDX-License-Identifier: MIT */
/*
 * supervisor.h - the process that owns the workers and their cgroups
 *
 * Private to supervisor.c (the session: start, end), hear_leader.c (what the leader says), introduce.c (everybody to
 * everybody), incarnation.c (the life of a worker), hear.c (what it says), watchdog.c (does it move?), refusal.c (what
 * it may not), verdict.c (how it ended), steer.c (what operators want of it), ctl.c (their socket) and status.c (what
 * they may read).
 */
#ifndef DX_WORKER_SUPERVISOR_H
#define DX_WORKER_SUPERVISOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "chan/layout.h"
#include "shm/segment.h"
#include "task/task.h"
#include "worker/cgroup.h"
#include "worker/ctl.h"
#include "worker/handshake.h"
#include "worker/refusal.h"
#include "worker/registry.h"
#include "worker/spawn.h"

/* States of a worker; the picture is in incarnation.c. */
enum dx_worker_state {
	DX_WORKER_NONE,
	DX_WORKER_SPAWNING,
	DX_WORKER_STARTING,
	DX_WORKER_READY,
	DX_WORKER_DRAINING,
	DX_WORKER_STOPPING,
	DX_WORKER_EXITED,
	DX_WORKER_BACKOFF,
	DX_WORKER_FAILED,
	DX_WORKER_STATE_COUNT
};

/* What a process gave for the others to map. */
struct dx_member_offer {
	int page_fd;
	int data_fd;
	enum dsmx_pages pages;
	bool ready;      /* the offer is complete */
	uint32_t round;  /* of introductions, in which it was introduced itself; 0: not yet */
	uint32_t mapped; /* the last round that it has answered */
	bool due[DSMX_ABI_PEERS]; /* of whom it is still to be told */
};

struct dx_supervisor;

/* What follows the end of an incarnation. */
enum dx_after {
	DX_AFTER_POLICY, /* what restart.c says */
	DX_AFTER_STAY,   /* nothing: it was drained */
	DX_AFTER_AGAIN,  /* another, at once */
};

struct dx_worker {
	struct dx_supervisor *supervisor;
	uint32_t peer; /* 1.. */
	uint32_t generation;
	uint32_t started; /* incarnations */
	uint64_t epoch;
	enum dx_worker_state state;
	bool frozen;
	enum dx_after after;
	uint64_t retire_until_ns; /* DRAINING: then it is ended; DX_NEVER */
	struct dx_process process;
	struct dx_wait_fd control; /* fd -1: closed */
	struct dx_wait_fd exit;    /* its pidfd */
	struct dx_timer timer;     /* what the state is waiting for */
	struct dx_cgroup_leaf leaf;
	uint64_t leaf_deadline_ns; /* EXITED: no more tries to remove the leaf after it */
	struct dx_member_offer offer;
	int ended_as;              /* the reason why we ended it; 0: we did not */
	struct dsmx_error said;    /* what it said of itself, or was said of it; code 0: nothing */
	struct dx_verdict verdict; /* of the last incarnation that ended */
	struct dsmx_usage usage;   /* the same's, at its end */
	uint64_t ready_ns;         /* when it became READY; 0: it is not yet */
	struct dx_restart_history history;
	int last_page_fd; /* of the last incarnation that ended, for its flight recorder; -1: none */
	struct dx_segment page; /* watched; base NULL: not mapped */
	uint32_t pulse;         /* the last that was seen */
	uint32_t still;         /* looks since it moved */
	uint32_t
		isolation; /* level and steps taken, by its own word before its plug-ins; 0: none yet */
	struct dx_refusals refusals;
};

struct dx_supervisor {
	struct dx_reactor *reactor;
	struct dx_source source;
	struct dx_wait_fd control; /* to the leader */
	struct dx_wait_fd leader;  /* its pidfd */
	int leader_pid;
	int eventfd;
	int watchers_fd;              /* the control segment, which is passed on; -1: none */
	struct dx_member_offer offer; /* the leader's */
	struct dx_message start_message;
	struct dx_start start; /* strings are start_message's */
	struct dx_cgroup group;
	char missing[DSMX_ERROR_MESSAGE_BYTES];
	char missing_steps
		[DSMX_ERROR_MESSAGE_BYTES]; /* of isolation, as the leader was last told */
	struct dx_registry_entry entry;
	uint64_t last_epoch;
	uint32_t round;
	uint64_t offered_ns; /* when the last of the first workers had made its segments */
	bool open;           /* the leader was told */
	bool ending;         /* no worker is to be started any more */
	bool changed;        /* what status.c is to write down */
	int status_fd;
	uint32_t status_serial;
	struct dx_ctl_server control_server;
	struct dx_segment
		page; /* the leader's, to see what workers are dealt; base NULL: not mapped */
	struct dx_timer sweep;
	uint32_t sweeps;
	struct dx_timer introduce;
	struct dx_timer watch;
	struct dx_message in;  /* the one that is being heard: its descriptors are ours */
	struct dx_message out; /* the one that is being made */
	struct dx_worker workers[DSMX_WORKERS_MAX];
};

/* --- incarnation.c: transitions, and what they are asked for */

/* To STARTING. Returns 0, or what stood in the way; then nothing is left. */
int dx_worker_spawn(struct dx_worker *worker, struct dsmx_error *err) DX_MUST_CHECK;
/* It has offered its segments, and all have answered: STARTING to READY. */
void dx_worker_is_ready(struct dx_worker *worker);
/* READY to DRAINING: it gets nothing new; looked at in @look_ms. */
void dx_worker_retire(struct dx_worker *worker, uint64_t look_ms);
/* It is to leave by itself now; signals follow if it does not. */
void dx_worker_dismiss(struct dx_worker *worker);
/* SIGKILL, for @reason; @text says more, or NULL. */
void dx_worker_end(struct dx_worker *worker, int reason, const char *text);
/* SIGKILL, for which the supervisor has no reason; @text says who has. There is a process. */
void dx_worker_kill(struct dx_worker *worker, const char *text);
/* Its process ended. */
void dx_worker_reap(struct dx_worker *worker);
/* Without a process: another at once, or as soon as its last group is gone. */
void dx_worker_start_again(struct dx_worker *worker);
/* Stop it where it is, or let it go on. */
void dx_worker_freeze(struct dx_worker *worker, bool frozen);
/* It has no more to say. */
void dx_worker_close_control(struct dx_worker *worker);
/* Fired by worker->timer. */
void dx_worker_timeout(struct dx_timer *timer);
/* A process that is there, or a group that is still to be removed. */
bool dx_worker_is_there(const struct dx_worker *worker);
/* It serves: STARTING, READY, DRAINING. */
bool dx_worker_is_up(const struct dx_worker *worker);

/* --- hear.c */

/* Its descriptors fired: hear it, reap it. Returns whether there were news. */
bool dx_worker_look(struct dx_worker *worker);
/* Hear what it has said. */
void dx_worker_hear(struct dx_worker *worker);

/* --- hear_leader.c */

/* Its descriptors fired: hear it. Returns whether there were news. */
bool dx_leader_look(struct dx_supervisor *supervisor);
/* The session is over: workers are dismissed, or killed @at_once. */
void dx_supervisor_end(struct dx_supervisor *supervisor, bool at_once);

/* --- steer.c */

/* Begin what an operator asks for. Returns 0, or -EBUSY with a sentence. */
int dx_steer(struct dx_worker *worker, enum dsmx_control_verb verb, uint64_t timeout_ms,
             const char *who, struct dsmx_error *err) DX_MUST_CHECK;
/* What became of it, asked for when @epoch was its incarnation: -EINPROGRESS, 0, or a failure with a sentence. */
int dx_steer_result(const struct dx_worker *worker, enum dsmx_control_verb verb, uint64_t epoch,
                    struct dsmx_error *err) DX_MUST_CHECK;
/* DRAINING: has all ended that it was dealt? If not, when to look again; 0: the time-out has passed. */
bool dx_retired_is_done(struct dx_worker *worker, uint64_t *ret_next_ms);
/* Open queries in a leader's page that deal to @peer's incarnation @epoch; the leader: all. */
uint32_t dx_queries_dealt(const void *page, const struct dx_layout *layout, uint32_t peer,
                          uint64_t epoch);
const char *dx_worker_state_str(enum dx_worker_state state);

/* --- status.c */

/* Write down for others what there is to say of the session. */
void dx_status_write(struct dx_supervisor *supervisor);

/* --- introduce.c */

/* Somebody offered its segments. In the beginning: if all have, tell all. @later: that one, and of that one. */
void dx_introduce_begin(struct dx_supervisor *supervisor, struct dx_worker *later);
/* Somebody answered, or is gone: whom all have mapped now is READY; when all are, the session is open. */
void dx_introduce_finish(struct dx_supervisor *supervisor);
/* Fired by supervisor->introduce. */
void dx_introduce_late(struct dx_timer *timer);

/* --- watchdog.c */

/* The session is open: look at the workers' pulses from now on. */
void dx_watch_start(struct dx_supervisor *supervisor);
/* Fired by supervisor->watch. */
void dx_watch_look(struct dx_timer *timer);
/* An incarnation is over. */
void dx_watch_forget(struct dx_worker *worker);

/* --- verdict.c */

/* From the way a process ended to a reason and a sentence. */
void dx_verdict_make(const struct dx_worker *worker, const siginfo_t *info,
                     const struct dsmx_usage *usage, struct dx_verdict *ret_verdict);

/* --- supervisor.c */

void dx_member_offer_close(struct dx_member_offer *offer);
/* A line for the application's log. */
void dx_supervisor_log(struct dx_supervisor *supervisor, enum dsmx_log_level level, const char *fmt,
                       ...) DX_PRINTF(3, 4);
/* A worker is gone, with its verdict. */
void dx_supervisor_worker_exited(struct dx_supervisor *supervisor, struct dx_worker *worker);

/* Be the supervisor, at the end of a socket in which START waits. Returns the exit status. */
int dx_supervisor_main(int control);

#endif /* DX_WORKER_SUPERVISOR_H */
