/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/dossier.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "collector/fleet/dossier_python.h"
#include "common/clock.h"
#include "proto/identity.h"

#define ID_SIZE 24
/* A process that the registry met so long after the kill may still be the one that is meant: it is
 * sampled once in a while. */
#define MET_LATER_US (60 * USEC_PER_SEC)

/* The host's processes by pid, for what is told without its start: made when first needed. */
struct pids {
	struct host *host;
	struct process **list;
	size_t n;
	bool same_boot; /* the kill was in the boot that the registry shows */
	int64_t t_us;
	const uint8_t *boot_id;
};

static int by_pid(const void *a, const void *b)
{
	const struct process *const *x = a;
	const struct process *const *y = b;

	return ((*x)->pid > (*y)->pid) - ((*x)->pid < (*y)->pid);
}

static void pids_fill(struct pids *s)
{
	struct process *p;
	struct process *next;

	s->list = calloc(HASH_COUNT(s->host->processes) + 1, sizeof(struct process *));
	if (!s->list)
		return;
	HASH_ITER (hh, s->host->processes, p, next)
		s->list[s->n++] = p;
	qsort(s->list, s->n, sizeof(struct process *), by_pid);
}

/* Who is meant: by pid and start, or else who has that pid and was there then. */
static struct process *find(struct pids *s, const struct wire_party *w)
{
	struct process key = {.pid = w->pid};
	struct process *of_key = &key;
	struct process **found;

	if (!w->pid)
		return NULL;
	if (w->start_ticks)
		return registry_find_process(s->host,
					     identity_process(s->boot_id, w->pid, w->start_ticks));
	if (!s->same_boot)
		return NULL;
	if (!s->list)
		pids_fill(s);
	found = s->list ? bsearch(&of_key, s->list, s->n, sizeof(of_key), by_pid) : NULL;
	return found && (*found)->first_seen_us <= s->t_us + MET_LATER_US ? *found : NULL;
}

/* ---- JSON; json_object_set_new() fails quietly for a NULL value and so does what is inside ----
 */

static void set_id(json_t *to, const char *key, int64_t id)
{
	char text[ID_SIZE];

	snprintf(text, sizeof(text), "%" PRId64, id);
	json_object_set_new(to, key, id ? json_string(text) : json_null());
}

static void set_text(json_t *to, const char *key, const char *text)
{
	json_object_set_new(to, key, text && *text ? json_string(text) : json_null());
}

/* What agents claim goes to 2^53 KiB, which is one byte more than there is a number for. */
static int64_t bytes_of(int64_t kib)
{
	return kib > INT64_MAX / 1024 ? INT64_MAX : kib * 1024;
}

/* Figures that were not had are left out. */
static void set_figure(json_t *to, const char *name, int64_t v, bool kib)
{
	char key[48];

	if (v == KILL_ABSENT)
		return;
	snprintf(key, sizeof(key), "%s%s", name, kib ? "_bytes" : "");
	json_object_set_new(to, key, json_integer(kib ? bytes_of(v) : v));
}

static json_t *lines(const char *const *list, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_string(list[i]));
	return a;
}

static const char *first_of(const char *a, const char *b)
{
	return *a ? a : b;
}

/* What the registry saw of it last. */
static void set_known(json_t *to, const struct host *h, const struct process *p)
{
	static const enum metric memory[] = {METRIC_RSS, METRIC_PSS, METRIC_USS, METRIC_SWAP};
	json_t *python = dossier_python(h, p);
	json_t *last = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(memory); i++)
		if (p->v[memory[i]] != METRIC_ABSENT)
			set_figure(last, metric_infos[memory[i]].name, p->v[memory[i]], true);
	set_text(to, "cmdline", p->cmdline);
	set_text(to, "role", wire_role_word(p->role));
	if (p->slot)
		json_object_set_new(to, "slot", json_integer(p->slot));
	if (python)
		json_object_set_new(to, "python", python);
	if (json_object_size(last))
		json_object_set(to, "last_sample", last);
	json_decref(last);
}

static json_t *party(struct pids *s, const struct wire_party *w)
{
	const struct process *p = find(s, w);
	json_t *to = json_object();
	int64_t id = 0;

	if (p)
		id = p->proc_id;
	else if (w->pid && w->start_ticks)
		id = identity_process(s->boot_id, w->pid, w->start_ticks);
	set_id(to, "process_id", id);
	json_object_set_new(to, "pid", w->pid ? json_integer(w->pid) : json_null());
	json_object_set_new(to, "uid", w->uid >= 0 ? json_integer(w->uid) : json_null());
	set_text(to, "comm", first_of(w->comm, p ? p->comm : ""));
	set_text(to, "service", first_of(w->service, p ? p->service : ""));
	set_text(to, "container", first_of(w->container, p ? p->container : ""));
	for (int i = 0; i < KILL_FIGURE_COUNT; i++)
		set_figure(to, kill_figure_name((unsigned)i), w->v[i],
			   i != KILL_FIGURE_OOM_SCORE_ADJ);
	if (p)
		set_known(to, s->host, p);
	return to;
}

static json_t *parties(struct pids *s, const struct wire_party *list, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, party(s, &list[i]));
	return a;
}

static json_t *totals(const struct wire_kill *k)
{
	json_t *to = json_object();

	for (int i = 0; i < KILL_TOTAL_COUNT; i++)
		set_figure(to, kill_total_name((unsigned)i), k->v[i],
			   kill_total_is_kib((unsigned)i));
	return to;
}

