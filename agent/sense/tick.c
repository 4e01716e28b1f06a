/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/tick.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "agent/record.h"
#include "agent/sense/describe.h"
#include "agent/sense/identify.h"
#include "agent/sense/procfs.h"
#include "agent/sense/service.h"
#include "common/str.h"

#define ARENA_BUDGET ((size_t)48 << 20)

/* The arena's first block, which stays: what a quiet round takes costs no page faults. */
#define ARENA_KEPT ((size_t)32 * 1024)

/* What a tick may take, by guess, so that it stays below RECORD_MAX_BODY: the rest is announced in
 * the next one. A guess that was too low costs one tick, then half as much is tried. */
#define COST_HEAD    (16u * 1024)
#define COST_BORN    40u
#define COST_FIGURES 60u
#define COST_CHANGE  6u   /* a value that differs */
#define COST_CGROUP  160u /* announced, with its figures */
#define COST_ALONE   80u  /* an interpreter, announced with its figures */
#define CAUTION_MAX  4u

static int read_boot_id(struct ticker *t, struct error *err)
{
	static const char file[] = "sys/kernel/random/boot_id";
	char text[64];
	int n = procdir_read(&t->sampler.dir, PROCDIR_NO_PID, file, text, sizeof(text));

	if (n < 0)
		return error_sys(err, n, "cannot read '%s/%s'", t->cfg.sampling.proc_path, file);
	if (uuid_parse(t->boot_id, str_trim(text)) < 0)
		return error_set(err, -EINVAL, "'%s/%s' holds no id", t->cfg.sampling.proc_path,
				 file);
	return 0;
}

int ticker_init(struct ticker *t, const struct ticker_config *cfg, struct error *err)
{
	int r;

	*t = (struct ticker){.cfg = *cfg, .keyframe_due = true, .pace_us = cfg->interval_us};
	r = sampler_init(&t->sampler, &cfg->sampling, err);
	if (r < 0)
		return r;
	if (!t->cfg.survey.interval_us)
		t->cfg.survey.interval_us = cfg->interval_us;
	r = read_boot_id(t, err);
	if (r == 0)
		r = survey_init(&t->survey, &t->cfg.survey, err);
	if (r < 0) {
		sampler_fini(&t->sampler);
		return r;
	}
	/* other process's memory is had by pid: of our own /proc alone */
	pythons_init(&t->pythons, !cfg->no_python && strcmp(cfg->sampling.proc_path, "/proc") == 0);
	delta_init(&t->state);
	arena_init(&t->arena, ARENA_BUDGET);
	/* without it each round finds its own */
	(void)!arena_alloc(&t->arena, ARENA_KEPT);
	arena_reset(&t->arena);
	return 0;
}

void ticker_fini(struct ticker *t)
{
	arena_fini(&t->arena);
	delta_fini(&t->state);
	pythons_fini(&t->pythons);
	survey_fini(&t->survey);
	sampler_fini(&t->sampler);
}

void ticker_pace(struct ticker *t, int64_t pace_us)
{
	t->pace_us = MIN_OF(pace_us, t->cfg.interval_us);
}

void ticker_restart(struct ticker *t)
{
	t->keyframe_due = true;
	for (uint32_t id = 0; id < t->sampler.tab.high; id++)
		t->sampler.tab.procs[id].told = false;
}

static void count_processes(const struct ticker *t, int64_t v[HOST_METRIC_COUNT])
{
	int64_t count = 0;

	for (uint32_t id = 0; id < t->sampler.tab.high; id++) {
		const struct proc *p = &t->sampler.tab.procs[id];

		count += !p->ended &&
			 (p->kind == PROC_LIVE || p->kind == PROC_BEYOND || p->kind == PROC_HIDDEN);
	}
	v[HOST_METRIC_PROCESSES] = count;
}

/* The ids that the collector knows and that are no more. */
static int tell_exits(struct ticker *t, struct wire_tick *tick)
{
	size_t n = 0;

	for (uint32_t id = 0; id < t->sampler.tab.high; id++)
		n += t->sampler.tab.procs[id].announced &&
		     !sampler_tells(&t->sampler.tab.procs[id]);
	if (!n)
		return 0;
	tick->exited = arena_calloc(&t->arena, n, sizeof(*tick->exited));
	if (!tick->exited)
		return -ENOMEM;
	for (uint32_t id = 0; id < t->sampler.tab.high; id++) {
		struct proc *p = &t->sampler.tab.procs[id];

		if (!p->announced || sampler_tells(p))
			continue;
		tick->exited[tick->n_exited++] = id;
		p->announced = false;
	}
	return 0;
}

