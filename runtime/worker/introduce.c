/* SPDX-License-Identifier: MIT */
/*
 * Introductions: everybody's segments to everybody, in rounds.
 *
 * A process offers its segments by READY. When all have, each gets one message with all the others, maps them
 * and answers with the round's number. When all have answered, the session is open.
 *
 * Descriptors on their way count against a limit of the user's: what is too many is sent a little later.
 */
#include "base/clock.h"
#include "base/err.h"
#include "worker/supervisor.h"

#define INTRODUCE_RETRY_MS 1U

static void put_peer(struct dx_message *message, uint32_t peer, uint64_t epoch, int pid,
                     const struct dx_offer *offer, int pidfd)
{
	dx_message_put(message, "PEER", "%u %llu %d", peer, (unsigned long long)epoch, pid);
	dx_message_put_fd(message, offer->page_fd);
	dx_message_put_fd(message, offer->data_fd);
	dx_message_put_fd(message, pidfd);
}

/* Everybody but @self, as one message. */
static void put_peers(struct dx_supervisor *supervisor, uint32_t self)
{
	struct dx_message *out = &supervisor->out;

	dx_message_start(out);
	dx_message_put(out, "PEERS", "%u", supervisor->round);
	if (self != DSMX_ABI_LEADER)
		put_peer(out, DSMX_ABI_LEADER, DX_LEADER_EPOCH, supervisor->leader_pid,
		         &supervisor->offer, supervisor->leader.fd);
	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		struct dx_worker *worker = &supervisor->workers[i];

		if (worker->peer != self && worker->offer.ready)
			put_peer(out, worker->peer, worker->epoch, worker->process.pid,
			         &worker->offer, worker->process.pidfd);
	}
	if (self != DSMX_ABI_LEADER && supervisor->eventfd >= 0) {
		dx_message_put(out, "EVENTFD", "1");
		dx_message_put_fd(out, supervisor->eventfd);
	}
}

/* Send to @self what is due. Returns whether it has to be tried again: too many descriptors are under way. */
static bool introduce_to(struct dx_supervisor *supervisor, uint32_t self, int socket,
                         struct dx_offer *offer)
{
	int r;

	if (offer->introduce == 0)
		return false;
	put_peers(supervisor, self);
	r = dx_message_send(socket, &supervisor->out);
	if (r == -ETOOMANYREFS || r == -EAGAIN)
		return true;
	offer->introduce = 0;
	return false;
}

static void introduce(struct dx_supervisor *supervisor)
{
	bool again = introduce_to(supervisor, DSMX_ABI_LEADER, supervisor->control.fd,
	                          &supervisor->offer);

	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		struct dx_worker *worker = &supervisor->workers[i];

		if (dx_worker_is_up(worker))
			again |= introduce_to(supervisor, worker->peer, worker->control.fd,
			                      &worker->offer);
	}
	if (again)
		dx_timer_start(supervisor->reactor, &supervisor->introduce,
		               dx_wait_now(dx_reactor_wait(supervisor->reactor)) +
		                       INTRODUCE_RETRY_MS * DX_NS_PER_MS);
}

void dx_introduce_late(struct dx_timer *timer)
{
	introduce(DX_CONTAINER(timer, struct dx_supervisor, introduce));
}

/* All have offered their segments: the first round. */
void dx_introduce_begin(struct dx_supervisor *supervisor)
{
	bool complete = supervisor->offer.ready;

	for (uint32_t i = 0; i < supervisor->start.workers; i++)
		complete = complete && supervisor->workers[i].offer.ready;
	if (!complete || supervisor->round > 0)
		return;
	supervisor->round = 1;
	supervisor->offer.introduce = 1;
	for (uint32_t i = 0; i < supervisor->start.workers; i++)
		supervisor->workers[i].offer.introduce = 1;
	introduce(supervisor);
}

/* The least of what the processes got: the kinds are in the order of the ladder. */
static enum dsmx_pages least_pages(const struct dx_supervisor *supervisor)
{
	enum dsmx_pages least = supervisor->offer.pages;

	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		if (supervisor->workers[i].offer.pages > least)
			least = supervisor->workers[i].offer.pages;
	}
	return least;
}

/* All have mapped all: the session is open. */
void dx_introduce_finish(struct dx_supervisor *supervisor)
{
	struct dx_message *out = &supervisor->out;
	bool mapped = supervisor->round > 0 && supervisor->offer.mapped == supervisor->round;

	for (uint32_t i = 0; i < supervisor->start.workers; i++)
		mapped = mapped && supervisor->workers[i].offer.mapped == supervisor->round;
	if (!mapped || supervisor->open)
		return;
	supervisor->open = true;
	for (uint32_t i = 0; i < supervisor->start.workers; i++)
		dx_worker_is_ready(&supervisor->workers[i]);
	dx_message_start(out);
	dx_message_put(out, "OPEN", "1");
	dx_message_put(out, "ISOLATION", "%s", dx_cgroup_str(&supervisor->group));
	dx_message_put(out, "CGROUP", "%s", supervisor->group.v2);
	dx_message_put(out, "CGROUP_MEMORY", "%s", supervisor->group.v1_memory);
	dx_message_put(out, "CGROUP_OWN_ROOT", "%d", supervisor->group.own_root);
	dx_message_put(out, "STATE", "%s", supervisor->entry.path);
	dx_message_put(out, "PAGES", "%d", (int)least_pages(supervisor));
	if (supervisor->missing[0] != '\0')
		dx_message_put(out, "MISSING", "%s", supervisor->missing);
	(void)!dx_message_send(supervisor->control.fd, out);
}
