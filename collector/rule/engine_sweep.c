/* SPDX-License-Identifier: Apache-2.0 */
/* What happens without a sample: silence, ends, and alerts carried over a restart. */
#include <errno.h>
#include <string.h>

#include "collector/rule/engine_internal.h"

static void unlink_service(struct subject *s)
{
	struct subject **at = &s->host->services;

	while (*at != s)
		at = &(*at)->next_service;
	*at = s->next_service;
}

/* The subject and its alerts end; those that pointed to it must be gone or done with it. */
static void end_subject(struct rule_engine *e, struct subject *s, int64_t t_us)
{
	for (struct rule_state *st = s->states; st; st = st->next)
		engine_resolve(e, s, st, t_us, "gone");
	if (s->kind == RULE_PROCESS && s->service) {
		if (s->last_us)
			service_leave(s->service, s->v);
		s->service->users--;
	}
	if (s->kind == RULE_SERVICE && s->host)
		unlink_service(s);
	subject_remove(&e->table, s);
	subject_free(&s, e->set->n_windows);
}

/* Ends what is marked dead. Removal shifts slots, so a slot is looked at until it stays. */
static void reap(struct rule_engine *e, enum rule_kind kind, int64_t t_us)
{
	for (size_t i = 0; i < e->table.capacity; i++)
		while (e->table.slots[i] && e->table.slots[i]->dead &&
		       e->table.slots[i]->kind == kind)
			end_subject(e, e->table.slots[i], t_us);
}

static void end_host(struct rule_engine *e, int32_t host_id, int64_t t_us)
{
	for (size_t i = 0; i < e->table.capacity; i++)
		if (e->table.slots[i] && e->table.slots[i]->host_id == host_id)
			e->table.slots[i]->dead = true;
	/* Each kind points to those after it. A shift may carry one past the end of the table to
	 * its start, hence twice. */
	for (int kind = RULE_PROCESS; kind <= RULE_HOST; kind++) {
		reap(e, (enum rule_kind)kind, t_us);
		reap(e, (enum rule_kind)kind, t_us);
	}
}

void engine_gone(struct rule_engine *e, enum rule_kind kind, int32_t host_id, int64_t id,
		 int64_t t_us)
{
	struct subject *s = subject_find(&e->table, kind, host_id, id);

	if (kind == RULE_HOST)
		end_host(e, host_id, t_us);
	else if (s && kind == RULE_PROCESS)
		end_subject(e, s, t_us);
}

static void sweep_missing(struct rule_engine *e, struct subject *s)
{
	for (unsigned i = 0; i < s->n_rules; i++) {
		const struct rule *r = e->set->rules[s->rules[i]];
		struct rule_state *st;

		if (r->missing == RULE_MISSING_HOLD || e->now_us - s->seen_us < r->missing_us)
			continue;
		st = subject_state(s, r, r->missing == RULE_MISSING_FIRE);
		if (!st)
			e->stats.no_memory += r->missing == RULE_MISSING_FIRE;
		else if (r->missing == RULE_MISSING_FIRE)
			engine_fire(e, s, st, e->now_us);
		else
			engine_resolve(e, s, st, e->now_us, "missing");
	}
}

/* Its host goes on without it: the exit was not told (lost, or before a restart of ours). */
static bool vanished(const struct rule_engine *e, const struct subject *s)
{
	if (s->kind == RULE_HOST || !s->host)
		return false;
	if (s->kind == RULE_SERVICE)
		return !s->users && s->host->last_us &&
		       e->now_us - MAX_OF(s->emptied_us, s->born_us) >= RULE_STALE_US;
	return s->host->last_us && s->host->seen_us - s->seen_us >= RULE_STALE_US;
}

static void sweep_subject(struct rule_engine *e, struct subject *s)
{
	for (struct rule_state *st = s->states; st; st = st->next)
		rule_state_expire(st, e->now_us);
	if (s->heeds_silence)
		sweep_missing(e, s);
	subject_drop_idle(s, e->now_us);
	s->dead = vanished(e, s);
}

void engine_sweep(struct rule_engine *e, int64_t now_us)
{
	bool any_dead = false;

	e->now_us = MAX_OF(now_us, (int64_t)1);
	for (size_t i = 0; i < e->table.capacity; i++) {
		struct subject *s = e->table.slots[i];

		if (!s)
			continue;
		sweep_subject(e, s);
		any_dead = any_dead || s->dead;
	}
	if (!any_dead)
		return;
	reap(e, RULE_PROCESS, e->now_us);
	reap(e, RULE_SERVICE, e->now_us);
}

/* ---- over a restart ---- */

static void save_state(const struct subject *s, const struct rule_state *st,
		       void (*row)(void *arg, const struct rule_saved *r), void *arg)
{
	char key[RULE_KEY_SIZE];

	row(arg, &(struct rule_saved){
			 .key = rule_key_format(key, st->rule->name, s->host_id, s->kind, s->id,
						s->name ? s->name : ""),
			 .level = st->rule->levels[st->n_on - 1].level,
			 .since_us = st->opened_us,
			 .has_value = st->has_value,
			 .first = st->first,
			 .peak = st->peak,
			 .last = st->last,
			 .ineffective = st->ineffective,
			 .stood_down = st->stood_down,
			 .acted_us = st->acted ? st->acted_us[(st->acted - 1) % RULE_ACTIONS] : 0,
		 });
}

void engine_save(const struct rule_engine *e, void (*row)(void *arg, const struct rule_saved *r),
		 void *arg)
{
	for (size_t i = 0; i < e->table.capacity; i++) {
		const struct subject *s = e->table.slots[i];

		for (const struct rule_state *st = s ? s->states : NULL; st; st = st->next)
			if (st->n_on)
				save_state(s, st, row, arg);
	}
}

static struct subject *restore_subject(struct rule_engine *e, const struct rule_key *k)
{
	struct subject *host = engine_host(e, k->host_id, "");
	struct subject *s;

	if (!host || k->kind == RULE_HOST)
		return host;
	if (k->kind == RULE_SERVICE)
		return engine_service(e, host, k->service);
	s = engine_subject(e, k->kind, k->host_id, k->id, NULL);
	if (s)
		s->host = host;
	return s;
}

static void restore_state(struct rule_state *st, const struct rule_saved *s, unsigned n_on)
{
	st->n_on = n_on;
	st->opened_us = s->since_us;
	st->has_value = s->has_value;
	st->first = s->first;
	st->peak = s->peak;
	st->last = s->last;
	st->ineffective = s->ineffective;
	st->stood_down = s->stood_down;
	if (s->acted_us) {
		/* Only the last is known: the budget counts as spent at that time. */
		for (st->acted = 0; st->acted < RULE_ACTIONS; st->acted++)
			st->acted_us[st->acted] = s->acted_us;
	}
}

int engine_restore(struct rule_engine *e, const struct rule_saved *saved)
{
	const struct rule *r;
	struct rule_state *st;
	struct subject *s;
	struct rule_key k;
	unsigned level = 0;

	if (rule_key_parse(saved->key, &k) < 0)
		return -EINVAL;
	r = rule_set_find(e->set, k.rule);
	while (r && level < r->n_levels && r->levels[level].level != saved->level)
		level++;
	if (!r || r->kind != k.kind || level == r->n_levels)
		return -ENOENT;
	s = restore_subject(e, &k);
	st = s ? subject_state(s, r, true) : NULL;
	if (!st)
		return -ENOMEM;
	e->stats.firing += st->n_on == 0;
	restore_state(st, saved, level + 1);
	return 0;
}