/* The wire's number of its cgroup. */
static uint32_t cgroup_of(const struct proc *p)
{
	return p->cgroup == PROC_NO_CGROUP ? 0 : p->cgroup + 1u;
}

/* The strings of one process into the tick; its cost in bytes, or why not. */
static int announce(struct ticker *t, uint32_t id, struct wire_process *w)
{
	struct proc *p = &t->sampler.tab.procs[id];
	struct description d;
	size_t cost = COST_BORN;
	int r;

	*w = (struct wire_process){.id = id,
				   .pid = p->pid,
				   .start_ticks = p->start_ticks,
				   .fresh = p->fresh && !p->told,
				   .known = p->told,
				   .cgroup_id = cgroup_of(p),
				   .role = (enum wire_role)p->role,
				   .slot = p->slot,
				   .comm = "",
				   .cmdline = "",
				   .exe = "",
				   .cgroup = "",
				   .service = "",
				   .container = ""};
	if (p->told)
		return (int)cost;
	r = describe_named(&t->sampler.dir, p->pid, &t->sampler.containers, t->sampler.now_us, &d);
	if (r < 0)
		return r;
	if (d.start_ticks != p->start_ticks)
		return -ESRCH;
	identify(&t->sampler, id, &d);
	p->program = d.program;
	p->moved = d.moved;
	survey_birth(&t->survey, id, p, &d);
	w->cgroup_id = cgroup_of(p);
	w->role = (enum wire_role)p->role;
	w->slot = p->slot;
	w->ppid = d.ppid;
	w->uid = d.uid;
#define KEEP(field)                                                \
	do {                                                       \
		size_t len = strlen(d.field);                      \
		w->field = arena_strndup(&t->arena, d.field, len); \
		if (!w->field)                                     \
			return -ENOMEM;                            \
		cost += len + 3;                                   \
	} while (0)
	KEEP(comm);
	KEEP(cmdline);
	KEEP(exe);
	KEEP(cgroup);
	KEEP(service);
	KEEP(container);
#undef KEEP
	return (int)cost;
}

/* For processes: a keyframe has all cgroups, too, and interpreters change always. */
static size_t room_of(const struct ticker *t, const struct wire_tick *tick)
{
	size_t room = (RECORD_MAX_BODY - COST_HEAD) >> t->caution;
	size_t others = (tick->keyframe ? t->survey.cgroups.high * COST_CGROUP : 0) +
			t->interpreters.high * COST_ALONE;

	return room - MIN_OF(others, room / 2);
}

/* Announces what is not yet known over there, as far as it fits beside what changes in each round:
 * as much as in the last one, by guess, and never more than half. */
static int tell_births(struct ticker *t, struct wire_tick *tick)
{
	size_t room = room_of(t, tick);
	size_t left = room - MIN_OF(t->changes_cost + t->changes_cost / 4, room / 2);
	size_t all = left;
	size_t waiting = 0;

	t->births_cost = 0;
	for (uint32_t id = 0; id < t->sampler.tab.high; id++) {
		const struct proc *p = &t->sampler.tab.procs[id];

		waiting += sampler_tells(p) && !p->announced;
	}
	if (!waiting)
		return 0;
	tick->born = arena_calloc(&t->arena, waiting, sizeof(*tick->born));
	if (!tick->born)
		return -ENOMEM;
	for (uint32_t id = 0; id < t->sampler.tab.high; id++) {
		struct proc *p = &t->sampler.tab.procs[id];
		int cost;

		if (!sampler_tells(p) || p->announced)
			continue;
		if (left < COST_BORN + COST_FIGURES + WIRE_CMDLINE_MAX) {
			t->sampler.skipped++;
			continue;
		}
		cost = announce(t, id, &tick->born[tick->n_born]);
		if (cost == -ENOMEM)
			return cost;
		if (cost < 0) {
			t->sampler.skipped++;
			p->ended = p->ended || procdir_gone(cost);
			continue;
		}
		left -= MIN_OF(left, (size_t)cost + COST_FIGURES);
		p->announced = true;
		tick->n_born++;
	}
	t->births_cost = all - left;
	return 0;
}

