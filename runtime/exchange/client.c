/* SPDX-License-Identifier: MIT */
/*
 * client.c - the exchange node as its parent sees it: the consumer
 *
 * Executing an exchange never runs its input. It sends StartStream to every producer task of the exchange for
 * one partition, and gives a stream that reads their rings in turn; a merge gives one that merges them. Frames are handed on in place: a batch is
 * a view of the producer's memory, held by a lease until the next poll, or longer if somebody retains it.
 *
 * An exchange that is never executed (a join whose other side was empty) says CANCEL for its partition when
 * it is freed, so that the producers do not keep rows for it (cancel.c). A process that executes a partition which the
 * exchange does not have is no consumer: passive.c.
 */
#include <stdlib.h>

#include "base/cx.h"
#include "base/err.h"
#include "base/order.h"
#include "exchange/internal.h"
#include "exec/merge.h"

struct client {
	struct dsmx_operator op; /* must be first */
	struct dx_fragment *fragment;
	const struct dsmx_rel *rel;
	bool executed;
};

/* A frame in hand; lives as long as somebody holds it, longer than the stream if need be. */
struct held_frame {
	struct dsmx_lease lease; /* must be first */
	struct dx_rx *rx;
	uint32_t id;
	uint32_t refs;
};

/* What comes from one producer task. */
struct source {
	struct dsmx_waker waker; /* must be first */
	struct client_stream *stream;
	struct dx_list ready;
	struct dx_rx *rx; /* NULL: ended, or not asked */
	bool asked;
};

struct client_stream {
	struct dsmx_stream stream; /* must be first */
	struct client *client;
	struct dx_frame_reader *reader;
	struct held_frame *held; /* under the batch that was given last */
	uint32_t partition;
	uint32_t first; /* producer task */
	uint32_t count;
	uint32_t open;            /* not ended */
	uint32_t unasked;         /* no slot was free for them so far */
	struct dx_list ready;     /* sources that may have something, in turn */
	struct dsmx_waker *task;  /* that polls */
	struct dsmx_waker *waker; /* waits for a slot; NULL: none does */
	struct dx_frame *filters; /* to say with each StartStream; NULL: none, or all are said */
	size_t filters_bytes;
	struct dx_list link;     /* the query's readers */
	struct dsmx_waker *lost; /* waits for a move; NULL: none does */
	struct source sources[]; /* by producer task from the first on */
};

/* --- leases ---------------------------------------------------------------------------------------------------- */

static void lease_retain(struct dsmx_lease *lease)
{
	((struct held_frame *)lease)->refs++;
}

static void lease_release(struct dsmx_lease *lease)
{
	struct held_frame *held = (struct held_frame *)lease;

	if (--held->refs > 0)
		return;
	dx_rx_release(held->rx, held->id);
	free(held);
}

static void drop_held(struct client_stream *s)
{
	if (s->held != NULL)
		lease_release(&s->held->lease);
	s->held = NULL;
}

/* Who keeps frames keeps the producer from sending others: beyond a part of what may be out there is no lease. */
static bool may_be_kept(const struct client_stream *s, const struct dx_rx *rx)
{
	const struct dx_fragment *fragment = s->client->fragment;

	return dx_rx_held(rx) <= dx_mesh_layout(fragment->query->service->mesh)->frames / 2 &&
	       dx_rx_held_bytes(rx) <= s->client->rel->exchange.config.credit_bytes / 4;
}

/* --- the stream ---------------------------------------------------------------------------------------------------- */

static int give_frame(struct client_stream *s, struct dsmx_cx *cx, struct dx_rx *rx,
                      const struct dx_frame_view *view, struct dsmx_batch *ret_batch)
{
	uint32_t exchange = s->client->rel->exchange.number;
	struct held_frame *held = malloc(sizeof(*held)); /* it may outlive the stream */
	int r = -ENOMEM;

	if (held == NULL) {
		dx_rx_release(rx, view->id);
	} else {
		*held = (struct held_frame){ .lease = { lease_retain, lease_release },
			                     .rx = rx,
			                     .id = view->id,
			                     .refs = 1 };
		s->held = held;
		r = dx_frame_read(s->reader, view->bytes, view->len_bytes, view->rows, ret_batch);
	}
	if (r < 0) {
		(void)dx_error(cx->err, r, "exchange %u: a frame from process %u %s", exchange,
		               dx_rx_peer(rx),
		               r == -EBADMSG ? "breaks the rules" : "finds no memory");
		cx->err->exchange = (int)exchange;
		cx->err->worker = (int)dx_rx_peer(rx) - 1;
		if (r == -EBADMSG)
			dx_rx_accuse(rx, cx->err->message);
		return r;
	}
	ret_batch->lease = may_be_kept(s, rx) ? &held->lease : NULL;
	return 1;
}

