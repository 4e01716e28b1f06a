/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/cgroup_stat.h"

#include <errno.h>
#include <fcntl.h>

#include "tests/support/folder.h"

#define MIB ((int64_t)1024)

static int64_t v[CGROUP_FIGURE_COUNT];

static void clear(void)
{
	for (unsigned i = 0; i < CGROUP_FIGURE_COUNT; i++)
		v[i] = METRIC_ABSENT;
}

static void an_old_kernel_tells_the_parts_of_kernel_memory(void **state unused_arg)
{
	static const char text[] = "anon 104857600\nfile 20971520\nkernel_stack 1048576\n"
				   "slab 1048576\npagetables 2097152\ninactive_file 0\n";

	clear();
	cgroup_stat_parse_stat(CGROUP_V2, text, sizeof(text) - 1, v);
	assert_int_equal(v[CGROUP_KERNEL], 4 * MIB);
	assert_int_equal(v[CGROUP_ANON], 100 * MIB);
	assert_int_equal(v[CGROUP_INACTIVE_FILE], 0);
	assert_int_equal(v[CGROUP_SHMEM], METRIC_ABSENT);
	cgroup_stat_parse_stat(CGROUP_V2, "", 0, v);
	assert_int_equal(v[CGROUP_KERNEL], METRIC_ABSENT);
	assert_int_equal(v[CGROUP_ANON], METRIC_ABSENT);
}

static void version_1_counts_what_is_below_too(void **state unused_arg)
{
	static const char text[] = "cache 4096\nrss 4096\ninactive_file 4096\nswap 4096\n"
				   "hierarchical_memory_limit 9223372036854771712\n"
				   "total_cache 2097152\ntotal_rss 1048576\ntotal_swap 8192\n"
				   "total_inactive_file 1048576\n";

	clear();
	cgroup_stat_parse_stat(CGROUP_V1, text, sizeof(text) - 1, v);
	assert_int_equal(v[CGROUP_FILE], 2 * MIB);
	assert_int_equal(v[CGROUP_ANON], MIB);
	assert_int_equal(v[CGROUP_SWAP], 8);
	assert_int_equal(v[CGROUP_INACTIVE_FILE], MIB);
	/* 'no limit' */
	assert_int_equal(v[CGROUP_HIER_LIMIT], METRIC_ABSENT);
}

static void the_working_set_is_never_below_nothing(void **state unused_arg)
{
	assert_int_equal(cgroup_stat_working_set(7, 5), 2);
	assert_int_equal(cgroup_stat_working_set(5, 7), 0);
	assert_int_equal(cgroup_stat_working_set(5, METRIC_ABSENT), METRIC_ABSENT);
	assert_int_equal(cgroup_stat_working_set(METRIC_ABSENT, 5), METRIC_ABSENT);
}

static void events_cut_anywhere_are_whole_or_absent(void **state unused_arg)
{
	static const char text[] = "low 1\nhigh 2\nmax 3\noom 4\noom_kill 56\noom_group_kill 7\n";

	for (size_t len = 0; len < sizeof(text); len++) {
		clear();
		v[CGROUP_EV_OOM_KILL] = 99;
		cgroup_stat_parse_events(text, len, v);
		assert_int_equal(v[CGROUP_EV_OOM_KILL], len >= 37 ? 56 : METRIC_ABSENT);
		assert_int_equal(v[CGROUP_EV_LOW], len >= 6 ? 1 : METRIC_ABSENT);
	}
	assert_int_equal(v[CGROUP_EV_GROUP_KILL], 7);
	assert_int_equal(v[CGROUP_OWN_OOM], METRIC_ABSENT);
	cgroup_stat_parse_events_local("oom 1\noom_kill 2\n", 17, v);
	assert_int_equal(v[CGROUP_OWN_OOM], 1);
	assert_int_equal(v[CGROUP_OWN_OOM_KILL], 2);
	assert_int_equal(v[CGROUP_EV_OOM_KILL], 56);
}

static void what_is_missing_is_absent_and_what_is_gone_is_said(void **state unused_arg)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY);

	assert_true(fd >= 0);
	clear();
	assert_int_equal(cgroup_stat_read(fd, "a", CGROUP_V2, CGROUP_FULL, v), -ENOENT);
	folder_put("a/memory.current", "lots\n");
	assert_int_equal(cgroup_stat_read(fd, "a", CGROUP_V2, CGROUP_FULL, v), -EBADMSG);
	assert_int_equal(v[CGROUP_USAGE], METRIC_ABSENT);
	folder_put("a/memory.current", "1048576\n");
	assert_int_equal(cgroup_stat_read(fd, "a", CGROUP_V2, CGROUP_LIGHT, v), 0);
	assert_int_equal(v[CGROUP_USAGE], MIB);
	for (unsigned i = CGROUP_USAGE + 1; i < CGROUP_FIGURE_COUNT; i++)
		if (v[i] != METRIC_ABSENT)
			fail_msg("%s is not absent", cgroup_figure_name(i));
	folder_put("a/memory.max", "2097152\n");
	assert_int_equal(cgroup_stat_limit(fd, "a", CGROUP_V2), 2 * MIB);
	assert_int_equal(cgroup_stat_limit(fd, ".", CGROUP_V2), METRIC_ABSENT);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_old_kernel_tells_the_parts_of_kernel_memory),
		cmocka_unit_test(version_1_counts_what_is_below_too),
		cmocka_unit_test(the_working_set_is_never_below_nothing),
		cmocka_unit_test(events_cut_anywhere_are_whole_or_absent),
		cmocka_unit_test_setup_teardown(what_is_missing_is_absent_and_what_is_gone_is_said,
						folder_begin, folder_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
