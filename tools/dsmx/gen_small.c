/* SPDX-License-Identifier: MIT */
/*
 * gen_small.c - all tables but orders and lineitem, after TPC-H 4.2.3
 */
#include <stdio.h>
#include <string.h>

#include "gen.h"

#define NATIONS 25

static const char *const regions[5] = { "AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST" };

static const struct {
	const char *name;
	int region;
} nations[NATIONS] = {
	{ "ALGERIA", 0 },       { "ARGENTINA", 1 }, { "BRAZIL", 1 }, { "CANADA", 1 },
	{ "EGYPT", 4 },         { "ETHIOPIA", 0 },  { "FRANCE", 3 }, { "GERMANY", 3 },
	{ "INDIA", 2 },         { "INDONESIA", 2 }, { "IRAN", 4 },   { "IRAQ", 4 },
	{ "JAPAN", 2 },         { "JORDAN", 4 },    { "KENYA", 0 },  { "MOROCCO", 0 },
	{ "MOZAMBIQUE", 0 },    { "PERU", 1 },      { "CHINA", 2 },  { "ROMANIA", 3 },
	{ "SAUDI ARABIA", 4 },  { "VIETNAM", 2 },   { "RUSSIA", 3 }, { "UNITED KINGDOM", 3 },
	{ "UNITED STATES", 1 },
};

static void put_comment(struct gen_table *table, uint32_t column, unsigned int stream, uint64_t row,
                        uint32_t least, uint32_t most)
{
	size_t len;
	const char *text = gen_comment(table->gen, stream, row, least, most, &len);

	gen_put_text(table, column, text, len);
}

static void put_string(struct gen_table *table, uint32_t column, unsigned int stream, uint64_t row)
{
	char text[40];

	gen_put_text(table, column, text, gen_string(table->gen, stream, row, 10, 40, text));
}

static void put_numbered(struct gen_table *table, uint32_t column, const char *prefix,
                         uint64_t number)
{
	char text[40];

	gen_put_text(table, column, text, gen_numbered(prefix, number, text));
}

static void put_phone(struct gen_table *table, uint32_t column, unsigned int stream, uint64_t row,
                      int64_t nation)
{
	char text[40];

	gen_put_text(table, column, text, gen_phone(table->gen, stream, row, nation, text));
}

int gen_region(struct gen *gen)
{
	static const struct gen_column columns[] = {
		{ "r_regionkey", "int32", NULL },
		{ "r_name", "utf8", NULL },
		{ "r_comment", "utf8", NULL },
	};
	struct gen_table *table = gen_table_new(gen, "region", columns, 3);

	for (uint32_t row = 0; row < 5 && table != NULL; row++) {
		gen_put_32(table, 0, row);
		gen_put_text(table, 1, regions[row], strlen(regions[row]));
		put_comment(table, 2, GEN_POOL, 1ULL << 40 | row, 31, 115);
		if (gen_end_row(table) < 0)
			return -1;
	}
	return table != NULL ? gen_end_table(table) : -1;
}

int gen_nation(struct gen *gen)
{
	static const struct gen_column columns[] = {
		{ "n_nationkey", "int32", NULL },
		{ "n_name", "utf8", NULL },
		{ "n_regionkey", "int32", NULL },
		{ "n_comment", "utf8", NULL },
	};
	struct gen_table *table = gen_table_new(gen, "nation", columns, 4);

	for (uint32_t row = 0; row < NATIONS && table != NULL; row++) {
		gen_put_32(table, 0, row);
		gen_put_text(table, 1, nations[row].name, strlen(nations[row].name));
		gen_put_32(table, 2, nations[row].region);
		put_comment(table, 3, GEN_POOL, 2ULL << 40 | row, 31, 114);
		if (gen_end_row(table) < 0)
			return -1;
	}
	return table != NULL ? gen_end_table(table) : -1;
}

/*
 * One supplier in 2000 has complaints and one recommendations in his comment: Customer, something, and that
 * word, as far apart as the length lets them.
 */
