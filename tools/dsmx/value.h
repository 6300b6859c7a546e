/* SPDX-License-Identifier: MIT */
/*
 * value.h - one value of a result as text, as psql prints it
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

/* The text of a value that is not null; stays until the next call or until the batch is gone. */
struct value_text value_text(struct dsmx_type type, const struct dsmx_column *column, uint32_t row,
                             struct value_scratch *scratch);

bool value_is_number(struct dsmx_type type);

#endif /* DSMX_TOOL_VALUE_H */
