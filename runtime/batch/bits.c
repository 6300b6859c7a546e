/* SPDX-License-Identifier: MIT */
#include "batch/bits.h"

/* Eight bits from @from on; reads the second byte only if they reach into it. */
static uint8_t eight_bits(const uint8_t *src, uint64_t from, uint64_t count)
{
	const uint8_t *at = src + (from >> 3);
	unsigned int shift = from & 7, value = (unsigned int)at[0] >> shift;

	if (shift + count > 8)
		value |= (unsigned int)at[1] << (8 - shift);
	return (uint8_t)value;
}

void dx_bits_copy(uint8_t *dst, uint64_t to, const uint8_t *src, uint64_t from, uint64_t count)
{
	/* Up to a byte's border of @dst bit by bit, then byte by byte. */
	for (; count > 0 && (to & 7) != 0; to++, from++, count--)
		dx_bit_put(dst, to, dx_bit_get(src, from));
	if (count == 0)
		return;
	dst += to >> 3;
	if ((from & 7) == 0) {
		memcpy(dst, src + (from >> 3), dx_bits_bytes(count));
		return;
	}
	for (; count >= 8; dst++, from += 8, count -= 8)
		*dst = eight_bits(src, from, 8);
	if (count > 0)
		*dst = eight_bits(src, from, count);
}

void dx_bits_fill(uint8_t *dst, uint64_t to, uint64_t count)
{
	for (; count > 0 && (to & 7) != 0; to++, count--)
		dx_bit_put(dst, to, true);
	memset(dst + (to >> 3), 0xff, dx_bits_bytes(count));
}

uint64_t dx_bits_count(const uint8_t *src, uint64_t from, uint64_t count)
{
	uint64_t ones = 0, word;

	for (; count > 0 && (from & 7) != 0; from++, count--)
		ones += dx_bit_get(src, from);
	for (src += from >> 3; count >= 64; src += 8, count -= 64) {
		memcpy(&word, src, 8);
		ones += (uint64_t)__builtin_popcountll(word);
	}
	for (uint64_t i = 0; i < count; i++)
		ones += dx_bit_get(src, i);
	return ones;
}
