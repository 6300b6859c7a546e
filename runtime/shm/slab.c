/* SPDX-License-Identifier: MIT */
/*
 * slab.c - see slab.h for what it promises
 *
 * The segment is a row of slabs of DX_SLAB_BYTES, each of PIECES_PER_SLAB pieces. A slab is free, out, part of
 * a run, or cut into blocks by halving (a buddy system: block and buddy join again as soon as both are free).
 * What remains behind the last whole slab is cut from the start, its missing part never free.
 *
 *	| slab | slab | 64K|64K| 128K | slab | ...          | slab | slab |
 *	  small sizes start here                   runs start here: the last `longest` bytes
 *
 * Free blocks are in one list per size, last freed first. Those in the part where runs start join their list
 * at its other end, so that a busy allocator drains that part instead of keeping it in pieces.
 *
 * Books, one entry per piece: `state` says what begins here (0: nothing, it is inside a block), `next` and
 * `prev` link free blocks by the number of their first piece. A run keeps its length in `next`.
 *
 * Reserve: `reserved` pieces are owed to outputs, `reserve_out` of them are out. Who does not use the reserve
 * leaves reserved - reserve_out pieces free, wherever they are. An output takes from the reserve only while it
 * has nothing out, so at most one piece at a time: whoever holds nothing finds his.
 */
#include "shm/slab.h"

#include <errno.h>
#include <stdlib.h>

#define PIECES_PER_SLAB (DX_SLAB_BYTES / DX_PIECE_BYTES)
#define SLAB_ORDER      6U /* PIECES_PER_SLAB == 1 << SLAB_ORDER */
#define ORDERS          (SLAB_ORDER + 1)
#define RUN_ORDER       ORDERS
#define NO_PIECE        UINT32_MAX

/* The state of a piece where something begins: one of these, and its order. */
#define FREE         0x10U
#define OUT          0x20U
#define FROM_RESERVE 0x40U
#define ORDER_MASK   0x0fU

_Static_assert(PIECES_PER_SLAB == 1U << SLAB_ORDER, "a slab is a power of two of pieces");

struct free_list {
	uint32_t first;
	uint32_t last;
};

struct dx_slabs {
	uint32_t piece_count;
	uint32_t slab_count; /* whole ones */
	uint32_t longest;    /* pieces of the longest run */
	uint32_t run_zone;   /* first piece of the part where runs start */
	uint32_t free_count;
	uint32_t reserved;
	uint32_t reserve_out;
	uint64_t strays;
	struct free_list lists[ORDERS];
	uint32_t *next;
	uint32_t *prev;
	uint8_t *state;
};

/* --- free blocks -------------------------------------------------------------------------------------- */

static void link_free(struct dx_slabs *slabs, uint32_t piece, uint32_t order)
{
	struct free_list *list = &slabs->lists[order];
	bool first = piece < slabs->run_zone;

	slabs->state[piece] = (uint8_t)(FREE | order);
	slabs->next[piece] = first ? list->first : NO_PIECE;
	slabs->prev[piece] = first ? NO_PIECE : list->last;
	if (slabs->next[piece] != NO_PIECE)
		slabs->prev[slabs->next[piece]] = piece;
	else
		list->last = piece;
	if (slabs->prev[piece] != NO_PIECE)
		slabs->next[slabs->prev[piece]] = piece;
	else
		list->first = piece;
}

static void unlink_free(struct dx_slabs *slabs, uint32_t piece)
{
	struct free_list *list = &slabs->lists[slabs->state[piece] & ORDER_MASK];
	uint32_t next = slabs->next[piece], prev = slabs->prev[piece];

	if (next != NO_PIECE)
		slabs->prev[next] = prev;
	else
		list->last = prev;
	if (prev != NO_PIECE)
		slabs->next[prev] = next;
	else
		list->first = next;
	slabs->state[piece] = 0;
}

