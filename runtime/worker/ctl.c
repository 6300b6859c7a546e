/* SPDX-License-Identifier: MIT */
#include "worker/ctl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "worker/supervisor.h"

#define BACKLOG         16
#define ACCEPTS_AT_ONCE 4

int dx_ctl_address(int dir, const char *name, struct sockaddr_un *ret_address)
{
	int n;

	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d/%s",
	             dir, name);
	return n > 0 && (size_t)n < sizeof(ret_address->sun_path) ? 0 : -ENAMETOOLONG;
}

void dx_ctl_server_init(struct dx_ctl_server *server)
{
	server->listener.fd = -1;
	for (int i = 0; i < DX_CTL_CLIENTS; i++)
		server->clients[i].fd.fd = -1;
}

static uint64_t now_ns(const struct dx_supervisor *supervisor)
{
	return dx_wait_now(dx_reactor_wait(supervisor->reactor));
}

/* --- answers -------------------------------------------------------------------------------------------------- */

static void drop(struct dx_supervisor *supervisor, struct dx_ctl_client *client)
{
	dx_unlisten(supervisor->reactor, &client->fd);
	(void)close(client->fd.fd);
	*client = (struct dx_ctl_client){ .fd = { .fd = -1 } };
}

/* One who does not read his answer does not get it. */
static void say_failed(struct dx_supervisor *supervisor, int socket, const struct dsmx_error *err)
{
	struct dx_message *out = &supervisor->out;

	dx_message_start(out);
	dx_message_put(out, "ERRNO", "%d", -err->code);
	dx_message_put(out, "STATUS", "%s", err->message);
	(void)!dx_message_send(socket, out);
}

static void answer(struct dx_supervisor *supervisor, struct dx_ctl_client *client, int r,
                   const struct dsmx_error *err)
{
	struct dx_message *out = &supervisor->out;

	if (r != 0) {
		say_failed(supervisor, client->fd.fd, err);
	} else {
		dx_message_start(out);
		dx_message_put(out, "ERRNO", "0");
		(void)!dx_message_send(client->fd.fd, out);
	}
	drop(supervisor, client);
}

void dx_ctl_answer(struct dx_supervisor *supervisor)
{
	struct dsmx_error err;

	for (int i = 0; i < DX_CTL_CLIENTS; i++) {
		struct dx_ctl_client *client = &supervisor->control_server.clients[i];
		int r;

		if (client->fd.fd < 0 || !client->asked)
			continue;
		r = supervisor->ending ? dx_error(&err, -EOWNERDEAD, "the session ends")
		                       : dx_steer_result(&supervisor->workers[client->peer - 1],
		                                         client->verb, client->epoch, &err);
		if (r != -EINPROGRESS)
			answer(supervisor, client, r, &err);
	}
}

/* --- questions ------------------------------------------------------------------------------------------------ */

static int take_verb(const struct dx_message *message, enum dsmx_control_verb *ret_verb)
{
	const char *text = dx_message_get(message, "CONTROL");

	for (int verb = 0; text != NULL && verb < DSMX_CONTROL_COUNT; verb++)
		if (strcmp(text, dsmx_control_verb_str(verb)) == 0) {
			*ret_verb = (enum dsmx_control_verb)verb;
			return 0;
		}
	return -EPROTO;
}

