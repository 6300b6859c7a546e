/* SPDX-License-Identifier: MIT */
/*
 * plan_codec_test.c - plans as bytes: the same again, another planner's, and broken ones
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "plan/codec.h"
#include "plan_fixture.h"

/* A plan of another planner, made by Google's protoc from data/foreign-join.txtpb. */
__asm__(".section .rodata\n"
        "foreign_join: .incbin \"selftests/data/foreign-join.plan\"\n"
        "foreign_join_end: .byte 0\n"
        ".previous\n");
extern const uint8_t foreign_join[], foreign_join_end[];

struct bytes {
	uint8_t *at;
	size_t len;
};

static struct dsmx_plan *plan_new(void)
{
	struct dsmx_plan *plan = NULL;

	return dsmx_plan_new(&plan) == 0 ? plan : NULL;
}

static struct dsmx_rel *extension(struct dsmx_plan *plan, struct dsmx_rel *a, struct dsmx_rel *b)
{
	struct dsmx_rel *inputs[] = { a, b };
	const struct dsmx_field fields[] = { { "o_orderkey", T(INT64), false },
		                             { "score", T(UINT32), true } };
	const struct dsmx_schema output = { 2, fields };

	return dsmx_rel_extension(plan, "test.score", "\0\1\2", 3, &output, inputs,
	                          b != NULL ? 2 : a != NULL);
}

/* --- plans --------------------------------------------------------------------------------------------- */

/* A literal of each type, a null, and each kind of expression, over a column of each type. */
static struct dsmx_rel *all_expressions(struct dsmx_plan *plan)
{
	static const char *const values[] = {
		"true",
		"-128",
		"-32768",
		"2147483647",
		"-9223372036854775808",
		"255",
		"0",
		"4294967295",
		"18446744073709551615",
		"1.5",
		"-0.1",
		"-12.50",
		"-1234567890123456789012345678.0123456789",
		"1995-03-15",
		"2024-02-29 12:30:00.5",
		"1969-12-31 23:59:59",
		"it's",
		"large",
		"\x01\xff",
	};
	struct dsmx_rel *rel = fixture_types(plan);
	uint32_t count = dsmx_rel_schema(rel)->field_count, n = 0;
	struct dsmx_expr *exprs[64], *text = col(plan, rel, "text"), *i64 = col(plan, rel, "i64");
	struct dsmx_expr *date = col(plan, rel, "date"), *flag = col(plan, rel, "bool");

	for (uint32_t i = 0; i < count; i++)
		exprs[n++] = call2(plan, DSMX_FN_COALESCE, dsmx_expr_column(plan, rel, i),
		                   lit(plan, dsmx_rel_schema(rel)->fields[i].type, values[i]));
	exprs[n++] = lit(plan, STAMP(9), NULL);
	exprs[n++] = dsmx_expr_cast(plan, text, DECIMAL(10, 3));
	exprs[n++] = dsmx_expr_case(plan, EXPRS(flag, flag), EXPRS(i64, i64), 2, NULL);
	exprs[n++] = dsmx_expr_in(plan, i64,
	                          EXPRS(dsmx_expr_int64(plan, 1), dsmx_expr_int64(plan, 0)), 2);
	exprs[n++] =
		dsmx_expr_call(plan, DSMX_FN_SUBSTRING,
	                       EXPRS(text, lit(plan, T(INT32), "1"), col(plan, rel, "i32")), 3);
	exprs[n++] = call2(plan, DSMX_FN_EXTRACT, lit(plan, T(UTF8), "year"), date);
	exprs[n++] = call2(plan, DSMX_FN_EXTRACT, lit(plan, T(UTF8), "dow"), date);
	exprs[n++] = call2(plan, DSMX_FN_EXTRACT, lit(plan, T(UTF8), "doy"), col(plan, rel, "ts"));
	exprs[n++] = call2(plan, DSMX_FN_LIKE, text, lit(plan, T(UTF8), "a%_\\%"));
	exprs[n++] = dsmx_expr_call(plan, DSMX_FN_CONCAT, EXPRS(text, text, text), 3);
	exprs[n++] = call2(plan, DSMX_FN_ADD, col(plan, rel, "u8"), col(plan, rel, "u8"));
	exprs[n++] = call2(plan, DSMX_FN_DIVIDE, col(plan, rel, "dec"), col(plan, rel, "wide"));
	exprs[n++] = dsmx_expr_call(plan, DSMX_FN_NOT, &flag, 1);
	exprs[n++] = dsmx_expr_call(plan, DSMX_FN_IS_NOT_NULL, &text, 1);
	rel = dsmx_rel_filter(plan, rel, call2(plan, DSMX_FN_OR, flag, flag));
	return dsmx_rel_project(plan, rel, exprs, NULL, n);
}

