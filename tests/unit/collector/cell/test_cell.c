/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cell/cell.h"

#include <errno.h>
#include <string.h>

#include "tests/support/test.h"

static struct cell parsed(const char *line)
{
	struct error err = {""};
	struct cell c;

	if (cell_parse(line, strlen(line), &c, &err) < 0)
		fail_msg("'%s': %s", line, err.msg);
	return c;
}

static void a_line_has_its_parts(void **state unused_arg)
{
	struct cell c = parsed("east=https://a.example:7420,/etc/t");

	assert_string_equal(c.name, "east");
	assert_string_equal(c.url, "https://a.example:7420");
	assert_string_equal(c.token_file, "/etc/t");
	assert_string_equal(c.ca_file, "");
	c = parsed(" b_2.x = https://[::1]:1/ , /t , /ca.pem ");
	assert_string_equal(c.url, "https://[::1]:1");
	assert_string_equal(c.ca_file, "/ca.pem");
	(void)parsed("x=http://127.0.0.1:7420,/t");
	(void)parsed("x=http://localhost,/t");
	(void)parsed("x=http://[::1]:7420,/t");
}

static void a_bad_line_is_told(void **state unused_arg)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{"", "a cell is NAME="},
		{"=https://a,/t", "a cell is NAME="},
		{"a b=https://a,/t", "a cell is NAME="},
		{"abcdefghijklmnopqrstuvwxyz0123456789=https://a,/t", "a cell is NAME="},
		{"self=https://a,/t", "no cell can be called 'self'"},
		{"x=https://a", "token file '' is not an absolute path"},
		{"x=https://a,t", "token file 't' is not an absolute path"},
		{"x=https://a,/t,ca", "CA file 'ca' is not an absolute path"},
		{"x=https://a,/t,/ca,/more", "is expected after '='"},
		{"x=ftp://a,/t", "is not https://HOST"},
		{"x=https://,/t", "is not https://HOST"},
		{"x=https://:1,/t", "is not https://HOST"},
		{"x=https://u@a,/t", "is not https://HOST"},
		{"x=https://a/path,/t", "is not https://HOST"},
		{"x=a,/t", "is not https://HOST"},
		{"x=http://a,/t", "in the clear"},
		{"x=http://127.0.0.1.example,/t", "in the clear"},
		{"x=http://localhost.example,/t", "in the clear"},
		{"x=http://[::1].example,/t", "in the clear"},
	};
	struct error err;
	struct cell c;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err.msg[0] = '\0';
		assert_int_equal(cell_parse(bad[i].line, strlen(bad[i].line), &c, &err), -EINVAL);
		if (!strstr(err.msg, bad[i].says))
			fail_msg("'%s' says '%s'", bad[i].line, err.msg);
	}
}

static void a_name_stands_once(void **state unused_arg)
{
	struct error err = {""};
	struct cell *list = NULL;

	assert_int_equal(cells_parse("", &list, &err), 0);
	assert_null(list);
	assert_int_equal(cells_parse("a=https://a,/t\nb=https://b,/t", &list, &err), 2);
	assert_string_equal(list[1].name, "b");
	free(list);
	assert_int_equal(cells_parse("a=https://a,/t\na=https://b,/t", &list, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "cell 'a' stands there twice"));
}

static void there_are_not_too_many(void **state unused_arg)
{
	char text[CELLS_MAX * 32 + 64] = "";
	struct error err = {""};
	struct cell *list = NULL;

	for (int i = 0; i <= CELLS_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "c%d=https://a,/t\n", i);
	assert_int_equal(cells_parse(text, &list, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "more than 64 cells"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_its_parts),
		cmocka_unit_test(a_bad_line_is_told),
		cmocka_unit_test(a_name_stands_once),
		cmocka_unit_test(there_are_not_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
