/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/runtime.h"

#include "agent/python/gcstat.h"
#include "tests/support/fakepython.h"
#include "tests/support/test.h"

#define MAX_CALLS 4000u /* however bad the target: no look costs more reads */

static uint32_t version_of(const struct layout *row)
{
	return 0x030000f0u | (uint32_t)row->minor << 16 | 9u << 8;
}

static enum python_state find_as(const char *path, struct runtime *r, struct error *err)
{
	auto_maps struct maps maps = {0};

	assert_int_equal(fake_maps(&maps, path), 0);
	fake.calls = 0;
	return runtime_find(FAKE_PID, &maps, r, err);
}

static enum python_state find(struct runtime *r)
{
	struct error err = {{0}};
	enum python_state state;
	char path[64];

	snprintf(path, sizeof(path), "/usr/lib/libpython3.%u.so.1.0", fake.row->minor);
	state = find_as(path, r, &err);
	if (state != PYTHON_READABLE)
		assert_says(err, python_state_text(state));
	assert_true(fake.calls < MAX_CALLS);
	return state;
}

static void build(const struct layout *row)
{
	fake_build(row, version_of(row));
}

#define for_each_row(row)                                     \
	for (unsigned i_ = 0; i_ == 0 || layout_at(i_); i_++) \
		for (const struct layout *row = layout_at(i_); row; row = NULL)

static void every_version_is_read(void **state unused_arg)
{
	for_each_row(row)
	{
		uint64_t list[RUNTIME_MAX_INTERPRETERS];
		struct runtime r;

		build(row);
		assert_int_equal(find(&r), PYTHON_READABLE);
		assert_int_equal(r.version >> 16, 0x300 | row->minor);
		assert_int_equal(r.micro_known, row->minor >= 11);
		assert_int_equal(r.incremental, row->incremental);
		assert_int_equal(r.address, fake_at(FAKE_RUNTIME));
		assert_int_equal(r.layout.gc.generations, row->gc.generations);
		assert_int_equal(r.image, FAKE_BASE);
		assert_int_equal(runtime_interpreters(&r, list, RUNTIME_MAX_INTERPRETERS),
				 row->minor == 8 ? 1 : 2);
		assert_int_equal(list[0], fake_at(FAKE_INTERPRETER));
		assert_int_equal(runtime_interpreters(&r, list, 1), 1);
		assert_int_equal(list[0], fake_at(FAKE_INTERPRETER));
	}
}

static void the_version_is_told(void **state unused_arg)
{
	struct runtime r = {.version = 0x030d05f0, .micro_known = true};
	char text[PYTHON_VERSION_SIZE];

	assert_string_equal(python_version_text(text, r.version), "3.13.5");
	r.version = 0x030e00c2;
	assert_string_equal(python_version_text(text, r.version), "3.14.0rc2");
	r = (struct runtime){.version = 0x03090000};
	assert_string_equal(python_version_text(text, r.version), "3.9");
}

static void a_file_of_another_name_is_known_by_its_size(void **state unused_arg)
{
	const uint64_t sizes[] = {1464, 656, 672};
	struct runtime r;
	struct error err;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		build(layout_find(8 + i));
		fake_symbol(1, 1, FAKE_RUNTIME, sizes[i]);
		assert_int_equal(find_as("/opt/python/python", &r, &err), PYTHON_READABLE);
		assert_int_equal(r.version >> 16, 0x308 + i);
	}
	build(layout_find(9));
	assert_int_equal(find_as("/opt/python/python", &r, &err), PYTHON_UNKNOWN_VERSION);
}

static void the_whole_version_stands_among_the_constants(void **state unused_arg)
{
	static const char texts[] = "\0"
				    "3.9.x\0"
				    "3.9.\0"
				    "3.9.12.1\0"
				    "3.9.17rc2+\0"
				    "3.9.1";
	struct runtime r;
	char text[PYTHON_VERSION_SIZE];

	build(layout_find(9));
	fake_put(FAKE_FROZEN, texts, sizeof(texts));
	assert_int_equal(find(&r), PYTHON_READABLE);
	assert_true(r.micro_known);
	assert_string_equal(python_version_text(text, r.version), "3.9.17rc2");
}

static void each_stage_of_life_has_its_name(void **state unused_arg)
{
	for_each_row(row)
	{
		struct runtime r;

		build(row);
		fake_i32(FAKE_RUNTIME + row->runtime.initialized, 0);
		assert_int_equal(find(&r), PYTHON_STARTING);
		build(row);
		fake_u64(FAKE_RUNTIME + row->runtime.interpreters_head, 0);
		assert_int_equal(find(&r), PYTHON_STARTING);
		build(row);
		fake_u64(FAKE_RUNTIME + row->runtime.finalizing, 0x1234);
		assert_int_equal(find(&r), PYTHON_FINALIZING);
	}
}

