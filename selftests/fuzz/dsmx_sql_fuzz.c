/* SPDX-License-Identifier: MIT */
/* dsmx_sql_fuzz.c - SQL: the guard lets nothing to the parser that it would not survive, and a plan or an error follows */
#include <errno.h>
#include <string.h>

#include "dsmx/sql.h"
#include "fuzz.h"

static const char *const texts[] = {
	"SELECT n_name, count(*) FROM nation, region WHERE n_regionkey = r_regionkey GROUP BY n_name ORDER BY 2 DESC LIMIT 3",
	"SELECT CASE WHEN a.x > 1.5e3 THEN 'it''s' ELSE $$q$$ END FROM (VALUES (1), (2)) AS a(x) UNION ALL SELECT 2",
	"WITH t AS (SELECT sum(l_extendedprice * (1 - l_discount)) AS s FROM lineitem WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL '90' DAY) SELECT s::decimal(10,2) FROM t",
	"SELECT * FROM a JOIN b ON a.k = b.k LEFT JOIN c USING (k) WHERE a.t LIKE '%\\_x' AND b.v IN (1, 2, NULL) OR NOT EXISTS (SELECT 1 FROM d)",
	"SELECT extract(year FROM o_orderdate), substring(t from 2 for 3), -(-(-1)), ((((1)))) FROM orders; SELECT 1 -- c\n/* a /* b */ */",
};

static size_t seed(uint32_t index, uint8_t *buf, size_t room)
{
	size_t len;

	if (index >= sizeof(texts) / sizeof(texts[0]))
		return 0;
	len = strlen(texts[index]);
	FUZZ_CHECK(len <= room);
	memcpy(buf, texts[index], len);
	return len;
}

const struct fuzz_target fuzz_target = { .name = "dsmx_sql", .seed = seed, .len_max = 16384 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sql_options options = { .data_dir = "/nonexistent", .workers = 2 };
	struct sql_error err = { .location = -1 };
	struct sql_script *script;
	char *text = malloc(size + 1);
	int r;

	FUZZ_CHECK(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	r = sql_parse(text, &script, &err);
	FUZZ_CHECK(r == 0 || (r == err.code && err.message[0] != '\0'));
	for (uint32_t i = 0; r == 0 && i < sql_statement_count(script); i++) {
		struct dsmx_plan *plan = NULL;
		int failed = sql_plan(script, i, &options, &plan, &err);

		FUZZ_CHECK(failed == 0 || (failed == err.code && err.message[0] != '\0'));
		if (failed == 0)
			dsmx_plan_free(plan);
	}
	FUZZ_CHECK(err.location >= -1 && err.location <= (int)size);
	if (r == 0)
		sql_free(script);
	free(text);
	return 0;
}
