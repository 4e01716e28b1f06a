/* SPDX-License-Identifier: Apache-2.0 */
/* A segment is cut at every byte and each of its bits is turned: what is left is told exactly. */
#include "agent/link/segment.h"

#include <errno.h>
#include <string.h>

#include "tests/support/test.h"

#define EPOCH UINT64_C(0x1122334455667788)
#define FIRST 1000
#define SIZE  (64u * 1024)

/* Under the sanitizers every bit would take minutes: there each of one byte in 7, in all places of
 * a word. */
#ifdef MEMHERD_ASAN
#define EVERY 7
#else
#define EVERY 1
#endif

static const struct segment_head head = {.lane = 1,
					 .epoch = EPOCH,
					 .first_seq = FIRST,
					 .t_wall_us = 1700000000000000,
					 .t_boot_us = 5000000,
					 .boot_id = {1, 2, 3}};

struct image {
	struct buf b;
	uint64_t n;         /* records */
	size_t begin[2048]; /* where each is, */
	size_t whole[2048]; /* and where it ends, without the zeros behind it */
};

static void begin(struct image *m, size_t max)
{
	buf_init(&m->b, max);
	m->n = 0;
	segment_pack_head(buf_reserve(&m->b, SEGMENT_HEAD), &head);
	m->b.len = SEGMENT_HEAD;
}

static void add(struct image *m, size_t len)
{
	static uint8_t body[SIZE];
	const struct segment_record r = {.seq = FIRST + m->n,
					 .to_seq = FIRST + m->n,
					 .kind = WIRE_TICK,
					 .keyframe = m->n % 10 == 0,
					 .t_us = (int64_t)m->n,
					 .body = body,
					 .len = len};

	for (size_t i = 0; i < len; i++)
		body[i] = (uint8_t)(m->n * 7 + i);
	m->begin[m->n] = m->b.len;
	m->whole[m->n++] = m->b.len + SEGMENT_RECORD + len;
	segment_pack_record(&m->b, EPOCH, &r);
}

/* Exactly 64 KiB. */
static struct image *make(void)
{
	static struct image m;

	begin(&m, SIZE);
	while (SIZE - m.b.len > 400)
		add(&m, 90 + m.n % 150);
	add(&m, SIZE - m.b.len - SEGMENT_RECORD - 3);
	assert_int_equal(buf_status(&m.b), 0);
	assert_int_equal(m.b.len, SIZE);
	return &m;
}

struct sum {
	uint64_t held;
	uint64_t gapped;
	uint64_t first_gap; /* its index */
	bool damaged;
};

/* As the spool opens it: by its head, or by its name if that does not hold. */
static struct sum count(const void *data, size_t len, uint64_t last)
{
	struct segment_reader r;
	struct segment_record rec;
	struct segment_head h;
	uint64_t next = FIRST;
	struct sum s = {0};

	if (segment_unpack_head(data, len, &h) == 0 &&
	    (h.epoch != EPOCH || h.first_seq != FIRST || h.lane != head.lane))
		fail_msg("a damaged head passed");
	segment_read(&r, data, len, EPOCH, FIRST, last);
	while (segment_next(&r, &rec)) {
		if (rec.seq != next || rec.to_seq < rec.seq)
			fail_msg("%ju..%ju after %ju", (uintmax_t)rec.seq, (uintmax_t)rec.to_seq,
				 (uintmax_t)next - 1);
		next = rec.to_seq + 1;
		if (rec.kind != WIRE_GAP) {
			s.held++;
			continue;
		}
		if (rec.gap.reason != WIRE_GAP_CORRUPT || rec.gap.to_seq != rec.to_seq)
			fail_msg("gap %ju", (uintmax_t)rec.seq);
		if (!s.gapped)
			s.first_gap = rec.seq - FIRST;
		s.gapped += rec.to_seq - rec.seq + 1;
	}
	s.damaged = r.damaged;
	return s;
}

