/* SPDX-License-Identifier: MIT */
/*
 * suspect.c - workers that lie about themselves or about each other
 *
 * A broken rule of a stream is seen where it is read. What is seen here is what no single reader can judge: words that
 * contradict what the leader knows from elsewhere. Only the kernel's word on who lives is beyond doubt, and a pulse that
 * moves: it is stored at the begin of each look, so who has moved it several times has seen, in between, whatever was
 * published before, and has answered it if it is honest. One that stands still is the watchdog's.
 *
 *	SAYS_DEAD	a liveness word says that it is dead, to whomever; its pulse moves, or it does not end: ended
 *	OWES		it does not say of one closed query that it is closed: ended. That it is late with another each time
 *			is no lie: an application that closes many meets its workers in the midst of one
 *	HIDES		it does not show that it has mapped another, for half as long as workers have to start: ended
 *	DISPUTED	another one says that it is dead, and the kernel does not, nor does it itself
 *	ACCUSED		another one says that it broke a rule. If the leader sees one broken, of either: ended
 *
 * Ended is for good, with reason PROTOCOL. Of the last two, one of two workers lies, and the leader cannot tell which
 * (what was wrong may have been put right since): both make room for others, by the rules for any other death.
 *
 * All of it is looked at a little after a peer changed something or a query was closed, and then for as long as
 * somebody is suspected; else there is no timer.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "exchange/query.h"
#include "session/session.h"

#define SOON_NS  (20 * DX_NS_PER_MS)
#define AGAIN_NS (100 * DX_NS_PER_MS)
/* For the kernel to tear down what is dead: some 80 ms for each GiB. */
#define GONE_NS (10 * DX_NS_PER_S)
/* To see a rule broken of which another one has said so: who keeps lying is seen, who has tidied up is not. */
#define WATCH_NS (300 * DX_NS_PER_MS)
/* Looks at which the pulse had moved: for one who says that it is dead; for one who has something to answer. */
#define BEATS_DEAD  2U
#define BEATS_OWING 5U

enum { CLEAR, SAYS_DEAD, OWES, HIDES, DISPUTED, ACCUSED };

static struct dsmx_session *session_of(struct dx_suspects *suspects)
{
	return DX_CONTAINER(suspects, struct dsmx_session, suspects);
}

/* There is a process, by the supervisor's word and the kernel's. */
static bool is_there(const struct dsmx_session *s, uint32_t peer)
{
	return s->member.pids[peer] != 0 && s->member.pidfds[peer] >= 0 &&
	       dx_pidfd_wait(s->member.pidfds[peer], 0) != 0;
}

static bool is_ended(const struct dsmx_session *s, uint32_t peer)
{
	return s->suspects.peers[peer].ended_epoch == dx_mesh_epoch(s->mesh, peer);
}

/* Who is alive, has not been found out itself, and says something of @peer; 0: nobody. */
static uint32_t find_other(const struct dsmx_session *s, uint32_t peer,
                           bool (*says)(const struct dx_mesh *mesh, uint32_t who, uint32_t whom))
{
	for (uint32_t who = 1; who <= s->options.workers; who++)
		if (who != peer && dx_mesh_alive(s->mesh, who) && !is_ended(s, who) &&
		    says(s->mesh, who, peer))
			return who;
	return 0;
}

static bool hides(const struct dsmx_session *s, uint32_t peer)
{
	for (uint32_t whom = 0; whom <= s->options.workers; whom++)
		if (whom != peer && dx_mesh_alive(s->mesh, whom) &&
		    !dx_mesh_has_mapped(s->mesh, peer, whom))
			return true;
	return false;
}

static int suspicion(const struct dsmx_session *s, uint32_t peer, uint32_t *ret_other,
                     uint64_t *ret_about)
{
	*ret_about = 0;
	if (dx_mesh_says_dead(s->mesh, peer))
		return SAYS_DEAD;
	if (!dx_mesh_alive(s->mesh, peer))
		return CLEAR;
	*ret_other = find_other(s, peer, dx_mesh_accuses);
	if (*ret_other != 0)
		return ACCUSED;
	*ret_other = find_other(s, peer, dx_mesh_calls_dead);
	if (*ret_other != 0)
		return DISPUTED;
	*ret_about = dx_query_owed_echo(s->mesh, peer, s->suspects.peers[peer].about);
	if (*ret_about != 0)
		return OWES;
	return hides(s, peer) ? HIDES : CLEAR;
}

void dx_suspects_end(struct dsmx_session *s, uint32_t peer, const char *what)
{
	uint64_t epoch = dx_mesh_epoch(s->mesh, peer);

	s->suspects.peers[peer].ended_epoch = epoch;
	dx_member_accuse(&s->member, peer, epoch, what);
}

static void doubt(struct dsmx_session *s, uint32_t peer, const char *what)
{
	uint64_t epoch = dx_mesh_epoch(s->mesh, peer);

	s->suspects.peers[peer].ended_epoch = epoch;
	dx_member_doubt(&s->member, peer, epoch, what);
}

