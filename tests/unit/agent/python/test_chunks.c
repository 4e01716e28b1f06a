/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/chunks.h"

#include <errno.h>
#include <string.h>

#include "tests/support/test.h"

#define BASE  0x100000ull
#define BYTES (64u * CHUNK_SIZE)

/* Every word says its own address, so that a wrong byte shows. There is a hole in it. */
struct memory {
	uint64_t hole_from;
	uint64_t hole_to;
	unsigned reads;
};

static ssize_t read_memory(void *arg, uint64_t address, void *buf, size_t n)
{
	struct memory *m = arg;
	uint8_t *out = buf;
	size_t i;

	m->reads++;
	for (i = 0; i < n; i++) {
		uint64_t at = address + i;
		uint64_t word = at & ~7ull;

		if (at < BASE || at >= BASE + BYTES || (at >= m->hole_from && at < m->hole_to))
			break;
		out[i] = (uint8_t)(word >> (at & 7) * 8);
	}
	return i ? (ssize_t)i : -EFAULT;
}

static struct chunks *make(struct memory *m, size_t chunks)
{
	const struct chunk_source source = {.read = read_memory, .arg = m};
	struct chunks *c;

	assert_int_equal(chunks_new(&source, chunks * CHUNK_SIZE, &c), 0);
	return c;
}

static void expect_word(struct chunks *c, uint64_t address)
{
	uint64_t v = 0;

	assert_int_equal(chunks_read(c, address, &v, sizeof(v)), 0);
	assert_true(v == address);
}

static void test_a_chunk_is_read_once(void **state unused_arg)
{
	struct memory m = {0};
	auto_chunks struct chunks *c = make(&m, 8);

	for (uint64_t at = BASE; at < BASE + 4 * CHUNK_SIZE; at += 8)
		expect_word(c, at);
	assert_int_equal(m.reads, 4);
	assert_int_equal(chunks_stats(c).loads, 4);
	assert_int_equal(chunks_stats(c).single, 0);
	chunks_clear(c);
	expect_word(c, BASE);
	assert_int_equal(m.reads, 5);
}

static void test_the_memory_is_bounded_and_all_stays_right(void **state unused_arg)
{
	struct memory m = {0};
	auto_chunks struct chunks *c = make(&m, 3);
	unsigned seed = 7;

	for (int i = 0; i < 300000; i++) {
		uint64_t at = BASE + (uint64_t)(rand_r(&seed) % (BYTES / 8)) * 8;

		expect_word(c, at);
	}
	/* Chunks that are hardly read before they go do not pay: most are read singly. */
	assert_true(chunks_stats(c).single > 200000);
	assert_true(chunks_stats(c).loads < 10000);
}

static void test_streams_longer_than_the_cache_pay(void **state unused_arg)
{
	struct memory m = {0};
	auto_chunks struct chunks *c = make(&m, 4);

	for (uint64_t at = 0; at < BYTES / 2; at += 64) {
		expect_word(c, BASE + at);
		expect_word(c, BASE + BYTES / 2 + at);
	}
	assert_int_equal(chunks_stats(c).loads, 64);
	assert_int_equal(chunks_stats(c).single, 0);
}

static void test_a_read_over_the_edge_of_a_chunk_is_whole(void **state unused_arg)
{
	struct memory m = {0};
	auto_chunks struct chunks *c = make(&m, 8);
	uint64_t words[8];

	assert_int_equal(chunks_read(c, BASE + CHUNK_SIZE - 32, words, sizeof(words)), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_true(words[i] == BASE + CHUNK_SIZE - 32 + i * 8);
	assert_int_equal(chunks_stats(c).single, 1);
}

static void test_holes_hide_nothing_else(void **state unused_arg)
{
	const uint64_t from = BASE + 4096;
	const uint64_t to = BASE + 8192;
	struct memory m = {.hole_from = from, .hole_to = to};
	auto_chunks struct chunks *c = make(&m, 8);
	uint64_t v;

	expect_word(c, BASE);
	expect_word(c, from - 8);
	assert_int_equal(chunks_read(c, from, &v, sizeof(v)), -EFAULT);
	assert_int_equal(chunks_read(c, from - 4, &v, sizeof(v)), -EFAULT);
	/* Behind the hole: not in the chunk, but there. */
	expect_word(c, to);
	expect_word(c, BASE + CHUNK_SIZE - 8);

	chunks_clear(c);
	m = (struct memory){.hole_from = BASE, .hole_to = BASE + 4096};
	expect_word(c, BASE + 4096);
	expect_word(c, BASE + CHUNK_SIZE - 8);
	assert_int_equal(chunks_stats(c).loads, 2);
	assert_int_equal(chunks_read(c, BASE + 8, &v, sizeof(v)), -EFAULT);
}

static void test_addresses_that_cannot_be_are_refused(void **state unused_arg)
{
	static uint8_t big[CHUNK_SIZE + 1];
	struct memory m = {0};
	auto_chunks struct chunks *c = make(&m, 2);
	uint64_t v;

	assert_int_equal(chunks_read(c, UINT64_MAX - 3, &v, sizeof(v)), -EFAULT);
	assert_int_equal(chunks_read(c, 0, &v, sizeof(v)), -EFAULT);
	assert_int_equal(chunks_read(c, BASE + BYTES, &v, sizeof(v)), -EFAULT);
	assert_int_equal(chunks_read(c, BASE, big, sizeof(big)), -EFAULT);
	assert_int_equal(chunks_read(c, BASE, big, CHUNK_SIZE), 0);
}

static void test_a_process_is_a_source(void **state unused_arg)
{
	static const char here[] = "of this very process";
	const pid_t pid = getpid();
	const struct chunk_source source = chunk_source_of(&pid);
	auto_chunks struct chunks *c = NULL;
	char got[sizeof(here)];

	assert_int_equal(chunks_new(&source, CHUNK_SIZE, &c), 0);
	assert_int_equal(chunks_read(c, (uint64_t)(uintptr_t)here, got, sizeof(got)), 0);
	assert_string_equal(got, here);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chunk_is_read_once),
		cmocka_unit_test(test_the_memory_is_bounded_and_all_stays_right),
		cmocka_unit_test(test_streams_longer_than_the_cache_pay),
		cmocka_unit_test(test_a_read_over_the_edge_of_a_chunk_is_whole),
		cmocka_unit_test(test_holes_hide_nothing_else),
		cmocka_unit_test(test_addresses_that_cannot_be_are_refused),
		cmocka_unit_test(test_a_process_is_a_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
