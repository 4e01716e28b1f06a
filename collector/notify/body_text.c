/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/body.h"

#include <string.h>

#include "collector/notify/encode.h"
#include "common/str.h"

#define COLUMN_MAX 48 /* wider cells push their row to the right */

static void put_title(struct buf *out, const struct incident_mail *m)
{
	body_state_line(out, m);
	buf_puts(out, "\n\n");
	encode_plain(out, m->host, BODY_NAME_MAX);
	buf_puts(out, " ");
	encode_plain(out, body_culprit(m), BODY_NAME_MAX);
	buf_puts(out, ": ");
	encode_plain(out, m->headline, BODY_NAME_MAX);
	buf_puts(out, "\n\n");
	if (m->summary && *m->summary) {
		encode_plain(out, m->summary, BODY_SUMMARY_MAX);
		buf_puts(out, "\n\n");
	}
}

static void put_facts(struct buf *out, const struct incident_mail *m)
{
	for (size_t i = 0; i < body_fact_count; i++) {
		auto_buf struct buf fact = BUF_INIT(BODY_FACT_MAX);

		body_facts[i].write(&fact, m);
		body_join(out, &fact);
		if (fact.len)
			buf_printf(out, "%-18s %s\n", body_facts[i].label, (char *)fact.data);
	}
}

static void put_spark(struct buf *out, const struct incident_mail *m)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	unsigned bars[BODY_BARS];
	char span[STR_UNIT_SIZE];
	int64_t least, most;
	size_t n = body_bars(m, ARRAY_SIZE(blocks), bars, &least, &most);

	if (n < 2)
		return;
	buf_printf(out, "\nRSS over the last %s, ",
		   str_duration(span, body_span_us(m->points[0].t_us,
						   m->points[m->point_count - 1].t_us)));
	body_bytes(out, least);
	buf_puts(out, " to ");
	body_bytes(out, most);
	buf_puts(out, "\n");
	for (size_t i = 0; i < n; i++)
		buf_puts(out, blocks[bars[i]]);
	buf_puts(out, "\n");
}

/* Columns are as wide as their widest cell, as far as bytes tell. */
static void measure(const struct mail_section *s, size_t widths[MESSAGE_COLUMNS])
{
	for (size_t i = 0; i < body_rows(s) * s->columns; i++) {
		size_t n = s->cells[i] ? strlen(s->cells[i]) : 1;

		widths[i % s->columns] =
			MAX_OF(widths[i % s->columns], MIN_OF(n, (size_t)COLUMN_MAX));
	}
}

static void put_cell(struct buf *out, const char *text, size_t width, bool right,
		     struct body_room *room)
{
	auto_buf struct buf cell = BUF_INIT(BODY_FACT_MAX);
	const char *shown = text && *text ? text : "-";

	encode_plain(&cell, shown, body_room_take(room, shown, BODY_NAME_MAX));
	body_join(out, &cell);
	buf_printf(out, right ? "  %*s" : "  %-*s", (int)width, cell.data ? (char *)cell.data : "");
}

static void put_table(struct buf *out, const struct mail_section *s, struct body_room *room)
{
	size_t widths[MESSAGE_COLUMNS] = {0};
	size_t rows = body_rows(s);

	measure(s, widths);
	for (size_t i = 0; i < rows * s->columns && room->bytes; i++) {
		size_t column = i % s->columns;

		put_cell(out, s->cells[i], widths[column], column > 0, room);
		if (column + 1 == s->columns)
			buf_puts(out, "\n");
	}
}

static void put_sections(struct buf *out, const struct incident_mail *m)
{
	struct body_room room = BODY_ROOM_INIT;

	for (size_t i = 0; i < MIN_OF(m->section_count, (size_t)MESSAGE_SECTIONS); i++) {
		const struct mail_section *s = &m->sections[i];

		buf_puts(out, "\n");
		encode_plain(out, s->title, BODY_NAME_MAX);
		buf_puts(out, "\n");
		for (size_t n = 0; n < body_lines(s) && room.bytes; n++) {
			buf_puts(out, "  ");
			encode_plain(out, s->lines[n],
				     body_room_take(&room, s->lines[n], BODY_LINE_MAX));
			buf_puts(out, "\n");
		}
		if (s->line_count > body_lines(s) || !room.bytes)
			buf_puts(out, "  ...\n");
		put_table(out, s, &room);
	}
}

static void put_actions(struct buf *out, const struct incident_mail *m)
{
	/* Where no action is to be had its absence is no news. */
	if (!m->action_count && m->section_count)
		return;
	buf_puts(out, "\nAlready done\n");
	if (!m->action_count)
		buf_puts(out, "  nothing yet\n");
	for (size_t i = 0; i < MIN_OF(m->action_count, (size_t)16); i++) {
		buf_puts(out, "  ");
		body_action_line(out, &m->actions[i]);
		buf_puts(out, "\n");
	}
}

static void put_process(struct buf *out, const struct mail_process *p)
{
	char rss[STR_UNIT_SIZE];
	auto_buf struct buf growth = BUF_INIT(BODY_FACT_MAX);

	body_growth(&growth, p->growth);
	body_join(out, &growth);
	buf_printf(out, "  %7u  %10s  %14s  ", p->pid,
		   p->rss_bytes < 0 ? "-" : str_bytes(rss, p->rss_bytes),
		   growth.len ? (char *)growth.data : "-");
	encode_plain(out, p->name, BODY_NAME_MAX);
	buf_puts(out, "\n");
}

static void put_top(struct buf *out, const char *title, const struct mail_process *p, size_t n)
{
	if (!n)
		return;
	buf_printf(out, "\n%s\n  %7s  %10s  %14s  %s\n", title, "pid", "RSS", "growth", "name");
	for (size_t i = 0; i < MIN_OF(n, (size_t)MESSAGE_TOP); i++)
		put_process(out, &p[i]);
}

static void put_links(struct buf *out, const struct incident_mail *m)
{
	if (!m->base_url || !*m->base_url)
		return;
	buf_printf(out, "\n%s: ", body_link_words(m));
	encode_plain(out, m->base_url, BODY_CMD_MAX);
	body_link(out, m);
	buf_puts(out, "\n");
}

static void put_why(struct buf *out, const struct incident_mail *m)
{
	char line[BODY_RULE_MAX];
	size_t at = 0;

	buf_puts(out, "\nWhy this mail: rule ");
	encode_plain(out, m->rule, BODY_NAME_MAX);
	if (m->why && *m->why) {
		buf_puts(out, ": ");
		encode_plain(out, m->why, BODY_CMD_MAX);
	}
	buf_puts(out, "\n");
	while (body_rule_line(m, &at, line))
		buf_printf(out, "  %s\n", line);
}

void body_text(struct buf *out, const struct incident_mail *m)
{
	put_title(out, m);
	put_facts(out, m);
	put_sections(out, m);
	put_spark(out, m);
	put_actions(out, m);
	put_top(out, "Biggest processes", m->top_rss, m->top_rss_count);
	put_top(out, "Fastest growing", m->top_growth, m->top_growth_count);
	put_links(out, m);
	put_why(out, m);
	buf_puts(out, "\nmemherd\n");
}
