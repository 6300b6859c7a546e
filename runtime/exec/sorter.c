/* SPDX-License-Identifier: MIT */
#include "exec/sorter.h"

#include <errno.h>

#include "exec/large.h"

#define RUN_ENTRIES   2048U /* 64 KiB, and as much spare */
#define INSERT_RUN    16U
#define STEP_ENTRIES  8192U
#define FIRST_ENTRIES 1024U

static size_t bytes_of(size_t entries)
{
	return entries * sizeof(struct dx_sort_entry);
}

void dx_sorter_fini(struct dx_sorter *sorter)
{
	dx_large_free(sorter->entries, bytes_of(sorter->room));
	dx_large_free(sorter->spare, bytes_of(sorter->room));
	*sorter = (struct dx_sorter){ 0 };
}

int dx_sorter_append(struct dx_sorter *sorter, const struct dx_sort_entry *entries, uint32_t count)
{
	size_t need = sorter->count + count;

	if (need > sorter->room) {
		size_t room = need > 2 * sorter->room ? need : 2 * sorter->room;
		struct dx_sort_entry *grown;

		room = room < FIRST_ENTRIES ? FIRST_ENTRIES : room;
		dx_large_free(sorter->spare, bytes_of(sorter->room));
		sorter->spare = NULL;
		grown = dx_large_grow(sorter->entries, bytes_of(sorter->room), bytes_of(room));
		if (grown == NULL)
			return -ENOMEM;
		sorter->entries = grown;
		sorter->room = room;
	}
	memcpy(sorter->entries + sorter->count, entries, count * sizeof(*entries));
	sorter->count = need;
	return 0;
}

int dx_sorter_start(struct dx_sorter *sorter)
{
	if (sorter->spare == NULL)
		sorter->spare = dx_large_alloc(bytes_of(sorter->room));
	if (sorter->spare == NULL)
		return -ENOMEM;
	sorter->run = 0;
	sorter->out = 0;
	return 0;
}

/* A merge of from[left, left_end) and from[right, right_end) to to[out...). */
struct merge {
	size_t left, left_end, right, right_end, out;
};

/* At most @budget entries. Of equal ones the left comes first. */
static void merge_some(struct merge *m, const struct dx_sort_entry *from, struct dx_sort_entry *to,
                       size_t budget)
{
	size_t end = m->out + budget;

	while (m->out < end && m->left < m->left_end && m->right < m->right_end) {
		bool right = dx_sort_less(&from[m->right], &from[m->left]);

		to[m->out++] = from[right ? m->right : m->left];
		m->right += right;
		m->left += !right;
	}
	while (m->out < end && m->left < m->left_end)
		to[m->out++] = from[m->left++];
	while (m->out < end && m->right < m->right_end)
		to[m->out++] = from[m->right++];
}

static void insertion_sort(struct dx_sort_entry *entries, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct dx_sort_entry entry = entries[i];
		size_t at = i;

		for (; at > 0 && dx_sort_less(&entry, &entries[at - 1]); at--)
			entries[at] = entries[at - 1];
		entries[at] = entry;
	}
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* One run in place, with as much spare room. */
static void sort_run(struct dx_sort_entry *entries, struct dx_sort_entry *spare, size_t count)
{
	struct dx_sort_entry *from = entries, *to = spare;

	for (size_t at = 0; at < count; at += INSERT_RUN)
		insertion_sort(entries + at, least(INSERT_RUN, count - at));
	for (size_t run = INSERT_RUN; run < count; run *= 2) {
		struct dx_sort_entry *swap = from;

		for (size_t at = 0; at < count; at += 2 * run) {
			struct merge m = { at, least(at + run, count), least(at + run, count),
				           least(at + 2 * run, count), at };

			merge_some(&m, from, to, SIZE_MAX - at);
		}
		from = to;
		to = swap;
	}
	if (from != entries)
		memcpy(entries, from, count * sizeof(*entries));
}

/* The next pair of runs begins at @sorter->out. */
static void next_merge(struct dx_sorter *sorter)
{
	sorter->left = sorter->out;
	sorter->right = least(sorter->out + sorter->run, sorter->count);
}

static void step_merge(struct dx_sorter *sorter)
{
	size_t run = sorter->run, begin = sorter->out / (2 * run) * (2 * run);
	struct merge m = { sorter->left, least(begin + run, sorter->count), sorter->right,
		           least(begin + 2 * run, sorter->count), sorter->out };
	struct dx_sort_entry *swap = sorter->entries;

	merge_some(&m, sorter->entries, sorter->spare, STEP_ENTRIES);
	sorter->left = m.left;
	sorter->right = m.right;
	sorter->out = m.out;
	if (m.out < m.right_end)
		return;
	if (m.out == sorter->count) { /* one level up */
		sorter->entries = sorter->spare;
		sorter->spare = swap;
		sorter->run = 2 * run;
		sorter->out = 0;
	}
	next_merge(sorter);
}

bool dx_sorter_step(struct dx_sorter *sorter)
{
	size_t count = least(RUN_ENTRIES, sorter->count - sorter->out);

	if (sorter->run >= sorter->count && sorter->run > 0)
		return true;
	if (sorter->run > 0) {
		step_merge(sorter);
		return false;
	}
	sort_run(sorter->entries + sorter->out, sorter->spare + sorter->out, count);
	sorter->out += count;
	if (sorter->out == sorter->count) {
		sorter->run = RUN_ENTRIES;
		sorter->out = 0;
		next_merge(sorter);
	}
	return false;
}