static void what_was_written_is_read(void **state unused_arg)
{
	struct image *m = make();
	struct segment_reader r;
	struct segment_record rec;
	struct segment_head h;
	uint8_t again[SEGMENT_HEAD];

	assert_int_equal(segment_unpack_head(m->b.data, m->b.len, &h), 0);
	segment_pack_head(again, &h);
	assert_memory_equal(m->b.data, again, sizeof(again));
	assert_int_equal(h.t_wall_us, head.t_wall_us);
	segment_read(&r, m->b.data, m->b.len, EPOCH, FIRST, 0);
	for (uint64_t i = 0; i < m->n; i++) {
		assert_true(segment_next(&r, &rec));
		assert_int_equal(rec.seq, FIRST + i);
		assert_int_equal(rec.kind, WIRE_TICK);
		assert_int_equal(rec.keyframe, i % 10 == 0);
		assert_int_equal(rec.t_us, i);
		assert_int_equal(rec.len, m->whole[i] - m->begin[i] - SEGMENT_RECORD);
		for (size_t k = 0; k < rec.len; k++)
			assert_int_equal(rec.body[k], (uint8_t)(i * 7 + k));
	}
	assert_false(segment_next(&r, &rec));
	assert_false(r.damaged);
	buf_fini(&m->b);
}

/* Twice: as the newest file of its stream, whose end nobody knows, and as one with another behind.
 */
static void cut_at_every_byte_the_gap_is_exact(void **state unused_arg)
{
	struct image *m = make();
	uint64_t whole = 0;

	for (size_t len = 0; len <= m->b.len; len++) {
		/* of its own size: a read beyond it is seen by the sanitizer */
		uint8_t *cut = malloc(MAX_OF(len, (size_t)1));
		bool part;
		struct sum s;

		assert_non_null(cut);
		memcpy(cut, m->b.data, len);
		while (whole < m->n && m->whole[whole] <= len)
			whole++;
		part = whole < m->n && m->begin[whole] < len;
		s = count(cut, len, 0);
		if (s.held != whole || s.gapped != part || s.damaged != part)
			fail_msg("cut at %zu: %ju held, %ju gapped", len, (uintmax_t)s.held,
				 (uintmax_t)s.gapped);
		if (len % 8 == 1) { /* all of them would take twice as long */
			s = count(cut, len, FIRST + m->n - 1);
			if (s.held != whole || s.held + s.gapped != m->n)
				fail_msg("cut at %zu, end known: %ju held, %ju gapped", len,
					 (uintmax_t)s.held, (uintmax_t)s.gapped);
		}
		free(cut);
	}
	buf_fini(&m->b);
}

static void of_every_bit_that_turns_the_gap_is_exact(void **state unused_arg)
{
	struct image *m = make();
	uint64_t at = 0;

	for (size_t bit = 0; bit < m->b.len * 8; bit++) {
		size_t byte = bit / 8;
		bool harms;
		struct sum s;

		while (at + 1 < m->n && m->begin[at + 1] <= byte)
			at++;
		if (byte % EVERY)
			continue;
		harms = byte >= m->begin[0] && byte < m->whole[at];
		m->b.data[byte] ^= (uint8_t)(1u << bit % 8);
		s = count(m->b.data, m->b.len, 0);
		m->b.data[byte] ^= (uint8_t)(1u << bit % 8);
		if (s.held + s.gapped != m->n || s.gapped != harms || (harms && s.first_gap != at))
			fail_msg("bit %zu of byte %zu: %ju held, %ju gapped", bit % 8, byte,
				 (uintmax_t)s.held, (uintmax_t)s.gapped);
	}
	buf_fini(&m->b);
}

static void a_file_full_of_zeros_behind_lost_one_at_least(void **state unused_arg)
{
	struct image m;
	static const uint8_t zeros[4096];
	struct sum s;

	begin(&m, SIZE);
	add(&m, 100);
	add(&m, 100);
	buf_put(&m.b, zeros, sizeof(zeros));
	s = count(m.b.data, m.b.len, 0);
	assert_int_equal(s.held, 2);
	assert_int_equal(s.gapped, 1);
	/* and records behind such a hole are found again */
	m.n += 3;
	add(&m, 100);
	s = count(m.b.data, m.b.len, 0);
	assert_int_equal(s.held, 3);
	assert_int_equal(s.gapped, 3);
	assert_int_equal(s.first_gap, 2);
	buf_fini(&m.b);
}

