/* SPDX-License-Identifier: MIT */
/*
 * plan_fuzz.c - Substrait: what can be decoded can be shown, distributed and encoded, and decoding that gives the same
 * bytes again
 */
#include <errno.h>
#include <string.h>

#include "../plan_fixture.h"
#include "fuzz.h"

/* A plan of another planner. */
__asm__(".section .rodata\n"
        "foreign_join: .incbin \"selftests/data/foreign-join.plan\"\n"
        "foreign_join_end: .byte 0\n"
        ".previous\n");
extern const uint8_t foreign_join[], foreign_join_end[];

static struct dsmx_rel *joined(struct dsmx_plan *plan)
{
	struct dsmx_rel *lines = fixture_lineitem(plan, 600000),
			*orders = fixture_orders(plan, 150000);
	const struct dsmx_sort_key keys[] = { { 1, true, true }, { 0, false, false } };
	struct dsmx_measure sum = { DSMX_AGG_SUM, NULL, "revenue" };
	struct dsmx_expr *key;
	struct dsmx_rel *rel;

	rel = dsmx_rel_joinscan(plan, DSMX_JOIN_INNER,
	                        &(struct dsmx_joinscan_side){ lines, COLS(0), 1, false },
	                        &(struct dsmx_joinscan_side){ orders, COLS(0), 1, true });
	sum.arg = fixture_revenue(plan, rel);
	key = col(plan, rel, "o_custkey");
	rel = dsmx_rel_aggregate(plan, rel, &key, 1, &sum, 1);
	return dsmx_rel_limit(plan, dsmx_rel_sort(plan, rel, keys, 2), 5, 10);
}

static struct dsmx_rel *exchanged(struct dsmx_plan *plan)
{
	const struct dsmx_sort_key keys[] = { { 0, false, true }, { 2, true, false } };
	struct dsmx_rel *rel = fixture_orders(plan, 150000);

	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ARBITRARY, rel, NULL, 0, 5, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, rel, COLS(1), 1, 0, NULL);
	rel = dsmx_rel_exchange_range(plan, rel, &(struct dsmx_sort_key){ 3, false, false },
	                              EXPRS(dsmx_expr_utf8(plan, "m", 1)), 1, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, COLS(0, 2), 2, 0, NULL);
	return dsmx_rel_exchange_merge(plan, rel, keys, 2, NULL);
}

static struct dsmx_rel *computed(struct dsmx_plan *plan)
{
	struct dsmx_rel *rel = fixture_types(plan);
	struct dsmx_expr *exprs[40], *flag = col(plan, rel, "bool"), *text = col(plan, rel, "text");
	uint32_t n = 0;

	for (uint32_t i = 0; i < dsmx_rel_schema(rel)->field_count; i++)
		exprs[n++] = dsmx_expr_column(plan, rel, i);
	exprs[n++] = call2(plan, DSMX_FN_LIKE, text, lit(plan, T(UTF8), "a%_\\%"));
	exprs[n++] = dsmx_expr_cast(plan, text, DECIMAL(10, 3));
	exprs[n++] = dsmx_expr_in(plan, col(plan, rel, "i64"),
	                          EXPRS(dsmx_expr_int64(plan, 1), dsmx_expr_int64(plan, 0)), 2);
	exprs[n++] =
		dsmx_expr_case(plan, EXPRS(flag, flag),
	                       EXPRS(dsmx_expr_int64(plan, 1), dsmx_expr_int64(plan, 2)), 2, NULL);
	return dsmx_rel_project(plan, dsmx_rel_filter(plan, rel, flag), exprs, NULL, n);
}

static struct dsmx_rel *(*const makers[])(struct dsmx_plan *plan) = { joined, exchanged, computed };

static size_t seed(uint32_t index, uint8_t *buf, size_t room)
{
	size_t len = (size_t)(foreign_join_end - foreign_join), count = DX_ARRAY_LEN(makers);
	struct dsmx_plan *plan;
	void *bytes;

	if (index > 2 * count)
		return 0;
	if (index == 0) {
		FUZZ_CHECK(len <= room);
		memcpy(buf, foreign_join, len);
		return len;
	}
	FUZZ_CHECK(dsmx_plan_new(&plan) == 0);
	FUZZ_CHECK(dsmx_plan_finish(plan, makers[(index - 1) / 2](plan), NULL, NULL) == 0);
	FUZZ_CHECK(index % 2 == 0 || dsmx_plan_distribute(plan, 3, NULL) == 0);
	FUZZ_CHECK(dsmx_plan_encode(plan, &bytes, &len, NULL) == 0);
	FUZZ_CHECK(len <= room);
	memcpy(buf, bytes, len);
	free(bytes);
	dsmx_plan_free(plan);
	return len;
}

const struct fuzz_target fuzz_target = { .name = "plan", .seed = seed, .len_max = 16384 };

static void check_again(const void *bytes, size_t len)
{
	struct dsmx_plan *plan;
	size_t again_len;
	void *again;

	FUZZ_CHECK(dsmx_plan_decode(bytes, len, &plan, NULL) == 0);
	FUZZ_CHECK(dsmx_plan_encode(plan, &again, &again_len, NULL) == 0);
	FUZZ_CHECK(again_len == len && memcmp(again, bytes, len) == 0);
	free(again);
	dsmx_plan_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dsmx_error err = { 0 };
	struct dsmx_plan *plan;
	char *text = NULL;
	void *bytes;
	size_t len;
	int r = dsmx_plan_decode(data, size, &plan, &err);

	FUZZ_CHECK(r == 0 || (r == err.code && err.message[0] != '\0'));
	if (r < 0)
		return 0;
	if (dsmx_plan_explain(plan, &text) == 0)
		free(text);
	r = dsmx_plan_distribute(plan, 3, &err);
	FUZZ_CHECK(r == 0 || r == err.code);
	if (dsmx_plan_encode(plan, &bytes, &len, &err) == 0) {
		check_again(bytes, len);
		free(bytes);
	}
	dsmx_plan_free(plan);
	return 0;
}
