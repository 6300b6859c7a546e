/* SPDX-License-Identifier: MIT */
/*
 * plan_test.c - the builder: types, failures, filters that move, columns that go
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "dsmx/ipc.h"
#include "plan_fixture.h"

static struct dsmx_plan *plan_new(void)
{
	struct dsmx_plan *plan = NULL;

	return dsmx_plan_new(&plan) == 0 ? plan : NULL;
}

/* --- types of calls ------------------------------------------------------------------------------------ */

TEST(decimal_results, "decimals get the digits that PostgreSQL's rules and 38 leave them")
{
	static const struct {
		enum dsmx_function function;
		const char *a, *b, *want; /* NULL: -EINVAL */
	} rows[] = {
		{ DSMX_FN_ADD, "decimal(15,2)", "decimal(15,2)", "decimal(16,2)" },
		{ DSMX_FN_ADD, "decimal(10,0)", "decimal(5,4)", "decimal(15,4)" },
		{ DSMX_FN_SUBTRACT, "decimal(38,2)", "decimal(38,10)", "decimal(38,10)" },
		{ DSMX_FN_MULTIPLY, "decimal(15,2)", "decimal(16,2)", "decimal(31,4)" },
		{ DSMX_FN_MULTIPLY, "decimal(38,20)", "decimal(38,18)", "decimal(38,38)" },
		{ DSMX_FN_MULTIPLY, "decimal(38,20)", "decimal(38,19)", NULL },
		{ DSMX_FN_DIVIDE, "decimal(15,2)", "decimal(15,2)", "decimal(38,10)" },
		{ DSMX_FN_DIVIDE, "decimal(15,2)", "decimal(15,8)", "decimal(38,12)" },
		{ DSMX_FN_DIVIDE, "decimal(38,36)", "decimal(15,8)", "decimal(38,38)" },
		{ DSMX_FN_MODULUS, "decimal(15,2)", "decimal(10,4)", "decimal(10,4)" },
		{ DSMX_FN_EQUAL, "decimal(15,2)", "decimal(10,4)", "bool" },
		{ DSMX_FN_ADD, "int32", "int32", "int32" },
		{ DSMX_FN_DIVIDE, "uint64", "uint64", "uint64" },
		{ DSMX_FN_ADD, "int32", "int64", NULL },
		{ DSMX_FN_ADD, "int32", "decimal(10,0)", NULL },
		{ DSMX_FN_ADD, "utf8", "utf8", NULL },
		{ DSMX_FN_MODULUS, "float64", "float64", NULL },
		{ DSMX_FN_LT, "utf8", "large_utf8", NULL },
		{ DSMX_FN_CONCAT, "utf8", "utf8", "utf8" },
		{ DSMX_FN_CONCAT, "utf8", "binary", NULL },
		{ DSMX_FN_AND, "bool", "int8", NULL },
		{ DSMX_FN_COALESCE, "date", "date", "date" },
	};

	for (uint32_t i = 0; i < LEN(rows); i++) {
		struct dsmx_plan *plan = plan_new();
		struct dsmx_type a, b;
		struct dsmx_expr *expr;
		char name[24];

		CHECK(plan != NULL);
		CHECK_EQ(dsmx_type_parse(rows[i].a, &a), 0);
		CHECK_EQ(dsmx_type_parse(rows[i].b, &b), 0);
		expr = call2(plan, rows[i].function, lit(plan, a, NULL), lit(plan, b, NULL));
		if (rows[i].want == NULL) {
			CHECK(expr == NULL);
			CHECK_EQ(dsmx_plan_error(plan, NULL), -EINVAL);
		} else {
			CHECK_STR(dsmx_type_format(dsmx_expr_type(expr), name, sizeof(name)),
			          rows[i].want);
		}
		dsmx_plan_free(plan);
	}
}

