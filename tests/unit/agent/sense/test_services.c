/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/services.h"

#include <errno.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define SEC INT64_C(1000000)

static struct services s;
static struct service_change changes[SERVICES_EXPECTED];

static uint16_t join(const char *name, enum wire_role role, uint32_t pid, uint16_t *slot)
{
	uint16_t unused;

	return services_join(&s, name, role, pid, 5 * SEC, slot ? slot : &unused);
}

static void a_name_has_one_entry(void **state unused_arg)
{
	uint16_t a;

	services_init(&s, 10);
	a = join("shop", WIRE_ROLE_NONE, 1, NULL);
	assert_int_not_equal(a, SERVICES_NONE);
	assert_int_equal(join("shop", WIRE_ROLE_NONE, 2, NULL), a);
	assert_int_not_equal(join("other", WIRE_ROLE_NONE, 3, NULL), a);
	assert_int_equal(services_find(&s, "shop"), a);
	assert_int_equal(services_find(&s, "sho"), SERVICES_NONE);
	assert_int_equal(services_get(&s, a)->live, 2);
	assert_int_equal(services_get(&s, a)->starts, 2);
	assert_int_equal(services_get(&s, a)->first_us, 5 * SEC);
	assert_null(services_get(&s, SERVICES_NONE));
	assert_null(services_get(&s, 99));
	services_fini(&s);
}

static void the_lowest_slot_is_reused(void **state unused_arg)
{
	uint16_t slot[4];
	uint16_t a;

	services_init(&s, 10);
	a = join("shop", WIRE_ROLE_MASTER, 1, &slot[0]);
	assert_int_equal(slot[0], 0);
	for (unsigned i = 1; i < 4; i++) {
		join("shop", WIRE_ROLE_WORKER, 1 + i, &slot[i]);
		assert_int_equal(slot[i], i);
	}
	services_leave(&s, a, slot[2], 3, 6 * SEC);
	join("shop", WIRE_ROLE_WORKER, 9, &slot[2]);
	assert_int_equal(slot[2], 2);
	join("shop", WIRE_ROLE_WORKER, 10, &slot[0]);
	assert_int_equal(slot[0], 4);
	/* a role that comes later, stays, goes */
	assert_int_equal(services_role(&s, a, WIRE_ROLE_WORKER, 11, 0), 5);
	assert_int_equal(services_role(&s, a, WIRE_ROLE_WORKER, 11, 5), 5);
	assert_int_equal(services_role(&s, a, WIRE_ROLE_NONE, 11, 5), 0);
	assert_int_equal(services_role(&s, a, WIRE_ROLE_WORKER, 12, 0), 5);
	assert_int_equal(services_role(&s, SERVICES_NONE, WIRE_ROLE_WORKER, 12, 0), 0);
	services_fini(&s);
}

static void a_service_has_many_slots_and_no_more(void **state unused_arg)
{
	uint16_t slot = 0;
	uint16_t a = 0;

	services_init(&s, 10);
	for (unsigned i = 1; i <= SERVICES_SLOT_MAX; i++) {
		a = join("shop", WIRE_ROLE_WORKER, i, &slot);
		assert_int_equal(slot, i);
	}
	join("shop", WIRE_ROLE_WORKER, 1, &slot);
	assert_int_equal(slot, 0);
	services_leave(&s, a, 700, 1, 6 * SEC);
	join("shop", WIRE_ROLE_WORKER, 1, &slot);
	assert_int_equal(slot, 700);
	services_fini(&s);
}

