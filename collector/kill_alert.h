/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_alert.h - what a kill for memory leads to: an alert row at once, a log line, and one mail a
 * second later, so that a burst is one mail. Kills of one host are one alert until ten minutes pass
 * without one; more of them are mailed again at most every ten minutes. No rule is needed: a kill
 * has happened, nothing is to be compared.
 *
 * It joins ingest (who tells) to the database and the mailer, as incident.h does for rules, and
 * lives beside it: its rows have keys of their own. Everything is called from the loop.
 */
#ifndef MEMHERD_COLLECTOR_KILL_ALERT_H
#define MEMHERD_COLLECTOR_KILL_ALERT_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/fleet/registry.h"

#define KILL_ALERT_RULE "oom_kill" /* what stands where other alerts name their rule */

struct db;
struct event_base;
struct kill_alerts;
struct mailer;

/* mailer NULL: no mail, alerts all the same. */
int kill_alerts_new(struct event_base *base, struct registry *registry, struct db *db,
		    struct mailer *mailer, struct kill_alerts **ret) must_use;
/* After the database is closed: what it was asked for is not answered any more. */
void kill_alerts_free(struct kill_alerts **all);
/* Takes up what was firing when the collector stopped, then calls done, whatever came of it. */
int kill_alerts_restore(struct kill_alerts *all, void (*done)(void *arg), void *arg) must_use;

/* Leading or following; at first we lead. Who follows remembers kills for a while, and who takes
 * the lead tells those that the one before did not get to. */
void kill_alerts_lead(struct kill_alerts *all, bool leads);

/* A kill that is news (ingest_ops.on_kill). One that no killer for memory did is left alone; one
 * found in an old log is logged only. */
void kill_alerts_told(struct kill_alerts *all, struct host *h, const struct wire_kill *k,
		      int64_t kill_id, int64_t t_us);
unsigned kill_alerts_firing(const struct kill_alerts *all);
/* Is an alert of this key looked after here? */
bool kill_alert_is_key(const char *key);

#endif
