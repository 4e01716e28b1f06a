/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/sampler.h"

#include <errno.h>
#include <string.h>

#include "agent/record.h"
#include "agent/sense/describe.h"
#include "agent/sense/procfs.h"
#include "common/str.h"

/* A process that renamed itself is looked at again at most this often (rounds). */
#define RENAME_EVERY 6u
/* Entries of the table that are no samples: kernel threads, zombies, what is skipped. */
#define SPARE_ENTRIES 8192u
#define ARENA_BUDGET  ((size_t)48 << 20)

/* What a tick may take, by guess, so that it stays below RECORD_MAX_BODY: the rest is announced in
 * the next one. A guess that was too low costs one tick (-ENOBUFS), not more. */
#define COST_HEAD    (16u * 1024)
#define COST_BORN    40u
#define COST_FIGURES 60u
#define COST_CHANGES 30u

static bool is_gone(int r)
{
	return r == -ENOENT || r == -ESRCH;
}

int sampler_init(struct sampler *s, const struct sampler_config *cfg, struct error *err)
{
	uint32_t max = MIN_OF(cfg->max_processes + SPARE_ENTRIES, (uint32_t)WIRE_MAX_PROCESSES);
	int r;

	*s = (struct sampler){
		.cfg = *cfg,
		.ticks_per_sec = (uint32_t)sysconf(_SC_CLK_TCK),
		.page_kib = (unsigned)sysconf(_SC_PAGESIZE) / 1024,
		.keyframe_due = true,
	};
	r = procdir_open(&s->dir, cfg->proc_path, err);
	if (r < 0)
		return r;
	proctab_init(&s->tab, max);
	delta_init(&s->state);
	arena_init(&s->arena, ARENA_BUDGET);
	return 0;
}

int sampler_identify(struct sampler *s, struct error *err)
{
	static const char file[] = "sys/kernel/random/boot_id";
	char text[64];
	int n = procdir_read(&s->dir, PROCDIR_NO_PID, file, text, sizeof(text));

	if (n < 0)
		return error_sys(err, n, "cannot read '%s/%s'", s->cfg.proc_path, file);
	if (uuid_parse(s->boot_id, str_trim(text)) < 0)
		return error_set(err, -EINVAL, "'%s/%s' holds no id", s->cfg.proc_path, file);
	return 0;
}

void sampler_fini(struct sampler *s)
{
	arena_fini(&s->arena);
	delta_fini(&s->state);
	proctab_fini(&s->tab);
	procdir_close(&s->dir);
}

