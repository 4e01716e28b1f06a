/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/incident.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "collector/command/dispatch.h"
#include "collector/incident_mail.h"
#include "collector/notify/mail.h"
#include "collector/rule/engine.h"
#include "collector/rule/parse.h"
#include "collector/store/store_alert.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#define INCIDENTS_MAGIC 0x1c1de475u
#define RULES_FILE_MAX  (1024 * 1024)
#define SWEEP_SEC       1
#define HISTORY         8
#define NAME_SIZE       256
#define RESTORE_MAX     1000

/* One open alert. It is found by its key; what answers later holds the key, never a pointer. */
struct incident {
	char *key;
	int64_t alert_id; /* 0 until the database has given one */
	bool asked;       /* for an id: the answer is under way */
	const struct rule *rule;
	int32_t host_id;
	int64_t proc_id; /* 0 for a service or a host */
	enum rule_kind kind;
	char service[NAME_SIZE];
	char title[2 * NAME_SIZE];
	char *explain;
	enum rule_level level;
	int64_t opened_us;
	int64_t resolved_us; /* 0 while it fires */
	double first;
	double peak;
	double last;
	unsigned mails; /* sent, which numbers them */
	bool mail_due;  /* waits for the alert's number */
	enum mail_state mail_state;
	bool act_due;     /* waits for it too: an action belongs to its alert */
	bool act_failed;  /* the request for an action was refused at once */
	int64_t acted_us; /* of the last action, 0 = none */
	unsigned ineffective;
	bool stood_down;
	size_t n_actions;
	struct action_row actions[HISTORY];
	UT_hash_handle hh;
};

struct incidents {
	unsigned magic;
	struct event_base *base;
	struct event *sweep;
	struct registry *registry;
	struct db *db;
	struct mailer *mailer;
	struct dispatch *dispatch;
	struct rule_set *set;
	struct rule_engine *engine;
	struct incident *open; /* uthash by key; also resolved ones until their row is written */
	struct incident_counts counts;
	void (*restored)(void *arg);
	void *restored_arg;
};

/* ---- what is known about an incident, as rows and documents ---- */

static struct host *host_of(const struct incidents *all, const struct incident *i)
{
	return registry_find_host(all->registry, i->host_id);
}

static struct process *process_of(const struct incidents *all, const struct incident *i)
{
	struct host *h = host_of(all, i);

	return h && i->proc_id ? registry_find_process(h, i->proc_id) : NULL;
}

static json_t *number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

static json_t *describe_process(const struct process *p, int64_t now_us)
{
	double r2;
	double growth = process_growth(p, now_us, &r2);
	json_t *rss = p->v[METRIC_RSS] == METRIC_ABSENT ? json_null()
							: json_integer(p->v[METRIC_RSS] * 1024);

	return json_pack("{s:o, s:i, s:s, s:s, s:s, s:o, s:o, s:o}", "process_id",
			 json_sprintf("%lld", (long long)p->proc_id), "pid", (int)p->pid, "comm",
			 p->comm, "cmdline", p->cmdline, "service", p->service, "rss_bytes", rss,
			 "growth_bytes_per_hour", number(growth), "growth_r2", number(r2));
}

static json_t *describe_actions(const struct incident *i)
{
	json_t *list = json_array();

	for (size_t n = 0; n < i->n_actions; n++) {
		const struct action_row *a = &i->actions[n];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:I, s:s}", "type", a->action,
						"state", a->state, "rss_before_bytes",
						(json_int_t)a->rss_before, "rss_after_bytes",
						(json_int_t)a->rss_after, "detail", a->detail));
	}
	return list;
}

