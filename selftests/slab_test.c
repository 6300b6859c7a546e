/* SPDX-License-Identifier: MIT */
/*
 * slab_test.c - the allocator against a model: a map of the segment, one byte for each piece
 *
 * The allocator never touches the segment, so the tests give it addresses that are not mapped.
 */
#include <errno.h>
#include <stdint.h>

#include "base/compiler.h"
#include "harness.h"
#include "shm/slab.h"

#define BASE   ((void *)(uintptr_t)(1 << 30))
#define KIB    ((size_t)1024)
#define MIB    ((size_t)1024 * KIB)
#define PIECE  ((size_t)DX_PIECE_BYTES)
#define SLAB   ((size_t)DX_SLAB_BYTES)
#define BLOCKS 4096

struct block {
	uint64_t offset;
	size_t bytes;
	bool reserved;
};

/* What is out, by piece and by block. */
struct model {
	struct dx_slabs *slabs;
	uint8_t *taken;
	size_t pieces;
	struct block blocks[BLOCKS];
	size_t count;
	size_t used;
	uint64_t random;
};

static uint32_t next_random(uint64_t *state, uint32_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)((*state >> 32) % below);
}

static bool model_new(struct model *model, size_t bytes, uint64_t seed)
{
	*model = (struct model){ .pieces = bytes / PIECE, .random = seed };
	model->taken = calloc(model->pieces, 1);
	return model->taken != NULL && dx_slabs_new(BASE, bytes, &model->slabs) == 0;
}

static void model_free(struct model *model)
{
	dx_slabs_free(model->slabs);
	free(model->taken);
}

/* Mark [offset, offset + bytes) in the map; false where it leaves the segment or is not as it should be. */
static bool mark(struct model *model, uint64_t offset, size_t bytes, uint8_t from, uint8_t to)
{
	if (offset % PIECE != 0 || bytes % PIECE != 0 || bytes == 0 ||
	    (offset + bytes) / PIECE > model->pieces)
		return false;
	for (size_t i = offset / PIECE; i < (offset + bytes) / PIECE; i++) {
		if (model->taken[i] != from)
			return false;
		model->taken[i] = to;
	}
	return true;
}

/* Allocate and check against the model; returns what the allocator said, or -EIO for a wrong answer. */
static int64_t model_alloc(struct model *model, size_t bytes, bool may_use_reserve)
{
	size_t got = 0;
	int64_t offset = dx_slab_alloc(model->slabs, bytes, may_use_reserve, &got);

	if (offset < 0)
		return offset;
	if (got < bytes || model->count == BLOCKS || !mark(model, (uint64_t)offset, got, 0, 1))
		return -EIO;
	model->blocks[model->count++] = (struct block){ (uint64_t)offset, got, may_use_reserve };
	model->used += got;
	return dx_slab_used(model->slabs) == model->used ? offset : -EIO;
}

static bool model_release(struct model *model, size_t i)
{
	struct block block = model->blocks[i];

	model->blocks[i] = model->blocks[--model->count];
	model->used -= block.bytes;
	dx_slab_release(model->slabs, block.offset);
	return mark(model, block.offset, block.bytes, 1, 0) &&
	       dx_slab_used(model->slabs) == model->used;
}

/* With nothing out, all is one again: the longest run can be had, and every slab and piece. */
static void check_whole(bool *ok, struct model *model)
{
	size_t slabs = model->pieces * PIECE / SLAB;

	CHECK_EQ(dx_slab_used(model->slabs), 0);
	CHECK(model_alloc(model, dx_slab_longest(model->slabs), false) >= 0);
	CHECK(model_release(model, 0));
	for (size_t i = 0; i < slabs; i++)
		CHECK(model_alloc(model,
		                  SLAB < dx_slab_longest(model->slabs)
		                          ? SLAB
		                          : dx_slab_longest(model->slabs),
		                  false) >= 0);
	while (model->count > 0)
		CHECK(model_release(model, model->count - 1));
	for (size_t i = 0; i < model->pieces && i < BLOCKS; i++)
		CHECK(model_alloc(model, 1, false) >= 0);
	while (model->count > 0)
		CHECK(model_release(model, model->count - 1));
	CHECK_EQ(dx_slab_strays(model->slabs), 0);
}

