/* SPDX-License-Identifier: MIT */
/*
 * ipc_range.h - least and greatest values of a record batch's columns, as text in its metadata
 *
 * Of integers, dates, timestamps and decimals of up to 18 digits. They let a scan pass over record batches; they
 * are no proof of anything, and a wrong one costs rows but no safety.
 */
#ifndef DX_BATCH_IPC_RANGE_H
#define DX_BATCH_IPC_RANGE_H

#include "batch/ipc_meta.h"

/* @width: bytes of a value in @column; @text gets DX_IPC_RANGE_CHARS characters. */
void dx_ipc_range_write(struct dsmx_type type, const struct dsmx_column *column, size_t width,
                        uint32_t rows, char *text);
bool dx_ipc_range_read(const char *text, int64_t *ret_min, int64_t *ret_max);

#endif /* DX_BATCH_IPC_RANGE_H */
