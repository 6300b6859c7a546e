/* SPDX-License-Identifier: MIT */
#include "exec/key.h"

#include <errno.h>
#include <stdlib.h>

/* Columns from this one on share the last bit of the shape; marks in the bytes tell them apart. */
#define LAST_NULL_BIT 30U

#define LONG_SEED 0x2545f4914f6cdd1dULL

struct dx_key_column {
	struct dsmx_type type;
	uint32_t width;  /* encoded; 0: text */
	uint32_t offset; /* of a fixed-width value; of a text: how many texts come before it */
};

static uint64_t null_bit(uint32_t column)
{
	return 1ULL << (DX_KEY_NULL_SHIFT + (column < LAST_NULL_BIT ? column : LAST_NULL_BIT));
}

static bool has_marks(const struct dx_keys *keys)
{
	return keys->column_count > LAST_NULL_BIT + 1;
}

int dx_keys_init(struct dx_keys *keys, const struct dsmx_type *types, const bool *wide,
                 uint32_t column_count)
{
	uint32_t texts = 0;

	*keys = (struct dx_keys){ .column_count = column_count };
	keys->columns = calloc(column_count > 0 ? column_count : 1, sizeof(*keys->columns));
	keys->keys = calloc(DX_VECTOR_ROWS, sizeof(*keys->keys));
	keys->hashes = calloc(DX_VECTOR_ROWS, sizeof(*keys->hashes));
	keys->words = calloc(DX_VECTOR_ROWS, sizeof(*keys->words));
	keys->longs = calloc(DX_VECTOR_ROWS, sizeof(*keys->longs));
	keys->cursors = calloc(DX_VECTOR_ROWS, sizeof(*keys->cursors));
	if (keys->columns == NULL || keys->keys == NULL || keys->hashes == NULL ||
	    keys->words == NULL || keys->longs == NULL || keys->cursors == NULL) {
		dx_keys_fini(keys);
		return -ENOMEM;
	}
	keys->fixed_bytes = has_marks(keys) ? column_count : 0;
	for (uint32_t i = 0; i < column_count; i++) {
		struct dx_key_column *column = &keys->columns[i];

		column->type = types[i];
		if (dsmx_type_is_text(types[i])) {
			keys->has_text = true;
			column->offset = texts++;
			continue;
		}
		column->width = types[i].id == DSMX_BOOL ? 1 : (uint32_t)dsmx_type_width(types[i]);
		if (wide != NULL && wide[i])
			column->width = 16;
		column->offset = keys->fixed_bytes;
		keys->fixed_bytes += column->width;
	}
	return 0;
}

void dx_keys_fini(struct dx_keys *keys)
{
	free(keys->columns);
	free(keys->keys);
	free(keys->hashes);
	free(keys->words);
	free(keys->longs);
	free(keys->cursors);
	free(keys->bytes);
	*keys = (struct dx_keys){ 0 };
}

/* --- fixed-width columns ------------------------------------------------------------------------------ */

#define WORDS(type, expression)                                                                    \
	do {                                                                                       \
		const type *from_ = vector->values;                                                \
		for (uint32_t i = 0; i < count; i++) {                                             \
			type v = from_[i];                                                         \
			words[i] = (expression);                                                   \
		}                                                                                  \
	} while (0)

