/* SPDX-License-Identifier: MIT */
/*
 * why.c - dsmx-trace why: who waits for whom
 *
 * Each task says in its process's page what it is parked for; streams tell who is at the other end:
 *
 *	rows	of an exchange: the tasks that produce the streams which it reads
 *	credit	of a partition: the task that reads that partition
 *	slabs	of its process: every task that holds frames of it
 *
 * From each waiting task we walk to whoever could wake it, and on. A walk that meets a task which runs, or frames
 * that are still to be read or taken back, ends there: things move. A set of tasks that wait for each other
 * only never will: its circle is printed. Pages are read while their owners write them, so a set is believed
 * only if a second look finds every park number unchanged.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/mem.h"
#include "trace.h"

#define NODES_MAX 4096U
#define EDGES_MAX 256U

struct node {
	uint32_t peer;
	uint32_t record;
	struct dsmx_task_abi task;
	bool moves;     /* it runs, or has something to do: found when its edges were */
	bool unstarted; /* it waits for a reader that nobody has started */
	uint32_t edge_count;
	uint32_t edges[EDGES_MAX]; /* the nodes that could wake it */
};

struct graph {
	const struct session *session;
	uint32_t count;
	struct node *nodes;
};

/* --- the graph ------------------------------------------------------------------------------------------------------ */

static struct node *find_node(struct graph *g, uint32_t peer, uint32_t record)
{
	for (uint32_t i = 0; i < g->count; i++)
		if (g->nodes[i].peer == peer && g->nodes[i].record == record)
			return &g->nodes[i];
	return NULL;
}

static void add_edge(struct graph *g, struct node *from, uint32_t peer, uint32_t record)
{
	struct node *to = find_node(g, peer, record);

	if (to == NULL || from->edge_count == EDGES_MAX) {
		from->moves = true; /* who could wake it is not known: nothing can be said */
		return;
	}
	from->edges[from->edge_count++] = (uint32_t)(to - g->nodes);
}

struct edge {
	uint32_t consumer, producer;
	struct stream_end in, out;
};

/* The stream of this slot, if both ends are there, are of one generation, and the consumer wants it. */
static bool read_edge(const struct graph *g, uint32_t consumer, uint32_t producer, uint32_t slot,
                      struct edge *ret)
{
	const struct page *c = &g->session->pages[consumer], *p = &g->session->pages[producer];

	if (c->base == NULL || p->base == NULL || producer >= c->head.peers ||
	    consumer >= p->head.peers || slot >= c->head.slots || slot >= p->head.slots)
		return false;
	ret->consumer = consumer;
	ret->producer = producer;
	ret->in = page_request(c, producer, slot);
	ret->out = page_stream(p, consumer, slot);
	return DSMX_WORD_STATE(ret->in.word) == DSMX_REQUEST_START;
}

static bool is_answered(const struct edge *e)
{
	return DSMX_WORD_GENERATION(e->in.word) == DSMX_WORD_GENERATION(e->out.word);
}

static void input_edge(struct graph *g, struct node *n, const struct edge *e)
{
	const struct dsmx_request_abi *in = &e->in.is.request;
	const struct dsmx_stream_abi *out = &e->out.is.stream;
	uint32_t state = DSMX_WORD_STATE(e->out.word);

	if (e->consumer != n->peer || in->record != n->record || in->query != n->task.query ||
	    in->exchange != n->task.park_exchange)
		return;
	if (is_answered(e) && state > DSMX_STREAM_RUNNING && out->tail == in->taken)
		return; /* read to its end */
	if (!is_answered(e) || state != DSMX_STREAM_RUNNING || out->tail != in->taken)
		n->moves = true;
	else
		add_edge(g, n, e->producer, out->record);
}

static void credit_edge(struct graph *g, struct node *n, const struct edge *e, bool *found)
{
	const struct dsmx_request_abi *in = &e->in.is.request;

	if (e->producer != n->peer || in->query != n->task.query ||
	    in->exchange != n->task.exchange || in->task != n->task.task ||
	    in->partition != n->task.park_partition)
		return;
	*found = true;
	if (!is_answered(e) || in->released != e->out.is.stream.seen_released)
		n->moves = true;
	else
		add_edge(g, n, e->consumer, in->record);
}

