/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/pss.h"

#include <errno.h>
#include <string.h>

#include "agent/sense/procfs.h"
#include "agent/sense/proctab.h"
#include "common/clock.h"

#define FIRST_CAP 256u
/* Times max_us: what is predicted above is not even tried. */
#define HOPELESS 10u
/* 1/256: a correction of 1, and the bounds in which one is believed. */
#define ONE         256u
#define CORRECT_MIN 2u
#define CORRECT_MAX (ONE * 64)
/* What smaller ones cost says nothing of large ones: opening and cold caches make most of it. */
#define TEACHES_KIB  (64u * 1024)
#define NEW_AGE_S    600u /* an unmeasured process ranks as one that waited so long */
#define BUF_SIZE     2048u
#define SHARE_OF_ONE 10000

enum pss_state { PSS_FREE, PSS_WAITING, PSS_MEASURED, PSS_FAILED };

const struct pss_config pss_defaults = {
	.cpu_share = 100,
	.burst_us = 100000,
	.max_us = 20000,
	.refresh_s = 60,
	.rare_s = 1800,
	.min_rss_kib = 256,
};

int pss_init(struct pss *p, const struct pss_config *cfg)
{
	/* The first round may already read. */
	*p = (struct pss){.cfg = *cfg, .correction = ONE, .tokens_us = cfg->burst_us};
	p->picks = malloc(PSS_PICKS_MAX * sizeof(*p->picks));
	return p->picks ? 0 : -ENOMEM;
}

void pss_fini(struct pss *p)
{
	free(p->entries);
	free(p->picks);
	*p = (struct pss){0};
}

uint32_t pss_model_us(uint32_t rss_kib)
{
	return 6 + rss_kib / 512;
}

void pss_begin(struct pss *p, int64_t boot_us)
{
	int64_t passed = p->last_us ? boot_us - p->last_us : 0;

	/* Nothing is owed for time in which the host was suspended. */
	if (passed > 0)
		p->tokens_us += MIN_OF(passed, (int64_t)600 * USEC_PER_SEC) * p->cfg.cpu_share /
				SHARE_OF_ONE;
	p->tokens_us = MIN_OF(p->tokens_us, (int64_t)p->cfg.burst_us);
	p->last_us = boot_us;
	p->now_s = (uint32_t)(boot_us / USEC_PER_SEC);
	p->n_picks = 0;
	p->next = 0;
	p->sorted = false;
	p->sum.round_reads = 0;
	p->sum.round_us = 0;
	p->sum.due = 0;
	p->sum.skipped_cost = 0;
	p->sum.tiny = 0;
	p->sum.oldest_s = 0;
}