/* Each of what is checked, wrong once. */
static void nothing_is_believed_that_does_not_check_out(void **state unused_arg)
{
	for_each_row(row)
	{
		uint32_t gc;
		struct runtime r;

		for (unsigned what = 0; what < 9; what++) {
			build(row);
			gc = fake_gc(FAKE_INTERPRETER);
			if (what == 0)
				fake_i32(FAKE_RUNTIME + row->runtime.initialized, 2);
			else if (what == 1 && row->interpreter.runtime != LAYOUT_NONE)
				fake_u64(FAKE_INTERPRETER + row->interpreter.runtime, 0x99);
			else if (what == 2)
				fake_i32(gc + row->gc.enabled, 5);
			else if (what == 3)
				fake_i32(gc + row->gc.collecting, -1);
			else if (what == 4)
				fake_i32(gc + row->gc.generations + 24 + 16, -5);
			else if (what == 5)
				fake_i32(gc + row->gc.generations + 48 + 20, -1);
			else if (what == 6)
				fake_put(gc + row->gc.generations,
					 "\1\0\0\0\0\0\0\0"
					 "\1\0\0\0\0\0\0\0",
					 16);
			else if (what == 7 && row->gc.generation0 != LAYOUT_NONE)
				fake_u64(gc + row->gc.generation0, 0x99);
			else if (what == 8)
				fake_u64(FAKE_RUNTIME + row->runtime.interpreters_head + 8, 0x99);
			else
				continue;
			assert_int_equal(find(&r), PYTHON_UNKNOWN_LAYOUT);
		}
	}
}

static void a_ring_of_interpreters_is_no_list(void **state unused_arg)
{
	const struct layout *row = layout_find(12);
	uint64_t list[RUNTIME_MAX_INTERPRETERS];
	struct runtime r;

	build(row);
	assert_int_equal(find(&r), PYTHON_READABLE);
	fake_u64(FAKE_INTERPRETER + row->interpreter.next, fake_at(FAKE_SECOND));
	assert_int_equal(runtime_interpreters(&r, list, RUNTIME_MAX_INTERPRETERS), -ELOOP);
	assert_int_equal(find(&r), PYTHON_UNKNOWN_LAYOUT);
}

static void more_interpreters_than_are_told_of_do_no_harm(void **state unused_arg)
{
	const struct layout *row = layout_find(9);
	uint64_t list[RUNTIME_MAX_INTERPRETERS];
	struct runtime r;

	build(row);
	for (unsigned i = 0; i < 100; i++) { /* a chain of the fields alone */
		uint32_t at = FAKE_RINGS + i * 64;

		fake_u64(at + row->interpreter.next, fake_at(i == 99 ? FAKE_INTERPRETER : at + 64));
		fake_u64(at + row->interpreter.runtime, fake_at(FAKE_RUNTIME));
	}
	fake_u64(FAKE_RUNTIME + row->runtime.interpreters_head, fake_at(FAKE_RINGS));
	assert_int_equal(find(&r), PYTHON_READABLE);
	assert_int_equal(runtime_interpreters(&r, list, RUNTIME_MAX_INTERPRETERS),
			 RUNTIME_MAX_INTERPRETERS);
	assert_int_equal(list[0], fake_at(FAKE_INTERPRETER));
	assert_int_equal(list[1], fake_at(FAKE_RINGS));
}

static void the_programs_own_offsets_win(void **state unused_arg)
{
	const struct layout *row = layout_find(13);
	struct layout moved = *row;
	struct runtime r;

	moved.interpreter.gc += 64;
	moved.interpreter.runtime += 64;
	moved.interpreter.id += 8;
	moved.thread.thread_id = 200;
	fake_build(&moved, version_of(row));
	assert_int_equal(find(&r), PYTHON_READABLE);
	assert_int_equal(r.layout.interpreter.gc, row->interpreter.gc + 64);
	assert_int_equal(r.layout.interpreter.id, row->interpreter.id + 8);
	assert_int_equal(r.layout.thread.thread_id, 200);
}

