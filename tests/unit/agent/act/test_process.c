/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/act/trim.h"
#include "tests/support/test.h"

static void stat_is_read_behind_a_hostile_name(void **state unused_arg)
{
	struct process p = {0};

	assert_int_equal(
		process_parse_stat("7 (a) R (\x1b[2J) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 "
				   "0 987654 1000 20",
				   &p),
		0);
	assert_string_equal(p.comm, "a) R (\\x1b[2J");
	assert_int_equal(p.state, 'S');
	assert_int_equal(p.start_ticks, 987654);
	assert_false(p.kernel_thread);
	assert_int_equal(
		process_parse_stat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 "
				   "17 0 0",
				   &p),
		0);
	assert_true(p.kernel_thread);
	assert_int_equal(p.start_ticks, 17);
	assert_int_equal(process_parse_stat("", &p), -EBADMSG);
	assert_int_equal(process_parse_stat("1 (x", &p), -EBADMSG);
	assert_int_equal(process_parse_stat(") (", &p), -EBADMSG);
	assert_int_equal(process_parse_stat("1 (x) S 1 2 3", &p), -EBADMSG);
}

static void status_gives_what_forbids_a_call(void **state unused_arg)
{
	struct process p = {0};
	struct process_memory m;
	const char *text =
		"Name:\tx\nTracerPid:\t42\nUid:\t1\t33\t3\t4\nVmRSS:\t  2048 kB\n"
		"VmSwap:\t 16 "
		"kB\nSigCgt:\t0000000008314a07\nSeccomp:\t2\nx86_Thread_features:\tshstk wrss\n";

	assert_int_equal(process_parse_status(text, &p), 0);
	assert_int_equal(p.uid, 33);
	assert_int_equal(p.tracer, 42);
	assert_int_equal(p.seccomp, 2);
	assert_true(p.shadow_stack);
	assert_int_equal(p.caught, 0x08314a07);
	assert_true(process_catches(&p, SIGHUP));
	assert_false(process_catches(&p, SIGKILL));
	assert_int_equal(process_parse_memory(text, &m), 0);
	assert_int_equal(m.rss, 2048 * 1024);
	assert_int_equal(m.swap, 16 * 1024);
	/* A name cannot be taken for a line: the kernel escapes the line end. */
	text = "Name:\tUid: 0\\nUid:\nTracerPid:\t0\nUid:\t5\t6\t7\t8\n"
	       "x86_Thread_features:\t\nx86_Thread_features_locked:\tshstk\n";
	assert_int_equal(process_parse_status(text, &p), 0);
	assert_int_equal(p.uid, 6);
	assert_false(p.shadow_stack);
	assert_int_equal(process_parse_status("Name:\tx\n", &p), -EBADMSG);
	assert_int_equal(process_parse_memory("Name:\tkthreadd\n", &m), -EBADMSG);
}

static void the_cgroup_that_names_the_unit_wins(void **state unused_arg)
{
	static const struct {
		const char *text;
		const char *path;
	} rows[] = {
		{"0::/system.slice/a.service\n", "/system.slice/a.service"},
		{"12:memory:/docker/x\n1:name=systemd:/s/b.service\n0::/\n", "/s/b.service"},
		{"12:memory:/docker/x\n3:cpu,cpuacct:/y\n", "/docker/x"},
		{"5:pids:/z", ""},
		{"0::/a:b:c", "/a:b:c"},
		{"\n:\nnonsense", ""},
		{"", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct process p = {0};

		process_parse_cgroup(rows[i].text, &p);
		assert_string_equal(p.cgroup, rows[i].path);
	}
}

static void a_real_child_is_followed_to_its_end(void **state unused_arg)
{
	struct process p;
	struct process_memory m;
	struct error err = {""};
	uint64_t ticks;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (process_open(pid, &p, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(p.uid, geteuid());
	assert_false(p.kernel_thread);
	assert_false(p.container);
	assert_true(p.wide);
	assert_non_null(strstr(p.exe, "test_process"));
	assert_int_equal(process_start_ticks(pid, &ticks), 0);
	assert_int_equal(ticks, p.start_ticks);
	assert_int_equal(process_memory(&p, &m, &err), 0);
	assert_true(m.rss > 0);
	assert_true(process_alive(&p));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_false(process_alive(&p));
	assert_int_equal(process_memory(&p, &m, &err), -ESRCH);
	process_fini(&p);
	assert_int_equal(process_open(pid, &p, &err), -ESRCH);
	assert_int_equal(process_open(0, &p, &err), -ESRCH);
	assert_int_equal(process_open(-5, &p, &err), -ESRCH);
}

static void what_cannot_be_trimmed_is_refused_by_name(void **state unused_arg)
{
	const struct process good = {.pid = 9, .state = 'S', .wide = true};
	struct error err;
	struct {
		const char *says;
		struct process p;
	} rows[] = {
		{"is stopped", good},  {"has ended", good},      {"uninterruptible sleep", good},
		{"traced by 5", good}, {"strict seccomp", good}, {"shadow stack", good},
		{"32-bit", good},
	};

	rows[0].p.state = 'T';
	rows[1].p.state = 'Z';
	rows[2].p.state = 'D';
	rows[3].p.tracer = 5;
	rows[4].p.seccomp = 1;
	rows[5].p.shadow_stack = true;
	rows[6].p.wide = false;
	assert_int_equal(trim_check(&good, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(trim_check(&rows[i].p, &err), -ENOTSUP);
		assert_says(err, rows[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_is_read_behind_a_hostile_name),
		cmocka_unit_test(status_gives_what_forbids_a_call),
		cmocka_unit_test(the_cgroup_that_names_the_unit_wins),
		cmocka_unit_test(a_real_child_is_followed_to_its_end),
		cmocka_unit_test(what_cannot_be_trimmed_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
