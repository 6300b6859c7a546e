/* SPDX-License-Identifier: MIT */
#include "exec/accumulate.h"

#include <errno.h>
#include <string.h>

#include "exec/large.h"

#define ROOM_FIRST 64U

/* The least or greatest text of a group, in the stash; there is room for a somewhat longer one. */
struct text_state {
	char *bytes;
	uint32_t len;
	uint32_t room;
};

/* --- life ---------------------------------------------------------------------------------------------- */

static bool counts(const struct dx_accumulator *acc)
{
	return acc->kind == DX_ACCUMULATE_ROWS || acc->kind == DX_ACCUMULATE_NULLS;
}

static bool compares(const struct dx_accumulator *acc)
{
	return acc->kind == DX_ACCUMULATE_MIN || acc->kind == DX_ACCUMULATE_MAX;
}

static bool can_sum(struct dsmx_type input, struct dsmx_type type)
{
	bool is_float = input.id == DSMX_FLOAT32 || input.id == DSMX_FLOAT64;
	bool is_integer = input.id >= DSMX_INT8 && input.id <= DSMX_UINT64;

	switch (type.id) {
	case DSMX_FLOAT64:
		return is_float;
	case DSMX_INT64:
		return is_integer && input.id != DSMX_UINT64;
	case DSMX_DECIMAL:
		return type.precision > DSMX_DECIMAL_NARROW_DIGITS &&
		       (is_integer ? type.scale == 0
		                   : input.id == DSMX_DECIMAL && input.scale == type.scale);
	default:
		return false;
	}
}

int dx_accumulator_init(struct dx_accumulator *acc, enum dx_accumulate kind, struct dsmx_type input,
                        struct dsmx_type type)
{
	*acc = (struct dx_accumulator){ .kind = kind, .input = input, .type = type };
	if (counts(acc))
		acc->type = (struct dsmx_type){ .id = DSMX_INT64 };
	else if (kind == DX_ACCUMULATE_SUM ? !can_sum(input, type) : !dsmx_type_equal(input, type))
		return -EINVAL;
	if (dsmx_type_is_text(acc->type))
		acc->width = sizeof(struct text_state);
	else
		acc->width = acc->type.id == DSMX_BOOL ? 1 : dsmx_type_width(acc->type);
	return acc->width > 0 ? 0 : -EINVAL;
}

void dx_accumulator_fini(struct dx_accumulator *acc)
{
	dx_stash_clear(&acc->stash);
	dx_large_free(acc->states, acc->room * acc->width);
	dx_large_free(acc->has, acc->has_room);
	*acc = (struct dx_accumulator){ 0 };
}

static int grow(struct dx_accumulator *acc)
{
	size_t old = acc->room, room = 2 * old > acc->groups ? 2 * old : acc->groups;
	void *states, *has;

	if (acc->groups <= old)
		return 0;
	room = room < ROOM_FIRST ? ROOM_FIRST : room;
	if (compares(acc)) {
		has = dx_large_grow(acc->has, acc->has_room, room);
		if (has == NULL)
			return -ENOMEM;
		acc->has = has;
		acc->has_room = room;
	}
	states = dx_large_grow(acc->states, old * acc->width, room * acc->width);
	if (states == NULL)
		return -ENOMEM;
	acc->states = states;
	acc->room = (uint32_t)room;
	return 0;
}

int dx_accumulator_reserve(struct dx_accumulator *acc, uint32_t groups)
{
	acc->groups = groups;
	return acc->kind == DX_ACCUMULATE_NULLS && acc->room == 0 ? 0 : grow(acc);
}

size_t dx_accumulator_used(const struct dx_accumulator *acc)
{
	return acc->groups * (acc->width + compares(acc)) + acc->stash.bytes;
}

void dx_accumulator_clear(struct dx_accumulator *acc)
{
	dx_stash_clear(&acc->stash);
	if (acc->room > 0)
		memset(acc->states, 0, acc->groups * acc->width);
	if (acc->has != NULL)
		memset(acc->has, 0, acc->groups);
	acc->groups = 0;
}

/* --- counts -------------------------------------------------------------------------------------------- */

