/* SPDX-License-Identifier: MIT */
/*
 * Arrow files are written into a memfd and opened through /proc/self/fd, so that nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/bits.h"
#include "batch/decimal.h"
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

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 20;
}

static void fill_column(struct table *table, uint32_t i, uint32_t rows, uint64_t seed, bool nulls)
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
static struct table *table_new(size_t first, size_t stride)
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

static const struct dsmx_batch *table_fill(struct table *table, uint32_t rows, uint64_t seed,
                                           bool nulls)
{
	for (uint32_t i = 0; i < table->schema.field_count; i++)
		fill_column(table, i, rows, seed, nulls);
	table->batch = (struct dsmx_batch){ rows,           rows, NULL, table->schema.field_count,
		                            table->columns, NULL };
	return &table->batch;
}

/* --- files in memory ------------------------------------------------------------------------------------ */

static const char *fd_path(int fd, char buf[32])
{
	(void)snprintf(buf, 32, "/proc/self/fd/%d", fd);
	return buf;
}

/* Batches of these row counts, which end with 0; seeds 1, 2, ...; the odd ones with nulls. */
static int write_file(struct table *table, const uint32_t *rows, bool coded)
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
static uint8_t *load_file(int fd, size_t *ret_len)
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

static void store_file(int fd, const uint8_t *bytes, size_t len)
{
	if (ftruncate(fd, (off_t)len) < 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
		abort();
}

/* --- reading -------------------------------------------------------------------------------------------- */

/* One column of one part in our own form; @narrowed has room for decimals. */
static int read_column(struct dsmx_ipc_file *file, uint32_t part, uint32_t i, int64_t *narrowed,
                       struct dsmx_column *ret_column, struct dsmx_error *err)
{
	struct dsmx_type type = dsmx_ipc_schema(file)->fields[i].type;
	uint32_t rows = dsmx_ipc_batch_rows(file, part);
	bool wide;
	int ret = dx_ipc_column(file, part, i, ret_column, &wide, err);

	if (ret < 0 || !wide)
		return ret;
	if (!dx_decimal_convert(ret_column->values, 16, narrowed, 8, ret_column->validity, rows,
	                        type.precision))
		return -EBADMSG;
	ret_column->values = narrowed;
	return 0;
}

/* Do both columns have the same text, or null, in these rows? */
static bool same_value(struct dsmx_type type, const struct dsmx_column *a, uint32_t row_a,
                       const struct dsmx_column *b, uint32_t row_b)
{
	char text_a[80], text_b[80];
	bool null = dsmx_column_is_null(a, row_a);

	if (null != dsmx_column_is_null(b, row_b))
		return false;
	if (null)
		return true;
	dsmx_column_format(type, a, row_a, text_a, sizeof(text_a));
	dsmx_column_format(type, b, row_b, text_b, sizeof(text_b));
	if (strcmp(text_a, text_b) == 0)
		return true;
	printf("# '%s' is not '%s'\n", text_a, text_b);
	return false;
}

/* Does part @part have what table_fill() made of these arguments? */
static bool part_holds(struct dsmx_ipc_file *file, uint32_t part, struct table *table,
                       uint32_t rows, uint64_t seed, bool nulls)
{
	static int64_t narrowed[ROWS_MAX];
	struct dsmx_column column;

	table_fill(table, rows, seed, nulls);
	if (dsmx_ipc_batch_rows(file, part) != rows)
		return false;
	for (uint32_t i = 0; i < table->schema.field_count; i++) {
		if (read_column(file, part, i, narrowed, &column, NULL) < 0)
			return false;
		for (uint32_t row = 0; row < rows; row++) {
			if (!same_value(table->fields[i].type, &column, row, &table->columns[i],
			                row))
				return false;
		}
	}
	return true;
}

/* --- what must hold of anything that was opened ----------------------------------------------------------- */

static bool in_file(const struct dsmx_ipc_file *file, const void *at, uint64_t len)
{
	const uint8_t *bytes = at;

	return bytes >= file->map && bytes <= file->map + file->len &&
	       len <= (uint64_t)(file->map + file->len - bytes);
}

static bool texts_well_formed(const struct dsmx_ipc_file *file, struct dsmx_type type,
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

static bool column_well_formed(const struct dsmx_ipc_file *file, uint32_t part, uint32_t i,
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
static int open_and_read(const char *path, uint32_t rows_max)
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

/* --- tests ---------------------------------------------------------------------------------------------- */

TEST(file_round_trip,
     "every type, with and without nulls and dictionaries, is read as it was written")
{
	static const uint32_t rows[4] = { 200, 64, 1, 0 };
	struct table *table = table_new(0, 1);
	char path[32];

	for (int coded = 0; coded < 2; coded++) {
		struct dsmx_ipc_file *file;
		int fd = write_file(table, rows, coded == 1);

		CHECK_EQ(fd >= 0, true);
		CHECK_EQ(dsmx_ipc_open(fd_path(fd, path), &file, NULL), 0);
		CHECK_EQ(dsmx_ipc_batch_count(file), 3);
		CHECK_EQ(dsmx_ipc_rows(file), 265);
		CHECK_EQ(dsmx_ipc_schema(file)->field_count, TYPES_MAX);
		for (uint32_t i = 0; i < TYPES_MAX; i++) {
			const struct dsmx_field *field = &dsmx_ipc_schema(file)->fields[i];

			CHECK_EQ(strcmp(field->name, table->fields[i].name), 0);
			CHECK_EQ(dsmx_type_equal(field->type, table->fields[i].type), true);
			CHECK_EQ(field->nullable, true);
		}
		for (int again = 0; again < 2; again++) {
			for (uint32_t part = 0; part < 3; part++)
				CHECK_EQ(part_holds(file, part, table, rows[part], part + 1,
				                    part % 2 != 0),
				         true);
		}
		dsmx_ipc_close(file);
		close(fd);
	}
	free(table);
}

TEST(selections,
     "of a batch with a selection, dictionary codes too, only the selected rows are written")
{
	static const struct dsmx_field fields[2] = { { "n", { .id = DSMX_INT64 }, false },
		                                     { "t", { .id = DSMX_UTF8 }, true } };
	static const struct dsmx_schema schema = { 2, fields };
	static const int64_t numbers[4] = { 10, 20, 30, 40 };
	static const int32_t offsets[4] = { 0, 1, 3, 6 }, codes[4] = { 2, 1, 0, 1 };
	static const uint32_t selection[3] = { 0, 1, 3 };
	static const struct dsmx_column columns[2] = {
		{ NULL, numbers, NULL, NULL, 0 },
		{ (const uint8_t *)"\x0e", offsets, (const uint8_t *)"abbccc", codes, 3 },
	};
	static const struct dsmx_batch batch = { 4, 3, selection, 2, columns, NULL };
	static const bool plain[2] = { false, false }, coded[2] = { false, true };
	char path[32];

	for (int i = 0; i < 2; i++) {
		struct dsmx_ipc_writer *writer;
		struct dsmx_ipc_file *file;
		struct dsmx_column column;
		int fd = memfd_create("dsmx-test", MFD_CLOEXEC);
		size_t len;
		bool wide;

		CHECK_EQ(dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, i ? coded : plain, &writer,
		                             NULL),
		         0);
		CHECK_EQ(dsmx_ipc_write(writer, &batch, NULL), 0);
		CHECK_EQ(dsmx_ipc_finish(writer, NULL), 0);
		CHECK_EQ(dsmx_ipc_open(fd_path(fd, path), &file, NULL), 0);
		CHECK_EQ(dsmx_ipc_batch_rows(file, 0), 3);
		CHECK_EQ(dx_ipc_column(file, 0, 0, &column, &wide, NULL), 0);
		CHECK_EQ(column.validity == NULL, true);
		for (uint32_t row = 0; row < 3; row++)
			CHECK_EQ(((const int64_t *)column.values)[row], numbers[selection[row]]);
		CHECK_EQ(dx_ipc_column(file, 0, 1, &column, &wide, NULL), 0);
		CHECK_EQ(column.codes != NULL, i == 1);
		CHECK_EQ(dsmx_column_is_null(&column, 0), true);
		CHECK_EQ(*dsmx_column_text(fields[1].type, &column, 2, &len), 'b');
		CHECK_EQ(len, 2);
		dsmx_ipc_close(file);
		close(fd);
	}
}

TEST(ranges, "integers, dates, timestamps and short decimals have their least and greatest value")
{
	static const uint32_t rows[3] = { 200, 200, 0 };
	struct table *table = table_new(0, 1);
	struct dsmx_ipc_file *file;
	int fd = write_file(table, rows, true);
	char path[32];

	CHECK_EQ(dsmx_ipc_open(fd_path(fd, path), &file, NULL), 0);
	for (uint32_t part = 0; part < 2; part++) {
		table_fill(table, 200, part + 1, part == 1);
		for (uint32_t i = 0; i < TYPES_MAX; i++) {
			struct dsmx_type type = table->fields[i].type;
			bool has = type.id >= DSMX_INT8 && type.id <= DSMX_TIMESTAMP_TZ &&
			           type.id != DSMX_UINT64 && type.id != DSMX_FLOAT32 &&
			           type.id != DSMX_FLOAT64 && type.precision <= 18;
			int64_t min = 0, max = 0, least = INT64_MAX, greatest = INT64_MIN;

			CHECK_EQ(dx_ipc_range(file, part, i, &min, &max), has);
			for (uint32_t row = 0; has && row < 200; row++) {
				union dx_value value;
				int64_t number;

				if (dsmx_column_is_null(&table->columns[i], row))
					continue;
				dx_value_load(type,
				              table->memory[i].values + row * dsmx_type_width(type),
				              &value);
				number = type.id == DSMX_DECIMAL ? (int64_t)value.d : value.i;
				least = number < least ? number : least;
				greatest = number > greatest ? number : greatest;
			}
			CHECK_EQ(min, has ? least : 0);
			CHECK_EQ(max, has ? greatest : 0);
		}
	}
	dsmx_ipc_close(file);
	close(fd);
	free(table);
}

TEST(no_rows, "a file without rows, and one without columns, can be written and opened")
{
	static const struct dsmx_schema none = { 0, NULL };
	static const uint32_t rows[1] = { 0 };
	struct table *table = table_new(0, 1);
	struct dsmx_ipc_writer *writer;
	int fd = write_file(table, rows, true);
	char path[32];

	CHECK_EQ(open_and_read(fd_path(fd, path), 0), 0);
	close(fd);
	fd = memfd_create("dsmx-test", MFD_CLOEXEC);
	CHECK_EQ(dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &none, NULL, &writer, NULL), 0);
	CHECK_EQ(dsmx_ipc_finish(writer, NULL), 0);
	CHECK_EQ(open_and_read(fd_path(fd, path), 0), 0);
	close(fd);
	free(table);
}

TEST(long_batch, "a long record batch is shown in parts, values, bits and texts in their places")
{
	enum { ROWS = 200000 };
	static const struct dsmx_field fields[4] = { { "n", { .id = DSMX_INT32 }, true },
		                                     { "b", { .id = DSMX_BOOL }, false },
		                                     { "t", { .id = DSMX_UTF8 }, false },
		                                     { "c", { .id = DSMX_UTF8 }, false } };
	static const struct dsmx_schema schema = { 4, fields };
	static const bool coded[4] = { false, false, false, true };
	int32_t *numbers = malloc(ROWS * 4), *offsets = malloc(ROWS * 4 + 4);
	uint8_t *bits = malloc(ROWS / 8), *letters = malloc(ROWS);
	const struct dsmx_column columns[4] = { { bits, numbers, NULL, NULL, 0 },
		                                { NULL, bits, NULL, NULL, 0 },
		                                { NULL, offsets, letters, NULL, 0 },
		                                { NULL, offsets, letters, NULL, 0 } };
	const struct dsmx_batch batch = { ROWS, ROWS, NULL, 4, columns, NULL };
	struct dsmx_ipc_writer *writer;
	struct dsmx_ipc_file *file;
	uint32_t row = 0;
	char path[32];
	int fd = memfd_create("dsmx-test", MFD_CLOEXEC);

	for (int32_t i = 0; i < ROWS; i++) {
		numbers[i] = i;
		offsets[i] = i;
		letters[i] = (uint8_t)('a' + i % 26);
		dx_bit_put(bits, (uint64_t)i, i % 7 < 3);
	}
	offsets[ROWS] = ROWS;
	CHECK_EQ(dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, coded, &writer, NULL), 0);
	CHECK_EQ(dsmx_ipc_write(writer, &batch, NULL), 0);
	CHECK_EQ(dsmx_ipc_finish(writer, NULL), 0);
	CHECK_EQ(dsmx_ipc_open(fd_path(fd, path), &file, NULL), 0);
	CHECK_EQ(dsmx_ipc_rows(file), ROWS);
	CHECK_EQ(dsmx_ipc_batch_count(file), 4);
	for (uint32_t part = 0; part < 4; part++) {
		struct dsmx_column n, b, t, c;
		bool wide;

		CHECK_EQ(dx_ipc_column(file, part, 0, &n, &wide, NULL), 0);
		CHECK_EQ(dx_ipc_column(file, part, 1, &b, &wide, NULL), 0);
		CHECK_EQ(dx_ipc_column(file, part, 2, &t, &wide, NULL), 0);
		CHECK_EQ(dx_ipc_column(file, part, 3, &c, &wide, NULL), 0);
		for (uint32_t i = 0; i < dsmx_ipc_batch_rows(file, part); i++, row++) {
			size_t len;

			CHECK_EQ(((const uint32_t *)n.values)[i], row);
			CHECK_EQ(dsmx_column_is_null(&n, i), row % 7 >= 3);
			CHECK_EQ(dx_bit_get(b.values, i), row % 7 < 3);
			CHECK_EQ(*dsmx_column_text(fields[2].type, &t, i, &len),
			         'a' + (int)(row % 26));
			CHECK_EQ(*dsmx_column_text(fields[3].type, &c, i, &len),
			         'a' + (int)(row % 26));
		}
	}
	CHECK_EQ(row, ROWS);
	dsmx_ipc_close(file);
	close(fd);
	free(numbers);
	free(offsets);
	free(bits);
	free(letters);
}

