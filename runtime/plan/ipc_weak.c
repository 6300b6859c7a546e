/* SPDX-License-Identifier: MIT */
/* ipc_weak.c - stands in for the reader of Arrow files where that is not linked: every file is unsupported. */
#include "base/err.h"
#include "dsmx/ipc.h"
#include "dsmx/plan.h"

#define WEAK __attribute__((weak))

WEAK int dsmx_ipc_open(const char *path, struct dsmx_ipc_file **ret_file, struct dsmx_error *err)
{
	(void)ret_file;
	return dx_error(err, -EOPNOTSUPP, "%s: Arrow files cannot be read", path);
}

WEAK void dsmx_ipc_close(struct dsmx_ipc_file *file)
{
	(void)file;
}

WEAK const struct dsmx_schema *dsmx_ipc_schema(const struct dsmx_ipc_file *file)
{
	(void)file;
	return NULL;
}

WEAK uint32_t dsmx_ipc_batch_count(const struct dsmx_ipc_file *file)
{
	(void)file;
	return 0;
}

WEAK uint64_t dsmx_ipc_rows(const struct dsmx_ipc_file *file)
{
	(void)file;
	return 0;
}

DSMX_API __attribute__((weak)) int dsmx_plan_decode(const void *bytes, size_t len,
                                                    struct dsmx_plan **ret_plan,
                                                    struct dsmx_error *err)
{
	(void)bytes;
	(void)len;
	(void)ret_plan;
	return dx_error(err, -EOPNOTSUPP, "plans cannot be decoded yet");
}

DSMX_API __attribute__((weak)) int dsmx_plan_encode(const struct dsmx_plan *plan, void **ret_bytes,
                                                    size_t *ret_len, struct dsmx_error *err)
{
	(void)plan;
	(void)ret_bytes;
	(void)ret_len;
	return dx_error(err, -EOPNOTSUPP, "plans cannot be encoded yet");
}
