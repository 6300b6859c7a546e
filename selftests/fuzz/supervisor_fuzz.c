/* SPDX-License-Identifier: MIT */
/*
 * supervisor_fuzz.c - the supervisor, and what it is told over its sockets: by workers that say anything at any time, with
 * any descriptors; by a leader; by whoever steers the session
 *
 * The supervisor's own functions run over a simulated wait: who speaks, who is heard, and how time goes by is the
 * script's. An honest start gets all workers READY; a script goes from there, or from any point before it. Instead of
 * starting programs, the target puts a new incarnation's socket into its worker, as dx_worker_spawn() would; the one
 * process that all of them stand for is a child that may be killed.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostile.h"
#include "worker/supervisor.h"

enum { PEERS = 3, WORKERS = PEERS - 1, FDS_MAX = 8 };

const struct fuzz_target fuzz_target = { .name = "supervisor", .len_max = 2048 };

struct target {
	struct sim_wait *wait;
	uint64_t state, clock_ns;
	struct dx_supervisor *supervisor;
	int ends[PEERS]; /* the other ends of the sockets; -1: closed */
	int client;
};

static struct hostile segments[PEERS];
static int odd_fds
	[4]; /* what is no segment: a device, a pipe, a memfd without seals, a file of another size */
static pid_t child;

static void make_odd(void)
{
	int both[2];

	FUZZ_CHECK(pipe2(both, O_CLOEXEC | O_NONBLOCK) == 0);
	odd_fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	odd_fds[1] = both[0];
	odd_fds[2] = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	odd_fds[3] = memfd_create("hostile", MFD_CLOEXEC);
	FUZZ_CHECK(odd_fds[0] >= 0 && odd_fds[2] >= 0 && odd_fds[3] >= 0);
	FUZZ_CHECK(ftruncate(odd_fds[3], 1 << 16) == 0);
	for (uint32_t i = 0; i < PEERS; i++)
		hostile_open(&segments[i], i, PEERS);
}

/* Killed now and then; a pidfd of it stays one. */
static void make_child(void)
{
	child = fork();
	FUZZ_CHECK(child >= 0);
	while (child == 0)
		(void)pause();
}

/* --- the supervisor ----------------------------------------------------------------------------------------------- */

static void take_end(struct target *t, uint32_t index, struct dx_wait_fd *ret_fd)
{
	int both[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) == 0);
	t->ends[index] = both[1];
	*ret_fd = (struct dx_wait_fd){ .fd = both[0] };
	FUZZ_CHECK(dx_listen(t->supervisor->reactor, ret_fd) == 0);
}

/* What dx_worker_spawn() leaves, but for the program and its group. */
static void spawn(struct target *t, struct dx_worker *worker)
{
	struct dx_supervisor *supervisor = t->supervisor;

	worker->generation++;
	worker->epoch = ++supervisor->last_epoch;
	worker->ended_as = DSMX_EXIT_NONE;
	worker->said.code = 0;
	worker->ready_ns = 0;
	worker->isolation = 0;
	worker->after = DX_AFTER_POLICY;
	worker->frozen = false;
	worker->process = (struct dx_process){ child, dx_pidfd_open(child) };
	FUZZ_CHECK(worker->process.pidfd >= 0);
	worker->exit = (struct dx_wait_fd){ .fd = worker->process.pidfd };
	FUZZ_CHECK(dx_listen(supervisor->reactor, &worker->exit) == 0);
	take_end(t, worker->peer, &worker->control);
	worker->state = DX_WORKER_STARTING;
	dx_timer_start(supervisor->reactor, &worker->timer, t->clock_ns + DX_NS_PER_S);
}

/* What dx_worker_reap() leaves. */
static void bury(struct target *t, struct dx_worker *worker)
{
	dx_worker_close_control(worker);
	dx_unlisten(t->supervisor->reactor, &worker->exit);
	dx_timer_stop(&worker->timer);
	if (worker->process.pidfd >= 0)
		(void)close(worker->process.pidfd);
	worker->process.pidfd = -1;
	dx_watch_forget(worker);
	dx_refusal_close(worker);
	dx_member_offer_close(&worker->offer);
	worker->state = DX_WORKER_BACKOFF;
	if (t->ends[worker->peer] >= 0)
		(void)close(t->ends[worker->peer]);
	t->ends[worker->peer] = -1;
}