static void incarnations_are_counted(void **state unused_arg)
{
	uint16_t a;

	services_init(&s, 10);
	a = join("shop", WIRE_ROLE_MASTER, 1, NULL);
	assert_int_equal(services_get(&s, a)->incarnation, 1);
	join("shop", WIRE_ROLE_WORKER, 2, NULL);
	/* all gone, and back */
	services_leave(&s, a, 1, 2, 6 * SEC);
	services_leave(&s, a, 0, 1, 6 * SEC);
	assert_int_equal(services_get(&s, a)->live, 0);
	assert_int_equal(services_get(&s, a)->last_pid, 1);
	assert_int_equal(services_get(&s, a)->last_us, 6 * SEC);
	join("shop", WIRE_ROLE_MASTER, 11, NULL);
	assert_int_equal(services_get(&s, a)->incarnation, 2);
	/* another worker is none, another master beside orphans is one */
	join("shop", WIRE_ROLE_WORKER, 12, NULL);
	services_leave(&s, a, 0, 11, 7 * SEC);
	join("shop", WIRE_ROLE_MASTER, 21, NULL);
	assert_int_equal(services_get(&s, a)->incarnation, 3);
	/* the same master once more is none */
	assert_int_equal(services_role(&s, a, WIRE_ROLE_MASTER, 21, 0), 0);
	assert_int_equal(services_get(&s, a)->incarnation, 3);
	services_fini(&s);
}

static void who_has_been_gone_for_longest_makes_room(void **state unused_arg)
{
	uint16_t a;
	uint16_t b;

	services_init(&s, 2);
	a = join("a", WIRE_ROLE_WORKER, 1, NULL);
	b = join("b", WIRE_ROLE_NONE, 2, NULL);
	assert_int_equal(join("c", WIRE_ROLE_NONE, 3, NULL), SERVICES_NONE);
	assert_int_equal(s.refused, 1);
	services_leave(&s, b, 0, 2, 6 * SEC);
	services_leave(&s, a, 1, 1, 7 * SEC);
	assert_int_equal(join("c", WIRE_ROLE_NONE, 3, NULL), b);
	assert_string_equal(services_get(&s, b)->name, "c");
	assert_int_equal(services_get(&s, b)->incarnation, 1);
	assert_int_equal(services_find(&s, "b"), SERVICES_NONE);
	assert_int_equal(services_find(&s, "a"), a);
	/* leaving what was never joined harms nothing */
	services_leave(&s, a, 1, 1, 8 * SEC);
	services_leave(&s, SERVICES_NONE, 1, 1, 8 * SEC);
	services_fini(&s);
}

static void what_may_be_expected(void **state unused_arg)
{
	char many[4 * (SERVICES_EXPECTED + 1) + 1] = "";
	char longest[WIRE_NAME_MAX + 2];

	assert_true(services_expectable(""));
	assert_true(services_expectable(" nginx, gunicorn:*\nshop_?\t"));
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(services_expectable(longest));
	longest[WIRE_NAME_MAX] = '\0';
	assert_true(services_expectable(longest));
	assert_false(services_expectable("a\x01"));
	for (unsigned i = 0; i < SERVICES_EXPECTED; i++)
		strcat(many, "s ");
	assert_true(services_expectable(many));
	strcat(many, "s");
	assert_false(services_expectable(many));
	services_init(&s, 10);
	assert_int_equal(services_expect(&s, many, 60 * SEC, 0), -EINVAL);
	services_fini(&s);
}

static void absence_and_return_are_told_once(void **state unused_arg)
{
	uint16_t a;

	services_init(&s, 10);
	assert_int_equal(services_expect(&s, "shop", 60 * SEC, 0), 0);
	a = join("shop", WIRE_ROLE_NONE, 17, NULL);
	join("other", WIRE_ROLE_NONE, 18, NULL);
	assert_int_equal(services_sweep(&s, 10 * SEC, changes), 0);
	services_leave(&s, a, 0, 17, 12 * SEC);
	assert_int_equal(services_sweep(&s, 20 * SEC, changes), 0);
	assert_int_equal(services_sweep(&s, 69 * SEC, changes), 0);
	assert_int_equal(services_sweep(&s, 70 * SEC, changes), 1);
	assert_false(changes[0].back);
	assert_false(changes[0].never_seen);
	assert_string_equal(changes[0].pattern, "shop");
	assert_int_equal(changes[0].since_us, 10 * SEC);
	assert_int_equal(changes[0].last_pid, 17);
	assert_int_equal(services_sweep(&s, 999 * SEC, changes), 0);
	join("shop", WIRE_ROLE_NONE, 20, NULL);
	assert_int_equal(services_sweep(&s, 1000 * SEC, changes), 1);
	assert_true(changes[0].back);
	assert_int_equal(changes[0].since_us, 10 * SEC);
	assert_int_equal(changes[0].incarnation, 2);
	assert_int_equal(services_sweep(&s, 1001 * SEC, changes), 0);
	services_fini(&s);
}

