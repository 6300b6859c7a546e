/* SPDX-License-Identifier: MIT */
/* peer_zmq.c - ZeroMQ, PUSH to PULL over ipc */
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "peer.h"

static void endpoint(char *text, size_t room)
{
	(void)snprintf(text, room, "ipc://@dsmx-bench-%d", (int)getppid());
}

static void produce(void *shared, const struct peer_flow *flow, const void *message)
{
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PUSH);
	char text[64];

	(void)shared;
	endpoint(text, sizeof(text));
	if (socket == NULL || zmq_connect(socket, text) != 0)
		_exit(1);
	for (uint64_t i = 0; i < flow->count; i++)
		if (zmq_send(socket, message, flow->bytes, 0) < 0)
			_exit(1);
	(void)zmq_close(socket);
	(void)zmq_ctx_term(context); /* when all is sent */
}

static uint64_t consume(void *shared, const struct peer_flow *flow)
{
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PULL);
	uint64_t sum = 0;
	zmq_msg_t message;
	char text[64];

	(void)shared;
	endpoint(text, sizeof(text));
	if (socket == NULL || zmq_bind(socket, text) != 0)
		_exit(1);
	for (uint64_t i = 0; i < flow->count; i++) {
		if (zmq_msg_init(&message) != 0 || zmq_msg_recv(&message, socket, 0) < 0)
			_exit(1);
		sum += pair_sum(zmq_msg_data(&message), zmq_msg_size(&message));
		(void)zmq_msg_close(&message);
	}
	(void)zmq_close(socket);
	(void)zmq_ctx_term(context);
	return sum;
}

const struct peer peer_zmq = { "ZeroMQ ipc", NULL, NULL, produce, consume };
