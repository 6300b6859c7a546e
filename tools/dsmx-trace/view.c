/* SPDX-License-Identifier: MIT */
/* view.c - see view.h */
#include "view.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hist.h"
#include "../lib/mem.h"

#define NS_PER_S 1e9

const char *const view_names[VIEW_COUNT] = { "processes", "tasks", "streams", "phases", "stream" };

/* --- rows and cells ------------------------------------------------------------------------------------------------- */

static struct view_row *add_row(struct view *view)
{
	struct view_row *row;

	if (view->row_count == view->row_room) {
		view->row_room = view->row_room == 0 ? 64 : view->row_room * 2;
		view->rows = mem_resize(view->rows, view->row_room * sizeof(*view->rows));
	}
	row = &view->rows[view->row_count++];
	memset(row, 0, sizeof(*row));
	row->scope = VIEW_EVERYTHING;
	return row;
}

/* Is this process within what is looked at? */
static bool wants(const struct view *view, const struct session *s, uint32_t peer)
{
	return s->pages[peer].base != NULL && trace_wants_peer(view->options, peer) &&
	       (view->scope.session == 0 || view->scope.session == s->id) &&
	       (view->scope.peer < 0 || (uint32_t)view->scope.peer == peer);
}

__attribute__((format(printf, 2, 3))) static void set_text(struct view_cell *cell,
                                                           const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cell->text, sizeof(cell->text), format, args);
	va_end(args);
	cell->number = NAN;
}

static void set_count(struct view_cell *cell, uint64_t n)
{
	snprintf(cell->text, sizeof(cell->text), "%" PRIu64, n);
	cell->number = (double)n;
}

static void set_rate(struct view_cell *cell, double rate)
{
	snprintf(cell->text, sizeof(cell->text),
	         rate >= 1e6   ? "%.2fM"
	         : rate >= 1e4 ? "%.1fk"
	                       : "%.0f",
	         rate >= 1e6   ? rate / 1e6
	         : rate >= 1e4 ? rate / 1e3
	                       : rate);
	cell->number = rate;
}

static void set_time(struct view_cell *cell, uint64_t ns)
{
	hist_time(ns, cell->text);
	cell->number = (double)ns;
}

/* --- processes ------------------------------------------------------------------------------------------------------ */

static const struct view_column process_columns[] = {
	{ "session", 16, true },  { "process", 10, true },  { "pid", 8, false },
	{ "ss/s", 8, false },     { "in", 4, false },       { "out", 4, false },
	{ "queued", 7, false },   { "held", 6, false },     { "tasks", 5, false },
	{ "wait-in", 7, false },  { "wait-out", 8, false }, { "rows/s", 9, false },
	{ "sleeps/s", 9, false }, { "wakes/s", 9, false },
};

static const struct counts *find_before(const struct view *view, const struct counts *now)
{
	for (size_t i = 0; i < view->before_count; i++)
		if (view->before[i].session == now->session && view->before[i].peer == now->peer &&
		    view->before[i].pid == now->pid)
			return &view->before[i];
	return NULL;
}

static double rate_of(const struct counts *before, const struct counts *now, const char *name)
{
	int c = counter_find(name);
	double seconds;

	if (before == NULL || now->values[c] < before->values[c])
		return 0;
	seconds = (double)(now->at_ns - before->at_ns) / NS_PER_S;
	return seconds > 0 ? (double)(now->values[c] - before->values[c]) / seconds : 0;
}

static void add_process(struct view *view, const struct counts *now)
{
	const struct counts *before = find_before(view, now);
	struct view_row *row = add_row(view);
	struct view_cell *cells = row->cells;
	char name[16];

	row->scope.session = now->session;
	row->scope.peer = (int)now->peer;

	set_text(&cells[0], "%016" PRIx64, now->session);
	set_text(&cells[1], "%s", peer_name(now->peer, name));
	set_count(&cells[2], (uint64_t)now->pid);
	set_rate(&cells[3], rate_of(before, now, "start_streams"));
	set_count(&cells[4], now->values[counter_find("streams_in")]);
	set_count(&cells[5], now->values[counter_find("streams_out")]);
	set_count(&cells[6], now->values[counter_find("frames_queued")]);
	set_count(&cells[7], now->values[counter_find("frames_held")]);
	set_count(&cells[8], now->values[counter_find("tasks")]);
	set_count(&cells[9], now->values[counter_find("parked_input")]);
	set_count(&cells[10], now->values[counter_find("parked_output")]);
	set_rate(&cells[11], rate_of(before, now, "task_rows"));
	set_rate(&cells[12], rate_of(before, now, "sleeps"));
	set_rate(&cells[13], rate_of(before, now, "wakes"));
}