TEST(aggregate_results, "sums and averages have room for what they add up")
{
	static const struct {
		enum dsmx_aggregate function;
		const char *arg, *want;
	} rows[] = {
		{ DSMX_AGG_SUM, "int8", "int64" },
		{ DSMX_AGG_SUM, "int32", "int64" },
		{ DSMX_AGG_SUM, "uint32", "int64" },
		{ DSMX_AGG_SUM, "int64", "decimal(38,0)" },
		{ DSMX_AGG_SUM, "uint64", "decimal(38,0)" },
		{ DSMX_AGG_SUM, "decimal(15,2)", "decimal(38,2)" },
		{ DSMX_AGG_SUM, "float32", "float64" },
		{ DSMX_AGG_AVG, "int32", "decimal(38,10)" },
		{ DSMX_AGG_AVG, "decimal(15,2)", "decimal(38,10)" },
		{ DSMX_AGG_AVG, "decimal(20,9)", "decimal(38,13)" },
		{ DSMX_AGG_AVG, "decimal(38,36)", "decimal(38,38)" },
		{ DSMX_AGG_AVG, "float64", "float64" },
		{ DSMX_AGG_MIN, "utf8", "utf8" },
		{ DSMX_AGG_MAX, "date", "date" },
		{ DSMX_AGG_COUNT, "binary", "int64" },
	};

	for (uint32_t i = 0; i < LEN(rows); i++) {
		struct dsmx_type arg, seen;
		char name[24];

		CHECK_EQ(dsmx_type_parse(rows[i].arg, &arg), 0);
		CHECK_EQ(dx_aggregate_type(rows[i].function, arg, &seen, NULL), 0);
		CHECK_STR(dsmx_type_format(seen, name, sizeof(name)), rows[i].want);
	}
	CHECK_EQ(dx_aggregate_type(DSMX_AGG_SUM, T(UTF8), &(struct dsmx_type){ 0 }, NULL), -EINVAL);
	CHECK_EQ(dx_aggregate_type(DSMX_AGG_AVG, T(DATE32), &(struct dsmx_type){ 0 }, NULL),
	         -EINVAL);
}

TEST(nullable_results, "null comes out only where null can come in")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *orders = fixture_orders(plan, 10), *lines = fixture_lineitem(plan, 10);
	struct dsmx_expr *never = col(plan, orders, "o_orderkey"), *perhaps;
	struct dsmx_rel *join;

	perhaps = dsmx_expr_cast(plan, col(plan, orders, "o_custkey"), T(INT64));
	CHECK(!dsmx_expr_nullable(never));
	CHECK(dsmx_expr_nullable(perhaps));
	CHECK(dsmx_expr_nullable(call2(plan, DSMX_FN_ADD, never, perhaps)));
	CHECK(!dsmx_expr_nullable(call2(plan, DSMX_FN_COALESCE, perhaps, never)));
	CHECK(!dsmx_expr_nullable(dsmx_expr_call(plan, DSMX_FN_IS_NULL, &perhaps, 1)));
	CHECK(dsmx_expr_nullable(dsmx_expr_in(plan, perhaps, EXPRS(dsmx_expr_int64(plan, 1)), 1)));
	join = dsmx_rel_join(plan, DSMX_JOIN_LEFT, lines, orders, COLS(0), COLS(0), 1, NULL);
	CHECK(!dsmx_rel_schema(join)->fields[0].nullable);
	CHECK(dsmx_rel_schema(join)->fields[7].nullable);
	CHECK_EQ(dsmx_plan_error(plan, NULL), 0);
	dsmx_plan_free(plan);
}

/* --- failures ------------------------------------------------------------------------------------------ */

/* Each of these fails with a code of its own; everything after it is NULL, and the first failure stays. */
static struct dsmx_rel *wrong(struct dsmx_plan *plan, int which)
{
	struct dsmx_rel *orders = fixture_orders(plan, 10), *lines = fixture_lineitem(plan, 10);
	struct dsmx_expr *text = lit(plan, T(UTF8), "x"), *one = dsmx_expr_int64(plan, 1);
	struct dsmx_measure sum = { DSMX_AGG_SUM, text, NULL };
	struct dsmx_schema none = { 0 };

