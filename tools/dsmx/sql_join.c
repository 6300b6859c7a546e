/* SPDX-License-Identifier: MIT */
/*
 * sql_join.c - in which order tables are joined, and which side builds the hash table
 *
 * For each set of a group's members the cheapest tree is kept, made of the cheapest trees of two parts
 * (dynamic programming; SQL_TABLES_MAX bounds it). Members that an equality condition calls equal are put
 * into classes, so that a = b AND b = c lets a be joined with c first, and no equality is tested twice.
 *
 * Cardinality: a filter keeps a share (sql_estimate.c), and two parts that are joined by a class have as many
 * different values of it as its poorest member, which is right wherever one side is that table's key. So
 * nation.key = customer.nation = supplier.nation counts 25 values, and joining customer with supplier by it is
 * seen as the explosion that it is.
 *
 * Cost, in units of some nanoseconds per row: to build, to probe (dearer when the table leaves the
 * caches), to make the result, and to exchange: either the build side to all workers, or both sides by key.
 */

#include "sql_join.h"

#define COST_BUILD         15.0
#define COST_BUILD_BYTE    0.2
#define COST_PROBE         5.0
#define COST_PROBE_MISS    10.0 /* more for each factor of 16 over CACHED_ROWS */
#define COST_KEY           8.0  /* for each key after the first, to build and to probe */
#define COST_RESULT        3.0
#define COST_RESULT_BYTE   0.1
#define COST_EXCHANGE      8.0
#define COST_EXCHANGE_BYTE 0.3
#define COST_CROSS         1000.0
#define CACHED_ROWS        16384.0
#define BROADCAST_ROWS_MAX 4e6

/* --- estimates ----------------------------------------------------------------------------------------- */

static double probe_cost(double build_rows)
{
	double cost = COST_PROBE;

	for (double rows = build_rows; rows > CACHED_ROWS; rows /= 16)
		cost += COST_PROBE_MISS;
	return cost;
}

static double exchange_cost(const struct sql_join *side)
{
	return side->rows * (COST_EXCHANGE + side->width * COST_EXCHANGE_BYTE);
}

/* What the join itself costs, and whether its build side is better sent to everybody. */
static double join_cost(const struct sql *sql, const struct sql_join *left,
                        const struct sql_join *right, double result, uint32_t keys,
                        bool *ret_broadcast)
{
	double workers = sql->options->workers, more_keys = keys > 1 ? (keys - 1) * COST_KEY : 0;
	double build = right->rows * (COST_BUILD + right->width * COST_BUILD_BYTE + more_keys);
	double probe = left->rows * (probe_cost(right->rows) + more_keys);
	double results = result * (COST_RESULT + (left->width + right->width) * COST_RESULT_BYTE);
	double everybody = workers * (exchange_cost(right) + build);
	double by_key = exchange_cost(left) + exchange_cost(right) + build;

	*ret_broadcast = workers > 1 && right->rows <= BROADCAST_ROWS_MAX && everybody <= by_key;
	if (workers <= 1)
		return probe + build + results;
	return probe + (*ret_broadcast ? everybody : by_key) + results;
}

/*
 * The rows out of joining two parts. Several keys between the same two tables are rarely independent:
 * together they tell apart no more rows than the smaller table has.
 */
static double join_rows(const struct sql_order *order, const struct sql_join *left,
                        const struct sql_join *right, uint32_t a, uint32_t b)
{
	double distinct = 1, rows;
	uint32_t owners_a = 0, owners_b = 0;

	for (uint32_t i = 0; i < order->class_count; i++) {
		const struct sql_class *class = &order->classes[i];

		if ((class->members & a) == 0 || (class->members & b) == 0)
			continue;
		distinct *= class->distinct;
		owners_a |= class->members & a;
		owners_b |= class->members & b;
	}
	if ((owners_a & (owners_a - 1)) == 0 && (owners_b & (owners_b - 1)) == 0) {
		double most =
			left->base_rows < right->base_rows ? left->base_rows : right->base_rows;

		distinct = distinct < most ? distinct : most;
	}
	rows = left->rows * right->rows / (distinct > 1 ? distinct : 1);
	return rows > 1 ? rows : 1;
}

/* --- the search ---------------------------------------------------------------------------------------- */

/* The classes that join two parts: the number of keys. */
static uint32_t key_count(const struct sql_order *order, uint32_t a, uint32_t b)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < order->class_count; i++)
		count += (order->classes[i].members & a) != 0 &&
		         (order->classes[i].members & b) != 0;
	return count;
}

static void consider(struct sql_order *order, uint32_t a, uint32_t b)
{
	struct sql_join *left = order->best[a], *right = order->best[b];
	struct sql_join *best = order->best[a | b];
	double rows = best != NULL ? best->rows : join_rows(order, left, right, a, b);
	uint32_t keys = key_count(order, a, b);
	bool broadcast;
	double cost = left->cost + right->cost +
	              join_cost(order->sql, left, right, rows, keys, &broadcast);

	if (keys == 0)
		cost += left->rows * right->rows * COST_CROSS;
	if (best != NULL && cost >= best->cost)
		return;
	if (best == NULL)
		best = order->best[a | b] = arena_alloc(&order->sql->arena, sizeof(*best));
	*best = (struct sql_join){
		.kind = DSMX_JOIN_INNER,
		.tables = left->tables | right->tables,
		.left = left,
		.right = right,
		.broadcast = broadcast,
		.rows = rows,
		.width = left->width + right->width,
		.base_rows =
			left->base_rows > right->base_rows ? left->base_rows : right->base_rows,
		.cost = cost,
	};
}

