/* SPDX-License-Identifier: MIT */
/*
 * format.h - results on their way out: one table of functions for each --format
 */
#ifndef DSMX_TOOL_FORMAT_H
#define DSMX_TOOL_FORMAT_H

#include "../lib/out.h"
#include "dsmx/ipc.h"
#include "value.h"

struct format_state {
	struct out *out;
	const struct dsmx_schema *schema;
	uint64_t rows;
	struct value_scratch scratch;
	struct table *table;            /* table */
	struct dsmx_ipc_writer *writer; /* arrow */
};

struct format {
	const char *name;
	/* Return 0 or -errno with a sentence; what writing to @out fails with is seen in @out. */
	int (*begin)(struct format_state *state, struct dsmx_error *err);
	int (*batch)(struct format_state *state, const struct dsmx_batch *batch,
	             struct dsmx_error *err);
	int (*end)(struct format_state *state, struct dsmx_error *err);
	/* Free what begin() made, also in the middle. */
	void (*fini)(struct format_state *state);
};

extern const struct format format_table, format_csv, format_json, format_arrow;

/* By name; NULL: there is no such format. */
const struct format *format_find(const char *name);

/* The batch's row number of its selected row @k. */
static inline uint32_t format_row(const struct dsmx_batch *batch, uint32_t k)
{
	return batch->selection != NULL ? batch->selection[k] : k;
}

#endif /* DSMX_TOOL_FORMAT_H */