/* The evidence, and what the engine needs to take the alert up again. */
static char *document(const struct incidents *all, const struct incident *i)
{
	int64_t now = clock_wall_us();
	struct host *h = host_of(all, i);
	struct process *p = process_of(all, i);
	auto_buf struct buf text = BUF_INIT(65536);
	json_t *doc;
	char *out;

	if (!p && h)
		p = host_culprit(h, now, NULL);
	rule_print_rule(&text, all->set, i->rule);
	doc = json_pack("{s:s, s:s, s:s, s:o, s:o, s:i, s:I, s:i, s:b}", "why", i->rule->why,
			"rule_text", text.data ? (const char *)text.data : "", "explain",
			i->explain ? i->explain : "", "culprit",
			p ? describe_process(p, now) : json_null(), "actions", describe_actions(i),
			"mails", (int)i->mails, "acted_us", (json_int_t)i->acted_us, "ineffective",
			(int)i->ineffective, "stood_down", (int)i->stood_down);
	if (doc && h && host_time_to_oom_us(h, now) >= 0)
		json_object_set_new(doc, "time_to_oom_seconds",
				    json_real((double)host_time_to_oom_us(h, now) / 1e6));
	out = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	return out;
}

static struct alert_row row_of(const struct incident *i, const char *doc)
{
	return (struct alert_row){
		.alert_id = i->alert_id,
		.key = i->key,
		.rule = i->rule->name,
		.host_id = i->host_id,
		.subject = rule_kind_names[i->kind],
		.proc_id = i->proc_id,
		.service = i->service,
		.level = rule_level_names[i->level],
		.state = i->resolved_us ? "resolved" : "firing",
		.opened_us = i->opened_us,
		.resolved_us = i->resolved_us,
		.first_value = i->first,
		.peak_value = i->peak,
		.last_value = i->last,
		.resolved_value = i->resolved_us ? i->last : NAN,
		.title = i->title,
		.doc = doc,
	};
}

/* ---- mail ---- */

static enum mail_unit unit_of(const struct incident *i)
{
	if (!i->rule->measure)
		return MAIL_UNIT_NUMBER;
	switch (i->rule->measure->type) {
	case RULE_BYTES:
		return MAIL_UNIT_BYTES;
	case RULE_BYTE_RATE:
		return MAIL_UNIT_BYTES_PER_HOUR;
	case RULE_DURATION:
		return MAIL_UNIT_SECONDS;
	case RULE_BOOL:
	case RULE_STRING:
	case RULE_COUNT:
	case RULE_RATIO:
	case RULE_COUNT_RATE:
	case RULE_TYPE_COUNT:
		break;
	}
	return MAIL_UNIT_NUMBER;
}

/* The engine's rates are per second, people read them per hour. */
static double shown(enum mail_unit unit, double v)
{
	return unit == MAIL_UNIT_BYTES_PER_HOUR ? v * 3600 : v;
}

static size_t list_actions(const struct incident *i, struct mail_action out[HISTORY])
{
	for (size_t n = 0; n < i->n_actions; n++) {
		const struct action_row *a = &i->actions[n];

		out[n] = (struct mail_action){.t_us = a->done_us,
					      .action = a->action,
					      .target = a->process,
					      .state = a->state,
					      .detail = a->detail,
					      .dry_run = a->dry_run,
					      .before = a->rss_before,
					      .after = a->rss_after};
	}
	return i->n_actions;
}

/* 'slow_leak' is read as 'slow leak'. */
static void headline(const struct rule *r, char *out, size_t size)
{
	str_copy(out, size, r->name);
	for (char *c = out; *c; c++)
		if (*c == '_')
			*c = ' ';
}

static void send_mail(struct incidents *all, struct incident *i, enum mail_state state)
{
	enum mail_unit unit = unit_of(i);
	char head[RULE_NAME_MAX + 1];
	auto_buf struct buf rule_text = BUF_INIT(65536);
	struct incident_scene scene = {0};
	struct mail_action actions[HISTORY];
	struct error err = {""};
	struct incident_mail m = {
		.incident = i->alert_id,
		.sequence = ++i->mails,
		.state = state,
		.rule = i->rule->name,
		.level = rule_level_names[i->level],
		.headline = head,
		.subject_kind = rule_kind_names[i->kind],
		.service = *i->service ? i->service : NULL,
		.opened_us = i->opened_us,
		.now_us = clock_wall_us(),
		.resolved_us = i->resolved_us,
		.unit = unit,
		.first_value = shown(unit, i->first),
		.peak_value = shown(unit, i->peak),
		.last_value = shown(unit, i->last),
		.resolved_value = i->resolved_us ? shown(unit, i->last) : NAN,
		.actions = actions,
		.action_count = list_actions(i, actions),
		.why = i->rule->why,
	};
	int rc;

	if (!all->mailer)
		return;
	headline(i->rule, head, sizeof(head));
	rule_print_rule(&rule_text, all->set, i->rule);
	m.rule_text = (const char *)rule_text.data;
	incident_scene_fill(&scene, &m, host_of(all, i), process_of(all, i), m.now_us);
	rc = mail_incident(all->mailer, &m, &err);
	if (rc < 0 && rc != -ENOTSUP)
		log_error("alert=%lld mail not sent error=\"%s\"", (long long)i->alert_id, err.msg);
}

