/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_audit.h"

#include <errno.h>

#include "common/str.h"
#include "tests/support/test.h"

static struct audit_row row_of(int64_t id)
{
	return (struct audit_row){.audit_id = id,
				  .ts_us = 1795400000000000 + id,
				  .actor = "rule:leak",
				  .action = "command.issue",
				  .target = "web-1:4711",
				  .doc = "{}"};
}

static void chain_of(struct audit_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		rows[i] = row_of((int64_t)i + 1);
		if (i)
			memcpy(rows[i].prev, rows[i - 1].hash, SHA256_SIZE);
		assert_int_equal(audit_hash(rows[i].prev, &rows[i], rows[i].hash), 0);
	}
}

/* The index of the first row that is refused, or n. */
static size_t walk(const struct audit_row *rows, size_t n, struct error *err)
{
	struct audit_chain c = {.rows = 0};

	for (size_t i = 0; i < n; i++) {
		if (audit_chain_check(&c, &rows[i], err) < 0)
			return i;
	}
	return n;
}

/* Reckoned with sha256sum: 32 zero bytes, then the netstrings. */
static void the_canonical_text_is_fixed(void **state unused_arg)
{
	const uint8_t zero[SHA256_SIZE] = {0};
	const struct audit_row r = {
		.ts_us = 1, .actor = "a", .action = "b", .target = "c", .doc = "{}"};
	uint8_t hash[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];

	assert_int_equal(audit_hash(zero, &r, hash), 0);
	str_hex(hex, hash, sizeof(hash));
	assert_string_equal(hex,
			    "fb485572a6ee3833e12241d2acf1a92dab66a86baa064b2a16fe21638adf92e2");
}

static void no_two_rows_have_one_text(void **state unused_arg)
{
	const uint8_t zero[SHA256_SIZE] = {0};
	struct audit_row a = row_of(1), b = row_of(1);
	uint8_t ha[SHA256_SIZE], hb[SHA256_SIZE];

	a.actor = "ab";
	a.action = "c";
	b.actor = "a";
	b.action = "bc";
	assert_int_equal(audit_hash(zero, &a, ha), 0);
	assert_int_equal(audit_hash(zero, &b, hb), 0);
	assert_memory_not_equal(ha, hb, SHA256_SIZE);
}

static void an_untouched_chain_holds(void **state unused_arg)
{
	struct audit_row rows[5];

	chain_of(rows, 5);
	assert_int_equal(walk(rows, 5, NULL), 5);
}

static void each_edit_is_found_where_it_is(void **state unused_arg)
{
	for (unsigned what = 0; what < 6; what++) {
		struct audit_row rows[5];
		struct error err = {""};

		chain_of(rows, 5);
		switch (what) {
		case 0:
			rows[2].ts_us++;
			break;
		case 1:
			rows[2].actor = "rule:other";
			break;
		case 2:
			rows[2].action = "command.end";
			break;
		case 3:
			rows[2].target = "web-1:4712";
			break;
		case 4:
			rows[2].doc = "{\"a\": 1}";
			break;
		default:
			rows[2].hash[31] ^= 1;
		}
		assert_int_equal(walk(rows, 5, &err), 2);
		assert_says(err, "audit row 3 was changed");
	}
}

static void an_edit_that_mends_its_own_hash_breaks_the_next(void **state unused_arg)
{
	struct audit_row rows[5];
	struct error err = {""};

	chain_of(rows, 5);
	rows[2].actor = "nobody";
	assert_int_equal(audit_hash(rows[2].prev, &rows[2], rows[2].hash), 0);
	assert_int_equal(walk(rows, 5, &err), 3);
	assert_says(err, "audit row 4 does not follow");
}

static void a_removed_or_swapped_row_is_found(void **state unused_arg)
{
	struct audit_row rows[5], gone[4], swap;

	chain_of(rows, 5);
	memcpy(gone, rows, sizeof(gone));
	memcpy(&gone[1], &rows[2], 3 * sizeof(rows[0]));
	assert_int_equal(walk(gone, 4, NULL), 1);
	assert_int_equal(walk(rows + 1, 4, NULL), 0);
	swap = rows[2];
	rows[2] = rows[3];
	rows[3] = swap;
	assert_int_equal(walk(rows, 5, NULL), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_canonical_text_is_fixed),
		cmocka_unit_test(no_two_rows_have_one_text),
		cmocka_unit_test(an_untouched_chain_holds),
		cmocka_unit_test(each_edit_is_found_where_it_is),
		cmocka_unit_test(an_edit_that_mends_its_own_hash_breaks_the_next),
		cmocka_unit_test(a_removed_or_swapped_row_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
