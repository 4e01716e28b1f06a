/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/dossier.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/sense/oom/explain.h"
#include "agent/sense/oom/growers.h"
#include "agent/sense/service.h"
#include "common/clock.h"
#include "common/str.h"
#include "proto/identity.h"

#define MINUTE_US (60 * USEC_PER_SEC)

struct maker {
	struct arena *a;
	const struct dossier_facts *f;
	bool failed;
};

static int64_t reach_us(const struct ring *ring, int64_t now_us)
{
	int64_t us = 0;

	for (unsigned i = 0; i < RING_LANES; i++)
		us = MAX_OF(us, ring_covered_us(ring, i, now_us));
	return us;
}

void dossier_spans(const struct ring *ring, int64_t now_us, int64_t ret_us[RING_SPANS])
{
	static const int64_t whole_us[RING_SPANS] = {MINUTE_US, 10 * MINUTE_US, 60 * MINUTE_US};
	int64_t reach = MAX_OF(reach_us(ring, now_us), (int64_t)1);

	for (unsigned i = 0; i < RING_SPANS; i++)
		ret_us[i] = MIN_OF(whole_us[i], reach);
}

uint64_t dossier_own_seq(const uint8_t boot_id[16], uint32_t pid, uint64_t start_ticks)
{
	uint64_t h = (uint64_t)identity_process(boot_id, pid, start_ticks);

	return WIRE_KILL_SEQ_OWN | (h & (WIRE_KILL_SEQ_OWN - 1));
}

/* ---- texts ---- */

static const char *safe_n(struct maker *m, const char *raw, size_t len, size_t max)
{
	char text[WIRE_TEXT_MAX + 1];
	char *copy;

	len = str_safe(text, MIN_OF(max + 1, sizeof(text)), raw, len);
	if (!len)
		return "";
	copy = arena_strndup(m->a, text, len);
	if (!copy)
		m->failed = true;
	return copy ? copy : "";
}

static const char *safe(struct maker *m, const char *raw, size_t max)
{
	return safe_n(m, raw, strlen(raw), max);
}

/* ---- one process ---- */

static int64_t figure(int64_t v)
{
	return v == METRIC_ABSENT || v > DOSSIER_MAX_KIB || v < -DOSSIER_MAX_KIB ? KILL_ABSENT : v;
}

static struct wire_party party_none(void)
{
	struct wire_party p = {.uid = -1, .comm = "", .service = "", .container = ""};

	for (size_t i = 0; i < KILL_FIGURE_COUNT; i++)
		p.v[i] = KILL_ABSENT;
	return p;
}

static void take_who(struct maker *m, struct wire_party *p, const struct ring_who *who)
{
	const struct names *names = &m->f->ring->names;

	p->start_ticks = who->start_ticks;
	p->uid = who->uid;
	p->comm = safe(m, who->comm, WIRE_COMM_MAX);
	p->service = safe(m, names_text(names, who->service), WIRE_NAME_MAX);
	p->container = safe(m, names_text(names, who->container), WIRE_NAME_MAX);
}

static void take_ring(struct wire_party *p, const struct ring_grown *g)
{
	if (g->rss != RING_ABSENT)
		p->v[KILL_FIGURE_RSS] = g->rss;
	if (g->swap != RING_ABSENT)
		p->v[KILL_FIGURE_SWAP] = g->swap;
}

static void take_row(struct maker *m, struct wire_party *p, const struct oom_task *row)
{
	static const enum oom_task_figure from[KILL_FIGURE_COUNT] = {
		[KILL_FIGURE_RSS] = OOM_TASK_RSS,
		[KILL_FIGURE_ANON] = OOM_TASK_ANON,
		[KILL_FIGURE_FILE] = OOM_TASK_FILE,
		[KILL_FIGURE_SHMEM] = OOM_TASK_SHMEM,
		[KILL_FIGURE_SWAP] = OOM_TASK_SWAP,
		[KILL_FIGURE_VSIZE] = OOM_TASK_TOTAL_VM,
		[KILL_FIGURE_PAGE_TABLES] = OOM_TASK_PGTABLES,
		[KILL_FIGURE_OOM_SCORE_ADJ] = OOM_TASK_SCORE_ADJ,
	};

	for (size_t i = 0; i < KILL_FIGURE_COUNT; i++)
		if (from[i] != OOM_TASK_PID && row->v[from[i]] != METRIC_ABSENT)
			p->v[i] = figure(row->v[from[i]]);
	if (p->v[KILL_FIGURE_PAGE_TABLES] == KILL_ABSENT)
		p->v[KILL_FIGURE_PAGE_TABLES] = figure(row->v[OOM_TASK_PTES]);
	if (row->v[OOM_TASK_UID] != METRIC_ABSENT)
		p->uid = row->v[OOM_TASK_UID];
	p->comm = safe(m, row->comm, WIRE_COMM_MAX);
}

