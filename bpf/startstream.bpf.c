/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * startstream.bpf.c - StartStreams as the kernel sees them
 *
 * One program serves every probe of dsmx/trace.h: the attach cookie is the probe's number, the arguments are
 * in fixed registers. A stream's record is made by ss_send, gets a stamp and who was there from each of the
 * next three probes, and ss_read adds the phases to the histograms and lets the record go.
 *
 * A phase is charged with what the account of its thread (thread.h) grew by during it, so a worker's other streams
 * are in it too: it is the thread that was blocked, or waiting, or ran. What was a task's own is in off_times.
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
const volatile __u32 only_peer = SS_ANY; /* the one whose processes are in the map below */
const volatile bool with_events = false;
const volatile bool with_scheduler = false;
const volatile bool with_causes = false;
const volatile bool with_turns = false;
const volatile bool never = false;
volatile __u32 armed = 0;

#include "thread.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SS_FLIGHTS);
	__type(key, struct ss_key);
	__type(value, struct ss_flight);
} flights SEC(".maps");

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

/* The processes of the peer that is wanted: one after the other, where it dies and is started again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SS_CHOSEN);
	__type(key, __u32);
	__type(value, __u64);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SS_EVENTS);
} events SEC(".maps");

/*
 * A program with a tail call keeps its variables on the stack of the thread. Without, kernels since 6.13 may give them
 * a memory of the CPU's, and a thread that preempts another in this program would write over that one's.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} nowhere SEC(".maps");

static __always_inline bool is_chosen(__u64 session)
{
	return !only_chosen || bpf_map_lookup_elem(&chosen, &session);
}

static __always_inline bool is_process(__u32 tgid)
{
	return only_peer == SS_ANY || bpf_map_lookup_elem(&processes, &tgid);
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
	if (!a || !is_chosen(a->session) || !is_process((__u32)p->tgid))
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_loss(SS_LOST_events_full);
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

	add(&sums->count, 1);
	add(&sums->ns[SS_BLOCKED], s->blocked_ns);
	add(&sums->ns[SS_WAITING], s->waiting_ns);
	add(&sums->ns[SS_RAN], all_ns > off_ns ? all_ns - off_ns : 0);
	add(&sums->ns[SS_URING], s->uring_ns);
}

static __always_inline void count_stream(struct ss_counts *c, const struct ss_flight *f,
                                         const struct ss_split *splits)
{
	count_time(&c->hists[0], f->stamps_ns[1] - f->stamps_ns[0]);
	count_time(&c->hists[1], f->stamps_ns[2] - f->stamps_ns[1]);
	count_time(&c->hists[2], f->stamps_ns[3] - f->stamps_ns[2]);
	count_time(&c->hists[3], f->stamps_ns[4] - f->stamps_ns[3]);
	count_time(&c->hists[4], f->stamps_ns[4] - f->stamps_ns[0]);
	if (!with_scheduler)
		return;
	count_split(&c->splits[SS_CONSUMER], &splits[SS_CONSUMER],
	            f->stamps_ns[4] - f->stamps_ns[0]);
	count_split(&c->splits[SS_SPAWN], &splits[SS_SPAWN], f->stamps_ns[2] - f->stamps_ns[1]);
	count_split(&c->splits[SS_FIRST], &splits[SS_FIRST], f->stamps_ns[3] - f->stamps_ns[2]);
}

static __always_inline void send_event(__u32 probe, const struct ss_key *key, __u64 value,
                                       __u64 now_ns, const struct ss_flight *f,
                                       const struct ss_split *splits)
{
	struct ss_event *e;
	__u64 id = bpf_get_current_pid_tgid();

	if (!with_events)
		return;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_loss(f ? SS_LOST_streams_full : SS_LOST_events_full);
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
	struct ss_flight f = { .stamps_ns = { now_ns }, .at = { account_now(key->session) } };
	__u64 id = bpf_get_current_pid_tgid();
	long r;

	f.tid = (__u32)id;
	f.tgid = (__u32)(id >> 32);
	r = bpf_map_update_elem(&flights, key, &f, BPF_NOEXIST);
	if (r == -17) /* EEXIST */
		count_loss(SS_LOST_sent_twice);
	else if (r)
		count_loss(SS_LOST_flights_full);
}

