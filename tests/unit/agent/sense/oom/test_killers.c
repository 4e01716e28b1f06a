/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/killers.h"

#include <signal.h>

#include "tests/support/test.h"

struct line {
	const char *text;
	enum killer killer;
	enum killer_act act;
	int64_t pid;
	int signal;
	const char *comm;
	const char *target;
	const char *reason;
};

/* clang-format off */
static const struct line lines[] = {
	/* earlyoom 1.2, 1.3, 1.6, 1.8, 1.9 */
	{"Killing process 'tail' with signal 15, pid: 812, badness: 938, VmRSS: 1000 MiB",
	 KILLER_EARLYOOM, KILLER_ACT_SIGNAL, 812, SIGTERM, "tail", "",
	 "badness: 938, VmRSS: 1000 MiB"},
	{"Killing process 'tail' with signal SIGKILL, pid: 812, badness: 938, VmRSS: 1000 MiB",
	 KILLER_EARLYOOM, KILLER_ACT_SIGNAL, 812, SIGKILL, "tail", "",
	 "badness: 938, VmRSS: 1000 MiB"},
	{"sending SIGTERM to process 812 \"python3\": badness 900, VmRSS 38 MiB",
	 KILLER_EARLYOOM, KILLER_ACT_SIGNAL, 812, SIGTERM, "python3", "",
	 "badness 900, VmRSS 38 MiB"},
	{"sending SIGKILL to process 812 uid 1000 \"python3\": badness 900, VmRSS 38 MiB",
	 KILLER_EARLYOOM, KILLER_ACT_SIGNAL, 812, SIGKILL, "python3", "",
	 "badness 900, VmRSS 38 MiB"},
	{"sending SIGTERM to process 812 uid 1000 \"a\" to b\": oom_score 901, VmRSS 38 MiB, "
	 "cmdline \"x\": oom_score 1, VmRSS 2 MiB\"",
	 KILLER_EARLYOOM, KILLER_ACT_SIGNAL, 812, SIGTERM, "a\" to b", "",
	 "oom_score 901, VmRSS 38 MiB, cmdline \"x\": oom_score 1, VmRSS 2 MiB\""},
	{"sending SIGTERM to process 812 uid 33 \"php\": oom_score 901, oom_score_adj 0, VmRSS 38 "
	 "MiB, cmdline \"php\"\n",
	 KILLER_EARLYOOM, KILLER_ACT_SIGNAL, 812, SIGTERM, "php", "",
	 "oom_score 901, oom_score_adj 0, VmRSS 38 MiB, cmdline \"php\""},
	{"escalating to SIGKILL after 4.1 seconds", KILLER_EARLYOOM, KILLER_ACT_ESCALATE, 0,
	 SIGKILL, "", "", ""},
	{"process 812 exited after 0.3 seconds", KILLER_EARLYOOM, KILLER_ACT_EXITED, 812, 0, "", "",
	 ""},
	{"process exited after 0.0 seconds", KILLER_EARLYOOM, KILLER_ACT_EXITED, 0, 0, "", "", ""},
	{"process 812 did not exit", KILLER_EARLYOOM, KILLER_ACT_SURVIVED, 812, 0, "", "", ""},
	/* systemd-oomd 252, 257; 258 marks */
	{"Killed /user.slice/a due to b.scope due to memory pressure for /user.slice being 51.07% > "
	 "50.00% for > 20s with reclaim activity",
	 KILLER_SYSTEMD_OOMD, KILLER_ACT_SIGNAL, 0, SIGKILL, "", "/user.slice/a due to b.scope",
	 "memory pressure for /user.slice being 51.07% > 50.00% for > 20s with reclaim activity"},
	{"Killed /system.slice/shop.service due to memory used (1) / total (2) and swap used (3) / "
	 "total (4) being more than 90.00%",
	 KILLER_SYSTEMD_OOMD, KILLER_ACT_SIGNAL, 0, SIGKILL, "", "/system.slice/shop.service",
	 "memory used (1) / total (2) and swap used (3) / total (4) being more than 90.00%"},
	{"Marked /system.slice/shop.service for killing due to memory pressure for /system.slice "
	 "being 85.03% > 80.00% for > 2s with reclaim activity",
	 KILLER_SYSTEMD_OOMD, KILLER_ACT_SIGNAL, 0, SIGKILL, "", "/system.slice/shop.service",
	 "memory pressure for /system.slice being 85.03% > 80.00% for > 2s with reclaim activity"},
	/* oomd */
	{"oomd kill: 81.28 80.05 42.78 system.slice/a b.service 137490391040 ruleset:[low swap] "
	 "detectorgroup:[free swap] killer:kill_by_swap_usage v2",
	 KILLER_OOMD, KILLER_ACT_SIGNAL, 0, SIGKILL, "", "/system.slice/a b.service",
	 "ruleset:[low swap] detectorgroup:[free swap] killer:kill_by_swap_usage v2"},
	/* gunicorn, with and without its own prefix */
	{"[2026-01-09 13:24:39 +0000] [16] [CRITICAL] WORKER TIMEOUT (pid:17)", KILLER_GUNICORN,
	 KILLER_ACT_TIMEOUT, 17, 0, "", "", ""},
};
/* clang-format on */

