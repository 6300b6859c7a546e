/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "import_dictionary.h"

#define SLOTS_FIRST 256

static uint32_t hash_of(const char *text, size_t len)
{
	uint64_t hash = 0x9e3779b97f4a7c15ULL ^ len, word;

	for (; len >= 8; text += 8, len -= 8) {
		memcpy(&word, text, 8);
		hash = (hash ^ word) * 0xff51afd7ed558ccdULL;
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, text, len);
	hash = (hash ^ word) * 0xff51afd7ed558ccdULL;
	return (uint32_t)(hash >> 32);
}

static uint32_t *find(const struct dictionary *dictionary, const char *text, size_t len)
{
	uint32_t at = hash_of(text, len) & dictionary->mask;

	for (;; at = (at + 1) & dictionary->mask) {
		uint32_t entry = dictionary->slots[at];
		int32_t start;

		if (entry == 0)
			return &dictionary->slots[at];
		start = dictionary->offsets[entry - 1];
		if ((size_t)(dictionary->offsets[entry] - start) == len &&
		    memcmp(dictionary->bytes + start, text, len) == 0)
			return &dictionary->slots[at];
	}
}

static void grow(struct dictionary *dictionary)
{
	uint32_t slots = dictionary->slots == NULL ? SLOTS_FIRST : 2 * (dictionary->mask + 1);

	free(dictionary->slots);
	dictionary->slots = mem_alloc(slots * sizeof(*dictionary->slots));
	dictionary->mask = slots - 1;
	dictionary->room = slots / 2;
	dictionary->offsets = mem_resize(dictionary->offsets,
	                                 (dictionary->room + 1) * sizeof(*dictionary->offsets));
	if (dictionary->count == 0)
		dictionary->offsets[0] = 0;
	for (uint32_t i = 0; i < dictionary->count; i++) {
		int32_t start = dictionary->offsets[i];

		*find(dictionary, dictionary->bytes + start,
		      (size_t)(dictionary->offsets[i + 1] - start)) = i + 1;
	}
}

int32_t dictionary_code(struct dictionary *dictionary, const char *text, size_t len)
{
	uint32_t *slot;
	size_t used, need;

	if (dictionary->count == dictionary->room)
		grow(dictionary);
	slot = find(dictionary, text, len);
	if (*slot != 0)
		return (int32_t)(*slot - 1);
	used = (size_t)dictionary->offsets[dictionary->count];
	need = used + len;
	if (need > INT32_MAX)
		return -1;
	if (need > dictionary->byte_room || dictionary->bytes == NULL) {
		dictionary->byte_room = need < 512 ? 1024 : 2 * need;
		dictionary->bytes = mem_resize(dictionary->bytes, dictionary->byte_room);
	}
	memcpy(dictionary->bytes + used, text, len);
	dictionary->offsets[++dictionary->count] = (int32_t)need;
	*slot = dictionary->count;
	return (int32_t)(dictionary->count - 1);
}

void dictionary_fini(struct dictionary *dictionary)
{
	free(dictionary->slots);
	free(dictionary->offsets);
	free(dictionary->bytes);
	*dictionary = (struct dictionary){ 0 };
}
