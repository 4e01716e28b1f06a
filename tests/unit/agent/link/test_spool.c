/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/link/spool.h"

#include <errno.h>

#include "tests/support/test.h"

#include "tests/support/alloc.h"

#define ROOMY (1u << 20)

static struct spool *make(size_t max)
{
	struct spool *s = NULL;

	assert_int_equal(spool_new(max, &s), 0);
	return s;
}

static enum spool_result add(struct spool *s, enum wire_record kind, bool keyframe, size_t len)
{
	static const uint8_t body[8192];

	return spool_add(s, kind, keyframe, 1000, body, len);
}

/* Sends everything; returns how many records went and checks that numbers have no hole. */
static unsigned send_all(struct spool *s, uint64_t *next)
{
	struct spool_view v;
	unsigned n = 0;

	while (spool_peek(s, &v)) {
		assert_int_equal(v.seq, *next);
		*next = (v.kind == WIRE_GAP ? v.gap.to_seq : v.seq) + 1;
		spool_sent(s);
		n++;
	}
	return n;
}

static void assert_sum(const struct spool *s)
{
	struct spool_stats st;

	spool_stats(s, &st);
	assert_int_equal(st.produced, st.acked + st.held_records + st.held_gapped);
}

static void numbers_have_no_holes(void **state unused_arg)
{
	struct spool *s = make(ROOMY);
	uint64_t next = 1;

	assert_int_equal(add(s, WIRE_TICK, true, 100), SPOOL_KEPT);
	assert_int_equal(add(s, WIRE_EVENT, false, 0), SPOOL_KEPT);
	assert_int_equal(add(s, WIRE_TICK, false, 10), SPOOL_KEPT);
	assert_int_equal(spool_seq_min(s), 1);
	assert_int_equal(spool_seq_max(s), 3);
	assert_int_equal(send_all(s, &next), 3);
	assert_int_equal(next, 4);
	assert_int_equal(spool_ack(s, 4), -ERANGE);
	assert_int_equal(spool_ack(s, 2), 0);
	assert_int_equal(spool_ack(s, 1), 0); /* an old ack says nothing new */
	assert_int_equal(spool_seq_min(s), 3);
	assert_sum(s);
	spool_free(&s);
	assert_null(s);
}

static void unacked_is_sent_again(void **state unused_arg)
{
	struct spool *s = make(ROOMY);
	struct spool_view v;
	uint64_t next = 1;

	for (int i = 0; i < 5; i++)
		assert_int_equal(add(s, WIRE_TICK, i == 0, 10), SPOOL_KEPT);
	send_all(s, &next);
	assert_int_equal(spool_ack(s, 1), 0);
	/* the collector committed 3, the ack of 2 and 3 was lost with the connection */
	assert_int_equal(spool_rewind(s, 3), 0);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.seq, 4);
	assert_int_equal(spool_rewind(s, 6), -ERANGE);
	spool_free(&s);
}

static void oldest_group_goes_whole_and_events_stay(void **state unused_arg)
{
	struct spool *s = make(7500);
	struct spool_view v;

	/* [K d e d] [K d ...]: the first group must go as a whole around the event */
	assert_int_equal(add(s, WIRE_TICK, true, 1000), SPOOL_KEPT);
	assert_int_equal(add(s, WIRE_TICK, false, 1000), SPOOL_KEPT);
	assert_int_equal(add(s, WIRE_EVENT, false, 100), SPOOL_KEPT);
	assert_int_equal(add(s, WIRE_TICK, false, 1000), SPOOL_KEPT);
	assert_int_equal(add(s, WIRE_TICK, true, 1000), SPOOL_KEPT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(add(s, WIRE_TICK, false, 1000), SPOOL_KEPT);

	assert_true(spool_peek(s, &v));
	assert_int_equal(v.kind, WIRE_GAP);
	assert_int_equal(v.seq, 1);
	assert_int_equal(v.gap.to_seq, 2);
	assert_int_equal(v.gap.records, 2);
	assert_int_equal(v.gap.bytes, 2000);
	assert_int_equal(v.gap.reason, WIRE_GAP_SPOOL_FULL);
	spool_sent(s);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.kind, WIRE_EVENT);
	assert_int_equal(v.seq, 3);
	spool_sent(s);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.kind, WIRE_GAP);
	assert_int_equal(v.gap.to_seq, 4);
	spool_sent(s);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.kind, WIRE_TICK);
	assert_int_equal(v.seq, 5);
	assert_sum(s);
	spool_free(&s);
}

