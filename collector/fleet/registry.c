/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/registry.h"

#include <errno.h>
#include <string.h>

#define CULPRIT_SPAN_US (30 * 60 * 1000000LL)
/* Below this a forecast is a guess (rules.md 4). */
#define FORECAST_MIN_R2 0.6
#define CACHE_LINE      64

void registry_init(struct registry *r)
{
	r->hosts = NULL;
}

static void process_free(struct process *p)
{
	free(p->comm);
	free(p->cmdline);
	free(p->exe);
	free(p->cgroup);
	free(p->service);
	free(p->container);
	python_free(&p->python);
	free(p->interpreters);
	free(p);
}

static void cgroup_free(struct cgroup *g)
{
	free(g->path);
	free(g->name);
	free(g->runtime);
	free(g->image);
	free(g->limited_by);
	free(g);
}

static void host_free(struct host *h)
{
	struct process *p;
	struct process *next;
	struct cgroup *g;
	struct cgroup *next_g;

	HASH_ITER (hh, h->processes, p, next)
		registry_remove_process(h, p);
	HASH_ITER (hh, h->cgroups, g, next_g)
		registry_remove_cgroup(h, g);
	free(h->kills.ids);
	gctotals_free(&h->gc);
	free(h->posture);
	free(h->name);
	free(h->kernel);
	free(h->version);
	free(h);
}

void registry_fini(struct registry *r)
{
	struct host *h;
	struct host *next;

	HASH_ITER (hh, r->hosts, h, next) {
		HASH_DEL(r->hosts, h);
		host_free(h);
	}
}

/* Replaces *slot when the text differs; keeps the old one without memory. */
static bool keep_text(char **slot, const char *text)
{
	char *copy;

	if (*slot && strcmp(*slot, text) == 0)
		return true;
	copy = strdup(text);
	if (!copy)
		return *slot != NULL;
	free(*slot);
	*slot = copy;
	return true;
}

static void rename_host(struct host *h, const char *name)
{
	if (strcmp(h->name, name ? name : "") == 0)
		return;
	keep_text(&h->name, name);
	h->rev++;
}

