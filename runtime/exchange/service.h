/* SPDX-License-Identifier: MIT */
/*
 * service.h - the Control Service: what makes a process able to run parts of plans when asked
 *
 * One for each process, leader or worker, over its mesh and reactor. It answers requests: finds the query
 * (reading the leader's records and decoding the plan if it is new), starts producer tasks, says NAK.
 */
#ifndef DX_EXCHANGE_SERVICE_H
#define DX_EXCHANGE_SERVICE_H

#include "base/compiler.h"
#include "chan/mesh.h"
#include "dsmx/exec.h"

struct dx_service;

struct dx_service_options {
	/* NULL-ended array of arrays, each ended by a NULL name; borrowed: the operators of the engine's own */
	const struct dsmx_extension *const *extensions;
};

/* Takes the mesh's ops over. */
int dx_service_new(struct dx_mesh *mesh, const struct dx_service_options *options,
                   struct dx_service **ret_service, struct dsmx_error *err) DX_MUST_CHECK;

/* Opens a file for overflow now: for a process that will not be able to when it is needed. */
void dx_service_keep_overflow(struct dx_service *service);

/* Ends every task and query first. The mesh stays. */
void dx_service_free(struct dx_service *service);

#endif /* DX_EXCHANGE_SERVICE_H */
