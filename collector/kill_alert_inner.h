/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_alert_inner.h - what the kill_alert*.c files share: one host's alert and the set of them.
 * Nobody else includes it.
 *
 *   kill_alert.c  kills in, and when what is due      kill_alert_row.c   the alert's row
 *   kill_alert_mail.c  the alert's mails
 *
 * A kill is kept as the JSON of its dossier without its long lists: it must outlive the frame that
 * told it, and a restart.
 */
#ifndef MEMHERD_COLLECTOR_KILL_ALERT_INNER_H
#define MEMHERD_COLLECTOR_KILL_ALERT_INNER_H

#include <jansson.h>

#include "collector/kill_alert.h"

#define KILL_ALERTS_MAGIC 0x4b11a1e7u
#define KILL_ALERT_MAGIC  0x4b11a1e8u

#define KILL_ALERT_KEPT     16 /* kills of an alert whose details are kept, the newest */
#define KILL_ALERT_IDS      64 /* and whose ids are, so that a restart tells none twice */
#define KILL_ALERT_SERVICES 16 /* whose first kill is mailed at once */
#define KILL_ALERT_KEY      32
#define KILL_ALERT_NAME     256

/* Of one host. Times are wall clock, 0 = never. */
struct kill_alert {
	unsigned magic;
	struct kill_alerts *all;
	int32_t host_id;
	int64_t alert_id; /* 0 until the database has given one */
	bool asking;      /* a statement about its row is under way; it is not freed meanwhile */
	bool closing;     /* and that statement closes the row */
	bool compared;    /* with the newest row of its host, since we lead */
	bool unsaved;     /* its row is behind */
	int64_t retry_us; /* boot clock: a row that was refused is not tried again before */
	char host[KILL_ALERT_NAME];
	char service[KILL_ALERT_NAME]; /* the culprit's, as the subject says it */
	char title[4 * KILL_ALERT_NAME];
	int64_t opened_us;
	int64_t resolved_us; /* 0 while it fires */
	int64_t last_us;     /* when the newest kill was told */
	int64_t gather_us;   /* when the first that is not mailed was told */
	int64_t mailed_us;
	unsigned mails;
	unsigned kills;   /* in all */
	unsigned untold;  /* not mailed yet, details kept or not */
	size_t fresh;     /* the last so many of 'kept' are not mailed yet */
	json_t *kept;     /* array of kills, oldest first */
	json_t *ids;      /* array of texts, oldest first */
	json_t *services; /* array of texts: whose processes were killed, the first ones */
	bool news;        /* one that is not mailed yet was the first of its service */
	UT_hash_handle hh;
};

struct kill_alerts {
	unsigned magic;
	struct event_base *base;
	struct event *timer;
	struct registry *registry;
	struct db *db;
	struct mailer *mailer;
	bool leads;
	struct kill_alert *open; /* uthash by host_id; also resolved ones until their row says so */
	void (*restored)(void *arg);
	void *restored_arg;
};

struct kill_alert *kill_alert_new(struct kill_alerts *all, int32_t host_id);
void kill_alert_free(struct kill_alert *a);
/* Looks what is due, and when to look again. */
void kill_alerts_turn(struct kill_alerts *all);
/* It goes on as a new alert: its row is closed, more kills came. */
void kill_alert_begin(struct kill_alert *a, int64_t now_us);

/* ---- kill_alert_row.c ---- */

/* Writes what changed; what the database cannot take now stays unsaved. */
void kill_alert_save(struct kill_alert *a);
int kill_alert_restore_all(struct kill_alerts *all) must_use;
/* We lead from now on: rows of the one before are taken up, what it did not tell is told. */
int kill_alert_adopt_all(struct kill_alerts *all) must_use;

/* ---- kill_alert_mail.c ---- */

/* A kill in a line: 'python3 (pid 11) of shop, 512 MiB'. */
void kill_alert_describe(char *out, size_t size, const json_t *party);
/* Who is to blame: the one who grew most, else the victim. Borrowed. */
const json_t *kill_alert_culprit(const json_t *kill);
/* 'shop', as lists name it: service, container, or the process. */
const char *kill_alert_name(const json_t *party);
/* Of all that were not mailed; without a mailer they count as mailed. */
void kill_alert_mail(struct kill_alert *a, int64_t now_us);

#endif
