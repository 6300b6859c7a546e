/* SPDX-License-Identifier: MIT */
/* list.c - dsmx-trace list: the sessions that can be seen, and the probes of this version */
#include <inttypes.h>

#include "dsmx/trace.h"
#include "trace.h"

static const struct {
	const char *name, *args, *meaning;
} probes[] = {
#define ROW(name, args, meaning) { #name, args, meaning },
	DSMX_PROBES(ROW)
#undef ROW
};

static void list_probes(const struct trace_options *options)
{
	if (options->format == FORMAT_CSV)
		puts("probe,arguments,meaning");
	else if (options->format == FORMAT_TEXT)
		puts("probes:");
	for (int i = 0; i < DSMX_PROBE_COUNT; i++)
		if (options->format == FORMAT_JSON)
			printf("{\"type\":\"probe\",\"name\":\"%s\",\"arguments\":\"%s\",\"meaning\":\"%s\"}\n",
			       probes[i].name, probes[i].args, probes[i].meaning);
		else if (options->format == FORMAT_CSV)
			printf("%s,%s,\"%s\"\n", probes[i].name, probes[i].args, probes[i].meaning);
		else
			printf("  dsmx:%-13s %-50s %s\n", probes[i].name, probes[i].args,
			       probes[i].meaning);
}

static void list_session(const struct trace_options *options, const struct session *s)
{
	char name[16], comm[32];

	if (options->format == FORMAT_TEXT)
		printf("session %016" PRIx64 ":", s->id);
	for (uint32_t p = 0; p < s->peers; p++) {
		const struct page *page = &s->pages[p];

		if (page->base == NULL)
			continue;
		if (options->format == FORMAT_JSON)
			printf("{\"type\":\"process\",\"session\":\"%016" PRIx64
			       "\",\"process\":\"%s\",\"pid\":%u,\"streams\":%u,\"frames\":%u}\n",
			       s->id, peer_name(p, name), page->head.pid, page->head.slots,
			       page->head.frames);
		else if (p == DSMX_ABI_LEADER)
			printf(" %s is the leader, %u", process_name(s->leader, comm),
			       page->head.pid);
		else
			printf(", %s %u", peer_name(p, name), page->head.pid);
	}
	if (options->format == FORMAT_TEXT)
		putchar('\n');
}

int list_main(const struct trace_options *options)
{
	struct sessions sessions = { .count = 0 };

	sessions_find(&sessions, options);
	if (options->format != FORMAT_CSV)
		for (uint32_t i = 0; i < sessions.count; i++)
			list_session(options, sessions.list[i]);
	if (sessions.count == 0 && options->format == FORMAT_TEXT)
		puts("no session is open, as far as this user can see");
	list_probes(options);
	sessions_fini(&sessions);
	return EXIT_OK;
}
