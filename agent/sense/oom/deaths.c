/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/deaths.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"
#include "proto/identity.h"

/* earlyoom and its kin give a victim up to 10 s between signals, and write before and after. */
#define NOTE_KEEP_US 20000000

/* The i-th newest of a ring of size n into which count went. */
#define NEWEST(ring, count, i) (&(ring)[((count)-1 - (i)) % ARRAY_SIZE(ring)])
#define KEPT(ring, count)      MIN_OF((size_t)(count), ARRAY_SIZE(ring))

void deaths_init(struct deaths *d)
{
	memset(d, 0, sizeof(*d));
}

void deaths_fini(struct deaths *d)
{
	for (size_t i = 0; i < d->n_pending; i++)
		free(d->pending[i]);
	d->n_pending = 0;
}

/* ---- ends ---- */

static int64_t key_of(const struct death *x)
{
	static const uint8_t this_boot[16];

	return identity_process(this_boot, x->pid, x->start_ticks);
}

static bool was_decided(const struct deaths *d, int64_t key)
{
	for (size_t i = 0; i < KEPT(d->decided, d->n_decided); i++)
		if (d->decided[i] == key)
			return true;
	return false;
}

static struct death *find(const struct deaths *d, uint32_t pid, uint64_t start_ticks)
{
	for (size_t i = 0; i < d->n_pending; i++)
		if (d->pending[i]->pid == pid && d->pending[i]->start_ticks == start_ticks)
			return d->pending[i];
	return NULL;
}

/*
 * Did its parent end just before it, and in another way? Then the child's signal is likely one that
 * the kernel or the parent's manager sends for that (PR_SET_PDEATHSIG, SIGHUP to a session). Two
 * that end by one signal were rather sent it together (kill of a process group): no word on that.
 */
static bool parent_died(const struct deaths *d, const struct death *x)
{
	for (size_t i = 0; x->exit.known && x->parent > 1 && i < KEPT(d->last, d->n_last); i++) {
		const struct death_last *l = NEWEST(d->last, d->n_last, i);

		if (l->signal >= 0 && l->pid == x->parent &&
		    l->us >= x->seen_us - DEATHS_PARENT_US && l->us <= x->seen_us)
			return l->signal != x->exit.signal;
	}
	return false;
}

int deaths_add(struct deaths *d, const struct death *x)
{
	struct death *known = find(d, x->pid, x->start_ticks);

	if (known) {
		if (!known->exit.known)
			known->exit = x->exit;
		return 0;
	}
	if (was_decided(d, key_of(x)))
		return 0;
	if (d->n_pending == DEATHS_MAX)
		return -ENOBUFS;
	known = malloc(sizeof(*known));
	if (!known)
		return -ENOMEM;
	*known = *x;
	known->parent_died = parent_died(d, x);
	d->last[d->n_last++ % DEATHS_LAST] =
		(struct death_last){.us = x->seen_us,
				    .pid = x->pid,
				    .signal = x->exit.known ? x->exit.signal : -1};
	d->pending[d->n_pending++] = known;
	return 1;
}

struct death *deaths_unseen(struct deaths *d, uint32_t pid)
{
	for (size_t i = 0; i < d->n_pending; i++)
		if (d->pending[i]->pid == pid && !d->pending[i]->exit.known)
			return d->pending[i];
	return NULL;
}

/* ---- evidence comes in ---- */

static uint32_t path_hash(const char *path)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *path; path++)
		h = (h ^ (uint8_t)*path) * 16777619u;
	return h;
}

void deaths_kill(struct deaths *d, const struct oom_kill *k, uint64_t start_ticks, int64_t now_us)
{
	d->kills[d->n_kills++ % DEATHS_KILLS] = (struct death_kill){
		.us = now_us,
		.seq = k->seq,
		.start_ticks = start_ticks,
		.pid = k->pid,
		.scope = k->scope,
		.group_member = k->group_member,
		.times = 1,
		.cgroup = path_hash(k->victim_cgroup),
	};
}

