/* SPDX-License-Identifier: MIT */
/*
 * Dynamic filters: what a join knows of its build keys drops probe rows in the scan or producer they come from, and
 * never one that has a match.
 */
#include "chan/tx.h"
#include "engine.h"
#include "exchange/dynamic_filter.h"
#include "exec/key_filter.h"

/* --- one filter by itself ---------------------------------------------------------------------------------------- */

/* Is there a row of @build with the keys of row @row of @probe? */
static bool has_match(const struct table *build, const struct table *probe, uint32_t row)
{
	for (uint32_t b = 0; b < build->rows; b++) {
		bool match = true;

		for (uint32_t k = 0; match && k < build->schema.field_count; k++) {
			const struct value *x = table_at(build, b, k), *y = table_at(probe, row, k);

			match = !x->null && !y->null &&
			        value_compare(build->schema.fields[k].type, x, y) == 0;
		}
		if (match)
			return true;
	}
	return false;
}

/* Random keys of random types; with or without words. Returns how many of the rows without a match passed. */
static uint32_t try_filter(bool *ok, uint32_t key_count, size_t bytes_max, uint64_t chance)
{
	static const uint32_t columns[] = { 0, 1, 2 };
	struct dx_filter_hashes hashes = { 0 };
	struct dsmx_type key_types[3];
	struct dsmx_field fields[3];
	struct table sides[2];
	struct rows_batch made;
	struct dx_key_filter filter;
	uint32_t rows[512], at = 0, kept, false_ones = 0;

	for (uint32_t k = 0; k < key_count; k++) {
		key_types[k] = every_type[rows_below(&chance, DX_ARRAY_LEN(every_type))];
		fields[k] = (struct dsmx_field){ "key", key_types[k], true };
	}
	for (int s = 0; s < 2; s++) {
		sides[s] = table_new(fields, key_count);
		while (sides[s].rows < (s == 0 ? 40 : 400))
			(void)table_add_random(&sides[s], 250, 7, &chance);
	}
	if (dx_key_filter_init(&filter, key_types, columns, key_count, 40, bytes_max) < 0)
		abort();
	while (at < sides[0].rows) {
		at += rows_batch_make(&made, &sides[0], at, 17, &chance);
		if (dx_key_filter_add(&filter, &sides[0].schema, columns, &made.batch, &hashes) < 0)
			abort();
		rows_batch_free(&made);
	}
	for (at = 0; at < sides[1].rows; at += made.batch.selected) {
		uint32_t next = 0;

		(void)rows_batch_make(&made, &sides[1], at, 173, &chance);
		kept = dx_key_filter_keep(&filter, &sides[1].schema, &made.batch, rows, &hashes);
		for (uint32_t i = 0; i < made.batch.selected; i++) {
			uint32_t row = made.batch.selection != NULL ? made.batch.selection[i] : i;
			bool stays = next < kept && rows[next] == row;
			bool match = has_match(&sides[0], &sides[1], at + i);

			next += stays;
			*ok = *ok && (stays || !match);
			false_ones += stays && !match;
		}
		*ok = *ok && next == kept;
		rows_batch_free(&made);
	}
	dx_filter_hashes_fini(&hashes);
	dx_key_filter_fini(&filter);
	table_free(&sides[0]);
	table_free(&sides[1]);
	return false_ones;
}

TEST(filter_keeps,
     "no row that has a match is dropped: any types, one to three keys, nulls, NaN, -0")
{
	for (uint64_t seed = 1; seed < 400 && *ok; seed++) {
		(void)try_filter(ok, 1 + (uint32_t)seed % 3, seed % 4 == 0 ? 0 : 4096, seed);
		if (!*ok)
			printf("# seed %llu\n", (unsigned long long)seed);
	}
}

