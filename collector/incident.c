/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/incident.h"

#include <errno.h>
#include <event2/event.h>
#include <math.h>
#include <string.h>

#include "collector/command/approval.h"
#include "collector/command/dispatch.h"
#include "collector/incident_inner.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define SWEEP_SEC 1
/* An action that has to wait is asked for again after this; so many in a sweep. */
#define ACT_RETRY_US  (15 * USEC_PER_SEC)
#define ACT_AGAIN_MAX 8
/* Alerts that came and went while the database was away: beyond so many the oldest have no row. */
#define KEPT_MAX 10000

struct host *incident_host(const struct incidents *all, const struct incident *i)
{
	return registry_find_host(all->registry, i->host_id);
}

struct process *incident_process(const struct incidents *all, const struct incident *i)
{
	struct host *h = incident_host(all, i);

	return h && i->proc_id ? registry_find_process(h, i->proc_id) : NULL;
}

struct incident *incident_find(struct incidents *all, const char *key)
{
	struct incident *i;

	HASH_FIND_STR(all->open, key, i);
	return i;
}

void incident_free(struct incidents *all, struct incident *i)
{
	HASH_DEL(all->open, i);
	json_decref(i->earlier);
	free(i->key);
	free(i->explain);
	free(i);
}

/* 'slow_leak' is read as 'slow leak'. */
void incident_headline(const struct rule *r, char *out, size_t size)
{
	str_copy(out, size, r->name);
	for (char *c = out; *c; c++)
		if (*c == '_')
			*c = ' ';
}

/* ---- transitions ---- */

static void name_it(struct incidents *all, struct incident *i, const char *service)
{
	const struct host *h = incident_host(all, i);
	const struct process *p = incident_process(all, i);
	char head[RULE_NAME_MAX + 1];

	incident_headline(i->rule, head, sizeof(head));
	str_copy(i->service, sizeof(i->service), service ? service : "");
	if (p)
		snprintf(i->title, sizeof(i->title), "%s %s (pid %u): %s", h->name,
			 *p->service ? p->service : p->comm, p->pid, head);
	else
		snprintf(i->title, sizeof(i->title), "%s %s%s%s", h ? h->name : "?", i->service,
			 *i->service ? ": " : "", head);
}

struct incident *incident_new(struct incidents *all, const char *key, const struct rule *rule,
			      int32_t host_id, enum rule_kind kind, int64_t id)
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
	i->level = t->level;
	if (!all->leads)
		return;
	log_warn("alert host=%d rule=%s level=%s %s", i->host_id, i->rule->name,
		 rule_level_names[i->level], i->title);
	if (fresh)
		all->counts.opened++;
	incident_save(all, i);
	/* What 'trim' leads to is told by the mail about the action. */
	if (t->level == RULE_MAIL)
		incident_want_mail(all, i, i->mails || i->mail_due ? MAIL_ESCALATED : MAIL_FIRING);
}

static void resolved(struct incidents *all, struct incident *i, const struct rule_transition *t)
{
	i->resolved_us = t->t_us;
	i->act_due = false;
	if (!all->leads) {
		incident_free(all, i);
		return;
	}
	all->counts.resolved++;
	log_info("alert=%lld host=%d rule=%s resolved reason=%s %s", (long long)i->alert_id,
		 i->host_id, i->rule->name, t->reason, i->title);
	if (i->mails || i->mail_due)
		incident_want_mail(all, i, MAIL_RESOLVED);
	incident_save(all, i);
}

/* Of a service or a host the largest process is the one where memory can be had. */
const struct process *incident_target(const struct incidents *all, const struct incident *i)
{
	struct host *h = incident_host(all, i);
	const struct process *best = NULL;
	struct process *p;
	struct process *next;

	if (i->kind == RULE_PROCESS || !h)
		return incident_process(all, i);
	HASH_ITER (hh, h->processes, p, next) {
		if (i->kind == RULE_SERVICE && strcmp(p->service, i->service) != 0)
			continue;
		if (!best || p->v[METRIC_RSS] > best->v[METRIC_RSS])
			best = p;
	}
	return best;
}

/* The level at which the rule acts; NULL: it has none. */
static const struct rule_level_def *acting_level(const struct incident *i)
{
	for (unsigned n = 0; n < i->rule->n_levels; n++)
		if (i->rule->levels[n].level == RULE_TRIM)
			return &i->rule->levels[n];
	return NULL;
}

