/* SPDX-License-Identifier: MIT */
/* Keys as bytes, and the table that numbers them. */
#include "exec/table.h"

#include "harness.h"
#include "rows.h"

static const struct dsmx_type int64 = { .id = DSMX_INT64 };
static const struct dsmx_type text = { .id = DSMX_UTF8 };

/* --- keys ---------------------------------------------------------------------------------------------- */

#define ROUND_ROWS 500

/* A vector of @count random values of a type, some null. */
struct made_vector {
	struct dx_vector vector;
	struct value values[ROUND_ROWS];
	uint8_t valid[ROUND_ROWS];
	__int128 fixed[ROUND_ROWS];
	struct dx_text texts[ROUND_ROWS];
};

static void make_vector(struct made_vector *made, struct dsmx_type type, uint64_t *chance)
{
	for (uint32_t i = 0; i < ROUND_ROWS; i++) {
		struct value *value = &made->values[i];

		*value = value_random(type, 50, chance);
		value->null = rows_below(chance, 6) == 0;
		made->valid[i] = !value->null;
		made->texts[i] = (struct dx_text){ value->text, value->len };
		if (type.id == DSMX_BOOL)
			((uint8_t *)made->fixed)[i] = value->i != 0;
		else if (!dsmx_type_is_text(type))
			rows_put_value(type, value, made->fixed, i);
	}
	made->vector = (struct dx_vector){ type, made->valid,
		                           dsmx_type_is_text(type) ? (void *)made->texts
		                                                   : (void *)made->fixed };
}

/* Encodes vectors of all the types, decodes them, and looks whether equal rows have equal keys. */
static void round_trip(const struct dsmx_type *types, uint32_t columns, uint64_t seed, bool *ok)
{
	struct made_vector *made = calloc(columns, sizeof(*made));
	struct dx_vector *vectors = calloc(columns, sizeof(*vectors));
	uint8_t valid[ROUND_ROWS];
	__int128 values[ROUND_ROWS];
	struct dx_keys keys;

	CHECK(made != NULL && vectors != NULL);
	for (uint32_t c = 0; c < columns; c++) {
		make_vector(&made[c], types[c], &seed);
		vectors[c] = made[c].vector;
	}
	CHECK_EQ(dx_keys_init(&keys, types, NULL, columns), 0);
	CHECK_EQ(dx_keys_encode(&keys, vectors, ROUND_ROWS), 0);
	for (uint32_t c = 0; c < columns; c++) {
		size_t width = types[c].id == DSMX_BOOL ? 1 : dsmx_type_width(types[c]);

		(void)dx_keys_decode(&keys, c, keys.keys, ROUND_ROWS, valid, values);
		for (uint32_t i = 0; i < ROUND_ROWS; i++) {
			const struct dx_text *seen = (struct dx_text *)(void *)values + i;
			const struct value *want = &made[c].values[i];

			CHECK_EQ(valid[i], !want->null);
			if (want->null || type_is_float(types[c]))
				continue;
			if (width == 0)
				CHECK(seen->len == want->len &&
				      memcmp(seen->bytes, want->text, want->len) == 0);
			else
				CHECK(memcmp((uint8_t *)values + i * width, &want->i, width) == 0);
		}
	}
	for (uint32_t i = 0; i + 1 < ROUND_ROWS; i++) {
		bool same = true;

		for (uint32_t c = 0; c < columns; c++) {
			const struct value *a = &made[c].values[i], *b = a + 1;

			same &= a->null == b->null &&
			        (a->null || value_compare(types[c], a, b) == 0);
		}
		CHECK_EQ(dx_key_equal(&keys.keys[i], &keys.keys[i + 1]), same);
	}
	dx_keys_fini(&keys);
	free(made);
	free(vectors);
}

TEST(keys_round_trip, "keys of every type come back as they were, and are equal where values are")
{
	static const uint8_t ids[] = { DSMX_BOOL,    DSMX_INT8,    DSMX_INT16,      DSMX_INT32,
		                       DSMX_INT64,   DSMX_UINT8,   DSMX_UINT16,     DSMX_UINT32,
		                       DSMX_UINT64,  DSMX_FLOAT32, DSMX_FLOAT64,    DSMX_DATE32,
		                       DSMX_UTF8,    DSMX_BINARY,  DSMX_LARGE_UTF8, DSMX_TIMESTAMP,
		                       DSMX_DECIMAL, DSMX_DECIMAL };

	for (size_t a = 0; a < DX_ARRAY_LEN(ids); a++) {
		for (size_t b = 0; b < DX_ARRAY_LEN(ids); b++) {
			struct dsmx_type types[2] = { { .id = ids[a] }, { .id = ids[b] } };

			for (int i = 0; i < 2; i++)
				if (types[i].id == DSMX_DECIMAL)
					types[i].precision = a % 2 == 0 ? 15 : 30;
			round_trip(types, 1 + (a != b), 100 * a + b, ok);
			CHECK(*ok);
		}
	}
}

TEST(keys_many_columns, "more columns than the shape has bits for keep their nulls apart")
{
	struct dsmx_type types[70];

	for (uint32_t columns = 28; columns <= 70; columns += 3) {
		for (uint32_t c = 0; c < columns; c++)
			types[c] = c % 5 == 4 ? text : (struct dsmx_type){ .id = DSMX_INT8 };
		round_trip(types, columns, columns, ok);
		CHECK(*ok);
	}
}

