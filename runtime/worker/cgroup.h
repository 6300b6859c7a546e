/* SPDX-License-Identifier: MIT */
/*
 * cgroup.h - control groups: a session's, and in it a fresh one for each incarnation of a worker
 *
 *	<root>/<session>/		16 hexadecimal digits
 *	<root>/<session>/w0.g1/		worker 0, first incarnation; a name is never used twice
 *
 * On a hybrid machine, where controllers are still those of version 1, the same names stand under the process's
 * own group of each controller too, so that a worker stays within the limits of its application: only where there
 * is a limit to set. Moving a process between groups of version 1 waits for all processors to have scheduled, 8 to
 * 15 ms once in a while, and nothing else in the start of a session takes half as long.
 */
#ifndef DX_WORKER_CGROUP_H
#define DX_WORKER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/control.h"
#include "dsmx/error.h"

#define DX_CGROUP_PATH 512

enum dx_v1 { DX_V1_MEMORY, DX_V1_PIDS, DX_V1_CPU, DX_V1_CPUSET, DX_V1_BLKIO, DX_V1_COUNT };

/* Of each worker. */
struct dx_limits {
	uint64_t memory_max;  /* bytes; 0: none */
	uint64_t pids_max;    /* processes and threads; 0: none */
	uint64_t cpu_percent; /* of one processor; 0: none */
	uint64_t memory_high; /* bytes, beyond which it is slowed down; 0: none */
	uint64_t cpu_weight;  /* 1 to 10 000, where others have 100; 0: as they */
	uint64_t hugetlb_max; /* bytes of 2 MiB pages that it may reserve; 0: no limit */
	const char *cpus;     /* "0-3,8"; NULL: any */
	uint64_t io_weight;   /* 1 to 10 000, where others have 100; 0: as they */
	const char *io_read_max, *io_write_max; /* "PATH BYTES" a second; NULL: none */
};

/* Returns 0, or -EINVAL: not "PATH BYTES", an absolute path and a number, with K, M, G or T of 1000. */
int dx_io_max_parse(const char *text, char ret_path[DX_CGROUP_PATH],
                    uint64_t *ret_bytes) DX_MUST_CHECK;

/* A session's group; "" where there is none of that kind. */
struct dx_cgroup {
	char v2[DX_CGROUP_PATH];
	char v1[DX_V1_COUNT][DX_CGROUP_PATH];
	char above
		[DX_CGROUP_PATH]; /* of version 1, which counts for memory where v1[DX_V1_MEMORY] is "" */
	bool named;               /* by the caller: no other place will do */
	bool own_root; /* the parents are called `dsmx` and ours: removed when they are empty */
};

/* A worker's. */
struct dx_cgroup_leaf {
	char v2[DX_CGROUP_PATH];
	char v1[DX_V1_COUNT][DX_CGROUP_PATH];
	const char *above; /* the group's; counted before: */
	uint64_t oom_kills_before;
	int fd; /* the v2 directory, to be born in; -1: none */
	int v1_procs
		[DX_V1_COUNT]; /* the worker writes "0" there before it executes its program; -1: none */
};

/*
 * Choose the place for a session's groups; creates nothing.
 *
 * @limits: which controllers are needed
 * @root: a directory that the caller names, or NULL: DSMX_CGROUP, else the delegated group that this process
 *	sits in, else, as root, a `dsmx` group at the top
 * @ret_missing: a sentence when there is no place; "" otherwise
 * Returns 0, also with no place; -EINVAL, -ENOENT, -EACCES for a @root or DSMX_CGROUP that cannot serve.
 */
int dx_cgroup_find(const char *root, uint64_t session, const struct dx_limits *limits,
                   struct dx_cgroup *ret_group, char ret_missing[DSMX_ERROR_MESSAGE_BYTES],
                   struct dsmx_error *err) DX_MUST_CHECK;

/* The group that this process sits in, of version 2 (@controller NULL) or of a controller of version 1; "": none. */
void dx_cgroup_own(const char *controller, char ret_dir[DX_CGROUP_PATH]);

/* What a session takes of something that groups limit, in the files that say how much there is. */
struct dx_cgroup_need {
	const char *limit; /* "memory.max" */
	const char *used;  /* "pids.current"; NULL: all of the limit can be had */
	uint64_t leader, workers;
};

/* A group that is too small for it. */
struct dx_cgroup_short {
	char file[DX_CGROUP_PATH];
	uint64_t limit, used, needed;
};

/*
 * Is there a group above the leader's group @leader, or above where the workers have theirs, that allows too little?
 * Returns whether there is; the one that lacks most.
 */
bool dx_cgroup_lacks(const struct dx_cgroup_need *need, const char *leader, const char *workers,
                     struct dx_cgroup_short *ret_short);

/* "cgroup v2", "cgroup hybrid" or "none". */
const char *dx_cgroup_str(const struct dx_cgroup *group);

/* Make the directories. On failure nothing is left. */
int dx_cgroup_create(const struct dx_cgroup *group, const struct dx_limits *limits,
                     struct dsmx_error *err) DX_MUST_CHECK;

/*
 * Make one worker's group.
 *
 * @name: "w0.g1"
 * @limits: one for which there is no controller is removed from it, and -EOPNOTSUPP says so: try again without
 * Returns 0, -EOPNOTSUPP, or what mkdir or write said; nothing is left then.
 */
int dx_cgroup_leaf_create(const struct dx_cgroup *group, const char *name, struct dx_limits *limits,
                          struct dx_cgroup_leaf *ret_leaf, struct dsmx_error *err) DX_MUST_CHECK;

/* None at all. */
void dx_cgroup_leaf_init(struct dx_cgroup_leaf *leaf);

/* Close the descriptors: after the worker was started. */
void dx_cgroup_leaf_started(struct dx_cgroup_leaf *leaf);

/* SIGKILL for all that is in it, at once. No process can be born into it after that (Linux 6.1 to 6.18). */
void dx_cgroup_leaf_kill(const struct dx_cgroup_leaf *leaf);

/* What its groups have counted; before they are removed. */
void dx_cgroup_leaf_read(const struct dx_cgroup_leaf *leaf, struct dsmx_usage *ret_usage);

/* The group @name of a session, of whoever made it: to be read only. */
void dx_cgroup_leaf_at(const struct dx_cgroup *group, const char *name,
                       struct dx_cgroup_leaf *ret_leaf);

/* Stop all that is in it, or let it go on. Returns 0, -EOPNOTSUPP: no group that can. SIGKILL gets through. */
int dx_cgroup_leaf_freeze(const struct dx_cgroup_leaf *leaf, bool frozen) DX_MUST_CHECK;

/* After the worker was reaped. Kills what it may have left, and returns -EBUSY while that dies. */
int dx_cgroup_leaf_remove(struct dx_cgroup_leaf *leaf);

/* Leave it to the end of the session, and to the next start. */
void dx_cgroup_leaf_forget(struct dx_cgroup_leaf *leaf);

/* SIGKILL for the whole session. */
void dx_cgroup_kill(const struct dx_cgroup *group);

/*
 * Remove the session's directories and all below them, killing what is left in there.
 *
 * @deadline_ns: of the wait for the killed to be gone; 0: does not wait
 * Returns 0, also if there was nothing, or -EBUSY.
 */
int dx_cgroup_remove(const struct dx_cgroup *group, uint64_t deadline_ns);

#endif /* DX_WORKER_CGROUP_H */
