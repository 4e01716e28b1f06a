/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/sampler.h"

#include <errno.h>
#include <string.h>

#include "agent/sense/describe.h"
#include "agent/sense/identify.h"
#include "agent/sense/procfs.h"

/* A process that renamed itself is looked at again at most this often (rounds). */
#define RENAME_EVERY 6u
/* Entries of the table that are no samples: kernel threads, zombies, what is skipped. */
#define SPARE_ENTRIES 8192u

int sampler_init(struct sampler *s, const struct sampler_config *cfg, struct error *err)
{
	uint32_t max = MIN_OF(cfg->max_processes + SPARE_ENTRIES, (uint32_t)WIRE_MAX_PROCESSES);
	int r;

	*s = (struct sampler){
		.cfg = *cfg,
		.ticks_per_sec = (uint32_t)sysconf(_SC_CLK_TCK),
		.page_kib = (unsigned)sysconf(_SC_PAGESIZE) / 1024,
	};
	r = procdir_open(&s->dir, cfg->proc_path, err);
	if (r < 0)
		return r;
	if (!s->cfg.young_rounds)
		s->cfg.young_rounds = SAMPLER_YOUNG;
	s->cfg.young_rounds = MIN_OF(s->cfg.young_rounds, (uint32_t)UINT8_MAX);
	proctab_init(&s->tab, max);
	services_init(&s->services, SERVICES_MAX);
	containers_init(&s->containers, CONTAINERS_MAX);
	return 0;
}

void sampler_fini(struct sampler *s)
{
	containers_fini(&s->containers);
	services_fini(&s->services);
	proctab_fini(&s->tab);
	procdir_close(&s->dir);
}

/* ---- reading one process ---- */

static void set_kind(struct sampler *s, struct proc *p, enum proc_kind kind)
{
	s->live += (kind == PROC_LIVE) - (p->kind == PROC_LIVE);
	s->hidden += (kind == PROC_HIDDEN) - (p->kind == PROC_HIDDEN);
	p->kind = (uint8_t)kind;
}

static uint32_t cap_u32(uint64_t v)
{
	return v >= PROC_ABSENT ? PROC_ABSENT - 1 : (uint32_t)v;
}

static uint32_t from_status(int64_t v)
{
	return v == METRIC_ABSENT ? PROC_ABSENT : cap_u32((uint64_t)v);
}

static void take_stat(const struct sampler *s, struct proc *p, const struct procfs_stat *st)
{
	uint64_t cpu_ms = st->cpu_ticks * 1000 / s->ticks_per_sec;

	p->active = cpu_ms != p->cpu_ms || st->minflt != p->minflt;
	p->cpu_ms = cpu_ms;
	p->minflt = st->minflt;
	p->majflt = st->majflt;
	p->parent = st->ppid;
	p->threads = st->threads;
}

static int read_stat(const struct sampler *s, uint32_t pid, char *buf, size_t size,
		     struct procfs_stat *ret)
{
	int n = procdir_read(&s->dir, pid, "stat", buf, size);

	return n < 0 ? n : procfs_parse_stat(buf, (size_t)n, ret);
}

/* Is the name in stat another than at the last look? */
static bool sample_stat(struct sampler *s, struct proc *p)
{
	char buf[1024];
	struct procfs_stat st;
	int r = read_stat(s, p->pid, buf, sizeof(buf), &st);

	if (procdir_gone(r))
		p->ended = true;
	if (r < 0)
		return false;
	take_stat(s, p, &st);
	return describe_comm_hash(&st) != p->comm_hash;
}

static void sample_status(struct sampler *s, struct proc *p)
{
	char buf[4096];
	int64_t v[PROCFS_STATUS_COUNT];
	int n = procdir_read(&s->dir, p->pid, "status", buf, sizeof(buf));

	if (procdir_gone(n))
		p->ended = true;
	if (n <= 0)
		return;
	procfs_parse_status(buf, (size_t)n, v);
	p->swap = from_status(v[PROCFS_VMSWAP]);
	p->threads = from_status(v[PROCFS_THREADS]);
	p->anon = from_status(v[PROCFS_RSSANON]);
	p->file = from_status(v[PROCFS_RSSFILE]);
	p->shmem = from_status(v[PROCFS_RSSSHMEM]);
	/* Of one reading, so that the parts add up; statm was a moment earlier. */
	if (v[PROCFS_VMRSS] != METRIC_ABSENT)
		p->rss = from_status(v[PROCFS_VMRSS]);
	/* before Linux 4.5 */
	if (p->anon == PROC_ABSENT)
		p->anon = cap_u32((uint64_t)(p->resident - MIN_OF(p->shared, p->resident)) *
				  s->page_kib);
}

