/* SPDX-License-Identifier: MIT */
/*
 * flight.c - dsmx-trace flight: the last events of each process of a session, in one order
 *
 * Each process keeps its own in its page, and goes on while we read: what was overwritten meanwhile is left out,
 * and counted with all that was overwritten before. A worker that is dead has left its page with its supervisor.
 *
 *	flight			what is there
 *	flight --on, --off	switch the recorders of a session, and say so
 *	flight -d SEC		on for so long, then what is there, and as they were before
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/mem.h"
#include "trace.h"

#define NS_PER_S 1e9

static const struct {
	const char *name, *a, *b, *meaning;
} kinds[DSMX_FLIGHT_KIND_COUNT] = {
#define ROW(name, a, b, meaning) { #name, a, b, meaning },
	DSMX_FLIGHT_KINDS(ROW)
#undef ROW
};

static const char *const park_words[] = { "nothing", "rows", "credit", "slabs", "others" };

struct event {
	struct dsmx_flight_event_abi is;
	uint64_t session;
	uint64_t number;
	uint32_t peer;
	uint32_t pid;
	bool dead;
};

struct events {
	size_t count, room;
	struct event *list;
};

struct recorder {
	uint64_t session, written, lost;
	uint32_t peer, pid;
	bool dead;
};

struct recorders {
	size_t count;
	struct recorder *list;
};

/* --- reading -------------------------------------------------------------------------------------------------------- */

static uint64_t read_written(const struct page *page)
{
	struct dsmx_flight_abi flight;

	page_read(page, page->flight, &flight, sizeof(flight));
	return flight.written;
}

static bool is_wanted(const struct trace_options *o, const struct dsmx_flight_event_abi *e)
{
	return e->kind < DSMX_FLIGHT_KIND_COUNT && e->at_ns != 0 &&
	       trace_wants_stream(o, e->exchange, e->task, e->partition);
}

static void add(struct events *events, const struct event *e)
{
	if (events->count == events->room) {
		events->room = events->room == 0 ? 4096 : events->room * 2;
		events->list = mem_resize(events->list, events->room * sizeof(*events->list));
	}
	events->list[events->count++] = *e;
}

/*
 * Read `written`, then the slots, then `written` again, which volatile and x86-64 keep in this order. The slot
 * that is being written now is one ring behind it, so that one is not taken either.
 */
static void take_page(const struct trace_options *o, const struct page *page, bool dead,
                      struct events *events, struct recorders *recorders)
{
	uint64_t before = read_written(page), first, after;
	uint64_t from = before > DSMX_FLIGHT_EVENTS ? before - DSMX_FLIGHT_EVENTS : 0;
	struct dsmx_flight_event_abi *copy = mem_alloc(DSMX_FLIGHT_EVENTS * sizeof(*copy));
	struct recorder *r;

	page_read(page, page->flight_events, copy, DSMX_FLIGHT_EVENTS * sizeof(*copy));
	after = read_written(page);
	first = after >= DSMX_FLIGHT_EVENTS ? after - DSMX_FLIGHT_EVENTS + 1 : 0;
	if (first < from)
		first = from;
	for (uint64_t i = first; i < before; i++) {
		struct event e = { .is = copy[i % DSMX_FLIGHT_EVENTS],
			           .session = page->head.session,
			           .number = i,
			           .peer = page->head.peer,
			           .pid = page->head.pid,
			           .dead = dead };

		if (is_wanted(o, &e.is))
			add(events, &e);
	}
	free(copy);
	recorders->list =
		mem_resize(recorders->list, (recorders->count + 1) * sizeof(*recorders->list));
	r = &recorders->list[recorders->count++];
	*r = (struct recorder){ .session = page->head.session,
		                .written = before,
		                .lost = first < before ? first : before,
		                .peer = page->head.peer,
		                .pid = page->head.pid,
		                .dead = dead };
}

