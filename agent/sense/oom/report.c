/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/report.h"

#include <errno.h>
#include <stdio.h>

#include "agent/sense/oom/figures.h"
#include "agent/sense/oom/lines.h"

#define MAX_OPEN 2
/* No line for so long: the kernel gave that report up, or its end was lost. */
#define REPORT_IDLE_US 5000000
/* The kernel names the members of a group in one go. */
#define GROUP_US 2000000
/* Longest line that the kernel prints in pieces: two paths, and a printk's limit of 1 KiB. */
#define LINE_SIZE 1100

enum section { SECTION_HEAD, SECTION_CGROUP, SECTION_HOST, SECTION_TABLE };

/* A report from its first line to its kill line. */
struct report {
	struct oom_kill kill; /* all but the victim */
	uint64_t last_usec;
	char caller[sizeof(((struct kmsg_record *)0)->caller)];
	enum section section;
	bool headed;    /* 'invoked oom-killer' was seen */
	bool told;      /* an oom-kill: line was seen: the three below are set */
	int64_t pid;    /* whom it names */
	int64_t uid;    /* METRIC_ABSENT: not named */
	size_t mid_len; /* line_oom's middle */
	char middle[LINE_SIZE];
	char line[LINE_SIZE]; /* the last line that may be continued by a fragment */
	size_t line_len;
	int64_t stat_before[OOM_STAT_COUNT]; /* that line: reading it once more adds nothing twice
					      */
	struct figures_header header;
	int64_t min_rss; /* of the rows, once all places are taken */
	size_t n_rows;
	struct oom_task rows[OOM_MAX_TASKS];
};

struct oom_watch {
	int64_t page_kib;
	struct report *open[MAX_OPEN]; /* newest first */
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
		uint64_t seq;
		uint64_t usec;
		int64_t pid;
		enum oom_scope scope;
		char limit[OOM_PATH_SIZE];
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
		size += w->open[i] ? sizeof(struct report) : 0;
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
		if (w->open[i] && passed(w->open[i]->last_usec, usec, REPORT_IDLE_US))
			drop(w, i);
}

/* A new report before all others. NULL without memory. */
static struct report *open_report(struct oom_watch *w, const struct kmsg_record *rec)
{
	struct report *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	oom_kill_init(&r->kill);
	memcpy(r->caller, rec->caller, sizeof(r->caller));
	r->pid = METRIC_ABSENT;
	r->uid = METRIC_ABSENT;
	r->min_rss = INT64_MAX;
	r->last_usec = rec->usec;
	if (w->open[MAX_OPEN - 1])
		drop(w, MAX_OPEN - 1);
	for (size_t i = MAX_OPEN - 1; i > 0; i--)
		w->open[i] = w->open[i - 1];
	w->open[0] = r;
	/* Where the kernel prints the caller, the lines of two reports can be told apart. */
	for (size_t i = 1; i < MAX_OPEN && w->open[i] && !*rec->caller; i++)
		w->open[i]->kill.mixed = r->kill.mixed = true;
	return r;
}

/* Whose lines these are: by caller where there is one, else the newest report's. */
static struct report *report_of(struct oom_watch *w, const struct kmsg_record *rec)
{
	for (size_t i = 0; i < MAX_OPEN && w->open[i]; i++)
		if (strcmp(w->open[i]->caller, rec->caller) == 0)
			return w->open[i];
	return NULL;
}

/* ---- what the lines say ---- */

static void take_usage(struct oom_kill *k, const struct line_usage *u)
{
	k->usage = u->usage;
	k->limit = u->limit;
	k->failcnt = u->failcnt;
}

static void take_swap(struct oom_kill *k, const struct line_usage *u, bool memsw)
{
	k->swap_usage = u->usage;
	k->swap_limit = u->limit;
	k->swap_is_memsw = memsw;
}

static void set_path(char dst[OOM_PATH_SIZE], struct text path)
{
	if (path.len)
		text_copy(dst, OOM_PATH_SIZE, path);
}

/* The row takes the place of the smallest when there is none left. */
static void keep_row(struct report *r, const struct oom_task *row)
{
	size_t least = 0;

	r->kill.tasks_seen++;
	if (r->n_rows < OOM_MAX_TASKS) {
		r->rows[r->n_rows++] = *row;
		r->min_rss = MIN_OF(r->min_rss, row->v[OOM_TASK_RSS]);
		return;
	}
	if (row->v[OOM_TASK_RSS] <= r->min_rss)
		return;
	for (size_t i = 1; i < r->n_rows; i++)
		if (r->rows[i].v[OOM_TASK_RSS] < r->rows[least].v[OOM_TASK_RSS])
			least = i;
	memmove(&r->rows[least], &r->rows[least + 1], (r->n_rows - least - 1) * sizeof(r->rows[0]));
	r->rows[r->n_rows - 1] = *row;
	r->min_rss = INT64_MAX;
	for (size_t i = 0; i < r->n_rows; i++)
		r->min_rss = MIN_OF(r->min_rss, r->rows[i].v[OOM_TASK_RSS]);
}

