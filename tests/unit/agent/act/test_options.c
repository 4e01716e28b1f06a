/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/options.h"

#include "tests/support/test.h"

/* Every preset passes its own row, so a program without a configuration file can start. */
static void presets_pass_their_own_rows(void **state unused_arg)
{
	struct act_options o = {0};
	struct error err = {""};

	if (conf_defaults(&act_options_table, &o, &err) < 0)
		fail_msg("%s", err.msg);
	conf_fini(&act_options_table, &o);
}

static void rows_are_told_apart_and_explained(void **state unused_arg)
{
	for (const struct conf_option *o = act_options_table.options; o->key; o++) {
		assert_non_null(o->help);
		assert_true(strlen(o->help) > 10);
		assert_non_null(o->preset);
		assert_true(o->min <= o->max);
		for (const struct conf_option *p = o + 1; p->key; p++) {
			assert_string_not_equal(o->key, p->key);
			assert_int_not_equal(o->offset, p->offset);
		}
	}
}

/* What dump-config prints is a file that the program takes. */
static void the_dump_is_a_configuration(void **state unused_arg)
{
	char path[] = "/tmp/memherd-test-options-XXXXXX";
	struct act_options o = {0};
	struct error err = {""};
	int fd = mkstemp(path);
	FILE *f;

	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_int_equal(conf_defaults(&act_options_table, &o, &err), 0);
	conf_dump(&act_options_table, &o, f);
	fclose(f);
	if (conf_load(&act_options_table, &o, path, &err) < 0)
		fail_msg("%s", err.msg);
	conf_fini(&act_options_table, &o);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets_pass_their_own_rows),
		cmocka_unit_test(rows_are_told_apart_and_explained),
		cmocka_unit_test(the_dump_is_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