/* Give a block back to the lists, joined with its buddy as long as that is free too. */
static void give_block(struct dx_slabs *slabs, uint32_t piece, uint32_t order)
{
	slabs->state[piece] = 0;
	for (; order < SLAB_ORDER; order++) {
		uint32_t buddy = piece ^ (1U << order);

		if (buddy >= slabs->piece_count || slabs->state[buddy] != (FREE | order))
			break;
		unlink_free(slabs, buddy);
		piece &= buddy;
	}
	link_free(slabs, piece, order);
}

/* The smallest free block that is large enough, halved down to @order; NO_PIECE: none. */
static uint32_t take_block(struct dx_slabs *slabs, uint32_t order)
{
	uint32_t from = order, piece;

	while (from < ORDERS && slabs->lists[from].first == NO_PIECE)
		from++;
	if (from == ORDERS)
		return NO_PIECE;

	piece = slabs->lists[from].first;
	unlink_free(slabs, piece);
	while (from > order) {
		from--;
		link_free(slabs, piece + (1U << from), from);
	}
	return piece;
}

/* @count free slabs in a row, the last that there are. */
static uint32_t take_run(struct dx_slabs *slabs, uint32_t count)
{
	uint32_t row = 0;

	for (uint32_t slab = slabs->slab_count; slab-- > 0;) {
		uint32_t piece = slab * PIECES_PER_SLAB;

		row = slabs->state[piece] == (FREE | SLAB_ORDER) ? row + 1 : 0;
		if (row < count)
			continue;
		for (uint32_t i = 0; i < count; i++)
			unlink_free(slabs, piece + i * PIECES_PER_SLAB);
		return piece;
	}
	return NO_PIECE;
}

/* --- the whole ---------------------------------------------------------------------------------------- */

/* Half of the segment: as much is left for the pieces of outputs. */
static uint32_t longest_run(uint32_t piece_count)
{
	uint32_t half = piece_count / 2, longest = 1;

	if (half >= PIECES_PER_SLAB)
		return half / PIECES_PER_SLAB * PIECES_PER_SLAB;
	while (longest * 2 <= half)
		longest *= 2;
	return longest;
}

int dx_slabs_new(void *base, size_t bytes, struct dx_slabs **ret_slabs)
{
	size_t count = bytes / DX_PIECE_BYTES;
	struct dx_slabs *slabs;

	if (base == NULL || (uintptr_t)base % DX_PIECE_BYTES != 0 || count < 2 || count >= NO_PIECE)
		return -EINVAL;
	slabs = calloc(1, sizeof(*slabs));
	if (slabs == NULL)
		return -ENOMEM;
	slabs->next = calloc(count, sizeof(*slabs->next));
	slabs->prev = calloc(count, sizeof(*slabs->prev));
	slabs->state = calloc(count, sizeof(*slabs->state));
	if (slabs->next == NULL || slabs->prev == NULL || slabs->state == NULL) {
		dx_slabs_free(slabs);
		return -ENOMEM;
	}
	slabs->piece_count = (uint32_t)count;
	slabs->slab_count = slabs->piece_count / PIECES_PER_SLAB;
	slabs->longest = longest_run(slabs->piece_count);
	slabs->run_zone = slabs->piece_count - slabs->longest;
	slabs->free_count = slabs->piece_count;
	for (uint32_t order = 0; order < ORDERS; order++)
		slabs->lists[order] = (struct free_list){ NO_PIECE, NO_PIECE };

	/* From the end, as the last freed is the first given out; the run zone joins at the other end. */
	for (uint32_t slab = slabs->slab_count; slab-- > 0;)
		if (slab * PIECES_PER_SLAB < slabs->run_zone)
			link_free(slabs, slab * PIECES_PER_SLAB, SLAB_ORDER);
	for (uint32_t slab = 0; slab < slabs->slab_count; slab++)
		if (slab * PIECES_PER_SLAB >= slabs->run_zone)
			link_free(slabs, slab * PIECES_PER_SLAB, SLAB_ORDER);
	for (uint32_t piece = slabs->slab_count * PIECES_PER_SLAB; piece < slabs->piece_count;) {
		uint32_t order = SLAB_ORDER;

		while (1U << order > slabs->piece_count - piece)
			order--;
		link_free(slabs, piece, order);
		piece += 1U << order;
	}
	*ret_slabs = slabs;
	return 0;
}

