/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/teller.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/sense/procfs.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

/* Kills in a burst share one walk over the ring. */
#define GROWN_KEEP_US (2 * USEC_PER_SEC)

void teller_init(struct teller *t, const struct oom_config *cfg)
{
	struct error err;

	*t = (struct teller){.cfg = cfg, .counter = METRIC_ABSENT};
	if (procdir_open(&t->proc, cfg->proc_path, &err) < 0)
		t->proc.fd = -1;
}

static void forget_grown(struct teller *t)
{
	free(take_ptr(t->grown));
	t->n_grown = 0;
}

void teller_fini(struct teller *t)
{
	forget_grown(t);
	if (t->proc.fd >= 0)
		procdir_close(&t->proc);
}

/* ---- the kernel's own lines ---- */

static void keep(char *dst, size_t size, const char *text, size_t len)
{
	len = MIN_OF(len, size - 1);
	memcpy(dst, text, len);
	dst[len] = '\0';
}

void teller_hear(struct teller *t, const char *text, size_t len)
{
	if (len > 9 && memcmp(text, "oom-kill:", 9) == 0)
		keep(t->oom_kill, sizeof(t->oom_kill), text, len);
	else if (len > 14 && memcmp(text, "memory: usage ", 14) == 0)
		keep(t->limit, sizeof(t->limit), text, len);
	else if (memmem(text, len, " invoked oom-killer: ", 21)) {
		keep(t->invoked, sizeof(t->invoked), text, len);
		t->limit[0] = t->oom_kill[0] = '\0';
	}
}

/* Two reports may lie in each other: a line is quoted only where it speaks of this kill. */
static size_t lines_of(struct teller *t, const struct oom_kill *k, const char *line,
		       const char *out[4])
{
	size_t n = 0;
	char words[80];

	if (k->complete && !k->mixed) {
		if (*t->invoked &&
		    strncmp(t->invoked, k->trigger.comm, strlen(k->trigger.comm)) == 0)
			out[n++] = t->invoked;
		if (*t->limit && k->usage != METRIC_ABSENT)
			out[n++] = t->limit;
	}
	snprintf(words, sizeof(words), ",pid=%" PRId64 ",uid=", k->pid);
	if (*t->oom_kill && strstr(t->oom_kill, words))
		out[n++] = t->oom_kill;
	out[n++] = line;
	return n;
}

/* ---- who is meant ---- */

/* Who has the pid at this moment; false when it is gone already. */
static bool stat_now(const struct teller *t, int64_t pid, struct procfs_stat *ret)
{
	char buf[1024];
	int n;

	if (t->proc.fd < 0 || pid <= 0 || pid > INT32_MAX)
		return false;
	n = procdir_read(&t->proc, (uint32_t)pid, "stat", buf, sizeof(buf));
	return n > 0 && procfs_parse_stat(buf, (size_t)n, ret) == 0;
}

/* Its start ticks; 0 when it is gone. */
static uint64_t start_now(const struct teller *t, int64_t pid)
{
	struct procfs_stat st;

	return stat_now(t, pid, &st) ? st.start_ticks : 0;
}

/* The process of a thread. */
static int64_t tgid_of(const struct teller *t, int64_t tid)
{
	char buf[512];
	const char *at;
	int n;

	if (t->proc.fd < 0 || tid <= 0 || tid > INT32_MAX)
		return METRIC_ABSENT;
	n = procdir_read(&t->proc, (uint32_t)tid, "status", buf, sizeof(buf));
	/* The name above it cannot forge a line: its newlines are escaped. */
	at = n > 0 ? strstr(buf, "\nTgid:\t") : NULL;
	return at ? strtoll(at + strlen("\nTgid:\t"), NULL, 10) : METRIC_ABSENT;
}

/* A zombie is in the table but has left the living of the ring. */
static uint32_t slot_of(const struct ring *r, const struct oom_process *p, uint32_t pid)
{
	uint32_t slot = ring_slot(r, p->id);

	if (slot == RING_NO_SLOT)
		slot = ring_find(r, pid);
	return slot != RING_NO_SLOT && r->who[slot].start_ticks == p->start_ticks ? slot
										  : RING_NO_SLOT;
}

static enum dossier_known on_find(void *arg, int64_t pid, uint32_t *ret_slot)
{
	struct teller *t = arg;
	struct oom_process p;
	bool victim = pid == t->victim_pid;

