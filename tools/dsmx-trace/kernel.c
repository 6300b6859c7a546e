/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - the BPF programs: loaded, attached to every file with our probes, read, and taken away
 *
 * One uprobe_multi link per file, if the kernel has them (6.6): all probes at once, and gone at once. Else a
 * perf event for each probe. What is attached goes with this process, however it ends. Files that are mapped
 * later are found at the next look, once a second.
 */
#include "source.h"

#ifdef DSMX_HAVE_BPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/mem.h"
#include "kernel_sum.h"
#include "startstream.skel.h"
#include "targets.h"

#define NS_PER_S      1000000000ULL
#define LOOK_NS       (NS_PER_S / 20)
#define FIND_NS       NS_PER_S
#define TYPE_MULTI    48 /* BPF_TRACE_UPROBE_MULTI; libbpf before 1.3 does not know it */
#define LINKS_MAX     256
#define LINK_CREATE   28
#define LINK_ATTR_LEN 64

struct kernel {
	const struct trace_options *options;
	const struct source_ops *ops;
	struct startstream_bpf *bpf;
	struct ring_buffer *ring;
	struct targets targets;
	bool multi;
	bool has_scheduler;
	bool has_uring;
	struct sessions sessions; /* that were chosen */
	uint64_t events;
	uint64_t abandoned; /* StartStreams whose consumers died */
	int fds[LINKS_MAX];
	uint32_t fd_count;
	struct bpf_link *links[LINKS_MAX];
	uint32_t link_count;
};

bool kernel_is_built(void)
{
	return true;
}

static int be_silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static int on_event(void *arg, void *data, size_t len)
{
	struct kernel *k = arg;

	if (len >= sizeof(struct ss_event)) {
		k->ops->event(k->ops->arg, data);
		k->events++;
	}
	return k->options->count > 0 && k->events >= k->options->count ? -ECANCELED : 0;
}

/* --- load ----------------------------------------------------------------------------------------------------------- */

/* A power of two, and a page at least, as the kernel wants it. */
static __u32 buffer_bytes(const struct trace_options *options)
{
	__u32 bytes = 64U << 10;

	while (bytes >> 10 < options->buffer_kib && bytes < 1U << 30)
		bytes *= 2;
	return bytes;
}

/* What of it this kernel is asked for: there are kernels without BTF, and some without io_uring. */
enum depth { DEPTH_PROBES, DEPTH_SCHEDULER, DEPTH_URING };

static void choose(struct kernel *k, enum depth depth)
{
	const struct trace_options *o = k->options;

	k->bpf->rodata->only_chosen = trace_chooses(o);
	k->bpf->rodata->only_exchange = o->stream.exchange;
	k->bpf->rodata->only_task = o->stream.task;
	k->bpf->rodata->only_partition = o->stream.partition;
	k->bpf->rodata->only_peer = o->worker >= 0 ? (__u32)o->worker : SS_ANY;
	k->bpf->rodata->with_events = k->ops->event != NULL;
	k->bpf->rodata->with_scheduler = depth >= DEPTH_SCHEDULER;
	k->bpf->rodata->with_causes = k->ops->causes;
	k->bpf->rodata->with_turns = k->ops->off != NULL && depth >= DEPTH_SCHEDULER;
	if (o->buffer_kib != 0)
		(void)bpf_map__set_max_entries(k->bpf->maps.events, buffer_bytes(o));
	bpf_program__set_autoload(k->bpf->progs.on_switch, depth >= DEPTH_SCHEDULER);
	bpf_program__set_autoload(k->bpf->progs.on_waking, depth >= DEPTH_SCHEDULER);
	bpf_program__set_autoload(k->bpf->progs.on_exit,
	                          depth >= DEPTH_SCHEDULER && k->ops->event != NULL);
	bpf_program__set_autoload(k->bpf->progs.on_uring, depth >= DEPTH_URING);
	bpf_map__set_autocreate(k->bpf->maps.accounts, depth >= DEPTH_SCHEDULER);
	bpf_map__set_autocreate(k->bpf->maps.off_times, depth >= DEPTH_SCHEDULER);
	if (!k->ops->causes)
		(void)bpf_map__set_max_entries(k->bpf->maps.asked, 1);
	if (k->ops->off == NULL)
		(void)bpf_map__set_max_entries(k->bpf->maps.off_times, 1);
}

