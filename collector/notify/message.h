/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - an incident as an RFC 5322 message: text and HTML alternatives. Pure: struct in,
 * bytes out; the caller keeps what the struct points to until message_build returns.
 *
 * The subject of an incident never changes (Gmail would split the thread), all its messages refer
 * to a root Message-ID that was never sent, and the state stands in the first line and in a header.
 */
#ifndef MEMHERD_COLLECTOR_NOTIFY_MESSAGE_H
#define MEMHERD_COLLECTOR_NOTIFY_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

#define MESSAGE_MAX    (256 * 1024) /* bytes as sent */
#define MESSAGE_TOP    5
#define MESSAGE_POINTS 120
/* What is shown of the sections at most; the rest is left out, said by '...' */
#define MESSAGE_SECTIONS 8
#define MESSAGE_LINES    20 /* of one section; rows of its table, the heading included, too */
#define MESSAGE_COLUMNS  6

/* X(NAME, word, colour of the HTML banner) */
#define MAIL_STATE_LIST(X)                 \
	X(FIRING, firing, "#b42318")       \
	X(ESCALATED, escalated, "#7a271a") \
	X(AGAIN, again, "#b42318")         \
	X(ACTION, action, "#175cd3")       \
	X(RESOLVED, resolved, "#067647")

enum mail_state {
#define X(NAME, word, colour) MAIL_##NAME,
	MAIL_STATE_LIST(X)
#undef X
};

/* What the rule's value is measured in. */
enum mail_unit { MAIL_UNIT_NUMBER, MAIL_UNIT_BYTES, MAIL_UNIT_BYTES_PER_HOUR, MAIL_UNIT_SECONDS };

struct mail_process {
	uint32_t pid; /* 0: none is known */
	const char *name;
	const char *cmdline;
	int64_t rss_bytes; /* -1 = not known */
	double growth;     /* bytes per hour; NaN = not known */
};

struct mail_action {
	int64_t t_us;
	const char *action; /* 'trim' */
	const char *target;
	const char *state; /* 'done', 'ineffective', ... */
	const char *detail;
	bool dry_run;
	int64_t before; /* bytes; -1 = not measured */
	int64_t after;
	const char *verdict; /* of what was measured later: 'regrew'; NULL or '' = not yet */
	int64_t later;       /* bytes, at the last of these measurements; -1 = none */
	int64_t later_us;    /* so long after the action */
};

struct mail_point {
	int64_t t_us;
	int64_t bytes;
};

/* What only some incidents have to tell: lines under a heading, then a table; either may be
 * missing. Cells stand row by row, the heading's first; all columns but the first are numbers. */
struct mail_section {
	const char *title;
	const char *const *lines;
	size_t line_count;
	const char *const *cells;
	size_t cell_count;
	size_t columns;
};

/* Any string may be NULL. Times are wall clock, 0 = not known. */
struct incident_mail {
	int64_t incident;  /* alert_id: INC-42 */
	unsigned sequence; /* of this message within the incident, from 1 */
	enum mail_state state;
	const char *rule;
	const char *level;        /* 'log', 'mail', 'trim' */
	const char *headline;     /* constant over the incident: 'memory leak' */
	const char *subject_kind; /* 'process', 'service', 'host' */
	const char *host;
	const char *service;
	struct mail_process culprit;

	int64_t opened_us;
	int64_t now_us; /* the Date */
	int64_t resolved_us;

	double r2;              /* of the growth's fit; NaN = not known */
	int64_t time_to_oom_us; /* -1 = not in sight */
	int64_t host_available; /* bytes; -1 = not known */
	int64_t host_total;

	enum mail_unit unit; /* of the four values; NaN = none */
	double first_value;
	double peak_value;
	double last_value;
	double resolved_value;

	const char *summary; /* a sentence or two that say it all, above the facts */
	const struct mail_section *sections;
	size_t section_count;

	const struct mail_process *top_rss;
	size_t top_rss_count; /* the first MESSAGE_TOP are shown */
	const struct mail_process *top_growth;
	size_t top_growth_count;
	const struct mail_point *points; /* oldest first; the newest MESSAGE_POINTS are shown */
	size_t point_count;
	const struct mail_action *actions; /* what was already done */
	size_t action_count;

	const char *rule_text;
	const char *why;      /* one sentence: what was compared with what */
	const char *base_url; /* of the dashboard, without a slash at the end */
	const char *link;     /* what to show there: '#oom=42'; NULL = the alert */
};

/* Appends the message to out, CRLF line ends. recipients are one a line, as in the configuration.
 * -EINVAL: an address that is none; -ENOBUFS: out is too small or there is no memory. */
int message_build(struct buf *out, const struct incident_mail *m, const char *from,
		  const char *recipients, struct error *err) must_use;
/* The subject line's text, for logs and tests. */
void message_subject(struct buf *out, const struct incident_mail *m);
const char *mail_state_word(enum mail_state s);

#endif
