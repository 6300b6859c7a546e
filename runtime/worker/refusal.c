/* SPDX-License-Identifier: MIT */
/*
 * Refused system calls: the worker's thread waits in the kernel until it is answered here.
 *
 * The answer is -EPERM, whatever it was, with one exception: while a worker loads its plug-ins, memory may become
 * executable. It says READY when they are loaded, and that waits in its socket before any call that it makes
 * later can come here: so its messages are read before such a call is judged.
 *
 * The leader is told of each kind of call once in an incarnation, whatever a worker tries how often. A worker that
 * tries without end keeps a processor busy, which its cgroup can limit, and us for a few calls in each turn.
 */
#include "worker/refusal.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/supervisor.h"

#define ANSWERS_AT_ONCE 16

void dx_refusal_init(struct dx_refusals *refusals)
{
	*refusals = (struct dx_refusals){ .listener = { .fd = -1 } };
}

int dx_refusal_listen(struct dx_worker *worker, int listener)
{
	worker->refusals.listener.fd = listener;
	return dx_listen(worker->supervisor->reactor, &worker->refusals.listener);
}

void dx_refusal_close(struct dx_worker *worker)
{
	struct dx_refusals *refusals = &worker->refusals;

	if (refusals->listener.fd >= 0) {
		dx_unlisten(worker->supervisor->reactor, &refusals->listener);
		(void)close(refusals->listener.fd);
	}
	dx_refusal_init(refusals);
}

/* Of mmap() and mprotect() only what would be executable is heard of here. */
static bool is_loading(struct dx_worker *worker, const struct seccomp_data *call)
{
	if (call->nr != SCMP_SYS(mmap) && call->nr != SCMP_SYS(mprotect))
		return false;
	if (!worker->offer.ready)
		dx_worker_hear(worker);
	return !worker->offer.ready;
}

static void tell(struct dx_worker *worker, const struct seccomp_data *call)
{
	struct dx_refusals *refusals = &worker->refusals;
	unsigned number = (unsigned)call->nr % DX_REFUSAL_CALLS;
	uint64_t bit = 1ULL << (number % 64);
	char *name;

	refusals->count++;
	if ((refusals->told[number / 64] & bit) != 0)
		return;
	refusals->told[number / 64] |= bit;
	name = seccomp_syscall_resolve_num_arch(call->arch, call->nr);
	dx_supervisor_log(worker->supervisor, DSMX_LOG_WARNING,
	                  "worker %u (pid %d) was refused the system call %s (%d) by isolation %s",
	                  worker->peer - 1, worker->process.pid, name != NULL ? name : "?",
	                  call->nr, dsmx_isolation_str(worker->supervisor->start.isolation, false));
	free(name);
}

/* The next that waits, if it still does: what it is received into has to be empty. False: no memory. */
static bool answer(struct dx_worker *worker)
{
	struct seccomp_notif_resp *response = NULL;
	struct seccomp_notif *asked = NULL;

	if (seccomp_notify_alloc(&asked, &response) != 0)
		return false;
	if (seccomp_notify_receive(worker->refusals.listener.fd, asked) != 0) {
		seccomp_notify_free(asked, response);
		return true;
	}
	*response = (struct seccomp_notif_resp){ .id = asked->id };
	if (is_loading(worker, &asked->data)) {
		response->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	} else {
		response->error = -EPERM;
		tell(worker, &asked->data);
	}
	/* It may be dead by now; whoever is not answered is told ENOSYS when the listener is closed. */
	(void)seccomp_notify_respond(worker->refusals.listener.fd, response);
	seccomp_notify_free(asked, response);
	return true;
}

bool dx_refusal_look(struct dx_worker *worker)
{
	struct dx_wait_fd *listener = &worker->refusals.listener;
	struct pollfd now = { .fd = listener->fd, .events = POLLIN };
	bool goes_on = (listener->fired & POLLIN) != 0;

	if (listener->fd < 0 || listener->fired == 0)
		return false;
	listener->fired = 0;
	/* Receiving blocks where nobody asks. */
	for (int i = 0;
	     goes_on && i < ANSWERS_AT_ONCE && poll(&now, 1, 0) > 0 && (now.revents & POLLIN) != 0;
	     i++)
		goes_on = answer(worker);
	if (!goes_on)
		dx_refusal_close(worker); /* nobody is left under the filter; or no memory */
	return true;
}
