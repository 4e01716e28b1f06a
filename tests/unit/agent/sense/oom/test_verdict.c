/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/verdict.h"

#include <signal.h>

#include "common/str.h"
#include "tests/support/test.h"

#define KILLED                                   \
	{                                        \
		.known = true, .signal = SIGKILL \
	}
#define TERMED                                   \
	{                                        \
		.known = true, .signal = SIGTERM \
	}
#define EXIT(n)                            \
	{                                  \
		.known = true, .code = (n) \
	}

static struct oom_kill kill_of(enum oom_scope scope, bool member)
{
	struct oom_kill k;

	oom_kill_init(&k);
	k.pid = 812;
	k.seq = 423;
	k.scope = scope;
	k.group_member = member;
	return k;
}

static struct verdict decide(struct verdict_facts f)
{
	struct verdict v;

	f.pid = 812;
	f.name = "python3 (pid 812, shop)";
	if (!f.cgroup)
		f.cgroup = "/system.slice/shop.service";
	verdict_decide(&f, &v);
	assert_true(v.n_evidence > 0 && v.n_evidence <= VERDICT_MAX_EVIDENCE);
	assert_true(strstr(v.sentence, f.name) == v.sentence);
	return v;
}

#define expect(v, c, how)                                               \
	do {                                                            \
		struct verdict v_ = (v);                                \
		assert_int_equal(v_.cause, KILL_CAUSE_##c);             \
		assert_int_equal(v_.confidence, KILL_CONFIDENCE_##how); \
	} while (0)

static bool mentions(const struct verdict *v, const char *text)
{
	for (size_t i = 0; i < v->n_evidence; i++)
		if (strstr(v->evidence[i], text))
			return true;
	return false;
}

static void a_kill_by_the_kernel_is_certain(void **state unused_arg)
{
	static const struct {
		enum oom_scope scope;
		bool member;
		enum kill_cause cause;
	} rows[] = {
		{OOM_SCOPE_MEMCG, false, KILL_CAUSE_KERNEL_MEMCG},
		{OOM_SCOPE_MEMCG, true, KILL_CAUSE_KERNEL_GROUP},
		{OOM_SCOPE_GLOBAL, false, KILL_CAUSE_KERNEL_GLOBAL},
		{OOM_SCOPE_ALLOCATING, false, KILL_CAUSE_KERNEL_GLOBAL},
		{OOM_SCOPE_CPUSET, false, KILL_CAUSE_KERNEL_GLOBAL},
		{OOM_SCOPE_SYSRQ, false, KILL_CAUSE_KERNEL_SYSRQ},
		{OOM_SCOPE_UNKNOWN, false, KILL_CAUSE_KERNEL_OOM},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oom_kill k = kill_of(rows[i].scope, rows[i].member);
		struct verdict v = decide((struct verdict_facts){.exit = KILLED, .kill = &k});

		assert_int_equal(v.cause, rows[i].cause);
		assert_int_equal(v.confidence, KILL_CONFIDENCE_CERTAIN);
		assert_false(v.contradicted);
		assert_true(mentions(&v, "record 423"));
	}
	expect(decide((struct verdict_facts){.exit = KILLED, .marked = true}), KERNEL_OOM, CERTAIN);
	/* The end may not have been seen at all. */
	expect(decide((struct verdict_facts){.marked = true}), KERNEL_OOM, CERTAIN);
}

static void a_counter_alone_makes_it_likely(void **state unused_arg)
{
	expect(decide((struct verdict_facts){.exit = KILLED, .oom_kill_rise = 1}), KERNEL_OOM,
	       LIKELY);
	expect(decide((struct verdict_facts){.exit = EXIT(3), .oom_kill_rise = 1}), EXIT_CODE,
	       CERTAIN);
	expect(decide((struct verdict_facts){.exit = KILLED, .oom_kill_rise = METRIC_ABSENT}),
	       KILLED, CERTAIN);
}

static void killers_in_user_space_are_named(void **state unused_arg)
{
	const struct killer_note early = {.killer = KILLER_EARLYOOM,
					  .pid = 812,
					  .signal = SIGTERM,
					  .reason = "badness 900"};
	const struct killer_note other = {.killer = KILLER_EARLYOOM, .pid = 9, .signal = SIGTERM};
	const struct killer_note oomd = {.killer = KILLER_SYSTEMD_OOMD,
					 .signal = SIGKILL,
					 .target = "/system.slice/shop.service",
					 .reason = "memory pressure for / being 70% > 60%"};
	const struct killer_note manager = {.killer = KILLER_PID1_OOMD,
					    .act = KILLER_ACT_UNIT,
					    .target = "shop.service"};
	struct killer_note notes[4] = {other, manager, oomd, early};
	struct verdict v;

	expect(decide((struct verdict_facts){.exit = TERMED, .notes = &early, .n_notes = 1}),
	       EARLYOOM, CERTAIN);
	/* SIGTERM that was handled looks like any end. */
	expect(decide((struct verdict_facts){.exit = EXIT(0), .notes = &early, .n_notes = 1}),
	       EARLYOOM, CERTAIN);
	expect(decide((struct verdict_facts){.exit = KILLED, .notes = &early, .n_notes = 1}),
	       EARLYOOM, CERTAIN);
	v = decide((struct verdict_facts){.exit = KILLED, .notes = notes, .n_notes = 3});
	expect(v, SYSTEMD_OOMD, LIKELY);
	assert_true(mentions(&v, "names /system.slice/shop.service: memory pressure for /"));
	expect(decide((struct verdict_facts){.exit = KILLED, .notes = notes, .n_notes = 4}),
	       EARLYOOM, CERTAIN);
	expect(decide((struct verdict_facts){.exit = KILLED, .notes = notes, .n_notes = 1}), KILLED,
	       CERTAIN);
	/* A crash at that moment is not the killer's doing. */
	v = decide((struct verdict_facts){.exit = {.known = true, .signal = SIGSEGV},
					  .notes = &early,
					  .n_notes = 1});
	assert_int_equal(v.confidence, KILL_CONFIDENCE_LIKELY);
	assert_true(v.contradicted);
	assert_true(mentions(&v, "against it"));
}

static void the_manager_ending_the_rest_of_a_unit_is_no_kill(void **state unused_arg)
{
	const struct killer_note n = {.killer = KILLER_PID1_OOM,
				      .act = KILLER_ACT_UNIT,
				      .target = "shop.service"};

	expect(decide((struct verdict_facts){.exit = KILLED, .notes = &n, .n_notes = 1}),
	       KERNEL_OOM, LIKELY);
	expect(decide((struct verdict_facts){
		       .exit = TERMED, .notes = &n, .n_notes = 1, .unit_stop = true}),
	       UNIT_STOP, LIKELY);
}

static void what_we_did_ourselves_is_said(void **state unused_arg)
{
	struct verdict v = decide((struct verdict_facts){.exit = TERMED,
							 .action = VERDICT_ACTION_RESTART,
							 .action_id = "77"});

	assert_int_equal(v.cause, KILL_CAUSE_OWN_ACTION);
	assert_true(mentions(&v, "action 77 of memherd: restart"));
	assert_true(strstr(v.sentence, "memherd") != NULL);
}

static void contradictions_lower_the_confidence_and_are_named(void **state unused_arg)
{
	const struct killer_note early = {.killer = KILLER_EARLYOOM, .pid = 812, .signal = SIGTERM};
	struct oom_kill k = kill_of(OOM_SCOPE_MEMCG, false);
	struct verdict v = decide((struct verdict_facts){.exit = EXIT(3), .kill = &k});

	assert_int_equal(v.cause, KILL_CAUSE_KERNEL_MEMCG);
	assert_int_equal(v.confidence, KILL_CONFIDENCE_LIKELY);
	assert_true(mentions(&v, "exit code 3, not with SIGKILL"));
	v = decide((struct verdict_facts){.exit = KILLED,
					  .kill = &k,
					  .notes = &early,
					  .n_notes = 1,
					  .action = VERDICT_ACTION_RESTART});
	assert_int_equal(v.cause, KILL_CAUSE_KERNEL_MEMCG);
	assert_int_equal(v.confidence, KILL_CONFIDENCE_GUESS);
	assert_true(mentions(&v, "earlyoom claims"));
	assert_true(mentions(&v, "action of memherd"));
	/* earlyoom may ask the kernel to kill: no contradiction. */
	k.scope = OOM_SCOPE_SYSRQ;
	expect(decide((struct verdict_facts){
		       .exit = KILLED, .kill = &k, .notes = &early, .n_notes = 1}),
	       KERNEL_SYSRQ, CERTAIN);
}

static void a_master_that_lost_patience_is_no_memory_matter(void **state unused_arg)
{
	const struct killer_note n = {.killer = KILLER_GUNICORN,
				      .act = KILLER_ACT_TIMEOUT,
				      .pid = 812};
	struct oom_kill k = kill_of(OOM_SCOPE_MEMCG, false);

	expect(decide((struct verdict_facts){.exit = KILLED, .notes = &n, .n_notes = 1}),
	       WORKER_TIMEOUT, CERTAIN);
	expect(decide((struct verdict_facts){
		       .exit = KILLED, .kill = &k, .notes = &n, .n_notes = 1}),
	       KERNEL_MEMCG, CERTAIN);
	expect(decide((struct verdict_facts){.exit = EXIT(0), .notes = &n, .n_notes = 1}),
	       CLEAN_EXIT, CERTAIN);
}

static void other_ends_are_called_by_their_name(void **state unused_arg)
{
	struct verdict v;

	expect(decide((struct verdict_facts){.exit = KILLED}), KILLED, CERTAIN);
	expect(decide((struct verdict_facts){.exit = TERMED}), TERMINATED, CERTAIN);
	expect(decide((struct verdict_facts){.exit = EXIT(0)}), CLEAN_EXIT, CERTAIN);
	v = decide((struct verdict_facts){.exit = EXIT(3)});
	assert_int_equal(v.cause, KILL_CAUSE_EXIT_CODE);
	assert_non_null(strstr(v.sentence, "exit code 3"));
	expect(decide((struct verdict_facts){.exit = EXIT(1), .memory_limited = true}),
	       MEMORY_ERROR, GUESS);
	expect(decide((struct verdict_facts){.exit = EXIT(3), .memory_limited = true}), EXIT_CODE,
	       CERTAIN);
	v = decide((struct verdict_facts){.exit = {.known = true, .signal = SIGSEGV, .core = true},
					  .crash = "python3[812]: segfault at 0"});
	assert_int_equal(v.cause, KILL_CAUSE_CRASH);
	assert_true(mentions(&v, "segfault at 0"));
	assert_true(mentions(&v, "(SEGV) and left a core"));
	/* A fault that was survived explains nothing. */
	expect(decide((struct verdict_facts){.exit = EXIT(0), .crash = "python3[812]: segfault"}),
	       CLEAN_EXIT, CERTAIN);
	expect(decide((struct verdict_facts){.crash = "python3[812]: segfault"}), CRASH, LIKELY);
	expect(decide((struct verdict_facts){.exit = TERMED, .unit_stop = true}), UNIT_STOP,
	       LIKELY);
	expect(decide((struct verdict_facts){.exit = TERMED, .parent_died = true}), PARENT_DIED,
	       GUESS);
	expect(decide((struct verdict_facts){.pid = 1}), UNKNOWN, GUESS);
}

static void wait_statuses_are_taken_apart(void **state unused_arg)
{
	struct verdict_exit e = verdict_exit_of(9);

	assert_true(e.known && e.signal == SIGKILL && e.code == 0 && !e.core);
	e = verdict_exit_of(768);
	assert_true(e.signal == 0 && e.code == 3);
	e = verdict_exit_of(139);
	assert_true(e.signal == SIGSEGV && e.core);
	e = verdict_exit_of(0);
	assert_true(e.known && !e.signal && !e.code);
}

static void every_cause_has_a_word_of_its_own(void **state unused_arg)
{
	for (int i = 0; i < KILL_CAUSE_COUNT; i++) {
		assert_true(strlen(kill_cause_help((enum kill_cause)i)) > 5);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(kill_cause_word((enum kill_cause)i),
						kill_cause_word((enum kill_cause)k));
	}
	assert_string_equal(kill_cause_word(KILL_CAUSE_KERNEL_MEMCG), "kernel_memcg");
	assert_string_equal(kill_confidence_word(KILL_CONFIDENCE_CERTAIN), "certain");
}

static void hostile_texts_leave_printable_and_whole(void **state unused_arg)
{
	struct killer_note n = {.killer = KILLER_OOMD,
				.signal = SIGKILL,
				.target = "/a\n\x1b[2J\xff"};
	struct verdict v = decide((struct verdict_facts){
		.exit = KILLED, .cgroup = n.target, .notes = &n, .n_notes = 1});
	size_t i = 0;

	assert_int_equal(v.cause, KILL_CAUSE_OOMD);
	for (i = 0; i < v.n_evidence; i++)
		assert_true(str_is_safe(v.evidence[i], strlen(v.evidence[i])));
	/* A reason that must be cut is cut between two characters, wherever they begin. */
	for (size_t shift = 0; shift < 3; shift++) {
		memset(n.reason, 'x', sizeof(n.reason));
		for (i = shift; i + 3 < sizeof(n.reason); i += 3)
			memcpy(n.reason + i, "\xe2\x82\xac", 3);
		n.reason[i] = '\0';
		n.pid = 812;
		v = decide((struct verdict_facts){.exit = KILLED, .notes = &n, .n_notes = 1});
		assert_true(strlen(v.evidence[1]) > 190);
		assert_true(str_is_safe(v.evidence[1], strlen(v.evidence[1])));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_by_the_kernel_is_certain),
		cmocka_unit_test(a_counter_alone_makes_it_likely),
		cmocka_unit_test(killers_in_user_space_are_named),
		cmocka_unit_test(the_manager_ending_the_rest_of_a_unit_is_no_kill),
		cmocka_unit_test(what_we_did_ourselves_is_said),
		cmocka_unit_test(contradictions_lower_the_confidence_and_are_named),
		cmocka_unit_test(a_master_that_lost_patience_is_no_memory_matter),
		cmocka_unit_test(other_ends_are_called_by_their_name),
		cmocka_unit_test(wait_statuses_are_taken_apart),
		cmocka_unit_test(every_cause_has_a_word_of_its_own),
		cmocka_unit_test(hostile_texts_leave_printable_and_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
