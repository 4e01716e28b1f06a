/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/kill_alert.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/fleet/dossier.h"
#include "collector/kill_alert_inner.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "proto/kill.h"

#define GATHER_US (1 * USEC_PER_SEC)       /* a burst is one mail */
#define DIGEST_US (10 * 60 * USEC_PER_SEC) /* between two mails of an alert */
#define QUIET_US  (10 * 60 * USEC_PER_SEC) /* without a kill: it is over */
#define OLD_US    (60 * 60 * USEC_PER_SEC) /* what a log tells so late is history */
#define TURN_US   (10 * 1000LL)            /* shortest sleep */
#define BEHIND_US (1 * USEC_PER_SEC)       /* a row that is behind is looked at so often */
#define GROWERS   3
#define ID_SIZE   24

static void release(struct kill_alert *a)
{
	json_decref(a->kept);
	json_decref(a->ids);
	json_decref(a->services);
	a->magic = 0;
	free(a);
}

struct kill_alert *kill_alert_new(struct kill_alerts *all, int32_t host_id)
{
	struct kill_alert *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->magic = KILL_ALERT_MAGIC;
	a->all = all;
	a->host_id = host_id;
	a->kept = json_array();
	a->ids = json_array();
	a->services = json_array();
	if (a->kept && a->ids && a->services)
		HASH_ADD_INT(all->open, host_id, a);
	if (!a->hh.tbl) {
		release(a);
		return NULL;
	}
	return a;
}

void kill_alert_free(struct kill_alert *a)
{
	HASH_DEL(a->all->open, a);
	release(a);
}

/* ---- when what is due ---- */

static int64_t mail_at(const struct kill_alert *a)
{
	int64_t at = a->gather_us + GATHER_US;

	/* Its subject holds the number of a row: of the new one, when the old one is being closed.
	 */
	if (!a->untold || (a->asking && (!a->alert_id || a->closing)))
		return INT64_MAX;
	return a->mails && !a->news ? MAX_OF(at, a->mailed_us + DIGEST_US) : at;
}

/* A clock that was set back must not silence it for long. */
static void mend_times(struct kill_alert *a, int64_t now_us)
{
	a->last_us = MIN_OF(a->last_us, now_us);
	a->gather_us = MIN_OF(a->gather_us, now_us);
	a->mailed_us = MIN_OF(a->mailed_us, now_us);
}

static void resolve(struct kill_alert *a, int64_t now_us)
{
	a->resolved_us = now_us;
	a->unsaved = true;
	log_info("alert=%" PRId64 " host=%d rule=" KILL_ALERT_RULE " resolved kills=%u %s",
		 a->alert_id, a->host_id, a->kills, a->title);
}

/* Does what is due; when it has to be looked at again. */
static int64_t turn(struct kill_alert *a, int64_t now_us)
{
	int64_t next = INT64_MAX;

	mend_times(a, now_us);
	/* The row first: the mail waits for its number, if there is a database to give one. */
	if (a->unsaved)
		kill_alert_save(a);
	if (!a->resolved_us && mail_at(a) <= now_us)
		kill_alert_mail(a, now_us);
	if (!a->resolved_us && !a->untold && a->last_us + QUIET_US <= now_us)
		resolve(a, now_us);
	if (a->unsaved)
		kill_alert_save(a);
	if (a->unsaved)
		next = now_us + BEHIND_US;
	if (a->resolved_us)
		return next;
	next = MIN_OF(next, mail_at(a));
	return MIN_OF(next, MAX_OF(a->last_us + QUIET_US, now_us + BEHIND_US));
}

/* While we follow: whoever leads has told these long since. */
static void forget_old(struct kill_alerts *all, int64_t now_us)
{
	struct kill_alert *a;
	struct kill_alert *next;

	HASH_ITER (hh, all->open, a, next)
		if (a->last_us + QUIET_US <= now_us && !a->asking)
			kill_alert_free(a);
}

