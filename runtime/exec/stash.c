/* SPDX-License-Identifier: MIT */
#include "exec/stash.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (64U << 10)

struct dx_stash_block {
	struct dx_stash_block *next;
	size_t used, room;
	char bytes[];
};

void *dx_stash_take(struct dx_stash *stash, size_t len)
{
	struct dx_stash_block *block = stash->blocks;

	if (block == NULL || block->room - block->used < len) {
		size_t room = len > BLOCK_BYTES / 8 ? len : BLOCK_BYTES;

		block = malloc(sizeof(*block) + room);
		if (block == NULL)
			return NULL;
		*block = (struct dx_stash_block){ .room = room };
		stash->bytes += sizeof(*block) + room;
		/* One that is full at once goes behind the one that still has room. */
		if (room == len && stash->blocks != NULL) {
			block->next = stash->blocks->next;
			stash->blocks->next = block;
		} else {
			block->next = stash->blocks;
			stash->blocks = block;
		}
	}
	block->used += len;
	return block->bytes + block->used - len;
}

void *dx_stash_copy(struct dx_stash *stash, const void *from, size_t len)
{
	void *to = dx_stash_take(stash, len);

	if (to != NULL && len > 0)
		memcpy(to, from, len);
	return to;
}

void dx_stash_clear(struct dx_stash *stash)
{
	while (stash->blocks != NULL) {
		struct dx_stash_block *next = stash->blocks->next;

		free(stash->blocks);
		stash->blocks = next;
	}
	stash->bytes = 0;
}