void deaths_again(struct deaths *d, int64_t pid)
{
	for (size_t i = 0; i < KEPT(d->kills, d->n_kills); i++) {
		struct death_kill *k = NEWEST(d->kills, d->n_kills, i);

		if (k->pid != pid)
			continue;
		k->times++;
		return;
	}
}

void deaths_group(struct deaths *d, const struct oom_group *g, int64_t now_us)
{
	d->groups[d->n_groups++ % DEATHS_GROUPS] = (struct death_group){.us = now_us, .group = *g};
}

void deaths_mark(struct deaths *d, const struct mark *m, int64_t now_us)
{
	d->marks[d->n_marks++ % DEATHS_MARKS] = (struct death_mark){.us = now_us, .mark = *m};
}

void deaths_crash(struct deaths *d, int64_t pid, const char *text, int64_t now_us)
{
	struct death_crash *c = &d->crashes[d->n_crashes++ % DEATHS_CRASHES];

	c->us = now_us;
	c->pid = pid;
	str_safe(c->text, sizeof(c->text), text, strlen(text));
}

void deaths_action(struct deaths *d, const struct death_action *a, int64_t now_us)
{
	struct death_action *to = &d->actions[d->n_actions++ % DEATHS_ACTIONS];

	*to = *a;
	to->us = now_us;
}

void deaths_action_off(struct deaths *d, const uint8_t id[16])
{
	for (size_t i = 0; i < KEPT(d->actions, d->n_actions); i++)
		if (memcmp(d->actions[i].id, id, 16) == 0)
			d->actions[i].what = VERDICT_ACTION_NONE;
}

static void drop_old_notes(struct deaths *d, int64_t now_us)
{
	for (size_t i = 0; i < d->n_notes;) {
		if (now_us - d->note_us[i] <= NOTE_KEEP_US) {
			i++;
			continue;
		}
		d->n_notes--;
		d->notes[i] = d->notes[d->n_notes];
		d->note_us[i] = d->note_us[d->n_notes];
		d->note_looked_at[i] = d->note_looked_at[d->n_notes];
	}
}

/* Apart from the notes on kills: when a host shuts down there are many. */
static void keep_stop(struct deaths *d, const struct killer_note *note)
{
	struct death_stop *s = &d->stops[d->n_stops % DEATHS_STOPS];

	s->wall_us = note->wall_us;
	s->job[0] = '\0';
	d->n_stops += str_copy(s->unit, sizeof(s->unit), note->target);
}

/* What the last stop of that unit was for. */
static void explain_stop(struct deaths *d, const struct killer_note *note)
{
	for (size_t i = 0; i < KEPT(d->stops, d->n_stops); i++) {
		struct death_stop *s = NEWEST(d->stops, d->n_stops, i);

		if (strcmp(s->unit, note->target) != 0 || s->wall_us > note->wall_us)
			continue;
		(void)str_copy(s->job, sizeof(s->job), note->reason);
		return;
	}
}

void deaths_note(struct deaths *d, const struct killer_note *note, int64_t now_us)
{
	size_t at = 0;

	if (note->killer == KILLER_PID1_STOP) {
		if (note->act == KILLER_ACT_STOP)
			keep_stop(d, note);
		else
			explain_stop(d, note);
		return;
	}
	drop_old_notes(d, now_us);
	if (d->n_notes < DEATHS_NOTES) {
		at = d->n_notes++;
	} else {
		for (size_t i = 1; i < DEATHS_NOTES; i++)
			if (d->note_us[i] < d->note_us[at])
				at = i;
	}
	d->notes[at] = *note;
	d->note_us[at] = now_us;
	d->note_looked_at[at] = false;
}

/* ---- what there is for one end ---- */

static bool is_fresh(int64_t us, const struct death *x)
{
	return us >= x->seen_us - DEATHS_KEEP_US;
}

static struct death_kill *kill_of(struct deaths *d, const struct death *x)
{
	for (size_t i = 0; i < KEPT(d->kills, d->n_kills); i++) {
		struct death_kill *k = NEWEST(d->kills, d->n_kills, i);

		if (!k->used && k->pid == x->pid && is_fresh(k->us, x) &&
		    (!k->start_ticks || !x->start_ticks || k->start_ticks == x->start_ticks))
			return k;
	}
	return NULL;
}

