/* SPDX-License-Identifier: MIT */
/*
 * hash.h - the hash of rows: the exchange's and the operators', with different seeds
 *
 * The same in every process and on every machine: it decides where a row goes. Two rows that are equal
 * by the rules of DSMX_FN_EQUAL have the same hash: -0.0 is hashed as 0.0, any NaN as one NaN, decimals
 * by value in 64 bits where they fit (so a type's width does not matter), text by its bytes.
 *
 * The mix is a 64 x 64 -> 128 bit product folded, as in wyhash (Wang Yi, public domain).
 */
#ifndef DX_BASE_HASH_H
#define DX_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DX_HASH_K0 0xa0761d6478bd642fULL
#define DX_HASH_K1 0xe7037ed1a0b428dbULL
#define DX_HASH_K2 0x8ebc6af09c88c6e3ULL

/* Hash of a null, whatever its type. */
#define DX_HASH_NULL 0x9e3779b97f4a7c15ULL

static inline uint64_t dx_hash_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A 64-bit value (integers are sign- or zero-extended) under @seed. */
static inline uint64_t dx_hash_u64(uint64_t value, uint64_t seed)
{
	return dx_hash_fold(value ^ DX_HASH_K0, seed ^ DX_HASH_K1);
}

/* The hash of one more column joined to that of the columns before it. */
static inline uint64_t dx_hash_combine(uint64_t hash, uint64_t next)
{
	return dx_hash_fold(hash ^ DX_HASH_K2, next ^ DX_HASH_K1);
}

static inline uint64_t dx_hash_i128(__int128 value, uint64_t seed)
{
	if (value == (int64_t)value)
		return dx_hash_u64((uint64_t)value, seed);
	return dx_hash_combine(dx_hash_u64((uint64_t)value, seed),
	                       (uint64_t)((unsigned __int128)value >> 64));
}

static inline uint64_t dx_hash_f64(double value, uint64_t seed)
{
	uint64_t bits;

	if (value != value) /* one NaN */
		return dx_hash_u64(0x7ff8000000000000ULL, seed);
	value += 0.0; /* -0.0 becomes 0.0 */
	memcpy(&bits, &value, sizeof(bits));
	return dx_hash_u64(bits, seed);
}

static inline uint64_t dx_hash_bytes(const void *bytes, size_t len, uint64_t seed)
{
	const uint8_t *at = bytes;
	uint64_t hash = seed ^ DX_HASH_K0, a, b;
	size_t left = len;

	for (; left > 16; left -= 16, at += 16) {
		memcpy(&a, at, 8);
		memcpy(&b, at + 8, 8);
		hash = dx_hash_fold(a ^ DX_HASH_K1, b ^ hash);
	}
	if (left >= 8) {
		memcpy(&a, at, 8);
		memcpy(&b, at + left - 8, 8);
	} else if (left >= 4) {
		uint32_t low, high;

		memcpy(&low, at, 4);
		memcpy(&high, at + left - 4, 4);
		a = low;
		b = high;
	} else {
		a = left > 0 ? (uint64_t)at[0] << 16 | (uint64_t)at[left >> 1] << 8 | at[left - 1]
		             : 0;
		b = 0;
	}
	return dx_hash_fold(DX_HASH_K2 ^ len, dx_hash_fold(a ^ DX_HASH_K1, b ^ hash));
}

#endif /* DX_BASE_HASH_H */
