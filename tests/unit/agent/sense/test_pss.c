/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/pss.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "agent/sense/procfs.h"
#include "common/clock.h"
#include "tests/support/alloc.h"
#include "tests/support/folder.h"

#define SEC USEC_PER_SEC
#define MIB 1024u

/* The cost of a reading as the model has it. */
static void take_all(struct pss *p, uint32_t *order, size_t *n)
{
	struct pss_pick pick;

	while (pss_next(p, &pick)) {
		if (order)
			order[*n] = pick.id;
		(*n)++;
		pss_learn(p, &pick, pick.rss / 2, pick.rss / 4, pss_model_us(pick.rss));
	}
}

static void offer(struct pss *p, uint32_t id, uint32_t rss)
{
	assert_int_equal(pss_offer(p, id, id + 100, 7, rss), 0);
}

static void the_largest_new_one_is_first(void **state unused_arg)
{
	struct pss p;
	uint32_t order[8];
	size_t n = 0;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, 1000 * SEC);
	offer(&p, 0, 10 * MIB);
	offer(&p, 1, 500 * MIB);
	offer(&p, 2, 50 * MIB);
	take_all(&p, order, &n);
	assert_int_equal(n, 3);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 2);
	assert_int_equal(order[2], 0);
	assert_int_equal(p.sum.reads, 3);
	pss_fini(&p);
}

static void who_grew_is_read_before_who_is_large(void **state unused_arg)
{
	struct pss p;
	uint32_t order[8];
	size_t n = 0;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, 1000 * SEC);
	offer(&p, 0, 100 * MIB);
	offer(&p, 1, 500 * MIB);
	take_all(&p, NULL, &n);
	n = 0;
	pss_begin(&p, 1010 * SEC);
	offer(&p, 0, 160 * MIB);
	offer(&p, 1, 500 * MIB);
	assert_int_equal(p.sum.due, 1);
	take_all(&p, order, &n);
	assert_int_equal(n, 1);
	assert_int_equal(order[0], 0);
	/* a quiet one is due when its figures are old */
	pss_begin(&p, 1061 * SEC);
	offer(&p, 1, 500 * MIB);
	assert_int_equal(p.sum.due, 1);
	assert_int_equal(p.sum.oldest_s, 61);
	pss_fini(&p);
}

static void between_readings_the_ratio_holds(void **state unused_arg)
{
	struct pss p;
	struct pss_pick pick;
	uint32_t pss;
	uint32_t uss;
	uint32_t age;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, 1000 * SEC);
	offer(&p, 3, 100 * MIB);
	assert_false(pss_figures(&p, 3, 7, 100 * MIB, &pss, &uss, &age));
	assert_true(pss_next(&p, &pick));
	assert_int_equal(pick.pid, 103);
	pss_learn(&p, &pick, 80 * MIB, 60 * MIB, 200);
	assert_true(pss_figures(&p, 3, 7, 100 * MIB, &pss, &uss, &age));
	assert_int_equal(pss, 80 * MIB);
	assert_int_equal(uss, 60 * MIB);
	assert_int_equal(age, 0);
	pss_begin(&p, 1010 * SEC);
	assert_true(pss_figures(&p, 3, 7, 50 * MIB, &pss, &uss, &age));
	assert_int_equal(pss, 40 * MIB);
	assert_int_equal(uss, 30 * MIB);
	assert_int_equal(age, 10);
	/* another process has this id now */
	assert_false(pss_figures(&p, 3, 8, 50 * MIB, &pss, &uss, &age));
	assert_false(pss_figures(&p, 9999, 7, 50 * MIB, &pss, &uss, &age));
	pss_fini(&p);
}

