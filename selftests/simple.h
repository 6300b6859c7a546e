/* SPDX-License-Identifier: MIT */
/*
 * simple.h - operators by dsmx_simple_new(): their state is zeros that begin with the bytes of the plan
 */
#ifndef DX_SELFTESTS_SIMPLE_H
#define DX_SELFTESTS_SIMPLE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dsmx/exec.h"

/* @ops frees the state by free(). -EINVAL: there are not @want_len bytes. */
static inline int simple_make(const struct dsmx_simple_ops *ops, size_t state_bytes,
                              size_t want_len, const void *bytes, size_t len,
                              const struct dsmx_schema *output, struct dsmx_operator **ret_operator)
{
	void *state = len == want_len ? calloc(1, state_bytes) : NULL;
	int r;

	if (state == NULL)
		return len == want_len ? -ENOMEM : -EINVAL;
	if (len > 0)
		memcpy(state, bytes, len);
	r = dsmx_simple_new(ops, state, output, NULL, ret_operator);
	if (r != 0)
		free(state);
	return r;
}

/* The only row of an operator, of one number. */
struct one_row {
	int64_t value;
	struct dsmx_column column;
};

static inline int give_row(struct one_row *row, struct dsmx_batch *ret_batch)
{
	row->column = (struct dsmx_column){ .values = &row->value };
	*ret_batch = (struct dsmx_batch){
		.length = 1, .selected = 1, .column_count = 1, .columns = &row->column
	};
	return 1;
}

#endif /* DX_SELFTESTS_SIMPLE_H */
