/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/page.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "agent/act/probe/probe.h"
#include "tests/support/test.h"

static void *fresh(void)
{
	void *p =
		mmap(NULL, PAGE_BYTES + (4u << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)p + (2u << 20);

	assert_true(p != MAP_FAILED);
	assert_int_equal(mprotect(at, PAGE_BYTES, PROT_READ | PROT_WRITE), 0);
	return at;
}

static void a_place_is_in_the_middle_of_the_widest_gap(void **state unused_arg)
{
	struct map rows[] = {{.start = 0x1000, .end = 0x2000},
			     {.start = 0x10000000, .end = 0x10001000},
			     {.start = 0x7f0000000000, .end = 0x7f0000001000},
			     {.start = 0xffffffffff600000, .end = 0xffffffffff601000}};
	struct maps m = {.rows = rows, .n = ARRAY_SIZE(rows)};
	uint64_t at = 0;

	assert_int_equal(page_place(&m, &at), 0);
	assert_true(at % 65536 == 0 && at > 0x10001000 + (UINT64_C(1) << 32));
	assert_true(at + PAGE_BYTES < 0x7f0000000000 - (UINT64_C(1) << 32));
	m.n = 1;
	assert_int_equal(page_place(&m, &at), -ENOSPC);
	rows[1].start = 0x3000;
	m.n = 2;
	assert_int_equal(page_place(&m, &at), -ENOSPC);
}

static void a_page_is_found_again(void **state unused_arg)
{
	struct page p = {.pid = getpid(), .address = (uint64_t)(uintptr_t)fresh()};
	auto_maps struct maps m = {0};
	struct page found;
	struct error err;

	assert_int_equal(page_is_there(p.pid, p.address), 0);
	assert_int_equal(page_is_there(p.pid, p.address + 4096), -ENOENT);
	assert_int_equal(page_write(&p, &err), 0);
	assert_int_equal(maps_load(p.pid, &m, &err), 0);
	assert_int_equal(page_find(p.pid, &m, &found), 0);
	assert_int_equal(found.address, p.address);
	/* one that says another address of itself is somebody's copy */
	((uint64_t *)(uintptr_t)p.address)[1]++;
	assert_int_equal(page_find(p.pid, &m, &found), -ENOENT);
}

static void a_command_is_armed_answered_and_taken_back(void **state unused_arg)
{
	struct page p = {.pid = getpid(), .address = (uint64_t)(uintptr_t)fresh()};
	uint8_t *bytes = (uint8_t *)(uintptr_t)p.address;
	uint64_t *words = (uint64_t *)(uintptr_t)p.address;
	static char answer[PAGE_ANSWER_MAX];
	static char long_script[PAGE_SCRIPT_MAX + 1];
	struct error err;
	size_t n;

	assert_int_equal(page_write(&p, &err), 0);
	assert_string_equal((char *)bytes + PAGE_BOOT + strlen((char *)bytes + PAGE_BOOT) - 1,
			    "\n");
	assert_int_equal(page_state(&p), PAGE_IDLE);
	assert_int_equal(page_arm(&p, 77, 0xabc, "lines = 1", 9, &err), 0);
	assert_int_equal(page_state(&p), PAGE_ARMED);
	assert_int_equal(words[2], 77);
	assert_int_equal(words[3], 0xabc);
	assert_int_equal(words[5], 9);
	assert_memory_equal(bytes + PAGE_SCRIPT, "lines = 1", 9);
	assert_int_equal(page_disarm(&p), PAGE_ARMED);
	assert_int_equal(words[3], 0);

	words[4] = PAGE_RUNS;
	assert_int_equal(page_arm(&p, 77, 1, "", 0, &err), -EBUSY);
	assert_says(err, "a script of before still runs");
	words[4] = PAGE_DONE;
	memcpy(bytes + PAGE_ANSWER, "found\t7", 7);
	words[6] = 7;
	assert_int_equal(page_answer(&p, answer, &n), 0);
	assert_int_equal(n, 7);
	assert_memory_equal(answer, "found\t7", 7);
	/* the target may write anything */
	words[6] = PAGE_ANSWER_MAX + 1;
	assert_int_equal(page_answer(&p, answer, &n), -EBADMSG);
	words[4] = 99;
	assert_int_equal(page_state(&p), -EBADMSG);
	assert_int_equal(page_arm(&p, 77, 1, long_script, sizeof(long_script), &err), -E2BIG);
}

/* They are put between r''' and ''': neither may end the literal. */
static void what_is_embedded_stays_one_literal(void **state unused_arg)
{
	static const char *const probes[] = {probe_boot,      probe_gc,          probe_gc_threshold,
					     probe_gc_freeze, probe_trace_start, probe_trace_stop};

	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		assert_true(strlen(probes[i]) > 20);
		assert_null(strstr(probes[i], "'''"));
		for (const char *c = probes[i]; *c; c++)
			assert_true(*c == '\n' || (*c >= ' ' && *c < 127));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_is_in_the_middle_of_the_widest_gap),
		cmocka_unit_test(a_page_is_found_again),
		cmocka_unit_test(a_command_is_armed_answered_and_taken_back),
		cmocka_unit_test(what_is_embedded_stays_one_literal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
