/* SPDX-License-Identifier: MIT */
/* ps_json.c - dsmx ps --json: {"sessions":[{..., "workers":[...]}]}, numbers in bytes and nanoseconds */
#include <inttypes.h>
#include <stdio.h>

#include "ps.h"

static void print_text(const char *key, const char *text)
{
	printf("\"%s\":\"", key);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c >= 0x7f) /* bytes of who knows what encoding */
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_usage(const char *key, const struct dsmx_usage *u)
{
	printf("\"%s\":{\"cpu_ns\":%" PRIu64 ",\"throttled_ns\":%" PRIu64
	       ",\"memory_bytes\":%" PRIu64 ",\"memory_peak_bytes\":%" PRIu64 ",\"pids\":%" PRIu64
	       ",\"oom_kills\":%" PRIu64 ",\"forks_refused\":%" PRIu64 ",\"hugetlb_bytes\":%" PRIu64
	       ",\"hugetlb_refused\":%" PRIu64 ",\"cpu_pressure_ns\":%" PRIu64
	       ",\"memory_pressure_ns\":%" PRIu64 ",\"io_pressure_ns\":%" PRIu64 "}",
	       key, u->cpu_ns, u->throttled_ns, u->memory_bytes, u->memory_peak_bytes, u->pids,
	       u->oom_kills, u->forks_refused, u->hugetlb_bytes, u->hugetlb_refused,
	       u->cpu_pressure_ns, u->memory_pressure_ns, u->io_pressure_ns);
}

static void print_queries(int64_t queries)
{
	if (queries >= 0)
		printf("\"queries\":%" PRId64, queries);
	else
		printf("\"queries\":null");
}

static void print_worker(const struct dsmx_worker_status *w)
{
	printf("{\"worker\":%u,\"state\":\"%s\",\"frozen\":%s,\"dying\":%s,\"pid\":%d,\"epoch\":%" PRIu64
	       ",\"restarts\":%u,",
	       w->worker, w->state, w->frozen ? "true" : "false", w->dying ? "true" : "false",
	       w->pid, w->epoch, w->restarts);
	print_text("cgroup", w->cgroup);
	if (w->memory_max != 0)
		printf(",\"memory_max_bytes\":%" PRIu64 ",", w->memory_max);
	else
		printf(",\"memory_max_bytes\":null,");
	print_queries(w->queries);
	putchar(',');
	print_usage("usage", &w->usage);
	if (w->exit_reason == DSMX_EXIT_NONE) {
		printf(",\"last_exit\":null}");
		return;
	}
	printf(",\"last_exit\":{\"reason\":\"%s\",\"status\":%d,\"epoch\":%" PRIu64 ",\"pid\":%d,",
	       dsmx_exit_reason_str(w->exit_reason), w->exit_status, w->exit_epoch, w->exit_pid);
	print_text("text", w->exit_text);
	putchar(',');
	print_usage("usage", &w->exit_usage);
	printf("}}");
}

static void print_session(const struct dsmx_session_status *s)
{
	printf("{\"session\":\"%016" PRIx64
	       "\",\"alive\":%s,\"uid\":%u,\"leader\":%d,\"supervisor\":%d,",
	       s->session, s->alive ? "true" : "false", s->uid, s->leader_pid, s->supervisor_pid);
	print_text("isolation", s->isolation);
	putchar(',');
	print_text("level", s->level);
	putchar(',');
	print_text("cgroup", s->cgroup);
	putchar(',');
	print_text("missing", s->missing);
	putchar(',');
	print_queries(s->queries);
	printf(",\"workers\":[");
	for (uint32_t i = 0; i < s->worker_count; i++) {
		if (i > 0)
			putchar(',');
		print_worker(&s->workers[i]);
	}
	printf("]}");
}

void ps_json(const struct ps_look *look)
{
	bool first = true;

	printf("{\"sessions\":[");
	for (uint32_t i = 0; i < look->now->session_count; i++) {
		if (look->session != 0 && look->session != look->now->sessions[i].session)
			continue;
		if (!first)
			putchar(',');
		first = false;
		print_session(&look->now->sessions[i]);
	}
	printf("]}\n");
}