/* What the rule says is done there, with its parameters. */
static int ask_for(struct incidents *all, const struct incident *i, const struct process *p,
		   const char *actor, struct error *err)
{
	const struct rule_level_def *l = acting_level(i);
	struct action_request r = {
		.host_id = i->host_id,
		.proc_id = p->proc_id,
		.action = command_action_word(l ? l->action : COMMAND_TRIM),
		.actor = actor,
		.reason = i->rule->why,
		.approve = l && l->approve,
		.alert_id = i->alert_id,
	};

	if (l)
		memcpy(r.params, l->params, sizeof(r.params));
	return dispatch_issue(all->dispatch, &r, NULL, NULL, err);
}

static void act(struct incidents *all, struct incident *i)
{
	const struct process *p = incident_target(all, i);
	struct error err = {"the process has gone"};
	char actor[COMMAND_ACTOR_SIZE];
	int rc = -ESRCH;

	/* An action belongs to its alert; whoever leads has it done. */
	i->act_due = !i->alert_id && all->leads;
	if (!i->alert_id || !all->leads)
		return;
	snprintf(actor, sizeof(actor), "rule:%s", i->rule->name);
	if (p)
		rc = ask_for(all, i, p, actor, &err);
	if (rc == 0)
		return;
	log_warn("alert=%lld host=%d rule=%s action not asked for error=\"%s\"",
		 (long long)i->alert_id, i->host_id, i->rule->name, err.msg);
	/* The engine may not be called from within its own callback: the sweep tells it. */
	i->act_failed = true;
}

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

static struct action_row *known_action(struct incident *i, const struct action_row *row)
{
	for (size_t n = 0; n < i->n_actions; n++)
		if (memcmp(i->actions[n].cmd_id, row->cmd_id, sizeof(row->cmd_id)) == 0)
			return &i->actions[n];
	return NULL;
}

/* One that was told as waiting for approval is told in its place when it ends. */
static void keep_action(struct incident *i, const struct action_row *row)
{
	struct action_row *known = known_action(i, row);

	if (!known && i->n_actions == INCIDENT_ACTIONS)
		memmove(i->actions, i->actions + 1, --i->n_actions * sizeof(i->actions[0]));
	if (!known)
		known = &i->actions[i->n_actions++];
	*known = *row;
}

static void tell_waiting(struct incidents *all, struct incident *i, const struct action_row *row)
{
	struct action_row told = *row;

	approval_text(row, told.detail);
	keep_action(i, &told);
	incident_want_mail(all, i, MAIL_ACTION);
	incident_save(all, i);
}

/* The row says why it waits now; that the time gets shorter is no news. */
static bool same_reason(const char *before, const char *now)
{
	const char *time = strstr(now, " for another ");

	return time ? strncmp(before, now, (size_t)(time - now)) == 0 : strcmp(before, now) == 0;
}

/* What has to wait is asked for again by the sweep; what cannot be is told the engine by it, which
 * may not be called from within its own callback. */
void incidents_action_asked(struct incidents *all, int rc, const struct action_row *row,
			    const struct error *err)
{
	struct incident *i = row->alert_id ? incident_of_action(all, row) : NULL;
	char why[sizeof(i->act_waits)];

	if (rc >= 0)
		all->counts.actions++;
	if (!i || !all->leads || strcmp(row->action, command_action_word(COMMAND_CENSUS)) == 0)
		return;
	if (rc == -EAGAIN || rc == -EBUSY || rc == -EDQUOT || rc == -EPERM) {
		if (!*i->act_waits)
			log_info("alert=%lld host=%d rule=%s %s waits why=\"%s\"",
				 (long long)i->alert_id, i->host_id, i->rule->name, row->action,
				 err->msg);
		str_safe(why, sizeof(why), err->msg, strlen(err->msg));
		i->unsaved = i->unsaved || !same_reason(i->act_waits, why);
		(void)str_copy(i->act_waits, sizeof(i->act_waits), why);
		i->act_due = !i->resolved_us;
		i->act_retry_us = clock_boot_us() + ACT_RETRY_US;
		return;
	}
	i->act_waits[0] = '\0';
	i->act_failed = rc < 0;
	if (rc == 0 && strcmp(row->state, ACTION_WAITING) == 0)
		tell_waiting(all, i, row);
}

