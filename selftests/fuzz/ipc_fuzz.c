/* SPDX-License-Identifier: MIT */
/* ipc_fuzz.c - Arrow files, ours and others': an error that names the file, or columns that point into it */
#include "../ipc_files.h"
#include "fuzz.h"

/* Files of eight kinds of columns each; the second half without what says that they are ours. */
static size_t seed(uint32_t index, uint8_t *buf, size_t room)
{
	static const uint32_t rows[3] = { 9, 5, 0 };
	struct table *table;
	uint8_t *bytes, *mark;
	size_t len;
	int fd;

	if (index >= 16)
		return 0;
	table = table_new(index % 8, 8);
	fd = write_file(table, rows, true);
	bytes = load_file(fd, &len);
	FUZZ_CHECK(len <= room);
	memcpy(buf, bytes, len);
	mark = memmem(buf, len, DX_IPC_HASHED_MARK, 8);
	FUZZ_CHECK(mark != NULL);
	if (index >= 8) {
		memset(mark, 0, 16);
		mark = memmem(buf, len, DX_IPC_KEY_HASHED, strlen(DX_IPC_KEY_HASHED));
		FUZZ_CHECK(mark != NULL);
		mark[0] = 'D';
	}
	free(bytes);
	free(table);
	close(fd);
	return len;
}

const struct fuzz_target fuzz_target = { .name = "ipc", .seed = seed, .len_max = 16384 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	char path[32];

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	store_file(fd, data, size);
	FUZZ_CHECK(open_and_read(fd_path(fd, path), INT32_MAX) != -EIO);
	return 0;
}
