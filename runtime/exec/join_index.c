/* SPDX-License-Identifier: MIT */
#include "exec/join_index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "batch/value.h"
#include "exec/large.h"

/* A dense index may take so many values for each build row: 64 bytes of bits, what a hash table takes. */
#define DENSE_SPREAD 256U
#define DENSE_SMALL  (1U << 18) /* values that are worth it for any number of rows: 64 KiB */

#define STEP_WORDS 65536U

/* --- one side's keys ----------------------------------------------------------------------------------- */

int dx_join_side_init(struct dx_join_side *side, const struct dsmx_schema *schema,
                      const uint32_t *columns, uint32_t key_count)
{
	size_t count = key_count > 0 ? key_count : 1;
	int err = -ENOMEM;

	*side = (struct dx_join_side){ .key_count = key_count, .columns = columns };
	side->gathers = calloc(count, sizeof(struct dx_gather *));
	side->vectors = calloc(count, sizeof(*side->vectors));
	if (side->gathers == NULL || side->vectors == NULL)
		goto fail;
	for (uint32_t i = 0; i < key_count; i++) {
		err = dx_gather_new(schema->fields[columns[i]].type, &side->gathers[i]);
		if (err < 0)
			goto fail;
	}
	return 0;
fail:
	dx_join_side_fini(side);
	return err;
}

void dx_join_side_fini(struct dx_join_side *side)
{
	for (uint32_t i = 0; side->gathers != NULL && i < side->key_count; i++)
		dx_gather_free(side->gathers[i]);
	free(side->gathers);
	free(side->vectors);
	*side = (struct dx_join_side){ 0 };
}

int dx_join_side_run(struct dx_join_side *side, const struct dsmx_batch *batch)
{
	for (uint32_t i = 0; i < side->key_count; i++) {
		int err =
			dx_gather_run(side->gathers[i], batch, side->columns[i], &side->vectors[i]);

		if (err < 0)
			return err;
	}
	return 0;
}

/* --- dense --------------------------------------------------------------------------------------------- */

#define INTEGERS(type)                                                                             \
	do {                                                                                       \
		const type *from_ = vector->values;                                                \
		for (uint32_t i = 0; i < count; i++)                                               \
			ret[i] = (int64_t)from_[i];                                                \
	} while (0)

static void load_integers(const struct dx_vector *vector, uint32_t count, int64_t *ret)
{
	switch (vector->type.id) {
	case DSMX_INT8:
		INTEGERS(int8_t);
		break;
	case DSMX_INT16:
		INTEGERS(int16_t);
		break;
	case DSMX_INT32:
	case DSMX_DATE32:
		INTEGERS(int32_t);
		break;
	case DSMX_UINT8:
		INTEGERS(uint8_t);
		break;
	case DSMX_UINT16:
		INTEGERS(uint16_t);
		break;
	case DSMX_UINT32:
		INTEGERS(uint32_t);
		break;
	default:
		INTEGERS(int64_t);
		break;
	}
}

/* Without a popcount instruction that every machine has, this is what it takes. */
static inline uint32_t count_bits(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555ULL;
	word = (word & 0x3333333333333333ULL) + (word >> 2 & 0x3333333333333333ULL);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (uint32_t)(word * 0x0101010101010101ULL >> 56);
}

static void find_dense(const struct dx_join_index *index, const struct dx_vector *vector,
                       const int64_t *values, uint32_t count, uint32_t *ret_numbers)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t place = (uint64_t)values[i] - (uint64_t)index->min;
		bool inside = place < index->range;
		const struct dx_join_bits *bits = &index->bits[inside ? place >> 6 : 0];
		uint64_t below = bits->set & ((1ULL << (place & 63)) - 1);
		uint32_t number = (uint32_t)bits->below + count_bits(below);

		inside &= bits->set >> (place & 63) & 1;
		ret_numbers[i] = inside ? number : DX_TABLE_NONE;
	}
	if (vector->valid != NULL)
		for (uint32_t i = 0; i < count; i++)
			ret_numbers[i] = vector->valid[i] ? ret_numbers[i] : DX_TABLE_NONE;
}

static void widen_range(struct dx_join_index *index, const struct dx_vector *vector, uint32_t count)
{
	const int64_t *values = (const int64_t *)index->keys.words;
	int64_t min = index->min, max = index->max;

	for (uint32_t i = 0; i < count; i++) {
		if (vector->valid != NULL && !vector->valid[i])
			continue;
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
	}
	index->min = min;
	index->max = max;
}

static void set_bits(struct dx_join_index *index, const struct dx_vector *vector, uint32_t count)
{
	const int64_t *values = (const int64_t *)index->keys.words;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t place = (uint64_t)values[i] - (uint64_t)index->min;

		if (vector->valid == NULL || vector->valid[i])
			index->bits[place >> 6].set |= 1ULL << (place & 63);
	}
}

/* --- memory ------------------------------------------------------------------------------------------- */

