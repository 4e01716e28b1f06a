/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.h - the two bodies of an incident's mail, before transfer encoding, and the words they
 * share. Pure; message.c is the one user.
 */
#ifndef MEMHERD_COLLECTOR_NOTIFY_BODY_H
#define MEMHERD_COLLECTOR_NOTIFY_BODY_H

#include "collector/notify/message.h"

#define BODY_TEXT_MAX         ((size_t)32 * 1024)
#define BODY_HTML_MAX         ((size_t)96 * 1024) /* Gmail clips at 102 KB */
#define BODY_NAME_MAX         80                  /* bytes shown of a name */
#define BODY_CMD_MAX          200                 /* of a command line, a detail, a sentence */
#define BODY_LINE_MAX         320                 /* of a section's line */
#define BODY_TEXT_OF_SECTIONS 5000                /* of all sections together */
#define BODY_SUMMARY_MAX      1100
#define BODY_LINK_MAX         64
#define BODY_RULE_MAX         2000 /* of a rule's text, all its lines together */
#define BODY_FACT_MAX         640
#define BODY_BARS             48 /* columns of a sparkline */

/* X(function, label): one row of the facts, in both parts and in this order. Each writes its value
 * as plain safe text, nothing when it is not known. */
#define BODY_FACT_LIST(X)             \
	X(who, "What")                \
	X(cmdline, "Command line")    \
	X(since, "Since")             \
	X(rss, "RSS now")             \
	X(growth, "Growth")           \
	X(oom, "Out of memory in")    \
	X(host_memory, "Host memory") \
	X(values, "Value of the rule")

struct body_fact {
	const char *label;
	void (*write)(struct buf *out, const struct incident_mail *m);
};

extern const struct body_fact body_facts[];
extern const size_t body_fact_count;

/* 'FIRING for 12 min' and so on: the first line, as the subject never changes. */
void body_state_line(struct buf *out, const struct incident_mail *m);
/* 'gunicorn-api', or the host when no process is to blame. */
const char *body_culprit(const struct incident_mail *m);
/* 'trim done: 512 MiB -> 380 MiB, 132 MiB given back' */
void body_action_line(struct buf *out, const struct mail_action *a);
/* Bar heights 0..levels-1 of the newest points, squeezed to at most BODY_BARS columns (the highest
 * point of each); their number. Also the least and most bytes shown. */
size_t body_bars(const struct incident_mail *m, unsigned levels, unsigned bars[BODY_BARS],
		 int64_t *ret_min, int64_t *ret_max);
/* 'to' minus 'from', never negative; hosts' clocks may say anything. */
int64_t body_span_us(int64_t from, int64_t to);
/* Bytes per hour as '+63 MiB/h'; '-' when not known. */
void body_growth(struct buf *out, double bytes_per_hour);
/* '512 MiB'; '-' when negative. */
void body_bytes(struct buf *out, int64_t bytes);

/* The next line of the rule's text as safe text; false after the last. The rule's own line ends
 * stay; *at starts at 0. Text beyond BODY_RULE_MAX becomes '...': no rule may be so long that its
 * mail is not sent. */
bool body_rule_line(const struct incident_mail *m, size_t *at, char line[BODY_RULE_MAX]);

/* What is left of BODY_TEXT_OF_SECTIONS, and of one section. */
struct body_room {
	size_t bytes; /* 0: nothing more is shown */
};
#define BODY_PIECE_MIN 16
#define BODY_ROOM_INIT ((struct body_room){BODY_TEXT_OF_SECTIONS})
/* How many bytes of text may be shown, at most 'most'; the room shrinks by them. */
size_t body_room_take(struct body_room *room, const char *text, size_t most);
/* Lines and whole rows of a section that are shown. */
size_t body_lines(const struct mail_section *s);
size_t body_rows(const struct mail_section *s);
/* The page's part of the link: '/#/alerts/42' */
void body_link(struct buf *out, const struct incident_mail *m);
/* What the link is called. */
const char *body_link_words(const struct incident_mail *m);

/* A scrap that found no memory must not pass for an empty one. */
static inline void body_join(struct buf *out, const struct buf *scrap)
{
	out->failed |= scrap->failed;
}

void body_text(struct buf *out, const struct incident_mail *m);
void body_html(struct buf *out, const struct incident_mail *m);

#endif
