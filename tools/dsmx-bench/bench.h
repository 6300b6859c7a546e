/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the commands of dsmx-bench share: rounds, classes, ratios
 *
 * A round measures each thing once, and beside it what the machine could do at most. The processors of a virtual
 * machine move between caches, which changes everything by a factor of two to six; so each round is tagged near or
 * far by a ping-pong of one cache line before and after it, rounds in which it moved are dropped, and near and far
 * ones are never mixed. What counts is the median of the ratios of single rounds.
 */
#ifndef DSMX_BENCH_H
#define DSMX_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "dsmx/exec.h"
#include "dsmx/session.h"

#define BENCH_ROUNDS_MAX 200
#define BENCH_SERIES_MAX 64

enum bench_class { BENCH_NEAR, BENCH_FAR, BENCH_ANY, BENCH_MIXED };

struct bench_point {
	double value;
	double limit; /* 0: there is none */
	enum bench_class class;
};

struct bench_series {
	char name[48];
	const char *unit;
	uint32_t count;
	struct bench_point points[BENCH_ROUNDS_MAX];
};

struct bench {
	uint32_t rounds;
	uint32_t round; /* the one that is measured */
	bool json;
	bool alone;    /* without other queues */
	bool anywhere; /* it does not matter where the processors are: no round is dropped */
	uint32_t workers;
	bool workers_given;
	enum dsmx_pages pages;
	uint32_t series_count;
	struct bench_series *series; /* BENCH_SERIES_MAX */
};

/* What was measured in this round. */
void bench_add(struct bench *bench, const char *name, const char *unit, double value, double limit);

/* Every round of a command, then what came out. Returns the exit status. */
int bench_run(struct bench *bench, int (*round)(struct bench *bench));

/* Each measures one round, and returns 0 or -errno after a sentence on stderr. */
int ring_round(struct bench *bench);
int latency_round(struct bench *bench);
int startstream_round(struct bench *bench);
int session_round(struct bench *bench);
int exchange_round(struct bench *bench);
int idle_round(struct bench *bench);
int streams_round(struct bench *bench);
int trace_round(struct bench *bench);
int over_round(struct bench *bench);

/* The operators that workers of startstream, session and exchange need. */
extern const struct dsmx_extension bench_extensions[];

int startstream_row_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                         struct dsmx_operator **inputs, uint32_t input_count,
                         struct dsmx_operator **ret_operator, struct dsmx_error *err);
int startstream_turn_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                          struct dsmx_operator **inputs, uint32_t input_count,
                          struct dsmx_operator **ret_operator, struct dsmx_error *err);

/* Median of @values, which are sorted by it. */
double bench_median(double *values, uint32_t count);

#endif /* DSMX_BENCH_H */
