/* SPDX-License-Identifier: MIT */
/*
 * streams.c - dsmx-bench streams: one consumer asleep over 128 streams of 16 peers
 *
 * A frame comes on one stream after the other, each when the consumer has gone to sleep. It wakes up, takes the
 * frame, gives it back and sleeps again. What counts is its processor time for each wake, in the kernel too; beside
 * it, that of doing nothing but sleep on a bare futex. The consumer's mesh and reactor are the library's, without
 * patience: what is measured are parks. One process plays all peers, each with segments, mesh and reactor of its own.
 *
 * The same thread does both by turns, a few wakes each. For the scheduler's clock stands still from the interrupt that
 * wakes a thread until it runs: it is charged with what the idle processor does in between, 1.5 to 7 us by whether its
 * tick had been stopped. That changes from one run to the next, and from one processor to the other, more than there
 * is to measure.
 *
 * "memory ready" is how long both ends of a stream take to have what it needs: the consumer's books and its log, the
 * producer's books and its ring, and the first frame, ready to be written. Segments were populated long before, so
 * there is no page to wait for. Processor time of both processes, not the way of the request between them, which is
 * startstream's. Its limit is that of the design.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/order.h"
#include "bench.h"
#include "chan/layout.h"
#include "chan/mesh.h"
#include "chan/rx.h"
#include "chan/tx.h"
#include "pair.h"
#include "task/reactor.h"

#define PEERS 16U
#define EACH  8U /* streams of each peer */
#define WAKES 2000U
#define BLOCK 50U /* wakes until it is the other's turn */
#define WARM  4U  /* blocks of each that do not count */

/* Streams whose memory is measured, all of one peer, each in a slot that was never used; their first frames. */
#define READY_STREAMS  64U
#define READY_BYTES    (64U << 10)
#define READY_LIMIT_US 20

/* A process: the consumer, or one of its peers. */
struct process {
	struct dx_reactor *reactor;
	struct dx_mesh *mesh;
	struct dx_mesh_ops ops;
	struct dx_tx *tx[READY_STREAMS];
	uint32_t streams;
	double ready_ns; /* what the last one took until it had a frame to write */
};

struct cluster {
	struct process processes[PEERS + 1]; /* the consumer is the first */
	enum dsmx_wait_backend backend;
	uint32_t peers, each;
};

/* What consumer and producer share beside the library. */
struct words {
	_Alignas(128) uint32_t taken;  /* frames */
	_Alignas(128) uint32_t asleep; /* times on the futex */
	_Alignas(128) uint32_t futex;
};

_Static_assert(EACH <= READY_STREAMS, "there is a tx for each slot");

static void on_request(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                       const struct dsmx_request_abi *request)
{
	struct process *p = dx_mesh_ops(mesh)->arg;

	if (dx_tx_open(mesh, peer, slot, word, request, 0, 1 << 20, &p->tx[slot]) < 0)
		_exit(1);
	p->streams++;
}

static int make_process(struct process *p, uint32_t self, enum dsmx_wait_backend backend,
                        uint32_t peers, uint32_t slots, uint64_t data_bytes)
{
	struct dx_mesh_params params = {
		.session = 1,
		.epoch = 1 + self,
		.self = self,
		.peers = peers + 1,
		.slots = slots,
		.frames = 16,
		.tasks = 1,
		.data_bytes = data_bytes,
		.pages = DSMX_PAGES_SMALL,
		.numa_node = -1,
	};
	struct dx_wait *wait;
	int r = dx_wait_new(backend, &wait, NULL);

	if (r == 0)
		r = dx_reactor_new_over(wait, false, &p->reactor, NULL);
	if (r == 0)
		r = dx_mesh_new(p->reactor, &params, &p->mesh, NULL);
	if (r == 0) {
		p->ops = (struct dx_mesh_ops){ .request = on_request, .arg = p };
		dx_mesh_set_ops(p->mesh, &p->ops);
	}
	return r;
}

static void free_process(struct process *p)
{
	if (p->mesh != NULL)
		dx_mesh_free(p->mesh);
	if (p->reactor != NULL)
		dx_reactor_free(p->reactor);
}

static int attach(const struct process *self, uint32_t peer, const struct process *other)
{
	return dx_mesh_attach(self->mesh, peer, 1 + peer, dx_mesh_page_segment(other->mesh)->fd,
	                      dx_mesh_data_segment(other->mesh)->fd, -1, NULL);
}

/* --- the peers --------------------------------------------------------------------------------------------- */

static void send(struct process *p, uint32_t slot, uint32_t rows)
{
	struct dx_frame *frame;

	if (dx_tx_room(p->tx[slot], 4096, NULL) != 1 ||
	    dx_frame_new(p->mesh, 4096, true, NULL, &frame) < 0)
		_exit(1);
	memset(frame->bytes, 0, sizeof(struct dsmx_frame_abi));
	dx_tx_push(p->tx[slot], frame, 4096, rows);
	dx_mesh_flush(p->mesh);
}

