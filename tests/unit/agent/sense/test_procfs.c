/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/procfs.h"

#include <errno.h>

#include "tests/support/test.h"

#define STAT_TAIL                                                                     \
	" S 7 42 42 0 -1 4194560 1234 99 5 8 250 50 1 2 20 0 3 0 987654 3133440 413 " \
	"18446744073709551615\n"

static int parse_stat(const char *s, struct procfs_stat *st)
{
	return procfs_parse_stat(s, strlen(s), st);
}

static void stat_gives_its_fields(void **state unused_arg)
{
	struct procfs_stat st;

	assert_int_equal(parse_stat("42 (python3)" STAT_TAIL, &st), 0);
	assert_int_equal(st.comm_len, 7);
	assert_memory_equal(st.comm, "python3", 7);
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.ppid, 7);
	assert_int_equal(st.flags, 4194560);
	assert_int_equal(st.minflt, 1234);
	assert_int_equal(st.majflt, 5);
	assert_int_equal(st.cpu_ticks, 300);
	assert_int_equal(st.threads, 3);
	assert_int_equal(st.start_ticks, 987654);
}

static void stat_is_not_fooled_by_names(void **state unused_arg)
{
	static const char *const names[] = {
		"x) R 1 \n<script>", ")", "(", "))))", "() S 1 1 1", "", " ", ") Z 9 9 9 9 9 9 9 9",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct procfs_stat st;
		char text[512];

		snprintf(text, sizeof(text), "42 (%s)" STAT_TAIL, names[i]);
		assert_int_equal(parse_stat(text, &st), 0);
		assert_int_equal(st.comm_len, strlen(names[i]));
		assert_memory_equal(st.comm, names[i], st.comm_len);
		assert_int_equal(st.state, 'S');
		assert_int_equal(st.ppid, 7);
		assert_int_equal(st.start_ticks, 987654);
	}
}

static void cut_stat_is_refused_at_every_length(void **state unused_arg)
{
	static const char whole[] = "42 (python3)" STAT_TAIL;
	const size_t needed = (size_t)(strstr(whole, "987654") - whole) + 7;

	for (size_t n = 0; n < needed; n++) {
		struct procfs_stat st = {.ppid = 77};
		/* exactly n bytes on the heap, so that a sanitizer sees one byte too many */
		char *copy = malloc(n ? n : 1);

		memcpy(copy, whole, n);
		assert_true(procfs_parse_stat(copy, n, &st) < 0);
		assert_int_equal(st.ppid, 77);
		free(copy);
	}
}

static void stat_refuses_what_is_no_number(void **state unused_arg)
{
	struct procfs_stat st;

	assert_int_equal(parse_stat("42 python3 S 7", &st), -EBADMSG);
	assert_int_equal(parse_stat(")42 (", &st), -EBADMSG);
	assert_int_equal(parse_stat("1 (a) S x 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 ", &st),
			 -EBADMSG);
	assert_int_equal(parse_stat("1 (a) S -7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 ", &st),
			 -EBADMSG);
	assert_int_equal(
		parse_stat("1 (a) S 1 1 1 0 -1 0 99999999999999999999 0 0 0 0 0 0 0 20 0 1 0 5 ",
			   &st),
		-ERANGE);
	assert_int_equal(parse_stat("1 (a) S 5000000000 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 ",
				    &st),
			 -ERANGE);
}

static int parse_statm(const char *s, struct procfs_statm *m)
{
	return procfs_parse_statm(s, strlen(s), m);
}

static void statm_gives_three_counts(void **state unused_arg)
{
	struct procfs_statm m;

	assert_int_equal(parse_statm("765 441 413 5 0 123 0\n", &m), 0);
	assert_int_equal(m.size, 765);
	assert_int_equal(m.resident, 441);
	assert_int_equal(m.shared, 413);
	assert_int_equal(parse_statm("0 0 0 0 0 0 0\n", &m), 0);
}

static void statm_believes_no_cut_number(void **state unused_arg)
{
	struct procfs_statm m;

	assert_int_equal(parse_statm("", &m), -EBADMSG);
	assert_int_equal(parse_statm("765", &m), -EBADMSG);
	assert_int_equal(parse_statm("765 441 41", &m), -EBADMSG);
	assert_int_equal(parse_statm("765 -1 413 ", &m), -EBADMSG);
	assert_int_equal(parse_statm("\n", &m), -EBADMSG);
	assert_int_equal(parse_statm("9007199254740993 1 1 ", &m), -ERANGE);
	assert_int_equal(parse_statm("18446744073709551617 1 1 ", &m), -ERANGE);
}

static void status_reads_what_is_there(void **state unused_arg)
{
	static const char text[] =
		"Name:\tVmSwap:\\n 9 kB\nUid:\t1000\t1000\t1000\t1000\nVmSize:\t    3060 kB\n"
		"VmRSS:\t    1768 kB\nRssAnon:\t     112 kB\nRssFile:\t    1656 kB\n"
		"VmSwap:\t      24 kB\nThreads:\t17\nThreads:\t99\nVmSwapX:\t3 kB\nRssShmem:\t12";
	int64_t v[PROCFS_STATUS_COUNT];

	procfs_parse_status(text, strlen(text), v);
	assert_int_equal(v[PROCFS_UID], 1000);
	assert_int_equal(v[PROCFS_VMSIZE], 3060);
	assert_int_equal(v[PROCFS_VMRSS], 1768);
	assert_int_equal(v[PROCFS_RSSANON], 112);
	assert_int_equal(v[PROCFS_RSSFILE], 1656);
	assert_int_equal(v[PROCFS_VMSWAP], 24);
	/* the first one counts */
	assert_int_equal(v[PROCFS_THREADS], 17);
	/* its line was cut: 12 may have been 1234 */
	assert_true(v[PROCFS_RSSSHMEM] == METRIC_ABSENT);
}

