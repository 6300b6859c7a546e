/* SPDX-License-Identifier: MIT */
#include "batch/text_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_FIRST 64

static const uint8_t *entry(const struct dx_text_index *index, uint32_t number, size_t *ret_len)
{
	uint64_t start = number > 0 ? index->ends[number - 1] : 0;

	*ret_len = (size_t)(index->ends[number] - start);
	return index->bytes + start;
}

/* The slot that has the text, or the free one where it belongs. */
static uint32_t *find(const struct dx_text_index *index, const void *text, size_t len)
{
	uint32_t at = (uint32_t)dx_hash_bytes(text, len, 0) & index->mask;

	for (;; at = (at + 1) & index->mask) {
		const uint8_t *there;
		size_t there_len;

		if (index->slots[at] == 0)
			return &index->slots[at];
		there = entry(index, index->slots[at] - 1, &there_len);
		if (there_len == len && (len == 0 || memcmp(there, text, len) == 0))
			return &index->slots[at];
	}
}

static int grow_slots(struct dx_text_index *index)
{
	uint32_t slots = index->slots == NULL ? SLOTS_FIRST : 2 * (index->mask + 1);
	uint32_t *memory = calloc(slots, sizeof(*memory));

	if (memory == NULL)
		return -ENOMEM;
	free(index->slots);
	index->slots = memory;
	index->mask = slots - 1;
	for (uint32_t i = 0; i < index->count; i++) {
		size_t len;
		const uint8_t *text = entry(index, i, &len);

		*find(index, text, len) = i + 1;
	}
	return 0;
}

static int reserve(struct dx_text_index *index, size_t len)
{
	uint64_t bytes = dx_text_index_bytes(index) + len, room;

	if (index->count == index->entry_room) {
		uint32_t entries = index->entry_room == 0 ? SLOTS_FIRST : 2 * index->entry_room;
		uint64_t *ends = realloc(index->ends, entries * sizeof(*ends));

		if (ends == NULL)
			return -ENOMEM;
		index->ends = ends;
		index->entry_room = entries;
	}
	if (bytes > index->byte_room || index->bytes == NULL) {
		uint8_t *memory;

		room = bytes < 512 ? 1024 : 2 * bytes;
		memory = realloc(index->bytes, (size_t)room);
		if (memory == NULL)
			return -ENOMEM;
		index->bytes = memory;
		index->byte_room = room;
	}
	/* At most half full. */
	if (index->slots == NULL || 2 * (uint64_t)(index->count + 1) > index->mask + 1U)
		return grow_slots(index);
	return 0;
}

int dx_text_index_add(struct dx_text_index *index, const void *text, size_t len,
                      int32_t *ret_number)
{
	uint32_t *slot = index->slots != NULL ? find(index, text, len) : NULL;
	int ret;

	if (slot != NULL && *slot != 0) {
		*ret_number = (int32_t)(*slot - 1);
		return 0;
	}
	if (index->count >= INT32_MAX / 2)
		return -ERANGE;
	ret = reserve(index, len);
	if (ret < 0)
		return ret;
	slot = find(index, text, len);
	if (len > 0)
		memcpy(index->bytes + dx_text_index_bytes(index), text, len);
	index->ends[index->count] = dx_text_index_bytes(index) + len;
	index->count++;
	*slot = index->count;
	*ret_number = (int32_t)(index->count - 1);
	return 0;
}

void dx_text_index_fini(struct dx_text_index *index)
{
	free(index->ends);
	free(index->bytes);
	free(index->slots);
	*index = (struct dx_text_index){ 0 };
}