static void every_killer_is_understood(void **state unused_arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct killer_note n;

		if (!killer_parse(NULL, lines[i].text, strlen(lines[i].text), &n))
			fail_msg("not understood: %s", lines[i].text);
		assert_int_equal(n.killer, lines[i].killer);
		assert_int_equal(n.act, lines[i].act);
		assert_int_equal(n.pid, lines[i].pid);
		assert_int_equal(n.signal, lines[i].signal);
		assert_string_equal(n.comm, lines[i].comm);
		assert_string_equal(n.target, lines[i].target);
		assert_string_equal(n.reason, lines[i].reason);
	}
}

static void other_lines_are_no_notes(void **state unused_arg)
{
	static const char *const none[] = {
		"",
		"\n",
		"mem avail: 1000 of 2000 MiB (50.00%), swap free: 0 of 0 MiB ( 0.00%)",
		"low memory! at or below SIGTERM limits: mem 10.00%, swap 10.00%",
		"sending SIGTERM to process 0 \"x\": badness 1, VmRSS 1 MiB",
		"sending SIGTERM to process -4 \"x\": badness 1, VmRSS 1 MiB",
		"sending SIGNOTHING to process 4 \"x\": badness 1, VmRSS 1 MiB",
		"sending SIGTERM to process 99999999999 \"x\": badness 1, VmRSS 1 MiB",
		"Killing process 'x' with signal 15, pid: x",
		"Considered 19 cgroups for killing, top candidates were:",
		"Killed",
		"Killed /x because of memory",
		"Marked /x due to memory pressure for /y being",
		/* What it would have done. */
		"oomd kill: 1 1 1 a 1 ruleset:[r] detectorgroup:[d] killer:(dry)kill_by_x v2",
		"oomd kill: ",
		"oomd kill: 1 2 3 ",
		/* A guess of its own: no evidence. */
		"[16] [ERROR] Worker (pid:17) was sent SIGKILL! Perhaps out of memory?",
		"WORKER TIMEOUT (pid:17",
		/* nohang's block without what came before. */
		"  Sending SIGTERM to the victim",
	};
	struct killer_state state_of = {.pid = 0};
	struct killer_note n;

	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		if (killer_parse(NULL, none[i], strlen(none[i]), &n) ||
		    killer_parse(&state_of, none[i], strlen(none[i]), &n))
			fail_msg("understood: %s", none[i]);
	}
}