/* Of @probes numbers that are not among 0, 2, .. those that pass, in 1/10000. */
static uint32_t pass_rate(uint32_t keys, size_t bytes_max, uint32_t probes)
{
	static const struct dsmx_field field = { "n", { DSMX_INT64, 0, 0, 0 }, false };
	static const struct dsmx_schema schema = { 1, &field };
	const uint32_t column = 0;
	struct dx_filter_hashes hashes = { 0 };
	struct dx_key_filter filter;
	int64_t *numbers = calloc(keys + probes, sizeof(*numbers));
	uint32_t *rows = calloc(probes, sizeof(*rows)), kept;
	struct dsmx_column c = { .values = numbers };
	struct dsmx_batch batch = { .column_count = 1, .columns = &c };

	for (uint32_t i = 0; i < keys; i++)
		numbers[i] = 2 * (int64_t)i;
	batch.length = batch.selected = keys;
	if (dx_key_filter_init(&filter, &field.type, &column, 1, keys, bytes_max) < 0 ||
	    dx_key_filter_add(&filter, &schema, &column, &batch, &hashes) < 0)
		abort();
	for (uint32_t i = 0; i < probes; i++)
		numbers[i] = 2 * (int64_t)i + 1;
	batch.length = batch.selected = probes;
	kept = dx_key_filter_keep(&filter, &schema, &batch, rows, &hashes);
	dx_filter_hashes_fini(&hashes);
	dx_key_filter_fini(&filter);
	free(numbers);
	free(rows);
	return (uint32_t)((uint64_t)kept * 10000 / probes);
}

TEST(filter_rate, "few rows without a match pass: 1 of 100 with room, 1 of 5 with the least")
{
	uint32_t roomy = pass_rate(100000, 1 << 20, 200000);
	uint32_t tight = pass_rate(100000, 100000 * DX_FILTER_BITS_MIN / 8 + 64, 200000);

	printf("# %u and %u of 10000 pass\n", roomy, tight);
	CHECK(roomy < 100);
	CHECK(tight < 2000);
	CHECK_EQ(pass_rate(1000, 64, 1000), 9990); /* no room: only the range is known, 0 to 1998 */
}

/* --- bytes of another process ------------------------------------------------------------------------------------ */

static const struct dsmx_field byte_fields[] = {
	{ "a", { DSMX_INT64, 0, 0, 0 }, false },
	{ "b", { DSMX_UTF8, 0, 0, 0 }, false },
};
static const struct dsmx_schema byte_schema = { 2, byte_fields };

/* A set of one filter as a consumer would write it. */
struct bytes {
	struct dsmx_filters_abi head;
	struct dsmx_filter_abi filter;
	uint64_t words[8];
};

static struct bytes good_bytes(void)
{
	return (struct bytes){
		.head = { .magic = DSMX_FILTERS_MAGIC,
		          .filters = 1,
		          .bytes = sizeof(struct bytes) },
		.filter = { .key_count = 1,
		            .columns = { 0 },
		            .ranged = 1,
		            .words = offsetof(struct bytes, words),
		            .word_count = 8,
		            .least = { 1 },
		            .greatest = { 9 } },
	};
}

static int copy_bytes(const struct bytes *bytes, uint64_t offset, uint64_t len)
{
	struct dx_filter_set *set = NULL;
	char *data = aligned_alloc(64, 4096);
	int r;

	memset(data, 0x5a, 4096);
	memcpy(data + 128, bytes, sizeof(*bytes));
	r = dx_filters_copy(&byte_schema, data, 4096, offset, len, &set);
	dx_filters_free(set);
	free(data);
	return r;
}

/* All of them proper, but more than there may be. */
static int copy_many(uint32_t filters)
{
	struct {
		struct dsmx_filters_abi head;
		struct dsmx_filter_abi filters[DSMX_FILTERS_MAX + 1];
	} b = { .head = { .magic = DSMX_FILTERS_MAGIC, .filters = filters, .bytes = sizeof(b) } };
	struct dx_filter_set *set = NULL;
	char *data = aligned_alloc(64, 4096);
	int r;

	for (uint32_t i = 0; i <= DSMX_FILTERS_MAX; i++)
		b.filters[i] = (struct dsmx_filter_abi){ .key_count = 1 };
	memcpy(data, &b, sizeof(b));
	r = dx_filters_copy(&byte_schema, data, 4096, 0, sizeof(b), &set);
	dx_filters_free(set);
	free(data);
	return r;
}

