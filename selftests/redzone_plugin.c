/* SPDX-License-Identifier: MIT */
/*
 * A probe where none may stand: in a leaf function that keeps its only variable below the stack pointer. The positive
 * control of trace_redzone_test.
 */
#include <stdint.h>

__attribute__((visibility("default"))) uint64_t redzone_leaf(uint64_t value);

#if defined(__x86_64__)
uint64_t redzone_leaf(uint64_t value)
{
	uint64_t kept;

	__asm__ volatile("movq %1, -8(%%rsp)\n"
	                 "jmp 990f\n"
	                 ".balign 16\n"
	                 "990: nop\n"
	                 ".byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"
	                 ".byte 0x0f, 0x1f, 0x44, 0, 0\n"
	                 "movq -8(%%rsp), %0\n"
	                 ".pushsection .note.stapsdt,\"\",\"note\"\n"
	                 ".balign 4\n"
	                 ".4byte 992f-991f, 994f-993f, 3\n"
	                 "991: .asciz \"stapsdt\"\n"
	                 "992: .balign 4\n"
	                 "993: .8byte 990b, 0, 0\n"
	                 ".asciz \"dsmx\"\n"
	                 ".asciz \"ss_cancel\"\n"
	                 ".asciz \"8@%%rdi 8@%%rsi 8@%%rdx 8@%%rcx 8@%%r8 8@%%r9\"\n"
	                 "994: .balign 4\n"
	                 ".popsection\n"
	                 : "=r"(kept)
	                 : "r"(value)
	                 : "memory");
	return kept;
}
#else
uint64_t redzone_leaf(uint64_t value)
{
	return value;
}
#endif
