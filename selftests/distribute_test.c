/* SPDX-License-Identifier: MIT */
/*
 * distribute_test.c - EnforceDsmShuffle: which exchanges, where, with how many tasks
 *
 * The trees are compared with golden/<name>.txt. DSMX_GOLDEN=DIR writes what is seen there instead.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "plan_fixture.h"

#define GOLDEN(name)                                                                               \
	__asm__(".section .rodata\n"                                                               \
	        "golden_" #name ": .incbin \"selftests/golden/" #name ".txt\"\n"                   \
	        ".byte 0\n"                                                                        \
	        ".previous\n");                                                                    \
	extern const char golden_##name[]

GOLDEN(topk);
GOLDEN(shuffle);
GOLDEN(broadcast);
GOLDEN(copartitioned);
GOLDEN(joinscan);
GOLDEN(small);
GOLDEN(leaf);
GOLDEN(one_task);
GOLDEN(given);
GOLDEN(extension);
GOLDEN(sorted);
GOLDEN(sorted_leaf);

/* --- plans --------------------------------------------------------------------------------------------- */

static struct dsmx_rel *sum_by(struct dsmx_plan *plan, struct dsmx_rel *rel, const char *key)
{
	struct dsmx_measure revenue = { DSMX_AGG_SUM, fixture_revenue(plan, rel), "revenue" };
	struct dsmx_expr *keys[] = { col(plan, rel, key) };

	return dsmx_rel_aggregate(plan, rel, keys, 1, &revenue, 1);
}

static struct dsmx_rel *top(struct dsmx_plan *plan, struct dsmx_rel *rel, uint32_t column,
                            uint64_t n)
{
	const struct dsmx_sort_key key = { column, true, true };

	return dsmx_rel_limit(plan, dsmx_rel_sort(plan, rel, &key, 1), 2, n);
}

/* A limit above a project above a sort is a top-k: a local one below the gather, the real one above. */
static struct dsmx_rel *make_topk(struct dsmx_plan *plan)
{
	struct dsmx_rel *rel = fixture_orders(plan, 150000);
	const struct dsmx_sort_key key = { 2, true, true };
	struct dsmx_expr *expr;

	rel = dsmx_rel_sort(plan, rel, &key, 1);
	expr = col(plan, rel, "o_orderkey");
	return dsmx_rel_limit(plan, dsmx_rel_project(plan, rel, &expr, NULL, 1), 2, 10);
}

/* Both sides of a join large: both are hashed, and the groups again, as they are by another column. */
static struct dsmx_rel *make_shuffle(struct dsmx_plan *plan)
{
	struct dsmx_rel *lines = fixture_lineitem(plan, 600000),
			*orders = fixture_orders(plan, 500000);
	struct dsmx_rel *rel;

	rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, lines, orders, COLS(0), COLS(0), 1, NULL);
	return top(plan, sum_by(plan, rel, "o_custkey"), 1, 10);
}

/* The right side small: it is broadcast, and the left one stays where it is read. */
static struct dsmx_rel *make_broadcast(struct dsmx_plan *plan)
{
	struct dsmx_rel *lines = fixture_lineitem(plan, 600000),
			*orders = fixture_orders(plan, 150000);
	struct dsmx_rel *rel;

	orders = dsmx_rel_filter(plan, orders,
	                         call2(plan, DSMX_FN_EQUAL, col(plan, orders, "o_orderdate"),
	                               lit(plan, T(DATE32), "1995-01-01")));
	rel = dsmx_rel_join(plan, DSMX_JOIN_LEFT, lines, orders, COLS(0), COLS(0), 1, NULL);
	return sum_by(plan, rel, "l_returnflag");
}

/* Hashed on the key already: a second join and the groups on that key need no more exchange of it. */
static struct dsmx_rel *make_copartitioned(struct dsmx_plan *plan)
{
	struct dsmx_rel *lines = fixture_lineitem(plan, 600000), *rel;

	rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, lines, fixture_orders(plan, 500000), COLS(0),
	                    COLS(0), 1, NULL);
	rel = dsmx_rel_join(plan, DSMX_JOIN_SEMI, rel, fixture_orders(plan, 500000), COLS(0),
	                    COLS(0), 1, NULL);
	return sum_by(plan, rel, "l_orderkey");
}

static struct dsmx_rel *make_joinscan(struct dsmx_plan *plan)
{
	struct dsmx_rel *lines = fixture_lineitem(plan, 600000),
			*orders = fixture_orders(plan, 150000);
	struct dsmx_rel *customer = fixture_customer(plan, 15000), *rel;

