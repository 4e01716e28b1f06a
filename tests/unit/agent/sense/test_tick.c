/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/tick.h"

#include <errno.h>

#include "agent/record.h"
#include "tests/support/alloc.h"
#include "tests/unit/agent/sense/fakeproc.h"

/* The two ends: what samples, and what a collector makes of its ticks. */
struct ends {
	struct ticker s;
	struct delta_state state;
	struct arena arena;
	struct wire_tick tick;
	bool keyframe;
	int64_t now_us;
	unsigned page_kib;
};

static struct ends ends;

static void begin(uint32_t max_processes)
{
	const struct ticker_config cfg = {.sampling = {.proc_path = fakeproc,
						       .max_processes = max_processes,
						       .stat_every = 12,
						       .full_every = 30},
					  .interval_us = 1000000,
					  .keyframe_us = 300 * 1000000LL,
					  .window_us = 1800 * 1000000LL};
	struct error err;

	fake_begin();
	memset(&ends, 0, sizeof(ends));
	assert_int_equal(ticker_init(&ends.s, &cfg, &err), 0);
	delta_init(&ends.state);
	arena_init(&ends.arena, (size_t)64 << 20);
	ends.now_us = 1800 * 1000000LL * 1000 + 1;
	ends.page_kib = (unsigned)sysconf(_SC_PAGESIZE) / 1024;
}

static void end(void)
{
	ticker_fini(&ends.s);
	delta_fini(&ends.state);
	arena_fini(&ends.arena);
	fake_end();
}

/* One round, through the wire and into the other end's state. */
static void round_trip(void)
{
	struct buf body = BUF_INIT(RECORD_MAX_BODY);
	struct error err = {""};

	ends.now_us += 1000000;
	arena_reset(&ends.arena);
	if (ticker_round(&ends.s, ends.now_us, ends.now_us, &body, &ends.keyframe, &err) < 0)
		fail_msg("round: %s", err.msg);
	if (wire_unpack_tick(&ends.arena, body.data, body.len, &ends.tick, &err) < 0)
		fail_msg("unpack: %s", err.msg);
	assert_int_equal(ends.tick.keyframe, ends.keyframe);
	if (delta_apply(&ends.state, &ends.tick, &err) < 0)
		fail_msg("apply: %s", err.msg);
	buf_fini(&body);
}

/* What was announced in the last tick of that pid; without it one whose pid is 0. */
static const struct wire_process *born(unsigned pid)
{
	static const struct wire_process nobody = {.comm = "", .cmdline = ""};

	for (size_t i = 0; i < ends.tick.n_born; i++)
		if (ends.tick.born[i].pid == pid)
			return &ends.tick.born[i];
	return &nobody;
}

/* The other end's value of a process, METRIC_ABSENT - 1 is never one: -2 when it is not known. */
static int64_t value(unsigned pid, enum metric m)
{
	int64_t v[METRIC_COUNT];

	for (size_t i = 0; i < ends.state.n_slots; i++) {
		if (!ends.state.slots[i].live || ends.state.slots[i].pid != pid)
			continue;
		delta_values(&ends.state.slots[i], v);
		return v[m];
	}
	return -2;
}

static size_t live_over_there(void)
{
	size_t n = 0;

	for (size_t i = 0; i < ends.state.n_slots; i++)
		n += ends.state.slots[i].live;
	return n;
}