/* A mail's subject holds the alert's number: wait for it, unless the database cannot give one. */
static void want_mail(struct incidents *all, struct incident *i, enum mail_state state)
{
	if (i->level < RULE_MAIL && !i->mails && state != MAIL_ACTION)
		return;
	if (i->asked) {
		i->mail_due = true;
		i->mail_state = state;
		return;
	}
	send_mail(all, i, state);
}

/* ---- the alert's row ---- */

struct asking {
	struct incidents *all;
	char key[RULE_KEY_SIZE];
};

static struct incident *find(struct incidents *all, const char *key)
{
	struct incident *i;

	HASH_FIND_STR(all->open, key, i);
	return i;
}

static void incident_free(struct incidents *all, struct incident *i)
{
	HASH_DEL(all->open, i);
	free(i->key);
	free(i->explain);
	free(i);
}

static void save(struct incidents *all, struct incident *i);
static void act(struct incidents *all, struct incident *i);

static void on_opened(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct asking *a = arg;
	struct incident *i = find(a->all, a->key);

	if (i) {
		struct alert_row row;

		i->asked = false;
		if (rc == 0 && db_rows(r) == 1) {
			store_alert_row(r, 0, &row);
			i->alert_id = row.alert_id;
		} else {
			log_error("alert=\"%s\" not stored error=\"%s\"", a->key,
				  err ? err->msg : "");
		}
		if (i->mail_due)
			send_mail(a->all, i, i->mail_state);
		i->mail_due = false;
		if (i->act_due && !i->resolved_us)
			act(a->all, i);
		if (i->alert_id || i->resolved_us) /* how many mails there were is part of it */
			save(a->all, i);
	}
	free(a);
}

static void ask_for_id(struct incidents *all, struct incident *i, const struct alert_row *row)
{
	struct asking *a = malloc(sizeof(*a));

	if (!a)
		return;
	a->all = all;
	str_copy(a->key, sizeof(a->key), i->key);
	if (store_alert_open(all->db, row, on_opened, a) < 0)
		free(a);
	else
		i->asked = true;
}

/* Writes what changed; an alert that could not be stored when it opened is tried again here. Frees
 * a resolved one once its row is on its way. */
static void save(struct incidents *all, struct incident *i)
{
	auto_free char *doc = document(all, i);
	struct alert_row row = row_of(i, doc ? doc : "{}");

	if (i->asked)
		return;
	if (!i->alert_id) {
		row.state = "firing";
		ask_for_id(all, i, &row);
		if (i->asked || !i->resolved_us)
			return;
	} else if (i->resolved_us) {
		if (store_alert_resolve(all->db, &row, NULL, NULL) < 0)
			return; /* the sweep tries again */
	} else if (store_alert_update(all->db, &row, NULL, NULL) < 0) {
		log_warn("alert=%lld change not stored", (long long)i->alert_id);
	}
	if (i->resolved_us)
		incident_free(all, i);
}

/* ---- transitions ---- */

static void name_it(struct incidents *all, struct incident *i, const char *service)
{
	const struct host *h = host_of(all, i);
	const struct process *p = process_of(all, i);
	char head[RULE_NAME_MAX + 1];

	headline(i->rule, head, sizeof(head));
	str_copy(i->service, sizeof(i->service), service ? service : "");
	if (p)
		snprintf(i->title, sizeof(i->title), "%s %s (pid %u): %s", h->name,
			 *p->service ? p->service : p->comm, p->pid, head);
	else
		snprintf(i->title, sizeof(i->title), "%s %s%s%s", h ? h->name : "?", i->service,
			 *i->service ? ": " : "", head);
}

