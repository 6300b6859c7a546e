/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * thread.h - what became of a thread's time
 *
 * An account is kept beside each thread, from the first probe that it fires on: the scheduler's tracepoints cost one
 * lookup for other threads. Who writes: the tracepoints of the scheduler, one at a time for a thread; its own probes
 * write only what is said to be theirs.
 *
 * A worker's thread turns many tasks. Whose turn it is stands in a word of the process, of which the probe task_start
 * tells the address: so time off the CPU in a task's turn is that task's, and no other's. Without a turn the process
 * sleeps because none of its tasks can go on: that is time of each task that was parked meanwhile.
 */
#ifndef DSMX_BPF_THREAD_H
#define DSMX_BPF_THREAD_H

#include "count.h"
#include "dsmx/abi.h"

/* The first words of a task's record. */
struct turn {
	__u64 query;
	__u32 exchange;
	__u32 task;
};
_Static_assert(__builtin_offsetof(struct dsmx_task_abi, exchange) == 8 &&
                       __builtin_offsetof(struct dsmx_task_abi, task) == 12,
               "as in the page");

struct account {
	struct ss_split split;
	__u64 off_ns;   /* since when it is off its CPU; 0: on it */
	__u64 wake_ns;  /* since when it is ready again; 0: asleep */
	__u64 session;  /* its probes': of the last one */
	__u64 in_uring; /* its next sleep is one of io_uring_enter(2) */
	__u64 turn;     /* its probes': where its process keeps whose turn it is; 0: not known */
	__u64 idle_ns;  /* off its CPU in nobody's turn */
	struct ss_task_key
		off_task; /* whose turn it was when it went off its CPU; exchange SS_ANY: nobody's */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct account);
} accounts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SS_TASKS);
	__type(key, struct ss_task_key);
	__type(value, struct ss_off);
} off_times SEC(".maps");

static __always_inline struct ss_off *off_time_of(const struct ss_task_key *key)
{
	struct ss_off *off = bpf_map_lookup_elem(&off_times, key), none = {};

	if (off)
		return off;
	/* Whoever is second finds what the first has made. */
	(void)bpf_map_update_elem(&off_times, key, &none, BPF_NOEXIST);
	off = bpf_map_lookup_elem(&off_times, key);
	if (!off)
		count_loss(SS_LOST_tasks_full);
	return off;
}

/* Account of the thread that runs, made now if there is none. */
static __always_inline struct account *account_here(__u64 session)
{
	struct account *a = bpf_task_storage_get(&accounts, bpf_get_current_task_btf(), 0,
	                                         BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (a)
		a->session = session;
	else
		count_loss(SS_LOST_untracked);
	return a;
}

static __always_inline struct ss_split account_now(__u64 session)
{
	struct ss_split none = {};
	struct account *a = with_scheduler ? account_here(session) : (void *)0;

	return a ? a->split : none;
}

/* Of the thread that goes off its CPU, whose memory is still the one that is seen. */
static __always_inline void note_turn(struct account *a)
{
	struct turn turn;
	__u64 record = 0;

	a->off_task.session = a->session;
	a->off_task.exchange = SS_ANY;
	if (bpf_probe_read_user(&record, sizeof(record), (const void *)a->turn) < 0) {
		count_loss(SS_LOST_turns);
		return;
	}
	if (record == 0)
		return;
	if (bpf_probe_read_user(&turn, sizeof(turn), (const void *)record) < 0) {
		count_loss(SS_LOST_turns);
		return;
	}
	a->off_task.query = turn.query;
	a->off_task.exchange = turn.exchange;
	a->off_task.task = turn.task;
}

static __always_inline void charge_turn(struct account *a, __u64 blocked_ns, __u64 waiting_ns)
{
	struct ss_task_key key = a->off_task;
	struct ss_off *off;

	if (key.exchange == SS_ANY) {
		a->idle_ns += blocked_ns + waiting_ns;
		return;
	}
	off = off_time_of(&key);
	if (!off)
		return;
	add(&off->ns[SS_OFF_BLOCKED], blocked_ns);
	add(&off->ns[SS_OFF_WAITING], waiting_ns);
	add(&off->times, 1);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
             unsigned int prev_state)
{
	/* The idle thread has no account, and is one of the two most often. */
	struct account *from = prev->pid ? bpf_task_storage_get(&accounts, prev, 0, 0) : (void *)0;
	struct account *to = next->pid ? bpf_task_storage_get(&accounts, next, 0, 0) : (void *)0;
	__u64 now_ns = 0, wake_ns;

	if (from) {
		now_ns = bpf_ktime_get_ns();
		from->off_ns = now_ns;
		from->wake_ns = preempt || prev_state == 0 ? now_ns : 0;
		if (with_turns && from->turn)
			note_turn(from);
	}
	if (to && to->off_ns) {
		if (now_ns == 0)
			now_ns = bpf_ktime_get_ns();
		wake_ns = to->wake_ns ? to->wake_ns : now_ns;
		to->split.blocked_ns += wake_ns - to->off_ns;
		to->split.waiting_ns += now_ns - wake_ns;
		if (to->in_uring)
			to->split.uring_ns += wake_ns - to->off_ns;
		if (with_turns && to->turn)
			charge_turn(to, wake_ns - to->off_ns, now_ns - wake_ns);
		to->in_uring = 0;
		to->off_ns = 0;
	}
	return 0;
}

/* Of the waker, where sched_wakeup would be of the CPU that the thread wakes up on, later. */
SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *p)
{
	struct account *a = bpf_task_storage_get(&accounts, p, 0, 0);

	if (a && a->off_ns && !a->wake_ns)
		a->wake_ns = bpf_ktime_get_ns();
	return 0;
}

/* Before it sleeps in io_uring_enter(2): the reactor waits there, while an operator sleeps elsewhere. */
SEC("tp_btf/io_uring_cqring_wait")
int BPF_PROG(on_uring)
{
	struct account *a = bpf_task_storage_get(&accounts, bpf_get_current_task_btf(), 0, 0);

	if (a)
		a->in_uring = 1;
	return 0;
}

#endif /* DSMX_BPF_THREAD_H */