/* What lists and the event tell, too. */
static void set_head(json_t *to, const struct dossier *d, const struct wire_kill *k)
{
	set_id(to, "kill_id", d->kill_id);
	set_text(to, "verdict", k->verdict);
	set_text(to, "cause", kill_cause_word(k->cause));
	set_text(to, "confidence", kill_confidence_word(k->confidence));
	set_text(to, "limit_cgroup", k->limit_cgroup);
	set_text(to, "limit_owner", k->limit_owner);
	json_object_set_new(to, "limit_bytes",
			    d->limit_bytes < 0 ? json_null() : json_integer(d->limit_bytes));
}

static json_t *make_doc(const struct dossier *d, struct pids *s, const struct wire_kill *k)
{
	json_t *to = json_object();

	set_head(to, d, k);
	set_text(to, "cause_text", kill_cause_help(k->cause));
	json_object_set_new(to, "victim", party(s, &k->victim));
	json_object_set_new(to, "trigger",
			    k->trigger.pid || *k->trigger.comm ? party(s, &k->trigger)
							       : json_null());
	set_text(to, "victim_cgroup", k->victim_cgroup);
	json_object_set_new(to, "figures", totals(k));
	json_object_set_new(to, "tasks", parties(s, k->tasks, k->n_tasks));
	json_object_set_new(to, "tasks_total", json_integer(k->tasks_total));
	json_object_set_new(to, "growers", parties(s, k->growers, k->n_growers));
	json_object_set_new(to, "ring_seconds", json_integer(k->ring_seconds));
	json_object_set_new(to, "advice", lines(k->advice, k->n_advice));
	json_object_set_new(to, "evidence", lines(k->evidence, k->n_evidence));
	return to;
}

static json_t *make_event(const struct dossier *d, const struct wire_kill *k)
{
	json_t *to = json_object();

	set_head(to, d, k);
	json_object_set_new(to, "pid", k->victim.pid ? json_integer(k->victim.pid) : json_null());
	set_text(to, "comm", k->victim.comm);
	set_text(to, "service", d->service);
	set_text(to, "container", d->container);
	if (d->rss_bytes >= 0)
		json_object_set_new(to, "rss_bytes", json_integer(d->rss_bytes));
	return to;
}

static char *dump(json_t *doc)
{
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	return text;
}

/* The victim: what the agent said, else what we know. */
static void set_victim(struct dossier *d, struct pids *s, const struct wire_kill *k)
{
	const struct wire_party *w = &k->victim;
	const struct process *p = find(s, w);
	int64_t rss = w->v[KILL_FIGURE_RSS];

	if (p)
		d->proc_id = p->proc_id;
	else if (w->pid && w->start_ticks)
		d->proc_id = identity_process(k->boot_id, w->pid, w->start_ticks);
	d->service = first_of(w->service, p ? p->service : "");
	d->container = first_of(w->container, p ? p->container : "");
	if (rss == KILL_ABSENT && p && p->v[METRIC_RSS] != METRIC_ABSENT)
		rss = p->v[METRIC_RSS];
	d->rss_bytes = rss == KILL_ABSENT ? -1 : bytes_of(rss);
}

int dossier_init(struct dossier *d, struct host *h, const struct wire_kill *k, int64_t t_us)
{
	struct pids s = {.host = h, .t_us = t_us, .boot_id = k->boot_id};
	int64_t limit = k->v[KILL_TOTAL_LIMIT];

	s.same_boot = memcmp(h->boot_id, k->boot_id, sizeof(h->boot_id)) == 0;
	*d = (struct dossier){.kill_id = identity_kill(k->boot_id, k->seq),
			      .limit_bytes = limit == KILL_ABSENT ? -1 : bytes_of(limit)};
	set_victim(d, &s, k);
	d->doc = dump(make_doc(d, &s, k));
	d->event = dump(make_event(d, k));
	free(s.list);
	if (d->doc && d->event)
		return 0;
	dossier_fini(d);
	return -ENOMEM;
}

void dossier_fini(struct dossier *d)
{
	free(d->doc);
	free(d->event);
	d->doc = NULL;
	d->event = NULL;
}

enum kill_scope dossier_scope(enum kill_cause cause)
{
	static const enum kill_scope scopes[KILL_CAUSE_COUNT] = {
		[KILL_CAUSE_KERNEL_MEMCG] = KILL_SCOPE_CGROUP,
		[KILL_CAUSE_KERNEL_GROUP] = KILL_SCOPE_CGROUP,
		[KILL_CAUSE_SYSTEMD_OOMD] = KILL_SCOPE_DAEMON,
		[KILL_CAUSE_EARLYOOM] = KILL_SCOPE_DAEMON,
		[KILL_CAUSE_NOHANG] = KILL_SCOPE_DAEMON,
		[KILL_CAUSE_OOMD] = KILL_SCOPE_DAEMON,
	};

	return scopes[cause];
}

char *dossier_findings(const struct wire_posture *p)
{
	json_t *a = json_array();

	for (size_t i = 0; i < p->n; i++) {
		const struct wire_finding *f = &p->findings[i];

		json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:s}", "code", f->code,
						   "severity", wire_severity_word(f->severity),
						   "text", f->text, "fix", f->fix));
	}
	return dump(a);
}
