/* SPDX-License-Identifier: MIT */
/*
 * gen_orders.c - orders and their lines, after TPC-H 4.2.3
 *
 * An order has 1 to 7 lines. For the total to be the official one, the counts are drawn once ahead, and the
 * difference is spread over the orders: evenly, one line each, where the count allows it.
 */
#include "gen.h"

#define DAY_FIRST   8035  /* 1992-01-01 */
#define DAY_CURRENT 9298  /* 1995-06-17 */
#define DAY_LAST    10591 /* 1998-12-31 */
#define LINES_MAX   7

/* Columns of orders and of lineitem that are random. */
enum {
	ORDER_LINES = GEN_ORDERS,
	ORDER_CUSTOMER,
	ORDER_DATE,
	ORDER_PRIORITY,
	ORDER_CLERK,
	ORDER_COMMENT,
};
enum {
	LINE_PART = GEN_LINEITEM,
	LINE_SUPPLIER,
	LINE_NUMBERS, /* quantity, discount, tax */
	LINE_DAYS,
	LINE_FLAGS, /* return flag, instruction, mode */
	LINE_COMMENT,
};

static const struct gen_column order_columns[] = {
	{ "o_orderkey", "int64", NULL },
	{ "o_custkey", "int32", NULL },
	{ "o_orderstatus", "utf8", &gen_statuses },
	{ "o_totalprice", "decimal(15,2)", NULL },
	{ "o_orderdate", "date", NULL },
	{ "o_orderpriority", "utf8", &gen_priorities },
	{ "o_clerk", "utf8", NULL },
	{ "o_shippriority", "int32", NULL },
	{ "o_comment", "utf8", NULL },
};
static const struct gen_column line_columns[] = {
	{ "l_orderkey", "int64", NULL },          { "l_partkey", "int32", NULL },
	{ "l_suppkey", "int32", NULL },           { "l_linenumber", "int32", NULL },
	{ "l_quantity", "decimal(15,2)", NULL },  { "l_extendedprice", "decimal(15,2)", NULL },
	{ "l_discount", "decimal(15,2)", NULL },  { "l_tax", "decimal(15,2)", NULL },
	{ "l_returnflag", "utf8", &gen_returns }, { "l_linestatus", "utf8", &gen_statuses },
	{ "l_shipdate", "date", NULL },           { "l_commitdate", "date", NULL },
	{ "l_receiptdate", "date", NULL },        { "l_shipinstruct", "utf8", &gen_instructions },
	{ "l_shipmode", "utf8", &gen_modes },     { "l_comment", "utf8", NULL },
};

struct order {
	uint64_t row;
	int64_t key, date, price;
	int lines, open; /* lines not shipped yet */
};

/* How many lines are to be added, or taken away, so far and in all. */
struct spread {
	int64_t missing;
	int64_t done;
};

static int drawn_lines(const struct gen *gen, uint64_t row)
{
	return (int)gen_range(gen, ORDER_LINES, row, 1, LINES_MAX);
}

static struct spread spread_new(const struct gen *gen)
{
	int64_t sum = 0;

	for (uint64_t row = 0; row < gen->orders && gen->lines > 0; row++)
		sum += drawn_lines(gen, row);
	return (struct spread){ gen->lines > 0 ? (int64_t)gen->lines - sum : 0, 0 };
}

/* The order's share: due a little early, so that orders that cannot take theirs pass it on before the end. */
static int line_count(const struct gen *gen, struct spread *spread, uint64_t row)
{
	int lines = drawn_lines(gen, row), step = spread->missing < 0 ? -1 : 1;
	int64_t all = spread->missing * step;
	int64_t due =
		(int64_t)((unsigned __int128)(uint64_t)all * (row + 1) * 9 / (8 * gen->orders)) + 1;

	if (spread->done >= all || spread->done >= due || lines + step < 1 ||
	    lines + step > LINES_MAX)
		return lines;
	spread->done++;
	return lines + step;
}

/* Keys come in runs of 8, and then 24 are left out. */
static int64_t order_key(uint64_t row)
{
	uint64_t number = row + 1;

	return (int64_t)(number >> 3 << 5 | (number & 7));
}

/*
 * Every third customer has no orders. As with TPC's own generator, his go to the one after him, who so has twice
 * as many: that is not in the specification, but in the answers.
 */
static int64_t order_customer(const struct gen *gen, uint64_t row)
{
	int64_t number = gen_range(gen, ORDER_CUSTOMER, row, 1, gen->customers);

	if (number % 3 != 0)
		return number;
	return number < gen->customers ? number + 1 : number - 1;
}

