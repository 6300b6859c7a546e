/* SPDX-License-Identifier: MIT */
/*
 * soak.c - records of random sizes, with random stalls, through two processes, for as long as it takes
 *
 *	soak [-r RECORDS] [-p PARKS] [-w auto|uring|futex] [-s SEED]
 *
 * Two phases over true meshes in two processes. First RECORDS frames with generous credit, so that most find the other
 * side awake. Then frames with credit for one, and no patience: each side sleeps after each, until there were PARKS
 * parks. Each record has its number at both ends, and comes back in any order. Bells start just below 2^32 and wrap.
 *
 * A wake is lost if a park ended by its bound alone: the reactor's late_parks. Exit code 0: none was, and every record
 * came once, in order, whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "chan/internal.h"
#include "task/reactor.h"

enum { CONSUMER, PRODUCER, FRAMES = 64, HELD = 7, BEFORE_WRAP = 1000 };

/* What each process says of itself: in memory that both share, each its own. */
struct report {
	uint64_t records, wrong, parks, late, stalls;
	int failed;
};

struct soak {
	uint64_t records, parks, seed;
	enum dsmx_wait_backend wait;
};

struct side {
	const struct soak *soak;
	struct report *report; /* by process */
	uint32_t self;
	bool one_by_one;
	struct dx_reactor *reactor;
	struct dx_mesh *mesh;
	struct dx_mesh_ops ops;
	struct dx_task task;
	struct dx_rx *rx;
	struct dx_tx *tx;
	uint64_t end; /* records of this phase, or parks */
	uint64_t next;
	uint64_t random;
	uint32_t held[HELD];
	uint32_t held_count;
	bool over;
};

static uint64_t draw(struct side *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random >> 8;
}

/* Mostly nothing, sometimes shorter than a reactor's patience, seldom longer. */
static void stall(struct side *s)
{
	uint64_t what = draw(s) % 65536, end_ns;

	if (what > 16)
		return;
	s->report[s->self].stalls++;
	end_ns = dx_now_ns() + draw(s) % (what == 0 ? 300000 : 5000);
	while (dx_now_ns() < end_ns)
		dx_spin_pause();
}

/* Most are small, some fill slabs. */
static uint32_t size_of_next(struct side *s)
{
	uint64_t what = draw(s) % 1024;
	uint32_t most = what == 0 ? 200000 : what < 16 ? 16384 : 512;

	return (uint32_t)sizeof(struct dsmx_frame_abi) + 16 + (uint32_t)(draw(s) % most);
}

/* --- the producer -------------------------------------------------------------------------------------------------- */

/* Is the phase over? The consumer counts the parks of both: it is the one that shows progress. */
static bool is_enough(const struct side *s)
{
	if (!s->one_by_one)
		return s->next == s->end;
	return dx_load_plain(&s->report[0].parks) + dx_load_plain(&s->report[1].parks) >= s->end;
}

static int send_one(struct side *s, struct dsmx_cx *cx)
{
	uint32_t len = s->one_by_one ? 64 : size_of_next(s);
	struct dx_frame *frame;
	int r = dx_tx_room(s->tx, len, cx->waker);

	if (r < 0)
		return r;
	r = dx_frame_new(s->mesh, len, true, cx->waker, &frame);
	if (r < 0)
		return r;
	memcpy(frame->bytes, &s->next, sizeof(s->next));
	memcpy(frame->bytes + len - sizeof(s->next), &s->next, sizeof(s->next));
	dx_tx_push(s->tx, frame, len, 1);
	s->next++;
	return 1;
}

static int produce(struct dx_task *task, struct dsmx_cx *cx)
{
	struct side *s = DX_CONTAINER(task, struct side, task);
	int r;

	if (s->tx == NULL)
		return 0;
	for (uint32_t i = 0; !is_enough(s); i++) {
		stall(s);
		r = send_one(s, cx);
		if (r == -EAGAIN)
			return 0;
		if (r < 0)
			return r;
		if (i % 64 == 63 && dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return 0;
		}
	}
	dx_tx_finish(s->tx, DSMX_STREAM_FIN, NULL);
	s->tx = NULL;
	s->over = true;
	return 1;
}

