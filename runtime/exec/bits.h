/* SPDX-License-Identifier: MIT */
/*
 * bits.h - Arrow's bitmaps to bytes of 0 and 1, and back
 *
 * Kernels work on bytes: eight rows to a word, and a compiler that can vectorise.
 */
#ifndef DX_EXEC_BITS_H
#define DX_EXEC_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "batch/bits.h"

/* Bit i of @bits to byte i, for one byte of bits. */
static inline uint64_t dx_bits_spread(uint8_t bits)
{
	uint64_t each = bits * 0x0101010101010101ULL & 0x8040201008040201ULL;

	return (each + 0x7f7f7f7f7f7f7f7fULL) >> 7 & 0x0101010101010101ULL;
}

/* The opposite, for eight bytes that are 0 or 1. */
static inline uint8_t dx_bits_pack(uint64_t bytes)
{
	return (uint8_t)(bytes * 0x0102040810204080ULL >> 56);
}

/* @bytes has room for @count rounded up to 8. Returns whether all are 1. */
static inline bool dx_bits_to_bytes(const uint8_t *bits, uint32_t count, uint8_t *bytes)
{
	uint32_t i = 0;
	uint8_t all = 0xff;

	for (; i + 8 <= count; i += 8) {
		uint64_t eight = dx_bits_spread(bits[i >> 3]);

		all &= bits[i >> 3];
		memcpy(bytes + i, &eight, 8);
	}
	for (; i < count; i++) {
		bytes[i] = (uint8_t)dx_bit_get(bits, i);
		all &= (uint8_t)-bytes[i];
	}
	return all == 0xff;
}

/* @bits has room for @count bits rounded up to a byte; those beyond @count are 0. */
static inline void dx_bytes_to_bits(const uint8_t *bytes, uint32_t count, uint8_t *bits)
{
	uint32_t i = 0;

	for (; i + 8 <= count; i += 8) {
		uint64_t eight;

		memcpy(&eight, bytes + i, 8);
		bits[i >> 3] = dx_bits_pack(eight);
	}
	if (i < count) {
		uint64_t rest = 0;

		memcpy(&rest, bytes + i, count - i);
		bits[i >> 3] = dx_bits_pack(rest);
	}
}

#endif /* DX_EXEC_BITS_H */
