/* SPDX-License-Identifier: MIT */
/*
 * reader.c - asks for streams, one after the other, and checks all that comes
 *
 * It reads to the end, or leaves after some frames, or at once, or never asks; it holds some of the frames back, gives
 * them back in any order, also after it has left, and looks at each a second time before: nobody may have written it.
 */
#include <errno.h>
#include <string.h>

#include "stress.h"

static void give_back(struct reader *r, uint32_t at)
{
	const struct dx_frame_view *view = &r->held[at].view;

	if (!stress_is_filled(view->bytes, view->len_bytes, r->key.query, r->held[at].index))
		stress_wrong(r->actor, "frame %llu of stream %llu changed while it was held",
		             (unsigned long long)r->held[at].index,
		             (unsigned long long)r->key.query);
	dx_rx_release(r->rx, view->id);
	r->held[at] = r->held[--r->held_count];
}

static void give_back_to(struct reader *r, uint32_t count)
{
	while (r->held_count > count)
		give_back(r, (uint32_t)stress_draw(r->actor, r->held_count));
}

static uint32_t any_peer(struct actor *actor)
{
	uint32_t others = actor->stress->actors - 1;

	return (actor->self + 1 + (uint32_t)stress_draw(actor, others)) % actor->stress->actors;
}

/* Returns what dx_rx_open() did. */
static int ask(struct reader *r)
{
	struct actor *actor = r->actor;
	const struct stress *stress = actor->stress;
	uint32_t how = (uint32_t)stress_draw(actor, 16);
	uint32_t frames = (uint32_t)stress_draw(actor, stress->frames);
	int code;

	r->key = (struct dx_stream_key){
		.query = ((uint64_t)actor->self << 32) + ++actor->asked,
		.exchange = how < 11   ? END_FIN
		            : how < 12 ? END_ERROR
		            : how < 13 ? END_NAK
		            : how < 14 ? END_EMPTY
		                       : END_FIN,
		.task = frames,
		.partitions = 1,
	};
	r->next = 0;
	r->keep = (uint32_t)stress_draw(actor, 4) * (uint32_t)stress_draw(actor, 4);
	r->cancel_at =
		stress_draw(actor, 2) == 0 ? UINT64_MAX : stress_draw(actor, (uint64_t)frames + 2);
	code = dx_rx_open(actor->mesh, any_peer(actor), &r->key, how == 15, &r->rx, NULL);
	if (code == 0) {
		actor->report->streams++;
		r->cancel_at = how == 15 ? 0 : r->cancel_at;
	}
	return code;
}

static void leave(struct reader *r)
{
	dx_rx_close(r->rx);
	r->closed = true;
	if (r->held_count == 0)
		r->rx = NULL;
}

/* The stream ended: as was asked for? */
static void judge(struct reader *r, int code, const struct dsmx_error *err)
{
	struct stress_report *report = r->actor->report;
	uint32_t end = r->key.exchange, wanted = r->key.task;

	if (code == -EOWNERDEAD) {
		report->lost++;
		if (r->actor->stress->kill_point == DX_POINT_COUNT)
			stress_wrong(r->actor, "nobody was killed: %s", err->message);
	} else if (code == 0 && end == END_FIN) {
		report->whole++;
		if (r->next != wanted)
			stress_wrong(r->actor, "stream %llu has %llu frames, not %u",
			             (unsigned long long)r->key.query, (unsigned long long)r->next,
			             wanted);
	} else if ((code == 0 && end == END_EMPTY && r->next == 0) ||
	           (code == -EIO && end == END_ERROR) || (code == -ENOENT && end == END_NAK)) {
		report->refused++;
	} else {
		stress_wrong(r->actor, "stream %llu ended with %d, way %u: %s",
		             (unsigned long long)r->key.query, code, end,
		             code < 0 ? err->message : "");
	}
}

static void take(struct reader *r, const struct dx_frame_view *view)
{
	uint32_t len = stress_frame_bytes(r->actor->stress, r->key.query, r->next);

	if (view->len_bytes != len || view->rows != (uint32_t)r->next ||
	    !stress_is_filled(view->bytes, len, r->key.query, r->next))
		stress_wrong(r->actor, "stream %llu: not its frame %llu",
		             (unsigned long long)r->key.query, (unsigned long long)r->next);
	r->held[r->held_count].view = *view;
	r->held[r->held_count++].index = r->next++;
	r->actor->report->frames++;
	give_back_to(r, r->keep);
}

/* Returns 0 when it is parked, 1 when the stream was left. */
static int read_on(struct reader *r, struct dsmx_cx *cx)
{
	struct dx_frame_view view;
	int code;

	while (r->next < r->cancel_at) {
		code = dx_rx_next(r->rx, cx->waker, &view, cx->err);
		if (code == -EAGAIN) {
			/* Who waits holds nothing back: that could be all there is. */
			give_back_to(r, 0);
			return 0;
		}
		if (code <= 0) {
			judge(r, code, cx->err);
			leave(r);
			return 1;
		}
		take(r, &view);
	}
	r->actor->report->cancelled++;
	leave(r);
	return 1;
}

static int reader_poll(struct dx_task *task, struct dsmx_cx *cx)
{
	struct reader *r = DX_CONTAINER(task, struct reader, task);
	struct actor *actor = r->actor;
	int code;

	if (r->closed) {
		give_back_to(r, 0);
		r->closed = false;
		r->rx = NULL;
	}
	if (r->rx == NULL) {
		if (stress_is_over(actor->stress))
			return 1;
		code = ask(r);
		if (code == -EAGAIN) {
			dx_mesh_wait_room(actor->mesh, cx->waker);
			return 0;
		}
		/* The others' frames are held, or the peer was killed: another one may do. */
		if (code < 0) {
			if (code != -E2BIG && code != -EOWNERDEAD)
				stress_wrong(actor, "opening says %d", code);
			dsmx_cx_yield(cx);
			return 0;
		}
	}
	if (read_on(r, cx) != 0)
		dsmx_cx_yield(cx);
	return 0;
}

static void reader_end(struct dx_task *task, int result, const struct dsmx_error *err)
{
	(void)result, (void)err;
	DX_CONTAINER(task, struct reader, task)->actor->reading--;
}

void readers_start(struct actor *actor)
{
	for (uint32_t i = 0; i < actor->stress->readers; i++) {
		struct reader *r = &actor->readers[i];

		r->actor = actor;
		r->task = (struct dx_task){ .poll = reader_poll, .end = reader_end };
		actor->reading++;
		dx_task_start(actor->reactor, &r->task);
	}
}