static void update_rows(struct dx_accumulator *acc, const uint32_t *groups, uint32_t count)
{
	int64_t *states = acc->states;

	if (groups == NULL)
		states[0] += count;
	else
		for (uint32_t i = 0; i < count; i++)
			states[groups[i]]++;
}

static int update_nulls(struct dx_accumulator *acc, const uint32_t *groups, const uint8_t *valid,
                        uint32_t count)
{
	int64_t *states;
	int err;

	if (valid == NULL)
		return 0;
	err = grow(acc);
	if (err < 0)
		return err;
	states = acc->states;
	for (uint32_t i = 0; i < count; i++)
		states[groups != NULL ? groups[i] : 0] += !valid[i];
	return 0;
}

/* --- sums ---------------------------------------------------------------------------------------------- */

/* Runs @body for each row i that has a value. */
#define EACH_VALUE(body)                                                                           \
	do {                                                                                       \
		if (valid == NULL) {                                                               \
			for (uint32_t i = 0; i < count; i++) {                                     \
				body                                                               \
			}                                                                          \
		} else {                                                                           \
			for (uint32_t i = 0; i < count; i++) {                                     \
				if (valid[i]) {                                                    \
					body                                                       \
				}                                                                  \
			}                                                                          \
		}                                                                                  \
	} while (0)

/* A vector of small integers has a sum of 64 bits: one addition to the state that must be checked. */
#define SUM_SMALL(type)                                                                            \
	do {                                                                                       \
		const type *values = vector->values;                                               \
		if (groups == NULL)                                                                \
			EACH_VALUE(total += values[i];);                                           \
		else                                                                               \
			EACH_VALUE(over |= __builtin_add_overflow(states[groups[i]], values[i],    \
			                                          &states[groups[i]]););           \
	} while (0)

static int sum_to_int64(struct dx_accumulator *acc, const uint32_t *groups,
                        const struct dx_vector *vector, uint32_t count)
{
	const uint8_t *valid = vector->valid;
	const int64_t *wide = vector->values;
	int64_t *states = acc->states, total = 0;
	bool over = false;

	switch (acc->input.id) {
	case DSMX_INT8:
		SUM_SMALL(int8_t);
		break;
	case DSMX_INT16:
		SUM_SMALL(int16_t);
		break;
	case DSMX_INT32:
		SUM_SMALL(int32_t);
		break;
	case DSMX_UINT8:
		SUM_SMALL(uint8_t);
		break;
	case DSMX_UINT16:
		SUM_SMALL(uint16_t);
		break;
	case DSMX_UINT32:
		SUM_SMALL(uint32_t);
		break;
	default:
		if (groups == NULL)
			EACH_VALUE(over |= __builtin_add_overflow(total, wide[i], &total););
		else
			EACH_VALUE(over |= __builtin_add_overflow(states[groups[i]], wide[i],
			                                          &states[groups[i]]););
		break;
	}
	if (groups == NULL)
		over |= __builtin_add_overflow(states[0], total, &states[0]);
	return over ? -ERANGE : 0;
}

/* Halves of 64-bit values: neither sum can overflow within a vector, and both vectorise. */
static __int128 total_of_int64(const int64_t *values, const uint8_t *valid, uint32_t count)
{
	int64_t high = 0;
	uint64_t low = 0;

	EACH_VALUE(low += (uint32_t)values[i]; high += values[i] >> 32;);
	return (__int128)high * ((__int128)1 << 32) + low;
}

static inline __int128 load_wide(const void *values, uint32_t i)
{
	__int128 value;

	memcpy(&value, (const uint8_t *)values + 16 * (size_t)i, sizeof(value));
	return value;
}

#define SUM_TO_WIDE(type)                                                                          \
	do {                                                                                       \
		const type *values = vector->values;                                               \
		if (groups == NULL)                                                                \
			EACH_VALUE(total += values[i];);                                           \
		else                                                                               \
			EACH_VALUE(states[groups[i]] += values[i];);                               \
	} while (0)

/*
 * 64-bit values need 2^63 rows to overflow a state: nothing to check. 16-byte ones are checked for their
 * 128 bits here, and for their digits when the result is given out.
 */
