/* SPDX-License-Identifier: Apache-2.0 */
/*
 * incident.h - what a rule's transition leads to: an alert row, a log line, a mail, a trim. It
 * joins the pure engine (rule/) to the database, the mailer and the dispatcher, and knows nothing
 * of connections.
 */
#ifndef MEMHERD_COLLECTOR_INCIDENT_H
#define MEMHERD_COLLECTOR_INCIDENT_H

#include "collector/fleet/registry.h"
#include "collector/rule/vocab.h"
#include "collector/store/store_command.h"
#include "common/error.h"

struct db;
struct dispatch;
struct event_base;
struct incidents;
struct json_writer;
struct mailer;

struct incident_counts {
	uint64_t opened;
	uint64_t resolved;
	uint64_t actions;
	unsigned firing[RULE_LEVEL_COUNT]; /* by the highest level reached */
};

/* Parses the *.rules files of folder (a missing folder is no rules, said in the log). -EINVAL names
 * file, line and column. */
int incidents_new(struct event_base *base, const char *folder, struct registry *registry,
		  struct incidents **ret, struct error *err) must_use;
void incidents_free(struct incidents **i);
/* Who is told; before the first sample. mailer may be NULL: no mail. */
void incidents_connect(struct incidents *i, struct db *db, struct mailer *mailer,
		       struct dispatch *dispatch);
/* Takes up what was firing when the collector stopped, then calls done. */
int incidents_restore(struct incidents *i, void (*done)(void *arg), void *arg) must_use;

/*
 * Leading or following; at first we lead. Who follows has the rules judge the same samples, but
 * writes, mails and asks for nothing. Who takes the lead goes on where the rows of the one before
 * stand, and tells what that one did not get to.
 */
void incidents_lead(struct incidents *i, bool leads);

/* A host that is known: from now on its silence is news. At start, when it is new, and when its
 * connection ends. */
void incidents_expect(struct incidents *i, const struct host *h);
void incidents_process(struct incidents *i, const struct host *h, const struct process *p,
		       int64_t t_us);
void incidents_host(struct incidents *i, const struct host *h, int64_t t_us);
void incidents_exit(struct incidents *i, const struct host *h, const struct process *p,
		    int64_t t_us);
/* dispatch's answer to what a rule (or a person) asked for; told again, it changes nothing. */
void incidents_action_finished(struct incidents *i, const struct action_row *row);
/* A rule's action was asked for, or cannot be now (rc of dispatch_done). */
void incidents_action_asked(struct incidents *i, int rc, const struct action_row *row,
			    const struct error *err);
/* What such an action gave back was measured for the last time. */
void incidents_action_verified(struct incidents *i, const struct action_row *row);
void incidents_counts(const struct incidents *i, struct incident_counts *ret);

/* For REST: the rules in force, as members of an open object. */
void incidents_write_rules(void *arg, struct json_writer *w);
/* What is wrong with a text that may become rules. */
int incidents_check_rules(void *arg, const char *text, size_t len, struct error *err);

#endif
