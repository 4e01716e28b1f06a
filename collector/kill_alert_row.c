/* SPDX-License-Identifier: Apache-2.0 */
/* The row of a host's kills: opened, kept in step, closed, and taken up again after a restart. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "collector/kill_alert_inner.h"
#include "collector/store/store_alert.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define KEY_PREFIX \
	KILL_ALERT_RULE "|host|" /* no key of a rule has a word where these have theirs */
#define WHY         "processes were killed because memory was short"
#define RESTORE_MAX 1000
#define RETRY_US    (10 * USEC_PER_SEC)

bool kill_alert_is_key(const char *key)
{
	return str_starts(key, KEY_PREFIX);
}

static int parse_key(const char *key, int32_t *ret_host)
{
	int64_t id;

	if (!kill_alert_is_key(key) || str_parse_int(key + strlen(KEY_PREFIX), &id) < 0 || id < 1 ||
	    id > INT32_MAX)
		return -EINVAL;
	*ret_host = (int32_t)id;
	return 0;
}

/* ---- the document: what lists show, and what a restart needs ---- */

static json_t *state_of(const struct kill_alert *a)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:b, s:I, s:I, s:I}", "mails", (int)a->mails,
			 "kills", (int)a->kills, "untold", (int)a->untold, "fresh", (int)a->fresh,
			 "news", a->news, "last_us", (json_int_t)a->last_us, "gather_us",
			 (json_int_t)a->gather_us, "mailed_us", (json_int_t)a->mailed_us);
}

static json_t *culprit_of(const struct kill_alert *a)
{
	const json_t *newest = json_array_get(a->kept, json_array_size(a->kept) - 1);
	const json_t *culprit = kill_alert_culprit(newest);

	return culprit ? json_deep_copy(culprit) : json_null();
}

static json_t *explain(const struct kill_alert *a)
{
	const json_t *newest = json_array_get(a->kept, json_array_size(a->kept) - 1);
	const char *verdict = json_string_value(json_object_get(newest, "verdict"));

	return json_string(verdict ? verdict : "");
}

static char *document(const struct kill_alert *a)
{
	json_t *doc = json_pack("{s:s, s:s, s:o, s:o, s:[], s:O, s:O, s:O, s:o}", "why", WHY,
				"rule_text", "", "explain", explain(a), "culprit", culprit_of(a),
				"actions", "kills", a->kept, "kill_ids", a->ids, "services",
				a->services, "state", state_of(a));
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	return text;
}

static struct alert_row row_of(const struct kill_alert *a, const char *key, const char *doc)
{
	return (struct alert_row){
		.alert_id = a->alert_id,
		.key = key,
		.rule = KILL_ALERT_RULE,
		.host_id = a->host_id,
		.subject = *a->service ? "service" : "host",
		.service = a->service,
		.level = "mail",
		.opened_us = a->opened_us,
		.resolved_us = a->resolved_us,
		.first_value = 1,
		.peak_value = a->kills,
		.last_value = a->kills,
		.resolved_value = a->resolved_us ? a->kills : NAN,
		.title = a->title,
		.doc = doc,
	};
}

/* ---- writing ---- */

/* An answer has come: the alert may be freed again. False when it was no good one. */
static bool answered(struct kill_alert *a, int rc, const struct error *err)
{
	MAGIC_CHECK(a, KILL_ALERT_MAGIC);
	a->asking = false;
	if (rc == 0)
		return true;
	a->unsaved = true;
	a->retry_us = clock_boot_us() + RETRY_US;
	log_error("host=%d alert of its kills not stored error=\"%s\"", a->host_id,
		  err ? err->msg : "");
	return false;
}

static void on_opened(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct kill_alert *a = arg;
	struct alert_row row;

	if (answered(a, rc, err) && db_rows(r) == 1 && a->all->leads) {
		store_alert_row(r, 0, &row);
		a->alert_id = row.alert_id;
	} else if (rc == 0) { /* refused: somebody else leads, as we shall hear */
		a->unsaved = a->all->leads;
		a->retry_us = clock_boot_us() + RETRY_US;
	}
	kill_alerts_turn(a->all);
}