static void losing_the_newest_group_asks_for_a_keyframe(void **state unused_arg)
{
	struct spool *s = make(4000);
	struct spool_stats st;

	assert_int_equal(add(s, WIRE_TICK, true, 2000), SPOOL_KEPT);
	assert_int_equal(add(s, WIRE_TICK, false, 3000), SPOOL_WANTS_KEYFRAME);
	/* a delta would not decode: it goes into the gap, and the wish stands */
	assert_int_equal(add(s, WIRE_TICK, false, 10), SPOOL_WANTS_KEYFRAME);
	assert_int_equal(add(s, WIRE_EVENT, false, 10), SPOOL_WANTS_KEYFRAME);
	spool_stats(s, &st);
	assert_int_equal(st.dropped, 3);
	assert_int_equal(st.held_records, 1);
	assert_int_equal(add(s, WIRE_TICK, true, 500), SPOOL_KEPT);
	assert_int_equal(add(s, WIRE_TICK, false, 10), SPOOL_KEPT);
	assert_sum(s);
	spool_free(&s);
}

static void events_alone_stay_bounded(void **state unused_arg)
{
	struct spool *s = make(5000);
	struct spool_stats st;

	for (int i = 0; i < 1000; i++)
		assert_int_equal(add(s, WIRE_EVENT, false, 300), SPOOL_WANTS_KEYFRAME);
	spool_stats(s, &st);
	assert_true(st.bytes <= 5000);
	assert_true(st.held_records > 5);
	assert_int_equal(st.held_records + st.held_gapped, 1000);
	spool_free(&s);
}

static void kills_go_last(void **state unused_arg)
{
	struct spool *s = make(5000);
	struct spool_stats st;
	struct spool_view v;
	uint64_t next = 1;
	unsigned kills = 0;

	for (int i = 0; i < 300; i++) {
		(void)!add(s,
			   i == 0 || i == 150 ? WIRE_KILL
			   : i % 2            ? WIRE_EVENT
					      : WIRE_POSTURE,
			   false, 300);
		assert_sum(s);
	}
	spool_stats(s, &st);
	assert_true(st.bytes <= 5000 && st.dropped > 250);
	while (spool_peek(s, &v)) {
		assert_int_equal(v.seq, next);
		next = (v.kind == WIRE_GAP ? v.gap.to_seq : v.seq) + 1;
		if (v.kind == WIRE_KILL)
			assert_int_equal(v.seq, kills++ ? 151 : 1);
		spool_sent(s);
	}
	assert_int_equal(kills, 2);
	assert_int_equal(next, 301);
	spool_free(&s);
}

/* Then the oldest of them go, too, and nothing grows. */
static void kills_alone_stay_bounded(void **state unused_arg)
{
	struct spool *s = make(5000);
	struct spool_stats st;
	struct spool_view v;

	for (int i = 0; i < 1000; i++)
		(void)!add(s, WIRE_KILL, false, 300);
	spool_stats(s, &st);
	assert_true(st.bytes <= 5000 && st.held_records > 5);
	assert_int_equal(st.held_records + st.held_gapped, 1000);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.kind, WIRE_GAP);
	assert_int_equal(v.gap.to_seq, 1000 - st.held_records);
	spool_free(&s);
}

