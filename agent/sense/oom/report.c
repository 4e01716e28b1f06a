/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/report.h"

#include <errno.h>

#include "agent/sense/oom/dump.h"

#define MAX_OPEN 2
/* No line for so long: the kernel gave that report up, or its end was lost. */
#define REPORT_IDLE_US 5000000
/* Nor does one last so long, even where a serial line slows the kernel down. */
#define REPORT_LIFE_US 300000000
/* The kernel names the members of a group in one go. */
#define GROUP_US 2000000

struct oom_watch {
	int64_t page_kib;
	struct dump *open[MAX_OPEN]; /* newest first */
	/* Before 5.3: 'Kill process P' precedes 'Killed process Q' (Q = P or a child of it). */
	struct {
		bool set;
		enum oom_scope scope;
		int64_t pid;
		uint64_t usec;
	} chosen;
	/* The last kill: the one that a group follows, if it does. */
	struct {
		bool set;
		bool group;
		uint64_t usec;
		int64_t pid;
		struct oom_group with; /* of those that follow it */
	} last;
};

static const char *const event_helps[] = {
#define X(NAME, help) help,
	OOM_EVENT_LIST(X)
#undef X
};

const char *oom_event_help(enum oom_event_kind kind)
{
	return event_helps[kind];
}

int oom_watch_new(struct oom_watch **ret, int64_t page_size)
{
	struct oom_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->page_kib = MAX_OF(page_size / 1024, 1);
	*ret = w;
	return 0;
}

void oom_watch_gap(struct oom_watch *w)
{
	for (size_t i = 0; i < MAX_OPEN; i++)
		free(take_ptr(w->open[i]));
	w->chosen.set = false;
	w->last.set = false;
}

void oom_watch_free(struct oom_watch **w)
{
	if (!*w)
		return;
	oom_watch_gap(*w);
	free(take_ptr(*w));
}

size_t oom_watch_size(const struct oom_watch *w)
{
	size_t size = sizeof(*w);

	for (size_t i = 0; i < MAX_OPEN; i++)
		size += w->open[i] ? sizeof(struct dump) : 0;
	return size;
}

/* ---- which reports are open ---- */

static void drop(struct oom_watch *w, size_t i)
{
	free(w->open[i]);
	for (; i + 1 < MAX_OPEN; i++)
		w->open[i] = w->open[i + 1];
	w->open[MAX_OPEN - 1] = NULL;
}

/* usec is of several CPUs: it may go back a little. */
static bool passed(uint64_t from, uint64_t now, uint64_t span)
{
	return now > from && now - from > span;
}

static void drop_idle(struct oom_watch *w, uint64_t usec)
{
	for (size_t i = MAX_OPEN; i-- > 0;)
		if (w->open[i] && (passed(w->open[i]->last_usec, usec, REPORT_IDLE_US) ||
				   passed(w->open[i]->first_usec, usec, REPORT_LIFE_US)))
			drop(w, i);
}

/* A new report before all others. NULL without memory. */
static struct dump *open_report(struct oom_watch *w, const struct kmsg_record *rec)
{
	struct dump *d = dump_new(rec);

	if (!d)
		return NULL;
	if (w->open[MAX_OPEN - 1])
		drop(w, MAX_OPEN - 1);
	for (size_t i = MAX_OPEN - 1; i > 0; i--)
		w->open[i] = w->open[i - 1];
	w->open[0] = d;
	/* Where the kernel prints the caller, the lines of two reports can be told apart. */
	for (size_t i = 1; i < MAX_OPEN && w->open[i] && !*rec->caller; i++)
		w->open[i]->kill.mixed = d->kill.mixed = true;
	return d;
}

/* Whose lines these are: by caller where there is one, else the newest report's. */
static struct dump *report_of(struct oom_watch *w, const struct kmsg_record *rec)
{
	for (size_t i = 0; i < MAX_OPEN && w->open[i]; i++)
		if (strcmp(w->open[i]->caller, rec->caller) == 0)
			return w->open[i];
	return NULL;
}

/* An oom-kill: line speaks for itself: when no report fits, its report's head was lost. */
static void on_oom_line(struct oom_watch *w, const struct kmsg_record *rec,
			const struct line_oom *l)
{
	struct dump *d = NULL;

	for (size_t i = 0; i < MAX_OPEN && w->open[i] && !d; i++)
		if (strcmp(w->open[i]->caller, rec->caller) == 0 && !dump_conflicts(w->open[i], l))
			d = w->open[i];
	if (!d)
		d = open_report(w, rec);
	if (!d)
		return;
	d->last_usec = rec->usec;
	dump_take_oom(d, l);
}

/* ---- kills ---- */

