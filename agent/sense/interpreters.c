/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/interpreters.h"

#include <errno.h>

#include "agent/sense/sampler.h"
#include "common/log.h"

void interpreters_forget(struct interpreters *ix)
{
	for (uint32_t i = 0; i < ix->high; i++)
		ix->places[i].told = false;
}

/* ---- places ---- */

static bool is_its(const struct interpreter_place *at, uint32_t process, const struct proc *p,
		   const struct python_interpreter *in)
{
	return at->used && at->process == process && at->start_ticks == p->start_ticks &&
	       at->number == in->stat.interpreter;
}

/* The lowest place that nobody had, and that nobody there knows of. */
static struct interpreter_place *take_place(struct interpreters *ix)
{
	for (uint32_t i = 0; i < INTERPRETERS_MAX; i++) {
		if (ix->places[i].used)
			continue;
		ix->high = MAX_OF(ix->high, i + 1);
		return &ix->places[i];
	}
	return NULL;
}

static void settle(struct interpreters *ix, uint32_t process, const struct proc *p,
		   struct python_interpreter *in)
{
	struct interpreter_place *at = in->place ? &ix->places[in->place - 1] : NULL;

	if (!at || !is_its(at, process, p, in)) {
		at = take_place(ix);
		in->place = 0;
		if (!at) {
			ix->more++;
			return;
		}
		*at = (struct interpreter_place){.process = process,
						 .start_ticks = p->start_ticks,
						 .number = in->stat.interpreter,
						 .used = true};
		in->place = (uint16_t)(at - ix->places + 1);
	}
	at->of = in;
}

/* Whose process is announced: the others wait for it. */
static void settle_all(struct interpreters *ix, struct pythons *ps, struct proctab *tab)
{
	ix->more = 0;
	for (uint32_t i = 0; i < ix->high; i++)
		ix->places[i].of = NULL;
	for (uint32_t id = 0; id < tab->high; id++) {
		const struct proc *p = &tab->procs[id];
		struct python *py = pythons_find(ps, p);
		unsigned n = py && sampler_tells(p) && p->announced ? pythons_alone(py) : 0;

		for (unsigned i = 0; i < n; i++) {
			struct python_interpreter *in = pythons_interpreter(py, i);

			if (in->had)
				settle(ix, id, p, in);
		}
	}
}

/* ---- the tick ---- */

int interpreters_tell(struct interpreters *ix, struct pythons *ps, struct proctab *tab,
		      struct arena *a, struct wire_tick *tick)
{
	uint32_t more_before = ix->more;

	settle_all(ix, ps, tab);
	if (ix->more && !more_before)
		log_warn("sense interpreters=%u beyond=%u state=not_told_by_themselves",
			 INTERPRETERS_MAX + ix->more, INTERPRETERS_MAX);
	if (!ix->high)
		return 0;
	tick->interpreters = arena_calloc(a, ix->high, sizeof(*tick->interpreters));
	tick->interpreters_gone = arena_calloc(a, ix->high, sizeof(*tick->interpreters_gone));
	if (!tick->interpreters || !tick->interpreters_gone)
		return -ENOMEM;
	for (uint32_t i = 0; i < ix->high; i++) {
		struct interpreter_place *at = &ix->places[i];

		if (at->used && !at->of) {
			if (at->told)
				tick->interpreters_gone[tick->n_interpreters_gone++] = i;
			*at = (struct interpreter_place){0};
		} else if (at->used && !at->told) {
			tick->interpreters[tick->n_interpreters++] =
				(struct wire_interpreter){.id = i,
							  .process = at->process,
							  .number = (uint64_t)at->number};
			at->told = true;
		}
	}
	while (ix->high && !ix->places[ix->high - 1].used)
		ix->high--;
	return 0;
}

void interpreters_encode(const struct interpreters *ix, struct delta_encoder *e)
{
	int64_t v[INTERPRETER_METRIC_COUNT];

	for (uint32_t i = 0; i < ix->high; i++) {
		if (!ix->places[i].told)
			continue;
		pythons_interpreter_values(ix->places[i].of, v);
		delta_put_object(e, DELTA_INTERPRETER, i, v);
	}
}