	if (pid <= 0 || pid > INT32_MAX)
		return DOSSIER_UNKNOWN;
	if (t->cfg->ops.find_process(t->cfg->arg, (uint32_t)pid, &p)) {
		/* Another one has taken the pid since the last round. */
		if (victim && t->victim_start && t->victim_start != p.start_ticks)
			return DOSSIER_NEW;
		*ret_slot = slot_of(t->cfg->ring, &p, (uint32_t)pid);
		return *ret_slot == RING_NO_SLOT ? DOSSIER_UNKNOWN : DOSSIER_KNOWN;
	}
	/* A round may have been between the kill and its line. */
	*ret_slot = victim ? ring_find(t->cfg->ring, (uint32_t)pid) : RING_NO_SLOT;
	if (*ret_slot == RING_NO_SLOT)
		return DOSSIER_NEW;
	if (t->victim_start && t->cfg->ring->who[*ret_slot].start_ticks != t->victim_start)
		return DOSSIER_NEW;
	return DOSSIER_KNOWN;
}

static const struct cgroup *cgroup_of(const struct teller *t, const struct ring_who *who)
{
	struct oom_process p;

	if (!t->cfg->ops.find_process(t->cfg->arg, who->pid, &p) ||
	    p.start_ticks != who->start_ticks || p.cgroup == CGROUP_NONE)
		return NULL;
	return cgroup_tree_get(t->cfg->cgroups, p.cgroup);
}

static const char *on_cgroup(void *arg, const struct ring_who *who)
{
	const struct cgroup *c = cgroup_of(arg, who);

	return c ? c->path : NULL;
}

static bool on_unlimited(void *arg, const struct ring_who *who)
{
	const struct cgroup *c = cgroup_of(arg, who);

	return c && c->unlimited;
}

/* ---- dossiers ---- */

static void look_at_ring(struct teller *t, int64_t now_us)
{
	if (t->grown && t->grown_t_us == t->cfg->ring->t_us &&
	    now_us - t->grown_at_us < GROWN_KEEP_US)
		return;
	forget_grown(t);
	/* Without memory: nothing had grown. The dossier is worth more than that. */
	dossier_spans(t->cfg->ring, now_us, t->spans_us);
	if (ring_growth(t->cfg->ring, now_us, t->spans_us, &t->grown, &t->n_grown) < 0)
		return;
	t->grown_t_us = t->cfg->ring->t_us;
	t->grown_at_us = now_us;
}

static int64_t kills_so_far(const struct teller *t)
{
	return t->counter == METRIC_ABSENT ? (int64_t)t->kills : t->counter + (int64_t)t->since;
}

static int hand_over(struct teller *t, struct dossier_facts *f)
{
	auto_arena struct arena a;
	struct wire_kill out;
	int rc;

	arena_init(&a, DOSSIER_ARENA);
	f->boot_id = t->cfg->boot_id;
	f->now_us = clock_boot_us();
	f->ring = t->cfg->ring;
	f->host = f->replayed ? NULL : t->cfg->host;
	f->sshd_unprotected = t->sshd_unprotected;
	f->find = on_find;
	f->cgroup = on_cgroup;
	f->unlimited = on_unlimited;
	f->arg = t;
	if (!f->replayed) {
		look_at_ring(t, f->now_us);
		f->grown = t->grown;
		f->n_grown = t->n_grown;
		memcpy(f->spans_us, t->spans_us, sizeof(f->spans_us));
	}
	t->kills++;
	t->since += !f->replayed;
	f->kills_so_far = f->replayed ? METRIC_ABSENT : kills_so_far(t);
	rc = dossier_make(&a, f, &out);
	return rc < 0 ? rc : t->cfg->ops.kill(t->cfg->arg, &out);
}

/* The victim as far as it is known: who was there in the last round, or is dying just now. */
static uint64_t identify_victim(struct teller *t, int64_t pid)
{
	struct oom_process p;
	uint32_t slot;

	t->victim_pid = pid;
	t->victim_start = start_now(t, pid);
	if (t->victim_start)
		return t->victim_start;
	if (pid > 0 && pid <= INT32_MAX && t->cfg->ops.find_process(t->cfg->arg, (uint32_t)pid, &p))
		return p.start_ticks;
	return on_find(t, pid, &slot) == DOSSIER_KNOWN ? t->cfg->ring->who[slot].start_ticks : 0;
}

static int64_t trigger_process(const struct teller *t, const struct oom_trigger *trigger)
{
	struct oom_process p;

	if (trigger->pid <= 0 || trigger->pid > INT32_MAX ||
	    t->cfg->ops.find_process(t->cfg->arg, (uint32_t)trigger->pid, &p))
		return METRIC_ABSENT;
	return tgid_of(t, trigger->pid);
}

/* A kill line without its report (the kernel writes ten reports in 5 s, no more): where the victim
 * lived is known, and whose limit holds there. */
