/* SPDX-License-Identifier: MIT */
/*
 * bits.h - Arrow bitmaps: bit i is bit i % 8 of byte i / 8
 */
#ifndef DX_BATCH_BITS_H
#define DX_BATCH_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool dx_bit_get(const uint8_t *bits, uint64_t i)
{
	return bits[i >> 3] >> (i & 7) & 1;
}

static inline void dx_bit_put(uint8_t *bits, uint64_t i, bool value)
{
	uint8_t mask = (uint8_t)(1U << (i & 7));

	bits[i >> 3] = value ? (uint8_t)(bits[i >> 3] | mask) : (uint8_t)(bits[i >> 3] & ~mask);
}

static inline size_t dx_bits_bytes(uint64_t bits)
{
	return (size_t)((bits + 7) >> 3);
}

/*
 * Copy @count bits from bit @from of @src to bit @to of @dst. Bits of @dst before @to stay; those behind the
 * last one in its byte are undefined.
 */
void dx_bits_copy(uint8_t *dst, uint64_t to, const uint8_t *src, uint64_t from, uint64_t count);

/* Set @count bits from @to on to ones; the same rule. */
void dx_bits_fill(uint8_t *dst, uint64_t to, uint64_t count);

/* How many of the @count bits from @from on are set. */
uint64_t dx_bits_count(const uint8_t *src, uint64_t from, uint64_t count);

#endif /* DX_BATCH_BITS_H */