/* Those that had to wait, a few at a time; not where the need has passed. */
static void act_again(struct incidents *all)
{
	int64_t now_us = clock_boot_us();
	unsigned room = ACT_AGAIN_MAX;
	struct incident *i;
	struct incident *next;

	HASH_ITER (hh, all->open, i, next) {
		if (!*i->act_waits || now_us < i->act_retry_us)
			continue;
		if (!i->act_due || i->resolved_us || i->level != RULE_TRIM) {
			i->act_waits[0] = '\0';
			i->act_due = false;
		} else if (room) {
			room--;
			i->act_retry_us = now_us + ACT_RETRY_US;
			act(all, i);
		}
	}
}

void incident_numbered(struct incidents *all, struct incident *i)
{
	if (i->mail_due) {
		i->mail_due = false;
		incident_send_mail(all, i, i->mail_state);
	}
	if (i->act_due && !*i->act_waits)
		act(all, i);
	if (i->unsaved)
		incident_save(all, i);
}

static void on_transition(void *arg, const struct rule_transition *t)
{
	struct incidents *all = arg;
	struct incident *i = incident_find(all, t->key);
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
	i->ineffective = t->ineffective;
	take_values(i, t);
	switch (t->what) {
	case RULE_RAISED:
		raised(all, i, t, fresh);
		break;
	case RULE_LOWERED:
		i->level = t->level;
		incident_save(all, i);
		break;
	case RULE_RESOLVED:
		resolved(all, i, t);
		break;
	case RULE_ACT:
		i->acted_us = t->t_us;
		act(all, i);
		incident_save(all, i);
		break;
	case RULE_STOOD_DOWN:
		i->stood_down = true;
		if (!all->leads)
			break;
		log_warn("alert=%lld rule=%s stands down: %u actions in a row gave nothing",
			 (long long)i->alert_id, i->rule->name, t->ineffective);
		incident_want_mail(all, i, MAIL_ACTION);
		incident_save(all, i);
		break;
	case RULE_CHANGE_COUNT:
		break;
	}
}

static const struct rule_engine_ops engine_ops = {.transition = on_transition};

static bool is_word(const json_t *v, const char *word)
{
	return json_is_string(v) && strcmp(json_string_value(v), word) == 0;
}

/* The table tells of each end for a while. */
static bool knows_action(const struct incident *i, const struct action_row *row)
{
	char id[UUID_TEXT_SIZE];
	const json_t *one;
	size_t n;

	for (n = 0; n < i->n_actions; n++)
		if (memcmp(i->actions[n].cmd_id, row->cmd_id, sizeof(row->cmd_id)) == 0)
			return strcmp(i->actions[n].state, ACTION_WAITING) != 0;
	uuid_text(id, row->cmd_id);
	json_array_foreach (i->earlier, n, one)
		if (is_word(json_object_get(one, "id"), id))
			return !is_word(json_object_get(one, "state"), ACTION_WAITING);
	return false;
}

void incidents_action_finished(struct incidents *all, const struct action_row *row)
{
	struct incident *i = incident_of_action(all, row);
	bool effective = strcmp(row->state, "done") == 0;

	if (!all->leads || (i && knows_action(i, row)))
		return;

	log_info("action host=%d pid=%d type=%s state=%s by=%s %s", row->host_id, row->pid,
		 row->action, row->state, row->actor, row->detail);
	/* A census gives nothing back: what it found is told, not that it was taken. */
	if (!i || strcmp(row->action, command_action_word(COMMAND_CENSUS)) == 0)
		return;
	keep_action(i, row);
	incident_want_mail(all, i, MAIL_ACTION);
	incident_save(all, i);
	if (engine_action_done(all->engine, i->key, effective, clock_wall_us()) < 0)
		log_debug("action of an alert that is over");
}

void incidents_action_verified(struct incidents *all, const struct action_row *row)
{
	struct incident *i = row->alert_id ? incident_of_action(all, row) : NULL;
	struct action_row *known;

	if (!all->leads || !i)
		return;
	known = known_action(i, row);
	if (!known)
		return;
	*known = *row;
	/* The mail about the action said that it had helped. */
	if (strcmp(row->verdict, effect_verdict_word(EFFECT_REGREW)) == 0)
		incident_want_mail(all, i, MAIL_ACTION);
	incident_save(all, i);
}

/* ---- samples ---- */

/* Where the agent did not look inside, the names tell. */
static bool is_python(const struct process *p)
{
	const char *exe = strrchr(p->exe, '/');

	return p->python || p->v[METRIC_PYTHON_STATE] != METRIC_ABSENT ||
	       str_starts(exe ? exe + 1 : p->exe, "python") || str_starts(p->comm, "python") ||
	       str_starts(p->comm, "gunicorn") || str_starts(p->comm, "uwsgi") ||
	       str_starts(p->comm, "celery");
}