static int load_with(struct kernel *k, bool multi, enum depth depth)
{
	int r;

	k->bpf = startstream_bpf__open();
	if (k->bpf == NULL)
		return -errno;
	choose(k, depth);
	if (multi)
		bpf_program__set_expected_attach_type(k->bpf->progs.on_probe,
		                                      (enum bpf_attach_type)TYPE_MULTI);
	r = startstream_bpf__load(k->bpf);
	if (r < 0) {
		startstream_bpf__destroy(k->bpf);
		k->bpf = NULL;
		return r;
	}
	k->multi = multi;
	k->has_scheduler = depth >= DEPTH_SCHEDULER;
	k->has_uring = depth >= DEPTH_URING;
	return 0;
}

/* With what the kernel has: the scheduler's times need BTF. */
static int load(struct kernel *k, bool multi)
{
	bool plain = k->options->no_scheduler || k->ops->causes;
	int r = load_with(k, multi, plain ? DEPTH_PROBES : DEPTH_URING);

	if (r < 0 && r != -EPERM && !plain)
		r = load_with(k, multi, DEPTH_SCHEDULER);
	if (r < 0 && r != -EPERM && !plain) {
		r = load_with(k, multi, DEPTH_PROBES);
		if (r == 0)
			fputs("dsmx-trace: note: without the scheduler's times; dsmx-trace doctor tells "
			      "why\n",
			      stderr);
	}
	return r;
}

/* Of a program that is not loaded yet, EACCES is the verifier's word. */
static int refuse(const struct kernel *k, int code)
{
	if (code == -EPERM || (code == -EACCES && k->bpf != NULL)) {
		fputs("dsmx-trace: probes need CAP_BPF and CAP_PERFMON: run it as root, or once\n"
		      "  setcap cap_bpf,cap_perfmon+ep dsmx-trace\n"
		      "Without them top, stat, hist and why work on this user's sessions.\n",
		      stderr);
		return EXIT_PERMISSION;
	}
	fprintf(stderr,
	        "dsmx-trace: this kernel does not load the programs: %s; dsmx-trace doctor "
	        "tells more\n",
	        strerror(-code));
	return EXIT_UNSUPPORTED;
}

/* --- attach --------------------------------------------------------------------------------------------------------- */

/* The part of union bpf_attr that BPF_LINK_CREATE takes for uprobe_multi; older headers do not have it. */
struct multi_attr {
	__u32 prog_fd, target_fd, attach_type, flags;
	__u64 path, offsets, semaphores, cookies;
	__u32 count, uprobe_flags, pid, reserved;
};

static __u64 address(const void *p)
{
	return (__u64)(uintptr_t)p;
}

#define BIT(name) (1U << DSMX_PROBE_##name)
#define CAUSES    (BIT(query_start) | BIT(ss_send) | BIT(ss_start))
#define PHASES                                                                                     \
	(BIT(ss_send) | BIT(ss_recv) | BIT(ss_start) | BIT(ss_commit) | BIT(ss_read) |             \
	 BIT(ss_unread))
#define TURNS (BIT(task_start) | BIT(task_park) | BIT(task_unpark))
/* So many that they cost more than they tell; only to be counted. */
#define FREQUENT (BIT(ss_end) | BIT(ss_fin) | BIT(spill) | TURNS)

/* Every probe that is set costs whoever hits it a third of a microsecond. */
static bool is_wanted(const struct kernel *k, const struct target *t, uint32_t probe)
{
	uint32_t wanted = k->ops->causes           ? CAUSES
	                  : k->ops->off != NULL    ? TURNS
	                  : k->options->all_probes ? ~0U
	                  : k->ops->event == NULL  ? PHASES
	                                           : ~FREQUENT;

	if (k->options->worker >= 0)
		wanted |= BIT(worker_start);
	return t->notes[probe].offset != 0 && (wanted >> probe & 1) != 0;
}

static int attach_multi(struct kernel *k, const struct target *t)
{
	union {
		struct multi_attr attr;
		char bytes[LINK_ATTR_LEN];
	} u = { .bytes = { 0 } };
	__u64 offsets[DSMX_PROBE_COUNT], semaphores[DSMX_PROBE_COUNT], cookies[DSMX_PROBE_COUNT];
	long fd;

	u.attr.prog_fd = (__u32)bpf_program__fd(k->bpf->progs.on_probe);
	u.attr.attach_type = TYPE_MULTI;
	u.attr.path = address(t->path);
	u.attr.offsets = address(offsets);
	u.attr.semaphores = address(semaphores);
	u.attr.cookies = address(cookies);
	for (uint32_t i = 0; i < DSMX_PROBE_COUNT; i++) {
		if (!is_wanted(k, t, i))
			continue;
		offsets[u.attr.count] = t->notes[i].offset;
		semaphores[u.attr.count] = t->notes[i].semaphore;
		cookies[u.attr.count++] = i;
	}
	if (k->fd_count == LINKS_MAX)
		return -E2BIG;
	fd = syscall(SYS_bpf, LINK_CREATE, &u, LINK_ATTR_LEN);
	if (fd < 0)
		return -errno;
	k->fds[k->fd_count++] = (int)fd;
	return 0;
}

