/* SPDX-License-Identifier: MIT */
/*
 * text_index.h - distinct texts, numbered in the order in which they come
 */
#ifndef DX_BATCH_TEXT_INDEX_H
#define DX_BATCH_TEXT_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct dx_text_index {
	uint32_t count;
	uint64_t *ends; /* entry i is bytes[ends[i - 1], ends[i]) */
	uint8_t *bytes;
	uint32_t *slots; /* hash table, linear probing: number + 1, or 0 */
	uint32_t mask;
	uint32_t entry_room;
	uint64_t byte_room;
};

/* A zeroed one is empty. */
void dx_text_index_fini(struct dx_text_index *index);

/* The number of a text, a new one if need be. 0, -ENOMEM, -ERANGE: over 2^31 texts. */
int dx_text_index_add(struct dx_text_index *index, const void *text, size_t len,
                      int32_t *ret_number) DX_MUST_CHECK;

static inline uint64_t dx_text_index_bytes(const struct dx_text_index *index)
{
	return index->count > 0 ? index->ends[index->count - 1] : 0;
}

#endif /* DX_BATCH_TEXT_INDEX_H */