static void limit_from_tree(const struct teller *t, struct oom_kill *k)
{
	const struct cgroup_tree *tree = t->cfg->cgroups;
	const struct cgroup *c;
	const struct cgroup *owner;
	struct oom_process p;

	if (k->complete || *k->victim_cgroup || k->pid <= 0 || k->pid > INT32_MAX ||
	    !t->cfg->ops.find_process(t->cfg->arg, (uint32_t)k->pid, &p) ||
	    (t->victim_start && t->victim_start != p.start_ticks))
		return;
	c = cgroup_tree_get(tree, p.cgroup);
	if (!c)
		return;
	(void)str_copy(k->victim_cgroup, sizeof(k->victim_cgroup), c->path);
	owner = cgroup_tree_get(tree, c->owner);
	if (k->scope != OOM_SCOPE_MEMCG || *k->limit_cgroup || !owner)
		return;
	(void)str_copy(k->limit_cgroup, sizeof(k->limit_cgroup), owner->path);
	if (c->effective > 0 && k->limit == METRIC_ABSENT)
		k->limit = c->effective;
}

int teller_kill(struct teller *t, const struct oom_kill *told, const char *line, bool replayed,
		uint64_t *ret_start)
{
	const char *lines[4];
	struct oom_kill whole = *told;
	struct oom_kill *k = &whole;
	struct dossier_facts f = {
		.kill = k,
		.seq = k->seq,
		.wall_us = k->wall_us,
		.replayed = replayed,
		.lines = lines,
		.n_lines = lines_of(t, k, line, lines),
		.trigger_tgid = METRIC_ABSENT,
	};

	*ret_start = 0;
	t->victim_pid = 0;
	if (!replayed) {
		*ret_start = identify_victim(t, k->pid);
		f.trigger_tgid = trigger_process(t, &k->trigger);
		limit_from_tree(t, k);
	}
	f.victim_start = *ret_start;
	return hand_over(t, &f);
}

/* ---- ends ---- */

static bool may_tell(struct teller *t, struct teller_share *s, int64_t now_us)
{
	if (now_us - s->since_us >= USEC_PER_SEC) {
		s->since_us = now_us;
		s->used = 0;
	}
	if (s->used < TELLER_PER_SECOND) {
		s->used++;
		return true;
	}
	t->held_back++;
	t->untold++;
	return false;
}

void teller_event(struct teller *t, enum wire_event_kind kind, const char *text,
		  const char *const *keys, const char *const *values, size_t n)
{
	struct wire_event e = {
		.t_wall_us = clock_wall_us(),
		.kind = kind,
		.text = text,
		.keys = (const char **)keys,
		.values = (const char **)values,
		.n_details = n,
	};

	t->cfg->ops.event(t->cfg->arg, &e);
}

/* Details of an end, as pairs. */
#define DETAIL_MAX (6u + VERDICT_MAX_EVIDENCE)
struct details {
	const char *keys[DETAIL_MAX];
	const char *values[DETAIL_MAX];
	size_t n;
	char exit[16];
	char names[VERDICT_MAX_EVIDENCE][32];
	char evidence[VERDICT_MAX_EVIDENCE][VERDICT_EVIDENCE_SIZE];
};

static void detail(struct details *d, const char *key, const char *value)
{
	if (!*value)
		return;
	d->keys[d->n] = key;
	d->values[d->n++] = value;
}

static void fill_details(struct details *d, const struct death_end *e)
{
	const struct verdict *v = &e->verdict;

	d->n = 0;
	detail(d, "cause", kill_cause_word(v->cause));
	detail(d, "confidence", kill_confidence_word(v->confidence));
	if (e->death.exit.known) {
		bool signal = e->death.exit.signal != 0;

		snprintf(d->exit, sizeof(d->exit), "%d",
			 signal ? e->death.exit.signal : e->death.exit.code);
		detail(d, signal ? "signal" : "exit_code", d->exit);
	}
	detail(d, "service", e->death.service);
	detail(d, "container", e->death.container);
	detail(d, "comm", e->death.comm);
	for (size_t i = 0; i < v->n_evidence; i++) {
		snprintf(d->names[i], sizeof(d->names[i]), "evidence%zu", i + 1);
		str_safe(d->evidence[i], sizeof(d->evidence[i]), v->evidence[i],
			 strlen(v->evidence[i]));
		detail(d, d->names[i], d->evidence[i]);
	}
}

static void tell_end(struct teller *t, const struct death_end *e)
{
	char text[VERDICT_SENTENCE_SIZE];
	struct details d;
	struct wire_event event = {
		.t_wall_us = e->death.wall_us,
		.kind = WIRE_EVENT_DEATH,
		.pid = e->death.pid,
		.start_ticks = e->death.start_ticks,
		.text = text,
		.has_boot_id = true,
	};

	str_safe(text, sizeof(text), e->verdict.sentence, strlen(e->verdict.sentence));
	fill_details(&d, e);
	event.keys = d.keys;
	event.values = d.values;
	event.n_details = d.n;
	memcpy(event.boot_id, t->cfg->boot_id, sizeof(event.boot_id));
	t->cfg->ops.event(t->cfg->arg, &event);
}

