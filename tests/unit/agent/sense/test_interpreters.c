/* SPDX-License-Identifier: Apache-2.0 */
/* Interpreters made up: who gets a place, who is told, who went. */
#include "agent/sense/interpreters.h"

#include <string.h>

#include "tests/support/test.h"

#define MANY 40u

struct world {
	struct proctab tab;
	struct pythons pythons;
	struct interpreters ix;
	struct arena arena;
	struct wire_tick tick;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	proctab_init(&w->tab, 1000);
	pythons_init(&w->pythons, true);
	w->pythons.list = calloc(MANY, sizeof(struct python *));
	assert_non_null(w->pythons.list);
	w->pythons.cap = MANY;
	arena_init(&w->arena, 1 << 20);
}

static void world_fini(struct world *w)
{
	arena_fini(&w->arena);
	pythons_fini(&w->pythons);
	proctab_fini(&w->tab);
}

/* A process that is announced, with n interpreters beside the main one. */
static struct python *add(struct world *w, uint32_t pid, unsigned n)
{
	struct python *py = calloc(1, sizeof(*py));
	uint32_t id;
	struct proc *p;

	assert_non_null(py);
	assert_int_equal(proctab_add(&w->tab, pid, &id), 0);
	p = &w->tab.procs[id];
	p->kind = PROC_LIVE;
	p->start_ticks = pid * 10;
	p->announced = true;
	w->pythons.list[w->pythons.n++] = py;
	p->python = w->pythons.n;
	py->state = PYTHON_READABLE;
	py->runtime.layout.runtime.gc = LAYOUT_NONE;
	py->main.had = true;
	py->subs = calloc(n + 1, sizeof(*py->subs));
	assert_non_null(py->subs);
	py->n_subs = n;
	for (unsigned i = 0; i < n; i++) {
		py->subs[i].had = true;
		py->subs[i].stat.interpreter = i + 1;
	}
	return py;
}

static void tell(struct world *w)
{
	arena_reset(&w->arena);
	w->tick = (struct wire_tick){0};
	assert_int_equal(interpreters_tell(&w->ix, &w->pythons, &w->tab, &w->arena, &w->tick), 0);
}

static void each_is_announced_once_and_taken_back(void **state unused_arg)
{
	struct world w;
	struct python *two;

	world_init(&w);
	add(&w, 10, 0); /* has one: its figures are the process's */
	two = add(&w, 11, 2);
	tell(&w);
	assert_int_equal(w.tick.n_interpreters, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(w.tick.interpreters[i].id, i);
		assert_int_equal(w.tick.interpreters[i].number, i);
		assert_int_equal(w.tick.interpreters[i].process, 1);
	}
	tell(&w);
	assert_int_equal(w.tick.n_interpreters + w.tick.n_interpreters_gone, 0);
	/* the one in the middle ends; its place is free in the tick after */
	two->subs[0] = two->subs[1];
	two->n_subs = 1;
	tell(&w);
	assert_int_equal(w.tick.n_interpreters, 0);
	assert_int_equal(w.tick.n_interpreters_gone, 1);
	assert_int_equal(w.tick.interpreters_gone[0], 1);
	add(&w, 12, 1);
	tell(&w);
	assert_int_equal(w.tick.n_interpreters, 2);
	assert_int_equal(w.tick.interpreters[0].id, 1);
	assert_int_equal(w.tick.interpreters[1].id, 3);
	/* a keyframe tells all again, and nothing of who went */
	two->n_subs = 0;
	interpreters_forget(&w.ix);
	tell(&w);
	assert_int_equal(w.tick.n_interpreters, 2);
	assert_int_equal(w.tick.n_interpreters_gone, 0);
	world_fini(&w);
}

static void one_that_was_not_read_waits(void **state unused_arg)
{
	struct world w;
	struct python *py;

	world_init(&w);
	py = add(&w, 10, 2);
	py->subs[1].had = false;
	tell(&w);
	assert_int_equal(w.tick.n_interpreters, 2);
	/* nor is anything told of a process that is not announced, or has one collector for all */
	w.tab.procs[0].announced = false;
	tell(&w);
	assert_int_equal(w.tick.n_interpreters_gone, 2);
	w.tab.procs[0].announced = true;
	py->runtime.layout.runtime.gc = 64;
	tell(&w);
	assert_int_equal(w.tick.n_interpreters, 0);
	world_fini(&w);
}

/* Where another one came to the same place in the process, nothing of the old one is kept. */
static void a_place_is_of_one_interpreter(void **state unused_arg)
{
	struct world w;
	struct python *py;

	world_init(&w);
	py = add(&w, 10, 1);
	tell(&w);
	py->subs[0].stat.interpreter = 9;
	tell(&w);
	assert_int_equal(w.tick.n_interpreters, 1);
	assert_int_equal(w.tick.interpreters[0].id, 2);
	assert_int_equal(w.tick.interpreters[0].number, 9);
	assert_int_equal(w.tick.n_interpreters_gone, 1);
	assert_int_equal(w.tick.interpreters_gone[0], 1);
	world_fini(&w);
}

static void the_rest_is_counted(void **state unused_arg)
{
	struct world w;

	world_init(&w);
	for (unsigned i = 0; i < 10; i++)
		add(&w, 100 + i, 63);
	tell(&w);
	assert_int_equal(w.tick.n_interpreters, INTERPRETERS_MAX);
	assert_int_equal(w.ix.more, 640 - INTERPRETERS_MAX);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_announced_once_and_taken_back),
		cmocka_unit_test(one_that_was_not_read_waits),
		cmocka_unit_test(a_place_is_of_one_interpreter),
		cmocka_unit_test(the_rest_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
