/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/limit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/leash.h"
#include "common/clock.h"
#include "tests/support/test.h"

#define MIB (1LL << 20)

static int check(struct cgroup_figures f, int64_t bytes, const char *why)
{
	struct error err = {""};
	int rc = limit_check(&f, bytes, &err);

	if (rc)
		assert_non_null(strstr(err.msg, why));
	return rc;
}

static void a_limit_leaves_the_working_set_room(void **state unused_arg)
{
	const struct cgroup_figures f = {.usage = 200 * MIB,
					 .working_set = 100 * MIB,
					 .anon = 90 * MIB,
					 .swap_room = 0};

	assert_int_equal(check(f, 111 * MIB, ""), 0);
	assert_int_equal(check(f, 109 * MIB, "less than its working set of 100 MiB"), -EPERM);
	assert_int_equal(check(f, 0, "less than its working set"), -EPERM);
}

static void what_cannot_be_reclaimed_is_not_limited(void **state unused_arg)
{
	struct cgroup_figures f = {.usage = 100 * MIB, .working_set = 95 * MIB, .anon = 90 * MIB};

	assert_int_equal(check(f, 200 * MIB, "anonymous and there is no swap"), -EPERM);
	f.swap_room = 512 * MIB;
	assert_int_equal(check(f, 200 * MIB, ""), 0);
	f.swap_room = 0;
	f.anon = 79 * MIB;
	assert_int_equal(check(f, 200 * MIB, ""), 0);
}

static int own(const char *path, const char *self)
{
	struct cgroup_place c = {.v2 = true, .folder = "/nonexistent"};
	struct error err = {""};

	snprintf(c.path, sizeof(c.path), "%s", path);
	return cgroup_check_own(&c, self, &err);
}

static void only_a_leaf_of_its_own_is_touched(void **state unused_arg)
{
	static const char *const bad[] = {
		"/",
		"",
		"/system.slice",
		"/user.slice/user-1000.slice",
		"/init.scope",
		"/user.slice/user-1000.slice/user@1000.service",
		"/user.slice/user-1000.slice/session-3.scope",
		"/docker",
		"/../outside",
	};

	assert_int_equal(own("/system.slice/web.service", "/system.slice/memherd-actd.service"), 0);
	assert_int_equal(own("/docker/0123", ""), 0);
	assert_int_equal(own("/web", "/webmaster"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(own(bad[i], ""), -EPERM);
	assert_int_equal(own("/a/b.service", "/a/b.service"), -EPERM);
	assert_int_equal(own("/a/b.service", "/a/b.service/inner"), -EPERM);
}

static bool judged(int64_t seconds, int64_t full, int64_t events)
{
	const struct leash_sight a = {.t_us = 7 * USEC_PER_SEC, .full = 1000, .events = 10};
	const struct leash_sight b = {.t_us = (7 + seconds) * USEC_PER_SEC,
				      .full = full < 0 ? -1 : 1000 + full,
				      .events = events < 0 ? -1 : 10 + events};

	return leash_judge(&a, &b) != NULL;
}

static void a_freeze_is_told_by_pressure_or_events(void **state unused_arg)
{
	assert_true(judged(5, 1000000, 0));
	assert_false(judged(5, 999999, 0));
	assert_true(judged(5, 0, 250));
	assert_false(judged(5, 0, 249));
	assert_false(judged(3, 3000000, 1000)); /* too short a look */
	assert_false(judged(5, -1, -1));
	assert_true(judged(5, -1, 650)); /* as measured */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_leaves_the_working_set_room),
		cmocka_unit_test(what_cannot_be_reclaimed_is_not_limited),
		cmocka_unit_test(only_a_leaf_of_its_own_is_touched),
		cmocka_unit_test(a_freeze_is_told_by_pressure_or_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