/* Lines that are what they are wherever they stand. True when it was one. */
static bool report_line(struct report *r, struct text t, int64_t page_kib)
{
	struct oom_kill *k = &r->kill;
	struct line_usage u;
	struct text task;
	struct text limit;

	if (line_usage(t, "memory", &u)) {
		take_usage(k, &u);
	} else if (line_usage(t, "swap", &u)) {
		take_swap(k, &u, false);
	} else if (line_usage(t, "memory+swap", &u)) {
		take_swap(k, &u, true);
	} else if (line_task_in(t, &task, &limit)) {
		set_path(k->victim_cgroup, task);
		set_path(k->limit_cgroup, limit);
	} else if (figures_cgroup_head(t, &limit, k->stat)) {
		if (!*k->limit_cgroup)
			set_path(k->limit_cgroup, limit);
		r->section = SECTION_CGROUP;
	} else if (text_is(t, "Mem-Info:")) {
		r->section = SECTION_HOST;
	} else if (figures_header(t, &r->header)) {
		r->section = SECTION_TABLE;
	} else {
		return figures_host_line(t, page_kib, k->host);
	}
	return true;
}

/* Lines that mean something only behind the head of their section. */
static void section_line(struct report *r, struct text t, int64_t page_kib)
{
	struct oom_task row;

	switch (r->section) {
	case SECTION_CGROUP:
		figures_cgroup(t, r->kill.stat);
		return;
	case SECTION_HOST:
		if (text_starts(t, "Node "))
			r->section = SECTION_HEAD;
		else if (text_starts(t, " ") || text_starts(t, "active_anon:"))
			figures_host(t, page_kib, r->kill.host);
		return;
	case SECTION_TABLE:
		if (figures_row(t, &r->header, page_kib, &row))
			keep_row(r, &row);
		return;
	case SECTION_HEAD:
	default:
		(void)line_cpu(t, r->kill.trigger.comm, &r->kill.trigger.pid);
	}
}

/*
 * The kernel prints some lines in pieces, and a record of another CPU may come between: each piece
 * is put behind what there is and the whole is read once more. buf holds the whole, so that it
 * outlives the report.
 */
static struct text joined(struct report *r, const struct kmsg_record *rec, char buf[LINE_SIZE])
{
	static const char *const heads[] = {"oom-kill:", "Task in ", "Memory cgroup stats for "};
	struct text t = text_of(rec->text, rec->len);
	bool head = false;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		head |= text_starts(t, heads[i]);
	if (!head && (!kmsg_is_fragment(rec) || !r->line_len))
		return t;
	if (head) {
		r->line_len = 0;
		memcpy(r->stat_before, r->kill.stat, sizeof(r->stat_before));
	}
	if (t.len > sizeof(r->line) - r->line_len)
		return t;
	memcpy(r->line + r->line_len, t.p, t.len);
	r->line_len += t.len;
	memcpy(r->kill.stat, r->stat_before, sizeof(r->stat_before));
	memcpy(buf, r->line, r->line_len);
	return text_of(buf, r->line_len);
}

/* What a report has said so far cannot be of a kill with this oom-kill: line. */
static bool conflicts(const struct report *r, const struct line_oom *l)
{
	char said[OOM_PATH_SIZE + 32];

	if (r->told)
		return true;
	if (!text_is(l->constraint, "CONSTRAINT_MEMCG"))
		return r->kill.usage != METRIC_ABSENT;
	if (r->kill.host[OOM_HOST_FREE] != METRIC_ABSENT)
		return true;
	if (!*r->kill.limit_cgroup || strlen(r->kill.limit_cgroup) == OOM_PATH_SIZE - 1)
		return false;
	snprintf(said, sizeof(said), ",oom_memcg=%s,task_memcg=", r->kill.limit_cgroup);
	return !text_cut(l->middle, said, NULL, NULL);
}

static void take_oom(struct report *r, const struct line_oom *l)
{
	r->told = true;
	r->pid = l->pid;
	r->uid = l->uid;
	text_copy(r->kill.constraint, sizeof(r->kill.constraint), l->constraint);
	r->mid_len = MIN_OF(l->middle.len, sizeof(r->middle));
	memcpy(r->middle, l->middle.p, r->mid_len);
}