/* ---- cgroups ---- */

/* The container that a cgroup is, as far as it is known; NULL for none. */
static const struct known_container *container_at(const struct ticker *t, const char *path)
{
	struct procfs_cgroup cg = {.unified = ""};
	struct container c;

	if (!str_copy(cg.unified, sizeof(cg.unified), path) || !container_of_cgroup(&cg, &c) ||
	    !*c.id)
		return NULL;
	return containers_find(&t->sampler.containers, c.id);
}

/* What is announced of one; texts go into the arena. */
static int describe_cgroup(struct ticker *t, uint16_t id, struct wire_cgroup *w)
{
	const struct cgroup *c = t->survey.cgroups.by_id[id];
	const struct known_container *known = container_at(t, c->path);
	const char *limit = survey_limited_by(&t->survey, c);
	char path[WIRE_PATH_MAX + 1], limited_by[WIRE_PATH_MAX + 1], name[WIRE_NAME_MAX + 1];
	const char *runtime = "";

	str_safe(path, sizeof(path), c->path, strlen(c->path));
	str_safe(limited_by, sizeof(limited_by), limit, strlen(limit));
	service_of_cgroup(name, sizeof(name), c->path, &runtime);
	if (known && known->name)
		str_copy(name, sizeof(name), known->name);
	*w = (struct wire_cgroup){
		.id = id,
		.version = (uint32_t)t->survey.cgroups.mount.version,
		.path = arena_strndup(&t->arena, path, strlen(path)),
		.limited_by = arena_strndup(&t->arena, limited_by, strlen(limited_by)),
		.name = arena_strndup(&t->arena, name, strlen(name)),
		.runtime = runtime,
		.image = known && known->image ? known->image : "",
	};
	return w->path && w->limited_by && w->name ? 0 : -ENOMEM;
}

/* Never 0. */
static uint64_t hash_cgroup(const struct wire_cgroup *w)
{
	return (XXH3_64bits(w->path, strlen(w->path)) ^
		XXH3_64bits_withSeed(w->name, strlen(w->name), 1) ^
		XXH3_64bits_withSeed(w->limited_by, strlen(w->limited_by), 2)) |
	       1;
}

static bool cgroup_tells(const struct cgroup *c)
{
	return c && !c->gone_now && (c->state == CGROUP_LIVE || c->state == CGROUP_BLIND);
}

/* Announces what is new or reads differently now, and takes back what went. */
static int tell_cgroups(struct ticker *t, struct wire_tick *tick)
{
	uint32_t high = MAX_OF(t->survey.cgroups.high, t->cgroups_high);
	int r;

	if (!high)
		return 0;
	tick->cgroups = arena_calloc(&t->arena, high, sizeof(*tick->cgroups));
	tick->cgroups_gone = arena_calloc(&t->arena, high, sizeof(*tick->cgroups_gone));
	if (!tick->cgroups || !tick->cgroups_gone)
		return -ENOMEM;
	for (uint32_t id = 0; id < high; id++) {
		struct wire_cgroup *w = &tick->cgroups[tick->n_cgroups];
		uint64_t now = 0;

		if (cgroup_tells(cgroup_tree_get(&t->survey.cgroups, (uint16_t)id))) {
			r = describe_cgroup(t, (uint16_t)id, w);
			if (r < 0)
				return r;
			now = hash_cgroup(w);
		}
		if (t->cgroup_told[id] && now != t->cgroup_told[id] && !tick->keyframe)
			tick->cgroups_gone[tick->n_cgroups_gone++] = id;
		if (now && now != t->cgroup_told[id])
			tick->n_cgroups++;
		t->cgroup_told[id] = now;
	}
	t->cgroups_high = t->survey.cgroups.high;
	return 0;
}

/* A difference cannot say that a figure is gone: all is told anew. */
static bool host_lost_some(const struct ticker *t, const int64_t host[HOST_METRIC_COUNT])
{
	for (int i = 0; i < HOST_METRIC_COUNT; i++)
		if (host[i] == METRIC_ABSENT && t->state.host[i] != METRIC_ABSENT)
			return true;
	return false;
}

