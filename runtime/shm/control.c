/* SPDX-License-Identifier: MIT */
/*
 * control.c - see control.h
 *
 * Unlike every other segment it can be written by others: so it is sealed in its size, which is all that could hurt
 * a reader, and no word in it is ever relied on. Its mode says who may open it through /proc/PID/fd.
 */
#include "shm/control.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/order.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

void dx_control_init(struct dx_control *control)
{
	*control = (struct dx_control){ .fd = -1 };
}

static int create_memfd(void)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("dsmx-control", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
		fd = memfd_create("dsmx-control", flags);
	return fd < 0 ? dx_errno() : fd;
}

static int map(int fd, struct dx_control *control)
{
	void *base = mmap(NULL, DSMX_CONTROL_BYTES, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);

	if (base == MAP_FAILED)
		return dx_errno();
	control->words = base;
	return 0;
}

/* A signal ends the call, and on Linux 6.1 what looks like one: see segment.c. */
static int allocate(int fd)
{
	while (fallocate(fd, 0, 0, DSMX_CONTROL_BYTES) < 0)
		if (errno != EINTR)
			return dx_errno();
	return 0;
}

static int fill(int fd, const struct dsmx_control_abi *words)
{
	int r;

	/* No more than a quota could refuse: what is not there is a SIGBUS at the first look. */
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, DSMX_CONTROL_BYTES) < 0)
		return dx_errno();
	r = allocate(fd);
	if (r < 0)
		return r;
	if (pwrite(fd, words, sizeof(*words), 0) != (ssize_t)sizeof(*words))
		return -EIO;
	return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? dx_errno() : 0;
}

int dx_control_create(uint64_t session, bool flight, struct dx_control *ret_control,
                      struct dsmx_error *err)
{
	struct dsmx_control_abi words = { .magic = DSMX_CONTROL_MAGIC,
		                          .version = DSMX_ABI_VERSION,
		                          .flight = flight,
		                          .session = session };
	struct dx_control control = { .fd = create_memfd() };
	int r = control.fd < 0 ? control.fd : fill(control.fd, &words);

	if (r == 0)
		r = map(control.fd, &control);
	if (r < 0) {
		dx_control_close(&control);
		return dx_error(err, r, "cannot make the control segment: %s", dx_strerror(r));
	}
	*ret_control = control;
	return 0;
}

int dx_control_attach(int fd, uint64_t session, struct dx_control *ret_control,
                      struct dsmx_error *err)
{
	struct dx_control control = { .fd = -1 };
	int seals = fcntl(fd, F_GET_SEALS), r;
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 ||
	    st.st_size != DSMX_CONTROL_BYTES || st.st_blocks < DSMX_CONTROL_BYTES / 512)
		return dx_error(err, -EPROTO, "the control segment is not sealed in its size");
	r = map(fd, &control);
	if (r < 0)
		return dx_error(err, r, "cannot map the control segment: %s", dx_strerror(r));
	if (dx_load_plain(&control.words->session) != session) {
		dx_control_close(&control);
		return dx_error(err, -EPROTO, "the control segment is another session's");
	}
	*ret_control = control;
	return 0;
}

void dx_control_close(struct dx_control *control)
{
	union {
		const void *read;
		void *any;
	} base = { .read = control->words };

	if (base.any != NULL)
		(void)munmap(base.any, DSMX_CONTROL_BYTES);
	if (control->fd >= 0)
		(void)close(control->fd);
	dx_control_init(control);
}