/* Sets in counting order: all parts of a set come before it. */
static void search(struct sql_order *order)
{
	uint32_t all = (1U << order->group->member_count) - 1;

	for (uint32_t set = 1; set <= all; set++)
		for (uint32_t a = (set - 1) & set; a != 0; a = (a - 1) & set)
			consider(order, a, set & ~a);
}

/*
 * Down the chosen tree: give each join its keys, and each condition that is no key to the lowest join that
 * has its tables. @set: the members in it.
 */
static uint32_t attach(struct sql_order *order, struct sql_join *join)
{
	uint32_t a, b;

	for (uint32_t i = 0; i < order->group->member_count; i++)
		if (order->best[1U << i] == join)
			return 1U << i;
	a = attach(order, join->left);
	b = attach(order, join->right);
	for (uint32_t i = 0; i < order->class_count; i++) {
		struct sql_expr *left = sql_class_expr(&order->classes[i], a);
		struct sql_expr *right = sql_class_expr(&order->classes[i], b);

		if (left == NULL || right == NULL)
			continue;
		sql_push(order->sql, &join->keys, left);
		sql_push(order->sql, &join->keys, right);
	}
	for (uint32_t i = 0; i < order->residuals.count; i++) {
		struct sql_expr *condition = order->residuals.at[i];

		if (condition == NULL ||
		    (sql_tables_of(order->sql, condition) & ~join->tables) != 0)
			continue;
		sql_push(order->sql, &join->conditions, condition);
		order->residuals.at[i] = NULL;
	}
	return a | b;
}

static struct sql_join *order_group(struct sql *sql, struct sql_item *group)
{
	struct sql_order *order = arena_alloc(&sql->arena, sizeof(*order));
	struct sql_join *join;

	order->sql = sql;
	order->group = group;
	order->best = arena_alloc(&sql->arena, sizeof(struct sql_join *) << group->member_count);
	for (uint32_t i = 0; i < group->member_count; i++)
		order->best[1U << i] = sql_order_joins(sql, group->members[i]);
	for (uint32_t i = 0; i < group->conditions.count; i++)
		if (!sql_class_add(order, group->conditions.at[i]))
			sql_push(sql, &order->residuals, group->conditions.at[i]);
	search(order);
	join = order->best[(1U << group->member_count) - 1];
	attach(order, join);
	return join;
}

/* --- tables and outer joins ---------------------------------------------------------------------------- */

static struct sql_join *order_table(struct sql *sql, struct sql_item *item)
{
	struct sql_join *join = arena_alloc(&sql->arena, sizeof(*join));

	join->tables = item->tables;
	join->table = item->table;
	join->conditions = item->conditions;
	join->base_rows = sql_rows_of_tables(sql, item->tables);
	join->width = sql_width(sql, item->table);
	join->rows = join->base_rows;
	join->rows *= sql_share(sql, item->conditions.at, item->conditions.count);
	if (join->rows < 1)
		join->rows = 1;
	return join;
}

static struct sql_join *order_left(struct sql *sql, struct sql_item *item)
{
	struct sql_join *join = arena_alloc(&sql->arena, sizeof(*join));
	struct sql_join *left = sql_order_joins(sql, item->members[0]);
	struct sql_join *right = sql_order_joins(sql, item->members[1]);

	*join = (struct sql_join){
		.kind = DSMX_JOIN_LEFT,
		.tables = item->tables,
		.left = left,
		.right = right,
		.filters = item->filters,
		.rows = left->rows > right->rows ? left->rows : right->rows,
		.width = left->width + right->width,
		.base_rows =
			left->base_rows > right->base_rows ? left->base_rows : right->base_rows,
	};
	join->cost = left->cost + right->cost +
	             join_cost(sql, left, right, join->rows, 1, &join->broadcast);
	join->rows *= sql_share(sql, item->filters.at, item->filters.count);
	for (uint32_t i = 0; i < item->conditions.count; i++) {
		struct sql_expr *condition = item->conditions.at[i];
		bool swap = false, equal = sql_is_call(condition, DSMX_FN_EQUAL);

		if (equal) {
			uint32_t a = sql_tables_of(sql, condition->args[0]);
			uint32_t b = sql_tables_of(sql, condition->args[1]);

			swap = a != 0 && (a & ~right->tables) == 0;
			equal = a != 0 && b != 0 && ((swap ? b : a) & ~left->tables) == 0 &&
			        ((swap ? a : b) & ~right->tables) == 0;
		}
		if (!equal) {
			sql_push(sql, &join->conditions, condition);
			continue;
		}
		sql_push(sql, &join->keys, condition->args[swap]);
		sql_push(sql, &join->keys, condition->args[!swap]);
	}
	return join;
}

struct sql_join *sql_order_joins(struct sql *sql, struct sql_item *item)
{
	switch (item->kind) {
	case SQL_ITEM_TABLE:
		return order_table(sql, item);
	case SQL_ITEM_LEFT:
		return order_left(sql, item);
	case SQL_ITEM_GROUP:
		break;
	}
	return order_group(sql, item);
}
