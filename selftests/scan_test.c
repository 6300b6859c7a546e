/* SPDX-License-Identifier: MIT */
/*
 * Scans of Arrow files, and the cache of open ones.
 */
#include "scan_files.h"

/* --- scans -------------------------------------------------------------------------------------------- */

static bool scan_all(uint32_t rows_count, uint32_t most, uint32_t nulls, uint32_t tasks,
                     uint32_t coded, uint64_t chance)
{
	struct table rows = random_rows(rows_count, nulls, chance), seen = { 0 };
	struct file file = file_new();
	struct run run = { .env.tasks = tasks, .hurried = chance % 2 == 0 };
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;
	bool ok = file_write(&file, &rows, most, coded, chance);

	if (dsmx_plan_new(&plan) < 0 || dx_file_cache_new(&run.env.files) < 0)
		abort();
	rel = dsmx_rel_scan(plan, file.path, NULL, 0);
	ok = ok && rel != NULL && run_fragment(&run, rel, &seen) == 0;
	table_sort(&rows);
	table_sort(&seen);
	ok = ok && table_equal(&seen, &rows);
	if (!ok)
		printf("# %u rows by %u, %u tasks: %s\n", rows_count, most, tasks, run.err.message);
	dsmx_plan_free(plan);
	dx_file_cache_free(run.env.files);
	table_free(&rows);
	table_free(&seen);
	close(file.fd);
	return ok;
}

TEST(scan_gives_all, "the partitions of a scan together give every row of every type once")
{
	CHECK_EQ(scan_all(0, 10, 0, 1, 0, 1), true);
	CHECK_EQ(scan_all(1, 10, 0, 3, 2, 2), true);
	CHECK_EQ(scan_all(3000, 100, 5, 1, 2, 3), true);
	CHECK_EQ(scan_all(3000, 100, 0, 2, 34, 4), true);
	CHECK_EQ(scan_all(20000, 9000, 3, 3, 0, 5), true);
	CHECK_EQ(scan_all(20000, 20000, 7, 1, 32, 6), true);
	CHECK_EQ(scan_all(100, 10, 2, 64, 2, 7), true);
}

TEST(scan_takes_columns, "a scan gives the columns that it is asked for, in that order, also twice")
{
	static const uint32_t columns[] = { DAY, TEXT, PRICE, DAY };
	struct table rows = random_rows(5000, 5, 8), seen, want;
	struct file file = file_new();
	struct run run = { .env.tasks = 1 };
	struct dsmx_field chosen[4];
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;

	CHECK_EQ(file_write(&file, &rows, 5000, 2, 8), true);
	CHECK_EQ(dsmx_plan_new(&plan), 0);
	CHECK_EQ(dx_file_cache_new(&run.env.files), 0);
	rel = dsmx_rel_scan(plan, file.path, columns, 4);
	CHECK_EQ(rel != NULL, true);
	CHECK_EQ(run_fragment(&run, rel, &seen), 0);
	for (uint32_t c = 0; c < 4; c++)
		chosen[c] = fields[columns[c]];
	want = table_new(chosen, 4);
	for (uint32_t r = 0; r < rows.rows; r++) {
		struct value *out = table_add(&want);

		for (uint32_t c = 0; c < 4; c++)
			out[c] = *table_at(&rows, r, columns[c]);
	}
	CHECK_EQ(table_equal(&seen, &want), true);
	dsmx_plan_free(plan);
	dx_file_cache_free(run.env.files);
	table_free(&rows);
	table_free(&seen);
	table_free(&want);
	close(file.fd);
}

static struct dsmx_expr *compare(struct dsmx_plan *plan, struct dsmx_rel *rel,
                                 enum dsmx_function function, uint32_t column, const char *literal)
{
	struct dsmx_expr *args[] = {
		dsmx_expr_column(plan, rel, column),
		dsmx_expr_literal(plan, rel->schema.fields[column].type, literal),
	};

	return dsmx_expr_call(plan, function, args, 2);
}

/* number > -50 and price <= 0.90 and (text like '%b%' or not flag) and wide <> 0 and number < 90 */
static struct dsmx_rel *filtered(struct dsmx_plan *plan, const char *path)
{
	struct dsmx_rel *rel = dsmx_rel_scan(plan, path, NULL, 0);
	struct dsmx_expr *like[] = { dsmx_expr_column(plan, rel, TEXT),
		                     dsmx_expr_utf8(plan, "%b%", 3) };
	struct dsmx_expr *flag[] = { dsmx_expr_column(plan, rel, FLAG) };
	struct dsmx_expr *either[] = { dsmx_expr_call(plan, DSMX_FN_LIKE, like, 2),
		                       dsmx_expr_call(plan, DSMX_FN_NOT, flag, 1) };
	struct dsmx_expr *all[] = {
		compare(plan, rel, DSMX_FN_GT, NUMBER, "-50"),
		compare(plan, rel, DSMX_FN_LTE, PRICE, "0.90"),
		dsmx_expr_call(plan, DSMX_FN_OR, either, 2),
		compare(plan, rel, DSMX_FN_NOT_EQUAL, WIDE, "0"),
		compare(plan, rel, DSMX_FN_LT, NUMBER, "90"),
	};

