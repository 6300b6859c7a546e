/* SPDX-License-Identifier: MIT */
/*
 * filter_bytes.c - filters as bytes of a data segment, and back: see struct dsmx_filters_abi
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/order.h"
#include "batch/value.h"
#include "exchange/dynamic_filter.h"

_Static_assert(DSMX_LINE_BYTES % sizeof(uint64_t) == 0, "words are aligned");

static size_t on_line(size_t bytes)
{
	return (bytes + DSMX_LINE_BYTES - 1) & ~(size_t)(DSMX_LINE_BYTES - 1);
}

static size_t words_bytes(uint32_t word_count)
{
	return on_line(word_count * sizeof(uint64_t));
}

static size_t head_bytes(uint32_t filters)
{
	return sizeof(struct dsmx_filters_abi) + filters * sizeof(struct dsmx_filter_abi);
}

/* --- out ----------------------------------------------------------------------------------------------- */

static void write_filter(char *base, uint32_t words, const struct dx_key_filter *f,
                         struct dsmx_filter_abi *ret)
{
	*ret = (struct dsmx_filter_abi){ .key_count = f->key_count,
		                         .ranged = f->ranged,
		                         .words = words,
		                         .word_count = f->word_count };
	memcpy(ret->columns, f->columns, sizeof(ret->columns));
	memcpy(ret->least, f->least, sizeof(ret->least));
	memcpy(ret->greatest, f->greatest, sizeof(ret->greatest));
	if (f->word_count > 0)
		memcpy(base + words, f->words, f->word_count * sizeof(uint64_t));
}

/* A sixteenth of the memory at the most: the rows need it more. */
static size_t most_bytes(const struct dx_mesh *mesh)
{
	size_t most = dx_slab_bytes(dx_mesh_slabs(mesh)) / 16;

	return most < DSMX_FILTER_BYTES_MAX ? most : DSMX_FILTER_BYTES_MAX;
}

struct dx_frame *dx_filters_publish(struct dx_mesh *mesh, const struct dx_exec_env *env,
                                    const struct dsmx_rel *rel, uint32_t partition,
                                    size_t *ret_bytes)
{
	const struct dx_key_filter *filters[DSMX_FILTERS_MAX];
	const struct dx_offer_filter *offer = NULL;
	size_t bytes = 0, at;
	uint32_t count = 0;
	struct dx_frame *frame;

	/* One that does not fit is left out. */
	while (count < DSMX_FILTERS_MAX &&
	       (offer = dx_filter_next(env, offer, rel, partition)) != NULL) {
		at = words_bytes(offer->filter->word_count);
		if (head_bytes(count + 1) + bytes + at > most_bytes(mesh))
			continue;
		filters[count++] = offer->filter;
		bytes += at;
	}
	at = head_bytes(count);
	bytes += at;
	if (count == 0 || dx_frame_new(mesh, bytes, false, NULL, &frame) < 0)
		return NULL;
	*(struct dsmx_filters_abi *)(void *)frame->bytes = (struct dsmx_filters_abi){
		.magic = DSMX_FILTERS_MAGIC, .filters = count, .bytes = (uint32_t)bytes
	};
	for (uint32_t i = 0; i < count; i++) {
		write_filter(frame->bytes, (uint32_t)at, filters[i],
		             (struct dsmx_filter_abi *)(void *)(frame->bytes + head_bytes(i)));
		at += words_bytes(filters[i]->word_count);
	}
	*ret_bytes = bytes;
	return frame;
}

/* --- in ------------------------------------------------------------------------------------------------ */

/* The words stay where they are, in the copy. */
static int read_filter(const struct dsmx_schema *schema, char *copy, size_t len,
                       const struct dsmx_filter_abi *from, struct dx_key_filter *ret)
{
	size_t bytes = from->word_count * sizeof(uint64_t);

	if (from->key_count == 0 || from->key_count > DSMX_FILTER_KEYS_MAX ||
	    from->words % DSMX_LINE_BYTES != 0 || from->words > len || bytes > len - from->words)
		return -EBADMSG;
	for (uint32_t i = 0; i < from->key_count; i++)
		if (from->columns[i] >= schema->field_count ||
		    ((from->ranged >> i & 1) != 0 &&
		     !dx_type_fits_int64(schema->fields[from->columns[i]].type)))
			return -EBADMSG;
	if (from->ranged >> from->key_count != 0)
		return -EBADMSG;
	*ret = (struct dx_key_filter){ .key_count = from->key_count, .ranged = from->ranged };
	memcpy(ret->columns, from->columns, sizeof(ret->columns));
	memcpy(ret->least, from->least, sizeof(ret->least));
	memcpy(ret->greatest, from->greatest, sizeof(ret->greatest));
	ret->words = (uint64_t *)(void *)(copy + from->words);
	ret->word_count = from->word_count;
	return 0;
}

static int read_all(const struct dsmx_schema *schema, char *copy, size_t len,
                    struct dx_filter_set *set)
{
	const struct dsmx_filters_abi *head = (const void *)copy;
	int r = 0;

	if (head->magic != DSMX_FILTERS_MAGIC || head->bytes != len || head->filters == 0 ||
	    head->filters > DSMX_FILTERS_MAX || len < head_bytes(head->filters))
		return -EBADMSG;
	for (; r == 0 && set->count < head->filters; set->count += r == 0)
		r = read_filter(schema, copy, len, (const void *)(copy + head_bytes(set->count)),
		                &set->filters[set->count]);
	return r;
}

int dx_filters_copy(const struct dsmx_schema *schema, const char *data, size_t data_bytes,
                    uint64_t offset, uint64_t len, struct dx_filter_set **ret_set)
{
	struct dx_filter_set *set;
	int r = -ENOMEM;

	if (len < sizeof(struct dsmx_filters_abi) || len > DSMX_FILTER_BYTES_MAX ||
	    offset % DSMX_LINE_BYTES != 0 || offset > data_bytes || len > data_bytes - offset)
		return -EBADMSG;
	set = calloc(1, sizeof(*set));
	if (set != NULL)
		set->bytes = aligned_alloc(DSMX_LINE_BYTES, on_line(len));
	if (set != NULL && set->bytes != NULL) {
		dx_copy_once(set->bytes, data + offset, len);
		r = read_all(schema, set->bytes, len, set);
	}
	if (r < 0) {
		dx_filters_free(set);
		return r;
	}
	*ret_set = set;
	return 0;
}

void dx_filters_free(struct dx_filter_set *set)
{
	if (set != NULL)
		free(set->bytes);
	free(set);
}