/* Every kind of relation, with exchanges given and put in. */
static struct dsmx_rel *all_relations(struct dsmx_plan *plan)
{
	const struct dsmx_field leaf_fields[] = { { "k", T(INT64), true },
		                                  { "x", STAMPTZ(9), true } };
	const struct dsmx_schema leaf_schema = { 2, leaf_fields };
	const struct dsmx_exchange_config config = { 4096, 512, 7, true };
	const struct dsmx_sort_key keys[] = { { 1, true, true },
		                              { 0, false, false },
		                              { 2, true, false } };
	struct dsmx_rel *lines = fixture_lineitem(plan, 600000),
			*orders = fixture_orders(plan, 150000);
	struct dsmx_rel *leaf = dsmx_rel_leaf(plan, "mine", &leaf_schema), *rel;
	struct dsmx_measure measures[6] = { { DSMX_AGG_COUNT_STAR, NULL, "n" } };
	struct dsmx_expr *key;

	rel = dsmx_rel_joinscan(plan, DSMX_JOIN_INNER,
	                        &(struct dsmx_joinscan_side){ lines, COLS(0), 1, false },
	                        &(struct dsmx_joinscan_side){ orders, COLS(0), 1, false });
	rel = dsmx_rel_join(plan, DSMX_JOIN_LEFT, rel, leaf, COLS(0), COLS(0), 1,
	                    call2(plan, DSMX_FN_LT, dsmx_expr_pair_column(plan, rel, leaf, 0),
	                          dsmx_expr_pair_column(plan, rel, leaf, 11)));
	rel = dsmx_rel_join(plan, DSMX_JOIN_SEMI, rel,
	                    extension(plan, extension(plan, NULL, NULL), NULL), COLS(0), COLS(0), 1,
	                    NULL);
	rel = dsmx_rel_join(plan, DSMX_JOIN_ANTI, rel,
	                    extension(plan,
	                              dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, orders, NULL, 0,
	                                                0, &config),
	                              fixture_customer(plan, 15000)),
	                    COLS(0), COLS(0), 1, NULL);
	key = col(plan, rel, "o_custkey");
	measures[1] = (struct dsmx_measure){ DSMX_AGG_COUNT, key, NULL };
	measures[2] = (struct dsmx_measure){ DSMX_AGG_SUM, fixture_revenue(plan, rel), "revenue" };
	measures[3] = (struct dsmx_measure){ DSMX_AGG_AVG, col(plan, rel, "l_quantity"), NULL };
	measures[4] = (struct dsmx_measure){ DSMX_AGG_MIN, col(plan, rel, "l_returnflag"), NULL };
	measures[5] = (struct dsmx_measure){ DSMX_AGG_MAX, col(plan, rel, "o_orderdate"), NULL };
	rel = dsmx_rel_aggregate(plan, rel, &key, 1, measures, 6);
	rel = dsmx_rel_filter(
		plan, rel,
		call2(plan, DSMX_FN_GT, dsmx_expr_column(plan, rel, 1), dsmx_expr_int64(plan, 3)));
	rel = dsmx_rel_limit(plan, dsmx_rel_sort(plan, rel, keys, 3), 5, 10);
	key = dsmx_expr_column(plan, rel, 0);
	rel = dsmx_rel_aggregate(plan, rel, &key, 1, NULL, 0);
	return dsmx_rel_limit(plan, rel, 3, UINT64_MAX);
}

/* Groups without measures on both sides of an exchange: their phase stands elsewhere. */
static struct dsmx_rel *distinct(struct dsmx_plan *plan)
{
	struct dsmx_rel *rel = fixture_orders(plan, 150000);
	struct dsmx_expr *key = col(plan, rel, "o_custkey");

	return dsmx_rel_aggregate(plan, rel, &key, 1, NULL, 0);
}