static struct incident *incident_new(struct incidents *all, const char *key,
				     const struct rule *rule, int32_t host_id, enum rule_kind kind,
				     int64_t id)
{
	struct incident *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->key = strdup(key);
	i->rule = rule;
	i->host_id = host_id;
	i->kind = kind;
	i->proc_id = kind == RULE_PROCESS ? id : 0;
	i->first = i->peak = i->last = NAN;
	if (i->key)
		HASH_ADD_KEYPTR(hh, all->open, i->key, strlen(i->key), i);
	if (!i->key || !i->hh.tbl) {
		free(i->key);
		free(i);
		return NULL;
	}
	return i;
}

static void take_values(struct incident *i, const struct rule_transition *t)
{
	if (t->has_value) {
		i->first = t->first;
		i->peak = t->peak;
		i->last = t->last;
	}
	if (t->explain && *t->explain) {
		free(i->explain);
		i->explain = strdup(t->explain);
	}
}

static void raised(struct incidents *all, struct incident *i, const struct rule_transition *t,
		   bool fresh)
{
	bool mailed = i->level >= RULE_MAIL && !fresh;

	i->level = t->level;
	log_warn("alert host=%d rule=%s level=%s %s", i->host_id, i->rule->name,
		 rule_level_names[i->level], i->title);
	if (fresh)
		all->counts.opened++;
	if (!i->alert_id)
		save(all, i);
	if (t->level == RULE_MAIL)
		want_mail(all, i, mailed ? MAIL_ESCALATED : MAIL_FIRING);
	if (i->alert_id)
		save(all, i);
}

static void resolved(struct incidents *all, struct incident *i, const struct rule_transition *t)
{
	i->resolved_us = t->t_us;
	all->counts.resolved++;
	log_info("alert=%lld host=%d rule=%s resolved reason=%s %s", (long long)i->alert_id,
		 i->host_id, i->rule->name, t->reason, i->title);
	if (i->mails || i->mail_due)
		want_mail(all, i, MAIL_RESOLVED);
	save(all, i);
}

/* Of a service or a host the largest process is the one where memory can be had. */
static const struct process *target_of(struct incidents *all, const struct incident *i)
{
	struct host *h = host_of(all, i);
	const struct process *best = NULL;
	struct process *p;
	struct process *next;

	if (i->kind == RULE_PROCESS || !h)
		return process_of(all, i);
	HASH_ITER (hh, h->processes, p, next) {
		if (i->kind == RULE_SERVICE && strcmp(p->service, i->service) != 0)
			continue;
		if (!best || p->v[METRIC_RSS] > best->v[METRIC_RSS])
			best = p;
	}
	return best;
}

static void act(struct incidents *all, struct incident *i)
{
	const struct process *p = target_of(all, i);
	struct error err = {"the process has gone"};
	char actor[COMMAND_ACTOR_SIZE];
	int rc = -ESRCH;

	i->act_due = i->asked;
	if (i->asked)
		return;
	snprintf(actor, sizeof(actor), "rule:%s", i->rule->name);
	if (p)
		rc = dispatch_issue(all->dispatch,
				    &(struct action_request){.host_id = i->host_id,
							     .proc_id = p->proc_id,
							     .action = command_action_word(
								     COMMAND_TRIM),
							     .actor = actor,
							     .reason = i->rule->why,
							     .alert_id = i->alert_id},
				    NULL, NULL, &err);
	if (rc == 0) {
		all->counts.actions++;
		i->acted_us = clock_wall_us();
		save(all, i); /* a restart may not act again before its time */
		return;
	}
	log_warn("alert=%lld host=%d rule=%s trim not asked for error=\"%s\"",
		 (long long)i->alert_id, i->host_id, i->rule->name, err.msg);
	/* The engine may not be called from within its own callback: the sweep tells it. */
	i->act_failed = true;
}

