/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/oom/deaths.h"

#include <errno.h>
#include <signal.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define SECOND 1000000
#define T0     (100 * (int64_t)SECOND)

static struct deaths d;
static struct death_end end;

static int begin(void **state unused_arg)
{
	deaths_init(&d);
	memset(&end, 0, sizeof(end));
	return 0;
}

static int finish(void **state unused_arg)
{
	deaths_fini(&d);
	return 0;
}

static struct death ended(uint32_t pid, uint32_t wait_status)
{
	struct death x = {.pid = pid,
			  .start_ticks = pid * 10,
			  .seen_us = T0,
			  .exit = verdict_exit_of(wait_status),
			  .uid = -1,
			  .oom_kill_rise = METRIC_ABSENT,
			  .comm = "python3",
			  .service = "shop",
			  .cgroup = "/system.slice/shop.service"};

	return x;
}

static void add(struct death x)
{
	assert_int_equal(deaths_add(&d, &x), 1);
}

static struct oom_kill kill_of(int64_t pid, enum oom_scope scope)
{
	struct oom_kill k;

	oom_kill_init(&k);
	k.pid = pid;
	k.seq = 77;
	k.scope = scope;
	strcpy(k.victim_cgroup, "/system.slice/shop.service");
	return k;
}

static enum kill_cause decided_at(int64_t now_us)
{
	assert_true(deaths_next(&d, now_us, &end));
	return end.verdict.cause;
}

static bool end_mentions(const char *text)
{
	for (size_t i = 0; i < end.verdict.n_evidence; i++)
		if (strstr(end.verdict.evidence[i], text))
			return true;
	return false;
}

/* ---- when ---- */

static void a_clean_exit_is_decided_at_once(void **state unused_arg)
{
	add(ended(5, 0));
	assert_int_equal(deaths_due_us(&d), T0);
	assert_int_equal(decided_at(T0), KILL_CAUSE_CLEAN_EXIT);
	assert_false(deaths_next(&d, T0, &end));
	assert_true(deaths_due_us(&d) == INT64_MAX);
}

static void other_ends_wait_for_evidence(void **state unused_arg)
{
	static const uint32_t statuses[] = {SIGKILL, SIGTERM, 3 << 8, SIGABRT};

	for (uint32_t i = 0; i < 4; i++)
		add(ended(10 + i, statuses[i]));
	assert_false(deaths_next(&d, T0 + DEATHS_WAIT_US - 1, &end));
	assert_int_equal(deaths_due_us(&d), T0 + DEATHS_WAIT_US);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	assert_string_equal(end.verdict.sentence,
			    "python3 (pid 10, shop): killed with SIGKILL; the sender is not known");
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_TERMINATED);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EXIT_CODE);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_CRASH);
}

/* ---- evidence, before and after the end ---- */

static void the_kernels_kill_decides_at_once(void **state unused_arg)
{
	struct oom_kill k = kill_of(5, OOM_SCOPE_MEMCG);

	add(ended(5, SIGKILL));
	assert_false(deaths_next(&d, T0, &end));
	deaths_kill(&d, &k, 50, T0);
	assert_int_equal(decided_at(T0), KILL_CAUSE_KERNEL_MEMCG);
	assert_true(end.reported);
	assert_int_equal(end.verdict.confidence, KILL_CONFIDENCE_CERTAIN);

	k = kill_of(6, OOM_SCOPE_GLOBAL);
	deaths_kill(&d, &k, 0, T0 - 20 * SECOND);
	add(ended(6, SIGKILL));
	assert_int_equal(decided_at(T0), KILL_CAUSE_KERNEL_GLOBAL);

	k = kill_of(7, OOM_SCOPE_MEMCG);
	k.group_member = true;
	deaths_kill(&d, &k, 70, T0);
	add(ended(7, SIGKILL));
	assert_int_equal(decided_at(T0), KILL_CAUSE_KERNEL_GROUP);
}

