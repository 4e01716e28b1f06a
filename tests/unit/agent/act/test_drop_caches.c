/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/drop_caches.h"

#include <errno.h>
#include <fcntl.h>

#include "common/fs.h"
#include "tests/support/test.h"

static void the_figures_are_read(void **state unused_arg)
{
	static const char text[] = "MemTotal:        1000 kB\nMemFree:          100 kB\n"
				   "MemAvailable:     600 kB\nBuffers: 1 kB\nCached:          500 "
				   "kB\nSwapCached: 77 kB\nShmem:            60 kB\n"
				   "SReclaimable:      40 kB\n";
	struct drop_caches_figures f;
	struct error err = {""};

	assert_int_equal(drop_caches_parse(text, &f, &err), 0);
	assert_int_equal(f.total, 1000 << 10);
	assert_int_equal(f.free, 100 << 10);
	assert_int_equal(f.available, 600 << 10);
	assert_int_equal(f.cached, 440 << 10);
	assert_int_equal(f.slab, 40 << 10);
}

static void what_is_not_there_is_told(void **state unused_arg)
{
	struct drop_caches_figures f;
	struct error err = {""};

	assert_int_equal(drop_caches_parse("", &f, &err), -EBADMSG);
	assert_says(err, "'/proc/meminfo' does not say 'MemTotal'");
	assert_int_equal(drop_caches_parse("MemTotal: 5 kB\nMemFree: no\n", &f, &err), -EBADMSG);
	assert_says(err, "does not say 'MemFree'");
}

static void this_hosts_own_is_read(void **state unused_arg)
{
	struct drop_caches_figures f;
	struct error err = {""};
	char text[8192];

	assert_true(fs_read_small(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) > 0);
	assert_int_equal(drop_caches_parse(text, &f, &err), 0);
	assert_true(f.free > 0 && f.free < f.total && f.available <= f.total);
}

static void the_dry_run_tells_why_it_rarely_helps(void **state unused_arg)
{
	const int64_t params[COMMAND_PARAMS] = {2};
	const struct action_order o = {.dry_run = true, .params = params};
	struct command_result r = {.rss_before = -1, .rss_after = -1};

	drop_caches_run(NULL, &o, &r);
	assert_int_equal(r.status, COMMAND_DRY_RUN);
	assert_non_null(strstr(r.detail, "would throw away page cache and cached names"));
	assert_non_null(
		strstr(r.detail, "It rarely helps: the kernel gives caches back by itself"));
	assert_non_null(strstr(r.detail, "from disk again"));
	assert_int_equal(r.rss_after, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_figures_are_read),
		cmocka_unit_test(what_is_not_there_is_told),
		cmocka_unit_test(this_hosts_own_is_read),
		cmocka_unit_test(the_dry_run_tells_why_it_rarely_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