static void status_survives_any_cut(void **state unused_arg)
{
	static const char text[] =
		"VmSize:\t99999999999999999999 kB\nRssAnon:\n:\n\nVmRSS\nVmSwap:x\n";

	for (size_t n = 0; n < sizeof(text); n++) {
		int64_t v[PROCFS_STATUS_COUNT];
		char *copy = malloc(n ? n : 1);

		memcpy(copy, text, n);
		procfs_parse_status(copy, n, v);
		for (int i = 0; i < PROCFS_STATUS_COUNT; i++)
			assert_true(v[i] == METRIC_ABSENT);
		free(copy);
	}
}

static void meminfo_fills_the_host_metrics(void **state unused_arg)
{
	static const char text[] = "MemTotal:       24684084 kB\nMemFree:  5 kB\nCached:  7 kB\n"
				   "SwapCached:  8 kB\nShmem:  9 kB\nShmemHugePages: 1 kB\n";
	int64_t v[HOST_METRIC_COUNT];

	procfs_parse_meminfo(text, strlen(text), v);
	assert_int_equal(v[HOST_METRIC_TOTAL], 24684084);
	assert_int_equal(v[HOST_METRIC_FREE], 5);
	assert_int_equal(v[HOST_METRIC_CACHED], 7);
	assert_int_equal(v[HOST_METRIC_SHMEM], 9);
	assert_true(v[HOST_METRIC_AVAILABLE] == METRIC_ABSENT);
	assert_true(v[HOST_METRIC_PROCESSES] == METRIC_ABSENT);
}

static void rollup_gives_pss_and_private(void **state unused_arg)
{
	static const char text[] =
		"55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:     1768 kB\nPss:     400 kB\n"
		"Pss_Dirty:   112 kB\nPrivate_Clean:    20 kB\nPrivate_Dirty:   112 kB\n";
	int64_t v[PROCFS_ROLLUP_COUNT];

	procfs_parse_rollup(text, strlen(text), v);
	assert_int_equal(v[PROCFS_ROLLUP_RSS], 1768);
	assert_int_equal(v[PROCFS_ROLLUP_PSS], 400);
	assert_int_equal(v[PROCFS_ROLLUP_PRIVATE_CLEAN], 20);
	assert_int_equal(v[PROCFS_ROLLUP_PRIVATE_DIRTY], 112);
}

static void cgroup_knows_both_versions(void **state unused_arg)
{
	static const char v2[] = "0::/system.slice/nginx.service\n";
	static const char v1[] = "12:cpu,cpuacct:/a\n9:memory:/docker/x:y\n"
				 "1:name=systemd:/system.slice/docker.service\n0::/\n";
	struct procfs_cgroup cg;

	procfs_parse_cgroup(v2, strlen(v2), &cg);
	assert_string_equal(cg.unified, "/system.slice/nginx.service");
	assert_string_equal(procfs_cgroup_path(&cg), "/system.slice/nginx.service");
	procfs_parse_cgroup(v1, strlen(v1), &cg);
	assert_string_equal(cg.unified, "/");
	assert_string_equal(cg.memory, "/docker/x:y");
	assert_string_equal(cg.systemd, "/system.slice/docker.service");
	assert_string_equal(procfs_cgroup_path(&cg), "/docker/x:y");
	procfs_parse_cgroup("", 0, &cg);
	assert_string_equal(procfs_cgroup_path(&cg), "");
	procfs_parse_cgroup("::\n0:\nx\n0::/cut", 13, &cg);
	assert_string_equal(procfs_cgroup_path(&cg), "");
}

static void cgroup_paths_are_bounded(void **state unused_arg)
{
	char text[4096];
	struct procfs_cgroup cg;

	memset(text, 'a', sizeof(text));
	memcpy(text, "0::/", 4);
	text[sizeof(text) - 1] = '\n';
	procfs_parse_cgroup(text, sizeof(text), &cg);
	assert_int_equal(strlen(cg.unified), PROCFS_PATH_MAX - 1);
}

static int parse_limit(const char *s, int64_t *v)
{
	return procfs_parse_limit(s, strlen(s), v);
}

static void limits_may_be_none(void **state unused_arg)
{
	int64_t v = 7;

	assert_int_equal(parse_limit("max\n", &v), -ENODATA);
	assert_int_equal(parse_limit("9223372036854771712\n", &v), -ENODATA);
	assert_int_equal(parse_limit("", &v), -EBADMSG);
	assert_int_equal(parse_limit("maximum", &v), -EBADMSG);
	assert_int_equal(parse_limit("12 34\n", &v), -EBADMSG);
	assert_int_equal(v, 7);
	assert_int_equal(parse_limit("536870912\n", &v), 0);
	assert_int_equal(v, 536870912);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_gives_its_fields),
		cmocka_unit_test(stat_is_not_fooled_by_names),
		cmocka_unit_test(cut_stat_is_refused_at_every_length),
		cmocka_unit_test(stat_refuses_what_is_no_number),
		cmocka_unit_test(statm_gives_three_counts),
		cmocka_unit_test(statm_believes_no_cut_number),
		cmocka_unit_test(status_reads_what_is_there),
		cmocka_unit_test(status_survives_any_cut),
		cmocka_unit_test(meminfo_fills_the_host_metrics),
		cmocka_unit_test(rollup_gives_pss_and_private),
		cmocka_unit_test(cgroup_knows_both_versions),
		cmocka_unit_test(cgroup_paths_are_bounded),
		cmocka_unit_test(limits_may_be_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