static void close_rx(struct source *source)
{
	dx_rx_close(source->rx);
	source->rx = NULL;
	dx_list_unlink(&source->ready);
}

static void end_rx(struct client_stream *s, uint32_t i)
{
	close_rx(&s->sources[i]);
	s->open--;
}

/* The task that polled last polls again: what it finds in the list it asks, and nothing else. */
static void on_ready(struct dsmx_waker *waker)
{
	struct source *source = (struct source *)waker;

	if (dx_list_empty(&source->ready))
		dx_list_append(&source->stream->ready, &source->ready);
	source->stream->task->wake(source->stream->task);
}

/* The process that task @task was dealt to is dead: wait for the leader, or that is the end. */
static int await_move(struct client_stream *s, struct dsmx_cx *cx, uint32_t task,
                      enum dx_rerun_state state)
{
	uint32_t exchange = s->client->rel->exchange.number;
	uint32_t place = dx_query_place(s->client->fragment->query, exchange, task);

	if (state == DX_RERUN_REFUSED) {
		(void)dx_error(cx->err, -EOWNERDEAD, "exchange %u: process %u is dead", exchange,
		               place);
		cx->err->exchange = (int)exchange;
		cx->err->worker = (int)place - 1;
		return -EOWNERDEAD;
	}
	s->lost = cx->waker;
	return 0;
}

/* Those who were asked hold it by themselves. */
static void drop_filters(struct client_stream *s)
{
	if (s->filters != NULL)
		dx_frame_release(s->filters);
	s->filters = NULL;
}

/* StartStream to one task, or wait until streams of a query that was closed before have given a slot back. */
static int ask(struct client_stream *s, struct dsmx_cx *cx, uint32_t i)
{
	struct dx_fragment *fragment = s->client->fragment;
	struct dx_mesh *mesh = fragment->query->service->mesh;
	const struct dsmx_rel *rel = s->client->rel;
	uint32_t task = s->first + i;
	enum dx_rerun_state state = dx_rerun_state(fragment->query, rel->exchange.number, task);

	if (state != DX_RERUN_THERE)
		return await_move(s, cx, task, state);

	struct dx_stream_key key = dx_stream_key_of(fragment->query, rel, task, s->partition,
	                                            dx_record_index(mesh, fragment->record));
	int r;

	key.filters = s->filters;
	key.filters_bytes = s->filters_bytes;
	r = dx_rx_open(mesh, dx_query_place(fragment->query, rel->exchange.number, task), &key,
	               false, &s->sources[i].rx, cx->err);

	if (r == -EAGAIN) {
		dx_mesh_wait_room(mesh, cx->waker);
		s->waker = cx->waker;
		return 0;
	}
	if (r < 0)
		return r;
	s->sources[i].asked = true;
	dx_list_append(&s->ready, &s->sources[i].ready);
	s->unasked--;
	if (s->unasked == 0)
		drop_filters(s);
	fragment->counts->start_streams++;
	fragment->counts->streams++;
	return 0;
}

/* Its process died before anything of it was taken here: perhaps it runs again. */
static bool may_move(const struct client_stream *s, uint32_t i)
{
	return s->client->fragment->query->procedures[s->client->rel->exchange.number].can_move &&
	       dx_rx_is_lost(s->sources[i].rx) && dx_rx_taken(s->sources[i].rx) == 0;
}

static int ask_again(struct client_stream *s, struct dsmx_cx *cx, uint32_t i)
{
	close_rx(&s->sources[i]);
	s->sources[i].asked = false;
	s->unasked++;
	return ask(s, cx, i);
}

