/* SPDX-License-Identifier: MIT */
/*
 * stats.c - what a query did, read from every process's task records, also from those of the dead
 *
 * Records are other processes' words: each is copied, and one that names a task which the plan does not have
 * is passed over.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/order.h"
#include "exchange/internal.h"

/* The next record of the query from (*peer, *index) on; false: no more. */
static bool next_record(const struct dx_query *q, uint32_t *peer, uint32_t *index,
                        struct dsmx_task_abi *ret_record)
{
	const struct dx_mesh *mesh = q->service->mesh;
	const struct dx_layout *l = dx_mesh_layout(mesh);

	for (; *peer < l->peers; (*peer)++, *index = 0) {
		const void *page = dx_mesh_peer_page(mesh, *peer);

		for (; page != NULL && *index < l->tasks; (*index)++) {
			dx_copy_once(
				ret_record,
				DX_LAYOUT_PEER(struct dsmx_task_abi, page, l->task_records, *index),
				sizeof(*ret_record));
			if (ret_record->query != q->id ||
			    ret_record->exchange >= q->procedure_count ||
			    ret_record->task >= q->procedures[ret_record->exchange]
			                                .rel->exchange.producer_tasks ||
			    ret_record->attempt !=
			            dx_rerun_attempt(q, ret_record->exchange, ret_record->task))
				continue;
			(*index)++;
			return true;
		}
	}
	return false;
}

static void add(struct dsmx_query_stats *s, const struct dsmx_task_abi *r)
{
	s->start_streams += r->start_streams;
	s->streams_opened += r->streams;
	s->ring_frames += r->ring_frames;
	s->ring_rows += r->ring_rows;
	s->ring_bytes += r->ring_bytes;
	s->local_frames += r->local_frames;
	s->local_rows += r->local_rows;
	s->overflow_bytes += r->overflow_bytes;
	s->waits += r->parks;
	s->filter_tested += r->filter_tested;
	s->filter_dropped += r->filter_dropped;
	s->producer_tasks++;
}

void dx_query_sum(const struct dx_query *q, struct dsmx_query_stats *stats)
{
	uint32_t peer = 0, index = 0;
	struct dsmx_task_abi r;

	stats->start_streams = q->root.start_streams;
	stats->streams_opened = q->root.streams;
	stats->reruns = dx_rerun_count(q, DX_EVERY_EXCHANGE);
	while (next_record(q, &peer, &index, &r))
		add(stats, &r);
}

struct text {
	char *bytes;
	size_t len;
	FILE *file;
};

static void note_exchange(void *arg, uint32_t exchange, char *buf, size_t len, char **ret_below)
{
	const struct dx_query *q = arg;
	struct dsmx_query_stats sum = { 0 };
	struct text below = { 0 };
	uint32_t peer = 0, index = 0;
	struct dsmx_task_abi r;
	uint64_t rows = 0, parked_ns = 0;

	*ret_below = NULL;
	below.file = open_memstream(&below.bytes, &below.len);
	while (next_record(q, &peer, &index, &r)) {
		if (r.exchange != exchange)
			continue;
		add(&sum, &r);
		rows += r.rows;
		parked_ns += r.parked_ns;
		if (below.file != NULL)
			(void)fprintf(below.file,
			              "task %u in process %u: rows=%" PRIu64 " ring=%" PRIu64
			              "/%" PRIu64 "B local=%" PRIu64 " waits=%" PRIu64
			              " waited=%.3fms",
			              r.task, peer, (uint64_t)r.rows, (uint64_t)r.ring_frames,
			              (uint64_t)r.ring_bytes, (uint64_t)r.local_frames,
			              (uint64_t)r.parks, (double)r.parked_ns / 1e6);
		if (below.file != NULL && r.filter_tested > 0)
			(void)fprintf(below.file, " filtered=%" PRIu64 "/%" PRIu64,
			              (uint64_t)r.filter_dropped, (uint64_t)r.filter_tested);
		if (below.file != NULL)
			(void)fputc('\n', below.file);
	}
	if (below.file != NULL && fclose(below.file) == 0)
		*ret_below = below.bytes;
	(void)snprintf(buf, len,
	               "rows=%" PRIu64 " frames=%" PRIu64 " bytes=%" PRIu64 " local=%" PRIu64
	               " waits=%" PRIu64 " waited=%.3fms overflow=%" PRIu64 " retries=%u reruns=%u",
	               rows, sum.ring_frames, sum.ring_bytes, sum.local_frames, sum.waits,
	               (double)parked_ns / 1e6, sum.overflow_bytes, q->attempt,
	               dx_rerun_count(q, exchange));
	if (sum.filter_tested > 0)
		(void)snprintf(buf + strlen(buf), len - strlen(buf),
		               " filtered=%" PRIu64 "/%" PRIu64, sum.filter_dropped,
		               sum.filter_tested);
}

int dx_query_text(const struct dx_query *q, bool analyze, char **ret_text)
{
	struct dx_explain_notes notes = { .note = note_exchange };

	memcpy(&notes.arg, &q,
	       sizeof(q)); /* a const query, for a callback that takes any argument */
	return dx_plan_explain(q->plan, analyze ? &notes : NULL, ret_text);
}

static bool is_cause(int code)
{
	return code < 0 && code >= -4095 && code != -EOWNERDEAD && code != -ECANCELED &&
	       code != -EPIPE;
}

bool dx_query_cause(const struct dx_query *q, struct dsmx_error *ret_error)
{
	const struct dx_mesh *mesh = q->service->mesh;
	const struct dx_layout *l = dx_mesh_layout(mesh);
	uint64_t first_ns = UINT64_MAX;

	for (uint32_t p = 0; p < l->peers; p++) {
		const void *page = dx_mesh_peer_page(mesh, p);

		for (uint32_t i = 0; page != NULL && i < DSMX_ABI_ERRORS; i++) {
			struct dsmx_error_abi e;

			dx_copy_once(&e, DX_LAYOUT_PEER(struct dsmx_error_abi, page, l->errors, i),
			             sizeof(e));
			if (e.query != q->id || !is_cause(e.code) || e.time_ns >= first_ns ||
			    e.len >= sizeof(e.text) || e.len == 0 || e.text[0] == '\0')
				continue;
			first_ns = e.time_ns;
			(void)dx_error_foreign(ret_error, e.code, e.text, e.len);
			ret_error->worker = dx_error_worker(e.worker);
			ret_error->exchange = (int)e.exchange;
		}
	}
	return first_ns != UINT64_MAX;
}