static void take_processes(struct view *view, const struct sessions *sessions)
{
	struct counts *now = NULL;
	size_t count = 0;

	for (uint32_t i = 0; i < sessions->count; i++)
		for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++)
			if (wants(view, sessions->list[i], p)) {
				now = mem_resize(now, (count + 1) * sizeof(*now));
				counts_take(sessions->list[i], p, &now[count]);
				add_process(view, &now[count++]);
			}
	free(view->before);
	view->before = now;
	view->before_count = count;
}

/* --- tasks ---------------------------------------------------------------------------------------------------------- */

static const struct view_column task_columns[] = {
	{ "session", 16, true }, { "process", 10, true },   { "query", 6, false },
	{ "task", 10, true },    { "waits for", 20, true }, { "rows", 12, false },
	{ "bytes", 14, false },  { "frames", 9, false },    { "local", 9, false },
	{ "spilt", 12, false },  { "waits", 8, false },     { "waited", 9, false },
	{ "age", 9, false },
};

static const char *wait_text(const struct dsmx_task_abi *task, char buf[VIEW_CELL])
{
	static const char *const states[] = { "?", "", "(ended)", "(failed)" };

	if (task->state > DSMX_STREAM_RUNNING)
		return task->state <= DSMX_STREAM_ERROR ? states[task->state] : "?";
	switch (task->park_kind) {
	case DSMX_PARK_NONE:
		return "nothing";
	case DSMX_PARK_INPUT:
		snprintf(buf, VIEW_CELL, "rows of %u", task->park_exchange);
		return buf;
	case DSMX_PARK_CREDIT:
		snprintf(buf, VIEW_CELL, "room in partition %u", task->park_partition);
		return buf;
	case DSMX_PARK_SLAB:
		return "slabs";
	case DSMX_PARK_SAMPLE:
		return "samples";
	default:
		return "application, disk";
	}
}

static void add_task(struct view *view, const struct session *s, uint32_t peer,
                     const struct dsmx_task_abi *task, uint64_t now_ns)
{
	struct view_row *row = add_row(view);
	struct view_cell *cells = row->cells;
	uint64_t end_ns = task->end_ns != 0 ? task->end_ns : now_ns;
	char name[16], text[VIEW_CELL];

	row->scope.session = s->id;
	row->scope.peer = (int)peer;
	set_text(&cells[0], "%016" PRIx64, s->id);
	set_text(&cells[1], "%s", peer_name(peer, name));
	set_count(&cells[2], task->query);
	if (task->exchange == DSMX_ROOT_TASK)
		set_text(&cells[3], "root");
	else
		set_text(&cells[3], "%u.%u", task->exchange, task->task);
	set_text(&cells[4], "%s", wait_text(task, text));
	set_count(&cells[5], task->rows);
	set_count(&cells[6], task->ring_bytes);
	set_count(&cells[7], task->ring_frames);
	set_count(&cells[8], task->local_frames);
	set_count(&cells[9], task->overflow_bytes);
	set_count(&cells[10], task->parks);
	set_time(&cells[11], task->parked_ns);
	set_time(&cells[12],
	         task->start_ns != 0 && end_ns > task->start_ns ? end_ns - task->start_ns : 0);
}

static void take_tasks(struct view *view, const struct sessions *sessions)
{
	uint64_t now_ns = clock_ns();

	for (uint32_t i = 0; i < sessions->count; i++)
		for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++) {
			const struct page *page = &sessions->list[i]->pages[p];

			if (!wants(view, sessions->list[i], p))
				continue;
			for (uint32_t t = 0; t < page->head.tasks; t++) {
				struct dsmx_task_abi task = page_task(page, t);

				if (task.query != 0 &&
				    trace_wants_stream(view->options, task.exchange, task.task,
				                       view->options->stream.partition))
					add_task(view, sessions->list[i], p, &task, now_ns);
			}
		}
}

/* --- streams -------------------------------------------------------------------------------------------------------- */

