/* SPDX-License-Identifier: Apache-2.0 */
/* The fault build's code, in a test of every build. */
#ifndef MEMHERD_FAILPOINTS
#define MEMHERD_FAILPOINTS
#include "common/failpoint.c" /* NOLINT: the archive of this build has none */
#endif
#include "common/failpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/test.h"

/* Runs f in a child with that environment: its wait status. */
static int in_child(const char *env, int (*f)(void))
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setenv("MEMHERD_FAILPOINTS", env, 1);
		if (!freopen("/dev/null", "w", stderr))
			_exit(99);
		_exit(f());
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static int once(void)
{
	return -FAILPOINT_RC("a.b");
}

static int thrice(void)
{
	int n = 0;

	for (int i = 1; i <= 3; i++)
		n = n * 10 + (FAILPOINT_RC("a.b") == -EIO ? i : 0);
	return n;
}

static int how_often(void)
{
	int n = 0;

	for (int i = 0; i < 2000; i++)
		n += FAILPOINT_RC("a.b") != 0;
	return n > 300 && n < 700;
}

static int how_long(void)
{
	int64_t from = clock_boot_us();

	FAILPOINT("a.b");
	return clock_boot_us() - from >= 30000;
}

static void does_what_the_environment_says(void **state unused_arg)
{
	assert_int_equal(WEXITSTATUS(in_child("", once)), 0);
	assert_int_equal(WEXITSTATUS(in_child("a.c=error(5)", once)), 0);
	assert_int_equal(WEXITSTATUS(in_child("a.b=error(5)", once)), 5);
	assert_int_equal(WEXITSTATUS(in_child("x=exit;;a.b=error(28);", once)), 28);
	assert_int_equal(WEXITSTATUS(in_child("a.b=exit", once)), 70);
	assert_int_equal(WTERMSIG(in_child("a.b=kill", once)), SIGKILL);
	assert_int_equal(WTERMSIG(in_child("a.b=abort", once)), SIGABRT);
	assert_int_equal(WEXITSTATUS(in_child("a.b=sleep(30)", how_long)), 1);
}

static void happens_when_it_says(void **state unused_arg)
{
	assert_int_equal(WEXITSTATUS(in_child("a.b=error(5)", thrice)), 123);
	assert_int_equal(WEXITSTATUS(in_child("a.b=error(5)@2", thrice)), 20);
	assert_int_equal(WEXITSTATUS(in_child("a.b=error(5)@25%", how_often)), 1);
	assert_int_equal(WEXITSTATUS(in_child("a.b=kill@2", once)), 0);
}

static void refuses_what_it_cannot_read(void **state unused_arg)
{
	static const char *const wrong[] = {
		"a.b",           "a.b=",         "a.b=slep(3)",     "a.b=sleep",   "a.b=sleep(x)",
		"a.b=error(5",   "a.b=kill(9)",  "a.b=error(5)@",   "a.b=kill@0",  "a.b=kill@x",
		"a.b=kill@101%", "a.b=kill@5%%", "a.b=sleep(3)and", "b=sleep(3))x"};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(WEXITSTATUS(in_child(wrong[i], once)), 70);
}

static int is_mutant(void)
{
	setenv("MEMHERD_MUTANT", "no_dedupe", 1);
	return MUTANT("no_dedupe") && !MUTANT("ack_first");
}

static void knows_its_mutant(void **state unused_arg)
{
	assert_false(MUTANT("no_dedupe"));
	assert_int_equal(WEXITSTATUS(in_child("", is_mutant)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(does_what_the_environment_says),
		cmocka_unit_test(happens_when_it_says),
		cmocka_unit_test(refuses_what_it_cannot_read),
		cmocka_unit_test(knows_its_mutant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
