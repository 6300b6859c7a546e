/* SPDX-License-Identifier: MIT */
/*
 * batch.h - types, schemas and batches: what flows between operators
 *
 * A batch is a set of columns in Arrow's layouts, perhaps with a selection. It is a view: it owns
 * nothing, and what it points to stays until the stream that gave it is polled again or closed.
 * Whoever keeps rows longer copies them, or, where @lease is not NULL, retains the lease.
 *
 * Two rules make every kernel simpler:
 *   - all pointers are at row 0: there is no offset (an Arrow array with one is re-based on import);
 *   - a decimal of at most 18 digits is stored in 8 bytes, a wider one in 16 (Arrow's decimal64 and
 *     decimal128). Arrow files and results for others always have 16; import and export convert.
 */
#ifndef DSMX_BATCH_H
#define DSMX_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmx/arrow.h"
#include "dsmx/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum dsmx_type_id {
	DSMX_NONE, /* no type: what a zeroed struct has */
	DSMX_BOOL,
	DSMX_INT8,
	DSMX_INT16,
	DSMX_INT32,
	DSMX_INT64,
	DSMX_UINT8,
	DSMX_UINT16,
	DSMX_UINT32,
	DSMX_UINT64,
	DSMX_FLOAT32,
	DSMX_FLOAT64,
	DSMX_DECIMAL,      /* @precision 1..38, @scale 0..precision */
	DSMX_DATE32,       /* days since 1970-01-01 */
	DSMX_TIMESTAMP,    /* int64 since 1970-01-01, @precision digits of seconds: 0, 3, 6 or 9 */
	DSMX_TIMESTAMP_TZ, /* the same, in UTC */
	DSMX_UTF8,         /* int32 offsets */
	DSMX_LARGE_UTF8,   /* int64 offsets */
	DSMX_BINARY,       /* int32 offsets */
	DSMX_TYPE_COUNT
};

/* struct dsmx_type - compared by all its fields; what a type does not use is 0 */
struct dsmx_type {
	uint8_t id; /* enum dsmx_type_id */
	uint8_t precision;
	int8_t scale;
	uint8_t reserved;
};

#define DSMX_DECIMAL_NARROW_DIGITS 18
#define DSMX_DECIMAL_MAX_DIGITS    38

struct dsmx_field {
	const char *name;
	struct dsmx_type type;
	bool nullable;
};

struct dsmx_schema {
	uint32_t field_count;
	const struct dsmx_field *fields;
};

/*
 * struct dsmx_column - one column of a batch
 *
 * @validity: bit i (LSB first) set: row i has a value; NULL: every row has one
 * @values: by type: bits (bool), fixed-width values, or length + 1 offsets (text and binary)
 * @bytes: text and binary: what the offsets point into
 * @codes: NULL, or the column is dictionary-encoded: row i is entry codes[i] of @values, and
 *	@dictionary_length entries are there. Only text and binary columns may be; entries are not
 *	null; the code of a null row is 0 or any other entry that is there.
 */
struct dsmx_column {
	const uint8_t *validity;
	const void *values;
	const uint8_t *bytes;
	const int32_t *codes;
	uint32_t dictionary_length;
};

/* A hold on the memory under a batch, longer than until the next poll. Counted; not thread-safe. */
struct dsmx_lease {
	void (*retain)(struct dsmx_lease *lease);
	void (*release)(struct dsmx_lease *lease);
};

/*
 * struct dsmx_batch - rows
 *
 * @length: rows in each column
 * @selection: NULL: all rows are in the batch; else @selected row numbers, ascending, each once
 * @selected: rows in the batch; equals @length where @selection is NULL
 * @lease: NULL, or what keeps the columns' memory (not @columns and @selection themselves)
 */
struct dsmx_batch {
	uint32_t length;
	uint32_t selected;
	const uint32_t *selection;
	uint32_t column_count;
	const struct dsmx_column *columns;
	struct dsmx_lease *lease;
};

/* Rows that a batch may have at the most; import splits longer arrays. */
#define DSMX_BATCH_ROWS_MAX (1U << 20)

