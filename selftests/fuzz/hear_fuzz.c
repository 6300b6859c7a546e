/* SPDX-License-Identifier: MIT */
/*
 * hear_fuzz.c - the leader of a session, which is told anything by whoever sits where its supervisor should: that it is
 * open, and what there is to clean up; logs, failures, deaths, drains; in any order, with any descriptors
 *
 * The first byte of an input says how many descriptors go with each message; a byte 0x1e ends one.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostile.h"
#include "session/query.h"

enum { PEERS = 3, WORKER_EPOCH = 11, MESSAGES_MAX = 16, BETWEEN = 0x1e };

static size_t seed(uint32_t index, uint8_t *buf, size_t room)
{
	static const char *const texts[] = {
		"\0OPEN=1\nCGROUP=/nonexistent/s\nCGROUP_MEMORY=/nonexistent/m\nCGROUP_PIDS=/nonexistent/p\n"
		"CGROUP_CPU=/nonexistent/c\nCGROUP_CPUSET=/nonexistent/t\nCGROUP_BLKIO=/nonexistent/b\n"
		"ISOLATION=cgroup v2\nSTATE=/nonexistent/state\nCGROUP_OWN_ROOT=1\nOFFERED_NS=12345\n"
		"PAGES=2\nSTEPS=7\nMISSING=no huge pages\n",
		"\0OPEN=1\n\36LOG=1\nSTATUS=a worker was refused ptrace\n\36LOG=3\n\36OPEN=1\nSTEPS=4294967295\n",
		"\0ERRNO=12\nSTATUS=no memory\n\36OPEN=1\n",
		"\0ERRNO=0\n\36ERRNO=5\n",
		"\3PEERS=1\nPEER=1 11 77\n\36OPEN=1\n\36DEAD=1\nEPOCH=11\nPID=77\nREASON=3\nEXIT=9\nSTATUS=gone\nRESTART=100\n",
		"\0DEAD=2\nEPOCH=12\nPID=78\nREASON=0\nEXIT=0\n\36DEAD=2\nEPOCH=13\nPID=78\nREASON=1\nEXIT=255\n",
		"\0OPEN=1\n\36DRAIN=1\nEPOCH=11\nAGAIN=1\n\36DRAIN=2\nEPOCH=12\nAGAIN=0\n\36STOPPING=1\n",
	};
	size_t len;

	(void)room;
	if (index >= DX_ARRAY_LEN(texts))
		return 0;
	len = strlen(texts[index] + 1);
	buf[0] = (uint8_t)texts[index][0];
	memcpy(buf + 1, texts[index] + 1, len);
	return 1 + len;
}

const struct fuzz_target fuzz_target = { .name = "hear", .seed = seed, .len_max = 16384 };

/* --- the leader --------------------------------------------------------------------------------------------------- */

static struct reader reader;
static struct hostile worker;
static struct dsmx_session session;
static struct dsmx_query query;

static void on_log(void *data, enum dsmx_log_level level, const char *message)
{
	FUZZ_CHECK(data == &session && level <= DSMX_LOG_DEBUG);
	FUZZ_CHECK(message != NULL &&
	           strnlen(message, DSMX_ERROR_MESSAGE_BYTES) < DSMX_ERROR_MESSAGE_BYTES);
	FUZZ_CHECK(strcmp(message, "(null)") != 0);
}

static void check_text(const char *text, size_t room)
{
	FUZZ_CHECK(strnlen(text, room) < room);
}

/* What was said is kept within its bounds, and what is asked of it can be answered. */
static void check_session(void)
{
	const struct dx_cgroup *group = &session.group;
	struct dsmx_worker_info info;

	check_text(group->v2, sizeof(group->v2));
	for (int i = 0; i < DX_V1_COUNT; i++)
		check_text(group->v1[i], sizeof(group->v1[i]));
	check_text(session.state_path, sizeof(session.state_path));
	check_text(session.isolation, sizeof(session.isolation));
	check_text(session.steps, sizeof(session.steps));
	FUZZ_CHECK(session.info.pages != NULL && session.info.pages[0] != '\0');
	FUZZ_CHECK(session.broken.code <= 0);
	FUZZ_CHECK(session.broken.code == 0 || (session.broken.message[0] != '\0' &&
	                                        strcmp(session.broken.message, "(null)") != 0));
	for (uint32_t i = 0; i < session.options.workers; i++) {
		FUZZ_CHECK(dsmx_session_worker(&session, i, &info) == 0);
		FUZZ_CHECK(info.reason >= 0 && info.reason < DSMX_EXIT_COUNT);
		FUZZ_CHECK(strlen(info.text) < DSMX_ERROR_MESSAGE_BYTES);
		FUZZ_CHECK(dsmx_session_worker_pid(&session, i) >= 0);
	}
	(void)dx_session_workers_due_ns(&session, dx_now_ns());
	FUZZ_CHECK(query.verdict.epoch == 0 ||
	           (query.verdict.peer == 1 && query.verdict.epoch == WORKER_EPOCH));
}

