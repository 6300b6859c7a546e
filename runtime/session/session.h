/* SPDX-License-Identifier: MIT */
/*
 * session.h - what a session is inside the leader
 *
 *	open.c		its processes: start, handshake, end
 *	supervisor.c	what the supervisor says of them
 *	suspect.c	who of them lies
 *	workers.c	who of its workers is there, and who will be
 *	options.c	what the caller asked for, what it will take, what it got
 *	fd.c		the descriptor that the application may poll
 *	start.c		its queries: dealt to workers, offered, run again
 *	query.c		and what their callers ask of them
 */
#ifndef DX_SESSION_SESSION_H
#define DX_SESSION_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "chan/mesh.h"
#include "dsmx/session.h"
#include "exchange/service.h"
#include "session/lease.h"
#include "shm/control.h"
#include "task/task.h"
#include "worker/cgroup.h"
#include "worker/handshake.h"
#include "worker/spawn.h"

/* Records for producer tasks in each page. */
#define DX_SESSION_TASKS 256

/* suspect.c's: what a worker is suspected of. */
struct dx_suspect {
	int what;
	uint64_t about; /* the closed query that it owes its word on; else 0 */
	uint64_t since_ns;
	uint32_t beats; /* looks since then at which its pulse had moved */
	uint32_t pulse;
	uint64_t ended_epoch; /* of the incarnation that was found out; 0: none was */
};

struct dx_suspects {
	struct dx_source source;
	struct dx_timer timer;
	bool is_due;    /* the timer runs */
	uint64_t heard; /* from peers, when it was started last */
	struct dx_suspect peers[DSMX_ABI_PEERS];
};

struct dsmx_session {
	pthread_mutex_t in_use; /* tried, never waited for: who fails is told -EBUSY */
	struct dsmx_session_options
		options; /* defaults filled in; strings belong to the caller of open */
	uint64_t id;
	struct dx_reactor *reactor;
	struct dx_mesh *mesh;
	struct dx_service *service;
	struct dx_control control;
	const struct dsmx_extension *extensions[2]; /* the leader's, NULL-ended */
	struct dx_list queries;                     /* start.c's */
	struct dx_leases leases;
	struct dx_wait_word cancel; /* query.c's: waits for cancel_count, which a cancel moves */
	uint32_t cancel_count;
	struct dx_source cancel_source;
	/* query.c's: close every query; called first by dsmx_session_close(). NULL: there never was one. */
	void (*close_queries)(struct dsmx_session *session);

	/* With workers: */
	struct dx_process supervisor; /* pidfd -1: none */
	struct dx_member member;
	bool is_member;
	struct dx_suspects suspects;
	bool opened;              /* OPEN came */
	uint64_t offered_ns;      /* by it: when the last worker had made its segments */
	uint64_t step_ns;         /* of opening: when the step that runs began */
	struct dsmx_error broken; /* code not 0: the session can run nothing any more, and why */
	struct dx_cgroup group;
	char state_path[DX_CGROUP_PATH]; /* its file in the registry */
	int eventfd; /* what peers write to where the wait has no descriptor to poll; -1: none */
	int epoll;   /* what the application polls there; -1: it never asked */

	struct dsmx_session_info info;
	char isolation[32];
	char steps[256]; /* of isolation, that every worker has taken */
};

/*
 * Enter a public call: 0, or -EBUSY: another thread is in one. Every 0 needs a dx_session_leave().
 */
int dx_session_enter(struct dsmx_session *session, struct dsmx_error *err) DX_MUST_CHECK;
void dx_session_leave(struct dsmx_session *session);

/* Say something to the application's log. */
void dx_session_log(const struct dsmx_session *session, enum dsmx_log_level level, const char *fmt,
                    ...) DX_PRINTF(3, 4);

/* For every query that the process was dealt (cause.c). */
void dx_queries_hear_death(struct dsmx_session *session, const struct dx_verdict *verdict);

/* --- supervisor.c */

/*
 * The supervisor's verdict on incarnation @epoch of the process @peer; NULL while there is none. It follows the
 * death by milliseconds: who sees a peer die first may wait for it a little.
 */
const struct dx_verdict *dx_session_verdict(const struct dsmx_session *session, uint32_t peer,
                                            uint64_t epoch);

/* A verdict as an error: code -EOWNERDEAD, worker, reason, status, sentence. Returns the code. */
int dx_session_verdict_error(const struct dx_verdict *verdict, struct dsmx_error *err);

extern const struct dx_member_ops dx_session_member_ops;

void dx_session_kill_workers(struct dsmx_session *session);

/* --- fd.c */

/* The application is here: what its descriptor told is about to be looked at. */
void dx_session_unpoll(struct dsmx_session *session);

/* --- workers.c */

/* Until when workers are worth waiting for that are about to take the place of dead ones; 0: none is. */
uint64_t dx_session_workers_due_ns(const struct dsmx_session *session, uint64_t since_ns);
/* Does an operator want the worker at @peer dealt nothing more? */
bool dx_session_drains(const struct dsmx_session *session, uint32_t peer);

/* Hear of deaths, and wait a little for workers that are about to take the place of dead ones. */
void dx_session_await_workers(struct dsmx_session *session, uint64_t until_ns);

/* --- suspect.c */

/* Of a session with workers, after it became a member; before its mesh is freed. */
void dx_suspects_start(struct dsmx_session *session);
void dx_suspects_stop(struct dsmx_session *session);
/* There is something that workers have to answer: look soon whether they did. */
void dx_suspects_soon(struct dsmx_session *session);
/* Is the worker at @peer suspected of anything? */
bool dx_suspects_are(const struct dsmx_session *session, uint32_t peer);
/* The worker at @peer lies: it is ended. */
void dx_suspects_end(struct dsmx_session *session, uint32_t peer, const char *what);

/* --- options.c */

/* Copy, check, fill defaults in. Returns 0 or -EINVAL. */
int dx_session_options(const struct dsmx_session_options *options,
                       struct dsmx_session_options *ret_options,
                       struct dsmx_error *err) DX_MUST_CHECK;
struct dx_mesh_params dx_session_mesh_params(const struct dsmx_session_options *options,
                                             uint64_t session);

/* --- budget.c */

/*
 * Do the limits that this process is under allow what checked options ask for? What may still work is only said to
 * the log. Returns 0, or -ENOMEM, -EAGAIN, -EMFILE, -EFBIG with a sentence: what is needed, what the limit is, what to do.
 */
int dx_session_budget(const struct dsmx_session_options *options,
                      struct dsmx_error *err) DX_MUST_CHECK;

/* --- account.c */

/* Put lines of the session, and of what its workers have taken, behind a malloc'ed text. Returns 0 or -ENOMEM. */
int dx_session_explain(const struct dsmx_session *session, char **text) DX_MUST_CHECK;

#endif /* DX_SESSION_SESSION_H */