	rel = dsmx_rel_joinscan(plan, DSMX_JOIN_INNER,
	                        &(struct dsmx_joinscan_side){ lines, COLS(0), 1, false },
	                        &(struct dsmx_joinscan_side){ orders, COLS(0), 1, false });
	rel = dsmx_rel_joinscan(plan, DSMX_JOIN_INNER,
	                        &(struct dsmx_joinscan_side){ rel, COLS(8), 1, false },
	                        &(struct dsmx_joinscan_side){ customer, COLS(0), 1, true });
	return top(plan, sum_by(plan, rel, "c_segment"), 1, 3);
}

/* Files of one record batch: their fragments have one task; what is hashed has as many as asked for. */
static struct dsmx_rel *make_small(struct dsmx_plan *plan)
{
	struct dsmx_rel *orders = fixture_orders(plan, 100), *rel;

	rel = dsmx_rel_join(plan, DSMX_JOIN_ANTI, fixture_lineitem(plan, 200), orders, COLS(0),
	                    COLS(0), 1, NULL);
	return dsmx_rel_limit(plan, rel, 0, 5);
}

/* A leaf is read in one task of the leader's; it is never the side that a broadcast comes to. */
static struct dsmx_rel *make_leaf(struct dsmx_plan *plan)
{
	const struct dsmx_field fields[] = { { "k", T(INT64), true }, { "v", T(UTF8), true } };
	const struct dsmx_schema schema = { 2, fields };
	struct dsmx_rel *rel = dsmx_rel_leaf(plan, "mine", &schema);
	struct dsmx_measure count = { DSMX_AGG_COUNT_STAR, NULL, NULL };

	rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, rel, fixture_orders(plan, 100), COLS(0), COLS(0),
	                    1, NULL);
	return dsmx_rel_aggregate(plan, rel, NULL, 0, &count, 1);
}

/* Exchanges that were put in by hand stay; what they do is not done again. */
static struct dsmx_rel *make_given(struct dsmx_plan *plan)
{
	const struct dsmx_exchange_config config = { .hash_seed = 99 };
	struct dsmx_rel *lines = fixture_lineitem(plan, 600000),
			*orders = fixture_orders(plan, 500000);
	struct dsmx_rel *rel;

	lines = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, lines, COLS(0), 1, 3, &config);
	rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, lines, orders, COLS(0), COLS(0), 1, NULL);
	return dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 0, NULL);
}

/* With one input an extension takes what its task has; with two, all of both; without, it is one task. */
static struct dsmx_rel *make_extension(struct dsmx_plan *plan)
{
	const struct dsmx_field fields[] = { { "k", T(INT64), false } };
	const struct dsmx_schema schema = { 1, fields };
	struct dsmx_rel *inputs[2];

	inputs[0] = fixture_orders(plan, 150000);
	inputs[0] = dsmx_rel_extension(plan, "test.each", NULL, 0, &schema, inputs, 1);
	inputs[1] = dsmx_rel_extension(plan, "test.source", NULL, 0, &schema, NULL, 0);
	return dsmx_rel_extension(plan, "test.both", NULL, 0, &schema, inputs, 2);
}

/* A sort without a limit is one of each task, and a merge; with an offset alone, too. */
static struct dsmx_rel *make_sorted(struct dsmx_plan *plan)
{
	const struct dsmx_sort_key keys[] = { { 2, true, true }, { 0, false, true } };
	struct dsmx_rel *rel = dsmx_rel_sort(plan, fixture_orders(plan, 150000), keys, 2);

	return dsmx_rel_limit(plan, rel, 100, UINT64_MAX);
}

static struct dsmx_rel *make_sorted_leaf(struct dsmx_plan *plan)
{
	const struct dsmx_sort_key key = { 1, false, false };
	const struct dsmx_field fields[] = { { "k", T(INT64), true }, { "v", T(UTF8), true } };
	const struct dsmx_schema schema = { 2, fields };
	struct dsmx_rel *rel = dsmx_rel_leaf(plan, "mine", &schema);

	return dx_rel_pick(plan, dsmx_rel_sort(plan, rel, &key, 1), COLS(0), 1);
}