static void open_supervisor(struct target *t)
{
	struct dx_supervisor *s = calloc(1, sizeof(*s));

	t->wait = calloc(1, sizeof(*t->wait));
	FUZZ_CHECK(s != NULL && t->wait != NULL);
	t->wait->wait.ops = &sim_ops;
	t->wait->state = &t->state;
	t->wait->clock_ns = &t->clock_ns;
	dx_list_init(&t->wait->words);
	FUZZ_CHECK(dx_reactor_new_over(&t->wait->wait, false, &s->reactor, NULL) == 0);
	t->supervisor = s;
	t->client = -1;
	s->start = (struct dx_start){ .session = 77,
		                      .epoch = DX_LEADER_EPOCH,
		                      .workers = WORKERS,
		                      .slots = HOSTILE_SLOTS,
		                      .frames = HOSTILE_FRAMES,
		                      .tasks = HOSTILE_TASKS,
		                      .data_bytes = HOSTILE_DATA,
		                      .start_timeout_ms = 1000,
		                      .stop_timeout_ms = 1000,
		                      .watchdog_ms = 1000,
		                      .isolation = DSMX_ISOLATION_STANDARD };
	s->last_epoch = DX_LEADER_EPOCH;
	s->leader.fd = s->eventfd = s->watchers_fd = s->page.fd = s->status_fd = -1;
	s->introduce.fire = dx_introduce_late;
	s->watch.fire = dx_watch_look;
	dx_list_init(&s->introduce.link);
	dx_list_init(&s->watch.link);
	dx_ctl_server_init(&s->control_server);
	dx_list_init(&s->control_server.timer.link);
	dx_member_offer_close(&s->offer);
	take_end(t, 0, &s->control);
	s->leader.fd = dx_pidfd_open(getpid());
	FUZZ_CHECK(s->leader.fd >= 0);
	for (uint32_t i = 0; i < WORKERS; i++) {
		struct dx_worker *worker = &s->workers[i];

		worker->supervisor = s;
		worker->peer = i + 1;
		worker->page.fd = worker->last_page_fd = -1;
		worker->timer.fire = dx_worker_timeout;
		dx_list_init(&worker->timer.link);
		dx_cgroup_leaf_init(&worker->leaf);
		dx_member_offer_close(&worker->offer);
		dx_refusal_init(&worker->refusals);
		spawn(t, worker);
	}
}

static void close_supervisor(struct target *t)
{
	struct dx_supervisor *s = t->supervisor;

	for (uint32_t i = 0; i < WORKERS; i++)
		bury(t, &s->workers[i]);
	for (int i = 0; i < DX_CTL_CLIENTS; i++) {
		struct dx_wait_fd *fd = &s->control_server.clients[i].fd;

		if (fd->fd < 0)
			continue;
		dx_unlisten(s->reactor, fd);
		(void)close(fd->fd);
	}
	dx_timer_stop(&s->introduce);
	dx_timer_stop(&s->watch);
	dx_unlisten(s->reactor, &s->control);
	(void)close(s->control.fd);
	(void)close(s->leader.fd);
	if (s->eventfd >= 0)
		(void)close(s->eventfd);
	if (s->page.base != NULL)
		dx_segment_close(&s->page);
	dx_member_offer_close(&s->offer);
	if (t->ends[0] >= 0)
		(void)close(t->ends[0]);
	if (t->client >= 0)
		(void)close(t->client);
	dx_reactor_free(s->reactor);
	free(s);
}

/* --- what is said ------------------------------------------------------------------------------------------------- */

struct said {
	char text[DX_MESSAGE_BYTES + 64];
	size_t len;
	int fds[FDS_MAX];
	uint32_t fd_count;
};

static void put(struct said *said, const char *key, uint64_t value)
{
	int n = snprintf(said->text + said->len, sizeof(said->text) - said->len, "%s=%llu\n", key,
	                 (unsigned long long)value);

	FUZZ_CHECK(n > 0);
	said->len += (size_t)n;
}

/* A number that is right, or one of the script's choice. */
static uint64_t number(struct script *s, uint64_t right)
{
	if (script_u8(s) % 4 != 0)
		return right;
	fuzz_words++;
	return script_value(s, right, HOSTILE_DATA);
}

static void put_fds(struct said *said, struct script *s, uint32_t who, uint32_t count)
{
	if (script_u8(s) % 8 == 0) {
		fuzz_words++;
		count = script_pick(s, FDS_MAX + 1);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct hostile *h = &segments[who];

		said->fds[i] = i % 2 == 0 ? h->page.fd : h->data.fd;
		if (script_u8(s) % 8 == 0) {
			fuzz_words++;
			said->fds[i] = script_u8(s) % 4 == 0
			                       ? segments[script_pick(s, PEERS)].data.fd
			                       : odd_fds[script_pick(s, 4)];
		}
	}
	said->fd_count = count;
}