static void encode_cgroups(struct ticker *t, struct delta_encoder *e)
{
	int64_t v[CGROUP_METRIC_COUNT];

	for (uint32_t id = 0; id < t->survey.cgroups.high; id++) {
		if (!t->cgroup_told[id])
			continue;
		survey_cgroup(&t->survey, (uint16_t)id, v);
		delta_put_object(e, DELTA_CGROUP, id, v);
	}
}

/* What it takes to tell these figures of one that is announced. */
static size_t cost_of_changes(const struct ticker *t, uint32_t id, const int64_t v[METRIC_COUNT])
{
	int64_t base[METRIC_COUNT];
	size_t n = 0;

	if (id >= t->state.n_slots)
		return METRIC_COUNT * COST_CHANGE;
	delta_values(&t->state.slots[id], base);
	for (int i = 0; i < METRIC_COUNT; i++)
		n += base[i] != v[i];
	return n * COST_CHANGE;
}

/* Those announced in this tick have their figures in it. Of the others those that changed, as far
 * as they fit; where that ends the next tick goes on, so each has its turn and none is lost:
 * figures that were left out stay the base of the next difference. */
static void encode_processes(struct ticker *t, const struct wire_tick *tick,
			     struct delta_encoder *e)
{
	size_t room = room_of(t, tick);
	size_t left = room - MIN_OF(t->births_cost, room);
	uint32_t from = t->changes_from;
	int64_t v[METRIC_COUNT];
	size_t born = 0;

	t->changes_cost = 0;
	t->changes_from = 0;
	for (uint32_t id = 0; id < t->sampler.tab.high; id++) {
		const struct proc *p = &t->sampler.tab.procs[id];
		bool is_born = born < tick->n_born && tick->born[born].id == id;

		born += is_born;
		if (!sampler_tells(p) || !p->announced)
			continue;
		survey_process(&t->survey, &t->sampler, id, v);
		pythons_values(&t->pythons, p, v);
		if (!is_born) {
			size_t cost = cost_of_changes(t, id, v);

			t->changes_cost += cost;
			if (cost > left && id >= from && !t->changes_from)
				t->changes_from = id;
			if (cost && (id < from || t->changes_from)) {
				t->sampler.skipped++;
				continue;
			}
			left -= MIN_OF(left, cost);
		}
		delta_process(e, id, v);
	}
}

static int encode(struct ticker *t, struct wire_tick *tick, int64_t host[HOST_METRIC_COUNT],
		  struct buf *body)
{
	struct delta_encoder e = {0};
	const size_t objects[DELTA_KINDS] = {
		[DELTA_CGROUP] = t->survey.cgroups.high,
		[DELTA_INTERPRETER] = t->interpreters.high,
	};
	int r = delta_begin(&e, &t->state, &t->arena, tick, t->sampler.tab.high, objects);

	if (r < 0)
		return r;
	encode_processes(t, tick, &e);
	encode_cgroups(t, &e);
	interpreters_encode(&t->interpreters, &e);
	tick->skipped = t->sampler.skipped;
	host[HOST_METRIC_SKIPPED] = t->sampler.skipped;
	delta_host(&e, host);
	return delta_finish(&e, body);
}

static bool keyframe_is_due(const struct ticker *t, int64_t wall_us, int64_t boot_us)
{
	return t->keyframe_due || boot_us - t->last_keyframe_us >= t->cfg.keyframe_us ||
	       wall_us / t->cfg.window_us != t->last_wall_us / t->cfg.window_us;
}

static void forget_announced(struct ticker *t)
{
	for (uint32_t id = 0; id < t->sampler.tab.high; id++)
		t->sampler.tab.procs[id].announced = false;
	memset(t->cgroup_told, 0, sizeof(t->cgroup_told));
	interpreters_forget(&t->interpreters);
}

/* Before the table forgets them. One that became another program has an heir with its pid: it
 * did not end. */
static void bury(struct ticker *t)
{
	for (uint32_t id = 0; id < t->sampler.tab.high; id++) {
		struct proc *p = &t->sampler.tab.procs[id];
		const struct proc *heir;
		uint32_t now;

		if (p->kind == PROC_FREE || (!p->ended && p->kind != PROC_DEAD))
			continue;
		now = proctab_find(&t->sampler.tab, p->pid);
		heir = now == PROC_NO_ID || now == id ? NULL : &t->sampler.tab.procs[now];
		if (t->on_end && ring_slot(&t->survey.ring, id) != RING_NO_SLOT &&
		    !(heir && heir->start_ticks == p->start_ticks))
			t->on_end(t->arg, id, p);
		survey_exit(&t->survey, id, p);
		pythons_exit(&t->pythons, p);
	}
}

