/* SPDX-License-Identifier: Apache-2.0 */
/* The alert's row: opened, kept in step, closed, and taken up again after a restart. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "collector/incident_inner.h"
#include "collector/incident_mail.h"
#include "collector/kill_alert.h"
#include "collector/store/store_alert.h"
#include "collector/store/store_breaker.h"
#include "collector/store/store_journal.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define PRINTED_MAX 65536
#define RESTORE_MAX 1000
#define RETRY_US    (10 * USEC_PER_SEC)

/* ---- what is known about an incident, as a document ---- */

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
	json_t *list = i->earlier ? json_copy(i->earlier) : json_array();

	for (size_t n = 0; n < i->n_actions; n++) {
		const struct action_row *a = &i->actions[n];
		char id[UUID_TEXT_SIZE];

		uuid_text(id, a->cmd_id);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "id",
						      id, "type", a->action, "state", a->state,
						      "rss_before_bytes", (json_int_t)a->rss_before,
						      "rss_after_bytes", (json_int_t)a->rss_after,
						      "detail", a->detail, "verdict", a->verdict));
	}
	while (json_array_size(list) > INCIDENT_ACTIONS)
		json_array_remove(list, 0);
	return list;
}

/* What the engine needs to take the alert up again. */
static json_t *describe_state(const struct incident *i)
{
	return json_pack("{s:i, s:i, s:b, s:I, s:i, s:I}", "mails", (int)i->mails, "ineffective",
			 (int)i->ineffective, "stood_down", (int)i->stood_down, "acted_us",
			 (json_int_t)i->acted_us, "censuses", (int)i->censuses, "census_us",
			 (json_int_t)i->census_us);
}

/* The evidence. */
static char *document(const struct incidents *all, const struct incident *i)
{
	int64_t now = clock_wall_us();
	struct host *h = incident_host(all, i);
	struct process *p = incident_process(all, i);
	auto_buf struct buf text = BUF_INIT(PRINTED_MAX);
	json_t *verdict = incident_verdict(all, i);
	json_t *doc;
	char *out;

	if (!p && h)
		p = host_culprit(h, now, NULL);
	rule_print_rule(&text, all->set, i->rule);
	doc = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "why", i->rule->why, "rule_text",
			text.data ? (const char *)text.data : "", "explain",
			i->explain ? i->explain : "", "culprit",
			p ? describe_process(p, now) : json_null(), "actions", describe_actions(i),
			"state", describe_state(i));
	if (doc && h && host_time_to_oom_us(h, now) >= 0)
		json_object_set_new(doc, "time_to_oom_seconds",
				    json_real((double)host_time_to_oom_us(h, now) / 1e6));
	if (doc && *i->act_waits)
		json_object_set_new(doc, "action_waits", json_string(i->act_waits));
	if (doc && verdict)
		json_object_set(doc, "verdict", verdict);
	json_decref(verdict);
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

/* ---- writing ---- */

/* A statement about the row of key; the incident may be gone when the answer comes. */
struct asking {
	struct incidents *all;
	char key[RULE_KEY_SIZE];
};

static struct asking *asking_new(struct incidents *all, const struct incident *i)
{
	struct asking *a = malloc(sizeof(*a));

	if (!a)
		return NULL;
	a->all = all;
	str_copy(a->key, sizeof(a->key), i->key);
	return a;
}

/* The incident that an answer is about; the asking ends here. */
static struct incident *asking_end(struct asking *a, struct incidents **ret_all, int rc,
				   const struct error *err)
{
	struct incident *i = incident_find(a->all, a->key);

	if (i)
		i->asking = false;
	if (i && rc < 0) {
		i->unsaved = true;
		i->retry_us = clock_boot_us() + RETRY_US;
	}
	if (rc < 0)
		log_error("alert=\"%s\" not stored error=\"%s\"", a->key, err ? err->msg : "");
	*ret_all = a->all;
	free(a);
	return i;
}

static void on_opened(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct incidents *all;
	struct incident *i = asking_end(arg, &all, rc, err);
	struct alert_row row;

	if (!i)
		return;
	if (!all->leads) /* the answer came too late for us */
		return;
	if (rc == 0 && db_rows(r) == 1) {
		store_alert_row(r, 0, &row);
		i->alert_id = row.alert_id;
	} else if (rc == 0) { /* refused: somebody else leads, as we shall hear */
		i->unsaved = true;
		return;
	}
	incident_numbered(all, i);
}

static void on_updated(void *arg, int rc, const struct db_result *r unused_arg,
		       const struct error *err)
{
	struct incidents *all;

	asking_end(arg, &all, rc, err);
}

static void on_closed(void *arg, int rc, const struct db_result *r unused_arg,
		      const struct error *err)
{
	struct incidents *all;
	struct incident *i = asking_end(arg, &all, rc, err);

	if (!i || rc < 0 || !all->leads)
		return;
	if (i->resolved_us) {
		incident_free(all, i);
	} else { /* it fires again: that row is closed, so it gets one of its own */
		i->alert_id = 0;
		i->unsaved = true;
	}
}

