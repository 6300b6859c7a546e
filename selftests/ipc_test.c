/* SPDX-License-Identifier: MIT */
#include "batch/decimal.h"
#include "ipc_files.h"

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
	char path[32], dir[] = "/tmp/dsmx-test-XXXXXX", fifo[32];

	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(dsmx_ipc_open("/nonexistent/x.arrow", &file, NULL), -ENOENT);
	CHECK_EQ(dsmx_ipc_open("/", &file, NULL), -EISDIR);
	CHECK_EQ(dsmx_ipc_open("/dev/null", &file, NULL), -EPROTO);
	CHECK_EQ(mkfifo(strcat(strcpy(fifo, dir), "/fifo"), 0600), 0);
	CHECK_EQ(dsmx_ipc_open(fifo, &file, NULL), -EPROTO); /* at once: nobody writes to it */
	CHECK_EQ(unlink(fifo), 0);
	CHECK_EQ(rmdir(dir), 0);
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

int main(void)
{
	return harness_run();
}