static size_t bits_bytes(const struct dx_join_index *index)
{
	return index->range > 0 ? ((index->range - 1) / 64 + 1) * sizeof(*index->bits) : 0;
}

static size_t numbers_bytes(const struct dx_join_index *index)
{
	return index->rows.length * sizeof(*index->numbers);
}

static size_t starts_bytes(const struct dx_join_index *index)
{
	return (index->distinct + 2ULL) * sizeof(*index->starts);
}

static size_t list_bytes(const struct dx_join_index *index)
{
	return index->numbered * sizeof(*index->list);
}

/* --- the phases ---------------------------------------------------------------------------------------- */

int dx_join_index_init(struct dx_join_index *index, const struct dsmx_schema *schema,
                       const uint32_t *columns, uint32_t key_count, const bool *wide,
                       bool may_be_dense, bool exists_only)
{
	struct dsmx_type *types = calloc(key_count > 0 ? key_count : 1, sizeof(*types));
	int err;

	*index = (struct dx_join_index){ .exists_only = exists_only };
	if (types == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < key_count; i++)
		types[i] = schema->fields[columns[i]].type;
	index->is_single_integer = may_be_dense && key_count == 1 && dx_type_fits_int64(types[0]);
	err = dx_keys_init(&index->keys, types, wide, key_count);
	free(types);
	if (err == 0)
		err = dx_table_init(&index->table, &index->keys);
	if (err == 0)
		err = dx_join_side_init(&index->side, schema, columns, key_count);
	if (err == 0)
		err = dx_window_new(schema, &index->window);
	if (err < 0)
		dx_join_index_fini(index);
	return err;
}

void dx_join_index_fini(struct dx_join_index *index)
{
	dx_keys_fini(&index->keys);
	dx_table_fini(&index->table);
	dx_join_side_fini(&index->side);
	dx_window_free(index->window);
	dx_large_free(index->bits, bits_bytes(index));
	dx_large_free(index->numbers, numbers_bytes(index));
	dx_large_free(index->starts, starts_bytes(index));
	dx_large_free(index->list, list_bytes(index));
	*index = (struct dx_join_index){ 0 };
}

static void enter(struct dx_join_index *index, enum dx_join_index_phase phase)
{
	index->phase = phase;
	index->row = 0;
	index->word = 0;
	dx_window_set(index->window, &index->rows);
	if (phase == DX_INDEX_READY) {
		dx_large_free(index->numbers, numbers_bytes(index));
		index->numbers = NULL;
	}
}

int dx_join_index_start(struct dx_join_index *index, const struct dsmx_batch *rows)
{
	index->rows = *rows;
	index->in_order = true;
	index->min = INT64_MAX;
	index->max = INT64_MIN;
	if (rows->length > DX_TABLE_KEYS_MAX)
		return -E2BIG;
	index->numbers = dx_large_alloc(numbers_bytes(index));
	if (index->numbers == NULL)
		return -ENOMEM;
	enter(index, index->is_single_integer ? DX_INDEX_RANGE : DX_INDEX_RESERVE);
	return 0;
}

/* The range is known: is it narrow enough? */
static int choose(struct dx_join_index *index)
{
	uint64_t last = (uint64_t)index->max - (uint64_t)index->min;
	uint64_t limit = (uint64_t)index->rows.length * DENSE_SPREAD;

	if (limit < DENSE_SMALL)
		limit = DENSE_SMALL;
	if (index->max < index->min || last >= limit) {
		enter(index, DX_INDEX_RESERVE);
		return 0;
	}
	index->is_dense = true;
	index->range = last + 1;
	index->bits = dx_large_alloc(bits_bytes(index));
	if (index->bits == NULL)
		return -ENOMEM;
	enter(index, DX_INDEX_BITS);
	return 0;
}

static int rank(struct dx_join_index *index)
{
	uint64_t words = ((index->range - 1) >> 6) + 1;
	uint64_t end = words - index->word > STEP_WORDS ? index->word + STEP_WORDS : words;

	for (; index->word < end; index->word++) {
		index->bits[index->word].below = index->distinct;
		index->distinct += count_bits(index->bits[index->word].set);
	}
	if (end == words)
		enter(index, DX_INDEX_NUMBERS);
	return 0;
}

/* Every row has its number: what is still needed to come back from numbers to rows? */
static int finish_numbers(struct dx_join_index *index)
{
	if (!index->is_dense)
		index->distinct = index->table.count;
	if (index->exists_only || (index->in_order && index->numbered == index->rows.length &&
	                           index->distinct == index->numbered)) {
		enter(index, DX_INDEX_READY);
		return 0;
	}
	index->list = dx_large_alloc(list_bytes(index));
	if (index->list == NULL)
		return -ENOMEM;
	if (index->distinct < index->numbered) {
		index->starts = dx_large_alloc(starts_bytes(index));
		if (index->starts == NULL)
			return -ENOMEM;
	}
	enter(index, index->starts != NULL ? DX_INDEX_STARTS : DX_INDEX_LIST);
	return 0;
}

