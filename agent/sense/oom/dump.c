/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/dump.h"

#include <stdio.h>

struct dump *dump_new(const struct kmsg_record *rec)
{
	struct dump *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	oom_kill_init(&d->kill);
	memcpy(d->caller, rec->caller, sizeof(d->caller));
	d->pid = METRIC_ABSENT;
	d->uid = METRIC_ABSENT;
	d->min_rss = INT64_MAX;
	d->first_usec = rec->usec;
	d->last_usec = rec->usec;
	return d;
}

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
static void keep_row(struct dump *d, const struct oom_task *row)
{
	size_t least = 0;

	d->kill.tasks_seen++;
	if (d->n_rows < OOM_MAX_TASKS) {
		d->rows[d->n_rows++] = *row;
		d->min_rss = MIN_OF(d->min_rss, row->v[OOM_TASK_RSS]);
		return;
	}
	if (row->v[OOM_TASK_RSS] <= d->min_rss)
		return;
	for (size_t i = 1; i < d->n_rows; i++)
		if (d->rows[i].v[OOM_TASK_RSS] < d->rows[least].v[OOM_TASK_RSS])
			least = i;
	memmove(&d->rows[least], &d->rows[least + 1], (d->n_rows - least - 1) * sizeof(d->rows[0]));
	d->rows[d->n_rows - 1] = *row;
	d->min_rss = INT64_MAX;
	for (size_t i = 0; i < d->n_rows; i++)
		d->min_rss = MIN_OF(d->min_rss, d->rows[i].v[OOM_TASK_RSS]);
}

/* Lines that are what they are wherever they stand. True when it was one. */
static bool report_line(struct dump *d, struct text t, int64_t page_kib)
{
	struct oom_kill *k = &d->kill;
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
		d->section = DUMP_CGROUP;
	} else if (line_limit_reached(t, &limit)) {
		set_path(k->limit_cgroup, limit);
	} else if (text_is(t, "Mem-Info:")) {
		d->section = DUMP_HOST;
	} else if (figures_header(t, &d->header)) {
		d->section = DUMP_TABLE;
	} else {
		return figures_host_line(t, page_kib, k->host);
	}
	return true;
}

/* Lines that mean something only behind the head of their section. */
static void section_line(struct dump *d, struct text t, int64_t page_kib)
{
	struct oom_task row;

	switch (d->section) {
	case DUMP_CGROUP:
		figures_cgroup(t, d->kill.stat);
		return;
	case DUMP_HOST:
		/* Not the lines of single zones: 'Node 0 DMA free:..kB'. */
		if (text_starts(t, " ") || text_starts(t, "active_anon:"))
			figures_host(t, page_kib, d->kill.host);
		return;
	case DUMP_TABLE:
		if (figures_row(t, &d->header, page_kib, &row))
			keep_row(d, &row);
		return;
	case DUMP_HEAD:
	default:
		(void)line_cpu(t, d->kill.trigger.comm, &d->kill.trigger.pid);
	}
}

void dump_read(struct dump *d, struct text line, int64_t page_kib)
{
	if (!report_line(d, line, page_kib))
		section_line(d, line, page_kib);
}

/*
 * The kernel prints some lines in pieces, and a record of another CPU may come between: each piece
 * is put behind what there is and the whole is read once more. buf holds the whole, so that it
 * outlives the report.
 */
struct text dump_join(struct dump *d, const struct kmsg_record *rec, char buf[DUMP_LINE_SIZE])
{
	static const char *const heads[] = {"oom-kill:", "Task in ", "Memory cgroup stats for "};
	struct text t = text_of(rec->text, rec->len);
	bool head = false;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		head |= text_starts(t, heads[i]);
	if (!head && (!kmsg_is_fragment(rec) || !d->line_len))
		return t;
	if (head) {
		d->line_len = 0;
		memcpy(d->stat_before, d->kill.stat, sizeof(d->stat_before));
	}
	if (t.len > sizeof(d->line) - d->line_len)
		return t;
	memcpy(d->line + d->line_len, t.p, t.len);
	d->line_len += t.len;
	memcpy(d->kill.stat, d->stat_before, sizeof(d->stat_before));
	memcpy(buf, d->line, d->line_len);
	return text_of(buf, d->line_len);
}

bool dump_conflicts(const struct dump *d, const struct line_oom *l)
{
	char said[OOM_PATH_SIZE + 32];

	if (d->told)
		return true;
	if (!text_is(l->constraint, "CONSTRAINT_MEMCG"))
		return d->kill.usage != METRIC_ABSENT;
	if (d->kill.host[OOM_HOST_FREE] != METRIC_ABSENT)
		return true;
	if (!*d->kill.limit_cgroup || strlen(d->kill.limit_cgroup) == OOM_PATH_SIZE - 1)
		return false;
	snprintf(said, sizeof(said), ",oom_memcg=%s,task_memcg=", d->kill.limit_cgroup);
	return !text_cut(l->middle, said, NULL, NULL);
}

void dump_take_oom(struct dump *d, const struct line_oom *l)
{
	d->told = true;
	d->pid = l->pid;
	d->uid = l->uid;
	text_copy(d->kill.constraint, sizeof(d->kill.constraint), l->constraint);
	d->mid_len = MIN_OF(l->middle.len, sizeof(d->middle));
	memcpy(d->middle, l->middle.p, d->mid_len);
}

static void take_attribution(struct oom_kill *k, const struct dump *d, const struct line_kill *l)
{
	char comm[OOM_COMM_SIZE];
	bool memcg = strcmp(k->constraint, "CONSTRAINT_MEMCG") == 0;
	struct text limit;
	struct text task;

	text_copy(comm, sizeof(comm), l->comm);
	line_oom_split(text_of(d->middle, d->mid_len), memcg, comm, &limit, &task);
	set_path(k->limit_cgroup, limit);
	set_path(k->victim_cgroup, task);
	/* In 5.0 a child may die instead of the one that is named. */
	if (d->pid == l->pid)
		k->victim[OOM_VICTIM_UID] = d->uid;
}

/* The table is worth a copy only as large as it is; without memory it is left out. */
static void take_rows(struct oom_kill *k, const struct dump *d)
{
	if (!d->n_rows || !(k->tasks = malloc(d->n_rows * sizeof(*k->tasks))))
		return;
	memcpy(k->tasks, d->rows, d->n_rows * sizeof(*k->tasks));
	k->n_tasks = d->n_rows;
}

void dump_finish(const struct dump *d, const struct line_kill *l, struct oom_kill *ret)
{
	*ret = d->kill;
	ret->complete = d->headed;
	take_rows(ret, d);
	if (d->told)
		take_attribution(ret, d, l);
}