TEST(filter_hostile, "a filter from outside is copied and checked: each wrong number is -EBADMSG")
{
	struct bytes b = good_bytes();
	const uint64_t len = sizeof(b);

	CHECK_EQ(copy_bytes(&b, 128, len), 0);
	CHECK_EQ(copy_many(DSMX_FILTERS_MAX), 0);
	CHECK_EQ(copy_many(DSMX_FILTERS_MAX + 1), -EBADMSG);
	CHECK_EQ(copy_bytes(&b, 129, len), -EBADMSG);
	CHECK_EQ(copy_bytes(&b, 4096, len), -EBADMSG);
	CHECK_EQ(copy_bytes(&b, 8192, len), -EBADMSG);
	CHECK_EQ(copy_bytes(&b, UINT64_MAX - 63, len), -EBADMSG);
	CHECK_EQ(copy_bytes(&b, 128, UINT64_MAX), -EBADMSG);
	CHECK_EQ(copy_bytes(&b, 128, 63), -EBADMSG);
	CHECK_EQ(copy_bytes(&b, 128, len - 64), -EBADMSG);
	CHECK_EQ(copy_bytes(&b, 192, len), -EBADMSG); /* another magic */
#define WRONG(member, value)                                                                       \
	do {                                                                                       \
		b = good_bytes();                                                                  \
		b.member = (value);                                                                \
		CHECK_EQ(copy_bytes(&b, 128, len), -EBADMSG);                                      \
	} while (0)
	WRONG(head.filters, 0);
	WRONG(head.filters, 2);
	WRONG(head.filters, UINT32_MAX);
	WRONG(head.bytes, 64);
	WRONG(head.magic, 0);
	WRONG(filter.key_count, 0);
	WRONG(filter.key_count, 5);
	WRONG(filter.columns[0], 2);
	WRONG(filter.columns[0], 1); /* a text has no range */
	WRONG(filter.ranged, 2);
	WRONG(filter.words, 32);
	WRONG(filter.words, 1U << 31);
	WRONG(filter.word_count, 9);
	WRONG(filter.word_count, UINT32_MAX);
	b = good_bytes(); /* no key, and nothing else wrong */
	b.filter.key_count = b.filter.ranged = 0;
	CHECK_EQ(copy_bytes(&b, 128, len), -EBADMSG);
	b = good_bytes(); /* a second filter that begins well, and does not end in here */
	b.head.filters = 2;
	memcpy(b.words, &(struct dsmx_filter_abi){ .key_count = 1 }, sizeof(b.words));
	CHECK_EQ(copy_bytes(&b, 128, len), -EBADMSG);
	for (uint64_t chance = 1; chance < 20000;
	     chance++) { /* whatever it says, nothing is touched outside */
		uint64_t state = chance;

		b = good_bytes();
		for (int i = 0; i < 3; i++)
			((unsigned char *)&b)[rows_below(&state, sizeof(b))] =
				(unsigned char)rows_random(&state);
		(void)copy_bytes(&b, 128, len);
	}
}

/* --- through an exchange ----------------------------------------------------------------------------------------- */

static struct dsmx_field pair_fields[] = {
	{ "key", { DSMX_INT64, 0, 0, 0 }, true },
	{ "seq", { DSMX_INT64, 0, 0, 0 }, false },
};

/* @rows rows of @type, keys of @domain values; in order where @sorted. */
static void make_file(const char *name, struct dsmx_type type, uint32_t rows, uint32_t domain,
                      bool sorted, uint64_t chance)
{
	struct table table;

	pair_fields[0].type = type;
	table = table_new(pair_fields, 2);
	while (table.rows < rows) {
		struct value *row = table_add_random(&table, domain, sorted ? 0 : 9, &chance);

		row[1].null = false;
		row[1].i = table.rows;
		if (sorted)
			row[0].i = table.rows;
	}
	file_write(name, &table, 500, NULL, &chance);
	table_free(&table);
}