void dx_slabs_free(struct dx_slabs *slabs)
{
	if (slabs == NULL)
		return;
	free(slabs->next);
	free(slabs->prev);
	free(slabs->state);
	free(slabs);
}

int dx_slab_reserve(struct dx_slabs *slabs)
{
	if (slabs->reserved >= slabs->piece_count - slabs->longest)
		return -ENOSPC;
	slabs->reserved++;
	return 0;
}

void dx_slab_unreserve(struct dx_slabs *slabs)
{
	if (slabs->reserved > 0)
		slabs->reserved--;
}

/* May @count pieces go to somebody who does not use the reserve? */
static bool is_spare(const struct dx_slabs *slabs, uint32_t count)
{
	uint32_t owed =
		slabs->reserved > slabs->reserve_out ? slabs->reserved - slabs->reserve_out : 0;

	return slabs->free_count >= owed && slabs->free_count - owed >= count;
}

int64_t dx_slab_alloc(struct dx_slabs *slabs, size_t bytes, bool may_use_reserve, size_t *ret_bytes)
{
	uint32_t count, piece, order = 0, state = OUT;

	if (bytes > dx_slab_longest(slabs))
		return -EMSGSIZE;
	if (bytes <= DX_SLAB_BYTES) {
		while ((size_t)DX_PIECE_BYTES << order < bytes)
			order++;
		count = 1U << order;
	} else {
		order = RUN_ORDER;
		count = (uint32_t)((bytes + DX_SLAB_BYTES - 1) / DX_SLAB_BYTES) * PIECES_PER_SLAB;
	}

	if (!is_spare(slabs, count)) {
		if (!may_use_reserve || count > 1 || slabs->reserve_out >= slabs->reserved)
			return -EAGAIN;
		state = OUT | FROM_RESERVE;
	}
	piece = order == RUN_ORDER ? take_run(slabs, count / PIECES_PER_SLAB)
	                           : take_block(slabs, order);
	if (piece == NO_PIECE)
		return -EAGAIN;

	slabs->state[piece] = (uint8_t)(state | order);
	slabs->next[piece] = count;
	slabs->free_count -= count;
	slabs->reserve_out += state != OUT;
	*ret_bytes = (size_t)count * DX_PIECE_BYTES;
	return (int64_t)piece * DX_PIECE_BYTES;
}

void dx_slab_release(struct dx_slabs *slabs, uint64_t offset)
{
	uint64_t piece64 = offset / DX_PIECE_BYTES;
	uint32_t piece, state, count;

	if (offset % DX_PIECE_BYTES != 0 || piece64 >= slabs->piece_count ||
	    !(slabs->state[piece64] & OUT)) {
		slabs->strays++;
		return;
	}
	piece = (uint32_t)piece64;
	state = slabs->state[piece];
	count = slabs->next[piece];

	slabs->free_count += count;
	slabs->reserve_out -= (state & FROM_RESERVE) != 0;
	if ((state & ORDER_MASK) < RUN_ORDER) {
		give_block(slabs, piece, state & ORDER_MASK);
		return;
	}
	/* Last slab first, so that in front of the list they lie in their order. */
	for (uint32_t at = count; at > 0; at -= PIECES_PER_SLAB)
		give_block(slabs, piece + at - PIECES_PER_SLAB, SLAB_ORDER);
}

size_t dx_slab_longest(const struct dx_slabs *slabs)
{
	return (size_t)slabs->longest * DX_PIECE_BYTES;
}

size_t dx_slab_used(const struct dx_slabs *slabs)
{
	return (size_t)(slabs->piece_count - slabs->free_count) * DX_PIECE_BYTES;
}

size_t dx_slab_bytes(const struct dx_slabs *slabs)
{
	return (size_t)slabs->piece_count * DX_PIECE_BYTES;
}

uint64_t dx_slab_strays(const struct dx_slabs *slabs)
{
	return slabs->strays;
}