static void on_transition(void *arg, const struct rule_transition *t)
{
	struct incidents *all = arg;
	struct incident *i = find(all, t->key);
	bool fresh = !i;

	MAGIC_CHECK(all, INCIDENTS_MAGIC);
	if (fresh && t->what != RULE_RAISED)
		return;
	if (fresh) {
		i = incident_new(all, t->key, t->rule, t->host_id, t->kind, t->id);
		if (!i) {
			log_error("host=%d rule=%s no memory for an alert", t->host_id,
				  t->rule->name);
			return;
		}
		i->opened_us = t->since_us;
		name_it(all, i, t->service);
	}
	i->resolved_us = 0;
	take_values(i, t);
	switch (t->what) {
	case RULE_RAISED:
		raised(all, i, t, fresh);
		break;
	case RULE_LOWERED:
		i->level = t->level;
		save(all, i);
		break;
	case RULE_RESOLVED:
		resolved(all, i, t);
		break;
	case RULE_ACT:
		act(all, i);
		break;
	case RULE_STOOD_DOWN:
		log_warn("alert=%lld rule=%s stands down: %u actions in a row gave nothing",
			 (long long)i->alert_id, i->rule->name, t->ineffective);
		i->stood_down = true;
		want_mail(all, i, MAIL_ACTION);
		save(all, i);
		break;
	case RULE_CHANGE_COUNT:
		break;
	}
}

static const struct rule_engine_ops engine_ops = {.transition = on_transition};

/* An alert may have got its number after its action was asked for: the rule's name finds it too. */
static struct incident *incident_of_action(struct incidents *all, const struct action_row *row)
{
	struct incident *i;
	struct incident *next;

	HASH_ITER (hh, all->open, i, next) {
		if (row->alert_id && i->alert_id == row->alert_id)
			return i;
		if (!row->alert_id && i->host_id == row->host_id && i->proc_id == row->proc_id &&
		    str_starts(row->actor, "rule:") && strcmp(row->actor + 5, i->rule->name) == 0)
			return i;
	}
	return NULL;
}

void incidents_action_finished(struct incidents *all, const struct action_row *row)
{
	struct incident *i = incident_of_action(all, row);
	bool effective = strcmp(row->state, "done") == 0;

	log_info("action host=%d pid=%d type=%s state=%s by=%s %s", row->host_id, row->pid,
		 row->action, row->state, row->actor, row->detail);
	if (!i)
		return;
	if (i->n_actions == HISTORY)
		memmove(i->actions, i->actions + 1, --i->n_actions * sizeof(i->actions[0]));
	i->actions[i->n_actions++] = *row;
	i->ineffective = effective ? 0 : i->ineffective + 1;
	want_mail(all, i, MAIL_ACTION);
	if (i->resolved_us ||
	    engine_action_done(all->engine, i->key, effective, clock_wall_us()) < 0)
		log_debug("action of an alert that is over");
	save(all, i); /* last: it frees one that is resolved */
}

/* ---- samples ---- */

static bool is_python(const struct process *p)
{
	const char *exe = strrchr(p->exe, '/');

	return str_starts(exe ? exe + 1 : p->exe, "python") || str_starts(p->comm, "python") ||
	       str_starts(p->comm, "gunicorn") || str_starts(p->comm, "uwsgi") ||
	       str_starts(p->comm, "celery");
}

void incidents_process(struct incidents *all, const struct host *h, const struct process *p,
		       int64_t t_us)
{
	const struct rule_subject who = {
		.kind = RULE_PROCESS,
		.host_id = h->host_id,
		.id = p->proc_id,
		.rev = p->rev,
		.host = h->name,
		.service = p->service,
		.comm = p->comm,
		.exe = p->exe,
		.cmdline = p->cmdline,
		.cgroup = p->cgroup,
		.uid = p->uid,
		.python = is_python(p),
		.first_seen_us = p->first_seen_us,
	};

	if (engine_sample(all->engine, &who, t_us, p->v) < 0)
		log_debug("host=%d pid=%u sample not taken by the rules", h->host_id, p->pid);
}