static void hear(struct dx_member *member, struct dx_message *message)
{
	dx_session_member_ops.message(member, message);
	check_session();
}

static void hear_death(struct dx_member *member, const struct dx_verdict *verdict)
{
	dx_session_member_ops.dead(member, verdict);
	check_session();
}

/* Nothing that an input names is to be killed. */
static void gone(struct dx_member *member)
{
	check_session();
	session.group = (struct dx_cgroup){ .own_root = false };
	dx_session_member_ops.gone(member);
	FUZZ_CHECK(session.broken.code < 0);
	check_session();
}

static const struct dx_member_ops ops = { .message = hear, .dead = hear_death, .gone = gone };

/* A mesh costs a hundred times what a message does: one serves many inputs. */
#define INPUTS_EACH 4096

static void renew_reader(void)
{
	static uint32_t inputs;

	if (inputs++ % INPUTS_EACH != 0)
		return;
	if (inputs > 1)
		reader_close(&reader);
	hostile_open(&worker, 1, PEERS);
	reader_open(&reader, 0, PEERS);
}

static void open_session(int socket)
{
	struct dsmx_error err;

	memset(&session, 0, sizeof(session));
	session.options.workers = PEERS - 1;
	session.options.start_timeout_ms = 1000;
	session.options.log = on_log;
	session.options.log_data = &session;
	session.reactor = reader.process.reactor;
	session.mesh = reader.process.mesh;
	session.supervisor.pidfd = -1;
	session.info.pages = dx_pages_str(DSMX_PAGES_SMALL);
	dx_list_init(&session.queries);
	query = (struct dsmx_query){
		.session = &session, .placements = 1, .placement = { 1 }, .epochs = { WORKER_EPOCH }
	};
	dx_list_init(&query.link);
	dx_list_append(&session.queries, &query.link);
	FUZZ_CHECK(dx_member_start(&session.member, socket, session.mesh, DX_LEADER_EPOCH, -1, &ops,
	                           &err) == 0);
	session.is_member = true;
}

static void close_session(void)
{
	dx_member_stop(&session.member);
	for (uint32_t peer = 1; peer < PEERS; peer++)
		dx_mesh_peer_dead(session.mesh, peer, dx_mesh_epoch(session.mesh, peer));
}

/* --- the supervisor ----------------------------------------------------------------------------------------------- */

static void say(int socket, const uint8_t *data, size_t len, int fds)
{
	struct dx_message message;
	const int given[] = { worker.page.fd, worker.data.fd, worker.page.fd };

	if (len == 0 || len > sizeof(message.text))
		return;
	dx_message_start(&message);
	memcpy(message.text, data, len);
	message.len = len;
	for (int i = 0; i < fds; i++)
		dx_message_put_fd(&message, given[i % 3]);
	(void)!dx_message_send(socket, &message); /* it may have gone */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *at = data + 1, *end = data + size, *stop;
	int pair[2];

	if (size < 2)
		return 0;
	renew_reader();
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	open_session(pair[0]);
	for (int i = 0; i < MESSAGES_MAX && at < end; i++, at = stop + 1) {
		stop = memchr(at, BETWEEN, (size_t)(end - at));
		stop = stop != NULL ? stop : end;
		say(pair[1], at, (size_t)(stop - at), data[0] % 7);
		session.member.fd.fired = 1;
		reader_turn(&reader);
	}
	(void)close(pair[1]);
	session.member.fd.fired = 1;
	reader_turn(&reader);
	FUZZ_CHECK(session.member.gone);
	close_session();
	return 0;
}

/* Nothing is left, for who looks for leaks. */
__attribute__((destructor)) static void end_reader(void)
{
	if (reader.process.mesh != NULL)
		reader_close(&reader);
}
