/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/survey.h"

#include <errno.h>
#include <string.h>

#include "agent/sense/oom/journal_entry.h"
#include "agent/sense/procfs.h"
#include "common/clock.h"

#define US_PER_MS 1000
/* Rounds between two looks at what an administrator sets. */
#define SETTINGS_EVERY 6u

/* The largest power of two that is not above v. */
static uint32_t power_of_two(uint32_t v)
{
	uint32_t p = 1u << 31;

	while (p > v)
		p >>= 1;
	return p;
}

static void fill_in(struct survey_config *cfg)
{
	if (!cfg->sys_block)
		cfg->sys_block = HOSTSTAT_SYS_BLOCK;
	if (!cfg->interval_us)
		cfg->interval_us = 10 * USEC_PER_SEC;
	if (!cfg->ring_span_us)
		cfg->ring_span_us = 3600 * USEC_PER_SEC;
	if (!cfg->ring_max_bytes)
		cfg->ring_max_bytes = 1u << 20;
}

static struct ring_config ring_config_of(const struct survey_config *cfg)
{
	struct ring_config r = ring_defaults;

	r.lanes[RING_SLOW].max_bytes = power_of_two(MAX_OF(cfg->ring_max_bytes, 16384u));
	r.lanes[RING_FAST].max_bytes = r.lanes[RING_SLOW].max_bytes / 4;
	r.lanes[RING_SLOW].max_rounds = (uint32_t)(cfg->ring_span_us / cfg->interval_us) + 1;
	return r;
}

int survey_init(struct survey *v, const struct survey_config *cfg, struct error *err)
{
	struct pss_config pss = pss_defaults;
	struct ring_config ring;
	int rc;

	*v = (struct survey){.cfg = *cfg, .mem_total = METRIC_ABSENT};
	fill_in(&v->cfg);
	ring = ring_config_of(&v->cfg);
	hoststat_clear(&v->host);
	pss.cpu_share = cfg->pss_share;
	rc = cgroup_tree_init(&v->cgroups, &cfg->mount, err);
	if (rc < 0)
		return rc;
	rc = pss_init(&v->pss, &pss);
	if (rc == 0)
		rc = ring_init(&v->ring, &ring);
	if (rc < 0) {
		survey_fini(v);
		return error_set(err, rc, "no memory for the flight ring");
	}
	return 0;
}

void survey_fini(struct survey *v)
{
	ring_fini(&v->ring);
	pss_fini(&v->pss);
	cgroup_tree_fini(&v->cgroups);
}

void survey_allow_pss(struct survey *v, uint32_t share)
{
	v->pss.cfg.cpu_share = share;
}

void survey_begin(struct survey *v, int64_t boot_us, unsigned lanes)
{
	ring_round_begin(&v->ring, boot_us, lanes);
}

void survey_birth(struct survey *v, uint32_t id, struct proc *p, const struct description *d)
{
	const struct ring_birth birth = {.pid = p->pid,
					 .start_ticks = p->start_ticks,
					 .uid = d->uid,
					 .fresh = p->fresh,
					 .comm = d->comm,
					 .service = d->service,
					 .container = d->container};

	p->cgroup = cgroup_tree_join(&v->cgroups, &d->paths);
	p->killer = journal_is_killer(d->comm);
	v->killers += p->killer;
	/* Who finds no room in it is counted there and has no past. */
	if (!p->heir || !ring_move(&v->ring, id, &birth))
		(void)!ring_birth(&v->ring, id, &birth);
	p->heir = false;
}

void survey_exit(struct survey *v, uint32_t id, struct proc *p)
{
	if (p->cgroup != PROC_NO_CGROUP)
		cgroup_tree_leave(&v->cgroups, p->cgroup);
	p->cgroup = PROC_NO_CGROUP;
	v->killers -= p->killer;
	p->killer = false;
	if (ring_slot(&v->ring, id) != RING_NO_SLOT)
		ring_exit(&v->ring, id);
}

/* ---- the host ---- */

static int64_t divided(int64_t v, int64_t by)
{
	return v == METRIC_ABSENT ? v : v / by;
}

static int64_t sum(int64_t a, int64_t b)
{
	if (a == METRIC_ABSENT)
		return b;
	return b == METRIC_ABSENT ? a : a + b;
}

