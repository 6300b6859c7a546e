/* SPDX-License-Identifier: MIT */
/*
 * dsmx import, called in process. Inputs are memfds; outputs lie in a directory that goes at the end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#include "batch/decimal.h"
#include "batch/ipc.h"
#include "dsmx/commands.h"
#include "harness.h"

static char directory[] = "/tmp/dsmx-import-XXXXXX";
static char output[64];
static char said[4096];   /* on stderr by the last import */
static char shown[65536]; /* the last file that was read: fields in [], rows in lines */

/* --- running it ------------------------------------------------------------------------------------------ */

/* The exit status of `dsmx import @arguments`; what it says goes to said. */
static int run(int argc, const char *const *arguments)
{
	int saved = dup(STDERR_FILENO), to = memfd_create("stderr", MFD_CLOEXEC), status;
	char *argv[24] = { (char[]){ "import" } };
	ssize_t n;

	for (int i = 0; i < argc; i++)
		argv[i + 1] = strdup(arguments[i]);
	fflush(stderr);
	dup2(to, STDERR_FILENO);
	status = import_main(argc + 1, argv);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	n = pread(to, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	close(saved);
	close(to);
	for (int i = 0; i < argc; i++)
		free(argv[i + 1]);
	return status;
}

static int input_of(const void *bytes, size_t len, char path[32])
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	if (write(fd, bytes, len) != (ssize_t)len)
		abort();
	(void)snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* Import @text to the output. @option: NULL, or one more option with its value */
static int import_text(const char *format, const char *schema, const void *text, size_t len,
                       const char *option, const char *value)
{
	char path[32];
	int fd = input_of(text, len, path), status;
	const char *const arguments[] = { path, "--format", format, "-s", schema,
		                          "-o", output,     option, value };

	status = run(option == NULL ? 7 : value == NULL ? 8 : 9, arguments);
	close(fd);
	return status;
}

/* Show a value of a file's column as text; returns its end. */
static char *show_value(struct dsmx_type type, const struct dsmx_column *column, uint32_t row,
                        bool wide, char *to)
{
	if (dsmx_column_is_null(column, row))
		return stpcpy(to, "[NULL]");
	if (wide) /* 16 bytes, as a type of more digits has */
		type.precision = DSMX_DECIMAL_MAX_DIGITS;
	*to = '[';
	dsmx_column_format(type, column, row, to + 1, 1000);
	return stpcpy(to + strlen(to), "]");
}

/* The output's rows to shown; false: it cannot be read. */
static bool show_output(void)
{
	struct dsmx_ipc_file *file;
	char *at = shown;

	*shown = 0;
	if (dsmx_ipc_open(output, &file, NULL) < 0)
		return false;
	for (uint32_t batch = 0; batch < dsmx_ipc_batch_count(file); batch++) {
		for (uint32_t row = 0; row < dsmx_ipc_batch_rows(file, batch); row++) {
			for (uint32_t i = 0; i < dsmx_ipc_schema(file)->field_count; i++) {
				struct dsmx_column column;
				bool wide;

				if (dx_ipc_column(file, batch, i, &column, &wide, NULL) < 0)
					return false;
				if (at - shown > (long)sizeof(shown) - 2000)
					break;
				at = show_value(dsmx_ipc_schema(file)->fields[i].type, &column, row,
				                wide, at);
			}
			at = stpcpy(at, "\n");
		}
	}
	dsmx_ipc_close(file);
	return true;
}

static int files_in_directory(void)
{
	DIR *dir = opendir(directory);
	int count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2;
}

/* --- tests ------------------------------------------------------------------------------------------------ */

struct row {
	const char *format, *schema, *text, *option, *value;
	const char *want; /* what is shown, or, of a failure, what is said behind the file's name */
	int status;
};

static bool row_holds(const struct row *row)
{
	int status = import_text(row->format, row->schema, row->text, strlen(row->text),
	                         row->option, row->value);
	bool good = status == row->status;

	if (good && status == 0)
		good = show_output() && strcmp(shown, row->want) == 0 && said[0] == 0;
	else if (good)
		good = strstr(said, row->want) != NULL && files_in_directory() == 0;
	if (!good)
		printf("# '%s': %d\n# shown '%s'\n# said '%s'\n", row->text, status, shown, said);
	unlink(output);
	return good;
}

#define CHECK_ROWS(rows)                                                                           \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < sizeof(rows) / sizeof((rows)[0]); i_++)                   \
			CHECK_EQ(row_holds(&(rows)[i_]), true);                                    \
	} while (0)