	return dsmx_rel_filter(plan, rel, dsmx_expr_call(plan, DSMX_FN_AND, all, 5));
}

static bool passes(const struct value *row)
{
	bool has_b = !row[TEXT].null && memchr(row[TEXT].text, 'b', row[TEXT].len) != NULL;

	return !row[NUMBER].null && row[NUMBER].i > -50 && row[NUMBER].i < 90 && !row[PRICE].null &&
	       row[PRICE].i <= 90 && !row[WIDE].null && row[WIDE].i != 0 &&
	       (has_b || (!row[FLAG].null && row[FLAG].i == 0));
}

TEST(scan_filters, "a scan with a filter gives the rows for which it is true")
{
	for (uint64_t chance = 0; chance < 12; chance++) {
		struct table rows = random_rows(12000, (uint32_t)(chance % 3 * 4), chance), seen;
		struct table want = table_new(fields, COLUMNS);
		struct file file = file_new();
		struct run run = { .env.tasks = 1, .hurried = chance % 2 == 0 };
		struct dsmx_plan *plan;
		struct dsmx_rel *rel;

		CHECK_EQ(file_write(&file, &rows, chance < 6 ? 700 : 12000,
		                    (uint32_t)(chance % 4 * 2), chance),
		         true);
		CHECK_EQ(dsmx_plan_new(&plan), 0);
		CHECK_EQ(dx_file_cache_new(&run.env.files), 0);
		rel = filtered(plan, file.path);
		CHECK_EQ(rel != NULL && rel->kind == DX_REL_SCAN, true);
		CHECK_EQ(run_fragment(&run, rel, &seen), 0);
		for (uint32_t r = 0; r < rows.rows; r++) {
			if (passes(table_at(&rows, r, 0)))
				memcpy(table_add(&want), table_at(&rows, r, 0),
				       COLUMNS * sizeof(struct value));
		}
		CHECK_EQ(want.rows > 100, true);
		CHECK_EQ(table_equal(&seen, &want), true);
		dsmx_plan_free(plan);
		dx_file_cache_free(run.env.files);
		table_free(&rows);
		table_free(&seen);
		table_free(&want);
		close(file.fd);
	}
}

/* Rows whose number counts up, in record batches of 100. */
static bool write_counting(const struct file *file, uint32_t rows)
{
	struct dsmx_schema schema = { 1, fields };
	struct dsmx_ipc_writer *writer;
	int64_t numbers[100];
	struct dsmx_column column = { .values = numbers };
	struct dsmx_batch batch = {
		.length = 100, .selected = 100, .column_count = 1, .columns = &column
	};

	if (dsmx_ipc_writer_new(file->fd, DSMX_IPC_FILE, &schema, NULL, &writer, NULL) < 0)
		return false;
	for (uint32_t r = 0; r < rows; r++) {
		numbers[r % 100] = r;
		if (r % 100 == 99 && dsmx_ipc_write(writer, &batch, NULL) < 0)
			return false;
	}
	return dsmx_ipc_finish(writer, NULL) == 0;
}

TEST(scan_skips, "a record batch whose statistics contradict the filter is not read")
{
	static const struct {
		enum dsmx_function function;
		const char *literal;
		uint64_t skipped;
		uint32_t rows;
	} cases[] = {
		{ DSMX_FN_EQUAL, "555", 9, 1 },     { DSMX_FN_LT, "100", 9, 100 },
		{ DSMX_FN_LTE, "100", 8, 101 },     { DSMX_FN_GT, "899", 9, 100 },
		{ DSMX_FN_GTE, "899", 8, 101 },     { DSMX_FN_GTE, "1000", 10, 0 },
		{ DSMX_FN_NOT_EQUAL, "5", 0, 999 },
	};
	struct file file = file_new();
	struct run run = { .env.tasks = 1 };

	CHECK_EQ(write_counting(&file, 1000), true);
	CHECK_EQ(dx_file_cache_new(&run.env.files), 0);
	for (size_t i = 0; i < DX_ARRAY_LEN(cases); i++) {
		struct dsmx_plan *plan;
		struct dsmx_rel *rel;
		struct table seen;

		CHECK_EQ(dsmx_plan_new(&plan), 0);
		rel = dsmx_rel_scan(plan, file.path, NULL, 0);
		rel = dsmx_rel_filter(plan, rel,
		                      compare(plan, rel, cases[i].function, 0, cases[i].literal));
		run.env.scanned_batches = run.env.skipped_batches = 0;
		CHECK_EQ(run_fragment(&run, rel, &seen), 0);
		CHECK_EQ(seen.rows, cases[i].rows);
		CHECK_EQ(run.env.scanned_batches, 10);
		CHECK_EQ(run.env.skipped_batches, cases[i].skipped);
		table_free(&seen);
		dsmx_plan_free(plan);
	}
	dx_file_cache_free(run.env.files);
	close(file.fd);
}

