/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * startstream.bpf.c - StartStreams as the kernel sees them
 *
 * One program serves every probe of dsmx/trace.h: the attach cookie is the probe's number, the arguments are
 * in fixed registers. A stream's record is made by ss_send, gets a stamp and who was there from each of the
 * next three probes, and ss_read adds the phases to the histograms and lets the record go.
 *
 * How a thread's time splits is kept beside the thread itself, from the first probe that it fires on: the
 * scheduler's tracepoints cost one lookup for other threads. A phase is charged with what the accounts grew by
 * during it, so a worker's other streams are in it too: it is the thread that was blocked, or waiting, or ran.
 *
 * Nothing is counted before `armed` is set and after it is cleared: probes are attached and detached one by
 * one, and half a set would see streams without beginning or end.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "dsmx-trace/startstream.h"
#include "dsmx/trace.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile bool only_chosen = false; /* sessions of the map below */
const volatile __u32 only_exchange = SS_ANY, only_task = SS_ANY, only_partition = SS_ANY;
const volatile __u32 only_process = 0; /* as consumer or producer; 0: any */
const volatile bool with_events = false;
const volatile bool with_scheduler = false;
const volatile bool with_causes = false;
volatile __u32 armed = 0;

struct account {
	struct ss_split split;
	__u64 off_ns;   /* since when it is off its CPU; 0: on it */
	__u64 wake_ns;  /* since when it is ready again; 0: asleep */
	__u64 session;  /* of its last probe */
	__u64 in_uring; /* its next sleep is one of io_uring_enter(2) */
};

struct flight {
	__u64 stamps_ns[SS_STAMPS];
	struct ss_split at[SS_STAMPS]; /* the thread's account then */
	__u32 tid, tgid;
	__u32 producer_tid, producer_tgid;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SS_FLIGHTS);
	__type(key, struct ss_key);
	__type(value, struct flight);
} flights SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SS_HISTS);
	__type(key, __u32);
	__type(value, struct ss_hist);
} hists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ss_sums[SS_SPLITS]);
} split_sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SS_LOSS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

/* Sessions that are wanted; dsmx-trace keeps it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SS_CHOSEN);
	__type(key, __u64);
	__type(value, __u64);
} chosen SEC(".maps");

/*
 * For the question whether every start had a cause: StartStreams that were sent, ss_key.reserved their attempt,
 * and sessions that are seen from their first query on. What these lose when they are full is a wrong alarm,
 * never a start that is wrongly found to be in order.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SS_ASKED);
	__type(key, struct ss_key);
	__type(value, __u64);
} asked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SS_FLIGHTS);
	__type(key, __u64);
	__type(value, __u64);
} watched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SS_CAUSE_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} causes SEC(".maps");

/* How often each probe was seen: exact, whatever else is lost. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DSMX_PROBE_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SS_EVENTS);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct account);
} accounts SEC(".maps");

/* --- counting ------------------------------------------------------------------------------------------------------- */

static __always_inline void add_one(void *map, __u32 index)
{
	__u64 *n = bpf_map_lookup_elem(map, &index);

	if (n)
		*n += 1;
}

static __always_inline __u32 log2_of(__u64 v)
{
	__u32 r = 0, high = (__u32)(v >> 32), x = (__u32)v;

	if (high) {
		r = 32;
		x = high;
	}
	if (x >> 16) {
		r += 16;
		x >>= 16;
	}
	if (x >> 8) {
		r += 8;
		x >>= 8;
	}
	if (x >> 4) {
		r += 4;
		x >>= 4;
	}
	if (x >> 2) {
		r += 2;
		x >>= 2;
	}
	return r + (x >> 1);
}

/* A function of its own: it is used often, and programs are to stay small. */
static __attribute__((noinline)) int count_time(__u32 index, __u64 ns)
{
	struct ss_hist *h = bpf_map_lookup_elem(&hists, &index);
	__u32 bucket = log2_of(ns);

	if (!h)
		return 0;
	if (bucket >= SS_BUCKETS)
		bucket = SS_BUCKETS - 1;
	/* The compiler is to keep the bound where older verifiers see it. */
	asm volatile("" : "+r"(bucket));
	if (bucket < SS_BUCKETS)
		h->buckets[bucket] += 1;
	h->count += 1;
	h->sum_ns += ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
	return 0;
}

