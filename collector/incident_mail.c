/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/incident_mail.h"

#include <errno.h>
#include <math.h>

#include "collector/command/effect.h"
#include "collector/incident_inner.h"
#include "collector/notify/mail.h"
#include "collector/rule/parse.h"
#include "common/clock.h"
#include "common/log.h"

#define GROWTH_SPAN_US (30 * 60 * 1000000LL)

static int64_t kib(int64_t v)
{
	return v == METRIC_ABSENT ? -1 : v * 1024;
}

double process_growth(const struct process *p, int64_t now_us, double *ret_r2)
{
	double slope;
	double r2;

	if (!trend_slope(&p->rss, now_us, GROWTH_SPAN_US, &slope, &r2))
		slope = r2 = NAN;
	if (ret_r2)
		*ret_r2 = r2;
	return slope * 1024;
}

static struct mail_process describe(const struct process *p, int64_t now_us)
{
	return (struct mail_process){
		.pid = p->pid,
		.name = *p->service ? p->service : p->comm,
		.cmdline = *p->cmdline ? p->cmdline : p->comm,
		.rss_bytes = kib(p->v[METRIC_RSS]),
		.growth = process_growth(p, now_us, NULL),
	};
}

static double by_rss(const struct mail_process *p)
{
	return (double)p->rss_bytes;
}

static double by_growth(const struct mail_process *p)
{
	return isnan(p->growth) ? -INFINITY : p->growth;
}

/* Keeps the MESSAGE_TOP highest, the highest first. */
static void rank(struct mail_process top[MESSAGE_TOP], size_t *n, const struct mail_process *p,
		 double (*key)(const struct mail_process *))
{
	size_t at = *n;

	if (*n < MESSAGE_TOP)
		(*n)++;
	else if (key(p) <= key(&top[--at]))
		return;
	for (; at > 0 && key(p) > key(&top[at - 1]); at--)
		top[at] = top[at - 1];
	top[at] = *p;
}

static void fill_tops(struct incident_scene *s, struct incident_mail *m, struct host *h,
		      int64_t now_us)
{
	struct process *p;
	struct process *next;

	HASH_ITER (hh, h->processes, p, next) {
		struct mail_process d = describe(p, now_us);

		rank(s->top_rss, &m->top_rss_count, &d, by_rss);
		if (d.growth > 0)
			rank(s->top_growth, &m->top_growth_count, &d, by_growth);
	}
	m->top_rss = s->top_rss;
	m->top_growth = s->top_growth;
}

void incident_scene_fill(struct incident_scene *s, struct incident_mail *m, struct host *h,
			 struct process *p, int64_t now_us)
{
	m->r2 = NAN;
	m->culprit = (struct mail_process){.rss_bytes = -1, .growth = NAN};
	m->host_available = -1;
	m->host_total = -1;
	m->time_to_oom_us = -1;
	if (!h)
		return;
	m->host = h->name;
	m->host_available = kib(h->v[HOST_METRIC_AVAILABLE]);
	m->host_total = kib(h->v[HOST_METRIC_TOTAL]);
	m->time_to_oom_us = host_time_to_oom_us(h, now_us);
	fill_tops(s, m, h, now_us);
	if (!p)
		p = host_culprit(h, now_us, NULL);
	if (!p)
		return;
	m->culprit = describe(p, now_us);
	process_growth(p, now_us, &m->r2);
	if (!m->service)
		m->service = p->service;
	for (unsigned i = 0; i < p->rss.n; i++)
		s->points[m->point_count++] =
			(struct mail_point){.t_us = p->rss.t_us[i], .bytes = kib(p->rss.v[i])};
	m->points = s->points;
}

/* ---- the mail itself ---- */

static enum mail_unit unit_of(const struct incident *i)
{
	if (!i->rule->measure)
		return MAIL_UNIT_NUMBER;
	switch (i->rule->measure->type) {
	case RULE_BYTES:
		return MAIL_UNIT_BYTES;
	case RULE_BYTE_RATE:
		return MAIL_UNIT_BYTES_PER_HOUR;
	case RULE_DURATION:
		return MAIL_UNIT_SECONDS;
	case RULE_BOOL:
	case RULE_STRING:
	case RULE_COUNT:
	case RULE_RATIO:
	case RULE_COUNT_RATE:
	case RULE_TYPE_COUNT:
		break;
	}
	return MAIL_UNIT_NUMBER;
}

