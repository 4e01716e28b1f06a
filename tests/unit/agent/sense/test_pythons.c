/* SPDX-License-Identifier: Apache-2.0 */
/* Which changes are told, on figures made up; and real interpreters, driven line by line. */
#include "agent/sense/pythons.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "proto/python.h"
#include "tests/support/test.h"

#define PYTHON "/usr/bin/python3"

/* ---- news ---- */

static struct gcstat quiet(void)
{
	struct gcstat st = {.enabled = true};

	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++)
		st.generations[i] =
			(struct gcstat_generation){.threshold = i ? 10 : 700, .duration_us = -1};
	return st;
}

static void what_was_there_before_is_no_news(void **state unused_arg)
{
	struct gcstat st = quiet();
	uint64_t sums[GC_COUNTERS] = {9, 8, 7, 6, 5};
	struct gcnews_item item;
	struct gcnews n = {0};

	st.enabled = false;
	gcnews_learn(&n, &st, sums, 1000);
	assert_false(gcnews_next(&n, &st, sums, 2000, &item));
}

static void each_change_is_told_once(void **state unused_arg)
{
	struct gcstat st = quiet();
	uint64_t sums[GC_COUNTERS] = {0};
	struct gcnews_item item;
	char text[GCNEWS_TEXT];
	struct gcnews n = {0};

	gcnews_learn(&n, &st, sums, 1);
	st.enabled = false;
	st.generations[0].threshold = 50000;
	sums[GC_UNCOLLECTABLE] = 3;
	assert_true(gcnews_next(&n, &st, sums, 10, &item));
	assert_int_equal(item.what, GCNEWS_DISABLED);
	assert_string_equal(gcnews_text(text, &item), "automatic collection was switched off");
	assert_true(gcnews_next(&n, &st, sums, 10, &item));
	assert_string_equal(gcnews_text(text, &item),
			    "collection thresholds changed from (700, 10, 10) to (50000, 10, 10)");
	assert_true(gcnews_next(&n, &st, sums, 10, &item));
	assert_string_equal(gcnews_text(text, &item),
			    "3 more objects that the collector cannot free");
	assert_false(gcnews_next(&n, &st, sums, 20, &item));
}

/* Nothing is lost by waiting: what was held back is in the next word. */
static void a_flood_is_held_back_and_told_later(void **state unused_arg)
{
	struct gcstat st = quiet();
	uint64_t sums[GC_COUNTERS] = {0};
	struct gcnews_item item;
	struct gcnews n = {0};
	char text[GCNEWS_TEXT];

	gcnews_learn(&n, &st, sums, 1);
	for (int i = 1; i <= 100; i++) {
		sums[GC_COLLECTIONS2]++;
		sums[GC_COLLECTED] += 5;
		assert_false(gcnews_next(&n, &st, sums, i * INT64_C(1000000), &item));
	}
	assert_true(gcnews_next(&n, &st, sums, GCNEWS_FULL_US + 1, &item));
	assert_int_equal(item.count, 100);
	assert_string_equal(gcnews_text(text, &item),
			    "100 full collections; 500 objects collected");
	assert_false(gcnews_next(&n, &st, sums, GCNEWS_FULL_US + 2, &item));
	st.enabled = false;
	assert_true(gcnews_next(&n, &st, sums, GCNEWS_FULL_US + 2, &item));
	/* on and off again within its rest: never told, for nothing changed since */
	st.enabled = true;
	assert_true(gcnews_next(&n, &st, sums, GCNEWS_FULL_US + 3, &item));
	st.enabled = false;
	assert_false(gcnews_next(&n, &st, sums, GCNEWS_FULL_US + 4, &item));
	assert_true(gcnews_next(&n, &st, sums, GCNEWS_FULL_US + GCNEWS_US + 4, &item));
	assert_int_equal(item.what, GCNEWS_DISABLED);
}

/* ---- real interpreters ---- */

struct child {
	pid_t pid;
	FILE *to;
	FILE *from;
};

/* Runs each line that it is sent and answers with what the line left in 'answer'. */
static const char server[] = "import gc, sys\n"
			     "for line in sys.stdin:\n"
			     "    answer = ''\n"
			     "    exec(line)\n"
			     "    print(answer, flush=True)\n";

