/* SPDX-License-Identifier: MIT */
#include "exec/table.h"

#include <errno.h>
#include <stdlib.h>

#include "exec/large.h"

#define SLOTS_FIRST 1024U

/* Slots moved, and bytes got for new ones, in one step of growing: some 0.2 ms. */
#define STEP_SLOTS 16384U
#define STEP_BYTES (1U << 20)

/* Slots and keys beyond a core's own caches are worth asking for ahead. */
#define FAR_BYTES (512U << 10)
#define FAR_SLOT  24U /* rows ahead */
#define FAR_KEY   12U

static size_t slots_bytes(uint64_t mask)
{
	return (mask + 1) * sizeof(struct dx_table_slot);
}

static size_t keys_bytes(uint64_t room)
{
	return room * sizeof(struct dx_key);
}

int dx_table_init(struct dx_table *table, const struct dx_keys *keys)
{
	*table = (struct dx_table){
		.in_slots = dx_keys_are_words(keys),
		.word_bytes = keys->fixed_bytes,
	};
	table->mask = SLOTS_FIRST - 1;
	table->slots = dx_large_alloc(slots_bytes(table->mask));
	if (table->slots == NULL)
		return -ENOMEM;
	return 0;
}

void dx_table_fini(struct dx_table *table)
{
	dx_stash_clear(&table->stash);
	dx_large_free(table->keys, keys_bytes(table->room));
	dx_large_free(table->slots, slots_bytes(table->mask));
	dx_large_free(table->grown, slots_bytes(table->grown_mask));
	*table = (struct dx_table){ 0 };
}

void dx_table_clear(struct dx_table *table)
{
	dx_stash_clear(&table->stash);
	memset(table->slots, 0, slots_bytes(table->mask));
	table->count = 0;
}

/* --- growing ------------------------------------------------------------------------------------------- */

static int reserve_keys(struct dx_table *table, uint64_t need)
{
	uint64_t room = table->room + (uint64_t)table->room / 2;
	struct dx_key *keys;

	if (need <= table->room)
		return 0;
	room = need > room ? need : room;
	keys = dx_large_grow(table->keys, keys_bytes(table->room), keys_bytes(room));
	if (keys == NULL)
		return -ENOMEM;
	table->keys = keys;
	table->room = (uint32_t)room;
	return 0;
}

static uint64_t hash_of_slot(const struct dx_table *table, const struct dx_table_slot *slot)
{
	struct dx_key key = {
		.low = slot->word,
		.shape = table->word_bytes | (uint64_t)slot->nulls << DX_KEY_NULL_SHIFT,
	};

	return table->in_slots ? dx_key_hash(&key) : slot->word;
}

/* Returns whether all of the grown slots have their pages. */
static bool populate_step(struct dx_table *table)
{
	size_t bytes = slots_bytes(table->grown_mask);

	if (table->populated >= bytes)
		return true;
	dx_large_populate(table->grown, bytes, table->populated, table->populated + STEP_BYTES);
	table->populated += STEP_BYTES;
	return false;
}

/* Returns 1 when all is in the grown slots, and these are in use; 0 before. */
static int move_step(struct dx_table *table)
{
	uint64_t left = table->mask + 1 - table->moved, mask = table->grown_mask;
	uint64_t end = table->moved + (left < STEP_SLOTS ? left : STEP_SLOTS);

	if (!populate_step(table))
		return 0;
	for (; table->moved < end; table->moved++) {
		const struct dx_table_slot *slot = &table->slots[table->moved];
		uint64_t at;

		if (slot->number == 0)
			continue;
		at = hash_of_slot(table, slot) & mask;
		while (table->grown[at].number != 0)
			at = (at + 1) & mask;
		table->grown[at] = *slot;
	}
	if (end <= table->mask)
		return 0;
	dx_large_free(table->slots, slots_bytes(table->mask));
	table->slots = table->grown;
	table->mask = mask;
	table->grown = NULL;
	return 1;
}

int dx_table_reserve(struct dx_table *table, uint64_t more)
{
	uint64_t need = table->count + more, slots = table->mask + 1;
	int err;

	if (table->grown != NULL)
		return move_step(table);
	if (need > DX_TABLE_KEYS_MAX)
		return -E2BIG;
	err = reserve_keys(table, need);
	if (err < 0)
		return err;
	if (need <= slots / 2)
		return 1;
	while (need > slots / 2)
		slots *= 2;
	table->grown = dx_large_alloc(slots_bytes(slots - 1));
	if (table->grown == NULL)
		return -ENOMEM;
	table->grown_mask = slots - 1;
	table->moved = 0;
	table->populated = 0;
	return move_step(table);
}

