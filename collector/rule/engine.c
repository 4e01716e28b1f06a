/* SPDX-License-Identifier: Apache-2.0 */
/* Samples in: subjects, windows, and which rules to ask. engine_alert.c has what comes out. */
#include "collector/rule/engine.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "collector/rule/engine_internal.h"
#include "common/str.h"

#define HOLE_US       (180 * 1000000LL) /* without samples: time that counts for nothing */
#define DAY_US        (86400 * 1000000LL)
#define ALL_METRICS   (~0ull)
#define SCOPE_UNKNOWN (-1)

int engine_new(const struct rule_set *set, int64_t now_us, const struct rule_engine_ops *ops,
	       void *arg, struct rule_engine **ret)
{
	struct rule_engine *e;

	if (now_us <= 0)
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->set = set;
	e->ops = ops;
	e->arg = arg;
	e->now_us = now_us;
	buf_init(&e->explain, ENGINE_EXPLAIN_MAX);
	buf_init(&e->expression, ENGINE_EXPLAIN_MAX);
	*ret = e;
	return 0;
}

void engine_free(struct rule_engine **slot)
{
	struct rule_engine *e = *slot;

	if (!e)
		return;
	subject_table_fini(&e->table, e->set->n_windows);
	buf_fini(&e->explain);
	buf_fini(&e->expression);
	free(e);
	*slot = NULL;
}

static int64_t age_of(const struct subject *s, int64_t t_us)
{
	return t_us > s->first_seen_us ? t_us - s->first_seen_us : 0;
}

struct rule_scope engine_scope(const struct subject *s)
{
	return (struct rule_scope){
		.own = s->kind == RULE_HOST ? NULL : s->v,
		.host = s->kind == RULE_HOST ? s->v
			: s->host            ? s->host->v
					     : NULL,
		.age_us = s->last_us ? age_of(s, s->last_us) : SCOPE_UNKNOWN,
		.processes = s->processes,
		.limit_kib = s->limit_kib,
		.windows = s->windows,
	};
}

struct subject *engine_subject(struct rule_engine *e, enum rule_kind kind, int32_t host_id,
			       int64_t id, const char *name)
{
	struct subject *s = subject_find(&e->table, kind, host_id, id);

	if (s)
		return s;
	s = subject_new(kind, host_id, id, name);
	if (!s)
		return NULL;
	if (subject_insert(&e->table, s) < 0) {
		subject_free(&s, 0);
		return NULL;
	}
	s->born_us = s->seen_us = e->now_us;
	s->first_seen_us = e->now_us;
	return s;
}

struct subject *engine_host(struct rule_engine *e, int32_t host_id, const char *name)
{
	return engine_subject(e, RULE_HOST, host_id, 0, name);
}

struct subject *engine_service(struct rule_engine *e, struct subject *host, const char *name)
{
	struct subject *s =
		engine_subject(e, RULE_SERVICE, host->host_id, subject_service_id(name), name);

	if (s && !s->host) {
		s->host = host;
		s->next_service = host->services;
		host->services = s;
	}
	return s;
}

/* ---- which rules a subject has ---- */

static void note_needs(const struct rule_set *set, struct subject *s)
{
	s->metrics = 0;
	s->warmup_us = 0;
	s->restless = false;
	s->heeds_silence = false;
	for (unsigned i = 0; i < s->n_rules; i++) {
		const struct rule *r = set->rules[s->rules[i]];

		s->metrics |= r->metrics;
		s->warmup_us = MAX_OF(s->warmup_us, r->warmup_us);
		s->restless = s->restless || r->restless;
		s->heeds_silence = s->heeds_silence || r->missing != RULE_MISSING_HOLD;
	}
}

static bool chosen(const struct rule *r, enum rule_kind kind, const struct rule_labels *labels)
{
	struct rule_scope scope = {.age_us = SCOPE_UNKNOWN, .labels = labels};

	return r->kind == kind && (!r->where || rule_eval_truth(r->where, &scope, 0) == RULE_TRUE);
}

static int make_windows(const struct rule_set *set, struct subject *s, const struct rule *r)
{
	if (!r->n_windows)
		return 0;
	if (!s->windows)
		s->windows = calloc(set->n_windows, sizeof(struct window *));
	if (!s->windows)
		return -ENOMEM;
	for (unsigned i = 0; i < r->n_windows; i++) {
		unsigned w = r->windows[i];

		if (s->windows[w])
			continue;
		s->windows[w] = malloc(sizeof(struct window));
		if (!s->windows[w])
			return -ENOMEM;
		window_init(s->windows[w], set->windows[w]->width_us);
	}
	return 0;
}

