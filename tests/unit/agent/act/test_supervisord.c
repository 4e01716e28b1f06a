/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts; real ones are in tests/integration/test_supervisord.py. */
#include "agent/act/supervisord.h"

#include <sys/socket.h>

#include "common/check.h"
#include "tests/support/test.h"

static void a_listening_socket_is_found_by_its_name(void **state unused_arg)
{
	static const struct {
		const char *line;
		const char *path; /* NULL: none */
	} rows[] = {
		{"000000006a1e3f9b: 00000002 00000000 00010000 0001 01 17524629 /run/s.sock.8763",
		 "/run/s.sock"},
		{"000000006a1e3f9b: 00000002 00000000 00010000 0001 01 17524629 /run/s.sock",
		 "/run/s.sock"},
		{"000000006a1e3f9b: 00000002 00000000 00010000 0001 01 17524629 /a b/s.12x",
		 "/a b/s.12x"},
		{"000000006a1e3f9b: 00000002 00000000 00010000 0001 01 17524629 @/run/s", NULL},
		{"000000006a1e3f9b: 00000002 00000000 00010000 0001 01 17524629", NULL},
		{"000000006a1e3f9b: 00000003 00000000 00000000 0001 03 17524629 /run/s", NULL},
		{"000000006a1e3f9b: 00000002 00000000 00010000 0005 01 17524629 /run/s", NULL},
		{"Num       RefCount Protocol Flags    Type St Inode Path", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[SUPERVISORD_PATH_SIZE] = "";
		uint64_t inode = 0;
		bool found = supervisord_parse_unix(rows[i].line, &inode, path);

		if (found != (rows[i].path != NULL) || (found && strcmp(path, rows[i].path) != 0) ||
		    (found && inode != 17524629))
			fail_msg("'%s': %d '%s'", rows[i].line, found, path);
	}
}

static void a_name_that_fits_no_socket_is_none(void **state unused_arg)
{
	char line[400];
	char path[SUPERVISORD_PATH_SIZE];
	uint64_t inode;

	snprintf(line, sizeof(line), "0: 00000002 00000000 00010000 0001 01 1 /%0*d",
		 SUPERVISORD_PATH_SIZE - 2, 0);
	assert_true(supervisord_parse_unix(line, &inode, path));
	snprintf(line, sizeof(line), "0: 00000002 00000000 00010000 0001 01 1 /%0*d",
		 SUPERVISORD_PATH_SIZE - 1, 0);
	assert_false(supervisord_parse_unix(line, &inode, path));
}

static void a_pid_is_told_by_its_namespace(void **state unused_arg)
{
	static const char text[] = "Name:\tx\nNSpid:\t812\t7\t1\nNSpgid:\t812\n";
	unsigned levels;

	assert_int_equal(supervisord_nspid(text, 0, &levels), 812);
	assert_int_equal(levels, 3);
	assert_int_equal(supervisord_nspid(text, 2, &levels), 1);
	assert_int_equal(supervisord_nspid(text, 3, &levels), 0);
	assert_int_equal(supervisord_nspid("Name:\tx\n", 0, &levels), 0);
	assert_int_equal(levels, 0);
	assert_int_equal(supervisord_nspid("x\nNSpid:", 0, &levels), 0);
	assert_int_equal(supervisord_nspid("x\nNSpid:\t-4", 0, &levels), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listening_socket_is_found_by_its_name),
		cmocka_unit_test(a_name_that_fits_no_socket_is_none),
		cmocka_unit_test(a_pid_is_told_by_its_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
