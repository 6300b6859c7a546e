/* SPDX-License-Identifier: MIT */
/*
 * An operator's end of the control socket.
 *
 * A supervisor says within milliseconds that it has begun; how long what was asked for takes is another matter,
 * so the wait for that has no bound but its end of file.
 */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/ctl.h"
#include "worker/message.h"
#include "worker/registry.h"

#define ANSWER_MS 5000

struct search {
	uint64_t session;
	int socket; /* -errno: not found, or not reached */
};

static int connect_to(int dir, const char *name)
{
	struct sockaddr_un address;
	char path[64];
	int fd, r;

	(void)snprintf(path, sizeof(path), "%.40s%s", name, DX_CTL_SUFFIX);
	r = dx_ctl_address(dir, path, &address);
	if (r != 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return dx_errno();
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	r = dx_errno();
	(void)close(fd);
	return r;
}

static int try_entry(void *arg, int dir, const char *name)
{
	struct search *search = arg;
	unsigned long long id;

	if (sscanf(name, "%16llx", &id) != 1 || id != search->session)
		return 0;
	search->socket = connect_to(dir, name);
	return 1;
}

static int find(uint64_t session, struct dsmx_error *err)
{
	struct search search = { session, -ENOENT };
	unsigned long long id = session;

	dx_registry_each(try_entry, &search);
	switch (search.socket) {
	case -ENOENT:
		return dx_error(err, -ENOENT, "session %016llx is not there", id);
	case -ECONNREFUSED:
		return dx_error(err, -EOWNERDEAD,
		                "session %016llx: its processes were killed; the next session to "
		                "start removes what is left of it",
		                id);
	case -EACCES:
	case -EPERM:
		return dx_error(err, -EACCES, "session %016llx belongs to another user", id);
	case -EAGAIN:
		return dx_error(err, -EBUSY,
		                "session %016llx: too many are asking its supervisor: try again",
		                id);
	default:
		if (search.socket < 0)
			(void)dx_error(err, search.socket, "session %016llx: %s", id,
			               dx_strerror(search.socket));
		return search.socket;
	}
}

static int ask(int socket, const struct dsmx_control *control, struct dsmx_error *err)
{
	struct dx_message message;
	int r;

	dx_message_start(&message);
	dx_message_put(&message, "CONTROL", "%s", dsmx_control_verb_str((int)control->verb));
	dx_message_put(&message, "WORKER", "%u", control->worker);
	dx_message_put(&message, "TIMEOUT_MS", "%llu", (unsigned long long)control->timeout_ms);
	dx_message_put(&message, "WAIT", "%d", !control->no_wait);
	r = dx_message_send(socket, &message);
	/* One that refuses us has answered, and hung up. */
	return r == 0 || r == -EPIPE
	               ? 0
	               : dx_error(err, r, "cannot ask the supervisor: %s", dx_strerror(r));
}

/* The next message, which is the caller's then. */
static int hear(int socket, int timeout_ms, uint64_t session, struct dx_message *ret_message,
                struct dsmx_error *err)
{
	struct pollfd news = { .fd = socket, .events = POLLIN };
	int r;

	do
		r = poll(&news, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return dx_error(err, -ETIMEDOUT,
		                "the supervisor of session %016llx does not answer",
		                (unsigned long long)session);
	if (dx_message_recv(socket, ret_message) <= 0)
		return dx_error(err, -EOWNERDEAD, "the supervisor of session %016llx is gone",
		                (unsigned long long)session);
	return 0;
}

static int await_answer(int socket, const struct dsmx_control *control, struct dsmx_error *err)
{
	struct dx_message message;
	uint64_t code;
	int r = hear(socket, ANSWER_MS, control->session, &message, err);

	if (r == 0 && dx_message_get(&message, "BEGUN") != NULL) {
		dx_message_done(&message);
		r = hear(socket, -1, control->session, &message, err);
	}
	if (r != 0)
		return r;
	if (dx_message_number(&message, "ERRNO", 4095, &code) != 0) {
		r = dx_error(err, -EPROTO, "the supervisor's answer is none");
	} else if (code != 0) {
		const char *text = dx_message_get(&message, "STATUS");

		r = dx_error(err, -(int)code, "%s", text != NULL ? text : dx_strerror(-(int)code));
	} else {
		r = 0;
	}
	dx_message_done(&message);
	return r;
}

int dsmx_control(const struct dsmx_control *control, struct dsmx_error *err)
{
	int socket, r;

	if (control == NULL || control->size < sizeof(*control) ||
	    dsmx_control_verb_str((int)control->verb) == NULL || control->timeout_ms > UINT32_MAX)
		return dx_error(err, -EINVAL,
		                "control: set size, and a verb; timeout_ms is at most %u",
		                UINT32_MAX);
	socket = find(control->session, err);
	if (socket < 0)
		return socket;
	r = ask(socket, control, err);
	if (r == 0)
		r = await_answer(socket, control, err);
	(void)close(socket);
	return r;
}
