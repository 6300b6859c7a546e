/* SPDX-License-Identifier: MIT */
/*
 * page.c - one process's page, seen from outside
 *
 * The page of a process can be written by that process only, and is sealed: it will not shrink under us. That
 * is checked before it is mapped. Everything else in it may be anything: numbers are copied, then bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace.h"

#define SLOTS_MAX  4096U
#define FRAMES_MAX 65536U
#define TASKS_MAX  65536U

static size_t part(size_t *end, size_t bytes)
{
	size_t at = *end;

	*end = (at + bytes + DSMX_LINE_BYTES - 1) & ~(size_t)(DSMX_LINE_BYTES - 1);
	return at;
}

/* In the order of dsmx/abi.h. */
int page_layout(struct page *page)
{
	const struct dsmx_page_abi *h = &page->head;
	size_t streams = (size_t)h->peers * h->slots, end = 0;

	if (h->peers == 0 || h->peers > DSMX_ABI_PEERS || h->peer >= h->peers ||
	    h->slots > SLOTS_MAX || h->frames > FRAMES_MAX || h->tasks > TASKS_MAX)
		return -EBADMSG;
	(void)part(&end, sizeof(struct dsmx_page_abi));
	(void)part(&end, h->peers * sizeof(uint64_t));
	(void)part(&end, h->peers * sizeof(uint64_t));
	(void)part(&end, h->peers * sizeof(uint64_t));
	(void)part(&end, h->peers * sizeof(struct dsmx_live_abi));
	page->bells = part(&end, h->peers * sizeof(struct dsmx_bell_abi));
	(void)part(&end, DSMX_ABI_QUERIES * sizeof(struct dsmx_query_abi));
	(void)part(&end, DSMX_ABI_ERRORS * sizeof(struct dsmx_error_abi));
	page->tasks = part(&end, h->tasks * sizeof(struct dsmx_task_abi));
	page->request_words = part(&end, streams * sizeof(uint64_t));
	page->stream_words = part(&end, streams * sizeof(uint64_t));
	page->requests = part(&end, streams * sizeof(struct dsmx_request_abi));
	page->streams = part(&end, streams * sizeof(struct dsmx_stream_abi));
	(void)part(&end, streams * h->frames * sizeof(uint32_t));
	page->phases = part(&end, sizeof(struct dsmx_phases_abi));
	page->flight = part(&end, sizeof(struct dsmx_flight_abi));
	page->flight_events = part(&end, DSMX_FLIGHT_EVENTS * sizeof(struct dsmx_flight_event_abi));
	page->end = end;
	return 0;
}

static int map(int fd, struct page *page)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *base;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 ||
	    st.st_size < (off_t)sizeof(struct dsmx_page_abi))
		return -EBADMSG;
	base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*page = (struct page){
		.base = base, .bytes = (size_t)st.st_size, .device = st.st_dev, .inode = st.st_ino
	};
	page_read(page, 0, &page->head, sizeof(page->head));
	r = page->head.magic != DSMX_PAGE_MAGIC      ? -EBADMSG
	    : page->head.version != DSMX_ABI_VERSION ? -EPROTO
	                                             : page_layout(page);
	if (r == 0 && page->end > page->bytes)
		r = -EBADMSG;
	if (r < 0)
		page_close(page);
	return r;
}

int page_open(const char *path, struct page *ret_page)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = map(fd, ret_page);
	(void)close(fd);
	return r;
}

void page_close(struct page *page)
{
	union {
		const void *read;
		void *any;
	} base = { .read = page->base };

	if (page->base != NULL)
		(void)munmap(base.any, page->bytes);
	page->base = NULL;
}

/* Word by word, as their owner writes them. */
void page_read(const struct page *page, size_t offset, void *ret_bytes, size_t len)
{
	const volatile uint64_t *from = (const volatile void *)(page->base + offset);
	char *to = ret_bytes;

	for (size_t i = 0; i < len / sizeof(*from); i++) {
		uint64_t word = from[i];

		memcpy(to + i * sizeof(word), &word, sizeof(word));
	}
}

struct dsmx_page_abi page_head(const struct page *page)
{
	struct dsmx_page_abi head;

	page_read(page, 0, &head, sizeof(head));
	return head;
}

struct dsmx_task_abi page_task(const struct page *page, uint32_t index)
{
	struct dsmx_task_abi task;

	page_read(page, page->tasks + index * sizeof(task), &task, sizeof(task));
	return task;
}

struct dsmx_phases_abi page_phases(const struct page *page)
{
	struct dsmx_phases_abi phases;

	page_read(page, page->phases, &phases, sizeof(phases));
	return phases;
}

struct stream_end page_request(const struct page *page, uint32_t peer, uint32_t slot)
{
	size_t at = (size_t)peer * page->head.slots + slot;
	struct stream_end end;

	page_read(page, page->request_words + at * sizeof(uint64_t), &end.word, sizeof(end.word));
	page_read(page, page->requests + at * sizeof(end.is.request), &end.is.request,
	          sizeof(end.is.request));
	return end;
}

struct stream_end page_stream(const struct page *page, uint32_t peer, uint32_t slot)
{
	size_t at = (size_t)peer * page->head.slots + slot;
	struct stream_end end;

	page_read(page, page->stream_words + at * sizeof(uint64_t), &end.word, sizeof(end.word));
	page_read(page, page->streams + at * sizeof(end.is.stream), &end.is.stream,
	          sizeof(end.is.stream));
	return end;
}
