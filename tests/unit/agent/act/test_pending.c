/* SPDX-License-Identifier: Apache-2.0 */
/* In memory of our own, as another process's: what is believed to be a lock, and what is not. */
#include "agent/act/pending.h"

#include <unistd.h>

#include "common/check.h"
#include "tests/support/test.h"

struct place {
	uint8_t bytes[4096];
	uint64_t semaphore[4];
};

static struct runtime runtime(const struct place *p, unsigned minor)
{
	return (struct runtime){.pid = getpid(),
				.address = (uint64_t)(uintptr_t)p->bytes,
				.layout = {.minor = (uint16_t)minor}};
}

static void put32(struct place *p, size_t at, int32_t value)
{
	memcpy(p->bytes + at, &value, sizeof(value));
}

static struct place *with_semaphore(size_t at)
{
	struct place *p = calloc(1, sizeof(*p));
	uint64_t address = (uint64_t)(uintptr_t)p->semaphore;

	memcpy(p->bytes + at, &address, sizeof(address));
	p->semaphore[0] = 1;
	return p;
}

static void a_semaphore_is_held_at_0(void **state unused_arg)
{
	struct place *p = with_semaphore(2024);
	struct runtime rt = runtime(p, 12);
	struct pending found;

	pending_find(&rt, 0, &found);
	assert_int_equal(found.at, rt.address + 2024);
	assert_false(found.mutex);
	assert_int_equal(pending_held(rt.pid, &found), 0);
	/* with somebody who waits, too */
	p->semaphore[0] = UINT64_C(1) << 32;
	assert_int_equal(pending_held(rt.pid, &found), 1);
	p->semaphore[0] = 7;
	assert_true(pending_held(rt.pid, &found) < 0);
	free(p);
}

static void it_is_the_interpreters_in_3_9_to_3_11(void **state unused_arg)
{
	struct place *p = with_semaphore(112);
	struct runtime rt = runtime(p, 11);
	struct pending found;

	pending_find(&rt, rt.address, &found);
	assert_int_equal(found.at, rt.address + 112);
	rt.layout.minor = 10;
	pending_find(&rt, rt.address, &found);
	assert_int_equal(found.at, 0);
	free(p);
}

static void a_mutex_is_found_at_either_place_of_3_13(void **state unused_arg)
{
	struct place *p = calloc(1, sizeof(*p));
	struct runtime rt = runtime(p, 13);
	struct pending found;

	pending_find(&rt, 0, &found);
	assert_int_equal(found.at, 0);
	put32(p, 2672 + 8, 32);
	pending_find(&rt, 0, &found);
	assert_int_equal(found.at, rt.address + 2672);
	assert_int_equal(pending_held(rt.pid, &found), 0);
	p->bytes[2672] = 3;
	assert_int_equal(pending_held(rt.pid, &found), 1);
	p->bytes[2672] = 2;
	assert_int_equal(pending_held(rt.pid, &found), 0);
	p->bytes[2672] = 0x40;
	assert_true(pending_held(rt.pid, &found) < 0);
	free(p);
}

static void what_does_not_look_like_one_is_none(void **state unused_arg)
{
	static const struct {
		size_t at;
		int32_t value;
	} rows[] = {{2024 + 8, -1}, {2024 + 8, 33}, {2024 + 528, 32}, {2024 + 532, -1}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct place *p = with_semaphore(2024);
		struct runtime rt = runtime(p, 12);
		struct pending found;

		put32(p, rows[i].at, rows[i].value);
		pending_find(&rt, 0, &found);
		if (found.at)
			fail_msg("row %zu was believed", i);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_semaphore_is_held_at_0),
		cmocka_unit_test(it_is_the_interpreters_in_3_9_to_3_11),
		cmocka_unit_test(a_mutex_is_found_at_either_place_of_3_13),
		cmocka_unit_test(what_does_not_look_like_one_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
