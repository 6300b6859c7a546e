/* SPDX-License-Identifier: MIT */
#include "chan/layout.h"

static size_t part(size_t *end, size_t bytes)
{
	size_t at = *end;

	*end = (at + bytes + DSMX_LINE_BYTES - 1) & ~(size_t)(DSMX_LINE_BYTES - 1);
	return at;
}

struct dx_layout dx_layout(uint32_t peers, uint32_t slots, uint32_t frames, uint32_t tasks)
{
	struct dx_layout l = { .peers = peers, .slots = slots, .frames = frames, .tasks = tasks };
	size_t streams = (size_t)peers * slots;
	size_t end = 0;

	(void)part(&end, sizeof(struct dsmx_page_abi));
	l.mapped = part(&end, peers * sizeof(uint64_t));
	l.dead = part(&end, peers * sizeof(uint64_t));
	l.accused = part(&end, peers * sizeof(uint64_t));
	l.live = part(&end, peers * sizeof(struct dsmx_live_abi));
	l.bells = part(&end, peers * sizeof(struct dsmx_bell_abi));
	l.queries = part(&end, DSMX_ABI_QUERIES * sizeof(struct dsmx_query_abi));
	l.errors = part(&end, DSMX_ABI_ERRORS * sizeof(struct dsmx_error_abi));
	l.task_records = part(&end, tasks * sizeof(struct dsmx_task_abi));
	l.request_words = part(&end, streams * sizeof(uint64_t));
	l.stream_words = part(&end, streams * sizeof(uint64_t));
	l.requests = part(&end, streams * sizeof(struct dsmx_request_abi));
	l.streams = part(&end, streams * sizeof(struct dsmx_stream_abi));
	l.logs = part(&end, streams * frames * sizeof(uint32_t));
	l.phases = part(&end, sizeof(struct dsmx_phases_abi));
	l.flight = part(&end, sizeof(struct dsmx_flight_abi));
	l.flight_events = part(&end, DSMX_FLIGHT_EVENTS * sizeof(struct dsmx_flight_event_abi));
	l.bytes = end;
	return l;
}
