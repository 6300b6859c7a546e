/* SPDX-License-Identifier: MIT */
/*
 * supervisor.c - what the leader hears of its supervisor: that the session is open, its log, verdicts; and that it is
 * gone, which is the end of the session
 */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "dsmx/dsmx.h"
#include "session/session.h"

const struct dx_verdict *dx_session_verdict(const struct dsmx_session *session, uint32_t peer,
                                            uint64_t epoch)
{
	if (!session->is_member || peer >= DSMX_ABI_PEERS || epoch == 0 ||
	    session->member.verdicts[peer].epoch != epoch)
		return NULL;
	return &session->member.verdicts[peer];
}

int dx_session_verdict_error(const struct dx_verdict *verdict, struct dsmx_error *err)
{
	(void)dx_error(err, -EOWNERDEAD, "%s", verdict->text);
	if (err != NULL) {
		err->worker = (int)verdict->peer - 1;
		err->reason = verdict->reason;
		err->status = verdict->status;
	}
	return -EOWNERDEAD;
}

static struct dsmx_session *session_of(struct dx_member *member)
{
	return DX_CONTAINER(member, struct dsmx_session, member);
}

static void copy_text(char *to, size_t room, const struct dx_message *message, const char *key)
{
	const char *text = dx_message_get(message, key);

	(void)snprintf(to, room, "%s", text != NULL ? text : "");
}

/* What it takes to clean up without the supervisor, and what to tell the application. */
static void hear_open(struct dsmx_session *session, const struct dx_message *message)
{
	const char *missing = dx_message_get(message, "MISSING");
	struct dx_cgroup *group = &session->group;
	uint64_t own_root = 0, pages = 0, steps = 0;

	copy_text(group->v2, sizeof(group->v2), message, "CGROUP");
	copy_text(group->v1[DX_V1_MEMORY], DX_CGROUP_PATH, message, "CGROUP_MEMORY");
	copy_text(group->v1[DX_V1_PIDS], DX_CGROUP_PATH, message, "CGROUP_PIDS");
	copy_text(group->v1[DX_V1_CPU], DX_CGROUP_PATH, message, "CGROUP_CPU");
	copy_text(group->v1[DX_V1_CPUSET], DX_CGROUP_PATH, message, "CGROUP_CPUSET");
	copy_text(group->v1[DX_V1_BLKIO], DX_CGROUP_PATH, message, "CGROUP_BLKIO");
	copy_text(session->isolation, sizeof(session->isolation), message, "ISOLATION");
	copy_text(session->state_path, sizeof(session->state_path), message, "STATE");
	if (dx_message_number(message, "CGROUP_OWN_ROOT", 1, &own_root) == 0)
		group->own_root = own_root == 1;
	(void)!dx_message_number(message, "OFFERED_NS", UINT64_MAX, &session->offered_ns);
	if (dx_message_number(message, "PAGES", DSMX_PAGES_SMALL, &pages) == 0)
		session->info.pages = dx_pages_str((enum dsmx_pages)pages);
	if (dx_message_number(message, "STEPS", UINT32_MAX, &steps) == 0)
		(void)dsmx_isolation_steps_str((uint32_t)steps, session->steps,
		                               sizeof(session->steps));
	if (missing != NULL)
		dx_session_log(session, DSMX_LOG_NOTICE, "%s", missing);
	session->opened = true;
}

static void hear(struct dx_member *member, struct dx_message *message)
{
	struct dsmx_session *session = session_of(member);
	const char *text = dx_message_get(message, "STATUS");
	uint64_t code = EIO, level;

	if (dx_message_number(message, "LOG", DSMX_LOG_DEBUG, &level) == 0) {
		dx_session_log(session, (enum dsmx_log_level)level, "%s", text != NULL ? text : "");
	} else if (dx_message_get(message, "OPEN") != NULL) {
		hear_open(session, message);
	} else if (dx_message_get(message, "ERRNO") != NULL && session->broken.code == 0) {
		(void)!dx_message_number(message, "ERRNO", 4095, &code);
		code = code > 0 ? code : EIO;
		if (text == NULL || text[0] == '\0')
			text = dx_strerror(-(int)code);
		(void)dx_error(&session->broken, -(int)code, "%s", text);
	}
}

/* Before all are ready a death ends the opening; later it is the queries' business. */
static void hear_death(struct dx_member *member, const struct dx_verdict *verdict)
{
	struct dsmx_session *session = session_of(member);

	dx_session_log(session,
	               verdict->reason == DSMX_EXIT_CLEAN ? DSMX_LOG_NOTICE : DSMX_LOG_WARNING,
	               "%s", verdict->text);
	dx_queries_hear_death(session, verdict);
	if (!session->opened && session->broken.code == 0)
		(void)dx_session_verdict_error(verdict, &session->broken);
}

void dx_session_kill_workers(struct dsmx_session *session)
{
	for (uint32_t peer = 1; peer <= session->options.workers; peer++)
		dx_pidfd_kill(session->member.pidfds[peer], SIGKILL);
	dx_cgroup_kill(&session->group);
}

/* The supervisor went before the session did. Its workers see that too, and leave; make sure of it. */
static void supervisor_gone(struct dx_member *member)
{
	struct dsmx_session *session = session_of(member);

	if (session->broken.code == 0 && member->why.code != 0)
		session->broken = member->why;
	else if (session->broken.code == 0 && !session->opened)
		(void)dx_error(
			&session->broken, -EOWNERDEAD,
			"the supervisor (pid %d) ended before it said a word: is the worker program "
			"a dsmx-worker of version %s?",
			session->supervisor.pid, dsmx_version());
	else if (session->broken.code == 0)
		(void)dx_error(
			&session->broken, -EOWNERDEAD,
			"the supervisor (pid %d) is gone, and the session with it: open another",
			session->supervisor.pid);
	dx_session_kill_workers(session);
	for (uint32_t peer = 1; peer <= session->options.workers; peer++) {
		member->pids[peer] = 0;
		dx_mesh_peer_dead(session->mesh, peer, dx_mesh_epoch(session->mesh, peer));
	}
}

const struct dx_member_ops dx_session_member_ops = {
	.message = hear,
	.dead = hear_death,
	.gone = supervisor_gone,
};
