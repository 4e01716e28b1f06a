/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/posture.h"

#include "tests/support/folder.h"

static struct posture_finding found[POSTURE_MAX];

static const struct posture_finding *find(const struct posture_facts *f, const char *code)
{
	size_t n = posture_judge(f, found, POSTURE_MAX);

	for (size_t i = 0; i < n; i++)
		if (strcmp(found[i].code, code) == 0)
			return &found[i];
	return NULL;
}

static struct posture_facts good_host(void)
{
	return (struct posture_facts){
		.mem_total = 8 << 20,
		.swap_total = 2 << 20,
		.zram_devices = 0,
		.overcommit = 0,
		.swappiness = 60,
		.dump_tasks = 1,
		.dmesg_restrict = 1,
		.kmsg_readable = 1,
		.psi = 1,
		.hidepid = 2,
		.rollup_readable = 1,
		.rollup_there = 1,
		.tracefs = 1,
		.journal_readable = 1,
		.cgroup_version = 2,
		.sshd_score_adj = -1000,
		.own_score_adj = -900,
		.proc_connector = 1,
	};
}

static void nothing_is_said_of_what_is_not_known(void **state unused_arg)
{
	struct posture_facts f;

	posture_clear(&f);
	assert_int_equal(posture_judge(&f, found, POSTURE_MAX), 0);
}

static void a_good_host_has_no_finding(void **state unused_arg)
{
	struct posture_facts f = good_host();

	assert_int_equal(posture_judge(&f, found, POSTURE_MAX), 0);
}

static void each_fact_has_its_finding(void **state unused_arg)
{
#define FACT(name) offsetof(struct posture_facts, name)
	static const struct {
		size_t fact;
		int64_t value;
		const char *code;
	} cases[] = {
		{FACT(swap_total), 0, "no_swap"},
		{FACT(swap_total), 1000, "small_swap"},
		{FACT(swappiness), 0, "swap_unused"},
		{FACT(panic_on_oom), 1, "panic_on_oom"},
		{FACT(kill_allocating), 1, "kills_allocating_task"},
		{FACT(dump_tasks), 0, "no_task_table"},
		{FACT(overcommit), 1, "overcommit_always"},
		{FACT(overcommit), 2, "overcommit_never"},
		{FACT(sshd_score_adj), 0, "sshd_can_be_killed"},
		{FACT(own_score_adj), 0, "agent_can_be_killed"},
		{FACT(kmsg_readable), 0, "kmsg_unreadable"},
		{FACT(psi), 0, "psi_absent"},
		{FACT(cgroup_version), 0, "cgroups_absent"},
		{FACT(cgroup_version), 1, "cgroups_v1"},
		{FACT(rollup_readable), 0, "pss_denied"},
		{FACT(rollup_readable), 0, "processes_hidden"},
		{FACT(rollup_there), 0, "pss_absent"},
		{FACT(tracefs), 0, "tracefs_absent"},
		{FACT(proc_connector), 0, "exits_unheard"},
		{FACT(journal_readable), 0, "journal_unreadable"},
		{FACT(services_unlimited), 3, "services_unlimited"},
		{FACT(containers_unlimited), 3, "containers_unlimited"},
	};
#undef FACT

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct posture_facts f = good_host();
		const struct posture_finding *x;

		memcpy((char *)&f + cases[i].fact, &cases[i].value, sizeof(int64_t));
		x = find(&f, cases[i].code);
		if (!x)
			fail_msg("no finding '%s'", cases[i].code);
		else if (!x->fix || strlen(x->text) < 20 || strlen(x->fix) < 5)
			fail_msg("finding '%s' says too little", cases[i].code);
	}
}