/* --- golden trees -------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	struct dsmx_rel *(*make)(struct dsmx_plan *plan);
	uint32_t tasks;
	const char *want;
} cases[] = {
	{ "topk", make_topk, 2, golden_topk },
	{ "shuffle", make_shuffle, 2, golden_shuffle },
	{ "broadcast", make_broadcast, 2, golden_broadcast },
	{ "copartitioned", make_copartitioned, 2, golden_copartitioned },
	{ "joinscan", make_joinscan, 4, golden_joinscan },
	{ "small", make_small, 4, golden_small },
	{ "leaf", make_leaf, 2, golden_leaf },
	{ "one_task", make_shuffle, 1, golden_one_task },
	{ "given", make_given, 2, golden_given },
	{ "extension", make_extension, 2, golden_extension },
	{ "sorted", make_sorted, 3, golden_sorted },
	{ "sorted_leaf", make_sorted_leaf, 2, golden_sorted_leaf },
};

/* Plan @i, distributed; NULL after a complaint. */
static struct dsmx_plan *distributed(uint32_t i)
{
	struct dsmx_error err = { 0 };
	struct dsmx_plan *plan;

	if (dsmx_plan_new(&plan) < 0)
		return NULL;
	if (dsmx_plan_finish(plan, cases[i].make(plan), NULL, &err) == 0 &&
	    dsmx_plan_distribute(plan, cases[i].tasks, &err) == 0)
		return plan;
	printf("# %s: %s\n", cases[i].name, err.message);
	dsmx_plan_free(plan);
	return NULL;
}

static void write_golden(const char *name, const char *text)
{
	const char *dir = getenv("DSMX_GOLDEN");
	char path[PATH_MAX];
	FILE *file;

	if (dir == NULL)
		return;
	(void)snprintf(path, sizeof(path), "%s/%s.txt", dir, name);
	file = fopen(path, "we");
	if (file == NULL)
		return;
	(void)fputs(text, file);
	(void)fclose(file);
}

TEST(golden_trees, "each shape of plan gets the exchanges that golden/ shows")
{
	for (uint32_t i = 0; i < LEN(cases); i++) {
		struct dsmx_plan *plan = distributed(i);
		char *text;

		CHECK(plan != NULL);
		CHECK_EQ(dsmx_plan_explain(plan, &text), 0);
		write_golden(cases[i].name, text);
		CHECK_STR(text, getenv("DSMX_GOLDEN") != NULL ? text : cases[i].want);
		free(text);
		dsmx_plan_free(plan);
	}
}

TEST(distribute_twice,
     "a plan that is distributed again stays what it is, to the byte, also once decoded")
{
	for (uint32_t i = 0; i < LEN(cases); i++) {
		struct dsmx_plan *plan = distributed(i), *again = NULL;
		void *bytes[3];
		size_t len[3];

		CHECK(plan != NULL);
		CHECK_EQ(dsmx_plan_encode(plan, &bytes[0], &len[0], NULL), 0);
		CHECK_EQ(dsmx_plan_distribute(plan, cases[i].tasks, NULL), 0);
		CHECK_EQ(dsmx_plan_encode(plan, &bytes[1], &len[1], NULL), 0);
		CHECK_EQ(dsmx_plan_decode(bytes[0], len[0], &again, NULL), 0);
		CHECK_EQ(dsmx_plan_distribute(again, cases[i].tasks, NULL), 0);
		CHECK_EQ(dsmx_plan_encode(again, &bytes[2], &len[2], NULL), 0);
		for (int k = 1; k < 3; k++) {
			if (len[k] != len[0] || memcmp(bytes[k], bytes[0], len[0]) != 0)
				printf("# %s, way %d\n", cases[i].name, k);
			CHECK_EQ(len[k], len[0]);
			CHECK(memcmp(bytes[k], bytes[0], len[0]) == 0);
			free(bytes[k]);
		}
		free(bytes[0]);
		dsmx_plan_free(plan);
		dsmx_plan_free(again);
	}
}

TEST(exchange_order, "exchanges are numbered inputs first, and each knows which one consumes it")
{
	for (uint32_t i = 0; i < LEN(cases); i++) {
		struct dsmx_plan *plan = distributed(i);
		uint32_t count, roots = 0;

		CHECK(plan != NULL);
		count = dsmx_plan_exchange_count(plan);
		CHECK(count > 0);
		for (uint32_t number = 0; number < count; number++) {
			int consumer = dx_plan_consumer(plan, number);
			struct dsmx_exchange_info info, above;

			CHECK_EQ(dsmx_plan_exchange(plan, number, &info), 0);
			CHECK_EQ(info.number, number);
			CHECK_EQ(dx_plan_exchange_rel(plan, number)->exchange.number, number);
			CHECK(consumer == -1 || consumer > (int)number);
			roots += consumer == -1;
			CHECK(info.producer_tasks >= 1);
			if (consumer == -1) {
				CHECK_EQ(info.consumer_partitions, 1);
				continue;
			}
			CHECK_EQ(dsmx_plan_exchange(plan, (uint32_t)consumer, &above), 0);
			CHECK_EQ(info.consumer_partitions, above.producer_tasks);
		}
		CHECK(roots >= 1);
		CHECK_EQ(dsmx_plan_exchange(plan, count, &(struct dsmx_exchange_info){ 0 }),
		         -EINVAL);
		CHECK(dx_plan_exchange_rel(plan, count) == NULL);
		dsmx_plan_free(plan);
	}
}