static __always_inline bool is_chosen(__u64 session)
{
	return !only_chosen || bpf_map_lookup_elem(&chosen, &session);
}

/* --- threads -------------------------------------------------------------------------------------------------------- */

static __always_inline struct ss_split account_now(__u64 session)
{
	struct ss_split none = {};
	struct account *a;

	if (!with_scheduler)
		return none;
	a = bpf_task_storage_get(&accounts, bpf_get_current_task_btf(), 0,
	                         BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!a) {
		add_one(&losses, SS_LOST_untracked);
		return none;
	}
	a->session = session;
	return a->split;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
             unsigned int prev_state)
{
	struct account *a = bpf_task_storage_get(&accounts, prev, 0, 0);
	__u64 now_ns;

	if (a) {
		now_ns = bpf_ktime_get_ns();
		a->off_ns = now_ns;
		a->wake_ns = preempt || prev_state == 0 ? now_ns : 0;
	}
	a = bpf_task_storage_get(&accounts, next, 0, 0);
	if (a && a->off_ns) {
		__u64 wake_ns;

		now_ns = bpf_ktime_get_ns();
		wake_ns = a->wake_ns ? a->wake_ns : now_ns;
		a->split.blocked_ns += wake_ns - a->off_ns;
		a->split.waiting_ns += now_ns - wake_ns;
		if (a->in_uring)
			a->split.uring_ns += wake_ns - a->off_ns;
		a->in_uring = 0;
		a->off_ns = 0;
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

/* The kernel's own word on the end of a process that has fired a probe. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *p)
{
	struct account *a;
	struct ss_event *e;

	if (!armed || !with_events || p->pid != p->tgid)
		return 0;
	a = bpf_task_storage_get(&accounts, p, 0, 0);
	if (!a || !is_chosen(a->session) || (only_process && only_process != (__u32)p->tgid))
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		add_one(&losses, SS_LOST_events_full);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->probe = SS_EVENT_exit;
	e->tid = (__u32)p->pid;
	e->tgid = (__u32)p->tgid;
	e->at_ns = bpf_ktime_get_ns();
	e->key.session = a->session;
	e->key.task = (__u32)p->tgid;
	e->key.partition = p->signal->oom_mm ? 1 : 0;
	e->value = (__u32)p->exit_code;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* --- probes --------------------------------------------------------------------------------------------------------- */

static __always_inline struct ss_split grown(const struct ss_split *since,
                                             const struct ss_split *to)
{
	struct ss_split d = { to->blocked_ns - since->blocked_ns,
		              to->waiting_ns - since->waiting_ns, to->uring_ns - since->uring_ns };

	return d;
}

static __always_inline void count_split(struct ss_sums *sums, const struct ss_split *s,
                                        __u64 all_ns)
{
	__u64 off_ns = s->blocked_ns + s->waiting_ns;

	sums->count += 1;
	sums->ns[SS_BLOCKED] += s->blocked_ns;
	sums->ns[SS_WAITING] += s->waiting_ns;
	sums->ns[SS_RAN] += all_ns > off_ns ? all_ns - off_ns : 0;
	sums->ns[SS_URING] += s->uring_ns;
}

static __always_inline void count_splits(const struct flight *f, const struct ss_split *splits)
{
	__u32 zero = 0;
	struct ss_sums *sums = bpf_map_lookup_elem(&split_sums, &zero);

	if (!sums)
		return;
	count_split(&sums[SS_CONSUMER], &splits[SS_CONSUMER], f->stamps_ns[4] - f->stamps_ns[0]);
	count_split(&sums[SS_SPAWN], &splits[SS_SPAWN], f->stamps_ns[2] - f->stamps_ns[1]);
	count_split(&sums[SS_FIRST], &splits[SS_FIRST], f->stamps_ns[3] - f->stamps_ns[2]);
}

static __always_inline void send_event(__u32 probe, const struct ss_key *key, __u64 value,
                                       __u64 now_ns, const struct flight *f,
                                       const struct ss_split *splits)
{
	struct ss_event *e;
	__u64 id = bpf_get_current_pid_tgid();

	if (!with_events)
		return;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		add_one(&losses, SS_LOST_events_full);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->probe = probe;
	e->tid = (__u32)id;
	e->tgid = (__u32)(id >> 32);
	e->at_ns = now_ns;
	e->key = *key;
	e->value = value;
	if (f) {
		e->producer_tid = f->producer_tid;
		e->producer_tgid = f->producer_tgid;
		__builtin_memcpy(e->stamps_ns, f->stamps_ns, sizeof(e->stamps_ns));
	}
	if (splits) {
		e->has_splits = with_scheduler;
		__builtin_memcpy(e->splits, splits, sizeof(e->splits));
	}
	/* dsmx-trace looks 20 times a second: a wake for each event costs four times as much. */
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline void on_send(const struct ss_key *key, __u64 now_ns)
{
	struct flight f = { .stamps_ns = { now_ns }, .at = { account_now(key->session) } };
	__u64 id = bpf_get_current_pid_tgid();
	long r;

	f.tid = (__u32)id;
	f.tgid = (__u32)(id >> 32);
	r = bpf_map_update_elem(&flights, key, &f, BPF_NOEXIST);
	if (r == -17) /* EEXIST */
		add_one(&losses, SS_LOST_sent_twice);
	else if (r)
		add_one(&losses, SS_LOST_flights_full);
}

/* recv, start, commit */
static __always_inline void on_stamp(const struct ss_key *key, __u32 stamp, __u64 now_ns)
{
	struct flight *f = bpf_map_lookup_elem(&flights, key);
	__u64 id = bpf_get_current_pid_tgid();

	if (!f || stamp >= SS_STAMPS)
		return;
	f->stamps_ns[stamp] = now_ns;
	f->at[stamp] = account_now(key->session);
	f->producer_tid = (__u32)id;
	f->producer_tgid = (__u32)(id >> 32);
}

static __always_inline bool in_order(const struct flight *f)
{
	return f->stamps_ns[0] <= f->stamps_ns[1] && f->stamps_ns[1] <= f->stamps_ns[2] &&
	       f->stamps_ns[2] <= f->stamps_ns[3] && f->stamps_ns[3] <= f->stamps_ns[4];
}

static __always_inline bool is_process(const struct flight *f)
{
	return !only_process || f->tgid == only_process || f->producer_tgid == only_process;
}

static __always_inline void on_read(const struct ss_key *key, __u64 now_ns, __u64 rows)
{
	struct flight *f = bpf_map_lookup_elem(&flights, key);
	struct ss_split splits[SS_SPLITS] = {}, now = account_now(key->session);

	if (!f) {
		add_one(&losses, SS_LOST_unsent);
		return;
	}
	f->stamps_ns[4] = now_ns;
	if (!is_process(f)) {
		/* of others */
	} else if (!f->stamps_ns[1] || !f->stamps_ns[2] || !f->stamps_ns[3]) {
		add_one(&losses, SS_LOST_unseen);
	} else if (!in_order(f)) {
		add_one(&losses, SS_LOST_disordered);
	} else {
		splits[SS_CONSUMER] = grown(&f->at[0], &now);
		splits[SS_SPAWN] = grown(&f->at[1], &f->at[2]);
		splits[SS_FIRST] = grown(&f->at[2], &f->at[3]);
		count_time(0, f->stamps_ns[1] - f->stamps_ns[0]);
		count_time(1, f->stamps_ns[2] - f->stamps_ns[1]);
		count_time(2, f->stamps_ns[3] - f->stamps_ns[2]);
		count_time(3, f->stamps_ns[4] - f->stamps_ns[3]);
		count_time(4, f->stamps_ns[4] - f->stamps_ns[0]);
		if (with_scheduler)
			count_splits(f, splits);
		send_event(DSMX_PROBE_ss_read, key, rows, now_ns, f, splits);
	}
	bpf_map_delete_elem(&flights, key);
}

/* Was every start asked for? With these three probes alone; nothing is deleted, as a consumer may be gone first. */
static __always_inline void check_cause(__u64 probe, struct ss_key *key, __u64 attempt,
                                        __u64 now_ns)
{
	key->reserved = (__u32)attempt;
	if (probe == DSMX_PROBE_query_start) {
		(void)bpf_map_update_elem(&watched, &key->session, &now_ns, 0);
	} else if (probe == DSMX_PROBE_ss_send) {
		add_one(&causes, SS_CAUSE_sent);
		(void)bpf_map_update_elem(&asked, key, &now_ns, 0);
	} else if (probe == DSMX_PROBE_ss_start) {
		if (bpf_map_lookup_elem(&asked, key)) {
			add_one(&causes, SS_CAUSE_asked);
		} else if (bpf_map_lookup_elem(&watched, &key->session)) {
			add_one(&causes, SS_CAUSE_unasked);
			send_event(SS_EVENT_unasked, key, attempt, now_ns, (void *)0, (void *)0);
		} else {
			add_one(&causes, SS_CAUSE_unwatched);
		}
	}
}

static __always_inline bool is_stream_wanted(__u64 probe, const struct ss_key *key)
{
	if (probe > DSMX_PROBE_ss_nak)
		return only_exchange == SS_ANY;
	return (only_exchange == SS_ANY || only_exchange == key->exchange) &&
	       (only_task == SS_ANY || only_task == key->task) &&
	       (only_partition == SS_ANY || only_partition == key->partition);
}

/* Events that are sent as they are. */
static __always_inline void on_other(__u64 probe, const struct ss_key *key, __u64 value,
                                     __u64 now_ns)
{
	if (only_process && only_process != (__u32)(bpf_get_current_pid_tgid() >> 32))
		return;
	send_event((__u32)probe, key, value, now_ns, (void *)0, (void *)0);
}

SEC("uprobe")
int on_probe(struct pt_regs *ctx)
{
	__u64 probe = bpf_get_attach_cookie(ctx);
	__u64 now_ns = bpf_ktime_get_ns();
	__u64 value = ctx->r9; /* the sixth argument */
	struct ss_key key = {
		.session = PT_REGS_PARM1(ctx),
		.query = PT_REGS_PARM2(ctx),
		.exchange = (__u32)PT_REGS_PARM3(ctx),
		.task = (__u32)PT_REGS_PARM4(ctx),
		.partition = (__u32)PT_REGS_PARM5(ctx),
	};

	if (!armed || probe >= DSMX_PROBE_COUNT || !is_chosen(key.session) ||
	    !is_stream_wanted(probe, &key))
		return 0;
	add_one(&hits, (__u32)probe);
	if (with_causes) {
		check_cause(probe, &key, value, now_ns);
		return 0;
	}
	switch (probe) {
	case DSMX_PROBE_ss_send:
		on_send(&key, now_ns);
		break;
	case DSMX_PROBE_ss_recv:
	case DSMX_PROBE_ss_start:
	case DSMX_PROBE_ss_commit:
		on_stamp(&key, (__u32)probe - DSMX_PROBE_ss_recv + 1, now_ns);
		break;
	case DSMX_PROBE_ss_read:
		on_read(&key, now_ns, value);
		break;
	case DSMX_PROBE_ss_end: /* unread */
		bpf_map_delete_elem(&flights, &key);
		break;
	case DSMX_PROBE_ss_fin:
	case DSMX_PROBE_task_park:
	case DSMX_PROBE_task_unpark:
	case DSMX_PROBE_spill:
		break; /* too many to be sent one by one: they are counted */
	default:
		on_other(probe, &key, value, now_ns);
		break;
	}
	return 0;
}