TEST(tbl, "a .tbl: fields between bars, one more at the end or not, empty is NULL but for text")
{
	static const struct row rows[] = {
		{ "tbl", "a int32, b utf8", "1|x|\n2|y|\n", NULL, NULL, "[1][x]\n[2][y]\n", 0 },
		{ "tbl", "a int32, b utf8", "1|x\n2|y", NULL, NULL, "[1][x]\n[2][y]\n", 0 },
		{ "tbl", "a int32, b utf8", "1|x|\r\n2|y|\r\n", NULL, NULL, "[1][x]\n[2][y]\n", 0 },
		{ "tbl", "a int32, b utf8", "|\"||\n", NULL, NULL, "3 columns instead of 2", 1 },
		{ "tbl", "a int32, b utf8", "|\"|\n", NULL, NULL, "[NULL][\"]\n", 0 },
		{ "tbl", "a int32, b utf8", "|||\n", NULL, NULL, ":1: 3 columns instead of 2", 1 },
		{ "tbl", "a int32, b utf8", "||\n", NULL, NULL, "[NULL][]\n", 0 },
		{ "tbl", "a int32, b utf8", "||\n", "--null", "", "[NULL][NULL]\n", 0 },
		{ "tbl", "a int32, b utf8", "\\N|\\N|\n", "--null", "\\N", "[NULL][NULL]\n", 0 },
		{ "tbl", "a int32", "1|\n\n3|\n", NULL, NULL, "[1]\n[NULL]\n[3]\n", 0 },
		{ "tbl", "a int32, b utf8", "1|x|\n2|\n", NULL, NULL, ":2: 1 columns instead of 2",
		  1 },
		{ "tbl", "a int32", "", NULL, NULL, "", 0 },
		{ "tbl", "a int32, b utf8", "1\tx\n", "--delimiter", "\\t", "[1][x]\n", 0 },
		{ "tbl", "b utf8, a int32", "a|b|\nx|1|\n", "--header", "skip", "[x][1]\n", 0 },
		{ "tbl", "b utf8, a int32", "a|b|\n1|x|\n", "--header", "match", "[x][1]\n", 0 },
	};

	CHECK_ROWS(rows);
}

TEST(csv, "a .csv: quotes, what they hide, headers by name, empty is NULL unless quoted")
{
	static const struct row rows[] = {
		{ "csv", "a int32, b utf8", "a,b\n1,x\n", NULL, NULL, "[1][x]\n", 0 },
		{ "csv", "a int32, b utf8",
		  "\xef\xbb\xbf"
		  "A,c,B\r\n1,9,x\r\n",
		  NULL, NULL, "[1][x]\n", 0 },
		{ "csv", "a utf8, b utf8", ",\n\"\",\"\"\n", "--header", "none",
		  "[NULL][NULL]\n[][]\n", 0 },
		{ "csv", "a utf8, b utf8", "\"x,y\",\"a\"\"b\"\n", "--header", "none",
		  "[x,y][a\"b]\n", 0 },
		{ "csv", "a utf8, b utf8", "\"\"\"\"\"\",\"1\n2\r\n3\"\r\nx,y", "--header", "none",
		  "[\"\"][1\n2\r\n3]\n[x][y]\n", 0 },
		{ "csv", "a utf8, b int32", "\"l1\nl2\",1\nx,z\n", "--header", "none",
		  ":3: column 2 (b): 'z' is no int32", 1 },
		{ "csv", "a utf8, b utf8", "a,b\nNA,\"NA\"\n", "--null", "NA", "[NULL][NA]\n", 0 },
		{ "csv", "a utf8", "a\n\"x\"y\n", NULL, NULL, ":2: something follows", 1 },
		{ "csv", "a utf8", "a\nx\"y\n", NULL, NULL, ":2: ", 1 },
		{ "csv", "a utf8", "a\n\"xy\n", NULL, NULL, ":2: the file ends inside of quotes",
		  1 },
		{ "csv", "a utf8, d utf8", "a,b\nx,y\n", NULL, NULL,
		  ":1: the header has no column 'd'", 1 },
		{ "csv", "a utf8", "", NULL, NULL, "there is no header", 1 },
		{ "csv", "a int32, b int32", "a,b\n1,2,3\n", NULL, NULL,
		  ":2: 3 columns instead of 2", 1 },
		{ "csv", "a int32", "a\n\"\"\n", NULL, NULL, ":2: column 1 (a): '' is no int32",
		  1 },
	};

	CHECK_ROWS(rows);
}