static void obey(struct dx_supervisor *supervisor, struct dx_ctl_client *client,
                 const struct dx_message *message)
{
	uint64_t worker, timeout_ms = 0, wait = 0;
	enum dsmx_control_verb verb;
	struct dx_worker *target;
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	struct dsmx_error err;
	char who[32];
	int r;

	if (take_verb(message, &verb) != 0 ||
	    dx_message_number(message, "WORKER", UINT32_MAX, &worker) != 0 ||
	    dx_message_number(message, "TIMEOUT_MS", UINT32_MAX, &timeout_ms) != 0 ||
	    dx_message_number(message, "WAIT", 1, &wait) != 0) {
		r = dx_error(&err, -EPROTO, "that is no question of this version of dsmx");
		answer(supervisor, client, r, &err);
		return;
	}
	if (worker >= supervisor->start.workers) {
		r = dx_error(&err, -ENOENT, "there is no worker %llu: the session has %u",
		             (unsigned long long)worker, supervisor->start.workers);
		answer(supervisor, client, r, &err);
		return;
	}
	(void)getsockopt(client->fd.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	(void)snprintf(who, sizeof(who), "pid %d", (int)peer.pid);
	target = &supervisor->workers[worker];
	client->asked = true;
	client->verb = verb;
	client->peer = target->peer;
	client->epoch = target->epoch;
	r = dx_steer(target, verb, timeout_ms, who, &err);
	supervisor->changed = true; /* it may be done already */
	if (r != 0 || wait == 0) {
		answer(supervisor, client, r, &err);
		return;
	}
	dx_message_start(&supervisor->out);
	dx_message_put(&supervisor->out, "BEGUN", "1");
	(void)!dx_message_send(client->fd.fd, &supervisor->out);
}

/* One message; a second one, or anything else, is the end. */
static void hear(struct dx_supervisor *supervisor, struct dx_ctl_client *client)
{
	int r = dx_message_recv(client->fd.fd, &supervisor->in);

	if (r == -EAGAIN)
		return;
	if (r > 0 && !client->asked)
		obey(supervisor, client, &supervisor->in);
	else
		drop(supervisor, client);
	if (r > 0)
		dx_message_done(&supervisor->in);
}

static struct dx_ctl_client *find_free(struct dx_ctl_server *server)
{
	for (int i = 0; i < DX_CTL_CLIENTS; i++)
		if (server->clients[i].fd.fd < 0)
			return &server->clients[i];
	return NULL;
}

static bool is_allowed(int socket)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static void take(struct dx_supervisor *supervisor, int socket)
{
	struct dx_ctl_server *server = &supervisor->control_server;
	struct dx_ctl_client *client = find_free(server);
	struct dsmx_error err;
	int r = 0;

	if (!is_allowed(socket))
		r = dx_error(&err, -EACCES, "the session belongs to uid %u", (unsigned)geteuid());
	else if (client == NULL)
		r = dx_error(&err, -EBUSY, "%d others are asking: try again", DX_CTL_CLIENTS);
	if (r != 0) {
		say_failed(supervisor, socket, &err);
		(void)close(socket);
		return;
	}
	*client = (struct dx_ctl_client){ .fd = { .fd = socket }, .since_ns = now_ns(supervisor) };
	if (dx_listen(supervisor->reactor, &client->fd) != 0) {
		drop(supervisor, client);
		return;
	}
	dx_timer_start(supervisor->reactor, &server->timer,
	               client->since_ns + DX_CTL_PATIENCE_MS * DX_NS_PER_MS);
}

bool dx_ctl_look(struct dx_supervisor *supervisor)
{
	struct dx_ctl_server *server = &supervisor->control_server;
	bool news = false;

	for (int i = 0; i < DX_CTL_CLIENTS; i++) {
		struct dx_ctl_client *client = &server->clients[i];

		if (client->fd.fd < 0 || client->fd.fired == 0)
			continue;
		client->fd.fired = 0;
		news = true;
		hear(supervisor, client);
	}
	if (server->listener.fd < 0 || server->listener.fired == 0)
		return news;
	server->listener.fired = 0;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		int socket = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (socket < 0)
			break;
		take(supervisor, socket);
	}
	return true;
}

/* Those who connected and say nothing make room. */
static void lose_patience(struct dx_timer *timer)
{
	struct dx_ctl_server *server = DX_CONTAINER(timer, struct dx_ctl_server, timer);
	struct dx_supervisor *supervisor =
		DX_CONTAINER(server, struct dx_supervisor, control_server);
	uint64_t now = now_ns(supervisor), next_ns = DX_NEVER;

	for (int i = 0; i < DX_CTL_CLIENTS; i++) {
		struct dx_ctl_client *client = &server->clients[i];
		uint64_t end_ns = client->since_ns + DX_CTL_PATIENCE_MS * DX_NS_PER_MS;

		if (client->fd.fd < 0 || client->asked)
			continue;
		if (end_ns <= now)
			drop(supervisor, client);
		else if (end_ns < next_ns)
			next_ns = end_ns;
	}
	if (next_ns != DX_NEVER)
		dx_timer_start(supervisor->reactor, timer, next_ns);
}

/* --- start, stop ------------------------------------------------------------------------------------------------ */

/* The socket's mode is what a new file gets: nobody else can connect even for a moment. */
static int listen_at(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return dx_errno();
	if (fchmod(fd, 0600) == 0 &&
	    bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	r = dx_errno();
	(void)close(fd);
	return r;
}

int dx_ctl_start(struct dx_supervisor *supervisor, const char *path)
{
	struct dx_ctl_server *server = &supervisor->control_server;
	const char *slash = strrchr(path, '/');
	char dir[DX_CGROUP_PATH], name[64];
	struct sockaddr_un address;
	int dir_fd, fd, r;

	if (slash == NULL)
		return -ENOENT;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	(void)snprintf(name, sizeof(name), "%.40s%s", slash + 1, DX_CTL_SUFFIX);
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return dx_errno();
	r = dx_ctl_address(dir_fd, name, &address);
	fd = r == 0 ? listen_at(&address) : r;
	(void)close(dir_fd);
	if (fd < 0)
		return fd;
	server->listener = (struct dx_wait_fd){ .fd = fd };
	server->timer.fire = lose_patience;
	dx_list_init(&server->timer.link);
	r = dx_listen(supervisor->reactor, &server->listener);
	if (r != 0) {
		(void)close(fd);
		server->listener.fd = -1;
	}
	return r;
}

void dx_ctl_stop(struct dx_supervisor *supervisor)
{
	struct dx_ctl_server *server = &supervisor->control_server;

	if (server->listener.fd < 0)
		return;
	dx_ctl_answer(supervisor);
	for (int i = 0; i < DX_CTL_CLIENTS; i++)
		if (server->clients[i].fd.fd >= 0)
			drop(supervisor, &server->clients[i]);
	dx_timer_stop(&server->timer);
	dx_unlisten(supervisor->reactor, &server->listener);
	(void)close(server->listener.fd);
	server->listener.fd = -1;
}
