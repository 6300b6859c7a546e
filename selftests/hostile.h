/* SPDX-License-Identifier: MIT */
/*
 * hostile.h - what a hostile plug-in tries, and what it is told at each level
 *
 * hostile_plugin.c has a function for each; isolation_hostile_test.c runs them in a worker and compares. A row:
 *
 *	name, what is expected of it: the errno at strict, at standard, at none (0: it succeeds; SKIP: not tried),
 *	and the system call that the supervisor names at strict, or NULL: something else than seccomp refuses it
 */
#ifndef DX_SELFTESTS_HOSTILE_H
#define DX_SELFTESTS_HOSTILE_H

#include <errno.h>
#include <stdint.h>

#define SKIP_IT (-1)

#define HOSTILE_ATTEMPTS(X)                                                                        \
	X(open_file, EACCES, EACCES, 0, NULL)                                                      \
	X(constructor_file, EACCES, EACCES, 0, NULL)                                               \
	X(open_folder, EACCES, EACCES, 0, NULL)                                                    \
	X(make_file, EPERM, EACCES, 0, "openat")                                                   \
	X(change_mode, EPERM, EPERM, 0, "chmod")                                                   \
	X(open_leader_environment, EACCES, EACCES, 0, NULL)                                        \
	X(open_sibling_memory, EPERM, EACCES, 0, "openat")                                         \
	X(open_sibling_descriptors, EACCES, EACCES, 0, NULL)                                       \
	X(socket_inet, EPERM, EPERM, 0, "socket")                                                  \
	X(socket_unix, EPERM, EPERM, 0, "socket")                                                  \
	X(socket_pair, EPERM, 0, 0, "socketpair")                                                  \
	X(signal_leader, EPERM, EPERM, 0, "kill")                                                  \
	X(signal_sibling, EPERM, EPERM, 0, "kill")                                                 \
	X(signal_supervisor, EPERM, EPERM, 0, "kill")                                              \
	X(signal_all, EPERM, EPERM, SKIP_IT, "kill")                                               \
	X(signal_thread, EPERM, EPERM, 0, "tgkill")                                                \
	X(signal_queue, EPERM, EPERM, 0, "rt_sigqueueinfo")                                        \
	X(signal_pidfd, EPERM, EPERM, 0, "pidfd_open")                                             \
	X(signal_owner, EPERM, EPERM, 0, "fcntl")                                                  \
	X(steal_descriptor, EPERM, EPERM, 0, "pidfd_open")                                         \
	X(trace_sibling, EPERM, EPERM, SKIP_IT, "ptrace")                                          \
	X(read_sibling, EPERM, EPERM, EFAULT, "process_vm_readv")                                  \
	X(write_sibling, EPERM, EPERM, EFAULT, "process_vm_writev")                                \
	X(limit_sibling, EPERM, EPERM, 0, "prlimit64")                                             \
	X(leave_cgroup, EPERM, EACCES, SKIP_IT, "openat")                                          \
	X(enter_sibling_cgroup, EPERM, EACCES, SKIP_IT, "openat")                                  \
	X(make_cgroup, EPERM, EACCES, SKIP_IT, "mkdir")                                            \
	X(peer_writable, EACCES, EACCES, EACCES, NULL)                                             \
	X(peer_punch, EACCES, EACCES, EACCES, NULL)                                                \
	X(own_truncate, EPERM, EPERM, EPERM, NULL)                                                 \
	X(own_punch, EPERM, EPERM, EPERM, NULL)                                                    \
	X(own_write, EPERM, EPERM, EPERM, NULL)                                                    \
	X(own_map_again, EPERM, EPERM, EPERM, NULL)                                                \
	X(own_reopen, EPERM, EACCES, SKIP_IT, "openat")                                            \
	X(fork_once, EPERM, 0, 0, NULL)                                                            \
	X(start_thread, EPERM, 0, 0, NULL)                                                         \
	X(execute, EPERM, EACCES, SKIP_IT, "execve")                                               \
	X(new_ring, EPERM, EPERM, 0, "io_uring_setup")                                             \
	X(mount_something, EPERM, EPERM, SKIP_IT, "mount")                                         \
	X(unmount_something, EPERM, EPERM, SKIP_IT, "umount2")                                     \
	X(new_user_namespace, EPERM, EPERM, SKIP_IT, "unshare")                                    \
	X(enter_namespace, EPERM, EPERM, EINVAL, "setns")                                          \
	X(change_root, EPERM, EPERM, SKIP_IT, "chroot")                                            \
	X(load_bpf, EPERM, EPERM, SKIP_IT, "bpf")                                                  \
	X(open_perf, EPERM, EPERM, SKIP_IT, "perf_event_open")                                     \
	X(use_keys, EPERM, EPERM, SKIP_IT, "keyctl")                                               \
	X(add_a_key, EPERM, EPERM, SKIP_IT, "add_key")                                             \
	X(handle_faults, EPERM, EPERM, SKIP_IT, "userfaultfd")                                     \
	X(load_module, EPERM, EPERM, SKIP_IT, "init_module")                                       \
	X(load_kernel, EPERM, EPERM, SKIP_IT, "kexec_load")                                        \
	X(restart_machine, EPERM, EPERM, SKIP_IT, "reboot")                                        \
	X(read_kernel_log, EPERM, EPERM, SKIP_IT, "syslog")                                        \
	X(set_clock, EPERM, EPERM, SKIP_IT, "clock_settime")                                       \
	X(open_handle, EPERM, EPERM, SKIP_IT, "open_by_handle_at")                                 \
	X(be_another_user, EPERM, EPERM, SKIP_IT, "setuid")                                        \
	X(take_capabilities, EPERM, EPERM, SKIP_IT, "capset")                                      \
	X(be_dumpable, EPERM, 0, 0, "prctl")                                                       \
	X(executable_memory, EPERM, 0, 0, "mmap")                                                  \
	X(executable_data, EPERM, 0, 0, "mprotect")                                                \
	X(new_memfd, EPERM, 0, 0, "memfd_create")

enum hostile_attempt {
#define ONE(name, strict, standard, none, call) HOSTILE_##name,
	HOSTILE_ATTEMPTS(ONE)
#undef ONE
		HOSTILE_COUNT
};

/* The bytes of the operator "hostile": whom to attack, and with what. The sibling itself does nothing. */
struct hostile_target {
	int leader;
	int supervisor;
	int sibling;
	uint64_t tried; /* bit i: attempt i */
	char scratch[128];
	char outside[256];       /* a cgroup.procs beyond its own */
	char sibling_group[256]; /* its cgroup.procs */
	char new_group[256];     /* that could be made in its own */
};

/* Rows: two int64, the attempt and what it was told. */

#endif /* DX_SELFTESTS_HOSTILE_H */