/* Some bytes of it are others, or it is cut short, or goes on without end. */
static void damage(struct said *said, struct script *s)
{
	uint32_t count = script_u8(s) % 4 == 0 ? 1 + script_pick(s, 8) : 0;

	for (uint32_t i = 0; i < count && said->len > 0; i++, fuzz_words++) {
		size_t at = script_pick(s, (uint32_t)said->len);

		switch (script_pick(s, 4)) {
		case 0:
			said->text[at] = (char)script_u8(s);
			break;
		case 1:
			said->len = at;
			break;
		case 2:
			said->text[at] ^= (char)(1 << script_pick(s, 8));
			break;
		default:
			while (said->len < DX_MESSAGE_BYTES - 32 + at % 96)
				said->text[said->len++] = (char)('0' + at % 80);
			break;
		}
	}
}

static void say(int socket, const struct said *said)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec part = { (void *)(uintptr_t)said->text, said->len };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	size_t bytes = sizeof(int) * said->fd_count;

	if (bytes > 0) {
		struct cmsghdr *c = &control.align;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(bytes);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), said->fds, bytes);
	}
	if (socket >= 0) /* it may be full, or read by nobody */
		(void)!sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void worker_says(struct target *t, uint32_t peer, uint32_t what, struct script *s)
{
	struct dx_worker *worker = &t->supervisor->workers[peer - 1];
	struct said said = { .len = 0 };

	switch (what) {
	case 0:
		put(&said, "CONFINED", number(s, DSMX_ISOLATION_STANDARD + 256));
		put_fds(&said, s, peer, script_u8(s) % 8 == 0);
		break;
	case 1:
		put(&said, "READY", number(s, DX_PROTOCOL));
		put(&said, "EPOCH", number(s, worker->epoch));
		put(&said, "PAGES", number(s, DSMX_PAGES_SMALL));
		put_fds(&said, s, peer, 2);
		break;
	case 2:
		put(&said, "MAPPED", number(s, t->supervisor->round));
		break;
	case 3:
		put(&said, "ERRNO", number(s, EOPNOTSUPP));
		if (script_u8(s) % 2 == 0)
			put(&said, "STATUS", number(s, 1));
		break;
	case 4: /* words of others */
		put(&said, "STOPPING", number(s, 1));
		break;
	default:
		put(&said, "WATCHDOG", number(s, 1));
		put(&said, "READY", number(s, DX_PROTOCOL));
		break;
	}
	damage(&said, s);
	say(t->ends[peer], &said);
}

static void leader_says(struct target *t, uint32_t what, struct script *s)
{
	struct dx_supervisor *v = t->supervisor;
	struct said said = { .len = 0 };
	uint32_t peer = 1 + script_pick(s, WORKERS);

	switch (what) {
	case 0:
		put(&said, "READY", number(s, DX_PROTOCOL));
		put(&said, "PAGES", number(s, DSMX_PAGES_SMALL));
		put_fds(&said, s, 0, 2);
		break;
	case 1:
		put(&said, "MAPPED", number(s, v->round));
		break;
	case 2:
	case 3:
		put(&said, what == 2 ? "BAD" : "DOUBT", number(s, peer));
		put(&said, "EPOCH", number(s, v->workers[peer - 1].epoch));
		if (script_u8(s) % 2 == 0)
			put(&said, "STATUS", 1);
		break;
	default:
		put(&said, "STOPPING", number(s, 1));
		break;
	}
	damage(&said, s);
	say(t->ends[0], &said);
}

static void operator_says(struct target *t, struct script *s)
{
	struct dx_ctl_client *client = &t->supervisor->control_server.clients[0];
	struct said said = { .len = 0 };
	int both[2];

	if (client->fd.fd < 0) {
		if (t->client >= 0)
			(void)close(t->client);
		FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) == 0);
		*client =
			(struct dx_ctl_client){ .fd = { .fd = both[0] }, .since_ns = t->clock_ns };
		FUZZ_CHECK(dx_listen(t->supervisor->reactor, &client->fd) == 0);
		t->client = both[1];
	}
	said.len = (size_t)snprintf(said.text, sizeof(said.text), "CONTROL=%s\n",
	                            dsmx_control_verb_str((int)script_pick(s, DSMX_CONTROL_COUNT)));
	put(&said, "WORKER", number(s, script_pick(s, WORKERS)));
	put(&said, "TIMEOUT_MS", number(s, 100));
	put(&said, "WAIT", number(s, script_pick(s, 2)));
	damage(&said, s);
	say(t->client, &said);
	client->fd.fired = 1;
	(void)dx_ctl_look(t->supervisor);
	dx_ctl_answer(t->supervisor);
}

/* --- what it does of it ------------------------------------------------------------------------------------------- */