static void what_the_collector_lost_becomes_a_gap(void **state unused_arg)
{
	struct spool *s = make(ROOMY);
	struct spool_view v;
	uint64_t next = 1;

	for (int i = 0; i < 9; i++)
		assert_int_equal(add(s, WIRE_TICK, i == 0, 10), SPOOL_KEPT);
	send_all(s, &next);
	assert_int_equal(spool_ack(s, 7), 0);
	assert_int_equal(spool_rewind(s, 4), 0);
	assert_sum(s);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.kind, WIRE_GAP);
	assert_int_equal(v.seq, 5);
	assert_int_equal(v.gap.to_seq, 7);
	next = 5;
	assert_int_equal(send_all(s, &next), 3);
	assert_int_equal(spool_ack(s, 9), 0);
	assert_sum(s);
	spool_free(&s);
}

static void a_gap_that_was_sent_does_not_grow(void **state unused_arg)
{
	struct spool *s = make(3000);
	struct spool_view v;
	uint64_t next = 1;

	for (int i = 0; i < 3; i++)
		assert_int_not_equal(add(s, WIRE_TICK, i == 0, 2900), 7);
	send_all(s, &next);
	assert_int_equal(next, 4);
	(void)!add(s, WIRE_TICK, false, 10);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.seq, 4);
	assert_int_equal(v.gap.to_seq, 4);
	/* sent and stored in part, then a new connection: one gap of what is left */
	assert_int_equal(spool_ack(s, 2), 0);
	assert_int_equal(spool_rewind(s, 2), 0);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.seq, 3);
	assert_int_equal(v.gap.to_seq, 4);
	assert_sum(s);
	spool_free(&s);
}

/* What a collector would hold: each number once, a delta only where its keyframe still counts. */
struct far_end {
	uint64_t committed;
	bool decodable;
	uint64_t undecodable;
};

static void far_take(struct far_end *f, const struct spool_view *v, const bool *is_key,
		     const bool *is_tick)
{
	uint64_t to = v->kind == WIRE_GAP ? v->gap.to_seq : v->seq;

	if (to <= f->committed)
		return;
	assert_int_equal(v->seq, f->committed + 1);
	f->committed = to;
	/* a gap over ticks means that deltas need a new keyframe */
	for (uint64_t i = v->seq; v->kind == WIRE_GAP && i <= to; i++)
		f->decodable &= !is_tick[i];
	if (v->kind == WIRE_TICK) {
		f->decodable |= is_key[v->seq];
		f->undecodable += !f->decodable;
	}
}

#define OPS 60000

static void random_walk(unsigned seed, size_t max)
{
	static const enum wire_record others[] = {WIRE_EVENT, WIRE_KILL, WIRE_POSTURE};
	static bool is_key[OPS + 2];
	static bool is_tick[OPS + 2];
	struct spool *s = make(max);
	struct far_end far = {0};
	struct spool_view v;
	bool want = true;

	srand(seed);
	for (unsigned op = 0; op < OPS; op++) {
		unsigned what = (unsigned)rand() % 100;

		if (what < 50) {
			bool tick = rand() % 4 != 0;
			bool key = tick && (want || rand() % 20 == 0);

			is_key[spool_seq_max(s) + 1] = key;
			is_tick[spool_seq_max(s) + 1] = tick;
			want = add(s, tick ? WIRE_TICK : others[rand() % 3], key,
				   (size_t)(rand() % 600)) == SPOOL_WANTS_KEYFRAME;
		} else if (what < 90) {
			if (spool_peek(s, &v)) {
				if (v.kind == WIRE_TICK && far.committed + 1 < v.seq)
					fail_msg("hole before %llu", (unsigned long long)v.seq);
				far_take(&far, &v, is_key, is_tick);
				spool_sent(s);
			}
		} else if (what < 98) {
			/* an ack of anything that was committed and not acked yet */
			uint64_t from = spool_seq_min(s) - 1;

			if (far.committed > from)
				assert_int_equal(spool_ack(s,
							   from + 1 +
								   (uint64_t)rand() %
									   (far.committed - from)),
						 0);
		} else {
			assert_int_equal(spool_rewind(s, far.committed), 0);
		}
		if (op % 16 == 0)
			assert_sum(s);
	}
	assert_int_equal(spool_rewind(s, far.committed), 0);
	while (spool_peek(s, &v)) {
		far_take(&far, &v, is_key, is_tick);
		spool_sent(s);
	}
	assert_int_equal(far.committed, spool_seq_max(s));
	assert_int_equal(spool_ack(s, far.committed), 0);
	assert_int_equal(far.undecodable, 0);
	assert_sum(s);
	spool_free(&s);
}