static void the_first_tick_tells_everything(void **state unused_arg)
{
	const struct fake a = {.pid = 10,
			       .comm = "x) R 1 \n<script>",
			       .cmdline = "run --password=abc",
			       .size = 500,
			       .resident = 100,
			       .swap_kib = 24,
			       .threads = 3,
			       .cpu_ticks = 50,
			       .start = 777};
	const struct fake kernel = {.pid = 2, .comm = "kthreadd", .flags = 0x208040};
	const struct fake zombie = {.pid = 11, .comm = "gone", .state = 'Z'};
	const struct wire_process *w;

	begin(100);
	fake_put(&a);
	fake_put(&kernel);
	fake_put(&zombie);
	round_trip();
	assert_true(ends.keyframe);
	assert_int_equal(ends.tick.boot_id[1], 0x11);
	assert_int_equal(ends.tick.n_born, 1);
	w = born(10);
	assert_int_equal(w->pid, 10);
	assert_string_equal(w->comm, "x) R 1 \\x0a<script>");
	assert_string_equal(w->cmdline, "run --password=***");
	assert_int_equal(w->uid, 33);
	assert_int_equal(w->start_ticks, 777);
	assert_false(w->fresh);
	assert_int_equal(value(10, METRIC_RSS), 100 * ends.page_kib);
	assert_int_equal(value(10, METRIC_ANON), 100 * ends.page_kib - 8);
	assert_int_equal(value(10, METRIC_FILE), 8);
	assert_int_equal(value(10, METRIC_SWAP), 24);
	assert_int_equal(value(10, METRIC_VSIZE), 500 * ends.page_kib);
	assert_int_equal(value(10, METRIC_THREADS), 3);
	assert_int_equal(value(10, METRIC_MINFLT), 10);
	assert_int_equal(value(10, METRIC_MAJFLT), 2);
	assert_int_equal(value(10, METRIC_CPU), 50 * 1000 / sysconf(_SC_CLK_TCK));
	assert_true(value(10, METRIC_FDS) == METRIC_ABSENT);
	assert_true(value(10, METRIC_PSS) == METRIC_ABSENT);
	assert_int_equal(ends.state.host[HOST_METRIC_TOTAL], 1000);
	assert_int_equal(ends.state.host[HOST_METRIC_PROCESSES], 1);
	end();
}

static void only_what_changed_is_sent(void **state unused_arg)
{
	struct fake a = {.pid = 10, .comm = "a", .size = 500, .resident = 100, .start = 5};
	struct fake b = {.pid = 20, .comm = "b", .size = 500, .resident = 100, .start = 6};

	begin(100);
	fake_put(&a);
	fake_put(&b);
	round_trip();
	round_trip();
	assert_false(ends.keyframe);
	assert_int_equal(ends.tick.n_born, 0);
	assert_int_equal(ends.tick.n_columns, 0);
	b.resident = 150;
	b.swap_kib = 12;
	fake_put(&b);
	round_trip();
	for (size_t i = 0; i < ends.tick.n_columns; i++)
		assert_int_equal(ends.tick.columns[i].n, 1);
	assert_int_equal(ends.tick.n_columns, 3); /* rss, anon, swap */
	assert_int_equal(value(20, METRIC_RSS), 150 * ends.page_kib);
	assert_int_equal(value(20, METRIC_SWAP), 12);
	assert_int_equal(value(10, METRIC_RSS), 100 * ends.page_kib);
	end();
}

static void starts_and_exits_are_told(void **state unused_arg)
{
	const struct fake a = {.pid = 10, .comm = "a", .size = 5, .resident = 4, .start = 5};
	const struct fake b = {.pid = 20, .comm = "b", .size = 5, .resident = 4, .start = 6};

	begin(100);
	fake_put(&a);
	round_trip();
	fake_put(&b);
	round_trip();
	assert_int_equal(born(20)->pid, 20);
	assert_true(born(20)->fresh);
	fake_remove(10);
	round_trip();
	assert_int_equal(ends.tick.n_exited, 1);
	assert_int_equal(value(10, METRIC_RSS), -2);
	assert_int_equal(live_over_there(), 1);
	end();
}