static void the_block_of_nohang_is_put_together(void **state unused_arg)
{
	static const char *const block[] = {
		">>=== STARTING implement_corrective_action() ====>>",
		"Memory status that requires corrective actions:",
		"  MemAvailable [383 MiB, 5.0 %] <= soft_threshold_min_mem [384 MiB, 5.0 %]",
		"TOP printed in 1ms; process with highest badness:",
		"  PID: 903309, name: a, badness: 1, badness: 849",
		"Recheck memory levels...",
		"Implementing a corrective action:",
	};
	struct killer_state s = {.pid = 0};
	struct killer_note n;

	for (size_t i = 0; i < ARRAY_SIZE(block); i++)
		assert_false(killer_parse(&s, block[i], strlen(block[i]), &n));
	assert_true(killer_parse(&s, "  Sending SIGTERM to the victim", 31, &n));
	assert_int_equal(n.killer, KILLER_NOHANG);
	assert_int_equal(n.act, KILLER_ACT_SIGNAL);
	assert_int_equal(n.signal, SIGTERM);
	assert_int_equal(n.pid, 903309);
	assert_string_equal(n.comm, "a, badness: 1");
	assert_string_equal(
		n.reason,
		"MemAvailable [383 MiB, 5.0 %] <= soft_threshold_min_mem [384 MiB, 5.0 %]");
	assert_true(killer_parse(&s, "The victim died in 0.04s", 24, &n));
	assert_int_equal(n.act, KILLER_ACT_EXITED);
	assert_int_equal(n.pid, 903309);
	assert_false(killer_parse(&s, "New victim is cached victim 77 (b)", 34, &n));
	assert_true(
		killer_parse(&s, "The victim doesn't respond on corrective action in 3s", 53, &n));
	assert_int_equal(n.act, KILLER_ACT_SURVIVED);
	assert_int_equal(n.pid, 77);
	assert_string_equal(n.comm, "b");
}

static void notes_of_the_service_manager_have_a_unit(void **state unused_arg)
{
	struct killer_note n;

	assert_true(killer_from_pid1(KILLER_MESSAGE_UNIT_OOM, "shop.service", NULL, &n));
	assert_int_equal(n.killer, KILLER_PID1_OOM);
	assert_int_equal(n.act, KILLER_ACT_UNIT);
	assert_string_equal(n.target, "shop.service");
	assert_true(killer_from_pid1(KILLER_MESSAGE_UNIT_OOMD, "shop.service", "12", &n));
	assert_int_equal(n.killer, KILLER_PID1_OOMD);
	assert_int_equal(n.count, 12);
	assert_true(killer_from_pid1(KILLER_MESSAGE_UNIT_OOMD, "shop.service", "-3x", &n));
	assert_int_equal(n.count, 0);
	assert_true(killer_from_pid1(KILLER_MESSAGE_STOPPING, "shop.service", NULL, &n));
	assert_int_equal(n.killer, KILLER_PID1_STOP);
	assert_int_equal(n.act, KILLER_ACT_STOP);
	assert_string_equal(n.target, "shop.service");
	assert_true(killer_from_pid1(KILLER_MESSAGE_STOPPED, "shop.service", NULL, &n));
	assert_int_equal(n.act, KILLER_ACT_STOPPED);
	assert_false(killer_from_pid1("00000000000000000000000000000000", "u", "1", &n));
}

static void a_note_is_of_whom_it_names(void **state unused_arg)
{
	static const struct {
		int64_t pid;
		const char *target;
		const char *cgroup;
		bool matches;
	} rows[] = {
		{812, "", "", true},
		{811, "", "", false},
		{811, "/a", "/a", false}, /* a pid decides alone */
		{0, "/a", "/a", true},
		{0, "/a/", "/a/b", true},
		{0, "/", "/a/b", true},
		{0, "/a", "/ab", false},
		{0, "/a/b", "/a", false},
		{0, "/a", "", false},
		{0, "/a", NULL, false},
		{0, "", "/a", false},
		{0, "shop.service", "/system.slice/shop.service", true},
		{0, "shop.service", "/system.slice/shop.service/worker", true},
		{0, "shop.service", "/system.slice/xshop.service", false},
		{0, "shop.service", "/system.slice/shop.service2/shop.service", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct killer_note n = {.pid = rows[i].pid};

		strcpy(n.target, rows[i].target);
		assert_int_equal(killer_matches(&n, 812, rows[i].cgroup), rows[i].matches);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_killer_is_understood),
		cmocka_unit_test(other_lines_are_no_notes),
		cmocka_unit_test(the_block_of_nohang_is_put_together),
		cmocka_unit_test(notes_of_the_service_manager_have_a_unit),
		cmocka_unit_test(a_note_is_of_whom_it_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
