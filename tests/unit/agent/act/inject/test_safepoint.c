/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/safepoint.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "tests/support/test.h"

static void the_kernels_line_is_read(void **state unused_arg)
{
	struct blocked b;

	assert_int_equal(blocked_parse("202 0x7f01 0x189 0x0 0x0 0x0 0xffffffff 0x7ffc10 0x7fab\n",
				       &b),
			 0);
	assert_int_equal(b.nr, 202);
	assert_int_equal(b.args[1], 0x189);
	assert_int_equal(b.args[5], 0xffffffff);
	assert_int_equal(b.sp, 0x7ffc10);
	assert_int_equal(b.pc, 0x7fab);
	assert_int_equal(blocked_parse("running\n", &b), -EAGAIN);
	assert_int_equal(blocked_parse("-1 0x7ffc10 0x7fab\n", &b), -EAGAIN);
	assert_int_equal(blocked_parse("", &b), -EBADMSG);
	assert_int_equal(blocked_parse("7 0x1 0x2\n", &b), -EBADMSG);
}

static void calls_that_go_on_by_themselves_are_known(void **state unused_arg)
{
	assert_true(safepoint_restarts(SYS_poll) && safepoint_restarts(SYS_futex));
	assert_true(safepoint_restarts(SYS_clock_nanosleep) && safepoint_restarts(SYS_wait4));
	/* These fail with EINTR when a stop wakes them: epoll, and sockets that have a timeout. */
	assert_false(safepoint_restarts(SYS_epoll_wait) || safepoint_restarts(SYS_epoll_pwait));
	assert_false(safepoint_restarts(SYS_recvfrom) || safepoint_restarts(SYS_accept4));
}

static void only_waits_that_hold_no_lock_are_safe(void **state unused_arg)
{
	static const int64_t never[] = {
		SYS_brk,           SYS_mmap, SYS_munmap,  SYS_mprotect, SYS_clone,
		SYS_execve,        SYS_exit, SYS_madvise, SYS_mremap,   SYS_rt_sigreturn,
		SYS_rt_sigsuspend, -1,       9999};

	assert_true(safepoint_call(SYS_poll, 0));
	assert_true(safepoint_call(SYS_epoll_pwait2, 0));
	assert_true(safepoint_call(SYS_clock_nanosleep, 0));
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_false(safepoint_call(never[i], 0));
	assert_true(safepoint_call(SYS_futex, FUTEX_WAIT_BITSET));
	assert_true(safepoint_call(SYS_futex,
				   FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME));
	/* How glibc waits for an arena. */
	assert_false(safepoint_call(SYS_futex, FUTEX_WAIT));
	assert_false(safepoint_call(SYS_futex, FUTEX_WAIT_PRIVATE));
	assert_false(safepoint_call(SYS_futex, FUTEX_LOCK_PI));
}

static void only_interrupted_waits_go_on(void **state unused_arg)
{
	assert_true(safepoint_interrupted(-512));
	assert_true(safepoint_interrupted(-516));
	assert_true(safepoint_interrupted(-EINTR));
	assert_false(safepoint_interrupted(0));
	assert_false(safepoint_interrupted(17));
	assert_false(safepoint_interrupted(-515));
	assert_false(safepoint_interrupted(-EAGAIN));
}

static void the_state_is_read_behind_a_hostile_name(void **state unused_arg)
{
	assert_int_equal(stat_state("7 (a) R (b) S 1 2"), 'S');
	assert_int_equal(stat_state("7 (x) D 1"), 'D');
	assert_int_equal(stat_state("7 (x)"), 0);
	assert_int_equal(stat_state(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernels_line_is_read),
		cmocka_unit_test(calls_that_go_on_by_themselves_are_known),
		cmocka_unit_test(only_waits_that_hold_no_lock_are_safe),
		cmocka_unit_test(only_interrupted_waits_go_on),
		cmocka_unit_test(the_state_is_read_behind_a_hostile_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
