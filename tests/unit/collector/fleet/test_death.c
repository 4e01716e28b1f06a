/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/death.h"

#include "proto/identity.h"
#include "tests/support/test.h"

static const uint8_t boot_id[16] = "some boot of it";

static bool of(const char *cause, const char *confidence, const char *signal, const char *code,
	       struct death *ret)
{
	const char *keys[] = {"cause", "confidence", "signal", "exit_code", "comm", "service"};
	const char *values[] = {cause, confidence, signal, code, "worker", "shop"};
	const struct wire_event e = {.kind = WIRE_EVENT_DEATH,
				     .pid = 4,
				     .start_ticks = 40,
				     .text = "why",
				     .keys = keys,
				     .values = values,
				     .n_details = 6};

	return death_of(&e, boot_id, ret);
}

static void an_end_is_read(void **state unused_arg)
{
	struct death d;

	assert_true(of("kernel_memcg", "certain", "9", "", &d));
	assert_int_equal(d.proc_id, identity_process(boot_id, 4, 40));
	assert_int_equal(d.cause, KILL_CAUSE_KERNEL_MEMCG);
	assert_int_equal(d.confidence, KILL_CONFIDENCE_CERTAIN);
	assert_int_equal(d.signal, 9);
	assert_int_equal(d.exit_code, -1);
	assert_string_equal(d.verdict, "why");
	assert_string_equal(d.comm, "worker");
	assert_string_equal(d.service, "shop");
	assert_string_equal(d.container, "");
	assert_true(of("exit_failure", "guess", "0", "3", &d));
	assert_int_equal(d.exit_code, 3);
	assert_int_equal(d.signal, 0);
	assert_true(of("signal", "likely", "SIGSEGV", "0", &d));
	assert_int_equal(d.signal, 11);
	assert_int_equal(d.exit_code, 0);
}

static void nonsense_is_left_out(void **state unused_arg)
{
	struct death d;

	assert_true(of("", "", "", "", &d));
	assert_int_equal(d.cause, KILL_CAUSE_UNKNOWN);
	assert_int_equal(d.confidence, -1);
	assert_true(of("the moon", "surely", "SIGNONE", "256", &d));
	assert_int_equal(d.cause, KILL_CAUSE_UNKNOWN);
	assert_int_equal(d.signal, 0);
	assert_int_equal(d.exit_code, -1);
	assert_true(of("crash", "", "-1", "99999999999999999999", &d));
	assert_int_equal(d.signal, 0);
	assert_int_equal(d.exit_code, -1);
}

static void what_is_no_end_of_a_process_is_none(void **state unused_arg)
{
	struct wire_event e = {.kind = WIRE_EVENT_DEATH, .text = ""};
	struct death d;

	assert_false(death_of(&e, boot_id, &d));
	e.pid = 4;
	assert_true(death_of(&e, boot_id, &d));
	e.kind = WIRE_EVENT_PRESSURE;
	assert_false(death_of(&e, boot_id, &d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_read),
		cmocka_unit_test(nonsense_is_left_out),
		cmocka_unit_test(what_is_no_end_of_a_process_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
