/* SPDX-License-Identifier: MIT */
#include "worker/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

union control_buffer {
	char bytes[CMSG_SPACE(sizeof(int) * DX_MESSAGE_FDS)];
	struct cmsghdr align;
};

void dx_message_start(struct dx_message *message)
{
	message->len = 0;
	message->fd_count = 0;
	message->too_long = false;
}

void dx_message_put(struct dx_message *message, const char *key, const char *fmt, ...)
{
	size_t room = sizeof(message->text) - message->len;
	char *at = message->text + message->len, *value;
	va_list args;
	int n, m = -1;

	n = snprintf(at, room, "%s=", key);
	if (n > 0 && (size_t)n < room) {
		value = at + n;
		va_start(args, fmt);
		m = vsnprintf(value, room - (size_t)n, fmt, args);
		va_end(args);
	}
	if (m < 0 || (size_t)n + (size_t)m + 1 >= room) {
		message->too_long = true;
		return;
	}
	for (char *c = value; (c = strchr(c, '\n')) != NULL;)
		*c = ' ';
	value[m] = '\n';
	message->len += (size_t)n + (size_t)m + 1;
}

void dx_message_put_fd(struct dx_message *message, int fd)
{
	if (message->fd_count >= DX_MESSAGE_FDS)
		message->too_long = true;
	else
		message->fds[message->fd_count++] = fd;
}

int dx_message_send(int socket, const struct dx_message *message)
{
	size_t fd_bytes = sizeof(int) * (size_t)message->fd_count;
	struct msghdr header = { .msg_iovlen = 1 };
	union control_buffer control;
	struct iovec part;
	struct cmsghdr *fds;

	if (message->too_long || message->len == 0)
		return -E2BIG;
	part.iov_base = (void *)(uintptr_t)message->text;
	part.iov_len = message->len;
	header.msg_iov = &part;
	if (fd_bytes > 0) {
		memset(&control, 0, sizeof(control));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(fd_bytes);
		fds = CMSG_FIRSTHDR(&header);
		fds->cmsg_level = SOL_SOCKET;
		fds->cmsg_type = SCM_RIGHTS;
		fds->cmsg_len = CMSG_LEN(fd_bytes);
		memcpy(CMSG_DATA(fds), message->fds, fd_bytes);
	}
	if (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return 0;
	return errno == ECONNRESET ? -EPIPE : dx_errno(); /* it had not read all when it left */
}

/* The kernel cuts the list at the buffer's end, so there is room for all that came. */
static void collect_fds(struct msghdr *header, struct dx_message *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && message->fd_count < DX_MESSAGE_FDS; i++)
			memcpy(&message->fds[message->fd_count++], CMSG_DATA(c) + i * sizeof(int),
			       sizeof(int));
	}
}

int dx_message_parse(struct dx_message *message, size_t len)
{
	char *text = message->text;

	if (len == 0 || len > sizeof(message->text) || text[len - 1] != '\n' ||
	    memchr(text, '\0', len) != NULL)
		return -EPROTO;
	for (size_t i = 0; i < len; i++)
		text[i] = text[i] == '\n' ? '\0' : text[i];
	message->len = len;
	return 1;
}

int dx_message_recv(int socket, struct dx_message *ret_message)
{
	union control_buffer control;
	struct iovec part = { ret_message->text, sizeof(ret_message->text) };
	struct msghdr header = { .msg_iov = &part,
		                 .msg_iovlen = 1,
		                 .msg_control = &control,
		                 .msg_controllen = sizeof(control) };
	ssize_t n;

	dx_message_start(ret_message);
	n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && errno == ECONNRESET) /* said once, before what the other had sent */
		n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return dx_errno();
	collect_fds(&header, ret_message);
	if (n == 0 && ret_message->fd_count == 0)
		return 0;
	if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    dx_message_parse(ret_message, (size_t)n) < 0) {
		dx_message_done(ret_message);
		return -EPROTO;
	}
	return 1;
}

void dx_message_done(struct dx_message *message)
{
	for (int i = 0; i < message->fd_count; i++) {
		if (message->fds[i] >= 0)
			(void)close(message->fds[i]);
	}
	message->fd_count = 0;
}

const char *dx_message_next(const struct dx_message *message, const char *key, const char *after)
{
	const char *end = message->text + message->len;
	const char *line = after != NULL ? after + strlen(after) + 1 : message->text;
	size_t len = strlen(key);

	for (; line < end; line += strlen(line) + 1) {
		if (strncmp(line, key, len) == 0 && line[len] == '=')
			return line + len + 1;
	}
	return NULL;
}

int dx_message_number(const struct dx_message *message, const char *key, uint64_t max,
                      uint64_t *ret_value)
{
	const char *text = dx_message_get(message, key);
	unsigned long long value;
	char *end;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return -EPROTO;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || value > max)
		return -EPROTO;
	*ret_value = value;
	return 0;
}

int dx_message_take_fd(struct dx_message *message, int index)
{
	int fd;

	if (index < 0 || index >= message->fd_count)
		return -1;
	fd = message->fds[index];
	message->fds[index] = -1;
	return fd;
}