struct host *registry_host(struct registry *r, int32_t host_id, const uint8_t uuid[16],
			   const char *name)
{
	struct host *h = registry_find_host(r, host_id);

	if (h) {
		rename_host(h, name);
		return h;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->host_id = host_id;
	memcpy(h->uuid, uuid, sizeof(h->uuid));
	for (size_t i = 0; i < HOST_METRIC_COUNT; i++)
		h->v[i] = METRIC_ABSENT;
	if (!keep_text(&h->name, name) || !keep_text(&h->kernel, "") ||
	    !keep_text(&h->version, "")) {
		host_free(h);
		return NULL;
	}
	HASH_ADD(hh, r->hosts, host_id, sizeof(h->host_id), h);
	if (!h->hh.tbl) {
		host_free(h);
		return NULL;
	}
	return h;
}

void registry_describe_host(struct host *h, const struct wire_hello *m)
{
	rename_host(h, m->host_name);
	keep_text(&h->kernel, m->kernel);
	keep_text(&h->version, m->version);
	memcpy(h->boot_id, m->boot_id, sizeof(h->boot_id));
	h->cpus = m->cpus;
	h->interval_ms = m->interval_ms;
	h->act = m->act;
	h->patient = m->features & WIRE_PATIENT;
}

struct host *registry_find_host(struct registry *r, int32_t host_id)
{
	struct host *h;

	HASH_FIND(hh, r->hosts, &host_id, sizeof(host_id), h);
	return h;
}

struct host *registry_find_host_uuid(struct registry *r, const uint8_t uuid[16])
{
	struct host *h;
	struct host *next;

	HASH_ITER (hh, r->hosts, h, next)
		if (memcmp(h->uuid, uuid, sizeof(h->uuid)) == 0)
			return h;
	return NULL;
}

struct host *registry_find_host_name(struct registry *r, const char *name)
{
	struct host *h;
	struct host *next;

	HASH_ITER (hh, r->hosts, h, next)
		if (strcmp(h->name, name) == 0)
			return h;
	return NULL;
}

bool registry_host_is_up(const struct host *h)
{
	return h->connected || h->elsewhere;
}

void registry_remove_host(struct registry *r, int32_t host_id)
{
	struct host *h = registry_find_host(r, host_id);

	if (!h)
		return;
	HASH_DEL(r->hosts, h);
	host_free(h);
}

struct process *registry_find_process(struct host *h, int64_t proc_id)
{
	struct process *p;

	HASH_FIND(hh, h->processes, &proc_id, sizeof(proc_id), p);
	return p;
}

struct process *registry_find_pid(struct host *h, uint32_t pid)
{
	struct process *p;
	struct process *next;

	HASH_ITER (hh, h->processes, p, next)
		if (p->pid == pid)
			return p;
	return NULL;
}

/* A keyframe names a process that was announced before without its strings: keep what is known. */
static bool describe(struct process *p, const struct wire_process *info)
{
	p->role = info->role;
	p->slot = info->slot;
	if (info->known && p->comm)
		return true;
	p->rev++;
	p->ppid = info->ppid;
	p->uid = info->uid;
	return keep_text(&p->comm, info->comm) && keep_text(&p->cmdline, info->cmdline) &&
	       keep_text(&p->exe, info->exe) && keep_text(&p->cgroup, info->cgroup) &&
	       keep_text(&p->service, info->service) && keep_text(&p->container, info->container);
}

struct process *registry_process(struct host *h, int64_t proc_id, const struct wire_process *info,
				 int64_t t_us)
{
	struct process *p = registry_find_process(h, proc_id);

	if (p) {
		describe(p, info);
		return p;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->proc_id = proc_id;
	p->host_id = h->host_id;
	p->pid = info->pid;
	p->start_ticks = info->start_ticks;
	p->first_seen_us = t_us;
	p->last_seen_us = t_us;
	for (size_t i = 0; i < METRIC_COUNT; i++)
		p->v[i] = METRIC_ABSENT;
	if (!describe(p, info)) {
		process_free(p);
		return NULL;
	}
	HASH_ADD(hh, h->processes, proc_id, sizeof(p->proc_id), p);
	if (!p->hh.tbl) {
		process_free(p);
		return NULL;
	}
	return p;
}

void registry_remove_process(struct host *h, struct process *p)
{
	HASH_DEL(h->processes, p);
	process_free(p);
}

/* ---- interpreters ---- */

static struct interpreter *place_for(struct process *p, uint64_t number)
{
	size_t at = 0;
	struct interpreter *list;

	while (at < p->n_interpreters && p->interpreters[at].number < number)
		at++;
	if (at < p->n_interpreters && p->interpreters[at].number == number)
		return &p->interpreters[at];
	list = realloc(p->interpreters, (p->n_interpreters + 1) * sizeof(*list));
	if (!list)
		return NULL;
	p->interpreters = list;
	memmove(list + at + 1, list + at, (p->n_interpreters - at) * sizeof(*list));
	p->n_interpreters++;
	list[at].number = number;
	return &list[at];
}

int registry_interpreter_sample(struct process *p, uint64_t number,
				const int64_t v[INTERPRETER_METRIC_COUNT], int64_t t_us)
{
	struct interpreter *in = place_for(p, number);

	if (!in)
		return -ENOMEM;
	memcpy(in->v, v, sizeof(in->v));
	in->t_us = t_us;
	return 0;
}

void registry_drop_interpreters(struct process *p, int64_t t_us)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_interpreters; i++)
		if (p->interpreters[i].t_us == t_us)
			p->interpreters[n++] = p->interpreters[i];
	p->n_interpreters = n;
	if (!n) {
		free(p->interpreters);
		p->interpreters = NULL;
	}
}

/* ---- cgroups ---- */

struct cgroup *registry_find_cgroup(const struct host *h, int64_t cgroup_id)
{
	struct cgroup *g;

	HASH_FIND(hh, h->cgroups, &cgroup_id, sizeof(cgroup_id), g);
	return g;
}

static bool cgroup_says(const struct cgroup *g, const struct wire_cgroup *info)
{
	return g->rev && g->version == info->version && strcmp(g->name, info->name) == 0 &&
	       strcmp(g->runtime, info->runtime) == 0 && strcmp(g->image, info->image) == 0 &&
	       strcmp(g->limited_by, info->limited_by) == 0;
}

static bool cgroup_describe(struct cgroup *g, const struct wire_cgroup *info)
{
	if (cgroup_says(g, info))
		return true;
	g->rev++;
	g->version = info->version;
	return keep_text(&g->path, info->path) && keep_text(&g->name, info->name) &&
	       keep_text(&g->runtime, info->runtime) && keep_text(&g->image, info->image) &&
	       keep_text(&g->limited_by, info->limited_by);
}

static struct cgroup *cgroup_new(int64_t cgroup_id, const struct wire_cgroup *info, int64_t t_us)
{
	struct cgroup *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->cgroup_id = cgroup_id;
	g->first_seen_us = t_us;
	g->last_seen_us = t_us;
	for (size_t i = 0; i < CGROUP_METRIC_COUNT; i++)
		g->v[i] = METRIC_ABSENT;
	if (cgroup_describe(g, info))
		return g;
	cgroup_free(g);
	return NULL;
}

