/* SPDX-License-Identifier: MIT */
/*
 * reactor.h - the seam for a simulation: a reactor over a wait of the caller's
 */
#ifndef DX_TASK_REACTOR_H
#define DX_TASK_REACTOR_H

#include "task/task.h"

/* @wait: becomes the reactor's. @spins: false where its clock stands still while nobody sleeps */
int dx_reactor_new_over(struct dx_wait *wait, bool spins, struct dx_reactor **ret_reactor,
                        struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_TASK_REACTOR_H */
