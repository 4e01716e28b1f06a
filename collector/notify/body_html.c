/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables with inline styles only: no client runs <style>, SVG or data: images everywhere
 * (docs of caniemail), a table cell with a background colour shows in all of them.
 */
#include "collector/notify/body.h"

#include "collector/notify/encode.h"
#include "common/str.h"

#define CELL   "padding:3px 12px 3px 0;vertical-align:top;"
#define FADED  "color:#667085;"
#define NUMBER CELL "text-align:right;white-space:nowrap;"
#define HEAD   "margin:20px 0 6px 0;font-size:15px;"
#define TABLE  "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\""

#define SPARK_HEIGHT 40u /* pixels */

static const char *state_colour(enum mail_state s)
{
	static const char *const colours[] = {
#define X(NAME, word, colour) [MAIL_##NAME] = colour,
		MAIL_STATE_LIST(X)
#undef X
	};

	return colours[s];
}

static void put_banner(struct buf *out, const struct incident_mail *m)
{
	auto_buf struct buf line = BUF_INIT(BODY_FACT_MAX);

	body_state_line(&line, m);
	body_join(out, &line);
	buf_printf(out,
		   TABLE " width=\"100%%\"><tr><td style=\"background-color:%s;color:#ffffff;"
			 "padding:10px 14px;font-weight:bold\">",
		   state_colour(m->state));
	encode_html(out, (char *)line.data, BODY_FACT_MAX);
	buf_puts(out, "</td></tr></table>\n<h2 style=\"font-size:18px;margin:14px 0 8px 0\">");
	encode_html(out, m->host, BODY_NAME_MAX);
	buf_puts(out, " ");
	encode_html(out, body_culprit(m), BODY_NAME_MAX);
	buf_puts(out, ": ");
	encode_html(out, m->headline, BODY_NAME_MAX);
	buf_puts(out, "</h2>\n");
	if (m->summary && *m->summary) {
		buf_puts(out, "<p style=\"margin:0 0 12px 0;font-size:15px\">");
		encode_html(out, m->summary, BODY_SUMMARY_MAX);
		buf_puts(out, "</p>\n");
	}
}

static void put_facts(struct buf *out, const struct incident_mail *m)
{
	buf_puts(out, TABLE ">\n");
	for (size_t i = 0; i < body_fact_count; i++) {
		auto_buf struct buf fact = BUF_INIT(BODY_FACT_MAX);

		body_facts[i].write(&fact, m);
		body_join(out, &fact);
		if (!fact.len)
			continue;
		buf_printf(out, "<tr><td style=\"" CELL FADED "\">%s</td><td style=\"" CELL "\">",
			   body_facts[i].label);
		encode_html(out, (char *)fact.data, BODY_FACT_MAX);
		buf_puts(out, "</td></tr>\n");
	}
	buf_puts(out, "</table>\n");
}

static void put_spark(struct buf *out, const struct incident_mail *m)
{
	unsigned bars[BODY_BARS];
	char span[STR_UNIT_SIZE];
	int64_t least, most;
	size_t n = body_bars(m, SPARK_HEIGHT, bars, &least, &most);

	if (n < 2)
		return;
	buf_printf(out, "<h3 style=\"" HEAD "\">RSS over the last %s, ",
		   str_duration(span, body_span_us(m->points[0].t_us,
						   m->points[m->point_count - 1].t_us)));
	body_bytes(out, least);
	buf_puts(out, " to ");
	body_bytes(out, most);
	buf_puts(out, "</h3>\n" TABLE "><tr>\n");
	for (size_t i = 0; i < n; i++)
		buf_printf(out,
			   "<td style=\"vertical-align:bottom;padding:0 1px 0 0\">"
			   "<div style=\"width:6px;height:%upx;background-color:%s;font-size:0\">"
			   "</div></td>\n",
			   bars[i] + 1, state_colour(m->state));
	buf_puts(out, "</tr></table>\n");
}

static void put_row(struct buf *out, const struct mail_section *s, size_t row,
		    struct body_room *room)
{
	const char *tag = row ? "td" : "th";

	buf_puts(out, "<tr>");
	for (size_t c = 0; c < s->columns; c++) {
		const char *text = s->cells[row * s->columns + c];
		const char *shown = text && *text ? text : "-";

		buf_printf(out, "<%s style=\"%s%s\">", tag, c ? NUMBER : CELL "text-align:left;",
			   row ? "" : FADED);
		encode_html(out, shown, body_room_take(room, shown, BODY_NAME_MAX));
		buf_printf(out, "</%s>", tag);
	}
	buf_puts(out, "</tr>\n");
}

static void put_section(struct buf *out, const struct mail_section *s, struct body_room *room)
{
	size_t rows = body_rows(s);

	buf_puts(out, "<h3 style=\"" HEAD "\">");
	encode_html(out, s->title, BODY_NAME_MAX);
	buf_puts(out, "</h3>\n");
	for (size_t i = 0; i < body_lines(s) && room->bytes; i++) {
		buf_puts(out, "<p style=\"margin:0 0 4px 0\">");
		encode_html(out, s->lines[i], body_room_take(room, s->lines[i], BODY_LINE_MAX));
		buf_puts(out, "</p>\n");
	}
	if (s->line_count > body_lines(s) || !room->bytes)
		buf_puts(out, "<p style=\"margin:0\">...</p>\n");
	if (!rows || !room->bytes)
		return;
	buf_puts(out, "<table cellpadding=\"0\" cellspacing=\"0\" border=\"0\">\n");
	for (size_t i = 0; i < rows && room->bytes; i++)
		put_row(out, s, i, room);
	buf_puts(out, "</table>\n");
}