static const struct view_column stream_columns[] = {
	{ "session", 16, true },  { "query", 6, false },    { "stream", 12, true },
	{ "producer", 10, true }, { "consumer", 10, true }, { "state", 9, true },
	{ "frames", 9, false },   { "queued", 7, false },   { "held", 6, false },
	{ "asked", 9, false },    { "first", 9, false },
};

/* Both ends of a stream that is open. */
struct pair {
	const struct session *session;
	uint32_t consumer, producer;
	struct stream_end in, out; /* out.word 0: not answered yet */
};

static bool read_pair(const struct view *view, const struct session *s, uint32_t consumer,
                      uint32_t producer, uint32_t slot, struct pair *ret)
{
	const struct dsmx_request_abi *req = &ret->in.is.request;
	bool mine = wants(view, s, consumer) || (producer < s->peers && wants(view, s, producer));

	*ret = (struct pair){ .session = s, .consumer = consumer, .producer = producer };
	ret->in = page_request(&s->pages[consumer], producer, slot);
	if (!mine || DSMX_WORD_STATE(ret->in.word) != DSMX_REQUEST_START ||
	    !trace_wants_stream(view->options, req->exchange, req->task, req->partition))
		return false;
	if (view->scope.exchange != TRACE_ANY &&
	    (view->scope.query != req->query || view->scope.exchange != req->exchange ||
	     view->scope.task != req->task || view->scope.partition != req->partition))
		return false;
	if (producer < s->peers && s->pages[producer].base != NULL &&
	    slot < s->pages[producer].head.slots && consumer < s->pages[producer].head.peers)
		ret->out = page_stream(&s->pages[producer], consumer, slot);
	if (DSMX_WORD_GENERATION(ret->out.word) != DSMX_WORD_GENERATION(ret->in.word))
		ret->out.word = 0;
	return true;
}

static const char *state_of(const struct pair *p)
{
	static const char *const states[] = {
		"asked", "running", "fin", "error", "nak", "cancelled"
	};
	uint32_t state = DSMX_WORD_STATE(p->out.word);

	return state < 6 ? states[state] : "?";
}

static void add_stream(struct view *view, const struct pair *pair, uint64_t now_ns)
{
	const struct session *s = pair->session;
	const struct dsmx_request_abi *req = &pair->in.is.request;
	uint64_t tail = pair->out.word != 0 ? pair->out.is.stream.tail : req->taken;
	struct view_row *row = add_row(view);
	struct view_cell *cells = row->cells;
	uint32_t producer = pair->producer, consumer = pair->consumer;
	char name[16];

	row->scope = (struct view_scope){ .session = s->id,
		                          .peer = (int)consumer,
		                          .query = req->query,
		                          .exchange = req->exchange,
		                          .task = req->task,
		                          .partition = req->partition };
	set_text(&cells[0], "%016" PRIx64, s->id);
	set_count(&cells[1], req->query);
	set_text(&cells[2], "%u.%u>%u", req->exchange, req->task, req->partition);
	set_text(&cells[3], "%s", peer_name(producer, name));
	set_text(&cells[4], "%s", peer_name(consumer, name));
	set_text(&cells[5], "%s", state_of(pair));
	set_count(&cells[6], tail);
	set_count(&cells[7], tail > req->taken ? tail - req->taken : 0);
	set_count(&cells[8], req->taken > req->released ? req->taken - req->released : 0);
	set_time(&cells[9], now_ns > req->sent_ns ? now_ns - req->sent_ns : 0);
	if (req->first_read_ns > req->sent_ns)
		set_time(&cells[10], req->first_read_ns - req->sent_ns);
	else
		set_text(&cells[10], "-");
}

static void each_stream(struct view *view, const struct sessions *sessions,
                        void (*each)(struct view *view, const struct pair *pair, uint64_t now_ns))
{
	uint64_t now_ns = clock_ns();
	struct pair pair;

	for (uint32_t i = 0; i < sessions->count; i++)
		for (uint32_t c = 0; c < DSMX_ABI_PEERS; c++) {
			const struct page *page = &sessions->list[i]->pages[c];

			for (uint32_t p = 0; page->base != NULL && p < page->head.peers; p++)
				for (uint32_t slot = 0; slot < page->head.slots; slot++)
					if (read_pair(view, sessions->list[i], c, p, slot, &pair))
						each(view, &pair, now_ns);
		}
}

static void take_streams(struct view *view, const struct sessions *sessions)
{
	each_stream(view, sessions, add_stream);
}