void kill_alerts_turn(struct kill_alerts *all)
{
	int64_t now_us = clock_wall_us();
	int64_t at = INT64_MAX;
	struct kill_alert *a;
	struct kill_alert *next;
	struct timeval tv;
	int64_t wait;

	if (!all->leads) {
		forget_old(all, now_us);
		return;
	}
	HASH_ITER (hh, all->open, a, next)
		at = MIN_OF(at, turn(a, now_us));
	if (at == INT64_MAX) {
		evtimer_del(all->timer);
		return;
	}
	wait = MAX_OF(at - now_us, TURN_US);
	tv = (struct timeval){.tv_sec = wait / USEC_PER_SEC, .tv_usec = wait % USEC_PER_SEC};
	evtimer_add(all->timer, &tv);
}

static void on_timer(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct kill_alerts *all = arg;

	MAGIC_CHECK(all, KILL_ALERTS_MAGIC);
	kill_alerts_turn(all);
}

/* ---- kills ---- */

/* Its dossier without what only the dossier's own page needs. */
static json_t *remember(struct host *h, const struct wire_kill *k, int64_t t_us)
{
	auto_dossier struct dossier d = {0};
	char time[STR_TIME_SIZE];
	json_t *growers;
	json_t *kill;

	if (dossier_init(&d, h, k, t_us) < 0)
		return NULL;
	kill = json_loads(d.doc, 0, NULL);
	json_object_del(kill, "tasks");
	json_object_del(kill, "evidence");
	growers = json_object_get(kill, "growers");
	while (json_array_size(growers) > GROWERS)
		json_array_remove(growers, GROWERS);
	json_object_set_new(kill, "time", json_string(str_time(time, t_us)));
	return kill;
}

static bool has_text(const json_t *list, const char *text)
{
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (strcmp(json_string_value(one) ? json_string_value(one) : "", text) == 0)
			return true;
	return false;
}

static void add_id(struct kill_alert *a, const char *id)
{
	json_array_append_new(a->ids, json_string(id));
	while (json_array_size(a->ids) > KILL_ALERT_IDS)
		json_array_remove(a->ids, 0);
}

/*
 * True for the first kill of a service within this alert: a service that is hit beside another one
 * is no repetition, its mail does not wait for the digest. Bounded, so that a host where everything
 * dies in turn is a digest again.
 */
static bool add_service(struct kill_alert *a, const char *service)
{
	return !has_text(a->services, service) &&
	       json_array_size(a->services) < KILL_ALERT_SERVICES &&
	       json_array_append_new(a->services, json_string(service)) == 0;
}

/* The details of the first ones of a burst are kept: how it began says most. */
static void add_kill(struct kill_alert *a, struct host *h, const struct wire_kill *k, int64_t t_us)
{
	json_t *kill = a->fresh < KILL_ALERT_KEPT ? remember(h, k, t_us) : NULL;

	if (!kill || json_array_append_new(a->kept, kill) < 0)
		return;
	a->fresh++;
	while (json_array_size(a->kept) > KILL_ALERT_KEPT)
		json_array_remove(a->kept, 0);
}

/* The subject and the title say what the first kill was; they never change. */
static void name_it(struct kill_alert *a)
{
	const json_t *kill =
		json_array_get(a->kept, json_array_size(a->kept) - MAX_OF(a->fresh, (size_t)1));
	const json_t *victim = json_object_get(kill, "victim");
	char whom[KILL_ALERT_NAME];

	str_copy(a->service, sizeof(a->service), kill_alert_name(kill_alert_culprit(kill)));
	kill_alert_describe(whom, sizeof(whom), victim);
	snprintf(a->title, sizeof(a->title), "%s %s: OOM kill of %s", a->host,
		 *a->service ? a->service : "?", *whom ? whom : "a process");
}

void kill_alert_begin(struct kill_alert *a, int64_t now_us)
{
	a->alert_id = 0;
	a->resolved_us = 0;
	a->opened_us = now_us;
	a->mails = 0;
	a->kills = a->untold;
	json_array_clear(a->services);
	a->unsaved = true;
	name_it(a);
}

static struct kill_alert *alert_of(struct kill_alerts *all, const struct host *h)
{
	struct kill_alert *a;

	HASH_FIND_INT(all->open, &h->host_id, a);
	if (!a)
		a = kill_alert_new(all, h->host_id);
	if (a)
		str_copy(a->host, sizeof(a->host), h->name);
	return a;
}