	switch (which) {
	case 0:
		return dsmx_rel_filter(plan, orders, one);
	case 1:
		return dsmx_rel_filter(plan, orders, dsmx_expr_column(plan, orders, 4));
	case 2:
		return dsmx_rel_project(plan, orders, EXPRS(col(plan, lines, "l_returnflag")), NULL,
		                        1);
	case 3:
		return dsmx_rel_project(plan, orders, NULL, NULL, 0);
	case 4:
		return dsmx_rel_join(plan, DSMX_JOIN_INNER, lines, orders, COLS(1), COLS(0), 1,
		                     NULL);
	case 5:
		return dsmx_rel_join(plan, DSMX_JOIN_INNER, lines, orders, COLS(9), COLS(0), 1,
		                     NULL);
	case 6:
		return dsmx_rel_join(plan, DSMX_JOIN_INNER, lines, orders, NULL, NULL, 0, NULL);
	case 7:
		return dsmx_rel_aggregate(plan, orders, NULL, 0, &sum, 1);
	case 8:
		return dsmx_rel_aggregate(plan, orders, NULL, 0, NULL, 0);
	case 9:
		return dsmx_rel_sort(plan, orders, &(struct dsmx_sort_key){ .column = 4 }, 1);
	case 10:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, orders, NULL, 0, 0, NULL);
	case 11:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, orders, NULL, 0, 2, NULL);
	case 12:
		return dsmx_rel_limit(plan, orders, UINT64_MAX, 1);
	case 13:
		return dsmx_rel_leaf(plan, "x", &none);
	case 14:
		return dsmx_rel_filter(plan, NULL, one);
	case 15:
		return dsmx_rel_filter(plan, orders,
		                       call2(plan, DSMX_FN_LIKE, col(plan, orders, "o_comment"),
		                             col(plan, orders, "o_comment")));
	case 16:
		return dsmx_rel_project(plan, orders, EXPRS(col(plan, orders, "nothing")), NULL, 1);
	case 17:
		return dsmx_rel_project(plan, orders, EXPRS(lit(plan, T(INT8), "128")), NULL, 1);
	case 18:
		return dsmx_rel_project(plan, orders, EXPRS(lit(plan, T(DATE32), "x")), NULL, 1);
	case 19:
		return dsmx_rel_project(
			plan, orders,
			EXPRS(call2(plan, DSMX_FN_EXTRACT, lit(plan, T(UTF8), "century"),
		                    col(plan, orders, "o_orderdate"))),
			NULL, 1);
	case 20:
		return dsmx_rel_project(plan, orders, EXPRS(dsmx_expr_utf8(plan, "a\0b", 3)), NULL,
		                        1);
	case 21:
		return dsmx_rel_scan(plan, "/nonexistent/x.arrow", NULL, 0);
	default:
		return NULL;
	}
}

TEST(first_failure_stays,
     "the first failure is kept with its code and a sentence, and ends all that follows")
{
	static const int codes[] = { -EINVAL,     -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL,
		                     -EOPNOTSUPP, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL,
		                     -EINVAL,     -EINVAL, -EINVAL, -EINVAL, -ENOENT, -ERANGE,
		                     -EINVAL,     -EINVAL, -EILSEQ, -ENOENT };

	for (uint32_t i = 0; i < LEN(codes); i++) {
		struct dsmx_plan *plan = plan_new();
		struct dsmx_error first, err;

		CHECK(plan != NULL);
		CHECK(wrong(plan, (int)i) == NULL);
		CHECK_EQ(dsmx_plan_error(plan, &first), codes[i]);
		CHECK(first.message[0] != 0 && strchr(first.message, '\n') == NULL);
		CHECK(dsmx_rel_limit(plan, fixture_orders(plan, 1), 0, 1) == NULL);
		CHECK(dsmx_expr_int64(plan, 1) == NULL);
		CHECK_EQ(dsmx_plan_finish(plan, NULL, NULL, &err), codes[i]);
		CHECK_STR(err.message, first.message);
		CHECK(dsmx_plan_schema(plan) == NULL);
		dsmx_plan_free(plan);
	}
}

/* Each of these fails with -EINVAL and these words. */
static struct dsmx_rel *wrong_exchange(struct dsmx_plan *plan, int which)
{
	const struct dsmx_sort_key up = { 0, false, false }, down = { 0, true, true };
	const struct dsmx_sort_key far = { 4, false, false };
	struct dsmx_rel *rel = fixture_orders(plan, 10);
	struct dsmx_expr *one = dsmx_expr_int64(plan, 1), *two = dsmx_expr_int64(plan, 2);
	struct dsmx_expr *small = lit(plan, T(INT32), "1"), *null = lit(plan, T(INT64), NULL);
	const enum dsmx_exchange_kind turn = DSMX_EXCHANGE_ROUND_ROBIN;

