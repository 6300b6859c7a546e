/* SPDX-License-Identifier: MIT */
/*
 * actor.c - one process among its peers: answers whoever asks it for a stream, and runs its readers
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/point.h"
#include "stress.h"
#include "task/reactor.h"

enum { DATA_BYTES = 2 << 20, BEFORE_WRAP = 500 };

struct writer {
	struct dx_task task;
	struct dx_list link;
	struct actor *actor;
	struct dx_tx *tx;
	uint64_t query;
	uint32_t end, frames, next;
};

bool stress_is_over(const struct stress *stress)
{
	return dx_now_ns() >= __atomic_load_n(&stress->end_ns, __ATOMIC_RELAXED);
}

uint64_t stress_draw(struct actor *actor, uint64_t below)
{
	return dx_hash_u64(++actor->random, actor->stress->seed) % below;
}

void stress_wrong(struct actor *actor, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (actor->report->wrong++ == 0)
		(void)vsnprintf(actor->report->said, sizeof(actor->report->said), fmt, args);
	va_end(args);
}

/* --- contents ----------------------------------------------------------------------------------------------------- */

uint32_t stress_frame_bytes(const struct stress *stress, uint64_t query, uint64_t index)
{
	return 64 + (uint32_t)(dx_hash_u64(index, query) % stress->frame_most) / 8 * 8;
}

void stress_fill(char *bytes, uint32_t len, uint64_t query, uint64_t index)
{
	for (uint64_t at = 0; at < len; at += 8) {
		uint64_t value = dx_hash_u64(at ^ index << 32, query);

		memcpy(bytes + at, &value, sizeof(value));
	}
}

bool stress_is_filled(const char *bytes, uint32_t len, uint64_t query, uint64_t index)
{
	uint64_t value, wrong = 0;

	for (uint64_t at = 0; at < len; at += 8) {
		memcpy(&value, bytes + at, sizeof(value));
		wrong |= value ^ dx_hash_u64(at ^ index << 32, query);
	}
	return wrong == 0;
}

/* --- a writer ------------------------------------------------------------------------------------------------------ */

static int push(struct writer *w, struct dsmx_cx *cx)
{
	struct actor *actor = w->actor;
	uint32_t len = stress_frame_bytes(actor->stress, w->query, w->next);
	struct dx_frame *frame;
	int r = dx_tx_room(w->tx, len, cx->waker);

	if (r < 0)
		return r;
	r = dx_frame_new(actor->mesh, len, true, cx->waker, &frame);
	if (r < 0)
		return r;
	stress_fill(frame->bytes, len, w->query, w->next);
	dx_tx_push(w->tx, frame, len, w->next++);
	return 1;
}

static int writer_poll(struct dx_task *task, struct dsmx_cx *cx)
{
	static const struct dsmx_error broken = {
		.code = -EIO, .worker = -1, .exchange = -1, .message = "as was asked for"
	};
	struct writer *w = DX_CONTAINER(task, struct writer, task);
	bool fails = w->end == END_ERROR;
	int r = 1;

	while (w->next < w->frames && r > 0)
		r = push(w, cx);
	if (r == -EAGAIN)
		return 0;
	if (r < 0 && r != -EPIPE)
		stress_wrong(w->actor, "a writer is told %d", r);
	dx_tx_finish(w->tx,
	             r < 0   ? DSMX_STREAM_CANCELLED
	             : fails ? DSMX_STREAM_ERROR
	                     : DSMX_STREAM_FIN,
	             fails && r > 0 ? &broken : NULL);
	return 1;
}

static void writer_end(struct dx_task *task, int result, const struct dsmx_error *err)
{
	struct writer *w = DX_CONTAINER(task, struct writer, task);

	(void)result, (void)err;
	dx_list_unlink(&w->link);
	free(w);
}

static void refuse(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                   const struct dsmx_request_abi *request)
{
	static const struct dsmx_error unknown = {
		.code = -ENOENT, .worker = -1, .exchange = -1, .message = "as was asked for"
	};

	if (DSMX_WORD_STATE(word) == DSMX_REQUEST_CANCEL)
		dx_tx_refuse(mesh, peer, slot, word, request, DSMX_STREAM_CANCELLED, NULL);
	else if (request->exchange == END_EMPTY)
		dx_tx_refuse(mesh, peer, slot, word, request, DSMX_STREAM_FIN, NULL);
	else
		dx_tx_refuse(mesh, peer, slot, word, request, DSMX_STREAM_NAK, &unknown);
}

static void on_request(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                       const struct dsmx_request_abi *request)
{
	struct actor *actor = dx_mesh_ops(mesh)->arg;
	struct writer *w;
	int r;

	if (DSMX_WORD_STATE(word) == DSMX_REQUEST_CANCEL || request->exchange == END_NAK ||
	    request->exchange == END_EMPTY) {
		refuse(mesh, peer, slot, word, request);
		return;
	}
	w = calloc(1, sizeof(*w));
	r = w == NULL ? -ENOMEM
	              : dx_tx_open(mesh, peer, slot, word, request, 0, actor->stress->credit_bytes,
	                           &w->tx);
	if (r < 0) {
		free(w);
		if (r != -ESTALE)
			stress_wrong(actor, "answering says %d", r);
		return;
	}
	w->actor = actor;
	w->query = request->query;
	w->end = request->exchange;
	w->frames = request->task;
	w->task = (struct dx_task){ .poll = writer_poll, .end = writer_end };
	dx_list_append(&actor->writers, &w->link);
	dx_task_start(actor->reactor, &w->task);
	dx_tx_set_owner(w->tx, &w->task.waker);
}

/* --- a process ---------------------------------------------------------------------------------------------------- */

