/* SPDX-License-Identifier: MIT */
/*
 * hist.h - phase histograms as text
 */
#ifndef TOOLS_HIST_H
#define TOOLS_HIST_H

#include <stdint.h>
#include <stdio.h>

#include "dsmx/session.h"

/* "request", "spawn", "first", "deliver", "total" */
extern const char *const hist_phase_names[DSMX_STREAM_PHASES];
/* What a phase is the time of, a few words. */
extern const char *const hist_phase_words[DSMX_STREAM_PHASES];

/* The time that @share (0..1) of those counted did not exceed, as far as powers of two tell; 0: none counted. */
uint64_t hist_quantile(const uint64_t buckets[DSMX_STREAM_BUCKETS], uint64_t max_ns, double share);

/* @ns with three digits and a unit: "812ns", "1.24ms". Returns @buf. */
#define HIST_TIME_LEN 16
const char *hist_time(uint64_t ns, char buf[HIST_TIME_LEN]);

/* What was added since @before. The longest is that of all the time: it cannot be told. */
void hist_subtract(struct dsmx_phases *phases, const struct dsmx_phases *before);

/* A line for each phase: mean, quantiles, longest, share of the total. */
void hist_print_summary(FILE *to, const struct dsmx_phases *phases);

/* The histogram of one phase, with bars. */
void hist_print_phase(FILE *to, const struct dsmx_phases *phases, enum dsmx_phase phase);

#endif /* TOOLS_HIST_H */
