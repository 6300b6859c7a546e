/* SPDX-License-Identifier: MIT */
/*
 * gen.h - the parts of dsmx gen
 *
 *	gen_text	words, the grammar of comments, random strings
 *	gen_table	a table on its way into an Arrow file
 *	gen_small	region, nation, supplier, customer, part, partsupp
 *	gen_orders	orders and lineitem
 *	gen		the command
 *
 * Every value is a function of seed, column and row: tables can be made in any order and come out the same.
 */
#ifndef DSMX_TOOL_GEN_H
#define DSMX_TOOL_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsmx/dsmx.h"
#include "lib/outfile.h"
#include "lib/progress.h"

/* --- the run --------------------------------------------------------------------------------------------- */

#define GEN_TABLES      8
#define GEN_COLUMNS_MAX 16

struct gen_table;

struct gen {
	uint64_t seed;
	bool seed_given;
	const char *dir;
	/* rows at this scale */
	uint32_t suppliers, parts, customers, clerks;
	uint64_t orders;
	uint64_t lines;                       /* that lineitem is to have; 0: as they come */
	char *pool;                           /* text that comments are cut from */
	struct gen_table *tables[GEN_TABLES]; /* finished, not yet kept */
	uint32_t table_count;
	uint64_t rows_done, rows_all;
	struct progress progress;
};

/* --- random values --------------------------------------------------------------------------------------- */

/* One for each column that is random; a column that needs more takes several. */
enum gen_stream {
	GEN_POOL,
	GEN_SUPPLIER,
	GEN_CUSTOMER = GEN_SUPPLIER + 8,
	GEN_PART = GEN_CUSTOMER + 8,
	GEN_PARTSUPP = GEN_PART + 8,
	GEN_ORDERS = GEN_PARTSUPP + 8,
	GEN_LINEITEM = GEN_ORDERS + 8,
};

/* 64 random bits (splitmix64's mix of a counter). */
static inline uint64_t gen_random(const struct gen *gen, unsigned int stream, uint64_t row)
{
	uint64_t z = gen->seed + (stream + 1) * 0xd1342543de82ef95ULL + row * 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* A number of low .. high, both included, out of random bits. */
static inline int64_t gen_scale(uint64_t random, int64_t low, int64_t high)
{
	return low + (int64_t)((unsigned __int128)random * (uint64_t)(high - low + 1) >> 64);
}

static inline int64_t gen_range(const struct gen *gen, unsigned int stream, uint64_t row,
                                int64_t low, int64_t high)
{
	return gen_scale(gen_random(gen, stream, row), low, high);
}

/* --- text ------------------------------------------------------------------------------------------------ */

#define GEN_POOL_BYTES (8U << 20)

/* A list of the values that a column has. */
struct gen_list {
	uint32_t count;
	const char *const *words;
};

extern const struct gen_list gen_segments, gen_priorities, gen_instructions, gen_modes, gen_colors,
	gen_returns, gen_statuses, gen_type_1, gen_type_2, gen_type_3, gen_container_1,
	gen_container_2;

char *gen_pool_new(const struct gen *gen);

/* The start of a comment in the pool, and its length of @least .. @most. */
const char *gen_comment(const struct gen *gen, unsigned int stream, uint64_t row, uint32_t least,
                        uint32_t most, size_t *ret_len);
/* @least .. @most random letters, digits, blanks and commas; at most 40. */
size_t gen_string(const struct gen *gen, unsigned int stream, uint64_t row, uint32_t least,
                  uint32_t most, char *text);
/* "Supplier#000000001" */
size_t gen_numbered(const char *prefix, uint64_t number, char *text);
/* "27-918-335-1736" */
size_t gen_phone(const struct gen *gen, unsigned int stream, uint64_t row, int64_t nation,
                 char *text);

/* --- tables ---------------------------------------------------------------------------------------------- */

struct gen_column {
	const char *name;
	const char *type;
	const struct gen_list *list; /* NULL: the text as it is; else codes of it */
};

#define GEN_BATCH_ROWS 8192

struct gen_memory {
	uint8_t width;
	void *values; /* fixed width, or offsets */
	int32_t *codes;
	char *bytes;
	size_t used, room;
};

struct gen_table {
	struct gen *gen;
	const char *name;
	uint32_t rows; /* of the batch */
	uint32_t column_count;
	struct dsmx_field fields[GEN_COLUMNS_MAX];
	struct dsmx_column columns[GEN_COLUMNS_MAX];
	struct gen_memory memory[GEN_COLUMNS_MAX];
	struct outfile out;
	struct dsmx_ipc_writer *writer;
};

/* NULL: it failed and said so. It belongs to the run, which keeps or drops it. */
struct gen_table *gen_table_new(struct gen *gen, const char *name, const struct gen_column *columns,
                                uint32_t column_count);

/* Values of the row that comes. Decimals are put as their digits without the point. */
static inline void gen_put_32(struct gen_table *table, uint32_t column, int64_t value)
{
	((int32_t *)table->memory[column].values)[table->rows] = (int32_t)value;
}

static inline void gen_put_64(struct gen_table *table, uint32_t column, int64_t value)
{
	((int64_t *)table->memory[column].values)[table->rows] = value;
}

static inline void gen_put_code(struct gen_table *table, uint32_t column, int64_t code)
{
	table->memory[column].codes[table->rows] = (int32_t)code;
}

void gen_put_text(struct gen_table *table, uint32_t column, const char *text, size_t len);

/* The row is complete. 0, or -EIO: it failed and said so. */
int gen_end_row(struct gen_table *table);
/* The table is complete. */
int gen_end_table(struct gen_table *table);
void gen_table_free(struct gen_table *table);

/* --- what makes them ------------------------------------------------------------------------------------- */

/* Price of a part in cents. */
static inline int64_t gen_price(int64_t part)
{
	return 90000 + part / 10 % 20001 + 100 * (part % 1000);
}

/* The @i-th (of 0..3) supplier of a part. */
static inline int64_t gen_supplier_of(const struct gen *gen, int64_t part, int64_t i)
{
	int64_t suppliers = gen->suppliers;

	return (part + i * (suppliers / 4 + (part - 1) / suppliers)) % suppliers + 1;
}

int gen_region(struct gen *gen);
int gen_nation(struct gen *gen);
int gen_supplier(struct gen *gen);
int gen_customer(struct gen *gen);
int gen_part(struct gen *gen);
int gen_partsupp(struct gen *gen);
int gen_orders(struct gen *gen); /* and lineitem */

#endif /* DSMX_TOOL_GEN_H */
