/* SPDX-License-Identifier: MIT */
/*
 * arrow_format.h - the type strings of the Arrow C data interface: "i", "d:15,2", "tsu:UTC", ...
 */
#ifndef DX_BATCH_ARROW_FORMAT_H
#define DX_BATCH_ARROW_FORMAT_H

#include "base/compiler.h"
#include "dsmx/batch.h"

#define DX_ARROW_FORMAT_BYTES 16

/*
 * @ret_width: bytes of a value in an array of that format: differs from dsmx_type_width() for decimals
 * Return: 0, -EOPNOTSUPP: a type that dsmx has not (or no format at all).
 */
int dx_arrow_format_parse(const char *format, struct dsmx_type *ret_type,
                          uint8_t *ret_width) DX_MUST_CHECK;

/* As dsmx exports it: decimals with 128 bits. */
void dx_arrow_format_write(struct dsmx_type type, char buf[DX_ARROW_FORMAT_BYTES]);

#endif /* DX_BATCH_ARROW_FORMAT_H */
