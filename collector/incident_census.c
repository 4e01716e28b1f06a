/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Censuses that rules ask for ('census every D'), and what they found out for the alert: why its
 * process grows. At most one a process within CENSUS_GAP_US whoever asked, at most
 * CENSUS_FLEET_MAX a minute over the fleet: what is over waits for the next sweep.
 */
#include "collector/incident_inner.h"

#include "collector/command/dispatch.h"
#include "collector/fleet/verdict.h"
#include "common/clock.h"
#include "common/log.h"

#define CENSUS_GAP_US    (10 * 60 * USEC_PER_SEC)
#define CENSUS_FLEET_MAX 20
#define CENSUS_FLEET_US  (60 * USEC_PER_SEC)

static const struct python_census *newest_of(const struct process *p)
{
	return p->python->last ? p->python->last : p->python->base;
}

/* A bucket that holds a minute's worth. */
static bool take_token(struct incidents *all, int64_t now_us)
{
	int64_t each = CENSUS_FLEET_US / CENSUS_FLEET_MAX;

	/* The time up to which tokens are taken; never more than a minute behind. */
	all->census_taken_us = MAX_OF(all->census_taken_us, now_us - CENSUS_FLEET_US);
	if (all->census_taken_us + each > now_us)
		return false;
	all->census_taken_us += each;
	return true;
}

static void ask(struct incidents *all, struct incident *i, struct process *p, int64_t now_us)
{
	char actor[COMMAND_ACTOR_SIZE];
	struct error err = {""};
	const struct action_request r = {.host_id = i->host_id,
					 .proc_id = p->proc_id,
					 .action = command_action_word(COMMAND_CENSUS),
					 .actor = actor,
					 .reason = i->rule->why,
					 .alert_id = i->alert_id};

	snprintf(actor, sizeof(actor), "rule:%s", i->rule->name);
	i->census_us = now_us;
	p->python->asked_us = now_us;
	if (dispatch_issue(all->dispatch, &r, NULL, NULL, &err) < 0) {
		log_warn("alert=%lld host=%d rule=%s census not asked for error=\"%s\"",
			 (long long)i->alert_id, i->host_id, i->rule->name, err.msg);
		return;
	}
	i->censuses++;
	all->counts.actions++;
	i->unsaved = true;
}

/* Somebody has asked for one lately: it is as good as ours. */
static bool has_fresh(struct incident *i, const struct process *p, int64_t now_us)
{
	const struct python_census *newest = newest_of(p);
	int64_t last = MAX_OF(p->python->asked_us, newest ? newest->t_us : 0);

	if (now_us - last >= CENSUS_GAP_US)
		return false;
	if (last > i->census_us && newest && newest->t_us == last) {
		i->census_us = last;
		i->censuses++;
	}
	return true;
}

static void consider(struct incidents *all, struct incident *i, int64_t now_us)
{
	const struct host *h = incident_host(all, i);
	/* The registry's own, of which only is written who asked. */
	struct process *p = (struct process *)(void *)incident_target(all, i);
	const struct python_census *newest;

	if (!p || !p->python)
		return;
	newest = newest_of(p);
	if (newest && newest->census_id != i->census_seen) {
		i->census_seen = newest->census_id;
		i->unsaved = true;
	}
	if (!i->rule->census_us || !i->alert_id || i->censuses >= i->rule->census_max ||
	    now_us - i->census_us < i->rule->census_us || has_fresh(i, p, now_us) ||
	    !registry_host_is_up(h) || !h->act || !take_token(all, now_us))
		return;
	ask(all, i, p, now_us);
}

void incident_census_sweep(struct incidents *all, int64_t now_us)
{
	struct incident *i;
	struct incident *next;

	HASH_ITER (hh, all->open, i, next)
		if (!i->resolved_us)
			consider(all, i, now_us);
}

/* ---- what is told ---- */

static json_t *lines_of(const char (*lines)[LEAK_TEXT_SIZE], unsigned n)
{
	json_t *a = json_array();

	for (unsigned k = 0; k < n; k++)
		json_array_append_new(a, json_string(lines[k]));
	return a;
}

static json_t *types_of(const struct leak_evidence *e)
{
	json_t *a = json_array();

	for (unsigned k = 0; k < e->n_types; k++)
		json_array_append_new(a, json_pack("{s:s, s:I, s:I}", "name", e->types[k].name,
						   "count_growth",
						   (json_int_t)e->types[k].count_growth,
						   "bytes_growth",
						   (json_int_t)e->types[k].bytes_growth));
	return a;
}

json_t *incident_verdict(const struct incidents *all, const struct incident *i)
{
	const struct host *h = incident_host(all, i);
	const struct process *p = incident_target(all, i);
	struct leak_evidence e;
	struct leak_verdict v;

	if (!h || !p || !verdict_evidence(h, p, &e))
		return NULL;
	leak_judge(&e, &v);
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "kind", leak_kind_word(v.kind),
			 "confidence", kill_confidence_word(v.confidence), "sentence", v.sentence,
			 "evidence", lines_of(v.evidence, v.n_evidence), "advice",
			 lines_of(v.advice, v.n_advice), "types", types_of(&e), "process_id",
			 json_sprintf("%lld", (long long)p->proc_id));
}

void incident_why(const struct incidents *all, const struct incident *i, struct incident_why *ret)
{
	const struct host *h = incident_host(all, i);
	const struct process *p = incident_target(all, i);
	struct leak_verdict *v = &ret->verdict;

	ret->section.title = NULL;
	if (i->kind == RULE_HOST || !h || !p || !verdict_of(h, p, v) || v->kind == LEAK_UNKNOWN)
		return;
	snprintf(ret->summary, sizeof(ret->summary), "%s %s (%s).",
		 *p->service ? p->service : p->comm, v->sentence,
		 kill_confidence_word(v->confidence));
	for (unsigned k = 0; k < v->n_evidence; k++)
		ret->lines[k] = v->evidence[k];
	for (unsigned k = 0; k < v->n_advice; k++)
		ret->lines[v->n_evidence + k] = v->advice[k];
	ret->section = (struct mail_section){.title = "Why it grows",
					     .lines = ret->lines,
					     .line_count = v->n_evidence + v->n_advice};
}
