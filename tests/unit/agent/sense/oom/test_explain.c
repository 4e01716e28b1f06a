/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/explain.h"

#include "common/str.h"
#include "tests/support/test.h"

static struct oom_kill memcg_kill(void)
{
	struct oom_kill k;

	oom_kill_init(&k);
	k.pid = 812;
	strcpy(k.comm, "python3");
	k.scope = OOM_SCOPE_MEMCG;
	k.complete = true;
	strcpy(k.limit_cgroup, "/docker/ab12");
	k.limit = 40960;
	k.stat[OOM_STAT_ANON] = 39834;
	k.stat[OOM_STAT_FILE] = 12;
	strcpy(k.trigger.comm, "python3");
	k.trigger.pid = 812;
	k.trigger.order = 0;
	return k;
}

static const char *sentence(const struct oom_kill *k, struct explain_facts f)
{
	static char out[EXPLAIN_SENTENCE_SIZE];
	size_t n = explain_kill(out, sizeof(out), k, &f);

	assert_int_equal(n, strlen(out));
	assert_true(str_is_safe(out, strlen(out)));
	return out;
}

static void a_kill_by_a_limit_is_told(void **state unused_arg)
{
	struct oom_kill k = memcg_kill();

	assert_string_equal(
		sentence(&k, (struct explain_facts){.victim_service = "shop",
						    .grower = "python3 (pid 812)",
						    .grower_pid = 812}),
		"The kernel killed python3 (pid 812, shop) because /docker/ab12 reached its limit "
		"of 40 MiB (39 MiB anonymous); python3 (pid 812) triggered it and had grown "
		"most.");
	k.trigger.pid = 9;
	strcpy(k.trigger.comm, "sh");
	assert_string_equal(
		sentence(&k, (struct explain_facts){.grower = "celery (pid 7)",
						    .grower_pid = 7,
						    .grower_service = "jobs",
						    .grown_kib = 20480,
						    .grown_seconds = 600}),
		"The kernel killed python3 (pid 812) because /docker/ab12 reached its limit of 40 "
		"MiB "
		"(39 MiB anonymous); sh (pid 9) triggered it; celery (pid 7) of jobs had grown "
		"most, by 20 MiB in 10 min.");
}

static void what_is_not_known_is_not_said(void **state unused_arg)
{
	struct oom_kill k;

	oom_kill_init(&k);
	k.pid = 5;
	strcpy(k.comm, "job");
	assert_string_equal(
		sentence(&k, (struct explain_facts){.grower = NULL}),
		"The kernel killed job (pid 5); its log does not say whose memory had run "
		"out.");
	k.scope = OOM_SCOPE_MEMCG;
	assert_string_equal(sentence(&k, (struct explain_facts){.grower = NULL}),
			    "The kernel killed job (pid 5) because its memory cgroup reached its "
			    "limit.");
}

static void a_kill_on_the_host_is_told(void **state unused_arg)
{
	struct oom_kill k = memcg_kill();

	k.scope = OOM_SCOPE_GLOBAL;
	k.host[OOM_HOST_FREE] = 51200;
	k.host[OOM_HOST_TOTAL_SWAP] = 0;
	assert_string_equal(
		sentence(&k, (struct explain_facts){.grower = NULL}),
		"The kernel killed python3 (pid 812) because the host had no memory left "
		"(50 MiB free, no swap); python3 (pid 812) triggered it.");
	k.host[OOM_HOST_TOTAL_SWAP] = 1024;
	k.host[OOM_HOST_FREE_SWAP] = 12;
	assert_non_null(strstr(sentence(&k, (struct explain_facts){.grower = NULL}),
			       "50 MiB free, 12 KiB of swap free"));
	k.scope = OOM_SCOPE_SYSRQ;
	assert_non_null(strstr(sentence(&k, (struct explain_facts){.grower = NULL}), "SysRq"));
	k.group_member = true;
	assert_non_null(
		strstr(sentence(&k, (struct explain_facts){.grower = NULL}), "memory.oom.group"));
}

static void hostile_names_and_numbers_are_printable(void **state unused_arg)
{
	struct oom_kill k = memcg_kill();
	char tiny[8];

	strcpy(k.comm, "a\nb\x1b[2J\xff");
	memset(k.limit_cgroup, '\n', sizeof(k.limit_cgroup) - 1);
	k.limit = INT64_MAX;
	k.stat[OOM_STAT_ANON] = INT64_MAX;
	assert_non_null(
		strstr(sentence(&k, (struct explain_facts){.grower = NULL}), "a\\x0ab\\x1b"));
	assert_int_equal(explain_kill(tiny, sizeof(tiny), &k,
				      &(struct explain_facts){.grower = NULL}),
			 7);
	assert_string_equal(tiny, "The ker");
}

