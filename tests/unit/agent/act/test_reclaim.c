/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/reclaim.h"

#include <errno.h>

#include "agent/act/pageout.h"
#include "tests/support/test.h"

#define MIB (1LL << 20)
#define KIB (1LL << 10)

static int check(const struct reclaim_figures *f, int64_t bytes, const char *why)
{
	struct error err = {""};
	int rc = reclaim_check(f, bytes, &err);

	if (rc)
		assert_says(err, why);
	return rc;
}

static void what_counts_are_files_and_with_swap_anonymous(void **state unused_arg)
{
	struct reclaim_figures f = {.usage = 100 * MIB,
				    .anon = 70 * MIB,
				    .file = 30 * MIB,
				    .file_lru = 20 * MIB,
				    .swap_room = 0};

	assert_int_equal(reclaim_possible(&f), 20 * MIB);
	f.swap_room = 50 * MIB;
	assert_int_equal(reclaim_possible(&f), 70 * MIB);
	f.swap_room = 500 * MIB;
	assert_int_equal(reclaim_possible(&f), 90 * MIB);
	f.swap_room = -1;
	assert_int_equal(reclaim_possible(&f), 20 * MIB);
}

static void what_is_pointless_is_refused(void **state unused_arg)
{
	struct reclaim_figures f = {.usage = 100 * MIB,
				    .anon = 98 * MIB,
				    .file_lru = 2 * MIB,
				    .swap_room = 0};

	assert_int_equal(check(&f, 20 * MIB, ""), 0);
	assert_int_equal(check(&f, 21 * MIB,
			       "only 2 MiB of its 100 MiB could be taken (no swap: cached files "
			       "alone), 21 MiB are asked"),
			 -EPERM);
	f.file_lru = MIB - 1;
	assert_int_equal(check(&f, MIB, "pointless"), -EPERM);
	f.swap_room = 512 * MIB;
	assert_int_equal(check(&f, 100 * MIB, ""), 0);
}

#define HEAD(from, to, perms, inode) \
	from "-" to " " perms " 00000000 00:00 " inode "                          [heap]\n"
#define FIGURES(rss, touched, anon, locked)                                                        \
	"Size:               1024 kB\nRss:                " rss " kB\nReferenced:        " touched \
	" kB\nAnonymous:         " anon " kB\nLocked:     " locked                                 \
	" kB\nVmFlags: rd wr mr mw me ac sd\n"

static const char smaps[] = HEAD("00400000", "00500000", "r-xp", "77")
	FIGURES("1024", "0", "0", "0") HEAD("01000000", "01100000", "rw-p", "0")
		FIGURES("1000", "0", "1000", "0") HEAD("02000000", "02100000", "rw-p", "0")
			FIGURES("1000", "51", "1000", "0") /* warm */
	HEAD("03000000", "03100000", "rw-p", "0") FIGURES("1000", "50", "1000", "0")
		HEAD("04000000", "04100000", "rw-p", "0")
			FIGURES("1000", "0", "1000", "1000")                        /* locked */
	HEAD("05000000", "05100000", "rw-p", "9") FIGURES("1000", "0", "1000", "0") /* a file's */
	HEAD("06000000", "06100000", "rw-s", "0") FIGURES("1000", "0", "1000", "0") /* shared */
	HEAD("07000000", "07100000", "rw-p", "0") FIGURES("0", "0", "0", "0")       /* empty */
	HEAD("7fff0000", "7fff1000", "rw-p", "0") FIGURES("4", "0", "4", "0");

static void only_what_was_not_touched_is_cold(void **state unused_arg)
{
	struct iovec at[8];
	int64_t bytes = -1;

	assert_int_equal(pageout_cold(smaps, 1LL << 40, at, 8, &bytes), 3);
	assert_ptr_equal(at[0].iov_base, (void *)(uintptr_t)0x1000000);
	assert_int_equal(at[0].iov_len, 0x100000);
	assert_ptr_equal(at[1].iov_base, (void *)(uintptr_t)0x3000000);
	assert_ptr_equal(at[2].iov_base, (void *)(uintptr_t)0x7fff0000);
	assert_int_equal(bytes, 2004 * KIB);
}

static void it_is_enough_when_it_holds_what_is_asked(void **state unused_arg)
{
	struct iovec at[8];
	int64_t bytes;

	assert_int_equal(pageout_cold(smaps, 1, at, 8, &bytes), 1);
	assert_int_equal(bytes, 1000 * KIB);
	assert_int_equal(pageout_cold(smaps, 1001 * KIB, at, 8, &bytes), 2);
	assert_int_equal(pageout_cold(smaps, 1LL << 40, at, 2, &bytes), 2);
	assert_int_equal(pageout_cold("", 1, at, 8, &bytes), 0);
	assert_int_equal(pageout_cold("nonsense\n\nRss: x\n", 1, at, 8, &bytes), 0);
	assert_int_equal(bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_counts_are_files_and_with_swap_anonymous),
		cmocka_unit_test(what_is_pointless_is_refused),
		cmocka_unit_test(only_what_was_not_touched_is_cold),
		cmocka_unit_test(it_is_enough_when_it_holds_what_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
