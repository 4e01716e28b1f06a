/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/marks.h"

#include <errno.h>
#include <fcntl.h>

#include "tests/support/test.h"

/* Linux 6.18, as its trace_pipe gave it. */
static const char line_618[] =
	"         python3-14200   [000] ...1.  1761.382701: mark_victim: pid=14200 comm=python3 "
	"total-vm=82104kB anon-rss=27136kB file-rss:6628kB shmem-rss:1kB uid=33 pgtables=112kB "
	"oom_score_adj=-7";
static const char line_510[] =
	"           <...>-812     [001] d..1  1761.382701: mark_victim: pid=812";

static bool parse(const char *line, struct mark *ret)
{
	return mark_parse(line, strlen(line), ret);
}

static void both_forms_are_read(void **state unused_arg)
{
	struct mark m;

	assert_true(parse(line_618, &m));
	assert_int_equal(m.pid, 14200);
	assert_string_equal(m.comm, "python3");
	assert_int_equal(m.victim[OOM_VICTIM_TOTAL_VM], 82104);
	assert_int_equal(m.victim[OOM_VICTIM_ANON], 27136);
	assert_int_equal(m.victim[OOM_VICTIM_FILE], 6628);
	assert_int_equal(m.victim[OOM_VICTIM_SHMEM], 1);
	assert_int_equal(m.victim[OOM_VICTIM_UID], 33);
	assert_int_equal(m.victim[OOM_VICTIM_PGTABLES], 112);
	assert_int_equal(m.victim[OOM_VICTIM_SCORE_ADJ], -7);
	assert_true(parse(line_510, &m));
	assert_int_equal(m.pid, 812);
	assert_string_equal(m.comm, "");
	assert_true(m.victim[OOM_VICTIM_ANON] == METRIC_ABSENT);
}

static void names_cannot_forge_a_mark(void **state unused_arg)
{
	struct mark m;

	/* The task that the line begins with, and the victim. */
	assert_true(parse(" : mark_victim: -14 [000] ...1. 1.1: mark_victim: pid=7 comm= uid=0 "
			  "pid=1 total-vm=5kB anon-rss=6kB file-rss:7kB shmem-rss:8kB uid=9 "
			  "pgtables=1kB oom_score_adj=2",
			  &m));
	assert_int_equal(m.pid, 7);
	assert_string_equal(m.comm, " uid=0 pid=1");
	assert_int_equal(m.victim[OOM_VICTIM_UID], 9);
	assert_true(
		parse("x-1 [0] 1.1: mark_victim: pid=7 comm= total-vm=1 a total-vm=5kB uid=9", &m));
	assert_int_equal(m.victim[OOM_VICTIM_TOTAL_VM], 5);
	assert_string_equal(m.comm, " total-vm=1 a");
	assert_false(parse("x-1 [0] 1.1: mark_victim: pid=0", &m));
	assert_false(parse("x-1 [0] 1.1: mark_victim: pid=-5", &m));
	assert_false(parse("x-1 [0] 1.1: mark_victim: pid=99999999999", &m));
	assert_false(parse("x-1 [0] 1.1: mark_victim: pid=", &m));
	assert_false(parse("x-1 [0] 1.1: oom_score_adj_update: pid=5 comm=x", &m));
	assert_false(parse("", &m));
}

static void lost_ones_are_counted(void **state unused_arg)
{
#define LOST(s) mark_parse_lost(s, strlen(s))
	assert_int_equal(LOST("CPU:1 [LOST 23 EVENTS]"), 23);
	assert_int_equal(LOST("CPU:1 [LOST EVENTS]"), 0);
	assert_int_equal(LOST("CPU:1 [LOST -23 EVENTS]"), 0);
	assert_int_equal(LOST("x [LOST 23 EVENTS]"), 0);
	assert_int_equal(LOST("CPU:1 [LOST 23 EVENTS"), 0);
}

struct pipe {
	int fd[2];
	struct marks_reader r;
};

static void pipe_begin(struct pipe *p)
{
	assert_int_equal(pipe2(p->fd, O_NONBLOCK | O_CLOEXEC), 0);
	marks_init(&p->r, p->fd[0]);
}

static void put(struct pipe *p, const char *text)
{
	assert_int_equal(write(p->fd[1], text, strlen(text)), strlen(text));
}

/* The next mark's pid; 0 when there is none. */
static int64_t next(struct pipe *p, int64_t *lost)
{
	struct mark m;
	int64_t one;
	int rc;

	*lost = 0;
	while ((rc = marks_next(&p->r, &m, &one)) == MARKS_OTHER)
		*lost += one;
	assert_true(rc >= 0);
	return rc == MARKS_MARK ? m.pid : 0;
}

static void lines_come_in_pieces(void **state unused_arg)
{
	struct pipe p;
	struct mark m;
	int64_t lost;

	pipe_begin(&p);
	assert_int_equal(next(&p, &lost), 0);
	put(&p, line_510);
	assert_int_equal(next(&p, &lost), 0);
	put(&p, "\nCPU:0 [LOST 3 EVENTS]\n");
	assert_int_equal(next(&p, &lost), 812);
	put(&p, line_618);
	put(&p, "\n");
	assert_int_equal(next(&p, &lost), 14200);
	assert_int_equal(lost, 3);
	assert_int_equal(next(&p, &lost), 0);
	close(p.fd[1]);
	assert_int_equal(marks_next(&p.r, &m, &lost), -EPIPE);
	close(p.fd[0]);
	assert_int_equal(marks_next(&p.r, &m, &lost), -EBADF);
}

static void a_line_without_end_costs_itself_only(void **state unused_arg)
{
	static char longer[3 * MARKS_LINE_MAX];
	struct pipe p;
	int64_t lost;

	memset(longer, 'x', sizeof(longer) - 1);
	pipe_begin(&p);
	put(&p, longer);
	put(&p, ": mark_victim: pid=5\n");
	put(&p, line_510);
	put(&p, "\n");
	assert_int_equal(next(&p, &lost), 812);
	assert_int_equal(next(&p, &lost), 0);
	close(p.fd[0]);
	close(p.fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_are_read),
		cmocka_unit_test(names_cannot_forge_a_mark),
		cmocka_unit_test(lost_ones_are_counted),
		cmocka_unit_test(lines_come_in_pieces),
		cmocka_unit_test(a_line_without_end_costs_itself_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
