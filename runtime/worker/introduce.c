/* SPDX-License-Identifier: MIT */
/*
 * Introductions: everybody's segments to everybody, in rounds.
 *
 * A process offers its segments by READY. When all have, each gets one message with all the others, maps them
 * and answers with the round's number. When all have answered, the session is open. A worker that is started
 * later has a round of its own: it is told of all others, they of it; it is READY when all that were there
 * before it, the leader too, have answered.
 *
 * Descriptors on their way count against a limit of the user's: what is too many is sent a little later.
 */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "worker/supervisor.h"

#define INTRODUCE_RETRY_MS 1U

static void put_peer(struct dx_message *message, uint32_t peer, uint64_t epoch, int pid,
                     const struct dx_member_offer *offer, int pidfd)
{
	dx_message_put(message, "PEER", "%u %llu %d", peer, (unsigned long long)epoch, pid);
	dx_message_put_fd(message, offer->page_fd);
	dx_message_put_fd(message, offer->data_fd);
	dx_message_put_fd(message, pidfd);
}

/* Of whom the owner of @offer is to be told and who is there still, as one message. Returns how many. */
static uint32_t put_peers(struct dx_supervisor *supervisor, const struct dx_member_offer *offer)
{
	struct dx_message *out = &supervisor->out;
	uint32_t count = 0;

	dx_message_start(out);
	dx_message_put(out, "PEERS", "%u", supervisor->round);
	if (offer->due[DSMX_ABI_LEADER]) {
		put_peer(out, DSMX_ABI_LEADER, DX_LEADER_EPOCH, supervisor->leader_pid,
		         &supervisor->offer, supervisor->leader.fd);
		count++;
	}
	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		struct dx_worker *worker = &supervisor->workers[i];

		if (!offer->due[worker->peer] || !worker->offer.ready)
			continue;
		put_peer(out, worker->peer, worker->epoch, worker->process.pid, &worker->offer,
		         worker->process.pidfd);
		count++;
	}
	if (offer->due[DSMX_ABI_LEADER] && supervisor->eventfd >= 0) {
		dx_message_put(out, "EVENTFD", "1");
		dx_message_put_fd(out, supervisor->eventfd);
	}
	return count;
}

/* Send what is due. Returns whether it has to be tried again: too many descriptors are under way. */
static bool introduce_to(struct dx_supervisor *supervisor, int socket,
                         struct dx_member_offer *offer)
{
	if (put_peers(supervisor, offer) > 0) {
		int r = dx_message_send(socket, &supervisor->out);

		if (r == -ETOOMANYREFS || r == -EAGAIN)
			return true;
	}
	memset(offer->due, 0, sizeof(offer->due));
	return false;
}

static void introduce(struct dx_supervisor *supervisor)
{
	bool again = introduce_to(supervisor, supervisor->control.fd, &supervisor->offer);

	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		struct dx_worker *worker = &supervisor->workers[i];

		if (dx_worker_is_up(worker))
			again |= introduce_to(supervisor, worker->control.fd, &worker->offer);
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
static bool make_all_due(struct dx_supervisor *supervisor)
{
	bool complete = supervisor->offer.ready;

	for (uint32_t i = 0; i < supervisor->start.workers; i++)
		complete = complete && supervisor->workers[i].offer.ready;
	if (!complete)
		return false;
	supervisor->offered_ns = dx_now_ns();
	supervisor->round = 1;
	supervisor->offer.round = 1;
	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		struct dx_member_offer *offer = &supervisor->workers[i].offer;

		offer->round = 1;
		supervisor->offer.due[i + 1] = true;
		for (uint32_t peer = 0; peer <= supervisor->start.workers; peer++)
			offer->due[peer] = peer != i + 1;
	}
	return true;
}

static void make_later_due(struct dx_supervisor *supervisor, struct dx_worker *later)
{
	later->offer.round = ++supervisor->round;
	later->offer.due[DSMX_ABI_LEADER] = true;
	supervisor->offer.due[later->peer] = true;
	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		struct dx_worker *other = &supervisor->workers[i];

		/* One that has not been introduced itself will be told of all. */
		if (other == later || !dx_worker_is_up(other) || other->offer.round == 0)
			continue;
		later->offer.due[other->peer] = true;
		other->offer.due[later->peer] = true;
	}
}

void dx_introduce_begin(struct dx_supervisor *supervisor, struct dx_worker *later)
{
	if (supervisor->round > 0 && later != NULL)
		make_later_due(supervisor, later);
	else if (supervisor->round > 0 || !make_all_due(supervisor))
		return;
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

/* What every worker has taken. */
static uint32_t common_steps(const struct dx_supervisor *supervisor)
{
	uint32_t common = UINT32_MAX;

	for (uint32_t i = 0; i < supervisor->start.workers; i++)
		common &= supervisor->workers[i].isolation;
	return common;
}

static bool has_answered(const struct dx_member_offer *offer, uint32_t round)
{
	return offer->round == 0 || offer->round > round || offer->mapped >= round;
}

/* Have all that were there when @worker was introduced answered, itself too? */
static bool is_mapped(const struct dx_supervisor *supervisor, const struct dx_worker *worker)
{
	uint32_t round = worker->offer.round;
	bool mapped = round > 0 && has_answered(&supervisor->offer, round);

	for (uint32_t i = 0; i < supervisor->start.workers; i++)
		if (dx_worker_is_up(&supervisor->workers[i]))
			mapped = mapped && has_answered(&supervisor->workers[i].offer, round);
	return mapped;
}

static void tell_open(struct dx_supervisor *supervisor)
{
	struct dx_message *out = &supervisor->out;

	supervisor->open = true;
	dx_watch_start(supervisor);
	dx_message_start(out);
	dx_message_put(out, "OPEN", "1");
	dx_message_put(out, "ISOLATION", "%s", dx_cgroup_str(&supervisor->group));
	dx_message_put(out, "STEPS", "%u", common_steps(supervisor));
	dx_message_put(out, "CGROUP", "%s", supervisor->group.v2);
	dx_message_put(out, "CGROUP_MEMORY", "%s", supervisor->group.v1[DX_V1_MEMORY]);
	dx_message_put(out, "CGROUP_PIDS", "%s", supervisor->group.v1[DX_V1_PIDS]);
	dx_message_put(out, "CGROUP_CPU", "%s", supervisor->group.v1[DX_V1_CPU]);
	dx_message_put(out, "CGROUP_CPUSET", "%s", supervisor->group.v1[DX_V1_CPUSET]);
	dx_message_put(out, "CGROUP_BLKIO", "%s", supervisor->group.v1[DX_V1_BLKIO]);
	dx_message_put(out, "CGROUP_OWN_ROOT", "%d", supervisor->group.own_root);
	dx_message_put(out, "STATE", "%s", supervisor->entry.path);
	dx_message_put(out, "PAGES", "%d", (int)least_pages(supervisor));
	dx_message_put(out, "OFFERED_NS", "%llu", (unsigned long long)supervisor->offered_ns);
	if (supervisor->missing[0] != '\0')
		dx_message_put(out, "MISSING", "%s", supervisor->missing);
	(void)!dx_message_send(supervisor->control.fd, out);
}

void dx_introduce_finish(struct dx_supervisor *supervisor)
{
	bool all = true;

	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		struct dx_worker *worker = &supervisor->workers[i];

		if (worker->state == DX_WORKER_STARTING && is_mapped(supervisor, worker))
			dx_worker_is_ready(worker);
		all = all && worker->state == DX_WORKER_READY;
	}
	if (all && !supervisor->open)
		tell_open(supervisor);
}
