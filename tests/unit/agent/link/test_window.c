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

static const uint64_t epochs[LANE_COUNT] = {[LANE_URGENT] = 8, [LANE_SAMPLES] = 7};

static void add(struct lanes *ls, enum wire_record kind, unsigned n, size_t len)
{
	static const uint8_t body[RECORD_MAX_BODY];
	struct spool *s = ls->of[lane_of_kind(kind)].spool;

	for (unsigned i = 0; i < n; i++)
		(void)!spool_add(s, kind, kind == WIRE_TICK && i == 0, 1, body, len);
}

static struct lanes filled(unsigned ticks, size_t len)
{
	struct lanes ls;

	assert_int_equal(lanes_init(&ls, epochs, 64 << 20), 0);
	add(&ls, WIRE_TICK, ticks, len);
	return ls;
}

/* The next batch's records, 0 when there is none; *ret_epoch and *ret_last say which. */
static int fill(struct window *w, struct lanes *ls, uint64_t *ret_epoch, uint64_t *ret_last)
{
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_PAYLOAD);
	auto_arena struct arena a;
	struct wire_batch got;
	int n = window_fill(w, ls, &b);

	assert_true(n >= 0);
	arena_init(&a, WIRE_BUDGET(b.len));
	if (n == 0)
		return 0;
	assert_true(b.len <= w->max_frame);
	assert_int_equal(wire_unpack_batch(&a, b.data, b.len, &got, NULL), 0);
	assert_int_equal(got.n, n);
	assert_int_equal(got.records[n - 1].seq, got.records[0].seq + (uint64_t)n - 1);
	*ret_epoch = got.epoch;
	*ret_last = got.records[n - 1].seq;
	return n;
}

/* Fills from the samples until nothing more is granted; the number of batches. */
static unsigned fill_all(struct window *w, struct lanes *ls, uint64_t *last)
{
	uint64_t before = *last;
	unsigned batches = 0;
	uint64_t epoch;
	int n;

	while ((n = fill(w, ls, &epoch, last)) > 0) {
		assert_int_equal(epoch, 7);
		assert_int_equal(*last, before + (uint64_t)n);
		before = *last;
		batches++;
	}
	return batches;
}

static void batches_stay_within_the_grant(void **state unused_arg)
{
	struct lanes ls = filled(1000, 500);
	struct wire_hello_ack ack = grant(20000, 3);
	struct window w;
	uint64_t last = 0;

	assert_int_equal(window_open(&w, &ack, NULL), 0);
	assert_int_equal(fill_all(&w, &ls, &last), 1); /* bytes are the limit */
	assert_true(w.bytes <= 20000 && last > 30);
	while (last < 1000) {
		assert_int_equal(spool_ack(ls.of[LANE_SAMPLES].spool, last), 0);
		window_acked(&w, LANE_SAMPLES, last);
		assert_int_equal(w.bytes, 0);
		assert_true(fill_all(&w, &ls, &last) >= 1);
		assert_true(w.bytes <= 20000);
	}
	lanes_fini(&ls);
}

static void batches_are_counted_too(void **state unused_arg)
{
	struct lanes ls = filled(100, 100000);
	struct wire_hello_ack ack = grant(UINT32_MAX, 3);
	struct window w;
	uint64_t last = 0;

	assert_int_equal(window_open(&w, &ack, NULL), 0);
	assert_int_equal(fill_all(&w, &ls, &last), 3);
	assert_int_equal(last, 6);         /* two such records in a frame */
	window_acked(&w, LANE_SAMPLES, 1); /* half of the first: still under way */
	assert_int_equal(fill_all(&w, &ls, &last), 0);
	window_acked(&w, LANE_SAMPLES, 4);
	assert_int_equal(fill_all(&w, &ls, &last), 2);
	lanes_fini(&ls);
}

static void the_largest_record_always_goes(void **state unused_arg)
{
	struct lanes ls = filled(3, RECORD_MAX_BODY);
	struct wire_hello_ack ack = grant(1, 1);
	struct window w;
	uint64_t last = 0;

	assert_int_equal(window_open(&w, &ack, NULL), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(fill_all(&w, &ls, &last), 1);
		assert_int_equal(last, i);
		window_acked(&w, LANE_SAMPLES, i);
	}
	lanes_fini(&ls);
}

static void urgent_records_go_first(void **state unused_arg)
{
	struct lanes ls = filled(100, 500);
	struct wire_hello_ack ack = grant(512 * 1024, 4);
	struct window w;
	uint64_t epoch;
	uint64_t last;

	assert_int_equal(window_open(&w, &ack, NULL), 0);
	add(&ls, WIRE_EVENT, 1, 100);
	add(&ls, WIRE_KILL, 14, 2000);
	assert_int_equal(fill(&w, &ls, &epoch, &last), 15); /* a burst in one batch */
	assert_int_equal(epoch, 8);
	assert_int_equal(fill(&w, &ls, &epoch, &last), 100);
	assert_int_equal(epoch, 7);
	lanes_fini(&ls);
}