/* An oom-kill: line speaks for itself: when no report fits, its report's head was lost. */
static void on_oom_line(struct oom_watch *w, const struct kmsg_record *rec,
			const struct line_oom *l)
{
	struct report *r = NULL;

	for (size_t i = 0; i < MAX_OPEN && w->open[i] && !r; i++)
		if (strcmp(w->open[i]->caller, rec->caller) == 0 && !conflicts(w->open[i], l))
			r = w->open[i];
	if (!r)
		r = open_report(w, rec);
	if (!r)
		return;
	r->last_usec = rec->usec;
	take_oom(r, l);
}

/* ---- kills ---- */

/* The report that this kill line ends: -1 for none. */
static int fitting(struct oom_watch *w, const struct kmsg_record *rec, const struct line_kill *l)
{
	int64_t pid = w->chosen.set && !l->prefixed ? w->chosen.pid : l->pid;
	enum oom_scope scope = w->chosen.set && !l->prefixed ? w->chosen.scope : l->scope;

	for (int i = 0; i < MAX_OPEN && w->open[i]; i++) {
		const struct report *r = w->open[i];
		bool memcg = r->kill.usage != METRIC_ABSENT;

		if (strcmp(r->caller, rec->caller) != 0)
			continue;
		if (r->told ? r->pid == pid || r->pid == l->pid
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

static void take_attribution(struct oom_kill *k, const struct report *r)
{
	bool memcg = strcmp(k->constraint, "CONSTRAINT_MEMCG") == 0;
	struct text limit;
	struct text task;

	line_oom_split(text_of(r->middle, r->mid_len), memcg, k->comm, &limit, &task);
	set_path(k->limit_cgroup, limit);
	set_path(k->victim_cgroup, task);
	if (k->victim[OOM_VICTIM_UID] == METRIC_ABSENT)
		k->victim[OOM_VICTIM_UID] = r->uid;
}

/* The table is worth a copy only as large as it is; without memory it is left out. */
static void take_rows(struct oom_kill *k, const struct report *r)
{
	if (!r->n_rows || !(k->tasks = malloc(r->n_rows * sizeof(*k->tasks))))
		return;
	memcpy(k->tasks, r->rows, r->n_rows * sizeof(*k->tasks));
	k->n_tasks = r->n_rows;
}

static void take_figures(struct oom_kill *k, const struct line_kill *l)
{
	const struct oom_task *row;

	k->pid = l->pid;
	text_copy(k->comm, sizeof(k->comm), l->comm);
	memcpy(k->victim, l->victim, sizeof(k->victim));
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
		const struct report *r = w->open[i];

		*k = r->kill;
		k->complete = r->headed;
		take_rows(k, r);
		take_figures(k, l);
		if (r->told)
			take_attribution(k, r);
		drop(w, (size_t)i);
	} else {
		oom_kill_init(k);
		take_figures(k, l);
	}
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
	k->scope = w->last.scope;
	k->group_member = true;
	k->leader_seq = w->last.seq;
	memcpy(k->limit_cgroup, w->last.limit, sizeof(k->limit_cgroup));
}

static void remember(struct oom_watch *w, const struct oom_kill *k)
{
	w->last.set = true;
	w->last.group = false;
	w->last.seq = k->seq;
	w->last.usec = k->usec;
	w->last.pid = k->pid;
	w->last.scope = k->scope;
	memcpy(w->last.limit, k->limit_cgroup, sizeof(w->last.limit));
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

static bool small_event(struct oom_watch *w, const struct kmsg_record *rec, struct text t,
			struct oom_event *ret)
{
	struct oom_note n = {.pid = METRIC_ABSENT};
	struct text comm = text_of("", 0);
	struct text words = text_of("", 0);

	if (line_group(t, &words)) {
		ret->kind = OOM_EVENT_GROUP;
		w->last.group = w->last.set && !passed(w->last.usec, rec->usec, GROUP_US);
		n.pid = w->last.group ? w->last.pid : METRIC_ABSENT;
	} else if (line_reaped(t, &n.pid, &comm)) {
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
	char line[LINE_SIZE];
	struct report *r;

	if (line_kill(t, &kill)) {
		on_kill_line(w, rec, &kill, ret);
		return true;
	}
	if (small_event(w, rec, t, ret))
		return true;
	if (line_invoked(t, &trigger)) {
		r = open_report(w, rec);
		if (r) {
			r->headed = true;
			r->kill.trigger = trigger;
		}
		return false;
	}
	if (line_chosen(t, &w->chosen.scope, &w->chosen.pid)) {
		w->chosen.set = true;
		w->chosen.usec = rec->usec;
		return false;
	}
	r = report_of(w, rec);
	if (r) {
		r->last_usec = rec->usec;
		t = joined(r, rec, line);
	}
	if (line_oom(t, &oom))
		on_oom_line(w, rec, &oom);
	else if (r && !report_line(r, t, w->page_kib))
		section_line(r, t, w->page_kib);
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