void incident_save(struct incidents *all, struct incident *i)
{
	auto_free char *doc = NULL;
	struct asking *a;
	struct alert_row row;
	int rc;

	i->unsaved = all->leads;
	if (!all->leads || all->reading || i->asking || clock_boot_us() < i->retry_us ||
	    !db_ready(all->db))
		return;
	a = asking_new(all, i);
	if (!a)
		return;
	doc = document(all, i);
	row = row_of(i, doc ? doc : "{}");
	if (!i->alert_id)
		rc = store_alert_open(all->db, &row, on_opened, a);
	else if (i->resolved_us)
		rc = store_alert_resolve(all->db, &row, on_closed, a);
	else
		rc = store_alert_update(all->db, &row, on_updated, a);
	if (rc < 0) {
		free(a);
		return;
	}
	i->asking = true;
	i->unsaved = false;
}

/* ---- after a restart ---- */

/* Its row may count a mail that was queued in memory only, when whoever did that died. */
static unsigned mails_of(const struct alert_row *row, const json_t *state)
{
	return row->unmailed ? 0 : (unsigned)json_integer_value(json_object_get(state, "mails"));
}

static struct incident *take_up(struct incidents *all, const struct alert_row *row,
				const json_t *state)
{
	struct rule_saved saved = {
		.key = row->key,
		.since_us = row->opened_us,
		.has_value = !isnan(row->first_value),
		.first = row->first_value,
		.peak = row->peak_value,
		.last = row->last_value,
		.ineffective = (unsigned)json_integer_value(json_object_get(state, "ineffective")),
		.stood_down = json_is_true(json_object_get(state, "stood_down")),
		.acted_us = json_integer_value(json_object_get(state, "acted_us")),
	};
	int level = rule_level_find(row->level);
	const struct rule *rule;
	struct rule_key key;
	struct incident *i;

	if (level < 0 || rule_key_parse(row->key, &key) < 0)
		return NULL;
	saved.level = (enum rule_level)level;
	rule = rule_set_find(all->set, key.rule);
	if (!rule || engine_restore(all->engine, &saved) < 0)
		return NULL;
	i = incident_new(all, row->key, rule, row->host_id, key.kind, key.id);
	if (!i)
		return NULL;
	i->level = saved.level;
	i->ineffective = saved.ineffective;
	i->stood_down = saved.stood_down;
	i->acted_us = saved.acted_us;
	i->mails = mails_of(row, state);
	i->censuses = (unsigned)json_integer_value(json_object_get(state, "censuses"));
	i->census_us = json_integer_value(json_object_get(state, "census_us"));
	return i;
}

static void fill(struct incident *i, const struct alert_row *row, const json_t *doc)
{
	const char *explain = json_string_value(json_object_get(doc, "explain"));
	json_t *actions = json_object_get(doc, "actions");

	i->alert_id = row->alert_id;
	i->opened_us = row->opened_us;
	i->first = row->first_value;
	i->peak = row->peak_value;
	i->last = row->last_value;
	i->explain = explain ? strdup(explain) : NULL;
	i->earlier = json_is_array(actions) ? json_incref(actions) : NULL;
	str_copy(i->service, sizeof(i->service), row->service ? row->service : "");
	str_copy(i->title, sizeof(i->title), row->title);
}

/* Nothing looks after it any more: its rule, or the level it was on, is gone. */
static void give_up(struct incidents *all, const struct alert_row *row)
{
	struct alert_row ended = *row;

	ended.resolved_us = clock_wall_us();
	ended.resolved_value = NAN;
	log_info("alert=%lld its rule is no more, resolved", (long long)row->alert_id);
	if (store_alert_resolve(all->db, &ended, NULL, NULL) < 0)
		log_warn("alert=%lld stays open", (long long)row->alert_id);
}

void incident_adopt(struct incidents *all, const struct alert_row *row)
{
	struct incident *i = incident_find(all, row->key);
	json_t *doc = json_loads(row->doc, 0, NULL);
	const json_t *state = json_object_get(doc, "state");

	if (!i)
		i = take_up(all, row, state);
	if (i) {
		free(i->explain);
		json_decref(i->earlier);
		i->mails = MAX_OF(i->mails, mails_of(row, state));
		fill(i, row, doc);
		i->n_actions = 0;
		i->unsaved = true;
	} else {
		give_up(all, row);
	}
	json_decref(doc);
}

static void on_alerts(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct incidents *all = arg;

	MAGIC_CHECK(all, INCIDENTS_MAGIC);
	if (rc < 0)
		log_error("open alerts could not be read error=\"%s\"", err ? err->msg : "");
	for (size_t n = 0; rc == 0 && n < db_rows(r); n++) {
		struct alert_row row;
		struct incident *i;
		json_t *doc;

		store_alert_row(r, n, &row);
		if (kill_alert_is_key(row.key) || store_breaker_is_key(row.key) ||
		    store_journal_is_key(row.key))
			continue;
		doc = json_loads(row.doc, 0, NULL);
		i = take_up(all, &row, json_object_get(doc, "state"));
		if (i)
			fill(i, &row, doc);
		else
			give_up(all, &row);
		json_decref(doc);
	}
	all->taken_up = true;
	all->restored(all->restored_arg);
}

int incident_restore_all(struct incidents *all)
{
	const struct alert_filter f = {.state = "firing", .limit = RESTORE_MAX};

	return store_alert_list(all->db, &f, on_alerts, all);
}
