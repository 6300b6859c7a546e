/* SPDX-License-Identifier: MIT */
/*
 * value.h - one value of a result as text, as PostgreSQL writes it
 */
#ifndef DSMX_TOOL_VALUE_H
#define DSMX_TOOL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmx/batch.h"

#define VALUE_BYTES 64

/* Where texts are made that are not in the batch as they are; grows for binary values. */
struct value_scratch {
	char fixed[VALUE_BYTES];
	char *large;
	size_t room;
};

struct value_text {
	const char *bytes;
	size_t len;
};

void value_scratch_fini(struct value_scratch *scratch);

static inline bool value_is_null(const struct dsmx_column *column, uint32_t row)
{
	return column->validity != NULL && (column->validity[row >> 3] >> (row & 7) & 1) == 0;
}

/* The text of a value that is not null; stays until the next call or until the batch is gone. */
struct value_text value_text(struct dsmx_type type, const struct dsmx_column *column, uint32_t row,
                             struct value_scratch *scratch);

bool value_is_number(struct dsmx_type type);

#endif /* DSMX_TOOL_VALUE_H */
