/* SPDX-License-Identifier: MIT */
/*
 * Probes and pages as a tracer finds them: sites, notes, the layout that dsmx-trace computes for itself, and the
 * books of phases fed with stamps that make no sense.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/probe.h"
#include "chan/layout.h"
#include "chan/phase.h"
#include "dsmx-trace/note.h"
#include "dsmx-trace/trace.h"
#include "harness.h"

/* page.c and note.c want nothing else of the program. */

static const struct {
	const char *name;
	void (*site)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
	const uint16_t *semaphore;
} sites[] = {
#define ROW(name, args, meaning) { #name, dx_probe_##name, &dx_probe_##name##_semaphore },
	DSMX_PROBES(ROW)
#undef ROW
};

/* --- sites ----------------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static const unsigned char nops[16] = { 0x90, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0,
	                                0,    0,    0,    0x0f, 0x1f, 0x44, 0, 0 };

/* The site in the function's first bytes; NULL: there is none. */
static const unsigned char *find_site(size_t index)
{
	const unsigned char *code;

	memcpy(&code, &sites[index].site, sizeof(code));
	for (const unsigned char *p = code; p < code + 256; p++)
		if (memcmp(p, nops, sizeof(nops)) == 0)
			return p;
	return NULL;
}

TEST(probe_sites, "each probe is 16 bytes of three nops on a 16-byte boundary, and returns")
{
	for (size_t i = 0; i < DX_ARRAY_LEN(sites); i++) {
		CHECK(find_site(i) != NULL);
		CHECK_EQ((uintptr_t)find_site(i) % 16, 0);
		CHECK_EQ(*sites[i].semaphore, 0);
		sites[i].site(1, 2, 3, 4, 5, 6);
	}
}

TEST(probe_notes, "the notes name every probe once, at the nop that the kernel is fast with")
{
	static const struct {
		enum note_site site;
		unsigned into;
	} rows[] = { { NOTE_TRAP, 0 }, { NOTE_CALL10, 1 }, { NOTE_CALL5, 11 } };
	struct note notes[DSMX_PROBE_COUNT];

	for (size_t r = 0; r < DX_ARRAY_LEN(rows); r++) {
		CHECK_EQ(note_read("/proc/self/exe", rows[r].site, notes), DSMX_PROBE_COUNT);
		for (size_t i = 0; i < DSMX_PROBE_COUNT; i++) {
			CHECK_EQ(notes[i].offset % 16, rows[r].into);
			CHECK(notes[i].semaphore != 0);
			for (size_t j = 0; j < i; j++)
				CHECK(notes[i].offset != notes[j].offset &&
				      notes[i].semaphore != notes[j].semaphore);
		}
	}
}

/* Where file offsets of the notes are in memory: the semaphores there are ours. */
TEST(probe_note_semaphores, "a semaphore's place in the file is where the process has it in memory")
{
	struct note notes[DSMX_PROBE_COUNT];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t first = UINT64_MAX;

	CHECK_EQ(note_read("/proc/self/exe", NOTE_TRAP, notes), DSMX_PROBE_COUNT);
	for (size_t i = 0; i < DSMX_PROBE_COUNT; i++) {
		unsigned char seen[16];
		uint16_t word = 1;

		CHECK_EQ(pread(fd, seen, sizeof(seen), (off_t)notes[i].offset), sizeof(seen));
		CHECK(memcmp(seen, nops, sizeof(nops)) == 0);
		CHECK_EQ(pread(fd, &word, sizeof(word), (off_t)notes[i].semaphore), sizeof(word));
		CHECK_EQ(word, 0);
		if (notes[i].semaphore < first)
			first = notes[i].semaphore;
	}
	for (size_t i = 1; i < DSMX_PROBE_COUNT; i++)
		CHECK_EQ(notes[i].semaphore - notes[0].semaphore,
		         (uint64_t)((uintptr_t)sites[i].semaphore - (uintptr_t)sites[0].semaphore));
	(void)close(fd);
}
#endif

static int evaluated;

static uint64_t count_evaluation(void)
{
	return (uint64_t)++evaluated;
}

TEST(probe_off, "a probe that nobody traces does not compute its arguments")
{
	DX_PROBE(ss_send, count_evaluation(), count_evaluation());
	CHECK_EQ(evaluated, 0);
}

