/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/snapshot.h"

#include <string.h>

#include "agent/act/snapshot_print.h"
#include "tests/support/test.h"

static void fill(struct buf *b, const char *text)
{
	buf_reset(b);
	buf_puts(b, text);
	buf_putc(b, 0);
	b->len--;
}

static void rows_are_read_in_their_order(void **state unused_arg)
{
	const struct snapshot_layout *layout = snapshot_layout(SNAPSHOT_TRACEMALLOC);
	auto_buf struct buf b = BUF_INIT(4096);
	struct snapshot_row r;
	const char *at = NULL;

	fill(&b, "total\t-5\t7\t900\nrow\t100\t2\t300\t4\tapp.py:12\nabout\ta.py:1 < b.py:2\n"
		 "row\t50\t-1\t50\t1\tx\x1b.py\xff:3\nrow\tnonsense\nrow\t1\t2\nrow\t1\t2\t3\t4\t\n"
		 "row\t1 2\t3\t4\t5\tx\nabout\tnobody\n");
	assert_true(snapshot_row_next(&b, layout, &at, &r));
	assert_true(r.values[0] == 100 && r.values[1] == 2 && r.values[2] == 300 &&
		    r.values[3] == 4);
	assert_string_equal(r.name, "app.py:12");
	assert_string_equal(r.about, "a.py:1 < b.py:2");
	assert_true(snapshot_row_next(&b, layout, &at, &r));
	assert_string_equal(r.name, "x\\x1b.py\\xff:3");
	assert_string_equal(r.about, "");
	assert_false(snapshot_row_next(&b, layout, &at, &r));
	assert_false(snapshot_row_next(&b, layout, &at, &r));
	buf_reset(&b);
	at = NULL;
	assert_false(snapshot_row_next(&b, layout, &at, &r));
}

static void what_was_not_seen_is_told(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(4096);
	struct command_result r = {.rss_after = 5};
	char note[200];

	fill(&b, "frozen\t300\n");
	assert_string_equal(snapshot_note(&b, note, sizeof(note)), "");
	assert_false(snapshot_refused(&b, &r));
	fill(&b,
	     "frozen\t2000\ncut\tthe time was over\nrefused\ttoo many\nfound\t7\tapp.E\nheap\tx\n");
	assert_string_equal(snapshot_note(&b, note, sizeof(note)),
			    "the time was over; 2000 frozen objects (gc.freeze()) were not looked "
			    "at");
	assert_true(snapshot_refused(&b, &r));
	assert_int_equal(r.status, COMMAND_REFUSED);
	assert_string_equal(r.detail, "too many");
	assert_true(r.rss_after == -1);
	assert_true(snapshot_number(&b, "found") == 7);
	assert_true(snapshot_number(&b, "heap") == -1);
	assert_true(snapshot_number(&b, "none") == -1);
}

/* More than a record has room for: as many of the largest as fit. */
static void what_does_not_fit_is_left_out(void **state unused_arg)
{
	const struct snapshot_layout *layout = snapshot_layout(SNAPSHOT_REFERRERS);
	const int64_t totals[SNAPSHOT_VALUES_MAX] = {10, 3};
	const struct process p = {.pid = 42, .start_ticks = 9};
	const uint8_t id[16] = {1};
	auto_buf struct buf answer = BUF_INIT(1 << 20);
	auto_buf struct buf body = BUF_INIT(16384);
	struct action_order o = {.by_hand = true, .command_id = id, .text = "app.E", .body = &body};
	auto_arena struct arena arena;
	struct command_result r = {.detail = "done"};
	struct wire_snapshot s;
	struct error err;
	char line[1100] = "row\t5\t";

	memset(line + 6, 'x', 1000);
	line[1006] = '\n';
	for (int i = 0; i < 100; i++)
		buf_puts(&answer, line);
	buf_putc(&answer, 0);
	answer.len--;
	snapshot_keep(&p, &o, layout, &answer, totals, &r);
	assert_string_equal(r.detail, "done");
	arena_init(&arena, WIRE_BUDGET(body.len));
	assert_int_equal(wire_unpack_snapshot(&arena, body.data, body.len, &s, &err), 0);
	assert_true(s.n_rows > 5 && s.n_rows < 20);
	assert_string_equal(s.subject, "app.E");
	assert_int_equal(s.reason, CENSUS_REASON_BY_HAND);
	assert_true(s.totals[0] == 10 && s.totals[1] == 3 && !s.has_command && s.pid == 42);
}

static void what_is_no_snapshot_is_not_printed(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(64);
	struct error err = {""};
	char text[64] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	buf_puts(&b, "nonsense");
	assert_true(snapshot_print(out, &b, false, &err) < 0);
	assert_true(snapshot_print(out, &b, true, &err) < 0);
	fclose(out);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_read_in_their_order),
		cmocka_unit_test(what_was_not_seen_is_told),
		cmocka_unit_test(what_does_not_fit_is_left_out),
		cmocka_unit_test(what_is_no_snapshot_is_not_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
