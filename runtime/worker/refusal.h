/* SPDX-License-Identifier: MIT */
/*
 * refusal.h - what seccomp refuses a worker, heard and answered by the supervisor
 */
#ifndef DX_WORKER_REFUSAL_H
#define DX_WORKER_REFUSAL_H

#include <stdint.h>

#include "base/compiler.h"
#include "wait/wait.h"

struct dx_worker;

/* Numbers of system calls that are told apart. */
#define DX_REFUSAL_CALLS 512U

struct dx_refusals {
	struct dx_wait_fd listener; /* fd -1: none */
	uint64_t count;             /* refused calls of this incarnation */
	uint64_t told[DX_REFUSAL_CALLS / 64];
};

void dx_refusal_init(struct dx_refusals *refusals);
/* Take the listener of a new incarnation over. */
int dx_refusal_listen(struct dx_worker *worker, int listener) DX_MUST_CHECK;
/* It fired: answer. Returns whether there were news. */
bool dx_refusal_look(struct dx_worker *worker);
/* The incarnation is over. */
void dx_refusal_close(struct dx_worker *worker);

#endif /* DX_WORKER_REFUSAL_H */
