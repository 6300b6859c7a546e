/* SPDX-License-Identifier: MIT */
/*
 * flight.h - the flight recorder of this process: see struct dsmx_flight_abi
 *
 * Between two looks of the reactor it is either on or off: so at each event off costs one load, of the mesh's own
 * memory, and a branch.
 */
#ifndef DX_CHAN_FLIGHT_H
#define DX_CHAN_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "chan/mesh.h"

/* Between two looks; for the files of chan/. */
#ifdef DX_NO_PROBES
#define DX_FLIGHT_ON(mesh) 0
#else
#define DX_FLIGHT_ON(mesh) DX_UNLIKELY((mesh)->flight_on)
#endif

/* One event; at_ns is filled in. Only where dx_mesh_flight_on(). */
void dx_flight_write(struct dx_mesh *mesh, const struct dsmx_flight_event_abi *event);

#endif /* DX_CHAN_FLIGHT_H */
