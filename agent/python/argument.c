/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/argument.h"

#include <asm/perf_regs.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERAND_SIZE 48
/* What is read of the stack when the address is not told from the stack pointer. */
#define STACK_FRAME 512u

/* The names of a register by width. The rest (%ah, %xmm0, %rip) is not known. */
static const struct {
	const char *names[4];
	uint8_t number;
} registers[] = {
	{{"rax", "eax", "ax", "al"}, PERF_REG_X86_AX},
	{{"rbx", "ebx", "bx", "bl"}, PERF_REG_X86_BX},
	{{"rcx", "ecx", "cx", "cl"}, PERF_REG_X86_CX},
	{{"rdx", "edx", "dx", "dl"}, PERF_REG_X86_DX},
	{{"rsi", "esi", "si", "sil"}, PERF_REG_X86_SI},
	{{"rdi", "edi", "di", "dil"}, PERF_REG_X86_DI},
	{{"rbp", "ebp", "bp", "bpl"}, PERF_REG_X86_BP},
	{{"rsp", "esp", "sp", "spl"}, PERF_REG_X86_SP},
	{{"r8", "r8d", "r8w", "r8b"}, PERF_REG_X86_R8},
	{{"r9", "r9d", "r9w", "r9b"}, PERF_REG_X86_R9},
	{{"r10", "r10d", "r10w", "r10b"}, PERF_REG_X86_R10},
	{{"r11", "r11d", "r11w", "r11b"}, PERF_REG_X86_R11},
	{{"r12", "r12d", "r12w", "r12b"}, PERF_REG_X86_R12},
	{{"r13", "r13d", "r13w", "r13b"}, PERF_REG_X86_R13},
	{{"r14", "r14d", "r14w", "r14b"}, PERF_REG_X86_R14},
	{{"r15", "r15d", "r15w", "r15b"}, PERF_REG_X86_R15},
};

static int parse_register(const char *text, size_t n, uint8_t *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		for (size_t w = 0; w < ARRAY_SIZE(registers[i].names); w++) {
			const char *name = registers[i].names[w];

			if (strlen(name) == n && memcmp(name, text, n) == 0) {
				*ret = registers[i].number;
				return 0;
			}
		}
	}
	return -ENOTSUP;
}

static int parse_number(const char *text, const char **end, int64_t *ret)
{
	char *stop;

	errno = 0;
	*ret = strtoll(text, &stop, 0);
	*end = stop;
	return errno || stop == text ? -EBADMSG : 0;
}

/* '%reg' up to one of the bytes of ends; *at moves there. */
static int take_register(const char **at, const char *ends, uint8_t *ret)
{
	const char *s = *at;
	size_t n;

	if (*s++ != '%')
		return -EBADMSG;
	n = strcspn(s, ends);
	*at = s + n;
	return parse_register(s, n, ret);
}

/* '(%base)', '(%base,%index)', '(%base,%index,scale)', '(,%index,scale)' */
static int parse_address(const char *s, struct argument *a)
{
	int64_t scale = 1;
	int r = 0;

	if (*s++ != '(')
		return -ENOTSUP; /* a global's name */
	if (*s != ',')
		r = take_register(&s, ",)", &a->base);
	if (r == 0 && *s == ',') {
		s++;
		r = take_register(&s, ",)", &a->index);
		if (r == 0 && *s == ',')
			r = parse_number(s + 1, &s, &scale);
	}
	if (r < 0)
		return r;
	if (strcmp(s, ")") != 0 || (scale != 1 && scale != 2 && scale != 4 && scale != 8))
		return -EBADMSG;
	a->scale = (uint8_t)scale;
	a->kind = ARGUMENT_MEMORY;
	return 0;
}