static void a_reused_pid_is_another_process(void **state unused_arg)
{
	const struct fake a = {.pid = 10, .comm = "a", .size = 5, .resident = 4, .start = 5};
	const struct fake b = {.pid = 10, .comm = "b", .size = 5, .resident = 9, .start = 600};

	begin(100);
	fake_put(&a);
	round_trip();
	fake_replace(10, b);
	round_trip();
	assert_int_equal(ends.tick.n_exited, 1);
	assert_int_equal(ends.tick.n_born, 1);
	assert_int_equal(born(10)->start_ticks, 600);
	assert_string_equal(born(10)->comm, "b");
	assert_int_equal(value(10, METRIC_RSS), 9 * ends.page_kib);
	/* the same process behind a new inode is the same process */
	fake_replace(10, b);
	round_trip();
	assert_int_equal(ends.tick.n_exited, 0);
	assert_int_equal(ends.tick.n_born, 0);
	end();
}

static void a_process_that_becomes_a_zombie_has_ended(void **state unused_arg)
{
	struct fake a = {.pid = 10, .comm = "a", .size = 5, .resident = 4, .start = 5};

	begin(100);
	fake_put(&a);
	round_trip();
	a.state = 'Z';
	a.size = 0;
	a.resident = 0;
	fake_put(&a);
	round_trip();
	assert_int_equal(ends.tick.n_exited, 1);
	round_trip();
	assert_int_equal(ends.tick.n_exited, 0);
	fake_remove(10);
	round_trip();
	assert_int_equal(ends.tick.n_exited, 0);
	assert_int_equal(live_over_there(), 0);
	end();
}

static void an_exec_is_told_under_a_new_id(void **state unused_arg)
{
	struct fake a = {.pid = 10, .comm = "sh", .cmdline = "sh", .size = 5, .resident = 4};

	begin(100);
	round_trip();
	fake_put(&a);
	round_trip();
	assert_string_equal(born(10)->comm, "sh");
	a.comm = "python3";
	a.cmdline = "python3";
	fake_put(&a);
	round_trip();
	assert_int_equal(ends.tick.n_exited, 1);
	assert_int_equal(born(10)->pid, 10);
	assert_string_equal(born(10)->comm, "python3");
	assert_int_equal(live_over_there(), 1);
	round_trip();
	assert_int_equal(ends.tick.n_born + ends.tick.n_exited, 0);
	end();
}

static void beyond_the_maximum_processes_wait(void **state unused_arg)
{
	begin(3);
	for (unsigned i = 0; i < 5; i++) {
		const struct fake f = {
			.pid = 10 + i, .comm = "p", .size = 5, .resident = 4, .start = i};

		fake_put(&f);
	}
	round_trip();
	round_trip();
	assert_int_equal(live_over_there(), 3);
	assert_int_equal(ends.tick.skipped, 2);
	assert_int_equal(ends.state.host[HOST_METRIC_PROCESSES], 5);
	for (unsigned i = 0; i < 5; i++)
		if (value(10 + i, METRIC_RSS) != -2) {
			fake_remove(10 + i);
			break;
		}
	round_trip();
	round_trip();
	assert_int_equal(live_over_there(), 3);
	assert_int_equal(ends.tick.skipped, 1);
	end();
}

static void broken_files_harm_nothing(void **state unused_arg)
{
	static const struct {
		const char *file;
		const char *text;
	} broken[] = {
		{"stat", ""},
		{"stat", "garbage"},
		{"stat", "10 (a) S 1"},
		{"stat", "10 (a) S 99999999999999999999999 1 1 0"},
		{"statm", ""},
		{"statm", "x y z\n"},
		{"statm", "99999999999999999999 1 1\n"},
		{"statm", "5"},
		{"status", ""},
		{"status", "RssAnon"},
		{"status", "VmRSS: 99999999999999999999 kB\n"},
		{"cgroup", "::::"},
		{"cmdline", "\xff\xfe\x01"},
	};
	const struct fake good = {.pid = 99, .comm = "good", .size = 5, .resident = 4};

	begin(100);
	fake_put(&good);
	for (unsigned i = 0; i < ARRAY_SIZE(broken); i++) {
		const struct fake f = {.pid = 10 + i, .comm = "f", .size = 5, .resident = 4};

		/* half of them break while they live */
		fake_put(&f);
		if (i % 2)
			fake_text(10 + i, broken[i].file, broken[i].text, strlen(broken[i].text));
	}
	for (int round = 0; round < 3; round++) {
		round_trip();
		assert_int_equal(value(99, METRIC_RSS), 4 * ends.page_kib);
		for (unsigned i = 0; i < ARRAY_SIZE(broken); i++)
			fake_text(10 + i, broken[i].file, broken[i].text, strlen(broken[i].text));
	}
	end();
}

