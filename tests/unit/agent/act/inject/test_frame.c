/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/frame.h"

#include <cpuid.h>
#include <errno.h>

#include "tests/support/test.h"

#define SP 0x7ffd00001238

static struct user_regs_struct blocked_in_poll(void)
{
	struct user_regs_struct r = {
		.rsp = SP,
		.rip = 0x7fab1002,
		.rax = (unsigned long long)-516,
		.orig_rax = 7,
		.rdi = 11,
		.rsi = 12,
		.rbx = 13,
		.r15 = 14,
		.eflags = 0x746, /* TF and DF among them */
		.cs = 0x33,
		.ss = 0x2b,
	};

	return r;
}

/* An image as ptrace gives it: the mask of what the kernel saves at 464. */
static void fill_xstate(uint8_t *x, size_t len, uint64_t features)
{
	memset(x, 0xab, len);
	memcpy(x + 464, &features, sizeof(features));
	memset(x + 512, 0, 64);
}

static uint64_t word(const struct frame *f, size_t at)
{
	uint64_t v;

	memcpy(&v, f->bytes + at, sizeof(v));
	return v;
}

/* Offsets of the kernel's struct rt_sigframe: pretcode 0, uc 8, mcontext 48, fpstate 232,
 * sigmask 304. */
static void the_frame_is_what_rt_sigreturn_reads(void **state unused_arg)
{
	struct user_regs_struct r = blocked_in_poll();
	uint8_t x[576];
	struct frame f;
	struct error err;
	uint32_t sw[4];
	uint64_t fp;

	fill_xstate(x, sizeof(x), 3);
	assert_int_equal(frame_build(&r, 0x55aa, x, sizeof(x), 0xdeadb000, &f, &err), 0);
	assert_int_equal(f.address % 16, 8);
	assert_int_equal(word(&f, 0), 0xdeadb000);
	assert_int_equal(word(&f, 8), 7);
	assert_int_equal(word(&f, 24), 0); /* no alternate stack: left as it is */
	assert_int_equal(word(&f, 48 + 8 * 7), 14);
	assert_int_equal(word(&f, 48 + 8 * 8), 11);
	assert_int_equal(word(&f, 48 + 8 * 13), 7);          /* rax: the call's number again */
	assert_int_equal(word(&f, 48 + 8 * 15), SP);         /* rsp */
	assert_int_equal(word(&f, 48 + 8 * 16), 0x7fab1000); /* on the 'syscall' */
	assert_int_equal(word(&f, 48 + 8 * 17), 0x746);
	assert_int_equal(word(&f, 48 + 8 * 18), 0x33 | 0x2bull << 48);
	assert_int_equal(word(&f, 304), 0x55aa);
	fp = word(&f, 232);
	assert_int_equal(fp % 64, 0);
	assert_true(fp > f.address + 440 && fp + 580 <= SP - 128);
	assert_int_equal(f.len, fp - f.address + 580);
	memcpy(sw, f.bytes + (fp - f.address) + 464, sizeof(sw));
	assert_int_equal(sw[0], 0x46505853);
	assert_int_equal(sw[1], 580);
	assert_int_equal(sw[2], 3);
	memcpy(sw, f.bytes + (fp - f.address) + 576, 4);
	assert_int_equal(sw[0], 0x46505845);
	assert_memory_equal(f.bytes + (fp - f.address), x, 464);
}

static void the_thread_enters_as_by_a_call(void **state unused_arg)
{
	struct user_regs_struct r = blocked_in_poll();
	struct frame f = {.address = 0x1008};

	frame_enter(&r, &f, 0xf00);
	assert_int_equal(r.rip, 0xf00);
	assert_int_equal(r.rsp, 0x1008);
	assert_int_equal(r.rdi, 0);
	assert_int_equal(r.orig_rax, (unsigned long long)-1);
	assert_int_equal(r.eflags, 0x246);
	assert_int_equal(r.rbx, 13);
}

/* Between two instructions: everything as it is, no call to be made anew. */
static void a_running_thread_goes_on_where_it_was(void **state unused_arg)
{
	const uint64_t args[6] = {1, 2, 3, 4, 5, 6};
	struct user_regs_struct r = blocked_in_poll();
	struct user_regs_struct in;
	static uint8_t x[FRAME_XSTATE_MAX];
	static struct frame f;
	struct error err;

	fill_xstate(x, sizeof(x), 3);
	r.orig_rax = (unsigned long long)-1;
	r.rax = 0x1234;
	assert_int_equal(frame_build(&r, 0, x, sizeof(x), 1, &f, &err), 0);
	/* struct ucontext: rax is the 14th register of the mcontext at 48, rip the 17th. */
	assert_int_equal(word(&f, 48 + 13 * 8), 0x1234);
	assert_int_equal(word(&f, 48 + 16 * 8), r.rip);
	in = r;
	frame_enter_call(&in, &f, 0x5000, 56, args);
	assert_int_equal(in.rip, 0x5000);
	assert_int_equal(in.rax, 56);
	assert_int_equal(in.rsp, f.address);
	assert_int_equal(in.orig_rax, (unsigned long long)-1);
	assert_true(in.rdi == 1 && in.rsi == 2 && in.rdx == 3 && in.r10 == 4 && in.r8 == 5 &&
		    in.r9 == 6);
}

