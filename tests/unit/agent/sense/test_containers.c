/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/containers.h"

#include "tests/support/alloc.h"
#include "tests/support/test.h"

static struct container container(unsigned n)
{
	struct container c = {.runtime = "docker"};

	snprintf(c.id, sizeof(c.id), "%064x", n);
	return c;
}

static struct names_answer answer(unsigned n, const char *name, const char *service)
{
	struct names_answer a = {.status = NAMES_KNOWN};
	struct container c = container(n);

	memcpy(a.id, c.id, sizeof(a.id));
	strcpy(a.name, name);
	strcpy(a.service, service);
	strcpy(a.image, "img:1");
	return a;
}

static void a_name_comes_later(void **state unused_arg)
{
	struct containers c;
	struct container one = container(1);
	struct names_answer a = answer(1, "shop_web_1", "shop_web");
	const struct known_container *k;
	char before[300];

	containers_init(&c, 10);
	assert_false(containers_learn(&c, &a, before, sizeof(before)));
	k = containers_meet(&c, &one, 0);
	assert_non_null(k);
	assert_string_equal(containers_service(k), "docker:000000000000");
	assert_null(k->name);
	assert_true(containers_learn(&c, &a, before, sizeof(before)));
	assert_string_equal(before, "docker:000000000000");
	k = containers_find(&c, one.id);
	assert_string_equal(containers_service(k), "shop_web");
	assert_string_equal(k->name, "shop_web_1");
	assert_string_equal(k->image, "img:1");
	/* the same once more changes nothing */
	assert_false(containers_learn(&c, &a, before, sizeof(before)));
	/* nor does what the engine does not know */
	a.status = NAMES_UNKNOWN;
	strcpy(a.service, "");
	assert_false(containers_learn(&c, &a, before, sizeof(before)));
	assert_string_equal(containers_service(k), "shop_web");
	containers_fini(&c);
}

static void what_it_says_of_itself_stays_behind_its_runtime(void **state unused_arg)
{
	struct containers c;
	struct container one = container(1);
	struct names_answer a = answer(1, "web", "nginx");
	struct known_container *k;
	char before[300];

	containers_init(&c, 10);
	k = containers_meet(&c, &one, 0);
	containers_told_inside(k, "nginx-0", "nginx");
	assert_string_equal(containers_service(k), "docker:nginx");
	assert_string_equal(k->name, "nginx-0");
	/* the engine knows better */
	assert_true(containers_learn(&c, &a, before, sizeof(before)));
	assert_string_equal(before, "docker:nginx");
	assert_string_equal(containers_service(k), "nginx");
	containers_fini(&c);
}

static void each_is_asked_for_once_a_minute_until_known(void **state unused_arg)
{
	struct containers c;
	const char *ids[4];
	char before[300];
	struct names_answer a = answer(2, "x", "x");

	containers_init(&c, 10);
	for (unsigned i = 1; i <= 5; i++) {
		struct container one = container(i);

		assert_non_null(containers_meet(&c, &one, 0));
	}
	assert_int_equal(containers_wanted(&c, 1000, ids, 4), 4);
	assert_int_equal(containers_wanted(&c, 1000, ids, 4), 1);
	assert_int_equal(containers_wanted(&c, 1000, ids, 4), 0);
	assert_true(containers_learn(&c, &a, before, sizeof(before)));
	assert_int_equal(containers_wanted(&c, 999 + CONTAINERS_ASK_AGAIN_US, ids, 4), 0);
	assert_int_equal(containers_wanted(&c, 1000 + CONTAINERS_ASK_AGAIN_US, ids, 4), 4);
	assert_int_equal(containers_wanted(&c, INT64_MAX - CONTAINERS_ASK_AGAIN_US - 1, ids, 4), 4);
	containers_fini(&c);
}

static void the_one_not_met_for_longest_makes_room(void **state unused_arg)
{
	struct containers c;
	struct container none = {.runtime = "lxc", .name = "web"};

	containers_init(&c, 20);
	assert_null(containers_meet(&c, &none, 0));
	for (unsigned i = 1; i <= 100; i++) {
		struct container one = container(i);
		struct container first = container(1);

		containers_told_inside(containers_meet(&c, &one, i), "n", "s");
		assert_non_null(containers_meet(&c, &first, i));
		assert_true(c.count <= 20);
	}
	assert_non_null(containers_find(&c, container(1).id));
	assert_non_null(containers_find(&c, container(100).id));
	assert_null(containers_find(&c, container(50).id));
	containers_fini(&c);
}

static void without_memory_it_has_no_name(void **state unused_arg)
{
	for (unsigned fail = 1;; fail++) {
		struct containers c;
		struct container one = container(1);
		struct names_answer a = answer(1, "web", "web");
		struct known_container *k;
		char before[300];
		bool hit;

		containers_init(&c, 10);
		alloc_fail_at(fail);
		k = containers_meet(&c, &one, 0);
		if (k)
			containers_told_inside(k, "n", "s");
		(void)containers_learn(&c, &a, before, sizeof(before));
		hit = alloc_failed();
		alloc_fail_off();
		k = containers_meet(&c, &one, 0);
		assert_true(k && *containers_service(k));
		containers_fini(&c);
		if (!hit)
			break;
		assert_true(fail < 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_comes_later),
		cmocka_unit_test(what_it_says_of_itself_stays_behind_its_runtime),
		cmocka_unit_test(each_is_asked_for_once_a_minute_until_known),
		cmocka_unit_test(the_one_not_met_for_longest_makes_room),
		cmocka_unit_test(without_memory_it_has_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
