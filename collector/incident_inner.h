/* SPDX-License-Identifier: Apache-2.0 */
/*
 * incident_inner.h - what the incident_*.c files share: one open alert and the set of them. Nobody
 * else includes it.
 *
 *   incident.c  transitions in, and the sweep     incident_row.c    the alert's row
 *   incident_rules.c  rules files                 incident_mail.c   the alert's mails
 *   incident_lead.c  between leading and following
 *   incident_census.c  censuses for it, and why its process grows
 */
#ifndef MEMHERD_COLLECTOR_INCIDENT_INNER_H
#define MEMHERD_COLLECTOR_INCIDENT_INNER_H

#include <jansson.h>

#include "collector/fleet/verdict.h"
#include "collector/incident.h"
#include "collector/notify/message.h"
#include "collector/rule/engine.h"
#include "collector/store/store_alert.h"

#define INCIDENTS_MAGIC  0x1c1de475u
#define INCIDENT_ACTIONS 8   /* kept per alert, the newest */
#define INCIDENT_NAME    256 /* bytes of a service's name */

/* One open alert. It is found by its key; what answers later holds the key, never a pointer. */
struct incident {
	char *key;
	int64_t alert_id; /* 0 until the database has given one */
	bool asking;      /* a statement about its row is under way */
	bool unsaved;     /* its row is behind */
	int64_t retry_us; /* boot clock: a row that was refused is not tried again before */
	const struct rule *rule;
	int32_t host_id;
	int64_t proc_id; /* 0 for a service or a host */
	enum rule_kind kind;
	char service[INCIDENT_NAME];
	char title[2 * INCIDENT_NAME];
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
	bool act_due;         /* waits for it too: an action belongs to its alert */
	int64_t act_retry_us; /* boot clock: an action that had to wait is not asked for before */
	char act_waits[192];  /* why; '' = it does not */
	bool act_failed;      /* the request for an action was refused at once */
	int64_t acted_us;
	int64_t census_us;   /* when its rule last asked for a census, or found one */
	unsigned censuses;   /* so many of them */
	int64_t census_seen; /* the one that its row tells of */
	unsigned ineffective;
	bool stood_down;
	size_t n_actions;
	struct action_row actions[INCIDENT_ACTIONS];
	json_t *earlier; /* array: actions before our start, as they stand in the row; or NULL */
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
	struct incident *open; /* uthash by key; also resolved ones until their row says so */
	struct incident_counts counts;
	int64_t census_taken_us; /* incident_census.c: of the fleet's budget */
	bool leads;              /* else what the rules say is only kept in mind */
	int64_t retry_us; /* boot clock: when to read the rows again that we could not; 0 = no */
	bool reading;     /* the rows, after we took the lead */
	bool taken_up;    /* the rows, at our start: what the one before did not get to is due */
	void (*restored)(void *arg);
	void *restored_arg;
};

struct host *incident_host(const struct incidents *all, const struct incident *i);
/* The process it is about, while that lives. */
struct process *incident_process(const struct incidents *all, const struct incident *i);
/* Where memory can be had: its process, of a service or a host the largest one; NULL. */
const struct process *incident_target(const struct incidents *all, const struct incident *i);
struct incident *incident_find(struct incidents *all, const char *key);
struct incident *incident_new(struct incidents *all, const char *key, const struct rule *rule,
			      int32_t host_id, enum rule_kind kind, int64_t id);
void incident_free(struct incidents *all, struct incident *i);
/* The row has its number, or cannot have one now: what waited for that goes on. */
void incident_numbered(struct incidents *all, struct incident *i);
/* 'slow_leak' is read as 'slow leak'. */
void incident_headline(const struct rule *r, char *out, size_t size);

/* ---- incident_row.c ---- */

/* Writes what changed; what the database cannot take now is left unsaved, for the sweep. A resolved
 * one is freed, later, when its row says so. */
void incident_save(struct incidents *all, struct incident *i);
/* Reads the alerts that were firing when the collector stopped, then calls all->restored. */
int incident_restore_all(struct incidents *all) must_use;
/* The row of an alert that the rules hold open as well; or one that nobody looks after any more. */
void incident_adopt(struct incidents *all, const struct alert_row *row);

/* ---- incident_lead.c ---- */

/* We lead, but could not read the rows yet: once more, when it is time. */
void incident_lead_again(struct incidents *all);

/* ---- incident_mail.c ---- */

/* A mail's subject holds the alert's number: waits for it while the database is asked. */
void incident_want_mail(struct incidents *all, struct incident *i, enum mail_state state);
void incident_send_mail(struct incidents *all, struct incident *i, enum mail_state state);

/* ---- incident_census.c ---- */

/* Asks for what rules want, within what may be asked; says which rows have to tell more. */
void incident_census_sweep(struct incidents *all, int64_t now_us);
/* For the row: why its process grows; NULL when no interpreter is in it. */
json_t *incident_verdict(const struct incidents *all, const struct incident *i);

/* For the mail: a sentence, and a section whose title is NULL when nothing is to be told. */
struct incident_why {
	struct leak_verdict verdict;
	char summary[LEAK_TEXT_SIZE + INCIDENT_NAME + 16];
	const char *lines[LEAK_LINES + LEAK_ADVICE];
	struct mail_section section;
};
void incident_why(const struct incidents *all, const struct incident *i, struct incident_why *ret);

/* ---- incident_rules.c ---- */

int incident_load_rules(struct rule_set *set, const char *folder, struct error *err) must_use;

#endif