static void a_kill_is_of_one_process_only(void **state unused_arg)
{
	struct oom_kill k = kill_of(5, OOM_SCOPE_MEMCG);
	struct death next = ended(5, SIGKILL);

	deaths_kill(&d, &k, 50, T0);
	add(ended(5, SIGKILL));
	assert_int_equal(decided_at(T0), KILL_CAUSE_KERNEL_MEMCG);
	/* Another one has the pid, and is killed by somebody. */
	next.start_ticks = 99;
	add(next);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	assert_false(end.reported);
	/* The kill of a process that was never tracked is not of who has the pid later. */
	k.pid = 6;
	deaths_kill(&d, &k, 12345, T0);
	add(ended(6, SIGKILL));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	k.pid = 7;
	deaths_kill(&d, &k, 0, T0 - DEATHS_KEEP_US - 1);
	add(ended(7, SIGKILL));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
}

static void a_mark_alone_is_a_kill_that_the_log_did_not_tell(void **state unused_arg)
{
	struct mark m = {.pid = 5, .comm = "python3"};

	deaths_mark(&d, &m, T0);
	add(ended(5, SIGKILL));
	assert_false(deaths_next(&d, T0, &end));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_OOM);
	assert_int_equal(end.verdict.confidence, KILL_CONFIDENCE_CERTAIN);
	assert_false(end.reported);
	assert_int_equal(end.death.mark.pid, 5);
	assert_false(deaths_lone_mark(&d, T0 + 10 * DEATHS_LONE_US, &m));
}

static void a_mark_of_a_stranger_is_given_out_once(void **state unused_arg)
{
	struct mark m = {.pid = 5, .comm = "short"};
	struct mark told = {.pid = 6};
	struct oom_kill k = kill_of(6, OOM_SCOPE_MEMCG);
	struct mark got;

	deaths_mark(&d, &m, T0);
	deaths_mark(&d, &told, T0);
	deaths_kill(&d, &k, 0, T0 + SECOND);
	assert_false(deaths_lone_mark(&d, T0 + DEATHS_LONE_US - 1, &got));
	assert_true(deaths_lone_mark(&d, T0 + DEATHS_LONE_US, &got));
	assert_int_equal(got.pid, 5);
	assert_string_equal(got.comm, "short");
	assert_false(deaths_lone_mark(&d, T0 + DEATHS_LONE_US, &got));
}

static void a_rising_counter_counts_those_that_nobody_told_of(void **state unused_arg)
{
	struct death x = ended(5, SIGKILL);
	struct oom_kill other = kill_of(6, OOM_SCOPE_MEMCG);

	x.oom_kill_rise = 1;
	x.rise_from_us = T0 - SECOND;
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_OOM);
	assert_int_equal(end.verdict.confidence, KILL_CONFIDENCE_LIKELY);
	/* The kill of another one in this cgroup explains the rise. */
	deaths_kill(&d, &other, 0, T0);
	x.pid = 7;
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	/* One of an earlier round does not. */
	x.pid = 8;
	x.rise_from_us = T0 + 1;
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_OOM);
	/* Nobody saw how it ended. */
	x.pid = 9;
	x.exit.known = false;
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_OOM);
	assert_int_equal(end.verdict.confidence, KILL_CONFIDENCE_GUESS);
}

static void a_victim_that_was_named_twice_is_counted_twice(void **state unused_arg)
{
	struct oom_kill leader = kill_of(6, OOM_SCOPE_MEMCG);
	struct death x = ended(5, SIGKILL);

	deaths_kill(&d, &leader, 0, T0);
	deaths_again(&d, 6);
	deaths_again(&d, 66);
	x.oom_kill_rise = 2;
	x.rise_from_us = T0 - SECOND;
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	x.pid = 7;
	x.oom_kill_rise = 3;
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_OOM);
}

/* ---- a cgroup that dies as a whole ---- */

static struct oom_group group_of(const char *cgroup)
{
	struct oom_group g = {.leader_seq = 77, .scope = OOM_SCOPE_MEMCG};

	strcpy(g.cgroup, cgroup);
	strcpy(g.limit_cgroup, "/system.slice");
	return g;
}