/* recv, start, commit */
static __always_inline void on_stamp(const struct ss_key *key, __u32 stamp, __u64 now_ns)
{
	struct ss_flight *f = bpf_map_lookup_elem(&flights, key);
	__u64 id = bpf_get_current_pid_tgid();

	/* The compiler is to keep the bound where older verifiers see it. */
	asm volatile("" : "+r"(stamp));
	if (!f || stamp >= SS_STAMPS - 1)
		return;
	f->stamps_ns[stamp] = now_ns;
	f->at[stamp] = account_now(key->session);
	f->producer_tid = (__u32)id;
	f->producer_tgid = (__u32)(id >> 32);
}

static __always_inline bool in_order(const struct ss_flight *f)
{
	return f->stamps_ns[0] <= f->stamps_ns[1] && f->stamps_ns[1] <= f->stamps_ns[2] &&
	       f->stamps_ns[2] <= f->stamps_ns[3] && f->stamps_ns[3] <= f->stamps_ns[4];
}

static __always_inline void on_read(struct ss_counts *c, const struct ss_key *key, __u64 now_ns,
                                    __u64 rows)
{
	struct ss_flight *f = bpf_map_lookup_elem(&flights, key);
	struct ss_split splits[SS_SPLITS] = {}, now = account_now(key->session);

	if (!f) {
		add(&c->losses[SS_LOST_unsent], 1);
		return;
	}
	f->stamps_ns[4] = now_ns;
	if (!is_process(f->tgid) && !is_process(f->producer_tgid)) {
		/* of others */
	} else if (!f->stamps_ns[1] || !f->stamps_ns[2] || !f->stamps_ns[3]) {
		add(&c->losses[SS_LOST_unseen], 1);
	} else if (!in_order(f)) {
		add(&c->losses[SS_LOST_disordered], 1);
	} else {
		splits[SS_CONSUMER] = grown(&f->at[0], &now);
		splits[SS_SPAWN] = grown(&f->at[1], &f->at[2]);
		splits[SS_FIRST] = grown(&f->at[2], &f->at[3]);
		count_stream(c, f, splits);
		send_event(DSMX_PROBE_ss_read, key, rows, now_ns, f, splits);
	}
	bpf_map_delete_elem(&flights, key);
}

/* Was every start asked for? With these three probes alone; nothing is deleted, as a consumer may be gone first. */
static __always_inline void check_cause(struct ss_counts *c, __u64 probe, struct ss_key *key,
                                        __u64 attempt, __u64 now_ns)
{
	key->reserved = (__u32)attempt;
	if (probe == DSMX_PROBE_query_start) {
		(void)bpf_map_update_elem(&watched, &key->session, &now_ns, 0);
	} else if (probe == DSMX_PROBE_ss_send) {
		add(&c->causes[SS_CAUSE_sent], 1);
		(void)bpf_map_update_elem(&asked, key, &now_ns, 0);
	} else if (probe == DSMX_PROBE_ss_start) {
		if (bpf_map_lookup_elem(&asked, key)) {
			add(&c->causes[SS_CAUSE_asked], 1);
		} else if (bpf_map_lookup_elem(&watched, &key->session)) {
			add(&c->causes[SS_CAUSE_unasked], 1);
			send_event(SS_EVENT_unasked, key, attempt, now_ns, (void *)0, (void *)0);
		} else {
			add(&c->causes[SS_CAUSE_unwatched], 1);
		}
	}
}