static void builds_that_are_not_read_have_their_names(void **state unused_arg)
{
	struct runtime r;

	build(layout_find(14));
	fake_u64(FAKE_RUNTIME + 16, 1);
	assert_int_equal(find(&r), PYTHON_FREE_THREADED);
	build(layout_find(15));
	fake_u64(FAKE_RUNTIME + 8, 0x031000f0);
	assert_int_equal(find(&r), PYTHON_UNKNOWN_VERSION);
	build(layout_find(15));
	fake_u64(FAKE_RUNTIME + 94 * 8, 184); /* the collector grew */
	assert_int_equal(find(&r), PYTHON_UNKNOWN_LAYOUT);
	build(layout_find(15));
	fake_u64(FAKE_RUNTIME + 97 * 8, 1128); /* its records did */
	assert_int_equal(find(&r), PYTHON_UNKNOWN_LAYOUT);
	build(layout_find(13));
	fake_u64(FAKE_RUNTIME + 10 * 8, UINT64_MAX); /* an offset that none can be */
	assert_int_equal(find(&r), PYTHON_UNKNOWN_LAYOUT);
	build(layout_find(12));
	fake_u64(FAKE_VERSION, 0x030600f0);
	assert_int_equal(find(&r), PYTHON_TOO_OLD);
	fake_u64(FAKE_VERSION, 0x040000f0);
	assert_int_equal(find(&r), PYTHON_UNKNOWN_VERSION);
}

static void a_build_that_counts_references_is_a_debug_build(void **state unused_arg)
{
	const char *name = "_Py_NegativeRefcount";
	const uint32_t gnu[] = {
		1, 1, 1, 6, ~0u, ~0u, 1, fake_hash("_PyRuntime") & ~1u, fake_hash(name) | 1u};
	struct runtime r;

	build(layout_find(10));
	fake_put(FAKE_GNU_HASH, gnu, sizeof(gnu));
	fake_put(FAKE_STRINGS + 12, name, strlen(name) + 1);
	fake_symbol(2, 12, FAKE_VERSION, 8);
	assert_int_equal(find(&r), PYTHON_DEBUG_BUILD);
}

static void what_is_no_cpython_has_its_name(void **state unused_arg)
{
	static const struct {
		const char *path;
		enum python_state state;
	} cases[] = {
		{"/usr/sbin/nginx", PYTHON_NOT_PYTHON},
		{"/usr/lib/libpython3.6m.so.1.0", PYTHON_TOO_OLD},
		{"/usr/bin/python2.7", PYTHON_TOO_OLD},
		{"/usr/lib/libpypy3-c.so", PYTHON_OTHER_PYTHON},
		{"/usr/lib/libpython3.12.so.1.0", PYTHON_UNKNOWN_LAYOUT},
	};
	struct error err;
	struct runtime r;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		build(layout_find(12));
		fake_put(FAKE_STRINGS + 1, "_QyRuntime", 10);
		assert_int_equal(find_as(cases[i].path, &r, &err), cases[i].state);
	}
	build(layout_find(12));
	fake.mem[EI_CLASS] = ELFCLASS32;
	assert_int_equal(find(&r), PYTHON_OTHER_MACHINE);
	fake.mem[0] = 0;
	assert_int_equal(find_as("/usr/lib/libpython3.12.so.1.0", &r, &err), PYTHON_NOT_PYTHON);
}

static void a_process_that_is_gone_is_told_so(void **state unused_arg)
{
	auto_maps struct maps maps = {0};
	struct error err;
	struct runtime r;

	build(layout_find(12));
	assert_int_equal(fake_maps(&maps, "/usr/lib/libpython3.12.so.1.0"), 0);
	assert_int_equal(runtime_find(FAKE_PID + 1, &maps, &r, &err), PYTHON_GONE);
	assert_int_equal(runtime_find(FAKE_PID, NULL, &r, &err), PYTHON_GONE);
}

static void every_state_has_word_and_text(void **state unused_arg)
{
	for (unsigned i = 0; i < PYTHON_STATES; i++) {
		assert_non_null(python_state_word(i));
		assert_non_null(python_state_text(i));
	}
	assert_null(python_state_word(PYTHON_STATES));
	assert_null(python_state_text(PYTHON_STATES));
	assert_string_equal(python_state_word(PYTHON_OTHER_PYTHON), "other_python");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_version_is_read),
		cmocka_unit_test(the_version_is_told),
		cmocka_unit_test(a_file_of_another_name_is_known_by_its_size),
		cmocka_unit_test(the_whole_version_stands_among_the_constants),
		cmocka_unit_test(each_stage_of_life_has_its_name),
		cmocka_unit_test(nothing_is_believed_that_does_not_check_out),
		cmocka_unit_test(a_ring_of_interpreters_is_no_list),
		cmocka_unit_test(more_interpreters_than_are_told_of_do_no_harm),
		cmocka_unit_test(the_programs_own_offsets_win),
		cmocka_unit_test(builds_that_are_not_read_have_their_names),
		cmocka_unit_test(a_build_that_counts_references_is_a_debug_build),
		cmocka_unit_test(what_is_no_cpython_has_its_name),
		cmocka_unit_test(a_process_that_is_gone_is_told_so),
		cmocka_unit_test(every_state_has_word_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