/* --- the table ----------------------------------------------------------------------------------------- */

static void reserve(struct dx_table *table, uint64_t more, uint32_t *ret_steps, bool *ok)
{
	int ret;

	while ((ret = dx_table_reserve(table, more)) == 0)
		(*ret_steps)++;
	CHECK_EQ(ret, 1);
}

TEST(table_collision, "keys with one hash are told apart: by value, by their nulls, by long bytes")
{
	static const char bytes[][24] = { "twenty-four equal bytes", "twenty-four equal bytez" };
	uint32_t numbers[3], steps = 0;
	struct dx_table table;
	struct dx_keys keys;

	CHECK_EQ(dx_keys_init(&keys, &int64, NULL, 1), 0);
	CHECK_EQ(dx_table_init(&table, &keys), 0);
	reserve(&table, 3, &steps, ok);
	keys.keys[0] = (struct dx_key){ .low = 0, .shape = 8 };
	keys.keys[1] = (struct dx_key){ .low = 0, .shape = 8 | 1ULL << DX_KEY_NULL_SHIFT };
	keys.keys[2] = (struct dx_key){ .low = 1, .shape = 8 };
	CHECK_EQ(dx_table_insert(&table, &keys, 3, false, numbers), 0);
	CHECK_EQ(table.count, 3);
	dx_table_fini(&table);
	dx_keys_fini(&keys);

	CHECK_EQ(dx_keys_init(&keys, &text, NULL, 1), 0);
	CHECK_EQ(dx_table_init(&table, &keys), 0);
	reserve(&table, 3, &steps, ok);
	for (int i = 0; i < 2; i++)
		keys.keys[i] = (struct dx_key){ .high = (uintptr_t)bytes[i],
			                        .shape = sizeof(bytes[i]) | DX_KEY_LONG };
	keys.keys[2] = keys.keys[0];
	CHECK_EQ(dx_table_insert(&table, &keys, 3, false, numbers), 0);
	CHECK_EQ(numbers[0], 0);
	CHECK_EQ(numbers[1], 1);
	CHECK_EQ(numbers[2], 0);
	CHECK(table.keys[0].high != (uintptr_t)bytes[0]); /* a copy */
	dx_table_fini(&table);
	dx_keys_fini(&keys);
}

static void number_many(struct dsmx_type type, bool *ok)
{
	const uint32_t all = 200000, vector = 2000;
	static char names[2000][32];
	static struct dx_text texts[2000];
	static int64_t values[2000];
	static uint32_t numbers[2000];
	struct dx_vector column = { .type = type,
		                    .values =
		                            type.id == DSMX_UTF8 ? (void *)texts : (void *)values };
	uint32_t steps = 0;
	struct dx_table table;
	struct dx_keys keys;

	CHECK_EQ(dx_keys_init(&keys, &type, NULL, 1), 0);
	CHECK_EQ(dx_table_init(&table, &keys), 0);
	for (uint32_t at = 0; at < 2 * all; at += vector) {
		for (uint32_t i = 0; i < vector; i++) {
			values[i] = (int64_t)(at % all + i) * 7919;
			texts[i].len = (uint32_t)snprintf(names[i], sizeof(names[i]), "a key: %lld",
			                                  (long long)values[i]);
			texts[i].bytes = names[i];
		}
		reserve(&table, vector, &steps, ok);
		CHECK_EQ(dx_keys_encode(&keys, &column, vector), 0);
		if (at < all)
			CHECK_EQ(dx_table_insert(&table, &keys, vector, true, numbers), 0);
		else
			dx_table_find(&table, &keys, vector, numbers);
		for (uint32_t i = 0; i < vector; i++)
			CHECK_EQ(numbers[i], at % all + i);
	}
	CHECK_EQ(table.count, all);
	CHECK(steps > 10); /* growing was not done at once */
	values[0] = -1;
	texts[0].len = 3;
	CHECK_EQ(dx_keys_encode(&keys, &column, 1), 0);
	dx_table_find(&table, &keys, 1, numbers);
	CHECK_EQ(numbers[0], DX_TABLE_NONE);
	dx_table_clear(&table);
	CHECK_EQ(table.count, 0);
	dx_table_find(&table, &keys, 1, numbers);
	CHECK_EQ(numbers[0], DX_TABLE_NONE);
	dx_table_fini(&table);
	dx_keys_fini(&keys);
}

TEST(table_grows, "numbers stay while the table grows, in steps, for short keys and for long ones")
{
	number_many(int64, ok);
	CHECK(*ok);
	number_many(text, ok);
}

TEST(table_limit, "more keys than a table can number are -E2BIG")
{
	struct dx_table table;
	struct dx_keys keys;

	CHECK_EQ(dx_keys_init(&keys, &int64, NULL, 1), 0);
	CHECK_EQ(dx_table_init(&table, &keys), 0);
	CHECK_EQ(dx_table_reserve(&table, DX_TABLE_KEYS_MAX + 1ULL), -E2BIG);
	dx_table_fini(&table);
	dx_keys_fini(&keys);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
