/* SPDX-License-Identifier: MIT */
/*
 * What the leader says to its supervisor, and its end: READY, MAPPED, BAD, DOUBT, STOPPING.
 *
 * It is the application's process, whose workers these are: what makes no sense of it ends the session, or nothing.
 */
#include <stdio.h>

#include "base/err.h"
#include "worker/supervisor.h"

void dx_supervisor_end(struct dx_supervisor *supervisor, bool at_once)
{
	supervisor->ending = true;
	for (uint32_t i = 0; i < supervisor->start.workers; i++) {
		if (at_once)
			dx_worker_end(&supervisor->workers[i], DSMX_EXIT_LEADER_GONE, NULL);
		else
			dx_worker_dismiss(&supervisor->workers[i]);
	}
}

/* READY: page, data, and perhaps an eventfd. */
static void hear_leader_ready(struct dx_supervisor *supervisor, struct dx_message *message)
{
	uint64_t pages;

	if (supervisor->offer.ready || message->fd_count < 2 || message->fd_count > 3 ||
	    dx_message_number(message, "PAGES", DSMX_PAGES_SMALL, &pages) != 0) {
		dx_supervisor_end(supervisor, true);
		return;
	}
	supervisor->offer.page_fd = dx_message_take_fd(message, 0);
	supervisor->offer.data_fd = dx_message_take_fd(message, 1);
	supervisor->offer.pages = (enum dsmx_pages)pages;
	supervisor->offer.ready = true;
	supervisor->eventfd = dx_message_take_fd(message, 2);
	dx_introduce_begin(supervisor, NULL);
}

/* The worker whose number is @key's and whose epoch is the message's. NULL: there is none any more. */
static struct dx_worker *find_worker(struct dx_supervisor *supervisor,
                                     const struct dx_message *message, const char *key)
{
	uint64_t peer, epoch;

	if (dx_message_number(message, key, supervisor->start.workers, &peer) != 0 || peer == 0 ||
	    dx_message_number(message, "EPOCH", UINT64_MAX, &epoch) != 0 ||
	    supervisor->workers[peer - 1].epoch != epoch)
		return NULL;
	return &supervisor->workers[peer - 1];
}

static void hear_accusation(struct dx_supervisor *supervisor, const struct dx_message *message)
{
	struct dx_worker *worker = find_worker(supervisor, message, "BAD");

	if (worker != NULL)
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, dx_message_get(message, "STATUS"));
}

/* One of several that contradict each other: it makes room for another, and nothing is held against it. */
static void hear_doubt(struct dx_supervisor *supervisor, const struct dx_message *message)
{
	const char *text = dx_message_get(message, "STATUS");
	struct dx_worker *worker = find_worker(supervisor, message, "DOUBT");

	if (worker != NULL && dx_worker_is_up(worker))
		dx_worker_kill(worker, text != NULL ? text : "the leader doubts what it says");
}

static void hear_leader(struct dx_supervisor *supervisor, struct dx_message *message)
{
	uint64_t round;

	if (dx_message_get(message, "STOPPING") != NULL) {
		dx_supervisor_end(supervisor, false);
	} else if (dx_message_get(message, "READY") != NULL) {
		hear_leader_ready(supervisor, message);
	} else if (dx_message_get(message, "BAD") != NULL) {
		hear_accusation(supervisor, message);
	} else if (dx_message_get(message, "DOUBT") != NULL) {
		hear_doubt(supervisor, message);
	} else if (dx_message_number(message, "MAPPED", supervisor->round, &round) == 0) {
		supervisor->offer.mapped = (uint32_t)round;
		dx_introduce_finish(supervisor);
	}
}

bool dx_leader_look(struct dx_supervisor *supervisor)
{
	bool news = supervisor->control.fired != 0, gone = supervisor->leader.fired != 0;
	int r = -EAGAIN;

	supervisor->control.fired = 0;
	supervisor->leader.fired = 0;
	if (news) {
		while ((r = dx_message_recv(supervisor->control.fd, &supervisor->in)) > 0) {
			hear_leader(supervisor, &supervisor->in);
			dx_message_done(&supervisor->in);
		}
	}
	if (r != -EAGAIN || gone) { /* neither has more to say; both would be news for ever */
		if (r != -EAGAIN)
			dx_unlisten(supervisor->reactor, &supervisor->control);
		if (gone)
			dx_unlisten(supervisor->reactor, &supervisor->leader);
		/* An end of file that follows STOPPING lets the drain go on. */
		if (gone || !supervisor->ending)
			dx_supervisor_end(supervisor, true);
	}
	return news || gone;
}