/* A kill that the kernel's log did not tell; moment tells apart those of one pid. */
static void tell_own_kill(struct teller *t, const struct death_end *e, uint64_t moment)
{
	struct oom_kill k;
	struct dossier_facts f = {
		.kill = &k,
		.end = e,
		.seq = dossier_own_seq(t->cfg->boot_id, e->death.pid, moment),
		.wall_us = e->death.wall_us,
		.trigger_tgid = METRIC_ABSENT,
		.victim_start = e->death.start_ticks,
	};

	oom_kill_init(&k);
	k.pid = e->death.pid;
	(void)str_copy(k.comm, sizeof(k.comm), *e->death.comm ? e->death.comm : e->death.mark.comm);
	(void)str_copy(k.victim_cgroup, sizeof(k.victim_cgroup), e->death.cgroup);
	if (e->group)
		oom_kill_join(&k, e->group);
	if (e->death.mark.pid)
		memcpy(k.victim, e->death.mark.victim, sizeof(k.victim));
	t->victim_pid = e->death.pid;
	t->victim_start = e->death.start_ticks;
	if (hand_over(t, &f) < 0)
		log_warn("kill_dropped pid=%" PRIu32, e->death.pid);
	oom_kill_fini(&k);
}

/* A service manager's note on a unit names no process: it alone makes no kill where the log would
 * have told of one. */
static bool is_own_kill(const struct death_end *e, bool log_open)
{
	if (e->reported || !kill_cause_is_oom(e->verdict.cause))
		return false;
	return e->verdict.cause != KILL_CAUSE_KERNEL_OOM || !log_open || e->death.mark.pid ||
	       e->death.oom_kill_rise > 0;
}

void teller_death(struct teller *t, const struct death_end *e, bool log_open)
{
	bool oom = kill_cause_is_oom(e->verdict.cause);
	int64_t now_us = clock_boot_us();

	t->deaths++;
	if (may_tell(t, oom ? &t->oom_share : &t->share, now_us))
		tell_end(t, e);
	if (is_own_kill(e, log_open) && may_tell(t, &t->own_share, now_us))
		tell_own_kill(t, e, e->death.start_ticks);
}

/* The end of one that was never sampled: what is told of it is what others said. */
static void tell_stranger(struct teller *t, struct death_end *e, struct verdict_facts f,
			  const char *comm, uint64_t moment)
{
	char name[WIRE_COMM_MAX + 32];

	e->death.uid = -1;
	e->death.slot = RING_NO_SLOT;
	e->death.oom_kill_rise = METRIC_ABSENT;
	str_safe(e->death.comm, sizeof(e->death.comm), comm, strlen(comm));
	snprintf(name, sizeof(name), "%s (pid %" PRIu32 ")",
		 *e->death.comm ? e->death.comm : "a process", e->death.pid);
	f.pid = e->death.pid;
	f.name = name;
	f.cgroup = "";
	f.oom_kill_rise = METRIC_ABSENT;
	verdict_decide(&f, &e->verdict);
	tell_own_kill(t, e, moment);
}

void teller_mark(struct teller *t, const struct mark *m)
{
	struct death_end e = {
		.death = {.pid = (uint32_t)m->pid, .wall_us = clock_wall_us(), .mark = *m}};

	tell_stranger(t, &e, (struct verdict_facts){.marked = true}, m->comm, 0);
}

void teller_note(struct teller *t, const struct killer_note *n)
{
	struct death_end e = {.death = {.pid = (uint32_t)n->pid, .wall_us = n->wall_us}};
	struct procfs_stat st;

	/* It survived the signal, or another has its pid. */
	if (stat_now(t, n->pid, &st) && st.state != 'Z' && st.state != 'X')
		return;
	if (!may_tell(t, &t->own_share, clock_boot_us()))
		return;
	tell_stranger(t, &e, (struct verdict_facts){.notes = n, .n_notes = 1}, n->comm,
		      (uint64_t)n->wall_us);
}

void teller_round(struct teller *t, int64_t counter)
{
	static const char *const keys[] = {"count"};
	char text[80];
	char count[24];
	const char *values[] = {count};

	t->counter = counter;
	t->since = 0;
	forget_grown(t);
	if (!t->untold)
		return;
	snprintf(count, sizeof(count), "%" PRIu64, t->untold);
	snprintf(text, sizeof(text), "%s more processes ended than were told one by one", count);
	t->untold = 0;
	teller_event(t, WIRE_EVENT_DEATH, text, keys, values, ARRAY_SIZE(keys));
}