/* Every kind of exchange, one on the other. */
static struct dsmx_rel *all_exchanges(struct dsmx_plan *plan)
{
	const struct dsmx_sort_key keys[] = { { 0, false, true }, { 2, true, false } };
	struct dsmx_rel *rel = fixture_orders(plan, 150000);

	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ROUND_ROBIN, rel, NULL, 0, 0, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_PASSTHROUGH, rel, NULL, 0, 0, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_ARBITRARY, rel, NULL, 0, 5, NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_EXPLICIT, rel, COLS(1), 1, 0, NULL);
	rel = dsmx_rel_exchange_range(
		plan, rel, &(struct dsmx_sort_key){ 2, true, false },
		EXPRS(lit(plan, T(DATE32), "1996-01-01"), lit(plan, T(DATE32), "1994-06-30")), 2,
		NULL);
	rel = dsmx_rel_exchange_range(plan, rel, &(struct dsmx_sort_key){ 3, false, false },
	                              EXPRS(dsmx_expr_utf8(plan, "m", 1)), 1, NULL);
	rel = dsmx_rel_exchange_range(plan, rel, &(struct dsmx_sort_key){ 1, false, true }, NULL, 0,
	                              NULL);
	rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, COLS(0, 2), 2, 0, NULL);
	return dsmx_rel_exchange_merge(plan, rel, keys, 2, NULL);
}

static struct dsmx_rel *(*const makers[])(struct dsmx_plan *plan) = { all_expressions,
	                                                              all_relations, distinct,
	                                                              all_exchanges };

/* The bytes of plan @maker, distributed over @tasks (0: not); {NULL, 0} after a complaint. */
static struct bytes make(uint32_t maker, uint32_t tasks)
{
	struct dsmx_plan *plan = plan_new();
	struct dsmx_error err = { 0 };
	struct bytes bytes = { NULL, 0 };
	void *at;

	if (dsmx_plan_finish(plan, makers[maker](plan), NULL, &err) == 0 &&
	    (tasks == 0 || dsmx_plan_distribute(plan, tasks, &err) == 0) &&
	    dsmx_plan_encode(plan, &at, &bytes.len, &err) == 0)
		bytes.at = at;
	else
		printf("# %s\n", err.message);
	dsmx_plan_free(plan);
	return bytes;
}

static bool encode(const struct dsmx_plan *plan, struct bytes *ret)
{
	void *at;

	if (dsmx_plan_encode(plan, &at, &ret->len, NULL) < 0)
		return false;
	ret->at = at;
	return true;
}

static bool same(struct bytes a, struct bytes b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

/* --- the same again ------------------------------------------------------------------------------------ */

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

/* --- broken bytes -------------------------------------------------------------------------------------- */

static bool is_refusal(int rc)
{
	return rc == -EBADMSG || rc == -EOPNOTSUPP || rc == -EINVAL || rc == -E2BIG ||
	       rc == -ENOENT || rc == -ERANGE || rc == -EILSEQ;
}

/*
 * Decode what may be broken: an error with a sentence, or a plan that can be written, read again, shown and
 * distributed. Says whether it was a plan; *@ok is cleared for anything else.
 */
static bool decodes(const uint8_t *bytes, size_t len, bool *ok)
{
	struct dsmx_plan *plan = NULL, *again = NULL;
	struct bytes out = { NULL, 0 }, out2 = { NULL, 0 };
	struct dsmx_error err = { 0 };
	char *text = NULL;
	int rc = dsmx_plan_decode(bytes, len, &plan, &err);

	if (rc < 0) {
		*ok = *ok && plan == NULL && is_refusal(rc) && err.code == rc &&
		      err.message[0] != 0;
		return false;
	}
	*ok = *ok && encode(plan, &out) && dsmx_plan_decode(out.at, out.len, &again, NULL) == 0 &&
	      encode(again, &out2) && same(out, out2) && dsmx_plan_explain(plan, &text) == 0;
	free(text);
	rc = dsmx_plan_distribute(plan, 2, &err);
	*ok = *ok && (rc == 0 || is_refusal(rc));
	free(out.at);
	free(out2.at);
	dsmx_plan_free(plan);
	dsmx_plan_free(again);
	return true;
}

TEST(truncated, "a plan that ends at any byte is an error or a plan, never anything else")
{
	for (uint32_t m = 0; m < LEN(makers); m++) {
		struct bytes bytes = make(m, 2);
		uint32_t plans = 0;
		bool fine = true;

		CHECK(bytes.at != NULL);
		for (size_t len = 0; len < bytes.len && fine; len++) {
			/* In memory of its own, so that reading behind the end is seen. */
			uint8_t *copy = malloc(len + 1);

			memcpy(copy, bytes.at, len);
			copy = realloc(copy, len > 0 ? len : 1);
			plans += decodes(copy, len, &fine);
			free(copy);
			if (!fine)
				printf("# plan %u cut to %zu of %zu bytes\n", m, len, bytes.len);
		}
		CHECK(fine);
		/* Only what stands behind the relations can be missing: the version and the URNs. */
		CHECK(plans < 16);
		free(bytes.at);
	}
}

/* A byte that says what or how much follows; the rest are values. Marks them in @marks from @at on. */
static size_t mark(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t at,
                   size_t end, uint8_t *marks)
{
	while (at < end) {
		const ProtobufCFieldDescriptor *field;
		uint64_t tag = 0, len = 0;
		unsigned shift = 0;

		do {
			marks[at] = 'T';
			tag |= (uint64_t)(bytes[at] & 0x7f) << shift;
			shift += 7;
		} while ((bytes[at++] & 0x80) != 0);
		if ((tag & 7) == 0) {
			while ((bytes[at++] & 0x80) != 0)
				;
			continue;
		}
		if ((tag & 7) != 2) {
			at += (tag & 7) == 1 ? 8 : 4;
			continue;
		}
		shift = 0;
		do {
			marks[at] = 'L';
			len |= (uint64_t)(bytes[at] & 0x7f) << shift;
			shift += 7;
		} while ((bytes[at++] & 0x80) != 0);
		field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
		if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE)
			(void)mark(field->descriptor, bytes, at, at + len, marks);
		at += len;
	}
	return at;
}