static uint64_t float_word(float v)
{
	uint32_t bits;

	if (v != v)
		return 0x7fc00000U;
	v += 0.0F; /* -0.0 becomes 0.0 */
	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

static uint64_t double_word(double v)
{
	uint64_t bits;

	if (v != v)
		return 0x7ff8000000000000ULL;
	v += 0.0;
	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

/* Values of up to 8 bytes as words; of a decimal written wide, the half that @high says. */
static void load_words(const struct dx_key_column *column, const struct dx_vector *vector,
                       uint32_t count, bool high, uint64_t *words)
{
	size_t width = dsmx_type_width(vector->type);

	if (vector->type.id == DSMX_FLOAT32)
		WORDS(float, float_word(v));
	else if (vector->type.id == DSMX_FLOAT64)
		WORDS(double, double_word(v));
	else if (width == 16)
		for (uint32_t i = 0; i < count; i++)
			memcpy(&words[i],
			       (const uint8_t *)vector->values + 16 * (size_t)i + (high ? 8 : 0),
			       8);
	else if (column->width == 16)
		WORDS(int64_t, high ? (uint64_t)(v >> 63) : (uint64_t)v);
	else if (width == 8)
		WORDS(uint64_t, v);
	else if (width == 4)
		WORDS(uint32_t, v);
	else if (width == 2)
		WORDS(uint16_t, v);
	else
		WORDS(uint8_t, v);
	if (vector->valid != NULL)
		for (uint32_t i = 0; i < count; i++)
			words[i] &= -(uint64_t)vector->valid[i];
}

/* Words into the keys' 16 bytes, from byte @offset on; the keys are zero there. */
static void merge_words(struct dx_keys *keys, uint32_t offset, uint32_t count)
{
	const uint64_t *words = keys->words;
	uint32_t shift = 8 * (offset & 7);

	if (offset >= 8) {
		for (uint32_t i = 0; i < count; i++)
			keys->keys[i].high |= words[i] << shift;
	} else if (shift > 0) {
		for (uint32_t i = 0; i < count; i++) {
			keys->keys[i].low |= words[i] << shift;
			keys->keys[i].high |= words[i] >> (64 - shift);
		}
	} else {
		for (uint32_t i = 0; i < count; i++)
			keys->keys[i].low |= words[i];
	}
}

static void encode_fixed(struct dx_keys *keys, const struct dx_vector *vectors, uint32_t count)
{
	for (uint32_t c = 0; c < keys->column_count; c++) {
		const struct dx_key_column *column = &keys->columns[c];

		if (column->width == 0)
			continue;
		load_words(column, &vectors[c], count, false, keys->words);
		merge_words(keys, column->offset, count);
		if (column->width < 16)
			continue;
		load_words(column, &vectors[c], count, true, keys->words);
		merge_words(keys, column->offset + 8, count);
	}
}

/* Zero keys with the length of their fixed part, and their nulls. */
static void begin(struct dx_keys *keys, const struct dx_vector *vectors, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		keys->keys[i] = (struct dx_key){ .shape = keys->fixed_bytes };
	for (uint32_t c = 0; c < keys->column_count; c++) {
		const uint8_t *valid = vectors[c].valid;
		uint64_t bit = null_bit(c);

		if (valid != NULL)
			for (uint32_t i = 0; i < count; i++)
				keys->keys[i].shape |= valid[i] ? 0 : bit;
	}
}

/* --- texts --------------------------------------------------------------------------------------------- */

/* At most 15 bytes as a number, without a look behind the last. */
static unsigned __int128 load_text(const char *bytes, uint32_t len)
{
	uint64_t a = 0, b = 0;

	if (len >= 8) {
		memcpy(&a, bytes, 8);
		memcpy(&b, bytes + len - 8, 8);
		return (unsigned __int128)a | (unsigned __int128)b << (8 * (len - 8));
	}
	if (len >= 4) {
		uint32_t low, high;

		memcpy(&low, bytes, 4);
		memcpy(&high, bytes + len - 4, 4);
		return (uint64_t)low | (uint64_t)high << (8 * (len - 4));
	}
	if (len > 0)
		a = (uint8_t)bytes[0] | (uint64_t)(uint8_t)bytes[len >> 1] << (8 * (len >> 1)) |
		    (uint64_t)(uint8_t)bytes[len - 1] << (8 * (len - 1));
	return a;
}

/* Have all texts one length of at most 7 bytes? Flags and codes do, and are what is grouped by most. */
static bool is_uniform(const struct dx_vector *vector, uint32_t count)
{
	const struct dx_text *texts = vector->values;
	uint32_t differ = 0;

	if (vector->valid != NULL || texts[0].len > 7)
		return false;
	for (uint32_t i = 1; i < count; i++)
		differ |= texts[i].len ^ texts[0].len;
	return differ == 0;
}

/* Such texts, to keys that all have @at bytes: as one would merge a fixed-width column. */
static void append_uniform(struct dx_keys *keys, const struct dx_vector *vector, uint32_t at,
                           uint32_t count)
{
	const struct dx_text *texts = vector->values;
	uint32_t len = texts[0].len;

	if (len == 1)
		for (uint32_t i = 0; i < count; i++)
			keys->words[i] = (uint64_t)(uint8_t)texts[i].bytes[0] << 8 | 1;
	else
		for (uint32_t i = 0; i < count; i++)
			keys->words[i] = (uint64_t)load_text(texts[i].bytes, len) << 8 | len;
	merge_words(keys, at, count);
	for (uint32_t i = 0; i < count; i++)
		keys->keys[i].shape += len + 1;
}

/*
 * Appends one column of texts to keys that are short so far, and counts what they would need; 16 bytes of
 * fixed part and more leave no room. Returns 0 or -E2BIG.
 */
static int append_texts(struct dx_keys *keys, const struct dx_vector *vector, uint32_t count)
{
	const struct dx_text *texts = vector->values;
	uint32_t longest = (1U << 30) / keys->column_count;
	bool too_long = false;

	for (uint32_t i = 0; i < count; i++) {
		struct dx_key *key = &keys->keys[i];
		uint32_t len = vector->valid == NULL || vector->valid[i] ? texts[i].len : 0;
		uint32_t at = key->shape & DX_KEY_LENGTH;

		too_long |= len > longest;
		if (at + len < DX_KEY_INLINE) {
			unsigned __int128 text = load_text(texts[i].bytes, len) << 8 | len;

			text <<= 8 * at;
			key->low |= (uint64_t)text;
			key->high |= (uint64_t)(text >> 64);
		}
		key->shape += (uint64_t)len + 1;
	}
	return too_long ? -E2BIG : 0;
}

static int encode_texts(struct dx_keys *keys, const struct dx_vector *vectors, uint32_t count)
{
	uint32_t at = keys->fixed_bytes; /* of all keys, while that is so */
	bool uniform = true;
	int err;

	for (uint32_t c = 0; c < keys->column_count; c++) {
		const struct dx_text *texts = vectors[c].values;

		if (keys->columns[c].width > 0)
			continue;
		uniform = uniform && is_uniform(&vectors[c], count) &&
		          at + texts[0].len < DX_KEY_INLINE;
		if (uniform) {
			append_uniform(keys, &vectors[c], at, count);
			at += texts[0].len + 1;
			continue;
		}
		err = append_texts(keys, &vectors[c], count);
		if (err < 0)
			return err;
	}
	return 0;
}

/* --- long keys ----------------------------------------------------------------------------------------- */

/* Finds the long keys and gives each its place in @bytes. Returns how many they are, or -ENOMEM. */
static int place_longs(struct dx_keys *keys, uint32_t count)
{
	size_t need = 0, longer = 3 * (size_t)keys->column_count;
	int longs = 0;

	for (uint32_t i = 0; i < count; i++) {
		size_t len = keys->keys[i].shape & DX_KEY_LENGTH;

		if (len <= DX_KEY_INLINE)
			continue;
		keys->longs[longs] = i;
		keys->cursors[longs] = need;
		need += len + longer; /* a text's length takes 4 bytes here */
		longs++;
	}
	if (need > keys->room) {
		uint8_t *grown = realloc(keys->bytes, need + need / 2);

		if (grown == NULL)
			return -ENOMEM;
		keys->bytes = grown;
		keys->room = need + need / 2;
	}
	for (int l = 0; l < longs; l++)
		keys->keys[keys->longs[l]].high = (uintptr_t)(keys->bytes + keys->cursors[l]);
	return longs;
}

static void write_fixed(struct dx_keys *keys, const struct dx_key_column *column,
                        const struct dx_vector *vector, uint32_t count, uint32_t longs)
{
	for (uint32_t half = 0; half < (column->width == 16 ? 2 : 1); half++) {
		size_t width = column->width == 16 ? 8 : column->width;

		load_words(column, vector, count, half == 1, keys->words);
		for (uint32_t l = 0; l < longs; l++)
			memcpy(keys->bytes + keys->cursors[l] + column->offset + 8 * half,
			       &keys->words[keys->longs[l]], width);
	}
}

static void write_marks(struct dx_keys *keys, const struct dx_vector *vectors, uint32_t longs)
{
	for (uint32_t c = 0; c < keys->column_count; c++)
		for (uint32_t l = 0; l < longs; l++)
			keys->bytes[keys->cursors[l] + c] =
				vectors[c].valid == NULL || vectors[c].valid[keys->longs[l]];
}

static void write_texts(struct dx_keys *keys, const struct dx_vector *vector, uint32_t longs)
{
	const struct dx_text *texts = vector->values;

	for (uint32_t l = 0; l < longs; l++) {
		uint32_t i = keys->longs[l];
		uint32_t len = vector->valid == NULL || vector->valid[i] ? texts[i].len : 0;
		uint8_t *to = keys->bytes + keys->cursors[l];

		memcpy(to, &len, sizeof(len));
		if (len > 0)
			memcpy(to + sizeof(len), texts[i].bytes, len);
		keys->cursors[l] += sizeof(len) + len;
	}
}

static int encode_longs(struct dx_keys *keys, const struct dx_vector *vectors, uint32_t count)
{
	int placed = place_longs(keys, count);
	uint32_t longs = (uint32_t)placed;

	if (placed <= 0)
		return placed;
	if (has_marks(keys))
		write_marks(keys, vectors, longs);
	for (uint32_t c = 0; c < keys->column_count; c++)
		if (keys->columns[c].width > 0)
			write_fixed(keys, &keys->columns[c], &vectors[c], count, longs);
	for (uint32_t l = 0; l < longs; l++)
		keys->cursors[l] += keys->fixed_bytes;
	for (uint32_t c = 0; c < keys->column_count; c++)
		if (keys->columns[c].width == 0)
			write_texts(keys, &vectors[c], longs);
	for (uint32_t l = 0; l < longs; l++) {
		struct dx_key *key = &keys->keys[keys->longs[l]];
		const uint8_t *bytes = (const uint8_t *)(uintptr_t)key->high;
		size_t len = (size_t)(keys->bytes + keys->cursors[l] - bytes);

		key->low = dx_hash_bytes(bytes, len, LONG_SEED);
		key->shape = len | (key->shape & DX_KEY_NULLS) | DX_KEY_LONG;
	}
	return 0;
}

int dx_keys_encode(struct dx_keys *keys, const struct dx_vector *vectors, uint32_t count)
{
	int err;

	begin(keys, vectors, count);
	if (keys->fixed_bytes <= DX_KEY_INLINE)
		encode_fixed(keys, vectors, count);
	if (keys->has_text) {
		err = encode_texts(keys, vectors, count);
		if (err < 0)
			return err;
	}
	if (keys->has_text || keys->fixed_bytes > DX_KEY_INLINE) {
		err = encode_longs(keys, vectors, count);
		if (err < 0)
			return err;
	}
	for (uint32_t i = 0; i < count; i++)
		keys->hashes[i] = dx_key_hash(&keys->keys[i]);
	return 0;
}

/* --- back ---------------------------------------------------------------------------------------------- */

static void decode_texts(const struct dx_keys *keys, const struct dx_key_column *column,
                         const struct dx_key *from, uint32_t count, struct dx_text *texts)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = dx_key_bytes(&from[i]) + keys->fixed_bytes;
		size_t head = from[i].shape & DX_KEY_LONG ? 4 : 1;
		uint32_t len = 0;

		for (uint32_t before = 0; before <= column->offset; before++) {
			at += before > 0 ? len : 0;
			len = 0;
			memcpy(&len, at, head);
			at += head;
		}
		texts[i] = (struct dx_text){ (const char *)at, len };
	}
}

#define DECODE(type)                                                                               \
	do {                                                                                       \
		type *to_ = values;                                                                \
		for (uint32_t i = 0; i < count; i++)                                               \
			memcpy(&to_[i], dx_key_bytes(&from[i]) + offset, sizeof(type));            \
	} while (0)

bool dx_keys_decode(const struct dx_keys *keys, uint32_t column, const struct dx_key *from,
                    uint32_t count, uint8_t *valid, void *values)
{
	uint32_t offset = keys->columns[column].offset;
	uint64_t bit = null_bit(column);
	uint8_t all = 1;

	for (uint32_t i = 0; i < count; i++) {
		valid[i] = has_marks(keys) ? dx_key_bytes(&from[i])[column]
		                           : (from[i].shape & bit) == 0;
		all &= valid[i];
	}
	switch (keys->columns[column].width) {
	case 0:
		decode_texts(keys, &keys->columns[column], from, count, values);
		break;
	case 1:
		DECODE(uint8_t);
		break;
	case 2:
		DECODE(uint16_t);
		break;
	case 4:
		DECODE(uint32_t);
		break;
	case 8:
		DECODE(uint64_t);
		break;
	default:
		DECODE(__int128);
		break;
	}
	return all != 0;
}