static int number_part(struct dx_join_index *index, uint32_t count)
{
	uint32_t *numbers = index->numbers + index->row;
	int err;

	if (index->is_dense) {
		const struct dx_vector *vector = &index->side.vectors[0];

		load_integers(vector, count, (int64_t *)index->keys.words);
		find_dense(index, vector, (const int64_t *)index->keys.words, count, numbers);
	} else {
		err = dx_keys_encode(&index->keys, index->side.vectors, count);
		if (err == 0)
			err = dx_table_insert(&index->table, &index->keys, count, true, numbers);
		if (err < 0)
			return err;
	}
	for (uint32_t i = 0; i < count; i++) {
		index->numbered += numbers[i] != DX_TABLE_NONE;
		index->in_order &= numbers[i] == index->row + i;
	}
	return 0;
}

/*
 * STARTS counts the rows of number n in starts[n + 2] and sums up, so that starts[n + 1] is where they
 * begin; LIST puts each row there and moves on, so that in the end starts[n] is.
 */
static void count_part(struct dx_join_index *index, uint32_t count)
{
	const uint32_t *numbers = index->numbers + index->row;

	for (uint32_t i = 0; i < count; i++)
		if (numbers[i] != DX_TABLE_NONE)
			index->starts[numbers[i] + 2]++;
}

static int sum_starts(struct dx_join_index *index)
{
	uint64_t left = index->distinct - index->word;
	uint64_t end = index->word + (left > STEP_WORDS ? STEP_WORDS : left);

	for (; index->word < end; index->word++)
		index->starts[index->word + 2] += index->starts[index->word + 1];
	if (end == index->distinct)
		enter(index, DX_INDEX_LIST);
	return 0;
}

static void list_part(struct dx_join_index *index, uint32_t count)
{
	const uint32_t *numbers = index->numbers + index->row;

	for (uint32_t i = 0; i < count; i++) {
		if (numbers[i] == DX_TABLE_NONE)
			continue;
		if (index->starts != NULL)
			index->list[index->starts[numbers[i] + 1]++] = index->row + i;
		else
			index->list[numbers[i]] = index->row + i;
	}
}

static int end_of_rows(struct dx_join_index *index)
{
	switch (index->phase) {
	case DX_INDEX_RANGE:
		return choose(index);
	case DX_INDEX_BITS:
		enter(index, DX_INDEX_RANKS);
		return 0;
	case DX_INDEX_NUMBERS:
		return finish_numbers(index);
	case DX_INDEX_STARTS:
		enter(index, DX_INDEX_SUMS);
		return 0;
	default:
		enter(index, DX_INDEX_READY);
		return 0;
	}
}

/* One part of the rows in the phases that go through them. */
static int step_part(struct dx_join_index *index)
{
	bool needs_keys = index->phase < DX_INDEX_STARTS;
	struct dsmx_batch part;
	int err = 0;

	if (!dx_window_next(index->window, &part))
		return end_of_rows(index);
	if (needs_keys)
		err = dx_join_side_run(&index->side, &part);
	if (err < 0)
		return err;
	if (index->phase == DX_INDEX_RANGE || index->phase == DX_INDEX_BITS)
		load_integers(&index->side.vectors[0], part.length, (int64_t *)index->keys.words);
	if (index->phase == DX_INDEX_RANGE)
		widen_range(index, &index->side.vectors[0], part.length);
	else if (index->phase == DX_INDEX_BITS)
		set_bits(index, &index->side.vectors[0], part.length);
	else if (index->phase == DX_INDEX_NUMBERS)
		err = number_part(index, part.length);
	else if (index->phase == DX_INDEX_STARTS)
		count_part(index, part.length);
	else
		list_part(index, part.length);
	index->row += part.length;
	return err;
}

int dx_join_index_step(struct dx_join_index *index)
{
	int err;

	switch (index->phase) {
	case DX_INDEX_READY:
		return 1;
	case DX_INDEX_RANKS:
		return rank(index);
	case DX_INDEX_SUMS:
		return sum_starts(index);
	case DX_INDEX_RESERVE:
		err = dx_table_reserve(&index->table, index->rows.length);
		if (err == 1)
			enter(index, DX_INDEX_NUMBERS);
		return err < 0 ? err : 0;
	default:
		return step_part(index);
	}
}

int dx_join_index_find(const struct dx_join_index *index, struct dx_keys *keys,
                       const struct dx_vector *vectors, uint32_t count, uint32_t *ret_numbers)
{
	int err;

	if (index->is_dense) {
		int64_t *values = (int64_t *)keys->words;

		load_integers(&vectors[0], count, values);
		find_dense(index, &vectors[0], values, count, ret_numbers);
		return 0;
	}
	err = dx_keys_encode(keys, vectors, count);
	if (err < 0)
		return err;
	dx_table_find(&index->table, keys, count, ret_numbers);
	return 0;
}