static int attach_each(struct kernel *k, const struct target *t)
{
	for (uint32_t i = 0; i < DSMX_PROBE_COUNT; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .ref_ctr_offset = t->notes[i].semaphore,
		            .bpf_cookie = i);
		struct bpf_link *link;

		if (!is_wanted(k, t, i))
			continue;
		if (k->link_count == LINKS_MAX)
			return -E2BIG;
		link = bpf_program__attach_uprobe_opts(k->bpf->progs.on_probe, -1, t->path,
		                                       t->notes[i].offset, &opts);
		if (link == NULL)
			return -errno;
		k->links[k->link_count++] = link;
	}
	return 0;
}

/* Files that are new. Returns 0, or the first failure if nothing at all is attached. */
static int attach_new(struct kernel *k)
{
	int first = 0;

	(void)targets_find(&k->targets);
	for (uint32_t i = 0; i < k->targets.count; i++) {
		struct target *t = &k->targets.list[i];
		int r;

		if (!t->has_probes || t->attached)
			continue;
		r = k->multi ? attach_multi(k, t) : attach_each(k, t);
		t->attached = true;
		if (r < 0 && first == 0)
			first = r;
		if (r < 0 && r != -EINVAL)
			fprintf(stderr, "dsmx-trace: cannot set probes in %s: %s\n", t->name,
			        strerror(-r));
	}
	return k->fd_count + k->link_count > 0 ? 0 : first;
}

static void detach(struct kernel *k)
{
	k->bpf->bss->armed = 0;
	for (uint32_t i = 0; i < k->fd_count; i++)
		(void)close(k->fds[i]);
	for (uint32_t i = 0; i < k->link_count; i++)
		(void)bpf_link__destroy(k->links[i]);
	k->fd_count = k->link_count = 0;
}

static int attach_scheduler(struct kernel *k)
{
	if (!k->has_scheduler)
		return 0;
	k->bpf->links.on_switch = bpf_program__attach(k->bpf->progs.on_switch);
	if (k->bpf->links.on_switch == NULL)
		return -errno;
	k->bpf->links.on_waking = bpf_program__attach(k->bpf->progs.on_waking);
	if (k->bpf->links.on_waking == NULL)
		return -errno;
	if (k->ops->event != NULL)
		k->bpf->links.on_exit = bpf_program__attach(k->bpf->progs.on_exit);
	if (k->ops->event != NULL && k->bpf->links.on_exit == NULL)
		return -errno;
	if (k->has_uring)
		k->bpf->links.on_uring = bpf_program__attach(k->bpf->progs.on_uring);
	return k->has_uring && k->bpf->links.on_uring == NULL ? -errno : 0;
}

static void put(const struct bpf_map *map, const void *key)
{
	uint64_t one = 1;

	(void)bpf_map_update_elem(bpf_map__fd(map), key, &one, 0);
}

/*
 * Sessions of the wanted process or group may begin, and end, while we watch. A worker that is started again is heard of
 * from its supervisor.
 */
static void choose_sessions(struct kernel *k)
{
	const struct trace_options *o = k->options;

	if (!trace_chooses(o) && o->worker < 0)
		return;
	if (o->session != 0)
		put(k->bpf->maps.chosen, &o->session);
	if (o->pid == 0 && o->cgroup == NULL && o->worker < 0)
		return;
	sessions_find(&k->sessions, o);
	for (uint32_t i = 0; i < k->sessions.count; i++) {
		const struct session *s = k->sessions.list[i];

		put(k->bpf->maps.chosen, &s->id);
		if (o->worker >= 0 && s->pages[o->worker].base != NULL)
			put(k->bpf->maps.processes, &s->pages[o->worker].head.pid);
	}
}

/* Everything in place, then armed. Returns 0 or the exit status. */
static int set_up(struct kernel *k)
{
	int r;

	k->targets.files = k->options->files;
	k->targets.file_count = k->options->file_count;
	r = load(k, true);
	if (r == 0)
		r = attach_new(k);
	if (r == -EINVAL || r == -EOPNOTSUPP || r == -ENOTSUP) { /* no uprobe_multi */
		if (k->bpf != NULL)
			startstream_bpf__destroy(k->bpf);
		k->bpf = NULL;
		targets_fini(&k->targets);
		r = load(k, false);
		if (r == 0)
			r = attach_new(k);
	}
	if (r == 0)
		r = attach_scheduler(k);
	if (r < 0)
		return refuse(k, r);
	if (k->fd_count + k->link_count == 0) {
		fprintf(stderr,
		        "dsmx-trace: no libdsmx with probes%s was found: is it built for x86-64?\n",
		        k->targets.odd > 0 ? " of this version" : "");
		return EXIT_UNSUPPORTED;
	}
	if (k->ops->event != NULL) {
		k->ring = ring_buffer__new(bpf_map__fd(k->bpf->maps.events), on_event, k, NULL);
		if (k->ring == NULL)
			return refuse(k, -errno);
	}
	choose_sessions(k);
	k->bpf->bss->armed = 1;
	return 0;
}

