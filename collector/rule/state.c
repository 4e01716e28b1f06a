/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/state.h"

#include <math.h>

static const char *const change_names[RULE_CHANGE_COUNT] = {
#define X(NAME, name) #name,
	RULE_CHANGE_LIST(X)
#undef X
};

static const char *const phase_names[] = {"idle", "pending", "firing", "clearing"};

const char *rule_change_name(enum rule_change c)
{
	return change_names[c];
}

const char *rule_phase_name(enum rule_phase p)
{
	return phase_names[p];
}

enum rule_phase rule_state_phase(const struct rule_state *s)
{
	if (s->n_on)
		return s->clear_us[s->n_on - 1] ? RULE_CLEARING : RULE_FIRING;
	for (unsigned i = 0; i < s->rule->n_levels; i++)
		if (s->true_us[i])
			return RULE_PENDING;
	return RULE_IDLE;
}

static void change(struct rule_changes *c, enum rule_change what, unsigned level)
{
	if (c->n < ARRAY_SIZE(c->at)) {
		c->at[c->n].what = what;
		c->at[c->n++].level = level;
	}
}

/* Runs the stopwatch of a condition: stopped by false, paused by unknown and by a hole. */
static void run(int64_t *since, enum rule_truth t, bool hole, int64_t now_us, int64_t last_us)
{
	if (t == RULE_FALSE)
		*since = 0;
	else if (t == RULE_TRUE && !*since)
		*since = now_us;
	else if (*since && now_us > last_us && (t == RULE_UNKNOWN || hole))
		*since += now_us - last_us;
}

static bool held(int64_t since, enum rule_truth t, int64_t now_us, int64_t long_us)
{
	return t == RULE_TRUE && since && now_us - since >= long_us;
}

static void take_value(struct rule_state *s, struct rule_result v)
{
	if (!v.known)
		return;
	if (!s->has_value)
		s->first = s->peak = v.v;
	s->has_value = true;
	s->last = v.v;
	s->peak = s->rule->lower_is_worse ? fmin(s->peak, v.v) : fmax(s->peak, v.v);
}

static void open_alert(struct rule_state *s, int64_t t_us)
{
	bool again = s->resolved_us && t_us - s->resolved_us < RULE_FLAP_US;

	s->flaps = again ? MIN_OF(s->flaps + 1, (unsigned)RULE_FLAP_MOST) : 0;
	s->opened_us = t_us;
	s->has_value = false;
	s->stood_down = false;
	s->ineffective = 0;
}

static void raise_to(struct rule_state *s, unsigned level, int64_t t_us, struct rule_changes *ret)
{
	if (!s->n_on)
		open_alert(s, t_us);
	while (s->n_on <= level) {
		s->clear_us[s->n_on] = 0;
		change(ret, RULE_RAISED, s->n_on++);
	}
}

static void step_up(struct rule_state *s, const struct rule_evidence *e, int64_t t_us,
		    struct rule_changes *ret)
{
	int reached = -1;

	for (unsigned i = 0; i < s->rule->n_levels; i++) {
		run(&s->true_us[i], e->when[i], e->hole, t_us, s->last_us);
		if (held(s->true_us[i], e->when[i], t_us, s->rule->levels[i].on.for_us))
			reached = (int)i;
	}
	if (reached >= 0 && (unsigned)reached >= s->n_on)
		raise_to(s, (unsigned)reached, t_us, ret);
}

static void close_alert(struct rule_state *s, int64_t t_us, struct rule_changes *ret)
{
	s->n_on = 0;
	s->resolved_us = t_us;
	s->acting = false;
	for (unsigned i = 0; i < RULE_LEVEL_COUNT; i++)
		s->true_us[i] = s->clear_us[i] = 0;
	change(ret, RULE_RESOLVED, 0);
}

static void step_down(struct rule_state *s, const struct rule_evidence *e, int64_t t_us,
		      struct rule_changes *ret)
{
	unsigned was = s->n_on;

	for (unsigned i = 0; i < s->n_on; i++)
		run(&s->clear_us[i], e->clear[i], e->hole, t_us, s->last_us);
	while (s->n_on) {
		unsigned i = s->n_on - 1;

		if (!held(s->clear_us[i], e->clear[i], t_us,
			  s->rule->levels[i].on.clear_us << s->flaps))
			break;
		s->clear_us[i] = 0;
		s->n_on--;
	}
	if (was && !s->n_on)
		close_alert(s, t_us, ret);
	else if (s->n_on < was)
		change(ret, RULE_LOWERED, s->n_on - 1);
}

/* The N-th last action is at least D ago. */
static bool within_budget(const struct rule_state *s, const struct rule_level_def *l, int64_t t_us)
{
	unsigned oldest;

	if (s->acted < l->max)
		return true;
	oldest = (s->acted - l->max) % RULE_ACTIONS;
	return t_us - s->acted_us[oldest] >= l->max_us;
}

static void step_action(struct rule_state *s, const struct rule_evidence *e, int64_t t_us,
			struct rule_changes *ret)
{
	unsigned top = s->n_on - 1;
	const struct rule_level_def *l;

	if (!s->n_on)
		return;
	l = &s->rule->levels[top];
	if (l->level != RULE_TRIM || e->when[top] != RULE_TRUE || s->acting || s->stood_down ||
	    !within_budget(s, l, t_us))
		return;
	s->acting = true;
	s->acted_us[s->acted++ % RULE_ACTIONS] = t_us;
	change(ret, RULE_ACT, top);
}

void rule_state_step(struct rule_state *s, const struct rule_evidence *e, int64_t t_us,
		     struct rule_changes *ret)
{
	if (!s->last_us)
		s->last_us = t_us;
	rule_state_expire(s, t_us);
	step_up(s, e, t_us, ret);
	if (s->n_on)
		take_value(s, e->value);
	step_down(s, e, t_us, ret);
	step_action(s, e, t_us, ret);
	s->last_us = t_us;
}

void rule_state_fire(struct rule_state *s, int64_t t_us, struct rule_changes *ret)
{
	unsigned top = s->rule->n_levels - 1;

	if (s->n_on <= top)
		raise_to(s, top, t_us, ret);
	for (unsigned i = 0; i < RULE_LEVEL_COUNT; i++)
		s->clear_us[i] = 0;
	s->last_us = t_us;
}

void rule_state_resolve(struct rule_state *s, int64_t t_us, struct rule_changes *ret)
{
	if (s->n_on)
		close_alert(s, t_us, ret);
	for (unsigned i = 0; i < RULE_LEVEL_COUNT; i++)
		s->true_us[i] = 0;
}

void rule_state_action_done(struct rule_state *s, bool effective, struct rule_changes *ret)
{
	s->acting = false;
	s->ineffective = effective ? 0 : s->ineffective + 1;
	if (s->ineffective < RULE_STAND_DOWN || s->stood_down || !s->n_on)
		return;
	s->stood_down = true;
	change(ret, RULE_STOOD_DOWN, s->n_on - 1);
}

void rule_state_expire(struct rule_state *s, int64_t t_us)
{
	if (s->acting && s->acted &&
	    t_us - s->acted_us[(s->acted - 1) % RULE_ACTIONS] >= RULE_ACTION_TIMEOUT_US)
		s->acting = false;
}

bool rule_state_idle(const struct rule_state *s, int64_t t_us)
{
	return rule_state_phase(s) == RULE_IDLE &&
	       (!s->resolved_us || t_us - s->resolved_us >= RULE_FLAP_US);
}
