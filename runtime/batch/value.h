/* SPDX-License-Identifier: MIT */
/*
 * value.h - one value outside of a column: a literal, a parsed field
 */
#ifndef DX_BATCH_VALUE_H
#define DX_BATCH_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "dsmx/batch.h"

struct dx_text {
	const char *bytes;
	uint32_t len;
};

/* Which member is in use follows from the type. */
union dx_value {
	int64_t i;  /* bool (0, 1), signed integers, date32, timestamps */
	uint64_t u; /* unsigned integers */
	double f;   /* both floats */
	__int128 d; /* decimals, any precision */
	struct dx_text text;
};

/* Does an int64 hold the values of a column of this type, in their order? */
bool dx_type_fits_int64(struct dsmx_type type);

#endif /* DX_BATCH_VALUE_H */