static void doubt_both(struct dsmx_session *s, uint32_t peer, uint32_t other, const char *what)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
	               "worker %u says that worker %u %s, and nothing else shows that: one of the "
	               "two lies, both are replaced",
	               other - 1, peer - 1, what);
	doubt(s, peer, text);
	doubt(s, other, text);
}

/* What follows if it has lasted; @beats: looks at which the pulse had moved. Returns whether something did. */
static bool judge(struct dsmx_session *s, uint32_t peer, uint32_t other, uint64_t now_ns)
{
	const struct dx_suspect *suspect = &s->suspects.peers[peer];
	const char *what;

	switch (suspect->what) {
	case SAYS_DEAD:
		if (suspect->beats < BEATS_DEAD && now_ns - suspect->since_ns < GONE_NS)
			return false;
		dx_suspects_end(s, peer,
		                suspect->beats >= BEATS_DEAD
		                        ? "it says that it is dead, and goes on"
		                        : "it says that it is dead, and does not end");
		return true;
	case OWES:
		if (suspect->beats < BEATS_OWING)
			return false;
		dx_suspects_end(s, peer,
		                "it goes on, and does not say that a closed query is closed");
		return true;
	case HIDES:
		if (suspect->beats < s->options.start_timeout_ms * DX_NS_PER_MS / (2 * AGAIN_NS))
			return false;
		dx_suspects_end(s, peer,
		                "it goes on, and does not show that it has mapped all others");
		return true;
	case DISPUTED:
		if (suspect->beats < BEATS_OWING)
			return false;
		doubt_both(s, peer, other, "is dead");
		return true;
	default: /* ACCUSED */
		what = dx_mesh_inspect(s->mesh, peer);
		if (what != NULL)
			dx_suspects_end(s, peer, what);
		else if ((what = dx_mesh_inspect(s->mesh, other)) != NULL)
			dx_suspects_end(s, other, what);
		else if (now_ns - suspect->since_ns < WATCH_NS)
			return false;
		else
			doubt_both(s, peer, other, "broke a rule of the shared memory");
		return true;
	}
}

/* Returns whether it stays suspected. */
static bool look_at(struct dsmx_session *s, uint32_t peer, uint64_t now_ns)
{
	struct dx_suspect *suspect = &s->suspects.peers[peer];
	uint32_t pulse, other = 0;
	uint64_t about = 0;
	int what = is_ended(s, peer) ? CLEAR : suspicion(s, peer, &other, &about);

	if (what == CLEAR || !is_there(s, peer)) {
		suspect->what = CLEAR;
		return false;
	}
	pulse = dx_mesh_pulse(s->mesh, peer);
	if (what != suspect->what || about != suspect->about) {
		suspect->what = what;
		suspect->about = about;
		suspect->since_ns = now_ns;
		suspect->beats = 0;
	} else if (pulse != suspect->pulse) {
		suspect->beats++;
	}
	suspect->pulse = pulse;
	dx_mesh_ring(s->mesh, peer); /* so that an idle one looks */
	return !judge(s, peer, other, now_ns);
}

static void start_timer(struct dx_suspects *suspects, uint64_t in_ns)
{
	struct dx_reactor *reactor = session_of(suspects)->reactor;

	suspects->is_due = true;
	dx_timer_start(reactor, &suspects->timer, dx_wait_now(dx_reactor_wait(reactor)) + in_ns);
}

static void fire(struct dx_timer *timer)
{
	struct dx_suspects *suspects = DX_CONTAINER(timer, struct dx_suspects, timer);
	struct dsmx_session *s = session_of(suspects);
	uint64_t now_ns = dx_wait_now(dx_reactor_wait(s->reactor));
	bool again = false;

	suspects->is_due = false;
	for (uint32_t peer = 1; s->opened && peer <= s->options.workers; peer++)
		again |= look_at(s, peer, now_ns);
	if (again)
		start_timer(suspects, AGAIN_NS);
}

static bool look(struct dx_source *source)
{
	struct dx_suspects *suspects = DX_CONTAINER(source, struct dx_suspects, source);
	uint64_t heard = dx_mesh_heard(session_of(suspects)->mesh);

	if (heard != suspects->heard && !suspects->is_due) {
		suspects->heard = heard;
		start_timer(suspects, SOON_NS);
	}
	return false;
}

void dx_suspects_start(struct dsmx_session *session)
{
	session->suspects.timer.fire = fire;
	session->suspects.source.look = look;
	dx_reactor_add_source(session->reactor, &session->suspects.source);
}

void dx_suspects_soon(struct dsmx_session *session)
{
	if (session->is_member && !session->suspects.is_due)
		start_timer(&session->suspects, SOON_NS);
}

bool dx_suspects_are(const struct dsmx_session *session, uint32_t peer)
{
	return session->is_member && session->suspects.peers[peer].what != CLEAR;
}

void dx_suspects_stop(struct dsmx_session *session)
{
	dx_timer_stop(&session->suspects.timer);
	dx_reactor_remove_source(session->reactor, &session->suspects.source);
}