/* The report that this kill line ends: -1 for none. */
static int fitting(struct oom_watch *w, const struct kmsg_record *rec, const struct line_kill *l)
{
	int64_t pid = w->chosen.set && !l->prefixed ? w->chosen.pid : l->pid;
	enum oom_scope scope = w->chosen.set && !l->prefixed ? w->chosen.scope : l->scope;

	for (int i = 0; i < MAX_OPEN && w->open[i]; i++) {
		const struct dump *d = w->open[i];
		bool memcg = d->kill.usage != METRIC_ABSENT;

		if (strcmp(d->caller, rec->caller) != 0)
			continue;
		if (d->told ? d->pid == pid || d->pid == l->pid
			    : scope != OOM_SCOPE_UNKNOWN && memcg == (scope == OOM_SCOPE_MEMCG))
			return i;
	}
	return -1;
}

static enum oom_scope scope_of(const struct oom_kill *k, enum oom_scope prefix)
{
	if (k->trigger.order == -1)
		return OOM_SCOPE_SYSRQ;
	if (prefix != OOM_SCOPE_GLOBAL && prefix != OOM_SCOPE_UNKNOWN)
		return prefix;
	if (strcmp(k->constraint, "CONSTRAINT_MEMCG") == 0)
		return OOM_SCOPE_MEMCG;
	if (strcmp(k->constraint, "CONSTRAINT_CPUSET") == 0)
		return OOM_SCOPE_CPUSET;
	if (strcmp(k->constraint, "CONSTRAINT_MEMORY_POLICY") == 0)
		return OOM_SCOPE_MEMPOLICY;
	return prefix;
}

static void take_figures(struct oom_kill *k, const struct line_kill *l)
{
	const struct oom_task *row;

	k->pid = l->pid;
	text_copy(k->comm, sizeof(k->comm), l->comm);
	for (int i = 0; i < OOM_VICTIM_COUNT; i++)
		if (l->victim[i] != METRIC_ABSENT)
			k->victim[i] = l->victim[i];
	row = oom_kill_task(k, k->pid);
	if (!row)
		return;
	if (k->victim[OOM_VICTIM_UID] == METRIC_ABSENT)
		k->victim[OOM_VICTIM_UID] = row->v[OOM_TASK_UID];
	if (k->victim[OOM_VICTIM_SCORE_ADJ] == METRIC_ABSENT)
		k->victim[OOM_VICTIM_SCORE_ADJ] = row->v[OOM_TASK_SCORE_ADJ];
}

/* A kill line ends its report, if it has one. */
static void fill_kill(struct oom_watch *w, const struct kmsg_record *rec, const struct line_kill *l,
		      struct oom_kill *k)
{
	int i = fitting(w, rec, l);
	enum oom_scope scope = l->scope;

	if (i >= 0) {
		dump_finish(w->open[i], l, k);
		drop(w, (size_t)i);
	} else {
		oom_kill_init(k);
	}
	take_figures(k, l);
	if (!l->prefixed && w->chosen.set) {
		scope = w->chosen.scope;
		if (w->chosen.pid != l->pid)
			k->chosen_pid = w->chosen.pid;
	}
	w->chosen.set = false;
	k->scope = scope_of(k, scope);
}

/* A kill in the wake of 'Tasks in .. are going to be killed' that has no report of its own. */
static bool in_group(struct oom_watch *w, const struct kmsg_record *rec, const struct line_kill *l)
{
	if (!w->last.set || !w->last.group)
		return false;
	if (passed(w->last.usec, rec->usec, GROUP_US) || fitting(w, rec, l) >= 0 || w->chosen.set)
		w->last.group = false;
	return w->last.group;
}

static void fill_member(struct oom_watch *w, const struct line_kill *l, struct oom_kill *k)
{
	oom_kill_init(k);
	take_figures(k, l);
	oom_kill_join(k, &w->last.with);
}

static void remember(struct oom_watch *w, const struct oom_kill *k)
{
	w->last.set = true;
	w->last.group = false;
	w->last.usec = k->usec;
	w->last.pid = k->pid;
	w->last.with = (struct oom_group){.leader_seq = k->seq, .scope = k->scope};
	memcpy(w->last.with.limit_cgroup, k->limit_cgroup, sizeof(k->limit_cgroup));
}