TEST(slab_new, "a segment that has no two pieces or is not aligned is refused")
{
	static const struct {
		uintptr_t base;
		size_t bytes;
		int want;
	} rows[] = {
		{ 0, MIB, -EINVAL },         { 1 << 20, 0, -EINVAL },
		{ 1 << 20, PIECE, -EINVAL }, { 1 << 20, 2 * PIECE - 1, -EINVAL },
		{ 4095, MIB, -EINVAL },      { 1 << 20, (size_t)1 << 60, -EINVAL },
		{ 1 << 20, 2 * PIECE, 0 },   { 1 << 20, 2 * PIECE + 1, 0 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dx_slabs *slabs = NULL;

		CHECK_EQ(dx_slabs_new((void *)rows[i].base, rows[i].bytes, &slabs), rows[i].want);
		CHECK((slabs != NULL) == (rows[i].want == 0));
		dx_slabs_free(slabs);
	}
}

TEST(slab_sizes, "a size is rounded up to a power of two of pieces, or to whole slabs")
{
	static const struct {
		size_t asked, got;
	} rows[] = {
		{ 0, 4 * KIB },
		{ 1, 4 * KIB },
		{ 4 * KIB, 4 * KIB },
		{ 4 * KIB + 1, 8 * KIB },
		{ 20 * KIB, 32 * KIB },
		{ 64 * KIB, 64 * KIB },
		{ 200 * KIB, 256 * KIB },
		{ 256 * KIB, 256 * KIB },
		{ 256 * KIB + 1, 512 * KIB },
		{ MIB + 1, MIB + 256 * KIB },
		{ 8 * MIB, 8 * MIB },
	};
	struct dx_slabs *slabs;

	CHECK_EQ(dx_slabs_new(BASE, 16 * MIB, &slabs), 0);
	CHECK_EQ(dx_slab_bytes(slabs), 16 * MIB);
	CHECK_EQ(dx_slab_longest(slabs), 8 * MIB);
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		size_t got = 0;
		int64_t offset = dx_slab_alloc(slabs, rows[i].asked, false, &got);

		CHECK(offset >= 0);
		CHECK_EQ(got, rows[i].got);
		CHECK_EQ(offset % (int64_t)(got < SLAB ? got : SLAB), 0);
		/* Small ones from the low end, runs from the other. */
		CHECK_EQ(offset, got <= SLAB ? 0 : (int64_t)(16 * MIB - got));
		CHECK_EQ(dx_slab_used(slabs), got);
		dx_slab_release(slabs, (uint64_t)offset);
		CHECK_EQ(dx_slab_used(slabs), 0);
	}
	CHECK_EQ(dx_slab_alloc(slabs, 8 * MIB + 1, true, &(size_t){ 0 }), -EMSGSIZE);
	CHECK_EQ(dx_slab_alloc(slabs, SIZE_MAX, true, &(size_t){ 0 }), -EMSGSIZE);
	dx_slabs_free(slabs);
}

TEST(slab_reuse, "what was freed last is given out first, at each size")
{
	static const size_t sizes[] = { 4 * KIB, 64 * KIB, 256 * KIB };

	for (size_t s = 0; s < DX_ARRAY_LEN(sizes); s++) {
		int64_t offsets[16];
		struct dx_slabs *slabs;
		size_t got;

		CHECK_EQ(dx_slabs_new(BASE, 16 * MIB, &slabs), 0);
		for (size_t i = 0; i < 16; i++)
			offsets[i] = dx_slab_alloc(slabs, sizes[s], false, &got);
		/* Every other one, so that none joins its neighbour. */
		for (size_t i = 0; i < 16; i += 2)
			dx_slab_release(slabs, (uint64_t)offsets[i]);
		for (size_t i = 16; i > 0; i -= 2)
			CHECK_EQ(dx_slab_alloc(slabs, sizes[s], false, &got), offsets[i - 2]);
		dx_slabs_free(slabs);
	}
}

