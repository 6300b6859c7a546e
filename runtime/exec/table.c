/* SPDX-License-Identifier: MIT */
#include "exec/table.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS_FIRST 1024U

/* Keys moved in one step of growing: some 0.2 ms. */
#define STEP_KEYS 16384U

/* Slots and keys beyond a core's own caches are worth asking for ahead. */
#define FAR_BYTES (512U << 10)
#define FAR_SLOT  24U /* rows ahead */
#define FAR_KEY   12U

int dx_table_init(struct dx_table *table)
{
	*table = (struct dx_table){ 0 };
	table->slots = calloc(SLOTS_FIRST, sizeof(*table->slots));
	if (table->slots == NULL)
		return -ENOMEM;
	table->mask = SLOTS_FIRST - 1;
	table->bytes = SLOTS_FIRST * sizeof(*table->slots);
	return 0;
}

void dx_table_fini(struct dx_table *table)
{
	dx_stash_clear(&table->stash);
	free(table->keys);
	free(table->slots);
	free(table->grown);
	*table = (struct dx_table){ 0 };
}

void dx_table_clear(struct dx_table *table)
{
	dx_stash_clear(&table->stash);
	memset(table->slots, 0, (table->mask + 1) * sizeof(*table->slots));
	table->count = 0;
}

static inline uint64_t make_slot(uint64_t hash, uint32_t number)
{
	return (hash & ~0xffffffffULL) | ((uint64_t)number + 1);
}

/* --- growing ------------------------------------------------------------------------------------------- */

static int reserve_keys(struct dx_table *table, uint64_t need)
{
	uint64_t room = table->room;
	struct dx_key *keys;

	if (need <= room)
		return 0;
	room = need > room + room / 2 ? need : room + room / 2;
	keys = realloc(table->keys, room * sizeof(*keys));
	if (keys == NULL)
		return -ENOMEM;
	table->bytes += (room - table->room) * sizeof(*keys);
	table->keys = keys;
	table->room = (uint32_t)room;
	return 0;
}

/* Returns 1 when all keys are in the grown slots, and these are in use; 0 before. */
static int move_step(struct dx_table *table)
{
	uint32_t end =
		table->count - table->moved > STEP_KEYS ? table->moved + STEP_KEYS : table->count;
	uint64_t mask = table->grown_mask;

	for (uint32_t i = table->moved; i < end; i++) {
		uint64_t hash = dx_key_hash(&table->keys[i]), at = hash & mask;

		while (table->grown[at] != 0)
			at = (at + 1) & mask;
		table->grown[at] = make_slot(hash, i);
	}
	table->moved = end;
	if (end < table->count)
		return 0;
	table->bytes -= (table->mask + 1) * sizeof(*table->slots);
	free(table->slots);
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
	if (need <= slots / 4 * 3)
		return 1;
	while (need > slots / 4 * 3)
		slots *= 2;
	table->grown = calloc(slots, sizeof(*table->grown));
	if (table->grown == NULL)
		return -ENOMEM;
	table->bytes += slots * sizeof(*table->grown);
	table->grown_mask = slots - 1;
	table->moved = 0;
	return move_step(table);
}

/* --- insert and find ------------------------------------------------------------------------------------ */

static bool is_far(const struct dx_table *table)
{
	return table->mask * sizeof(*table->slots) + table->count * sizeof(*table->keys) >
	       FAR_BYTES;
}

/* Asks for the slot of a row some way ahead, and for the key of one half as far, whose slot has come. */
static inline void prefetch(const struct dx_table *table, const uint64_t *hashes, uint32_t row,
                            uint32_t count)
{
	if (row + FAR_SLOT < count)
		__builtin_prefetch(&table->slots[hashes[row + FAR_SLOT] & table->mask]);
	if (row + FAR_KEY < count) {
		uint64_t slot = table->slots[hashes[row + FAR_KEY] & table->mask];

		if (slot != 0)
			__builtin_prefetch(&table->keys[(uint32_t)slot - 1]);
	}
}

/* The number of a key, or DX_TABLE_NONE; the slot where the search ended is at @ret_at. */
static inline uint32_t find_one(const struct dx_table *table, const struct dx_key *key,
                                uint64_t hash, uint64_t *ret_at)
{
	uint64_t at = hash & table->mask, slot;

	while ((slot = table->slots[at]) != 0) {
		if ((slot ^ hash) >> 32 == 0 &&
		    DX_LIKELY(dx_key_equal(&table->keys[(uint32_t)slot - 1], key)))
			break;
		at = (at + 1) & table->mask;
	}
	*ret_at = at;
	return (uint32_t)slot - 1; /* a free slot's is none */
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
	table->slots[at] = make_slot(hash, table->count++);
	return 0;
}

int dx_table_insert(struct dx_table *table, const struct dx_keys *keys, uint32_t count,
                    bool skip_nulls, uint32_t *ret_numbers)
{
	bool far = is_far(table);
	uint64_t at;

	for (uint32_t i = 0; i < count; i++) {
		const struct dx_key *key = &keys->keys[i];
		uint32_t number;

		if (far)
			prefetch(table, keys->hashes, i, count);
		if (skip_nulls && dx_key_has_null(key)) {
			ret_numbers[i] = DX_TABLE_NONE;
			continue;
		}
		number = find_one(table, key, keys->hashes[i], &at);
		if (number == DX_TABLE_NONE) {
			number = table->count;
			if (add_one(table, key, keys->hashes[i], at) < 0)
				return -ENOMEM;
		}
		ret_numbers[i] = number;
	}
	return 0;
}

void dx_table_find(const struct dx_table *table, const struct dx_keys *keys, uint32_t count,
                   uint32_t *ret_numbers)
{
	bool far = is_far(table);
	uint64_t at;

	for (uint32_t i = 0; i < count; i++) {
		if (far)
			prefetch(table, keys->hashes, i, count);
		ret_numbers[i] = find_one(table, &keys->keys[i], keys->hashes[i], &at);
	}
}
