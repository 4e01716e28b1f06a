/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/worker.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/test.h"

static int on_double(const void *arg, void *result, struct error *err)
{
	*(int *)result = 2 * *(const int *)arg;
	return error_set(err, -EDOM, "by %d", 2);
}

static int on_hang(const void *arg unused_arg, void *result unused_arg,
		   struct error *err unused_arg)
{
	while (pause() < 0)
		;
	return 0;
}

static int on_die(const void *arg, void *result unused_arg, struct error *err unused_arg)
{
	signal(*(const int *)arg, SIG_DFL);
	raise(*(const int *)arg);
	return 0;
}

static void the_answer_comes_back(void **state unused_arg)
{
	struct error err;
	int v = 21;
	int got = 0;

	assert_int_equal(worker_run(on_double, &v, &got, sizeof(got), USEC_PER_SEC, &err), -EDOM);
	assert_int_equal(got, 42);
	assert_string_equal(err.msg, "by 2");
}

static void a_hung_worker_is_ended_in_time(void **state unused_arg)
{
	int64_t start = clock_boot_us();
	struct error err;
	int got = 5;

	assert_int_equal(worker_run(on_hang, NULL, &got, sizeof(got), 100000, &err), -ETIMEDOUT);
	assert_says(err, "not done within 100 ms");
	assert_true(clock_boot_us() - start < 2 * USEC_PER_SEC);
	assert_int_equal(got, 5);
}

static void a_crash_stays_in_the_worker(void **state unused_arg)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGKILL};
	struct error err;
	int got;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		assert_int_equal(worker_run(on_die, &signals[i], &got, sizeof(got), USEC_PER_SEC,
					    &err),
				 -ECHILD);
		assert_says(err, "ended by signal");
	}
	assert_int_equal(worker_run(on_hang, NULL, &got, 1 << 20, 1000, &err), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_comes_back),
		cmocka_unit_test(a_hung_worker_is_ended_in_time),
		cmocka_unit_test(a_crash_stays_in_the_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
