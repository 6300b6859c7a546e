/* SPDX-License-Identifier: MIT */
/*
 * import.h - the parts of dsmx import
 *
 *	import_source	bytes of a file or of stdin, decompressed
 *	import_split	bytes to records, records to fields: the .tbl and .csv rules
 *	import_schema	--schema to fields
 *	import_table	fields to columns, a batch at a time; which texts get a dictionary
 *	import		the command
 */
#ifndef DSMX_TOOL_IMPORT_H
#define DSMX_TOOL_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dsmx/dsmx.h"
#include "import_dictionary.h"
#include "lib/mem.h"

/* --- source ---------------------------------------------------------------------------------------------- */

struct source_zstd;

struct source {
	const char *name;
	int fd;
	uint64_t size;              /* of the file; 0: unknown */
	uint64_t read;              /* of it */
	struct source_zstd *unpack; /* NULL: it is not compressed */
};

/* @path: "-" is stdin. 0 or -errno. */
int source_open(struct source *source, const char *path);
void source_close(struct source *source);
/* Up to @room bytes: how many, 0 at the end, or -errno (-EBADMSG: damaged zstd). */
ssize_t source_read(struct source *source, char *to, size_t room);

/* --- records --------------------------------------------------------------------------------------------- */

struct format {
	char delimiter;
	bool quotes;            /* .csv: fields may be quoted */
	bool ends_in_delimiter; /* .tbl: a record may end in one more */
};

struct span {
	char *text;
	size_t len;
	bool quoted;
};

struct splitter {
	struct source *source;
	struct format format;
	char *buf;
	size_t room, start, end; /* the bytes that are not split yet */
	bool at_end;             /* the source is */
	uint64_t line;           /* that the record begins on, from 1 */
	uint64_t next_line;
	struct span *fields; /* of the last record; they lie in buf */
	uint32_t count;
	uint32_t limit;    /* fields that are kept; more are counted */
	const char *wrong; /* what is wrong with the record, after -EBADMSG */
};

void splitter_init(struct splitter *splitter, struct source *source, struct format format,
                   uint32_t limit);
void splitter_fini(struct splitter *splitter);
/* The next record: 1, 0 at the end, -EBADMSG, or what source_read() says. */
int splitter_next(struct splitter *splitter);

/* --- schema ---------------------------------------------------------------------------------------------- */

/* "name type [not null], ..."; 0, or -EINVAL with a sentence in @wrong, which has 200 bytes. */
int import_schema_parse(const char *text, struct mem_arena *arena, struct dsmx_schema *ret_schema,
                        char *wrong);

/* --- columns --------------------------------------------------------------------------------------------- */

#define TABLE_SAMPLE_ROWS     65536 /* after these it is decided which columns get a dictionary */
#define TABLE_DICTIONARY_MAX  4096  /* entries in the sample */
#define TABLE_DICTIONARY_OVER 65536 /* so many later on were a wrong decision */

struct table_column {
	struct dsmx_type type;
	const char *name;
	bool not_null;
	bool nulls; /* there are some in this batch */
	bool is_text;
	bool coded; /* texts go to the dictionary */
	size_t width;
	uint8_t *validity, *values;
	int32_t *codes;
	char *bytes;
	size_t used, byte_room;
	struct dictionary dictionary;
};

struct table {
	struct dsmx_schema schema;
	struct table_column *columns;
	struct dsmx_column *views;
	uint32_t rows, room;
	bool decided; /* the sample is over */
};

/* @plain: for each column whether it must not get a dictionary */
void table_init(struct table *table, const struct dsmx_schema *schema, uint32_t room,
                const bool *plain);
void table_fini(struct table *table);

/*
 * Put a value into row table->rows, which counts only once the caller has added 1 to it. -EINVAL, -ERANGE: as
 * dsmx_value_parse(); -EILSEQ: no UTF-8; -EMSGSIZE: over 2 GiB of text in a batch.
 */
int table_put(struct table *table, uint32_t column, const char *text, size_t len);
void table_put_null(struct table *table, uint32_t column);

/* End the sample: columns whose dictionary does not pay lose it. 0 or -EMSGSIZE. */
int table_decide(struct table *table);
/* The rows as a batch. */
void table_view(struct table *table, struct dsmx_batch *ret_batch);
void table_clear(struct table *table);

#endif /* DSMX_TOOL_IMPORT_H */