struct cgroup *registry_cgroup(struct host *h, int64_t cgroup_id, const struct wire_cgroup *info,
			       int64_t t_us)
{
	struct cgroup *g = registry_find_cgroup(h, cgroup_id);

	if (g) {
		cgroup_describe(g, info);
		return g;
	}
	g = cgroup_new(cgroup_id, info, t_us);
	if (!g)
		return NULL;
	HASH_ADD(hh, h->cgroups, cgroup_id, sizeof(g->cgroup_id), g);
	if (!g->hh.tbl) {
		cgroup_free(g);
		return NULL;
	}
	return g;
}

void registry_remove_cgroup(struct host *h, struct cgroup *g)
{
	HASH_DEL(h->cgroups, g);
	cgroup_free(g);
}

void registry_cgroup_sample(struct cgroup *g, const int64_t v[CGROUP_METRIC_COUNT], int64_t t_us)
{
	memcpy(g->v, v, sizeof(g->v));
	g->last_seen_us = t_us;
	trend_add(&g->working_set, t_us, v[CGROUP_METRIC_WORKING_SET]);
}

struct cgroup *registry_cgroup_of(const struct host *h, const struct process *p)
{
	return p->cgroup_id ? registry_find_cgroup(h, p->cgroup_id) : NULL;
}

int64_t registry_limit_of(const struct host *h, const struct process *p)
{
	const struct cgroup *g = registry_cgroup_of(h, p);

	if (g && g->v[CGROUP_METRIC_LIMIT] != METRIC_ABSENT)
		return g->v[CGROUP_METRIC_LIMIT];
	return h->v[HOST_METRIC_TOTAL];
}

/* ---- kills, posture ---- */

bool registry_kill_is_new(struct host *h, int64_t kill_id)
{
	struct host_kills *k = &h->kills;

	for (size_t i = 0; i < MIN_OF(k->n, (size_t)REGISTRY_KILLS); i++)
		if (k->ids[i] == kill_id)
			return false;
	if (!k->ids)
		k->ids = calloc(REGISTRY_KILLS, sizeof(*k->ids));
	if (k->ids)
		k->ids[k->n++ % REGISTRY_KILLS] = kill_id;
	return true;
}

void registry_posture(struct host *h, const char *findings, int64_t t_us)
{
	if (h->posture && t_us < h->posture_us)
		return;
	if (keep_text(&h->posture, findings))
		h->posture_us = t_us;
}

/* ---- samples ---- */

void registry_expect(const struct process *p)
{
	for (size_t i = 0; i < sizeof(p->v); i += CACHE_LINE)
		__builtin_prefetch((const char *)p->v + i, 1);
	__builtin_prefetch(&p->rss, 1);
	if (p->python)
		__builtin_prefetch(p->python);
}

void registry_sample(struct process *p, const int64_t v[METRIC_COUNT], int64_t t_us)
{
	/* whether it is a Python is a label of rules */
	p->rev += (p->v[METRIC_PYTHON_STATE] == METRIC_ABSENT) !=
		  (v[METRIC_PYTHON_STATE] == METRIC_ABSENT);
	memcpy(p->v, v, sizeof(p->v));
	p->last_seen_us = t_us;
	trend_add(&p->rss, t_us, v[METRIC_RSS]);
	if (!p->python && python_told(v)) {
		p->python = python_new();
		p->rev++; /* whether it is one is a label of rules */
	}
	if (p->python)
		python_take(p->python, v, t_us);
}

void registry_census(struct process *p, const struct wire_census *c, int64_t census_id,
		     int64_t t_us)
{
	if (!p->python)
		p->python = python_new();
	/* Without memory the verdict does without it: the store has it. */
	if (p->python)
		python_census(p->python, c, census_id, t_us);
}

void registry_host_sample(struct host *h, const int64_t v[HOST_METRIC_COUNT], int64_t t_us)
{
	memcpy(h->v, v, sizeof(h->v));
	trend_add(&h->available, t_us, v[HOST_METRIC_AVAILABLE]);
}

int64_t host_time_to_oom_us(const struct host *h, int64_t now_us)
{
	double slope;
	double r2;

	if (h->v[HOST_METRIC_AVAILABLE] == METRIC_ABSENT ||
	    !trend_slope(&h->available, now_us, CULPRIT_SPAN_US, &slope, &r2))
		return -1;
	if (slope >= 0 || r2 < FORECAST_MIN_R2)
		return -1;
	return (int64_t)((double)h->v[HOST_METRIC_AVAILABLE] / -slope * 3.6e9);
}

struct process *host_culprit(struct host *h, int64_t now_us, double *ret_growth)
{
	struct process *worst = NULL;
	struct process *p;
	struct process *next;
	double most = 0;

	HASH_ITER (hh, h->processes, p, next) {
		double slope;
		double r2;

		if (!trend_slope(&p->rss, now_us, CULPRIT_SPAN_US, &slope, &r2) || slope <= most ||
		    r2 < FORECAST_MIN_R2)
			continue;
		most = slope;
		worst = p;
	}
	if (worst && ret_growth)
		*ret_growth = most * 1024;
	return worst;
}