/* Until the consumer has taken @got frames, and has said to this peer that it goes to sleep. */
static void wait_asleep(const struct process *p, uint32_t self, const uint32_t *taken, uint32_t got)
{
	const struct dsmx_bell_abi *line =
		DX_LAYOUT_PEER(struct dsmx_bell_abi, dx_mesh_peer_page(p->mesh, 0),
	                       dx_mesh_layout(p->mesh)->bells, self);

	while (dx_load_acquire(DX_EDGE_STATE, taken) != got || dx_load_plain(&line->armed) == 0)
		dx_spin_pause();
	pair_spin(PAIR_ASLEEP_NS);
}

static void produce(struct pair *pair)
{
	struct cluster *c = *(struct cluster *const *)pair->arg;

	struct words *words = pair->shared;

	pair_meet(pair, 1);
	for (uint32_t i = 1; i <= c->peers;) {
		(void)dx_reactor_turn(c->processes[i].reactor, 0);
		i += c->processes[i].streams == c->each;
	}
	for (uint32_t i = 0; i < WAKES; i++) {
		wait_asleep(&c->processes[c->peers], c->peers, &words->taken, i);
		send(&c->processes[1 + i % c->peers], i / c->peers % c->each, i + 1);
		for (uint32_t j = i + 1 - BLOCK; (i + 1) % BLOCK == 0 && j <= i; j++) {
			while (dx_load_acquire(DX_EDGE_STATE, &words->asleep) != j + 1)
				dx_spin_pause();
			pair_spin(PAIR_ASLEEP_NS);
			pair_say(&words->futex, j + 1);
		}
	}
}

/* --- the consumer -------------------------------------------------------------------------------------------- */

/* A task as those of the exchange are: it looks at the streams that said that they have something. */
struct consumer {
	struct dx_task task; /* must be first */
	struct process *self;
	struct dx_list ready;
	struct words *words;
	uint32_t got;
	uint64_t sum;
	struct input {
		struct dsmx_waker waker; /* must be first */
		struct consumer *consumer;
		struct dx_list ready;
		struct dx_rx *rx;
	} inputs[PEERS * EACH];
};

static void on_input(struct dsmx_waker *waker)
{
	struct input *input = (struct input *)waker;

	if (dx_list_empty(&input->ready))
		dx_list_append(&input->consumer->ready, &input->ready);
	dx_task_wake(&input->consumer->task);
}

static double cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void take(struct consumer *c, struct input *input, const struct dx_frame_view *view)
{
	c->sum += view->rows;
	dx_store_release(DX_EDGE_STATE, &c->words->taken, ++c->got);
	dx_rx_release(input->rx, view->id);
}

static int poll_inputs(struct dx_task *task, struct dsmx_cx *cx)
{
	struct consumer *c = (struct consumer *)task;
	struct dx_list *link;

	(void)cx;
	while ((link = dx_list_take(&c->ready)) != NULL) {
		struct input *input = DX_CONTAINER(link, struct input, ready);
		struct dx_frame_view view;
		int r = dx_rx_next(input->rx, &input->waker, &view, NULL);

		if (r == -EAGAIN)
			continue;
		if (r != 1)
			_exit(1);
		take(c, input, &view);
		dx_list_append(&c->ready, link);
	}
	return 0;
}

static void open_inputs(struct consumer *c, uint32_t peers, uint32_t count)
{
	dx_list_init(&c->ready);
	for (uint32_t i = 0; i < count; i++) {
		struct dx_stream_key key = { .query = 1, .partitions = 1, .task = i };
		struct input *input = &c->inputs[i];

		input->waker.wake = on_input;
		input->consumer = c;
		dx_list_init(&input->ready);
		dx_list_append(&c->ready, &input->ready);
		if (dx_rx_open(c->self->mesh, 1 + i % peers, &key, false, &input->rx, NULL) < 0)
			_exit(1);
	}
	dx_mesh_flush(c->self->mesh);
}

static uint64_t parks(const struct consumer *c)
{
	struct dx_reactor_stats stats;

	dx_reactor_stats(c->self->reactor, &stats);
	return stats.parks;
}

/* Processor time of a wake, then of one from a futex, then parks for each wake. */
static void sleep_by_turns(struct consumer *c, double *ret_results)
{
	double streams_ns = 0, futex_ns = 0, start_ns;
	uint64_t warm_parks = 0;

	while (c->got < WAKES) {
		uint32_t first = c->got;
		bool warm = first >= WARM * BLOCK;

		if (first == WARM * BLOCK)
			warm_parks = parks(c);
		start_ns = cpu_ns();
		while (c->got < first + BLOCK)
			(void)dx_reactor_turn(c->self->reactor, DX_NEVER);
		streams_ns += warm ? cpu_ns() - start_ns : 0;
		start_ns = cpu_ns();
		for (uint32_t i = first + 1; i <= first + BLOCK; i++) {
			dx_store_release(DX_EDGE_STATE, &c->words->asleep, i);
			pair_hear(&c->words->futex, i);
		}
		futex_ns += warm ? cpu_ns() - start_ns : 0;
	}
	ret_results[0] = streams_ns / (double)(parks(c) - warm_parks);
	ret_results[1] = futex_ns / (WAKES - WARM * BLOCK);
	ret_results[2] = (double)(parks(c) - warm_parks) / (WAKES - WARM * BLOCK);
}

