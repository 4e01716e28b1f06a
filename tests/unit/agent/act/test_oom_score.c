/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/oom_score.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/act/process.h"
#include "tests/support/test.h"

static void down_takes_leave(void **state unused_arg)
{
	struct error err = {""};

	assert_int_equal(oom_score_check(0, 500, false, &err), 0);
	assert_int_equal(oom_score_check(-500, -100, false, &err), 0);
	assert_int_equal(oom_score_check(0, 0, true, &err), -EPERM);
	assert_says(err, "is 0 already");
	assert_int_equal(oom_score_check(0, -1, false, &err), -EPERM);
	assert_says(err, "must say lower=yes");
	assert_int_equal(oom_score_check(500, 499, false, &err), -EPERM);
	assert_int_equal(oom_score_check(0, -999, true, &err), 0);
}

static pid_t sleeper(uint64_t *ret_ticks)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(process_start_ticks(pid, ret_ticks), 0);
	return pid;
}

static void a_place_is_one_process(void **state unused_arg)
{
	char place[OOM_SCORE_PLACE_SIZE];
	struct error err = {""};
	uint64_t ticks;
	pid_t pid = sleeper(&ticks);
	int64_t before, now;

	oom_score_place(place, pid, ticks);
	assert_int_equal(oom_score_read(place, &before, &err), 0);
	assert_int_equal(oom_score_write(place, before + 7, &err), 0);
	assert_int_equal(oom_score_read(place, &now, &err), 0);
	assert_int_equal(now, before + 7);
	assert_int_equal(oom_score_write(place, 1001, &err), -EINVAL);
	/* the id is another's now */
	oom_score_place(place, pid, ticks + 1);
	assert_int_equal(oom_score_read(place, &now, &err), -ESRCH);
	assert_int_equal(oom_score_write(place, 9, &err), -ESRCH);
	oom_score_place(place, pid, ticks);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(oom_score_read(place, &now, &err), -ESRCH);
	assert_says(err, "is gone");
}

static void what_is_no_place_is_told(void **state unused_arg)
{
	static const char *const bad[] = {"",           "/proc/1",   "/proc/x@1",
					  "/proc/-1@2", "/proc/0@2", "/sys/fs/cgroup"};
	struct error err = {""};
	int64_t now;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(oom_score_read(bad[i], &now, &err), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(down_takes_leave),
		cmocka_unit_test(a_place_is_one_process),
		cmocka_unit_test(what_is_no_place_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
