/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/options.h"

#include <errno.h>

#include "common/fs.h"
#include "tests/support/test.h"

static void presets_are_accepted_by_their_own_rows(void **state unused_arg)
{
	struct collector_options o = {0};
	struct error err = {""};

	if (conf_defaults(&collector_conf, &o, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(o.mail_to, "");
	assert_int_equal(collector_log_level(&o), LOG_LEVEL_INFO);
	assert_int_equal(collector_log_format(&o), LOG_FORMAT_TEXT);
	conf_fini(&collector_conf, &o);
}

static const struct {
	const char *key;
	const char *good[5];
	const char *bad[8];
	const char *expected;
} cases[] = {
	{"database",
	 {"embedded:/var/lib/x", "postgresql://u@h/db", "postgres:///db?host=/run"},
	 {"", "embedded:", "embedded:relative", "mysql://h/db", "host=x dbname=y"},
	 "embedded:/FOLDER"},
	{"listen_stream",
	 {"0.0.0.0:7421", ":7421", "[::]:0", "db-1.example:65535"},
	 {"", "7421", "h:", "h:http", "h:65536", "h:-1", "::1:7421"},
	 "address:port"},
	{"listen_http",
	 {"127.0.0.1:7420"},
	 {"http://127.0.0.1:7420", "a b:1", "u@h:1"},
	 "address:port"},
	{"public_address",
	 {"", "mon.example.org", "192.0.2.1", "2001:db8::1"},
	 {"mon.example.org:7421", "https://mon", "a b"},
	 "without a port"},
	{"http_hosts", {"mon.example.org"}, {"http://mon/"}, "without a port"},
	{"base_url",
	 {"", "http://mon:7420", "https://mon.example.org/memherd"},
	 {"mon.example.org", "ftp://mon", "https://", "https:///x", "http://a b", "http://\x01"},
	 "https://host"},
	{"oom_mail", {"yes", "no"}, {"", "sometimes"}, "yes or no"},
	{"smtp_url",
	 {"", "smtp://127.0.0.1:25", "smtps://mail.example.org"},
	 {"mail.example.org:25", "smtp://", "smtp://:25", "http://mail"},
	 "smtps://host:port"},
	{"smtp_tls",
	 {"starttls", "implicit", "none"},
	 {"", "tls", "None"},
	 "starttls, implicit or none"},
	{"mail_from",
	 {"memherd@localhost", "a.b+c@example.org"},
	 {"a", "a@b@c", "<a@b>", "a b@c"},
	 "name@host"},
	{"mail_to", {"ops@example.org"}, {"ops", "a@b, c@d", "a@b\r\nBcc: x@y"}, "name@host"},
	{"state_dir", {"/var/lib/x"}, {"", "var/lib"}, "absolute path"},
	{"rules_dir", {"/etc/x"}, {"x"}, "absolute path"},
	{"smtp_password_file", {"", "/etc/x"}, {"x"}, "absolute path"},
	{"log_level",
	 {"error", "warn", "info", "debug"},
	 {"", "loud", "INFO"},
	 "error, warn, info"},
	{"log_format", {"text", "json"}, {"xml"}, "text or json"},
};

static void each_word_and_address_is_judged(void **state unused_arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct collector_options o = {0};
		struct error err = {""};

		assert_int_equal(conf_defaults(&collector_conf, &o, &err), 0);
		for (size_t k = 0; k < ARRAY_SIZE(cases[i].good) && cases[i].good[k]; k++)
			if (conf_set(&collector_conf, &o, cases[i].key, cases[i].good[k], "-o",
				     &err) < 0)
				fail_msg("%s", err.msg);
		for (size_t k = 0; k < ARRAY_SIZE(cases[i].bad) && cases[i].bad[k]; k++) {
			if (conf_set(&collector_conf, &o, cases[i].key, cases[i].bad[k], "-o",
				     &err) != -EINVAL)
				fail_msg("%s = '%s' was accepted", cases[i].key, cases[i].bad[k]);
			assert_says(err, cases[i].key);
			assert_says(err, cases[i].expected);
		}
		conf_fini(&collector_conf, &o);
	}
}

static void a_mistake_names_its_line(void **state unused_arg)
{
	static const char text[] = "[collector]\nlog_level = info\nsmtp_tls = maybe\n";
	char path[] = "/tmp/memherd-test-options-XXXXXX";
	struct collector_options o = {0};
	struct error err = {""};
	char where[64];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(conf_defaults(&collector_conf, &o, &err), 0);
	assert_int_equal(conf_load(&collector_conf, &o, path, &err), -EINVAL);
	snprintf(where, sizeof(where), "%s:3", path);
	assert_says(err, where);
	assert_says(err, "smtp_tls = 'maybe': expected starttls, implicit or none");
	conf_fini(&collector_conf, &o);
	unlink(path);
}

static void rows_are_told_apart_and_explained(void **state unused_arg)
{
	for (const struct conf_option *o = collector_conf.options; o->key; o++) {
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
	struct collector_options o = {0};
	struct error err = {""};
	int fd = mkstemp(path);
	FILE *f;

	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_int_equal(conf_defaults(&collector_conf, &o, &err), 0);
	conf_dump(&collector_conf, &o, f);
	fclose(f);
	if (conf_load(&collector_conf, &o, path, &err) < 0)
		fail_msg("%s", err.msg);
	conf_fini(&collector_conf, &o);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets_are_accepted_by_their_own_rows),
		cmocka_unit_test(each_word_and_address_is_judged),
		cmocka_unit_test(a_mistake_names_its_line),
		cmocka_unit_test(rows_are_told_apart_and_explained),
		cmocka_unit_test(the_dump_is_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