static void on_updated(void *arg, int rc, const struct db_result *r unused_arg,
		       const struct error *err)
{
	struct kill_alert *a = arg;

	(void)answered(a, rc, err);
	kill_alerts_turn(a->all);
}

static void on_closed(void *arg, int rc, const struct db_result *r unused_arg,
		      const struct error *err)
{
	struct kill_alert *a = arg;
	struct kill_alerts *all = a->all;
	bool closed = answered(a, rc, err);

	a->closing = false;
	if (closed && a->resolved_us)
		kill_alert_free(a);
	else if (closed)
		kill_alert_begin(a, clock_wall_us());
	kill_alerts_turn(all);
}

void kill_alert_save(struct kill_alert *a)
{
	struct db *db = a->all->db;
	auto_free char *doc = NULL;
	char key[KILL_ALERT_KEY];
	struct alert_row row;
	int rc;

	if (a->asking || !a->all->leads || clock_boot_us() < a->retry_us || !db_ready(db))
		return;
	doc = document(a);
	snprintf(key, sizeof(key), KEY_PREFIX "%" PRId32, a->host_id);
	row = row_of(a, key, doc ? doc : "{}");
	if (!a->alert_id)
		rc = store_alert_open(db, &row, on_opened, a);
	else if (a->resolved_us)
		rc = store_alert_resolve(db, &row, on_closed, a);
	else
		rc = store_alert_update(db, &row, on_updated, a);
	if (rc < 0)
		return;
	a->asking = true;
	a->closing = a->alert_id && a->resolved_us;
	/* A resolved one that had no row has one now, and must still be closed. */
	a->unsaved = a->resolved_us && !a->closing;
}

/* ---- after a restart ---- */

static int64_t number(const json_t *state, const char *key)
{
	return MAX_OF((int64_t)json_integer_value(json_object_get(state, key)), (int64_t)0);
}

static unsigned count(const json_t *state, const char *key)
{
	return (unsigned)MIN_OF(number(state, key), (int64_t)INT32_MAX);
}

static void take_list(json_t **list, json_t *from)
{
	if (!json_is_array(from))
		return;
	json_decref(*list);
	*list = json_incref(from);
}

/* Its row counts a mail that was queued in memory only, when whoever did that died: all is untold.
 */
static void mail_again(struct kill_alert *a)
{
	a->mails = 0;
	a->untold = a->kills;
	a->fresh = json_array_size(a->kept);
}

static void fill(struct kill_alert *a, const struct alert_row *row, const json_t *doc)
{
	const json_t *state = json_object_get(doc, "state");

	a->alert_id = row->alert_id;
	a->opened_us = row->opened_us;
	str_copy(a->host, sizeof(a->host), row->host);
	str_copy(a->service, sizeof(a->service), row->service ? row->service : "");
	str_copy(a->title, sizeof(a->title), row->title);
	take_list(&a->kept, json_object_get(doc, "kills"));
	take_list(&a->ids, json_object_get(doc, "kill_ids"));
	take_list(&a->services, json_object_get(doc, "services"));
	a->mails = count(state, "mails");
	a->kills = MAX_OF(count(state, "kills"), 1u);
	a->untold = count(state, "untold");
	a->fresh = MIN_OF((size_t)count(state, "fresh"), json_array_size(a->kept));
	a->news = json_is_true(json_object_get(state, "news"));
	a->last_us = number(state, "last_us");
	a->gather_us = number(state, "gather_us");
	a->mailed_us = number(state, "mailed_us");
	if (row->unmailed && a->mails)
		mail_again(a);
}

static void take_up(struct kill_alerts *all, const struct alert_row *row)
{
	struct kill_alert *a = NULL;
	int32_t host_id;
	json_t *doc;

	if (parse_key(row->key, &host_id) == 0)
		a = kill_alert_new(all, host_id);
	if (!a) {
		log_warn("alert=%" PRId64 " key=\"%s\" cannot be taken up", row->alert_id,
			 row->key);
		return;
	}
	doc = json_loads(row->doc, 0, NULL);
	fill(a, row, doc);
	json_decref(doc);
}

