/* SPDX-License-Identifier: MIT */
/*
 * control.h - the segment by which those who watch a session ask something of it: see struct dsmx_control_abi
 */
#ifndef DX_SHM_CONTROL_H
#define DX_SHM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/abi.h"
#include "dsmx/error.h"

struct dx_control {
	const struct dsmx_control_abi *words; /* NULL: none */
	int fd;                               /* the leader's; -1 with a worker */
};

/* Nothing at all. */
void dx_control_init(struct dx_control *control);

/*
 * Create it, for @session.
 *
 * @flight: the flight recorders are on from the start
 * Returns 0, or what memfd_create, mmap, ... said.
 */
int dx_control_create(uint64_t session, bool flight, struct dx_control *ret_control,
                      struct dsmx_error *err) DX_MUST_CHECK;

/*
 * Check and map what the leader has created; @fd stays the caller's.
 *
 * Returns 0, -EPROTO: it could shrink, is too small, or of another session; or what mmap said.
 */
int dx_control_attach(int fd, uint64_t session, struct dx_control *ret_control,
                      struct dsmx_error *err) DX_MUST_CHECK;

/* None is fine. */
void dx_control_close(struct dx_control *control);

#endif /* DX_SHM_CONTROL_H */
