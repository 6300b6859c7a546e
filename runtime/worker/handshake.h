/* SPDX-License-Identifier: MIT */
/*
 * handshake.h - what the processes of a session tell each other, and a process's end of it
 *
 *	from		to		message (message.h), [descriptors]
 *	leader		supervisor	START=protocol, parameters [leader's pidfd, control]
 *	supervisor	worker		START=protocol, parameters, SELF= EPOCH= [leader's pidfd, control]
 *	worker		supervisor	CONFINED=level and steps, MISSING= [seccomp's listener]
 *	process		supervisor	READY=protocol, EPOCH= PAGES= WAIT= [page, data; the leader's eventfd]
 *	supervisor	process		PEERS=round, PEER=number epoch pid, ... [page, data, pidfd of each;
 *					the leader's eventfd]
 *	process		supervisor	MAPPED=round
 *	supervisor	leader		OPEN=1, ISOLATION= STEPS= CGROUP= CGROUP_MEMORY= ... STATE= PAGES= MISSING=
 *	supervisor	leader		LOG=level, STATUS=: for the application's log
 *	supervisor	process		DEAD=number, EPOCH= PID= REASON= EXIT= STATUS=, RESTART=ms until it is
 *					started again, if it is
 *	process		supervisor	ERRNO= STATUS=: it cannot go on, and ends
 *	supervisor	leader		DRAIN=number, EPOCH= AGAIN=0 or 1: deal nothing more to it (steer.c)
 *	leader		supervisor	BAD=number, EPOCH= STATUS=: that worker broke a rule: end it
 *	leader		supervisor	DOUBT=number, EPOCH= STATUS=: that one or another lies: end it, start another
 *	leader		supervisor	STOPPING=1: SessionEnd; then it closes the socket
 *	supervisor	worker		STOPPING=1
 *
 * START waits in the socket when its receiver is started. One round of PEERS and MAPPED introduces all processes
 * to each other; a new incarnation of a worker later takes one more, in which it is told of all the others and
 * they of it. An end of file means that the other is
 * gone: workers leave, the leader reports it, the supervisor ends everything.
 *
 * struct dx_member is a leader's or worker's end: a source of its reactor that attaches peers to the mesh,
 * passes verdicts on, and says when it is over.
 */
#ifndef DX_WORKER_HANDSHAKE_H
#define DX_WORKER_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "chan/mesh.h"
#include "dsmx/session.h"
#include "worker/cgroup.h"
#include "worker/message.h"
#include "worker/restart.h"

#define DX_PROTOCOL       4
#define DX_PLUGINS_MAX    32
#define DX_READ_PATHS_MAX 64
#define DX_LEADER_EPOCH   1 /* the workers' are greater */

/* The parameters of START. Strings are their message's or caller's. */
struct dx_start {
	uint64_t session;
	uint32_t self; /* number of the receiver among the peers; 0 for the supervisor */
	uint64_t epoch;
	uint32_t workers;
	uint32_t slots;
	uint32_t frames;
	uint32_t tasks;
	uint64_t data_bytes;
	enum dsmx_pages pages;
	enum dsmx_numa numa;
	const char *numa_nodes; /* NULL: any */
	enum dsmx_wait_backend wait;
	enum dsmx_isolation isolation;
	bool isolation_required; /* without a step of it a worker does not serve */
	bool core_dumps;
	bool in_cgroup; /* worker: it was born into a group of its own */
	struct dx_limits limits;
	uint64_t start_timeout_ms;
	uint64_t stop_timeout_ms;
	struct dx_restart restart;
	uint64_t watchdog_ms; /* 0: none */
	const char *worker_path;
	const char *cgroup_root; /* NULL: none named */
	const char *plugins[DX_PLUGINS_MAX + 1];
	const char *read_paths[DX_READ_PATHS_MAX + 1];
};

/* Write a START message, without descriptors. */
void dx_start_put(struct dx_message *message, const struct dx_start *start);
/* Read one. Returns 0, -EPROTO with a sentence. */
int dx_start_get(const struct dx_message *message, struct dx_start *ret_start,
                 struct dsmx_error *err) DX_MUST_CHECK;
/* What the mesh of the receiver is made with. */
struct dx_mesh_params dx_start_mesh(const struct dx_start *start);

/* How an incarnation ended, by the supervisor's word. */
struct dx_verdict {
	uint32_t peer;
	uint64_t epoch; /* 0: no verdict yet */
	int pid;
	int reason; /* enum dsmx_exit_reason */
	int status; /* exit code or signal number */
	uint64_t heard_ns;
	int64_t restart_ms; /* until it is started again; -1: it is not */
	char text[256];
};

struct dx_member;

/* An incarnation that is dealt nothing more. */
struct dx_drain {
	uint64_t epoch; /* 0: none */
	uint64_t heard_ns;
	bool again; /* another will take its place */
};

struct dx_member_ops {
	/* Any message that is not the member's own business: OPEN, ERRNO. May be NULL. */
	void (*message)(struct dx_member *member, struct dx_message *message);
	/* The mesh has been told already. May be NULL. */
	void (*dead)(struct dx_member *member, const struct dx_verdict *verdict);
	/* The supervisor is gone; once. May be NULL. */
	void (*gone)(struct dx_member *member);
};

struct dx_member {
	struct dx_source source;
	struct dx_wait_fd fd;
	struct dx_mesh *mesh;
	const struct dx_member_ops *ops;
	bool stopping; /* the supervisor said so */
	bool gone;     /* the supervisor is gone, or what it says makes no sense */
	struct dsmx_error
		why; /* gone because this process failed to attach a peer; code 0: not so */
	int pids[DSMX_ABI_PEERS]; /* of the incarnations that are attached; 0: dead or none */
	int pidfds[DSMX_ABI_PEERS];
	uint32_t incarnations[DSMX_ABI_PEERS];      /* that were attached */
	struct dx_verdict verdicts[DSMX_ABI_PEERS]; /* the latest of each */
	struct dx_drain drains[DSMX_ABI_PEERS];     /* the same */
	struct dx_message message;
};

/*
 * Say READY, with the mesh's segments, and listen on @socket from now on.
 *
 * @socket: becomes the member's on success
 * @eventfd: the leader's, or -1; stays the caller's
 */
int dx_member_start(struct dx_member *member, int socket, struct dx_mesh *mesh, uint64_t epoch,
                    int eventfd, const struct dx_member_ops *ops,
                    struct dsmx_error *err) DX_MUST_CHECK;
/* Before the mesh is freed. */
void dx_member_stop(struct dx_member *member);

/* Hear what is there to be heard, now: whatever was sent before this was called. */
void dx_member_hear(struct dx_member *member);

/* Leader: the worker at @peer broke a rule of the shared memory. It is ended, with reason PROTOCOL. */
void dx_member_accuse(struct dx_member *member, uint32_t peer, uint64_t epoch, const char *text);

/* Leader: it, or another one, which is doubted as well, lies. It is ended, and restarted as after any other death. */
void dx_member_doubt(struct dx_member *member, uint32_t peer, uint64_t epoch, const char *text);

/* Wait for @fd to be readable, or no longer: its events say whether it is waited for. */
int dx_listen(struct dx_reactor *reactor, struct dx_wait_fd *fd) DX_MUST_CHECK;
bool dx_is_listening(const struct dx_wait_fd *fd);
void dx_unlisten(struct dx_reactor *reactor, struct dx_wait_fd *fd);

/* Say over @socket why this process ends. */
void dx_say_failed(int socket, const struct dsmx_error *err);

#endif /* DX_WORKER_HANDSHAKE_H */
