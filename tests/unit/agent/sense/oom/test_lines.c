/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/lines.h"

#include "tests/support/test.h"

static void paths_are_told_apart_whatever_they_hold(void **state unused_arg)
{
	static const struct {
		const char *middle;
		const char *comm;
		const char *limit;
		const char *task;
	} rows[] = {
		{"nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x", "x",
		 "/a", "/a/b"},
		/* A path that ends like a task, told by the comm of the kill line .. */
		{"mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=y,task=x", "x", "/a",
		 "/a/b,task=y"},
		{"mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=y,task=x", "y,task=x", "/a",
		 "/a/b"},
		/* .. and without its help: what can be a comm, is. */
		{"mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=y,task=x", "?", "/a", "/a/b"},
		{"mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=a-long-directory-name,task=x",
		 "?", "/a", "/a/b,task=a-long-directory-name"},
		/* The limiting path holds the other one. */
		{"mems_allowed=0,oom_memcg=/a,task_memcg=/z,task_memcg=/a,task_memcg=/z/w,task=x",
		 "x", "/a,task_memcg=/z", "/a,task_memcg=/z/w"},
		{"cpuset=q,oom_memcg=/e,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=x", "x",
		 "/a", "/a"},
		{"mems_allowed=0,oom_memcg=/,task_memcg=/a,task=x", "x", "/", "/a"},
		/* Not one of its descendants: nothing is believed. */
		{"mems_allowed=0,oom_memcg=/a,task_memcg=/ab,task=x", "x", "", ""},
		{"mems_allowed=0,oom_memcg=,task_memcg=,task=x", "x", "", ""},
		{"", "", "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct text limit;
		struct text task;

		line_oom_split(text_str(rows[i].middle), true, rows[i].comm, &limit, &task);
		assert_true(text_is(limit, rows[i].limit));
		assert_true(text_is(task, rows[i].task));
	}
}

static void a_global_kill_has_no_limit(void **state unused_arg)
{
	struct text limit;
	struct text task;

	line_oom_split(text_str("mems_allowed=0,global_oom,task_memcg=/a b/c,task=x"), false, "x",
		       &limit, &task);
	assert_true(text_is(limit, ""));
	assert_true(text_is(task, "/a b/c"));
}

static void old_attribution_is_told_by_who_holds_whom(void **state unused_arg)
{
	struct text limit;
	struct text task;

	assert_true(
		line_task_in(text_str(
				     "Task in /a/x killed as a result of limit of /z/b killed as a "
				     "result of limit of /a"),
			     &task, &limit));
	assert_true(text_is(task, "/a/x killed as a result of limit of /z/b"));
	assert_true(text_is(limit, "/a"));
	assert_false(line_task_in(text_str("Task in /a killed as a result of limit of /b"), &task,
				  &limit));
}

static void a_record_that_was_cut_keeps_its_pid_or_is_none(void **state unused_arg)
{
	struct line_oom l;

	assert_true(line_oom(text_str("oom-kill:constraint=C,x,task=a,pid=5,uid=7"), &l));
	assert_int_equal(l.pid, 5);
	assert_int_equal(l.uid, 7);
	assert_true(line_oom(text_str("oom-kill:constraint=C,x,task=a,pid=5"), &l));
	assert_int_equal(l.pid, 5);
	assert_int_equal(l.uid, METRIC_ABSENT);
	assert_false(line_oom(text_str("oom-kill:constraint=C,x,task=a"), &l));
	assert_false(line_oom(text_str("oom-kill:constraint=C,x,task=a,pid=5,ui"), &l));
	/* The comm 'x,pid=1' was cut behind the real pid's comma. */
	assert_false(line_oom(text_str("oom-kill:constraint=C,x,task=x,pid=1,pid="), &l));
}

static void red_hat_writes_the_uid_in_two_places(void **state unused_arg)
{
	static const char *const rows[] = {
		"Killed process 5, UID 7, (a), UID) total-vm:9kB, anon-rss:1kB, file-rss:2kB",
		"Killed process 5 (a), UID), UID 7, total-vm:9kB, anon-rss:1kB, file-rss:2kB",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct line_kill l;

		assert_true(line_kill(text_str(rows[i]), &l));
		assert_int_equal(l.victim[OOM_VICTIM_UID], 7);
		assert_true(text_is(l.comm, "a), UID"));
		assert_int_equal(l.victim[OOM_VICTIM_TOTAL_VM], 9);
		assert_int_equal(l.victim[OOM_VICTIM_FILE], 2);
		assert_int_equal(l.victim[OOM_VICTIM_SHMEM], METRIC_ABSENT);
	}
}

static void the_line_of_the_stack_dump_must_be_of_the_trigger(void **state unused_arg)
{
	int64_t pid = 0;

	assert_true(line_cpu(text_str("CPU: 1 UID: 0 PID: 17 Comm: a b Not tainted 6.18"), "a b",
			     &pid));
	assert_int_equal(pid, 17);
	assert_true(line_cpu(text_str("CPU: 1 PID: 18 Comm: a Tainted: G 5.4"), "a", &pid));
	assert_int_equal(pid, 18);
	assert_true(line_cpu(text_str("Pid: 19, comm: a Not tainted 2.6.32"), "a", &pid));
	assert_int_equal(pid, 19);
	assert_false(line_cpu(text_str("CPU: 1 PID: 20 Comm: b Not tainted"), "a", &pid));
	assert_false(line_cpu(text_str("CPU: 1 PID: x Comm: a Not tainted"), "a", &pid));
	assert_int_equal(pid, 19);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_told_apart_whatever_they_hold),
		cmocka_unit_test(a_global_kill_has_no_limit),
		cmocka_unit_test(old_attribution_is_told_by_who_holds_whom),
		cmocka_unit_test(a_record_that_was_cut_keeps_its_pid_or_is_none),
		cmocka_unit_test(red_hat_writes_the_uid_in_two_places),
		cmocka_unit_test(the_line_of_the_stack_dump_must_be_of_the_trigger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
