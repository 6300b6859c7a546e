/* SPDX-License-Identifier: MIT */
/*
 * sort.h - a sort's keys before its rows: for who must know how they are spread before the first one is given out
 */
#ifndef DX_EXEC_SORT_H
#define DX_EXEC_SORT_H

#include "dsmx/exec.h"
#include "exec/sort_key.h"

/*
 * Have the stream of a sort without a limit read and sort all of its input.
 *
 * @ret_entries: in order; the stream's, until its next poll
 * Returns 0, -EAGAIN as a poll does, or what a poll would fail with.
 */
int dx_sort_entries(struct dsmx_stream *stream, struct dsmx_cx *cx,
                    const struct dx_sort_entry **ret_entries, size_t *ret_count) DX_MUST_CHECK;

#endif /* DX_EXEC_SORT_H */
