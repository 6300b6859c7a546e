/* SPDX-License-Identifier: MIT */
/*
 * control_hostile_test.c - who asks a supervisor and means harm: bytes of any kind, silence, another user
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "steered.h"
#include "worker/ctl.h"

#define NOBODY 65534

static int connect_to(const struct dsmx_session *session)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/dsmx/%016llx.sock", registry,
	               (unsigned long long)session->id);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	(void)close(fd);
	return -errno;
}

/* Bytes of any kind, perhaps with descriptors. */
static void throw_at(int fd, unsigned *seed)
{
	char bytes[512], control[CMSG_SPACE(sizeof(int) * 64)];
	static const char good[] = "CONTROL=thaw\nWORKER=0\nTIMEOUT_MS=0\nWAIT=1\n";
	struct iovec part = { bytes, (size_t)rand_r(seed) % sizeof(bytes) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *fds;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)rand_r(seed);
	if (rand_r(seed) % 2 == 0) {
		memcpy(bytes, good, sizeof(good) - 1);
		part.iov_len = sizeof(good) - 1;
		bytes[(size_t)rand_r(seed) % part.iov_len] ^= (char)(1 << rand_r(seed) % 8);
	}
	if (rand_r(seed) % 4 == 0) {
		memset(control, 0, sizeof(control));
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		fds = CMSG_FIRSTHDR(&message);
		fds->cmsg_level = SOL_SOCKET;
		fds->cmsg_type = SCM_RIGHTS;
		fds->cmsg_len = CMSG_LEN(sizeof(int) * 64);
		for (int i = 0; i < 64; i++)
			memcpy(CMSG_DATA(fds) + i * (int)sizeof(int), &fd, sizeof(int));
	}
	(void)sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int count_fds(int pid)
{
	char path[64];
	int count = 0;
	DIR *list;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	list = opendir(path);
	while (list != NULL && readdir(list) != NULL)
		count++;
	if (list != NULL)
		(void)closedir(list);
	return count;
}

TEST(control_hostile,
     "clients that throw bytes and descriptors, or say nothing, neither end the supervisor nor hold it up")
{
	struct dsmx_session_options options;
	unsigned seed = (unsigned)getpid();
	struct dsmx_session *session;
	int silent[DX_CTL_CLIENTS + 4], fds, r;
	struct dsmx_error err;
	uint64_t start_ns;

	printf("# seed %u\n", seed);
	options = options_of(2, NULL);
	options.extensions = extensions;
	options.watchdog_ms = DSMX_WATCHDOG_OFF; /* else it opens pages, some time */
	CHECK_EQ(dsmx_session_open(&options, &session, NULL), 0);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_RESTART, 0, false, &err), 0);
	CHECK(serves_until(session, 1, "READY"));
	fds = count_fds(session->supervisor.pid);
	for (int i = 0; i < 2000; i++) {
		int fd = connect_to(session);

		if (fd < 0)
			continue;
		throw_at(fd, &seed);
		if (i % 3 == 0)
			throw_at(fd, &seed);
		(void)close(fd);
		if (i % 100 == 0)
			CHECK_EQ(run_one(session, 1000, &err), 0);
	}
	for (size_t i = 0; i < DX_ARRAY_LEN(silent); i++)
		while ((silent[i] = connect_to(session)) == -EAGAIN)
			(void)poll(NULL, 0, 1);
	start_ns = dx_now_ns(); /* the last of them has just been taken, or refused */
	CHECK_EQ(run_one(session, 1000, &err), 0);
	r = steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err);
	CHECK(r == -EBUSY || r == 0);
	while (steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err) == -EBUSY)
		CHECK(dx_now_ns() - start_ns < 5 * DX_NS_PER_S);
	CHECK_EQ(steer(session, 0, DSMX_CONTROL_THAW, 0, false, &err), 0);
	CHECK(dx_now_ns() - start_ns >=
	      (uint64_t)DX_CTL_PATIENCE_MS * DX_NS_PER_MS - 200 * DX_NS_PER_MS);
	for (size_t i = 0; i < DX_ARRAY_LEN(silent); i++)
		if (silent[i] >= 0)
			(void)close(silent[i]);
	CHECK_EQ(steer(session, 1, DSMX_CONTROL_RESTART, 0, false, &err), 0);
	CHECK(serves_until(session, 1, "READY"));
	CHECK_EQ(count_fds(session->supervisor.pid), fds);
	CHECK_EQ(session->broken.code, 0);
	CHECK_EQ(run_one(session, 1000, &err), 0);
	dsmx_session_close(session);
}

static void as_nobody(const struct dsmx_session *session, const char *path, int out)
{
	struct dsmx_error err = { .code = 0 };
	int codes[3];

	(void)path;
	if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
		_exit(1);
	codes[0] = steer(session, 0, DSMX_CONTROL_KILL, 0, false, &err);
	codes[1] = connect_to(session);
	codes[2] = 0;
	if (codes[1] >= 0) { /* the file lets us; the supervisor looks who it is */
		char text[512] = "";
		struct timeval patience = { .tv_sec = 2 };
		int flags = fcntl(codes[1], F_GETFL);

		(void)fcntl(codes[1], F_SETFL, flags & ~O_NONBLOCK);
		(void)setsockopt(codes[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		(void)!recv(codes[1], text, sizeof(text) - 1, 0);
		codes[2] = strstr(text, "ERRNO=13\n") != NULL;
	}
	(void)!write(out, codes, sizeof(codes));
	_exit(0);
}

TEST(control_other_user,
     "another user cannot connect, and would be refused if he could; root sees and steers everybody's")
{
	struct dsmx_session_options options;
	struct dsmx_session *session;
	int codes[3] = { 0 }, pipes[2];
	char path[128], dir[80];

	if (geteuid() != 0)
		SKIP("not root");
	CHECK_EQ(open_session(1, &options, &session), 0);
	(void)snprintf(dir, sizeof(dir), "%s/dsmx", registry);
	(void)snprintf(path, sizeof(path), "%s/%016llx.sock", dir, (unsigned long long)session->id);
	CHECK_EQ(chmod(registry, 0755), 0);
	CHECK_EQ(chmod(dir, 0755), 0);
	CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
	for (int open_to_all = 0; open_to_all < 2; open_to_all++) {
		int pid;

		if (open_to_all)
			CHECK_EQ(chmod(path, 0666), 0);
		pid = fork();
		if (pid == 0)
			as_nobody(session, path, pipes[1]);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		CHECK_EQ(read(pipes[0], codes, sizeof(codes)), (ssize_t)sizeof(codes));
		CHECK(codes[0] < 0);
		if (open_to_all)
			CHECK(codes[1] >= 0 && codes[2] == 1);
		else
			CHECK_EQ(codes[1], -EACCES);
	}
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	CHECK_EQ(chmod(dir, 0700), 0);
	CHECK(dsmx_session_worker_pid(session, 0) > 0);
	CHECK_EQ(run_one(session, 1000, NULL), 0);
	dsmx_session_close(session);
}

int main(int argc, char **argv)
{
	return steered_main(argc, argv);
}