/* The wire tells strings only at birth, so a process that is told again gets a new id; pid and
 * start time, which are its identity, stay, and so does its place in its service. */
static void tell_again(struct sampler *s, uint32_t id, uint32_t comm_hash)
{
	struct proc *p;
	uint32_t again;

	if (proctab_split(&s->tab, id, &again) < 0)
		return;
	s->live++;
	s->tab.procs[id].ended = true;
	s->tab.procs[id].service = SERVICES_NONE;
	p = &s->tab.procs[again];
	p->announced = false;
	p->told = false;
	p->fresh = false;
	p->again = false;
	p->heir = true;
	p->comm_hash = comm_hash;
}

/* Did it become another program, has the fork that we saw now done its exec, was it moved? */
static void look_again(struct sampler *s, uint32_t id)
{
	struct proc *p = &s->tab.procs[id];
	struct description d;
	int r = describe_named(&s->dir, p->pid, &s->containers, s->now_us, &d);

	if (procdir_gone(r))
		p->ended = true;
	if (r < 0 || !p->announced)
		return;
	if (p->again || d.program != p->program || d.moved != p->moved)
		tell_again(s, id, d.comm_hash);
	else
		identify_settled(s, id, d.ppid);
}

/* A newborn is looked at 1, 2, 4, 8 ... rounds after its birth, and for the last time at the end.
 */
static bool newborn_is_due(const struct sampler *s, struct proc *p)
{
	uint8_t age = p->young;

	if (!age)
		return false;
	p->young = age >= s->cfg.young_rounds ? 0 : (uint8_t)(age + 1);
	return !p->young || !(age & (age - 1));
}

/* Moved to another cgroup? Told by its own file alone, which is less than all of look_again(). */
static bool was_moved(const struct sampler *s, const struct proc *p)
{
	uint16_t hash;

	return p->announced && describe_cgroup_hash(&s->dir, p->pid, &hash) == 0 &&
	       hash != p->moved;
}

static int sample_statm(struct sampler *s, struct proc *p, bool *ret_changed)
{
	char buf[128];
	struct procfs_statm m;
	int n = procdir_read(&s->dir, p->pid, "statm", buf, sizeof(buf));
	int r = n < 0 ? n : procfs_parse_statm(buf, (size_t)n, &m);

	if (procdir_gone(r))
		p->ended = true;
	if (r < 0)
		return r;
	/* Its memory is gone: it is exiting, or a zombie. */
	if (m.size == 0) {
		set_kind(s, p, PROC_DEAD);
		return -ESRCH;
	}
	*ret_changed = m.size != p->size || m.resident != p->resident || m.shared != p->shared ||
		       p->rss == PROC_ABSENT;
	p->size = m.size;
	p->resident = cap_u32(m.resident);
	p->shared = cap_u32(m.shared);
	return 0;
}

static bool is_turn(const struct sampler *s, uint32_t id, uint32_t every)
{
	return (id + s->round) % every == 0;
}

static void sample(struct sampler *s, uint32_t id)
{
	struct proc *p = &s->tab.procs[id];
	bool first = p->rss == PROC_ABSENT;
	bool full = first || is_turn(s, id, s->cfg.full_every);
	bool renamed = false;
	bool changed;
	int fds;

	if (sample_statm(s, p, &changed) < 0)
		return;
	if (changed || full) {
		p->rss = cap_u32((uint64_t)p->resident * s->page_kib);
		sample_status(s, p);
	}
	if (!first && (changed || full || p->active || is_turn(s, id, s->cfg.stat_every)))
		renamed = sample_stat(s, p);
	if (full) {
		fds = procdir_count_fds(&s->dir, p->pid);
		p->fds = fds < 0 ? PROC_ABSENT : (uint32_t)fds;
	}
	if (p->ended || first)
		return;
	if (newborn_is_due(s, p) || p->again || (renamed && is_turn(s, id, RENAME_EVERY)) ||
	    (full && was_moved(s, p)))
		look_again(s, id);
}