static void who_ends_with_its_cgroup_was_killed_with_it(void **state unused_arg)
{
	const struct oom_group g = group_of("/system.slice/shop.service");
	const struct killer_note manager = {.killer = KILLER_PID1_OOM,
					    .act = KILLER_ACT_UNIT,
					    .target = "shop.service"};
	struct death x;

	deaths_group(&d, &g, T0);
	deaths_note(&d, &manager, T0);
	add(ended(5, SIGKILL));
	/* The kernel's own line may still come. */
	assert_false(deaths_next(&d, T0 + DEATHS_WAIT_US - 1, &end));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_GROUP);
	assert_int_equal(end.verdict.confidence, KILL_CONFIDENCE_LIKELY);
	assert_false(end.reported);
	assert_string_equal(end.group->limit_cgroup, "/system.slice");
	assert_true(end_mentions("after record 77: all of /system.slice/shop.service is killed"));
	assert_true(end_mentions("the log of systemd names shop.service"));

	/* Below it, just before the log was read, or much later on a slow host. */
	x = ended(6, SIGKILL);
	strcat(x.cgroup, "/worker");
	x.seen_us = T0 - DEATHS_GROUP_BEFORE_US;
	add(x);
	assert_int_equal(decided_at(x.seen_us + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_GROUP);
	x.pid = 7;
	x.seen_us = T0 + DEATHS_GROUP_US;
	add(x);
	assert_int_equal(decided_at(x.seen_us + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_GROUP);
	/* Nobody saw how. */
	x.pid = 8;
	x.exit.known = false;
	add(x);
	assert_int_equal(decided_at(x.seen_us + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_GROUP);
	assert_int_equal(end.verdict.confidence, KILL_CONFIDENCE_GUESS);
}

static void who_ends_otherwise_was_not_killed_with_a_cgroup(void **state unused_arg)
{
	const struct oom_group g = group_of("/system.slice/shop.service");
	const struct killer_note early = {.killer = KILLER_EARLYOOM,
					  .act = KILLER_ACT_SIGNAL,
					  .pid = 10,
					  .signal = SIGKILL};
	struct oom_kill own = kill_of(11, OOM_SCOPE_MEMCG);
	struct death x = ended(5, SIGKILL);

	deaths_group(&d, &g, T0);
	/* Another cgroup, though its name begins like this one's. */
	strcpy(x.cgroup, "/system.slice/shop.service2");
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	assert_null(end.group);
	x = ended(6, SIGKILL);
	*x.cgroup = '\0';
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	/* Long before, long after. */
	x = ended(7, SIGKILL);
	x.seen_us = T0 - DEATHS_GROUP_BEFORE_US - 1;
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	x.pid = 8;
	x.seen_us = T0 + DEATHS_GROUP_US + 1;
	add(x);
	assert_int_equal(decided_at(x.seen_us + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	/* By itself. */
	add(ended(9, 3 << 8));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EXIT_CODE);
	/* Somebody else names its very pid. */
	deaths_note(&d, &early, T0);
	add(ended(10, SIGKILL));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EARLYOOM);
	assert_null(end.group);
	/* The kernel has a line of its own for it. */
	deaths_kill(&d, &own, 0, T0);
	add(ended(11, SIGKILL));
	assert_int_equal(decided_at(T0), KILL_CAUSE_KERNEL_MEMCG);
	assert_true(end.reported);
	assert_null(end.group);
}

static void notes_actions_and_faults_are_joined(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_EARLYOOM,
				   .act = KILLER_ACT_SIGNAL,
				   .pid = 5,
				   .signal = SIGTERM};

	add(ended(5, SIGTERM));
	deaths_note(&d, &note, T0 + 2 * SECOND);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EARLYOOM);

	deaths_crash(&d, 8, "x[8]: segfault at 0 ip 1 sp 2\n", T0);
	add(ended(8, SIGSEGV | 0x80));
	assert_int_equal(decided_at(T0), KILL_CAUSE_CRASH);
	assert_non_null(strstr(end.verdict.evidence[1], "segfault at 0"));
	assert_null(strchr(end.verdict.evidence[1], '\n'));
}

