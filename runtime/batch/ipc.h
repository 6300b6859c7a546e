/* SPDX-License-Identifier: MIT */
/*
 * ipc.h - what a scan needs of an Arrow file beyond dsmx/ipc.h
 */
#ifndef DX_BATCH_IPC_H
#define DX_BATCH_IPC_H

#include "base/compiler.h"
#include "dsmx/ipc.h"

/*
 * Column @column of record batch @batch, in place. Offsets and codes are checked the first time that they are
 * asked for, and remembered as good.
 *
 * @ret_wide: for decimals of up to 18 digits: values are 16 bytes wide, as in the file; the scan narrows them
 *	(and must refuse one that does not fit)
 * Returns 0 or -EBADMSG with file, batch and column.
 */
int dx_ipc_column(struct dsmx_ipc_file *file, uint32_t batch, uint32_t column,
                  struct dsmx_column *ret_column, bool *ret_wide,
                  struct dsmx_error *err) DX_MUST_CHECK;

/*
 * Least and greatest value of a column in a record batch, from the file's own statistics, as 64-bit integers
 * (integers, dates, timestamps, decimals of up to 18 digits).
 *
 * Returns whether the file has them.
 */
bool dx_ipc_range(const struct dsmx_ipc_file *file, uint32_t batch, uint32_t column,
                  int64_t *ret_min, int64_t *ret_max);

#endif /* DX_BATCH_IPC_H */
