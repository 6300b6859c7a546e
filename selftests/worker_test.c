/* SPDX-License-Identifier: MIT */
/*
 * The parts that sessions are made of: messages, the registry, processes. Whole sessions: session_test.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/err.h"
#include "harness.h"
#include "worker/handshake.h"
#include "worker/registry.h"
#include "worker/spawn.h"

/* --- messages ------------------------------------------------------------------------------------------------ */

static bool make_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0;
}

static void close_pair(const int ends[2])
{
	(void)close(ends[0]);
	(void)close(ends[1]);
}

TEST(message_round_trip, "lines and descriptors arrive as they were put, a newline as a blank")
{
	struct dx_message sent, got;
	const char *first;
	int ends[2], fd;

	CHECK(make_pair(ends));
	dx_message_start(&sent);
	dx_message_put(&sent, "READY", "%d", 1);
	dx_message_put(&sent, "STATUS", "two\nlines");
	dx_message_put(&sent, "PEER", "a");
	dx_message_put(&sent, "PEER", "%s", "");
	dx_message_put_fd(&sent, ends[0]);
	CHECK_EQ(dx_message_send(ends[0], &sent), 0);
	CHECK_EQ(dx_message_recv(ends[1], &got), 1);
	CHECK_STR(dx_message_get(&got, "READY"), "1");
	CHECK_STR(dx_message_get(&got, "STATUS"), "two lines");
	first = dx_message_get(&got, "PEER");
	CHECK_STR(first, "a");
	CHECK_STR(dx_message_next(&got, "PEER", first), "");
	CHECK(dx_message_next(&got, "PEER", dx_message_next(&got, "PEER", first)) == NULL);
	CHECK(dx_message_get(&got, "READ") == NULL);
	CHECK(dx_message_get(&got, "PEE") == NULL);

	CHECK_EQ(got.fd_count, 1);
	fd = dx_message_take_fd(&got, 0);
	CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK_EQ(dx_message_take_fd(&got, 0), -1);
	CHECK_EQ(dx_message_take_fd(&got, 1), -1);
	CHECK_EQ(close(fd), 0);
	dx_message_done(&got);

	CHECK_EQ(dx_message_recv(ends[1], &got), -EAGAIN);
	CHECK_EQ(close(ends[0]), 0);
	CHECK_EQ(dx_message_recv(ends[1], &got), 0);
	sent.fd_count = 0;
	CHECK_EQ(dx_message_send(ends[1], &sent), -EPIPE);
	CHECK_EQ(close(ends[1]), 0);
}

TEST(message_last_words, "what was said by an end that left with unread messages is still heard")
{
	struct dx_message message;
	int ends[2];

	CHECK(make_pair(ends));
	dx_message_start(&message);
	dx_message_put(&message, "START", "1");
	CHECK_EQ(dx_message_send(ends[0], &message), 0);
	CHECK_EQ(dx_message_send(ends[1], &message), 0);
	CHECK_EQ(close(ends[1]), 0);
	CHECK_EQ(dx_message_recv(ends[0], &message), 1);
	dx_message_done(&message);
	CHECK_EQ(dx_message_recv(ends[0], &message), 0);
	CHECK_EQ(close(ends[0]), 0);
}

TEST(message_refused, "bytes that are no message are refused, and their descriptors closed")
{
	static char huge[DX_MESSAGE_BYTES + 1];
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ "A=1", 3 }, { "A=1\nB", 5 }, { "A=\0\n", 4 }, { "\0", 1 }, { huge, sizeof(huge) },
	};
	struct dx_message got;
	int ends[2];

	memset(huge, '\n', sizeof(huge));
	CHECK(make_pair(ends));
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct iovec part = { (void *)(uintptr_t)rows[i].bytes, rows[i].len };
		union {
			char bytes[CMSG_SPACE(sizeof(int))];
			struct cmsghdr header;
		} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
			                  .cmsg_level = SOL_SOCKET,
			                  .cmsg_type = SCM_RIGHTS } };
		struct msghdr header = { .msg_iov = &part,
			                 .msg_iovlen = 1,
			                 .msg_control = &control,
			                 .msg_controllen = sizeof(control) };
		int fds = harness_each_fd(NULL);

		memcpy(CMSG_DATA(&control.header), &ends[0], sizeof(int));
		CHECK_EQ(sendmsg(ends[0], &header, 0), (ssize_t)rows[i].len);
		CHECK_EQ(dx_message_recv(ends[1], &got), -EPROTO);
		CHECK_EQ(harness_each_fd(NULL), fds);
	}
	close_pair(ends);
}