static void a_word_on_one_of_whom_nothing_is_known_is_told_once(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_EARLYOOM,
				   .act = KILLER_ACT_SIGNAL,
				   .pid = 5,
				   .signal = SIGTERM};
	const struct killer_note worker = {.killer = KILLER_GUNICORN,
					   .act = KILLER_ACT_TIMEOUT,
					   .pid = 6};
	struct oom_kill kernel = kill_of(9, OOM_SCOPE_GLOBAL);
	struct death unseen = ended(8, 0);
	struct killer_note told;

	assert_int_equal(deaths_due_us(&d), INT64_MAX);
	deaths_note(&d, &worker, T0);
	assert_int_equal(deaths_due_us(&d), INT64_MAX);
	deaths_note(&d, &note, T0);
	assert_int_equal(deaths_due_us(&d), T0 + DEATHS_WAIT_US);
	note.signal = SIGKILL;
	deaths_note(&d, &note, T0 + 1);
	assert_false(deaths_lone_note(&d, T0 + DEATHS_WAIT_US - 1, &told));
	assert_true(deaths_lone_note(&d, T0 + DEATHS_WAIT_US, &told));
	assert_int_equal(told.pid, 5);
	assert_int_equal(told.signal, SIGTERM);
	assert_false(deaths_lone_note(&d, T0 + 2 * DEATHS_WAIT_US, &told));
	assert_int_equal(deaths_due_us(&d), INT64_MAX);

	/* One that waits, one whose end was told, seen or not, and one of the kernel's. */
	add(ended(6, SIGTERM));
	add(ended(7, 0));
	unseen.exit.known = false;
	add(unseen);
	deaths_kill(&d, &kernel, 0, T0);
	for (note.pid = 6; note.pid < 10; note.pid++)
		deaths_note(&d, &note, T0);
	while (deaths_next(&d, T0 + DEATHS_WAIT_US, &end))
		continue;
	assert_false(deaths_lone_note(&d, T0 + DEATHS_WAIT_US, &told));
	/* The same pid long after. */
	note.pid = 7;
	deaths_note(&d, &note, T0 + 60 * SECOND);
	assert_true(deaths_lone_note(&d, T0 + 60 * SECOND + DEATHS_WAIT_US, &told));
}

static void the_killer_read_the_last_name(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_EARLYOOM,
				   .act = KILLER_ACT_SIGNAL,
				   .pid = 5,
				   .signal = SIGTERM,
				   .comm = "worker\n\xff"};
	struct death young = ended(5, SIGTERM);
	struct death other = ended(6, SIGTERM);

	strcpy(young.comm, "python3");
	strcpy(other.comm, "python3");
	add(young);
	add(other);
	deaths_note(&d, &note, T0);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EARLYOOM);
	assert_memory_equal(end.death.comm, "worker", 6);
	assert_null(strchr(end.death.comm, '\n'));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_TERMINATED);
	assert_string_equal(end.death.comm, "python3");

	/* A line that names none takes nothing away. */
	note.pid = 7;
	note.comm[0] = '\0';
	young.pid = 7;
	add(young);
	deaths_note(&d, &note, T0);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EARLYOOM);
	assert_string_equal(end.death.comm, "python3");
}

static void announce(uint32_t pid, uint64_t start_ticks, enum verdict_action what, uint8_t id,
		     int64_t us)
{
	deaths_action(&d,
		      &(struct death_action){
			      .pid = pid, .start_ticks = start_ticks, .what = what, .id = {id}},
		      us);
}

static void our_own_restart_is_told_as_ours(void **state unused_arg)
{
	static const int ends[] = {SIGTERM, SIGKILL, 143 << 8, 0};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		uint32_t pid = 20 + (uint32_t)i;

		announce(pid, 10 * pid, VERDICT_ACTION_RESTART, 0xab, T0 - SECOND);
		add(ended(pid, ends[i]));
		assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_OWN_ACTION);
		assert_true(end_mentions("action ab000000-0000-0000-0000-000000000000 of "
					 "memherd: restart"));
	}
	/* Both come over sockets: it may be heard a moment after the end. */
	add(ended(30, SIGTERM));
	announce(30, 300, VERDICT_ACTION_RESTART, 1, T0 + DEATHS_ACTION_SLACK_US / 2);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_OWN_ACTION);
	/* A unit that is slow to stop. */
	announce(31, 310, VERDICT_ACTION_RESTART, 1, T0 - 95 * SECOND);
	add(ended(31, SIGKILL));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_OWN_ACTION);
}

