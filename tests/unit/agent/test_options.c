/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/options.h"

#include <errno.h>

#include "tests/support/test.h"

static void presets_are_valid(void **state unused_arg)
{
	struct agent_options o = {0};
	struct error err = {""};

	assert_int_equal(conf_defaults(&agent_options_table, &o, &err), 0);
	assert_int_equal(options_check(&o, &err), 0);
	assert_int_equal(o.interval, 10000000);
	assert_int_equal(o.spool_memory, 4 << 20);
	assert_int_equal(options_log_level(&o), LOG_LEVEL_INFO);
	assert_int_equal(options_log_format(&o), LOG_FORMAT_TEXT);
	conf_fini(&agent_options_table, &o);
}

static void every_row_has_help(void **state unused_arg)
{
	for (const struct conf_option *o = agent_options_table.options; o->key; o++) {
		assert_non_null(o->help);
		assert_true(strlen(o->help) > 10 && strlen(o->help) < 90);
	}
}

static void addresses(void **state unused_arg)
{
	static const struct {
		const char *text;
		const char *host;
		uint16_t port;
	} good[] = {
		{"c.example:7421", "c.example", 7421},
		{"192.0.2.1:1", "192.0.2.1", 1},
		{"[2001:db8::1]:65535", "2001:db8::1", 65535},
	};
	static const char *const bad[] = {"",      "c",       ":1",   "c:",
					  "c:0",   "c:65536", "c:-1", "c:1x",
					  "::1:5", "[::1:5",  "[]:5", "a b:5",
					  "a/b:5", "u@h:5",   "c: 5", "c:99999999999999999999"};
	char host[OPTIONS_HOST_SIZE];
	char longest[400];
	uint16_t port;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(options_parse_address(good[i].text, host, &port), 0);
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(options_parse_address(bad[i], host, &port), -EINVAL);
	memset(longest, 'h', sizeof(longest));
	memcpy(longest + 300, ":1", 3);
	assert_int_equal(options_parse_address(longest, host, &port), -EINVAL);
}

/* Writes text as a configuration and loads it; returns what conf_load said. */
static int load_text(const char *text, struct agent_options *o, struct error *err)
{
	char path[] = "/tmp/test_options.XXXXXX";
	int fd = mkstemp(path);
	int rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	*o = (struct agent_options){0};
	rc = conf_defaults(&agent_options_table, o, err);
	if (rc == 0)
		rc = conf_load(&agent_options_table, o, path, err);
	if (rc == 0)
		rc = options_check(o, err);
	unlink(path);
	return rc;
}

static void mistakes_name_line_option_and_expectation(void **state unused_arg)
{
	static const struct {
		const char *text;
		const char *says[3];
	} cases[] = {
		{"[agent]\ninterval = fast\n", {":2:", "interval", "a duration"}},
		{"[agent]\n\ninterval = 500ms\n", {":3:", "interval", "1s to 5min"}},
		{"[agent]\nspool_memory = 1K\n", {":2:", "spool_memory", "64KiB to 256MiB"}},
		{"[agent]\ncollector = nowhere\n", {":2:", "collector", "host:port"}},
		{"[agent]\nlog_level = loud\n", {":2:", "log_level", "error, warn, info or debug"}},
		{"[agent]\nlog_format = xml\n", {":2:", "log_format", "text or json"}},
		{"[agent]\nstate_dir = here\n", {":2:", "state_dir", "absolute path"}},
		{"[agent]\nmax_processes = 1\n", {":2:", "max_processes", "16 to 65535"}},
		{"[agent]\nuser =\n", {":2:", "user", "the name of a user"}},
		{"[agent]\nnonsense = 1\n", {":2:", "nonsense", "unknown option"}},
		{"[server]\ninterval = 1s\n", {":2:", "server", "[agent]"}},
		{"[agent]\ninterval\n", {":2:", "key = value", ""}},
		{"[agent]\ninterval = 5min\nwindow = 1min\n", {"window", "two intervals", ""}},
		{"[agent]\nreconnect_base = 1min\nreconnect_cap = 1s\n",
		 {"reconnect_cap", "reconnect_base", ""}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct agent_options o;
		struct error err = {""};

		assert_true(load_text(cases[i].text, &o, &err) < 0);
		for (size_t k = 0; k < ARRAY_SIZE(cases[i].says); k++)
			assert_says(err, cases[i].says[k]);
		conf_fini(&agent_options_table, &o);
	}
}

static void a_whole_file_is_read(void **state unused_arg)
{
	struct agent_options o;
	struct error err = {""};

	assert_int_equal(load_text("# comment\n[agent]\ncollector = c.example:7421\ninterval = 1s\n"
				   "log_format = json\nlog_level = debug\n",
				   &o, &err),
			 0);
	assert_string_equal(o.collector, "c.example:7421");
	assert_int_equal(o.interval, 1000000);
	assert_int_equal(options_log_level(&o), LOG_LEVEL_DEBUG);
	assert_int_equal(options_log_format(&o), LOG_FORMAT_JSON);
	conf_fini(&agent_options_table, &o);
}

/* What dump-config prints can be read back and means the same. */
static void dump_is_a_configuration(void **state unused_arg)
{
	struct agent_options o = {0};
	struct agent_options back;
	struct error err = {""};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(conf_defaults(&agent_options_table, &o, &err), 0);
	assert_int_equal(conf_set(&agent_options_table, &o, "interval", "90s", "test", &err), 0);
	conf_dump(&agent_options_table, &o, f);
	fclose(f);
	assert_int_equal(load_text(text, &back, &err), 0);
	assert_int_equal(back.interval, 90000000);
	assert_string_equal(back.user, o.user);
	free(text);
	conf_fini(&agent_options_table, &o);
	conf_fini(&agent_options_table, &back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets_are_valid),
		cmocka_unit_test(every_row_has_help),
		cmocka_unit_test(addresses),
		cmocka_unit_test(mistakes_name_line_option_and_expectation),
		cmocka_unit_test(a_whole_file_is_read),
		cmocka_unit_test(dump_is_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
