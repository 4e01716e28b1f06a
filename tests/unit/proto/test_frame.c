/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <errno.h>

#include "tests/support/test.h"

static void a_frame_comes_back(void **state unused_arg)
{
	uint8_t raw[FRAME_HEADER_SIZE + 5] = {0};
	struct error err = {""};
	struct frame f = {0};

	frame_header(raw, FRAME_ACK, 5);
	memcpy(raw + FRAME_HEADER_SIZE, "hello", 5);
	for (size_t have = 0; have < sizeof(raw); have++)
		assert_int_equal(frame_parse(raw, have, 4096, &f, &err), 0);
	assert_int_equal(frame_parse(raw, sizeof(raw), 4096, &f, &err), sizeof(raw));
	assert_int_equal(f.type, FRAME_ACK);
	assert_int_equal(f.len, 5);
	assert_memory_equal(f.payload, "hello", 5);
}

static void the_header_is_fixed(void **state unused_arg)
{
	const uint8_t want[] = {0x00, 0x01, 0x02, 0x03, 3, 0};
	uint8_t raw[FRAME_HEADER_SIZE];

	frame_header(raw, FRAME_BATCH, 0x010203);
	assert_memory_equal(raw, want, sizeof(want));
}

static void the_length_is_judged_before_the_payload(void **state unused_arg)
{
	const uint8_t raw[] = {0x00, 0x00, 0x10, 0x01, FRAME_HELLO, 0};
	const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, FRAME_HELLO, 0};
	struct error err = {""};
	struct frame f;

	assert_int_equal(frame_parse(raw, sizeof(raw), 4096, &f, &err), -EMSGSIZE);
	assert_says(err, "payload of 4097 bytes exceeds 4096");
	assert_int_equal(frame_parse(raw, sizeof(raw), 4097, &f, &err), 0);
	assert_int_equal(frame_parse(huge, sizeof(huge), SIZE_MAX, &f, &err), -EMSGSIZE);
	assert_says(err, "exceeds 262144");
}

static void unknown_types_and_flags_are_refused(void **state unused_arg)
{
	uint8_t raw[FRAME_HEADER_SIZE] = {0};
	struct error err = {""};
	struct frame f;

	assert_int_equal(frame_parse(raw, sizeof(raw), 4096, &f, &err), -EPROTO);
	raw[4] = 11;
	assert_int_equal(frame_parse(raw, sizeof(raw), 4096, &f, &err), -EPROTO);
	assert_says(err, "unknown type 11");
	raw[4] = FRAME_ACK;
	raw[5] = 1;
	assert_int_equal(frame_parse(raw, sizeof(raw), 4096, &f, &err), -EPROTO);
	assert_says(err, "unknown flags 0x01");
	assert_int_equal(frame_parse(raw, sizeof(raw), 4096, &f, NULL), -EPROTO);
}

static void every_type_has_a_name(void **state unused_arg)
{
	assert_string_equal(frame_name(FRAME_HELLO), "HELLO");
	assert_string_equal(frame_name(FRAME_ENROLL_REPLY), "ENROLL_REPLY");
	assert_null(frame_name(0));
	assert_null(frame_name(255));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_comes_back),
		cmocka_unit_test(the_header_is_fixed),
		cmocka_unit_test(the_length_is_judged_before_the_payload),
		cmocka_unit_test(unknown_types_and_flags_are_refused),
		cmocka_unit_test(every_type_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