static void what_is_not_ours_is_not_told_as_ours(void **state unused_arg)
{
	struct oom_kill kill = kill_of(26, OOM_SCOPE_MEMCG);

	/* Another process under that pid. */
	announce(20, 209, VERDICT_ACTION_RESTART, 1, T0 - SECOND);
	add(ended(20, SIGTERM));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_TERMINATED);
	/* Ended before it was announced. */
	add(ended(21, SIGKILL));
	announce(21, 210, VERDICT_ACTION_RESTART, 2, T0 + SECOND);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	/* Long ago. */
	announce(22, 220, VERDICT_ACTION_RESTART, 3, T0 - DEATHS_ACTION_KEEP_US - 1);
	add(ended(22, SIGKILL));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	/* Taken back: refused, and then somebody killed it, or before we heard of that. */
	announce(23, 230, VERDICT_ACTION_RESTART, 4, T0 - SECOND);
	add(ended(23, SIGKILL));
	deaths_action_off(&d, (const uint8_t[16]){4});
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	assert_false(end_mentions("memherd"));
	/* A fault is a fault, whoever claims what. */
	announce(24, 240, VERDICT_ACTION_RESTART, 5, T0 - SECOND);
	add(ended(24, SIGSEGV | 0x80));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_CRASH);
	assert_true(end_mentions("against it: an action of memherd was under way"));
	/* A trim ends nothing, and is said. */
	announce(25, 250, VERDICT_ACTION_TRIM, 6, T0 - SECOND);
	add(ended(25, SIGABRT));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_CRASH);
	assert_true(end_mentions("of memherd, shortly before: trim"));
	/* The kernel's word goes before ours. */
	announce(26, 260, VERDICT_ACTION_RESTART, 7, T0 - SECOND);
	deaths_kill(&d, &kill, 260, T0);
	add(ended(26, SIGKILL));
	assert_int_equal(decided_at(T0), KILL_CAUSE_KERNEL_MEMCG);
}

static void a_claim_does_not_hide_a_kill_that_only_the_counter_saw(void **state unused_arg)
{
	struct death x = ended(20, SIGKILL);

	strcpy(x.cgroup, "/shop");
	x.oom_kill_rise = 1;
	x.rise_from_us = T0 - SECOND;
	announce(20, 200, VERDICT_ACTION_RESTART, 1, T0 - SECOND);
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KERNEL_OOM);
	assert_true(end_mentions("against it: an action of memherd was under way"));
}

static void the_rest_of_a_unit_is_stopped_not_killed(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_PID1_OOM,
				   .act = KILLER_ACT_UNIT,
				   .target = "shop.service"};

	deaths_note(&d, &note, T0);
	add(ended(5, SIGTERM));
	add(ended(6, 1 << 8));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_UNIT_STOP);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EXIT_CODE);
}

/* What systemd wrote of the unit: that it begins to stop it, or that it has, and for what. */
static void manager_says(enum killer_act act, const char *unit, const char *job, int64_t wall_us)
{
	struct killer_note note = {.killer = KILLER_PID1_STOP, .act = act, .wall_us = wall_us};

	strcpy(note.target, unit);
	strcpy(note.reason, job);
	deaths_note(&d, &note, T0);
}

static struct death ended_at(uint32_t pid, uint32_t wait_status, int64_t wall_us)
{
	struct death x = ended(pid, wait_status);

	x.wall_us = wall_us;
	return x;
}

static void a_stop_that_began_before_the_end_explains_it(void **state unused_arg)
{
	static const uint32_t ends[] = {SIGTERM, SIGKILL, 143 << 8};
	struct death young;

	manager_says(KILLER_ACT_STOP, "shop.service", "", 1000 * SECOND);
	for (uint32_t i = 0; i < ARRAY_SIZE(ends); i++) {
		add(ended_at(20 + i, ends[i], 1001 * SECOND));
		assert_true(deaths_ask_manager(&d));
		assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_UNIT_STOP);
		assert_false(deaths_ask_manager(&d));
	}
	/* Its line bears a time just after the end that it brought. */
	add(ended_at(28, SIGTERM, 1000 * SECOND - DEATHS_STOP_SLACK_US / 2));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_UNIT_STOP);
	/* So young that its cgroup is not known, but its service is. */
	young = ended_at(29, SIGTERM, 1001 * SECOND);
	young.cgroup[0] = '\0';
	add(young);
	assert_true(deaths_ask_manager(&d));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_UNIT_STOP);
	manager_says(KILLER_ACT_STOPPED, "shop.service", "restart", 1002 * SECOND);
	add(ended_at(30, SIGTERM, 1001 * SECOND));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_UNIT_STOP);
	assert_true(end_mentions("for a job of type restart"));
}

