/* SPDX-License-Identifier: MIT */
/*
 * stress.c - processes that ask each other for streams, and linger between any two steps of the protocols
 *
 *	stress [-t SECONDS] [-s SEED] [-n SEEDS] [-m pinned|free|crowded] [-T]
 *
 * One seed is one life of a mesh: two to four processes, executed anew, with few slots for many streams, small credit
 * and short streams that their readers leave at any moment, so that START, RUNNING, frames, releases, CANCEL, FIN, DONE
 * and the next use of a slot meet in every order. At each end of each edge of base/order.h, at its fences and stores a
 * process may linger (base/point.h): the seed says where and how long, so one that failed can be run again, `-s SEED -n 1`.
 * Where processes run is drawn, too: each pinned to a processor, free, or among more that spin than there are processors.
 * In some lives the last process is killed at such a point.
 *
 * What must hold: each frame comes once, in order, whole, and stays so until it is given back; a stream ends as it was
 * asked to; nobody is accused; in the end all memory and slots are back; and no park ends by its bound alone though
 * there were news (late_parks): nothing else would end it, as a park here has no other deadline.
 *
 * -T: two threads over one mapping of each segment, for a thread sanitizer. Exit code 0: all held.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/point.h"
#include "stress.h"

/* Numbers that no descriptor of the judge has. */
enum { SHARED_FD = 200, SOCKET_FD = 201, HOGS = 16 };

enum placement { PINNED, FREE, CROWDED, PLACEMENTS };
static const char *const placements[] = { "pinned", "free", "crowded" };

/* What becomes of a life that does not get to its end by itself. */
#define HANG_NS (60 * DX_NS_PER_S)
#define LIFE_NS (150 * DX_NS_PER_MS)

static uint64_t of_seed(uint64_t seed, uint64_t what, uint64_t below)
{
	return dx_hash_u64(what, seed * 0x9e3779b97f4a7c15ULL) % below;
}

static void draw_stress(struct stress *s, uint64_t seed, bool threads)
{
	static const uint32_t one_in[] = { 8, 64, 512 };
	static const enum dx_point steps[] = { DX_POINT_TAIL,    DX_POINT_TAKEN,  DX_POINT_RELEASED,
		                               DX_POINT_REQUEST, DX_POINT_STREAM, DX_POINT_BELL,
		                               DX_POINT_CHANGES, DX_POINT_COUNTS, DX_POINT_SEEN,
		                               DX_POINT_SLEEP,   DX_POINT_WAKE,   DX_POINT_STORE };
	uint64_t wait = of_seed(seed, 1, 3);

	*s = (struct stress){
		.seed = seed,
		.actors = threads ? 2 : 2 + (uint32_t)of_seed(seed, 2, STRESS_ACTORS - 1),
		.readers = 1 + (uint32_t)of_seed(seed, 3, 3),
		.all_read = of_seed(seed, 4, 2) == 0,
		.slots = 1 + (uint32_t)of_seed(seed, 5, 3),
		.frames = of_seed(seed, 6, 2) == 0 ? 4 : 200,
		.frame_most = of_seed(seed, 7, 2) == 0 ? 64 : 20000,
		.credit_bytes = of_seed(seed, 8, 2) == 0 ? 1 : 100000,
		.one_in = one_in[of_seed(seed, 9, 3)],
		.kill_point = DX_POINT_COUNT,
		.end_ns = DX_NEVER,
	};
	for (uint32_t i = 0; i < s->actors; i++)
		s->wait[i] = (wait == 2 ? i % 2 : wait) == 0 ? DSMX_WAIT_AUTO : DSMX_WAIT_FUTEX;
	if (!threads && of_seed(seed, 10, 4) == 0) {
		s->kill_point = steps[of_seed(seed, 11, DX_ARRAY_LEN(steps))];
		s->kill_at = 1 + of_seed(seed, 12, 400);
	}
}

/* --- descriptors from process to process ------------------------------------------------------------------------- */

