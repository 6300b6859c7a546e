/* SPDX-License-Identifier: MIT */
/* filecache.h - Arrow files that stay mapped from one query to the next; build.h makes and frees the cache */
#ifndef DX_EXEC_FILECACHE_H
#define DX_EXEC_FILECACHE_H

#include "base/compiler.h"
#include "dsmx/ipc.h"

struct dx_file_cache;
struct dx_cached_file;

/* The errors are those of dsmx_ipc_open(). */
int dx_file_cache_get(struct dx_file_cache *cache, const char *path,
                      struct dx_cached_file **ret_file, struct dsmx_error *err) DX_MUST_CHECK;
void dx_file_cache_put(struct dx_file_cache *cache, struct dx_cached_file *file);

struct dsmx_ipc_file *dx_cached_ipc(const struct dx_cached_file *file);

#endif /* DX_EXEC_FILECACHE_H */
