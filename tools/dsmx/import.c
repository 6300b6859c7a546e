/* SPDX-License-Identifier: MIT */
/*
 * import.c - dsmx import: text tables to Arrow files
 *
 * One pass: records are split in the buffer they were read into, fields parsed straight into columns, and full
 * batches written. The first rows are held back until it is known which columns get a dictionary, since the
 * file's head has to say so. Should one that looked good grow far too large later, the file is read again
 * without it.
 */
#include "import.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "commands.h"
#include "lib/args.h"
#include "lib/outfile.h"
#include "lib/progress.h"

#define ROWS_DEFAULT 8192
#define SHOWN_BYTES  60

enum option {
	OPT_SCHEMA,
	OPT_OUTPUT,
	OPT_FORMAT,
	OPT_DELIMITER,
	OPT_HEADER,
	OPT_NULL,
	OPT_ROWS,
	OPT_DICTIONARY,
	OPT_QUIET,
};

static const struct args_option options[] = {
	[OPT_SCHEMA] = { "schema", 's', "SCHEMA", "'name type [not null], ...' (required)" },
	[OPT_OUTPUT] = { "output", 'o', "FILE", "the Arrow file to write (required)" },
	[OPT_FORMAT] = { "format", 0, "FORMAT", "tbl or csv (by the input's name)" },
	[OPT_DELIMITER] = { "delimiter", 'd', "CHAR",
	                    "between fields; \\t is a tab (| for tbl, comma for csv)" },
	[OPT_HEADER] = { "header", 0, "HOW",
	                 "match: the first line names the columns; skip: pass\n"
	                 "                        over it; none: there is none (csv: match, tbl: none)" },
	[OPT_NULL] = { "null", 0, "TEXT", "what stands for NULL, unless quoted (nothing)" },
	[OPT_ROWS] = { "rows", 0, "N", "rows in a record batch (8192)" },
	[OPT_DICTIONARY] = { "no-dictionary", 0, NULL, "write all text as it is" },
	[OPT_QUIET] = { "quiet", 'q', NULL, "no progress: only errors on stderr" },
	{ 0 },
};

static const struct args_usage usage = {
	.command = "dsmx import",
	.usage = "[OPTION]... FILE --schema SCHEMA -o FILE.arrow",
	.summary =
		"Writes a .tbl or .csv file (.zst too; - is stdin) as an Arrow file. Columns of\n"
		"text with few different values are dictionary-encoded.",
	.options = options,
	.footer = "Types: bool, int8..int64, uint8..uint64, float32, float64, decimal(p,s), date,\n"
		  "timestamp(0|3|6|9), timestamptz(..), utf8, large_utf8, binary.\n"
		  "An empty field is NULL: in csv if it is not quoted, in tbl if the column is no\n"
		  "text. A bad row ends the import with its place, and nothing is written.\n"
		  "Exit status: 0, 1 after an error, 2 after wrong usage.",
};

enum header { HEADER_NONE, HEADER_SKIP, HEADER_MATCH };

struct import {
	const char *input, *output;
	struct format format;
	enum header header;
	const char *null_text;
	bool null_given;
	uint32_t batch_rows;
	bool quiet;
	struct mem_arena arena;
	struct dsmx_schema schema;
	bool *plain; /* for each column: no dictionary */
	/* of one reading */
	struct source source;
	struct splitter splitter;
	struct table table;
	struct outfile out;
	struct dsmx_ipc_writer *writer;
	struct progress progress;
	uint32_t *places; /* which field of a record is column i */
	uint32_t field_count;
};

enum { AGAIN = 1 }; /* read the input again, with fewer dictionaries */

/* --- errors --------------------------------------------------------------------------------------------- */