static void take_hoststat(const struct hoststat *h, int64_t *v)
{
	v[HOST_METRIC_COMMIT_LIMIT] = h->commit_limit;
	v[HOST_METRIC_ZRAM_DATA] = h->zram_orig;
	v[HOST_METRIC_ZRAM_USED] = h->zram_used;
	v[HOST_METRIC_PSI_SOME10] = h->psi_some_avg10;
	v[HOST_METRIC_PSI_FULL10] = h->psi_full_avg10;
	v[HOST_METRIC_PSI_SOME] = divided(h->psi_some_total, US_PER_MS);
	v[HOST_METRIC_PSI_FULL] = divided(h->psi_full_total, US_PER_MS);
	v[HOST_METRIC_SCAN_KSWAPD] = h->pgscan_kswapd;
	v[HOST_METRIC_SCAN_DIRECT] = h->pgscan_direct;
	v[HOST_METRIC_STEAL_KSWAPD] = h->pgsteal_kswapd;
	v[HOST_METRIC_STEAL_DIRECT] = h->pgsteal_direct;
	v[HOST_METRIC_SWAP_IN] = h->pswpin;
	v[HOST_METRIC_SWAP_OUT] = h->pswpout;
	v[HOST_METRIC_OOM_KILLS] = h->oom_kill;
	v[HOST_METRIC_ALLOC_STALLS] = h->allocstall;
	v[HOST_METRIC_MAJFLT] = h->pgmajfault;
	v[HOST_METRIC_REFAULTS] = sum(h->refault_anon, h->refault_file);
	v[HOST_METRIC_SWAPPINESS] = h->swappiness;
	v[HOST_METRIC_OVERCOMMIT] = h->overcommit;
}

/* Mostly we are one of the processes of this round, unless there were too many. */
static int64_t own_rss(const struct sampler *s)
{
	uint32_t pid = (uint32_t)getpid();
	uint32_t id = proctab_find(&s->tab, pid);
	struct procfs_statm m;
	char buf[128];
	int n;

	if (id != PROC_NO_ID && sampler_tells(&s->tab.procs[id]) &&
	    s->tab.procs[id].rss != PROC_ABSENT)
		return s->tab.procs[id].rss;
	n = procdir_read(&s->dir, pid, "statm", buf, sizeof(buf));
	if (n <= 0 || procfs_parse_statm(buf, (size_t)n, &m) < 0)
		return METRIC_ABSENT;
	return (int64_t)(m.resident * s->page_kib);
}

/* What we cost, part by part: users hold us to it. */
static void take_own_cost(const struct survey *v, const struct sampler *s, int64_t *out)
{
	const struct pss_figures_sum *pss = &v->pss.sum;

	out[HOST_METRIC_SKIPPED] = s->skipped;
	out[HOST_METRIC_AGENT_RSS] = own_rss(s);
	out[HOST_METRIC_AGENT_CPU] = clock_cpu_us() / US_PER_MS;
	out[HOST_METRIC_PSS_CPU] = pss->spent_us / US_PER_MS;
	out[HOST_METRIC_PSS_READS] = (int64_t)pss->reads;
	out[HOST_METRIC_PSS_AGE] = pss->oldest_s;
	out[HOST_METRIC_RING] = (int64_t)(ring_bytes(&v->ring) / 1024);
}

void survey_host(struct survey *v, const struct sampler *s)
{
	char buf[8192];
	int n = procdir_read(&s->dir, PROCDIR_NO_PID, "meminfo", buf, sizeof(buf));

	procfs_parse_meminfo(buf, n < 0 ? 0 : (size_t)n, v->figures);
	hoststat_read(&s->dir, &v->host);
	if (v->rounds++ % SETTINGS_EVERY == 0)
		hoststat_read_settings(&s->dir, v->cfg.sys_block, &v->host);
	take_hoststat(&v->host, v->figures);
	take_own_cost(v, s, v->figures);
	v->mem_total = v->figures[HOST_METRIC_TOTAL];
}

/* ---- cgroups and processes ---- */

/* Processes of a cgroup count for all above it. */
/* Who has ended is still a member until it is buried, but is no process any more. */
static void count_members(struct survey *v, const struct sampler *s)
{
	memset(v->members, 0, sizeof(v->members));
	for (uint32_t id = 0; id < s->tab.high; id++) {
		const struct proc *p = &s->tab.procs[id];

		if (!sampler_tells(p) || p->cgroup == PROC_NO_CGROUP)
			continue;
		for (uint16_t up = p->cgroup; up != CGROUP_NONE; up = v->cgroups.by_id[up]->parent)
			v->members[up]++;
	}
}

