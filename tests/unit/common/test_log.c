/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <fcntl.h>

#include "common/str.h"
#include "tests/support/test.h"

static char written[20000];

/* What one line writes to stderr, through a file. */
static const char *line_of(enum log_level level, const char *text)
{
	FILE *f = tmpfile();
	int old = dup(STDERR_FILENO);
	ssize_t n;

	assert_non_null(f);
	fflush(stderr);
	assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
	log_line(level, "%s", text);
	fflush(stderr);
	dup2(old, STDERR_FILENO);
	close(old);
	n = pread(fileno(f), written, sizeof(written) - 1, 0);
	assert_true(n >= 0);
	written[n] = '\0';
	fclose(f);
	return written;
}

static void a_line_says_when_how_bad_and_who(void **state unused_arg)
{
	const char *s;

	log_init("tester", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	s = line_of(LOG_LEVEL_WARN, "host=1 said=hello");
	assert_true(str_ends(s, "Z warn  tester host=1 said=hello\n"));
	assert_string_equal(line_of(LOG_LEVEL_DEBUG, "x"), "");
}

static void no_name_can_forge_a_line(void **state unused_arg)
{
	const char *s;

	log_init("tester", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	s = line_of(LOG_LEVEL_INFO, "comm=a\n<0>forged \x1b[31m\x7f \xff \xc2\x9b é");
	assert_int_equal(strcspn(s, "\n"), strlen(s) - 1);
	assert_non_null(strstr(s, "comm=a\\x0a<0>forged \\x1b[31m\\x7f \\xff \\xc2\\x9b é"));
}

static void under_systemd_the_level_comes_first(void **state unused_arg)
{
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_init("tester", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_string_equal(line_of(LOG_LEVEL_ERROR, "bad"), "<3>tester bad\n");
	unsetenv("JOURNAL_STREAM");
}

static void json_stays_json(void **state unused_arg)
{
	const char *s;

	log_init("tester", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	s = line_of(LOG_LEVEL_INFO, "say=\"x\" \\ \n \xff");
	assert_non_null(strstr(s, "\"level\":\"info\",\"ident\":\"tester\","
				  "\"msg\":\"say=\\\"x\\\" \\\\ \\\\x0a \\\\xff\"}\n"));
	assert_true(str_is_safe(s, strlen(s) - 1));
}

static void a_long_line_is_cut(void **state unused_arg)
{
	char text[9000];
	const char *s;

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init("tester", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	s = line_of(LOG_LEVEL_INFO, text);
	assert_true(strlen(s) < 9000);
	assert_int_equal(strcspn(s, "\n"), strlen(s) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_when_how_bad_and_who),
		cmocka_unit_test(no_name_can_forge_a_line),
		cmocka_unit_test(under_systemd_the_level_comes_first),
		cmocka_unit_test(json_stays_json),
		cmocka_unit_test(a_long_line_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