/* --- files that are no good ------------------------------------------------------------------------------------------ */

static size_t read_self(unsigned char *buf, size_t room)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, room);

	(void)close(fd);
	return n < 0 ? 0 : (size_t)n;
}

static int note_read_bytes(const void *bytes, size_t len)
{
	struct note notes[DSMX_PROBE_COUNT];
	int fd = memfd_create("broken", MFD_CLOEXEC), r = -EIO;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, bytes, len) == (ssize_t)len)
		r = note_read(path, NOTE_CALL5, notes);
	(void)close(fd);
	return r;
}

TEST(probe_broken_files,
     "a file that is cut or has other bytes in its headers is read without harm")
{
	static unsigned char file[64 << 20];
	size_t len = read_self(file, sizeof(file));
	uint64_t seed = 88172645463325252ULL;
	Elf64_Ehdr head;

	CHECK(len > sizeof(head) && len < sizeof(file));
	memcpy(&head, file, sizeof(head));
	for (size_t cut = 0; cut < len; cut += len / 37 + 1)
		CHECK(note_read_bytes(file, cut) <= DSMX_PROBE_COUNT);
	/* Section headers are what sizes and offsets come from. */
	CHECK(head.e_shoff < len);
	for (int i = 0; i < 400; i++) {
		unsigned char *at, before;

		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		at = i % 2 == 0 ? file + seed % sizeof(head)
		                : file + head.e_shoff + seed % (len - head.e_shoff);
		before = *at;
		*at = (unsigned char)(seed >> 32);
		CHECK(note_read_bytes(file, i % 16 == 0 ? len : head.e_shoff) <= DSMX_PROBE_COUNT);
		*at = before;
	}
	CHECK_EQ(note_read("/proc/self/nothing", NOTE_TRAP, (struct note[DSMX_PROBE_COUNT]){ 0 }),
	         -ENOENT);
	CHECK_EQ(note_read("/dev/zero", NOTE_TRAP, (struct note[DSMX_PROBE_COUNT]){ 0 }), 0);
}

/* --- pages ----------------------------------------------------------------------------------------------------------- */

TEST(page_same_layout, "the tracer finds the parts of a page where the library puts them")
{
	static const uint32_t rows[][4] = {
		{ 1, 1, 1, 1 }, { 3, 64, 64, 256 }, { 65, 16, 1, 7 }, { 9, 4096, 2, 1000 }
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		const uint32_t *n = rows[i];
		struct dx_layout l = dx_layout(n[0], n[1], n[2], n[3]);
		struct page page = {
			.head = { .peers = n[0], .slots = n[1], .frames = n[2], .tasks = n[3] }
		};

		CHECK_EQ(page_layout(&page), 0);
		CHECK_EQ(page.bells, l.bells);
		CHECK_EQ(page.tasks, l.task_records);
		CHECK_EQ(page.request_words, l.request_words);
		CHECK_EQ(page.stream_words, l.stream_words);
		CHECK_EQ(page.requests, l.requests);
		CHECK_EQ(page.streams, l.streams);
		CHECK_EQ(page.phases, l.phases);
		CHECK_EQ(page.flight, l.flight);
		CHECK_EQ(page.flight_events, l.flight_events);
		CHECK_EQ(page.end, l.bytes);
	}
}