static void images_that_are_not_understood_are_refused(void **state unused_arg)
{
	struct user_regs_struct r = blocked_in_poll();
	static uint8_t x[FRAME_XSTATE_MAX + 64];
	static struct frame f;
	struct error err;
	unsigned a;
	unsigned b;
	unsigned c;
	unsigned d;

	fill_xstate(x, sizeof(x), 3);
	assert_int_equal(frame_build(&r, 0, x, 512, 1, &f, &err), -ENOTSUP);
	assert_int_equal(frame_build(&r, 0, x, sizeof(x), 1, &f, &err), -ENOTSUP);
	assert_says(err, "bytes of FPU state");
	fill_xstate(x, sizeof(x), 0);
	assert_int_equal(frame_build(&r, 0, x, 576, 1, &f, &err), -ENOTSUP);
	if (!__get_cpuid_count(0xd, 2, &a, &b, &c, &d) || !a)
		skip();
	/* Upper halves of AVX claimed, and no room for them. */
	fill_xstate(x, sizeof(x), 7);
	assert_int_equal(frame_build(&r, 0, x, 576, 1, &f, &err), -ENOTSUP);
	assert_int_equal(frame_build(&r, 0, x, 4096, 1, &f, &err), 0);
	assert_int_equal(f.bytes[word(&f, 232) - f.address + 576], 0xab);
}

static void unused_amx_is_left_out(void **state unused_arg)
{
	struct user_regs_struct r = blocked_in_poll();
	static uint8_t x[FRAME_XSTATE_MAX];
	static struct frame f;
	struct error err;
	uint64_t features;

	fill_xstate(x, sizeof(x), 3 | 3ull << 17);
	assert_int_equal(frame_build(&r, 0, x, sizeof(x), 1, &f, &err), 0);
	features = word(&f, word(&f, 232) - f.address + 472);
	assert_int_equal(features, 3);
}

static void a_signal_handler_is_seen_on_the_stack(void **state unused_arg)
{
	uint64_t stack[200] = {0};
	const size_t at = 17;
	const size_t ss_flags = at + (8 + 16 + 8) / 8;

	assert_false(frame_has_handler(stack, ARRAY_SIZE(stack), 0xdeadb000));
	stack[at] = 0xdeadb000;
	/* One of ours, left from an earlier call. */
	assert_false(frame_has_handler(stack, ARRAY_SIZE(stack), 0xdeadb000));
	stack[ss_flags] = 2; /* SS_DISABLE, as the kernel writes it */
	assert_true(frame_has_handler(stack, ARRAY_SIZE(stack), 0xdeadb000));
	/* Cut off: no frame fits. */
	assert_false(frame_has_handler(stack, at + 20, 0xdeadb000));
	stack[at + 1] = 0x5555; /* uc_flags */
	assert_false(frame_has_handler(stack, ARRAY_SIZE(stack), 0xdeadb000));
}

/* What the functions after the first return into lies below the frame, which stays whole. */
static void a_chain_leads_into_the_frame(void **state unused_arg)
{
	static const uint64_t words[] = {0x111, 0x222, 0x333, 0x444};
	struct user_regs_struct r = blocked_in_poll();
	uint64_t many[FRAME_CHAIN_MAX + 2] = {0};
	struct frame before;
	uint8_t x[576];
	struct frame f;
	struct error err;

	fill_xstate(x, sizeof(x), 3);
	assert_int_equal(frame_build(&r, 0, x, sizeof(x), 0xdeadb000, &f, &err), 0);
	before = f;
	assert_int_equal(frame_chain(&f, words, 0), 0);
	assert_int_equal(f.address, before.address);
	assert_int_equal(frame_chain(&f, words, ARRAY_SIZE(words)), 0);
	assert_int_equal(f.address, before.address - sizeof(words));
	assert_int_equal(f.address % 16, 8);
	assert_int_equal(f.len, before.len + sizeof(words));
	assert_memory_equal(f.bytes, words, sizeof(words));
	assert_memory_equal(f.bytes + sizeof(words), before.bytes, before.len);
	assert_int_equal(frame_chain(&f, words, 3), -E2BIG);
	assert_int_equal(frame_chain(&f, many, ARRAY_SIZE(many)), -E2BIG);
}

static void a_wait_may_be_told_of_an_interruption(void **state unused_arg)
{
	struct user_regs_struct r = blocked_in_poll();
	uint8_t x[576];
	struct frame f;
	struct error err;

	fill_xstate(x, sizeof(x), 3);
	assert_int_equal(frame_build(&r, 0, x, sizeof(x), 0xdeadb000, &f, &err), 0);
	assert_int_equal(word(&f, 48 + 13 * 8), 7);          /* rax: the call made anew ... */
	assert_int_equal(word(&f, 48 + 16 * 8), 0x7fab1000); /* ... on its 'syscall' */
	frame_interrupt(&f, &r);
	assert_int_equal((int64_t)word(&f, 48 + 13 * 8), -EINTR);
	assert_int_equal(word(&f, 48 + 16 * 8), 0x7fab1002);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_leads_into_the_frame),
		cmocka_unit_test(a_wait_may_be_told_of_an_interruption),
		cmocka_unit_test(the_frame_is_what_rt_sigreturn_reads),
		cmocka_unit_test(the_thread_enters_as_by_a_call),
		cmocka_unit_test(a_running_thread_goes_on_where_it_was),
		cmocka_unit_test(images_that_are_not_understood_are_refused),
		cmocka_unit_test(unused_amx_is_left_out),
		cmocka_unit_test(a_signal_handler_is_seen_on_the_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
