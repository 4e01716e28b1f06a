/* SPDX-License-Identifier: Apache-2.0 */
/* Transitions out: what a step of an alert's state brought about, told with its evidence. */
#include <errno.h>
#include <string.h>

#include "collector/rule/engine_internal.h"

static const char *text_of(const struct buf *b)
{
	return b->data && b->len ? (const char *)b->data : "";
}

static const char *expression_of(struct rule_engine *e, const struct rule_level_def *l)
{
	buf_reset(&e->expression);
	if (l->on.when)
		rule_print_expr(&e->expression, e->set, l->on.when);
	return text_of(&e->expression);
}

static void explain_into(struct rule_engine *e, struct buf *b, const struct subject *s,
			 const struct rule *r)
{
	struct rule_scope scope = engine_scope(s);

	for (unsigned i = 0; i < r->n_levels; i++) {
		const struct rule_node *when = r->levels[i].on.when;

		if (when && (!i || when != r->levels[i - 1].on.when))
			rule_explain(b, e->set, when, &scope);
	}
}

static const char *service_of(const struct subject *s)
{
	if (s->kind == RULE_SERVICE)
		return s->name;
	return s->service ? s->service->name : "";
}

static void tell(struct rule_engine *e, const struct subject *s, const struct rule_state *st,
		 enum rule_change what, unsigned level, int64_t t_us, const char *reason)
{
	const struct rule *r = st->rule;
	const struct rule_level_def *l = &r->levels[level];
	char key[RULE_KEY_SIZE];

	buf_reset(&e->explain);
	explain_into(e, &e->explain, s, r);
	e->ops->transition(e->arg, &(struct rule_transition){
					   .what = what,
					   .rule = r,
					   .key = rule_key_format(key, r->name, s->host_id, s->kind,
								  s->id, service_of(s)),
					   .kind = s->kind,
					   .host_id = s->host_id,
					   .id = s->id,
					   .service = service_of(s),
					   .level = l->level,
					   .t_us = t_us,
					   .since_us = st->opened_us,
					   .has_value = st->has_value,
					   .value_type = r->measure ? r->measure->type : RULE_COUNT,
					   .first = st->first,
					   .peak = st->peak,
					   .last = st->last,
					   .max_actions = l->max,
					   .max_us = l->max_us,
					   .ineffective = st->ineffective,
					   .reason = reason,
					   .expression = expression_of(e, l),
					   .explain = text_of(&e->explain),
				   });
}

static void tell_all(struct rule_engine *e, const struct subject *s, const struct rule_state *st,
		     const struct rule_changes *c, unsigned top, int64_t t_us, const char *reason)
{
	for (unsigned i = 0; i < c->n; i++) {
		bool resolved = c->at[i].what == RULE_RESOLVED;

		if (c->at[i].what == RULE_RAISED && c->at[i].level == 0)
			e->stats.firing++;
		if (resolved)
			e->stats.firing--;
		tell(e, s, st, c->at[i].what, resolved && top ? top - 1 : c->at[i].level, t_us,
		     reason);
	}
}

void engine_step(struct rule_engine *e, struct subject *s, struct rule_state *st,
		 const struct rule_evidence *ev, int64_t t_us)
{
	struct rule_changes c = {0};
	unsigned top = st->n_on;

	rule_state_step(st, ev, t_us, &c);
	tell_all(e, s, st, &c, top, t_us, top && !st->n_on ? "clear" : "when");
}

void engine_fire(struct rule_engine *e, struct subject *s, struct rule_state *st, int64_t t_us)
{
	struct rule_changes c = {0};

	rule_state_fire(st, t_us, &c);
	tell_all(e, s, st, &c, 0, t_us, "missing");
}

void engine_resolve(struct rule_engine *e, struct subject *s, struct rule_state *st, int64_t t_us,
		    const char *reason)
{
	struct rule_changes c = {0};
	unsigned top = st->n_on;

	rule_state_resolve(st, t_us, &c);
	tell_all(e, s, st, &c, top, t_us, reason);
}

static struct rule_state *find_state(const struct rule_engine *e, const char *text,
				     struct subject **ret)
{
	const struct rule *r;
	struct rule_key key;

	if (rule_key_parse(text, &key) < 0)
		return NULL;
	r = rule_set_find(e->set, key.rule);
	*ret = subject_find(&e->table, key.kind, key.host_id, key.id);
	return r && *ret ? subject_state(*ret, r, false) : NULL;
}

int engine_action_done(struct rule_engine *e, const char *key, bool effective, int64_t t_us)
{
	struct rule_changes c = {0};
	struct subject *s;
	struct rule_state *st = find_state(e, key, &s);

	if (!st || !st->n_on)
		return -ENOENT;
	rule_state_action_done(st, effective, &c);
	tell_all(e, s, st, &c, st->n_on, t_us, "ineffective");
	return 0;
}

int engine_explain(struct rule_engine *e, const char *key, struct buf *out)
{
	struct subject *s;
	struct rule_state *st = find_state(e, key, &s);

	if (!st)
		return -ENOENT;
	explain_into(e, out, s, st->rule);
	return buf_status(out);
}

enum rule_phase engine_phase(const struct rule_engine *e, const char *key)
{
	struct subject *s;
	struct rule_state *st = find_state(e, key, &s);

	return st ? rule_state_phase(st) : RULE_IDLE;
}