/* --- what is refused ---------------------------------------------------------------------------------- */

/* A file of four prices, the third of which is put there behind the writer's back. */
static bool write_lying(const struct file *file, __int128 third, const uint8_t *validity)
{
	struct dsmx_schema schema = { 1, &fields[PRICE] };
	int64_t prices[4] = { 5, 999999999999999, 123456789012345, -7 };
	struct dsmx_column column = { .values = prices, .validity = validity };
	struct dsmx_batch batch = {
		.length = 4, .selected = 4, .column_count = 1, .columns = &column
	};
	struct dsmx_ipc_writer *writer;
	__int128 seen, mark = prices[2];
	int patched = 0;

	if (dsmx_ipc_writer_new(file->fd, DSMX_IPC_FILE, &schema, NULL, &writer, NULL) < 0 ||
	    dsmx_ipc_write(writer, &batch, NULL) < 0 || dsmx_ipc_finish(writer, NULL) < 0)
		return false;
	for (off_t at = 0; pread(file->fd, &seen, sizeof(seen), at) == sizeof(seen); at += 8) {
		if (seen == mark)
			patched += pwrite(file->fd, &third, sizeof(third), at) == sizeof(third);
	}
	return patched == 1;
}

TEST(scan_refuses_digits, "a decimal with more digits than its type is refused, unless nobody asks")
{
	const uint8_t no_third = 0xb;
	const struct {
		__int128 third;
		const uint8_t *validity;
		const char *most; /* rows up to here; NULL: all */
		int code;
	} cases[] = {
		{ 999999999999999, NULL, NULL, 0 },
		{ -999999999999999, NULL, NULL, 0 },
		{ 1000000000000000, NULL, NULL, -EBADMSG },
		{ -1000000000000000, NULL, NULL, -EBADMSG },
		{ INT64_MIN, NULL, NULL, -EBADMSG },
		{ (__int128)1 << 64, NULL, NULL, -EBADMSG },
		{ -((__int128)1 << 64) + 3, NULL, NULL, -EBADMSG },
		{ (__int128)1 << 64, NULL, "1.00", -EBADMSG },
	};

	for (size_t i = 0; i < 2 * DX_ARRAY_LEN(cases); i++) {
		size_t c = i / 2;
		bool is_null = i % 2 == 1; /* then nobody asks */
		struct file file = file_new();
		struct run run = { .env.tasks = 1 };
		struct dsmx_plan *plan;
		struct dsmx_rel *rel;
		struct table seen;
		char sentence[120];

		CHECK_EQ(write_lying(&file, cases[c].third, is_null ? &no_third : NULL), true);
		CHECK_EQ(dsmx_plan_new(&plan), 0);
		CHECK_EQ(dx_file_cache_new(&run.env.files), 0);
		rel = dsmx_rel_scan(plan, file.path, NULL, 0);
		if (cases[c].most != NULL)
			rel = dsmx_rel_filter(plan, rel,
			                      compare(plan, rel, DSMX_FN_LT, 0, cases[c].most));
		CHECK_EQ(rel != NULL, true);
		CHECK_EQ(run_fragment(&run, rel, &seen), is_null ? 0 : cases[c].code);
		(void)snprintf(sentence, sizeof(sentence),
		               "%s: record batch 0, column 0: a decimal of over 15 digits",
		               file.path);
		CHECK_EQ(is_null || cases[c].code == 0 || strcmp(run.err.message, sentence) == 0,
		         true);
		table_free(&seen);
		dsmx_plan_free(plan);
		dx_file_cache_free(run.env.files);
		close(file.fd);
	}
}