static void on_request(struct dx_mesh *mesh, uint32_t peer, uint32_t slot, uint64_t word,
                       const struct dsmx_request_abi *request)
{
	struct side *s = dx_mesh_ops(mesh)->arg;
	uint64_t credit = s->one_by_one ? 1 : 4 << 20;

	if (DSMX_WORD_STATE(word) == DSMX_REQUEST_START && s->tx == NULL &&
	    dx_tx_open(mesh, peer, slot, word, request, 0, credit, &s->tx) == 0)
		dx_task_wake(&s->task);
}

/* --- the consumer -------------------------------------------------------------------------------------------------- */

static void give_back(struct side *s, uint32_t at)
{
	uint32_t id = s->held[at];

	s->held[at] = s->held[--s->held_count];
	dx_rx_release(s->rx, id);
}

static void check(struct side *s, const struct dx_frame_view *view)
{
	struct report *report = &s->report[CONSUMER];
	uint64_t first, last;

	memcpy(&first, view->bytes, sizeof(first));
	memcpy(&last, (const char *)view->bytes + view->len_bytes - sizeof(last), sizeof(last));
	report->wrong += first != s->next || last != s->next;
	s->next++;
	report->records++;
}

static int consume(struct dx_task *task, struct dsmx_cx *cx)
{
	struct side *s = DX_CONTAINER(task, struct side, task);
	uint32_t keep = s->one_by_one ? 0 : HELD - 1;
	struct dx_frame_view view;
	int r;

	for (uint32_t i = 0;; i++) {
		stall(s);
		r = dx_rx_next(s->rx, cx->waker, &view, cx->err);
		if (r != 1)
			break;
		check(s, &view);
		s->held[s->held_count++] = view.id;
		while (s->held_count > keep)
			give_back(s, (uint32_t)(draw(s) % s->held_count));
		if (i % 64 == 63 && dsmx_cx_expired(cx)) {
			dsmx_cx_yield(cx);
			return 0;
		}
	}
	if (r == -EAGAIN) { /* whoever waits holds nothing back */
		while (s->held_count > 0)
			give_back(s, 0);
		return 0;
	}
	while (s->held_count > 0)
		give_back(s, 0);
	dx_rx_close(s->rx);
	s->over = true;
	return r < 0 ? r : 1;
}

static void ended(struct dx_task *task, int result, const struct dsmx_error *err)
{
	struct side *s = DX_CONTAINER(task, struct side, task);

	if (result < 0)
		fprintf(stderr, "process %u: %s\n", s->self, err->message);
	s->report[s->self].failed |= result < 0;
	s->over = true;
}

/* --- one process --------------------------------------------------------------------------------------------------- */

static int make(struct side *s)
{
	struct dx_mesh_params params = {
		.session = 77,
		.epoch = 10 + s->self,
		.self = s->self,
		.peers = 2,
		.slots = 4,
		.frames = FRAMES,
		.tasks = 4,
		.data_bytes = 16 << 20,
		.pages = DSMX_PAGES_AUTO,
		.numa_node = -1,
	};
	struct dx_wait *wait;
	int r = dx_wait_new(s->soak->wait, &wait, NULL);

	if (r < 0)
		return r;
	r = dx_reactor_new_over(wait, !s->one_by_one, &s->reactor, NULL);
	if (r == 0)
		r = dx_mesh_new(s->reactor, &params, &s->mesh, NULL);
	if (r < 0)
		return r;
	s->mesh->peers[1 - s->self].own_line->bell = -(uint32_t)BEFORE_WRAP;
	s->ops = (struct dx_mesh_ops){ .request = on_request, .arg = s };
	dx_mesh_set_ops(s->mesh, &s->ops);
	return 0;
}

static void show(const struct side *s, uint64_t *shown_ns)
{
	uint64_t now_ns = dx_now_ns();

	if (s->self != CONSUMER || now_ns - *shown_ns < DX_NS_PER_S || !isatty(STDERR_FILENO))
		return;
	*shown_ns = now_ns;
	fprintf(stderr, "\r%" PRIu64 " records, %" PRIu64 " parks, %" PRIu64 " late ",
	        s->report[0].records, s->report[0].parks + s->report[1].parks,
	        s->report[0].late + s->report[1].late);
}