static struct dsmx_plan *join_plan(enum dsmx_join_kind kind, bool broadcast, bool on,
                                   uint32_t tasks)
{
	const uint32_t key = 0;
	struct dsmx_plan *plan = plan_new();
	struct dsmx_joinscan_side left = { rel_file(plan, "probe"), &key, 1, false };
	struct dsmx_joinscan_side right = { rel_file(plan, "build"), &key, 1, broadcast };
	struct dsmx_rel *rel = dsmx_rel_joinscan(plan, kind, &left, &right);

	if (!on)
		rel = dsmx_rel_join_filter(plan, rel, false);
	if (plan_end(plan, rel_gather(plan, rel), tasks) == 0)
		return plan;
	dsmx_plan_free(plan);
	return NULL;
}

/* Returns the rows that the filters dropped; with and without them the rows are the same. */
static uint64_t compare(bool *ok, struct dsmx_session *session, enum dsmx_join_kind kind,
                        bool broadcast, uint32_t tasks, struct dsmx_query_stats *ret_stats)
{
	struct table seen[2] = { { .rows = 0 }, { .rows = 0 } };
	struct dsmx_plan *plans[2]; /* they have the tables' schemas */
	struct outcome o[2];

	for (int on = 0; on < 2; on++) {
		plans[on] = join_plan(kind, broadcast, on == 1, tasks);
		if (plans[on] == NULL)
			abort();
		o[on] = run_plan(session, plans[on], &seen[on]);
		if (o[on].code != 0)
			printf("# %s\n", o[on].error.message);
		*ok = *ok && o[on].code == 0;
		table_sort(&seen[on]);
		if (on == 1)
			*ok = *ok && table_equal(&seen[1], &seen[0]);
	}
	*ok = *ok && o[0].stats.filter_tested == 0 && o[0].stats.filter_dropped == 0;
	for (int on = 0; on < 2; on++) {
		table_free(&seen[on]);
		dsmx_plan_free(plans[on]);
	}
	if (ret_stats != NULL)
		*ret_stats = o[1].stats;
	return o[1].stats.filter_dropped;
}

static const uint32_t worker_counts[] = { 0, 1, 2, 8 };

TEST(filter_types, "keys of every type: with filters the same rows come, and rows were dropped")
{
	for (size_t w = 0; w < DX_ARRAY_LEN(worker_counts); w++) {
		struct dsmx_session_options options = engine_options(worker_counts[w]);
		struct dsmx_session *session = open_engine(&options);

		CHECK(session != NULL);
		for (size_t t = 0; t < DX_ARRAY_LEN(every_type); t++) {
			uint64_t dropped;

			make_file("probe", every_type[t], 4000, 250, false, t);
			make_file("build", every_type[t], 12, 250, false, t + 100);
			dropped =
				compare(ok, session, t % 2 == 0 ? DSMX_JOIN_INNER : DSMX_JOIN_SEMI,
			                t % 3 == 0, 3, NULL);
			if (!*ok || (every_type[t].id != DSMX_BOOL && dropped == 0))
				printf("# %u workers, type %zu, %llu dropped\n", worker_counts[w],
				       t, (unsigned long long)dropped);
			CHECK(*ok);
			CHECK(every_type[t].id == DSMX_BOOL || dropped > 0 ||
			      getenv("DSMX_TINY") != NULL);
		}
		CHECK_EQ(count_late_parks(session), 0);
		CHECK_EQ(count_naks(session), 0);
		dsmx_session_close(session);
	}
}

TEST(filter_kinds, "inner and semi joins filter, left and anti joins do not")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);

	CHECK(session != NULL);
	make_file("probe", every_type[4], 6000, 250, false, 1);
	make_file("build", every_type[4], 9, 250, false, 2);
	for (int kind = DSMX_JOIN_INNER; kind <= DSMX_JOIN_ANTI; kind++) {
		bool legal = kind == DSMX_JOIN_INNER || kind == DSMX_JOIN_SEMI;

		for (int broadcast = 0; broadcast < 2; broadcast++) {
			uint64_t dropped = compare(ok, session, (enum dsmx_join_kind)kind,
			                           broadcast == 1, 2, NULL);

			CHECK(*ok);
			CHECK(legal ? dropped > 0 || getenv("DSMX_TINY") != NULL : dropped == 0);
		}
	}
	dsmx_session_close(session);
}

