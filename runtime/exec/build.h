/* SPDX-License-Identifier: MIT */
/*
 * build.h - from a fragment of a plan to operators that run
 *
 * dx_exec_build() walks one fragment, from its root down to scans, leaves and exchanges. It does not go
 * below an exchange: the exchange layer is asked for an operator there (the client's side), and builds the
 * fragment underneath when a consumer asks for it.
 */
#ifndef DX_EXEC_BUILD_H
#define DX_EXEC_BUILD_H

#include "base/compiler.h"
#include "dsmx/exec.h"
#include "plan/node.h"

struct dx_file_cache;
struct dx_offer_filter;

/*
 * What operators need from the process they run in. Lives longer than the operators.
 *
 * @tasks: of the fragment: a scan's partition t reads every @tasks-th record batch from t
 * @task: which of them this is built for
 */
struct dx_exec_env {
	uint32_t tasks;
	uint32_t task;
	struct dx_file_cache *files; /* shared by all queries of a process */
	int (*make_exchange)(struct dx_exec_env *env, const struct dsmx_rel *rel,
	                     struct dsmx_operator **ret_operator, struct dsmx_error *err);
	/* The stream of a leaf, still the application's; NULL where this process has none of that name. */
	struct ArrowArrayStream *(*find_leaf)(struct dx_exec_env *env, const char *name);
	const struct dsmx_extension *(*find_extension)(struct dx_exec_env *env, const char *name);
	void *arg; /* the caller's */

	/* Counted by scans: record batches that were theirs, and those that statistics let them skip. */
	uint64_t scanned_batches;
	uint64_t skipped_batches;

	/* Filters of joins' keys on offer in this fragment (offer.h); what scans tested by them, and dropped. */
	struct dx_offer_filter *offers;
	uint64_t filter_tested;
	uint64_t filter_dropped;
};

/*
 * Build the operators of the fragment whose root is @rel.
 *
 * Returns 0, or -ENOENT (no such file, leaf, extension), -EBADMSG (a file that is not what the plan says),
 * -EOPNOTSUPP, -ENOMEM.
 */
int dx_exec_build(struct dx_exec_env *env, const struct dsmx_rel *rel,
                  struct dsmx_operator **ret_operator, struct dsmx_error *err) DX_MUST_CHECK;

/*
 * One constructor for each kind; inputs are the operator's on success, the caller's on failure. A join without an
 * environment offers no filter.
 */
int dx_scan_make(struct dx_exec_env *env, const struct dsmx_rel *rel,
                 struct dsmx_operator **ret_operator, struct dsmx_error *err) DX_MUST_CHECK;
int dx_leaf_make(struct dx_exec_env *env, const struct dsmx_rel *rel,
                 struct dsmx_operator **ret_operator, struct dsmx_error *err) DX_MUST_CHECK;
int dx_filter_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                   struct dsmx_operator **ret_operator, struct dsmx_error *err) DX_MUST_CHECK;
int dx_project_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                    struct dsmx_operator **ret_operator, struct dsmx_error *err) DX_MUST_CHECK;
int dx_join_make(struct dx_exec_env *env, const struct dsmx_rel *rel, struct dsmx_operator *left,
                 struct dsmx_operator *right, struct dsmx_operator **ret_operator,
                 struct dsmx_error *err) DX_MUST_CHECK;
int dx_aggregate_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                      struct dsmx_operator **ret_operator, struct dsmx_error *err) DX_MUST_CHECK;
/* @limit: NULL, or the LIMIT right above: then a top-k of offset + count rows that skips offset. */
int dx_sort_make(const struct dsmx_rel *rel, const struct dsmx_rel *limit,
                 struct dsmx_operator *input, struct dsmx_operator **ret_operator,
                 struct dsmx_error *err) DX_MUST_CHECK;
int dx_limit_make(const struct dsmx_rel *rel, struct dsmx_operator *input,
                  struct dsmx_operator **ret_operator, struct dsmx_error *err) DX_MUST_CHECK;

/* Files stay mapped from one query to the next; a file that changed (device, inode, size, time) is mapped anew. */
int dx_file_cache_new(struct dx_file_cache **ret_cache) DX_MUST_CHECK;
void dx_file_cache_free(struct dx_file_cache *cache);

#endif /* DX_EXEC_BUILD_H */
