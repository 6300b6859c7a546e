/* SPDX-License-Identifier: MIT */
/*
 * What a worker says to its supervisor, and its silence: CONFINED, READY, MAPPED, why it cannot go on, its end of file.
 *
 * Nothing that it says is believed but what it can decide itself. What makes no sense ends it: PROTOCOL.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "worker/supervisor.h"

/* Heard from a worker in one look; and when it has ended. */
#define MESSAGES_AT_ONCE 8
#define MESSAGES_AT_END  1024

/* CONFINED, before it runs a line of its plug-ins: what it has given up, and who is to answer for the rest. */
static void hear_confined(struct dx_worker *worker, struct dx_message *message)
{
	struct dx_supervisor *supervisor = worker->supervisor;
	const char *missing = dx_message_get(message, "MISSING");
	uint64_t word;

	if (worker->isolation != 0 || message->fd_count > 1 ||
	    dx_message_number(message, "CONFINED", UINT32_MAX, &word) != 0 || word == 0) {
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "its CONFINED is not one");
		return;
	}
	worker->isolation = (uint32_t)word;
	if (message->fd_count == 1 &&
	    dx_refusal_listen(worker, dx_message_take_fd(message, 0)) != 0)
		dx_worker_end(worker, DSMX_EXIT_START_TIMEOUT, "the supervisor cannot wait for it");
	/* The same for all, as a rule. */
	if (missing == NULL || strcmp(missing, supervisor->missing_steps) == 0)
		return;
	(void)snprintf(supervisor->missing_steps, sizeof(supervisor->missing_steps), "%s", missing);
	dx_supervisor_log(supervisor, DSMX_LOG_NOTICE, "isolation %s lacks: %s",
	                  dsmx_isolation_str(supervisor->start.isolation, false), missing);
}

/* READY: exactly two descriptors; each receiver checks what they are. */
static void hear_ready(struct dx_worker *worker, struct dx_message *message)
{
	uint64_t protocol, epoch, pages;

	if (worker->offer.ready || message->fd_count != 2 ||
	    dx_message_number(message, "READY", UINT32_MAX, &protocol) != 0 ||
	    dx_message_number(message, "EPOCH", UINT64_MAX, &epoch) != 0 ||
	    dx_message_number(message, "PAGES", DSMX_PAGES_SMALL, &pages) != 0 ||
	    epoch != worker->epoch) {
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "its READY is not one");
		return;
	}
	if (protocol != DX_PROTOCOL) {
		char text[128];

		(void)snprintf(text, sizeof(text), "it speaks protocol %llu, not %d",
		               (unsigned long long)protocol, DX_PROTOCOL);
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, text);
		return;
	}
	worker->offer.page_fd = dx_message_take_fd(message, 0);
	worker->offer.data_fd = dx_message_take_fd(message, 1);
	worker->offer.pages = (enum dsmx_pages)pages;
	worker->offer.ready = true;
	dx_introduce_begin(worker->supervisor, worker);
}

static void hear_mapped(struct dx_worker *worker, const struct dx_message *message)
{
	uint64_t round;

	if (dx_message_number(message, "MAPPED", worker->supervisor->round, &round) != 0 ||
	    round <= worker->offer.mapped) {
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "its MAPPED answers nothing");
		return;
	}
	worker->offer.mapped = (uint32_t)round;
	worker->supervisor->changed = true;
	/* It has done its part; the leader answers when it is there. */
	if (worker->supervisor->open && worker->state == DX_WORKER_STARTING)
		dx_timer_stop(&worker->timer);
	dx_introduce_finish(worker->supervisor);
}

static void hear_failure(struct dx_worker *worker, const struct dx_message *message)
{
	const char *text = dx_message_get(message, "STATUS");
	uint64_t code = EIO;

	if (worker->said.code != 0)
		return;
	(void)!dx_message_number(message, "ERRNO", 4095, &code);
	if (text == NULL)
		text = "";
	(void)dx_error_foreign(&worker->said, code > 0 ? -(int)code : -EIO, text, strlen(text));
	/* What this machine lacks for what was asked: the opening's own error, not a death's. */
	if (code == EOPNOTSUPP && !worker->supervisor->open)
		dx_say_failed(worker->supervisor->control.fd, &worker->said);
}

/* At most @limit messages: one that talks without end may not keep us from the others. */
static void hear(struct dx_worker *worker, int limit)
{
	struct dx_message *message = &worker->supervisor->in;
	int r = 1;

	while (limit-- > 0 && worker->control.fd >= 0) {
		r = dx_message_recv(worker->control.fd, message);
		if (r <= 0)
			break;
		if (dx_message_get(message, "ERRNO") != NULL)
			hear_failure(worker, message);
		else if (!dx_worker_is_up(worker))
			; /* it may have crossed our word to stop */
		else if (dx_message_get(message, "CONFINED") != NULL)
			hear_confined(worker, message);
		else if (dx_message_get(message, "READY") != NULL)
			hear_ready(worker, message);
		else if (dx_message_get(message, "MAPPED") != NULL)
			hear_mapped(worker, message);
		else
			dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "it said what is no message");
		dx_message_done(message);
	}
	if (r == -EAGAIN || r > 0)
		return;
	dx_worker_close_control(worker);
	if (r < 0)
		dx_worker_end(worker, DSMX_EXIT_PROTOCOL, "it sent what is no message");
}

void dx_worker_hear(struct dx_worker *worker)
{
	hear(worker, MESSAGES_AT_ONCE);
}

bool dx_worker_look(struct dx_worker *worker)
{
	bool exited = worker->exit.fired != 0;
	bool refused = !exited && dx_refusal_look(worker);
	bool news = refused || worker->control.fired != 0 || exited;

	if (!news || !dx_worker_is_there(worker) || worker->state == DX_WORKER_EXITED)
		return false;
	worker->control.fired = 0;
	worker->exit.fired = 0;
	hear(worker,
	     exited ? MESSAGES_AT_END : MESSAGES_AT_ONCE); /* last words come before the end */
	if (exited)
		dx_worker_reap(worker);
	return true;
}
