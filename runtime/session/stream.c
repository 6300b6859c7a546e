/* SPDX-License-Identifier: MIT */
/* stream.c - a query as an ArrowArrayStream: see dsmx_query_stream() */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "session/query.h"

struct query_stream {
	struct dsmx_query *query;
	struct dsmx_error error;
};

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
	struct query_stream *s = stream->private_data;

	return -dsmx_schema_export(dsmx_query_schema(s->query), out);
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
	struct query_stream *s = stream->private_data;
	int r = dsmx_query_next(s->query, -1, out, &s->error);

	if (r == 0)
		*out = (struct ArrowArray){ .release = NULL };
	return r < 0 ? -r : 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
	struct query_stream *s = stream->private_data;

	return s->error.code != 0 ? s->error.message : NULL;
}

static void release(struct ArrowArrayStream *stream)
{
	struct query_stream *s = stream->private_data;

	dsmx_query_close(s->query);
	free(s);
	stream->release = NULL;
}

int dsmx_query_stream(struct dsmx_query *query, struct ArrowArrayStream *ret_stream)
{
	struct query_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->query = query;
	*ret_stream = (struct ArrowArrayStream){ .get_schema = get_schema,
		                                 .get_next = get_next,
		                                 .get_last_error = get_last_error,
		                                 .release = release,
		                                 .private_data = s };
	return 0;
}
