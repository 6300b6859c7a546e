/* SPDX-License-Identifier: MIT */
/*
 * bench.c - rounds and their classes, medians, and the two ways to print them
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

/* A line goes to and fro in 100 to 120 ns within one L3 cache, in 460 to 500 ns between two. */
#define NEAR_NS 250.0

static const char *const class_names[] = { "near", "far", "any" };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, uint32_t count)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(double), by_value);
	return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void bench_add(struct bench *bench, const char *name, const char *unit, double value, double limit)
{
	struct bench_series *s = NULL;

	for (uint32_t i = 0; i < bench->series_count; i++)
		if (strcmp(bench->series[i].name, name) == 0)
			s = &bench->series[i];
	if (s == NULL) {
		if (bench->series_count == BENCH_SERIES_MAX)
			return;
		s = &bench->series[bench->series_count++];
		snprintf(s->name, sizeof(s->name), "%s", name);
		s->unit = unit;
	}
	if (s->count < BENCH_ROUNDS_MAX)
		s->points[s->count++] = (struct bench_point){ value, limit, BENCH_MIXED };
}

/* Every point of this round, one in each series at the most. */
static void tag(struct bench *bench, const uint32_t *before, enum bench_class class)
{
	for (uint32_t i = 0; i < bench->series_count; i++)
		for (uint32_t j = before[i]; j < bench->series[i].count; j++)
			bench->series[i].points[j].class = class;
}

static void print_class(const struct bench *bench, const struct bench_series *s,
                        enum bench_class class)
{
	static double values[BENCH_ROUNDS_MAX], limits[BENCH_ROUNDS_MAX], ratios[BENCH_ROUNDS_MAX];
	uint32_t n = 0, ratio_count = 0;
	double value, limit, ratio;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct bench_point *p = &s->points[i];

		if (p->class != class)
			continue;
		values[n] = p->value;
		limits[n++] = p->limit;
		if (p->limit > 0)
			ratios[ratio_count++] = p->value / p->limit;
	}
	if (n == 0)
		return;
	value = bench_median(values, n);
	limit = bench_median(limits, n);
	ratio = bench_median(ratios, ratio_count);
	if (bench->json) {
		printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",", s->name, value, s->unit);
		if (ratio_count > 0)
			printf("\"limit\":%.6g,\"ratio\":%.4g,", limit, ratio);
		else
			printf("\"limit\":null,\"ratio\":null,");
		printf("\"class\":\"%s\",\"rounds\":%u}\n", class_names[class], n);
		return;
	}
	printf("%-34s %10.4g %-7s", s->name, value, s->unit);
	if (ratio_count > 0)
		printf(" %10.4g %7.3f %7.3f %7.3f", limit, ratio, ratios[ratio_count / 4],
		       ratios[ratio_count - 1 - ratio_count / 4]);
	else
		printf(" %10s %7s %7s %7s", "-", "-", "-", "-");
	printf("  %-4s %4u\n", class_names[class], n);
}

static void print_all(const struct bench *bench, uint32_t mixed)
{
	if (!bench->json)
		printf("%-34s %10s %-7s %10s %7s %7s %7s  %-4s %4s\n", "", "median", "unit",
		       "limit", "ratio", "q1", "q3", "", "n");
	for (int class = BENCH_NEAR; class <= BENCH_ANY; class ++)
		for (uint32_t i = 0; i < bench->series_count; i++)
			print_class(bench, &bench->series[i], (enum bench_class) class);
	if (!bench->json && mixed > 0)
		printf("(%u of %u rounds dropped: the processors moved)\n", mixed, bench->rounds);
}

/* One round, and where the processors were. */
static int run_round(struct bench *bench, int (*round)(struct bench *bench),
                     enum bench_class *ret_class)
{
	double start_ns, end_ns;
	int r;

	*ret_class = BENCH_ANY;
	if (bench->anywhere)
		return round(bench);
	r = pair_line(&start_ns);
	if (r == 0)
		r = round(bench);
	if (r == 0)
		r = pair_line(&end_ns);
	if (r == 0)
		*ret_class = (start_ns < NEAR_NS) != (end_ns < NEAR_NS) ? BENCH_MIXED
		             : start_ns < NEAR_NS                       ? BENCH_NEAR
		                                                        : BENCH_FAR;
	return r;
}

int bench_run(struct bench *bench, int (*round)(struct bench *bench))
{
	uint32_t before[BENCH_SERIES_MAX], mixed = 0;
	enum bench_class class;
	int r = 0;

	bench->series = calloc(BENCH_SERIES_MAX, sizeof(*bench->series));
	if (bench->series == NULL)
		return 1;
	for (uint32_t i = 0; r == 0 && i < bench->rounds; i++) {
		for (uint32_t s = 0; s < BENCH_SERIES_MAX; s++)
			before[s] = bench->series[s].count;
		bench->round = i;
		r = run_round(bench, round, &class);
		if (r == 0)
			tag(bench, before, class);
		mixed += r == 0 && class == BENCH_MIXED;
	}
	if (r == 0)
		print_all(bench, mixed);
	free(bench->series);
	return r == 0 ? 0 : 1;
}
