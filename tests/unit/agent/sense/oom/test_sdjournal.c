/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/sense/oom/sdjournal.h"

static void the_library_of_this_machine_has_all_functions(void **state)
{
	struct sdjournal lib;
	struct error err;

	(void)state;
	assert_int_equal(sdjournal_load(SDJOURNAL_LIBRARY, &lib, &err), 0);
	assert_non_null(lib.open_files);
	assert_non_null(lib.close);
	sdjournal_unload(&lib);
	assert_null(lib.handle);
	sdjournal_unload(&lib);
}

static void a_library_that_is_missing_or_another_is_told(void **state)
{
	struct sdjournal lib = {.handle = &lib};
	struct error err;

	(void)state;
	assert_int_equal(sdjournal_load("libnothing-like-it.so.0", &lib, &err), -ENOENT);
	assert_says(err, "libnothing-like-it.so.0");
	assert_int_equal(sdjournal_load("libm.so.6", &lib, &err), -ENOSYS);
	assert_says(err, "sd_journal_close");
	assert_ptr_equal(lib.handle, &lib);
}

static int read_byte(void *at)
{
	return *(volatile char *)at;
}

static void a_page_that_is_gone_is_an_error(void **state)
{
	FILE *f = tmpfile();
	struct sigaction before;
	struct sigaction after;
	char *page;

	(void)state;
	assert_non_null(f);
	assert_int_equal(sigaction(SIGBUS, NULL, &before), 0);
	assert_int_equal(ftruncate(fileno(f), 4096), 0);
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	assert_int_equal(sdjournal_guard(read_byte, page), 0);
	assert_int_equal(ftruncate(fileno(f), 0), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sdjournal_guard(read_byte, page), -EIO);
	munmap(page, 4096);
	fclose(f);
	assert_int_equal(sigaction(SIGBUS, NULL, &after), 0);
	assert_true(after.sa_handler == before.sa_handler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_library_of_this_machine_has_all_functions),
		cmocka_unit_test(a_library_that_is_missing_or_another_is_told),
		cmocka_unit_test(a_page_that_is_gone_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