static void random_operations_keep_the_sum(void **state unused_arg)
{
	for (unsigned seed = 1; seed <= 12; seed++)
		random_walk(seed, seed % 3 == 0 ? ROOMY : 3000 * seed);
}

/* Without memory every record still has its number, in the spool or in a gap. */
static void no_memory_loses_nothing_uncounted(void **state unused_arg)
{
	for (unsigned at = 1;; at++) {
		struct spool *s = make(ROOMY);
		struct spool_stats st;
		uint64_t next = 1;
		bool hit = false;

		for (unsigned i = 0; i < 6; i++) {
			if (i == 2)
				alloc_fail_at(at);
			(void)!add(s, i % 3 == 1 ? WIRE_EVENT : WIRE_TICK, i % 3 == 0, 50);
			if (i == 4) {
				hit = alloc_failed();
				alloc_fail_off();
			}
		}
		assert_sum(s);
		send_all(s, &next);
		spool_stats(s, &st);
		assert_int_equal(st.produced, 6);
		assert_int_equal(next, 7);
		assert_int_equal(spool_ack(s, 6), 0);
		assert_sum(s);
		spool_free(&s);
		if (!hit)
			break;
		assert_true(st.dropped >= 1);
	}
}

/* Two failures in a row leave even the gap unwritten until memory is back. */
static void a_debt_is_paid_later(void **state unused_arg)
{
	struct spool *s = make(ROOMY);
	struct spool_view v;

	for (int i = 0; i < 4; i++) {
		/* item and gap: fail the first; the second call then fails too */
		alloc_fail_at(1);
		(void)!add(s, WIRE_TICK, true, 10);
		alloc_fail_off();
		assert_sum(s);
	}
	assert_int_equal(add(s, WIRE_TICK, true, 10), SPOOL_KEPT);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.kind, WIRE_GAP);
	assert_int_equal(v.gap.to_seq, 4);
	alloc_fail_at(1);
	{
		struct spool *none = NULL;

		assert_int_equal(spool_new(1, &none), -ENOMEM);
	}
	alloc_fail_off();
	spool_free(&s);
}

/* ---- what is on the disk ---- */

/* A disk that has what it is told to have. */
struct shelf {
	uint64_t lost_from, lost_to;
	unsigned loads;
};

static void load(void *arg, uint64_t seq, uint64_t to, struct spool_view *ret)
{
	static const uint8_t body[1];
	struct shelf *d = arg;

	d->loads++;
	*ret = (struct spool_view){.seq = seq, .kind = WIRE_EVENT, .body = body, .len = 1};
	if (seq < d->lost_from || seq > d->lost_to)
		return;
	ret->kind = WIRE_GAP;
	ret->body = NULL;
	ret->gap = (struct wire_gap){.to_seq = MIN_OF(to, d->lost_to), .reason = WIRE_GAP_CORRUPT};
}

static void what_the_disk_has_leaves_memory_and_stays_held(void **state unused_arg)
{
	struct shelf shelf = {0};
	const struct spool_disk disk = {load, &shelf};
	struct spool *s = make(8192);
	struct spool_stats st;
	uint64_t next = 1;

	spool_use_disk(s, &disk);
	for (uint64_t i = 1; i <= 100; i++) {
		assert_int_equal(add(s, WIRE_KILL, false, 500), SPOOL_WANTS_KEYFRAME);
		spool_on_disk(s, i);
		assert_sum(s);
	}
	spool_stats(s, &st);
	assert_int_equal(st.held_records, 100);
	assert_true(st.held_on_disk >= 85 && st.bytes <= 8192);
	assert_int_equal(spool_disk_end(s), st.held_on_disk);
	assert_int_equal(send_all(s, &next), 100);
	assert_int_equal(shelf.loads, st.held_on_disk);
	assert_int_equal(spool_ack(s, 40), 0);
	assert_int_equal(spool_rewind(s, 50), 0);
	next = 51;
	assert_int_equal(send_all(s, &next), 50);
	assert_int_equal(spool_ack(s, 100), 0);
	spool_stats(s, &st);
	assert_int_equal(st.bytes, 0);
	spool_free(&s);
}