	switch (which) {
	case 0:
		return dsmx_rel_exchange(plan, turn, rel, COLS(0), 1, 0, NULL);
	case 1:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, rel, COLS(0, 1), 2, 0, NULL);
	case 2:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, rel, COLS(2), 1, 0, NULL);
	case 3:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_MERGE, rel, NULL, 0, 0, NULL);
	case 4:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_RANGE, rel, NULL, 0, 1, NULL);
	case 5:
		return dsmx_rel_exchange_merge(plan, rel, &far, 1, NULL);
	case 6:
		return dsmx_rel_exchange_range(plan, rel, &up, EXPRS(two, one), 2, NULL);
	case 7:
		return dsmx_rel_exchange_range(plan, rel, &down, EXPRS(one, two), 2, NULL);
	case 8:
		return dsmx_rel_exchange_range(plan, rel, &up, EXPRS(small), 1, NULL);
	case 9:
		return dsmx_rel_exchange_range(plan, rel, &up, EXPRS(null), 1, NULL);
	case 10:
		return dsmx_rel_exchange_range(plan, rel, &up,
		                               EXPRS(dsmx_expr_column(plan, rel, 0)), 1, NULL);
	default:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_KIND_COUNT, rel, NULL, 0, 0, NULL);
	}
}

TEST(wrong_exchanges, "an exchange that lacks what its kind needs, or has more, is refused")
{
	static const char *const words[] = {
		"only a hash or explicit",
		"one column",
		"no integer",
		"no sort keys",
		"one sort key",
		"no column 4",
		"not in order",
		"not in order",
		"cast it",
		"no literal",
		"no literal",
		"no exchange kind",
	};

	for (uint32_t i = 0; i < LEN(words); i++) {
		struct dsmx_plan *plan = plan_new();
		struct dsmx_error err;

		CHECK(plan != NULL);
		CHECK(wrong_exchange(plan, (int)i) == NULL);
		CHECK_EQ(dsmx_plan_error(plan, &err), -EINVAL);
		if (strstr(err.message, words[i]) == NULL)
			printf("# %s\n", err.message);
		CHECK(strstr(err.message, words[i]) != NULL);
		dsmx_plan_free(plan);
	}
}

TEST(ambiguous_name, "a column name that is there twice is refused")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *orders = fixture_orders(plan, 10), *join;

	join = dsmx_rel_join(plan, DSMX_JOIN_INNER, orders, orders, COLS(0), COLS(0), 1, NULL);
	CHECK(join != NULL);
	CHECK(col(plan, join, "o_orderkey") == NULL);
	CHECK_EQ(dsmx_plan_error(plan, NULL), -EINVAL);
	dsmx_plan_free(plan);
}

TEST(limits_of_size,
     "a plan that is too deep or too large is refused, however little it took to write")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_expr *expr = dsmx_expr_int64(plan, 1);
	struct dsmx_rel *rel;

	for (int i = 0; i < 25 && expr != NULL; i++)
		expr = call2(plan, DSMX_FN_ADD, expr, expr);
	CHECK(expr == NULL);
	CHECK_EQ(dsmx_plan_error(plan, NULL), -E2BIG);
	dsmx_plan_free(plan);

	plan = plan_new();
	rel = fixture_orders(plan, 10);
	for (int i = 0; i < DSMX_PLAN_DEPTH_MAX - 1; i++)
		rel = dsmx_rel_limit(plan, rel, 0, 1);
	CHECK(rel != NULL);
	CHECK(dsmx_rel_limit(plan, rel, 0, 1) == NULL);
	CHECK_EQ(dsmx_plan_error(plan, NULL), -E2BIG);
	dsmx_plan_free(plan);

	plan = plan_new();
	rel = fixture_customer(plan, 10);
	for (int i = 0; i < 20 && rel != NULL; i++)
		rel = dsmx_rel_join(plan, DSMX_JOIN_SEMI, rel, rel, COLS(0), COLS(0), 1, NULL);
	CHECK(rel == NULL);
	CHECK_EQ(dsmx_plan_error(plan, NULL), -E2BIG);
	dsmx_plan_free(plan);
}

/* --- rewriting ----------------------------------------------------------------------------------------- */