static void on_accuse(void *arg, uint32_t peer, const char *what)
{
	stress_wrong(arg, "process %u is accused: %s", peer, what);
}

int actor_make(struct actor *actor, struct stress_shared *shared, uint32_t self)
{
	const struct stress *stress = &shared->stress;
	struct dx_mesh_params params = {
		.session = 77,
		.epoch = 10 + self,
		.self = self,
		.peers = stress->actors,
		.slots = stress->slots,
		.frames = STRESS_FRAMES,
		.tasks = 4,
		.data_bytes = DATA_BYTES,
		.pages = DSMX_PAGES_SMALL,
		.numa_node = -1,
	};
	struct dx_wait *wait;
	int r;

	*actor = (struct actor){ .stress = stress,
		                 .shared = shared,
		                 .report = &shared->reports[self],
		                 .self = self,
		                 .random = (uint64_t)self << 48 };
	dx_list_init(&actor->writers);
	actor->readers = calloc(stress->readers, sizeof(*actor->readers));
	r = dx_wait_new(stress->wait[self], &wait, NULL);
	if (r == 0)
		r = dx_reactor_new_over(wait, stress->seed % 3 != 0, &actor->reactor, NULL);
	if (r == 0)
		r = dx_mesh_new(actor->reactor, &params, &actor->mesh, NULL);
	if (r < 0 || actor->readers == NULL)
		return -1;
	for (uint32_t i = 0; i < stress->actors; i++)
		if (i != self)
			actor->mesh->peers[i].own_line->bell = -(uint32_t)BEFORE_WRAP;
	actor->ops = (struct dx_mesh_ops){ .request = on_request, .arg = actor };
	dx_mesh_set_ops(actor->mesh, &actor->ops);
	dx_mesh_set_accuse(actor->mesh, on_accuse, actor);
	return 0;
}

/* No stream of its own is open, and of what it lent everything is back, once. */
static bool is_drained(const struct actor *actor)
{
	const struct dx_mesh *mesh = actor->mesh;

	if (actor->reading > 0 || !dx_list_empty(&actor->writers) || !dx_list_empty(&mesh->tx_all))
		return false;
	for (uint32_t p = 0; p < actor->stress->actors; p++)
		for (uint32_t s = 0; s < actor->stress->slots && p != actor->self; s++)
			if (mesh->peers[p].rx[s] != NULL)
				return false;
	return dx_slab_used(mesh->slabs) == 0;
}

static uint64_t pulse_of(const struct actor *actor, uint32_t peer)
{
	return __atomic_load_n(&dx_mesh_peer_page(actor->mesh, peer)->pulse, __ATOMIC_RELAXED);
}

/*
 * A park ended by its bound with news, and nobody rang for as long again. Lost, if whoever could have rung had his turn: he
 * sleeps, or has looked twice since. Else he still stands before the bell, and has no processor.
 */
static void judge_late(struct actor *actor, uint64_t late)
{
	bool had_turn = true;

	for (uint32_t p = 0; p < actor->stress->actors && late != actor->late; p++)
		if (p != actor->self && dx_mesh_alive(actor->mesh, p) &&
		    dx_load_plain(&actor->mesh->peers[p].line->armed) == 0 &&
		    pulse_of(actor, p) < actor->pulses[p] + 2)
			had_turn = false;
	*(had_turn ? &actor->report->late : &actor->report->starved) += late - actor->late;
	actor->late = late;
}

static void report(struct actor *actor)
{
	struct dx_reactor_stats stats;
	uint64_t hits = 0;

	dx_reactor_stats(actor->reactor, &stats);
	judge_late(actor, stats.late_parks);
	for (unsigned int p = 0; p <= DX_POINT_STORE; p++)
		hits += dx_point_hits((enum dx_point)p);
	__atomic_store_n(&actor->report->parks, stats.parks, __ATOMIC_RELAXED);
	__atomic_store_n(&actor->report->hits, hits, __ATOMIC_RELAXED);
	__atomic_store_n(&actor->report->drained, is_drained(actor), __ATOMIC_RELAXED);
}

static bool look_over(struct dx_source *source)
{
	struct actor *actor = DX_CONTAINER(source, struct actor, source);

	for (uint32_t p = 0; p < actor->stress->actors; p++)
		actor->pulses[p] = pulse_of(actor, p);
	return actor->over.fired != 0;
}

int actor_run(struct actor *actor, int over_fd)
{
	const struct stress *stress = actor->stress;
	struct dx_wait *wait = dx_reactor_wait(actor->reactor);

	/* Nothing but news ends a park, or the judge: no deadline hides that a wake was lost. */
	actor->over = (struct dx_wait_fd){ .fd = over_fd, .events = POLLIN };
	actor->source = (struct dx_source){ .look = look_over };
	if (dx_wait_add_fd(wait, &actor->over) < 0)
		return -1;
	dx_reactor_add_source(actor->reactor, &actor->source);
	dx_points_linger(stress->seed + actor->self, stress->one_in);
	if (stress->kill_point < DX_POINT_COUNT && actor->self == stress->actors - 1)
		dx_point_kill((enum dx_point)stress->kill_point, stress->kill_at);
	if (stress->all_read || actor->self == 0)
		readers_start(actor);
	while (actor->over.fired == 0) {
		(void)dx_reactor_turn(actor->reactor, DX_NEVER);
		report(actor);
	}
	dx_points_reset();
	dx_wait_remove_fd(wait, &actor->over);
	dx_reactor_remove_source(actor->reactor, &actor->source);
	return 0;
}

void actor_unmake(struct actor *actor)
{
	dx_mesh_free(actor->mesh);
	dx_reactor_free(actor->reactor);
	free(actor->readers);
}
