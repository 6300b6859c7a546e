/* SPDX-License-Identifier: MIT */
/*
 * count.c - the counters of a process, from its page and its peers'
 *
 * A stream has two halves in two pages; how much is under way is the producer's count less the consumer's.
 * They are read one after the other while both go on, so a difference below 0 is 0.
 */
#include <string.h>

#include "trace.h"

enum {
	C_START_STREAMS,
	C_READ,
	C_UNREAD,
	C_NAKS,
	C_STALE,
	C_PARKS,
	C_WAKES,
	C_LATE_PARKS,
	C_TURNS,
	C_TASKS,
	C_PARKED_INPUT,
	C_PARKED_CREDIT,
	C_STREAMS_IN,
	C_STREAMS_OUT,
	C_QUEUED,
	C_HELD,
	C_ROWS,
	C_BYTES,
};

const struct counter counters[COUNTERS] = {
	[C_START_STREAMS] = { "start_streams", NULL, true, "StartStreams sent as a consumer" },
	[C_READ] = { "streams_read", NULL, true, "of these, with a first frame or end read" },
	[C_UNREAD] = { "streams_unread", NULL, true, "of these, closed before anything was read" },
	[C_NAKS] = { "naks", NULL, true, "requests refused as a producer" },
	[C_STALE] = { "stale_words", NULL, true, "foreign words of an older generation, ignored" },
	[C_PARKS] = { "sleeps", NULL, true, "times that the process went to sleep" },
	[C_WAKES] = { "wakes", NULL, true, "bells rung with a wake call" },
	[C_LATE_PARKS] = { "late_parks", NULL, true,
	                   "sleeps that a lost wake made too long: must be 0" },
	[C_TURNS] = { "turns", NULL, true, "turns of the reactor" },
	[C_TASKS] = { "tasks", NULL, false, "producer tasks of open queries" },
	[C_PARKED_INPUT] = { "parked_input", NULL, false, "of these, waiting for rows" },
	[C_PARKED_CREDIT] = { "parked_output", NULL, false,
	                      "of these, waiting for credit or slabs" },
	[C_STREAMS_IN] = { "streams_in", NULL, false, "streams open as a consumer" },
	[C_STREAMS_OUT] = { "streams_out", NULL, false, "streams running as a producer" },
	[C_QUEUED] = { "frames_queued", NULL, false,
	               "frames that its consumers have not read yet" },
	[C_HELD] = { "frames_held", NULL, false,
	             "frames that its consumers have read and still hold" },
	[C_ROWS] = { "task_rows", "rows", false, "rows that tasks of open queries have produced" },
	[C_BYTES] = { "task_bytes", "bytes", false, "bytes that these have put into rings" },
};

int counter_find(const char *name)
{
	for (int i = 0; i < COUNTERS; i++)
		if (strcmp(counters[i].name, name) == 0)
			return i;
	return -1;
}

static void count_tasks(const struct page *page, uint64_t *values)
{
	for (uint32_t i = 0; i < page->head.tasks; i++) {
		struct dsmx_task_abi task = page_task(page, i);

		if (task.query == 0 || task.exchange == DSMX_ROOT_TASK)
			continue;
		values[C_TASKS]++;
		values[C_PARKED_INPUT] += task.park_kind == DSMX_PARK_INPUT;
		values[C_PARKED_CREDIT] +=
			task.park_kind == DSMX_PARK_CREDIT || task.park_kind == DSMX_PARK_SLAB;
		values[C_ROWS] += task.rows;
		values[C_BYTES] += task.ring_bytes;
	}
}

static uint64_t difference(uint64_t more, uint64_t less)
{
	return more > less ? more - less : 0;
}

/* What @page produces for the consumer @peer. */
static void count_outputs(const struct session *s, const struct page *page, uint32_t peer,
                          uint64_t *values)
{
	const struct page *consumer = &s->pages[peer];

	for (uint32_t slot = 0; slot < page->head.slots; slot++) {
		struct stream_end out = page_stream(page, peer, slot);
		struct stream_end in;

		if (DSMX_WORD_STATE(out.word) == DSMX_STREAM_NONE)
			continue;
		if (consumer->base == NULL || slot >= consumer->head.slots ||
		    page->head.peer >= consumer->head.peers)
			continue;
		in = page_request(consumer, page->head.peer, slot);
		if (DSMX_WORD_STATE(in.word) != DSMX_REQUEST_START ||
		    DSMX_WORD_GENERATION(in.word) != DSMX_WORD_GENERATION(out.word))
			continue;
		values[C_STREAMS_OUT] += DSMX_WORD_STATE(out.word) == DSMX_STREAM_RUNNING;
		values[C_QUEUED] += difference(out.is.stream.tail, in.is.request.taken);
		values[C_HELD] += difference(in.is.request.taken, in.is.request.released);
	}
}

static uint64_t count_inputs(const struct page *page)
{
	uint64_t open = 0, word;

	for (size_t i = 0; i < (size_t)page->head.peers * page->head.slots; i++) {
		page_read(page, page->request_words + i * sizeof(word), &word, sizeof(word));
		open += DSMX_WORD_STATE(word) == DSMX_REQUEST_START;
	}
	return open;
}

void counts_take(const struct session *session, uint32_t peer, struct counts *ret_counts)
{
	const struct page *page = &session->pages[peer];
	struct dsmx_page_abi head = page_head(page);
	struct dsmx_phases_abi phases = page_phases(page);
	uint64_t *values = ret_counts->values;

	*ret_counts = (struct counts){ .session = session->id,
		                       .peer = peer,
		                       .pid = (pid_t)page->head.pid,
		                       .at_ns = clock_ns() };
	values[C_START_STREAMS] = head.start_streams;
	values[C_READ] = phases.streams;
	values[C_UNREAD] = phases.unread;
	values[C_NAKS] = head.naks;
	values[C_STALE] = head.stale;
	values[C_PARKS] = head.parks;
	values[C_WAKES] = head.wakes;
	values[C_LATE_PARKS] = head.late_parks;
	values[C_TURNS] = head.beat;
	values[C_STREAMS_IN] = count_inputs(page);
	count_tasks(page, values);
	for (uint32_t p = 0; p < page->head.peers; p++)
		count_outputs(session, page, p, values);
}

static void add_phases(struct dsmx_phases *sum, const struct dsmx_phases_abi *p)
{
	sum->streams += p->streams;
	sum->unread += p->unread;
	sum->odd += p->odd;
	for (uint32_t i = 0; i < DSMX_PHASES; i++) {
		sum->sum_ns[i] += p->sum_ns[i];
		if (p->max_ns[i] > sum->max_ns[i])
			sum->max_ns[i] = p->max_ns[i];
		for (uint32_t b = 0; b < DSMX_PHASE_BUCKETS; b++)
			sum->buckets[i][b] += p->buckets[i][b];
	}
}

void phases_take(const struct sessions *sessions, const struct trace_options *options,
                 struct dsmx_phases *ret_phases)
{
	*ret_phases = (struct dsmx_phases){ .streams = 0 };
	for (uint32_t i = 0; i < sessions->count; i++)
		for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++) {
			const struct page *page = &sessions->list[i]->pages[p];
			struct dsmx_phases_abi phases;

			if (page->base == NULL || !trace_wants_peer(options, p))
				continue;
			phases = page_phases(page);
			add_phases(ret_phases, &phases);
		}
}