static void the_figures_keep_their_order(void **state unused_arg)
{
	static const uint32_t sizes[] = {0, 1, 3, 255, 256, 1000003, UINT32_MAX - 1};
	struct pss p;
	struct pss_pick pick;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, SEC);
	offer(&p, 0, 1000);
	assert_true(pss_next(&p, &pick));
	/* torn between two moments: more than there was */
	pss_learn(&p, &pick, 1100, 1200, 5);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t pss;
		uint32_t uss;
		uint32_t age;

		assert_true(pss_figures(&p, 0, 7, sizes[i], &pss, &uss, &age));
		assert_true(pss <= sizes[i] && uss <= pss);
	}
	pss_fini(&p);
}

static void a_reused_id_inherits_nothing(void **state unused_arg)
{
	struct pss p;
	uint32_t pss;
	uint32_t uss;
	uint32_t age;
	size_t n = 0;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, SEC);
	offer(&p, 0, 1000);
	take_all(&p, NULL, &n);
	pss_begin(&p, 2 * SEC);
	assert_int_equal(pss_offer(&p, 0, 100, 8, 1000), 0);
	assert_int_equal(p.sum.due, 1);
	assert_false(pss_figures(&p, 0, 8, 1000, &pss, &uss, &age));
	pss_fini(&p);
}

/* 3,000 processes of 100 MiB: 6 s of CPU if all were read at once. */
static void over_time_the_ceiling_holds_and_nobody_starves(void **state unused_arg)
{
	enum { N = 3000 };
	struct pss p;
	size_t n = 0;
	int64_t at = 1000 * SEC;
	unsigned rounds = 0;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	for (int r = 0; r < 1200; r++, at += 10 * SEC, rounds++) {
		pss_begin(&p, at);
		/* one hog grows in every round */
		for (uint32_t id = 0; id < N; id++)
			offer(&p, id, id ? 100 * MIB : (500 + (uint32_t)r * 50) * MIB);
		take_all(&p, NULL, &n);
		assert_true(p.sum.round_us <= 100000 + 2 * 20000);
	}
	assert_true(p.sum.spent_us <= 100000 + (int64_t)rounds * 100000 + 20000);
	/* the budget is also used */
	assert_true(p.sum.spent_us >= (int64_t)rounds * 90000);
	for (uint32_t id = 0; id < N; id++) {
		uint32_t pss;
		uint32_t uss;
		uint32_t age;

		assert_true(pss_figures(&p, id, 7, 100 * MIB, &pss, &uss, &age));
		/* all of them take 620 s in turn */
		assert_true(age < 1500);
	}
	pss_fini(&p);
}

static void what_is_too_expensive_is_tried_rarely_or_never(void **state unused_arg)
{
	struct pss p;
	struct pss_pick pick;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, 1000 * SEC);
	offer(&p, 0, 20 * 1024 * MIB);  /* 41 ms */
	offer(&p, 1, 200 * 1024 * MIB); /* 410 ms */
	assert_int_equal(p.sum.skipped_cost, 2);
	assert_true(pss_next(&p, &pick));
	assert_int_equal(pick.id, 0);
	assert_false(pss_next(&p, &pick));
	pss_learn(&p, &pick, 1000, 1000, 40000);
	for (int64_t at = 1060; at < 2800; at += 60) {
		pss_begin(&p, at * SEC);
		offer(&p, 0, 21 * 1024 * MIB);
		assert_false(pss_next(&p, &pick));
		assert_int_equal(p.sum.skipped_cost, 1);
	}
	pss_begin(&p, 2800 * SEC);
	offer(&p, 0, 21 * 1024 * MIB);
	assert_true(pss_next(&p, &pick));
	/* it has huge pages now: cheap, and soon read in its turn */
	for (int i = 1; i < 12; i++) {
		pss_learn(&p, &pick, 1000, 1000, 800);
		pss_begin(&p, (2800 + 1800 * i) * SEC);
		offer(&p, 0, 21 * 1024 * MIB);
		assert_true(pss_next(&p, &pick));
	}
	assert_int_equal(p.sum.skipped_cost, 0);
	assert_true(pick.predicted_us < 20000);
	pss_fini(&p);
}

