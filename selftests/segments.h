/* SPDX-License-Identifier: MIT */
/* segments.h - engine code in a worker finds that process's own two segments, and may write what it likes there */
#ifndef DX_SELFTESTS_SEGMENTS_H
#define DX_SELFTESTS_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "chan/layout.h"
#include "dsmx/abi.h"
#include "dsmx/plan.h"

/*
 * A thread looks at, and writes, what its process has by right to itself. The thread sanitizer is not to tell us so:
 * it is what a hostile worker does.
 */
#define HOSTILE __attribute__((no_sanitize("thread")))

struct segments {
	struct dsmx_page_abi *page;
	uint64_t *words;
	size_t page_bytes;
	uint64_t *data;
	size_t data_bytes;
	struct dx_layout layout;
	int mode;
};

/* The mappings that can be written are the own ones. */
static inline bool find_segments(struct segments *s)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], rights[8];
	unsigned long from, to;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != 'w')
			continue;
		if (strstr(line, "memfd:dsmx-page") != NULL) {
			memcpy(&s->page, &from, sizeof(from));
			s->page_bytes = to - from;
		} else if (strstr(line, "memfd:dsmx-data") != NULL) {
			memcpy(&s->data, &from, sizeof(from));
			s->data_bytes = to - from;
		}
	}
	if (maps != NULL)
		(void)fclose(maps);
	if (s->page == NULL || s->data == NULL)
		return false;
	memcpy(&s->words, &s->page, sizeof(s->words));
	s->layout = dx_layout(s->page->peers, s->page->slots, s->page->frames, s->page->tasks);
	return true;
}

/* operator @name on worker 0 -- shuffle over all -- gather. NULL: no memory. */
static inline struct dsmx_plan *shuffled_plan(const char *name, const void *bytes, size_t len)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	static const uint32_t key;
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;

	if (dsmx_plan_new(&plan) != 0)
		return NULL;
	rel = dsmx_rel_extension(plan, name, bytes, len, &schema, NULL, 0);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, 0, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	if (dsmx_plan_finish(plan, rel, NULL, NULL) != 0) {
		dsmx_plan_free(plan);
		return NULL;
	}
	return plan;
}

#endif /* DX_SELFTESTS_SEGMENTS_H */
