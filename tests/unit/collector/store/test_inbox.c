/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/store/inbox.h"

#include <errno.h>

#include "common/fs.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

static struct inbox *in;
static uint8_t batch[4096];

static int set_up(void **state unused_arg)
{
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(batch); i++) {
		x = x * 1103515245 + 12345;
		batch[i] = x >> 16 & 3;
	}
	return inbox_new(&in);
}

static int tear_down(void **state unused_arg)
{
	inbox_free(&in);
	return 0;
}

/* A stored row, apart from in's memory. */
struct kept {
	int codec;
	size_t len;
	uint8_t d[2 * sizeof(batch)];
};

static struct kept packed(size_t len)
{
	struct inbox_row row;
	struct kept k;

	inbox_pack(in, batch, len, &row);
	assert_true(row.len <= sizeof(k.d));
	k.codec = row.codec;
	k.len = row.len;
	memcpy(k.d, row.d, row.len);
	return k;
}

static int unpack(const struct kept *k, const uint8_t **ret, size_t *ret_len, struct error *err)
{
	const struct inbox_row row = {k->codec, k->d, k->len};

	return inbox_unpack(in, &row, ret, ret_len, err);
}

static void what_was_packed_comes_back(void **state unused_arg)
{
	static const size_t lengths[] = {0, 1, 63, 200, 1000, sizeof(batch)};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct kept k = packed(lengths[i]);
		const uint8_t *back;
		struct error err;
		size_t len;

		assert_int_equal(k.codec, lengths[i] < 64 ? INBOX_PLAIN : INBOX_ZSTD);
		assert_true(k.codec == INBOX_PLAIN || k.len < lengths[i]);
		assert_int_equal(unpack(&k, &back, &len, &err), 0);
		assert_int_equal(len, lengths[i]);
		assert_memory_equal(back, batch, len);
	}
}

static void what_does_not_shrink_stays_plain(void **state unused_arg)
{
	uint8_t noise[512];
	struct inbox_row row;
	uint32_t x = 7;

	for (size_t i = 0; i < sizeof(noise); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		noise[i] = (uint8_t)x;
	}
	inbox_pack(in, noise, sizeof(noise), &row);
	assert_int_equal(row.codec, INBOX_PLAIN);
	assert_ptr_equal(row.d, noise);
}

/* As stored by the first version that compressed, and by the one before. */
static void stored_rows_are_still_read(void **state unused_arg)
{
	auto_buf struct buf plain = BUF_INIT(65536), zstd = BUF_INIT(65536);
	struct inbox_row row;
	const uint8_t *back;
	struct error err;
	size_t len;

	if (fs_read("tests/fixtures/inbox/batch", &plain, &err) < 0 ||
	    fs_read("tests/fixtures/inbox/batch.zst", &zstd, &err) < 0)
		fail_msg("%s", err.msg);
	row = (struct inbox_row){1, plain.data, plain.len};
	assert_int_equal(inbox_unpack(in, &row, &back, &len, &err), 0);
	assert_int_equal(len, plain.len);
	assert_memory_equal(back, plain.data, len);
	row = (struct inbox_row){2, zstd.data, zstd.len};
	assert_int_equal(inbox_unpack(in, &row, &back, &len, &err), 0);
	assert_int_equal(len, plain.len);
	assert_memory_equal(back, plain.data, len);
}

static void damage_is_found(void **state unused_arg)
{
	const struct kept whole = packed(sizeof(batch));
	const uint8_t *back;
	struct error err;
	size_t len;

	for (size_t i = 0; i < whole.len; i++) {
		struct kept k = whole;
		int rc;

		k.d[i] ^= 0x10;
		rc = unpack(&k, &back, &len, &err);
		/* A bit of the frame's head that says nothing may turn over. */
		if (rc == 0) {
			assert_int_equal(len, sizeof(batch));
			assert_memory_equal(back, batch, len);
			continue;
		}
		assert_true(rc == -EBADMSG || rc == -EMSGSIZE);
		assert_int_equal(strncmp(err.msg, "stored batch: ", 14), 0);
	}
	for (size_t n = 0; n < whole.len; n++) {
		struct kept k = whole;

		k.len = n;
		assert_int_equal(unpack(&k, &back, &len, &err), -EBADMSG);
	}
	for (int codec = -1; codec < 5; codec++) {
		struct kept k = whole;

		k.codec = codec;
		if (codec != INBOX_PLAIN && codec != INBOX_ZSTD)
			assert_int_equal(unpack(&k, &back, &len, &err), -EPROTONOSUPPORT);
	}
}

/* Ten bytes may tell of gigabytes. */
static void what_it_unpacks_to_is_bounded(void **state unused_arg)
{
	/* RFC 8878 3.1.1: magic, a single segment whose size has 8 bytes, then that size */
	struct kept k = {INBOX_ZSTD, 13, {0x28, 0xb5, 0x2f, 0xfd, 0xe0}};
	const uint8_t *back;
	struct error err;
	size_t len;

	k.d[5 + 4] = 1; /* 2^32 */
	assert_int_equal(unpack(&k, &back, &len, &err), -EMSGSIZE);
	assert_string_equal(err.msg, "stored batch: 4294967296 bytes unpacked, at most 524288");
	/* A small size told, and more in the frame. */
	k = packed(sizeof(batch));
	assert_int_equal(k.d[4] >> 6, 1); /* its size has two bytes */
	k.d[5] = k.d[6] = 0;
	assert_int_equal(unpack(&k, &back, &len, &err), -EBADMSG);
}

static void without_memory_it_stays_plain(void **state unused_arg)
{
	struct inbox_row row;
	struct error err;
	const uint8_t *back;
	struct kept k = packed(sizeof(batch));
	size_t len;
	unsigned n = 1;

	do {
		inbox_free(&in);
		alloc_fail_at(n++);
		if (inbox_new(&in) < 0) {
			assert_null(in);
			continue;
		}
		inbox_pack(in, batch, sizeof(batch), &row);
		assert_true(row.codec == INBOX_PLAIN || row.codec == INBOX_ZSTD);
	} while (alloc_failed());
	alloc_fail_off();
	for (n = 1; n < 3; n++) {
		inbox_free(&in);
		assert_int_equal(inbox_new(&in), 0);
		alloc_fail_at(n);
		if (unpack(&k, &back, &len, &err) < 0)
			assert_string_equal(err.msg, "no memory for a stored batch");
		alloc_fail_off();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_packed_comes_back),
		cmocka_unit_test(what_does_not_shrink_stays_plain),
		cmocka_unit_test(stored_rows_are_still_read),
		cmocka_unit_test(damage_is_found),
		cmocka_unit_test(what_it_unpacks_to_is_bounded),
		cmocka_unit_test(without_memory_it_stays_plain),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
