/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/image.h"

#include "tests/support/fakepython.h"
#include "tests/support/test.h"

static void build(void)
{
	fake_build(layout_find(12), 0x030c01f0);
}

static int find(const char *name, uint64_t *ret)
{
	struct image im;
	uint64_t size;
	int rc = image_open(FAKE_PID, FAKE_BASE, &im);

	fake.calls = 0;
	if (rc == 0)
		rc = image_find(&im, name, ret, &size);
	assert_true(fake.calls <= IMAGE_MAX_STEPS);
	return rc;
}

/* Puts a tag where another stood. */
static void retag(unsigned i, int64_t tag)
{
	fake_u64(FAKE_DYNAMIC + i * (uint32_t)sizeof(Elf64_Dyn), (uint64_t)tag);
}

static void symbols_are_found_by_either_table(void **state unused_arg)
{
	uint64_t v;

	for (unsigned round = 0; round < 2; round++) {
		build();
		if (round)
			retag(2, DT_DEBUG); /* no GNU table: the other is asked */
		assert_int_equal(find("_PyRuntime", &v), 0);
		assert_int_equal(v, fake_at(FAKE_RUNTIME));
		assert_int_equal(find("Py_Version", &v), 0);
		assert_int_equal(v, fake_at(FAKE_VERSION));
		assert_int_equal(find("Py_Nothing", &v), -ENOENT);
		fake_symbol(1, 1, 0, 8);
		assert_int_equal(find("_PyRuntime", &v), -ENOENT);
	}
	retag(3, DT_DEBUG);
	assert_int_equal(find("Py_Version", &v), -ENOENT);
}

/* musl leaves the pointers of the dynamic table as they are in the file. */
static void pointers_without_the_bias_are_understood(void **state unused_arg)
{
	uint64_t v;

	build();
	fake_u64(FAKE_DYNAMIC + 8, FAKE_SYMBOLS);
	fake_u64(FAKE_DYNAMIC + 24, FAKE_STRINGS);
	fake_u64(FAKE_DYNAMIC + 40, FAKE_GNU_HASH);
	assert_int_equal(find("Py_Version", &v), 0);
	assert_int_equal(v, fake_at(FAKE_VERSION));
}

static void a_filter_without_it_ends_the_search(void **state unused_arg)
{
	uint64_t v;

	build();
	fake_u64(FAKE_GNU_HASH + 16, 0);
	assert_int_equal(find("_PyRuntime", &v), -ENOENT);
	assert_int_equal(fake.calls, 2);
}

static void forged_tables_cost_a_bounded_time(void **state unused_arg)
{
	uint64_t v;

	/* a chain that never ends, in which each hash fits */
	build();
	for (uint32_t at = FAKE_GNU_HASH + 28; at < FAKE_SIZE; at += 4)
		fake_i32(at, (int32_t)(fake_hash("_PyRuntime") & ~1u));
	fake_put(FAKE_STRINGS, "\0other", 7);
	assert_true(find("_PyRuntime", &v) < 0);
	/* a ring */
	build();
	retag(2, DT_DEBUG);
	fake_put(FAKE_STRINGS, "\0_QyRuntime", 12);
	fake_i32(FAKE_SYSV_HASH + 16, 1);
	assert_int_equal(find("_PyRuntime", &v), -ELOOP);
	/* sizes beyond all reason, none at all, and a table that ends before it begins */
	for (uint32_t at = FAKE_GNU_HASH; at < FAKE_GNU_HASH + 16; at += 4) {
		build();
		fake_i32(at, -1);
		assert_true(find("_PyRuntime", &v) < 0);
		fake_i32(at, 0);
		(void)!find("_PyRuntime", &v);
	}
	build();
	retag(2, DT_DEBUG);
	fake_i32(FAKE_SYSV_HASH, 0);
	assert_int_equal(find("_PyRuntime", &v), -EBADMSG);
}

static void headers_are_checked(void **state unused_arg)
{
	struct image im;

	build();
	fake.mem[0] = 'M';
	assert_int_equal(image_open(FAKE_PID, FAKE_BASE, &im), -ENOEXEC);
	build();
	fake.mem[offsetof(Elf64_Ehdr, e_machine)] = EM_386;
	assert_int_equal(image_open(FAKE_PID, FAKE_BASE, &im), -EXDEV);
	build();
	fake_u64(offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX);
	assert_int_equal(image_open(FAKE_PID, FAKE_BASE, &im), -EBADMSG);
	build();
	fake.mem[offsetof(Elf64_Ehdr, e_phnum)] = 200;
	assert_int_equal(image_open(FAKE_PID, FAKE_BASE, &im), -EBADMSG);
	build();
	fake_u64(sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_offset), 0x5000);
	assert_int_equal(image_open(FAKE_PID, FAKE_BASE, &im), -EBADMSG);
	assert_int_equal(image_open(FAKE_PID, FAKE_BASE + FAKE_SIZE - 8, &im), -ENOEXEC);
	assert_int_equal(image_open(FAKE_PID, 0x1000, &im), -EFAULT);
	assert_int_equal(image_open(FAKE_PID + 1, FAKE_BASE, &im), -ESRCH);
}

static void libraries_it_is_linked_with_are_told(void **state unused_arg)
{
	struct image im;

	build();
	fake_u64(FAKE_DYNAMIC + 48, DT_NEEDED);
	fake_u64(FAKE_DYNAMIC + 56, 40);
	fake_put(FAKE_STRINGS + 40, "libpython3.12.so.1.0", 21);
	assert_int_equal(image_open(FAKE_PID, FAKE_BASE, &im), 0);
	assert_true(image_needs(&im, "libpython3."));
	assert_false(image_needs(&im, "libpython2."));
	fake_u64(FAKE_DYNAMIC + 56, UINT64_MAX - 3);
	assert_false(image_needs(&im, "libpython3."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_are_found_by_either_table),
		cmocka_unit_test(pointers_without_the_bias_are_understood),
		cmocka_unit_test(a_filter_without_it_ends_the_search),
		cmocka_unit_test(forged_tables_cost_a_bounded_time),
		cmocka_unit_test(headers_are_checked),
		cmocka_unit_test(libraries_it_is_linked_with_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