TEST(filter_saves,
     "rows that are dropped are not sent, and EXPLAIN ANALYZE counts them per producer")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct dsmx_plan *plan;
	struct dsmx_query *query;
	struct dsmx_error err;
	struct dsmx_query_stats stats[2] = { 0 };
	uint64_t count;
	char *text;

	CHECK(session != NULL);
	make_file("probe", every_type[4], 40000, 250, true, 1);
	make_file("build", every_type[4], 100, 250, true, 1); /* keys 1 to 100 of 40000 */
	for (int on = 0; on < 2; on++) {
		plan = join_plan(DSMX_JOIN_INNER, false, on == 1, 2);
		CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
		CHECK_EQ(read_all(query, NULL, &count, &err), 0);
		CHECK_EQ(count, 100);
		dsmx_query_stats(query, &stats[on]);
		CHECK_EQ(dsmx_query_explain(query, true, &text), 0);
		CHECK_EQ(strstr(text, "(filters #0)") != NULL, on == 1);
		CHECK_EQ(strstr(text, " filtered=") != NULL,
		         on == 1 && stats[on].filter_tested > 0);
		free(text);
		dsmx_query_close(query);
		dsmx_plan_free(plan);
	}
	CHECK(stats[0].ring_rows + stats[0].local_rows >= 40000);
	/* A task begins with what its first consumer said; what it makes for the other before that one asks is sent. */
	printf("# %llu of 40000 rows dropped\n", (unsigned long long)stats[1].filter_dropped);
	/* (The least memory has no room to lend for a filter.) */
	CHECK(stats[1].filter_dropped >= 19000 || getenv("DSMX_TINY") != NULL);
	CHECK(stats[1].ring_rows + stats[1].local_rows <= 40000 - stats[1].filter_dropped + 300);
	dsmx_session_close(session);
}

TEST(filter_rests, "a filter that drops nothing is hardly asked")
{
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct dsmx_query_stats stats;

	CHECK(session != NULL);
	make_file("probe", every_type[4], 300000, 250, true, 1);
	make_file("build", every_type[4], 300000, 250, true, 1);
	for (int broadcast = 0; broadcast < 2; broadcast++) {
		CHECK_EQ(compare(ok, session, DSMX_JOIN_SEMI, broadcast == 1, 2, &stats), 0);
		CHECK(*ok);
		CHECK(stats.filter_tested < 100000);
	}
	dsmx_session_close(session);
}

/* The probe keys of the upper join come from the build side of the lower one; of two keys, one is from there. */
TEST(filter_chain,
     "a filter goes through joins, projects and filters to the exchange that the key is from")
{
	const uint32_t key = 0, keys[] = { 2, 1 }, others[] = { 0, 1 };
	struct dsmx_session_options options = engine_options(2);
	struct dsmx_session *session = open_engine(&options);
	struct table seen[2] = { { .rows = 0 }, { .rows = 0 } };
	struct dsmx_plan *plans[2]; /* they have the tables' schemas */
	struct outcome o[2];

	CHECK(session != NULL);
	make_file("probe", every_type[4], 5000, 250, true, 1);
	make_file("build", every_type[4], 3000, 250, true, 2);
	make_file("small", every_type[4], 40, 250, true, 3);
	for (int on = 0; on < 2; on++) {
		struct dsmx_plan *plan = plans[on] = plan_new();
		struct dsmx_joinscan_side left = { rel_file(plan, "probe"), &key, 1, false };
		struct dsmx_joinscan_side right = { rel_file(plan, "build"), &key, 1, false };
		struct dsmx_rel *rel = dsmx_rel_joinscan(plan, DSMX_JOIN_INNER, &left, &right);
		struct dsmx_rel *small = rel_file(plan, "small");
		char *text;

		small = dsmx_rel_exchange(plan, DSMX_EXCHANGE_BROADCAST, small, NULL, 0, 0, NULL);
		rel = dsmx_rel_join(plan, DSMX_JOIN_SEMI, rel, small, keys, others, 2, NULL);
		CHECK_EQ(plan_end(plan, rel_gather(plan, rel), 3), 0);
		CHECK_EQ(dsmx_plan_filters(plan, on == 1), 0);
		CHECK_EQ(dsmx_plan_explain(plan, &text), 0);
		/* #0 probe, #1 build, #2 small */
		CHECK_EQ(strstr(text, "HashJoin semi: key = key and seq = seq (filters #1)") !=
		                 NULL,
		         on == 1);
		CHECK_EQ(strstr(text, "JoinScan inner: key = key (filters #0)") != NULL, on == 1);
		free(text);
		o[on] = run_plan(session, plan, &seen[on]);
		CHECK_EQ(o[on].code, 0);
		table_sort(&seen[on]);
	}
	CHECK_EQ(seen[1].rows, 40);
	CHECK(table_equal(&seen[1], &seen[0]));
	CHECK(o[1].stats.filter_dropped > 2000 || getenv("DSMX_TINY") != NULL);
	for (int on = 0; on < 2; on++) {
		table_free(&seen[on]);
		dsmx_plan_free(plans[on]);
	}
	dsmx_session_close(session);
}