static void a_short_absence_is_none(void **state unused_arg)
{
	uint16_t a;

	services_init(&s, 10);
	assert_int_equal(services_expect(&s, "shop", 60 * SEC, 0), 0);
	a = join("shop", WIRE_ROLE_NONE, 17, NULL);
	for (int64_t t = 10; t < 500; t += 10) {
		assert_int_equal(services_sweep(&s, t * SEC, changes), 0);
		if (t % 100 == 0)
			services_leave(&s, a, 0, 17, t * SEC);
		if (t % 100 == 50 && !services_get(&s, a)->live)
			join("shop", WIRE_ROLE_NONE, 17, NULL);
	}
	services_fini(&s);
}

static void what_was_never_there_is_absent(void **state unused_arg)
{
	services_init(&s, 10);
	assert_int_equal(services_expect(&s, "web-* db", 60 * SEC, 100 * SEC), 0);
	join("db", WIRE_ROLE_NONE, 1, NULL);
	assert_int_equal(services_sweep(&s, 159 * SEC, changes), 0);
	assert_int_equal(services_sweep(&s, 160 * SEC, changes), 1);
	assert_string_equal(changes[0].pattern, "web-*");
	assert_true(changes[0].never_seen);
	assert_int_equal(changes[0].last_pid, 0);
	/* any service that matches will do */
	join("web-2", WIRE_ROLE_NONE, 5, NULL);
	assert_int_equal(services_sweep(&s, 170 * SEC, changes), 1);
	assert_true(changes[0].back);
	assert_true(changes[0].never_seen);
	join("web-3", WIRE_ROLE_NONE, 6, NULL);
	services_leave(&s, services_find(&s, "web-2"), 0, 5, 171 * SEC);
	assert_int_equal(services_sweep(&s, 900 * SEC, changes), 0);
	services_fini(&s);
}

static void without_memory_a_process_has_no_service(void **state unused_arg)
{
	for (unsigned fail = 1;; fail++) {
		uint16_t slot;
		bool hit;
		int r;

		services_init(&s, 10);
		alloc_fail_at(fail);
		r = services_expect(&s, "a b", SEC, 0);
		(void)!services_join(&s, "a", WIRE_ROLE_WORKER, 1, 0, &slot);
		hit = alloc_failed();
		alloc_fail_off();
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(services_join(&s, "a", WIRE_ROLE_WORKER, 2, 0, &slot) != SERVICES_NONE);
		assert_in_range(slot, 1, 2);
		services_fini(&s);
		if (!hit)
			break;
		assert_true(fail < 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_one_entry),
		cmocka_unit_test(the_lowest_slot_is_reused),
		cmocka_unit_test(a_service_has_many_slots_and_no_more),
		cmocka_unit_test(incarnations_are_counted),
		cmocka_unit_test(who_has_been_gone_for_longest_makes_room),
		cmocka_unit_test(what_may_be_expected),
		cmocka_unit_test(absence_and_return_are_told_once),
		cmocka_unit_test(a_short_absence_is_none),
		cmocka_unit_test(what_was_never_there_is_absent),
		cmocka_unit_test(without_memory_a_process_has_no_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