static void take_all(const struct trace_options *o, const struct sessions *sessions,
                     struct events *events, struct recorders *recorders)
{
	for (uint32_t i = 0; i < sessions->count; i++)
		for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++) {
			const struct session *s = sessions->list[i];

			if (!trace_wants_peer(o, p))
				continue;
			if (s->dead[p].base != NULL)
				take_page(o, &s->dead[p], true, events, recorders);
			if (s->pages[p].base != NULL)
				take_page(o, &s->pages[p], false, events, recorders);
		}
}

static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->is.at_ns != y->is.at_ns)
		return x->is.at_ns < y->is.at_ns ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* --- writing -------------------------------------------------------------------------------------------------------- */

static void text_line(const struct event *e)
{
	const struct dsmx_flight_event_abi *is = &e->is;
	char name[16], peer[16];
	bool task = is->kind == DSMX_FLIGHT_park || is->kind == DSMX_FLIGHT_unpark;

	printf("%.6f %016" PRIx64 " %s%s %-7s", (double)is->at_ns / 1e9, e->session,
	       peer_name(e->peer, name), e->dead ? " (dead)" : "", kinds[is->kind].name);
	printf(task ? " q%u %u.%u" : " q%u %u.%u>%u", is->query, is->exchange, is->task,
	       is->partition);
	if (task) {
		printf(", for %s", park_words[is->a < 5 ? is->a : 4]);
		if (is->kind == DSMX_FLIGHT_unpark)
			printf(" after %u us", is->b);
	} else {
		printf(", %s", peer_name(is->peer, peer));
		if (kinds[is->kind].a[0] != '-')
			printf(", %s %u", kinds[is->kind].a, is->a);
		if (kinds[is->kind].b[0] != '-')
			printf(", %s %u", kinds[is->kind].b, is->b);
	}
	putchar('\n');
}

static void json_line(const struct event *e)
{
	const struct dsmx_flight_event_abi *is = &e->is;
	char name[16];

	printf("{\"type\":\"%s\",\"at_ns\":%" PRIu64 ",\"session\":\"%016" PRIx64
	       "\",\"process\":\"%s\",\"pid\":%u,\"dead\":%s,\"number\":%" PRIu64
	       ",\"query\":%u,\"exchange\":%u,\"task\":%u,\"partition\":%u,\"peer\":%u",
	       kinds[is->kind].name, (uint64_t)is->at_ns, e->session, peer_name(e->peer, name),
	       e->pid, e->dead ? "true" : "false", e->number, is->query, is->exchange, is->task,
	       is->partition, is->peer);
	if (kinds[is->kind].a[0] != '-')
		printf(",\"%s\":%u", kinds[is->kind].a, is->a);
	if (kinds[is->kind].b[0] != '-')
		printf(",\"%s\":%u", kinds[is->kind].b, is->b);
	puts("}");
}

static void csv_line(const struct event *e)
{
	const struct dsmx_flight_event_abi *is = &e->is;
	char name[16];

	printf("%" PRIu64 ",%s,%016" PRIx64 ",%s,%u,%d,%" PRIu64 ",%u,%u,%u,%u,%u,%u,%u\n",
	       (uint64_t)is->at_ns, kinds[is->kind].name, e->session, peer_name(e->peer, name),
	       e->pid, e->dead, e->number, is->query, is->exchange, is->task, is->partition,
	       is->peer, is->a, is->b);
}

/* How much each recorder has and no longer has: never left out. */
static void write_recorder(const struct trace_options *o, const struct recorder *r)
{
	char name[16];

	if (o->format == FORMAT_JSON)
		printf("{\"type\":\"recorder\",\"session\":\"%016" PRIx64
		       "\",\"process\":\"%s\",\"pid\":%u,\"dead\":%s,\"written\":%" PRIu64
		       ",\"lost\":%" PRIu64 "}\n",
		       r->session, peer_name(r->peer, name), r->pid, r->dead ? "true" : "false",
		       r->written, r->lost);
	else
		fprintf(o->format == FORMAT_CSV ? stderr : stdout,
		        "%016" PRIx64 " %s, process %u%s: %" PRIu64 " events, the first %" PRIu64
		        " of them overwritten\n",
		        r->session, peer_name(r->peer, name), r->pid, r->dead ? ", dead" : "",
		        r->written, r->lost);
}