/* --- one stream ----------------------------------------------------------------------------------------------------- */

static const struct view_column detail_columns[] = {
	{ "what", 22, true },
	{ "producer", 24, true },
	{ "consumer", 24, true },
};

static void add_detail(struct view *view, const char *what, const char *producer,
                       const char *consumer)
{
	struct view_cell *cells = add_row(view)->cells;

	set_text(&cells[0], "%s", what);
	set_text(&cells[1], "%s", producer);
	set_text(&cells[2], "%s", consumer);
}

static void add_counts(struct view *view, const char *what, uint64_t producer, uint64_t consumer)
{
	char text[2][24];

	snprintf(text[0], sizeof(text[0]), "%" PRIu64, producer);
	snprintf(text[1], sizeof(text[1]), "%" PRIu64, consumer);
	add_detail(view, what, text[0], text[1]);
}

/* One phase, from @from_ns to @to_ns, of the process at @end; one that has not ended goes on. */
static void add_phase(struct view *view, const char *what, bool by_producer, uint64_t from_ns,
                      uint64_t to_ns, uint64_t now_ns)
{
	char time[HIST_TIME_LEN], text[40] = "-";

	if (from_ns != 0 && to_ns >= from_ns)
		snprintf(text, sizeof(text), "%s", hist_time(to_ns - from_ns, time));
	else if (from_ns != 0 && to_ns == 0 && now_ns >= from_ns)
		snprintf(text, sizeof(text), "%s so far", hist_time(now_ns - from_ns, time));
	add_detail(view, what, by_producer ? text : "", by_producer ? "" : text);
}

/* What the task at one end is parked for; "" if that is not known. */
static void say_wait(const struct pair *pair, uint32_t peer, uint32_t record, char buf[VIEW_CELL])
{
	const struct page *page = &pair->session->pages[peer];
	struct dsmx_task_abi task;

	buf[0] = '\0';
	if (page->base == NULL || record >= page->head.tasks)
		return;
	task = page_task(page, record);
	if (task.query == pair->in.is.request.query) {
		char text[VIEW_CELL];

		snprintf(buf, VIEW_CELL, "%s", wait_text(&task, text));
	}
}

/* Everything that both pages say about it. */
static void detail_stream(struct view *view, const struct pair *pair, uint64_t now_ns)
{
	const struct dsmx_request_abi *in = &pair->in.is.request;
	struct dsmx_stream_abi none = { .query = 0 }, out = pair->out.is.stream;
	char name[2][16], waits[2][VIEW_CELL];

	if (pair->out.word == 0)
		out = none;
	add_detail(view, "process", peer_name(pair->producer, name[0]),
	           peer_name(pair->consumer, name[1]));
	add_detail(view, "state", state_of(pair), "");
	add_phase(view, "request", false, in->sent_ns, out.recv_ns, now_ns);
	add_phase(view, "spawn", true, out.recv_ns, out.start_ns, now_ns);
	add_phase(view, "first frame", true, out.start_ns, out.first_commit_ns, now_ns);
	add_phase(view, "deliver", false, out.first_commit_ns, in->first_read_ns, now_ns);
	add_phase(view, "total", false, in->sent_ns, in->first_read_ns, now_ns);
	add_counts(view, "frames published, taken", out.tail, in->taken);
	add_counts(view, "frames back, released", out.seen_released, in->released);
	say_wait(pair, pair->producer, out.record, waits[0]);
	say_wait(pair, pair->consumer, in->record, waits[1]);
	add_detail(view, "its task waits for", waits[0], waits[1]);
}

static void take_stream(struct view *view, const struct sessions *sessions)
{
	each_stream(view, sessions, detail_stream);
	if (view->row_count == 0)
		add_detail(view, "it is closed", "", "");
}

/* --- phases --------------------------------------------------------------------------------------------------------- */

static const struct view_column phase_columns[] = {
	{ "session", 16, true }, { "process", 10, true }, { "phase", 8, true },
	{ "streams", 9, false }, { "mean", 9, false },    { "p50", 9, false },
	{ "p90", 9, false },     { "p99", 9, false },     { "max", 9, false },
};

