/* SPDX-License-Identifier: MIT */
/*
 * A plug-in that attacks everybody else (hostile.h), and reports what it was told. Attempts are made so that those
 * that succeed do no harm: signal 0, commands that do not exist, what is taken is given back.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dsmx/abi.h"
#include "dsmx/exec.h"
#include "dsmx/worker.h"
#include "hostile.h"

#define CONTROL_FD 3
#define PAGE       4096UL
#define SEARCH     (1UL << 29)

typedef const struct hostile_target *target;

static int told(long r)
{
	return r < 0 ? errno : 0;
}

/* A descriptor, which goes again. */
static int told_fd(int fd)
{
	int code = told(fd);

	if (fd >= 0)
		(void)close(fd);
	return code;
}

static int open_of(int pid, const char *name, int flags)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return told_fd(open(path, flags | O_CLOEXEC));
}

#define TRY(name) static int try_##name(target t)
#define NOBODY    (void)t

/* --- files */

TRY(open_file)
{
	NOBODY;
	return told_fd(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

/* What its constructor was told: a plug-in runs from the moment when it is loaded. */
static int at_load = -1;

__attribute__((constructor)) static void loaded(void)
{
	at_load = told_fd(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}
TRY(constructor_file)
{
	NOBODY;
	return at_load;
}
TRY(open_folder)
{
	NOBODY;
	return told_fd(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}
TRY(make_file)
{
	return told_fd(open(t->scratch, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}
TRY(change_mode)
{
	return told(syscall(SYS_chmod, t->scratch, 0640));
}
TRY(open_leader_environment)
{
	return open_of(t->leader, "environ", O_RDONLY);
}
TRY(open_sibling_memory)
{
	return open_of(t->sibling, "mem", O_RDWR);
}
TRY(open_sibling_descriptors)
{
	return open_of(t->sibling, "fd", O_RDONLY | O_DIRECTORY);
}

/* --- sockets */

TRY(socket_inet)
{
	NOBODY;
	return told_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}
TRY(socket_unix)
{
	NOBODY;
	return told_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
TRY(socket_pair)
{
	int both[2], code = told(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both));

	NOBODY;
	if (code == 0) {
		(void)close(both[0]);
		(void)close(both[1]);
	}
	return code;
}

/* --- signals */

TRY(signal_leader)
{
	return told(kill(t->leader, 0));
}
TRY(signal_sibling)
{
	return told(kill(t->sibling, 0));
}
TRY(signal_supervisor)
{
	return told(kill(t->supervisor, 0));
}
TRY(signal_all)
{
	NOBODY;
	return told(kill(-1, 0));
}
TRY(signal_thread)
{
	return told(syscall(SYS_tgkill, t->sibling, t->sibling, 0));
}
TRY(signal_queue)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_code = SI_QUEUE;
	return told(syscall(SYS_rt_sigqueueinfo, t->sibling, 0, &info));
}
TRY(signal_pidfd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, t->sibling, 0), code;

	if (pidfd < 0)
		return errno;
	code = told(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
	(void)close(pidfd);
	return code;
}
TRY(signal_owner)
{
	int code = told(fcntl(CONTROL_FD, F_SETOWN, t->sibling));

	if (code == 0)
		(void)fcntl(CONTROL_FD, F_SETOWN, 0);
	return code;
}

/* --- others' state */

TRY(steal_descriptor)
{
	int pidfd = (int)syscall(SYS_pidfd_open, t->sibling, 0), code;

	if (pidfd < 0)
		return errno;
	code = told_fd((int)syscall(SYS_pidfd_getfd, pidfd, CONTROL_FD, 0));
	(void)close(pidfd);
	return code;
}
TRY(trace_sibling)
{
	return told(ptrace((enum __ptrace_request)PTRACE_SEIZE, t->sibling, NULL, NULL));
}

static int move_memory(long call, int pid)
{
	char byte = 0;
	struct iovec here = { &byte, 1 }, there = { (void *)PAGE, 1 };

	return told(syscall(call, pid, &here, 1, &there, 1, 0));
}
TRY(read_sibling)
{
	return move_memory(SYS_process_vm_readv, t->sibling);
}
TRY(write_sibling)
{
	return move_memory(SYS_process_vm_writev, t->sibling);
}
TRY(limit_sibling)
{
	struct rlimit limit;

	return told(syscall(SYS_prlimit64, t->sibling, RLIMIT_NOFILE, NULL, &limit));
}

/* --- cgroups */

TRY(leave_cgroup)
{
	return told_fd(open(t->outside, O_WRONLY | O_CLOEXEC));
}
TRY(enter_sibling_cgroup)
{
	return told_fd(open(t->sibling_group, O_WRONLY | O_CLOEXEC));
}
TRY(make_cgroup)
{
	return told(syscall(SYS_mkdir, t->new_group, 0755));
}

/* --- shared memory */

/* Is there something at this address? A call that is wrong anyway reads it first. */
static int is_mapped(uintptr_t at)
{
	return syscall(SYS_rt_sigprocmask, 99, at, NULL, 8) < 0 && errno == EINVAL;
}

/* A page, its own or a peer's, found as an attacker finds it: by going through the address space. */
/* It reads where nothing of its own is. */
__attribute__((no_sanitize("address", "undefined"))) static void *find_page(int own)
{
	void *here = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t middle = (uintptr_t)here;
	uint32_t self = (uint32_t)syscall(SYS_getpid);

	(void)munmap(here, PAGE);
	for (uintptr_t off = 0; off < SEARCH; off += PAGE) {
		for (int up = 0; up < 2; up++) {
			uintptr_t at = up ? middle + off : middle - off;
			const struct dsmx_page_abi *page = (const struct dsmx_page_abi *)at;

			if (is_mapped(at) && page->magic == DSMX_PAGE_MAGIC &&
			    (page->pid == self) == own)
				return (void *)at;
		}
	}
	return NULL;
}
TRY(peer_writable)
{
	void *peer = find_page(0);

	NOBODY;
	return peer == NULL ? ENODATA : told(mprotect(peer, PAGE, PROT_READ | PROT_WRITE));
}
TRY(peer_punch)
{
	void *peer = find_page(0);

	NOBODY;
	return peer == NULL ? ENODATA : told(madvise(peer, PAGE, MADV_REMOVE));
}

/* Its own segment's descriptor. */
static int find_own(void)
{
	for (int fd = 4; fd < 1024; fd++) {
		char path[64], name[64];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
		if (strncmp(name, "/memfd:dsmx", 11) == 0)
			return fd;
	}
	return -1;
}
TRY(own_truncate)
{
	NOBODY;
	return told(ftruncate(find_own(), 0));
}
TRY(own_punch)
{
	NOBODY;
	return told(fallocate(find_own(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
}
TRY(own_write)
{
	NOBODY;
	return told(pwrite(find_own(), "x", 1, 0));
}
TRY(own_map_again)
{
	void *again = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, find_own(), 0);

	NOBODY;
	return told(again == MAP_FAILED ? -1 : munmap(again, PAGE));
}
TRY(own_reopen)
{
	char path[64];

	NOBODY;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", find_own());
	return told_fd(open(path, O_RDWR | O_CLOEXEC));
}

/* --- processes */

TRY(fork_once)
{
	pid_t pid = fork();
	int code = told(pid);

	NOBODY;
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return code;
}

static void *nothing(void *arg)
{
	return arg;
}
TRY(start_thread)
{
	pthread_t thread;
	int code = pthread_create(&thread, NULL, nothing, NULL);

	NOBODY;
	if (code == 0)
		(void)pthread_join(thread, NULL);
	return code;
}
TRY(execute)
{
	char name[] = "true";
	char *argv[] = { name, NULL };

	NOBODY;
	return told(execve("/bin/true", argv, NULL));
}

/* --- the kernel */

TRY(new_ring)
{
	struct io_uring_params params;

	NOBODY;
	memset(&params, 0, sizeof(params));
	return told_fd((int)syscall(SYS_io_uring_setup, 4, &params));
}
TRY(mount_something)
{
	NOBODY;
	return told(mount("none", "/nonexistent", "tmpfs", 0, NULL));
}
TRY(unmount_something)
{
	NOBODY;
	return told(umount2("/nonexistent", 0));
}
TRY(new_user_namespace)
{
	NOBODY;
	return told(unshare(CLONE_NEWUSER));
}
TRY(enter_namespace)
{
	NOBODY;
	return told(setns(STDIN_FILENO, CLONE_NEWNET));
}
TRY(change_root)
{
	NOBODY;
	return told(chroot("/nonexistent"));
}
TRY(load_bpf)
{
	NOBODY;
	return told(syscall(SYS_bpf, 9999, NULL, 0));
}
TRY(open_perf)
{
	struct perf_event_attr attr;

	NOBODY;
	memset(&attr, 0, sizeof(attr));
	return told_fd((int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}
TRY(use_keys)
{
	NOBODY;
	return told(syscall(SYS_keyctl, 9999, 0, 0, 0, 0));
}
TRY(add_a_key)
{
	NOBODY;
	return told(syscall(SYS_add_key, "nonsense", "x", NULL, 0, 0));
}
TRY(handle_faults)
{
	NOBODY;
	return told_fd((int)syscall(SYS_userfaultfd, O_CLOEXEC));
}
TRY(load_module)
{
	NOBODY;
	return told(syscall(SYS_init_module, NULL, 0, ""));
}
TRY(load_kernel)
{
	NOBODY;
	return told(syscall(SYS_kexec_load, 0, 0, NULL, 0xdeadUL));
}
TRY(restart_machine)
{
	NOBODY;
	return told(syscall(SYS_reboot, 0, 0, 0, NULL));
}
TRY(read_kernel_log)
{
	NOBODY;
	return told(syscall(SYS_syslog, 9999, NULL, 0));
}
TRY(set_clock)
{
	NOBODY;
	return told(syscall(SYS_clock_settime, CLOCK_REALTIME, NULL));
}
TRY(open_handle)
{
	NOBODY;
	return told(syscall(SYS_open_by_handle_at, -1, NULL, 0));
}

/* --- itself */

TRY(be_another_user)
{
	NOBODY;
	return told(setuid(1));
}
TRY(take_capabilities)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct all[2];

	NOBODY;
	memset(all, 0xff, sizeof(all));
	return told(syscall(SYS_capset, &header, all));
}
TRY(be_dumpable)
{
	int code = told(prctl(PR_SET_DUMPABLE, 1));

	NOBODY;
	if (code == 0)
		(void)prctl(PR_SET_DUMPABLE, 0);
	return code;
}
TRY(executable_memory)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NOBODY;
	return told(at == MAP_FAILED ? -1 : munmap(at, PAGE));
}
TRY(executable_data)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int code = told(mprotect(at, PAGE, PROT_READ | PROT_EXEC));

	NOBODY;
	(void)munmap(at, PAGE);
	return code;
}
TRY(new_memfd)
{
	NOBODY;
	return told_fd(memfd_create("x", MFD_CLOEXEC));
}

/* --- the operator */

static int (*const attempts[HOSTILE_COUNT])(target) = {
#define ONE(name, strict, standard, none, call) [HOSTILE_##name] = try_##name,
	HOSTILE_ATTEMPTS(ONE)
#undef ONE
};

struct hostile {
	struct hostile_target target;
	int done;
	int64_t which[HOSTILE_COUNT], code[HOSTILE_COUNT];
	struct dsmx_column columns[2];
};

static int hostile_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                        struct dsmx_batch *batch)
{
	struct hostile *h = state;
	uint32_t count = 0;

	(void)input, (void)cx;
	memset(batch, 0, sizeof(*batch));
	if (h->done++ > 0 || syscall(SYS_getpid) == h->target.sibling)
		return 0;
	for (int i = 0; i < HOSTILE_COUNT; i++) {
		if ((h->target.tried >> i & 1) == 0)
			continue;
		h->which[count] = i;
		h->code[count++] = attempts[i](&h->target);
	}
	h->columns[0].values = h->which;
	h->columns[1].values = h->code;
	batch->columns = h->columns;
	batch->column_count = 2;
	batch->length = batch->selected = count;
	return count > 0;
}

static const struct dsmx_simple_ops hostile_ops = { "Hostile", hostile_next, free };

static int hostile_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                        struct dsmx_operator **inputs, uint32_t input_count,
                        struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	struct hostile *h = calloc(1, sizeof(*h));

	(void)inputs, (void)input_count, (void)err;
	if (h == NULL || len != sizeof(h->target)) {
		free(h);
		return -EINVAL;
	}
	memcpy(&h->target, bytes, len);
	return dsmx_simple_new(&hostile_ops, h, output, NULL, ret_operator);
}

/* --- the operator "scribble": odd numbers, and in their midst it makes nonsense of all that it publishes */

#define SCRIBBLED    (32UL << 10)
#define SCRIBBLED_AT 10001
#define SCRIBBLE_END 40000

struct scribble {
	int64_t value;
	struct dsmx_column column;
};

static int scribble_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                         struct dsmx_batch *batch)
{
	struct scribble *s = state;
	char *page = s->value == SCRIBBLED_AT ? find_page(1) : NULL;

	(void)input, (void)cx;
	if (page != NULL)
		memset(page + sizeof(struct dsmx_page_abi), 0xee, SCRIBBLED);
	s->value += s->value == 0 ? 1 : 2;
	s->column.values = &s->value;
	memset(batch, 0, sizeof(*batch));
	batch->columns = &s->column;
	batch->column_count = 1;
	batch->length = batch->selected = 1;
	return s->value < SCRIBBLE_END;
}

static const struct dsmx_simple_ops scribble_ops = { "Scribble", scribble_next, free };

static int scribble_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                         struct dsmx_operator **inputs, uint32_t input_count,
                         struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	void *state = calloc(1, sizeof(struct scribble));

	(void)bytes, (void)len, (void)inputs, (void)input_count, (void)err;
	return state == NULL ? -ENOMEM
	                     : dsmx_simple_new(&scribble_ops, state, output, NULL, ret_operator);
}

__attribute__((visibility("default"))) extern const struct dsmx_extension dsmx_plugin_extensions[];
const struct dsmx_extension dsmx_plugin_extensions[] = { { "hostile", hostile_make },
	                                                 { "scribble", scribble_make },
	                                                 { NULL, NULL } };