/* --- watch ---------------------------------------------------------------------------------------------------------- */

static void sum_up(const struct kernel *k, struct source_sum *sum)
{
	struct bpf_program *program;

	*sum = (struct source_sum){ .has_splits = k->has_scheduler, .abandoned = k->abandoned };
	kernel_sum_counts(bpf_map__fd(k->bpf->maps.counts), sum);
	bpf_object__for_each_program(program, k->bpf->obj)
	{
		if (bpf_program__autoload(program))
			sum->misses += kernel_sum_misses(bpf_program__fd(program));
	}
	sum->under_way = kernel_sum_flights(bpf_map__fd(k->bpf->maps.flights));
	if (k->ops->off != NULL && k->has_scheduler)
		kernel_sum_off(bpf_map__fd(k->bpf->maps.off_times), k->ops->off, k->ops->arg);
}

static void consume(struct kernel *k)
{
	if (k->ring != NULL)
		(void)ring_buffer__consume(k->ring);
}

static void watch(struct kernel *k)
{
	uint64_t now_ns = clock_ns(), find_ns = now_ns + FIND_NS;
	uint64_t end_ns = now_ns + (uint64_t)(k->options->duration_s * (double)NS_PER_S);

	for (;;) {
		uint64_t due_ns = now_ns + LOOK_NS;

		if (k->options->duration_s > 0 && due_ns > end_ns)
			due_ns = end_ns;
		if (!sleep_until(due_ns))
			break;
		consume(k);
		now_ns = clock_ns();
		if (k->options->count > 0 && k->events >= k->options->count)
			break;
		if (k->options->duration_s > 0 && now_ns >= end_ns)
			break;
		if (k->ops->enough != NULL && k->ops->enough(k->ops->arg))
			break;
		if (now_ns >= find_ns) {
			(void)attach_new(k);
			choose_sessions(k);
			k->abandoned += kernel_sum_abandon(bpf_map__fd(k->bpf->maps.flights));
			find_ns = now_ns + FIND_NS;
		}
	}
}

int kernel_try(bool *ret_scheduler)
{
	struct trace_options options = TRACE_OPTIONS;
	struct source_ops ops = { .event = NULL };
	struct kernel k = { .options = &options, .ops = &ops };
	int r;

	(void)libbpf_set_print(be_silent);
	r = load_with(&k, true, DEPTH_URING);
	if (r < 0)
		r = load_with(&k, true, DEPTH_SCHEDULER);
	if (r < 0)
		r = load_with(&k, false, DEPTH_SCHEDULER);
	if (r < 0)
		r = load_with(&k, false, DEPTH_PROBES);
	*ret_scheduler = k.has_scheduler;
	startstream_bpf__destroy(k.bpf);
	return r;
}

int kernel_run(const struct trace_options *options, const struct source_ops *ops,
               struct source_sum *ret_sum)
{
	struct kernel k = { .options = options, .ops = ops };
	int status;

	(void)libbpf_set_print(be_silent);
	status = set_up(&k);
	if (status == EXIT_OK) {
		if (!options->quiet)
			fputs("dsmx-trace: watching\n", stderr);
		if (ops->watching != NULL)
			ops->watching(ops->arg);
		watch(&k);
		k.bpf->bss->armed = 0;
		consume(&k);
		sum_up(&k, ret_sum);
	}
	if (k.bpf != NULL)
		detach(&k);
	ring_buffer__free(k.ring);
	startstream_bpf__destroy(k.bpf);
	targets_fini(&k.targets);
	sessions_fini(&k.sessions);
	return status;
}

#else

#include <errno.h>

bool kernel_is_built(void)
{
	return false;
}

int kernel_try(bool *ret_scheduler)
{
	*ret_scheduler = false;
	return -EOPNOTSUPP;
}

int kernel_run(const struct trace_options *options, const struct source_ops *ops,
               struct source_sum *ret_sum)
{
	(void)options, (void)ops, (void)ret_sum;
	fputs("dsmx-trace: this one was built without BPF (clang, bpftool and libbpf were missing): "
	      "only what processes publish themselves can be shown: top, stat, hist and why\n",
	      stderr);
	return EXIT_UNSUPPORTED;
}

#endif