static int parse_operand(const char *s, struct argument *a)
{
	int r;

	if (*s == '$') {
		r = parse_number(s + 1, &s, &a->value);
		a->kind = ARGUMENT_CONSTANT;
		return r < 0 || *s ? -EBADMSG : 0;
	}
	if (*s == '%') {
		a->kind = ARGUMENT_REGISTER;
		return take_register(&s, "", &a->base);
	}
	if (*s != '(') {
		r = parse_number(s, &s, &a->value);
		if (r < 0)
			return -ENOTSUP; /* a global's name */
	}
	return parse_address(s, a);
}

/* The i-th word; its length, 0 for none. Spaces part them: an operand of CPython has none. */
static size_t find_word(const char **s, unsigned i)
{
	size_t n = 0;

	for (unsigned k = 0; k <= i; k++) {
		*s += n;
		*s += strspn(*s, " ");
		n = strcspn(*s, " ");
	}
	return n;
}

int argument_parse(const char *arguments, unsigned i, struct argument *ret)
{
	struct argument a = {.base = ARGUMENT_NONE, .index = ARGUMENT_NONE};
	size_t n = find_word(&arguments, i);
	char text[OPERAND_SIZE];
	const char *operand;
	int64_t size;
	int r;

	if (n == 0)
		return -ENOENT;
	if (n >= sizeof(text))
		return -ENOTSUP;
	memcpy(text, arguments, n);
	text[n] = '\0';
	if (parse_number(text, &operand, &size) < 0 || *operand != '@')
		return -EBADMSG;
	a.is_signed = size < 0;
	if (size < -8 || size > 8)
		return -EBADMSG;
	a.size = (uint8_t)llabs(size);
	if (a.size != 1 && a.size != 2 && a.size != 4 && a.size != 8)
		return -EBADMSG;
	r = parse_operand(operand + 1, &a);
	if (r == 0)
		*ret = a;
	return r;
}

static int64_t narrowed(const struct argument *a, uint64_t v)
{
	unsigned unused_bits = 64 - a->size * 8u;

	if (a->is_signed)
		return (int64_t)(v << unused_bits) >> unused_bits;
	return (int64_t)(v << unused_bits >> unused_bits);
}

static int load(const struct argument *a, const struct hit_state *h, uint64_t *ret)
{
	uint64_t address = (uint64_t)a->value;
	uint64_t into;

	if (a->base != ARGUMENT_NONE)
		address += h->registers[a->base];
	if (a->index != ARGUMENT_NONE)
		address += h->registers[a->index] * a->scale;
	/* below the stack pointer this wraps to something large */
	into = address - h->registers[PERF_REG_X86_SP];
	if (into > h->stack_size || a->size > h->stack_size - into)
		return -EFAULT;
	*ret = 0;
	memcpy(ret, h->stack + into, a->size);
	return 0;
}

int argument_value(const struct argument *a, const struct hit_state *h, int64_t *ret)
{
	uint64_t v = 0;
	int r = 0;

	if (a->kind == ARGUMENT_UNKNOWN)
		return -ENOTSUP;
	if (a->kind == ARGUMENT_CONSTANT)
		v = (uint64_t)a->value;
	else if (a->kind == ARGUMENT_REGISTER)
		v = h->registers[a->base];
	else
		r = load(a, h, &v);
	if (r == 0)
		*ret = narrowed(a, v);
	return r;
}

uint64_t argument_registers(const struct argument *a)
{
	uint64_t bits = 0;

	if (a->kind != ARGUMENT_REGISTER && a->kind != ARGUMENT_MEMORY)
		return 0;
	if (a->base != ARGUMENT_NONE)
		bits |= 1ull << a->base;
	if (a->index != ARGUMENT_NONE)
		bits |= 1ull << a->index;
	return bits;
}

uint32_t argument_stack(const struct argument *a)
{
	if (a->kind != ARGUMENT_MEMORY)
		return 0;
	if (a->base != PERF_REG_X86_SP || a->index != ARGUMENT_NONE)
		return STACK_FRAME;
	if (a->value < 0 || a->value > (int64_t)(ARGUMENT_STACK_MAX - 8))
		return 0;
	return (uint32_t)a->value + a->size;
}