static void what_the_disk_lost_is_a_gap_also_without_memory(void **state unused_arg)
{
	for (unsigned at = 1; at < 8; at++) {
		struct shelf shelf = {.lost_from = 10, .lost_to = 19};
		const struct spool_disk disk = {load, &shelf};
		struct spool *s = make(8192);
		struct spool_stats st;
		uint64_t next = 1;

		spool_use_disk(s, &disk);
		assert_int_equal(spool_restore(s, 1, 50), 0);
		alloc_fail_at(at);
		assert_int_equal(send_all(s, &next), 41);
		alloc_fail_off();
		assert_int_equal(next, 51);
		assert_sum(s);
		assert_int_equal(spool_rewind(s, 15), 0);
		next = 16;
		assert_int_equal(send_all(s, &next), 32);
		spool_stats(s, &st);
		assert_int_equal(st.held_gapped, 4);
		assert_sum(s);
		assert_int_equal(spool_ack(s, 50), 0);
		spool_free(&s);
	}
}

static void an_old_stream_may_end_in_doubt(void **state unused_arg)
{
	struct shelf shelf = {0};
	const struct spool_disk disk = {load, &shelf};
	struct spool *s = make(8192);
	struct spool_view v;
	uint64_t next = 5;

	spool_use_disk(s, &disk);
	assert_int_equal(spool_restore(s, 5, 8), 0);
	assert_int_equal(spool_end_unclean(s, 7, 9), 0);
	assert_int_equal(spool_seq_min(s), 5);
	assert_int_equal(spool_seq_max(s), 9);
	/* the collector has less than the disk: what is missing went for want of room */
	assert_int_equal(spool_rewind(s, 2), 0);
	assert_true(spool_peek(s, &v));
	assert_int_equal(v.gap.to_seq, 4);
	assert_int_equal(v.gap.reason, WIRE_GAP_SPOOL_FULL);
	spool_sent(s);
	for (; spool_peek(s, &v) && v.kind != WIRE_GAP; next++) {
		assert_int_equal(v.seq, next);
		spool_sent(s);
	}
	assert_int_equal(v.seq, 9);
	assert_int_equal(v.gap.reason, WIRE_GAP_UNCLEAN_END);
	assert_int_equal(v.gap.records, 0); /* nobody knows that there was one */
	spool_sent(s);
	assert_false(spool_waits(s));
	spool_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_have_no_holes),
		cmocka_unit_test(unacked_is_sent_again),
		cmocka_unit_test(oldest_group_goes_whole_and_events_stay),
		cmocka_unit_test(losing_the_newest_group_asks_for_a_keyframe),
		cmocka_unit_test(events_alone_stay_bounded),
		cmocka_unit_test(kills_go_last),
		cmocka_unit_test(kills_alone_stay_bounded),
		cmocka_unit_test(what_the_collector_lost_becomes_a_gap),
		cmocka_unit_test(a_gap_that_was_sent_does_not_grow),
		cmocka_unit_test(random_operations_keep_the_sum),
		cmocka_unit_test(no_memory_loses_nothing_uncounted),
		cmocka_unit_test(a_debt_is_paid_later),
		cmocka_unit_test(what_the_disk_has_leaves_memory_and_stays_held),
		cmocka_unit_test(what_the_disk_lost_is_a_gap_also_without_memory),
		cmocka_unit_test(an_old_stream_may_end_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
