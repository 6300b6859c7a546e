/* SPDX-License-Identifier: MIT */
/*
 * dsmx_sweep_test.c - SQL to plans and rows, in which each of the library's allocations fails (sweep.h); the command's own
 * end it
 */
#include "sweep.h"

#ifdef DX_POINTS

#include "dsmx/sql.h"

static const char *const texts[] = {
	"SELECT text, count(*), sum(price) FROM plain GROUP BY text ORDER BY 2 DESC, 1 LIMIT 3",
	"SELECT p.key, c.text FROM plain p JOIN coded c ON p.key = c.key WHERE c.text LIKE 'a%' AND p.price > 1.5",
	"SELECT key, CASE WHEN key IN (1, 2, 3) THEN text ELSE 'x' END FROM coded WHERE price IS NOT NULL ORDER BY 1",
};

static const char *text;
static struct dsmx_session *session;

static int run_sql(struct dsmx_error *err)
{
	const struct sql_options options = { .data_dir = folder, .workers = 1 };
	struct sql_error said = { .location = -1 };
	struct sql_script *script;
	struct dsmx_plan *plan;
	struct outcome o;
	int r = sql_parse(text, &script, &said);

	if (r == 0) {
		r = sql_plan(script, 0, &options, &plan, &said);
		sql_free(script);
	}
	if (r < 0) {
		err->code = said.code;
		(void)snprintf(err->message, sizeof(err->message), "%s", said.message);
		return r;
	}
	r = dsmx_plan_distribute(plan, 1, err);
	if (r == 0) {
		o = run_plan(session, plan, NULL);
		*err = o.error;
		r = o.code;
	}
	dsmx_plan_free(plan);
	return r;
}

TEST(sweep_sql,
     "any allocation of the library from SQL to its rows may fail: -ENOMEM, and the next one runs")
{
	struct dsmx_session_options options = engine_options(0);

	session = open_engine(&options);
	CHECK(session != NULL);
	for (size_t i = 0; i < DX_ARRAY_LEN(texts) && *ok; i++) {
		text = texts[i];
		sweep(ok, DX_POINT_ALLOC, ENOMEM, run_sql);
	}
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	int status;

	enter_folder();
	make_file("plain.arrow", NULL);
	make_file("coded.arrow", (const bool[]){ false, true, false, false });
	status = harness_main(argc, argv);
	leave_folder();
	return status;
}

#endif /* DX_POINTS */