TEST(scan_refuses_files, "a file that is not there, or not what the plan says, is refused")
{
	static const uint32_t columns[] = { NUMBER };
	struct table rows = random_rows(10, 0, 1), other = table_new(fields + TEXT, 3);
	struct file file = file_new();
	struct run run = { .env.tasks = 1 };
	struct dsmx_operator *op;
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;
	struct dsmx_rel gone;

	CHECK_EQ(file_write(&file, &rows, 10, 0, 1), true);
	CHECK_EQ(dsmx_plan_new(&plan), 0);
	CHECK_EQ(dx_file_cache_new(&run.env.files), 0);
	rel = dsmx_rel_scan(plan, file.path, columns, 1);
	CHECK_EQ(rel != NULL, true);

	gone = *rel;
	gone.scan.path = "/proc/self/fd/no such file";
	CHECK_EQ(dx_exec_build(&run.env, &gone, &op, &run.err), -ENOENT);

	CHECK_EQ(file_write(&file, &other, 10, 0, 1), true);
	CHECK_EQ(dx_exec_build(&run.env, rel, &op, &run.err), -EBADMSG);
	CHECK_EQ(ftruncate(file.fd, 0), 0);
	CHECK_EQ(dx_exec_build(&run.env, rel, &op, &run.err) < 0, true);

	CHECK_EQ(file_write(&file, &rows, 10, 0, 1), true);
	gone = *rel;
	gone.scan.columns = (uint32_t[]){ COLUMNS };
	CHECK_EQ(dx_exec_build(&run.env, &gone, &op, &run.err), -EBADMSG);
	gone.scan.columns = (uint32_t[]){ TEXT };
	CHECK_EQ(dx_exec_build(&run.env, &gone, &op, &run.err), -EBADMSG);
	dsmx_plan_free(plan);
	dx_file_cache_free(run.env.files);
	table_free(&rows);
	table_free(&other);
	close(file.fd);
}

/* --- the cache ---------------------------------------------------------------------------------------- */

TEST(cache_keeps_files, "a file is mapped once while it is the same, and anew when it has changed")
{
	struct table rows = random_rows(10, 0, 1), more = random_rows(20, 0, 2);
	struct dx_cached_file *a, *b, *c;
	struct dx_file_cache *cache;
	struct file file = file_new();

	CHECK_EQ(dx_file_cache_new(&cache), 0);
	CHECK_EQ(file_write(&file, &rows, 10, 0, 1), true);
	CHECK_EQ(dx_file_cache_get(cache, file.path, &a, NULL), 0);
	CHECK_EQ(dx_file_cache_get(cache, file.path, &b, NULL), 0);
	CHECK_EQ(a == b, true);
	dx_file_cache_put(cache, b);
	dx_file_cache_put(cache, a);
	CHECK_EQ(dx_file_cache_get(cache, file.path, &b, NULL), 0);
	CHECK_EQ(a == b, true);
	CHECK_EQ(dsmx_ipc_rows(dx_cached_ipc(a)), 10);
	dx_file_cache_put(cache, a);

	CHECK_EQ(file_write(&file, &more, 10, 0, 1), true);
	CHECK_EQ(dx_file_cache_get(cache, file.path, &c, NULL), 0);
	CHECK_EQ(dsmx_ipc_rows(dx_cached_ipc(c)), 20);
	dx_file_cache_put(cache, c);
	dx_file_cache_free(cache);
	table_free(&rows);
	table_free(&more);
	close(file.fd);
}

/* Mappings of memfds in this process. */
static int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;

	if (maps == NULL)
		return -1;
	while (fgets(line, sizeof(line), maps) != NULL)
		count += strstr(line, "memfd:scan_test") != NULL;
	(void)fclose(maps);
	return count;
}

TEST(cache_is_bounded, "of files that nobody uses the cache keeps a bounded number")
{
	struct table rows = random_rows(1, 0, 1);
	struct dx_cached_file *in_use, *cached, *idle;
	struct file first = file_new(), second = file_new();
	struct dx_file_cache *cache;

	CHECK_EQ(dx_file_cache_new(&cache), 0);
	CHECK_EQ(file_write(&first, &rows, 10, 0, 1), true);
	CHECK_EQ(file_write(&second, &rows, 10, 0, 1), true);
	CHECK_EQ(dx_file_cache_get(cache, second.path, &idle, NULL), 0);
	dx_file_cache_put(cache, idle);
	for (int i = 0; i < 200; i++) { /* one file used often drives out none */
		CHECK_EQ(dx_file_cache_get(cache, first.path, &in_use, NULL), 0);
		dx_file_cache_put(cache, in_use);
	}
	CHECK_EQ(mappings(), 2);
	CHECK_EQ(dx_file_cache_get(cache, first.path, &in_use, NULL), 0);
	for (int i = 0; i < 200; i++) {
		struct file file = file_new();

		CHECK_EQ(file_write(&file, &rows, 10, 0, 1), true);
		CHECK_EQ(dx_file_cache_get(cache, file.path, &cached, NULL), 0);
		dx_file_cache_put(cache, cached);
		close(file.fd);
	}
	CHECK_EQ(mappings(), 65);
	CHECK_EQ(dsmx_ipc_rows(dx_cached_ipc(in_use)), 1);
	dx_file_cache_put(cache, in_use);
	dx_file_cache_free(cache);
	CHECK_EQ(mappings(), 0);
	table_free(&rows);
	close(first.fd);
	close(second.fd);
}

int main(void)
{
	return harness_run();
}
