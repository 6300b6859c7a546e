/* SPDX-License-Identifier: MIT */
/*
 * Arrow files that are cut, flipped or contradict themselves: an error that names the file, or a result in which
 * nothing points anywhere else. `make VARIANT=asan` has the sanitizers watch.
 */
#include "ipc_files.h"

/* --- damage --------------------------------------------------------------------------------------------- */

/* Which bytes of a file are data: the bodies that its footer lists. */
static void mark_data(const uint8_t *bytes, size_t len, uint8_t *data)
{
	struct dx_fb_table footer;
	struct dx_fb fb;
	int32_t footer_len;

	memcpy(&footer_len, bytes + len - DX_IPC_END_BYTES, sizeof(footer_len));
	memset(data, 0, len);
	(void)dx_fb_root(&fb, bytes + len - DX_IPC_END_BYTES - footer_len, (size_t)footer_len,
	                 &footer);
	for (unsigned int field = 2; field < 4; field++) {
		struct dx_fb_vector blocks;

		(void)dx_fb_vector(&footer, field, DX_IPC_BLOCK_BYTES, &blocks);
		for (uint32_t i = 0; i < blocks.count; i++) {
			const uint8_t *at = blocks.items + DX_IPC_BLOCK_BYTES * (size_t)i;

			memset(data + dx_fb_load_i64(at) + dx_fb_load_i64(at + 8), 1,
			       (size_t)dx_fb_load_i64(at + 16));
		}
	}
}

/* Make it a file of somebody else's: no key, no mark, no hash. */
static void disguise(uint8_t *bytes, size_t len)
{
	uint8_t *mark = memmem(bytes, len, DX_IPC_HASHED_MARK, 8);
	uint8_t *key = memmem(bytes, len, DX_IPC_KEY_HASHED, strlen(DX_IPC_KEY_HASHED));

	if (mark == NULL || key == NULL)
		abort();
	memset(mark, 0, 16);
	key[0] = 'D';
}

TEST(truncation, "a file that is cut anywhere is refused, ours and others'")
{
	static const uint32_t rows[3] = { 9, 5, 0 };
	size_t len;
	char path[32];

	for (size_t first = 0; first < 8; first++) {
		struct table *table = table_new(first, 8);
		int fd = write_file(table, rows, true);
		uint8_t *bytes = load_file(fd, &len);

		CHECK_EQ(len <= 8192, true);
		CHECK_EQ(open_and_read(fd_path(fd, path), 9), 0);
		for (int foreign = 0; foreign < 2; foreign++) {
			if (foreign)
				disguise(bytes, len);
			store_file(fd, bytes, len);
			CHECK_EQ(open_and_read(path, 9), 0);
			for (size_t cut = len; cut-- > 0;) {
				int ret;

				CHECK_EQ(ftruncate(fd, (off_t)cut), 0);
				ret = open_and_read(path, 9);
				CHECK_EQ(ret == -EPROTO || ret == -EBADMSG, true);
			}
		}
		free(bytes);
		free(table);
		close(fd);
	}
}

TEST(flips, "a flipped bit in structure is an error; in data, an error or a well-formed result")
{
	static const uint32_t rows[3] = { 9, 5, 0 };
	size_t len;
	char path[32];

	for (size_t first = 0; first < 8; first++) {
		struct table *table = table_new(first, 8);
		int fd = write_file(table, rows, true);
		uint8_t *bytes = load_file(fd, &len), *data = malloc(len);
		size_t taken = 0;

		mark_data(bytes, len, data);
		fd_path(fd, path);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			uint8_t flipped = (uint8_t)(bytes[bit / 8] ^ 1U << bit % 8);
			int ret;

			if (pwrite(fd, &flipped, 1, (off_t)(bit / 8)) != 1)
				abort();
			ret = open_and_read(path, 9);
			if (ret == -EIO || (ret == 0 && !data[bit / 8]))
				printf("# bit %zu of byte %zu\n", bit % 8, bit / 8);
			CHECK_EQ(ret == -EIO, false);
			CHECK_EQ(ret == 0 && !data[bit / 8], false);
			taken += ret == 0;
			if (pwrite(fd, &bytes[bit / 8], 1, (off_t)(bit / 8)) != 1)
				abort();
		}
		CHECK_EQ(taken > 0, true); /* data that differs is no error */
		free(data);
		free(bytes);
		free(table);
		close(fd);
	}
}

TEST(foreign_flips, "without the hash too, a flipped bit is an error or a well-formed result")
{
	static const uint32_t rows[3] = { 9, 5, 0 };
	size_t len;
	char path[32];

	for (size_t first = 0; first < 8; first++) {
		struct table *table = table_new(first, 8);
		int fd = write_file(table, rows, true);
		uint8_t *bytes = load_file(fd, &len);

		disguise(bytes, len);
		store_file(fd, bytes, len);
		fd_path(fd, path);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			uint8_t flipped = (uint8_t)(bytes[bit / 8] ^ 1U << bit % 8);
			int ret;

			if (pwrite(fd, &flipped, 1, (off_t)(bit / 8)) != 1)
				abort();
			ret = open_and_read(path, 9);
			if (ret == -EIO)
				printf("# bit %zu of byte %zu\n", bit % 8, bit / 8);
			CHECK_EQ(ret == -EIO, false);
			if (pwrite(fd, &bytes[bit / 8], 1, (off_t)(bit / 8)) != 1)
				abort();
		}
		free(bytes);
		free(table);
		close(fd);
	}
}

