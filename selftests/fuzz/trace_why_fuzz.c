/* SPDX-License-Identifier: MIT */
/* trace_why_fuzz.c - dsmx-trace: pages mapped by a stranger, and the graph of who waits for whom that it draws of them */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "dsmx-trace/trace.h"
#include "hostile.h"

enum { PEERS = 3 };

const struct fuzz_target fuzz_target = { .name = "trace_why", .len_max = 16384 };

static struct hostile owners[PEERS];
static struct session session; /* what find.c would have found */
static struct session *list[] = { &session };

/* In place of find.c. */
void sessions_find(struct sessions *sessions, const struct trace_options *options)
{
	(void)options;
	*sessions = (struct sessions){ .count = 1, .list = list };
}

void sessions_fini(struct sessions *sessions)
{
	(void)sessions;
}

int sessions_none(const struct sessions *sessions, const struct trace_options *options)
{
	(void)sessions;
	(void)options;
	return 1;
}

const char *peer_name(uint32_t peer, char buf[16])
{
	(void)snprintf(buf, 16, "%u", peer);
	return buf;
}

static void park(struct hostile *by, struct script *s)
{
	struct dsmx_task_abi *rec =
		DX_LAYOUT_AT(struct dsmx_task_abi, by->page.base, by->layout.task_records,
	                     script_pick(s, HOSTILE_TASKS));

	rec->query = 5;
	rec->exchange = script_pick(s, 3);
	rec->task = script_pick(s, 2);
	rec->state = DSMX_STREAM_RUNNING;
	rec->park_kind = 1 + script_pick(s, 3);
	rec->park_exchange = script_pick(s, 3);
	rec->park_partition = script_pick(s, 2);
	rec->park++;
}

/* A stream between two of them, with both ends. */
static void connect(struct script *s)
{
	struct hostile *c = &owners[script_pick(s, PEERS)], *p = &owners[script_pick(s, PEERS)];
	uint32_t slot = script_pick(s, HOSTILE_SLOTS);
	size_t in = dx_layout_slot(&c->layout, p->self, slot),
	       out = dx_layout_slot(&c->layout, c->self, slot);

	*DX_LAYOUT_AT(struct dsmx_request_abi, c->page.base, c->layout.requests, in) =
		(struct dsmx_request_abi){ .query = 5,
		                           .exchange = script_pick(s, 3),
		                           .task = script_pick(s, 2),
		                           .partition = script_pick(s, 2),
		                           .record = script_pick(s, HOSTILE_TASKS) };
	*DX_LAYOUT_AT(struct dsmx_stream_abi, p->page.base, p->layout.streams, out) =
		(struct dsmx_stream_abi){ .query = 5,
		                          .record = script_pick(s, HOSTILE_TASKS),
		                          .tail = script_pick(s, 2) };
	*DX_LAYOUT_AT(uint64_t, c->page.base, c->layout.request_words, in) =
		DSMX_WORD(1, DSMX_REQUEST_START);
	*DX_LAYOUT_AT(uint64_t, p->page.base, p->layout.stream_words, out) =
		DSMX_WORD(1, script_pick(s, 8) == 0 ? DSMX_STREAM_FIN : DSMX_STREAM_RUNNING);
}

static void look(void)
{
	const struct trace_options options = { .quiet = true };
	char path[64];

	session = (struct session){ .id = 77, .peers = PEERS };
	for (uint32_t i = 0; i < PEERS; i++) {
		struct page page;
		int r;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", owners[i].page.fd);
		r = page_open(path, &page);
		FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -EPROTO);
		if (r < 0)
			continue;
		(void)page_head(&page);
		(void)page_phases(&page);
		session.pages[i] = page;
	}
	(void)why_main(&options);
	for (uint32_t i = 0; i < PEERS; i++)
		page_close(&session.pages[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };

	/* It prints what it finds. */
	FUZZ_CHECK(freopen("/dev/null", "w", stdout) != NULL);
	for (uint32_t i = 0; i < PEERS; i++)
		hostile_open(&owners[i], i, PEERS);
	while (!script_over(&s)) {
		uint32_t who = script_pick(&s, PEERS);

		switch (script_pick(&s, 4)) {
		case 0:
			park(&owners[who], &s);
			break;
		case 1:
			connect(&s);
			break;
		default:
			hostile_scribble(&owners[who], script_pick(&s, PEERS), &s);
			break;
		}
		if (script_pick(&s, 32) == 0)
			look();
	}
	look();
	return 0;
}