TEST(no_arrow, "what is no Arrow file, or not there, is refused with its own code")
{
	static const char magic[18] = "ARROW1\0\0\0\0\0\0ARROW1";
	struct dsmx_ipc_file *file;
	int fd = memfd_create("dsmx-test", MFD_CLOEXEC);
	char path[32];

	CHECK_EQ(dsmx_ipc_open("/nonexistent/x.arrow", &file, NULL), -ENOENT);
	CHECK_EQ(dsmx_ipc_open("/", &file, NULL), -EISDIR);
	CHECK_EQ(dsmx_ipc_open("/dev/null", &file, NULL), -EPROTO);
	CHECK_EQ(open_and_read(fd_path(fd, path), 0), -EPROTO);
	store_file(fd, (const uint8_t *)"PAR1PAR1PAR1PAR1PAR1PAR1", 24);
	CHECK_EQ(open_and_read(path, 0), -EPROTO);
	store_file(fd, (const uint8_t *)magic, sizeof(magic));
	CHECK_EQ(open_and_read(path, 0), -EBADMSG);
	close(fd);
}

TEST(writer_refusals, "a writer refuses what it cannot do, and passes the errors of write(2) on")
{
	static const struct dsmx_field field = { "n", { .id = DSMX_INT64 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	static const bool coded = true;
	struct table *table = table_new(0, 1);
	struct dsmx_ipc_writer *writer;
	struct dsmx_error err;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	CHECK_EQ(dsmx_ipc_writer_new(-1, DSMX_IPC_FILE, &schema, &coded, &writer, NULL), -EINVAL);
	CHECK_EQ(dsmx_ipc_writer_new(-1, DSMX_IPC_STREAM, &table->schema, table->coded, &writer,
	                             NULL),
	         -EINVAL);
	CHECK_EQ(dsmx_ipc_writer_new(-1, DSMX_IPC_FILE, &schema, NULL, &writer, NULL), -EBADF);
	CHECK_EQ(dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, NULL, &writer, &err), -ENOSPC);
	CHECK_EQ(err.code, -ENOSPC);
	close(fd);
	fd = memfd_create("dsmx-test", MFD_CLOEXEC);
	CHECK_EQ(dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, NULL, &writer, NULL), 0);
	CHECK_EQ(dsmx_ipc_write(writer, table_fill(table, 3, 1, false), NULL), -EINVAL);
	dsmx_ipc_abandon(writer);
	dsmx_ipc_abandon(NULL);
	close(fd);
	free(table);
}

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
			for (size_t cut = 0; cut < len; cut++) {
				int ret;

				store_file(fd, bytes, cut);
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

int main(void)
{
	return harness_run();
}
