/* SPDX-License-Identifier: MIT */
/*
 * What a session is asked to be, and what that will take.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "session/session.h"
#include "shm/numa.h"
#include "shm/segment.h"

#define DEFAULT_DATA_BYTES           (16ULL << 20)
#define DEFAULT_STREAMS              64U
#define DEFAULT_FRAMES               64U
#define TINY_DATA_BYTES              (512U << 10)
#define DEFAULT_OVERFLOW             (1ULL << 30)
#define DEFAULT_START_TIMEOUT_MS     10000U
#define DEFAULT_STOP_TIMEOUT_MS      2000U
#define DEFAULT_VERDICT_TIMEOUT_MS   100U
#define DEFAULT_RESTART_DELAY_MS     100U
#define DEFAULT_RESTART_MAX_DELAY_MS 30000U
#define DEFAULT_RESTART_RESET_MS     60000U
#define DEFAULT_WATCHDOG_MS          10000U
#define WATCHDOG_MIN_MS              200U
#define DEFAULT_RESTART_BURST        5U
#define DEFAULT_RESTART_INTERVAL_MS  60000U
#define START_TIMEOUT_MAX_MS         (24ULL * 3600 * 1000)

/* What a worker needs in its cgroup beside its segments. */
#define WORKER_OWN_BYTES (16ULL << 20)

/* Of the supervisor and of a worker, beside the segments: measured, rounded up. */
#define PROCESS_BYTES (2ULL << 20)

struct dx_mesh_params dx_session_mesh_params(const struct dsmx_session_options *options,
                                             uint64_t session)
{
	return (struct dx_mesh_params){
		.session = session,
		.epoch = DX_LEADER_EPOCH,
		.self = DSMX_ABI_LEADER,
		.peers = options->workers + 1,
		.slots = options->streams_per_peer,
		.frames = options->frames_per_stream,
		.tasks = DX_SESSION_TASKS,
		.data_bytes = options->data_bytes,
		.pages = options->pages,
		.numa_node = -1,
	};
}

static int check_numbers(const struct dsmx_session_options *o, struct dsmx_error *err)
{
	struct dx_mesh_params params;
	uint64_t segments;
	int r;

	if (o->workers > DSMX_WORKERS_MAX)
		return dx_error(err, -EINVAL, "workers: %u, but a session has %u at the most",
		                o->workers, DSMX_WORKERS_MAX);
	if (o->start_timeout_ms > START_TIMEOUT_MAX_MS)
		return dx_error(err, -EINVAL, "start_timeout_ms: %llu, but a day is the most",
		                (unsigned long long)o->start_timeout_ms);
	if (o->stop_timeout_ms > START_TIMEOUT_MAX_MS)
		return dx_error(err, -EINVAL, "stop_timeout_ms: %u, but a day is the most",
		                o->stop_timeout_ms);
	if (o->verdict_timeout_ms > START_TIMEOUT_MAX_MS)
		return dx_error(err, -EINVAL, "verdict_timeout_ms: %u, but a day is the most",
		                o->verdict_timeout_ms);
	if (o->watchdog_ms < WATCHDOG_MIN_MS)
		return dx_error(err, -EINVAL,
		                "watchdog_ms: %u, but %u are the least: a worker that sleeps "
		                "moves every 100 ms",
		                o->watchdog_ms, WATCHDOG_MIN_MS);
	params = dx_session_mesh_params(o, 1);
	r = dx_mesh_check(&params, err);
	if (r != 0)
		return r;
	segments = o->data_bytes + dx_mesh_page_bytes(&params);
	if (o->worker_memory_max != 0 && o->worker_memory_max < segments + WORKER_OWN_BYTES)
		return dx_error(
			err, -EINVAL,
			"worker_memory_max: %llu bytes; a worker's segments take %llu, and at "
			"least %llu are needed beside them",
			(unsigned long long)o->worker_memory_max, (unsigned long long)segments,
			(unsigned long long)WORKER_OWN_BYTES);
	return 0;
}

static int check_count(const char *name, const char *const *list, size_t most,
                       struct dsmx_error *err)
{
	size_t count = 0;

	while (list != NULL && list[count] != NULL)
		count++;
	return count <= most
	               ? 0
	               : dx_error(err, -EINVAL, "%s: %zu, but %zu are the most", name, count, most);
}