static void put_supplier_comment(struct gen_table *table, uint32_t column, uint64_t row)
{
	const char *verdict = row / 1000 % 2 == 0 ? "Complaints" : "Recommends";
	char text[100];
	size_t len;
	const char *from = gen_comment(table->gen, GEN_SUPPLIER + 4, row, 25, 100, &len);

	memcpy(text, from, len);
	if (row % 1000 == 397) {
		size_t at = gen_random(table->gen, GEN_SUPPLIER + 5, row) % (len - 24);

		memcpy(text + at, "Customer ", 9);
		memcpy(text + len - 10, verdict, 10);
	}
	gen_put_text(table, column, text, len);
}

int gen_supplier(struct gen *gen)
{
	static const struct gen_column columns[] = {
		{ "s_suppkey", "int32", NULL }, { "s_name", "utf8", NULL },
		{ "s_address", "utf8", NULL },  { "s_nationkey", "int32", NULL },
		{ "s_phone", "utf8", NULL },    { "s_acctbal", "decimal(15,2)", NULL },
		{ "s_comment", "utf8", NULL },
	};
	struct gen_table *table = gen_table_new(gen, "supplier", columns, 7);

	for (uint64_t row = 0; row < gen->suppliers && table != NULL; row++) {
		int64_t nation = gen_range(gen, GEN_SUPPLIER, row, 0, NATIONS - 1);

		gen_put_32(table, 0, (int64_t)row + 1);
		put_numbered(table, 1, "Supplier#", row + 1);
		put_string(table, 2, GEN_SUPPLIER + 1, row);
		gen_put_32(table, 3, nation);
		put_phone(table, 4, GEN_SUPPLIER + 2, row, nation);
		gen_put_64(table, 5, gen_range(gen, GEN_SUPPLIER + 3, row, -99999, 999999));
		put_supplier_comment(table, 6, row);
		if (gen_end_row(table) < 0)
			return -1;
	}
	return table != NULL ? gen_end_table(table) : -1;
}

int gen_customer(struct gen *gen)
{
	static const struct gen_column columns[] = {
		{ "c_custkey", "int32", NULL },
		{ "c_name", "utf8", NULL },
		{ "c_address", "utf8", NULL },
		{ "c_nationkey", "int32", NULL },
		{ "c_phone", "utf8", NULL },
		{ "c_acctbal", "decimal(15,2)", NULL },
		{ "c_mktsegment", "utf8", &gen_segments },
		{ "c_comment", "utf8", NULL },
	};
	struct gen_table *table = gen_table_new(gen, "customer", columns, 8);

	for (uint64_t row = 0; row < gen->customers && table != NULL; row++) {
		int64_t nation = gen_range(gen, GEN_CUSTOMER, row, 0, NATIONS - 1);

		gen_put_32(table, 0, (int64_t)row + 1);
		put_numbered(table, 1, "Customer#", row + 1);
		put_string(table, 2, GEN_CUSTOMER + 1, row);
		gen_put_32(table, 3, nation);
		put_phone(table, 4, GEN_CUSTOMER + 2, row, nation);
		gen_put_64(table, 5, gen_range(gen, GEN_CUSTOMER + 3, row, -99999, 999999));
		gen_put_code(table, 6, gen_range(gen, GEN_CUSTOMER + 4, row, 0, 4));
		put_comment(table, 7, GEN_CUSTOMER + 5, row, 29, 116);
		if (gen_end_row(table) < 0)
			return -1;
	}
	return table != NULL ? gen_end_table(table) : -1;
}

/* --- part ------------------------------------------------------------------------------------------------ */

#define MAKERS     5
#define BRANDS     25
#define TYPES      150
#define CONTAINERS 40

/* The lists of part's columns, put together. */
struct part_lists {
	const char *makers[MAKERS], *brands[BRANDS], *types[TYPES], *containers[CONTAINERS];
	char text[MAKERS + BRANDS + TYPES + CONTAINERS][32];
};

static void make_lists(struct part_lists *lists)
{
	char(*text)[32] = lists->text;

	for (int i = 0; i < MAKERS; i++, text++) {
		(void)snprintf(*text, sizeof(*text), "Manufacturer#%d", i + 1);
		lists->makers[i] = *text;
	}
	for (int i = 0; i < BRANDS; i++, text++) {
		(void)snprintf(*text, sizeof(*text), "Brand#%d%d", i / 5 + 1, i % 5 + 1);
		lists->brands[i] = *text;
	}
	for (int i = 0; i < TYPES; i++, text++) {
		(void)snprintf(*text, sizeof(*text), "%s %s %s", gen_type_1.words[i / 25],
		               gen_type_2.words[i / 5 % 5], gen_type_3.words[i % 5]);
		lists->types[i] = *text;
	}
	for (int i = 0; i < CONTAINERS; i++, text++) {
		(void)snprintf(*text, sizeof(*text), "%s %s", gen_container_1.words[i / 8],
		               gen_container_2.words[i % 8]);
		lists->containers[i] = *text;
	}
}

