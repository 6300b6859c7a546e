/* SPDX-License-Identifier: MIT */
/* record.c - task records in the own page: who, what it waits for, what it did. See struct dsmx_task_abi. */
#include "base/clock.h"
#include "base/order.h"
#include "exchange/internal.h"

static struct dsmx_task_abi *records_of(const struct dx_mesh *mesh)
{
	return DX_LAYOUT_AT(struct dsmx_task_abi, dx_mesh_page(mesh),
	                    dx_mesh_layout(mesh)->task_records, 0);
}

struct dsmx_task_abi *dx_record_take(struct dx_query *query, uint32_t exchange, uint32_t task)
{
	const struct dx_mesh *mesh = query->service->mesh;
	struct dsmx_task_abi *records = records_of(mesh);

	for (uint32_t i = 0; i < dx_mesh_layout(mesh)->tasks; i++) {
		uint64_t park =
			records[i].park; /* grows for ever: who walks by sees that it moved */

		if (records[i].query != 0)
			continue;
		records[i] = (struct dsmx_task_abi){
			.exchange = exchange,
			.task = task,
			.attempt = exchange == DSMX_ROOT_TASK
			                   ? query->attempt
			                   : dx_rerun_attempt(query, exchange, task),
			.state = DSMX_STREAM_RUNNING,
			.park = park + 1,
			.start_ns = dx_now_ns()
		};
		dx_store_release(DX_EDGE_PARK, &records[i].query, query->id);
		return &records[i];
	}
	return NULL;
}

void dx_record_drop(struct dsmx_task_abi *record)
{
	if (record != NULL)
		dx_store_release(DX_EDGE_PARK, &record->query, 0);
}

uint32_t dx_record_index(const struct dx_mesh *mesh, const struct dsmx_task_abi *record)
{
	return (uint32_t)(record - records_of(mesh));
}

void dx_record_park(struct dsmx_task_abi *record, uint32_t kind)
{
	/*
	 * Not plain: it could come to others before what this task published after its last park, and with that
	 * park's number say that it is parked already (selftests/model/deadlock.pml, NO_RELEASE_KIND).
	 */
	dx_store_release(DX_EDGE_PARK, &record->park_kind, kind);
	dx_store_release(DX_EDGE_PARK, &record->park, record->park + 1);
}