void incidents_host(struct incidents *all, const struct host *h, int64_t t_us)
{
	const struct rule_subject who = {.kind = RULE_HOST,
					 .host_id = h->host_id,
					 .host = h->name,
					 .uid = -1};

	if (engine_sample(all->engine, &who, t_us, h->v) < 0)
		log_debug("host=%d sample not taken by the rules", h->host_id);
}

void incidents_exit(struct incidents *all, const struct host *h, const struct process *p,
		    int64_t t_us)
{
	engine_gone(all->engine, RULE_PROCESS, h->host_id, p->proc_id, t_us);
}

static void on_sweep(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct incidents *all = arg;
	int64_t now = clock_wall_us();
	struct incident *i;
	struct incident *next;

	MAGIC_CHECK(all, INCIDENTS_MAGIC);
	engine_sweep(all->engine, now);
	memset(all->counts.firing, 0, sizeof(all->counts.firing));
	HASH_ITER (hh, all->open, i, next) {
		all->counts.firing[i->level] += !i->resolved_us;
		if (i->act_failed) {
			i->act_failed = false;
			if (engine_action_done(all->engine, i->key, false, now) < 0)
				log_debug("alert=%lld is over", (long long)i->alert_id);
		}
	}
	/* Rows that the database could not take when they changed. */
	HASH_ITER (hh, all->open, i, next)
		if ((!i->alert_id && !i->asked) || i->resolved_us)
			save(all, i);
}

/* ---- rules files ---- */

static int is_rules(const struct dirent *d)
{
	return d->d_name[0] != '.' && str_ends(d->d_name, ".rules");
}

static int load_file(struct rule_set *set, const char *path, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(RULES_FILE_MAX);
	int rc = fs_read(path, &b, err);

	if (rc < 0)
		return -EINVAL;
	return b.len ? rule_set_parse(set, path, (const char *)b.data, b.len, err) : 0;
}

static int load_folder(struct rule_set *set, const char *folder, struct error *err)
{
	struct dirent **names = NULL;
	int n = scandir(folder, &names, is_rules, alphasort);
	int rc = 0;

	if (n < 0) {
		log_warn("rules_dir=\"%s\" cannot be read, so no rule is in force: %s", folder,
			 strerror(errno));
		return 0;
	}
	for (int i = 0; i < n; i++) {
		auto_free char *path = NULL;

		if (!rc && asprintf(&path, "%s/%s", folder, names[i]->d_name) < 0) {
			path = NULL;
			rc = error_set(err, -ENOMEM, "no memory for the rules");
		}
		if (!rc)
			rc = load_file(set, path, err);
		free(names[i]);
	}
	free(names);
	return rc;
}

int incidents_new(struct event_base *base, const char *folder, struct registry *registry,
		  struct incidents **ret, struct error *err)
{
	struct incidents *all = calloc(1, sizeof(*all));
	int rc;

	if (!all)
		return error_set(err, -ENOMEM, "no memory for the rules");
	all->magic = INCIDENTS_MAGIC;
	all->base = base;
	all->registry = registry;
	rc = rule_set_new(&all->set);
	if (!rc)
		rc = load_folder(all->set, folder, err);
	if (!rc)
		rc = engine_new(all->set, clock_wall_us(), &engine_ops, all, &all->engine);
	if (rc < 0) {
		incidents_free(&all);
		return rc;
	}
	*ret = all;
	return 0;
}

void incidents_free(struct incidents **all)
{
	struct incident *i;
	struct incident *next;

	if (!*all)
		return;
	if ((*all)->sweep)
		event_free((*all)->sweep);
	HASH_ITER (hh, (*all)->open, i, next)
		incident_free(*all, i);
	engine_free(&(*all)->engine);
	rule_set_free(&(*all)->set);
	free(*all);
	*all = NULL;
}

void incidents_connect(struct incidents *all, struct db *db, struct mailer *mailer,
		       struct dispatch *dispatch)
{
	all->db = db;
	all->mailer = mailer;
	all->dispatch = dispatch;
}

/* ---- after a restart ---- */

