/* SPDX-License-Identifier: MIT */
/*
 * plan_codec_test.c - plans as bytes: the same again, and another planner's; broken ones are in plan_broken_test.c
 */
#include "plan_bytes.h"

/* A plan of another planner, made by Google's protoc from data/foreign-join.txtpb. */
__asm__(".section .rodata\n"
        "foreign_join: .incbin \"selftests/data/foreign-join.plan\"\n"
        "foreign_join_end: .byte 0\n"
        ".previous\n");
extern const uint8_t foreign_join[], foreign_join_end[];

TEST(round_trip, "what is decoded encodes to the same bytes, and shows as the same tree")
{
	for (uint32_t m = 0; m < LEN(makers); m++) {
		for (uint32_t tasks = 0; tasks <= 3; tasks++) {
			struct bytes first = make(m, tasks), second = { NULL, 0 };
			struct dsmx_plan *plan = NULL;
			struct dsmx_error err = { 0 };
			int rc;

			CHECK(first.at != NULL);
			rc = dsmx_plan_decode(first.at, first.len, &plan, &err);
			if (rc < 0)
				printf("# plan %u over %u: %s\n", m, tasks, err.message);
			CHECK_EQ(rc, 0);
			CHECK(encode(plan, &second));
			CHECK(same(first, second));
			CHECK_EQ(dx_plan_hash(first.at, first.len),
			         dx_plan_hash(second.at, second.len));
			free(first.at);
			free(second.at);
			dsmx_plan_free(plan);
		}
	}
}

TEST(explain_survives, "EXPLAIN of a decoded plan is that of the plan that was encoded")
{
	struct dsmx_plan *plan = plan_new(), *again = NULL;
	struct bytes bytes;
	char *a, *b;

	CHECK_EQ(dsmx_plan_finish(plan, all_relations(plan), NULL, NULL), 0);
	CHECK_EQ(dsmx_plan_distribute(plan, 2, NULL), 0);
	CHECK(encode(plan, &bytes));
	CHECK_EQ(dsmx_plan_decode(bytes.at, bytes.len, &again, NULL), 0);
	CHECK_EQ(dsmx_plan_explain(plan, &a), 0);
	CHECK_EQ(dsmx_plan_explain(again, &b), 0);
	CHECK_STR(b, a);
	CHECK_EQ(dsmx_plan_exchange_count(again), dsmx_plan_exchange_count(plan));
	for (uint32_t i = 0; i < dsmx_plan_exchange_count(plan); i++) {
		struct dsmx_exchange_info x, y;

		CHECK_EQ(dsmx_plan_exchange(plan, i, &x), 0);
		CHECK_EQ(dsmx_plan_exchange(again, i, &y), 0);
		CHECK_EQ(x.producer_tasks, y.producer_tasks);
		CHECK_EQ(x.consumer_partitions, y.consumer_partitions);
		CHECK_EQ(x.config.credit_bytes, y.config.credit_bytes);
		CHECK_EQ(x.config.overflow_forbidden, y.config.overflow_forbidden);
		CHECK_EQ(dx_schema_hash(x.schema), dx_schema_hash(y.schema));
		CHECK_EQ(dx_plan_consumer(plan, i), dx_plan_consumer(again, i));
		CHECK_EQ(dx_plan_leader_only(plan, i), dx_plan_leader_only(again, i));
	}
	free(a);
	free(b);
	free(bytes.at);
	dsmx_plan_free(plan);
	dsmx_plan_free(again);
}

TEST(exchange_kinds, "every kind of exchange is decoded as it was, and shown by its name")
{
	static const char want[] =
		"DsmExchangeExec #8: merge(o_orderkey nulls first, o_orderdate desc nulls last) 2 -> 1\n"
		"  DsmExchangeExec #7: hash(o_orderkey, o_orderdate) 1 -> 2\n"
		"    DsmExchangeExec #6: range(o_custkey nulls first) 2 -> 1\n"
		"      DsmExchangeExec #5: range(o_comment at 'm') 3 -> 2\n"
		"        DsmExchangeExec #4: range(o_orderdate desc nulls last at '1996-01-01', "
		"'1994-06-30') 2 -> 3\n"
		"          DsmExchangeExec #3: explicit(o_custkey) 5 -> 2\n"
		"            DsmExchangeExec #2: arbitrary 2 -> 5\n"
		"              DsmExchangeExec #1: passthrough 2 -> 2\n"
		"                DsmExchangeExec #0: round robin 2 -> 2\n";
	struct bytes bytes = make(3, 2);
	struct dsmx_plan *plan = NULL;
	char *text;

	CHECK(bytes.at != NULL);
	CHECK_EQ(dsmx_plan_decode(bytes.at, bytes.len, &plan, NULL), 0);
	CHECK_EQ(dsmx_plan_explain(plan, &text), 0);
	text[sizeof(want) - 1] = '\0'; /* the scan is below */
	CHECK_STR(text, want);
	free(text);
	free(bytes.at);
	dsmx_plan_free(plan);
}

TEST(foreign_plan, "another planner's join with a condition, filters, masks and emits becomes ours")
{
	struct dsmx_plan *plan = NULL;
	struct dsmx_error err = { 0 };
	char *text = NULL;

	CHECK_EQ(dsmx_plan_decode(foreign_join, (size_t)(foreign_join_end - foreign_join), &plan,
	                          &err),
	         0);
	CHECK_STR(err.message, "");
	CHECK_STR(dsmx_plan_schema(plan)->fields[1].name, "total");
	CHECK_EQ(dsmx_plan_schema(plan)->fields[1].type.id, DSMX_INT64);
	CHECK_EQ(dsmx_plan_explain(plan, &text), 0);
	CHECK_STR(text,
	          "Limit: 10\n"
	          "  Sort: #1 desc nulls last\n"
	          "    Project: #0, cast(sum as int64), count\n"
	          "      Aggregate: sum(l_units), count(*) by extract('month', o_date)\n"
	          "        Project: l_units, o_date\n"
	          "          HashJoin inner: l_key = o_key and l_units < o_limit (filters scan)\n"
	          "            Project: l_key, l_units\n"
	          "              Scan shop/lines.arrow: l_key, l_units, l_flag where l_flag = 'R'\n"
	          "            Scan /data/the orders.arrow: o_key, o_date, o_limit where o_date >= "
	          "'1994-01-01'\n");
	free(text);
	dsmx_plan_free(plan);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