static void slab_edge(struct graph *g, struct node *n, const struct edge *e)
{
	const struct dsmx_request_abi *in = &e->in.is.request;

	if (e->producer != n->peer || !is_answered(e) || e->out.is.stream.tail == in->released)
		return;
	if (in->released != e->out.is.stream.seen_released)
		n->moves = true;
	else
		add_edge(g, n, e->consumer, in->record);
}

/* The tasks of its exchange whose samples are not there. */
static void sample_edges(struct graph *g, struct node *n)
{
	for (uint32_t i = 0; i < g->count; i++) {
		const struct node *other = &g->nodes[i];

		if (other->task.query == n->task.query &&
		    other->task.exchange == n->task.exchange && other->task.sample_bytes == 0)
			add_edge(g, n, other->peer, other->record);
	}
	n->moves = n->edge_count == 0;
}

static void find_edges(struct graph *g, struct node *n)
{
	bool found = false;
	struct edge e;

	n->moves = n->task.park_kind == DSMX_PARK_NONE || n->task.park_kind == DSMX_PARK_OTHER;
	if (n->moves)
		return;
	if (n->task.park_kind == DSMX_PARK_SAMPLE) {
		sample_edges(g, n);
		return;
	}
	for (uint32_t c = 0; c < g->session->peers; c++)
		for (uint32_t p = 0; p < g->session->peers; p++) {
			uint32_t slots = g->session->pages[c].head.slots;

			for (uint32_t slot = 0; slot < slots; slot++) {
				if (!read_edge(g, c, p, slot, &e))
					continue;
				if (n->task.park_kind == DSMX_PARK_INPUT)
					input_edge(g, n, &e);
				else if (n->task.park_kind == DSMX_PARK_CREDIT)
					credit_edge(g, n, &e, &found);
				else
					slab_edge(g, n, &e);
			}
		}
	n->unstarted = n->task.park_kind == DSMX_PARK_CREDIT && !found;
}

static void build(struct graph *g)
{
	for (uint32_t p = 0; p < g->session->peers; p++) {
		const struct page *page = &g->session->pages[p];

		for (uint32_t i = 0; page->base != NULL && i < page->head.tasks; i++) {
			struct dsmx_task_abi task = page_task(page, i);

			if (task.query == 0 || task.state > DSMX_STREAM_RUNNING ||
			    g->count == NODES_MAX)
				continue;
			g->nodes = mem_resize(g->nodes, (g->count + 1) * sizeof(*g->nodes));
			g->nodes[g->count++] =
				(struct node){ .peer = p, .record = i, .task = task };
		}
	}
	for (uint32_t i = 0; i < g->count; i++)
		find_edges(g, &g->nodes[i]);
}

/* --- what is said ----------------------------------------------------------------------------------------------- */

static const char *task_name(const struct node *n, char buf[64])
{
	char peer[16];

	if (n->task.exchange == DSMX_ROOT_TASK)
		snprintf(buf, 64, "the root (%s)", peer_name(n->peer, peer));
	else
		snprintf(buf, 64, "exchange %u task %u (%s)", n->task.exchange, n->task.task,
		         peer_name(n->peer, peer));
	return buf;
}

static const char *reason(const struct node *n, char buf[96])
{
	switch (n->task.park_kind) {
	case DSMX_PARK_INPUT:
		snprintf(buf, 96, "waits for rows of exchange %u", n->task.park_exchange);
		break;
	case DSMX_PARK_CREDIT:
		snprintf(buf, 96, "waits for room in its partition %u%s", n->task.park_partition,
		         n->unstarted ? ", which nobody has asked for yet" : "");
		break;
	case DSMX_PARK_SLAB:
		snprintf(buf, 96, "waits for memory of its process that readers hold");
		break;
	case DSMX_PARK_SAMPLE:
		snprintf(buf, 96, "waits for the samples of the other tasks");
		break;
	case DSMX_PARK_OTHER:
		snprintf(buf, 96, "waits for the application, a timer or a disk");
		break;
	default:
		snprintf(buf, 96, "runs, or is ready to");
	}
	return buf;
}