static int check_io(const struct dsmx_session_options *o, struct dsmx_error *err)
{
	const char *const texts[] = { o->worker_io_read_max, o->worker_io_write_max };
	char path[DX_CGROUP_PATH];
	uint64_t bytes;

	if (o->worker_io_weight > 10000)
		return dx_error(err, -EINVAL, "worker_io_weight: %u, but 10000 is the most",
		                o->worker_io_weight);
	for (size_t i = 0; i < DX_ARRAY_LEN(texts); i++)
		if (texts[i] != NULL && dx_io_max_parse(texts[i], path, &bytes) != 0)
			return dx_error(err, -EINVAL,
			                "worker_io_%s_max: \"%.200s\" is not a path and bytes a "
			                "second: \"/dev/sda 50M\"",
			                i == 0 ? "read" : "write", texts[i]);
	return 0;
}

static int check_kinds(const struct dsmx_session_options *o, struct dsmx_error *err)
{
	if ((unsigned)o->wait > DSMX_WAIT_FUTEX || (unsigned)o->pages > DSMX_PAGES_SMALL ||
	    (unsigned)o->isolation > DSMX_ISOLATION_STRICT || (unsigned)o->numa > DSMX_NUMA_OFF ||
	    (unsigned)o->restart > DSMX_RESTART_NEVER)
		return dx_error(err, -EINVAL,
		                "wait, pages, isolation, numa or restart: not a value of its enum");
	if (o->isolation == DSMX_ISOLATION_NONE &&
	    (o->worker_memory_max != 0 || o->worker_pids_max != 0 || o->worker_cpu_percent != 0 ||
	     o->worker_cpus != NULL || o->worker_memory_high != 0 || o->worker_hugetlb_max != 0 ||
	     o->worker_cpu_weight != 0 || o->worker_io_weight != 0 ||
	     o->worker_io_read_max != NULL || o->worker_io_write_max != NULL))
		return dx_error(
			err, -EINVAL,
			"worker_memory_max, worker_pids_max, worker_cpu_percent, worker_cpus, "
			"worker_memory_high, worker_hugetlb_max, worker_cpu_weight and worker_io_* "
			"need a cgroup, but isolation is NONE");
	if (check_io(o, err) != 0)
		return -EINVAL;
	if (o->numa_nodes != NULL && o->numa == DSMX_NUMA_OFF)
		return dx_error(err, -EINVAL, "numa_nodes: \"%.100s\", but numa is OFF",
		                o->numa_nodes);
	if (o->numa_nodes != NULL && dx_numa_check(o->numa_nodes, err) != 0)
		return -EINVAL;
	if (o->worker_cpu_weight > 10000)
		return dx_error(err, -EINVAL, "worker_cpu_weight: %u, but 10000 is the most",
		                o->worker_cpu_weight);
	if (o->worker_cpus != NULL &&
	    (o->worker_cpus[0] == '\0' ||
	     strspn(o->worker_cpus, "0123456789,-") != strlen(o->worker_cpus)))
		return dx_error(err, -EINVAL, "worker_cpus: \"%.100s\" is no list of processors",
		                o->worker_cpus);
	return check_count("plugins", o->plugins, DX_PLUGINS_MAX, err) != 0 ||
	                       check_count("read_paths", o->read_paths, DX_READ_PATHS_MAX, err) != 0
	               ? -EINVAL
	               : 0;
}

/* For tests: where the caller says nothing, the least memory that runs a small plan, and one frame per stream. */
static void make_tiny(struct dsmx_session_options *o)
{
	if (o->data_bytes == 0) {
		o->data_bytes = TINY_DATA_BYTES + (o->workers + 1ULL) * DEFAULT_STREAMS * 32;
		o->pages = DSMX_PAGES_SMALL;
	}
	if (o->frames_per_stream == 0)
		o->frames_per_stream = 1;
}

static void set_restart(struct dsmx_session_options *o)
{
	if (o->restart == DSMX_RESTART_DEFAULT)
		o->restart = DSMX_RESTART_ON_FAILURE;
	if (o->restart_delay_ms == 0)
		o->restart_delay_ms = DEFAULT_RESTART_DELAY_MS;
	if (o->restart_max_delay_ms == 0)
		o->restart_max_delay_ms = DEFAULT_RESTART_MAX_DELAY_MS;
	if (o->restart_reset_ms == 0)
		o->restart_reset_ms = DEFAULT_RESTART_RESET_MS;
	if (o->restart_burst == 0)
		o->restart_burst = DEFAULT_RESTART_BURST;
	if (o->restart_interval_ms == 0)
		o->restart_interval_ms = DEFAULT_RESTART_INTERVAL_MS;
	if (o->watchdog_ms == 0)
		o->watchdog_ms = DEFAULT_WATCHDOG_MS;
}