/* The plan with this root, as EXPLAIN shows it; "" on failure. */
static const char *explained(struct dsmx_plan *plan, struct dsmx_rel *root, char **ret_text)
{
	struct dsmx_error err = { 0 };

	*ret_text = NULL;
	if (dsmx_plan_finish(plan, root, NULL, &err) < 0) {
		printf("# %s\n", err.message);
		return "";
	}
	return dsmx_plan_explain(plan, ret_text) == 0 ? *ret_text : "";
}

TEST(filters_merge, "a filter goes into the scan under it, and joins the one that is there")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = fixture_customer(plan, 10);
	struct dsmx_expr *a, *b, *c;
	char *text;

	a = call2(plan, DSMX_FN_GT, col(plan, rel, "c_custkey"), lit(plan, T(INT32), "1"));
	b = call2(plan, DSMX_FN_EQUAL, col(plan, rel, "c_segment"), lit(plan, T(UTF8), "it's"));
	rel = dsmx_rel_filter(plan, dsmx_rel_filter(plan, rel, a), b);
	rel = dsmx_rel_limit(plan, rel, 0, 5);
	c = dsmx_expr_call(plan, DSMX_FN_NOT, EXPRS(b), 1);
	rel = dsmx_rel_filter(plan, dsmx_rel_filter(plan, rel, a), c);
	CHECK_STR(explained(plan, rel, &text),
	          "Filter: (c_custkey > 1) and not(c_segment = 'it''s')\n"
	          "  Limit: 5\n"
	          "    Scan /data/customer.arrow: c_custkey, c_segment where (c_custkey > 1) and "
	          "(c_segment = 'it''s')\n");
	free(text);
	dsmx_plan_free(plan);
}

TEST(columns_pruned, "scans read, and joins get, only the columns that are used")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *lines = fixture_lineitem(plan, 100), *orders = fixture_orders(plan, 10),
			*rel;
	struct dsmx_measure measures[2] = { { DSMX_AGG_SUM, NULL, "revenue" },
		                            { DSMX_AGG_COUNT_STAR, NULL, NULL } };
	struct dsmx_expr *key;
	char *text;

	lines = dsmx_rel_filter(plan, lines,
	                        call2(plan, DSMX_FN_GT, col(plan, lines, "l_shipdate"),
	                              lit(plan, T(DATE32), "1995-03-15")));
	rel = dsmx_rel_join(plan, DSMX_JOIN_INNER, lines, orders, COLS(0), COLS(0), 1,
	                    call2(plan, DSMX_FN_LT, dsmx_expr_pair_column(plan, lines, orders, 5),
	                          dsmx_expr_pair_column(plan, lines, orders, 9)));
	measures[0].arg = fixture_revenue(plan, rel);
	key = col(plan, rel, "o_custkey");
	rel = dsmx_rel_aggregate(plan, rel, &key, 1, measures, 2);
	rel = dsmx_rel_project(plan, rel, EXPRS(dsmx_expr_column(plan, rel, 1)), NULL, 1);
	CHECK_STR(
		explained(plan, rel, &text),
		"Project: revenue\n"
		"  Aggregate: sum(l_price * (1.00 - l_discount)) by o_custkey\n"
		"    HashJoin inner: l_orderkey = o_orderkey and l_shipdate < o_orderdate (filters scan)\n"
		"      Scan /data/lineitem.arrow: l_orderkey, l_price, l_discount, l_shipdate where "
		"l_shipdate > '1995-03-15'\n"
		"      Scan /data/orders.arrow: o_orderkey, o_custkey, o_orderdate\n");
	free(text);
	dsmx_plan_free(plan);
}

TEST(count_keeps_one_column, "count(*) reads the cheapest column of the file")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_measure star = { DSMX_AGG_COUNT_STAR, NULL, NULL };
	char *text;

	CHECK_STR(explained(plan,
	                    dsmx_rel_aggregate(plan, fixture_orders(plan, 10), NULL, 0, &star, 1),
	                    &text),
	          "Aggregate: count(*)\n"
	          "  Scan /data/orders.arrow: o_custkey\n");
	free(text);
	dsmx_plan_free(plan);
}