/* Where a patch of the test below goes; the file's columns are: utf8, decimal(38,3), coded utf8. */
enum place {
	NODE_ROWS,     /* of column 0 */
	NODE_NULLS,    /* of column 0 */
	CODED_NULLS,   /* of column 2, which has nulls in the first batch */
	BUFFER_OFFSET, /* of the values of column 1 */
	BUFFER_LENGTH,
	TEXT_LENGTH, /* of the bytes of column 0 */
	TEXT_OFFSET, /* the second of column 0 */
	DECIMAL,     /* high half of the first of column 1 */
	CODE,        /* the first of column 2, which is not null */
	NULL_CODE,   /* one that is null */
	ENTRY_NULLS, /* of the dictionary */
	ENTRY_OFFSET,
};

static const uint8_t *place_of(const struct dsmx_ipc_file *file, enum place place)
{
	const struct dx_ipc_rows *block = &file->blocks[0], *entries = &file->dictionaries[0].rows;
	const uint8_t *buffers = block->buffers,
		      *codes = block->body + dx_fb_load_i64(buffers + 6 * 16);

	switch (place) {
	case NODE_ROWS:
		return block->nodes;
	case NODE_NULLS:
		return block->nodes + 8;
	case CODED_NULLS:
		return block->nodes + 2 * 16 + 8;
	case BUFFER_OFFSET:
		return buffers + 4 * 16;
	case BUFFER_LENGTH:
		return buffers + 4 * 16 + 8;
	case TEXT_LENGTH:
		return buffers + 2 * 16 + 8;
	case TEXT_OFFSET:
		return block->body + dx_fb_load_i64(buffers + 16) + 4;
	case DECIMAL:
		return block->body + dx_fb_load_i64(buffers + 4 * 16) + 8;
	case CODE:
		return codes;
	case NULL_CODE:
		return codes + 4;
	case ENTRY_NULLS:
		return entries->nodes + 8;
	case ENTRY_OFFSET:
		return entries->body + dx_fb_load_i64(entries->buffers + 16) + 4;
	}
	abort();
}

static const struct {
	enum place place;
	size_t width;
	int64_t value;
	int code;
	const char *said;
} contradiction_rows[] = {
	{ NODE_ROWS, 8, 2, -EBADMSG,
	  "record batch 0: column 0 has 2 rows and 0 nulls, the batch 3 rows" },
	{ NODE_NULLS, 8, -1, -EBADMSG, "-1 nulls" },
	{ NODE_NULLS, 8, 4, -EBADMSG, "4 nulls" },
	{ NODE_NULLS, 8, 1, -EBADMSG, "buffer 0 has 0 bytes where the rows need 1" },
	{ CODED_NULLS, 8, 2, -EBADMSG, "its nulls are not as many as it says" },
	{ BUFFER_OFFSET, 8, 4, -EBADMSG, "buffer 4 begins at 4, which is no multiple of 8" },
	{ BUFFER_OFFSET, 8, 1 << 20, -EBADMSG, "buffer 4 reaches beyond the body" },
	{ BUFFER_OFFSET, 8, -8, -EBADMSG, "buffer 4 reaches beyond the body" },
	{ BUFFER_LENGTH, 8, 47, -EBADMSG, "buffer 4 has 47 bytes where the rows need 48" },
	{ BUFFER_LENGTH, 8, INT64_MAX, -EBADMSG, "buffer 4 reaches beyond the body" },
	{ TEXT_LENGTH, 8, 5, -EBADMSG, "column 0 (t): its offsets do not ascend within its bytes" },
	{ TEXT_OFFSET, 4, 9, -EBADMSG, "column 0 (t): its offsets do not ascend" },
	{ TEXT_OFFSET, 4, -1, -EBADMSG, "column 0 (t): its offsets do not ascend" },
	{ DECIMAL, 8, INT64_MAX, -EBADMSG,
	  "column 1 (d): a decimal has more digits than its type" },
	{ CODE, 4, 2, -EBADMSG, "column 2 (c): a code points beyond its dictionary" },
	{ CODE, 4, -1, -EBADMSG, "column 2 (c): a code points beyond its dictionary" },
	{ NULL_CODE, 4, -1, 0, NULL },
	{ NULL_CODE, 4, 2, 0, NULL },
	{ ENTRY_NULLS, 8, 1, -EBADMSG, "dictionary 0: buffer 0 has 0 bytes" },
	{ ENTRY_OFFSET, 4, 7, -EBADMSG, "dictionary 2: its offsets do not ascend" },
};

