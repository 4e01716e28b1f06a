/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/hoststat.h"

#include "tests/support/folder.h"

static void vmstat_of_a_new_kernel(void **state unused_arg)
{
	static const char text[] =
		"nr_free_pages 1\nworkingset_refault_anon 7\nworkingset_refault_file 8\npswpin 1\n"
		"pswpout 2\nallocstall_dma 1\nallocstall_normal 2\nallocstall_movable 4\n"
		"pgmajfault 5\npgsteal_kswapd 10\npgsteal_direct 11\npgsteal_khugepaged 99\n"
		"pgscan_kswapd 12\npgscan_direct 13\npgscan_direct_throttle 1000\noom_kill 3\n";
	struct hoststat h;

	hoststat_clear(&h);
	hoststat_parse_vmstat(text, sizeof(text) - 1, &h);
	assert_int_equal(h.pgscan_kswapd, 12);
	assert_int_equal(h.pgscan_direct, 13);
	assert_int_equal(h.pgsteal_kswapd, 10);
	assert_int_equal(h.pgsteal_direct, 11);
	assert_int_equal(h.pswpin, 1);
	assert_int_equal(h.pswpout, 2);
	assert_int_equal(h.oom_kill, 3);
	assert_int_equal(h.allocstall, 7);
	assert_int_equal(h.pgmajfault, 5);
	assert_int_equal(h.refault_anon, 7);
	assert_int_equal(h.refault_file, 8);
	assert_int_equal(h.psi_some_avg10, METRIC_ABSENT);
}

static void vmstat_of_an_old_kernel_counts_by_zone(void **state unused_arg)
{
	static const char text[] = "pgscan_kswapd_dma 1\npgscan_kswapd_dma32 2\n"
				   "pgscan_kswapd_normal 4\npgscan_kswapd_movable 0\n"
				   "pgscan_direct_throttle 9\nallocstall 6\n"
				   "workingset_refault 5\n";
	struct hoststat h;

	hoststat_parse_vmstat(text, sizeof(text) - 1, &h);
	assert_int_equal(h.pgscan_kswapd, 7);
	assert_int_equal(h.pgscan_direct, METRIC_ABSENT);
	assert_int_equal(h.allocstall, 6);
	assert_int_equal(h.refault_file, 5);
	assert_int_equal(h.oom_kill, METRIC_ABSENT);
}

static void swaps_are_added(void **state unused_arg)
{
	static const char text[] =
		"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		"/dev/zram0                              partition\t1000\t\t10\t\t100\n"
		"/swap\\040file file 2000 20 -2\n"
		"nonsense\n"
		"/bad file -5 1 1\n"
		"/cut file 77 7 -3";
	struct hoststat h;

	hoststat_clear(&h);
	hoststat_parse_swaps(text, sizeof(text) - 1, &h);
	assert_int_equal(h.swap_devices, 2);
	assert_int_equal(h.swap_total, 3000);
	assert_int_equal(h.swap_used, 30);
	assert_int_equal(h.swap_zram, 1000);
	hoststat_clear(&h);
	hoststat_parse_swaps("", 0, &h);
	assert_int_equal(h.swap_devices, METRIC_ABSENT);
	hoststat_parse_swaps("Filename Type\n", 14, &h);
	assert_int_equal(h.swap_devices, 0);
}

static void zram_devices_are_added(void **state unused_arg)
{
	static const char a[] = "  409600   102400   204800        0 204800 0 0 0 0\n";
	struct hoststat h;

	hoststat_clear(&h);
	hoststat_parse_zram(a, sizeof(a) - 1, &h);
	hoststat_parse_zram(a, sizeof(a) - 1, &h);
	hoststat_parse_zram("0 0 0\n", 6, &h);
	assert_int_equal(h.zram_orig, 800);
	assert_int_equal(h.zram_used, 400);
	assert_int_equal(h.zram_devices, 2);
	hoststat_parse_zram("-1 -1 -1\n", 9, &h);
	hoststat_parse_zram("", 0, &h);
	assert_int_equal(h.zram_orig, 800);
}

static void a_folder_is_read(void **state unused_arg)
{
	struct procdir d;
	struct error err;
	struct hoststat h;

	folder_put("vmstat", "oom_kill 3\n");
	folder_put("pressure/memory", "some avg10=0.10 avg60=0.00 avg300=0.00 total=5\n");
	folder_put("meminfo", "MemTotal: 1000 kB\nCommitLimit:      500 kB\n");
	folder_put("sys/vm/swappiness", "60\n");
	folder_put("block/zram0/mm_stat", "4096 1 2048 0\n");
	folder_put("block/sda/mm_stat", "4096 1 2048 0\n");
	assert_int_equal(procdir_open(&d, folder, &err), 0);
	hoststat_clear(&h);
	hoststat_read(&d, &h);
	hoststat_read_settings(&d, "/nowhere", &h);
	assert_int_equal(h.oom_kill, 3);
	assert_int_equal(h.psi_some_avg10, 10);
	assert_int_equal(h.psi_full_total, METRIC_ABSENT);
	assert_int_equal(h.commit_limit, 500);
	assert_int_equal(h.swappiness, 60);
	assert_int_equal(h.overcommit, METRIC_ABSENT);
	assert_int_equal(h.swap_devices, METRIC_ABSENT);
	assert_int_equal(h.zram_orig, METRIC_ABSENT);
	char block[128];

	snprintf(block, sizeof(block), "%s/block", folder);
	hoststat_read_settings(&d, block, &h);
	assert_int_equal(h.oom_kill, 3); /* stays as it was read */
	assert_int_equal(h.zram_orig, 4);
	assert_int_equal(h.zram_used, 2);
	procdir_close(&d);
}

static void this_host_is_read(void **state unused_arg)
{
	struct procdir d;
	struct error err;
	struct hoststat h;

	assert_int_equal(procdir_open(&d, "/proc", &err), 0);
	hoststat_clear(&h);
	hoststat_read(&d, &h);
	hoststat_read_settings(&d, HOSTSTAT_SYS_BLOCK, &h);
	assert_true(h.pgmajfault > 0);
	assert_true(h.commit_limit > 0);
	assert_true(h.overcommit >= 0 && h.overcommit <= 2);
	assert_true(h.pgscan_kswapd >= 0 && h.allocstall >= 0);
	procdir_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vmstat_of_a_new_kernel),
		cmocka_unit_test(vmstat_of_an_old_kernel_counts_by_zone),
		cmocka_unit_test(swaps_are_added),
		cmocka_unit_test(zram_devices_are_added),
		cmocka_unit_test_setup_teardown(a_folder_is_read, folder_begin, folder_end),
		cmocka_unit_test(this_host_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
