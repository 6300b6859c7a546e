/* SPDX-License-Identifier: MIT */
/*
 * flight.c - see flight.h
 *
 * Written by this process alone. An event is complete before `written` counts it; a reader that is overtaken finds
 * that out by reading `written` again. Who dies in the middle of an event leaves the oldest slot half written,
 * which no reader takes: it is one ring behind.
 */
#include "chan/flight.h"

#include "base/clock.h"
#include "base/order.h"
#include "chan/internal.h"

bool dx_mesh_flight_on(const struct dx_mesh *mesh)
{
	return mesh->flight_on;
}

void dx_mesh_set_control(struct dx_mesh *mesh, const struct dsmx_control_abi *control)
{
	mesh->control = control;
	dx_flight_look(mesh);
}

void dx_flight_look(struct dx_mesh *mesh)
{
	mesh->flight_on = mesh->control != NULL && dx_load_plain(&mesh->control->flight) != 0;
}

void dx_flight_write(struct dx_mesh *mesh, const struct dsmx_flight_event_abi *event)
{
	struct dsmx_flight_abi *flight =
		DX_LAYOUT_AT(struct dsmx_flight_abi, mesh->page.base, mesh->layout.flight, 0);
	uint64_t number = flight->written;
	struct dsmx_flight_event_abi *slot =
		DX_LAYOUT_AT(struct dsmx_flight_event_abi, mesh->page.base,
	                     mesh->layout.flight_events, number % DSMX_FLIGHT_EVENTS);

	*slot = *event;
	slot->at_ns = dx_now_ns();
	dx_store_release(DX_EDGE_FLIGHT, &flight->written, number + 1);
}
