/* SPDX-License-Identifier: MIT */
#include "hostile.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "batch/frame.h"

#define HOT 16 /* places that were written last */

/* --- the process that writes at the same time ------------------------------------------------------------------- */

/* Shared with it: where to, by address, which is the same after a fork(). */
struct hot {
	uint64_t *at[HOT];
	uint64_t next;
	uint64_t words;      /* its own count */
	uint64_t turn, seen; /* it has seen that all places of before are forgotten */
};

static struct hot *hot;
static pid_t
	writer; /* 0: not born yet. Not shared: a fork() answers both, and the child's answer is 0 */
static uint64_t noted; /* hot->next, when all places were forgotten last */

static void keep_writing(pid_t owner)
{
	uint64_t state = (uint64_t)getpid();

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != owner)
		_exit(0);
	for (;;) {
		uint64_t drawn = fuzz_draw(&state), before;
		uint64_t *at;

		__atomic_store_n(&hot->seen, __atomic_load_n(&hot->turn, __ATOMIC_SEQ_CST),
		                 __ATOMIC_SEQ_CST);
		at = dx_load_plain(&hot->at[drawn % HOT]);

		if (at == NULL) {
			sched_yield();
			continue;
		}
		before = dx_load_plain(at);
		dx_store_plain(at, drawn / HOT % 2 == 0 ? before ^ 1ULL << drawn / 64 % 64
		                                        : fuzz_draw(&state));
		dx_store_plain(&hot->words, hot->words + 1);
		for (uint64_t i = drawn / 256 % 64; i > 0; i--)
			dx_spin_pause();
		dx_store_plain(at, before); /* so that the reader gets on */
	}
}

static void end_writing(void)
{
	if (writer > 0)
		(void)kill(writer, SIGKILL);
	fuzz_words += hot->words;
}