static void run(struct side *s, int page_fd, int data_fd)
{
	static const struct dx_stream_key key = { .query = 1, .partitions = 1 };
	struct report *report = &s->report[s->self];
	uint64_t parks = report->parks, late = report->late, shown_ns = 0;
	struct dx_reactor_stats stats = { 0 };
	int r = dx_mesh_attach(s->mesh, 1 - s->self, 10 + 1 - s->self, page_fd, data_fd, -1, NULL);

	s->task = (struct dx_task){ .poll = s->self == PRODUCER ? produce : consume, .end = ended };
	if (r == 0 && s->self == CONSUMER)
		r = dx_rx_open(s->mesh, PRODUCER, &key, false, &s->rx, NULL);
	report->failed |= r < 0;
	dx_task_start(s->reactor, &s->task);
	while (r == 0 && !s->over) {
		(void)dx_reactor_turn(s->reactor, DX_NEVER);
		dx_reactor_stats(s->reactor, &stats);
		dx_store_plain(&report->parks, parks + stats.parks);
		dx_store_plain(&report->late, late + stats.late_parks);
		show(s, &shown_ns);
	}
	/* The last words, until the other side has heard them. */
	for (uint64_t end_ns = dx_now_ns() + 2 * DX_NS_PER_S; r == 0 && dx_now_ns() < end_ns &&
	                                                      s->self == PRODUCER &&
	                                                      !dx_list_empty(&s->mesh->tx_all);)
		(void)dx_reactor_turn(s->reactor, end_ns);
	dx_mesh_flush(s->mesh);
}

static void unmake(struct side *s)
{
	dx_task_stop(&s->task);
	dx_mesh_free(s->mesh);
	dx_reactor_free(s->reactor);
}

/* --- both ---------------------------------------------------------------------------------------------------------- */

static int run_phase(const struct soak *soak, struct report *report, bool one_by_one)
{
	struct side sides[2];
	int status = 1;
	pid_t pid;

	memset(sides, 0, sizeof(sides));
	for (uint32_t i = 0; i < 2; i++) {
		sides[i] = (struct side){ .soak = soak,
			                  .report = report,
			                  .self = i,
			                  .one_by_one = one_by_one,
			                  .end = one_by_one ? soak->parks : soak->records,
			                  .random = soak->seed * 88172645463325252ULL + i };
		if (make(&sides[i]) < 0)
			return -1;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		run(&sides[PRODUCER], sides[CONSUMER].mesh->page.fd, sides[CONSUMER].mesh->data.fd);
		_exit(0);
	}
	if (pid < 0)
		return -1;
	run(&sides[CONSUMER], sides[PRODUCER].mesh->page.fd, sides[PRODUCER].mesh->data.fd);
	(void)waitpid(pid, &status, 0);
	for (int i = 0; i < 2; i++)
		unmake(&sides[i]);
	return status;
}

static uint64_t number(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (*end != '\0' || value < 1) {
		fprintf(stderr, "soak: %s is no number\n", text);
		exit(2);
	}
	return (uint64_t)value;
}

int main(int argc, char **argv)
{
	struct soak soak = { .records = 1000000000, .parks = 10000000, .seed = 1 };
	struct report *report = mmap(NULL, 2 * sizeof(*report), PROT_READ | PROT_WRITE,
	                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t begin_ns = dx_now_ns(), late, wrong;
	int option, failed;

	while ((option = getopt(argc, argv, "r:p:w:s:")) != -1) {
		if (option == 'r')
			soak.records = number(optarg);
		else if (option == 'p')
			soak.parks = number(optarg);
		else if (option == 's')
			soak.seed = number(optarg);
		else if (option == 'w')
			soak.wait = strcmp(optarg, "uring") == 0   ? DSMX_WAIT_URING
			            : strcmp(optarg, "futex") == 0 ? DSMX_WAIT_FUTEX
			                                           : DSMX_WAIT_AUTO;
		else
			return 2;
	}
	if (report == MAP_FAILED)
		return 2;
	failed = run_phase(&soak, report, false) | run_phase(&soak, report, true);
	late = report[0].late + report[1].late;
	wrong = report[0].wrong;
	failed |= report[0].failed | report[1].failed;
	printf("%s%" PRIu64 " records, %" PRIu64 " of them wrong, %" PRIu64 " stalls, %" PRIu64
	       " parks, %" PRIu64 " lost wakes, %.0f s\n",
	       isatty(STDERR_FILENO) ? "\n" : "", report[0].records, wrong,
	       report[0].stalls + report[1].stalls, report[0].parks + report[1].parks, late,
	       (double)(dx_now_ns() - begin_ns) / 1e9);
	return failed != 0 || late > 0 || wrong > 0;
}
