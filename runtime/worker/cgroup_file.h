/* SPDX-License-Identifier: MIT */
/*
 * cgroup_file.h - the files of a group: private to the files that are called cgroup
 */
#ifndef DX_WORKER_CGROUP_FILE_H
#define DX_WORKER_CGROUP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/cgroup.h"

/* "dir/name". Returns false where that is too long. */
bool dx_cgroup_join(char path[DX_CGROUP_PATH], const char *dir, const char *name);

/* Returns 0 or -errno. */
int dx_cgroup_write_file(const char *dir, const char *name, const char *text);

/* A file of a few lines; "" where there is none. */
void dx_cgroup_read_file(const char *dir, const char *name, char *ret_text, size_t room);

/* The number after "key " or "key=" in such a file; 0 where there is none. */
uint64_t dx_cgroup_read_key(const char *dir, const char *name, const char *key);

/* What a new cpuset of version 1 lacks: processors and memory nodes, without which nobody can enter it. */
void dx_cgroup_inherit_cpuset(const char *dir);

/* All of @limits. Returns 0, -EOPNOTSUPP (the one without a controller is removed from @limits), or what write said. */
int dx_cgroup_set_limits(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                         struct dsmx_error *err) DX_MUST_CHECK;

/* cgroup_io.c: as the other limits are set. Returns 0, -EOPNOTSUPP (one is removed from @limits), ... */
int dx_cgroup_set_io(const struct dx_cgroup_leaf *leaf, struct dx_limits *limits,
                     struct dsmx_error *err) DX_MUST_CHECK;

#endif /* DX_WORKER_CGROUP_FILE_H */
