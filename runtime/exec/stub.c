/* SPDX-License-Identifier: MIT */
/* stub.c - operators that are not there yet: weak, so that the real ones take their place */
#include "base/err.h"
#include "exec/build.h"

__attribute__((weak)) int dx_scan_make(struct dx_exec_env *env, const struct dsmx_rel *rel,
                                       struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	(void)env;
	(void)rel;
	(void)ret_operator;
	return dx_error(err, -EOPNOTSUPP, "no scan yet");
}

__attribute__((weak)) int dx_leaf_make(struct dx_exec_env *env, const struct dsmx_rel *rel,
                                       struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	(void)env;
	(void)rel;
	(void)ret_operator;
	return dx_error(err, -EOPNOTSUPP, "no leaf yet");
}

__attribute__((weak)) int dx_join_make(const struct dsmx_rel *rel, struct dsmx_operator *left,
                                       struct dsmx_operator *right,
                                       struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	(void)rel;
	(void)left;
	(void)right;
	(void)ret_operator;
	return dx_error(err, -EOPNOTSUPP, "no join yet");
}

__attribute__((weak)) int dx_aggregate_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                                            struct dsmx_operator **ret_operator,
                                            struct dsmx_error *err)
{
	(void)rel;
	(void)input;
	(void)ret_operator;
	return dx_error(err, -EOPNOTSUPP, "no aggregate yet");
}

__attribute__((weak)) int dx_sort_make(const struct dsmx_rel *rel, const struct dsmx_rel *limit,
                                       struct dsmx_operator *input,
                                       struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	(void)rel;
	(void)limit;
	(void)input;
	(void)ret_operator;
	return dx_error(err, -EOPNOTSUPP, "no sort yet");
}

__attribute__((weak)) int dx_file_cache_new(struct dx_file_cache **ret_cache)
{
	*ret_cache = NULL;
	return 0;
}

__attribute__((weak)) void dx_file_cache_free(struct dx_file_cache *cache)
{
	(void)cache;
}
