/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/ending.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/folder.h"
#include "tests/support/test.h"

static pid_t fork_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void one_that_still_ends_keeps_the_next_waiting(void **state unused_arg)
{
	auto_process struct process p = {.pidfd = -1};
	pid_t pid = fork_sleeper();
	struct error err;
	char journal[128];

	if (geteuid() != 0)
		skip();
	snprintf(journal, sizeof(journal), "%s/journal", folder);
	assert_int_equal(ending_check(journal, getpid(), &err), 0);
	assert_int_equal(process_open(pid, &p, &err), 0);
	assert_int_equal(ending_note(journal, &p, &err), 0);
	assert_int_equal(ending_check(journal, getpid(), &err), -EBUSY);
	assert_non_null(strstr(err.msg, "one is replaced at a time"));
	assert_int_equal(ending_check(journal, getpid() + 1, &err), 0);
	/* noted twice, still one; gone when it is */
	assert_int_equal(ending_note(journal, &p, &err), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(ending_check(journal, getpid(), &err), 0);
}

static void a_file_that_is_not_ours_is_refused(void **state unused_arg)
{
	char journal[128];
	struct error err = {""};

	if (geteuid() != 0)
		skip();
	snprintf(journal, sizeof(journal), "%s/other", folder);
	folder_put("other.ending", "12 34\nevil\n");
	assert_int_equal(ending_check(journal, 1, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "'evil' is no worker"));
	folder_put("other.ending", "");
	assert_int_equal(ending_check(journal, 1, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_still_ends_keeps_the_next_waiting),
		cmocka_unit_test(a_file_that_is_not_ours_is_refused),
	};

	return cmocka_run_group_tests(tests, folder_begin, folder_end);
}