static void large_ones_teach_what_large_ones_cost(void **state unused_arg)
{
	struct pss p;
	struct pss_pick pick;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, 1000 * SEC);
	offer(&p, 0, 1000);
	assert_true(pss_next(&p, &pick));
	pss_learn(&p, &pick, 1, 1, 50 * pss_model_us(1000));
	pss_begin(&p, 1001 * SEC);
	offer(&p, 1, 100 * MIB);
	assert_true(pss_next(&p, &pick));
	assert_int_equal(pick.predicted_us, pss_model_us(100 * MIB));
	for (unsigned i = 0; i < 100; i++)
		pss_learn(&p, &pick, 1, 1, 3 * pss_model_us(100 * MIB));
	pss_begin(&p, 1900 * SEC);
	offer(&p, 2, 1024 * MIB);
	assert_true(pss_next(&p, &pick));
	assert_int_equal(pick.predicted_us / pss_model_us(1024 * MIB), 2);
	/* and each process is known by its own cost */
	pss_begin(&p, 1970 * SEC);
	offer(&p, 0, 1000);
	assert_true(pss_next(&p, &pick));
	assert_int_equal(pick.predicted_us, 50 * pss_model_us(1000));
	pss_fini(&p);
}

static void the_small_and_the_forbidden_cost_nothing(void **state unused_arg)
{
	struct pss_config off = pss_defaults;
	struct pss p;
	struct pss_pick pick;

	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, SEC);
	offer(&p, 0, 100);
	assert_int_equal(p.sum.tiny, 1);
	offer(&p, 1, 1000);
	assert_true(pss_next(&p, &pick));
	assert_int_equal(pick.id, 1);
	pss_fail(&p, &pick, 3);
	assert_int_equal(p.sum.failed, 1);
	pss_begin(&p, 1000 * SEC);
	offer(&p, 1, 1000);
	assert_false(pss_next(&p, &pick));
	pss_begin(&p, 1801 * SEC);
	offer(&p, 1, 1000);
	assert_true(pss_next(&p, &pick));
	pss_fini(&p);
	off.cpu_share = 0;
	assert_int_equal(pss_init(&p, &off), 0);
	pss_begin(&p, SEC);
	offer(&p, 1, 1000);
	assert_false(pss_next(&p, &pick));
	pss_fini(&p);
}

static void an_entry_is_small(void **state unused_arg)
{
	assert_true(sizeof(struct pss_entry) <= 24);
}

static void without_memory_a_process_is_left_out(void **state unused_arg)
{
	struct pss p;

	alloc_fail_at(1);
	assert_int_equal(pss_init(&p, &pss_defaults), -ENOMEM);
	alloc_fail_off();
	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, SEC);
	alloc_fail_at(1);
	assert_int_equal(pss_offer(&p, 0, 1, 1, 1000), -ENOMEM);
	alloc_fail_off();
	assert_int_equal(pss_offer(&p, 0, 1, 1, 1000), 0);
	pss_fini(&p);
}

/* ---- files ---- */

static int64_t no_time(void)
{
	return 0;
}

static void an_old_kernel_is_asked_once(void **state unused_arg)
{
	struct procdir d;
	struct error err;
	struct pss p;

	folder_put("5/statm", "1 1 1\n");
	folder_put("6/smaps_rollup", "nonsense\n");
	assert_int_equal(procdir_open(&d, folder, &err), 0);
	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	pss_begin(&p, SEC);
	/* one that ended meanwhile says nothing about the kernel, nor does nonsense */
	assert_int_equal(pss_offer(&p, 0, 4, 1, 1000), 0);
	assert_int_equal(pss_offer(&p, 1, 6, 1, 1000), 0);
	pss_measure(&p, &d, no_time);
	assert_false(p.unsupported);
	assert_int_equal(p.sum.failed, 2);
	assert_int_equal(pss_offer(&p, 2, 5, 1, 1000), 0);
	pss_begin(&p, 2 * SEC);
	assert_int_equal(pss_offer(&p, 2, 5, 1, 1000), 0);
	pss_measure(&p, &d, no_time);
	assert_true(p.unsupported);
	pss_begin(&p, 3 * SEC);
	assert_int_equal(pss_offer(&p, 3, 5, 1, 1000), 0);
	assert_int_equal(p.sum.due, 0);
	pss_fini(&p);
	procdir_close(&d);
}

