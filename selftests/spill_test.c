/* SPDX-License-Identifier: MIT */
/*
 * Overflow files: each output's own, and one that several share.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/compiler.h"
#include "exchange/spill.h"
#include "harness.h"

#define FRAME_BYTES 60000U
#define FRAMES      20U
#define OUTPUTS     3U

/* Frame @number of output @output: nothing that LZ4 could make smaller. */
static void fill(uint8_t frame[FRAME_BYTES], uint32_t output, uint32_t number)
{
	uint64_t x = output * 1000003ULL + number * 7919ULL + 1;

	for (uint32_t i = 0; i < FRAME_BYTES; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		frame[i] = (uint8_t)(x >> 24);
	}
}

static void put(bool *ok, struct dx_spill *spill, uint32_t output, uint32_t number)
{
	uint8_t frame[FRAME_BYTES];

	fill(frame, output, number);
	CHECK(dx_spill_put(spill, frame, FRAME_BYTES, number, NULL) > 0);
}

static void take(bool *ok, struct dx_spill *spill, uint32_t output, uint32_t number)
{
	uint8_t want[FRAME_BYTES], got[FRAME_BYTES];
	uint32_t len, rows;

	fill(want, output, number);
	dx_spill_first(spill, &len, &rows);
	CHECK_EQ(len, FRAME_BYTES);
	CHECK_EQ(rows, number);
	CHECK_EQ(dx_spill_take(spill, got, NULL), 0);
	CHECK_EQ(memcmp(want, got, FRAME_BYTES), 0);
}

static int64_t disk_bytes(const struct dx_spill_file *file)
{
	struct stat st;

	return fstat(file->fd, &st) == 0 ? (int64_t)st.st_blocks * 512 : -1;
}

/* Three outputs, in turns: first more in than out, then the rest. */
static void in_turns(bool *ok, struct dx_spill_budget *budget)
{
	struct dx_spill *spills[OUTPUTS];
	uint32_t out = 0;

	for (uint32_t o = 0; o < OUTPUTS; o++)
		CHECK_EQ(dx_spill_new(budget, &spills[o], NULL), 0);
	for (uint32_t i = 0; i < FRAMES; i++) {
		for (uint32_t o = 0; o < OUTPUTS && *ok; o++)
			put(ok, spills[o], o, i);
		for (uint32_t o = 0; o < OUTPUTS && i % 2 == 1 && *ok; o++)
			take(ok, spills[o], o, out);
		out += i % 2;
	}
	for (; out < FRAMES; out++)
		for (uint32_t o = 0; o < OUTPUTS && *ok; o++)
			take(ok, spills[o], o, out);
	for (uint32_t o = 0; o < OUTPUTS; o++) {
		CHECK(dx_spill_is_empty(spills[o]));
		dx_spill_free(spills[o]);
	}
	CHECK_EQ(budget->used_bytes, 0);
}

TEST(spill_own, "outputs with a file each give back what they were given, in its order")
{
	struct dx_spill_budget budget = { .max_bytes = 1 << 30 };

	in_turns(ok, &budget);
}

TEST(spill_shared, "outputs that share a file, too, and the file is empty when they are")
{
	struct dx_spill_file file;
	struct dx_spill_budget budget = { .max_bytes = 1 << 30, .file = &file };

	dx_spill_file_open(&file, true);
	CHECK_EQ(file.code, 0);
	in_turns(ok, &budget);
	CHECK_EQ(file.end, 0);
	CHECK_EQ(disk_bytes(&file), 0);
	dx_spill_file_close(&file);
}

TEST(spill_shared_room,
     "a shared file gives the disk back what was taken out, while others have frames in it")
{
	struct dx_spill_file file;
	struct dx_spill_budget budget = { .max_bytes = 1 << 30, .file = &file };
	struct dx_spill *stays, *passes;

	dx_spill_file_open(&file, true);
	CHECK_EQ(dx_spill_new(&budget, &stays, NULL), 0);
	CHECK_EQ(dx_spill_new(&budget, &passes, NULL), 0);
	put(ok, stays, 0, 0);
	for (uint32_t i = 0; i < 100 && *ok; i++) {
		put(ok, passes, 1, i);
		take(ok, passes, 1, i);
	}
	CHECK(disk_bytes(&file) >= FRAME_BYTES);
	/* The first and the last block of each hole stay. */
	CHECK(disk_bytes(&file) < 100 * 2 * 8192 + 4 * FRAME_BYTES);
	take(ok, stays, 0, 0);
	CHECK_EQ(disk_bytes(&file), 0);
	dx_spill_free(stays);
	dx_spill_free(passes);
	dx_spill_file_close(&file);
}

TEST(spill_shared_freed, "an output that is freed with frames in a shared file takes them out")
{
	struct dx_spill_file file;
	struct dx_spill_budget budget = { .max_bytes = 1 << 30, .file = &file };
	struct dx_spill *one, *two;

	dx_spill_file_open(&file, true);
	CHECK_EQ(dx_spill_new(&budget, &one, NULL), 0);
	CHECK_EQ(dx_spill_new(&budget, &two, NULL), 0);
	for (uint32_t i = 0; i < 5 && *ok; i++) {
		put(ok, one, 0, i);
		put(ok, two, 1, i);
	}
	dx_spill_free(one);
	for (uint32_t i = 0; i < 5 && *ok; i++)
		take(ok, two, 1, i);
	dx_spill_free(two);
	CHECK_EQ(file.held_bytes, 0);
	CHECK_EQ(budget.used_bytes, 0);
	CHECK_EQ(disk_bytes(&file), 0);
	dx_spill_file_close(&file);
}

TEST(spill_no_folder, "a folder that is not there is said when a file is needed")
{
	struct dx_spill_file file;
	struct dx_spill_budget budget = { .max_bytes = 1 << 20, .file = &file };
	struct dsmx_error err;
	struct dx_spill *spill;

	CHECK_EQ(setenv("DSMX_OVERFLOW_DIR", "/nonexistent/dir", 1), 0);
	dx_spill_file_open(&file, true);
	CHECK_EQ(file.code, -ENOENT);
	CHECK_EQ(dx_spill_new(&budget, &spill, &err), -ENOENT);
	CHECK(strstr(err.message, "/nonexistent/dir") != NULL);
	dx_spill_file_close(&file);
	CHECK_EQ(unsetenv("DSMX_OVERFLOW_DIR"), 0);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