static void what_is_stored_already_is_skipped(void **state unused_arg)
{
	struct image m;
	struct segment_reader r;
	struct segment_record rec;

	begin(&m, SIZE);
	for (int i = 0; i < 10; i++)
		add(&m, 50);
	segment_read(&r, m.b.data, m.b.len, EPOCH, FIRST + 7, 0);
	assert_true(segment_next(&r, &rec));
	assert_int_equal(rec.seq, FIRST + 7);
	/* a file that was emptied by its head, whose records were not cut off yet */
	segment_read(&r, m.b.data, m.b.len, EPOCH, FIRST + 10, 0);
	assert_false(segment_next(&r, &rec));
	assert_false(r.damaged);
	/* what stands behind the beginning of the next file is that one's */
	segment_read(&r, m.b.data, m.b.len, EPOCH, FIRST, FIRST + 1);
	assert_true(segment_next(&r, &rec));
	assert_true(segment_next(&r, &rec));
	assert_false(segment_next(&r, &rec));
	buf_fini(&m.b);
}

static void another_streams_records_do_not_pass(void **state unused_arg)
{
	struct image m;
	struct segment_reader r;
	struct segment_record rec;

	begin(&m, SIZE);
	add(&m, 50);
	segment_read(&r, m.b.data, m.b.len, EPOCH + 1, FIRST, 0);
	assert_true(segment_next(&r, &rec));
	assert_int_equal(rec.kind, WIRE_GAP);
	assert_false(segment_next(&r, &rec));
	buf_fini(&m.b);
}

static void a_gap_is_kept(void **state unused_arg)
{
	struct image m;
	struct segment_reader r;
	struct segment_record rec;
	const struct segment_record gap = {.seq = FIRST,
					   .to_seq = FIRST + 41,
					   .kind = WIRE_GAP,
					   .t_us = 77,
					   .gap = {.to_seq = FIRST + 41,
						   .records = 42,
						   .bytes = 9000,
						   .reason = WIRE_GAP_SPOOL_FULL,
						   .t_first_us = 77,
						   .t_last_us = 99}};

	begin(&m, SIZE);
	segment_pack_record(&m.b, EPOCH, &gap);
	segment_read(&r, m.b.data, m.b.len, EPOCH, FIRST, 0);
	assert_true(segment_next(&r, &rec));
	assert_int_equal(rec.kind, WIRE_GAP);
	assert_int_equal(rec.seq, FIRST);
	assert_int_equal(rec.to_seq, FIRST + 41);
	assert_memory_equal(&rec.gap, &gap.gap, sizeof(gap.gap));
	assert_false(segment_next(&r, &rec));
	segment_read(&r, m.b.data, m.b.len, EPOCH, FIRST + 40, 0); /* the rest of it */
	assert_true(segment_next(&r, &rec));
	assert_int_equal(rec.seq, FIRST + 40);
	assert_int_equal(rec.to_seq, FIRST + 41);
	buf_fini(&m.b);
}

static void a_head_of_another_kind_is_told_apart(void **state unused_arg)
{
	uint8_t bytes[SEGMENT_HEAD];
	struct segment_head h = head;
	struct segment_head got;

	segment_pack_head(bytes, &h);
	assert_int_equal(segment_unpack_head(bytes, sizeof(bytes) - 1, &got), -EBADMSG);
	h.epoch = 0;
	segment_pack_head(bytes, &h);
	assert_int_equal(segment_unpack_head(bytes, sizeof(bytes), &got), -EBADMSG);
	h = head;
	h.first_seq = (uint64_t)INT64_MAX + 1;
	segment_pack_head(bytes, &h);
	assert_int_equal(segment_unpack_head(bytes, sizeof(bytes), &got), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(cut_at_every_byte_the_gap_is_exact),
		cmocka_unit_test(of_every_bit_that_turns_the_gap_is_exact),
		cmocka_unit_test(a_file_full_of_zeros_behind_lost_one_at_least),
		cmocka_unit_test(what_is_stored_already_is_skipped),
		cmocka_unit_test(another_streams_records_do_not_pass),
		cmocka_unit_test(a_gap_is_kept),
		cmocka_unit_test(a_head_of_another_kind_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