TEST(filter_plan, "the switch is in the plan's bytes, and left out where it is usual")
{
	for (int on = 0; on < 2; on++) {
		struct dsmx_plan *plan, *again;
		void *bytes, *more;
		size_t len, more_len;
		char *text;

		make_file("probe", every_type[4], 10, 250, true, 1);
		make_file("build", every_type[4], 10, 250, true, 1);
		plan = join_plan(DSMX_JOIN_INNER, false, on == 1, 2);
		CHECK(plan != NULL);
		CHECK_EQ(dsmx_plan_encode(plan, &bytes, &len, NULL), 0);
		CHECK_EQ(memmem(bytes, len, "dsmx/unfiltered", 15) != NULL, on == 0);
		CHECK_EQ(dsmx_plan_decode(bytes, len, &again, NULL), 0);
		CHECK_EQ(dsmx_plan_encode(again, &more, &more_len, NULL), 0);
		CHECK(len == more_len && memcmp(bytes, more, len) == 0);
		CHECK_EQ(dsmx_plan_explain(again, &text), 0);
		CHECK_EQ(strstr(text, "(filters #0)") != NULL, on == 1);
		free(text);
		free(bytes);
		free(more);
		dsmx_plan_free(plan);
		dsmx_plan_free(again);
	}
}

/* Frames come back when the process looks. */
static bool memory_returns(struct dsmx_session *session)
{
	uint64_t until_ns = dx_now_ns() + DX_NS_PER_S;

	while (dx_slab_used(dx_mesh_slabs(session->mesh)) > 0 && dx_now_ns() < until_ns)
		(void)dx_reactor_turn(session->reactor, 0);
	return dx_slab_used(dx_mesh_slabs(session->mesh)) == 0;
}

TEST(filter_memory, "what was lent for filters is back when the query is closed")
{
	struct dsmx_session_options options = engine_options(0);
	struct dsmx_session *session = open_engine(&options);

	CHECK(session != NULL);
	make_file("probe", every_type[4], 20000, 250, true, 1);
	make_file("build", every_type[4], 5000, 250, true, 1);
	for (int i = 0; i < 60; i++) {
		struct dsmx_plan *plan = join_plan(DSMX_JOIN_INNER, false, true, 4);
		struct dsmx_query *query;
		struct dsmx_batch batch;
		struct dsmx_error err;
		uint64_t count;

		CHECK_EQ(dsmx_query_start(session, plan, NULL, &query, &err), 0);
		if (i % 3 == 0) /* closed in the middle, before anything was asked, at the end */
			CHECK_EQ(dsmx_query_next_batch(query, 30000, &batch, &err), 1);
		if (i % 3 == 2)
			CHECK_EQ(read_all(query, NULL, &count, &err), 0);
		dsmx_query_close(query);
		dsmx_plan_free(plan);
		CHECK(memory_returns(session));
	}
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
