/* SPDX-License-Identifier: MIT */
/*
 * passive.c - the passive marker: in a process that executes a partition which the exchange does not have
 *
 * It is no consumer. It gets an empty stream, which ends with the exchange's local producers.
 */
#include <stdlib.h>

#include "base/cx.h"
#include "base/err.h"
#include "exchange/internal.h"

struct passive_stream {
	struct dsmx_stream stream; /* must be first */
	struct dx_passive passive;
	struct dx_procedure *procedure;
	const struct dsmx_rel *rel;
};

static int passive_poll(struct dsmx_stream *stream, struct dsmx_cx *cx,
                        struct dsmx_batch *ret_batch)
{
	struct passive_stream *s = (struct passive_stream *)stream;

	(void)ret_batch;
	for (uint32_t t = 0; t < s->rel->exchange.producer_tasks; t++) {
		if (s->procedure->producers[t] != NULL && s->procedure->producers[t]->running) {
			s->passive.waker = cx->waker;
			return -EAGAIN;
		}
	}
	return 0;
}

static void passive_close(struct dsmx_stream *stream)
{
	dx_list_unlink(&((struct passive_stream *)stream)->passive.link);
	free(stream);
}

static const struct dsmx_stream_ops passive_ops = { passive_poll, passive_close };

int dx_passive_execute(struct dx_fragment *fragment, const struct dsmx_rel *rel, struct dsmx_cx *cx,
                       struct dsmx_stream **ret_stream)
{
	struct passive_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return dx_error(cx->err, -ENOMEM, "exchange %u: no memory", rel->exchange.number);
	s->stream.ops = &passive_ops;
	s->procedure = &fragment->query->procedures[rel->exchange.number];
	dx_list_init(&s->passive.link);
	dx_list_append(&s->procedure->passive, &s->passive.link);
	s->rel = rel;
	*ret_stream = &s->stream;
	return 0;
}