TEST(exchange_reports_unknown, "what an exchange has done is not among its properties")
{
	struct dsmx_plan *plan = distributed(1);
	const struct dsmx_rel *rel;

	CHECK(plan != NULL);
	rel = dx_plan_exchange_rel(plan, 0);
	CHECK_EQ(rel->exchange.kind, DSMX_EXCHANGE_HASH);
	CHECK_EQ(rel->properties.partitioning, DX_PARTITIONING_UNKNOWN);
	CHECK_EQ(rel->properties.partitions, 2);
	rel = dx_plan_root(plan);
	CHECK_EQ(rel->properties.partitioning, DX_PARTITIONING_SINGLE);
	dsmx_plan_free(plan);
}

TEST(leader_only, "only the fragment with the leaf has to run in the leader")
{
	struct dsmx_plan *plan = distributed(6);

	CHECK(plan != NULL);
	for (uint32_t i = 0; i < dsmx_plan_exchange_count(plan); i++)
		CHECK_EQ(dx_plan_leader_only(plan, i), i == 0);
	dsmx_plan_free(plan);
}

/* --- what cannot be ------------------------------------------------------------------------------------ */

static struct dsmx_rel *broadcast(struct dsmx_plan *plan, struct dsmx_rel *rel, uint32_t partitions)
{
	return dsmx_rel_exchange(plan, DSMX_EXCHANGE_BROADCAST, rel, NULL, 0, partitions, NULL);
}

TEST(impossible, "a broadcast that would double rows, and partitions that do not fit, are refused")
{
	for (int i = 0; i < 5; i++) {
		struct dsmx_error err = { 0 };
		struct dsmx_plan *plan;
		struct dsmx_rel *a, *b, *rel;
		char *text;

		CHECK_EQ(dsmx_plan_new(&plan), 0);
		a = fixture_orders(plan, 1000);
		b = fixture_lineitem(plan, 1000);
		if (i == 0) {
			rel = broadcast(plan, a, 0);
		} else if (i == 1) {
			rel = sum_by(plan, broadcast(plan, b, 0), "l_orderkey");
		} else if (i == 2) {
			rel = dsmx_rel_join(plan, DSMX_JOIN_LEFT, broadcast(plan, a, 0), b, COLS(0),
			                    COLS(0), 1, NULL);
		} else if (i == 3) {
			rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, a, broadcast(plan, b, 3),
			                    COLS(0), COLS(0), 1, NULL);
			rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, rel, broadcast(plan, b, 5),
			                    COLS(0), COLS(0), 1, NULL);
		} else {
			const struct dsmx_field field = { "k", T(INT64), true };
			const struct dsmx_schema schema = { 1, &field };

			rel = dsmx_rel_join(plan, DSMX_JOIN_INNER,
			                    dsmx_rel_leaf(plan, "l", &schema),
			                    broadcast(plan, b, 3), COLS(0), COLS(0), 1, NULL);
		}
		CHECK_EQ(dsmx_plan_finish(plan, rel, NULL, &err), 0);
		CHECK_EQ(dsmx_plan_distribute(plan, 2, &err), -EINVAL);
		CHECK(err.message[0] != 0);
		/* The plan is what it was. */
		CHECK_EQ(dsmx_plan_error(plan, NULL), 0);
		CHECK_EQ(dsmx_plan_explain(plan, &text), 0);
		CHECK(strstr(text, "->") == NULL);
		free(text);
		dsmx_plan_free(plan);
	}
}

TEST(too_many_exchanges, "a plan with over 1024 exchanges is refused")
{
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;

	CHECK_EQ(dsmx_plan_new(&plan), 0);
	rel = fixture_customer(plan, 10);
	for (int i = 0; i < 11; i++)
		rel = dsmx_rel_join(plan, DSMX_JOIN_SEMI, rel, rel, COLS(0), COLS(0), 1, NULL);
	CHECK_EQ(dsmx_plan_finish(plan, rel, NULL, NULL), 0);
	CHECK_EQ(dsmx_plan_distribute(plan, 2, NULL), -E2BIG);
	dsmx_plan_free(plan);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