/* --- insert and find ------------------------------------------------------------------------------------ */

static bool is_far(const struct dx_table *table)
{
	return slots_bytes(table->mask) > FAR_BYTES;
}

/* Asks for the slot of a row some way ahead, and for the key of one half as far, whose slot has come. */
static inline void prefetch(const struct dx_table *table, const uint64_t *hashes, uint32_t row,
                            uint32_t count, bool in_slots)
{
	if (row + FAR_SLOT < count)
		__builtin_prefetch(&table->slots[hashes[row + FAR_SLOT] & table->mask]);
	if (!in_slots && row + FAR_KEY < count) {
		uint32_t number = table->slots[hashes[row + FAR_KEY] & table->mask].number;

		if (number != 0)
			__builtin_prefetch(&table->keys[number - 1]);
	}
}

static inline uint32_t nulls_of(const struct dx_key *key)
{
	return (uint32_t)(key->shape >> DX_KEY_NULL_SHIFT);
}

/* The number of a key, or DX_TABLE_NONE; the slot where the search ended is at @ret_at. */
static inline uint32_t find_one(const struct dx_table *table, const struct dx_key *key,
                                uint64_t hash, bool in_slots, uint64_t *ret_at)
{
	uint64_t word = in_slots ? key->low : hash, mask = table->mask, at = hash & mask;
	const struct dx_table_slot *slot = &table->slots[at];

	while (slot->number != 0) {
		if (slot->word == word &&
		    (in_slots ? slot->nulls == nulls_of(key)
		              : dx_key_equal(&table->keys[slot->number - 1], key)))
			break;
		at = (at + 1) & mask;
		slot = &table->slots[at];
	}
	*ret_at = at;
	return slot->number - 1; /* a free slot's is none */
}

static int add_one(struct dx_table *table, const struct dx_key *key, uint64_t hash, uint64_t at)
{
	struct dx_key *kept = &table->keys[table->count];

	*kept = *key;
	if (key->shape & DX_KEY_LONG) {
		const void *bytes =
			dx_stash_copy(&table->stash, dx_key_bytes(key), key->shape & DX_KEY_LENGTH);

		if (bytes == NULL)
			return -ENOMEM;
		kept->high = (uintptr_t)bytes;
	}
	table->slots[at] = (struct dx_table_slot){
		.word = table->in_slots ? key->low : hash,
		.number = ++table->count,
		.nulls = table->in_slots ? nulls_of(key) : 0,
	};
	return 0;
}

static inline int insert_all(struct dx_table *table, const struct dx_keys *keys, uint32_t count,
                             bool skip_nulls, bool in_slots, uint32_t *ret_numbers)
{
	bool far = is_far(table);
	uint64_t at;

	for (uint32_t i = 0; i < count; i++) {
		const struct dx_key *key = &keys->keys[i];
		uint32_t number;

		if (far)
			prefetch(table, keys->hashes, i, count, in_slots);
		if (skip_nulls && dx_key_has_null(key)) {
			ret_numbers[i] = DX_TABLE_NONE;
			continue;
		}
		number = find_one(table, key, keys->hashes[i], in_slots, &at);
		if (number == DX_TABLE_NONE) {
			number = table->count;
			if (add_one(table, key, keys->hashes[i], at) < 0)
				return -ENOMEM;
		}
		ret_numbers[i] = number;
	}
	return 0;
}

int dx_table_insert(struct dx_table *table, const struct dx_keys *keys, uint32_t count,
                    bool skip_nulls, uint32_t *ret_numbers)
{
	if (table->in_slots)
		return insert_all(table, keys, count, skip_nulls, true, ret_numbers);
	return insert_all(table, keys, count, skip_nulls, false, ret_numbers);
}

static inline void find_all(const struct dx_table *table, const struct dx_keys *keys,
                            uint32_t count, bool in_slots, uint32_t *ret_numbers)
{
	bool far = is_far(table);
	uint64_t at;

	for (uint32_t i = 0; i < count; i++) {
		if (far)
			prefetch(table, keys->hashes, i, count, in_slots);
		ret_numbers[i] = find_one(table, &keys->keys[i], keys->hashes[i], in_slots, &at);
	}
}

void dx_table_find(const struct dx_table *table, const struct dx_keys *keys, uint32_t count,
                   uint32_t *ret_numbers)
{
	if (table->in_slots)
		find_all(table, keys, count, true, ret_numbers);
	else
		find_all(table, keys, count, false, ret_numbers);
}
