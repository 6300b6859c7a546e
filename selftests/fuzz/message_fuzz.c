/* SPDX-License-Identifier: MIT */
/*
 * message_fuzz.c - what workers, leader and supervisor say to each other: bytes and descriptors from a socket, the
 * parameters of START, and a process that is told of peers and verdicts by whoever sits at the other end
 *
 * The first byte of an input says how many descriptors go with it.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostile.h"
#include "worker/handshake.h"

static struct hostile worker;

static size_t seed(uint32_t index, uint8_t *buf, size_t room)
{
	static const char *const texts[] = {
		"\3PEERS=1\nPEER=1 11 77\n",
		"\4PEERS=1\nPEER=1 11 77\nEVENTFD=1\n",
		"\0DEAD=1\nEPOCH=11\nPID=77\nREASON=3\nEXIT=9\nSTATUS=it went\nRESTART=100\n",
		"\0STOPPING=1\n",
		"\2READY=2\nEPOCH=11\nPAGES=1\nWAIT=uring\n",
		"\0MAPPED=1\n",
		"\0ERRNO=12\nSTATUS=no memory\n",
	};
	struct dx_start start = { .session = 77,
		                  .self = 1,
		                  .epoch = 11,
		                  .workers = 2,
		                  .slots = 4,
		                  .frames = 4,
		                  .tasks = 8,
		                  .data_bytes = HOSTILE_DATA,
		                  .start_timeout_ms = 1000,
		                  .limits = { .memory_max = 1 << 20, .cpus = "0-1" },
		                  .worker_path = "/bin/true",
		                  .cgroup_root = "/sys/fs/cgroup",
		                  .plugins = { "a.so", "b.so" } };
	struct dx_message message;

	if (index > DX_ARRAY_LEN(texts))
		return 0;
	if (index == DX_ARRAY_LEN(texts)) {
		dx_message_start(&message);
		dx_start_put(&message, &start);
		FUZZ_CHECK(message.len + 1 <= room);
		buf[0] = 1;
		memcpy(buf + 1, message.text, message.len);
		return message.len + 1;
	}
	buf[0] = (uint8_t)texts[index][0];
	strcpy((char *)buf + 1, texts[index] + 1);
	return 1 + strlen(texts[index] + 1);
}

const struct fuzz_target fuzz_target = { .name = "message",
	                                 .seed = seed,
	                                 .len_max = DX_MESSAGE_BYTES + 512 };

/* Raw: what a hostile process can put into a socket. */
static void say(int socket, const uint8_t *data, size_t size, int fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
		struct cmsghdr align;
	} control = { { 0 } };
	int given[8] = { worker.page.fd, worker.data.fd, socket, socket, 0, 0, 0, 0 };
	struct iovec part = { (void *)(uintptr_t)data, size };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	size_t bytes = sizeof(int) * (size_t)fds;

	if (fds > 0) {
		struct cmsghdr *c = &control.align;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(bytes);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), given, bytes);
	}
	FUZZ_CHECK(sendmsg(socket, &header, MSG_DONTWAIT) >= 0);
}

static void read_start(const uint8_t *data, size_t size)
{
	struct dx_message message;
	struct dsmx_error err = { 0 };
	struct dx_start start;
	struct dx_mesh_params params;
	int r;

	dx_message_start(&message);
	memcpy(message.text, data, size < sizeof(message.text) ? size : sizeof(message.text));
	r = dx_message_parse(&message, size);
	FUZZ_CHECK(r == 1 || r == -EPROTO);
	if (r < 0)
		return;
	r = dx_start_get(&message, &start, &err);
	FUZZ_CHECK(r == 0 || (r == -EPROTO && err.message[0] != '\0'));
	if (r < 0)
		return;
	params = dx_start_mesh(&start);
	(void)!dx_mesh_check(&params, &err);
}

static int open_count(void)
{
	int count = 0;

	for (int fd = 0; fd < 64; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* A mesh costs a hundred times what a message does: one serves many inputs, each with a member of its own. */
#define INPUTS_EACH 4096

static struct reader reader;

static void renew_reader(void)
{
	static uint32_t inputs;

	if (inputs++ % INPUTS_EACH != 0)
		return;
	if (inputs > 1)
		reader_close(&reader);
	hostile_open(&worker, 1, 3);
	reader_open(&reader, 0, 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dx_member member;
	int fds = size > 0 ? data[0] % 9 : 0, pair[2], before;
	struct dx_mesh *mesh;
	struct dsmx_error err = { 0 };

	if (size < 2)
		return 0;
	read_start(data + 1, size - 1);
	if (size - 1 > DX_MESSAGE_BYTES + 256)
		return 0;
	renew_reader();
	mesh = reader.process.mesh;
	before = open_count();
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	FUZZ_CHECK(dx_member_start(&member, pair[0], mesh, 10, -1, NULL, &err) == 0);
	say(pair[1], data + 1, size - 1, fds < 8 ? fds : 8);
	member.fd.fired = 1;
	reader_turn(&reader);
	FUZZ_CHECK(member.gone || !member.stopping || memmem(data, size, "STOPPING=", 9) != NULL);
	dx_member_stop(&member);
	for (uint32_t peer = 1; peer < 3; peer++)
		dx_mesh_peer_dead(mesh, peer, dx_mesh_epoch(mesh, peer));
	dx_mesh_set_peer_eventfd(mesh, DSMX_ABI_LEADER, -1);
	(void)close(pair[1]);
	FUZZ_CHECK(open_count() == before); /* what came and was not taken is closed */
	return 0;
}

/* Nothing is left, for who looks for leaks. */
__attribute__((destructor)) static void end_reader(void)
{
	if (reader.process.mesh != NULL)
		reader_close(&reader);
}