static void on_kill_line(struct oom_watch *w, const struct kmsg_record *rec,
			 const struct line_kill *l, struct oom_event *ret)
{
	bool member = in_group(w, rec, l);

	if (member && l->pid == w->last.pid) {
		ret->kind = OOM_EVENT_AGAIN;
		ret->note = (struct oom_note){.pid = l->pid};
		text_copy(ret->note.comm, sizeof(ret->note.comm), l->comm);
		return;
	}
	ret->kind = OOM_EVENT_KILL;
	if (member)
		fill_member(w, l, &ret->kill);
	else
		fill_kill(w, rec, l, &ret->kill);
	ret->kill.seq = rec->seq;
	ret->kill.usec = rec->usec;
	ret->kill.wall_us = ret->wall_us;
	if (!member)
		remember(w, &ret->kill);
}

/* ---- the small events ---- */

static void close_without_victim(struct oom_watch *w, const struct kmsg_record *rec,
				 struct oom_note *n)
{
	for (size_t i = 0; i < MAX_OPEN && w->open[i]; i++) {
		if (strcmp(w->open[i]->caller, rec->caller) != 0)
			continue;
		memcpy(n->text, w->open[i]->kill.limit_cgroup, sizeof(n->text));
		drop(w, i);
		return;
	}
}

static void on_group_line(struct oom_watch *w, const struct kmsg_record *rec, struct text cgroup,
			  struct oom_event *ret)
{
	w->last.group = w->last.set && !passed(w->last.usec, rec->usec, GROUP_US);
	ret->kind = OOM_EVENT_GROUP;
	ret->group = w->last.group ? w->last.with : (struct oom_group){.scope = OOM_SCOPE_UNKNOWN};
	text_copy(ret->group.cgroup, sizeof(ret->group.cgroup), cgroup);
}

static bool small_event(struct oom_watch *w, const struct kmsg_record *rec, struct text t,
			struct oom_event *ret)
{
	struct oom_note n = {.pid = METRIC_ABSENT};
	struct text comm = text_of("", 0);
	struct text words = text_of("", 0);

	if (line_group(t, &words)) {
		on_group_line(w, rec, words, ret);
		return true;
	}
	if (line_reaped(t, &n.pid, &comm)) {
		ret->kind = OOM_EVENT_REAPED;
	} else if (line_exiting(t, &n.pid, &comm)) {
		ret->kind = OOM_EVENT_EXITING;
	} else if (line_crash(t, &n.pid, &comm)) {
		ret->kind = OOM_EVENT_CRASH;
		words = t;
	} else if (line_no_victim(t)) {
		ret->kind = OOM_EVENT_NO_VICTIM;
		close_without_victim(w, rec, &n);
	} else {
		return false;
	}
	text_copy(n.comm, sizeof(n.comm), comm);
	if (words.len)
		text_copy(n.text, sizeof(n.text), words);
	ret->note = n;
	return true;
}

/* One of the lines that end something; the others are kept. */
static bool kernel_line(struct oom_watch *w, const struct kmsg_record *rec, struct oom_event *ret)
{
	struct text t = text_of(rec->text, rec->len);
	struct oom_trigger trigger = {.pid = METRIC_ABSENT};
	struct line_kill kill;
	struct line_oom oom;
	char line[DUMP_LINE_SIZE];
	struct dump *d;

	if (line_kill(t, &kill)) {
		on_kill_line(w, rec, &kill, ret);
		return true;
	}
	if (small_event(w, rec, t, ret))
		return true;
	if (line_invoked(t, &trigger)) {
		d = open_report(w, rec);
		if (d) {
			d->headed = true;
			d->kill.trigger = trigger;
		}
		return false;
	}
	if (line_chosen(t, &w->chosen.scope, &w->chosen.pid)) {
		w->chosen.set = true;
		w->chosen.usec = rec->usec;
		return false;
	}
	d = report_of(w, rec);
	if (d) {
		d->last_usec = rec->usec;
		t = dump_join(d, rec, line);
	}
	if (line_oom(t, &oom))
		on_oom_line(w, rec, &oom);
	else if (d)
		dump_read(d, t, w->page_kib);
	return false;
}

bool oom_watch_feed(struct oom_watch *w, const struct kmsg_record *rec, int64_t now_us,
		    struct oom_event *ret)
{
	struct oom_event e = {.seq = rec->seq, .usec = rec->usec, .wall_us = now_us};

	if (rec->facility != 0) {
		/* Not the kernel's word. One known program writes its kills there. */
		if (!text_starts(text_of(rec->text, rec->len), "oomd kill:") ||
		    !killer_parse(NULL, rec->text, rec->len, &e.killer))
			return false;
		e.kind = OOM_EVENT_KILLER;
		e.killer.wall_us = now_us;
		*ret = e;
		return true;
	}
	drop_idle(w, rec->usec);
	if (w->chosen.set && passed(w->chosen.usec, rec->usec, GROUP_US))
		w->chosen.set = false;
	if (!kernel_line(w, rec, &e))
		return false;
	*ret = e;
	return true;
}