static void check_worker(const struct dx_worker *worker)
{
	const struct dx_member_offer *offer = &worker->offer;

	FUZZ_CHECK(worker->state > DX_WORKER_SPAWNING && worker->state < DX_WORKER_STATE_COUNT);
	FUZZ_CHECK(!offer->ready ||
	           (offer->page_fd >= 0 && offer->data_fd >= 0 &&
	            fcntl(offer->page_fd, F_GETFD) >= 0 && fcntl(offer->data_fd, F_GETFD) >= 0));
	FUZZ_CHECK(offer->mapped <= worker->supervisor->round);
	FUZZ_CHECK(worker->state != DX_WORKER_READY || (offer->ready && offer->round > 0));
	/* Whatever it said, it is a sentence. */
	FUZZ_CHECK(worker->said.code <= 0 &&
	           memchr(worker->said.message, '\0', sizeof(worker->said.message)) != NULL);
}

static void hear(struct target *t, uint32_t peer)
{
	struct dx_supervisor *s = t->supervisor;

	if (peer == 0) {
		s->control.fired = s->control.events != 0;
		(void)dx_leader_look(s);
		return;
	}
	s->workers[peer - 1].control.fired = s->workers[peer - 1].control.fd >= 0;
	(void)dx_worker_look(&s->workers[peer - 1]);
}

/* As an honest process does; descriptors go again. */
static void read_all(const struct target *t, uint32_t peer)
{
	static struct dx_message message;

	while (t->ends[peer] >= 0 && dx_message_recv(t->ends[peer], &message) > 0)
		dx_message_done(&message);
}

static void start_honestly(struct target *t, uint32_t steps)
{
	for (uint32_t what = 0; what < 3; what++) {
		for (uint32_t peer = 0; peer < PEERS && steps > 0; peer++, steps--) {
			struct said said = { .len = 0 };

			if (peer == 0 && what == 0)
				continue;
			if (what == 0) {
				put(&said, "CONFINED", 258);
			} else if (what == 1) {
				put(&said, "READY", DX_PROTOCOL);
				put(&said, "EPOCH", peer + 1);
				put(&said, "PAGES", DSMX_PAGES_SMALL);
				said.fds[0] = segments[peer].page.fd;
				said.fds[1] = segments[peer].data.fd;
				said.fd_count = 2;
			} else {
				put(&said, "MAPPED", t->supervisor->round);
			}
			say(t->ends[peer], &said);
			hear(t, peer);
			read_all(t, peer);
		}
	}
}

static void step(struct target *t, struct script *s)
{
	uint32_t peer = script_pick(s, PEERS);
	struct dx_worker *worker = &t->supervisor->workers[peer > 0 ? peer - 1 : 0];

	switch (script_pick(s, 10)) {
	case 0:
	case 1:
	case 2:
		if (peer > 0)
			worker_says(t, peer, script_pick(s, 6), s);
		else
			leader_says(t, script_pick(s, script_u8(s) % 8 == 0 ? 5 : 4), s);
		break;
	case 3:
	case 4:
	case 5:
		hear(t, peer);
		break;
	case 6:
		read_all(t, peer);
		break;
	case 7: /* time goes by; timers fire, pulses are looked at */
		t->clock_ns += (uint64_t)script_u8(s) * 10 * DX_NS_PER_MS;
		(void)dx_reactor_turn(t->supervisor->reactor, 0);
		break;
	case 8:
		operator_says(t, s);
		break;
	default:
		if (script_u8(s) % 4 == 0 && t->ends[peer] >= 0) {
			(void)close(t->ends[peer]);
			t->ends[peer] = -1;
		} else if (peer > 0 && !dx_worker_is_up(worker) && !t->supervisor->ending) {
			bury(t, worker);
			spawn(t, worker);
		}
		break;
	}
	for (uint32_t i = 0; i < WORKERS; i++)
		check_worker(&t->supervisor->workers[i]);
}

static int open_count(void)
{
	int count = 0;

	for (int fd = 0; fd < 96; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, data + size };
	struct target t = { .clock_ns = DX_NS_PER_S, .state = 1 };
	int before;

	if (child == 0) {
		make_odd();
		make_child();
	}
	before = open_count();
	open_supervisor(&t);
	start_honestly(&t, script_u8(&s) % 4 == 0 ? script_pick(&s, 9) : 9);
	while (!script_over(&s))
		step(&t, &s);
	close_supervisor(&t);
	FUZZ_CHECK(open_count() == before); /* what came and was not taken is closed */
	return 0;
}

__attribute__((destructor)) static void end_child(void)
{
	if (child <= 0)
		return;
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}