static void note_taken(struct client_stream *s, uint32_t i)
{
	uint32_t exchange = s->client->rel->exchange.number;
	struct dx_query *query = s->client->fragment->query;

	if (query->procedures[exchange].can_move)
		dx_rerun_took(query, exchange, s->first + i);
}

/* For those that were not asked, or not since their process died. */
static int ask_rest(struct client_stream *s, struct dsmx_cx *cx)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && s->unasked > 0 && i < s->count; i++)
		r = s->sources[i].asked ? 0 : ask(s, cx, i);
	return r;
}

/* Somebody's next frame: as the stream's poll. */
static int take_next(struct client_stream *s, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	while (!dx_list_empty(&s->ready)) {
		struct dx_list *link = dx_list_take(&s->ready);
		struct source *source = DX_CONTAINER(link, struct source, ready);
		uint32_t i = (uint32_t)(source - s->sources);
		struct dx_frame_view view;
		int r;

		if (may_move(s, i)) {
			r = ask_again(s, cx, i);
			if (r < 0)
				return r;
			continue;
		}
		r = dx_rx_next(source->rx, &source->waker, &view, cx->err);
		if (r == -EAGAIN)
			continue;
		if (r >= 0 && (r == 0 || dx_rx_taken(source->rx) == 1))
			note_taken(s, i);
		if (r == 0) {
			end_rx(s, i);
			continue;
		}
		dx_list_append(&s->ready, link); /* everybody's turn */
		return r < 0 ? r : give_frame(s, cx, source->rx, &view, ret_batch);
	}
	return s->open == 0 ? 0 : -EAGAIN;
}

static int client_poll(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct client_stream *s = (struct client_stream *)stream;
	int r;

	drop_held(s);
	s->task = cx->waker;
	r = ask_rest(s, cx);
	if (r == 0)
		r = take_next(s, cx, ret_batch);
	if (r != -EAGAIN || s->open == 0)
		return r;
	/* Who waits for a slot or a move is in no deadlock: no exchange has that number. */
	dx_store_release(DX_EDGE_PARK, &s->client->fragment->record->park_exchange,
	                 s->unasked > 0 ? UINT32_MAX : s->client->rel->exchange.number);
	dx_store_release(DX_EDGE_PARK, &s->client->fragment->record->park_task,
	                 s->count == 1 ? s->first + 1 : 0);
	return -EAGAIN;
}

static void client_close(struct dsmx_stream *stream)
{
	struct client_stream *s = (struct client_stream *)stream;

	drop_held(s);
	drop_filters(s);
	/* It is the task's, whose other streams may wait, too: they ask again. */
	if (s->waker != NULL) {
		dx_frame_forget(s->client->fragment->query->service->mesh, s->waker);
		s->waker->wake(s->waker);
	}
	for (uint32_t i = 0; i < s->count; i++) {
		struct source *source = &s->sources[i];

		if (source->rx != NULL) {
			source->asked = !may_move(s, i);
			if (source->asked)
				note_taken(s, i);
			end_rx(s, i);
		}
		/* Who produces it, or will, keeps rows until it is told. */
		if (!source->asked)
			dx_cancel_task(s->client->fragment->query, s->client->rel, s->first + i,
			               s->partition);
	}
	dx_list_unlink(&s->link);
	dx_frame_reader_free(s->reader);
	free(s);
}

static const struct dsmx_stream_ops client_stream_ops = { client_poll, client_close };

/* --- the operator ----------------------------------------------------------------------------------------------------- */

