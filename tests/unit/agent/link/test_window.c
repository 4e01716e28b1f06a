/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/window.h"

#include <errno.h>

#include "agent/record.h"
#include "proto/frame.h"
#include "tests/support/test.h"

static struct wire_hello_ack grant(uint32_t bytes, uint32_t batches)
{
	return (struct wire_hello_ack){.max_frame = FRAME_MAX_PAYLOAD,
				       .max_unacked_bytes = bytes,
				       .max_unacked_batches = batches};
}

static struct spool *filled(unsigned n, size_t len)
{
	static const uint8_t body[RECORD_MAX_BODY];
	struct spool *s;

	assert_int_equal(spool_new(64 << 20, &s), 0);
	for (unsigned i = 0; i < n; i++)
		(void)!spool_add(s, WIRE_TICK, i == 0, 1, body, len);
	return s;
}

/* Fills until nothing more is granted; checks each batch and returns their number. */
static unsigned fill_all(struct window *w, struct spool *s, uint64_t *last)
{
	unsigned batches = 0;

	for (;;) {
		auto_buf struct buf b = BUF_INIT(FRAME_MAX_PAYLOAD);
		auto_arena struct arena a;
		struct wire_batch got;
		int n = window_fill(w, s, 7, &b);

		assert_true(n >= 0);
		if (n == 0)
			return batches;
		assert_true(b.len <= w->max_frame);
		arena_init(&a, WIRE_BUDGET(b.len));
		assert_int_equal(wire_unpack_batch(&a, b.data, b.len, &got, NULL), 0);
		assert_int_equal(got.epoch, 7);
		assert_int_equal(got.n, n);
		assert_int_equal(got.records[0].seq, *last + 1);
		*last = got.records[got.n - 1].seq;
		batches++;
	}
}

static void batches_stay_within_the_grant(void **state unused_arg)
{
	struct spool *s = filled(1000, 500);
	struct wire_hello_ack ack = grant(20000, 3);
	struct window w;
	uint64_t last = 0;

	assert_int_equal(window_open(&w, &ack, NULL), 0);
	assert_int_equal(fill_all(&w, s, &last), 1); /* bytes are the limit */
	assert_true(w.bytes <= 20000 && last > 30);
	while (last < 1000) {
		assert_int_equal(spool_ack(s, last), 0);
		window_acked(&w, last);
		assert_int_equal(w.bytes, 0);
		assert_true(fill_all(&w, s, &last) >= 1);
		assert_true(w.bytes <= 20000);
	}
	spool_free(&s);
}

static void batches_are_counted_too(void **state unused_arg)
{
	struct spool *s = filled(100, 100000);
	struct wire_hello_ack ack = grant(UINT32_MAX, 3);
	struct window w;
	uint64_t last = 0;

	assert_int_equal(window_open(&w, &ack, NULL), 0);
	assert_int_equal(fill_all(&w, s, &last), 3);
	assert_int_equal(last, 6); /* two such records in a frame */
	window_acked(&w, 1);       /* half of the first: still under way */
	assert_int_equal(fill_all(&w, s, &last), 0);
	window_acked(&w, 4);
	assert_int_equal(fill_all(&w, s, &last), 2);
	spool_free(&s);
}

static void the_largest_record_always_goes(void **state unused_arg)
{
	struct spool *s = filled(3, RECORD_MAX_BODY);
	struct wire_hello_ack ack = grant(1, 1);
	struct window w;
	uint64_t last = 0;

	assert_int_equal(window_open(&w, &ack, NULL), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(fill_all(&w, s, &last), 1);
		assert_int_equal(last, i);
		window_acked(&w, i);
	}
	spool_free(&s);
}

static void impossible_grants_are_refused(void **state unused_arg)
{
	struct wire_hello_ack ack = grant(0, 1);
	struct error err = {""};
	struct window w;

	assert_int_equal(window_open(&w, &ack, &err), -EBADMSG);
	ack = grant(1, 0);
	assert_int_equal(window_open(&w, &ack, &err), -EBADMSG);
	assert_says(err, "grants nothing");
	ack = grant(1, 1);
	ack.max_frame = RECORD_MAX_BODY;
	assert_int_equal(window_open(&w, &ack, &err), -EBADMSG);
	assert_says(err, "max_frame");
	ack = grant(UINT32_MAX, UINT32_MAX);
	ack.max_frame = UINT32_MAX;
	assert_int_equal(window_open(&w, &ack, &err), 0);
	assert_int_equal(w.max_batches, WINDOW_MAX_BATCHES);
	assert_int_equal(w.max_frame, FRAME_MAX_PAYLOAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_stay_within_the_grant),
		cmocka_unit_test(batches_are_counted_too),
		cmocka_unit_test(the_largest_record_always_goes),
		cmocka_unit_test(impossible_grants_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