static const struct oom_group *group_of(const struct deaths *d, const struct death *x)
{
	for (size_t i = 0; *x->cgroup && i < KEPT(d->groups, d->n_groups); i++) {
		const struct death_group *g = NEWEST(d->groups, d->n_groups, i);

		if (x->seen_us >= g->us - DEATHS_GROUP_BEFORE_US &&
		    x->seen_us <= g->us + DEATHS_GROUP_US &&
		    killer_path_holds(g->group.cgroup, x->cgroup))
			return &g->group;
	}
	return NULL;
}

static struct death_mark *mark_of(struct deaths *d, const struct death *x)
{
	for (size_t i = 0; i < KEPT(d->marks, d->n_marks); i++) {
		struct death_mark *m = NEWEST(d->marks, d->n_marks, i);

		if (!m->used && m->mark.pid == x->pid && is_fresh(m->us, x))
			return m;
	}
	return NULL;
}

static const struct death_crash *crash_of(const struct deaths *d, const struct death *x)
{
	for (size_t i = 0; i < KEPT(d->crashes, d->n_crashes); i++) {
		const struct death_crash *c = NEWEST(d->crashes, d->n_crashes, i);

		/* A fault that was survived for long was handled. */
		if (c->pid == x->pid && c->us >= x->seen_us - DEATHS_WAIT_US)
			return c;
	}
	return NULL;
}

/* The last one that was announced before the end was seen; a restart goes before others. */
static const struct death_action *action_of(const struct deaths *d, const struct death *x)
{
	const struct death_action *other = NULL;

	for (size_t i = 0; i < KEPT(d->actions, d->n_actions); i++) {
		const struct death_action *a = NEWEST(d->actions, d->n_actions, i);

		if (a->pid != x->pid || a->start_ticks != x->start_ticks ||
		    a->us > x->seen_us + DEATHS_ACTION_SLACK_US ||
		    a->us < x->seen_us - DEATHS_ACTION_KEEP_US)
			continue;
		if (a->what == VERDICT_ACTION_RESTART)
			return a;
		if (a->what != VERDICT_ACTION_NONE && !other)
			other = a;
	}
	return other;
}

/* The counter also rose for the others of its cgroup whose kills the log told. */
static int64_t rise_of(const struct deaths *d, const struct death *x)
{
	uint32_t cgroup = path_hash(x->cgroup);
	int64_t rise = x->oom_kill_rise;

	if (rise == METRIC_ABSENT || !*x->cgroup)
		return METRIC_ABSENT;
	for (size_t i = 0; i < KEPT(d->kills, d->n_kills); i++) {
		const struct death_kill *k = &d->kills[i];

		if (k->pid != x->pid && k->cgroup == cgroup && k->us >= x->rise_from_us)
			rise -= k->times;
	}
	return rise;
}

/* OOMPolicy=stop: after a kill in a unit the service manager ends the rest of it with SIGTERM. */
static bool unit_stops(const struct deaths *d, const struct death *x)
{
	for (size_t i = 0; i < d->n_notes; i++)
		if (d->notes[i].killer == KILLER_PID1_OOM &&
		    killer_matches(&d->notes[i], x->pid, x->cgroup))
			return x->exit.known && x->exit.signal == SIGTERM;
	return false;
}

/* Ended by a signal that a service manager sends, or with the exit code of one who handled it. */
static bool may_be_stopped(const struct death *x)
{
	return x->exit.known && (x->exit.signal == SIGTERM || x->exit.signal == SIGKILL ||
				 (!x->exit.signal && x->exit.code == 128 + SIGTERM));
}

/* By its cgroup, or, of one so young that the tree has not placed it yet, by its service's name. */
static bool is_of_unit(const struct death *x, const char *unit)
{
	size_t n = strlen(x->service);

	if (*x->cgroup)
		return killer_path_names(x->cgroup, unit);
	return n && !*x->container && strncmp(unit, x->service, n) == 0 &&
	       strcmp(unit + n, ".service") == 0;
}

