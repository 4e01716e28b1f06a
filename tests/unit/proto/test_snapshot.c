/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot on the wire, and the table of its kinds. */
#include <errno.h>
#include <string.h>

#include "proto/command.h"
#include "proto/wire.h"
#include "tests/support/test.h"

static struct wire_snapshot_row two_rows[] = {
	{"module app . CACHE", "dict", {1 << 20, 4096, 700, 300}},
	{"(root not found)", "list", {5, 5, 1, -1}},
};

static struct wire_snapshot good(void)
{
	return (struct wire_snapshot){.t_wall_us = 1700000000000000,
				      .boot_id = {1, 2, 3},
				      .pid = 4711,
				      .start_ticks = 99,
				      .kind = SNAPSHOT_SIZES,
				      .reason = CENSUS_REASON_ASKED,
				      .has_command = true,
				      .command_id = {9, 8, 7},
				      .subject = "",
				      .totals = {15000, 31},
				      .rows = two_rows,
				      .n_rows = 2,
				      .note = "the time was over"};
}

/* Reads what m is on the wire; rows and texts live in a. */
static int again(struct arena *a, const struct wire_snapshot *m, struct wire_snapshot *ret,
		 struct error *err)
{
	auto_buf struct buf b = BUF_INIT(512 * 1024);

	wire_pack_snapshot(&b, m);
	assert_int_equal(buf_status(&b), 0);
	arena_init(a, WIRE_BUDGET(512 * 1024));
	return wire_unpack_snapshot(a, b.data, b.len, ret, err);
}

static void a_snapshot_comes_back(void **state unused_arg)
{
	auto_arena struct arena a;
	struct wire_snapshot m = good(), r;
	struct error err;

	assert_int_equal(again(&a, &m, &r, &err), 0);
	assert_true(r.t_wall_us == m.t_wall_us && r.pid == 4711 && r.start_ticks == 99);
	assert_memory_equal(r.command_id, m.command_id, 16);
	assert_int_equal(r.kind, SNAPSHOT_SIZES);
	assert_true(r.totals[0] == 15000 && r.totals[1] == 31 && r.totals[2] == 0);
	assert_int_equal(r.n_rows, 2);
	assert_string_equal(r.rows[0].name, "module app . CACHE");
	assert_string_equal(r.rows[1].about, "list");
	assert_true(r.rows[0].values[0] == 1 << 20 && r.rows[1].values[3] == -1);
	assert_string_equal(r.note, "the time was over");
}

#define REFUSED(m, text)                                               \
	do {                                                           \
		auto_arena struct arena a_;                            \
		struct wire_snapshot r_;                               \
		struct error err_;                                     \
		assert_int_equal(again(&a_, m, &r_, &err_), -EBADMSG); \
		assert_says(err_, text);                               \
	} while (0)

static void what_breaks_a_rule_is_refused(void **state unused_arg)
{
	static struct wire_snapshot_row many[WIRE_MAX_ROWS + 1];
	struct wire_snapshot m = good();

	m.pid = 0;
	REFUSED(&m, "'pid' of 0");
	m = good();
	m.reason = (enum census_reason)9;
	REFUSED(&m, "unknown reason 9");
	m = good();
	m.kind = (enum snapshot_kind)9;
	m.n_rows = 0;
	REFUSED(&m, "unknown kind 9");
	m = good();
	m.kind = SNAPSHOT_REFERRERS; /* packed with fewer numbers, so it is well formed */
	m.subject = "a\x1b[2J";
	REFUSED(&m, "not printable");
	m = good();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = two_rows[0];
	m.rows = many;
	m.n_rows = ARRAY_SIZE(many);
	REFUSED(&m, "257 rows, 256 are allowed");
	m.n_rows = 1;
	many[0].name = "";
	REFUSED(&m, "a row without name");
}

/* Another kind's numbers. */
static void numbers_are_those_of_the_kind(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(4096);
	auto_arena struct arena a;
	struct wire_snapshot m = good(), r;
	struct error err;
	uint8_t *kind;

	wire_pack_snapshot(&b, &m);
	/* field 5, varint */
	kind = memmem(b.data, b.len, ((uint8_t[]){5 << 3, SNAPSHOT_SIZES}), 2);
	if (!kind)
		fail_msg("the kind is not among the bytes");
	else
		kind[1] = SNAPSHOT_TRACEMALLOC;
	arena_init(&a, WIRE_BUDGET(4096));
	assert_int_equal(wire_unpack_snapshot(&a, b.data, b.len, &r, &err), -EBADMSG);
	assert_says(err, "2 numbers instead of 4");
}

static void kinds_are_found(void **state unused_arg)
{
	assert_null(snapshot_layout(0));
	assert_null(snapshot_layout_find("movie"));
	assert_null(snapshot_layout_of(COMMAND_CENSUS));
	assert_int_equal(snapshot_layout_of(COMMAND_REFERRERS)->kind, SNAPSHOT_REFERRERS);
	assert_int_equal(snapshot_layout_find("sizes")->kind, SNAPSHOT_SIZES);
	for (unsigned i = 1; snapshot_layout(i); i++) {
		const struct snapshot_layout *l = snapshot_layout(i);

		assert_string_equal(command_action_word(l->action), l->word);
		assert_in_range(snapshot_names(l->values), 1, SNAPSHOT_VALUES_MAX);
		assert_in_range(snapshot_names(l->totals), 1, SNAPSHOT_VALUES_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_comes_back),
		cmocka_unit_test(what_breaks_a_rule_is_refused),
		cmocka_unit_test(numbers_are_those_of_the_kind),
		cmocka_unit_test(kinds_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