static void start_writing(void)
{
	hot = mmap(NULL, sizeof(*hot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	FUZZ_CHECK(hot != MAP_FAILED);
	fuzz_words_beside = &hot->words;
	(void)atexit(end_writing);
}

/* After all segments are mapped: it has them where we have. */
static void fork_writer(void)
{
	pid_t owner = getpid();

	if (hot == NULL || writer != 0)
		return;
	fflush(NULL);
	writer = fork();
	FUZZ_CHECK(writer >= 0);
	if (writer == 0)
		keep_writing(owner);
}

static void note_hot(void *at)
{
	if (hot != NULL)
		dx_store_plain(&hot->at[hot->next++ % HOT],
		               (uint64_t *)((uintptr_t)at & ~(uintptr_t)7));
}

static void forget_hot(void)
{
	uint64_t turn;

	if (hot == NULL ||
	    hot->next == noted) /* that waits for the writer to have its turn on a core */
		return;
	noted = hot->next;
	for (int i = 0; i < HOT; i++)
		dx_store_plain(&hot->at[i], NULL);
	if (writer == 0)
		return;
	turn = hot->turn + 1;
	__atomic_store_n(&hot->turn, turn, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&hot->seen, __ATOMIC_SEQ_CST) != turn)
		sched_yield();
}

/* --- segments ------------------------------------------------------------------------------------------------------ */

static struct dx_mesh_params params_of(uint32_t self, uint32_t peers)
{
	return (struct dx_mesh_params){
		.session = 77,
		.epoch = 10 + self,
		.self = self,
		.peers = peers,
		.slots = HOSTILE_SLOTS,
		.frames = HOSTILE_FRAMES,
		.tasks = HOSTILE_TASKS,
		.data_bytes = HOSTILE_DATA,
		.pages = DSMX_PAGES_SMALL,
		.numa_node = -1,
	};
}

struct dsmx_page_abi *hostile_page(const struct hostile *h)
{
	return h->page.base;
}

uint64_t hostile_epoch(const struct hostile *h)
{
	return 10 + h->self;
}

void hostile_open(struct hostile *h, uint32_t self, uint32_t peers)
{
	struct dx_mesh_params p = params_of(self, peers);

	if (fuzz_concurrent && hot == NULL)
		start_writing();
	forget_hot();
	h->self = self;
	h->peers = peers;
	h->layout = dx_layout(p.peers, p.slots, p.frames, p.tasks);
	h->next_frame = 0;
	memset(h->tail, 0, sizeof(h->tail));
	if (h->page.base == NULL) {
		FUZZ_CHECK(dx_segment_create("hostile-page", h->layout.bytes, p.pages, -1, &h->page,
		                             NULL) == 0);
		FUZZ_CHECK(dx_segment_create("hostile-data", p.data_bytes, p.pages, -1, &h->data,
		                             NULL) == 0);
	}
	memset(h->page.base, 0, h->page.bytes);
	memset(h->data.base, 0, h->data.bytes);
	*hostile_page(h) = (struct dsmx_page_abi){
		.magic = DSMX_PAGE_MAGIC,
		.version = DSMX_ABI_VERSION,
		.peer = self,
		.session = p.session,
		.epoch = p.epoch,
		.pid = (uint32_t)getpid(),
		.peers = p.peers,
		.slots = p.slots,
		.frames = p.frames,
		.tasks = p.tasks,
		.data_bytes = p.data_bytes,
		.state = DSMX_STATE_OPEN,
	};
	for (uint32_t i = 0; i < peers; i++)
		DX_LAYOUT_AT(uint64_t, h->page.base, h->layout.mapped, 0)[i] = 10 + i;
}

void hostile_attach(const struct hostile *h, struct dx_mesh *reader)
{
	fork_writer();
	FUZZ_CHECK(dx_mesh_attach(reader, h->self, hostile_epoch(h), h->page.fd, h->data.fd, -1,
	                          NULL) == 0);
}

void hostile_write(struct hostile *h, bool in_data, size_t offset, uint64_t value, size_t bytes)
{
	char *at = (char *)(in_data ? h->data.base : h->page.base) + offset;

	memcpy(at, &value, bytes);
	note_hot(at);
	fuzz_words++;
}

/* --- anywhere ------------------------------------------------------------------------------------------------------- */

/* The words of one part of the page: @count records of @bytes from @part on. */
struct target {
	bool in_data;
	size_t part;
	size_t bytes;
	uint32_t count;
};

static size_t ring_at(const struct hostile *h, uint32_t victim, uint32_t slot)
{
	return dx_layout_slot(&h->layout, victim, slot) * h->layout.frames *
	       sizeof(struct dsmx_descriptor_abi);
}

static struct target pick_target(const struct hostile *h, uint32_t victim, uint32_t slot,
                                 uint32_t which)
{
	const struct dx_layout *l = &h->layout;
	size_t at = dx_layout_slot(l, victim, slot);

#define RECORD(type, part_, index)                                                                 \
	(struct target){ false, (part_) + (index) * sizeof(type), sizeof(type), 1 }
#define TABLE(type, part_, count_)                                                                 \
	(struct target)                                                                            \
	{                                                                                          \
		false, part_, sizeof(type), count_                                                 \
	}
	switch (which) {
	case 0:
		return (struct target){ false, 0, 8, (uint32_t)(h->page.bytes / 8) };
	case 1:
		return (struct target){ true, 0, 8, (uint32_t)(h->data.bytes / 8) };
	case 2:
		return RECORD(struct dsmx_request_abi, l->requests, at);
	case 3:
		return RECORD(struct dsmx_stream_abi, l->streams, at);
	case 4:
		return RECORD(uint64_t, l->request_words, at);
	case 5:
		return RECORD(uint64_t, l->stream_words, at);
	case 6:
		return RECORD(struct dsmx_bell_abi, l->bells, victim);
	case 7:
		return TABLE(uint32_t, l->logs + at * l->frames * sizeof(uint32_t), l->frames);
	case 8:
		return (struct target){ true, ring_at(h, victim, slot),
			                sizeof(struct dsmx_descriptor_abi), l->frames };
	case 9:
		return TABLE(struct dsmx_task_abi, l->task_records, l->tasks);
	case 10:
		return TABLE(struct dsmx_query_abi, l->queries, 3);
	case 11:
		return TABLE(struct dsmx_error_abi, l->errors, 3);
	case 12:
		return TABLE(uint64_t, l->mapped, (uint32_t)((l->live - l->mapped) / 8));
	case 13:
		return RECORD(struct dsmx_live_abi, l->live, victim);
	case 14:
		return TABLE(uint64_t, 0, sizeof(struct dsmx_page_abi) / 8);
	default: /* headers of frames, and what follows them */
		return (struct target){ true, h->data.bytes / 2, 128, 16 };
	}
#undef RECORD
#undef TABLE
}

void hostile_scribble(struct hostile *h, uint32_t victim, struct script *s)
{
	uint32_t which = script_pick(s, 16), slot = script_pick(s, HOSTILE_SLOTS);
	struct target t = pick_target(h, victim, slot, which);
	size_t size = which == 7 ? 4 : (size_t)1 << (script_pick(s, 8) < 5 ? 3 : 2);
	size_t at;
	uint64_t now = 0;

	size = size < t.bytes ? size : t.bytes;
	at = t.part + script_pick(s, t.count) * t.bytes;
	at += script_pick(s, (uint32_t)(t.bytes / size)) * size;
	memcpy(&now, (char *)(t.in_data ? h->data.base : h->page.base) + at, size);
	/* A word of two parts: as often the state as the generation. */
	if ((which == 4 || which == 5) && script_u8(s) % 2 == 0)
		now = DSMX_WORD(DSMX_WORD_GENERATION(now) + (uint64_t)script_pick(s, 5) - 2,
		                script_pick(s, 8));
	else
		now = script_value(s, now, HOSTILE_DATA);
	hostile_write(h, t.in_data, at, now, size);
}

/* --- an honest producer --------------------------------------------------------------------------------------- */

static uint64_t word_of(const struct dx_mesh *victim, const struct hostile *h, size_t part,
                        uint32_t slot)
{
	return DX_LAYOUT_AT(uint64_t, dx_mesh_page(victim), part,
	                    dx_layout_slot(&h->layout, h->self, slot))[0];
}

static size_t own_slot(const struct hostile *h, const struct dx_mesh *victim, uint32_t slot)
{
	return dx_layout_slot(&h->layout, dx_mesh_self(victim), slot);
}

static struct dsmx_stream_abi *stream_of(const struct hostile *h, const struct dx_mesh *victim,
                                         uint32_t slot)
{
	return DX_LAYOUT_AT(struct dsmx_stream_abi, h->page.base, h->layout.streams,
	                    own_slot(h, victim, slot));
}

void hostile_ring(struct hostile *h, uint32_t victim)
{
	struct dsmx_bell_abi *line =
		DX_LAYOUT_AT(struct dsmx_bell_abi, h->page.base, h->layout.bells, victim);

	line->bell++;
	line->changes++;
	line->requests = line->streams = HOSTILE_SLOTS;
}

void hostile_answer(struct hostile *h, struct dx_mesh *victim, uint32_t slot, uint32_t state)
{
	uint64_t word = word_of(victim, h, h->layout.request_words, slot);
	struct dsmx_request_abi ask =
		*DX_LAYOUT_AT(struct dsmx_request_abi, dx_mesh_page(victim), h->layout.requests,
	                      dx_layout_slot(&h->layout, h->self, slot));
	struct dsmx_stream_abi *out = stream_of(h, victim, slot);
	uint64_t *answer = DX_LAYOUT_AT(uint64_t, h->page.base, h->layout.stream_words,
	                                own_slot(h, victim, slot));

	if (state == DSMX_STREAM_RUNNING) {
		*out = (struct dsmx_stream_abi){
			.query = ask.query,
			.exchange = ask.exchange,
			.task = ask.task,
			.ring_offset = ring_at(h, dx_mesh_self(victim), slot),
			.ring_slots = h->layout.frames,
			.record = slot % HOSTILE_TASKS,
			.wanted_taken = DSMX_WANTED_NONE,
			.wanted_released = DSMX_WANTED_NONE,
		};
		h->tail[dx_mesh_self(victim)][slot] = 0;
	}
	out->final_tail = out->tail;
	if (state == DSMX_STREAM_ERROR || state == DSMX_STREAM_NAK) {
		out->code = -EIO;
		out->error = slot;
		*DX_LAYOUT_AT(struct dsmx_error_abi, h->page.base, h->layout.errors, slot) =
			(struct dsmx_error_abi){ .query = ask.query,
			                         .exchange = ask.exchange,
			                         .code = -EIO,
			                         .worker = (int)h->self - 1,
			                         .time_ns = 1,
			                         .len = 4,
			                         .text = "lost" };
	}
	dx_store_release(DX_EDGE_STREAM, answer, DSMX_WORD(DSMX_WORD_GENERATION(word), state));
	note_hot(out);
	note_hot(answer);
	hostile_ring(h, dx_mesh_self(victim));
}

#define COLUMNS_MAX 8
#define FRAME_BYTES 2048

/* A frame of @rows rows, at @to; returns its bytes. */
static uint32_t fill_frame(char *to, const struct dsmx_schema *schema, uint32_t rows)
{
	struct dx_frame_column at[COLUMNS_MAX];
	uint32_t rooms[COLUMNS_MAX];
	struct dsmx_frame_column_abi *columns = (void *)(to + sizeof(struct dsmx_frame_abi));
	int64_t bytes;

	for (uint32_t i = 0; i < COLUMNS_MAX; i++)
		rooms[i] = 64;
	FUZZ_CHECK(schema->field_count <= COLUMNS_MAX);
	bytes = dx_frame_plan(schema, rows, rooms, at);
	if (bytes < 0 || bytes > FRAME_BYTES)
		return 0;
	memset(to, 0, (size_t)bytes);
	*(struct dsmx_frame_abi *)(void *)to =
		(struct dsmx_frame_abi){ DSMX_FRAME_MAGIC, rows, schema->field_count,
		                         (uint32_t)bytes };
	for (uint32_t i = 0; i < schema->field_count; i++) {
		struct dsmx_type type = schema->fields[i].type;

		columns[i] = (struct dsmx_frame_column_abi){ at[i].validity, at[i].values,
			                                     at[i].text, at[i].text == 0 ? 0 : 64 };
		if (at[i].validity != 0)
			memset(to + at[i].validity, 0x5a, (rows + 7) / 8);
		for (uint32_t row = 0; row <= rows && dsmx_type_is_text(type); row++)
			((int32_t *)(void *)(to + at[i].values))[row] =
				(int32_t)(row % 8 == 0 ? row / 8 : row / 8 + 1);
	}
	return (uint32_t)bytes;
}

void hostile_send(struct hostile *h, struct dx_mesh *victim, uint32_t slot,
                  const struct dsmx_schema *schema, uint32_t rows)
{
	struct dsmx_stream_abi *out = stream_of(h, victim, slot);
	uint64_t *tail = &h->tail[dx_mesh_self(victim)][slot];
	uint64_t generation =
		DSMX_WORD_GENERATION(word_of(victim, h, h->layout.request_words, slot));
	const struct dsmx_request_abi *in =
		DX_LAYOUT_AT(struct dsmx_request_abi, dx_mesh_page(victim), h->layout.requests,
	                     dx_layout_slot(&h->layout, h->self, slot));
	struct dsmx_descriptor_abi *ring =
		(void *)((char *)h->data.base + ring_at(h, dx_mesh_self(victim), slot));
	size_t at = HOSTILE_DATA / 2 + h->next_frame++ % 16 * FRAME_BYTES;
	uint32_t bytes;

	if (*tail - in->released >= h->layout.frames)
		return;
	bytes = fill_frame((char *)h->data.base + at, schema, rows);
	ring[*tail % h->layout.frames] =
		(struct dsmx_descriptor_abi){ .offset = at,
		                              .bytes = bytes,
		                              .rows = rows,
		                              .frame = (uint32_t)(*tail % h->layout.frames),
		                              .generation = (uint32_t)generation };
	note_hot(&ring[*tail % h->layout.frames]);
	note_hot((char *)h->data.base + at);
	dx_store_release(DX_EDGE_TAIL, &out->tail, ++*tail);
	hostile_ring(h, dx_mesh_self(victim));
}

/* --- an honest consumer --------------------------------------------------------------------------------------- */

void hostile_ask(struct hostile *h, struct dx_mesh *victim, uint32_t slot,
                 const struct dsmx_request_abi *request, uint32_t state)
{
	size_t at = own_slot(h, victim, slot);
	uint64_t *word = DX_LAYOUT_AT(uint64_t, h->page.base, h->layout.request_words, at);
	struct dsmx_request_abi *in =
		DX_LAYOUT_AT(struct dsmx_request_abi, h->page.base, h->layout.requests, at);

	*in = *request;
	in->wanted = DSMX_WANTED_NONE;
	in->epoch = dx_mesh_epoch(victim, dx_mesh_self(victim));
	dx_store_release(DX_EDGE_REQUEST, word, DSMX_WORD(DSMX_WORD_GENERATION(*word) + 1, state));
	note_hot(in);
	note_hot(word);
	hostile_ring(h, dx_mesh_self(victim));
}

void hostile_say(struct hostile *h, struct dx_mesh *victim, uint32_t slot, uint32_t state)
{
	uint64_t *word = DX_LAYOUT_AT(uint64_t, h->page.base, h->layout.request_words,
	                              own_slot(h, victim, slot));

	dx_store_release(DX_EDGE_REQUEST, word, DSMX_WORD(DSMX_WORD_GENERATION(*word), state));
	note_hot(word);
	hostile_ring(h, dx_mesh_self(victim));
}

void hostile_release(struct hostile *h, struct dx_mesh *victim, uint32_t slot)
{
	size_t theirs = dx_layout_slot(&h->layout, h->self, slot), at = own_slot(h, victim, slot);
	const struct dsmx_stream_abi *out = DX_LAYOUT_AT(
		struct dsmx_stream_abi, dx_mesh_page(victim), h->layout.streams, theirs);
	struct dsmx_request_abi *in =
		DX_LAYOUT_AT(struct dsmx_request_abi, h->page.base, h->layout.requests, at);
	uint32_t *log = DX_LAYOUT_AT(uint32_t, h->page.base, h->layout.logs, at * h->layout.frames);
	const struct dsmx_descriptor_abi *ring =
		(void *)(dx_mesh_data(victim) +
	                 theirs * h->layout.frames * sizeof(struct dsmx_descriptor_abi));
	uint64_t tail = out->tail;

	in->taken = tail;
	if (in->released >= tail)
		return;
	log[in->released % h->layout.frames] = ring[in->released % h->layout.frames].frame;
	note_hot(&log[in->released % h->layout.frames]);
	dx_store_release(DX_EDGE_RELEASED, &in->released, in->released + 1);
	note_hot(&in->taken);
}

/* --- the reader -------------------------------------------------------------------------------------------------- */

void reader_open(struct reader *r, uint32_t self, uint32_t peers)
{
	struct dx_mesh_params params = params_of(self, peers);
	struct process *p = &r->process;

	*r = (struct reader){ .state = 1, .clock_ns = DX_NS_PER_S };
	p->wait = calloc(1, sizeof(*p->wait));
	FUZZ_CHECK(p->wait != NULL);
	p->wait->wait.ops = &sim_ops;
	p->wait->state = &r->state;
	p->wait->clock_ns = &r->clock_ns;
	dx_list_init(&p->wait->words);
	FUZZ_CHECK(dx_reactor_new_over(&p->wait->wait, false, &p->reactor, NULL) == 0);
	FUZZ_CHECK(dx_mesh_new(p->reactor, &params, &p->mesh, NULL) == 0);
}

void reader_close(struct reader *r)
{
	struct process *p = &r->process;

	forget_hot();
	if (p->service != NULL)
		dx_service_free(p->service);
	dx_mesh_free(p->mesh);
	dx_reactor_free(p->reactor);
}

void reader_turn(struct reader *r)
{
	for (int i = 0; i < 3; i++)
		if (dx_reactor_turn(r->process.reactor, 0) == 0)
			break;
}