/* The last stop of its unit that had begun before it ended: who was killed and whose unit was then
 * stopped was killed. */
static const struct death_stop *stop_of(const struct deaths *d, const struct death *x)
{
	for (size_t i = 0; may_be_stopped(x) && i < KEPT(d->stops, d->n_stops); i++) {
		const struct death_stop *s = NEWEST(d->stops, d->n_stops, i);

		if (s->wall_us <= x->wall_us + DEATHS_STOP_SLACK_US &&
		    x->wall_us - s->wall_us <= DEATHS_STOP_KEEP_US && is_of_unit(x, s->unit))
			return s;
	}
	return NULL;
}

bool deaths_ask_manager(const struct deaths *d)
{
	for (size_t i = 0; i < d->n_pending; i++) {
		const struct death *x = d->pending[i];

		if (may_be_stopped(x) &&
		    (*x->cgroup ? strstr(x->cgroup, ".service") != NULL : *x->service != '\0'))
			return true;
	}
	return false;
}

/* ---- deciding ---- */

static int64_t due_of(const struct death *x)
{
	bool clean = x->exit.known && !x->exit.signal && !x->exit.code;

	return clean ? x->seen_us : x->seen_us + DEATHS_WAIT_US;
}

static bool is_ready(struct deaths *d, const struct death *x, int64_t now_us)
{
	if (now_us >= due_of(x))
		return true;
	if (!x->exit.known)
		return false;
	if (x->exit.signal == SIGKILL)
		return kill_of(d, x);
	return x->exit.signal && x->exit.signal != SIGTERM && crash_of(d, x);
}

static void name_of(char *out, size_t size, const struct death *x)
{
	snprintf(out, size, "%s (pid %" PRIu32 "%s%s)", *x->comm ? x->comm : "a process", x->pid,
		 *x->service ? ", " : "", x->service);
}

/* Who killed it read its name at that moment; ours is from the last look, which may be before a new
 * process had named itself. */
static void take_last_name(const struct deaths *d, struct death *x)
{
	for (size_t i = 0; i < d->n_notes; i++) {
		const struct killer_note *n = &d->notes[i];

		if (*n->comm && killer_matches(n, x->pid, x->cgroup))
			str_safe(x->comm, sizeof(x->comm), n->comm, strlen(n->comm));
	}
}

/* As much of it as verdicts ask for. */
static void fill_kill(struct oom_kill *out, const struct death_kill *k)
{
	oom_kill_init(out);
	out->pid = k->pid;
	out->seq = k->seq;
	out->scope = k->scope;
	out->group_member = k->group_member;
}

static void decide(struct deaths *d, int64_t now_us, const struct death *x, struct death_end *ret)
{
	struct death_kill *k = kill_of(d, x);
	struct death_mark *m = mark_of(d, x);
	const struct death_crash *c = crash_of(d, x);
	const struct death_action *a = action_of(d, x);
	const struct death_stop *s = stop_of(d, x);
	const struct oom_group *g = k ? NULL : group_of(d, x);
	struct oom_kill kill;
	char name[WIRE_COMM_MAX + WIRE_NAME_MAX + 32];
	char action[UUID_TEXT_SIZE] = "";

	if (a)
		uuid_text(action, a->id);
	drop_old_notes(d, now_us);
	ret->death = *x;
	take_last_name(d, &ret->death);
	name_of(name, sizeof(name), &ret->death);
	if (k)
		fill_kill(&kill, k);
	verdict_decide(&(struct verdict_facts){.pid = x->pid,
					       .name = name,
					       .cgroup = x->cgroup,
					       .exit = x->exit,
					       .kill = k ? &kill : NULL,
					       .group = g,
					       .marked = m,
					       .oom_kill_rise = rise_of(d, x),
					       .notes = d->notes,
					       .n_notes = d->n_notes,
					       .action = a ? a->what : VERDICT_ACTION_NONE,
					       .action_id = action,
					       .crash = c ? c->text : NULL,
					       .unit_stop = s || unit_stops(d, x),
					       .unit_job = s && *s->job ? s->job : NULL,
					       .parent_died = x->parent_died,
					       .memory_limited = d->memory_limited},
		       &ret->verdict);
	ret->reported = k;
	ret->group = ret->verdict.cause == KILL_CAUSE_KERNEL_GROUP ? g : NULL;
	ret->death.oom_kill_rise = rise_of(d, x);
	ret->death.mark = m ? m->mark : (struct mark){.pid = 0};
	if (k)
		k->used = true;
	if (m)
		m->used = true;
}