static int reserve(struct pss *p, uint32_t id)
{
	uint32_t cap = p->cap ? p->cap : FIRST_CAP;
	struct pss_entry *entries;

	if (id < p->cap)
		return 0;
	while (cap <= id)
		cap = MORE_THAN(cap);
	entries = realloc(p->entries, cap * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	memset(entries + p->cap, 0, (cap - p->cap) * sizeof(*entries));
	p->entries = entries;
	p->cap = cap;
	return 0;
}

static uint32_t predict(const struct pss *p, const struct pss_entry *e, uint32_t rss)
{
	uint64_t correction = e->correction ? e->correction : p->correction;

	return (uint32_t)MIN_OF(pss_model_us(rss) * correction / ONE, (uint64_t)UINT32_MAX);
}

/* Grew or shrank so much since the last reading that the ratio may have changed. */
static bool moved(const struct pss_entry *e, uint32_t rss)
{
	uint32_t change = rss > e->rss ? rss - e->rss : e->rss - rss;

	return change > MAX_OF(e->rss / 16, 1024u);
}

static bool is_due(struct pss *p, const struct pss_entry *e, uint32_t rss, uint32_t predicted)
{
	uint32_t age = p->now_s - e->when;

	if (predicted > p->cfg.max_us) {
		p->sum.skipped_cost++;
		return predicted / HOPELESS <= p->cfg.max_us &&
		       (e->state == PSS_WAITING || age >= p->cfg.rare_s);
	}
	switch (e->state) {
	case PSS_WAITING:
		return true;
	case PSS_FAILED:
		return age >= p->cfg.rare_s;
	default:
		return age >= p->cfg.refresh_s || (age > 0 && moved(e, rss));
	}
}

static uint64_t urgency(const struct pss *p, const struct pss_entry *e, uint32_t rss)
{
	uint64_t age = p->now_s - e->when;
	uint64_t grown = rss > e->rss ? rss - e->rss : 0;

	if (e->state == PSS_WAITING)
		return (age + NEW_AGE_S) * (1024 + (uint64_t)rss / 16);
	return age * (1024 + (uint64_t)rss / 16 + 4 * grown);
}

static void swap_picks(struct pss_pick *a, struct pss_pick *b)
{
	struct pss_pick t = *a;

	*a = *b;
	*b = t;
}

static void sift_down(struct pss_pick *heap, uint32_t n, uint32_t i)
{
	for (;;) {
		uint32_t least = i;

		for (uint32_t k = 2 * i + 1; k <= 2 * i + 2 && k < n; k++)
			if (heap[k].urgency < heap[least].urgency)
				least = k;
		if (least == i)
			return;
		swap_picks(&heap[i], &heap[least]);
		i = least;
	}
}

/* Keeps the PSS_PICKS_MAX most urgent. */
static void consider(struct pss *p, const struct pss_pick *pick)
{
	struct pss_pick *heap = p->picks;

	if (p->n_picks == PSS_PICKS_MAX) {
		if (pick->urgency > heap[0].urgency) {
			heap[0] = *pick;
			sift_down(heap, p->n_picks, 0);
		}
		return;
	}
	heap[p->n_picks] = *pick;
	for (uint32_t i = p->n_picks++; i && heap[i].urgency < heap[(i - 1) / 2].urgency;
	     i = (i - 1) / 2)
		swap_picks(&heap[i], &heap[(i - 1) / 2]);
}

int pss_offer(struct pss *p, uint32_t id, uint32_t pid, uint64_t start_ticks, uint32_t rss_kib)
{
	uint32_t start = (uint32_t)start_ticks;
	struct pss_entry *e;
	uint32_t predicted;
	int r;

	if (p->unsupported || !p->cfg.cpu_share)
		return 0;
	if (rss_kib < p->cfg.min_rss_kib) {
		p->sum.tiny++;
		return 0;
	}
	r = reserve(p, id);
	if (r < 0)
		return r;
	e = &p->entries[id];
	if (e->state == PSS_FREE || e->start != start)
		*e = (struct pss_entry){.start = start, .when = p->now_s, .state = PSS_WAITING};
	if (e->state == PSS_MEASURED)
		p->sum.oldest_s = MAX_OF(p->sum.oldest_s, p->now_s - e->when);
	predicted = predict(p, e, rss_kib);
	if (!is_due(p, e, rss_kib, predicted))
		return 0;
	p->sum.due++;
	consider(p, &(struct pss_pick){.urgency = urgency(p, e, rss_kib),
				       .id = id,
				       .pid = pid,
				       .rss = rss_kib,
				       .start = start,
				       .predicted_us = predicted});
	return 0;
}

/* A heap with the least first, taken apart from its end, leaves the most urgent first. */
static void sort_picks(struct pss *p)
{
	for (uint32_t n = p->n_picks; n > 1;) {
		swap_picks(&p->picks[0], &p->picks[--n]);
		sift_down(p->picks, n, 0);
	}
	p->sorted = true;
}

bool pss_next(struct pss *p, struct pss_pick *ret)
{
	if (!p->sorted)
		sort_picks(p);
	if (p->next >= p->n_picks || p->tokens_us <= 0 || p->unsupported)
		return false;
	*ret = p->picks[p->next++];
	return true;
}

static struct pss_entry *spend(struct pss *p, const struct pss_pick *pick, int64_t cost_us)
{
	cost_us = MAX_OF(cost_us, (int64_t)0);
	p->tokens_us -= cost_us;
	p->sum.spent_us += cost_us;
	p->sum.round_us += (uint32_t)MIN_OF(cost_us, (int64_t)UINT32_MAX / 2);
	p->entries[pick->id].when = p->now_s;
	return &p->entries[pick->id];
}

static uint32_t average(uint32_t old, uint64_t ratio, unsigned weight)
{
	ratio = MIN_OF(MAX_OF(ratio, (uint64_t)CORRECT_MIN), (uint64_t)CORRECT_MAX);
	return old ? (uint32_t)((old * (weight - 1) + ratio) / weight) : (uint32_t)ratio;
}

void pss_learn(struct pss *p, const struct pss_pick *pick, uint32_t pss_kib, uint32_t uss_kib,
	       int64_t cost_us)
{
	struct pss_entry *e = spend(p, pick, cost_us);
	uint64_t ratio = (uint64_t)MAX_OF(cost_us, (int64_t)0) * ONE / pss_model_us(pick->rss);

	e->correction = (uint16_t)average(e->correction, ratio, 4);
	if (pick->rss >= TEACHES_KIB)
		p->correction = average(p->correction, ratio, 16);
	e->rss = pick->rss;
	e->pss = MIN_OF(pss_kib, pick->rss);
	e->uss = MIN_OF(uss_kib, e->pss);
	e->state = PSS_MEASURED;
	p->sum.reads++;
	p->sum.round_reads++;
}

void pss_fail(struct pss *p, const struct pss_pick *pick, int64_t cost_us)
{
	struct pss_entry *e = spend(p, pick, cost_us);

	e->state = PSS_FAILED;
	p->sum.failed++;
}

bool pss_figures(const struct pss *p, uint32_t id, uint64_t start_ticks, uint32_t rss_kib,
		 uint32_t *ret_pss, uint32_t *ret_uss, uint32_t *ret_age_s)
{
	const struct pss_entry *e = id < p->cap ? &p->entries[id] : NULL;
	uint64_t pss;
	uint64_t uss;

	if (!e || e->state != PSS_MEASURED || e->start != (uint32_t)start_ticks || !e->rss)
		return false;
	pss = (uint64_t)e->pss * rss_kib / e->rss;
	uss = (uint64_t)e->uss * rss_kib / e->rss;
	*ret_pss = (uint32_t)pss;
	*ret_uss = (uint32_t)uss;
	*ret_age_s = p->now_s - e->when;
	return true;
}

/* ---- reading ---- */

static uint32_t cap_kib(int64_t v)
{
	return (uint32_t)MIN_OF(MAX_OF(v, (int64_t)0), (int64_t)PROC_ABSENT - 1);
}

static int parse(const char *s, size_t len, uint32_t *ret_pss, uint32_t *ret_uss)
{
	int64_t v[PROCFS_ROLLUP_COUNT];

	procfs_parse_rollup(s, len, v);
	if (v[PROCFS_ROLLUP_PSS] == METRIC_ABSENT ||
	    v[PROCFS_ROLLUP_PRIVATE_CLEAN] == METRIC_ABSENT ||
	    v[PROCFS_ROLLUP_PRIVATE_DIRTY] == METRIC_ABSENT)
		return -EBADMSG;
	*ret_pss = cap_kib(v[PROCFS_ROLLUP_PSS]);
	*ret_uss = cap_kib(v[PROCFS_ROLLUP_PRIVATE_CLEAN] + v[PROCFS_ROLLUP_PRIVATE_DIRTY]);
	return 0;
}

/* The process is there but not this file: no kernel before 4.14 has it. */
static bool lacks_rollup(const struct procdir *d, uint32_t pid)
{
	char buf[128];

	return procdir_read(d, pid, "statm", buf, sizeof(buf)) > 0;
}

void pss_measure(struct pss *p, const struct procdir *d, int64_t (*cpu_us)(void))
{
	struct pss_pick pick;
	char buf[BUF_SIZE];
	int64_t before = cpu_us();

	while (pss_next(p, &pick)) {
		uint32_t pss = 0;
		uint32_t uss = 0;
		int n = procdir_read(d, pick.pid, "smaps_rollup", buf, sizeof(buf));
		int r = n < 0 ? n : parse(buf, (size_t)n, &pss, &uss);
		int64_t after = cpu_us();

		if (r == 0)
			pss_learn(p, &pick, pss, uss, after - before);
		else
			pss_fail(p, &pick, after - before);
		before = after;
		if (n == -ENOENT && lacks_rollup(d, pick.pid))
			p->unsupported = true;
	}
}
