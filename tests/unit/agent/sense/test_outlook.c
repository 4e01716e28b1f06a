/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/outlook.h"

#include <stdio.h>
#include <string.h>

#include "agent/record.h"
#include "common/clock.h"
#include "tests/unit/agent/sense/fakeproc.h"

static struct ticker ticker;
static int64_t now_us;

static void begin(void)
{
	struct ticker_config cfg = {.sampling = {.proc_path = fakeproc,
						 .max_processes = 100,
						 .stat_every = 12,
						 .full_every = 30},
				    .survey = {.pss_share = 10000},
				    .interval_us = 10 * USEC_PER_SEC,
				    .keyframe_us = 300 * USEC_PER_SEC,
				    .window_us = 1800 * USEC_PER_SEC};
	struct error err;
	char path[128];

	fake_begin();
	snprintf(path, sizeof(path), "%s/self", fakeproc);
	mkdir(path, 0755);
	fake_file("self/smaps_rollup", "x\n", 2); /* the kernel has it */
	assert_int_equal(ticker_init(&ticker, &cfg, &err), 0);
	now_us = 1800 * USEC_PER_SEC * 1000 + 1;
}

static void end(void)
{
	ticker_fini(&ticker);
	fake_end();
}

static void round_of(void)
{
	struct buf body = BUF_INIT(RECORD_MAX_BODY);
	struct error err = {""};
	bool keyframe;

	now_us += 10 * USEC_PER_SEC;
	if (ticker_round(&ticker, now_us, now_us, &body, &keyframe, &err) < 0)
		fail_msg("%s", err.msg);
	buf_fini(&body);
}

static bool finds(const struct sense_fds *fds, const char *code)
{
	struct posture_finding all[POSTURE_MAX];
	struct outlook o = {0};
	size_t n = outlook_look(&o, &ticker, fds, now_us, all);

	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].code, code) == 0)
			return true;
	return false;
}

/* A process whose PSS can be read. */
static void put(unsigned pid, unsigned uid)
{
	static const char rollup[] = "Rss: 8192 kB\nPss: 8000 kB\nPrivate_Dirty: 7000 kB\n"
				     "Private_Clean: 0 kB\nShared_Clean: 0 kB\n";
	char status[200];
	int n = snprintf(status, sizeof(status),
			 "Name:\tx\nUid:\t%u\t%u\t%u\t%u\nVmRSS:\t8192 kB\nRssAnon:\t8184 kB\n"
			 "RssFile:\t8 kB\nRssShmem:\t0 kB\nVmSwap:\t0 kB\nThreads:\t1\n",
			 uid, uid, uid, uid);

	fake_put(&(struct fake){
		.pid = pid, .comm = "x", .size = 4000, .resident = 2048, .threads = 1, .start = 7});
	fake_text(pid, "status", status, (size_t)n);
	fake_text(pid, "smaps_rollup", rollup, sizeof(rollup) - 1);
}

static void measure(uint64_t reads)
{
	for (int i = 0; i < 12 && ticker.survey.pss.sum.reads < reads; i++)
		round_of();
	assert_int_equal(ticker.survey.pss.sum.reads, reads);
}

static void our_own_pss_shows_nothing_of_what_others_deny(void **state unused_arg)
{
	begin();
	put(10, geteuid());
	measure(1);
	assert_true(finds(&SENSE_FDS_NONE, "pss_denied"));
	put(11, geteuid() + 1);
	measure(2);
	assert_false(finds(&SENSE_FDS_NONE, "pss_denied"));
	end();
}

static void what_sense_was_given_it_can_hear(void **state unused_arg)
{
	const struct sense_fds both = {.link = -1, .exits = 0, .trace = 0, .names = -1};

	begin();
	round_of();
	assert_true(finds(&SENSE_FDS_NONE, "exits_unheard"));
	assert_true(finds(&SENSE_FDS_NONE, "tracefs_absent"));
	assert_false(finds(&both, "exits_unheard"));
	assert_false(finds(&both, "tracefs_absent"));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_own_pss_shows_nothing_of_what_others_deny),
		cmocka_unit_test(what_sense_was_given_it_can_hear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