/* The engine's rates are per second, people read them per hour. */
static double shown(enum mail_unit unit, double v)
{
	return unit == MAIL_UNIT_BYTES_PER_HOUR ? v * 3600 : v;
}

static size_t list_actions(const struct incident *i, struct mail_action out[INCIDENT_ACTIONS])
{
	for (size_t n = 0; n < i->n_actions; n++) {
		const struct action_row *a = &i->actions[n];
		struct effects later;
		const struct effect *last;

		/* What is not to be read is not there. */
		(void)!effects_parse(a->effects, &later);
		last = later.n ? &later.at[later.n - 1] : NULL;
		out[n] = (struct mail_action){.t_us = a->done_us ? a->done_us : a->created_us,
					      .action = a->action,
					      .target = a->process,
					      .state = a->state,
					      .detail = a->detail,
					      .dry_run = a->dry_run,
					      .before = a->rss_before,
					      .after = a->rss_after,
					      .verdict = a->verdict,
					      .later = last ? last->rss : -1,
					      .later_us = last ? last->after_s * USEC_PER_SEC : 0};
	}
	return i->n_actions;
}

/* What the rule measured and what an action left are newer than the registry's trend and sample. */
static void add_what_is_newer(struct incident_mail *m, enum mail_state state)
{
	if (m->unit == MAIL_UNIT_BYTES_PER_HOUR && isnan(m->culprit.growth) && m->culprit.pid)
		m->culprit.growth = m->last_value;
	if (state == MAIL_ACTION && m->action_count && m->actions[m->action_count - 1].after >= 0)
		m->culprit.rss_bytes = m->actions[m->action_count - 1].after;
}

void incident_send_mail(struct incidents *all, struct incident *i, enum mail_state state)
{
	enum mail_unit unit = unit_of(i);
	char head[RULE_NAME_MAX + 1];
	auto_buf struct buf rule_text = BUF_INIT(65536);
	struct incident_scene scene = {0};
	struct mail_action actions[INCIDENT_ACTIONS];
	struct incident_why why;
	struct error err = {""};
	struct incident_mail m = {
		.incident = i->alert_id,
		.sequence = i->mails + 1,
		.state = state,
		.rule = i->rule->name,
		.level = rule_level_names[i->level],
		.headline = head,
		.subject_kind = rule_kind_names[i->kind],
		.service = *i->service ? i->service : NULL,
		.opened_us = i->opened_us,
		.now_us = clock_wall_us(),
		.resolved_us = i->resolved_us,
		.unit = unit,
		.first_value = shown(unit, i->first),
		.peak_value = shown(unit, i->peak),
		.last_value = shown(unit, i->last),
		.resolved_value = i->resolved_us ? shown(unit, i->last) : NAN,
		.actions = actions,
		.action_count = list_actions(i, actions),
		.why = i->rule->why,
	};
	int rc;

	if (!all->mailer)
		return;
	i->unsaved = true; /* its row counts the mails, so that none is sent twice over a restart */
	i->mails++;
	incident_headline(i->rule, head, sizeof(head));
	rule_print_rule(&rule_text, all->set, i->rule);
	m.rule_text = (const char *)rule_text.data;
	incident_scene_fill(&scene, &m, incident_host(all, i), incident_process(all, i), m.now_us);
	add_what_is_newer(&m, state);
	incident_why(all, i, &why);
	if (why.section.title && state != MAIL_RESOLVED) {
		m.summary = why.summary;
		m.sections = &why.section;
		m.section_count = 1;
	}
	rc = mail_incident(all->mailer, &m, &err);
	if (rc < 0 && rc != -ENOTSUP)
		log_error("alert=%lld mail not sent error=\"%s\"", (long long)i->alert_id, err.msg);
}

void incident_want_mail(struct incidents *all, struct incident *i, enum mail_state state)
{
	if (i->alert_id || !i->asking) {
		incident_send_mail(all, i, state);
		return;
	}
	/* Of what happened meanwhile one mail tells. */
	if (!i->mail_due || state != MAIL_ESCALATED)
		i->mail_state = state;
	i->mail_due = true;
}
