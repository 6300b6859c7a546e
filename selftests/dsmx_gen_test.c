/* SPDX-License-Identifier: MIT */
/*
 * dsmx gen tpch, called in process: the rules of the specification, and what eight queries select.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/ipc.h"
#include "dsmx/commands.h"
#include "harness.h"

static char directory[] = "/tmp/dsmx-gen-XXXXXX";

static int run(int argc, const char *const *arguments)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC), status;
	char *argv[12] = { (char[]){ "gen" } };

	for (int i = 0; i < argc; i++)
		argv[i + 1] = strdup(arguments[i]);
	fflush(stderr);
	dup2(null, STDERR_FILENO);
	status = gen_main(argc + 1, argv);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	for (int i = 0; i < argc; i++)
		free(argv[i + 1]);
	return status;
}

static const char *const tables[8] = { "region", "nation",   "supplier", "customer",
	                               "part",   "partsupp", "orders",   "lineitem" };

static const char *path_of(const char *dir, const char *table, char path[128])
{
	(void)snprintf(path, 128, "%s/%s/%s.arrow", directory, dir, table);
	return path;
}

/* The tables at @scale in @dir under the test's directory; gone with forget(). */
static int make(const char *dir, const char *scale, const char *seed)
{
	char path[64];
	const char *const arguments[] = { "tpch", "-s", scale, "-o", path, "--seed", seed };

	(void)snprintf(path, sizeof(path), "%s/%s", directory, dir);
	return run(seed != NULL ? 7 : 5, arguments);
}

static void forget(const char *dir)
{
	char path[128];

	for (int i = 0; i < 8; i++)
		unlink(path_of(dir, tables[i], path));
	(void)snprintf(path, sizeof(path), "%s/%s", directory, dir);
	rmdir(path);
}

/* --- columns in memory ------------------------------------------------------------------------------------- */

/* One column of a table: numbers, or, of text, values that live as long as the file. */
struct values {
	struct dsmx_ipc_file *file;
	uint64_t count;
	int64_t *numbers;
	struct text {
		const char *bytes;
		size_t len;
	} *texts;
};

static bool values_load(struct values *values, const char *dir, const char *table, const char *name)
{
	const struct dsmx_schema *schema;
	uint64_t at = 0;
	uint32_t number = 0;
	char path[128];

	*values = (struct values){ 0 };
	if (dsmx_ipc_open(path_of(dir, table, path), &values->file, NULL) < 0)
		return false;
	schema = dsmx_ipc_schema(values->file);
	while (number + 1 < schema->field_count && strcmp(schema->fields[number].name, name) != 0)
		number++;
	values->count = dsmx_ipc_rows(values->file);
	values->numbers = calloc(values->count + 1, sizeof(*values->numbers));
	values->texts = calloc(values->count + 1, sizeof(*values->texts));
	for (uint32_t batch = 0; batch < dsmx_ipc_batch_count(values->file); batch++) {
		struct dsmx_type type = schema->fields[number].type;
		struct dsmx_column column;
		bool wide;

		if (dx_ipc_column(values->file, batch, number, &column, &wide, NULL) < 0)
			return false;
		for (uint32_t i = 0; i < dsmx_ipc_batch_rows(values->file, batch); i++, at++) {
			if (dsmx_type_is_text(type))
				values->texts[at].bytes =
					dsmx_column_text(type, &column, i, &values->texts[at].len);
			else if (wide)
				values->numbers[at] = ((const int64_t *)column.values)[2 * i];
			else if (dsmx_type_width(type) == 8)
				values->numbers[at] = ((const int64_t *)column.values)[i];
			else
				values->numbers[at] = ((const int32_t *)column.values)[i];
		}
	}
	return at == values->count;
}

static void values_free(struct values *values)
{
	dsmx_ipc_close(values->file);
	free(values->numbers);
	free(values->texts);
}

static bool is(const struct values *values, uint64_t row, const char *text)
{
	return values->texts[row].len == strlen(text) &&
	       memcmp(values->texts[row].bytes, text, values->texts[row].len) == 0;
}