TEST(in_without_literals, "IN with nulls or columns becomes comparisons, so that null stays null")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = fixture_orders(plan, 10);
	struct dsmx_expr *key = col(plan, rel, "o_orderkey");
	char *text;

	rel = dsmx_rel_filter(
		plan, rel,
		dsmx_expr_in(plan, key,
	                     EXPRS(dsmx_expr_int64(plan, 1), lit(plan, T(INT64), NULL),
	                           dsmx_expr_int64(plan, 2)),
	                     3));
	CHECK_STR(
		explained(plan, dsmx_rel_project(plan, rel, &key, NULL, 1), &text),
		"Scan /data/orders.arrow: o_orderkey where (o_orderkey in (1, 2)) or (o_orderkey = "
		"null)\n");
	free(text);
	dsmx_plan_free(plan);
}

TEST(casts_of_literals, "a literal that is cast is a literal, unless its value would change")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = fixture_orders(plan, 10);
	struct dsmx_expr *exprs[] = {
		dsmx_expr_cast(plan, dsmx_expr_int64(plan, 24), DECIMAL(15, 2)),
		dsmx_expr_cast(plan, lit(plan, DECIMAL(5, 2), "1.50"), T(INT32)),
		dsmx_expr_cast(plan, lit(plan, DECIMAL(5, 2), "1.50"), T(FLOAT64)),
		dsmx_expr_cast(plan, dsmx_expr_int64(plan, 300), T(INT8)),
		dsmx_expr_cast(plan, lit(plan, T(UTF8), NULL), T(DATE32)),
	};
	char *text;

	CHECK_STR(explained(plan, dsmx_rel_project(plan, rel, exprs, NULL, LEN(exprs)), &text),
	          "Project: 24.00, cast(1.50 as int32), 1.5, cast(300 as int8), null\n"
	          "  Scan /data/orders.arrow: o_custkey\n");
	free(text);
	dsmx_plan_free(plan);
}

TEST(finish_names, "names given at the end are the plan's schema; a plan is finished once")
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *rel = fixture_customer(plan, 10);
	const char *names[] = { "id", NULL };
	struct dsmx_error err;
	void *bytes;
	size_t len;

	CHECK(dsmx_plan_schema(plan) == NULL);
	CHECK_EQ(dsmx_plan_encode(plan, &bytes, &len, &err), -EINVAL);
	CHECK_EQ(dsmx_plan_distribute(plan, 2, &err), -EINVAL);
	CHECK_EQ(dsmx_plan_finish(plan, rel, names, &err), 0);
	CHECK_STR(dsmx_plan_schema(plan)->fields[0].name, "id");
	CHECK_STR(dsmx_plan_schema(plan)->fields[1].name, "c_segment");
	CHECK_EQ(dsmx_plan_distribute(plan, 0, &err), -EINVAL);
	CHECK_EQ(dsmx_plan_finish(plan, rel, names, &err), -EINVAL);
	dsmx_plan_free(plan);
}

/* --- scans of real files ------------------------------------------------------------------------------- */

/* A file of one int32 and one text column without rows. */
static bool write_file(const char *path)
{
	const struct dsmx_field fields[] = { { "a", T(INT32), true }, { "b", T(UTF8), true } };
	const struct dsmx_schema schema = { 2, fields };
	struct dsmx_ipc_writer *writer;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return false;
	ok = dsmx_ipc_writer_new(fd, DSMX_IPC_FILE, &schema, NULL, &writer, NULL) == 0 &&
	     dsmx_ipc_finish(writer, NULL) == 0;
	return close(fd) == 0 && ok;
}

TEST(scan_of_file, "a scan takes its columns from the file, in the order asked for")
{
	char dir[] = "/tmp/dsmx-plan-XXXXXX", path[PATH_MAX];
	struct dsmx_plan *plan = plan_new();
	const struct dsmx_schema *schema;
	bool written;

	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/t.arrow", dir);
	written = write_file(path);
	schema = dsmx_rel_schema(dsmx_rel_scan(plan, path, COLS(1, 0, 1), 3));
	(void)dsmx_rel_scan(plan, path, COLS(2), 1);
	(void)unlink(path);
	(void)rmdir(dir);
	CHECK(written);
	CHECK(schema != NULL);
	CHECK_EQ(schema->field_count, 3);
	CHECK_STR(schema->fields[0].name, "b");
	CHECK_STR(schema->fields[1].name, "a");
	CHECK_EQ(schema->fields[2].type.id, DSMX_UTF8);
	CHECK_EQ(dsmx_plan_error(plan, NULL), -EINVAL);
	dsmx_plan_free(plan);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