void sampler_restart(struct sampler *s)
{
	s->keyframe_due = true;
	for (uint32_t id = 0; id < s->tab.high; id++)
		s->tab.procs[id].told = false;
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

	if (is_gone(r))
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

	if (is_gone(n))
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

/* It became another program, or the fork that we saw has now done its exec. The wire tells strings
 * only at birth, so it gets a new id; pid and start time, which are its identity, stay. */
static void look_again(struct sampler *s, uint32_t id)
{
	struct proc *p = &s->tab.procs[id];
	struct description d;
	uint32_t again;
	int r = describe_process(&s->dir, p->pid, &d);

	p->young = false;
	if (is_gone(r))
		p->ended = true;
	if (r < 0 || !p->announced || d.program == p->program)
		return;
	if (proctab_split(&s->tab, id, &again) < 0)
		return;
	s->live++;
	s->tab.procs[id].ended = true;
	p = &s->tab.procs[again];
	p->announced = false;
	p->told = false;
	p->fresh = false;
	p->comm_hash = d.comm_hash;
}

static int sample_statm(struct sampler *s, struct proc *p, bool *ret_changed)
{
	char buf[128];
	struct procfs_statm m;
	int n = procdir_read(&s->dir, p->pid, "statm", buf, sizeof(buf));
	int r = n < 0 ? n : procfs_parse_statm(buf, (size_t)n, &m);

	if (is_gone(r))
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
	if (!p->ended && !first && (p->young || (renamed && is_turn(s, id, RENAME_EVERY))))
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
	p->young = p->fresh;
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

	if (is_gone(r)) {
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
	for (uint32_t id = s->tab.high; id-- > 0;) {
		struct proc *p = &s->tab.procs[id];

		if (p->kind == PROC_FREE || !p->ended)
			continue;
		set_kind(s, p, PROC_FREE);
		proctab_remove(&s->tab, id);
	}
}

/* ---- the tick ---- */

static bool is_sampled(const struct proc *p)
{
	return p->kind == PROC_LIVE && !p->ended;
}

static void sample_host(const struct sampler *s, int64_t v[HOST_METRIC_COUNT])
{
	char buf[8192];
	int n = procdir_read(&s->dir, PROCDIR_NO_PID, "meminfo", buf, sizeof(buf));
	int64_t count = 0;

	procfs_parse_meminfo(buf, n < 0 ? 0 : (size_t)n, v);
	for (uint32_t id = 0; id < s->tab.high; id++) {
		const struct proc *p = &s->tab.procs[id];

		count += !p->ended &&
			 (p->kind == PROC_LIVE || p->kind == PROC_BEYOND || p->kind == PROC_HIDDEN);
	}
	v[HOST_METRIC_PROCESSES] = count;
}

/* The ids that the collector knows and that are no more. */
static int tell_exits(struct sampler *s, struct wire_tick *tick)
{
	size_t n = 0;

	for (uint32_t id = 0; id < s->tab.high; id++)
		n += s->tab.procs[id].announced && !is_sampled(&s->tab.procs[id]);
	if (!n)
		return 0;
	tick->exited = arena_calloc(&s->arena, n, sizeof(*tick->exited));
	if (!tick->exited)
		return -ENOMEM;
	for (uint32_t id = 0; id < s->tab.high; id++) {
		struct proc *p = &s->tab.procs[id];

		if (!p->announced || is_sampled(p))
			continue;
		tick->exited[tick->n_exited++] = id;
		p->announced = false;
	}
	return 0;
}

/* The strings of one process into the tick; its cost in bytes, or why not. */
static int announce(struct sampler *s, uint32_t id, struct wire_process *w)
{
	struct proc *p = &s->tab.procs[id];
	struct description d;
	size_t cost = COST_BORN;
	int r;

	*w = (struct wire_process){.id = id,
				   .pid = p->pid,
				   .start_ticks = p->start_ticks,
				   .fresh = p->fresh && !p->told,
				   .known = p->told,
				   .comm = "",
				   .cmdline = "",
				   .exe = "",
				   .cgroup = "",
				   .service = ""};
	if (p->told)
		return (int)cost;
	r = describe_process(&s->dir, p->pid, &d);
	if (r < 0)
		return r;
	if (d.start_ticks != p->start_ticks)
		return -ESRCH;
	p->program = d.program;
	w->ppid = d.ppid;
	w->uid = d.uid;
#define KEEP(field)                                                \
	do {                                                       \
		size_t len = strlen(d.field);                      \
		w->field = arena_strndup(&s->arena, d.field, len); \
		if (!w->field)                                     \
			return -ENOMEM;                            \
		cost += len + 3;                                   \
	} while (0)
	KEEP(comm);
	KEEP(cmdline);
	KEEP(exe);
	KEEP(cgroup);
	KEEP(service);
#undef KEEP
	return (int)cost;
}

/* Announces what is not yet known over there, as far as it fits. */
static int tell_births(struct sampler *s, struct wire_tick *tick)
{
	size_t left = RECORD_MAX_BODY - COST_HEAD;
	size_t waiting = 0;

	for (uint32_t id = 0; id < s->tab.high; id++) {
		const struct proc *p = &s->tab.procs[id];

		waiting += is_sampled(p) && !p->announced;
		if (is_sampled(p) && p->announced)
			left -= MIN_OF(left, (size_t)COST_CHANGES);
	}
	if (!waiting)
		return 0;
	tick->born = arena_calloc(&s->arena, waiting, sizeof(*tick->born));
	if (!tick->born)
		return -ENOMEM;
	for (uint32_t id = 0; id < s->tab.high; id++) {
		struct proc *p = &s->tab.procs[id];
		int cost;

		if (!is_sampled(p) || p->announced)
			continue;
		if (left < COST_BORN + COST_FIGURES + WIRE_CMDLINE_MAX) {
			s->skipped++;
			continue;
		}
		cost = announce(s, id, &tick->born[tick->n_born]);
		if (cost == -ENOMEM)
			return cost;
		if (cost < 0) {
			s->skipped++;
			p->ended = p->ended || is_gone(cost);
			continue;
		}
		left -= MIN_OF(left, (size_t)cost + COST_FIGURES);
		p->announced = true;
		tick->n_born++;
	}
	return 0;
}

static int encode(struct sampler *s, struct wire_tick *tick, struct buf *body)
{
	int64_t v[METRIC_COUNT];
	int64_t host[HOST_METRIC_COUNT];
	struct delta_encoder e = {0};
	int r = delta_begin(&e, &s->state, &s->arena, tick, s->tab.high);

	if (r < 0)
		return r;
	for (uint32_t id = 0; id < s->tab.high; id++) {
		const struct proc *p = &s->tab.procs[id];

		if (!is_sampled(p) || !p->announced)
			continue;
		proc_values(p, s->page_kib, v);
		delta_process(&e, id, v);
	}
	sample_host(s, host);
	delta_host(&e, host);
	return delta_finish(&e, body);
}

static bool keyframe_is_due(const struct sampler *s, int64_t wall_us, int64_t boot_us)
{
	return s->keyframe_due || boot_us - s->last_keyframe_us >= s->cfg.keyframe_us ||
	       wall_us / s->cfg.window_us != s->last_wall_us / s->cfg.window_us;
}

static void forget_announced(struct sampler *s)
{
	for (uint32_t id = 0; id < s->tab.high; id++)
		s->tab.procs[id].announced = false;
}

/* The strings of this tick count as told once it is on its way. */
static void mark_told(struct sampler *s, const struct wire_tick *tick)
{
	for (size_t i = 0; i < tick->n_born; i++)
		s->tab.procs[tick->born[i].id].told = true;
}

static int make_tick(struct sampler *s, struct wire_tick *tick, struct buf *body)
{
	int r = tell_exits(s, tick);

	if (r < 0)
		return r;
	if (tick->keyframe)
		forget_announced(s);
	r = tell_births(s, tick);
	if (r < 0)
		return r;
	tick->skipped = s->skipped;
	return encode(s, tick, body);
}

int sampler_round(struct sampler *s, int64_t wall_us, int64_t boot_us, struct buf *body,
		  bool *ret_keyframe, struct error *err)
{
	struct wire_tick tick = {
		.t_wall_us = wall_us,
		.t_boot_us = (uint64_t)boot_us,
		.interval_ms = (uint32_t)(s->cfg.interval_us / 1000),
		.keyframe = keyframe_is_due(s, wall_us, boot_us),
	};
	int r = sampler_scan(s, err);

	if (r < 0)
		return r;
	memcpy(tick.boot_id, s->boot_id, sizeof(tick.boot_id));
	arena_reset(&s->arena);
	r = make_tick(s, &tick, body);
	if (r == 0)
		r = buf_status(body);
	if (r == 0) {
		mark_told(s, &tick);
		s->keyframe_due = false;
		s->last_wall_us = wall_us;
		if (tick.keyframe)
			s->last_keyframe_us = boot_us;
		*ret_keyframe = tick.keyframe;
	} else {
		error_sys(err, r, "cannot encode a tick of %u processes", s->live);
		forget_announced(s);
		s->keyframe_due = true;
	}
	sampler_sweep(s);
	return r;
}
