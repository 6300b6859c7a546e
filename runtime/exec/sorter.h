/* SPDX-License-Identifier: MIT */
/*
 * sorter.h - a stable merge sort that can be left and taken up again
 *
 * Runs that fit a core's cache are sorted at once, then merged in pairs, some thousand entries to a step.
 */
#ifndef DX_EXEC_SORTER_H
#define DX_EXEC_SORTER_H

#include "base/compiler.h"
#include "exec/sort_key.h"

struct dx_sorter {
	struct dx_sort_entry *entries; /* in the end, the sorted ones */
	struct dx_sort_entry *spare;
	size_t count, room;
	size_t run;  /* entries [0, count) are sorted in runs of this length; 0: not yet in runs */
	size_t out;  /* of the merge under way: where the next entry goes in @spare, */
	size_t left; /* and where the two runs are read */
	size_t right;
};

void dx_sorter_fini(struct dx_sorter *sorter);

/* Append copies of entries. Not while they are being sorted. */
int dx_sorter_append(struct dx_sorter *sorter, const struct dx_sort_entry *entries,
                     uint32_t count) DX_MUST_CHECK;

/* Begin to sort what is there. */
int dx_sorter_start(struct dx_sorter *sorter) DX_MUST_CHECK;

/* Some 0.1 ms of work. Returns whether all is sorted. */
bool dx_sorter_step(struct dx_sorter *sorter);

#endif /* DX_EXEC_SORTER_H */