static int put_line(struct gen_table *table, struct order *order, int number)
{
	const struct gen *gen = table->gen;
	uint64_t row = order->row * 8 + (uint64_t)number;
	uint64_t numbers = gen_random(gen, LINE_NUMBERS, row),
		 days = gen_random(gen, LINE_DAYS, row);
	uint64_t flags = gen_random(gen, LINE_FLAGS, row);
	int64_t part = gen_range(gen, LINE_PART, row, 1, gen->parts);
	int64_t quantity = 1 + (int64_t)((numbers & 0xffffff) * 50 >> 24);
	int64_t discount = (int64_t)((numbers >> 24 & 0xfffff) * 11 >> 20);
	int64_t tax = (int64_t)((numbers >> 44) * 9 >> 20), price = quantity * gen_price(part);
	int64_t ship = order->date + 1 + (int64_t)((days & 0x1fffff) * 121 >> 21);
	int64_t commit = order->date + 30 + (int64_t)((days >> 21 & 0x1fffff) * 61 >> 21);
	int64_t receipt = ship + 1 + (int64_t)((days >> 42 & 0x1fffff) * 30 >> 21);
	const char *text;
	size_t len;

	gen_put_64(table, 0, order->key);
	gen_put_32(table, 1, part);
	gen_put_32(table, 2, gen_supplier_of(gen, part, gen_range(gen, LINE_SUPPLIER, row, 0, 3)));
	gen_put_32(table, 3, number + 1);
	gen_put_64(table, 4, quantity * 100);
	gen_put_64(table, 5, price);
	gen_put_64(table, 6, discount);
	gen_put_64(table, 7, tax);
	gen_put_code(table, 8, receipt > DAY_CURRENT ? 1 : (flags & 1) * 2);
	gen_put_code(table, 9, ship > DAY_CURRENT);
	gen_put_32(table, 10, ship);
	gen_put_32(table, 11, commit);
	gen_put_32(table, 12, receipt);
	gen_put_code(table, 13, (int64_t)(flags >> 1 & 3));
	gen_put_code(table, 14, (int64_t)((flags >> 3 & 0xffffff) * 7 >> 24));
	text = gen_comment(gen, LINE_COMMENT, row, 10, 43, &len);
	gen_put_text(table, 15, text, len);
	order->open += ship > DAY_CURRENT;
	order->price += price * (100 - discount) / 100 * (100 + tax) / 100;
	return gen_end_row(table);
}

static int put_order(struct gen_table *table, const struct order *order)
{
	const struct gen *gen = table->gen;
	char clerk[40];
	const char *text;
	size_t len;

	gen_put_64(table, 0, order->key);
	gen_put_32(table, 1, order_customer(gen, order->row));
	gen_put_code(table, 2, order->open == 0 ? 0 : order->open == order->lines ? 1 : 2);
	gen_put_64(table, 3, order->price);
	gen_put_32(table, 4, order->date);
	gen_put_code(table, 5, gen_range(gen, ORDER_PRIORITY, order->row, 0, 4));
	len = gen_numbered(
		"Clerk#", (uint64_t)gen_range(gen, ORDER_CLERK, order->row, 1, gen->clerks), clerk);
	gen_put_text(table, 6, clerk, len);
	gen_put_32(table, 7, 0);
	text = gen_comment(gen, ORDER_COMMENT, order->row, 19, 78, &len);
	gen_put_text(table, 8, text, len);
	return gen_end_row(table);
}

int gen_orders(struct gen *gen)
{
	struct gen_table *orders = gen_table_new(gen, "orders", order_columns, 9), *lines;
	struct spread spread = spread_new(gen);

	if (orders == NULL)
		return -1;
	lines = gen_table_new(gen, "lineitem", line_columns, 16);
	if (lines == NULL)
		return -1;
	for (uint64_t row = 0; row < gen->orders; row++) {
		struct order order = {
			.row = row,
			.key = order_key(row),
			.date = gen_range(gen, ORDER_DATE, row, DAY_FIRST, DAY_LAST - 151),
			.lines = line_count(gen, &spread, row),
		};

		for (int i = 0; i < order.lines; i++) {
			if (put_line(lines, &order, i) < 0)
				return -1;
		}
		if (put_order(orders, &order) < 0)
			return -1;
	}
	if (gen_end_table(orders) < 0)
		return -1;
	return gen_end_table(lines);
}
