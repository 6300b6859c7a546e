/* SPDX-License-Identifier: MIT */
/*
 * layout.h - where the parts of a page are: a function of four numbers, the same in every process
 */
#ifndef DX_CHAN_LAYOUT_H
#define DX_CHAN_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "dsmx/abi.h"

struct dx_layout {
	uint32_t peers;
	uint32_t slots;
	uint32_t frames;
	uint32_t tasks;
	size_t mapped;
	size_t dead;
	size_t accused;
	size_t live;
	size_t bells;
	size_t queries;
	size_t errors;
	size_t task_records;
	size_t request_words;
	size_t stream_words;
	size_t requests;
	size_t streams;
	size_t logs;
	size_t phases;
	size_t flight;
	size_t flight_events;
	size_t bytes; /* of the page */
};

/* Numbers within the limits of abi.h; the caller has checked them. */
struct dx_layout dx_layout(uint32_t peers, uint32_t slots, uint32_t frames, uint32_t tasks);

/* Record @index of the part at @offset of the own page; of a peer's. */
#define DX_LAYOUT_AT(type, page, offset, index)                                                    \
	((type *)(void *)((char *)(page) + (offset)) + (index))
#define DX_LAYOUT_PEER(type, page, offset, index)                                                  \
	((const type *)(const void *)((const char *)(page) + (offset)) + (index))

static inline size_t dx_layout_slot(const struct dx_layout *layout, uint32_t peer, uint32_t slot)
{
	return (size_t)peer * layout->slots + slot;
}

#endif /* DX_CHAN_LAYOUT_H */
