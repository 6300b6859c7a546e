/* SPDX-License-Identifier: MIT */
/*
 * Workers that live and do nothing: in an endless loop, stopped, frozen, stuck in a system call.
 *
 * A worker's page has a pulse that grows with every look of its reactor: between any two slices of a task, and
 * while it sleeps at least every 100 ms or quarter of `watchdog_ms`, whichever is more. The supervisor maps that page read-only and looks at the pulse LOOKS
 * times in each `watchdog_ms`. One that stood still at all of them is ended.
 *
 * Looks are counted, not time: while the whole machine stands still, nobody looks.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/order.h"
#include "worker/supervisor.h"

#define LOOKS 4U

static bool map_page(struct dx_worker *worker)
{
	struct dx_mesh_params params = dx_start_mesh(&worker->supervisor->start);
	size_t bytes = dx_segment_round(dx_mesh_page_bytes(&params), DSMX_PAGES_SMALL);

	/* Where it is not what was agreed the leader says so, and that ends the worker. */
	return worker->page.base != NULL ||
	       dx_segment_attach(worker->offer.page_fd, bytes, &worker->page, NULL) == 0;
}

void dx_watch_forget(struct dx_worker *worker)
{
	if (worker->page.base != NULL)
		dx_segment_close(&worker->page);
	worker->page = (struct dx_segment){ .fd = -1 };
	worker->pulse = 0;
	worker->still = 0;
}

/* What the kernel says that it does: a letter of proc(5). */
static char task_state(int pid)
{
	char path[64], text[512], *end;
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		(void)close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')'); /* the name before it may hold anything */
	return end != NULL && end[1] == ' ' ? end[2] : '?';
}

static const char *describe(char state)
{
	switch (state) {
	case 'R':
		return "it runs and does not come back: an endless loop?";
	case 'T':
	case 't':
		return "it was stopped, by a signal or a debugger";
	case 'D':
	case 'S':
		return "it waits in a system call, or is frozen";
	default:
		return NULL;
	}
}

static void look_at(struct dx_worker *worker)
{
	const struct dsmx_page_abi *page;
	uint32_t pulse;

	if (!dx_worker_is_up(worker) || worker->frozen || !worker->offer.ready || !map_page(worker))
		return;
	page = worker->page.base;
	pulse = dx_load_acquire(DX_EDGE_PULSE, &page->pulse);
	worker->still = pulse == worker->pulse ? worker->still + 1 : 0;
	worker->pulse = pulse;
	if (worker->still >= LOOKS)
		dx_worker_end(worker, DSMX_EXIT_WATCHDOG,
		              describe(task_state(worker->process.pid)));
}

void dx_watch_start(struct dx_supervisor *supervisor)
{
	uint64_t ms = supervisor->start.watchdog_ms;

	if (ms > 0)
		dx_timer_start(supervisor->reactor, &supervisor->watch,
		               dx_wait_now(dx_reactor_wait(supervisor->reactor)) +
		                       ms * DX_NS_PER_MS / LOOKS);
}

void dx_watch_look(struct dx_timer *timer)
{
	struct dx_supervisor *supervisor = DX_CONTAINER(timer, struct dx_supervisor, watch);

	for (uint32_t i = 0; i < supervisor->start.workers; i++)
		look_at(&supervisor->workers[i]);
	dx_watch_start(supervisor);
}
