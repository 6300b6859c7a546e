/* SPDX-License-Identifier: MIT */
/*
 * sweep.h - a scenario, in which the first allocation fails, then the second, and so on until none is left
 *
 * Each time the scenario either succeeds all the same, or fails with the errno that was had and a sentence; what it had
 * open is closed, and the next time all is well. Descriptors and mappings are counted; memory is the leak sanitizer's to
 * count, which ends the program. Only builds that have fault points (base/point.h) have tests that sweep.
 *
 * DSMX_SWEEP_AT=n: only the n-th.
 */
#ifndef DX_SELFTESTS_SWEEP_H
#define DX_SELFTESTS_SWEEP_H

#ifndef HARNESS_TIMEOUT_S
#define HARNESS_TIMEOUT_S 250
#endif

#include "base/point.h"
#include "engine.h"

#ifdef DX_POINTS

/* Returns 0, or the failure with its sentence. */
typedef int (*scenario)(struct dsmx_error *err);

struct swept {
	uint64_t calls, survived;
};

/* One run, in which @times calls of @point fail, from the @at-th on. Returns whether there were any. */
static inline bool sweep_one(bool *ok, enum dx_point point, uint64_t at, uint64_t times, int code,
                             scenario run, struct swept *swept)
{
	struct dsmx_error err = { 0 };
	uint64_t failed;
	int r;

	dx_points_reset();
	dx_point_fail(point, at, times, code);
	r = run(&err);
	failed = dx_points_failed();
	dx_points_reset();
	if (failed == 0 && r == 0)
		return false;
	if (r > 0 || (r < 0 && (failed == 0 || err.code != r || err.message[0] == '\0' ||
	                        (point == DX_POINT_ALLOC && r != -code)))) {
		printf("# %s %llu: returned %d, said %d \"%s\"\n", dx_point_str(point),
		       (unsigned long long)at, r, err.code, err.message);
		*ok = false;
	}
	swept->calls++;
	swept->survived += r == 0;
	return true;
}

static inline void sweep_times(bool *ok, enum dx_point point, uint64_t times, int code,
                               scenario run)
{
	const char *only = getenv("DSMX_SWEEP_AT");
	uint64_t at = only != NULL ? strtoull(only, NULL, 10) : 1;
	struct dsmx_error err;
	struct swept swept = { 0 };
	int descriptors, mappings;

	/* What is kept from one run to the next, it has from here on. */
	CHECK_EQ(run(&err), 0);
	descriptors = harness_each_fd(NULL);
	mappings = count_mappings();
	while (sweep_one(ok, point, at, times, code, run, &swept) && only == NULL) {
		if (harness_each_fd(NULL) != descriptors || count_mappings() != mappings) {
			printf("# %s %llu: descriptors or mappings are left\n", dx_point_str(point),
			       (unsigned long long)at);
			*ok = false;
			return;
		}
		at++;
	}
	printf("# %s: %llu calls, %llu of them not needed\n", dx_point_str(point),
	       (unsigned long long)swept.calls, (unsigned long long)swept.survived);
	CHECK_EQ(run(&err), 0);
}

/* One call alone, and then it and all that follow. */
static inline void sweep(bool *ok, enum dx_point point, int code, scenario run)
{
	sweep_times(ok, point, 1, code, run);
	sweep_times(ok, point, UINT64_MAX, code, run);
}

/* --- what there is to read --- */

static const struct dsmx_field fields[] = {
	{ "key", { .id = DSMX_INT64 }, true },
	{ "text", { .id = DSMX_UTF8 }, true },
	{ "price", { .id = DSMX_DECIMAL, .precision = 15, .scale = 2 }, true },
	{ "real", { .id = DSMX_FLOAT64 }, true },
};

static inline void make_file(const char *name, const bool *dictionary)
{
	struct table table = table_new(fields, DX_ARRAY_LEN(fields));
	uint64_t chance = 7;

	for (int i = 0; i < 300; i++)
		(void)table_add_random(&table, 60, 10, &chance);
	file_write(name, &table, 100, dictionary, &chance);
	table_free(&table);
}

#endif /* DX_POINTS */

#endif /* DX_SELFTESTS_SWEEP_H */