static void keyframes_come_when_they_are_due(void **state unused_arg)
{
	const struct fake a = {.pid = 10, .comm = "a", .size = 5, .resident = 4, .start = 5};

	begin(100);
	fake_put(&a);
	round_trip();
	assert_true(ends.keyframe);
	round_trip();
	assert_false(ends.keyframe);
	ends.now_us += 300 * 1000000LL;
	round_trip();
	assert_true(ends.keyframe);
	/* the strings are over there already */
	assert_true(born(10)->known);
	assert_int_equal(value(10, METRIC_RSS), 4 * ends.page_kib);
	/* the first tick of a window */
	ends.now_us += 200 * 1000000LL;
	round_trip();
	assert_false(ends.keyframe);
	ends.now_us = 1800 * 1000000LL * 1001 - 500000;
	ends.s.last_keyframe_us = ends.now_us;
	round_trip();
	assert_true(ends.keyframe);
	/* a new stream wants everything again */
	ticker_restart(&ends.s);
	round_trip();
	assert_true(ends.keyframe);
	assert_false(born(10)->known);
	assert_string_equal(born(10)->comm, "a");
	assert_false(born(10)->fresh);
	end();
}

static void a_full_host_is_told_in_several_ticks(void **state unused_arg)
{
	enum { N = 600 };
	char args[600];
	unsigned ticks = 0;

	begin(5000);
	memset(args, 'a', sizeof(args) - 1);
	args[sizeof(args) - 1] = '\0';
	for (unsigned i = 0; i < N; i++) {
		const struct fake f = {.pid = 10 + i,
				       .comm = "many",
				       .cmdline = args,
				       .size = 5,
				       .resident = 4 + i,
				       .start = i};

		fake_put(&f);
	}
	do {
		size_t before = live_over_there();

		round_trip();
		assert_int_equal(ends.tick.skipped, N - live_over_there());
		assert_true(live_over_there() > before);
		assert_true(++ticks < 10);
	} while (live_over_there() < N);
	assert_true(ticks > 1);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(value(10 + i, METRIC_RSS), (4 + i) * ends.page_kib);
	end();
}

/* Keyframes of more processes than fit, with figures as large as they get: each tick stays within
 * the record, or is lost and a smaller one follows; nobody is left out for good. */
static void keyframes_of_too_many_processes_get_there(void **state unused_arg)
{
	enum { N = 2000 };
	struct buf body = BUF_INIT(RECORD_MAX_BODY / 2);
	struct error err;
	unsigned ticks = 0;

	begin(5000);
	for (unsigned i = 0; i < N; i++) {
		const struct fake f = {.pid = 1000000 + i,
				       .comm = "large",
				       .size = 4000000000u,
				       .resident = 900000u + i,
				       .swap_kib = 4000000000u,
				       .threads = 30000,
				       .cpu_ticks = 4000000000u,
				       .start = 4000000000u};

		fake_put(&f);
	}
	/* the guess is good for a whole record: half of one makes it fail */
	assert_true(ticker_round(&ends.s, ends.now_us, ends.now_us, &body, &ends.keyframe, &err) <
		    0);
	assert_says(err, "2000 processes");
	buf_fini(&body);
	for (int again = 0; again < 2; again++) {
		do {
			round_trip();
			assert_true(++ticks < 30);
		} while (live_over_there() < N);
		ends.s.keyframe_due = true;
	}
	assert_int_equal(value(1000000 + N - 1, METRIC_RSS),
			 (int64_t)(900000u + N - 1) * ends.page_kib);
	end();
}

