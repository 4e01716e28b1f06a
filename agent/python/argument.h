/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argument.h - where a probe point's argument is when the probe is hit, as SystemTap's notes say
 * it: 'N@OPERAND', N bytes, negative = signed; the operand in the assembler's words: $2, %r12,
 * 112(%rsp), -8(%rbp,%rax,4). What no sample can answer (%rip and globals, floating point) is
 * -ENOTSUP: the figure is then unknown, never guessed.
 *
 * Source: SystemTap wiki, 'UserSpaceProbeImplementation'. x86-64. Pure.
 */
#ifndef MEMHERD_AGENT_PYTHON_ARGUMENT_H
#define MEMHERD_AGENT_PYTHON_ARGUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define ARGUMENT_REGISTERS 24 /* numbered as asm/perf_regs.h does */
#define ARGUMENT_NONE      UINT8_MAX
#define ARGUMENT_STACK_MAX 1024u /* bytes from the stack pointer up that a sample may hold */

enum argument_kind { ARGUMENT_UNKNOWN, ARGUMENT_CONSTANT, ARGUMENT_REGISTER, ARGUMENT_MEMORY };

struct argument {
	enum argument_kind kind;
	bool is_signed;
	uint8_t size;  /* bytes: 1, 2, 4, 8 */
	uint8_t base;  /* register, or of the memory's address; ARGUMENT_NONE = none */
	uint8_t index; /* ARGUMENT_NONE = none */
	uint8_t scale;
	int64_t value; /* the constant, or the displacement */
};

/* What a sample holds of a thread at the moment of the hit. */
struct hit_state {
	uint64_t registers[ARGUMENT_REGISTERS];
	const uint8_t *stack; /* from the stack pointer up */
	uint64_t stack_size;
};

/* The i-th of the arguments of a note; -ENOENT when there are fewer, -EBADMSG, -ENOTSUP. */
int argument_parse(const char *arguments, unsigned i, struct argument *ret) must_use;
/* -ENOTSUP when unknown, -EFAULT when the sample does not reach there. */
int argument_value(const struct argument *a, const struct hit_state *h, int64_t *ret) must_use;
/* The registers a sample must have for it, as bits; how much of the stack (0 = none). */
uint64_t argument_registers(const struct argument *a);
uint32_t argument_stack(const struct argument *a);

#endif