extern const ProtobufCMessageDescriptor substrait__plan__descriptor;

TEST(bits_flipped,
     "a plan with any bit flipped is an error or a plan; with a length changed, an error")
{
	for (uint32_t m = 0; m < LEN(makers); m++) {
		struct bytes bytes = make(m, 2);
		uint8_t *marks = calloc(1, bytes.len + 1);
		uint32_t plans[256] = { 0 }, flips[256] = { 0 };
		bool fine = true;

		CHECK(bytes.at != NULL && marks != NULL);
		(void)mark(&substrait__plan__descriptor, bytes.at, 0, bytes.len, marks);
		for (size_t bit = 0; bit < bytes.len * 8 && fine; bit++) {
			uint8_t kind = marks[bit / 8];
			bool plan;

			bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
			plan = decodes(bytes.at, bytes.len, &fine);
			bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
			flips[kind]++;
			plans[kind] += plan;
			if (!fine || (plan && kind == 'L'))
				printf("# plan %u, byte %zu bit %zu (%c)\n", m, bit / 8, bit % 8,
				       kind ? kind : 'v');
		}
		printf("# plan %u, %zu bytes: still a plan with %u of %u bits of tags flipped, %u of %u "
		       "of lengths, %u of %u of values\n",
		       m, bytes.len, plans['T'], flips['T'], plans['L'], flips['L'], plans[0],
		       flips[0]);
		CHECK(fine);
		CHECK_EQ(plans['L'], 0);
		free(marks);
		free(bytes.at);
	}
}

/* --- made to break ------------------------------------------------------------------------------------- */

/* Bytes that grow at the front: a message is written from the inside out. */
struct wire {
	uint8_t bytes[1 << 17];
	size_t at; /* of the first byte */
};

static void put(struct wire *w, const void *bytes, size_t len)
{
	w->at -= len;
	memcpy(w->bytes + w->at, bytes, len);
}