static int page_of(const struct dsmx_page_abi *head, size_t bytes, int seals)
{
	int fd = memfd_create("dsmx-page", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;
	struct page page = { .base = NULL };
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (ftruncate(fd, (off_t)bytes) < 0 || pwrite(fd, head, sizeof(*head), 0) < 0 ||
	    ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
		return -EIO;
	r = page_open(path, &page);
	page_close(&page);
	(void)close(fd);
	return r;
}

TEST(page_refused, "a page that is none, is too short, or could shrink, is refused")
{
	struct dsmx_page_abi good = { .magic = DSMX_PAGE_MAGIC,
		                      .version = DSMX_ABI_VERSION,
		                      .peers = 3,
		                      .slots = 64,
		                      .frames = 64,
		                      .tasks = 256 };
	size_t bytes = dx_layout(3, 64, 64, 256).bytes;
	struct dsmx_page_abi bad = good;

	CHECK_EQ(page_of(&good, bytes, F_SEAL_SHRINK), 0);
	CHECK_EQ(page_of(&good, bytes, 0), -EBADMSG);
	CHECK_EQ(page_of(&good, bytes - 1, F_SEAL_SHRINK), -EBADMSG);
	CHECK_EQ(page_of(&good, sizeof(good) - 1, F_SEAL_SHRINK), -EBADMSG);
	bad.magic++;
	CHECK_EQ(page_of(&bad, bytes, F_SEAL_SHRINK), -EBADMSG);
	bad = good;
	bad.version++;
	CHECK_EQ(page_of(&bad, bytes, F_SEAL_SHRINK), -EPROTO);
	bad = good;
	bad.peers = DSMX_ABI_PEERS + 1;
	CHECK_EQ(page_of(&bad, bytes, F_SEAL_SHRINK), -EBADMSG);
	bad = good;
	bad.slots = UINT32_MAX;
	CHECK_EQ(page_of(&bad, bytes, F_SEAL_SHRINK), -EBADMSG);
	bad = good;
	bad.peer = 3;
	CHECK_EQ(page_of(&bad, bytes, F_SEAL_SHRINK), -EBADMSG);
}

/* --- phases ---------------------------------------------------------------------------------------------------------- */

TEST(phases_of_any_stamps,
     "phases are never negative and add up to the total, whatever a producer says")
{
	static const struct {
		uint64_t stamps[3]; /* recv, start, commit, where sent is 1000 and read 2000 */
		uint64_t phases[4];
		uint64_t odd;
	} rows[] = {
		{ { 1100, 1300, 1600 }, { 100, 200, 300, 400 }, 0 },
		{ { 1000, 1000, 1000 }, { 0, 0, 0, 1000 }, 0 },
		{ { 2000, 2000, 2000 }, { 1000, 0, 0, 0 }, 0 },
		{ { 900, 1300, 1600 }, { 0, 300, 300, 400 }, 1 },
		{ { 1500, 1300, 1600 }, { 500, 0, 100, 400 }, 1 },
		{ { 0, 0, 0 }, { 0, 0, 0, 1000 }, 1 },
		{ { UINT64_MAX, UINT64_MAX, 5 }, { 1000, 0, 0, 0 }, 1 },
		{ { 1100, UINT64_MAX, 1200 }, { 100, 900, 0, 0 }, 1 },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_stream_abi stream = { .recv_ns = rows[i].stamps[0],
			                          .start_ns = rows[i].stamps[1],
			                          .first_commit_ns = rows[i].stamps[2] };
		struct dsmx_phases_abi phases = { .streams = 0 };

		dx_phases_count(&phases, 1000, &stream, 2000);
		CHECK_EQ(phases.streams, 1);
		CHECK_EQ(phases.odd, rows[i].odd);
		for (size_t p = 0; p < 4; p++)
			CHECK_EQ(phases.sum_ns[p], rows[i].phases[p]);
		CHECK_EQ(phases.sum_ns[DSMX_PHASE_TOTAL], 1000);
		CHECK_EQ(phases.max_ns[DSMX_PHASE_TOTAL], 1000);
		CHECK_EQ(phases.buckets[DSMX_PHASE_TOTAL][9], 1);
	}
}

TEST(phases_buckets, "each time is in the bucket of its power of two, the longest in the last")
{
	static const struct {
		uint64_t ns;
		uint32_t bucket;
	} rows[] = { { 0, 0 },           { 1, 0 },          { 2, 1 },
		     { 3, 1 },           { 4, 2 },          { (1ULL << 47) - 1, 46 },
		     { 1ULL << 47, 47 }, { 1ULL << 60, 47 } };

	for (size_t i = 0; i < DX_ARRAY_LEN(rows); i++) {
		struct dsmx_stream_abi stream = { .recv_ns = 7,
			                          .start_ns = 7,
			                          .first_commit_ns = 7 };
		struct dsmx_phases_abi phases = { .streams = 0 };

		dx_phases_count(&phases, 7, &stream, 7 + rows[i].ns);
		CHECK_EQ(phases.buckets[DSMX_PHASE_TOTAL][rows[i].bucket], 1);
		CHECK_EQ(phases.buckets[DSMX_PHASE_DELIVER][rows[i].bucket], 1);
		CHECK_EQ(phases.buckets[DSMX_PHASE_SPAWN][0], 1);
	}
}

int main(int argc, char **argv)
{
	return harness_main(argc, argv);
}
