/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * kernel.h - the little of the kernel that the programs here look at
 *
 * Fields are found by name when a program is loaded (CO-RE), so a struct lists only those that are used, in
 * any order, and no kernel's own headers are needed to build.
 */
#ifndef DSMX_BPF_KERNEL_H
#define DSMX_BPF_KERNEL_H

#define __VMLINUX_H__ 1 /* libbpf's headers: these are the types, include no others */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

enum { false = 0, true = 1 };

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

#define BPF_NOEXIST                    1
#define BPF_F_NO_PREALLOC              1
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1
#define BPF_RB_NO_WAKEUP               1ULL

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct mm_struct;

struct signal_struct {
	struct mm_struct *oom_mm; /* set when the OOM killer has chosen it */
};

struct task_struct {
	int pid;
	int tgid;
	int exit_code;
	struct signal_struct *signal;
};

#pragma clang attribute pop

/*
 * Its layout is the same on every kernel, and it is not looked up: programs for probes load without BTF.
 * Named as libbpf's PT_REGS_PARM macros expect it.
 */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, flags, sp, ss;
};

#endif /* DSMX_BPF_KERNEL_H */