static void start(struct child *c, const char *program, const char *flag, const char *text)
{
	int to[2], from[2];

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	c->pid = fork();
	if (c->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		execl(program, program, flag, text, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	c->to = fdopen(to[1], "w");
	c->from = fdopen(from[0], "r");
}

static const char *ask(struct child *c, const char *line)
{
	static char answer[256];

	fprintf(c->to, "%s\n", line);
	fflush(c->to);
	assert_non_null(fgets(answer, sizeof(answer), c->from));
	return answer;
}

static void end(struct child *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	fclose(c->to);
	fclose(c->from);
}

struct heard {
	struct gcnews_item items[16];
	unsigned n;
};

static void hear(void *arg, const struct proc *p unused_arg, const struct gcnews_item *item)
{
	struct heard *h = arg;

	assert_true(h->n < ARRAY_SIZE(h->items));
	h->items[h->n++] = *item;
}

static struct proc *track(struct proctab *tab, pid_t pid)
{
	uint32_t id;

	assert_int_equal(proctab_add(tab, (uint32_t)pid, &id), 0);
	return &tab->procs[id];
}

static void values(const struct pythons *ps, const struct proc *p, int64_t v[METRIC_COUNT])
{
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	pythons_values(ps, p, v);
}

static void a_real_interpreter_is_read_as_it_says_itself(void **state unused_arg)
{
	struct heard heard = {.n = 0};
	int64_t v[METRIC_COUNT];
	struct pythons ps;
	struct proctab tab;
	struct child c;
	struct proc *p;
	char expected[256];
	int64_t now = clock_boot_us();

	start(&c, PYTHON, "-c", server);
	ask(&c, "gc.collect(); gc.collect(1); gc.set_threshold(123, 45, 6)");
	proctab_init(&tab, 64);
	pythons_init(&ps, true);
	p = track(&tab, c.pid);
	pythons_round(&ps, &tab, 1, true, now, hear, &heard);
	values(&ps, p, v);
	assert_int_equal(v[METRIC_PYTHON_STATE], PYTHON_READABLE);
	assert_int_equal(v[METRIC_PYTHON_VERSION] >> 24, 3);
	assert_int_equal(v[METRIC_INTERPRETERS], 1);
	assert_int_equal(v[METRIC_GC_ENABLED], 1);
	snprintf(expected, sizeof(expected), "%d %d %d %d %d %d\n", (int)v[METRIC_GC0],
		 (int)v[METRIC_GC1], (int)v[METRIC_GC2], (int)v[METRIC_GC_THRESHOLD0],
		 (int)v[METRIC_GC_THRESHOLD1], (int)v[METRIC_GC_THRESHOLD2]);
	assert_string_equal(ask(&c, "answer = ' '.join(str(s['collections']) for s in "
				    "gc.get_stats()) + ' ' + ' '.join(map(str, "
				    "gc.get_threshold()))"),
			    expected);
	assert_int_equal(heard.n, 0);

	ask(&c, "gc.disable(); gc.set_threshold(700); gc.collect()");
	pythons_round(&ps, &tab, 2, true, now + GCNEWS_FULL_US, hear, &heard);
	pythons_round(&ps, &tab, 3, true, now + GCNEWS_FULL_US + 1, hear, &heard);
	values(&ps, p, v);
	assert_int_equal(v[METRIC_GC_ENABLED], 0);
	assert_int_equal(heard.n, 3);
	assert_int_equal(heard.items[0].what, GCNEWS_DISABLED);
	assert_int_equal(heard.items[1].what, GCNEWS_THRESHOLD);
	assert_int_equal(heard.items[1].before[0], 123);
	assert_int_equal(heard.items[1].now[0], 700);
	assert_int_equal(heard.items[2].what, GCNEWS_FULL);
	assert_int_equal(heard.items[2].count, 1);

	/* frozen objects are counted again in their turn */
	ask(&c, "gc.freeze()");
	for (unsigned i = 0; i < PYTHONS_FROZEN; i++)
		pythons_round(&ps, &tab, 4 + i, true, now + GCNEWS_FULL_US + 2, hear, &heard);
	values(&ps, p, v);
	snprintf(expected, sizeof(expected), "%d\n", (int)v[METRIC_GC_FROZEN]);
	assert_string_equal(ask(&c, "answer = gc.get_freeze_count()"), expected);
	assert_true(v[METRIC_GC_FROZEN] > 100);

	end(&c);
	pythons_round(&ps, &tab, 50, true, now, hear, &heard);
	values(&ps, p, v);
	assert_int_equal(v[METRIC_GC0], METRIC_ABSENT);
	pythons_exit(&ps, p);
	assert_int_equal(ps.n, 0);
	pythons_fini(&ps);
	proctab_fini(&tab);
}

/* The same pid and start, and no interpreter any more; then one again. */
static void an_exec_is_noticed(void **state unused_arg)
{
	int64_t v[METRIC_COUNT];
	struct pythons ps;
	struct proctab tab;
	struct child c;
	struct proc *p;
	uint32_t heir;

	start(&c, PYTHON, "-c", server);
	ask(&c, "pass");
	proctab_init(&tab, 64);
	pythons_init(&ps, true);
	p = track(&tab, c.pid);
	pythons_round(&ps, &tab, 1, true, 1, NULL, NULL);
	assert_int_equal(p->python, 1);
	fputs("import os; os.execv('/bin/sh', ['sh', '-c', 'echo now; read x; exec " PYTHON
	      " -c \"print(1, flush=True); input()\"'])\n",
	      c.to);
	fflush(c.to);
	assert_string_equal(fgets((char[16]){0}, 16, c.from), "now\n");
	pythons_round(&ps, &tab, 2, true, 2, NULL, NULL);
	pythons_round(&ps, &tab, 3, true, 3, NULL, NULL);
	assert_int_equal(p->python, PROC_NO_PYTHON);
	values(&ps, p, v);
	assert_int_equal(v[METRIC_PYTHON_STATE], METRIC_ABSENT);
	/* the sampler sees another program and gives the process a new id */
	assert_string_equal((fputs("\n", c.to), fflush(c.to), fgets((char[16]){0}, 16, c.from)),
			    "1\n");
	assert_int_equal(proctab_split(&tab, 0, &heir), 0);
	tab.procs[0].ended = true;
	pythons_round(&ps, &tab, 4, true, 4, NULL, NULL);
	values(&ps, &tab.procs[heir], v);
	assert_int_equal(v[METRIC_PYTHON_STATE], PYTHON_READABLE);
	assert_true(v[METRIC_GC_THRESHOLD0] > 0);
	end(&c);
	pythons_fini(&ps);
	proctab_fini(&tab);
}

static void others_are_no_pythons_and_cost_nothing(void **state unused_arg)
{
	struct pythons ps;
	struct proctab tab;
	struct child c;
	struct proc *p;

	start(&c, "/bin/sh", "-c", "read x");
	proctab_init(&tab, 64);
	pythons_init(&ps, true);
	p = track(&tab, c.pid);
	for (unsigned round = 1; round < PYTHONS_AGAIN; round++)
		pythons_round(&ps, &tab, round, true, 1, NULL, NULL);
	assert_int_equal(ps.looks, 1);
	assert_int_equal(p->python, PROC_NO_PYTHON);
	assert_null(ps.list);
	pythons_round(&ps, &tab, PYTHONS_AGAIN, true, 1, NULL, NULL);
	assert_int_equal(ps.looks, 2);
	end(&c);
	pythons_fini(&ps);
	/* whoever may not look does not */
	pythons_init(&ps, false);
	p->python = PROC_PYTHON_UNSEEN;
	pythons_round(&ps, &tab, 1, true, 1, NULL, NULL);
	assert_int_equal(p->python, PROC_PYTHON_UNSEEN);
	proctab_fini(&tab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_there_before_is_no_news),
		cmocka_unit_test(each_change_is_told_once),
		cmocka_unit_test(a_flood_is_held_back_and_told_later),
		cmocka_unit_test(a_real_interpreter_is_read_as_it_says_itself),
		cmocka_unit_test(an_exec_is_noticed),
		cmocka_unit_test(others_are_no_pythons_and_cost_nothing),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