static void the_worst_come_first_and_numbers_are_told(void **state unused_arg)
{
	struct posture_facts f = good_host();
	size_t n;

	f.swap_total = 0;
	f.mem_total = 1 << 20;
	f.panic_on_oom = 1;
	f.services = 9;
	f.services_unlimited = 4;
	n = posture_judge(&f, found, POSTURE_MAX);
	assert_int_equal(n, 4);
	for (size_t i = 1; i < n; i++)
		assert_true(found[i].severity <= found[i - 1].severity);
	assert_string_equal(found[0].code, "panic_on_oom");
	assert_string_equal(found[3].code, "zram_would_help");
	assert_string_equal(posture_word(found[0].severity), "bad");
	assert_non_null(strstr(find(&f, "services_unlimited")->text, "4 of 9 services"));
	assert_int_equal(posture_judge(&f, found, 2), 2);
}

static void facts_are_gathered_from_a_folder(void **state unused_arg)
{
	struct posture_paths paths = posture_system_paths;
	struct posture_facts f;
	char kmsg[128];
	char tracing[128];
	char mounts[256];

	folder_put("meminfo", "MemTotal: 1000 kB\nSwapTotal: 0 kB\n");
	folder_put("sys/vm/panic_on_oom", "1\n");
	folder_put("sys/vm/overcommit_memory", "2\n");
	folder_put("sys/kernel/dmesg_restrict", "1\n");
	folder_put("self/oom_score_adj", "-900\n");
	folder_put("self/smaps_rollup", "x\n");
	snprintf(mounts, sizeof(mounts), "proc %s proc rw,nosuid,hidepid=invisible 0 0\n", folder);
	folder_put("self/mounts", mounts);
	folder_put("self/mountinfo", "1 1 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n");
	folder_put("77/comm", "sshd\n");
	folder_put("77/oom_score_adj", "-1000\n");
	folder_put("78/comm", "sshd\n");
	folder_put("78/oom_score_adj", "0\n");
	folder_put("kmsg", "");
	folder_put("events/oom/mark_victim/format", "");
	snprintf(kmsg, sizeof(kmsg), "%s/kmsg", folder);
	snprintf(tracing, sizeof(tracing), "%s", folder);
	paths.proc = folder;
	paths.sys_block = "/nowhere";
	paths.kmsg = kmsg;
	paths.tracing = tracing;
	paths.journal[0] = "/nowhere";
	paths.journal[1] = kmsg;
	posture_clear(&f);
	f.services = 5;
	posture_gather(&paths, &f);
	assert_int_equal(f.mem_total, 1000);
	assert_int_equal(f.swap_total, 0);
	assert_int_equal(f.zram_devices, 0);
	assert_int_equal(f.panic_on_oom, 1);
	assert_int_equal(f.overcommit, 2);
	assert_int_equal(f.swappiness, POSTURE_UNKNOWN);
	assert_int_equal(f.dmesg_restrict, 1);
	assert_int_equal(f.own_score_adj, -900);
	assert_int_equal(f.sshd_score_adj, -1000);
	assert_int_equal(f.hidepid, 2);
	assert_int_equal(f.cgroup_version, 2);
	assert_int_equal(f.kmsg_readable, 1);
	assert_int_equal(f.tracefs, 1);
	assert_int_equal(f.journal_readable, 0);
	assert_int_equal(f.psi, 0);
	assert_int_equal(f.rollup_there, 1);
	assert_int_equal(f.rollup_readable, 0);
	assert_int_equal(f.services, 5);
}

static void this_host_is_judged(void **state unused_arg)
{
	struct posture_facts f;
	size_t n;

	posture_clear(&f);
	posture_gather(&posture_system_paths, &f);
	assert_true(f.mem_total > 0);
	assert_true(f.own_score_adj != POSTURE_UNKNOWN);
	n = posture_judge(&f, found, POSTURE_MAX);
	for (size_t i = 0; i < n; i++)
		print_message("%s %s: %s; %s\n", posture_word(found[i].severity), found[i].code,
			      found[i].text, found[i].fix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_said_of_what_is_not_known),
		cmocka_unit_test(a_good_host_has_no_finding),
		cmocka_unit_test(each_fact_has_its_finding),
		cmocka_unit_test(the_worst_come_first_and_numbers_are_told),
		cmocka_unit_test_setup_teardown(facts_are_gathered_from_a_folder, folder_begin,
						folder_end),
		cmocka_unit_test(this_host_is_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