static void put_varint(struct wire *w, uint64_t value)
{
	uint8_t bytes[10];
	size_t len = 0;

	do {
		bytes[len++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value > 0);
	put(w, bytes, len);
}

/* Wrap all that is there from @end back into field @field. */
static void wrap(struct wire *w, uint32_t field, size_t end)
{
	put_varint(w, end - w->at);
	put_varint(w, (uint64_t)field << 3 | 2);
}

/* Plan.relations[0].root.input = what is there */
static void wrap_plan(struct wire *w)
{
	wrap(w, 1, sizeof(w->bytes));
	wrap(w, 2, sizeof(w->bytes));
	wrap(w, 3, sizeof(w->bytes));
}

static int decode_wire(const struct wire *w, struct dsmx_error *err)
{
	struct dsmx_plan *plan = NULL;
	int rc = dsmx_plan_decode(w->bytes + w->at, sizeof(w->bytes) - w->at, &plan, err);

	dsmx_plan_free(plan);
	return rc;
}

TEST(nested_too_deep,
     "10 000 levels of filters or expressions are -E2BIG, and use no stack to find out")
{
	static struct wire w;
	struct dsmx_error err;

	w.at = sizeof(w.bytes);
	for (int i = 0; i < 10000; i++) { /* Rel.filter.input */
		wrap(&w, 2, sizeof(w.bytes));
		wrap(&w, 2, sizeof(w.bytes));
	}
	wrap_plan(&w);
	CHECK_EQ(decode_wire(&w, &err), -E2BIG);
	CHECK(strstr(err.message, "200") != NULL);

	w.at = sizeof(w.bytes);
	for (int i = 0; i < 10000; i++) { /* Expression.cast.input */
		wrap(&w, 2, sizeof(w.bytes));
		wrap(&w, 11, sizeof(w.bytes));
	}
	wrap(&w, 3, sizeof(w.bytes));
	wrap(&w, 2, sizeof(w.bytes));
	wrap_plan(&w);
	CHECK_EQ(decode_wire(&w, &err), -E2BIG);
}

TEST(too_long, "a plan over the limit is -E2BIG before a byte of it is read")
{
	struct dsmx_plan *plan = NULL;
	struct dsmx_error err;

	CHECK_EQ(dsmx_plan_decode("", (size_t)DSMX_PLAN_BYTES_MAX + 1, &plan, &err), -E2BIG);
	CHECK(plan == NULL);
}

TEST(too_many_parts, "a plan of very many empty parts is -E2BIG: what it would need is bounded")
{
	size_t len = ((size_t)DX_WIRE_MESSAGES_MAX + 1) * 2;
	struct dsmx_plan *plan = NULL;
	uint8_t *bytes = malloc(len);
	struct dsmx_error err;
	int rc;

	CHECK(bytes != NULL);
	for (size_t i = 0; i < len; i += 2) {
		bytes[i] = 0x12; /* Plan.extensions, empty */
		bytes[i + 1] = 0;
	}
	rc = dsmx_plan_decode(bytes, len, &plan, &err);
	free(bytes);
	CHECK_EQ(rc, -E2BIG);
}

TEST(refused_bytes, "what is no plan, or says more than dsmx can do, is refused with its reason")
{
	static const struct {
		const char *bytes;
		size_t len;
		int want;
		const char *why;
	} rows[] = {
#define ROW(text, want, why) { text, sizeof(text) - 1, want, why }
		ROW("", -EBADMSG, "0 relations"),
		ROW("\x1a", -EBADMSG, "byte 1"),
		ROW("\x1a\x05", -EBADMSG, "ends too early"),
		ROW("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -EBADMSG, "ends too early"),
		ROW("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", -EBADMSG, "ends too early"),
		ROW("\x00\x00", -EBADMSG, "no number"),
		ROW("\x80\x80\x80\x80\x80\x01\x00", -EBADMSG, "no number"),
		ROW("\x18\x01", -EBADMSG, "another kind"),
		ROW("\x1a\x00", -EBADMSG, "root"),
		ROW("\x1a\x00\x1a\x00", -EOPNOTSUPP, "2 relations"),
		ROW("\x1a\x02\x12\x00", -EBADMSG, "root"),
		ROW("\x1a\x04\x12\x02\x0a\x00", -EBADMSG, "relation"),
		ROW("\x1a\x04\x12\x00\x12\x00", -EBADMSG, "twice"),
		ROW("\x1a\x04\x0a\x00\x12\x00", -EBADMSG, "twice"),
		ROW("\x1a\x06\x12\x04\x0a\x02\x42\x00", -EOPNOTSUPP, "SetRel"),
		ROW("\x1a\x06\x12\x04\x0a\x02\x62\x00", -EOPNOTSUPP, "CrossRel"),
		ROW("\x1a\x07\x12\x05\x0a\x03\xba\x01\x00", -EOPNOTSUPP, "TopNRel"),
		ROW("\x32\x06\x08\xff\xff\xff\xff\x1f", -EBADMSG, "number"),
		ROW("\x32\x04\x22\x02"
		    "a\0",
		    -EBADMSG, "zero byte"),
		ROW("\x42\x02\x08\x01"
		    "\x12\x04\x1a\x02\x20\x01",
		    -EBADMSG, "no name"),
		ROW("\x12\x05\x1a\x03\x1a\x01"
		    "f",
		    -EBADMSG, "there is none"),
		ROW("\x42\x00\x12\x05\x1a\x03\x1a\x01"
		    "f\x12\x05\x1a\x03\x1a\x01"
		    "f",
		    -EBADMSG, "twice"),
		ROW("\xfa\x01\x00", -EOPNOTSUPP, "field 31"),
#undef ROW
	};

	for (uint32_t i = 0; i < LEN(rows); i++) {
		struct dsmx_plan *plan = NULL;
		struct dsmx_error err = { 0 };
		int rc = dsmx_plan_decode(rows[i].bytes, rows[i].len, &plan, &err);

		if (rc != rows[i].want || strstr(err.message, rows[i].why) == NULL)
			printf("# row %u: %s\n", i, err.message);
		CHECK_EQ(rc, rows[i].want);
		CHECK(strstr(err.message, rows[i].why) != NULL);
		CHECK(plan == NULL);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
