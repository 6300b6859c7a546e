/* SPDX-License-Identifier: MIT */
/*
 * parse.h - the text of a value: literals, casts, fields of a .csv
 *
 *	integers	digits, perhaps a sign
 *	decimals	digits, perhaps a sign, a point and an exponent; digits beyond the scale must be 0
 *	floats		the same, and inf, infinity, nan in any case
 *	bool		true t yes y on 1, false f no n off 0, in any case
 *	date		1995-03-15; the year has 4 to 7 digits; " BC" may follow
 *	timestamp	a date, then perhaps a space or T and 12:30, 12:30:05 or 12:30:05.25; digits beyond the
 *			precision must be 0
 *	timestamptz	the same, then perhaps Z, +02, +02:00 or +0200; UTC without
 *	text, binary	any bytes
 *
 * Spaces around all but text are free.
 */
#ifndef DX_BATCH_PARSE_H
#define DX_BATCH_PARSE_H

#include <stddef.h>

#include "base/compiler.h"
#include "batch/value.h"
#include "dsmx/batch.h"

/*
 * Return: 0, -EINVAL: not the text of such a value (for text and binary: over 2 GiB), -ERANGE: it is one, but
 * does not fit the type: too large, too many digits after the point. Text points into @text.
 */
int dx_parse_value(struct dsmx_type type, const char *text, size_t len,
                   union dx_value *ret_value) DX_MUST_CHECK;

/* Put @value into place as a column has it: dsmx_type_width() bytes; a bool as one byte. No text. */
void dx_value_store(struct dsmx_type type, const union dx_value *value, void *ret_bytes);

/* The opposite way. */
void dx_value_load(struct dsmx_type type, const void *bytes, union dx_value *ret_value);

#endif /* DX_BATCH_PARSE_H */