TEST(slab_drains,
     "slabs freed where runs start are used last, so a busy allocator leaves room for a run")
{
	struct dx_slabs *slabs;
	int64_t offset[64];
	size_t got;

	CHECK_EQ(dx_slabs_new(BASE, 16 * MIB, &slabs), 0);
	for (size_t i = 0; i < 64; i++)
		offset[i] = dx_slab_alloc(slabs, SLAB, false, &got);
	CHECK_EQ(dx_slab_alloc(slabs, SLAB, false, &got), -EAGAIN);
	/* One after the other comes back and is asked for again, with half of all free. */
	for (size_t i = 0; i < 32; i++)
		dx_slab_release(slabs, (uint64_t)offset[i]);
	for (size_t i = 32; i < 64; i++) {
		dx_slab_release(slabs, (uint64_t)offset[i]);
		CHECK(dx_slab_alloc(slabs, SLAB, false, &got) < (int64_t)(8 * MIB));
	}
	CHECK_EQ(dx_slab_alloc(slabs, 8 * MIB, false, &got), 8 * MIB);
	dx_slabs_free(slabs);
}

TEST(slab_strays, "a release of what is not out changes nothing and is counted")
{
	struct dx_slabs *slabs;
	uint64_t strays[] = { 0,     1,        4096,       64 * KIB,
		              12345, 16 * MIB, UINT64_MAX, UINT64_MAX & ~4095ULL };
	int64_t block;
	size_t got;

	CHECK_EQ(dx_slabs_new(BASE, 16 * MIB, &slabs), 0);
	for (size_t i = 0; i < DX_ARRAY_LEN(strays); i++) {
		dx_slab_release(slabs, strays[i]);
		CHECK_EQ(dx_slab_strays(slabs), i + 1);
	}
	block = dx_slab_alloc(slabs, 64 * KIB, false, &got);
	CHECK_EQ(block, 0);
	dx_slab_release(slabs, 4096); /* inside of it */
	CHECK_EQ(dx_slab_used(slabs), 64 * KIB);
	dx_slab_release(slabs, 0);
	dx_slab_release(slabs, 0); /* again */
	CHECK_EQ(dx_slab_used(slabs), 0);
	CHECK_EQ(dx_slab_strays(slabs), DX_ARRAY_LEN(strays) + 2);
	dx_slabs_free(slabs);
}

TEST(slab_random,
     "whatever the order, blocks do not overlap, and with all back the segment is whole")
{
	static const size_t segments[] = { 2 * PIECE, 3 * PIECE,          64 * KIB,
		                           SLAB,      SLAB + PIECE,       5 * SLAB + 7 * PIECE,
		                           16 * MIB,  16 * MIB + 60 * KIB };

	for (size_t s = 0; s < DX_ARRAY_LEN(segments); s++) {
		struct model model;

		CHECK(model_new(&model, segments[s], 0x9e3779b97f4a7c15ULL + s));
		for (int step = 0; step < 40000; step++) {
			uint32_t what = next_random(&model.random, 100);
			/* Waves: mostly taking, then mostly giving. */
			bool takes = what < (step / 2000 % 2 == 0 ? 70U : 30U);

			if (takes && model.count < BLOCKS) {
				uint32_t shift = next_random(&model.random, 22);
				size_t bytes = next_random(&model.random, 1U << shift) + 1U;
				int64_t offset = model_alloc(&model, bytes, false);

				CHECK(offset != -EIO);
				CHECK(offset >= 0 || offset == -EAGAIN || offset == -EMSGSIZE);
				CHECK((offset == -EMSGSIZE) ==
				      (bytes > dx_slab_longest(model.slabs)));
			} else if (model.count > 0) {
				CHECK(model_release(
					&model, next_random(&model.random, (uint32_t)model.count)));
			}
		}
		while (model.count > 0)
			CHECK(model_release(&model, model.count - 1));
		check_whole(ok, &model);
		if (!*ok)
			printf("# segment of %zu bytes\n", segments[s]);
		model_free(&model);
		if (!*ok)
			return;
	}
}

