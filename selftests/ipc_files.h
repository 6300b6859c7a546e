/* SPDX-License-Identifier: MIT */
/*
 * ipc_files.h - Arrow files to test with: rows of every type, written into a memfd
 *
 * They are opened through /proc/self/fd, so that nothing is left behind.
 */
#ifndef DX_SELFTESTS_IPC_FILES_H
#define DX_SELFTESTS_IPC_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/bits.h"
#include "batch/ipc_file.h"
#include "batch/parse.h"
#include "harness.h"

#define ROWS_MAX   200
#define TYPES_MAX  24
#define TEXT_BYTES 4000

/* --- rows to write -------------------------------------------------------------------------------------- */

static const char *const all_types[] = {
	"bool",           "int8",   "int16",        "int32",        "int64",        "uint8",
	"uint16",         "uint32", "uint64",       "float32",      "float64",      "decimal(15,2)",
	"decimal(38,3)",  "date",   "timestamp(0)", "timestamp(3)", "timestamp(6)", "timestamp(9)",
	"timestamptz(6)", "utf8",   "large_utf8",   "binary",       "utf8",         "large_utf8",
};
#define CODED_FIRST 22 /* the last two are written with dictionaries */

/* A schema of some of the types, and a batch of them with values that follow from @seed. */
struct table {
	struct dsmx_field fields[TYPES_MAX];
	struct dsmx_schema schema;
	bool coded[TYPES_MAX];
	struct dsmx_column columns[TYPES_MAX];
	struct dsmx_batch batch;
	struct {
		_Alignas(16) uint8_t values[ROWS_MAX * 16 + 16];
		uint8_t validity[ROWS_MAX / 8 + 1];
		uint8_t bytes[TEXT_BYTES];
	} memory[TYPES_MAX];
};

static inline uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 20;
}

static inline void fill_column(struct table *table, uint32_t i, uint32_t rows, uint64_t seed,
                               bool nulls)
{
	struct dsmx_type type = table->fields[i].type;
	size_t width = dsmx_type_width(type), used = 0;
	uint8_t *values = table->memory[i].values;
	uint64_t state = seed + i;

	for (uint32_t row = 0; row < rows; row++) {
		uint64_t random = next_random(&state);
		union dx_value value = { .d = (__int128)(random % 97) - 48 };

		dx_bit_put(table->memory[i].validity, row, random % 3 != 0);
		if (dsmx_type_is_text(type)) {
			size_t len = random % 5, wide = type.id == DSMX_LARGE_UTF8 ? 8 : 4;

			if (row == 0)
				memset(values, 0, wide);
			memset(table->memory[i].bytes + used, (int)('a' + random % 7), len);
			used += len;
			memcpy(values + (row + 1) * wide, &used, wide);
		} else if (type.id == DSMX_BOOL) {
			dx_bit_put(values, row, random % 2 != 0);
		} else {
			if (type.id == DSMX_FLOAT32 || type.id == DSMX_FLOAT64)
				value.f = (double)(random % 97) / 8;
			else if (type.id >= DSMX_UINT8 && type.id <= DSMX_UINT64)
				value.u = random % 97;
			dx_value_store(type, &value, values + row * width);
		}
	}
	table->columns[i] = (struct dsmx_column){
		.validity = nulls ? table->memory[i].validity : NULL,
		.values = values,
		.bytes = table->memory[i].bytes,
	};
}

/* The @stride-th of the types, from @first on. */
static inline struct table *table_new(size_t first, size_t stride)
{
	static const char *const names[TYPES_MAX] = { "a", "b", "c", "d", "e", "f", "g", "h",
		                                      "i", "j", "k", "l", "m", "n", "o", "p",
		                                      "q", "r", "s", "t", "u", "v", "w", "x" };
	struct table *table = calloc(1, sizeof(*table));
	uint32_t count = 0;

	for (size_t i = first; i < TYPES_MAX; i += stride, count++) {
		table->fields[count].name = names[i];
		table->fields[count].nullable = true;
		if (dsmx_type_parse(all_types[i], &table->fields[count].type) < 0)
			abort();
		table->coded[count] = i >= CODED_FIRST;
	}
	table->schema = (struct dsmx_schema){ count, table->fields };
	return table;
}

static inline const struct dsmx_batch *table_fill(struct table *table, uint32_t rows, uint64_t seed,
                                                  bool nulls)
{
	for (uint32_t i = 0; i < table->schema.field_count; i++)
		fill_column(table, i, rows, seed, nulls);
	table->batch = (struct dsmx_batch){ rows,           rows, NULL, table->schema.field_count,
		                            table->columns, NULL };
	return &table->batch;
}

/* --- files in memory ------------------------------------------------------------------------------------ */

static inline const char *fd_path(int fd, char buf[32])
{
	(void)snprintf(buf, 32, "/proc/self/fd/%d", fd);
	return buf;
}