/* What the caller left open is the environment's to say. */
static int set_isolation(struct dsmx_session_options *o, struct dsmx_error *err)
{
	const char *text = secure_getenv("DSMX_ISOLATION");
	bool required = false;
	int r = 0;

	if (o->isolation != DSMX_ISOLATION_DEFAULT)
		return 0;
	o->isolation = DSMX_ISOLATION_CGROUP;
	if (text != NULL && text[0] != '\0')
		r = dsmx_isolation_parse(text, &o->isolation, &required, err);
	o->isolation_required = o->isolation_required || required;
	return r;
}

int dx_session_options(const struct dsmx_session_options *options,
                       struct dsmx_session_options *ret_options, struct dsmx_error *err)
{
	struct dsmx_session_options o = { 0 };
	const char *flight;
	int r;

	if (options == NULL || options->size < offsetof(struct dsmx_session_options, workers))
		return dx_error(err, -EINVAL,
		                "options: set size to sizeof(struct dsmx_session_options)");
	memcpy(&o, options, options->size < sizeof(o) ? options->size : sizeof(o));
	o.size = sizeof(o);
	flight = secure_getenv("DSMX_FLIGHT");
	if (flight != NULL && strcmp(flight, "0") != 0 && flight[0] != '\0')
		o.flight = true;
	if (secure_getenv("DSMX_TINY") != NULL)
		make_tiny(&o);
	if (o.data_bytes == 0)
		o.data_bytes = DEFAULT_DATA_BYTES;
	if (o.streams_per_peer == 0)
		o.streams_per_peer = DEFAULT_STREAMS;
	if (o.overflow_max_bytes == 0)
		o.overflow_max_bytes = DEFAULT_OVERFLOW;
	if (o.frames_per_stream == 0)
		o.frames_per_stream = DEFAULT_FRAMES;
	if (o.start_timeout_ms == 0)
		o.start_timeout_ms = DEFAULT_START_TIMEOUT_MS;
	if (o.stop_timeout_ms == 0)
		o.stop_timeout_ms = DEFAULT_STOP_TIMEOUT_MS;
	if (o.verdict_timeout_ms == 0)
		o.verdict_timeout_ms = DEFAULT_VERDICT_TIMEOUT_MS;
	set_restart(&o);
	r = set_isolation(&o, err);
	if (r == 0)
		r = check_kinds(&o, err);
	if (r == 0)
		r = check_numbers(&o, err);
	if (r != 0)
		return r;
	/* Every process is to get the same size, whatever pages it gets. */
	o.data_bytes = dx_segment_round(
		o.data_bytes, o.pages == DSMX_PAGES_SMALL ? DSMX_PAGES_SMALL : DSMX_PAGES_HUGETLB);
	*ret_options = o;
	return 0;
}

int dsmx_session_estimate(const struct dsmx_session_options *options,
                          struct dsmx_session_estimate *ret_estimate, struct dsmx_error *err)
{
	struct dsmx_session_options o;
	struct dsmx_session_estimate e = { 0 };
	struct dx_mesh_params params;
	uint64_t meshed;
	int r = dx_session_options(options, &o, err);

	if (r != 0)
		return r;
	params = dx_session_mesh_params(&o, 1);
	meshed = params.peers;
	e.page_bytes_per_process = dx_segment_round(dx_mesh_page_bytes(&params), DSMX_PAGES_SMALL);
	e.data_bytes_per_process = o.data_bytes;
	e.processes = o.workers == 0 ? 1 : o.workers + 2;
	e.total_bytes = meshed * (e.page_bytes_per_process + e.data_bytes_per_process) +
	                (e.processes - 1) * PROCESS_BYTES;
	/* Two segments, control, the wait's, an eventfd, dsmx_session_fd()'s; the supervisor's socket and pidfd; two pidfds of each worker. */
	e.fds = 6 + (o.workers == 0 ? 0 : 2 + 2 * o.workers);
	*ret_estimate = e;
	return 0;
}
