/* SPDX-License-Identifier: MIT */
#include "value.h"

#include <stdlib.h>

#include "../lib/mem.h"

void value_scratch_fini(struct value_scratch *scratch)
{
	free(scratch->large);
	scratch->large = NULL;
}

bool value_is_number(struct dsmx_type type)
{
	return type.id >= DSMX_INT8 && type.id <= DSMX_DECIMAL;
}

static struct value_text binary_text(struct dsmx_type type, const struct dsmx_column *column,
                                     uint32_t row, struct value_scratch *scratch)
{
	size_t len = dsmx_column_format(type, column, row, scratch->fixed, VALUE_BYTES);

	if (len < VALUE_BYTES)
		return (struct value_text){ scratch->fixed, len };
	if (scratch->room <= len) {
		scratch->large = mem_resize(scratch->large, len + 1);
		scratch->room = len + 1;
	}
	dsmx_column_format(type, column, row, scratch->large, len + 1);
	return (struct value_text){ scratch->large, len };
}

struct value_text value_text(struct dsmx_type type, const struct dsmx_column *column, uint32_t row,
                             struct value_scratch *scratch)
{
	struct value_text text = { scratch->fixed, 0 };

	if (type.id == DSMX_BINARY)
		return binary_text(type, column, row, scratch);
	if (dsmx_type_is_text(type))
		text.bytes = dsmx_column_text(type, column, row, &text.len);
	else
		text.len = dsmx_column_format(type, column, row, scratch->fixed, VALUE_BYTES);
	if (type.id == DSMX_BOOL)
		text.len = 1; /* t or f, as psql and COPY print it */
	return text;
}