static void add_phases(struct view *view, const struct session *s, uint32_t peer)
{
	struct dsmx_phases_abi phases = page_phases(&s->pages[peer]);
	char name[16];

	for (int i = 0; i < DSMX_STREAM_PHASES && phases.streams > 0; i++) {
		struct view_row *row = add_row(view);
		struct view_cell *cells = row->cells;
		uint64_t buckets[DSMX_STREAM_BUCKETS];

		row->scope.session = s->id;
		row->scope.peer = (int)peer;

		for (int b = 0; b < DSMX_STREAM_BUCKETS; b++)
			buckets[b] = phases.buckets[i][b];
		set_text(&cells[0], "%016" PRIx64, s->id);
		set_text(&cells[1], "%s", peer_name(peer, name));
		set_text(&cells[2], "%s", hist_phase_names[i]);
		set_count(&cells[3], phases.streams);
		set_time(&cells[4], phases.sum_ns[i] / phases.streams);
		set_time(&cells[5], hist_quantile(buckets, phases.max_ns[i], 0.5));
		set_time(&cells[6], hist_quantile(buckets, phases.max_ns[i], 0.9));
		set_time(&cells[7], hist_quantile(buckets, phases.max_ns[i], 0.99));
		set_time(&cells[8], phases.max_ns[i]);
	}
}

static void take_phases(struct view *view, const struct sessions *sessions)
{
	for (uint32_t i = 0; i < sessions->count; i++)
		for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++)
			if (wants(view, sessions->list[i], p))
				add_phases(view, sessions->list[i], p);
}

/* --- all views ------------------------------------------------------------------------------------------------------ */

#define VIEW(columns_, take_) { columns_, (int)(sizeof(columns_) / sizeof((columns_)[0])), take_ }

static const struct {
	const struct view_column *columns;
	int count;
	void (*take)(struct view *view, const struct sessions *sessions);
} kinds[VIEW_COUNT] = {
	[VIEW_PROCESSES] = VIEW(process_columns, take_processes),
	[VIEW_TASKS] = VIEW(task_columns, take_tasks),
	[VIEW_STREAMS] = VIEW(stream_columns, take_streams),
	[VIEW_PHASES] = VIEW(phase_columns, take_phases),
	[VIEW_STREAM] = VIEW(detail_columns, take_stream),
};

void view_take(struct view *view, enum view_kind kind, const struct sessions *sessions,
               const struct trace_options *options, const struct view_scope *scope)
{
	view->options = options;
	view->scope = *scope;
	view->columns = kinds[kind].columns;
	view->column_count = kinds[kind].count;
	view->row_count = 0;
	kinds[kind].take(view, sessions);
}

struct order {
	int column;
	bool reverse;
};

static int compare(const void *a, const void *b, void *arg)
{
	const struct order *order = arg;
	const struct view_cell *x = &((const struct view_row *)a)->cells[order->column];
	const struct view_cell *y = &((const struct view_row *)b)->cells[order->column];
	int r;

	if (isnan(x->number) || isnan(y->number))
		r = strcmp(x->text, y->text);
	else
		r = x->number > y->number ? -1 : x->number < y->number;
	return order->reverse ? -r : r;
}

/* The C library's qsort_r() merges, and so keeps the order of equals, as long as there is memory. */
void view_sort(struct view *view, int column, bool reverse)
{
	struct order order = { .column = column, .reverse = reverse };

	if (view->row_count > 1 && column < view->column_count && view->columns != detail_columns)
		qsort_r(view->rows, view->row_count, sizeof(*view->rows), compare, &order);
}

bool view_matches(const struct view *view, const struct view_row *row, const char *text)
{
	for (int c = 0; c < view->column_count; c++)
		if (strstr(row->cells[c].text, text) != NULL)
			return true;
	return text[0] == '\0';
}

void view_print(FILE *to, const struct view *view, const char *filter)
{
	for (int c = 0; c < view->column_count; c++)
		fprintf(to, view->columns[c].left ? "%-*s " : "%*s ", view->columns[c].width,
		        view->columns[c].name);
	fputc('\n', to);
	for (size_t r = 0; r < view->row_count; r++) {
		if (!view_matches(view, &view->rows[r], filter))
			continue;
		for (int c = 0; c < view->column_count; c++)
			fprintf(to, view->columns[c].left ? "%-*s " : "%*s ",
			        view->columns[c].width, view->rows[r].cells[c].text);
		fputc('\n', to);
	}
}

void view_fini(struct view *view)
{
	free(view->rows);
	free(view->before);
	view->rows = NULL;
	view->before = NULL;
}