bool deaths_next(struct deaths *d, int64_t now_us, struct death_end *ret)
{
	for (size_t i = 0; i < d->n_pending; i++) {
		auto_free struct death *x = NULL;

		if (!is_ready(d, d->pending[i], now_us) && d->n_pending < DEATHS_MAX)
			continue;
		x = d->pending[i];
		d->n_pending--;
		memmove(&d->pending[i], &d->pending[i + 1],
			(d->n_pending - i) * sizeof(d->pending[0]));
		d->decided[d->n_decided++ % DEATHS_REMEMBERED] = key_of(x);
		decide(d, now_us, x, ret);
		return true;
	}
	return false;
}

/* Does it say that a process was sent a signal because memory is short? */
static bool names_victim(const struct killer_note *n)
{
	return n->pid && n->act == KILLER_ACT_SIGNAL && n->killer != KILLER_GUNICORN;
}

int64_t deaths_due_us(const struct deaths *d)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < d->n_pending; i++)
		due = MIN_OF(due, due_of(d->pending[i]));
	for (size_t i = 0; i < d->n_notes; i++)
		if (!d->note_looked_at[i] && names_victim(&d->notes[i]))
			due = MIN_OF(due, d->note_us[i] + DEATHS_WAIT_US);
	return due;
}

/* Does the log, or an end that waits, speak of this pid? */
static bool is_told_of(const struct deaths *d, int64_t pid, int64_t since_us)
{
	for (size_t i = 0; i < KEPT(d->kills, d->n_kills); i++)
		if (d->kills[i].pid == pid && d->kills[i].us >= since_us)
			return true;
	for (size_t i = 0; i < d->n_pending; i++)
		if (d->pending[i]->pid == pid)
			return true;
	return false;
}

bool deaths_lone_mark(struct deaths *d, int64_t now_us, struct mark *ret)
{
	for (size_t i = 0; i < KEPT(d->marks, d->n_marks); i++) {
		struct death_mark *m = &d->marks[i];

		if (m->used || m->looked_at || now_us - m->us < DEATHS_LONE_US)
			continue;
		m->looked_at = true;
		if (is_told_of(d, m->mark.pid, m->us - DEATHS_LONE_US))
			continue;
		*ret = m->mark;
		return true;
	}
	return false;
}

/* Has a process of that pid ended, or does the kernel's log have it? */
static bool has_ended(const struct deaths *d, int64_t pid, int64_t since_us)
{
	for (size_t i = 0; i < KEPT(d->last, d->n_last); i++)
		if (d->last[i].pid == pid && d->last[i].us >= since_us)
			return true;
	return is_told_of(d, pid, since_us);
}

/* Before a first signal and after it killers write more lines of the same process. */
static bool looked_at_before(const struct deaths *d, int64_t pid)
{
	for (size_t i = 0; i < d->n_notes; i++)
		if (d->note_looked_at[i] && d->notes[i].pid == pid)
			return true;
	return false;
}

bool deaths_lone_note(struct deaths *d, int64_t now_us, struct killer_note *ret)
{
	for (size_t i = 0; i < d->n_notes; i++) {
		const struct killer_note *n = &d->notes[i];
		bool before = looked_at_before(d, n->pid);

		if (d->note_looked_at[i] || !names_victim(n) ||
		    now_us - d->note_us[i] < DEATHS_WAIT_US)
			continue;
		d->note_looked_at[i] = true;
		if (before || has_ended(d, n->pid, d->note_us[i] - NOTE_KEEP_US))
			continue;
		*ret = *n;
		return true;
	}
	return false;
}