static bool begins(const struct values *values, uint64_t row, const char *text)
{
	return values->texts[row].len >= strlen(text) &&
	       memcmp(values->texts[row].bytes, text, strlen(text)) == 0;
}

/* --- the tables of the tests ------------------------------------------------------------------------------- */

enum column {
	L_ORDER,
	L_PART,
	L_SUPP,
	L_NUMBER,
	L_QUANTITY,
	L_PRICE,
	L_DISCOUNT,
	L_TAX,
	L_RETURN,
	L_STATUS,
	L_SHIP,
	L_COMMIT,
	L_RECEIPT,
	L_INSTRUCT,
	L_MODE,
	L_COMMENT,
	O_KEY,
	O_CUST,
	O_STATUS,
	O_TOTAL,
	O_DATE,
	O_PRIORITY,
	C_KEY,
	C_NATION,
	C_SEGMENT,
	C_PHONE,
	S_KEY,
	S_NATION,
	S_COMMENT,
	P_KEY,
	P_NAME,
	P_MFGR,
	P_BRAND,
	P_TYPE,
	P_SIZE,
	P_CONTAINER,
	P_PRICE,
	PS_PART,
	PS_SUPP,
	N_REGION,
	COLUMN_COUNT
};

static const struct {
	const char *table, *name;
} columns[COLUMN_COUNT] = {
	[L_ORDER] = { "lineitem", "l_orderkey" },
	[L_PART] = { "lineitem", "l_partkey" },
	[L_SUPP] = { "lineitem", "l_suppkey" },
	[L_NUMBER] = { "lineitem", "l_linenumber" },
	[L_QUANTITY] = { "lineitem", "l_quantity" },
	[L_PRICE] = { "lineitem", "l_extendedprice" },
	[L_DISCOUNT] = { "lineitem", "l_discount" },
	[L_TAX] = { "lineitem", "l_tax" },
	[L_RETURN] = { "lineitem", "l_returnflag" },
	[L_STATUS] = { "lineitem", "l_linestatus" },
	[L_SHIP] = { "lineitem", "l_shipdate" },
	[L_COMMIT] = { "lineitem", "l_commitdate" },
	[L_RECEIPT] = { "lineitem", "l_receiptdate" },
	[L_INSTRUCT] = { "lineitem", "l_shipinstruct" },
	[L_MODE] = { "lineitem", "l_shipmode" },
	[L_COMMENT] = { "lineitem", "l_comment" },
	[O_KEY] = { "orders", "o_orderkey" },
	[O_CUST] = { "orders", "o_custkey" },
	[O_STATUS] = { "orders", "o_orderstatus" },
	[O_TOTAL] = { "orders", "o_totalprice" },
	[O_DATE] = { "orders", "o_orderdate" },
	[O_PRIORITY] = { "orders", "o_orderpriority" },
	[C_KEY] = { "customer", "c_custkey" },
	[C_NATION] = { "customer", "c_nationkey" },
	[C_SEGMENT] = { "customer", "c_mktsegment" },
	[C_PHONE] = { "customer", "c_phone" },
	[S_KEY] = { "supplier", "s_suppkey" },
	[S_NATION] = { "supplier", "s_nationkey" },
	[S_COMMENT] = { "supplier", "s_comment" },
	[P_KEY] = { "part", "p_partkey" },
	[P_NAME] = { "part", "p_name" },
	[P_MFGR] = { "part", "p_mfgr" },
	[P_BRAND] = { "part", "p_brand" },
	[P_TYPE] = { "part", "p_type" },
	[P_SIZE] = { "part", "p_size" },
	[P_CONTAINER] = { "part", "p_container" },
	[P_PRICE] = { "part", "p_retailprice" },
	[PS_PART] = { "partsupp", "ps_partkey" },
	[PS_SUPP] = { "partsupp", "ps_suppkey" },
	[N_REGION] = { "nation", "n_regionkey" },
};

struct world {
	struct values v[COLUMN_COUNT];
	uint64_t *order_of; /* for each line its order's row */
};

static struct world *world_load(const char *dir)
{
	struct world *world = calloc(1, sizeof(*world));
	uint64_t order = 0;

