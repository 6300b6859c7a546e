/* SPDX-License-Identifier: MIT */
/*
 * What a session holds while its application is a hundred times slower than its producers: the proportional set
 * sizes of all its processes, beside what dsmx_session_estimate() says before there is any.
 */
#include "kinds.h"

#define ROWS    500000
#define WORKERS 2
#define SLOWER  100

/* A sanitizer's own memory is no session's: there only what is added while the query runs counts. */
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if !defined(SANITIZED) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Proportional set size and huge pages of a process, or of its part that is of the session. 0: it may not be seen. */
static uint64_t pss_of(int pid)
{
	char path[64], line[256];
	uint64_t sum = 0, kib;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "Pss: %lu kB", &kib) == 1 ||
		    sscanf(line, "Private_Hugetlb: %lu kB", &kib) == 1)
			sum += kib << 10;
	if (file != NULL)
		(void)fclose(file);
	return sum;
}

/* All processes of the session; of this one what is more than @own_bytes. */
static uint64_t session_bytes(const struct dsmx_session *session, uint64_t own_bytes)
{
	struct dsmx_session_info info;
	uint64_t sum = pss_of(getpid());

	dsmx_session_info(session, &info);
	sum = sum > own_bytes ? sum - own_bytes : 0;
	sum += pss_of(info.supervisor_pid);
	for (uint32_t w = 0; w < WORKERS; w++)
		sum += pss_of(dsmx_session_worker_pid(session, w));
	return sum;
}

struct reading {
	uint64_t rows, took_ns, batches;
	uint64_t worst_bytes;
	int64_t sum;
	struct dsmx_query_stats stats;
};

/* Read it all; spend @pause_ns on each batch, and look at the memory now and then. */
static int read_slowly(struct dsmx_session *session, struct dsmx_plan *plan, uint64_t pause_ns,
                       uint64_t own_bytes, struct reading *ret, struct dsmx_error *err)
{
	uint64_t start_ns = dx_now_ns();
	struct dsmx_query *query;
	struct dsmx_batch batch;
	int r = dsmx_query_start(session, plan, NULL, &query, err);

	*ret = (struct reading){ 0 };
	if (r != 0)
		return r;
	while ((r = dsmx_query_next_batch(query, 30000, &batch, err)) == 1) {
		ret->rows += batch.selected;
		for (uint32_t k = 0; k < batch.selected; k++)
			ret->sum +=
				((const int64_t *)batch.columns[0]
			                 .values)[batch.selection != NULL ? batch.selection[k] : k];
		if (pause_ns > 0 && ret->batches % 16 == 0) {
			uint64_t bytes = session_bytes(session, own_bytes);

			ret->worst_bytes = bytes > ret->worst_bytes ? bytes : ret->worst_bytes;
		}
		ret->batches++;
		if (pause_ns > 0)
			(void)usleep((unsigned)(pause_ns / 1000) + 1);
	}
	dsmx_query_stats(query, &ret->stats);
	dsmx_query_close(query);
	ret->took_ns = dx_now_ns() - start_ns;
	return r;
}

TEST(memory_slow_application,
     "an application 100 times slower than its producers: the session stays within its estimate, and the query ends")
{
	struct dsmx_session_options options = engine_options(WORKERS);
	struct dsmx_plan *plan = plan_new();
	struct dsmx_session_estimate estimate;
	struct dsmx_session *session;
	struct reading fast, slow;
	struct dsmx_error err = { 0 };
	uint64_t own_bytes, idle_bytes;

	options.pages = DSMX_PAGES_SMALL; /* which the kernel counts for each process */
	own_bytes = pss_of(getpid());
	if (own_bytes == 0)
		SKIP("no smaps_rollup here");
	CHECK_EQ(dsmx_session_estimate(&options, &estimate, &err), 0);
	session = open_engine(&options);
	CHECK(session != NULL);
	if (pss_of(dsmx_session_worker_pid(session, 0)) == 0) {
		dsmx_session_close(session);
		SKIP("the workers' memory may not be looked at");
	}
	idle_bytes = session_bytes(session, own_bytes);
	CHECK_EQ(plan_end(plan,
	                  rel_gather(plan, rel_hash(plan, rel_series(plan, ROWS, 1000), 0, NULL)),
	                  2),
	         0);
	CHECK_EQ(read_slowly(session, plan, 0, own_bytes, &fast, &err), 0);
	CHECK_EQ(fast.rows, ROWS);
	CHECK_EQ(read_slowly(session, plan, fast.took_ns * SLOWER / fast.batches, own_bytes, &slow,
	                     &err),
	         0);
	printf("# %.1f ms for %llu batches, slowly %.1f ms; the session held %.1f MiB idle, at most %.1f "
	       "MiB, its estimate is %.1f MiB; overflow %llu bytes\n",
	       (double)fast.took_ns / 1e6, (unsigned long long)fast.batches,
	       (double)slow.took_ns / 1e6, (double)idle_bytes / 1048576,
	       (double)slow.worst_bytes / 1048576, (double)estimate.total_bytes / 1048576,
	       (unsigned long long)slow.stats.overflow_bytes);
	CHECK_EQ(slow.rows, ROWS);
	CHECK_EQ(slow.sum, fast.sum);
	CHECK(slow.took_ns > fast.took_ns * SLOWER / 2);
	CHECK(slow.worst_bytes > 0 &&
	      slow.worst_bytes <= estimate.total_bytes + (SANITIZED ? idle_bytes : 0));
	CHECK_EQ(slow.stats.overflow_bytes, 0);
	CHECK(slow.stats.waits > 0); /* the producers were held up, and kept nothing elsewhere */
	dsmx_plan_free(plan);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	return engine_main(argc, argv);
}