static int send_fds(int to, const int *fds, uint32_t count)
{
	char room[CMSG_SPACE(3 * sizeof(int))] = { 0 }, byte = 0;
	struct iovec io = { &byte, 1 };
	struct msghdr message = { .msg_iov = &io,
		                  .msg_iovlen = 1,
		                  .msg_control = room,
		                  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	return sendmsg(to, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int receive_fds(int from, int *fds, uint32_t count)
{
	char room[CMSG_SPACE(3 * sizeof(int))], byte;
	struct iovec io = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
	};
	struct cmsghdr *header;

	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_len != CMSG_LEN(count * sizeof(int)))
		return -1;
	memcpy(fds, CMSG_DATA(header), count * sizeof(int));
	return 0;
}

/* --- a process ---------------------------------------------------------------------------------------------------- */

static int attach_peers(struct actor *actor)
{
	int fds[3], r;

	for (uint32_t p = 0; p < actor->stress->actors; p++) {
		if (p == actor->self)
			continue;
		if (receive_fds(SOCKET_FD, fds, 3) < 0)
			return -1;
		r = dx_mesh_attach(actor->mesh, p, 10 + p, fds[0], fds[1], fds[2], NULL);
		(void)close(fds[0]);
		(void)close(fds[1]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int actor_main(uint32_t self)
{
	struct stress_shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
	struct actor actor;
	int fds[2];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (shared == MAP_FAILED || actor_make(&actor, shared, self) < 0)
		return 3;
	/* The first is a leader, and leaders have no liveness word. */
	if (self != DSMX_ABI_LEADER && dx_mesh_live(actor.mesh) < 0)
		return 4;
	fds[0] = actor.mesh->page.fd;
	fds[1] = actor.mesh->data.fd;
	if (send_fds(SOCKET_FD, fds, 2) < 0 || attach_peers(&actor) < 0)
		return 5;
	if (actor_run(&actor, SOCKET_FD) < 0)
		return 6;
	actor_unmake(&actor);
	return 0;
}

/* --- the judge: processes ------------------------------------------------------------------------------------------ */

struct life {
	struct stress_shared *shared;
	enum placement placement;
	int shared_fd;
	pid_t pids[STRESS_ACTORS];
	int sockets[STRESS_ACTORS];
	int pidfds[STRESS_ACTORS];
	pid_t hogs[HOGS];
	uint32_t hog_count;
	uint32_t killed;
};

static pid_t start_actor(struct life *life, uint32_t self)
{
	char name[] = "stress", option[] = "-c", number[16];
	char *argv[] = { name, option, number, NULL };
	int pair[2];
	cpu_set_t cpus;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	(void)snprintf(number, sizeof(number), "%u", self);
	pid = fork();
	if (pid == 0) {
		CPU_ZERO(&cpus);
		CPU_SET(self % 2, &cpus);
		if (life->placement == PINNED)
			(void)sched_setaffinity(0, sizeof(cpus), &cpus);
		if (dup2(life->shared_fd, SHARED_FD) < 0 || dup2(pair[1], SOCKET_FD) < 0)
			_exit(2);
		(void)execv("/proc/self/exe", argv);
		_exit(127);
	}
	(void)close(pair[1]);
	life->sockets[self] = pair[0];
	life->pids[self] = pid;
	life->pidfds[self] = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	return pid;
}

static void start_hogs(struct life *life)
{
	uint32_t count = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN) + 1;

	for (uint32_t i = 0; i < count && i < HOGS && life->placement == CROWDED; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				dx_spin_pause();
		}
		if (pid > 0)
			life->hogs[life->hog_count++] = pid;
	}
}

/* Each sends its two segments; each other gets them, with a pidfd. */
static int introduce(struct life *life)
{
	uint32_t actors = life->shared->stress.actors;
	int r = 0;

	for (uint32_t from = 0; from < actors && r == 0; from++) {
		int fds[3];

		r = receive_fds(life->sockets[from], fds, 2);
		fds[2] = life->pidfds[from];
		for (uint32_t to = 0; to < actors && r == 0; to++)
			r = to == from ? 0 : send_fds(life->sockets[to], fds, 3);
		if (r == 0) {
			(void)close(fds[0]);
			(void)close(fds[1]);
		}
	}
	return r;
}

/* All have met: the time that a life has begins. */
static void begin(struct life *life)
{
	__atomic_store_n(&life->shared->stress.end_ns, dx_now_ns() + LIFE_NS, __ATOMIC_RELAXED);
}

static bool may_die(const struct stress *s, uint32_t self)
{
	return s->kill_point < DX_POINT_COUNT && self == s->actors - 1;
}

/*
 * Until each is drained, or dead where it may be; false when one is not within HANG_NS. Time in which this process did not
 * run either, stopped or without a processor, does not count.
 */
static bool all_drain(const struct life *life)
{
	const struct stress_shared *shared = life->shared;
	uint64_t now_ns = dx_now_ns(), deadline_ns = now_ns + HANG_NS, before_ns;

	for (uint32_t i = 0; i < shared->stress.actors;) {
		siginfo_t info = { 0 };
		bool died = life->pids[i] > 0 &&
		            waitid(P_PID, (id_t)life->pids[i], &info,
		                   WEXITED | WNOHANG | WNOWAIT) == 0 &&
		            info.si_pid != 0;

		if (died && !may_die(&shared->stress, i))
			return false;
		if (died || (stress_is_over(&shared->stress) &&
		             __atomic_load_n(&shared->reports[i].drained, __ATOMIC_RELAXED) != 0)) {
			i++;
			continue;
		}
		if (now_ns > deadline_ns)
			return false;
		(void)usleep(1000);
		before_ns = now_ns;
		now_ns = dx_now_ns();
		if (now_ns - before_ns > DX_NS_PER_S / 10)
			deadline_ns += now_ns - before_ns;
	}
	return true;
}

static void end_life(struct life *life, bool kill_them, int statuses[STRESS_ACTORS])
{
	for (uint32_t i = 0; i < life->shared->stress.actors; i++) {
		if (kill_them)
			(void)kill(life->pids[i], SIGKILL);
		(void)close(life->sockets[i]);
	}
	for (uint32_t i = 0; i < life->shared->stress.actors; i++) {
		(void)waitpid(life->pids[i], &statuses[i], 0);
		(void)close(life->pidfds[i]);
	}
	for (uint32_t i = 0; i < life->hog_count; i++) {
		(void)kill(life->hogs[i], SIGKILL);
		(void)waitpid(life->hogs[i], NULL, 0);
	}
}

/* --- the judge: threads -------------------------------------------------------------------------------------------- */

struct thread {
	struct actor actor;
	struct stress_shared *shared;
	pthread_barrier_t *made;
	struct thread *other;
	struct dx_segment page, data; /* the mappings that are not used */
	int over_fd;
	int status;
};

/* In place of the mapping that attach made: the owner's, so that a sanitizer sees both ends of each word. */
static void use_own_mapping(struct thread *t)
{
	struct dx_mesh *mesh = t->actor.mesh, *other = t->other->actor.mesh;
	struct dx_peer *p = &mesh->peers[other->params.self];

	t->page = p->mapping->page;
	t->data = p->mapping->data;
	p->mapping->page.base = other->page.base;
	p->mapping->data.base = other->data.base;
	p->line = DX_LAYOUT_PEER(struct dsmx_bell_abi, other->page.base, mesh->layout.bells,
	                         mesh->params.self);
	p->bell.word = &p->line->bell;
	p->live.word = &DX_LAYOUT_PEER(struct dsmx_live_abi, other->page.base, mesh->layout.live,
	                               mesh->params.self)
	                        ->word;
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	uint32_t self = t > t->other ? 1 : 0;
	struct dx_mesh *other;
	struct dx_mapping *mapping;

	t->status = actor_make(&t->actor, t->shared, self);
	(void)pthread_barrier_wait(t->made);
	if (t->status < 0 || t->other->status < 0)
		return NULL;
	other = t->other->actor.mesh;
	if (dx_mesh_attach(t->actor.mesh, 1 - self, 11 - self, other->page.fd, other->data.fd, -1,
	                   NULL) < 0)
		abort();
	use_own_mapping(t);
	(void)pthread_barrier_wait(t->made);
	t->status = actor_run(&t->actor, t->over_fd);
	(void)pthread_barrier_wait(t->made);
	mapping = t->actor.mesh->peers[1 - self].mapping;
	mapping->page = t->page;
	mapping->data = t->data;
	actor_unmake(&t->actor);
	return NULL;
}

static int run_threads(struct life *life)
{
	struct thread threads[2] = { 0 };
	pthread_t ids[2];
	pthread_barrier_t made;
	int over[2], failed;
	bool well;

	if (pipe2(over, O_CLOEXEC) < 0)
		return 1;
	(void)pthread_barrier_init(&made, NULL, 2);
	for (int i = 0; i < 2; i++) {
		threads[i].shared = life->shared;
		threads[i].made = &made;
		threads[i].other = &threads[1 - i];
		threads[i].over_fd = over[0];
		if (pthread_create(&ids[i], NULL, thread_main, &threads[i]) != 0)
			abort();
	}
	begin(life);
	well = all_drain(life);
	(void)close(over[1]);
	if (!well) {
		printf("# seed %" PRIu64 ": does not come to its end\n", life->shared->stress.seed);
		exit(1);
	}
	for (int i = 0; i < 2; i++)
		(void)pthread_join(ids[i], NULL);
	failed = threads[0].status | threads[1].status;
	(void)close(over[0]);
	(void)pthread_barrier_destroy(&made);
	return failed;
}

/* --- what came of it ---------------------------------------------------------------------------------------------- */

static int run_processes(struct life *life)
{
	const struct stress *s = &life->shared->stress;
	int statuses[STRESS_ACTORS] = { 0 }, failed = 0;
	bool well;

	start_hogs(life);
	for (uint32_t i = 0; i < s->actors; i++)
		if (start_actor(life, i) < 0)
			exit(2);
	well = introduce(life) == 0;
	begin(life);
	well = all_drain(life) && well;
	end_life(life, !well, statuses);
	for (uint32_t i = 0; i < s->actors && well; i++) {
		failed |= statuses[i] != 0 && !may_die(s, i);
		life->killed += WIFSIGNALED(statuses[i]);
	}
	if (!well || failed)
		printf("# seed %" PRIu64 ": %s\n", s->seed,
		       well ? "a process failed" : "does not come to its end");
	return failed || !well;
}

static int judge(const struct life *life, struct stress_report *sum)
{
	const struct stress_shared *shared = life->shared;
	int failed = 0;

	for (uint32_t i = 0; i < shared->stress.actors; i++) {
		const struct stress_report *r = &shared->reports[i];

		sum->streams += r->streams;
		sum->whole += r->whole;
		sum->cancelled += r->cancelled;
		sum->refused += r->refused;
		sum->lost += r->lost;
		sum->frames += r->frames;
		sum->parks += r->parks;
		sum->late += r->late;
		sum->starved += r->starved;
		sum->hits += r->hits;
		sum->wrong += r->wrong;
		if (r->wrong > 0)
			printf("# seed %" PRIu64 ", process %u: %s\n", shared->stress.seed, i,
			       r->said);
		if (r->late > 0)
			printf("# seed %" PRIu64 ", process %u: %" PRIu64 " lost wakes\n",
			       shared->stress.seed, i, r->late);
		failed |= r->wrong > 0 || r->late > 0;
	}
	return failed;
}

static int live(uint64_t seed, int placement, bool threads, struct stress_report *sum,
                uint64_t *killed)
{
	struct life life = { .placement = (enum placement)(
				     placement >= 0 ? placement : (int)(seed % PLACEMENTS)) };
	int failed;

	life.shared_fd = memfd_create("stress", MFD_CLOEXEC);
	if (life.shared_fd < 0 || ftruncate(life.shared_fd, sizeof(*life.shared)) < 0)
		exit(2);
	life.shared = mmap(NULL, sizeof(*life.shared), PROT_READ | PROT_WRITE, MAP_SHARED,
	                   life.shared_fd, 0);
	if (life.shared == MAP_FAILED)
		exit(2);
	draw_stress(&life.shared->stress, seed, threads);
	failed = threads ? run_threads(&life) : run_processes(&life);
	failed |= judge(&life, sum);
	*killed += life.killed;
	if (failed)
		printf("# again: stress -s %" PRIu64 " -n 1 -m %s%s\n", seed,
		       placements[life.placement], threads ? " -T" : "");
	(void)munmap(life.shared, sizeof(*life.shared));
	(void)close(life.shared_fd);
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t seed = dx_now_ns() % 1000000, seeds = UINT64_MAX, lives = 0, bad = 0, killed = 0;
	uint64_t begin_ns = dx_now_ns(), time_ns = 10 * DX_NS_PER_S;
	struct stress_report sum = { 0 };
	bool threads = false;
	int option, placement = -1;

	while ((option = getopt(argc, argv, "c:t:s:n:m:T")) != -1) {
		if (option == 'c')
			return actor_main((uint32_t)strtoul(optarg, NULL, 10));
		if (option == 't')
			time_ns = strtoull(optarg, NULL, 10) * DX_NS_PER_S;
		else if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (option == 'n')
			seeds = strtoull(optarg, NULL, 10);
		else if (option == 'T')
			threads = true;
		else if (option != 'm')
			return 2;
		for (int i = 0; option == 'm' && i < PLACEMENTS; i++)
			placement = strcmp(optarg, placements[i]) == 0 ? i : placement;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (; lives < seeds && dx_now_ns() - begin_ns < time_ns; lives++)
		bad += live(seed + lives, placement, threads, &sum, &killed) != 0;
	printf("seeds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " bad: %" PRIu64 " streams (%" PRIu64
	       " whole, %" PRIu64 " left, %" PRIu64 " refused, %" PRIu64 " of dead), %" PRIu64
	       " frames, %" PRIu64 " parks, %" PRIu64 " lost wakes (%" PRIu64 " starved), %" PRIu64
	       " points, %" PRIu64 " killed, %.0f s\n",
	       seed, seed + lives - 1, bad, sum.streams, sum.whole, sum.cancelled, sum.refused,
	       sum.lost, sum.frames, sum.parks, sum.late, sum.starved, sum.hits, killed,
	       (double)(dx_now_ns() - begin_ns) / 1e9);
	return bad > 0 || sum.whole == 0;
}