	for (int i = 0; i < COLUMN_COUNT; i++) {
		if (!values_load(&world->v[i], dir, columns[i].table, columns[i].name))
			abort();
	}
	world->order_of = calloc(world->v[L_ORDER].count + 1, sizeof(*world->order_of));
	for (uint64_t i = 0; i < world->v[L_ORDER].count; i++) {
		while (world->v[O_KEY].numbers[order] != world->v[L_ORDER].numbers[i])
			order++;
		world->order_of[i] = order;
	}
	return world;
}

static void world_free(struct world *world)
{
	for (int i = 0; i < COLUMN_COUNT; i++)
		values_free(&world->v[i]);
	free(world->order_of);
	free(world);
}

/* A number of a column, in the shape of the rules below. */
#define NUM(column, row) (world->v[column].numbers[row])

/* --- tests -------------------------------------------------------------------------------------------------- */

TEST(row_counts,
     "row counts are the official ones at scale 0.01 and 0.1, and in proportion elsewhere")
{
	static const struct {
		const char *scale;
		uint64_t rows[8];
	} rows[] = {
		{ "0.001", { 5, 25, 10, 150, 200, 800, 1500, 0 } },
		{ "0.01", { 5, 25, 100, 1500, 2000, 8000, 15000, 60175 } },
		{ "0.1", { 5, 25, 1000, 15000, 20000, 80000, 150000, 600572 } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_EQ(make("counts", rows[i].scale, NULL), 0);
		for (int t = 0; t < 8; t++) {
			struct dsmx_ipc_file *file;
			char path[128];

			CHECK_EQ(dsmx_ipc_open(path_of("counts", tables[t], path), &file, NULL), 0);
			if (rows[i].rows[t] > 0)
				CHECK_EQ(dsmx_ipc_rows(file), rows[i].rows[t]);
			dsmx_ipc_close(file);
		}
		forget("counts");
	}
}

static bool same_files(const char *a, const char *b)
{
	for (int i = 0; i < 8; i++) {
		char path_a[128], path_b[128];
		FILE *file_a = fopen(path_of(a, tables[i], path_a), "re");
		FILE *file_b = fopen(path_of(b, tables[i], path_b), "re");
		int c = 0, d = 0;

		while (file_a != NULL && file_b != NULL && c == d && c != EOF) {
			c = fgetc(file_a);
			d = fgetc(file_b);
		}
		if (file_a != NULL)
			fclose(file_a);
		if (file_b != NULL)
			fclose(file_b);
		if (file_a == NULL || file_b == NULL || c != d)
			return false;
	}
	return true;
}

TEST(deterministic, "the same scale and seed give the same bytes, another seed gives others")
{
	CHECK_EQ(make("a", "0.002", "5"), 0);
	CHECK_EQ(make("b", "0.002", "5"), 0);
	CHECK_EQ(same_files("a", "b"), true);
	CHECK_EQ(make("b", "0.002", "6"), 0);
	CHECK_EQ(same_files("a", "b"), false);
	forget("a");
	forget("b");
}

TEST(orders_and_lines, "keys, dates, prices, flags and totals follow the specification")
{
	struct world *world;
	int64_t total = 0, lines = 0, open = 0;

	CHECK_EQ(make("rules", "0.01", NULL), 0);
	world = world_load("rules");
	for (uint64_t i = 0; i < world->v[O_KEY].count; i++) {
		CHECK_EQ(NUM(O_KEY, i), (int64_t)((i + 1) / 8 * 32 + (i + 1) % 8));
		CHECK_EQ(NUM(O_CUST, i) % 3 != 0 && NUM(O_CUST, i) >= 1 && NUM(O_CUST, i) <= 1500,
		         true);
		CHECK_EQ(NUM(O_DATE, i) >= 8035 && NUM(O_DATE, i) <= 10591 - 151, true);
	}
	for (uint64_t i = 0; i < world->v[L_ORDER].count; i++) {
		uint64_t order = world->order_of[i];
		int64_t date = NUM(O_DATE, order), part = NUM(L_PART, i), supplier = NUM(L_SUPP, i);
		bool last = i + 1 == world->v[L_ORDER].count || world->order_of[i + 1] != order;
		bool returned = NUM(L_RECEIPT, i) <= 9298;
		int64_t price = 90000 + part / 10 % 20001 + 100 * (part % 1000);
		bool known = false;

		lines++;
		CHECK_EQ(NUM(L_NUMBER, i), lines);
		CHECK_EQ(lines <= 7, true);
		for (int j = 0; j < 4; j++)
			known |= supplier == (part + j * (100 / 4 + (part - 1) / 100)) % 100 + 1;
		CHECK_EQ(known, true);
		CHECK_EQ(NUM(P_PRICE, part - 1), price);
		CHECK_EQ(NUM(L_QUANTITY, i) % 100 == 0 && NUM(L_QUANTITY, i) >= 100 &&
		                 NUM(L_QUANTITY, i) <= 5000,
		         true);
		CHECK_EQ(NUM(L_PRICE, i), NUM(L_QUANTITY, i) / 100 * price);
		CHECK_EQ(NUM(L_DISCOUNT, i) >= 0 && NUM(L_DISCOUNT, i) <= 10, true);
		CHECK_EQ(NUM(L_TAX, i) >= 0 && NUM(L_TAX, i) <= 8, true);
		CHECK_EQ(NUM(L_SHIP, i) - date >= 1 && NUM(L_SHIP, i) - date <= 121, true);
		CHECK_EQ(NUM(L_COMMIT, i) - date >= 30 && NUM(L_COMMIT, i) - date <= 90, true);
		CHECK_EQ(NUM(L_RECEIPT, i) - NUM(L_SHIP, i) >= 1 &&
		                 NUM(L_RECEIPT, i) - NUM(L_SHIP, i) <= 30,
		         true);
		CHECK_EQ(is(&world->v[L_RETURN], i, "N"), !returned);
		CHECK_EQ(is(&world->v[L_STATUS], i, "O"), NUM(L_SHIP, i) > 9298);
		CHECK_EQ(world->v[L_COMMENT].texts[i].len >= 10 &&
		                 world->v[L_COMMENT].texts[i].len <= 43,
		         true);
		total += NUM(L_PRICE, i) * (100 - NUM(L_DISCOUNT, i)) / 100 *
		         (100 + NUM(L_TAX, i)) / 100;
		open += NUM(L_SHIP, i) > 9298;
		if (!last)
			continue;
		CHECK_EQ(NUM(O_TOTAL, order), total);
		CHECK_EQ(is(&world->v[O_STATUS], order,
		            open == 0       ? "F"
		            : open == lines ? "O"
		                            : "P"),
		         true);
		total = lines = open = 0;
	}
	world_free(world);
	forget("rules");
}

TEST(small_tables, "parts, suppliers and customers follow the specification")
{
	struct world *world;
	int complaints = 0;

	CHECK_EQ(make("small", "0.1", NULL), 0);
	world = world_load("small");
	for (uint64_t i = 0; i < world->v[P_KEY].count; i++) {
		const struct text *brand = &world->v[P_BRAND].texts[i],
				  *mfgr = &world->v[P_MFGR].texts[i];
		int blanks = 0;

		CHECK_EQ(NUM(P_KEY, i), i + 1);
		CHECK_EQ(NUM(P_SIZE, i) >= 1 && NUM(P_SIZE, i) <= 50, true);
		CHECK_EQ(brand->bytes[6], mfgr->bytes[13]); /* Brand#MN is made by Manufacturer#M */
		for (size_t j = 0; j < world->v[P_NAME].texts[i].len; j++)
			blanks += world->v[P_NAME].texts[i].bytes[j] == ' ';
		CHECK_EQ(blanks, 4);
	}
	for (uint64_t i = 0; i < world->v[PS_PART].count; i++) {
		int64_t part = (int64_t)i / 4 + 1;

		CHECK_EQ(NUM(PS_PART, i), part);
		CHECK_EQ(NUM(PS_SUPP, i),
		         (part + (int64_t)(i % 4) * (1000 / 4 + (part - 1) / 1000)) % 1000 + 1);
	}
	for (uint64_t i = 0; i < world->v[C_KEY].count; i++) {
		char code[4];

		(void)snprintf(code, sizeof(code), "%d-", (int)NUM(C_NATION, i) + 10);
		CHECK_EQ(NUM(C_KEY, i), i + 1);
		CHECK_EQ(begins(&world->v[C_PHONE], i, code) &&
		                 world->v[C_PHONE].texts[i].len == 15,
		         true);
	}
	for (uint64_t i = 0; i < world->v[S_KEY].count; i++) {
		const struct text *text = &world->v[S_COMMENT].texts[i];

		CHECK_EQ(NUM(S_KEY, i), i + 1);
		complaints += memmem(text->bytes, text->len, "Customer ", 9) != NULL &&
		              (memmem(text->bytes, text->len, "Complaints", 10) != NULL ||
		               memmem(text->bytes, text->len, "Recommends", 10) != NULL);
	}
	CHECK_EQ(complaints, 1);
	world_free(world);
	forget("small");
}

/* What the queries select: rows, groups, and the parts that their answers tell apart. */
enum count {
	Q1_ROWS,
	Q1_SHIPPED,
	Q3_ROWS,
	Q3_GROUPS,
	Q5_ROWS,
	Q6_ROWS,
	Q10_ROWS,
	Q10_GROUPS,
	Q12_MAIL_HIGH,
	Q12_MAIL_LOW,
	Q12_SHIP_HIGH,
	Q12_SHIP_LOW,
	Q14_ROWS,
	Q14_PROMO,
	Q19_ROWS,
	COUNTS
};

static bool q19_takes(const struct world *world, uint64_t line)
{
	static const struct {
		const char *brand, *containers[4];
		int64_t least;
		int64_t size;
	} rows[3] = {
		{ "Brand#12", { "SM CASE", "SM BOX", "SM PACK", "SM PKG" }, 1, 5 },
		{ "Brand#23", { "MED BAG", "MED BOX", "MED PKG", "MED PACK" }, 10, 10 },
		{ "Brand#34", { "LG CASE", "LG BOX", "LG PACK", "LG PKG" }, 20, 15 },
	};
	uint64_t part = (uint64_t)NUM(L_PART, line) - 1;
	int64_t quantity = NUM(L_QUANTITY, line) / 100;

	if (!is(&world->v[L_MODE], line, "AIR") ||
	    !is(&world->v[L_INSTRUCT], line, "DELIVER IN PERSON"))
		return false;
	for (int i = 0; i < 3; i++) {
		bool container = false;

		for (int j = 0; j < 4; j++)
			container |= is(&world->v[P_CONTAINER], part, rows[i].containers[j]);
		if (container && is(&world->v[P_BRAND], part, rows[i].brand) &&
		    quantity >= rows[i].least && quantity <= rows[i].least + 10 &&
		    NUM(P_SIZE, part) <= rows[i].size)
			return true;
	}
	return false;
}

static void count_line(const struct world *world, uint64_t i, int64_t counts[COUNTS],
                       uint8_t *order_seen, uint8_t *customer_seen)
{
	uint64_t order = world->order_of[i], customer = (uint64_t)NUM(O_CUST, order) - 1;
	int64_t date = NUM(O_DATE, order), ship = NUM(L_SHIP, i), receipt = NUM(L_RECEIPT, i);
	int64_t nation = NUM(S_NATION, NUM(L_SUPP, i) - 1);
	bool mail = is(&world->v[L_MODE], i, "MAIL"),
	     late = NUM(L_COMMIT, i) < receipt && ship < NUM(L_COMMIT, i);

	counts[Q1_ROWS] += ship <= 10471;
	counts[Q1_SHIPPED] += is(&world->v[L_RETURN], i, "N") && ship <= 9298;
	if (date < 9204 && ship > 9204 && is(&world->v[C_SEGMENT], customer, "BUILDING")) {
		counts[Q3_ROWS]++;
		counts[Q3_GROUPS] += !order_seen[order];
		order_seen[order] = 1;
	}
	counts[Q5_ROWS] += date >= 8766 && date < 9131 && nation == NUM(C_NATION, customer) &&
	                   NUM(N_REGION, nation) == 2;
	counts[Q6_ROWS] += ship >= 8766 && ship < 9131 && NUM(L_DISCOUNT, i) >= 5 &&
	                   NUM(L_DISCOUNT, i) <= 7 && NUM(L_QUANTITY, i) < 2400;
	if (date >= 8674 && date < 8766 && is(&world->v[L_RETURN], i, "R")) {
		counts[Q10_ROWS]++;
		counts[Q10_GROUPS] += !customer_seen[customer];
		customer_seen[customer] = 1;
	}
	if (late && receipt >= 8766 && receipt < 9131 &&
	    (mail || is(&world->v[L_MODE], i, "SHIP"))) {
		bool high = begins(&world->v[O_PRIORITY], order, "1") ||
		            begins(&world->v[O_PRIORITY], order, "2");

		counts[(mail ? Q12_MAIL_HIGH : Q12_SHIP_HIGH) + !high]++;
	}
	if (ship >= 9374 && ship < 9404) {
		counts[Q14_ROWS]++;
		counts[Q14_PROMO] +=
			begins(&world->v[P_TYPE], (uint64_t)NUM(L_PART, i) - 1, "PROMO");
	}
	counts[Q19_ROWS] += q19_takes(world, i);
}

TEST(selectivity,
     "at scale 0.1 what eight queries select is within 5 percent of the official tables'")
{
	/* Counted on TPC's own tables of that scale. */
	static const int64_t official[COUNTS] = {
		[Q1_ROWS] = 591856,   [Q1_SHIPPED] = 3765,   [Q3_ROWS] = 3321,
		[Q3_GROUPS] = 1216,   [Q5_ROWS] = 865,       [Q6_ROWS] = 11618,
		[Q10_ROWS] = 11439,   [Q10_GROUPS] = 3767,   [Q12_MAIL_HIGH] = 647,
		[Q12_MAIL_LOW] = 945, [Q12_SHIP_HIGH] = 620, [Q12_SHIP_LOW] = 943,
		[Q14_ROWS] = 7630,    [Q14_PROMO] = 1227,    [Q19_ROWS] = 10,
	};
	int64_t counts[COUNTS] = { 0 };
	uint8_t *order_seen, *customer_seen;
	struct world *world;

	CHECK_EQ(make("select", "0.1", NULL), 0);
	world = world_load("select");
	order_seen = calloc(world->v[O_KEY].count, 1);
	customer_seen = calloc(world->v[C_KEY].count, 1);
	for (uint64_t i = 0; i < world->v[L_ORDER].count; i++)
		count_line(world, i, counts, order_seen, customer_seen);
	for (int i = 0; i < COUNTS; i++) {
		int64_t off =
			counts[i] > official[i] ? counts[i] - official[i] : official[i] - counts[i];

		if (20 * off > official[i])
			printf("# count %d is %lld, officially %lld\n", i, (long long)counts[i],
			       (long long)official[i]);
		CHECK_EQ(20 * off <= official[i], true);
	}
	free(order_seen);
	free(customer_seen);
	world_free(world);
	forget("select");
}

TEST(usage, "wrong usage is status 2; a directory that cannot be made, 1")
{
	static const struct {
		int argc, status;
		const char *arguments[6];
	} rows[] = {
		{ 0, 2, { NULL } },
		{ 1, 2, { "tpch" } },
		{ 3, 2, { "tpcds", "-o", "/nonexistent" } },
		{ 5, 2, { "tpch", "-o", "/nonexistent", "-s", "0" } },
		{ 5, 2, { "tpch", "-o", "/nonexistent", "-s", "1001" } },
		{ 5, 2, { "tpch", "-o", "/nonexistent", "-s", "nan" } },
		{ 5, 2, { "tpch", "-o", "/nonexistent", "-s", "1x" } },
		{ 5, 2, { "tpch", "-o", "/nonexistent", "--seed", "x" } },
		{ 5, 1, { "tpch", "-o", "/dev/null/x", "-s", "0.001" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_EQ(run(rows[i].argc, rows[i].arguments), rows[i].status);
}

int main(void)
{
	int status;

	if (mkdtemp(directory) == NULL)
		return KSFT_FAIL;
	status = harness_run();
	rmdir(directory);
	return status;
}
