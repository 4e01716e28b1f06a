/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/pythons.h"

#include <errno.h>
#include <string.h>

#include "agent/sense/sampler.h"
#include "common/clock.h"
#include "proto/python.h"

#define US_PER_MS 1000

void pythons_init(struct pythons *ps, bool enabled)
{
	*ps = (struct pythons){.enabled = enabled};
}

static void free_python(struct python **p)
{
	if (*p)
		free((*p)->subs);
	free(*p);
	*p = NULL;
}

void pythons_fini(struct pythons *ps)
{
	for (unsigned i = 0; i < ps->n; i++)
		free_python(&ps->list[i]);
	free(ps->list);
	*ps = (struct pythons){0};
}

struct python *pythons_find(const struct pythons *ps, const struct proc *p)
{
	return p->python && p->python != PROC_NO_PYTHON ? ps->list[p->python - 1] : NULL;
}

/* ---- the list ---- */

static int grow(struct pythons *ps)
{
	unsigned cap = ps->cap ? ps->cap * 2u : 16;
	struct python **list;

	cap = MIN_OF(cap, PYTHONS_MAX);
	if (cap <= ps->cap)
		return -ENOSPC;
	list = realloc(ps->list, cap * sizeof(struct python *));
	if (!list)
		return -ENOMEM;
	ps->list = list;
	ps->cap = (uint16_t)cap;
	return 0;
}

/* An entry for a process that has none; the lowest free place, so that the list stays short. */
static struct python *add(struct pythons *ps, struct proc *p)
{
	struct python *fresh = calloc(1, sizeof(*fresh));
	unsigned i = 0;

	if (!fresh)
		return NULL;
	while (i < ps->n && ps->list[i])
		i++;
	if (i == ps->cap && grow(ps) < 0) {
		free(fresh);
		return NULL;
	}
	ps->n = (uint16_t)MAX_OF(ps->n, i + 1);
	ps->list[i] = fresh;
	p->python = (uint16_t)(i + 1);
	return fresh;
}

void pythons_exit(struct pythons *ps, struct proc *p)
{
	if (pythons_find(ps, p))
		free_python(&ps->list[p->python - 1]);
	while (ps->n && !ps->list[ps->n - 1])
		ps->n--;
	p->python = PROC_PYTHON_UNSEEN;
}

/* ---- reading ---- */

static void counters_of(const struct gcstat *st, uint64_t c[GC_COUNTERS])
{
	memset(c, 0, GC_COUNTERS * sizeof(*c));
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		const struct gcstat_generation *g = &st->generations[i];

		c[GC_COLLECTIONS0 + i] = g->collections;
		c[GC_COLLECTED] += g->collected;
		c[GC_UNCOLLECTABLE] += g->uncollectable;
		c[GC_TIME_US] += g->duration_us > 0 ? (uint64_t)g->duration_us : 0;
	}
	/* the oldest generation's are what is left */
	for (unsigned i = 0; i < LAYOUT_GENERATIONS - 1; i++) {
		c[GC_COLLECTED0 + i] = st->generations[i].collected;
		c[GC_UNCOLLECTABLE0 + i] = st->generations[i].uncollectable;
	}
}

static void add_counters(uint64_t to[GC_COUNTERS], const struct python_interpreter *in)
{
	uint64_t c[GC_COUNTERS];

	if (!in->had)
		return;
	counters_of(&in->stat, c);
	for (unsigned i = 0; i < GC_COUNTERS; i++)
		to[i] += c[i];
}

static struct python_interpreter *find_sub(const struct python *py, uint64_t address)
{
	for (unsigned i = 0; i < py->n_subs; i++)
		if (py->subs[i].address == address)
			return &py->subs[i];
	return NULL;
}