static void consume(struct pair *pair)
{
	struct cluster *cluster = *(struct cluster *const *)pair->arg;
	struct consumer *c = calloc(1, sizeof(*c));

	if (c == NULL)
		_exit(1);
	c->task.poll = poll_inputs;
	c->self = &cluster->processes[0];
	c->words = pair->shared;
	open_inputs(c, cluster->peers, cluster->peers * cluster->each);
	dx_task_start(c->self->reactor, &c->task);
	pair_meet(pair, 0);
	sleep_by_turns(c, pair->result);
	if (c->sum != (uint64_t)WAKES * (WAKES + 1) / 2)
		_exit(1);
}

/* --- wakes --------------------------------------------------------------------------------------------------- */

static int measure(struct bench *bench, enum dsmx_wait_backend backend, uint32_t peers,
                   uint32_t each)
{
	struct cluster *c = calloc(1, sizeof(*c));
	double result[PAIR_RESULTS];
	int r = c == NULL ? -ENOMEM : 0;
	char text[48];

	for (uint32_t i = 0; r == 0 && i <= peers; i++)
		r = make_process(&c->processes[i], i, backend, PEERS, EACH, 1 << 20);
	for (uint32_t i = 1; r == 0 && i <= peers; i++) {
		r = attach(&c->processes[0], i, &c->processes[i]);
		if (r == 0)
			r = attach(&c->processes[i], 0, &c->processes[0]);
	}
	if (r == 0) {
		c->peers = peers;
		c->each = each;
		r = pair_run(4096, &c, consume, produce, result);
	}
	for (uint32_t i = 0; c != NULL && i <= peers; i++)
		free_process(&c->processes[i]);
	free(c);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "streams/%s/%u of %u peers",
	         backend == DSMX_WAIT_URING ? "io_uring" : "futex_waitv", peers * each, peers);
	bench_add(bench, text, "us", result[0] / 1000, result[1] / 1000);
	strncat(text, "/parks", sizeof(text) - strlen(text) - 1);
	bench_add(bench, text, "", result[2], 0);
	return 0;
}

/* --- the memory of a stream ---------------------------------------------------------------------------------- */

static void on_ready(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                     const struct dsmx_request_abi *request)
{
	struct process *p = dx_mesh_ops(mesh)->arg;
	uint64_t start_ns = dx_now_ns();
	struct dx_frame *frame;

	on_request(mesh, peer, slot, word, request);
	if (dx_tx_room(p->tx[slot], READY_BYTES, NULL) != 1 ||
	    dx_frame_new(mesh, READY_BYTES, true, NULL, &frame) < 0)
		_exit(1);
	p->ready_ns = (double)(dx_now_ns() - start_ns);
}

static int open_all(struct process *consumer, struct process *producer, double *ns)
{
	for (uint32_t i = 0; i < READY_STREAMS; i++) {
		struct dx_stream_key key = { .query = 1, .partitions = 1, .task = i };
		uint64_t start_ns = dx_now_ns();
		struct dx_rx *rx;
		int r = dx_rx_open(consumer->mesh, 1, &key, false, &rx, NULL);

		ns[i] = (double)(dx_now_ns() - start_ns);
		if (r < 0)
			return r;
		dx_mesh_flush(consumer->mesh);
		while (producer->streams == i)
			(void)dx_reactor_turn(producer->reactor, 0);
		ns[i] += producer->ready_ns;
	}
	return 0;
}

static int measure_ready(struct bench *bench)
{
	struct process *p = calloc(2, sizeof(*p));
	double ns[READY_STREAMS];
	int r = p == NULL ? -ENOMEM : 0;

	for (uint32_t i = 0; r == 0 && i < 2; i++)
		r = make_process(&p[i], i, DSMX_WAIT_AUTO, 1, READY_STREAMS,
		                 2UL * READY_STREAMS * READY_BYTES);
	if (r == 0)
		r = attach(&p[0], 1, &p[1]);
	if (r == 0)
		r = attach(&p[1], 0, &p[0]);
	if (r == 0) {
		p[1].ops.request = on_ready;
		r = open_all(&p[0], &p[1], ns);
	}
	for (uint32_t i = 0; p != NULL && i < 2; i++)
		free_process(&p[i]);
	free(p);
	if (r == 0)
		bench_add(bench, "streams/memory ready", "us",
		          bench_median(ns, READY_STREAMS) / 1000, READY_LIMIT_US);
	return r;
}

/* --- rounds -------------------------------------------------------------------------------------------------- */

int streams_round(struct bench *bench)
{
	static const struct {
		uint32_t peers, each;
	} rows[] = { { 1, 1 }, { 1, 8 }, { 16, 1 }, { 16, 8 } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		r = measure(bench, DSMX_WAIT_URING, rows[i].peers, rows[i].each);
	if (r == 0)
		r = measure(bench, DSMX_WAIT_FUTEX, PEERS, EACH);
	if (r == 0)
		r = measure_ready(bench);
	return r;
}
