/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between leading and following. A leader may have died between any two steps: with its rows read,
 * what the rules hold open here is compared with what it wrote, and what is missing is done: a row,
 * a mail, an action. A mail that was queued before its row said so is queued again, once for each
 * such death.
 */
#include "collector/incident_inner.h"
#include "collector/kill_alert.h"
#include "collector/store/store_alert.h"
#include "collector/store/store_breaker.h"
#include "collector/store/store_journal.h"
#include "common/clock.h"
#include "common/log.h"

#define ROWS_MAX 1000
#define RETRY_US (5 * USEC_PER_SEC)

/* Nobody was told: whoever opened it died before the mail was queued. */
static void mail_now(struct incidents *all, struct incident *i)
{
	if (i->level == RULE_MAIL && !i->mails)
		incident_want_mail(all, i, MAIL_FIRING);
}

/* What the one before us did not get to. */
static void go_on(struct incidents *all, struct incident *i)
{
	bool fresh = !i->alert_id;

	i->unsaved = true;
	if (fresh && i->level == RULE_TRIM)
		i->act_due = true;
	incident_save(all, i);
	mail_now(all, i);
}

static void for_each(struct incidents *all, void (*fn)(struct incidents *, struct incident *))
{
	struct incident *i;
	struct incident *next;

	HASH_ITER (hh, all->open, i, next)
		fn(all, i);
}

static void on_rows(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct incidents *all = arg;

	MAGIC_CHECK(all, INCIDENTS_MAGIC);
	all->reading = false;
	if (!all->leads)
		return;
	if (rc < 0) {
		log_error("open alerts could not be read error=\"%s\"", err ? err->msg : "");
		incidents_lead(all, false);
		all->retry_us = clock_boot_us() + RETRY_US;
		return;
	}
	for (size_t n = 0; n < db_rows(r); n++) {
		struct alert_row row;

		store_alert_row(r, n, &row);
		if (!kill_alert_is_key(row.key) && !store_breaker_is_key(row.key) &&
		    !store_journal_is_key(row.key))
			incident_adopt(all, &row);
	}
	for_each(all, go_on);
}

/* Nothing of ours is written any more; what fires here goes on firing in memory. */
static void forget_rows(struct incidents *all)
{
	struct incident *i;
	struct incident *next;

	HASH_ITER (hh, all->open, i, next) {
		if (i->resolved_us) {
			incident_free(all, i);
			continue;
		}
		i->alert_id = 0;
		i->mails = 0;
		i->n_actions = 0;
		i->unsaved = i->mail_due = i->act_due = false;
	}
}

void incidents_lead(struct incidents *all, bool leads)
{
	const struct alert_filter f = {.state = "firing", .limit = ROWS_MAX};

	MAGIC_CHECK(all, INCIDENTS_MAGIC);
	all->retry_us = 0;
	if (all->leads && leads && all->taken_up)
		for_each(all, mail_now);
	all->taken_up = false;
	if (all->leads == leads)
		return;
	all->leads = leads;
	if (!leads) {
		forget_rows(all);
		return;
	}
	if (all->reading)
		return;
	all->reading = store_alert_list(all->db, &f, on_rows, all) == 0;
	if (all->reading)
		return;
	all->leads = false;
	all->retry_us = clock_boot_us() + RETRY_US;
}

void incident_lead_again(struct incidents *all)
{
	if (all->retry_us && clock_boot_us() >= all->retry_us)
		incidents_lead(all, true);
}