static int64_t thread_us(void)
{
	return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

/* A child with 8 MiB of its own that stands still. */
static pid_t start_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		void *m;

		/* also when a check fails */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		m = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (m != MAP_FAILED)
			memset(m, 1, 8 << 20);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	return pid;
}

static void read_truth(const struct procdir *d, uint32_t pid, int64_t v[PROCFS_ROLLUP_COUNT])
{
	char buf[4096];
	int n = procdir_read(d, pid, "smaps_rollup", buf, sizeof(buf));

	assert_true(n > 0);
	procfs_parse_rollup(buf, (size_t)n, v);
	assert_true(v[PROCFS_ROLLUP_PSS] >= 8192);
}

/* It shares pages with this process, which goes on: a reading counts when nothing moved around it.
 */
static void it_says_what_smaps_rollup_says(void **state unused_arg)
{
	uint32_t child = (uint32_t)start_child();
	int64_t before[PROCFS_ROLLUP_COUNT];
	int64_t after[PROCFS_ROLLUP_COUNT];
	struct procdir d;
	struct error err;
	struct pss p;
	uint32_t pss = 0;
	uint32_t uss = 0;
	uint32_t age;
	uint32_t id = 0;

	assert_int_equal(procdir_open(&d, "/proc", &err), 0);
	assert_int_equal(pss_init(&p, &pss_defaults), 0);
	do {
		read_truth(&d, child, before);
		pss_begin(&p, (int64_t)(id + 1) * SEC);
		assert_int_equal(pss_offer(&p, ++id, child, 1, (uint32_t)before[PROCFS_ROLLUP_RSS]),
				 0);
		pss_measure(&p, &d, thread_us);
		assert_int_equal(p.sum.reads, id);
		read_truth(&d, child, after);
	} while (memcmp(before, after, sizeof(before)) != 0 && id < 1000);
	assert_true(pss_figures(&p, id, 1, (uint32_t)after[PROCFS_ROLLUP_RSS], &pss, &uss, &age));
	assert_int_equal(pss, after[PROCFS_ROLLUP_PSS]);
	assert_int_equal(uss,
			 after[PROCFS_ROLLUP_PRIVATE_CLEAN] + after[PROCFS_ROLLUP_PRIVATE_DIRTY]);
	pss_fini(&p);
	procdir_close(&d);
	kill((pid_t)child, SIGKILL);
	waitpid((pid_t)child, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_new_one_is_first),
		cmocka_unit_test(who_grew_is_read_before_who_is_large),
		cmocka_unit_test(between_readings_the_ratio_holds),
		cmocka_unit_test(the_figures_keep_their_order),
		cmocka_unit_test(a_reused_id_inherits_nothing),
		cmocka_unit_test(over_time_the_ceiling_holds_and_nobody_starves),
		cmocka_unit_test(what_is_too_expensive_is_tried_rarely_or_never),
		cmocka_unit_test(large_ones_teach_what_large_ones_cost),
		cmocka_unit_test(the_small_and_the_forbidden_cost_nothing),
		cmocka_unit_test(an_entry_is_small),
		cmocka_unit_test(without_memory_a_process_is_left_out),
		cmocka_unit_test_setup_teardown(an_old_kernel_is_asked_once, folder_begin,
						folder_end),
		cmocka_unit_test(it_says_what_smaps_rollup_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