static int sum_to_decimal(struct dx_accumulator *acc, const uint32_t *groups,
                          const struct dx_vector *vector, uint32_t count)
{
	const uint8_t *valid = vector->valid;
	__int128 *states = acc->states, total = 0;
	bool over = false;

	if (dsmx_type_width(acc->input) == 16)
		EACH_VALUE(uint32_t g = groups != NULL ? groups[i] : 0;
		           over |= __builtin_add_overflow(states[g], load_wide(vector->values, i),
		                                          &states[g]););
	else if (acc->input.id == DSMX_UINT64)
		SUM_TO_WIDE(uint64_t);
	else if (dsmx_type_width(acc->input) == 8 && groups == NULL)
		total = total_of_int64(vector->values, valid, count);
	else if (dsmx_type_width(acc->input) == 8)
		SUM_TO_WIDE(int64_t);
	else if (acc->input.id == DSMX_UINT32)
		SUM_TO_WIDE(uint32_t);
	else if (acc->input.id == DSMX_INT32)
		SUM_TO_WIDE(int32_t);
	else if (acc->input.id == DSMX_UINT16)
		SUM_TO_WIDE(uint16_t);
	else if (acc->input.id == DSMX_INT16)
		SUM_TO_WIDE(int16_t);
	else if (acc->input.id == DSMX_UINT8)
		SUM_TO_WIDE(uint8_t);
	else
		SUM_TO_WIDE(int8_t);
	if (groups == NULL)
		over |= __builtin_add_overflow(states[0], total, &states[0]);
	return over ? -ERANGE : 0;
}

static void sum_to_float(struct dx_accumulator *acc, const uint32_t *groups,
                         const struct dx_vector *vector, uint32_t count)
{
	const uint8_t *valid = vector->valid;
	const double *doubles = vector->values;
	const float *floats = vector->values;
	double *states = acc->states;

	if (acc->input.id == DSMX_FLOAT64)
		EACH_VALUE(states[groups != NULL ? groups[i] : 0] += doubles[i];);
	else
		EACH_VALUE(states[groups != NULL ? groups[i] : 0] += (double)floats[i];);
}

static int update_sum(struct dx_accumulator *acc, const uint32_t *groups,
                      const struct dx_vector *vector, uint32_t count)
{
	if (acc->type.id == DSMX_INT64)
		return sum_to_int64(acc, groups, vector, count);
	if (acc->type.id == DSMX_DECIMAL)
		return sum_to_decimal(acc, groups, vector, count);
	sum_to_float(acc, groups, vector, count);
	return 0;
}

/* --- least and greatest -------------------------------------------------------------------------------- */

#define BEST(type, load, is_less)                                                                  \
	do {                                                                                       \
		type *states = acc->states;                                                        \
		EACH_VALUE(uint32_t g = groups != NULL ? groups[i] : 0; type a = load;             \
		           type b = states[g];                                                     \
		           if (!has[g] || (greatest ? is_less(b, a) : is_less(a, b))) {            \
				   states[g] = a;                                                  \
				   has[g] = 1;                                                     \
			   });                                                                     \
	} while (0)

#define IS_LESS(a, b)       ((a) < (b))
#define IS_LESS_FLOAT(a, b) ((a) < (b) || ((b) != (b) && (a) == (a))) /* NaN is greatest */

#define BEST_OF(type)                                                                              \
	do {                                                                                       \
		const type *values = vector->values;                                               \
		BEST(type, values[i], IS_LESS);                                                    \
	} while (0)

static void update_best_float(struct dx_accumulator *acc, const uint32_t *groups,
                              const struct dx_vector *vector, uint32_t count)
{
	bool greatest = acc->kind == DX_ACCUMULATE_MAX;
	const uint8_t *valid = vector->valid;
	const double *doubles = vector->values;
	const float *floats = vector->values;
	uint8_t *has = acc->has;

	if (acc->input.id == DSMX_FLOAT64)
		BEST(double, doubles[i], IS_LESS_FLOAT);
	else
		BEST(float, floats[i], IS_LESS_FLOAT);
}