/* Random changes for many rounds; the other end must know the folder exactly after each. */
/* In small ticks, as 20,000 processes would need them: more are told than could change in one. */
static void what_changes_everywhere_is_told_in_turns(void **state unused_arg)
{
	enum { N = 500 };
	uint32_t skipped;
	int rounds = 0;

	begin(N);
	for (int step = 0; step < 3; step++) {
		for (unsigned i = 0; i < N; i++)
			fake_put(&(struct fake){.pid = 10 + i,
						.comm = "m",
						.size = 500,
						.resident = 100 + step * N + i,
						.threads = 1,
						.start = i});
		do {
			ends.s.caution = 4;
			round_trip();
			skipped = ends.tick.skipped;
			assert_int_equal(ends.state.host[HOST_METRIC_SKIPPED], skipped);
			assert_true(skipped == 0 || rounds < 40);
			assert_true(ends.keyframe == (rounds == 0));
			rounds++;
		} while (skipped);
		assert_int_equal(live_over_there(), N);
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(value(10 + i, METRIC_RSS),
					 (100 + step * N + i) * ends.page_kib);
	}
	assert_true(rounds > 6); /* it did not fit into one tick each */
	end();
}

static void both_ends_agree_through_churn(void **state unused_arg)
{
	enum { PIDS = 40 };
	struct fake all[PIDS] = {0};
	uint32_t seed = 7;

	begin(100);
	for (int round = 0; round < 150; round++) {
		for (unsigned i = 0; i < PIDS; i++) {
			seed = seed * 1664525u + 1013904223u;
			if ((seed >> 10) % 8)
				continue;
			if (!all[i].pid) {
				all[i] = (struct fake){.pid = 100 + i,
						       .comm = "c",
						       .size = 1 + seed % 5000,
						       .resident = 4 + (seed >> 8) % 100,
						       .start = seed >> 4};
				fake_put(&all[i]);
			} else if (seed & 0x100) {
				fake_remove(all[i].pid);
				all[i].pid = 0;
			} else {
				all[i].resident = 4 + (seed >> 9) % 1000;
				fake_put(&all[i]);
			}
		}
		if (round % 37 == 36)
			ticker_restart(&ends.s);
		round_trip();
		for (unsigned i = 0; i < PIDS; i++)
			assert_int_equal(value(100 + i, METRIC_RSS),
					 all[i].pid ? (int64_t)all[i].resident * ends.page_kib
						    : -2);
	}
	end();
}

/* Whatever allocation fails in a round, it says so, and the next round tells all. */
static void without_memory_a_round_is_lost_and_no_more(void **state unused_arg)
{
	for (unsigned fail = 1;; fail++) {
		struct buf body = BUF_INIT(RECORD_MAX_BODY);
		struct error err = {""};
		bool hit;
		int r;

		begin(100);
		for (unsigned i = 0; i < 5; i++) {
			const struct fake f = {.pid = 10 + i,
					       .comm = "p",
					       .size = 5,
					       .resident = 4};

			fake_put(&f);
		}
		alloc_fail_at(fail);
		r = ticker_round(&ends.s, ends.now_us, ends.now_us, &body, &ends.keyframe, &err);
		hit = alloc_failed();
		alloc_fail_off();
		buf_fini(&body);
		if (r == 0)
			ticker_restart(&ends.s);
		else
			assert_true(hit);
		round_trip();
		assert_true(ends.keyframe);
		assert_int_equal(live_over_there(), 5);
		assert_int_equal(value(14, METRIC_RSS), 4 * ends.page_kib);
		end();
		if (!hit)
			break;
		assert_true(fail < 200);
	}
}

