/* SPDX-License-Identifier: MIT */
/*
 * streams.c - dsmx-bench streams: one consumer asleep over 128 streams of 16 peers
 *
 * A frame comes on one stream after the other, each when the consumer has gone to sleep. It wakes up, takes the
 * frame, gives it back and sleeps again. What counts is its processor time for each wake, in the kernel too; beside
 * it, that of a thread which does nothing but sleep on a bare futex. The consumer's mesh and reactor are the
 * library's, without patience: what is measured are parks. One process plays all peers, each with segments, mesh and
 * reactor of its own.
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

	pair_meet(pair, 1);
	for (uint32_t i = 1; i <= c->peers;) {
		(void)dx_reactor_turn(c->processes[i].reactor, 0);
		i += c->processes[i].streams == c->each;
	}
	for (uint32_t i = 0; i < WAKES; i++) {
		wait_asleep(&c->processes[c->peers], c->peers, pair->shared, i);
		send(&c->processes[1 + i % c->peers], i / c->peers % c->each, i + 1);
	}
}

/* --- the consumer -------------------------------------------------------------------------------------------- */

struct consumer {
	struct dsmx_waker waker;
	bool woken;
};

static void on_wake(struct dsmx_waker *waker)
{
	((struct consumer *)waker)->woken = true;
}

static double cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void consume(struct pair *pair)
{
	struct cluster *c = *(struct cluster *const *)pair->arg;
	struct process *self = &c->processes[0];
	uint32_t count = c->peers * c->each, got = 0;
	uint32_t *taken = pair->shared;
	uint64_t sum = 0;
	struct consumer consumer = { .waker = { on_wake } };
	struct dx_rx *rx[PEERS * EACH];
	struct dx_reactor_stats before, after;
	double start_ns = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct dx_stream_key key = { .query = 1, .partitions = 1, .task = i };

		if (dx_rx_open(self->mesh, 1 + i % c->peers, &key, false, &rx[i], NULL) < 0)
			_exit(1);
	}
	dx_mesh_flush(self->mesh);
	pair_meet(pair, 0);
	while (got < WAKES) {
		consumer.woken = false;
		for (uint32_t i = 0; i < count; i++) {
			struct dx_frame_view view;
			int r = dx_rx_next(rx[i], &consumer.waker, &view, NULL);

			if (r == -EAGAIN)
				continue;
			if (r != 1)
				_exit(1);
			sum += view.rows;
			dx_store_release(DX_EDGE_STATE, taken, ++got);
			dx_rx_release(rx[i], view.id);
			if (got ==
			    WAKES / 10) { /* by then it has learned that waiting awake does not pay */
				start_ns = cpu_ns();
				dx_reactor_stats(self->reactor, &before);
			}
			i--;
		}
		while (!consumer.woken && got < WAKES)
			(void)dx_reactor_turn(self->reactor, DX_NEVER);
	}
	dx_reactor_stats(self->reactor, &after);
	if (sum != (uint64_t)WAKES * (WAKES + 1) / 2)
		_exit(1);
	pair->result[0] = (cpu_ns() - start_ns) / (double)(after.parks - before.parks);
	pair->result[1] = (double)(after.parks - before.parks) / (WAKES - WAKES / 10);
}

/* --- wakes --------------------------------------------------------------------------------------------------- */

static int measure(struct bench *bench, enum dsmx_wait_backend backend, uint32_t peers,
                   uint32_t each, double limit)
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
	bench_add(bench, text, "us", result[0] / 1000, limit / 1000);
	strncat(text, "/parks", sizeof(text) - strlen(text) - 1);
	bench_add(bench, text, "", result[1], 0);
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
	double limit;
	int r = pair_futex_cpu(&limit);

	for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		r = measure(bench, DSMX_WAIT_URING, rows[i].peers, rows[i].each, limit);
	if (r == 0)
		r = measure(bench, DSMX_WAIT_FUTEX, PEERS, EACH, limit);
	if (r == 0)
		r = measure_ready(bench);
	return r;
}
