/* SPDX-License-Identifier: MIT */
/*
 * faulty.h - the faults of the fault table, had by a worker: by the operator "fault", which has what a page that all
 * processes have mapped says, or by a worker that speaks another protocol
 */
#ifndef DX_SELFTESTS_FAULTY_H
#define DX_SELFTESTS_FAULTY_H

#include <errno.h>

#include "base/order.h"
#include "faults.h"
#include "series.h"

#define BIG_BYTES  ((size_t)1 << 30)
#define BITE_BYTES ((size_t)16 << 20) /* before each batch: the watchdog is not to notice */
#define OOM_BYTES  ((uint64_t)64 << 20)
#define HUGE_BYTES ((size_t)2 << 20)

enum fault {
	FAULT_NONE,
	/* inside */
	FAULT_EXIT,
	FAULT_ABORT,
	FAULT_SEGV,
	FAULT_BIG, /* much memory resident, then killed */
	FAULT_OOM,
	FAULT_HUGETLB,
	FAULT_FORKS,
	FAULT_LOOP,
	FAULT_SYSCALL,
	FAULT_BYTES,
	/* from outside */
	FAULT_KILL,
	FAULT_STOP,
	FAULT_FREEZE,
	/* of the successor, after a kill */
	FAULT_EXEC,
	FAULT_VERSION,
};

/* The file, one page. Each word has one writer at a time: the test, then who has the fault. */
struct control {
	volatile uint32_t fault;
	volatile uint64_t big_bytes;
	volatile uint64_t at_ns;
};

static struct control *control;

static inline struct control *map_control(void)
{
	const char *path = getenv("DSMX_FAULT_FILE");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page =
		fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		(void)close(fd);
	return page == MAP_FAILED ? NULL : page;
}

/* In memory, where the processes of its sessions can open it as long as this one lives. */
static inline bool make_control(void)
{
	int fd = memfd_create("fault", MFD_CLOEXEC);
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	return fd >= 0 && ftruncate(fd, 4096) == 0 && setenv("DSMX_FAULT_FILE", path, 1) == 0;
}

/* --- the operator --------------------------------------------------------------------------------------------- */

static inline void eat(size_t bytes)
{
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t at = 0; memory != MAP_FAILED && at < bytes; at += 4096)
		*(volatile char *)(memory + at) = 1;
}

/* One huge page more than the group of the worker may have: to be had, and not to be touched. */
static inline void eat_huge(void)
{
	volatile char *memory = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE,
	                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	(void)signal(SIGBUS, SIG_DFL); /* a sanitizer would make it an exit */
	if (memory == MAP_FAILED)
		abort();
	*memory = 1;
}

/* Until there are no more to be had; then the worker does as a program that did not expect that. */
static inline void fork_all(void)
{
	pid_t self = getpid();

	while (fork() >= 0)
		;
	if (getpid() == self)
		abort();
	(void)sleep(60); /* as long as it can, in the way of whoever cleans up */
	_exit(0);
}

/* Into every segment of its own. */
static inline void scribble(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], *begin, *end;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		if (strstr(line, " rw-s ") == NULL || strstr(line, "dsmx-") == NULL)
			continue;
		begin = (char *)strtoull(line, &end, 16); /* NOLINT: an address as text */
		memset(begin + 4096, 0xa5,
		       (size_t)(strtoull(end + 1, NULL, 16) - (uintptr_t)begin) - 4096);
	}
	if (maps != NULL)
		(void)fclose(maps);
}

static inline void have(enum fault fault)
{
	control->fault = FAULT_NONE;
	control->at_ns = dx_now_ns();
	switch (fault) {
	case FAULT_EXIT:
		_exit(3);
	case FAULT_ABORT:
		abort();
	case FAULT_SEGV:
		(void)signal(SIGSEGV, SIG_DFL); /* a sanitizer would make it an exit */
		(void)raise(SIGSEGV);
		break;
	case FAULT_BIG:
		(void)raise(SIGKILL);
		break;
	case FAULT_OOM:
		eat(4 * OOM_BYTES);
		break;
	case FAULT_HUGETLB:
		eat_huge();
		break;
	case FAULT_FORKS:
		fork_all();
		break;
	case FAULT_LOOP:
		for (;;)
			dx_spin_pause();
	case FAULT_SYSCALL:
		for (;;)
			(void)pause();
	case FAULT_BYTES:
		scribble();
		break;
	default:
		break;
	}
}

struct faulty {
	bool victim;
	size_t eaten;
};

static inline int fault_next(void *state, struct dsmx_stream *input, struct dsmx_cx *cx,
                             struct dsmx_batch *ret_batch)
{
	enum fault fault = (enum fault)control->fault;
	struct faulty *s = state;

	if (s->victim && fault == FAULT_BIG && s->eaten < control->big_bytes) {
		eat(BITE_BYTES);
		s->eaten += BITE_BYTES;
	} else if (s->victim && fault > FAULT_NONE && fault < FAULT_KILL) {
		have(fault);
	}
	return input->ops->poll_next(input, cx, ret_batch);
}

static inline int fault_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                             struct dsmx_operator **inputs, uint32_t input_count,
                             struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct dsmx_simple_ops ops = { "Fault", fault_next, free };
	struct faulty *s = calloc(1, sizeof(*s));
	char name[16] = "";
	int r;

	(void)bytes, (void)len, (void)err;
	(void)prctl(PR_GET_NAME, name);
	if (input_count != 1 || s == NULL) {
		free(s);
		return -EINVAL;
	}
	s->victim = strcmp(name, "dsmx-w1") == 0;
	r = dsmx_simple_new(&ops, s, output, inputs[0], ret_operator);
	if (r != 0)
		free(s);
	return r;
}

static const struct dsmx_extension faulty[] = {
	{ "series", series_make },
	{ "fault", fault_make },
	{ NULL, NULL },
};

/* A worker of another version: as it would, it takes START and says READY in its way. */
static inline int speak_otherwise(void)
{
	static struct dx_message message;

	if (dx_message_recv(DX_CONTROL_FD, &message) != 1)
		return KSFT_FAIL;
	dx_message_start(&message);
	dx_message_put(&message, "READY", "%d", DX_PROTOCOL + 1);
	(void)!dx_message_send(DX_CONTROL_FD, &message);
	return pause();
}

#endif /* DX_SELFTESTS_FAULTY_H */
