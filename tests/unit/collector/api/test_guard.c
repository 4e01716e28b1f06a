/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/guard.h"

#include "tests/support/test.h"

#define HEAD "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"

/* Feeds text in pieces of step bytes, as a filter would; what passed, or minus a status. */
static int64_t feed(struct guard *g, const char *text, size_t len, size_t step)
{
	size_t passed = 0;
	size_t have = 0;

	while (have < len) {
		int64_t n = 1;

		have = MIN_OF(have + step, len);
		while (n > 0 && passed < have) {
			n = guard_feed(g, (const uint8_t *)text + passed, have - passed);
			if (n < 0)
				return n;
			assert_true((size_t)n <= have - passed);
			passed += (size_t)n;
		}
	}
	return (int64_t)passed;
}

static void pieces_do_not_matter(void **state unused_arg)
{
	static const char text[] = HEAD "12345" HEAD "67890GET / HTTP/1.0\r\nHost: y\r\n\r\n";

	for (size_t step = 1; step < sizeof(text); step++) {
		struct guard g;

		guard_init(&g);
		assert_int_equal(feed(&g, text, sizeof(text) - 1, step), sizeof(text) - 1);
		assert_int_equal(g.requests, 3);
		assert_true(guard_is_idle(&g));
	}
}

static void a_part_waits(void **state unused_arg)
{
	struct guard g;

	guard_init(&g);
	assert_int_equal(guard_feed(&g, (const uint8_t *)HEAD, 10), 0);
	assert_false(guard_is_idle(&g));
	assert_int_equal(guard_feed(&g, (const uint8_t *)HEAD "123", strlen(HEAD) + 3),
			 strlen(HEAD));
	assert_int_equal(g.body_left, 5);
	assert_int_equal(g.requests, 0);
}

static void ambiguity_is_refused(void **state unused_arg)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
		{"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n: x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999999999\r\n\r\n", 413},
		{"GET / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: gzip\r\n\r\n", 411},
		{"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n\r\n", 400},
		{"GET / HTTP/9.1\r\nHost: x\r\n\r\n", 505},
		{"PRI / HTTP/1.1\r\nHost: x\r\n\r\n", 501},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t step = 1; step < 80; step += 13) {
			struct guard g;
			int64_t rc;

			guard_init(&g);
			rc = feed(&g, rows[i].text, strlen(rows[i].text), step);
			if (rc != -rows[i].status)
				fail_msg("row %zu step %zu gave %lld", i, step, (long long)rc);
			assert_true(*g.reason);
		}
	}
}

static void a_head_without_end_is_refused(void **state unused_arg)
{
	static char text[GUARD_HEAD_MAX];
	struct guard g;

	memset(text, 'a', sizeof(text));
	guard_init(&g);
	assert_int_equal(guard_feed(&g, (const uint8_t *)text, sizeof(text) - 1), 0);
	assert_int_equal(guard_feed(&g, (const uint8_t *)text, sizeof(text)), -431);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_do_not_matter),
		cmocka_unit_test(a_part_waits),
		cmocka_unit_test(ambiguity_is_refused),
		cmocka_unit_test(a_head_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
