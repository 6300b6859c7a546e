/* SPDX-License-Identifier: MIT */
/*
 * Workers that died and others in their places, seen from the leader.
 *
 * What the supervisor said of a death tells when another is started. A query that starts meanwhile waits for it
 * a little: soon enough it would find all workers there again.
 */
#include "base/clock.h"
#include "base/err.h"
#include "session/session.h"
#include "shm/numa.h"

/* A replacement takes a few milliseconds; a machine under load gets some more. */
#define SOON_NS (250 * DX_NS_PER_MS)

bool dx_session_drains(const struct dsmx_session *session, uint32_t peer)
{
	uint64_t epoch = session->is_member ? session->member.drains[peer].epoch : 0;

	return epoch != 0 && epoch == dx_mesh_epoch(session->mesh, peer) &&
	       dx_mesh_alive(session->mesh, peer);
}

static bool is_ready(const struct dsmx_session *session, uint32_t peer)
{
	return !dx_session_drains(session, peer) && dx_mesh_alive(session->mesh, peer) &&
	       dx_mesh_mapped_by_all(session->mesh, peer);
}

/* When, seen from @start_ns, there will be a worker at @peer at the latest; 0: there will be none, or is one. */
static uint64_t due_ns(const struct dsmx_session *session, uint32_t peer, uint64_t start_ns,
                       uint64_t patience_ns)
{
	const struct dx_verdict *last = &session->member.verdicts[peer];
	const struct dx_drain *drain = &session->member.drains[peer];

	if (dx_session_drains(session, peer))
		return drain->again ? drain->heard_ns + patience_ns : 0;
	if (is_ready(session, peer))
		return 0;
	if (dx_mesh_alive(session->mesh,
	                  peer)) /* it has come, or another one that has yet to map it */
		return start_ns + patience_ns;
	if (last->epoch == 0 || last->restart_ms < 0)
		return 0;
	return last->heard_ns + (uint64_t)last->restart_ms * DX_NS_PER_MS + patience_ns;
}

uint64_t dx_session_workers_due_ns(const struct dsmx_session *session, uint64_t since_ns)
{
	uint64_t soon_ns = 0, late_ns = 0;
	uint32_t ready = 0;

	for (uint32_t p = 1; session->is_member && p <= session->options.workers; p++) {
		uint64_t soon = due_ns(session, p, since_ns, SOON_NS);
		uint64_t late = due_ns(session, p, since_ns,
		                       session->options.start_timeout_ms * DX_NS_PER_MS);

		ready += is_ready(session, p);
		if (soon > soon_ns && soon <= since_ns + 2 * SOON_NS)
			soon_ns = soon;
		late_ns = late > late_ns ? late : late_ns;
	}
	return ready == 0 ? late_ns : soon_ns;
}

void dx_session_await_workers(struct dsmx_session *session, uint64_t until_ns)
{
	uint64_t start_ns = dx_now_ns();

	if (!session->is_member)
		return;
	(void)dx_reactor_turn(session->reactor, 0); /* hear what there is to be heard */
	while (session->broken.code == 0) {
		uint64_t due_ns = dx_session_workers_due_ns(session, start_ns);

		due_ns = due_ns < until_ns ? due_ns : until_ns;
		if (dx_now_ns() >= due_ns)
			return;
		(void)dx_reactor_turn(session->reactor, due_ns);
	}
}

int dsmx_session_worker_pid(const struct dsmx_session *session, uint32_t worker)
{
	int pidfd;

	if (!session->is_member || worker >= session->options.workers)
		return 0;
	pidfd = session->member
	                .pidfds[worker + 1]; /* tells of a death that no message told of yet */
	return pidfd >= 0 && dx_pidfd_wait(pidfd, 0) != 0 ? session->member.pids[worker + 1] : 0;
}

static enum dsmx_worker_state state_of(const struct dsmx_session *session, uint32_t peer)
{
	const struct dx_verdict *last = &session->member.verdicts[peer];

	if (is_ready(session, peer))
		return DSMX_WORKER_READY;
	if (dx_session_drains(session, peer))
		return DSMX_WORKER_DRAINING;
	if (dx_mesh_alive(session->mesh, peer))
		return DSMX_WORKER_STARTING;
	/* A death that the supervisor has not spoken of yet may be followed by anything. */
	if (session->broken.code != 0 ||
	    (last->epoch >= dx_mesh_epoch(session->mesh, peer) && last->restart_ms < 0))
		return DSMX_WORKER_FAILED;
	return DSMX_WORKER_DOWN;
}

int dsmx_session_worker(const struct dsmx_session *session, uint32_t worker,
                        struct dsmx_worker_info *ret_info)
{
	const struct dx_verdict *last;
	uint32_t incarnations;

	if (!session->is_member || worker >= session->options.workers)
		return -EINVAL;
	last = &session->member.verdicts[worker + 1];
	incarnations = session->member.incarnations[worker + 1];
	*ret_info = (struct dsmx_worker_info){
		.state = state_of(session, worker + 1),
		.pid = dsmx_session_worker_pid(session, worker),
		.epoch = dx_mesh_epoch(session->mesh, worker + 1),
		.restarts = incarnations > 0 ? incarnations - 1 : 0,
		.reason = last->reason,
		.status = last->status,
		.text = last->text,
		.node = -1,
	};
	if (ret_info->pid != 0) {
		const struct dsmx_page_abi *page = dx_mesh_peer_page(session->mesh, worker + 1);

		ret_info->isolation = page->isolation;
		ret_info->node = dx_numa_node_of_page(page);
	}
	return 0;
}