TEST(message_limits,
     "253 descriptors go through at once; more, or a longer text, are -E2BIG before they are sent")
{
	struct dx_message message;
	int ends[2];

	CHECK(make_pair(ends));
	dx_message_start(&message);
	CHECK_EQ(dx_message_send(ends[0], &message), -E2BIG);
	dx_message_put(&message, "FDS", "many");
	for (int i = 0; i < DX_MESSAGE_FDS; i++)
		dx_message_put_fd(&message, ends[0]);
	CHECK_EQ(dx_message_send(ends[0], &message), 0);
	dx_message_put_fd(&message, ends[0]);
	CHECK_EQ(dx_message_send(ends[0], &message), -E2BIG);
	CHECK_EQ(dx_message_recv(ends[1], &message), 1);
	CHECK_EQ(message.fd_count, DX_MESSAGE_FDS);
	dx_message_done(&message);

	dx_message_start(&message);
	dx_message_put(&message, "A", "%*d", DX_MESSAGE_BYTES - 4, 1);
	CHECK_EQ(message.too_long, false);
	CHECK_EQ(message.len, DX_MESSAGE_BYTES - 1);
	dx_message_put(&message, "B", "1");
	CHECK_EQ(message.too_long, true);
	CHECK_EQ(dx_message_send(ends[0], &message), -E2BIG);
	dx_message_start(&message);
	dx_message_put(&message, "A", "%*d", DX_MESSAGE_BYTES, 1);
	CHECK_EQ(dx_message_send(ends[0], &message), -E2BIG);
	close_pair(ends);
}