void incidents_process(struct incidents *all, const struct host *h, const struct process *p,
		       int64_t t_us)
{
	int64_t limit = registry_limit_of(h, p);
	const struct rule_subject who = {
		.kind = RULE_PROCESS,
		.host_id = h->host_id,
		.id = p->proc_id,
		.rev = p->rev + h->rev, /* both only rise; the host's name is a label too */
		.host = h->name,
		.service = p->service,
		.comm = p->comm,
		.exe = p->exe,
		.cmdline = p->cmdline,
		.cgroup = p->cgroup,
		.uid = p->uid,
		.python = is_python(p),
		.first_seen_us = p->first_seen_us,
		.limit_kib = limit == METRIC_ABSENT ? 0 : limit,
	};

	if (engine_sample(all->engine, &who, t_us, p->v) < 0)
		log_debug("host=%d pid=%u sample not taken by the rules", h->host_id, p->pid);
}

static struct rule_subject subject_of(const struct host *h)
{
	return (struct rule_subject){.kind = RULE_HOST,
				     .host_id = h->host_id,
				     .rev = h->rev,
				     .host = h->name,
				     .uid = -1};
}

void incidents_expect(struct incidents *all, const struct host *h)
{
	const struct rule_subject who = subject_of(h);

	if (engine_expect(all->engine, &who, clock_wall_us()) < 0)
		log_error("host=%d no memory to watch for its silence", h->host_id);
}

void incidents_host(struct incidents *all, const struct host *h, int64_t t_us)
{
	const struct rule_subject who = subject_of(h);

	if (engine_sample(all->engine, &who, t_us, h->v) < 0)
		log_debug("host=%d sample not taken by the rules", h->host_id);
}

void incidents_exit(struct incidents *all, const struct host *h, const struct process *p,
		    int64_t t_us)
{
	engine_gone(all->engine, RULE_PROCESS, h->host_id, p->proc_id, t_us);
}

/* What act() could not tell the engine from within its callback. */
static void tell_failed(struct incidents *all, int64_t now_us)
{
	struct incident *i;
	struct incident *next;

	HASH_ITER (hh, all->open, i, next) {
		if (!i->act_failed)
			continue;
		i->act_failed = false;
		if (engine_action_done(all->engine, i->key, false, now_us) < 0)
			log_debug("alert=%lld is over", (long long)i->alert_id);
	}
}

/* Rows that the database could not take when they changed. */
static void save_behind(struct incidents *all)
{
	struct incident *i;
	struct incident *next;

	HASH_ITER (hh, all->open, i, next) {
		bool lost = i->resolved_us && !i->alert_id && !i->asking;

		if (lost && HASH_COUNT(all->open) > KEPT_MAX)
			incident_free(all, i);
		else if (i->unsaved || i->resolved_us)
			incident_save(all, i);
	}
}

static void count_firing(struct incidents *all)
{
	struct incident *i;
	struct incident *next;

	memset(all->counts.firing, 0, sizeof(all->counts.firing));
	HASH_ITER (hh, all->open, i, next)
		all->counts.firing[i->level] += !i->resolved_us;
}

static void on_sweep(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct incidents *all = arg;
	int64_t now = clock_wall_us();

	MAGIC_CHECK(all, INCIDENTS_MAGIC);
	engine_sweep(all->engine, now);
	tell_failed(all, now);
	if (all->leads)
		act_again(all);
	incident_lead_again(all);
	if (all->leads && !all->reading) {
		incident_census_sweep(all, now);
		save_behind(all);
	}
	count_firing(all);
}

/* ---- its life ---- */

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
	all->leads = true;
	rc = rule_set_new(&all->set);
	if (!rc)
		rc = incident_load_rules(all->set, folder, err);
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

int incidents_restore(struct incidents *all, void (*done)(void *arg), void *arg)
{
	const struct timeval tv = {.tv_sec = SWEEP_SEC};

	all->restored = done;
	all->restored_arg = arg;
	all->sweep = event_new(all->base, -1, EV_PERSIST, on_sweep, all);
	if (!all->sweep || event_add(all->sweep, &tv) < 0)
		return -ENOMEM;
	return incident_restore_all(all);
}

void incidents_counts(const struct incidents *all, struct incident_counts *ret)
{
	*ret = all->counts;
}