static void a_folder_that_is_not_there_is_named(void **state unused_arg)
{
	const struct ticker_config cfg = {.sampling = {.proc_path = "/nonexistent/proc"}};
	struct ticker s;
	struct error err;

	assert_int_equal(ticker_init(&s, &cfg, &err), -ENOENT);
	assert_says(err, "'/nonexistent/proc'");
}

static void a_boot_id_must_be_one(void **state unused_arg)
{
	struct ticker_config cfg;
	struct ticker t;
	struct error err;

	begin(1);
	cfg = ends.s.cfg;
	fake_file("sys/kernel/random/boot_id", "nonsense\n", 9);
	assert_int_equal(ticker_init(&t, &cfg, &err), -EINVAL);
	assert_says(err, "boot_id' holds no id");
	end();
}

/* The wire's differences have no word for it; a stale figure would be taken for a live one. */
static void a_host_figure_that_goes_is_gone_over_there(void **state unused_arg)
{
	static const char less[] = "MemTotal: 1000 kB\n";

	begin(100);
	round_trip();
	round_trip();
	assert_false(ends.keyframe);
	assert_int_equal(ends.state.host[HOST_METRIC_AVAILABLE], 400);
	fake_file("meminfo", less, sizeof(less) - 1);
	round_trip();
	assert_true(ends.keyframe);
	assert_true(ends.state.host[HOST_METRIC_AVAILABLE] == METRIC_ABSENT);
	assert_int_equal(ends.state.host[HOST_METRIC_TOTAL], 1000);
	round_trip();
	assert_false(ends.keyframe);
	end();
}

static void hosts_have_phases_of_their_own(void **state unused_arg)
{
	struct ticker t = {.cfg = {.interval_us = 10000000}, .pace_us = 10000000};
	int64_t tenths[10] = {0};

	for (unsigned host = 0; host < 1000; host++) {
		int64_t now_us = 1700000000000000 + host * 12345;
		int64_t due;

		memcpy(t.boot_id, &host, sizeof(host));
		due = now_us + ticker_wait_us(&t, now_us);
		assert_true(due > now_us && due <= now_us + 10000000);
		/* woken late or early, it keeps to its phase */
		assert_int_equal(due + 300 + ticker_wait_us(&t, due + 300), due + 10000000);
		assert_int_equal(due - 300 + ticker_wait_us(&t, due - 300), due);
		assert_int_equal(due + ticker_wait_us(&t, due), due + 10000000);
		tenths[due % 10000000 / 1000000]++;
	}
	for (int i = 0; i < 10; i++)
		assert_in_range(tenths[i], 60, 150);
	/* a clock that was never set */
	assert_in_range(ticker_wait_us(&t, 0), 1, 10000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_tick_tells_everything),
		cmocka_unit_test(only_what_changed_is_sent),
		cmocka_unit_test(starts_and_exits_are_told),
		cmocka_unit_test(a_reused_pid_is_another_process),
		cmocka_unit_test(a_process_that_becomes_a_zombie_has_ended),
		cmocka_unit_test(an_exec_is_told_under_a_new_id),
		cmocka_unit_test(beyond_the_maximum_processes_wait),
		cmocka_unit_test(broken_files_harm_nothing),
		cmocka_unit_test(keyframes_come_when_they_are_due),
		cmocka_unit_test(a_full_host_is_told_in_several_ticks),
		cmocka_unit_test(keyframes_of_too_many_processes_get_there),
		cmocka_unit_test(what_changes_everywhere_is_told_in_turns),
		cmocka_unit_test(both_ends_agree_through_churn),
		cmocka_unit_test(without_memory_a_round_is_lost_and_no_more),
		cmocka_unit_test(a_host_figure_that_goes_is_gone_over_there),
		cmocka_unit_test(hosts_have_phases_of_their_own),
		cmocka_unit_test(a_boot_id_must_be_one),
		cmocka_unit_test(a_folder_that_is_not_there_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