static bool is_among(const uint64_t *list, int n, uint64_t v)
{
	for (int i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return false;
}

static struct python_interpreter fresh_interpreter(uint64_t address)
{
	return (struct python_interpreter){.address = address, .frozen = METRIC_ABSENT};
}

/* The list of interpreters anew; who has left it stays in the sums. */
static int list_interpreters(struct python *py)
{
	uint64_t found[RUNTIME_MAX_INTERPRETERS];
	struct python_interpreter *subs = NULL;
	int n = runtime_interpreters(&py->runtime, found, ARRAY_SIZE(found));

	if (n < 1)
		return n < 0 ? n : -EBADMSG;
	if (n > 1) {
		subs = calloc((size_t)n - 1, sizeof(*subs));
		if (!subs)
			return -ENOMEM;
	}
	for (unsigned i = 0; i < py->n_subs; i++)
		if (!is_among(found + 1, n - 1, py->subs[i].address))
			add_counters(py->ended, &py->subs[i]);
	for (int i = 1; i < n; i++) {
		const struct python_interpreter *known = find_sub(py, found[i]);

		subs[i - 1] = known ? *known : fresh_interpreter(found[i]);
	}
	free(py->subs);
	py->subs = subs;
	py->n_subs = (unsigned)n - 1;
	if (py->main.address != found[0])
		py->main = fresh_interpreter(found[0]);
	return 0;
}

static bool has_one_collector(const struct python *py)
{
	/* 3.8: one for all interpreters */
	return py->runtime.layout.runtime.gc != LAYOUT_NONE;
}

static void count_frozen(const struct python *py, struct python_interpreter *in)
{
	uint64_t n;
	int r = gcstat_frozen(&py->runtime, in->address, PYTHONS_FROZEN_MAX, &n);

	/* -EAGAIN: it changed while it was walked */
	if (r != -EAGAIN)
		in->frozen = r < 0 ? METRIC_ABSENT : (int64_t)n;
}

static int read_interpreter(struct python *py, struct python_interpreter *in)
{
	struct gcstat st;
	int r = gcstat_read(&py->runtime, in->address, &st);

	if (r < 0)
		return r;
	if (in->had && st.interpreter != in->stat.interpreter) {
		/* another one, where one has ended since the list was read */
		add_counters(py->ended, in);
		*in = fresh_interpreter(in->address);
	}
	in->stat = st;
	if (!in->had || py->age % PYTHONS_FROZEN == 0)
		count_frozen(py, in);
	in->had = true;
	return 0;
}

static void add_up(struct python *py)
{
	memcpy(py->sums, py->ended, sizeof(py->sums));
	add_counters(py->sums, &py->main);
	for (unsigned i = 0; i < py->n_subs; i++)
		add_counters(py->sums, &py->subs[i]);
}

/* 0, or why its figures are not to be had now. A sub-interpreter that ends while it is read keeps
 * what it had. */
static int read_python(struct python *py)
{
	int r = py->age % PYTHONS_SLOW == 0 ? list_interpreters(py) : 0;

	if (r == 0)
		r = read_interpreter(py, &py->main);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < py->n_subs && !has_one_collector(py); i++)
		(void)!read_interpreter(py, &py->subs[i]);
	add_up(py);
	py->age++;
	return 0;
}

/* ---- looking ---- */

static uint32_t wait_of(uint32_t state)
{
	if (state == PYTHON_STARTING)
		return 1;
	return state == PYTHON_DENIED ? PYTHONS_AGAIN : PYTHONS_SOON;
}

/* What is not read any more: an interpreter that ends, or a program that made way for another. */
static void lose(struct python *py)
{
	free(py->subs);
	*py = (struct python){.state = PYTHON_STARTING, .wait = 1};
}

/* Is it a Python? p->python says so afterwards. */
static void look_at(struct pythons *ps, struct proc *p, int64_t boot_us)
{
	struct python *py = pythons_find(ps, p);
	struct runtime runtime;
	uint32_t state = (uint32_t)runtime_find((pid_t)p->pid, NULL, &runtime, NULL);

	ps->looks++;
	if (state == PYTHON_NOT_PYTHON || state == PYTHON_GONE) {
		pythons_exit(ps, p);
		p->python = PROC_NO_PYTHON;
		return;
	}
	if (!py)
		py = add(ps, p);
	if (!py)
		return;
	free(py->subs);
	*py = (struct python){.state = state, .wait = wait_of(state)};
	if (state != PYTHON_READABLE)
		return;
	py->runtime = runtime;
	if (read_python(py) < 0)
		lose(py);
	else
		gcnews_learn(&py->news, &py->main.stat, py->sums, boot_us);
}

static bool wants_look(const struct pythons *ps, const struct proc *p, uint32_t id, uint32_t round)
{
	struct python *py = pythons_find(ps, p);

	if (p->python == PROC_PYTHON_UNSEEN)
		return true;
	if (p->python == PROC_NO_PYTHON)
		return (id + round) % PYTHONS_AGAIN == 0;
	if (py->state == PYTHON_READABLE)
		return false;
	py->wait -= py->wait > 0;
	return py->wait == 0;
}

/* ---- the round ---- */