TEST(contradictions, "each rule of a record batch that is broken in a file without hash is told")
{
	static const struct dsmx_field fields[3] = {
		{ "t", { .id = DSMX_UTF8 }, true },
		{ "d", { .id = DSMX_DECIMAL, .precision = 38, .scale = 3 }, false },
		{ "c", { .id = DSMX_UTF8 }, true },
	};
	static const struct dsmx_schema schema = { 3, fields };
	static const bool coded[3] = { false, false, true };
	static const int32_t offsets[4] = { 0, 2, 4, 6 };
	const __int128 decimals[3] = { 1, 2, 3 };
	const struct dsmx_column columns[3] = {
		{ NULL, offsets, (const uint8_t *)"aabbcc", NULL, 0 },
		{ NULL, decimals, NULL, NULL, 0 },
		{ (const uint8_t *)"\5", offsets, (const uint8_t *)"aabbcc", NULL, 0 },
	};
	const struct dsmx_batch batch = { 3, 3, NULL, 3, columns, NULL };
	struct dsmx_ipc_writer *writer;
	int fd = memfd_create("dsmx-test", MFD_CLOEXEC);
	uint8_t *bytes;
	size_t len;
	char path[32];

	CHECK_EQ(dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, coded, &writer, NULL), 0);
	CHECK_EQ(dsmx_ipc_write(writer, &batch, NULL), 0);
	CHECK_EQ(dsmx_ipc_finish(writer, NULL), 0);
	bytes = load_file(fd, &len);
	disguise(bytes, len);
	fd_path(fd, path);
	for (size_t i = 0; i < sizeof(contradiction_rows) / sizeof(contradiction_rows[0]); i++) {
		struct dsmx_error err = { .message = "nothing" };
		struct dsmx_ipc_file *file;
		off_t at;
		int ret;

		store_file(fd, bytes, len);
		CHECK_EQ(dsmx_ipc_open(path, &file, NULL), 0);
		at = place_of(file, contradiction_rows[i].place) - file->map;
		dsmx_ipc_close(file);
		CHECK_EQ(pwrite(fd, &contradiction_rows[i].value, contradiction_rows[i].width, at),
		         contradiction_rows[i].width);
		CHECK_EQ(open_and_read(path, 3), contradiction_rows[i].code);
		ret = dsmx_ipc_open(path, &file, &err);
		for (uint32_t column = 0; column < 3 && ret == 0; column++) {
			struct dsmx_column opened;
			bool wide;

			if (dx_ipc_column(file, 0, column, &opened, &wide, &err) < 0)
				break;
			if (column == 2)
				CHECK_EQ(opened.codes[1] == 0 || opened.codes[1] == 1, true);
		}
		if (ret == 0)
			dsmx_ipc_close(file);
		if (contradiction_rows[i].said != NULL &&
		    strstr(err.message, contradiction_rows[i].said) == NULL)
			printf("# said '%s'\n", err.message);
		CHECK_EQ(contradiction_rows[i].said == NULL ||
		                 strstr(err.message, contradiction_rows[i].said) != NULL,
		         true);
	}
	free(bytes);
	close(fd);
}

TEST(flatbuffer_rules, "a table that breaks a rule of FlatBuffers is broken, and stays so")
{
	/* Root at 12, vtable at 4: length 6, table of 8, field 0 at 4. */
	static const uint8_t good[24] = { 12, 0, 0, 0, 6, 0, 8,  0, 4, 0,
		                          0,  0, 8, 0, 0, 0, 42, 0, 0, 0 };
	static const struct {
		size_t at;
		uint8_t value;
		bool root; /* is it the root that breaks, not the field? */
	} rows[] = {
		{ 0, 0, true },    { 0, 13, true },  { 0, 18, true }, { 0, 200, true },
		{ 3, 0xff, true }, { 12, 14, true }, { 12, 7, true }, { 15, 0x80, true },
		{ 4, 7, true },    { 4, 2, true },   { 4, 22, true }, { 6, 3, true },
		{ 6, 13, true },   { 8, 3, false },  { 8, 5, false }, { 8, 8, false },
	};
	_Alignas(8) uint8_t bytes[24];
	struct dx_fb_table table;
	struct dx_fb fb;

	CHECK_EQ(dx_fb_root(&fb, good, sizeof(good), &table), true);
	CHECK_EQ(dx_fb_int(&table, 0, 4, 7), 42);
	CHECK_EQ(dx_fb_int(&table, 1, 4, 7), 7);
	CHECK_EQ(fb.broken == NULL, true);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(bytes, good, sizeof(good));
		bytes[rows[i].at] = rows[i].value;
		CHECK_EQ(dx_fb_root(&fb, bytes, sizeof(bytes), &table), !rows[i].root);
		CHECK_EQ(dx_fb_int(&table, 0, 4, 7), 7);
		CHECK_EQ(fb.broken != NULL, true);
		CHECK_EQ(fb.broken_at <= sizeof(bytes), true);
	}
	for (size_t len = 0; len < 20; len++) { /* where the table ends */
		memcpy(bytes, good, sizeof(good));
		CHECK_EQ(dx_fb_root(&fb, bytes, len, &table), false);
	}
}

int main(void)
{
	return harness_run();
}