static const char *advice(const struct oom_kill *k, struct explain_facts f)
{
	static char out[EXPLAIN_MAX_ADVICE][EXPLAIN_ADVICE_SIZE];
	static char all[EXPLAIN_MAX_ADVICE * EXPLAIN_ADVICE_SIZE];
	size_t n = explain_advice(out, k, &f);

	assert_true(n <= EXPLAIN_MAX_ADVICE);
	all[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		assert_true(str_ends(out[i], "."));
		strcat(all, out[i]);
	}
	return all;
}

static void advice_follows_from_what_filled_the_limit(void **state unused_arg)
{
	struct oom_kill k = memcg_kill();

	assert_non_null(strstr(advice(&k, (struct explain_facts){0}), "below about 50 MiB"));
	k.stat[OOM_STAT_ANON] = 1000;
	assert_string_equal(advice(&k, (struct explain_facts){0}), "");
	k.stat[OOM_STAT_SHMEM] = 20480;
	assert_non_null(strstr(advice(&k, (struct explain_facts){0}), "/dev/shm"));
	k.stat[OOM_STAT_SHMEM] = METRIC_ABSENT;
	k.stat[OOM_STAT_SLAB] = 20480;
	assert_non_null(strstr(advice(&k, (struct explain_facts){0}), "kernel's own memory"));
	k.stat[OOM_STAT_INACTIVE_FILE] = 20480;
	assert_non_null(strstr(advice(&k, (struct explain_facts){0}), "memory.high"));
	/* Swap of the host and its sshd are no matter of a limit. */
	assert_null(strstr(advice(&k, (struct explain_facts){.host_total_kib = 1,
							     .sshd_unprotected = true}),
			   "sshd"));
}

static void advice_for_the_host_names_limit_swap_and_sshd(void **state unused_arg)
{
	struct oom_kill k = memcg_kill();
	const char *all;

	k.scope = OOM_SCOPE_GLOBAL;
	k.host[OOM_HOST_TOTAL_SWAP] = 0;
	all = advice(&k, (struct explain_facts){.grower = "python3 (pid 812)",
						.grower_service = "shop",
						.grower_unlimited = true,
						.sshd_unprotected = true});
	assert_true(str_starts(all, "shop had no memory limit"));
	assert_non_null(strstr(all, "no swap"));
	assert_non_null(strstr(all, "sshd is not protected"));
	k.host[OOM_HOST_TOTAL_SWAP] = 1024;
	strcpy(k.comm, "sshd");
	all = advice(&k, (struct explain_facts){.grower = NULL});
	assert_null(strstr(all, "no swap"));
	assert_non_null(strstr(all, "sshd itself was killed"));
}

static void a_victim_of_its_score_is_called_so(void **state unused_arg)
{
	struct oom_kill k = memcg_kill();
	struct oom_task rows[2] = {{.comm = "python3"}, {.comm = "java"}};

	for (size_t i = 0; i < 2; i++) {
		for (int c = 0; c < OOM_TASK_COUNT; c++)
			rows[i].v[c] = METRIC_ABSENT;
		rows[i].v[OOM_TASK_PID] = i ? 900 : 812;
		rows[i].v[OOM_TASK_RSS] = i ? 2097152 : 1024;
	}
	k.scope = OOM_SCOPE_GLOBAL;
	k.tasks = rows;
	k.n_tasks = 2;
	k.victim[OOM_VICTIM_SCORE_ADJ] = 300;
	assert_non_null(
		strstr(advice(&k, (struct explain_facts){0}),
		       "oom_score_adj of 300, not for its size: java (pid 900) held 2 GiB."));
	k.victim[OOM_VICTIM_SCORE_ADJ] = 0;
	assert_null(strstr(advice(&k, (struct explain_facts){0}), "oom_score_adj"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_by_a_limit_is_told),
		cmocka_unit_test(what_is_not_known_is_not_said),
		cmocka_unit_test(a_kill_on_the_host_is_told),
		cmocka_unit_test(hostile_names_and_numbers_are_printable),
		cmocka_unit_test(advice_follows_from_what_filled_the_limit),
		cmocka_unit_test(advice_for_the_host_names_limit_swap_and_sshd),
		cmocka_unit_test(a_victim_of_its_score_is_called_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
