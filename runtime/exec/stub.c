/* SPDX-License-Identifier: MIT */
/* stub.c - stands in for the reader of Arrow files where that is not linked */
#include "base/err.h"
#include "batch/ipc.h"

__attribute__((weak)) int dx_ipc_column(struct dsmx_ipc_file *file, uint32_t batch, uint32_t column,
                                        struct dsmx_column *ret_column, bool *ret_wide,
                                        struct dsmx_error *err)
{
	(void)file;
	(void)batch;
	(void)column;
	(void)ret_column;
	(void)ret_wide;
	return dx_error(err, -EOPNOTSUPP, "Arrow files cannot be read");
}

__attribute__((weak)) bool dx_ipc_range(const struct dsmx_ipc_file *file, uint32_t batch,
                                        uint32_t column, int64_t *ret_min, int64_t *ret_max)
{
	(void)file;
	(void)batch;
	(void)column;
	(void)ret_min;
	(void)ret_max;
	return false;
}

__attribute__((weak)) uint32_t dsmx_ipc_batch_rows(const struct dsmx_ipc_file *file, uint32_t batch)
{
	(void)file;
	(void)batch;
	return 0;
}