static void update_best(struct dx_accumulator *acc, const uint32_t *groups,
                        const struct dx_vector *vector, uint32_t count)
{
	bool greatest = acc->kind == DX_ACCUMULATE_MAX;
	bool is_signed = acc->input.id < DSMX_UINT8 || acc->input.id > DSMX_UINT64;
	const uint8_t *valid = vector->valid;
	uint8_t *has = acc->has;

	if (acc->width == 16)
		BEST(__int128, load_wide(vector->values, i), IS_LESS);
	else if (acc->width == 8 && is_signed)
		BEST_OF(int64_t);
	else if (acc->width == 8)
		BEST_OF(uint64_t);
	else if (acc->width == 4 && is_signed)
		BEST_OF(int32_t);
	else if (acc->width == 4)
		BEST_OF(uint32_t);
	else if (acc->width == 2 && is_signed)
		BEST_OF(int16_t);
	else if (acc->width == 2)
		BEST_OF(uint16_t);
	else if (acc->input.id == DSMX_INT8)
		BEST_OF(int8_t);
	else
		BEST_OF(uint8_t); /* bool too */
}

/* Makes room for a text of @len bytes. */
static int make_room(struct dx_accumulator *acc, struct text_state *state, uint32_t len)
{
	size_t need = len + (size_t)len / 2 + 8;

	if (len <= state->room && state->bytes != NULL)
		return 0;
	need = need > UINT32_MAX ? UINT32_MAX : need;
	state->bytes = dx_stash_take(&acc->stash, need);
	if (state->bytes == NULL)
		return -ENOMEM;
	state->room = (uint32_t)need;
	return 0;
}

static int compare_texts(const struct dx_text *a, const struct text_state *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;
	int order = common > 0 ? memcmp(a->bytes, b->bytes, common) : 0;

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static int update_best_text(struct dx_accumulator *acc, const uint32_t *groups,
                            const struct dx_vector *vector, uint32_t count)
{
	int wanted = acc->kind == DX_ACCUMULATE_MAX ? 1 : -1;
	const struct dx_text *texts = vector->values;
	struct text_state *states = acc->states;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t g = groups != NULL ? groups[i] : 0;

		if (vector->valid != NULL && !vector->valid[i])
			continue;
		if (acc->has[g] && compare_texts(&texts[i], &states[g]) * wanted <= 0)
			continue;
		if (make_room(acc, &states[g], texts[i].len) < 0)
			return -ENOMEM;
		if (texts[i].len > 0)
			memcpy(states[g].bytes, texts[i].bytes, texts[i].len);
		states[g].len = texts[i].len;
		acc->has[g] = 1;
	}
	return 0;
}

/* --- all ----------------------------------------------------------------------------------------------- */

int dx_accumulator_update(struct dx_accumulator *acc, const uint32_t *groups,
                          const struct dx_vector *vector, uint32_t count)
{
	switch (acc->kind) {
	case DX_ACCUMULATE_ROWS:
		update_rows(acc, groups, count);
		return 0;
	case DX_ACCUMULATE_NULLS:
		return update_nulls(acc, groups, vector->valid, count);
	case DX_ACCUMULATE_SUM:
		return update_sum(acc, groups, vector, count);
	default:
		if (dsmx_type_is_text(acc->type))
			return update_best_text(acc, groups, vector, count);
		if (acc->type.id == DSMX_FLOAT32 || acc->type.id == DSMX_FLOAT64)
			update_best_float(acc, groups, vector, count);
		else
			update_best(acc, groups, vector, count);
		return 0;
	}
}

struct dx_vector dx_accumulator_states(const struct dx_accumulator *acc, uint32_t first,
                                       uint32_t count, struct dx_text *texts)
{
	struct dx_vector vector = {
		.type = acc->type,
		.valid = acc->has != NULL ? acc->has + first : NULL,
		.values = acc->room > 0 ? (const uint8_t *)acc->states + first * acc->width : NULL,
	};

	if (dsmx_type_is_text(acc->type)) {
		const struct text_state *states = vector.values;

		for (uint32_t i = 0; i < count; i++)
			texts[i] = (struct dx_text){ states[i].bytes, states[i].len };
		vector.values = texts;
	}
	return vector;
}