/* ---- the round ---- */

/* What a new entry is. False when it is already gone, or must be tried again (no descriptor). */
static bool classify(struct sampler *s, struct proc *p)
{
	char buf[1024];
	struct procfs_stat st;
	int r = read_stat(s, p->pid, buf, sizeof(buf), &st);

	if (r == -EACCES || r == -EPERM || r == -EBADMSG || r == -ERANGE) {
		set_kind(s, p, PROC_HIDDEN);
		return true;
	}
	if (r < 0)
		return false;
	p->start_ticks = st.start_ticks;
	p->comm_hash = describe_comm_hash(&st);
	take_stat(s, p, &st);
	p->active = true;
	p->fresh = s->round > 1;
	p->young = p->fresh ? 1 : 0;
	if (st.flags & PROCFS_KTHREAD)
		set_kind(s, p, PROC_KERNEL);
	else if (st.state == 'Z' || st.state == 'X')
		set_kind(s, p, PROC_DEAD);
	else if (s->live > s->cfg.max_processes)
		set_kind(s, p, PROC_BEYOND);
	return true;
}

static void begin_process(struct sampler *s, uint32_t id, uint64_t ino)
{
	struct proc *p = &s->tab.procs[id];

	p->seen = s->round;
	p->ino = ino;
	s->live++;
	if (!classify(s, p)) {
		s->skipped++;
		p->ended = true;
	} else if (p->kind == PROC_LIVE) {
		sample(s, id);
	}
}

/* The pid is there with another inode: its successor, or the kernel forgot and made a new one. */
static void check_identity(struct sampler *s, uint32_t id, uint64_t ino)
{
	struct proc *p = &s->tab.procs[id];
	char buf[1024];
	struct procfs_stat st;
	uint32_t heir;
	int r = read_stat(s, p->pid, buf, sizeof(buf), &st);

	if (procdir_gone(r)) {
		p->ended = true;
		return;
	}
	if (r < 0 || st.start_ticks == p->start_ticks) {
		p->ino = ino;
		if (p->kind == PROC_LIVE)
			sample(s, id);
		return;
	}
	p->ended = true;
	if (proctab_split(&s->tab, id, &heir) < 0) {
		s->skipped++;
		return;
	}
	proc_reset(&s->tab.procs[heir]);
	begin_process(s, heir, ino);
}

static void see(struct sampler *s, uint32_t pid, uint64_t ino)
{
	uint32_t id = proctab_find(&s->tab, pid);
	struct proc *p;

	if (id == PROC_NO_ID) {
		if (proctab_add(&s->tab, pid, &id) < 0)
			s->skipped++;
		else
			begin_process(s, id, ino);
		return;
	}
	p = &s->tab.procs[id];
	/* a folder may be listed twice while processes come and go */
	if (p->seen == s->round)
		return;
	p->seen = s->round;
	if (p->ino != ino) {
		check_identity(s, id, ino);
		return;
	}
	if (p->kind == PROC_BEYOND && s->live < s->cfg.max_processes)
		set_kind(s, p, PROC_LIVE);
	if (p->kind == PROC_LIVE)
		sample(s, id);
	else if (p->kind == PROC_BEYOND || p->kind == PROC_HIDDEN)
		s->skipped++;
}

int sampler_scan(struct sampler *s, struct error *err)
{
	uint32_t pid;
	uint64_t ino;
	int r = procdir_rewind(&s->dir);

	s->round++;
	s->skipped = 0;
	while (r == 0 && (r = procdir_next(&s->dir, &pid, &ino)) > 0) {
		see(s, pid, ino);
		r = 0;
	}
	if (r < 0)
		return error_sys(err, r, "cannot list '%s'", s->cfg.proc_path);
	for (uint32_t id = 0; id < s->tab.high; id++)
		if (s->tab.procs[id].kind != PROC_FREE && s->tab.procs[id].seen != s->round)
			s->tab.procs[id].ended = true;
	return 0;
}

void sampler_sweep(struct sampler *s)
{
	identify_ended(s);
	for (uint32_t id = s->tab.high; id-- > 0;) {
		struct proc *p = &s->tab.procs[id];

		if (p->kind == PROC_FREE || !p->ended)
			continue;
		set_kind(s, p, PROC_FREE);
		proctab_remove(&s->tab, id);
	}
	proctab_shrink(&s->tab);
}