static void other_ends_are_no_stop(void **state unused_arg)
{
	struct death x = ended_at(20, SIGKILL, 999 * SECOND);

	/* Killed by hand, and then its unit was stopped. */
	manager_says(KILLER_ACT_STOP, "shop.service", "", 1000 * SECOND);
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	/* systemd says that it has stopped what ended by itself, too. */
	x = ended_at(21, SIGKILL, 1000 * SECOND);
	strcpy(x.cgroup, "/system.slice/other.service");
	manager_says(KILLER_ACT_STOPPED, "other.service", "restart", 1001 * SECOND);
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	/* Long ago; another unit; an end that no manager brings. */
	add(ended_at(22, SIGTERM, 1000 * SECOND + DEATHS_STOP_KEEP_US + 1));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_TERMINATED);
	x = ended_at(23, SIGTERM, 1001 * SECOND);
	strcpy(x.cgroup, "/system.slice/workshop.service");
	add(x);
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_TERMINATED);
	add(ended_at(24, SIGSEGV | 0x80, 1001 * SECOND));
	assert_false(deaths_ask_manager(&d));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_CRASH);
	/* Ours, by way of the manager. */
	announce(25, 250, VERDICT_ACTION_RESTART, 1, T0 - SECOND);
	add(ended_at(25, SIGTERM, 1001 * SECOND));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_OWN_ACTION);
}

static void a_child_that_follows_its_parent_is_told_so(void **state unused_arg)
{
	struct death x;

	add(ended(20, 1 << 8));
	x = ended(21, SIGTERM);
	x.parent = 20;
	x.seen_us += DEATHS_PARENT_US;
	add(x);
	/* Later than that; another's child. */
	x = ended(22, SIGTERM);
	x.parent = 20;
	x.seen_us += DEATHS_PARENT_US + 1;
	add(x);
	x = ended(23, SIGTERM);
	x.parent = 19;
	add(x);
	/* Both were sent the same: somebody killed the group. */
	add(ended(24, SIGKILL));
	x = ended(25, SIGKILL);
	x.parent = 24;
	add(x);
	/* The child first. */
	x = ended(26, SIGTERM);
	x.parent = 27;
	add(x);
	add(ended(27, 1 << 8));
	/* By itself, whatever its parent did. */
	x = ended(28, 7 << 8);
	x.parent = 20;
	add(x);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_EXIT_CODE);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_PARENT_DIED);
	assert_int_equal(end.death.pid, 21);
	assert_int_equal(end.verdict.confidence, KILL_CONFIDENCE_GUESS);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_TERMINATED);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_TERMINATED);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_KILLED);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_KILLED);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_TERMINATED);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_EXIT_CODE);
	assert_int_equal(decided_at(T0 + 10 * SECOND), KILL_CAUSE_EXIT_CODE);
}

static void stops_do_not_displace_notes_on_kills(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_EARLYOOM,
				   .act = KILLER_ACT_SIGNAL,
				   .pid = 5,
				   .signal = SIGTERM};

	deaths_note(&d, &note, T0);
	for (uint32_t i = 0; i < 3 * DEATHS_STOPS; i++)
		manager_says(KILLER_ACT_STOP, "shop.service", "", 1000 * SECOND);
	add(ended(5, SIGTERM));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EARLYOOM);
}

static void old_notes_go_and_the_oldest_make_room(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_EARLYOOM, .act = KILLER_ACT_SIGNAL};

	note.pid = 5;
	deaths_note(&d, &note, T0 - 60 * SECOND);
	add(ended(5, SIGKILL));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	for (int i = 0; i < 1000; i++) {
		note.pid = 1000 + i;
		deaths_note(&d, &note, T0 + i);
		assert_true(d.n_notes <= DEATHS_NOTES);
	}
	add(ended(1999, SIGKILL));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_EARLYOOM);
}

/* ---- told once ---- */