static void join(struct kill_alert *a, struct host *h, const struct wire_kill *k, int64_t t_us)
{
	int64_t now_us = clock_wall_us();
	bool first = !a->kills;

	if (!a->untold++)
		a->gather_us = now_us;
	a->kills++;
	a->last_us = now_us;
	a->resolved_us = 0; /* its row is still open, or is closed just now: then it begins anew */
	a->unsaved = true;
	add_kill(a, h, k, t_us);
	if (first)
		kill_alert_begin(a, now_us);
	a->news |= add_service(a, *k->victim.service ? k->victim.service : k->victim.comm);
}

void kill_alerts_told(struct kill_alerts *all, struct host *h, const struct wire_kill *k,
		      int64_t kill_id, int64_t t_us)
{
	bool old = k->replayed && clock_wall_us() - t_us > OLD_US;
	struct kill_alert *a;
	char id[ID_SIZE];

	MAGIC_CHECK(all, KILL_ALERTS_MAGIC);
	if (!kill_cause_is_oom(k->cause))
		return;
	log_warn("kill=%" PRId64 " host=%d pid=%" PRIu32 " cause=%s%s %s", kill_id, h->host_id,
		 k->victim.pid, kill_cause_word(k->cause), old ? " old" : "", k->verdict);
	if (old)
		return;
	snprintf(id, sizeof(id), "%" PRId64, kill_id);
	a = alert_of(all, h);
	if (!a) {
		log_error("kill=%" PRId64 " host=%d no memory for an alert", kill_id, h->host_id);
		return;
	}
	if (has_text(a->ids, id))
		return;
	add_id(a, id);
	join(a, h, k, t_us);
	kill_alerts_turn(all);
}

unsigned kill_alerts_firing(const struct kill_alerts *all)
{
	const struct kill_alert *a;
	unsigned n = 0;

	for (a = all->open; a; a = a->hh.next)
		n += !a->resolved_us;
	return n;
}

/* ---- its life ---- */

int kill_alerts_new(struct event_base *base, struct registry *registry, struct db *db,
		    struct mailer *mailer, struct kill_alerts **ret)
{
	struct kill_alerts *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->magic = KILL_ALERTS_MAGIC;
	all->base = base;
	all->registry = registry;
	all->db = db;
	all->mailer = mailer;
	all->leads = true;
	all->timer = evtimer_new(base, on_timer, all);
	if (!all->timer) {
		kill_alerts_free(&all);
		return -ENOMEM;
	}
	*ret = all;
	return 0;
}

void kill_alerts_free(struct kill_alerts **slot)
{
	struct kill_alerts *all = take_ptr(*slot);
	struct kill_alert *a;
	struct kill_alert *next;

	if (!all)
		return;
	MAGIC_CHECK(all, KILL_ALERTS_MAGIC);
	HASH_ITER (hh, all->open, a, next)
		kill_alert_free(a);
	if (all->timer)
		event_free(all->timer);
	all->magic = 0;
	free(all);
}

void kill_alerts_lead(struct kill_alerts *all, bool leads)
{
	struct kill_alert *a;
	struct kill_alert *next;

	MAGIC_CHECK(all, KILL_ALERTS_MAGIC);
	if (all->leads == leads)
		return;
	all->leads = leads;
	if (leads) {
		if (kill_alert_adopt_all(all) < 0)
			log_error("alerts of kills could not be read: those of before are told "
				  "again");
		return;
	}
	HASH_ITER (hh, all->open, a, next) {
		a->alert_id = 0;
		a->unsaved = false;
		/* A statement that is under way still points to it. */
		if (!a->asking && (a->resolved_us || !a->untold))
			kill_alert_free(a);
	}
}

int kill_alerts_restore(struct kill_alerts *all, void (*done)(void *arg), void *arg)
{
	MAGIC_CHECK(all, KILL_ALERTS_MAGIC);
	all->restored = done;
	all->restored_arg = arg;
	if (!all->leads) { /* its rows are another's now; read when we lead */
		done(arg);
		return 0;
	}
	return kill_alert_restore_all(all);
}
