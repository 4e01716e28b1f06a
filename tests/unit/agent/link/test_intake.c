/* SPDX-License-Identifier: Apache-2.0 */
/* What link makes of a head from sense; the reading itself is in test_link.c. */
#include "agent/link/intake.h"

#include <errno.h>

#include "proto/wire.h"
#include "tests/support/test.h"

_Static_assert(RECORD_TICK == (int)WIRE_TICK && RECORD_EVENT == (int)WIRE_EVENT &&
		       RECORD_KILL == (int)WIRE_KILL && RECORD_POSTURE == (int)WIRE_POSTURE,
	       "link passes the kind on as it came");

static int judge(uint16_t kind, uint16_t flags, uint32_t len)
{
	const struct record_head h = {.kind = kind, .flags = flags, .len = len};
	struct error err = {""};
	int rc = intake_judge(&h, &err);

	assert_int_equal(rc == 0, *err.msg == '\0');
	return rc;
}

static void records_of_each_kind_are_taken(void **state unused_arg)
{
	const uint16_t kinds[] = {RECORD_TICK, RECORD_EVENT, RECORD_KILL, RECORD_POSTURE};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(judge(kinds[i], 0, 1), 0);
		assert_int_equal(judge(kinds[i], 0, RECORD_MAX_BODY), 0);
		assert_int_equal(judge(kinds[i], 0, RECORD_MAX_BODY + 1), -EBADMSG);
		assert_int_equal(judge(kinds[i], 0, UINT32_MAX), -EBADMSG);
	}
	assert_int_equal(judge(RECORD_SELF, 0, sizeof(struct record_self)), 0);
}

static void all_other_kinds_are_refused(void **state unused_arg)
{
	unsigned taken = 0;

	for (unsigned kind = 0; kind <= UINT16_MAX; kind++)
		taken += judge((uint16_t)kind, 0, sizeof(struct record_self)) == 0;
	assert_int_equal(taken, 5);
	assert_int_equal(judge(WIRE_GAP, 0, 10), -EBADMSG);
	assert_int_equal(judge(RECORD_WANT_KEYFRAME, 0, 0), -EBADMSG);
}

static void only_a_tick_has_a_flag(void **state unused_arg)
{
	for (uint16_t flag = 1; flag; flag = (uint16_t)(flag << 1)) {
		assert_int_equal(judge(RECORD_TICK, flag, 10),
				 flag == RECORD_KEYFRAME ? 0 : -EBADMSG);
		assert_int_equal(judge(RECORD_EVENT, flag, 10), -EBADMSG);
		assert_int_equal(judge(RECORD_KILL, flag, 10), -EBADMSG);
		assert_int_equal(judge(RECORD_POSTURE, flag, 10), -EBADMSG);
		assert_int_equal(judge(RECORD_SELF, flag, sizeof(struct record_self)), -EBADMSG);
	}
}

static void sizes_that_cannot_be_are_refused(void **state unused_arg)
{
	assert_int_equal(judge(RECORD_KILL, 0, 0), -EBADMSG);
	assert_int_equal(judge(RECORD_POSTURE, 0, 0), -EBADMSG);
	assert_int_equal(judge(RECORD_SELF, 0, sizeof(struct record_self) - 1), -EBADMSG);
	assert_int_equal(judge(RECORD_SELF, 0, sizeof(struct record_self) + 1), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_of_each_kind_are_taken),
		cmocka_unit_test(all_other_kinds_are_refused),
		cmocka_unit_test(only_a_tick_has_a_flag),
		cmocka_unit_test(sizes_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