TEST(values, "each type's values are read; a bad one is told with line, column and its text")
{
	static const struct row rows[] = {
		{ "tbl", "a decimal(15,2), b date, c bool, d float64, e decimal(30,1)",
		  "-1.5|1995-03-15|t|0.5|12345678901234567890.5|\n", NULL, NULL,
		  "[-1.50][1995-03-15][true][0.5][12345678901234567890.5]\n", 0 },
		{ "tbl", "a timestamp(3), b timestamptz(0), c binary, d large_utf8",
		  "2024-01-01 12:00:00.125|2024-01-01T00:00:00+01|\xff|\xc3\xa4|\n", NULL, NULL,
		  "[2024-01-01 12:00:00.125][2023-12-31 23:00:00+00][\\xff][\xc3\xa4]\n", 0 },
		{ "tbl", "a bool, b bool", "t|f|\n|t|\nf||\n", NULL, NULL,
		  "[true][false]\n[NULL][true]\n[false][NULL]\n", 0 },
		{ "tbl", "a int8", "1|\n128|\n", NULL, NULL,
		  ":2: column 1 (a): '128' does not fit int8", 1 },
		{ "tbl", "a date", "1995-02-29|\n", NULL, NULL,
		  ":1: column 1 (a): '1995-02-29' is no date", 1 },
		{ "tbl", "a decimal(3,1)", "1.25|\n", NULL, NULL,
		  "'1.25' does not fit decimal(3,1)", 1 },
		{ "tbl", "a utf8", "\xc3\x28|\n", NULL, NULL, "is not UTF-8, as needed for utf8",
		  1 },
		{ "tbl", "a utf8", "\xed\xa0\x80|\n", NULL, NULL, "is not UTF-8", 1 },
		{ "tbl", "a utf8", "\xc0\x80|\n", NULL, NULL, "is not UTF-8", 1 },
		{ "tbl", "a utf8", "\xf4\x90\x80\x80|\n", NULL, NULL, "is not UTF-8", 1 },
		{ "tbl", "a utf8", "\xf0\x9f\x98\x80|\n", NULL, NULL, "[\xf0\x9f\x98\x80]\n", 0 },
		{ "tbl", "a int32", "\x01z|\n", NULL, NULL, "'?z' is no int32", 1 },
		{ "tbl", "a int32 NOT NULL", "1|\n|\n", NULL, NULL, ":2: column 1 (a): NULL", 1 },
		{ "tbl", "a int32 not null, \"b c\" utf8", "1|x|\n", NULL, NULL, "[1][x]\n", 0 },
	};

	CHECK_ROWS(rows);
}

TEST(usage, "wrong usage is status 2 and a sentence")
{
	static const struct {
		int argc;
		const char *arguments[8];
		const char *want;
	} rows[] = {
		{ 0, { NULL }, "an input is missing" },
		{ 2, { "a.tbl", "b.tbl" }, "one input only" },
		{ 1, { "a.tbl" }, "--schema is missing" },
		{ 3, { "a.tbl", "-s", "a int32" }, "-o FILE.arrow is missing" },
		{ 5, { "a", "-s", "a int32", "-o", "x" }, "--format tbl or csv is needed" },
		{ 7,
		  { "a", "-s", "a int32", "-o", "x", "--format", "xml" },
		  "--format is tbl or csv" },
		{ 5, { "a.csv", "-s", "a", "-o", "x" }, "'a' is not a name and a type" },
		{ 5, { "a.csv", "-s", "a int33", "-o", "x" }, "unknown type 'int33'" },
		{ 5, { "a.csv", "-s", "a int32, a date", "-o", "x" }, "two columns 'a'" },
		{ 5, { "a.csv", "-s", "a int32,", "-o", "x" }, "is not a name and a type" },
		{ 7, { "a.csv", "-s", "a int32", "-o", "x", "-d", "xy" }, "--delimiter is one" },
		{ 7, { "a.csv", "-s", "a int32", "-o", "x", "-d", "\"" }, "--delimiter cannot" },
		{ 7, { "a.csv", "-s", "a int32", "-o", "x", "--rows", "0" }, "--rows must be" },
		{ 7, { "a.csv", "-s", "a int32", "-o", "x", "--header", "x" }, "--header is" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_EQ(run(rows[i].argc, rows[i].arguments), 2);
		if (strstr(said, rows[i].want) == NULL)
			printf("# said '%s'\n", said);
		CHECK_EQ(strstr(said, rows[i].want) != NULL, true);
	}
}

TEST(nothing_half, "after a failure there is no output, or the one that was there before")
{
	static const char bad[] = "1|\nx|\n";
	const char *const missing[] = { "/nonexistent/x.tbl", "-s", "a int32", "-o", output };
	const char *const nowhere[] = { "/dev/null", "--format", "tbl",           "-s",
		                        "a int32",   "-o",       "/nonexistent/x" };

	CHECK_EQ(import_text("tbl", "a int32", "7|\n", 3, NULL, NULL), 0);
	CHECK_EQ(import_text("tbl", "a int32", bad, strlen(bad), NULL, NULL), 1);
	CHECK_EQ(files_in_directory(), 1);
	CHECK_EQ(show_output(), true);
	CHECK_EQ(strcmp(shown, "[7]\n"), 0);
	CHECK_EQ(run(5, missing), 1);
	CHECK_EQ(strstr(said, "No such file") != NULL, true);
	CHECK_EQ(run(7, nowhere), 1);
	CHECK_EQ(files_in_directory(), 1);
	CHECK_EQ(show_output(), true);
	CHECK_EQ(strcmp(shown, "[7]\n"), 0);
	unlink(output);
}

TEST(full_disk, "a file that cannot grow any more is an error, and leaves nothing")
{
	struct rlimit old, small;
	size_t len = 0, room = 1 << 20;
	char *many = malloc(room), path[32];
	const char *const arguments[] = { path, "--format", "tbl", "-s", "a int32", "-o", output };
	int fd, status;

	while (len < room - 20)
		len += (size_t)sprintf(many + len, "%zu|\n", len);
	fd = input_of(many, len, path);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){ 16384, old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &small);
	status = run(7, arguments);
	setrlimit(RLIMIT_FSIZE, &old);
	CHECK_EQ(status, 1);
	CHECK_EQ(strstr(said, "cannot write: File too large") != NULL, true);
	CHECK_EQ(files_in_directory(), 0);
	close(fd);
	free(many);
}

