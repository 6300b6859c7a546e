/* SPDX-License-Identifier: MIT */
/*
 * fd.c - dsmx_session_fd(): readable when a call that does not block may have news
 *
 * Where the wait has a descriptor of its own, that is it. Elsewhere it is an epoll of two: an eventfd that peers
 * write to with every bell for the leader, and a cancel too; and the supervisor's socket, which tells of deaths and
 * whose end is the supervisor's own.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "session/session.h"

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .fd = fd } };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : dx_errno();
}

int dsmx_session_fd(struct dsmx_session *session)
{
	int fd = dx_wait_pollable(dx_reactor_wait(session->reactor)), epoll, r;

	if (fd >= 0)
		return fd;
	if (session->epoll >= 0)
		return session->epoll;
	if (session->eventfd < 0) /* no workers: only a cancel can come */
		session->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (session->eventfd < 0)
		return dx_errno();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		return dx_errno();
	r = watch(epoll, session->eventfd);
	if (r == 0 && session->is_member)
		r = watch(epoll, session->member.fd.fd);
	if (r < 0) {
		(void)close(epoll);
		return r;
	}
	session->epoll = epoll;
	return epoll;
}

void dx_session_unpoll(struct dsmx_session *session)
{
	eventfd_t told;

	/* Before the look, so that what comes after it makes the descriptor readable again. */
	if (session->epoll >= 0)
		(void)eventfd_read(session->eventfd, &told);
}