/*
 * dsmx_type_width() - bytes of one value: 1, 2, 4, 8 or 16; 0 for bool (bits) and for text and binary
 */
DSMX_API size_t dsmx_type_width(struct dsmx_type type);

/* dsmx_type_is_text() - utf8, large_utf8 or binary: offsets and bytes */
DSMX_API bool dsmx_type_is_text(struct dsmx_type type);

/* dsmx_type_equal() - the same kind, with the same precision and scale */
DSMX_API bool dsmx_type_equal(struct dsmx_type a, struct dsmx_type b);

/*
 * dsmx_type_parse() - from "int32", "decimal(15,2)", "timestamp(6)", "utf8", "date", ...
 *
 * @text: a type's name as dsmx_type_format() writes it, or one of the aliases in docs/types.md
 * Return: 0, or -EINVAL for anything else.
 */
DSMX_API int dsmx_type_parse(const char *text, struct dsmx_type *ret_type);

/*
 * dsmx_type_format() - the name of a type
 *
 * @buf: gets the name, at most @len bytes with its 0; 24 are always enough
 * Return: @buf.
 */
DSMX_API const char *dsmx_type_format(struct dsmx_type type, char *buf, size_t len);

/*
 * dsmx_value_parse() - a value from its text, as `dsmx import` and literals read it
 *
 * @type: any but text and binary
 * @ret_value: dsmx_type_width() bytes; a bool as one byte, 0 or 1
 * Return: 0, -EINVAL: not the text of such a value, -ERANGE: one that does not fit the type.
 */
DSMX_API int dsmx_value_parse(struct dsmx_type type, const char *text, size_t len, void *ret_value);

/* Has row @row of a column no value? */
DSMX_API bool dsmx_column_is_null(const struct dsmx_column *column, uint32_t row);

/*
 * dsmx_column_text() - a text or binary value, in place
 *
 * @row: of the column, not null
 * Return: its bytes, not 0-ended.
 */
DSMX_API const char *dsmx_column_text(struct dsmx_type type, const struct dsmx_column *column,
                                      uint32_t row, size_t *ret_len);

/*
 * dsmx_column_format() - a value as text, as PostgreSQL casts it to text
 *
 * @row: of the column, not null
 * @buf: gets the text, at most @len bytes with its 0; 64 are always enough for all but text and
 *	binary. Binary is "\\x" and hexadecimal digits.
 * Return: the length of the whole text without the 0, as snprintf(3).
 */
DSMX_API size_t dsmx_column_format(struct dsmx_type type, const struct dsmx_column *column,
                                   uint32_t row, char *buf, size_t len);

/*
 * dsmx_schema_import() - an ArrowSchema (a struct of the columns) as a schema
 *
 * @schema: not consumed
 * @ret_schema: owned by the caller: dsmx_schema_free()
 * Return: 0, -EINVAL for a top level that is no struct, -EOPNOTSUPP for a type that dsmx has not,
 * -ENOMEM.
 */
DSMX_API int dsmx_schema_import(const struct ArrowSchema *schema, struct dsmx_schema *ret_schema,
                                struct dsmx_error *err);
DSMX_API void dsmx_schema_free(struct dsmx_schema *schema);

/*
 * dsmx_schema_export() - a schema as an ArrowSchema, decimals as decimal128
 *
 * @ret_schema: released by its own release callback
 * Return: 0 or -ENOMEM.
 */
DSMX_API int dsmx_schema_export(const struct dsmx_schema *schema, struct ArrowSchema *ret_schema);

/*
 * dsmx_batch_export() - copy the selected rows of a batch into an ArrowArray (a struct)
 *
 * @ret_array: owns its memory; decimals are 16 bytes wide, dictionaries are kept out (plain text)
 * Return: 0 or -ENOMEM, -ERANGE where text of over 2 GiB would need large offsets.
 */
DSMX_API int dsmx_batch_export(const struct dsmx_schema *schema, const struct dsmx_batch *batch,
                               struct ArrowArray *ret_array);

#ifdef __cplusplus
}
#endif

#endif /* DSMX_BATCH_H */