static void print_node(const struct graph *g, const struct node *n)
{
	char name[64], text[96];

	printf("  query %" PRIu64 ": %s %s", (uint64_t)n->task.query, task_name(n, name),
	       reason(n, text));
	for (uint32_t i = 0; i < n->edge_count; i++)
		printf("%s%s", i == 0 ? " of " : ", ", task_name(&g->nodes[n->edges[i]], name));
	if (n->moves && n->task.park_kind != DSMX_PARK_NONE && n->task.park_kind != DSMX_PARK_OTHER)
		printf("; something is on its way");
	putchar('\n');
}

/* --- deadlocks -------------------------------------------------------------------------------------------------- */

/* All that could move @start, itself included. Returns false as soon as one of them moves. */
static bool is_stuck(const struct graph *g, uint32_t start, bool *seen)
{
	uint32_t *todo = mem_alloc(g->count * sizeof(*todo));
	uint32_t count = 0;
	bool stuck = true;

	memset(seen, 0, g->count * sizeof(*seen));
	todo[count++] = start;
	seen[start] = true;
	while (count > 0 && stuck) {
		const struct node *n = &g->nodes[todo[--count]];

		stuck = !n->moves && !n->unstarted && n->edge_count > 0;
		for (uint32_t i = 0; i < n->edge_count; i++)
			if (!seen[n->edges[i]]) {
				seen[n->edges[i]] = true;
				todo[count++] = n->edges[i];
			}
	}
	free(todo);
	return stuck;
}

/* Nobody in the set has run since it was read. */
static bool still_stands(const struct graph *g, const bool *seen)
{
	for (uint32_t i = 0; i < g->count; i++) {
		const struct node *n = &g->nodes[i];

		if (seen[i] &&
		    page_task(&g->session->pages[n->peer], n->record).park != n->task.park)
			return false;
	}
	return true;
}

/* Following first edges within a stuck set must come back to where it was. */
static void print_circle(const struct graph *g, uint32_t start)
{
	uint32_t *order = mem_alloc(g->count * sizeof(*order));
	uint32_t length = 0, at = start, first;
	char name[64], text[96];

	for (;;) {
		for (first = 0; first < length && order[first] != at; first++)
			;
		if (first < length)
			break;
		order[length++] = at;
		at = g->nodes[at].edges[0];
	}
	printf("a deadlock: a circle of %u\n", length - first);
	for (uint32_t i = first; i < length; i++)
		printf("  %s %s\n    of\n", task_name(&g->nodes[order[i]], name),
		       reason(&g->nodes[order[i]], text));
	printf("  %s\n", task_name(&g->nodes[order[first]], name));
	free(order);
}

static void explain(const struct graph *g)
{
	bool *seen = mem_alloc((g->count + 1) * sizeof(*seen));
	uint32_t unstarted = 0;
	bool found = false;

	for (uint32_t i = 0; i < g->count && !found; i++)
		if (is_stuck(g, i, seen) && still_stands(g, seen)) {
			found = true;
			print_circle(g, i);
		}
	for (uint32_t i = 0; i < g->count; i++)
		unstarted += g->nodes[i].unstarted;
	if (!found && g->count > 0)
		printf("no deadlock%s\n",
		       unstarted > 0 ? " between these; some wait for readers that have not come"
		                     : "");
	free(seen);
}

/* A circle is told whoever is asked for: it holds all up that wait for one in it. */
static bool is_asked(const struct trace_options *options, const struct node *n)
{
	return trace_wants_peer(options, n->peer) &&
	       trace_wants_stream(options, n->task.exchange, n->task.task,
	                          options->stream.partition);
}

int why_main(const struct trace_options *options)
{
	struct sessions sessions = { .count = 0 };
	int status = EXIT_OK;

	sessions_find(&sessions, options);
	if (sessions.count == 0)
		status = sessions_none(&sessions, options);
	for (uint32_t i = 0; i < sessions.count; i++) {
		struct graph g = { .session = sessions.list[i] };

		build(&g);
		printf("session %016" PRIx64 ": %u tasks\n", sessions.list[i]->id, g.count);
		for (uint32_t n = 0; n < g.count; n++)
			if (is_asked(options, &g.nodes[n]))
				print_node(&g, &g.nodes[n]);
		explain(&g);
		free(g.nodes);
	}
	sessions_fini(&sessions);
	return status;
}
