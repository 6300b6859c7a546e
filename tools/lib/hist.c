/* SPDX-License-Identifier: MIT */
#include "hist.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define BAR 40

const char *const hist_phase_names[DSMX_STREAM_PHASES] = {
	[DSMX_STREAM_REQUEST] = "request", [DSMX_STREAM_SPAWN] = "spawn",
	[DSMX_STREAM_FIRST] = "first",     [DSMX_STREAM_DELIVER] = "deliver",
	[DSMX_STREAM_TOTAL] = "total",
};

const char *const hist_phase_words[DSMX_STREAM_PHASES] = {
	[DSMX_STREAM_REQUEST] = "sent, until the producer's process sees it",
	[DSMX_STREAM_SPAWN] = "seen, until the producer task runs",
	[DSMX_STREAM_FIRST] = "runs, until its first frame is there",
	[DSMX_STREAM_DELIVER] = "there, until the consumer has it",
	[DSMX_STREAM_TOTAL] = "sent, until the consumer has the first frame",
};

uint64_t hist_quantile(const uint64_t buckets[DSMX_STREAM_BUCKETS], uint64_t max_ns, double share)
{
	uint64_t count = 0, below = 0;

	for (int i = 0; i < DSMX_STREAM_BUCKETS; i++)
		count += buckets[i];
	for (int i = 0; i < DSMX_STREAM_BUCKETS; i++) {
		double wanted = share * (double)count - (double)below;

		if (buckets[i] > 0 && wanted <= (double)buckets[i]) {
			/* Evenly spread within the bucket; none is longer than the longest. */
			double low = i == 0 ? 0 : (double)(1ULL << i), high = (double)(2ULL << i);
			double ns = low + (high - low) * (wanted / (double)buckets[i]);

			return ns > (double)max_ns ? max_ns : (uint64_t)ns;
		}
		below += buckets[i];
	}
	return 0;
}

const char *hist_time(uint64_t ns, char buf[HIST_TIME_LEN])
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	snprintf(buf, HIST_TIME_LEN, "%.*f%s",
	         unit == 0 || value >= 99.95 ? 0
	         : value >= 9.995            ? 1
	                                     : 2,
	         value, units[unit]);
	return buf;
}

void hist_subtract(struct dsmx_phases *phases, const struct dsmx_phases *before)
{
	phases->streams -= before->streams;
	phases->unread -= before->unread;
	phases->odd -= before->odd;
	for (int i = 0; i < DSMX_STREAM_PHASES; i++) {
		phases->sum_ns[i] -= before->sum_ns[i];
		for (int b = 0; b < DSMX_STREAM_BUCKETS; b++)
			phases->buckets[i][b] -= before->buckets[i][b];
	}
}

void hist_print_summary(FILE *to, const struct dsmx_phases *phases)
{
	double total = (double)phases->sum_ns[DSMX_STREAM_TOTAL];

	fprintf(to, "%" PRIu64 " StartStreams read, %" PRIu64 " closed unread", phases->streams,
	        phases->unread);
	if (phases->odd > 0)
		fprintf(to, ", %" PRIu64 " with stamps that made no sense", phases->odd);
	fprintf(to, "\n%-8s %9s %9s %9s %9s %9s %6s\n", "phase", "mean", "p50", "p90", "p99", "max",
	        "share");
	for (int i = 0; i < DSMX_STREAM_PHASES && phases->streams > 0; i++) {
		char text[5][HIST_TIME_LEN];
		const uint64_t *buckets = phases->buckets[i];

		fprintf(to, "%-8s %9s %9s %9s %9s %9s %5.1f%%  %s\n", hist_phase_names[i],
		        hist_time(phases->sum_ns[i] / phases->streams, text[0]),
		        hist_time(hist_quantile(buckets, phases->max_ns[i], 0.5), text[1]),
		        hist_time(hist_quantile(buckets, phases->max_ns[i], 0.9), text[2]),
		        hist_time(hist_quantile(buckets, phases->max_ns[i], 0.99), text[3]),
		        hist_time(phases->max_ns[i], text[4]),
		        total > 0 ? 100 * (double)phases->sum_ns[i] / total : 0,
		        hist_phase_words[i]);
	}
}

void hist_print_phase(FILE *to, const struct dsmx_phases *phases, enum dsmx_phase phase)
{
	const uint64_t *buckets = phases->buckets[phase];
	int first = DSMX_STREAM_BUCKETS, last = -1;
	uint64_t most = 0;

	for (int i = 0; i < DSMX_STREAM_BUCKETS; i++) {
		if (buckets[i] == 0)
			continue;
		first = first > i ? i : first;
		last = i;
		most = buckets[i] > most ? buckets[i] : most;
	}
	fprintf(to, "%s: %s\n", hist_phase_names[phase], hist_phase_words[phase]);
	for (int i = first; i <= last; i++) {
		char low[HIST_TIME_LEN], high[HIST_TIME_LEN], bar[BAR + 1];
		size_t len = (size_t)((buckets[i] * BAR + most - 1) / most);

		memset(bar, '*', len);
		bar[len] = '\0';
		fprintf(to, "%9s .. %-8s %9" PRIu64 " |%-*s|\n",
		        hist_time(i == 0 ? 0 : 1ULL << i, low), hist_time(2ULL << i, high),
		        buckets[i], BAR, bar);
	}
}