/* "dsmx: ..." on stderr. Returns -EIO, which stands for "failed, and said so". */
static int fail(struct import *import, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(struct import *import, const char *format, ...)
{
	va_list ap;

	progress_clear(&import->progress);
	fputs("dsmx: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -EIO;
}

static int fail_row(struct import *import, const char *what)
{
	return fail(import, "%s:%llu: %s", import->source.name,
	            (unsigned long long)import->splitter.line, what);
}

static int fail_field(struct import *import, uint32_t column, const struct span *field, int code)
{
	const struct dsmx_field *wanted = &import->schema.fields[column];
	char shown[SHOWN_BYTES + 4], type[24];
	size_t len = field->len < SHOWN_BYTES ? field->len : SHOWN_BYTES;
	const char *why = "is no";

	for (size_t i = 0; i < len; i++)
		shown[i] = (unsigned char)field->text[i] < ' ' || field->text[i] == 0x7f
		                   ? '?'
		                   : field->text[i];
	strcpy(shown + len, field->len > len ? "..." : "");
	if (code == -ERANGE)
		why = "does not fit";
	else if (code == -EILSEQ)
		why = "is not UTF-8, as needed for";
	else if (code == -EMSGSIZE)
		why = "is too much text in one batch for";
	return fail(import, "%s:%llu: column %u (%s): '%s' %s %s", import->source.name,
	            (unsigned long long)import->splitter.line, import->places[column] + 1,
	            wanted->name, shown, why, dsmx_type_format(wanted->type, type, sizeof(type)));
}

/* --- output --------------------------------------------------------------------------------------------- */

static int start_writer(struct import *import)
{
	bool *coded = mem_alloc(import->schema.field_count * sizeof(*coded));
	struct dsmx_error err;
	int ret = table_decide(&import->table);

	if (ret < 0) {
		free(coded);
		return fail_row(import, "over 2 GiB of text in the first rows");
	}
	for (uint32_t i = 0; i < import->schema.field_count; i++)
		coded[i] = import->table.columns[i].coded;
	ret = dsmx_ipc_writer_new(import->out.fd, DSMX_IPC_FILE, &import->schema, coded,
	                          &import->writer, &err);
	free(coded);
	return ret < 0 ? fail(import, "%s: %s", import->output, err.message) : 0;
}

static int write_batch(struct import *import, const struct dsmx_batch *batch)
{
	struct dsmx_error err;

	if (dsmx_ipc_write(import->writer, batch, &err) < 0)
		return fail(import, "%s: %s", import->output, err.message);
	return 0;
}

/* The rows that are there; in several batches if they were held back for the sample. */
static int write_rows(struct import *import)
{
	struct dsmx_batch batch, part;
	uint32_t *selection, rows = import->table.rows, step = import->batch_rows;
	int ret = 0;

	table_view(&import->table, &batch);
	if (rows <= step) {
		ret = write_batch(import, &batch);
		table_clear(&import->table);
		return ret;
	}
	selection = mem_alloc(rows * sizeof(*selection));
	for (uint32_t i = 0; i < rows; i++)
		selection[i] = i;
	for (uint32_t from = 0; from < rows && ret == 0; from += step) {
		part = batch;
		part.selection = selection + from;
		part.selected = rows - from < step ? rows - from : step;
		ret = write_batch(import, &part);
	}
	free(selection);
	table_clear(&import->table);
	return ret;
}

/* Has a dictionary outgrown what one is for? Then its column is plain when the input is read again. */
static bool dictionary_failed(struct import *import)
{
	bool failed = false;

	for (uint32_t i = 0; i < import->schema.field_count && import->source.size > 0; i++) {
		if (!import->table.columns[i].coded ||
		    import->table.columns[i].dictionary.count <= TABLE_DICTIONARY_OVER)
			continue;
		import->plain[i] = true;
		failed = true;
	}
	return failed;
}

/* --- input ---------------------------------------------------------------------------------------------- */

/* Find each column in the header, whose record was read. */
static int match_header(struct import *import)
{
	struct splitter *splitter = &import->splitter;

	for (uint32_t i = 0; i < import->schema.field_count; i++) {
		const char *name = import->schema.fields[i].name;
		uint32_t at;

		for (at = 0; at < splitter->count; at++) {
			const struct span *field = &splitter->fields[at];

			if (field->len == strlen(name) &&
			    strncasecmp(field->text, name, field->len) == 0)
				break;
		}
		if (at == splitter->count)
			return fail(import,
			            "%s:%llu: the header has no column '%s'; --header skip "
			            "takes columns by their place",
			            import->source.name, (unsigned long long)splitter->line, name);
		import->places[i] = at;
	}
	import->field_count = splitter->count;
	return 0;
}

static int failed_read(struct import *import, int code)
{
	if (code == -EBADMSG && import->splitter.wrong != NULL)
		return fail_row(import, import->splitter.wrong);
	if (code == -EBADMSG)
		return fail(import, "%s: the zstd data is damaged or cut off", import->source.name);
	return fail(import, "cannot read %s: %s", import->source.name, strerror(-code));
}

static int read_header(struct import *import)
{
	struct splitter *splitter = &import->splitter;
	int ret;

	for (uint32_t i = 0; i < import->schema.field_count; i++)
		import->places[i] = i;
	import->field_count = import->schema.field_count;
	if (import->header == HEADER_NONE)
		return 0;
	ret = splitter_next(splitter);
	if (ret < 0)
		return failed_read(import, ret);
	if (ret == 0)
		return fail(import, "%s: there is no header", import->source.name);
	if (splitter->count > splitter->limit)
		return fail_row(import, "the header has too many columns");
	if (splitter->fields[0].len >= 3 &&
	    memcmp(splitter->fields[0].text, "\xef\xbb\xbf", 3) == 0) {
		splitter->fields[0].text += 3; /* a byte order mark */
		splitter->fields[0].len -= 3;
	}
	return import->header == HEADER_MATCH ? match_header(import) : 0;
}

static bool is_null(const struct import *import, const struct table_column *column,
                    const struct span *field)
{
	size_t len = strlen(import->null_text);

	if (field->quoted || field->len != len || memcmp(field->text, import->null_text, len) != 0)
		return false;
	/* The fields of a .tbl cannot be quoted, so there an empty text is one. */
	return import->format.quotes || import->null_given || !column->is_text;
}

static int put_record(struct import *import)
{
	struct splitter *splitter = &import->splitter;
	struct table *table = &import->table;

	if (splitter->count != import->field_count) {
		char what[80];

		(void)snprintf(what, sizeof(what), "%u columns instead of %u", splitter->count,
		               import->field_count);
		return fail_row(import, what);
	}
	for (uint32_t i = 0; i < table->schema.field_count; i++) {
		const struct span *field = &splitter->fields[import->places[i]];
		int ret = 0;

		if (!is_null(import, &table->columns[i], field))
			ret = table_put(table, i, field->text, field->len);
		else if (table->columns[i].not_null)
			return fail(import,
			            "%s:%llu: column %u (%s): NULL, and the schema says NOT NULL",
			            import->source.name, (unsigned long long)splitter->line,
			            import->places[i] + 1, table->columns[i].name);
		else
			table_put_null(table, i);
		if (ret < 0)
			return fail_field(import, i, field, ret);
	}
	table->rows++;
	return 0;
}

static void show_progress(struct import *import)
{
	const struct source *source = &import->source;

	if (!progress_due(&import->progress))
		return;
	if (source->size > 0)
		progress_show(&import->progress, "%s: %llu %%", source->name,
		              (unsigned long long)(source->read * 100 / source->size));
	else
		progress_show(&import->progress, "%s: %llu MiB", source->name,
		              (unsigned long long)(source->read >> 20));
}

static int read_rows(struct import *import)
{
	struct table *table = &import->table;
	int ret;

	while ((ret = splitter_next(&import->splitter)) > 0) {
		ret = put_record(import);
		if (ret < 0)
			return ret;
		if (table->rows < (table->decided ? import->batch_rows : table->room))
			continue;
		if (!table->decided)
			ret = start_writer(import);
		if (ret == 0)
			ret = write_rows(import);
		if (ret < 0)
			return ret;
		if (dictionary_failed(import))
			return AGAIN;
		show_progress(import);
	}
	if (ret < 0)
		return failed_read(import, ret);
	if (!table->decided)
		ret = start_writer(import);
	if (ret == 0 && table->rows > 0)
		ret = write_rows(import);
	return ret;
}

/* Read and write once; AGAIN if it is to be done with other dictionaries. */
static int import_once(struct import *import)
{
	uint32_t room = import->batch_rows;
	struct dsmx_error err;
	int ret = source_open(&import->source, import->input);

	if (ret < 0)
		return fail(import, "cannot open %s: %s", import->input, strerror(-ret));
	ret = outfile_open(&import->out, import->output);
	if (ret < 0) {
		source_close(&import->source);
		return fail(import, "cannot write %s: %s", import->output, strerror(-ret));
	}
	/* The sample is written in whole batches. */
	if (room < TABLE_SAMPLE_ROWS)
		room = (TABLE_SAMPLE_ROWS + room - 1) / room * room;
	table_init(&import->table, &import->schema, room, import->plain);
	/* A header may have columns that the schema leaves out. */
	splitter_init(&import->splitter, &import->source, import->format, UINT16_MAX);
	progress_start(&import->progress, import->quiet);
	ret = read_header(import);
	if (ret == 0)
		ret = read_rows(import);
	if (ret == 0 && dsmx_ipc_finish(import->writer, &err) < 0)
		ret = fail(import, "%s: %s", import->output, err.message);
	else if (ret != 0)
		dsmx_ipc_abandon(import->writer);
	import->writer = NULL;
	progress_clear(&import->progress);
	splitter_fini(&import->splitter);
	table_fini(&import->table);
	source_close(&import->source);
	if (ret != 0) {
		outfile_drop(&import->out);
		return ret;
	}
	ret = outfile_keep(&import->out);
	return ret < 0 ? fail(import, "cannot write %s: %s", import->output, strerror(-ret)) : 0;
}

/* --- the command line ----------------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && strcasecmp(name + len - end_len, end) == 0;
}

static int set_format(struct import *import, const char *format, const char *delimiter,
                      const char *header)
{
	bool tbl = format != NULL
	                   ? strcmp(format, "tbl") == 0
	                   : ends_in(import->input, ".tbl") || ends_in(import->input, ".tbl.zst");
	bool csv = format != NULL
	                   ? strcmp(format, "csv") == 0
	                   : ends_in(import->input, ".csv") || ends_in(import->input, ".csv.zst");

	if (!tbl && !csv)
		return args_wrong(&usage, format != NULL
		                                  ? "--format is tbl or csv"
		                                  : "--format tbl or csv is needed: the input's "
		                                    "name does not tell");
	import->format = (struct format){ tbl ? '|' : ',', csv, tbl };
	if (delimiter != NULL) {
		import->format.delimiter = strcmp(delimiter, "\\t") == 0 ? '\t' : delimiter[0];
		if ((delimiter[0] == 0 || delimiter[1] != 0) && import->format.delimiter != '\t')
			return args_wrong(&usage, "--delimiter is one character");
		if (strchr("\"\n\r", import->format.delimiter) != NULL)
			return args_wrong(&usage, "--delimiter cannot be a quote or a line's end");
	}
	import->header = csv ? HEADER_MATCH : HEADER_NONE;
	if (header == NULL)
		return 0;
	if (strcmp(header, "match") == 0)
		import->header = HEADER_MATCH;
	else if (strcmp(header, "skip") == 0)
		import->header = HEADER_SKIP;
	else if (strcmp(header, "none") == 0)
		import->header = HEADER_NONE;
	else
		return args_wrong(&usage, "--header is match, skip or none");
	return 0;
}

struct given {
	const char *schema, *format, *delimiter, *header;
	bool no_dictionary;
};

/* 0 or the exit status. */
static int take_option(struct import *import, struct given *given, int option, const char *value)
{
	uint64_t rows;

	switch ((enum option)option) {
	case OPT_SCHEMA:
		given->schema = value;
		break;
	case OPT_OUTPUT:
		import->output = value;
		break;
	case OPT_FORMAT:
		given->format = value;
		break;
	case OPT_DELIMITER:
		given->delimiter = value;
		break;
	case OPT_HEADER:
		given->header = value;
		break;
	case OPT_NULL:
		import->null_text = value;
		import->null_given = true;
		break;
	case OPT_ROWS:
		if (args_number(value, DSMX_BATCH_ROWS_MAX, &rows) < 0 || rows == 0)
			return args_wrong(&usage, "--rows must be a number from 1 to %u",
			                  DSMX_BATCH_ROWS_MAX);
		import->batch_rows = (uint32_t)rows;
		break;
	case OPT_DICTIONARY:
		given->no_dictionary = true;
		break;
	case OPT_QUIET:
		import->quiet = true;
		break;
	}
	return 0;
}

/* 0 or the exit status. */
static int prepare(struct import *import, const struct args *args, const struct given *given)
{
	char wrong[200];
	int ret;

	if (args->operand_count != 1)
		return args_wrong(&usage, args->operand_count == 0 ? "an input is missing"
		                                                   : "there can be one input only");
	import->input = args->operands[0];
	if (given->schema == NULL || import->output == NULL)
		return args_wrong(&usage, "%s is missing",
		                  given->schema == NULL ? "--schema" : "-o FILE.arrow");
	ret = set_format(import, given->format, given->delimiter, given->header);
	if (ret != 0)
		return ret;
	if (import_schema_parse(given->schema, &import->arena, &import->schema, wrong) < 0)
		return args_wrong(&usage, "--schema: %s", wrong);
	import->plain = arena_alloc(&import->arena, import->schema.field_count * sizeof(bool));
	import->places = arena_alloc(&import->arena, import->schema.field_count * sizeof(uint32_t));
	memset(import->plain, given->no_dictionary, import->schema.field_count * sizeof(bool));
	return 0;
}

int import_main(int argc, char **argv)
{
	struct import import = { .null_text = "", .batch_rows = ROWS_DEFAULT };
	struct given given = { 0 };
	struct args args;
	int option, status = 0, ret;

	args_init(&args, &usage, argc, argv);
	while (status == 0 && (option = args_next(&args)) >= 0)
		status = take_option(&import, &given, option, args.value);
	if (status == 0 && option == ARGS_EXIT) {
		status = args.status;
	} else if (status == 0) {
		status = prepare(&import, &args, &given);
		if (status == 0) {
			while ((ret = import_once(&import)) == AGAIN)
				;
			status = ret < 0 ? EXIT_ERROR : EXIT_OK;
		}
	}
	arena_free(&import.arena);
	args_fini(&args);
	return status;
}
