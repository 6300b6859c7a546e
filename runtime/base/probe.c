/* SPDX-License-Identifier: MIT */
/*
 * probe.c - every probe site of the library, and why they are all here
 *
 * Linux 6.18 replaces a five-byte nop under a probe by a call: it pushes a return address, and a leaf function
 * that keeps a variable in the red zone below its stack pointer loses it. So no site may stand in code that the
 * compiler is free to give a red zone: each is a function of its own, in this file, which the Makefile builds
 * with -mno-red-zone.
 *
 * A site is 16 bytes on a 16-byte boundary, so that none of its instructions crosses a page:
 *
 *	+0	nop, 1 byte	what the note says: any tool may take it; a trap, which works everywhere
 *	+1	nop, 10 bytes	Linux 7.2 and later makes a call of it that spares the red zone
 *	+11	nop, 5 bytes	Linux 6.18 and what follows make a call of it
 *
 * dsmx-trace takes the one that the running kernel is fast with. On a kernel before 7.2 a probe at +1 can be
 * set and never fires; hence the note never names it.
 *
 * The arguments are pinned to the registers in which they arrive, so a note always reads alike, and a BPF
 * program takes them from pt_regs without decoding anything. The note is SystemTap's, version 3, written out:
 * <sys/sdt.h> has no say in which nop is used. A semaphore is in .probes, a section with bytes in the file:
 * the kernel finds it by its place there.
 */
#include "base/probe.h"

#if defined(__x86_64__)

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define NOTE(name)                                                                                 \
	".pushsection .note.stapsdt,\"?\",\"note\"\n"                                              \
	".balign 4\n"                                                                              \
	".4byte 992f-991f, 994f-993f, 3\n"                                                         \
	"991: .asciz \"stapsdt\"\n"                                                                \
	"992: .balign 4\n"                                                                         \
	"993: .8byte 990b\n"                                                                       \
	".8byte _.stapsdt.base\n"                                                                  \
	".8byte dx_probe_" name "_semaphore\n"                                                     \
	".asciz \"" DSMX_TRACE_PROVIDER "\"\n"                                                     \
	".asciz \"" name "\"\n"                                                                    \
	".asciz \"8@%%rdi 8@%%rsi 8@%%rdx 8@%%rcx 8@%%r8 8@%%r9\"\n"                               \
	"994: .balign 4\n"                                                                         \
	".popsection\n"

/* Tools compare this symbol's value with where the section is, and so see whether the file was prelinked. */
#define BASE                                                                                       \
	".ifndef _.stapsdt.base\n"                                                                 \
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                    \
	".weak _.stapsdt.base\n"                                                                   \
	".hidden _.stapsdt.base\n"                                                                 \
	"_.stapsdt.base: .space 1\n"                                                               \
	".size _.stapsdt.base, 1\n"                                                                \
	".popsection\n"                                                                            \
	".endif\n"

#define NOP10 ".byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00\n"
#define NOP5  ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"

#define SITE(name, args, meaning)                                                                  \
	extern const unsigned char dx_probe_##name##_site[];                                       \
	uint16_t dx_probe_##name##_semaphore                                                       \
		__attribute__((section(".probes"), visibility("hidden"), used)) = 0;               \
	__attribute__((noinline, cold)) void dx_probe_##name(uint64_t a, uint64_t b, uint64_t c,   \
	                                                     uint64_t d, uint64_t e, uint64_t f)   \
	{                                                                                          \
		register uint64_t rdi __asm__("rdi") = a;                                          \
		register uint64_t rsi __asm__("rsi") = b;                                          \
		register uint64_t rdx __asm__("rdx") = c;                                          \
		register uint64_t rcx __asm__("rcx") = d;                                          \
		register uint64_t r8 __asm__("r8") = e;                                            \
		register uint64_t r9 __asm__("r9") = f;                                            \
                                                                                                   \
		__asm__ volatile(".balign 16\n"                                                    \
		                 ".globl dx_probe_" #name "_site\n"                                \
		                 ".hidden dx_probe_" #name "_site\n"                               \
		                 "dx_probe_" #name "_site:\n"                                      \
		                 "990: nop\n" NOP10 NOP5 NOTE(#name) BASE ::"r"(rdi),              \
		                 "r"(rsi), "r"(rdx), "r"(rcx), "r"(r8), "r"(r9));                  \
	}

#else /* no sites: a tracer finds none and says so */

#define SITE(name, args, meaning)                                                                  \
	uint16_t dx_probe_##name##_semaphore                                                       \
		__attribute__((section(".probes"), visibility("hidden"), used)) = 0;               \
	void dx_probe_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,           \
	                     uint64_t f)                                                           \
	{                                                                                          \
		(void)a, (void)b, (void)c, (void)d, (void)e, (void)f;                              \
	}

#endif

DSMX_PROBES(SITE)

#if defined(__x86_64__)

#define CALL       0xe8
#define CALL_BYTES 5
#define PAGE_BYTES 4096UL

/* Is there a call at @code, to where nothing is mapped? */
static bool leads_nowhere(const unsigned char *code)
{
	unsigned char in_memory;
	int32_t distance;
	uintptr_t to;

	if (*code != CALL)
		return false;
	memcpy(&distance, code + 1, sizeof(distance));
	to = (uintptr_t)code + CALL_BYTES + (uintptr_t)(intptr_t)distance;
	return mincore((void *)(to & ~(PAGE_BYTES - 1)), PAGE_BYTES, &in_memory) < 0;
}

/*
 * Linux 6.18 maps the page that its calls lead to for the traced process only, and a child of fork(2) has the calls
 * without it. Such a probe is off in the child, until a tracer sets it there anew. This is the one place where the library
 * writes a semaphore.
 */
static void forget_probes(void)
{
#define FORGET(name, args, meaning)                                                                \
	if (leads_nowhere(dx_probe_##name##_site + 6) ||                                           \
	    leads_nowhere(dx_probe_##name##_site + 11))                                            \
		dx_store_plain(&dx_probe_##name##_semaphore, 0);
	DSMX_PROBES(FORGET)
}

__attribute__((constructor)) static void mind_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forget_probes);
}

#endif
