/* SPDX-License-Identifier: MIT */
/*
 * filecache.c - mapped files, by what stat(2) says of them
 *
 * Mapping a file anew would cost its page faults and its checks again with every query. A file is the same
 * one while device, inode, size and time of change are; one that has changed is opened anew, and the old
 * mapping goes with its last user. Files that nobody uses stay up to a number, the last used ones.
 */
#include "exec/filecache.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/list.h"
#include "exec/build.h"

#define IDLE_MOST 64

struct dx_cached_file {
	struct dx_list link;
	struct stat key;
	struct dsmx_ipc_file *file;
	uint32_t users;
};

struct dx_file_cache {
	struct dx_list files; /* idle ones in the order in which they became so */
	uint32_t idle;
};

int dx_file_cache_new(struct dx_file_cache **ret_cache)
{
	struct dx_file_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return -ENOMEM;
	dx_list_init(&cache->files);
	*ret_cache = cache;
	return 0;
}

static void drop(struct dx_cached_file *file)
{
	dx_list_unlink(&file->link);
	dsmx_ipc_close(file->file);
	free(file);
}

void dx_file_cache_free(struct dx_file_cache *cache)
{
	if (cache == NULL)
		return;
	dx_list_each(link, &cache->files) drop(DX_CONTAINER(link, struct dx_cached_file, link));
	free(cache);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int dx_file_cache_get(struct dx_file_cache *cache, const char *path,
                      struct dx_cached_file **ret_file, struct dsmx_error *err)
{
	struct dx_cached_file *file;
	struct stat key;
	int code;

	/* Before it is opened: should it be replaced in between, the key is one that nobody asks for again. */
	if (stat(path, &key) < 0) {
		code = dx_errno();
		return dx_error(err, code, "cannot open %s: %s", path, dx_strerror(code));
	}
	dx_list_each(link, &cache->files)
	{
		file = DX_CONTAINER(link, struct dx_cached_file, link);
		if (is_same(&file->key, &key)) {
			cache->idle -= file->users++ == 0;
			*ret_file = file;
			return 0;
		}
	}
	file = calloc(1, sizeof(*file));
	if (file == NULL)
		return dx_error(err, -ENOMEM, "no memory to open %s", path);
	code = dsmx_ipc_open(path, &file->file, err);
	if (code < 0) {
		free(file);
		return code == -EACCES ? dx_error(err, code,
		                                  "cannot open %s: %s; where workers are confined, "
		                                  "they read what read_paths names, and strict "
		                                  "ones only what everybody may",
		                                  path, dx_strerror(code))
		                       : code;
	}
	file->key = key;
	file->users = 1;
	dx_list_init(&file->link);
	dx_list_append(&cache->files, &file->link);
	*ret_file = file;
	return 0;
}

void dx_file_cache_put(struct dx_file_cache *cache, struct dx_cached_file *file)
{
	if (file == NULL || --file->users > 0)
		return;
	dx_list_unlink(&file->link);
	dx_list_append(&cache->files, &file->link);
	if (++cache->idle <= IDLE_MOST)
		return;
	dx_list_each(link, &cache->files)
	{
		struct dx_cached_file *oldest = DX_CONTAINER(link, struct dx_cached_file, link);

		if (oldest->users == 0) {
			drop(oldest);
			cache->idle--;
			return;
		}
	}
}

struct dsmx_ipc_file *dx_cached_ipc(const struct dx_cached_file *file)
{
	return file->file;
}
