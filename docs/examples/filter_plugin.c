/* SPDX-License-Identifier: MIT */
/*
 * filter_plugin - operators in a shared object that only workers load: "numbers" gives 0 .. N - 1, "filter" keeps the
 * rows for which a function of ours says yes. Some functions go wrong at 1000, for 03-filter.c to show what follows
 */
#include <dsmx/dsmx.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1024, AT = 1000 };

struct numbers {
	int64_t next, end, values[ROWS];
	struct dsmx_column column;
};

static int numbers_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                        struct dsmx_batch *batch)
{
	struct numbers *n = state;
	(void)input, (void)cx;
	*batch = (struct dsmx_batch){ .columns = &n->column, .column_count = 1 };
	n->column.values = n->values;
	while (batch->length < ROWS && n->next < n->end)
		n->values[batch->length++] = n->next++;
	batch->selected = batch->length;
	return batch->length > 0;
}

static bool stack(void)
{
	char here[64], *volatile at = here;
	volatile size_t len = 1 << 16; /* those who called us are further up */
	memset(at, 1, len);
	return here[0] == 1;
}

/* Row @i of the values that came; they are in the memory of the worker that sent them. */
static bool says_yes(const char *function, const int64_t *values, uint32_t i)
{
	if (values[i] != AT || strcmp(function, "odd") == 0)
		return values[i] % 2 != 0;
	if (strcmp(function, "crash") == 0)
		abort();
	if (strcmp(function, "stack") == 0)
		return stack();
	if (strcmp(function, "scribble") == 0) {
		int64_t *theirs;
		memcpy(&theirs, &values, sizeof(theirs));
		theirs[i] = -1;
	}
	while (strcmp(function, "leak") == 0)
		for (volatile char *p = malloc(1 << 20), *q = p; p != NULL && q < p + (1 << 20);
		     q += 4096)
			*q = 1;
	for (volatile int forever = 1; forever != 0;) /* "loop" */
		;
	return false;
}

struct filter {
	char function[16];
	uint32_t *rows, room;
};

static int filter_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                       struct dsmx_batch *batch)
{
	struct filter *f = state;
	int r = input->ops->poll_next(input, cx, batch);
	uint32_t in = batch->selected, *rows;
	if (r != 1)
		return r;
	if (in > f->room) {
		if ((rows = realloc(f->rows, in * sizeof(*rows))) == NULL)
			return -ENOMEM;
		f->rows = rows, f->room = in;
	}
	batch->selected = 0;
	for (uint32_t i = 0; i < in; i++) {
		uint32_t row = batch->selection != NULL ? batch->selection[i] : i;
		if (says_yes(f->function, batch->columns[0].values, row))
			f->rows[batch->selected++] = row;
	}
	batch->selection = f->rows;
	return 1;
}

static void filter_free(void *state)
{
	free(((struct filter *)state)->rows);
	free(state);
}

static const struct dsmx_simple_ops numbers_ops = { "Numbers", numbers_next, free };
static const struct dsmx_simple_ops filter_ops = { "Filter by function", filter_next, filter_free };

static int numbers_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                        struct dsmx_operator **inputs, uint32_t input_count,
                        struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct numbers *n = calloc(1, sizeof(*n));
	(void)inputs, (void)err;
	if (n == NULL || len != sizeof(n->end) || input_count != 0)
		return free(n), -EINVAL;
	memcpy(&n->end, bytes, len);
	return dsmx_simple_new(&numbers_ops, n, output, NULL, ret_operator);
}

static int filter_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                       struct dsmx_operator **inputs, uint32_t input_count,
                       struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct filter *f = calloc(1, sizeof(*f));
	(void)err;
	if (f == NULL || len >= sizeof(f->function) || input_count != 1)
		return free(f), -EINVAL;
	memcpy(f->function, bytes, len);
	return dsmx_simple_new(&filter_ops, f, output, inputs[0], ret_operator);
}

extern const struct dsmx_extension dsmx_plugin_extensions[];
__attribute__((visibility("default"))) const struct dsmx_extension dsmx_plugin_extensions[] = {
	{ "numbers", numbers_make }, { "filter", filter_make }, { NULL, NULL }
};
