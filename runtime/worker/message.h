/* SPDX-License-Identifier: MIT */
/*
 * message.h - what leader, supervisor and workers say to each other over their sockets
 *
 * One datagram (SOCK_SEQPACKET) of lines KEY=value, in the words of sd_notify(3) where it has one, and with
 * descriptors. A key may come more than once. What each message means is in handshake.h.
 *
 * A received message is hostile: its size, its lines and the number of its descriptors are checked here, a
 * cut one is an error, and descriptors that nobody takes are closed.
 */
#ifndef DX_WORKER_MESSAGE_H
#define DX_WORKER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "dsmx/error.h"

#define DX_MESSAGE_BYTES 16384
#define DX_MESSAGE_FDS   253 /* the kernel's limit */

struct dx_message {
	size_t len;
	int fd_count;
	bool too_long; /* of one that is being written */
	int fds[DX_MESSAGE_FDS];
	char text[DX_MESSAGE_BYTES];
};

/* Write one: start, put, send. Descriptors stay the caller's. A newline in a value becomes a blank. */
void dx_message_start(struct dx_message *message);
void dx_message_put(struct dx_message *message, const char *key, const char *fmt, ...)
	DX_PRINTF(3, 4);
void dx_message_put_fd(struct dx_message *message, int fd);
/* Does not block. Returns 0, -E2BIG, -EAGAIN (the receiver does not read), -EPIPE, ... */
int dx_message_send(int socket, const struct dx_message *message) DX_MUST_CHECK;

/*
 * Receive one, not blocking. Returns 1, 0: the other end is closed; -EAGAIN: nothing now; -EPROTO: not a
 * message; or what recvmsg() said. After 1 the descriptors are the message's: dx_message_done().
 */
int dx_message_recv(int socket, struct dx_message *ret_message) DX_MUST_CHECK;
void dx_message_done(struct dx_message *message);

/* The same from @len bytes that are in @message's text already, from a file: 1 or -EPROTO. */
int dx_message_parse(struct dx_message *message, size_t len) DX_MUST_CHECK;

/* The value of the first line with @key after @after (NULL: of all); NULL: none. Values are the message's. */
const char *dx_message_next(const struct dx_message *message, const char *key, const char *after);
static inline const char *dx_message_get(const struct dx_message *message, const char *key)
{
	return dx_message_next(message, key, NULL);
}

/* A number up to @max, decimal. Returns 0, -EPROTO if there is none, or no such number. */
int dx_message_number(const struct dx_message *message, const char *key, uint64_t max,
                      uint64_t *ret_value) DX_MUST_CHECK;

/* Descriptor @index becomes the caller's; -1 where there is none. */
int dx_message_take_fd(struct dx_message *message, int index);

#endif /* DX_WORKER_MESSAGE_H */
