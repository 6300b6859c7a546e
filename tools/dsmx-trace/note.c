/* SPDX-License-Identifier: MIT */
/*
 * note.c - see note.h; runtime/base/probe.c says what a site looks like
 *
 * The file may be anybody's: it is read, not mapped, and every offset and length in it is checked against what
 * was read before it is used.
 */
#include "note.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECTIONS_MAX 4096U
#define NOTES_BYTES  ((size_t)1 << 20)
#define STAPSDT_TYPE 3U
#define SYS_UPROBE   336 /* x86-64 */

static const char *const names[DSMX_PROBE_COUNT] = {
#define NAME(name, args, meaning) #name,
	DSMX_PROBES(NAME)
#undef NAME
};

static const char our_arguments[] = "8@%rdi 8@%rsi 8@%rdx 8@%rcx 8@%r8 8@%r9";

enum note_site note_best_site(void)
{
#if defined(__x86_64__)
	/* Outside of a probe this call only tells whether it is there, and of which kind. */
	errno = 0;
	(void)syscall(SYS_UPROBE);
	if (errno == ENXIO)
		return NOTE_CALL5;
	if (errno == EPROTO)
		return NOTE_CALL10;
#endif
	return NOTE_TRAP;
}

struct elf {
	int fd;
	Elf64_Ehdr head;
	Elf64_Shdr *sections;
	Elf64_Phdr *segments;
	char *strings;
	size_t strings_len;
};

static bool read_at(int fd, void *buf, size_t len, uint64_t offset)
{
	return offset <= INT64_MAX && pread(fd, buf, len, (off_t)offset) == (ssize_t)len;
}

/* @len bytes at @offset, on the heap, with a 0 behind them; NULL: they are not there. */
static void *read_part(int fd, uint64_t offset, uint64_t len)
{
	char *part = len <= NOTES_BYTES ? malloc(len + 1) : NULL;

	if (part != NULL && !read_at(fd, part, len, offset)) {
		free(part);
		part = NULL;
	}
	if (part != NULL)
		part[len] = '\0';
	return part;
}

static bool read_elf(struct elf *elf)
{
	const Elf64_Ehdr *h = &elf->head;

	if (!read_at(elf->fd, &elf->head, sizeof(elf->head), 0) ||
	    memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_shnum == 0 || h->e_shnum > SECTIONS_MAX || h->e_shstrndx >= h->e_shnum ||
	    h->e_shentsize != sizeof(Elf64_Shdr) || h->e_phentsize != sizeof(Elf64_Phdr))
		return false;
	elf->sections = read_part(elf->fd, h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr));
	elf->segments = read_part(elf->fd, h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr));
	if (elf->sections == NULL || elf->segments == NULL)
		return false;
	elf->strings_len = elf->sections[h->e_shstrndx].sh_size;
	elf->strings = read_part(elf->fd, elf->sections[h->e_shstrndx].sh_offset, elf->strings_len);
	return elf->strings != NULL;
}

static const Elf64_Shdr *find_section(const struct elf *elf, const char *name)
{
	for (uint32_t i = 0; i < elf->head.e_shnum; i++)
		if (elf->sections[i].sh_name < elf->strings_len &&
		    strcmp(elf->strings + elf->sections[i].sh_name, name) == 0)
			return &elf->sections[i];
	return NULL;
}

/* Where the byte of virtual address @address is in the file; 0: nowhere. */
static uint64_t file_offset(const struct elf *elf, uint64_t address)
{
	for (uint32_t i = 0; i < elf->head.e_phnum; i++) {
		const Elf64_Phdr *p = &elf->segments[i];

		if (p->p_type == PT_LOAD && address >= p->p_vaddr &&
		    address - p->p_vaddr < p->p_filesz)
			return address - p->p_vaddr + p->p_offset;
	}
	return 0;
}

/* The nop of the site that this kernel is fast with, if the site is of the form that it should be. */
static uint64_t choose_nop(const struct elf *elf, uint64_t offset, enum note_site site)
{
	static const unsigned char nops[16] = { 0x90, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0,
		                                0,    0,    0,    0x0f, 0x1f, 0x44, 0, 0 };
	unsigned char seen[16];

	if (site == NOTE_TRAP || offset % 16 != 0 ||
	    !read_at(elf->fd, seen, sizeof(seen), offset) || memcmp(seen, nops, sizeof(nops)) != 0)
		return offset;
	return offset + (site == NOTE_CALL5 ? 11 : 1);
}

/* One description: three addresses, then provider, name and arguments. Returns 1, 0 (not ours) or -ENOTSUP. */
static int take_note(const struct elf *elf, const char *desc, size_t len, enum note_site site,
                     struct note *notes)
{
	const Elf64_Shdr *base = find_section(elf, ".stapsdt.base");
	const char *text = desc + 3 * sizeof(uint64_t), *end = desc + len;
	const char *name, *arguments;
	uint64_t words[3], moved = 0;

	if (len <= sizeof(words) || end[-1] != '\0' || strcmp(text, DSMX_TRACE_PROVIDER) != 0)
		return 0;
	memcpy(words, desc, sizeof(words));
	name = text + strlen(text) + 1;
	arguments = name < end ? name + strlen(name) + 1 : end;
	if (arguments >= end)
		return 0;
	if (base != NULL && words[1] != 0)
		moved = base->sh_addr - words[1];
	for (uint32_t i = 0; i < DSMX_PROBE_COUNT; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		if (strcmp(arguments, our_arguments) != 0)
			return -ENOTSUP;
		notes[i].offset = choose_nop(elf, file_offset(elf, words[0] + moved), site);
		notes[i].semaphore = words[2] == 0 ? 0 : file_offset(elf, words[2] + moved);
		return notes[i].offset != 0;
	}
	return 0;
}

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

static int take_notes(const struct elf *elf, enum note_site site, struct note *notes)
{
	const Elf64_Shdr *section = find_section(elf, ".note.stapsdt");
	char *bytes =
		section == NULL ? NULL : read_part(elf->fd, section->sh_offset, section->sh_size);
	int count = 0;

	for (size_t at = 0; bytes != NULL && section->sh_size - at >= sizeof(Elf64_Nhdr);) {
		size_t left = section->sh_size - at - sizeof(Elf64_Nhdr);
		Elf64_Nhdr note;
		int r = 0;

		memcpy(&note, bytes + at, sizeof(note));
		if (padded(note.n_namesz) > left || note.n_descsz > left - padded(note.n_namesz))
			break;
		at += sizeof(note) + padded(note.n_namesz);
		if (note.n_type == STAPSDT_TYPE)
			r = take_note(elf, bytes + at, note.n_descsz, site, notes);
		if (r < 0) {
			count = r;
			break;
		}
		count += r;
		at += padded(note.n_descsz);
		if (at > section->sh_size)
			break;
	}
	free(bytes);
	return count;
}

int note_read(const char *path, enum note_site site, struct note ret_notes[DSMX_PROBE_COUNT])
{
	struct elf elf = { .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
	struct stat st;
	int r = 0;

	memset(ret_notes, 0, DSMX_PROBE_COUNT * sizeof(*ret_notes));
	if (elf.fd < 0)
		return -errno;
	if (fstat(elf.fd, &st) == 0 && S_ISREG(st.st_mode) && read_elf(&elf))
		r = take_notes(&elf, site, ret_notes);
	free(elf.sections);
	free(elf.segments);
	free(elf.strings);
	(void)close(elf.fd);
	return r;
}
