/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/argument.h"

#include <asm/perf_regs.h>
#include <errno.h>

#include "tests/support/test.h"

#define SP 0x7ffc00001000

static uint8_t stack[256];

static struct hit_state hit(void)
{
	struct hit_state h = {.stack = stack, .stack_size = sizeof(stack)};

	for (unsigned i = 0; i < ARGUMENT_REGISTERS; i++)
		h.registers[i] = 1000 + i;
	h.registers[PERF_REG_X86_SP] = SP;
	h.registers[PERF_REG_X86_BP] = SP + 240;
	return h;
}

/* What the i-th argument of a note is worth, or a negative errno. */
static int64_t worth(const char *arguments, unsigned i, const struct hit_state *h)
{
	struct argument a;
	int64_t v = 0;
	int r = argument_parse(arguments, i, &a);

	if (r == 0)
		r = argument_value(&a, h, &v);
	return r < 0 ? r : v;
}

static void put32(unsigned at, int32_t v)
{
	memcpy(stack + at, &v, sizeof(v));
}

static void the_operands_of_real_builds_are_read(void **state unused_arg)
{
	struct hit_state h = hit();

	put32(112, 2);
	assert_int_equal(worth("-4@112(%rsp)", 0, &h), 2); /* Debian 12, 3.11 */
	put32(240 - 228, 1);
	assert_int_equal(worth("-4@-228(%rbp)", 0, &h), 1); /* Debian sid, 3.14 */
	h.registers[PERF_REG_X86_R12] = 77;
	assert_int_equal(worth("-8@%r12", 0, &h), 77);
	assert_int_equal(worth("-4@$2", 0, &h), 2);
	assert_int_equal(worth("8@%rbx 8@%r15", 0, &h), 1000 + PERF_REG_X86_BX);
	assert_int_equal(worth("8@%rbx 8@%r15", 1, &h), 1000 + PERF_REG_X86_R15);
	assert_int_equal(worth("8@%rbx 8@%r15", 2, &h), -ENOENT);
	put32(0, -3);
	assert_int_equal(worth("-4@(%rsp)", 0, &h), -3);
	h.registers[PERF_REG_X86_AX] = 4;
	put32(8 + 16, 9);
	assert_int_equal(worth("-4@8(%rsp,%rax,4)", 0, &h), 9);
}

static void widths_and_signs_are_kept(void **state unused_arg)
{
	struct hit_state h = hit();

	h.registers[PERF_REG_X86_DX] = 0xffffffffffff80ff;
	assert_int_equal(worth("-4@%edx", 0, &h), (int32_t)0xffff80ff);
	assert_int_equal(worth("4@%edx", 0, &h), 0xffff80ff);
	assert_int_equal(worth("-2@%dx", 0, &h), (int16_t)0x80ff);
	assert_int_equal(worth("1@%dl", 0, &h), 0xff);
	assert_int_equal(worth("-1@%dl", 0, &h), -1);
	assert_int_equal(worth("-8@$-1", 0, &h), -1);
}

static void what_no_sample_has_is_never_guessed(void **state unused_arg)
{
	struct hit_state h = hit();
	struct argument a = {.kind = ARGUMENT_UNKNOWN};
	int64_t v;

	assert_int_equal(worth("-4@collecting(%rip)", 0, &h), -ENOTSUP);
	assert_int_equal(worth("-4@8+global(%rip)", 0, &h), -ENOTSUP);
	assert_int_equal(worth("8@%xmm0", 0, &h), -ENOTSUP);
	assert_int_equal(worth("4@%ah", 0, &h), -ENOTSUP);
	assert_int_equal(worth("-4@-8(%rsp)", 0, &h), -EFAULT); /* below the stack pointer */
	assert_int_equal(worth("-4@253(%rsp)", 0, &h), -EFAULT);
	assert_int_equal(worth("-4@(%rdi)", 0, &h), -EFAULT);
	assert_int_equal(argument_value(&a, &h, &v), -ENOTSUP);
	h.stack_size = 0;
	assert_int_equal(worth("-4@(%rsp)", 0, &h), -EFAULT);
}

static void what_is_no_operand_is_refused(void **state unused_arg)
{
	static const char *const bad[] = {"@%rax",
					  "4%rax",
					  "3@%rax",
					  "99@%rax",
					  "4@$",
					  "4@$2x",
					  "4@(%rsp",
					  "4@(%rsp,%rax,3)",
					  "4@(rsp)",
					  "4@(%rsp)x",
					  "0@%rax",
					  "4@(%rsp,)",
					  "4@$0x1ffffffffffffffff"};
	struct argument a;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (argument_parse(bad[i], 0, &a) >= 0)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(argument_parse("", 0, &a), -ENOENT);
	assert_int_equal(argument_parse("   ", 0, &a), -ENOENT);
}

static void a_sample_holds_what_is_needed(void **state unused_arg)
{
	struct argument a;

	assert_int_equal(argument_parse("-4@112(%rsp)", 0, &a), 0);
	assert_int_equal(argument_registers(&a), 1ull << PERF_REG_X86_SP);
	assert_int_equal(argument_stack(&a), 116);
	assert_int_equal(argument_parse("-4@-228(%rbp)", 0, &a), 0);
	assert_int_equal(argument_registers(&a), 1ull << PERF_REG_X86_BP);
	assert_in_range(argument_stack(&a), 228, ARGUMENT_STACK_MAX);
	assert_int_equal(argument_parse("-8@%r12", 0, &a), 0);
	assert_int_equal(argument_registers(&a), 1ull << PERF_REG_X86_R12);
	assert_int_equal(argument_stack(&a), 0);
	assert_int_equal(argument_parse("-4@99999(%rsp)", 0, &a), 0);
	assert_int_equal(argument_stack(&a), 0); /* out of reach: unknown */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_operands_of_real_builds_are_read),
		cmocka_unit_test(widths_and_signs_are_kept),
		cmocka_unit_test(what_no_sample_has_is_never_guessed),
		cmocka_unit_test(what_is_no_operand_is_refused),
		cmocka_unit_test(a_sample_holds_what_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
