/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/incident_mail.h"

#include <math.h>

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