/* Bytes or batches: what samples hold of the grant keeps no kill back. */
static void one_urgent_batch_may_always_be_under_way(void **state unused_arg)
{
	const struct wire_hello_ack grants[] = {grant(20000, 64), grant(UINT32_MAX, 1)};

	for (size_t i = 0; i < ARRAY_SIZE(grants); i++) {
		struct lanes ls = filled(1000, 500);
		struct window w;
		uint64_t epoch;
		uint64_t samples = 0;
		uint64_t last;

		assert_int_equal(window_open(&w, &grants[i], NULL), 0);
		assert_true(fill_all(&w, &ls, &samples) >= 1);
		add(&ls, WIRE_KILL, 3, 30000); /* more than the grant, less than a frame */
		assert_int_equal(fill(&w, &ls, &epoch, &last), 3);
		assert_int_equal(epoch, 8);
		add(&ls, WIRE_KILL, 1, 100);
		assert_int_equal(fill(&w, &ls, &epoch, &last), 0);
		/* stored samples make room; the kill goes first, and only then samples */
		window_acked(&w, LANE_SAMPLES, samples);
		assert_int_equal(w.n, 1);
		assert_int_equal(fill(&w, &ls, &epoch, &last), 0); /* its like holds the rest */
		window_acked(&w, LANE_URGENT, 3);
		assert_int_equal(w.bytes, 0);
		assert_int_equal(fill(&w, &ls, &epoch, &last), 1);
		assert_int_equal(epoch, 8);
		assert_int_equal(last, 4);
		lanes_fini(&ls);
	}
}

static void each_lane_is_acked_for_itself(void **state unused_arg)
{
	struct lanes ls = filled(10, 500);
	struct wire_hello_ack ack = grant(512 * 1024, 4);
	struct window w;
	uint64_t epoch;
	uint64_t last;

	assert_int_equal(window_open(&w, &ack, NULL), 0);
	add(&ls, WIRE_KILL, 2, 2000);
	assert_int_equal(fill(&w, &ls, &epoch, &last), 2);
	assert_int_equal(fill(&w, &ls, &epoch, &last), 10);
	assert_int_equal(w.n, 2);
	window_acked(&w, LANE_URGENT, 2);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.batches[0].lane, LANE_SAMPLES);
	window_acked(&w, LANE_SAMPLES, 9);
	assert_int_equal(w.n, 1);
	window_acked(&w, LANE_SAMPLES, 10);
	assert_int_equal(w.n + w.bytes, 0);
	lanes_fini(&ls);
}

/* More batches than are told apart: they are charged, and freed with the last. */
static void many_small_batches_count_by_their_bytes(void **state unused_arg)
{
	struct wire_hello_ack ack = grant(4 << 20, 65536);
	struct lanes ls = filled(0, 0);
	struct window w;
	struct error err = {""};
	uint64_t epoch;
	uint64_t last = 0;
	size_t bytes;

	assert_int_equal(window_open(&w, &ack, &err), 0);
	for (unsigned i = 1; i <= 3 * WINDOW_MAX_BATCHES; i++) {
		(void)!spool_add(ls.of[LANE_SAMPLES].spool, WIRE_TICK, true, 1, "x", 1);
		assert_int_equal(fill(&w, &ls, &epoch, &last), 1);
		assert_int_equal(last, i);
	}
	assert_int_equal(w.n, WINDOW_MAX_BATCHES);
	bytes = w.bytes;
	assert_true(bytes > 3 * (size_t)WINDOW_MAX_BATCHES);
	window_acked(&w, LANE_SAMPLES, WINDOW_MAX_BATCHES);
	assert_int_equal(w.n, 1);
	assert_true(w.bytes > bytes / 2 && w.bytes < bytes);
	window_acked(&w, LANE_SAMPLES, last);
	assert_int_equal(w.n + w.bytes, 0);
	lanes_fini(&ls);
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
	assert_true(w.max_batches == UINT32_MAX);
	assert_int_equal(w.max_frame, FRAME_MAX_PAYLOAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_stay_within_the_grant),
		cmocka_unit_test(batches_are_counted_too),
		cmocka_unit_test(the_largest_record_always_goes),
		cmocka_unit_test(urgent_records_go_first),
		cmocka_unit_test(one_urgent_batch_may_always_be_under_way),
		cmocka_unit_test(each_lane_is_acked_for_itself),
		cmocka_unit_test(many_small_batches_count_by_their_bytes),
		cmocka_unit_test(impossible_grants_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
