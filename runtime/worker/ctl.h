/* SPDX-License-Identifier: MIT */
/*
 * ctl.h - the socket on which operators ask a supervisor for something
 *
 *	operator	supervisor	CONTROL=verb, WORKER= TIMEOUT_MS= WAIT=0 or 1
 *	supervisor	operator	BEGUN=1, with WAIT=1, if it was begun
 *	supervisor	operator	ERRNO=0; or ERRNO= STATUS=sentence
 *
 * One question and one answer a connection (SOCK_SEQPACKET, message.h). With WAIT=1 the answer comes when what
 * was asked for is done. The socket has the name of the session's file in the registry with DX_CTL_SUFFIX, in
 * a directory that is its user's alone; and whoever connects is looked at: the same user, or root.
 *
 * A hostile client of that user can do what a user may: kill the supervisor. It can neither crash it nor hold it
 * up: at most DX_CTL_CLIENTS are heard at once, each says one message of a limited size within
 * DX_CTL_PATIENCE_MS, and nothing here blocks.
 */
#ifndef DX_WORKER_CTL_H
#define DX_WORKER_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/control.h"
#include "task/task.h"

#define DX_CTL_SUFFIX      ".sock"
#define DX_CTL_CLIENTS     16
#define DX_CTL_PATIENCE_MS 2000U

struct dx_supervisor;

struct dx_ctl_client {
	struct dx_wait_fd fd; /* -1: free */
	uint64_t since_ns;
	bool asked; /* and waits for the answer */
	enum dsmx_control_verb verb;
	uint32_t peer;
	uint64_t epoch; /* of the worker when it was asked for */
};

struct dx_ctl_server {
	struct dx_wait_fd listener; /* -1: none */
	struct dx_timer timer;
	struct dx_ctl_client clients[DX_CTL_CLIENTS];
};

void dx_ctl_server_init(struct dx_ctl_server *server);
/* Listen beside the file @path. Returns 0, or -errno: then there is none, and the session goes on. */
int dx_ctl_start(struct dx_supervisor *supervisor, const char *path) DX_MUST_CHECK;
void dx_ctl_stop(struct dx_supervisor *supervisor);
/* Returns whether there were news. */
bool dx_ctl_look(struct dx_supervisor *supervisor);
/* A worker's state changed: answer those who waited for it. */
void dx_ctl_answer(struct dx_supervisor *supervisor);

/* "DIR/NAME" of a socket as an address, however long DIR is; @dir stays open until it was used. */
struct sockaddr_un;
int dx_ctl_address(int dir, const char *name, struct sockaddr_un *ret_address) DX_MUST_CHECK;

#endif /* DX_WORKER_CTL_H */