static int64_t thread_cpu_us(void)
{
	return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

static void measure_pss(struct survey *v, const struct sampler *s, int64_t boot_us)
{
	pss_begin(&v->pss, boot_us);
	for (uint32_t id = 0; id < s->tab.high; id++) {
		const struct proc *p = &s->tab.procs[id];

		if (sampler_tells(p) && p->rss != PROC_ABSENT)
			/* without memory it is not measured now */
			(void)!pss_offer(&v->pss, id, p->pid, p->start_ticks, p->rss);
	}
	pss_measure(&v->pss, &s->dir, thread_cpu_us);
}

static void tell_ring(struct survey *v, const struct sampler *s)
{
	for (uint32_t id = 0; id < s->tab.high; id++) {
		const struct proc *p = &s->tab.procs[id];

		if (sampler_tells(p) && ring_slot(&v->ring, id) != RING_NO_SLOT)
			ring_value(&v->ring, id, p->rss, p->swap);
	}
	ring_round_end(&v->ring);
}

void survey_round(struct survey *v, const struct sampler *s, int64_t boot_us)
{
	cgroup_tree_read(&v->cgroups, v->mem_total);
	count_members(v, s);
	measure_pss(v, s, boot_us);
	tell_ring(v, s);
}

void survey_process(const struct survey *v, const struct sampler *s, uint32_t id,
		    int64_t out[METRIC_COUNT])
{
	const struct proc *p = &s->tab.procs[id];
	uint32_t pss;
	uint32_t uss;
	uint32_t age_s;

	proc_values(p, s->page_kib, out);
	if (p->rss == PROC_ABSENT ||
	    !pss_figures(&v->pss, id, p->start_ticks, p->rss, &pss, &uss, &age_s))
		return;
	out[METRIC_PSS] = pss;
	out[METRIC_USS] = uss;
}

void survey_cgroup(const struct survey *v, uint16_t id, int64_t out[CGROUP_METRIC_COUNT])
{
	const struct cgroup *c = v->cgroups.by_id[id];
	const int64_t *f = c->v;

	out[CGROUP_METRIC_USAGE] = f[CGROUP_USAGE];
	out[CGROUP_METRIC_WORKING_SET] = f[CGROUP_WORKING_SET];
	out[CGROUP_METRIC_ANON] = f[CGROUP_ANON];
	out[CGROUP_METRIC_FILE] = f[CGROUP_FILE];
	out[CGROUP_METRIC_SHMEM] = f[CGROUP_SHMEM];
	out[CGROUP_METRIC_KERNEL] = f[CGROUP_KERNEL];
	out[CGROUP_METRIC_SWAP] = f[CGROUP_SWAP];
	out[CGROUP_METRIC_LIMIT] = c->effective;
	out[CGROUP_METRIC_OWN_LIMIT] = f[CGROUP_LIMIT];
	out[CGROUP_METRIC_HIGH] = f[CGROUP_HIGH];
	out[CGROUP_METRIC_SWAP_LIMIT] = f[CGROUP_SWAP_LIMIT];
	out[CGROUP_METRIC_EVENTS_HIGH] = f[CGROUP_EV_HIGH];
	out[CGROUP_METRIC_EVENTS_MAX] = f[CGROUP_EV_MAX];
	out[CGROUP_METRIC_EVENTS_OOM] = f[CGROUP_EV_OOM];
	out[CGROUP_METRIC_OOM_KILLS] = f[CGROUP_EV_OOM_KILL];
	out[CGROUP_METRIC_PSI_SOME10] = f[CGROUP_PSI_SOME];
	out[CGROUP_METRIC_PSI_FULL10] = f[CGROUP_PSI_FULL];
	out[CGROUP_METRIC_PSI_SOME] = divided(f[CGROUP_PSI_SOME_TOTAL], US_PER_MS);
	out[CGROUP_METRIC_PROCESSES] = v->members[id];
}

const char *survey_limited_by(const struct survey *v, const struct cgroup *c)
{
	const struct cgroup *owner = NULL;

	if (c->owner == CGROUP_OWNER_OUTSIDE)
		return "..";
	if (c->owner != CGROUP_OWNER_HOST)
		owner = cgroup_tree_get(&v->cgroups, c->owner);
	return owner ? owner->path : "";
}