/* One stream of what @count tasks from @first on produce for a partition. */
static int open_stream(struct client *c, struct dsmx_cx *cx, uint32_t partition, uint32_t first,
                       uint32_t count, struct dsmx_stream **ret_stream)
{
	const struct dx_exchange *x = &c->rel->exchange;
	struct client_stream *s = calloc(1, sizeof(*s) + count * sizeof(s->sources[0]));
	int r = s == NULL ? -ENOMEM : dx_frame_reader_new(&c->rel->schema, &s->reader);

	if (r < 0) {
		free(s);
		return dx_error(cx->err, r, "exchange %u: no memory", x->number);
	}
	s->stream.ops = &client_stream_ops;
	s->client = c;
	s->partition = partition;
	s->first = first;
	s->count = count;
	dx_list_init(&s->ready);
	dx_list_init(&s->link);
	dx_list_append(&c->fragment->query->readers, &s->link);
	for (uint32_t i = 0; i < count; i++) {
		struct source *source = &s->sources[i];

		source->waker.wake = on_ready;
		source->stream = s;
		dx_list_init(&source->ready);
		source->asked =
			!dx_exchange_connects(x, first + i, partition); /* as one that has ended */
		s->unasked += !source->asked;
	}
	s->open = s->unasked;
	s->filters = dx_filters_publish(c->fragment->query->service->mesh, &c->fragment->env,
	                                c->rel, partition, &s->filters_bytes);
	r = ask_rest(s, cx);
	if (r < 0) {
		client_close(&s->stream);
		return r;
	}
	*ret_stream = &s->stream;
	return 0;
}

/* A stream of each task, merged. */
static int open_merge(struct client *c, struct dsmx_cx *cx, uint32_t partition,
                      struct dsmx_stream **ret_stream)
{
	const struct dx_exchange *x = &c->rel->exchange;
	struct dsmx_stream **streams = calloc(x->producer_tasks, sizeof(struct dsmx_stream *));
	uint32_t count = 0;
	int r = streams == NULL ? -ENOMEM : 0;

	while (r == 0 && count < x->producer_tasks) {
		r = open_stream(c, cx, partition, count, 1, &streams[count]);
		count += r == 0;
	}
	if (r == 0) {
		r = dx_merge_new(&c->rel->schema, x->order, x->order_count, streams, count,
		                 ret_stream);
		if (r < 0)
			(void)dx_error(cx->err, r, "exchange %u: no memory to merge %u streams",
			               x->number, count);
	}
	for (uint32_t i = 0; r < 0 && i < count; i++)
		client_close(streams[i]);
	free(streams);
	return r;
}

static int client_execute(struct dsmx_operator *op, struct dsmx_cx *cx, uint32_t partition,
                          struct dsmx_stream **ret_stream)
{
	struct client *c = (struct client *)op;
	const struct dx_exchange *x = &c->rel->exchange;

	if (partition >= x->partitions)
		return dx_passive_execute(c->fragment, c->rel, cx, ret_stream);
	c->executed = true;
	if (x->kind == DSMX_EXCHANGE_MERGE || x->sampled)
		return open_merge(c, cx, partition, ret_stream);
	return open_stream(c, cx, partition, 0, x->producer_tasks, ret_stream);
}

void dx_client_lost(struct dx_query *query, uint32_t peer)
{
	dx_list_each(link, &query->readers)
	{
		struct client_stream *s = DX_CONTAINER(link, struct client_stream, link);

		for (uint32_t i = 0; i < s->count; i++)
			if (s->sources[i].rx != NULL && dx_rx_peer(s->sources[i].rx) == peer &&
			    dx_rx_is_whole(s->sources[i].rx))
				note_taken(s, i);
	}
}

void dx_client_moved(struct dx_query *query)
{
	dx_list_each(link, &query->readers)
	{
		struct client_stream *s = DX_CONTAINER(link, struct client_stream, link);
		struct dsmx_waker *lost = s->lost;

		s->lost = NULL;
		if (lost != NULL)
			lost->wake(lost);
	}
}

static void client_free(struct dsmx_operator *op)
{
	struct client *c = (struct client *)op;

	if (!c->executed)
		dx_cancel_partition(c->fragment->query, c->rel, c->fragment->task);
	free(c);
}

static const struct dsmx_operator_ops client_ops = { "DsmExchangeExec", client_execute,
	                                             client_free };

int dx_client_make(struct dx_exec_env *env, const struct dsmx_rel *rel,
                   struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return dx_error(err, -ENOMEM, "exchange %u: no memory", rel->exchange.number);
	c->op = (struct dsmx_operator){ .ops = &client_ops, .schema = rel->schema };
	c->fragment = DX_CONTAINER(env, struct dx_fragment, env);
	c->rel = rel;
	*ret_operator = &c->op;
	return 0;
}