static void connector_and_round_tell_of_one_end(void **state unused_arg)
{
	struct death seen = ended(5, SIGKILL);
	struct death gone = ended(5, 0);

	gone.exit.known = false;
	add(gone);
	assert_ptr_equal(deaths_unseen(&d, 5), d.pending[0]);
	assert_null(deaths_unseen(&d, 6));
	/* The exit comes late: it is taken over. */
	assert_int_equal(deaths_add(&d, &seen), 0);
	assert_null(deaths_unseen(&d, 5));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
	assert_int_equal(deaths_add(&d, &gone), 0);
	assert_int_equal(deaths_add(&d, &seen), 0);
	assert_false(deaths_next(&d, INT64_MAX, &end));
}

static void beyond_the_bound_the_oldest_is_decided(void **state unused_arg)
{
	struct death x;

	for (uint32_t i = 0; i < DEATHS_MAX; i++)
		add(ended(1000 + i, SIGKILL));
	x = ended(5000, SIGKILL);
	assert_int_equal(deaths_add(&d, &x), -ENOBUFS);
	assert_true(deaths_next(&d, T0, &end));
	assert_int_equal(end.death.pid, 1000);
	assert_false(deaths_next(&d, T0, &end));
	add(x);
	for (uint32_t i = 0; i < DEATHS_MAX; i++)
		assert_true(deaths_next(&d, T0 + DEATHS_WAIT_US, &end));
	assert_int_equal(end.death.pid, 5000);
}

static void a_flood_of_evidence_stays_in_its_bounds(void **state unused_arg)
{
	struct mark m = {.pid = 1};
	struct oom_kill k;

	for (int64_t i = 1; i <= 1000; i++) {
		k = kill_of(i, OOM_SCOPE_MEMCG);
		m.pid = i;
		deaths_kill(&d, &k, 0, T0);
		deaths_mark(&d, &m, T0);
		deaths_crash(&d, i, "x", T0);
		announce((uint32_t)i, (uint64_t)i + 1, VERDICT_ACTION_RESTART, (uint8_t)i, T0);
	}
	add(ended(1000, SIGKILL));
	assert_int_equal(decided_at(T0), KILL_CAUSE_KERNEL_MEMCG);
	add(ended(3, SIGKILL));
	assert_int_equal(decided_at(T0 + DEATHS_WAIT_US), KILL_CAUSE_KILLED);
}

static void without_memory_an_end_is_refused(void **state unused_arg)
{
	struct death x = ended(5, SIGKILL);

	alloc_fail_at(1);
	assert_int_equal(deaths_add(&d, &x), -ENOMEM);
	alloc_fail_off();
	add(x);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)
	const struct CMUnitTest tests[] = {
		TEST(a_clean_exit_is_decided_at_once),
		TEST(other_ends_wait_for_evidence),
		TEST(the_kernels_kill_decides_at_once),
		TEST(a_kill_is_of_one_process_only),
		TEST(a_mark_alone_is_a_kill_that_the_log_did_not_tell),
		TEST(a_mark_of_a_stranger_is_given_out_once),
		TEST(a_rising_counter_counts_those_that_nobody_told_of),
		TEST(a_victim_that_was_named_twice_is_counted_twice),
		TEST(who_ends_with_its_cgroup_was_killed_with_it),
		TEST(who_ends_otherwise_was_not_killed_with_a_cgroup),
		TEST(notes_actions_and_faults_are_joined),
		TEST(a_word_on_one_of_whom_nothing_is_known_is_told_once),
		TEST(the_killer_read_the_last_name),
		TEST(our_own_restart_is_told_as_ours),
		TEST(what_is_not_ours_is_not_told_as_ours),
		TEST(a_claim_does_not_hide_a_kill_that_only_the_counter_saw),
		TEST(the_rest_of_a_unit_is_stopped_not_killed),
		TEST(a_stop_that_began_before_the_end_explains_it),
		TEST(other_ends_are_no_stop),
		TEST(a_child_that_follows_its_parent_is_told_so),
		TEST(stops_do_not_displace_notes_on_kills),
		TEST(old_notes_go_and_the_oldest_make_room),
		TEST(connector_and_round_tell_of_one_end),
		TEST(beyond_the_bound_the_oldest_is_decided),
		TEST(a_flood_of_evidence_stays_in_its_bounds),
		TEST(without_memory_an_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