/* The strings of this tick count as told once it is on its way. */
static void mark_told(struct ticker *t, const struct wire_tick *tick)
{
	for (size_t i = 0; i < tick->n_born; i++)
		t->sampler.tab.procs[tick->born[i].id].told = true;
}

/* The slow lane of the flight ring keeps the pace of peace, whatever the pace is now. */
static unsigned lanes_due(const struct ticker *t, int64_t wall_us)
{
	bool base = t->pace_us >= t->cfg.interval_us ||
		    wall_us / t->cfg.interval_us != t->last_wall_us / t->cfg.interval_us;

	return 1u << RING_FAST | (base ? 1u << RING_SLOW : 0);
}

static int make_tick(struct ticker *t, struct wire_tick *tick, struct buf *body)
{
	int64_t *host = t->survey.figures;
	int r = tell_exits(t, tick);

	if (r < 0)
		return r;
	identify_ended(&t->sampler);
	survey_begin(&t->survey, (int64_t)tick->t_boot_us, lanes_due(t, tick->t_wall_us));
	survey_host(&t->survey, &t->sampler);
	count_processes(t, host);
	host[HOST_METRIC_PYTHONS] = t->pythons.enabled ? t->pythons.readable : METRIC_ABSENT;
	host[HOST_METRIC_PYTHON_CPU] =
		t->pythons.enabled ? t->pythons.spent_us / 1000 : METRIC_ABSENT;
	tick->keyframe |= host_lost_some(t, host);
	if (tick->keyframe)
		forget_announced(t);
	r = tell_births(t, tick);
	if (r < 0)
		return r;
	survey_round(&t->survey, &t->sampler, (int64_t)tick->t_boot_us);
	pythons_round(&t->pythons, &t->sampler.tab, t->sampler.round, !t->spare_looks,
		      (int64_t)tick->t_boot_us, t->on_news, t->arg);
	r = tell_cgroups(t, tick);
	if (r == 0)
		r = interpreters_tell(&t->interpreters, &t->pythons, &t->sampler.tab, &t->arena,
				      tick);
	if (r < 0)
		return r;
	return encode(t, tick, host, body);
}

int64_t ticker_wait_us(const struct ticker *t, int64_t wall_us)
{
	int64_t interval = t->pace_us;
	int64_t phase = (int64_t)(XXH3_64bits(t->boot_id, sizeof(t->boot_id)) % (uint64_t)interval);
	int64_t past = (wall_us - phase) % interval;

	return past < 0 ? -past : interval - past;
}

int ticker_round(struct ticker *t, int64_t wall_us, int64_t boot_us, struct buf *body,
		 bool *ret_keyframe, struct error *err)
{
	struct wire_tick tick = {
		.t_wall_us = wall_us,
		.t_boot_us = (uint64_t)boot_us,
		.interval_ms = (uint32_t)(t->pace_us / 1000),
		.keyframe = keyframe_is_due(t, wall_us, boot_us),
	};
	int r;

	t->sampler.now_us = boot_us;
	r = sampler_scan(&t->sampler, err);
	if (r < 0)
		return r;
	memcpy(tick.boot_id, t->boot_id, sizeof(tick.boot_id));
	r = make_tick(t, &tick, body);
	if (r == 0)
		r = buf_status(body);
	if (r == 0) {
		mark_told(t, &tick);
		t->keyframe_due = false;
		if (t->caution && body->len < RECORD_MAX_BODY / 8)
			t->caution--;
		t->last_wall_us = wall_us;
		if (tick.keyframe)
			t->last_keyframe_us = boot_us;
		*ret_keyframe = tick.keyframe;
	} else {
		error_sys(err, r, "cannot encode a tick of %u processes", t->sampler.live);
		forget_announced(t);
		t->keyframe_due = true;
		t->caution = MIN_OF(t->caution + 1, CAUTION_MAX);
	}
	bury(t);
	cgroup_tree_sweep(&t->survey.cgroups);
	sampler_sweep(&t->sampler);
	/* Now, not when the next round begins: a keyframe takes much. */
	arena_reset(&t->arena);
	return r;
}