static void write_all(const struct trace_options *o, struct events *events,
                      const struct recorders *recorders)
{
	size_t first = o->count > 0 && o->count < events->count ? events->count - o->count : 0;

	if (events->count > 0)
		qsort(events->list, events->count, sizeof(*events->list), by_time);
	if (o->format == FORMAT_CSV)
		puts("at_ns,event,session,process,pid,dead,number,query,exchange,task,partition,peer,"
		     "a,b");
	for (size_t i = first; i < events->count; i++)
		if (o->format == FORMAT_JSON)
			json_line(&events->list[i]);
		else if (o->format == FORMAT_CSV)
			csv_line(&events->list[i]);
		else
			text_line(&events->list[i]);
	for (size_t i = 0; i < recorders->count; i++)
		write_recorder(o, &recorders->list[i]);
}

/* --- switching ------------------------------------------------------------------------------------------------------ */

/* Returns what it was before, or -errno. */
static int turn(const struct session *s, uint32_t on)
{
	int fd = s->control[0] != '\0' ? open(s->control, O_RDWR | O_CLOEXEC) : -1;
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS), was = -errno;
	struct dsmx_control_abi *words = MAP_FAILED;
	struct stat st;

	if (fd < 0)
		return s->control[0] != '\0' ? was : -ENOENT;
	if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 &&
	    st.st_size == DSMX_CONTROL_BYTES)
		words = mmap(NULL, DSMX_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	was = -EBADMSG;
	if (words != MAP_FAILED) {
		was = words->flight != 0;
		*(volatile __u32 *)&words->flight = on;
		munmap(words, DSMX_CONTROL_BYTES);
	}
	close(fd);
	return was;
}

static int turn_all(const struct sessions *sessions, bool on, bool say)
{
	int status = EXIT_OK;

	for (uint32_t i = 0; i < sessions->count; i++) {
		const struct session *s = sessions->list[i];
		int was = turn(s, on);

		if (was < 0) {
			fprintf(stderr,
			        "dsmx-trace: session %016" PRIx64
			        ": cannot switch its flight recorders: %s\n",
			        s->id, strerror(-was));
			status = was == -EACCES ? EXIT_PERMISSION : EXIT_ERROR;
		} else if (say) {
			printf("session %016" PRIx64 ": flight recorders %s%s\n", s->id,
			       on ? "on" : "off", was == on ? ", as they were" : "");
		}
	}
	return status;
}

/* Those that were off are off again afterwards. */
static int record_for(const struct trace_options *o, const struct sessions *sessions)
{
	bool *was_off = mem_alloc((sessions->count + 1) * sizeof(*was_off));
	int status = EXIT_OK;

	for (uint32_t i = 0; i < sessions->count; i++)
		was_off[i] = turn(sessions->list[i], 1) == 0;
	(void)sleep_until(clock_ns() + (uint64_t)(o->duration_s * NS_PER_S));
	for (uint32_t i = 0; i < sessions->count; i++)
		if (was_off[i] && turn(sessions->list[i], 0) < 0)
			status = EXIT_ERROR;
	free(was_off);
	return status;
}

int flight_main(const struct trace_options *options)
{
	struct sessions sessions = { .count = 0 };
	struct events events = { .count = 0 };
	struct recorders recorders = { .count = 0 };
	int status = EXIT_OK;

	sessions_find(&sessions, options);
	if (sessions.count == 0) {
		status = sessions_none(&sessions, options);
	} else if (options->turn != 0) {
		status = turn_all(&sessions, options->turn > 0, true);
	} else {
		if (options->duration_s > 0)
			status = record_for(options, &sessions);
		take_all(options, &sessions, &events, &recorders);
		write_all(options, &events, &recorders);
	}
	free(events.list);
	free(recorders.list);
	sessions_fini(&sessions);
	return status;
}