/* Five different colours. */
static void put_part_name(struct gen_table *table, uint32_t column, uint64_t row)
{
	int64_t drawn[5];
	char text[80], *at = text;
	int count = 0;

	for (uint64_t i = 0; count < 5; i++) {
		int64_t color = gen_range(table->gen, GEN_PART, 64 * row + i, 0,
		                          (int64_t)gen_colors.count - 1);
		bool again = false;

		for (int j = 0; j < count; j++)
			again |= drawn[j] == color;
		if (again)
			continue;
		drawn[count++] = color;
		if (at > text)
			*at++ = ' ';
		at = stpcpy(at, gen_colors.words[color]);
	}
	gen_put_text(table, column, text, (size_t)(at - text));
}

int gen_part(struct gen *gen)
{
	struct part_lists lists;
	const struct gen_list makers = { MAKERS, lists.makers }, brands = { BRANDS, lists.brands },
			      types = { TYPES, lists.types },
			      containers = { CONTAINERS, lists.containers };
	const struct gen_column columns[] = {
		{ "p_partkey", "int32", NULL },         { "p_name", "utf8", NULL },
		{ "p_mfgr", "utf8", &makers },          { "p_brand", "utf8", &brands },
		{ "p_type", "utf8", &types },           { "p_size", "int32", NULL },
		{ "p_container", "utf8", &containers }, { "p_retailprice", "decimal(15,2)", NULL },
		{ "p_comment", "utf8", NULL },
	};
	struct gen_table *table;

	make_lists(&lists);
	table = gen_table_new(gen, "part", columns, 9);
	for (uint64_t row = 0; row < gen->parts && table != NULL; row++) {
		int64_t brand = gen_range(gen, GEN_PART + 1, row, 0, BRANDS - 1);

		gen_put_32(table, 0, (int64_t)row + 1);
		put_part_name(table, 1, row);
		gen_put_code(table, 2, brand / 5);
		gen_put_code(table, 3, brand);
		gen_put_code(table, 4, gen_range(gen, GEN_PART + 2, row, 0, TYPES - 1));
		gen_put_32(table, 5, gen_range(gen, GEN_PART + 3, row, 1, 50));
		gen_put_code(table, 6, gen_range(gen, GEN_PART + 4, row, 0, CONTAINERS - 1));
		gen_put_64(table, 7, gen_price((int64_t)row + 1));
		put_comment(table, 8, GEN_PART + 5, row, 5, 22);
		if (gen_end_row(table) < 0)
			return -1;
	}
	return table != NULL ? gen_end_table(table) : -1;
}

int gen_partsupp(struct gen *gen)
{
	static const struct gen_column columns[] = {
		{ "ps_partkey", "int32", NULL },  { "ps_suppkey", "int32", NULL },
		{ "ps_availqty", "int32", NULL }, { "ps_supplycost", "decimal(15,2)", NULL },
		{ "ps_comment", "utf8", NULL },
	};
	struct gen_table *table = gen_table_new(gen, "partsupp", columns, 5);

	for (uint64_t row = 0; row < 4ULL * gen->parts && table != NULL; row++) {
		int64_t part = (int64_t)(row / 4) + 1;

		gen_put_32(table, 0, part);
		gen_put_32(table, 1, gen_supplier_of(gen, part, (int64_t)(row % 4)));
		gen_put_32(table, 2, gen_range(gen, GEN_PARTSUPP, row, 1, 9999));
		gen_put_64(table, 3, gen_range(gen, GEN_PARTSUPP + 1, row, 100, 100000));
		put_comment(table, 4, GEN_PARTSUPP + 2, row, 49, 198);
		if (gen_end_row(table) < 0)
			return -1;
	}
	return table != NULL ? gen_end_table(table) : -1;
}