TEST(slab_reserve_full, "no more pieces can be set aside than remain beside the longest run")
{
	struct dx_slabs *slabs;
	size_t got, n = 0;

	CHECK_EQ(dx_slabs_new(BASE, MIB, &slabs), 0);
	while (dx_slab_reserve(slabs) == 0)
		n++;
	CHECK_EQ(n, (MIB - dx_slab_longest(slabs)) / PIECE);
	CHECK_EQ(dx_slab_reserve(slabs), -ENOSPC);
	/* The longest run stands beside them all, nothing else does without the reserve. */
	CHECK(dx_slab_alloc(slabs, dx_slab_longest(slabs), false, &got) >= 0);
	CHECK_EQ(dx_slab_alloc(slabs, 1, false, &got), -EAGAIN);
	CHECK(dx_slab_alloc(slabs, 1, true, &got) >= 0);
	CHECK_EQ(dx_slab_alloc(slabs, PIECE + 1, true, &got), -EAGAIN);
	dx_slab_unreserve(slabs);
	CHECK_EQ(dx_slab_reserve(slabs), 0);
	dx_slabs_free(slabs);
}

/* An output: what it has out, as indexes into nothing but its own list. */
struct output {
	uint64_t offsets[64];
	uint32_t count;
};

TEST(slab_reserve_holds,
     "an output that holds nothing always gets its piece, while others hold all they can get")
{
	enum { OUTPUTS = 24 };

	static struct output outputs[OUTPUTS];
	uint64_t random = 88172645463325252ULL;
	struct dx_slabs *slabs;
	size_t got, refused = 0;

	CHECK_EQ(dx_slabs_new(BASE, MIB, &slabs), 0);
	memset(outputs, 0, sizeof(outputs));
	for (int i = 0; i < OUTPUTS; i++)
		CHECK_EQ(dx_slab_reserve(slabs), 0);
	for (int step = 0; step < 200000; step++) {
		struct output *out = &outputs[next_random(&random, OUTPUTS)];
		size_t bytes = PIECE << next_random(&random, 5);
		int64_t offset;

		if (next_random(&random, 100) < 20) { /* what it has comes back */
			while (out->count > 0)
				dx_slab_release(slabs, out->offsets[--out->count]);
			continue;
		}
		if (out->count == DX_ARRAY_LEN(out->offsets))
			continue;
		offset = dx_slab_alloc(slabs, bytes, out->count == 0, &got);
		if (offset == -EAGAIN && out->count == 0)
			offset = dx_slab_alloc(slabs, PIECE, true, &got);
		refused += offset == -EAGAIN;
		CHECK(offset >= 0 || (offset == -EAGAIN && out->count > 0));
		if (offset >= 0)
			out->offsets[out->count++] = (uint64_t)offset;
	}
	CHECK(refused > 1000); /* it was really full */
	for (int i = 0; i < OUTPUTS; i++) {
		while (outputs[i].count > 0)
			dx_slab_release(slabs, outputs[i].offsets[--outputs[i].count]);
		dx_slab_unreserve(slabs);
	}
	CHECK_EQ(dx_slab_used(slabs), 0);
	CHECK_EQ(dx_slab_strays(slabs), 0);
	dx_slabs_free(slabs);
}

TEST(slab_reserve_owed,
     "a piece that is set aside when all is out is paid by the next that comes back")
{
	struct dx_slabs *slabs;
	int64_t first;
	size_t got;

	CHECK_EQ(dx_slabs_new(BASE, 4 * PIECE, &slabs), 0);
	first = dx_slab_alloc(slabs, 1, false, &got);
	for (int i = 0; i < 3; i++)
		CHECK(dx_slab_alloc(slabs, 1, false, &got) >= 0);
	CHECK_EQ(dx_slab_reserve(slabs), 0);
	CHECK_EQ(dx_slab_alloc(slabs, 1, true, &got), -EAGAIN);
	dx_slab_release(slabs, (uint64_t)first);
	CHECK_EQ(dx_slab_alloc(slabs, 1, false, &got), -EAGAIN);
	CHECK_EQ(dx_slab_alloc(slabs, 1, true, &got), first);
	dx_slabs_free(slabs);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