static __always_inline bool is_stream_wanted(__u64 probe, const struct ss_key *key)
{
	bool of_task = probe == DSMX_PROBE_task_start || probe == DSMX_PROBE_task_park ||
	               probe == DSMX_PROBE_task_unpark;

	if (probe > DSMX_PROBE_ss_nak && probe != DSMX_PROBE_ss_unread && !of_task)
		return only_exchange == SS_ANY;
	return (only_exchange == SS_ANY || only_exchange == key->exchange) &&
	       (only_task == SS_ANY || only_task == key->task) &&
	       (only_partition == SS_ANY || only_partition == key->partition || of_task);
}

/* Events that are sent as they are. */
static __always_inline void on_other(__u64 probe, const struct ss_key *key, __u64 value,
                                     __u64 now_ns)
{
	__u32 pid =
		key->task; /* of worker_start and worker_exit, which are the supervisor's to say */
	bool of_worker = probe == DSMX_PROBE_worker_start || probe == DSMX_PROBE_worker_exit;

	if (only_peer != SS_ANY && of_worker && key->query != only_peer)
		return;
	if (only_peer != SS_ANY && probe == DSMX_PROBE_worker_start)
		(void)bpf_map_update_elem(&processes, &pid, &now_ns, 0);
	if (of_worker || is_process((__u32)(bpf_get_current_pid_tgid() >> 32)))
		send_event((__u32)probe, key, value, now_ns, (void *)0, (void *)0);
}

/* Time off the CPU, by task: where its process says whose turn it is; how long it slept while the task was parked. */
static __always_inline void on_task(__u64 probe, const struct ss_key *key, __u64 kind, __u64 turn)
{
	struct ss_task_key task = { key->session, key->query, key->exchange, key->task };
	struct account *a = account_here(key->session);
	struct ss_off *off;
	__u32 part;

	if (!is_process((__u32)(bpf_get_current_pid_tgid() >> 32)))
		return;
	if (a && probe == DSMX_PROBE_task_start)
		a->turn = turn;
	if (!a || !a->turn || probe == DSMX_PROBE_task_start)
		return;
	off = off_time_of(&task);
	if (!off)
		return;
	part = kind == DSMX_PARK_INPUT                              ? SS_OFF_INPUT
	       : kind == DSMX_PARK_CREDIT || kind == DSMX_PARK_SLAB ? SS_OFF_OUTPUT
	                                                            : SS_OFF_OTHER;
	if (probe == DSMX_PROBE_task_park) {
		off->parked = 1;
		off->parked_idle_ns = a->idle_ns;
	} else if (off->parked) {
		off->parked = 0;
		off->ns[part] += a->idle_ns - off->parked_idle_ns;
	}
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
	struct ss_counts *c = counts_here();

	if (never)
		bpf_tail_call(ctx, &nowhere, 0);
	if (!c || !armed || probe >= DSMX_PROBE_COUNT || !is_chosen(key.session) ||
	    !is_stream_wanted(probe, &key))
		return 0;
	/* The compiler is to keep the bound where older verifiers see it. */
	asm volatile("" : "+r"(probe));
	if (probe < DSMX_PROBE_COUNT)
		add(&c->hits[probe], 1);
	if (with_causes) {
		check_cause(c, probe, &key, value, now_ns);
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
		on_read(c, &key, now_ns, value);
		break;
	case DSMX_PROBE_ss_unread:
		bpf_map_delete_elem(&flights, &key);
		break;
	case DSMX_PROBE_task_start:
	case DSMX_PROBE_task_park:
	case DSMX_PROBE_task_unpark:
		if (with_turns)
			on_task(probe, &key, key.partition, value);
		break;
	case DSMX_PROBE_ss_end:
	case DSMX_PROBE_ss_fin:
	case DSMX_PROBE_spill:
		break; /* too many to be sent one by one: they are counted */
	default:
		on_other(probe, &key, value, now_ns);
		break;
	}
	return 0;
}