static int64_t thread_cpu_us(void)
{
	return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

/* Where the budget ends, the next round goes on. */
static void look_around(struct pythons *ps, struct proctab *tab, uint32_t round, int64_t boot_us)
{
	int64_t until = thread_cpu_us() + PYTHONS_LOOK_US;
	uint32_t from = ps->cursor < tab->high ? ps->cursor : 0;

	for (uint32_t i = 0; i < tab->high; i++) {
		uint32_t id = (from + i) % tab->high;
		struct proc *p = &tab->procs[id];

		if (!sampler_tells(p) || !wants_look(ps, p, id, round))
			continue;
		if (thread_cpu_us() >= until) {
			ps->cursor = id;
			return;
		}
		look_at(ps, p, boot_us);
	}
}

static void tell_news(struct python *py, const struct proc *p, int64_t boot_us,
		      pythons_on_news *on_news, void *arg)
{
	struct gcnews_item item;

	while (gcnews_next(&py->news, &py->main.stat, py->sums, boot_us, &item))
		if (on_news)
			on_news(arg, p, &item);
}

static void read_known(struct pythons *ps, struct proctab *tab, int64_t boot_us,
		       pythons_on_news *on_news, void *arg)
{
	ps->readable = 0;
	for (uint32_t id = 0; id < tab->high; id++) {
		struct proc *p = &tab->procs[id];
		struct python *py = pythons_find(ps, p);

		if (!py || !sampler_tells(p) || py->state != PYTHON_READABLE)
			continue;
		if (read_python(py) < 0) {
			lose(py);
			continue;
		}
		ps->readable++;
		tell_news(py, p, boot_us, on_news, arg);
	}
}

void pythons_round(struct pythons *ps, struct proctab *tab, uint32_t round, bool look,
		   int64_t boot_us, pythons_on_news *on_news, void *arg)
{
	int64_t began = thread_cpu_us();

	if (!ps->enabled)
		return;
	read_known(ps, tab, boot_us, on_news, arg);
	if (look)
		look_around(ps, tab, round, boot_us);
	ps->spent_us += thread_cpu_us() - began;
}

/* ---- figures ---- */

static void put_counters(const struct python *py, int64_t v[METRIC_COUNT])
{
	const uint64_t *c = py->sums;

	v[METRIC_GC0] = (int64_t)c[GC_COLLECTIONS0];
	v[METRIC_GC1] = (int64_t)c[GC_COLLECTIONS1];
	v[METRIC_GC2] = (int64_t)c[GC_COLLECTIONS2];
	v[METRIC_COLLECTED] = (int64_t)c[GC_COLLECTED];
	v[METRIC_COLLECTED0] = (int64_t)c[GC_COLLECTED0];
	v[METRIC_COLLECTED1] = (int64_t)c[GC_COLLECTED1];
	v[METRIC_UNCOLLECTABLE] = (int64_t)c[GC_UNCOLLECTABLE];
	v[METRIC_UNCOLLECTABLE0] = (int64_t)c[GC_UNCOLLECTABLE0];
	v[METRIC_UNCOLLECTABLE1] = (int64_t)c[GC_UNCOLLECTABLE1];
	if (py->main.stat.generations[0].duration_us >= 0)
		v[METRIC_GC_TIME] = (int64_t)(c[GC_TIME_US] / US_PER_MS);
}

void pythons_values(const struct pythons *ps, const struct proc *p, int64_t v[METRIC_COUNT])
{
	const struct python *py = pythons_find(ps, p);
	const struct gcstat *st;

	if (!py)
		return;
	v[METRIC_PYTHON_STATE] = py->state;
	if (py->state != PYTHON_READABLE)
		return;
	st = &py->main.stat;
	put_counters(py, v);
	v[METRIC_PYTHON_VERSION] = py->runtime.version;
	v[METRIC_INTERPRETERS] = py->n_subs + 1;
	v[METRIC_GC_ENABLED] = st->enabled;
	v[METRIC_GC_COLLECTING] = st->collecting;
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		v[METRIC_GC_COUNT0 + i] = st->generations[i].count;
		v[METRIC_GC_THRESHOLD0 + i] = st->generations[i].threshold;
	}
	v[METRIC_GC_FROZEN] = py->main.frozen;
}

/* ---- each interpreter by itself ---- */

unsigned pythons_alone(const struct python *py)
{
	if (py->state != PYTHON_READABLE || !py->n_subs || has_one_collector(py))
		return 0;
	return py->n_subs + 1;
}

struct python_interpreter *pythons_interpreter(struct python *py, unsigned i)
{
	return i ? &py->subs[i - 1] : &py->main;
}

void pythons_interpreter_values(const struct python_interpreter *in,
				int64_t v[INTERPRETER_METRIC_COUNT])
{
	int64_t time_us = 0;

	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		const struct gcstat_generation *g = &in->stat.generations[i];

		v[INTERPRETER_METRIC_GC0 + i] = (int64_t)g->collections;
		v[INTERPRETER_METRIC_COLLECTED0 + i] = (int64_t)g->collected;
		v[INTERPRETER_METRIC_UNCOLLECTABLE0 + i] = (int64_t)g->uncollectable;
		v[INTERPRETER_METRIC_GC_COUNT0 + i] = g->count;
		v[INTERPRETER_METRIC_GC_THRESHOLD0 + i] = g->threshold;
		time_us = g->duration_us < 0 ? -1 : time_us + g->duration_us;
	}
	v[INTERPRETER_METRIC_GC_ENABLED] = in->stat.enabled;
	v[INTERPRETER_METRIC_GC_COLLECTING] = in->stat.collecting;
	v[INTERPRETER_METRIC_GC_FROZEN] = in->frozen;
	v[INTERPRETER_METRIC_GC_TIME] = time_us < 0 ? METRIC_ABSENT : time_us / US_PER_MS;
}