/* The ring's words first, the kernel's of that moment over them. */
static struct wire_party party_of(struct maker *m, const struct grower *g)
{
	struct wire_party p = party_none();

	p.pid = g->pid > 0 && g->pid <= INT32_MAX ? (uint32_t)g->pid : 0;
	if (g->grown) {
		take_who(m, &p, g->grown->who);
		take_ring(&p, g->grown);
	}
	if (g->row)
		take_row(m, &p, g->row);
	for (unsigned i = 0; i < RING_SPANS; i++)
		p.v[KILL_FIGURE_GROWN_1M + i] = figure(g->gain[i]);
	return p;
}

/* ---- victim and trigger ---- */

static void take_kill(struct wire_party *p, const struct oom_kill *k)
{
	static const struct {
		enum kill_figure to;
		enum oom_victim_figure from;
	} rows[] = {
		{KILL_FIGURE_ANON, OOM_VICTIM_ANON},
		{KILL_FIGURE_FILE, OOM_VICTIM_FILE},
		{KILL_FIGURE_SHMEM, OOM_VICTIM_SHMEM},
		{KILL_FIGURE_VSIZE, OOM_VICTIM_TOTAL_VM},
		{KILL_FIGURE_PAGE_TABLES, OOM_VICTIM_PGTABLES},
		{KILL_FIGURE_OOM_SCORE_ADJ, OOM_VICTIM_SCORE_ADJ},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (k->victim[rows[i].from] != METRIC_ABSENT)
			p->v[rows[i].to] = figure(k->victim[rows[i].from]);
	if (oom_kill_rss(k) != METRIC_ABSENT)
		p->v[KILL_FIGURE_RSS] = figure(oom_kill_rss(k));
	if (k->victim[OOM_VICTIM_UID] != METRIC_ABSENT)
		p->uid = k->victim[OOM_VICTIM_UID];
}

static struct wire_party victim_of(struct maker *m)
{
	const struct dossier_facts *f = m->f;
	const struct oom_kill *k = f->kill;
	struct wire_party p;
	struct grower g;

	grower_of(f, k->pid, oom_kill_task(k, k->pid), &g);
	p = party_of(m, &g);
	take_kill(&p, k);
	if (*k->comm)
		p.comm = safe(m, k->comm, WIRE_COMM_MAX);
	if (!p.start_ticks)
		p.start_ticks = f->victim_start;
	if (f->end) {
		p.start_ticks = f->end->death.start_ticks;
		p.service = safe(m, f->end->death.service, WIRE_NAME_MAX);
		p.container = safe(m, f->end->death.container, WIRE_NAME_MAX);
		if (p.uid < 0)
			p.uid = f->end->death.uid;
	}
	if (p.uid < -1 || p.uid > UINT32_MAX)
		p.uid = -1;
	return p;
}

static struct wire_party trigger_of(struct maker *m)
{
	const struct dossier_facts *f = m->f;
	const struct oom_trigger *t = &f->kill->trigger;
	int64_t pid = f->trigger_tgid != METRIC_ABSENT ? f->trigger_tgid : t->pid;
	struct wire_party p = party_none();
	struct grower g;

	if (!*t->comm)
		return p;
	if (pid != METRIC_ABSENT) {
		grower_of(f, pid, oom_kill_task(f->kill, pid), &g);
		p = party_of(m, &g);
	}
	p.comm = safe(m, t->comm, WIRE_COMM_MAX);
	if (t->score_adj != METRIC_ABSENT)
		p.v[KILL_FIGURE_OOM_SCORE_ADJ] = t->score_adj;
	return p;
}

/* ---- tables ---- */

static int by_rss(const void *a, const void *b)
{
	const struct oom_task *x = *(const struct oom_task *const *)a;
	const struct oom_task *y = *(const struct oom_task *const *)b;

	return (x->v[OOM_TASK_RSS] < y->v[OOM_TASK_RSS]) -
	       (x->v[OOM_TASK_RSS] > y->v[OOM_TASK_RSS]);
}

static void *room(struct maker *m, size_t n, size_t size)
{
	void *p = arena_calloc(m->a, n ? n : 1, size);

	if (!p)
		m->failed = true;
	return p;
}

static void put_tasks(struct maker *m, struct wire_kill *k)
{
	const struct oom_kill *from = m->f->kill;
	const struct oom_task *rows[OOM_MAX_TASKS];
	size_t n = MIN_OF(from->n_tasks, (size_t)OOM_MAX_TASKS);
	struct grower g;

	for (size_t i = 0; i < n; i++)
		rows[i] = &from->tasks[i];
	qsort(rows, n, sizeof(rows[0]), by_rss);
	n = MIN_OF(n, (size_t)DOSSIER_MAX_TASKS);
	k->tasks = room(m, n, sizeof(*k->tasks));
	for (; k->n_tasks < n && !m->failed; k->n_tasks++) {
		grower_of(m->f, rows[k->n_tasks]->v[OOM_TASK_PID], rows[k->n_tasks], &g);
		k->tasks[k->n_tasks] = party_of(m, &g);
	}
	k->tasks_total = from->tasks_seen;
}

static void put_growers(struct maker *m, struct wire_kill *k, const struct grower *g, size_t n)
{
	k->growers = room(m, n, sizeof(*k->growers));
	for (; k->n_growers < n && !m->failed; k->n_growers++) {
		struct wire_party *p = &k->growers[k->n_growers];

		*p = party_of(m, &g[k->n_growers]);
		if (!*p->comm && p->pid == k->victim.pid)
			p->comm = k->victim.comm;
	}
}

/* ---- figures of the whole ---- */

/* v1 counts memory and swap together. */
static int64_t swap_part(const struct oom_kill *k, int64_t swap, int64_t memory)
{
	if (swap == METRIC_ABSENT || !k->swap_is_memsw)
		return figure(swap);
	if (memory == METRIC_ABSENT || swap > DOSSIER_MAX_KIB || memory > DOSSIER_MAX_KIB)
		return KILL_ABSENT;
	return MAX_OF(swap - memory, (int64_t)0);
}

static void put_totals(struct maker *m, struct wire_kill *out)
{
	static const struct {
		enum kill_total to;
		enum host_metric from;
	} host[] = {
		{KILL_TOTAL_HOST_TOTAL, HOST_METRIC_TOTAL},
		{KILL_TOTAL_HOST_AVAILABLE, HOST_METRIC_AVAILABLE},
		{KILL_TOTAL_HOST_SWAP_TOTAL, HOST_METRIC_SWAP_TOTAL},
		{KILL_TOTAL_HOST_SWAP_FREE, HOST_METRIC_SWAP_FREE},
	};
	const struct oom_kill *k = m->f->kill;

	for (size_t i = 0; i < KILL_TOTAL_COUNT; i++)
		out->v[i] = KILL_ABSENT;
	out->v[KILL_TOTAL_USAGE] = figure(k->usage);
	out->v[KILL_TOTAL_LIMIT] = figure(k->limit);
	out->v[KILL_TOTAL_FAILCNT] = figure(k->failcnt);
	out->v[KILL_TOTAL_SWAP_USAGE] = swap_part(k, k->swap_usage, k->usage);
	out->v[KILL_TOTAL_SWAP_LIMIT] = swap_part(k, k->swap_limit, k->limit);
	out->v[KILL_TOTAL_CG_ANON] = figure(k->stat[OOM_STAT_ANON]);
	out->v[KILL_TOTAL_CG_FILE] = figure(k->stat[OOM_STAT_FILE]);
	out->v[KILL_TOTAL_CG_SHMEM] = figure(k->stat[OOM_STAT_SHMEM]);
	out->v[KILL_TOTAL_CG_KERNEL] = figure(k->stat[OOM_STAT_KERNEL]);
	out->v[KILL_TOTAL_ORDER] = figure(k->trigger.order);
	out->v[KILL_TOTAL_KILLS_SO_FAR] = figure(m->f->kills_so_far);
	for (size_t i = 0; m->f->host && i < ARRAY_SIZE(host); i++)
		out->v[host[i].to] = figure(m->f->host[host[i].from]);
}

/* ---- whose limit ---- */

static bool container_in(const char *path, char *out, size_t size)
{
	struct procfs_cgroup cg = {.unified = ""};
	struct container c;

	if (!str_copy(cg.unified, sizeof(cg.unified), path) || !container_of_cgroup(&cg, &c))
		return false;
	container_label(out, size, &c);
	return true;
}

/* The victim's container or service when the cgroup is its own, else what the path says. */
static const char *owner_of(struct maker *m, const struct wire_party *victim)
{
	const struct oom_kill *k = m->f->kill;
	char limit[WIRE_NAME_MAX + 1];
	char inner[WIRE_NAME_MAX + 1];
	const char *base = strrchr(k->limit_cgroup, '/');

	if (!*k->limit_cgroup)
		return "";
	if (container_in(k->limit_cgroup, limit, sizeof(limit))) {
		if (*victim->container && container_in(k->victim_cgroup, inner, sizeof(inner)) &&
		    strcmp(limit, inner) == 0)
			return victim->container;
		return safe(m, limit, WIRE_NAME_MAX);
	}
	if (*victim->service && strcmp(k->limit_cgroup, k->victim_cgroup) == 0)
		return victim->service;
	return safe(m, base && base[1] ? base + 1 : k->limit_cgroup, WIRE_NAME_MAX);
}

/* ---- words ---- */

static const char *name_of(struct maker *m, const struct wire_party *p)
{
	char text[WIRE_COMM_MAX + 32];

	snprintf(text, sizeof(text), "%s (pid %" PRIu32 ")", *p->comm ? p->comm : "a process",
		 p->pid);
	return safe(m, text, sizeof(text));
}

static void grower_words(struct maker *m, const struct wire_kill *k, const struct grower *g,
			 struct explain_facts *e)
{
	const struct wire_party *p = &k->growers[0];
	unsigned span = grower_span(g);

	e->grower = name_of(m, p);
	e->grower_pid = p->pid;
	e->grower_service =
		*p->service && strcmp(p->service, k->victim.service) != 0 ? p->service : NULL;
	e->grown_kib = g->gain[span] == METRIC_ABSENT ? 0 : g->gain[span];
	e->grown_seconds = m->f->spans_us[span] / USEC_PER_SEC;
	e->grower_unlimited = g->grown && m->f->unlimited(m->f->arg, g->grown->who);
}

static void put_words(struct maker *m, struct wire_kill *k, const struct grower *g, size_t n)
{
	const struct dossier_facts *f = m->f;
	struct explain_facts e = {
		.victim_service = *k->victim.service ? k->victim.service : NULL,
		.swap_total_kib = f->host ? f->host[HOST_METRIC_SWAP_TOTAL] : METRIC_ABSENT,
		.host_total_kib = f->host ? f->host[HOST_METRIC_TOTAL] : 0,
		.sshd_unprotected = f->sshd_unprotected,
	};
	char sentence[EXPLAIN_SENTENCE_SIZE];
	char advice[EXPLAIN_MAX_ADVICE][EXPLAIN_ADVICE_SIZE];

	if (n && k->n_growers)
		grower_words(m, k, g, &e);
	if (f->end) {
		k->verdict = safe(m, f->end->verdict.sentence, WIRE_TEXT_MAX);
	} else {
		explain_kill(sentence, sizeof(sentence), f->kill, &e);
		k->verdict = safe(m, sentence, WIRE_TEXT_MAX);
	}
	k->n_advice = explain_advice(advice, f->kill, &e);
	k->advice = room(m, k->n_advice, sizeof(*k->advice));
	for (size_t i = 0; i < k->n_advice && !m->failed; i++)
		k->advice[i] = safe(m, advice[i], WIRE_TEXT_MAX);
}

static void put_line(struct maker *m, struct wire_kill *k, const char *raw)
{
	if (k->n_evidence < DOSSIER_MAX_LINES && !m->failed)
		k->evidence[k->n_evidence++] = safe(m, raw, DOSSIER_LINE_SIZE);
}

static void put_evidence(struct maker *m, struct wire_kill *k)
{
	const struct dossier_facts *f = m->f;

	k->evidence = room(m, DOSSIER_MAX_LINES, sizeof(*k->evidence));
	for (size_t i = 0; i < f->n_lines; i++)
		put_line(m, k, f->lines[i]);
	if (f->end)
		for (size_t i = 0; i < f->end->verdict.n_evidence; i++)
			put_line(m, k, f->end->verdict.evidence[i]);
	else if (!f->kill->complete && !f->kill->group_member)
		put_line(m, k,
			 *f->kill->limit_cgroup ? "the kernel wrote no report of it: the limit is "
						  "that of its cgroup"
						: "the kernel wrote no report of it");
	if (f->kill->mixed)
		put_line(m, k, "two reports were written at once: figures may be the other's");
}

/* ---- the whole ---- */

static size_t party_size(const struct wire_party *p)
{
	/* Numbers take at most 10 bytes each, and one for the figure's name. */
	return strlen(p->comm) + strlen(p->service) + strlen(p->container) +
	       (KILL_FIGURE_COUNT * 11) + 64;
}

/* All that is not the task table has its bounds and fits. */
static void bound(struct wire_kill *k)
{
	size_t size = DOSSIER_MAX_LINES * (DOSSIER_LINE_SIZE + 4) +
		      EXPLAIN_MAX_ADVICE * EXPLAIN_ADVICE_SIZE + (KILL_TOTAL_COUNT * 11) +
		      EXPLAIN_SENTENCE_SIZE + WIRE_PATH_MAX * 2 + WIRE_NAME_MAX + 256;

	size += party_size(&k->victim) + party_size(&k->trigger);
	for (size_t i = 0; i < k->n_growers; i++)
		size += party_size(&k->growers[i]);
	for (size_t i = 0; i < k->n_tasks; i++) {
		size += party_size(&k->tasks[i]);
		if (size > DOSSIER_MAX_PACKED)
			k->n_tasks = i;
	}
}

int dossier_make(struct arena *a, const struct dossier_facts *f, struct wire_kill *ret)
{
	struct maker m = {.a = a, .f = f};
	struct grower growers[DOSSIER_MAX_GROWERS];
	size_t n = growers_rank(f, growers);
	struct wire_kill k = {
		.t_wall_us = MAX_OF(f->wall_us, (int64_t)0),
		.seq = f->seq,
		.cause = f->end ? f->end->verdict.cause : verdict_kernel_cause(f->kill),
		.confidence = f->end ? f->end->verdict.confidence : KILL_CONFIDENCE_CERTAIN,
		.complete = f->kill->complete,
		.replayed = f->replayed,
		.victim = victim_of(&m),
		.trigger = trigger_of(&m),
		.victim_cgroup = safe(&m, f->kill->victim_cgroup, WIRE_PATH_MAX),
		.limit_cgroup = safe(&m, f->kill->limit_cgroup, WIRE_PATH_MAX),
		.ring_seconds =
			f->replayed ? 0 : (uint32_t)(reach_us(f->ring, f->now_us) / USEC_PER_SEC),
	};

	memcpy(k.boot_id, f->boot_id, sizeof(k.boot_id));
	k.limit_owner = owner_of(&m, &k.victim);
	put_tasks(&m, &k);
	put_growers(&m, &k, growers, n);
	put_totals(&m, &k);
	put_words(&m, &k, growers, n);
	put_evidence(&m, &k);
	if (m.failed)
		return -ENOMEM;
	bound(&k);
	*ret = k;
	return 0;
}