TEST(message_numbers, "a number is decimal, whole, and within its bound")
{
	static const struct {
		const char *text;
		uint64_t max;
		int code;
		uint64_t value;
	} rows[] = {
		{ "0", 0, 0, 0 },
		{ "17", 17, 0, 17 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18", 17, -EPROTO, 0 },
		{ "18446744073709551616", UINT64_MAX, -EPROTO, 0 },
		{ "", 9, -EPROTO, 0 },
		{ "-1", UINT64_MAX, -EPROTO, 0 },
		{ "+1", 9, -EPROTO, 0 },
		{ " 1", 9, -EPROTO, 0 },
		{ "1 ", 9, -EPROTO, 0 },
		{ "0x1", 9, -EPROTO, 0 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dx_message message;
		uint64_t value = 0;

		dx_message_start(&message);
		dx_message_put(&message, "N", "%s", rows[i].text);
		CHECK_EQ(dx_message_parse(&message, message.len), 1);
		CHECK_EQ(dx_message_number(&message, "N", rows[i].max, &value), rows[i].code);
		CHECK(value == rows[i].value);
		CHECK_EQ(dx_message_number(&message, "M", rows[i].max, &value), -EPROTO);
	}
}

static const struct dx_start start_sample = {
	.session = 0xfedcba9876543210,
	.self = 3,
	.epoch = 12,
	.workers = 5,
	.slots = 64,
	.frames = 32,
	.tasks = 256,
	.data_bytes = 1 << 24,
	.pages = DSMX_PAGES_COLLAPSED,
	.wait = DSMX_WAIT_FUTEX,
	.isolation = DSMX_ISOLATION_CGROUP,
	.limits = { .memory_max = 1ULL << 40, .cpu_percent = 150, .pids_max = 7, .cpus = "0-1" },
	.restart = { DSMX_RESTART_ALWAYS, 1, 2, 3, 4, 5 },
	.watchdog_ms = 3000,
	.start_timeout_ms = 10000,
	.worker_path = "/usr/libexec/dsmx-worker",
	.cgroup_root = "/sys/fs/cgroup/x",
	.plugins = { "a.so", "b.so" },
};

TEST(start_round_trip, "the parameters of START are read as they were written")
{
	struct dx_message message;
	struct dx_start got;

	dx_message_start(&message);
	dx_start_put(&message, &start_sample);
	CHECK_EQ(dx_message_parse(&message, message.len), 1);
	CHECK_EQ(dx_start_get(&message, &got, NULL), 0);
	CHECK(got.session == start_sample.session && got.epoch == 12 && got.self == 3);
	CHECK(got.workers == 5 && got.slots == 64 && got.frames == 32 && got.tasks == 256);
	CHECK(got.data_bytes == 1 << 24 && got.limits.memory_max == 1ULL << 40);
	CHECK(got.limits.pids_max == 7 && got.limits.cpu_percent == 150);
	CHECK_STR(got.limits.cpus, "0-1");
	CHECK(got.watchdog_ms == 3000 && got.restart.policy == DSMX_RESTART_ALWAYS);
	CHECK(got.restart.delay_ms == 1 && got.restart.max_delay_ms == 2);
	CHECK(got.restart.reset_ms == 3 && got.restart.burst == 4 && got.restart.interval_ms == 5);
	CHECK(got.pages == DSMX_PAGES_COLLAPSED && got.wait == DSMX_WAIT_FUTEX);
	CHECK(got.isolation == DSMX_ISOLATION_CGROUP && got.start_timeout_ms == 10000);
	CHECK_STR(got.worker_path, start_sample.worker_path);
	CHECK_STR(got.cgroup_root, start_sample.cgroup_root);
	CHECK_STR(got.plugins[0], "a.so");
	CHECK_STR(got.plugins[1], "b.so");
	CHECK(got.plugins[2] == NULL);
}

TEST(start_refused,
     "START without a line, or with any byte of a number spoilt, is -EPROTO or another number")
{
	struct dx_message whole, message;
	struct dsmx_error err;
	struct dx_start got;
	size_t paths;

	dx_message_start(&whole);
	dx_start_put(&whole, &start_sample);
	whole.text[whole.len] = '\0';
	paths = (size_t)(strstr(whole.text, "WORKER_PATH") - whole.text);
	for (size_t i = 0; i < whole.len; i++) {
		if (whole.text[i] == '\n')
			continue;
		message = whole;
		message.text[i] = 'x';
		CHECK_EQ(dx_message_parse(&message, message.len), 1);
		if (dx_start_get(&message, &got, &err) == 0) /* in a path, or an optional key */
			CHECK(i > paths);
	}
	for (char *line = whole.text; line < whole.text + whole.len;
	     line = strchr(line, '\n') + 1) {
		size_t at = (size_t)(line - whole.text);
		size_t len = (size_t)(strchr(line, '\n') + 1 - line);
		bool optional = strncmp(line, "CGROUP_ROOT", 11) == 0 ||
		                strncmp(line, "CPUS", 4) == 0 || strncmp(line, "PLUGIN", 6) == 0;

		message = whole;
		memmove(message.text + at, message.text + at + len, whole.len - at - len);
		CHECK_EQ(dx_message_parse(&message, whole.len - len), 1);
		CHECK_EQ(dx_start_get(&message, &got, &err), optional ? 0 : -EPROTO);
	}
}

/* --- the registry ---------------------------------------------------------------------------------------------- */

/* A private XDG_RUNTIME_DIR for one test, and the directory in it. */
static bool make_runtime_dir(char root[64], char dir[80])
{
	(void)snprintf(root, 64, "/tmp/dsmx-worker-test-XXXXXX");
	if (mkdtemp(root) == NULL || setenv("XDG_RUNTIME_DIR", root, 1) != 0)
		return false;
	(void)snprintf(dir, 80, "%s/dsmx", root);
	return true;
}

static bool remove_runtime_dir(const char *root, const char *dir)
{
	(void)unsetenv("XDG_RUNTIME_DIR");
	return rmdir(dir) == 0 && rmdir(root) == 0;
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	return fd >= 0 && close(fd) == 0 && ok;
}

TEST(registry_lock, "a session's file is swept only once nobody holds its lock")
{
	struct dx_cgroup group = { .own_root = false };
	struct dx_registry_entry entry;
	char root[64], dir[80];

	CHECK(make_runtime_dir(root, dir));
	CHECK_EQ(dx_registry_add(0x123, getpid(), -1, &group, &entry, NULL), 0);
	CHECK_STR(strrchr(entry.path, '/'), "/0000000000000123");
	CHECK(strncmp(entry.path, dir, strlen(dir)) == 0);
	CHECK_EQ(dx_registry_sweep(), 0);
	CHECK_EQ(access(entry.path, F_OK), 0);
	CHECK_EQ(close(entry.fd), 0); /* its supervisor was killed */
	CHECK_EQ(dx_registry_sweep(), 0);
	CHECK(access(entry.path, F_OK) != 0);

	CHECK_EQ(dx_registry_add(0x124, getpid(), -1, &group, &entry, NULL), 0);
	dx_registry_remove(&entry);
	CHECK_EQ(entry.fd, -1);
	CHECK(remove_runtime_dir(root, dir));
}

TEST(registry_spoilt,
     "a sweep removes no directory that a spoilt file names, and no file that is not a session's")
{
	char root[64], dir[80], path[160], victim[160], text[512];
	static const char *const rows[] = {
		"",           "\n",
		"CGROUP",     "CGROUP=",
		"CGROUP=\n",  "CGROUP=relative\n",
		"CGROUP=/\n", "CGROUP=//////\n",
	};

	CHECK(make_runtime_dir(root, dir));
	CHECK_EQ(mkdir(dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/00000000000000ab", dir);
	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		CHECK(write_text(path, rows[i]));
		CHECK_EQ(dx_registry_sweep(), 0);
		CHECK(access(path, F_OK) != 0);
	}
	/* Of the right name, but in no cgroup file system. */
	(void)snprintf(victim, sizeof(victim), "%s/00000000000000ab", root);
	CHECK_EQ(mkdir(victim, 0700), 0);
	(void)snprintf(text, sizeof(text), "CGROUP=%s\nCGROUP_MEMORY=%s\nCGROUP_OWN_ROOT=1\n",
	               victim, victim);
	CHECK(write_text(path, text));
	CHECK_EQ(dx_registry_sweep(), 0);
	CHECK(access(path, F_OK) != 0);
	CHECK_EQ(rmdir(victim), 0);

	(void)snprintf(path, sizeof(path), "%s/readme", dir);
	CHECK(write_text(path, "not a session\n"));
	CHECK_EQ(dx_registry_sweep(), 0);
	CHECK_EQ(unlink(path), 0);
	CHECK(remove_runtime_dir(root, dir));
}

TEST(registry_shared_dir, "a directory that others may write is not used")
{
	struct dx_cgroup group = { .own_root = false };
	struct dx_registry_entry entry;
	char root[64], dir[80];

	CHECK(make_runtime_dir(root, dir));
	CHECK(mkdir(dir, 0700) == 0 && chmod(dir, 0777) == 0);
	CHECK_EQ(dx_registry_add(0x125, getpid(), -1, &group, &entry, NULL), 0);
	CHECK(strncmp(entry.path, dir, strlen(dir)) != 0);
	dx_registry_remove(&entry);
	CHECK(remove_runtime_dir(root, dir));
}

/* --- processes --------------------------------------------------------------------------------------------------- */

/* Run a shell command by one of the two ways; @ret_said is what it wrote to the socket. */
static int run_shell(bool detached, const char *command, struct dx_process *ret_process,
                     char ret_said[256])
{
	char sh[] = "sh", flag[] = "-c", text[256];
	char *argv[] = { sh, flag, text, NULL };
	struct dx_spawn spawn = {
		.path = "/bin/sh", .argv = argv, .cgroup_fd = -1, .no_core = true
	};
	int ends[2], r;
	ssize_t n;

	(void)snprintf(text, sizeof(text), "%s", command);
	if (!make_pair(ends))
		return -EIO;
	spawn.control = ends[1];
	r = detached ? dx_spawn_detached(&spawn, ret_process, NULL)
	             : dx_spawn_child(&spawn, ret_process, NULL);
	(void)close(ends[1]);
	if (r == 0) {
		n = recv(ends[0], ret_said, 255, 0);
		ret_said[n > 0 ? n : 0] = '\0';
		r = dx_pidfd_wait(ret_process->pidfd,
		                  dx_now_ns() + harness_hang_ms() * DX_NS_PER_MS);
		(void)close(ret_process->pidfd);
	}
	(void)close(ends[0]);
	return r;
}

TEST(spawn_clean_state,
     "what is started has four descriptors, no blocked or ignored signal, no core, a session")
{
	static const struct {
		const char *command;
		const char *said; /* NULL: the pid */
	} rows[] = {
		{ "exec ls /proc/self/fd >&3", "0\n1\n2\n3\n4\n" }, /* 4 is its own look */
		{ "echo $(readlink /proc/$$/fd/0 /proc/$$/fd/1) >&3", "/dev/null /dev/null\n" },
		{ "echo $(grep -c 'Sig\\(Blk\\|Ign\\):.0000000000000000' /proc/$$/status) >&3",
		  "2\n" },
		{ "echo $(ulimit -c) $(ulimit -H -c) >&3", "0 0\n" },
		{ "echo $(cut -d' ' -f6 /proc/$$/stat) >&3", NULL },
	};
	int leaks[3];
	sigset_t usr;

	for (int i = 0; i < 3; i++)
		leaks[i] = open("/dev/zero", O_RDONLY);
	CHECK(sigemptyset(&usr) == 0 && sigaddset(&usr, SIGUSR1) == 0);
	CHECK(sigprocmask(SIG_BLOCK, &usr, NULL) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	for (int detached = 0; detached < 2; detached++) {
		for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
			struct dx_process process;
			char said[256], pid[16];

			CHECK_EQ(run_shell(detached, rows[i].command, &process, said), 0);
			(void)snprintf(pid, sizeof(pid), "%d\n", process.pid);
			CHECK_STR(said, rows[i].said != NULL ? rows[i].said : pid);
			CHECK_EQ(waitpid(process.pid, NULL, WNOHANG), detached ? -1 : process.pid);
		}
	}
	CHECK(sigprocmask(SIG_UNBLOCK, &usr, NULL) == 0 && signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(close(leaks[i]), 0);
}

TEST(spawn_no_program,
     "a program that is not there leaves no process behind, also where orphans go to the caller")
{
	char name[] = "none";
	char *argv[] = { name, NULL };
	struct dx_spawn spawn = { .path = "/nonexistent/none", .argv = argv, .cgroup_fd = -1 };
	struct dx_process process;
	int ends[2];

	CHECK(make_pair(ends));
	spawn.control = ends[1];
	CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(dx_spawn_detached(&spawn, &process, NULL), -ENOENT);
		CHECK_EQ(waitpid(-1, NULL, 0), -1);
		CHECK_EQ(errno, ECHILD);
	}
	CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	close_pair(ends);
}

TEST(spawn_no_stdio,
     "standard descriptors that the caller had closed are /dev/null in what it starts")
{
	char said[256] = "";
	struct dx_process process;
	int saved[3], r;

	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 20);
		(void)close(i);
	}
	r = run_shell(true, "echo $(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2) >&3",
	              &process, said);
	for (int i = 0; i < 3; i++) {
		(void)dup2(saved[i], i);
		(void)close(saved[i]);
	}
	CHECK_EQ(r, 0);
	CHECK_STR(said, "/dev/null /dev/null /dev/null\n");
}

TEST(spawn_program,
     "the worker program is the one that is named, else DSMX_WORKER; a bad one is named in the error")
{
	static const struct {
		const char *named;
		const char *env;
		int code;
		const char *path; /* or what the sentence has */
	} rows[] = {
		{ "/bin/sh", "/bin/true", 0, "/bin/sh" },
		{ NULL, "/bin/true", 0, "/bin/true" },
		{ "/none", "/bin/true", -ENOENT, "worker_path" },
		{ NULL, "/none", -ENOENT, "DSMX_WORKER" },
		{ NULL, "/etc/passwd", -EACCES, "/etc/passwd" },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		char path[PATH_MAX] = "";
		struct dsmx_error err = { .code = 0 };

		CHECK_EQ(setenv("DSMX_WORKER", rows[i].env, 1), 0);
		CHECK_EQ(dx_spawn_program(rows[i].named, path, sizeof(path), &err), rows[i].code);
		if (rows[i].code == 0)
			CHECK_STR(path, rows[i].path);
		else
			CHECK(strstr(err.message, rows[i].path) != NULL);
		CHECK_EQ(dx_spawn_program("/bin/sh", path, 4, NULL), -ENAMETOOLONG);
	}
	CHECK_EQ(unsetenv("DSMX_WORKER"), 0);
}

TEST(spawn_exec_failed,
     "a program that cannot be executed is an error, or the last words of a child")
{
	char name[] = "none";
	char *argv[] = { name, NULL };
	struct dx_spawn spawn = { .path = "/nonexistent", .argv = argv, .cgroup_fd = -1 };
	struct dx_process process;
	struct dx_message message;
	struct dsmx_error err;
	siginfo_t info;
	int ends[2];

	CHECK(make_pair(ends));
	spawn.control = ends[1];
	CHECK_EQ(dx_spawn_detached(&spawn, &process, &err), -ENOENT);
	CHECK_STR(err.message, "cannot execute /nonexistent: No such file or directory");
	CHECK(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);

	CHECK_EQ(dx_spawn_child(&spawn, &process, NULL), 0);
	CHECK_EQ(waitid((idtype_t)P_PIDFD, (id_t)process.pidfd, &info, WEXITED), 0);
	CHECK(info.si_code == CLD_EXITED && info.si_status == 127);
	CHECK_EQ(dx_message_recv(ends[0], &message), 1);
	CHECK_STR(dx_message_get(&message, "ERRNO"), "2");
	CHECK_STR(dx_message_get(&message, "STATUS"), err.message);
	dx_message_done(&message);
	CHECK_EQ(close(process.pidfd), 0);
	close_pair(ends);
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
