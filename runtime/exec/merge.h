/* SPDX-License-Identifier: MIT */
/*
 * merge.h - sorted streams become one sorted stream
 *
 * It waits for one input at a time: the first that has nothing to compare. What is merged by then is given out
 * before it waits. Of each input one batch is in use, until its last row is merged.
 */
#ifndef DX_EXEC_MERGE_H
#define DX_EXEC_MERGE_H

#include "base/compiler.h"
#include "dsmx/exec.h"
#include "dsmx/plan.h"

/*
 * @schema, @keys: borrowed
 * @inputs: each sorted by @keys; they are the stream's on success, the caller's on failure
 * Returns 0 or -ENOMEM. Of rows with equal keys those of a lower input come first.
 */
int dx_merge_new(const struct dsmx_schema *schema, const struct dsmx_sort_key *keys,
                 uint32_t key_count, struct dsmx_stream *const *inputs, uint32_t count,
                 struct dsmx_stream **ret_stream) DX_MUST_CHECK;

#endif /* DX_EXEC_MERGE_H */
