/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
// -Wl,--wrap=reallocarray
#include "cli/table.h"

#include <errno.h>
#include <locale.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return __wrap_realloc(p, n * size);
}

static const char *const headings[] = {"NAME", ">SIZE", "LAST", NULL};
static char printed[8192];

static const char *print(const struct table *t, bool aligned)
{
	FILE *f = fmemopen(printed, sizeof(printed), "w");

	assert_non_null(f);
	assert_int_equal(table_print(t, f, aligned), 0);
	fclose(f);
	return printed;
}

static void a_terminal_gets_aligned_columns(void **state unused_arg)
{
	struct table t;

	table_init(&t, headings);
	table_cell(&t, "web");
	table_printf(&t, "%d MiB", 512);
	table_cell(&t, "x");
	table_cell(&t, "longer");
	table_cell(&t, "1 B");
	table_cell(&t, NULL);
	assert_string_equal(print(&t, true), "NAME       SIZE  LAST\n"
					     "web     512 MiB  x\n"
					     "longer      1 B  -\n");
	table_fini(&t);
}

static void a_pipe_gets_tabs(void **state unused_arg)
{
	struct table t;

	table_init(&t, headings);
	table_cell(&t, "a b");
	table_cell(&t, "1");
	table_cell(&t, "");
	assert_string_equal(print(&t, false), "NAME\tSIZE\tLAST\na b\t1\t\n");
	table_fini(&t);
}

static void no_cell_moves_the_cursor_or_adds_a_column(void **state unused_arg)
{
	struct table t;

	table_init(&t, headings);
	table_cell(&t, "\x1b[2J");
	table_cell(&t, "a\tb\nc");
	table_cell(&t, "\xff\xc2\x9b");
	assert_string_equal(print(&t, false),
			    "NAME\tSIZE\tLAST\n\\x1b[2J\ta\\x09b\\x0ac\t\\xff\\xc2\\x9b\n");
	table_fini(&t);
}

static void wide_characters_count_as_they_are_shown(void **state unused_arg)
{
	struct table t;

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	table_init(&t, headings);
	table_cell(&t, "caf\xc3\xa9");
	table_cell(&t, "1");
	table_cell(&t, "x");
	table_cell(&t, "\xe7\xbe\x8a\xe7\xbe\xa4"); /* two characters, four columns */
	table_cell(&t, "2");
	table_cell(&t, "y");
	assert_string_equal(print(&t, true), "NAME  SIZE  LAST\n"
					     "caf\xc3\xa9     1  x\n"
					     "\xe7\xbe\x8a\xe7\xbe\xa4     2  y\n");
	table_fini(&t);
}

static void a_long_cell_is_cut(void **state unused_arg)
{
	struct table t;
	char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	table_init(&t, headings);
	table_cell(&t, text);
	table_printf(&t, "%s", text);
	table_cell(&t, "end");
	assert_true(strlen(print(&t, true)) < 3000);
	table_fini(&t);
}

static void no_memory_prints_nothing(void **state unused_arg)
{
	FILE *nowhere = fopen("/dev/null", "w");

	assert_non_null(nowhere);
	for (unsigned n = 1;; n++) {
		struct table t;
		int rc;

		alloc_fail_at(n);
		table_init(&t, headings);
		for (int i = 0; i < 90; i++)
			table_cell(&t, "x");
		rc = table_print(&t, nowhere, false);
		alloc_fail_off();
		table_fini(&t);
		if (!alloc_failed())
			break;
		assert_int_equal(rc, -ENOMEM);
	}
	fclose(nowhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_terminal_gets_aligned_columns),
		cmocka_unit_test(a_pipe_gets_tabs),
		cmocka_unit_test(no_cell_moves_the_cursor_or_adds_a_column),
		cmocka_unit_test(wide_characters_count_as_they_are_shown),
		cmocka_unit_test(a_long_cell_is_cut),
		cmocka_unit_test(no_memory_prints_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