static void on_alerts(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct kill_alerts *all = arg;

	MAGIC_CHECK(all, KILL_ALERTS_MAGIC);
	if (rc < 0)
		log_error("open alerts of kills could not be read error=\"%s\"",
			  err ? err->msg : "");
	for (size_t n = 0; rc == 0 && n < db_rows(r); n++) {
		struct alert_row row;

		store_alert_row(r, n, &row);
		if (kill_alert_is_key(row.key))
			take_up(all, &row);
	}
	kill_alerts_turn(all);
	all->restored(all->restored_arg);
}

int kill_alert_restore_all(struct kill_alerts *all)
{
	const struct alert_filter f = {.state = "firing", .limit = RESTORE_MAX};

	return store_alert_list(all->db, &f, on_alerts, all);
}

/* ---- after another led ---- */

#define ADOPT_MAX 1000 /* the newest alerts, over or not: they say which kills were told */

static bool tells(const json_t *ids, const char *id)
{
	const json_t *one;
	size_t i;

	json_array_foreach (ids, i, one)
		if (json_is_string(one) && strcmp(json_string_value(one), id) == 0)
			return true;
	return false;
}

/* Of the kills that we remember, those that this row does not know. */
static unsigned count_news(const struct kill_alert *a, const json_t *ids)
{
	const json_t *one;
	unsigned n = 0;
	size_t i;

	json_array_foreach (a->ids, i, one)
		n += !tells(ids, json_string_value(one));
	return n;
}

/* An alert of ours and the row that its host has: what both know is told already. */
static void compare(struct kill_alert *a, const struct alert_row *row, json_t *doc)
{
	json_t *ids = json_object_get(doc, "kill_ids");
	unsigned news = count_news(a, ids);
	bool firing = strcmp(row->state, "firing") == 0;
	json_t *kept;
	json_t *own_ids;

	if (!news && !firing) {
		kill_alert_free(a);
		return;
	}
	if (!firing) {
		a->untold = a->fresh = MIN_OF((size_t)news, json_array_size(a->kept));
		return;
	}
	kept = json_incref(a->kept);
	own_ids = json_incref(a->ids);
	fill(a, row, doc);
	a->resolved_us = 0;
	for (size_t i = json_array_size(own_ids) - MIN_OF((size_t)news, json_array_size(own_ids));
	     i < json_array_size(own_ids); i++)
		json_array_append(a->ids, json_array_get(own_ids, i));
	for (size_t i = json_array_size(kept) - MIN_OF((size_t)news, json_array_size(kept));
	     i < json_array_size(kept); i++, a->fresh++)
		json_array_append(a->kept, json_array_get(kept, i));
	while (json_array_size(a->kept) > KILL_ALERT_KEPT)
		json_array_remove(a->kept, 0);
	a->untold += news;
	a->kills += news;
	if (news)
		a->last_us = a->gather_us = clock_wall_us();
	a->unsaved = true;
	json_decref(kept);
	json_decref(own_ids);
}

static void adopt(struct kill_alerts *all, const struct alert_row *row)
{
	struct kill_alert *a;
	int32_t host_id;
	json_t *doc;

	if (parse_key(row->key, &host_id) < 0)
		return;
	HASH_FIND_INT(all->open, &host_id, a);
	if (!a && strcmp(row->state, "firing") == 0) {
		take_up(all, row);
		return;
	}
	if (!a || a->alert_id || a->compared)
		return;
	a->compared = true;
	doc = json_loads(row->doc, 0, NULL);
	compare(a, row, doc);
	json_decref(doc);
}

static void on_adopted(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct kill_alerts *all = arg;

	MAGIC_CHECK(all, KILL_ALERTS_MAGIC);
	if (rc < 0)
		log_error("alerts of kills could not be read error=\"%s\"", err ? err->msg : "");
	for (size_t n = 0; rc == 0 && all->leads && n < db_rows(r); n++) {
		struct alert_row row;

		store_alert_row(r, n, &row); /* the newest first */
		adopt(all, &row);
	}
	kill_alerts_turn(all);
}

int kill_alert_adopt_all(struct kill_alerts *all)
{
	const struct alert_filter f = {.limit = ADOPT_MAX};
	struct kill_alert *a;

	for (a = all->open; a; a = a->hh.next)
		a->compared = false;
	return store_alert_list(all->db, &f, on_adopted, all);
}