/* Batches of these row counts, which end with 0; seeds 1, 2, ...; the odd ones with nulls. */
static inline int write_file(struct table *table, const uint32_t *rows, bool coded)
{
	struct dsmx_ipc_writer *writer;
	int fd = memfd_create("dsmx-test", MFD_CLOEXEC), ret;

	ret = dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &table->schema, coded ? table->coded : NULL,
	                          &writer, NULL);
	for (uint64_t i = 0; ret == 0 && rows[i] > 0; i++)
		ret = dsmx_ipc_write(writer, table_fill(table, rows[i], i + 1, i % 2 != 0), NULL);
	if (ret == 0)
		ret = dsmx_ipc_finish(writer, NULL);
	if (ret < 0) {
		printf("# cannot write: %d\n", ret);
		close(fd);
		return ret;
	}
	return fd;
}

/* The bytes of a file, in memory. */
static inline uint8_t *load_file(int fd, size_t *ret_len)
{
	struct stat st;
	uint8_t *bytes;

	if (fstat(fd, &st) < 0)
		abort();
	bytes = malloc((size_t)st.st_size);
	if (pread(fd, bytes, (size_t)st.st_size, 0) != st.st_size)
		abort();
	*ret_len = (size_t)st.st_size;
	return bytes;
}

static inline void store_file(int fd, const uint8_t *bytes, size_t len)
{
	if (ftruncate(fd, (off_t)len) < 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
		abort();
}

/* --- what must hold of anything that was opened ----------------------------------------------------------- */

static inline bool in_file(const struct dsmx_ipc_file *file, const void *at, uint64_t len)
{
	const uint8_t *bytes = at;

	return bytes >= file->map && bytes <= file->map + file->len &&
	       len <= (uint64_t)(file->map + file->len - bytes);
}

static inline bool texts_well_formed(const struct dsmx_ipc_file *file, struct dsmx_type type,
                                     const struct dsmx_column *column, uint32_t entries)
{
	uint64_t last = 0;

	if (entries == 0)
		return true;
	for (uint32_t i = 0; i <= entries; i++) {
		int64_t offset = type.id == DSMX_LARGE_UTF8 ? ((const int64_t *)column->values)[i]
		                                            : ((const int32_t *)column->values)[i];

		if (offset < 0 || (uint64_t)offset < last)
			return false;
		last = (uint64_t)offset;
	}
	return in_file(file, column->values,
	               (entries + 1) * (type.id == DSMX_LARGE_UTF8 ? 8U : 4U)) &&
	       in_file(file, column->bytes, last);
}

static inline bool column_well_formed(const struct dsmx_ipc_file *file, uint32_t part, uint32_t i,
                                      const struct dsmx_column *column, bool wide)
{
	struct dsmx_type type = file->schema.fields[i].type;
	size_t at = (size_t)part * file->schema.field_count + i;
	uint32_t rows = file->parts[part].rows;
	size_t width = wide ? 16 : dsmx_type_width(type);

	if (column->validity != NULL && !in_file(file, column->validity, dx_bits_bytes(rows)))
		return false;
	if (column->codes != NULL) {
		for (uint32_t row = 0; row < rows; row++) {
			bool valid = column->validity == NULL || dx_bit_get(column->validity, row);

			if ((uint32_t)column->codes[row] >= column->dictionary_length &&
			    (valid || column->codes[row] != 0))
				return false;
		}
		return texts_well_formed(file, type, column, column->dictionary_length);
	}
	if (dsmx_type_is_text(type))
		return texts_well_formed(file, type, column, rows);
	if (file->copies != NULL && file->copies[at] == column->values)
		return true; /* a wide decimal at a multiple of 8 */
	return in_file(file, column->values, width > 0 ? rows * width : dx_bits_bytes(rows));
}

/*
 * Open a file and read all of it. 0: well-formed; an error with its sentence; -EIO if something that must hold
 * does not.
 */
static inline int open_and_read(const char *path, uint32_t rows_max)
{
	struct dsmx_error err = { 0 };
	struct dsmx_ipc_file *file;
	int ret = dsmx_ipc_open(path, &file, &err);

	if (ret < 0)
		return err.code == ret && strstr(err.message, path) != NULL ? ret : -EIO;
	for (uint32_t part = 0; part < dsmx_ipc_batch_count(file) && ret == 0; part++) {
		uint32_t rows = dsmx_ipc_batch_rows(file, part);

		if (rows > rows_max)
			ret = -EIO;
		for (uint32_t i = 0; i < dsmx_ipc_schema(file)->field_count && ret == 0; i++) {
			struct dsmx_column column;
			int64_t min, max;
			bool wide;

			ret = dx_ipc_column(file, part, i, &column, &wide, &err);
			if (ret < 0 && (err.code != ret || strstr(err.message, path) == NULL))
				ret = -EIO;
			if (ret == 0 && !column_well_formed(file, part, i, &column, wide))
				ret = -EIO;
			(void)dx_ipc_range(file, part, i, &min, &max);
		}
	}
	dsmx_ipc_close(file);
	return ret;
}

#endif /* DX_SELFTESTS_IPC_FILES_H */