TEST(devices, "an output that is no regular file is written to, not replaced")
{
	char path[32];
	int fd = input_of("1|\n", 3, path);
	const char *const null[] = { path, "--format", "tbl", "-s", "a int32", "-o", "/dev/null" };
	const char *const full[] = { path, "--format", "tbl", "-s", "a int32", "-o", "/dev/full" };

	CHECK_EQ(run(7, null), 0);
	CHECK_EQ(run(7, full), 1);
	CHECK_EQ(strstr(said, "No space left") != NULL, true);
	CHECK_EQ(access("/dev/full", R_OK), 0);
	close(fd);
}

TEST(compressed, "a .zst is unpacked; one that is cut off is refused")
{
	static const char text[] = "1|x|\n2|y|\n";
	char packed[200], path[96];
	size_t len = ZSTD_compress(packed, sizeof(packed), text, sizeof(text) - 1, 1);
	const char *const arguments[] = { path, "-s", "a int32, b utf8", "-o", output };

	for (size_t cut = 0; cut <= len; cut++) {
		int fd, status;

		(void)snprintf(path, sizeof(path), "%s/in.tbl.zst", directory);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK_EQ(write(fd, packed, cut), cut);
		close(fd);
		status = run(5, arguments);
		unlink(path);
		CHECK_EQ(status, cut == 0 || cut == len ? 0 : 1);
		if (cut > 0 && cut < len)
			CHECK_EQ(strstr(said, "damaged or cut off") != NULL, true);
	}
	CHECK_EQ(show_output(), true);
	CHECK_EQ(strcmp(shown, "[1][x]\n[2][y]\n"), 0);
	unlink(output);
}

