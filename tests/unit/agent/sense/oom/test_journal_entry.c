/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "agent/sense/oom/journal_entry.h"

#define LINE "sending SIGTERM to process 812 uid 1000 \"python3\": badness 900, VmRSS 38 MiB"

static struct journal_states states;

static struct journal_entry entry(const char *unit, const char *comm, int64_t uid, const char *line)
{
	struct journal_entry e = {.pid = 500, .uid = uid, .wall_us = 42};

	snprintf(e.unit, sizeof(e.unit), "%s", unit);
	snprintf(e.comm, sizeof(e.comm), "%s", comm);
	snprintf(e.message, sizeof(e.message), "%s", line);
	e.message_len = strlen(e.message);
	return e;
}

static struct journal_entry pid1(const char *message_id, const char *unit, const char *n)
{
	struct journal_entry e = {.pid = 1, .uid = 0, .wall_us = 42};

	snprintf(e.message_id, sizeof(e.message_id), "%s", message_id);
	snprintf(e.about_unit, sizeof(e.about_unit), "%s", unit);
	snprintf(e.n_processes, sizeof(e.n_processes), "%s", n);
	return e;
}

static enum journal_trust judge(struct journal_entry e, struct killer_note *n)
{
	memset(n, 0x5a, sizeof(*n));
	return journal_entry_judge(&states, &e, n);
}

static void a_service_is_believed_whoever_it_runs_as(void **state)
{
	struct killer_note n;

	(void)state;
	assert_int_equal(judge(entry("earlyoom.service", "earlyoom", 64321, LINE), &n),
			 JOURNAL_BY_UNIT);
	assert_int_equal(n.killer, KILLER_EARLYOOM);
	assert_int_equal(n.pid, 812);
	assert_int_equal(n.signal, 15);
	assert_int_equal(n.wall_us, 42);
	assert_string_equal(n.comm, "python3");
}

static void a_name_is_believed_of_root_alone(void **state)
{
	struct killer_note n;

	(void)state;
	assert_int_equal(judge(entry("", "earlyoom", 0, LINE), &n), JOURNAL_BY_NAME);
	assert_int_equal(judge(entry("", "earlyoom", 1000, LINE), &n), JOURNAL_NOBODY);
	assert_int_equal(judge(entry("", "earlyoom", -1, LINE), &n), JOURNAL_NOBODY);
	assert_int_equal(judge(entry("user@1000.service", "earlyoom", 1000, LINE), &n),
			 JOURNAL_NOBODY);
	assert_int_equal(judge(entry("", "", 0, LINE), &n), JOURNAL_NOBODY);
	/* Rows of the list that are no program's log. */
	assert_int_equal(judge(entry("", "systemd", 0, LINE), &n), JOURNAL_NOBODY);
	assert_int_equal(judge(entry("init.scope", "systemd", 0, LINE), &n), JOURNAL_NOBODY);
	assert_int_equal(judge(entry("", "gunicorn", 0, "WORKER TIMEOUT (pid:17)"), &n),
			 JOURNAL_NOBODY);
}

static void killers_are_known_by_the_names_of_their_processes(void **state)
{
	static const char *const yes[] = {"earlyoom", "systemd-oomd", "nohang", "oomd"};
	static const char *const no[] = {"",        "earlyoo", "earlyoom.service", "systemd",
					 "python3", "init",    "gunicorn",         "oomd2"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_true(journal_is_killer(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(journal_is_killer(no[i]));
}

static void a_killer_is_believed_in_its_own_matters_only(void **state)
{
	struct killer_note n;
	unsigned char before[sizeof(n)];

	(void)state;
	memset(before, 0x5a, sizeof(before));
	assert_int_equal(judge(entry("nohang.service", "nohang", 0, LINE), &n), JOURNAL_NOBODY);
	assert_memory_equal(&n, before, sizeof(n));
	assert_int_equal(judge(entry("earlyoom.service", "earlyoom", 0, "mem avail: 1"), &n),
			 JOURNAL_NOBODY);
	assert_int_equal(judge(entry("earlyoom.service", "earlyoom", 0, ""), &n), JOURNAL_NOBODY);
}

static void lines_of_two_killers_do_not_mix(void **state)
{
	struct killer_note n;

	(void)state;
	assert_int_equal(judge(entry("nohang.service", "nohang", 0,
				     "  PID: 812, name: python3, badness: 900"),
			       &n),
			 JOURNAL_NOBODY);
	assert_int_equal(judge(entry("earlyoom.service", "earlyoom", 0,
				     "  PID: 999, name: liar, badness: 900"),
			       &n),
			 JOURNAL_NOBODY);
	assert_int_equal(
		judge(entry("nohang.service", "nohang", 0, "  Sending SIGTERM to the victim"), &n),
		JOURNAL_BY_UNIT);
	assert_int_equal(n.pid, 812);
}

static void pid_1_is_believed_by_message_id(void **state)
{
	struct killer_note n;
	struct journal_entry e;

	(void)state;
	assert_int_equal(judge(pid1(KILLER_MESSAGE_UNIT_OOM, "shop.service", ""), &n),
			 JOURNAL_BY_PID1);
	assert_int_equal(n.killer, KILLER_PID1_OOM);
	assert_string_equal(n.target, "shop.service");
	assert_int_equal(judge(pid1(KILLER_MESSAGE_UNIT_OOMD, "shop.service", "3"), &n),
			 JOURNAL_BY_PID1);
	assert_int_equal(n.count, 3);
	assert_int_equal(judge(pid1("0123", "shop.service", ""), &n), JOURNAL_NOBODY);
	assert_int_equal(judge(pid1(KILLER_MESSAGE_UNIT_OOM, "", ""), &n), JOURNAL_NOBODY);
	e = pid1(KILLER_MESSAGE_UNIT_OOM, "shop.service", "");
	e.pid = 2;
	assert_int_equal(judge(e, &n), JOURNAL_NOBODY);
	e = pid1(KILLER_MESSAGE_UNIT_OOM, "shop.service", "");
	e.uid = 1000;
	assert_int_equal(judge(e, &n), JOURNAL_NOBODY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_is_believed_whoever_it_runs_as),
		cmocka_unit_test(a_name_is_believed_of_root_alone),
		cmocka_unit_test(killers_are_known_by_the_names_of_their_processes),
		cmocka_unit_test(a_killer_is_believed_in_its_own_matters_only),
		cmocka_unit_test(lines_of_two_killers_do_not_mix),
		cmocka_unit_test(pid_1_is_believed_by_message_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
