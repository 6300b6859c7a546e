/* SPDX-License-Identifier: MIT */
/*
 * format.h - values as text, as PostgreSQL writes them
 *
 * What it writes, parse.h reads back to the same value. Floats have the fewest digits that do so; decimals all
 * digits of their scale; timestamps no zeros at the end of a fraction; years before 1 end in " BC".
 */
#ifndef DX_BATCH_FORMAT_H
#define DX_BATCH_FORMAT_H

#include <stddef.h>

#include "batch/value.h"
#include "dsmx/batch.h"

#define DX_FORMAT_BYTES 64

/* Any type but text and binary. Returns the length; a 0 follows. */
size_t dx_format_value(struct dsmx_type type, const union dx_value *value,
                       char buf[DX_FORMAT_BYTES]);

#endif /* DX_BATCH_FORMAT_H */