static int choose_rules(struct rule_engine *e, struct subject *s, const struct rule_labels *labels)
{
	uint16_t found[RULE_MAX];
	unsigned n = 0;
	uint16_t *rules;

	for (unsigned i = 0; i < e->set->n_rules; i++)
		if (chosen(e->set->rules[i], s->kind, labels))
			found[n++] = (uint16_t)i;
	rules = calloc(n ? n : 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	memcpy(rules, found, n * sizeof(*rules));
	for (unsigned i = 0; i < n; i++) {
		if (make_windows(e->set, s, e->set->rules[found[i]]) < 0) {
			free(rules);
			return -ENOMEM;
		}
	}
	free(s->rules);
	s->rules = rules;
	s->n_rules = n;
	s->labelled = true;
	note_needs(e->set, s);
	return 0;
}

/* Alerts of rules that no longer choose the subject are over. */
static void drop_unchosen(struct rule_engine *e, struct subject *s)
{
	for (struct rule_state *st = s->states; st; st = st->next) {
		bool keep = false;

		for (unsigned i = 0; i < s->n_rules; i++)
			keep = keep || e->set->rules[s->rules[i]] == st->rule;
		if (!keep)
			engine_resolve(e, s, st, e->now_us, "gone");
	}
}

static int label_process(struct rule_engine *e, struct subject *s, const struct rule_subject *who)
{
	struct rule_labels labels = {
		.text = {[RULE_LABEL_HOSTNAME] = who->host,
			 [RULE_LABEL_SERVICENAME] = who->service,
			 [RULE_LABEL_COMM] = who->comm,
			 [RULE_LABEL_EXE] = who->exe,
			 [RULE_LABEL_CMDLINE] = who->cmdline,
			 [RULE_LABEL_CGROUP] = who->cgroup},
		.uid = who->uid,
		.python = who->python,
	};

	if (choose_rules(e, s, &labels) < 0)
		return -ENOMEM;
	s->rev = who->rev;
	s->first_seen_us = MIN_OF(MAX_OF(who->first_seen_us, (int64_t)0), e->now_us);
	drop_unchosen(e, s);
	return 0;
}

static int label_service(struct rule_engine *e, struct subject *s, const char *host)
{
	struct rule_labels labels = {
		.text = {[RULE_LABEL_HOSTNAME] = host, [RULE_LABEL_SERVICENAME] = s->name},
		.uid = -1,
		.python = s->python,
	};

	if (choose_rules(e, s, &labels) < 0)
		return -ENOMEM;
	drop_unchosen(e, s);
	return 0;
}

/* ---- evaluation ---- */

/* Settled at the sample before this one, so what it says was seen already. */
static bool at_rest(const struct window *w, int64_t before_us)
{
	return w->last_us && w->last_us != w->moved_us && window_settled(w, before_us);
}

/* True when the rule cannot say anything else than at the sample before. */
static bool unchanged(const struct rule *r, const struct subject *s, uint64_t changed,
		      int64_t before_us)
{
	if (r->restless || (r->metrics & changed) || !before_us ||
	    before_us < s->first_seen_us + r->warmup_us)
		return false;
	for (unsigned i = 0; i < r->n_windows; i++)
		if (!at_rest(s->windows[r->windows[i]], before_us))
			return false;
	return true;
}

/* The same of all its rules at once: the usual case, and worth one short test. */
static bool all_unchanged(const struct rule_set *set, const struct subject *s, uint64_t changed,
			  int64_t before_us)
{
	if (s->states || s->restless || (s->metrics & changed) || !before_us ||
	    before_us < s->first_seen_us + s->warmup_us)
		return false;
	for (unsigned i = 0; s->windows && i < set->n_windows; i++)
		if (s->windows[i] && !at_rest(s->windows[i], before_us))
			return false;
	return true;
}

static bool any_true(const struct rule_evidence *ev, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (ev->when[i] == RULE_TRUE)
			return true;
	return false;
}

static void ask_when(const struct rule *r, const struct rule_scope *scope, struct rule_evidence *ev)
{
	for (unsigned i = 0; i < r->n_levels; i++) {
		const struct rule_node *when = r->levels[i].on.when;

		/* Levels may share the rule's one condition. */
		if (i && when == r->levels[i - 1].on.when)
			ev->when[i] = ev->when[i - 1];
		else
			ev->when[i] = when ? rule_eval_truth(when, scope, 0) : RULE_FALSE;
	}
}

static enum rule_truth ask_clear(const struct rule_condition *c, const struct rule_scope *scope)
{
	enum rule_truth still;

	if (c->clear)
		return rule_eval_truth(c->clear, scope, 0);
	if (!c->when)
		return RULE_TRUE;
	still = rule_eval_truth(c->when, scope, ENGINE_DEAD_BAND);
	if (still == RULE_UNKNOWN)
		return still;
	return still == RULE_TRUE ? RULE_FALSE : RULE_TRUE;
}

static void evaluate_rule(struct rule_engine *e, struct subject *s, const struct rule *r,
			  const struct rule_scope *scope, bool hole)
{
	struct rule_state *st = subject_state(s, r, false);
	struct rule_evidence ev = {.hole = hole};
	bool warm = scope->age_us >= r->warmup_us;

	e->stats.evaluated++;
	if (warm)
		ask_when(r, scope, &ev);
	if (!st && !any_true(&ev, r->n_levels))
		return;
	st = subject_state(s, r, true);
	if (!st) {
		e->stats.no_memory++;
		return;
	}
	for (unsigned i = 0; i < r->n_levels; i++) {
		/* Before it is warm nothing is known: a restored alert holds. */
		if (!warm)
			ev.when[i] = RULE_UNKNOWN;
		ev.clear[i] = warm ? ask_clear(&r->levels[i].on, scope) : RULE_UNKNOWN;
	}
	if (warm && r->measure)
		ev.value = rule_eval(r->measure, scope);
	engine_step(e, s, st, &ev, s->last_us);
}

static void evaluate(struct rule_engine *e, struct subject *s, uint64_t changed, int64_t before_us,
		     bool hole)
{
	struct rule_scope scope = engine_scope(s);

	if (all_unchanged(e->set, s, changed, before_us)) {
		e->stats.skipped += s->n_rules;
		return;
	}
	for (unsigned i = 0; i < s->n_rules; i++) {
		const struct rule *r = e->set->rules[s->rules[i]];

		if (unchanged(r, s, changed, before_us) && !subject_state(s, r, false))
			e->stats.skipped++;
		else
			evaluate_rule(e, s, r, &scope, hole);
	}
	if (s->states)
		subject_drop_idle(s, s->last_us);
}

static void feed_windows(struct rule_engine *e, struct subject *s)
{
	struct rule_scope scope = engine_scope(s);

	for (unsigned i = 0; s->windows && i < e->set->n_windows; i++) {
		const struct rule_window *def = e->set->windows[i];
		struct rule_result r;

		if (!s->windows[i] || scope.age_us < def->warmup_us)
			continue;
		r = rule_eval(def->expr, &scope);
		if (r.known && isfinite(r.v) && window_feed(s->windows[i], s->last_us, r.v) < 0)
			e->stats.no_memory++;
	}
}

static uint64_t take_values(struct subject *s, const int64_t *v)
{
	unsigned n = subject_metrics(s->kind);
	uint64_t changed = 0;

	for (unsigned i = 0; i < n; i++) {
		changed |= (uint64_t)(s->v[i] != v[i]) << i;
		s->v[i] = v[i];
	}
	return changed;
}

/* New values at t_us: windows always, alerts unless it is old news. */
static void advance(struct rule_engine *e, struct subject *s, int64_t t_us, const int64_t *v)
{
	int64_t before_us = s->last_us;
	int64_t step_us = before_us ? t_us - before_us : 0;
	bool hole = step_us > MAX_OF(HOLE_US, 3 * s->interval_us);
	uint64_t changed = take_values(s, v);

	s->last_us = t_us;
	s->interval_us = step_us;
	s->seen_us = e->now_us;
	if (!before_us)
		changed = ALL_METRICS;
	feed_windows(e, s);
	if (t_us < e->now_us - RULE_LATE_US) {
		/* Nothing was asked, so the next fresh sample asks everything. */
		e->stats.late++;
		s->late = true;
		return;
	}
	evaluate(e, s, s->late ? ALL_METRICS : changed, s->late ? 0 : before_us, hole);
	s->late = false;
}

static int check_time(struct rule_engine *e, const struct subject *s, int64_t t_us)
{
	if (t_us > 0 && t_us > s->last_us && t_us <= e->now_us + RULE_LATE_US &&
	    t_us >= e->now_us - 30 * DAY_US)
		return 0;
	e->stats.refused++;
	return -ERANGE;
}

/* ---- processes, services, hosts ---- */

static int join_service(struct rule_engine *e, struct subject *p, const struct rule_subject *who)
{
	struct subject *service = engine_service(e, p->host, who->service ? who->service : "");

	if (!service)
		return -ENOMEM;
	if (p->service && p->service != service && p->last_us) {
		service_leave(p->service, p->v);
		service_join(service, p->v);
	}
	if (p->service != service) {
		if (p->service)
			p->service->users--;
		service->users++;
		p->service = service;
	}
	if (who->python && !service->python) {
		service->python = true;
		service->labelled = false;
	}
	return 0;
}

static int prepare_process(struct rule_engine *e, const struct rule_subject *who,
			   struct subject **ret)
{
	struct subject *p = engine_subject(e, RULE_PROCESS, who->host_id, who->id, NULL);

	if (p && !p->host)
		p->host = engine_host(e, who->host_id, who->host);
	if (!p || !p->host)
		return -ENOMEM;
	if (!p->labelled || p->rev != who->rev || !p->service) {
		if (join_service(e, p, who) < 0 || label_process(e, p, who) < 0)
			return -ENOMEM;
	}
	*ret = p;
	return 0;
}

static int sample_process(struct rule_engine *e, const struct rule_subject *who, int64_t t_us,
			  const int64_t *v)
{
	struct subject *p;
	int rc = prepare_process(e, who, &p);

	if (rc == 0)
		rc = check_time(e, p, t_us);
	if (rc < 0)
		return rc;
	if (p->last_us)
		service_change(p->service, p->v, v);
	else
		service_join(p->service, v);
	p->limit_kib = who->limit_kib;
	service_limit(p->service, who->limit_kib, t_us);
	advance(e, p, t_us, v);
	return 0;
}

static int close_service(struct rule_engine *e, struct subject *s, const char *host, int64_t t_us)
{
	int64_t v[METRIC_COUNT];

	if (!s->labelled && label_service(e, s, host) < 0)
		return -ENOMEM;
	if (t_us <= s->last_us)
		return 0;
	if (!s->last_us)
		s->first_seen_us = t_us;
	if (s->processes)
		s->emptied_us = e->now_us;
	service_sum(s, v);
	advance(e, s, t_us, v);
	return 0;
}

/* All services are due, changed or not: their windows move with time. */
static int sample_host(struct rule_engine *e, const struct rule_subject *who, int64_t t_us,
		       const int64_t *v)
{
	struct subject *h = engine_host(e, who->host_id, who->host);
	int rc;

	if (!h)
		return -ENOMEM;
	if (!h->labelled || h->rev != who->rev) {
		rc = label_process(e, h, who);
		if (rc < 0)
			return rc;
	}
	rc = check_time(e, h, t_us);
	if (rc < 0)
		return rc;
	advance(e, h, t_us, v);
	for (struct subject *s = h->services; s && rc == 0; s = s->next_service)
		rc = close_service(e, s, who->host, t_us);
	return rc;
}

int engine_sample(struct rule_engine *e, const struct rule_subject *who, int64_t t_us,
		  const int64_t *v)
{
	int rc = -EINVAL;

	e->stats.samples++;
	if (who->kind == RULE_PROCESS)
		rc = sample_process(e, who, t_us, v);
	else if (who->kind == RULE_HOST)
		rc = sample_host(e, who, t_us, v);
	e->stats.no_memory += rc == -ENOMEM;
	return rc;
}

int engine_expect(struct rule_engine *e, const struct rule_subject *who, int64_t seen_us)
{
	struct subject *h;

	if (who->kind != RULE_HOST)
		return -EINVAL;
	h = engine_host(e, who->host_id, who->host);
	if (!h || label_process(e, h, who) < 0)
		return -ENOMEM;
	if (!h->last_us)
		h->seen_us = MIN_OF(seen_us, e->now_us);
	return 0;
}

struct rule_engine_stats engine_stats(const struct rule_engine *e)
{
	struct rule_engine_stats s = e->stats;

	s.subjects = e->table.n;
	return s;
}