static void put_sections(struct buf *out, const struct incident_mail *m)
{
	struct body_room room = BODY_ROOM_INIT;

	for (size_t i = 0; i < MIN_OF(m->section_count, (size_t)MESSAGE_SECTIONS); i++)
		put_section(out, &m->sections[i], &room);
}

static void put_actions(struct buf *out, const struct incident_mail *m)
{
	if (!m->action_count && m->section_count)
		return;
	buf_puts(out, "<h3 style=\"" HEAD "\">Already done</h3>\n");
	if (!m->action_count)
		buf_puts(out, "<p style=\"margin:0\">nothing yet</p>\n");
	for (size_t i = 0; i < MIN_OF(m->action_count, (size_t)16); i++) {
		auto_buf struct buf line = BUF_INIT(2 * (size_t)BODY_FACT_MAX);

		body_action_line(&line, &m->actions[i]);
		body_join(out, &line);
		buf_puts(out, "<p style=\"margin:0\">");
		encode_html(out, (char *)line.data, line.len);
		buf_puts(out, "</p>\n");
	}
}

static void put_process(struct buf *out, const struct mail_process *p)
{
	buf_printf(out, "<tr><td style=\"" NUMBER "\">%u</td><td style=\"" NUMBER "\">", p->pid);
	body_bytes(out, p->rss_bytes);
	buf_puts(out, "</td><td style=\"" NUMBER "\">");
	body_growth(out, p->growth);
	buf_puts(out, "</td><td style=\"" CELL "\">");
	encode_html(out, p->name, BODY_NAME_MAX);
	if (p->cmdline && *p->cmdline) {
		buf_puts(out, "<br><span style=\"" FADED "font-size:12px\">");
		encode_html(out, p->cmdline, BODY_CMD_MAX);
		buf_puts(out, "</span>");
	}
	buf_puts(out, "</td></tr>\n");
}

static void put_top(struct buf *out, const char *title, const struct mail_process *p, size_t n)
{
	if (!n)
		return;
	buf_printf(out,
		   "<h3 style=\"" HEAD "\">%s</h3>\n<table cellpadding=\"0\" cellspacing=\"0\" "
		   "border=\"0\">\n<tr>",
		   title);
	buf_puts(out, "<th style=\"" NUMBER FADED "\">pid</th><th style=\"" NUMBER FADED
		      "\">RSS</th><th style=\"" NUMBER FADED "\">growth</th><th style=\"" CELL FADED
		      "text-align:left\">name</th></tr>\n");
	for (size_t i = 0; i < MIN_OF(n, (size_t)MESSAGE_TOP); i++)
		put_process(out, &p[i]);
	buf_puts(out, "</table>\n");
}

/* Only a link that a browser fetches is made one: a configured 'javascript:' stays text. */
static void put_links(struct buf *out, const struct incident_mail *m)
{
	auto_buf struct buf link = BUF_INIT(BODY_FACT_MAX);

	if (!m->base_url ||
	    !(str_starts(m->base_url, "http://") || str_starts(m->base_url, "https://")))
		return;
	buf_puts(out, "<p style=\"margin:20px 0 0 0\"><a href=\"");
	encode_html(out, m->base_url, BODY_CMD_MAX);
	body_link(&link, m);
	body_join(out, &link);
	encode_html(out, (char *)link.data, link.len);
	buf_printf(out, "\">%s</a></p>\n", body_link_words(m));
}

static void put_why(struct buf *out, const struct incident_mail *m)
{
	char line[BODY_RULE_MAX];
	size_t at = 0;

	buf_puts(out, "<p style=\"margin:20px 0 4px 0;" FADED "\">Why this mail: rule ");
	encode_html(out, m->rule, BODY_NAME_MAX);
	if (m->why && *m->why) {
		buf_puts(out, ": ");
		encode_html(out, m->why, BODY_CMD_MAX);
	}
	buf_puts(out, "</p>\n<pre style=\"margin:0;font-size:12px;" FADED "\">");
	while (body_rule_line(m, &at, line)) {
		encode_html(out, line, BODY_RULE_MAX);
		buf_puts(out, "\n");
	}
	buf_puts(out, "</pre>\n");
}

void body_html(struct buf *out, const struct incident_mail *m)
{
	buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		      "<title>memherd</title></head>\n"
		      "<body style=\"margin:0;padding:12px;background-color:#ffffff;color:#101828;"
		      "font-family:Helvetica,Arial,sans-serif;font-size:14px\">\n");
	put_banner(out, m);
	put_facts(out, m);
	put_sections(out, m);
	put_spark(out, m);
	put_actions(out, m);
	put_top(out, "Biggest processes", m->top_rss, m->top_rss_count);
	put_top(out, "Fastest growing", m->top_growth, m->top_growth_count);
	put_links(out, m);
	put_why(out, m);
	buf_puts(out, "</body></html>\n");
}