TEST(dictionaries,
     "text of few values is coded, of many not, also if they come late; batches have --rows")
{
	enum { ROWS = 140000 };
	char *text = malloc(ROWS * 40), *at = text;
	struct dsmx_ipc_file *file;
	struct dsmx_column column;
	uint32_t row = 0;
	bool wide;

	for (int i = 0; i < ROWS; i++)
		at += sprintf(at, "%d|mode%d|name%d|late%d|\n", i, i % 7, i, i < 70000 ? i % 3 : i);
	CHECK_EQ(import_text("tbl", "n int32, few utf8, many utf8, late utf8", text,
	                     (size_t)(at - text), "--rows", "1000"),
	         0);
	CHECK_EQ(dsmx_ipc_open(output, &file, NULL), 0);
	CHECK_EQ(dsmx_ipc_batch_count(file), ROWS / 1000);
	for (uint32_t batch = 0; batch < ROWS / 1000; batch++) {
		const struct dsmx_field *fields = dsmx_ipc_schema(file)->fields;
		struct dsmx_column columns[4];

		CHECK_EQ(dsmx_ipc_batch_rows(file, batch), 1000);
		for (uint32_t i = 0; i < 4; i++) {
			CHECK_EQ(dx_ipc_column(file, batch, i, &columns[i], &wide, NULL), 0);
			CHECK_EQ(columns[i].codes != NULL, i == 1);
		}
		for (uint32_t i = 0; i < 1000; i++, row++) {
			char want[32], seen[32];

			CHECK_EQ(((const uint32_t *)columns[0].values)[i], row);
			(void)sprintf(want, "mode%u", row % 7);
			dsmx_column_format(fields[1].type, &columns[1], i, seen, sizeof(seen));
			CHECK_EQ(strcmp(seen, want), 0);
			(void)sprintf(want, "name%u", row);
			dsmx_column_format(fields[2].type, &columns[2], i, seen, sizeof(seen));
			CHECK_EQ(strcmp(seen, want), 0);
			(void)sprintf(want, "late%u", row < 70000 ? row % 3 : row);
			dsmx_column_format(fields[3].type, &columns[3], i, seen, sizeof(seen));
			CHECK_EQ(strcmp(seen, want), 0);
		}
	}
	dsmx_ipc_close(file);
	CHECK_EQ(import_text("tbl", "n int32, few utf8, many utf8, late utf8", text,
	                     (size_t)(at - text), "--no-dictionary", NULL),
	         0);
	CHECK_EQ(dsmx_ipc_open(output, &file, NULL), 0);
	CHECK_EQ(dsmx_ipc_batch_rows(file, 0), 8192);
	CHECK_EQ(dx_ipc_column(file, 0, 1, &column, &wide, NULL), 0);
	CHECK_EQ(column.codes == NULL, true);
	dsmx_ipc_close(file);
	unlink(output);
	free(text);
}

TEST(long_field, "a field that is longer than the buffer, and a quoted one, come through")
{
	enum { LEN = 3 << 20 };
	char *text = malloc(LEN + 16);
	struct dsmx_ipc_file *file;
	struct dsmx_column column;
	size_t len;
	bool wide;

	for (int quoted = 0; quoted < 2; quoted++) {
		char *at = stpcpy(text, quoted ? "a\n\"" : "a\n");

		memset(at, 'x', LEN);
		at = stpcpy(at + LEN, quoted ? "\"\n" : "\n");
		CHECK_EQ(import_text("csv", "a utf8", text, (size_t)(at - text), NULL, NULL), 0);
		CHECK_EQ(dsmx_ipc_open(output, &file, NULL), 0);
		CHECK_EQ(dx_ipc_column(file, 0, 0, &column, &wide, NULL), 0);
		dsmx_column_text(dsmx_ipc_schema(file)->fields[0].type, &column, 0, &len);
		CHECK_EQ(len, LEN);
		dsmx_ipc_close(file);
		unlink(output);
	}
	free(text);
}

/* What an import of damaged text may do: all rows, or an error with its line and no output. */
static bool survives(const char *format, const char *schema, const char *text, size_t len)
{
	int status = import_text(format, schema, text, len, "--header", "none");
	bool good;

	if (status == 0)
		good = said[0] == 0 && show_output();
	else
		good = status == 1 && strstr(said, "/proc/self/fd/") != NULL &&
		       strchr(said, '\n') == said + strlen(said) - 1 && files_in_directory() == 0;
	if (!good)
		printf("# status %d, said '%s'\n", status, said);
	unlink(output);
	return good;
}

TEST(damage,
     "text that is cut anywhere or has any bit flipped is imported or refused with its place")
{
	static const struct {
		const char *format, *text;
	} rows[] = {
		{ "tbl", "1|a|1.50|1995-03-15|t|\n22||-2.25|2000-02-29|f|\n" },
		{ "csv", "1,\"a\"\"b\",1.50,1995-03-15,t\r\n22,,-2.25,\"2000-02-29\",f\n" },
	};
	static const char schema[] = "a int64, b utf8, c decimal(15,2), d date, e bool";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].text);
		char *text = strdup(rows[i].text);

		for (size_t cut = 0; cut <= len; cut++)
			CHECK_EQ(survives(rows[i].format, schema, text, cut), true);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
			CHECK_EQ(survives(rows[i].format, schema, text, len), true);
			text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
		}
		free(text);
	}
}

int main(void)
{
	int status;

	if (mkdtemp(directory) == NULL)
		return KSFT_FAIL;
	(void)snprintf(output, sizeof(output), "%s/out.arrow", directory);
	status = harness_run();
	unlink(output);
	rmdir(directory);
	return status;
}