static void restore_row(struct incidents *all, const struct alert_row *row)
{
	struct rule_saved saved = {
		.key = row->key,
		.since_us = row->opened_us,
		.has_value = !isnan(row->first_value),
		.first = row->first_value,
		.peak = row->peak_value,
		.last = row->last_value,
	};
	int level = rule_level_find(row->level);
	json_t *doc = json_loads(row->doc, 0, NULL);
	struct rule_key key;
	const struct rule *rule = NULL;
	struct incident *i = NULL;

	if (level >= 0 && rule_key_parse(row->key, &key) == 0)
		rule = rule_set_find(all->set, key.rule);
	saved.level = level < 0 ? RULE_LOG : (enum rule_level)level;
	saved.acted_us = json_integer_value(json_object_get(doc, "acted_us"));
	saved.ineffective = (unsigned)json_integer_value(json_object_get(doc, "ineffective"));
	saved.stood_down = json_is_true(json_object_get(doc, "stood_down"));
	if (rule && engine_restore(all->engine, &saved) == 0)
		i = incident_new(all, row->key, rule, row->host_id, key.kind, key.id);
	if (i) {
		i->alert_id = row->alert_id;
		i->level = saved.level;
		i->opened_us = row->opened_us;
		i->first = row->first_value;
		i->peak = row->peak_value;
		i->last = row->last_value;
		i->acted_us = saved.acted_us;
		i->ineffective = saved.ineffective;
		i->stood_down = saved.stood_down;
		i->mails = (unsigned)json_integer_value(json_object_get(doc, "mails"));
		str_copy(i->service, sizeof(i->service), row->service ? row->service : "");
		str_copy(i->title, sizeof(i->title), row->title);
	} else {
		struct alert_row ended = *row;

		ended.resolved_us = clock_wall_us();
		ended.resolved_value = NAN;
		log_info("alert=%lld its rule is no more, resolved", (long long)row->alert_id);
		if (store_alert_resolve(all->db, &ended, NULL, NULL) < 0)
			log_warn("alert=%lld stays open", (long long)row->alert_id);
	}
	json_decref(doc);
}

static void on_alerts(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct incidents *all = arg;
	const struct timeval tv = {.tv_sec = SWEEP_SEC};

	MAGIC_CHECK(all, INCIDENTS_MAGIC);
	if (rc < 0)
		log_error("open alerts could not be read error=\"%s\"", err ? err->msg : "");
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		struct alert_row row;

		store_alert_row(r, i, &row);
		restore_row(all, &row);
	}
	all->sweep = event_new(all->base, -1, EV_PERSIST, on_sweep, all);
	if (!all->sweep || event_add(all->sweep, &tv) < 0)
		log_error("no memory for the rules' timer");
	all->restored(all->restored_arg);
}

int incidents_restore(struct incidents *all, void (*done)(void *arg), void *arg)
{
	const struct alert_filter f = {.state = "firing", .limit = RESTORE_MAX};

	all->restored = done;
	all->restored_arg = arg;
	return store_alert_list(all->db, &f, on_alerts, all);
}

/* ---- for REST ---- */

void incidents_counts(const struct incidents *all, struct incident_counts *ret)
{
	*ret = all->counts;
}

void incidents_write_rules(void *arg, struct json_writer *w)
{
	const struct incidents *all = arg;

	jw_key(w, "items");
	jw_array(w);
	for (unsigned n = 0; n < all->set->n_rules; n++) {
		const struct rule *r = all->set->rules[n];
		auto_buf struct buf text = BUF_INIT(65536);

		rule_print_rule(&text, all->set, r);
		jw_object(w);
		jw_k_str(w, "name", r->name);
		jw_k_str(w, "subject", rule_kind_names[r->kind]);
		jw_k_str(w, "why", r->why);
		jw_k_str(w, "origin", r->origin);
		jw_k_int(w, "line", r->line);
		jw_k_str(w, "text", (const char *)text.data);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_k_null(w, "next_cursor");
}

int incidents_check_rules(void *arg unused_arg, const char *text, size_t len, struct error *err)
{
	struct rule_set *set = NULL;
	int rc = rule_set_new(&set);

	if (!rc)
		rc = rule_set_parse(set, "text", text, len, err);
	rule_set_free(&set);
	return rc;
}
