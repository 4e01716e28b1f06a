/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/body.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "collector/notify/encode.h"
#include "common/clock.h"
#include "common/str.h"

static bool has(const char *s)
{
	return s && *s;
}

int64_t body_span_us(int64_t from, int64_t to)
{
	int64_t span;

	if (to <= from)
		return 0;
	return __builtin_sub_overflow(to, from, &span) ? INT64_MAX : span;
}

static void put_duration(struct buf *out, int64_t us)
{
	char text[STR_UNIT_SIZE];

	buf_puts(out, str_duration(text, MAX_OF(us, (int64_t)0)));
}

/* A double as int64_t without undefined behaviour. */
static int64_t to_int(double v)
{
	if (!isfinite(v))
		return 0;
	return (int64_t)fmin(fmax(v, -9e18), 9e18);
}

void body_bytes(struct buf *out, int64_t bytes)
{
	char text[STR_UNIT_SIZE];

	buf_puts(out, bytes < 0 ? "-" : str_bytes(text, bytes));
}

void body_growth(struct buf *out, double bytes_per_hour)
{
	char text[STR_UNIT_SIZE];

	if (!isfinite(bytes_per_hour)) {
		buf_puts(out, "-");
		return;
	}
	buf_printf(out, "%s%s/h", bytes_per_hour > 0 ? "+" : "",
		   str_bytes(text, to_int(bytes_per_hour)));
}

const char *body_culprit(const struct incident_mail *m)
{
	if (has(m->service))
		return m->service;
	if (has(m->culprit.name))
		return m->culprit.name;
	return has(m->host) ? m->host : "host";
}

void body_state_line(struct buf *out, const struct incident_mail *m)
{
	int64_t end = m->resolved_us ? m->resolved_us : m->now_us;

	switch (m->state) {
	case MAIL_FIRING:
		buf_puts(out, "FIRING");
		break;
	case MAIL_ESCALATED:
		buf_puts(out, "ESCALATED to ");
		encode_plain(out, has(m->level) ? m->level : "the next level", BODY_NAME_MAX);
		break;
	case MAIL_AGAIN:
		buf_puts(out, "AGAIN");
		break;
	case MAIL_ACTION:
		buf_puts(out, "ACTION taken");
		break;
	case MAIL_RESOLVED:
		buf_puts(out, "RESOLVED");
		break;
	}
	if (!m->opened_us)
		return;
	buf_puts(out, m->state == MAIL_RESOLVED ? " after " : ", open for ");
	put_duration(out, body_span_us(m->opened_us, end));
}

void body_action_line(struct buf *out, const struct mail_action *a)
{
	char time[STR_TIME_SIZE];

	if (a->t_us)
		buf_printf(out, "%.16sZ  ", str_time(time, a->t_us));
	encode_plain(out, a->action, BODY_NAME_MAX);
	if (a->dry_run)
		buf_puts(out, " (dry run)");
	if (has(a->target)) {
		buf_puts(out, " of ");
		encode_plain(out, a->target, BODY_NAME_MAX);
	}
	buf_puts(out, ": ");
	encode_plain(out, has(a->state) ? a->state : "asked for", BODY_NAME_MAX);
	if (a->before >= 0 && a->after >= 0) {
		buf_puts(out, ", ");
		body_bytes(out, a->before);
		buf_puts(out, " -> ");
		body_bytes(out, a->after);
		if (a->before > a->after && !has(a->detail)) {
			buf_puts(out, ", gave back ");
			body_bytes(out, a->before - a->after);
		}
	}
	if (has(a->verdict) && a->later >= 0) {
		char span[STR_UNIT_SIZE];

		buf_puts(out, ", ");
		body_bytes(out, a->later);
		buf_printf(out, " %s later: ", str_duration(span, a->later_us));
		encode_plain(out, a->verdict, BODY_NAME_MAX);
	}
	if (has(a->detail)) {
		buf_puts(out, " (");
		encode_plain(out, a->detail, BODY_CMD_MAX);
		buf_puts(out, ")");
	}
}

size_t body_bars(const struct incident_mail *m, unsigned levels, unsigned bars[BODY_BARS],
		 int64_t *ret_min, int64_t *ret_max)
{
	size_t n = MIN_OF(m->point_count, (size_t)MESSAGE_POINTS);
	size_t columns = MIN_OF(n, (size_t)BODY_BARS);
	const struct mail_point *p;
	int64_t least, most;

	*ret_min = *ret_max = 0;
	if (!n)
		return 0;
	p = m->points + (m->point_count - n);
	least = most = p[0].bytes;
	for (size_t i = 1; i < n; i++) {
		least = MIN_OF(least, p[i].bytes);
		most = MAX_OF(most, p[i].bytes);
	}
	for (size_t c = 0; c < columns; c++) {
		int64_t high = INT64_MIN;
		double share;

		for (size_t i = c * n / columns; i < (c + 1) * n / columns; i++)
			high = MAX_OF(high, p[i].bytes);
		share = most > least
				? ((double)high - (double)least) / ((double)most - (double)least)
				: 0;
		bars[c] = (unsigned)(share * (levels - 1) + 0.5);
	}
	*ret_min = least;
	*ret_max = most;
	return columns;
}

static void fact_who(struct buf *out, const struct incident_mail *m)
{
	if (has(m->culprit.name)) {
		encode_plain(out, m->culprit.name, BODY_NAME_MAX);
		if (m->culprit.pid)
			buf_printf(out, " (pid %u)", m->culprit.pid);
	} else {
		encode_plain(out, has(m->subject_kind) ? m->subject_kind : "host", BODY_NAME_MAX);
	}
	if (has(m->service)) {
		buf_puts(out, ", service ");
		encode_plain(out, m->service, BODY_NAME_MAX);
	}
	if (has(m->host)) {
		buf_puts(out, ", on ");
		encode_plain(out, m->host, BODY_NAME_MAX);
	}
}

static void fact_cmdline(struct buf *out, const struct incident_mail *m)
{
	encode_plain(out, m->culprit.cmdline, BODY_CMD_MAX);
}

static void fact_since(struct buf *out, const struct incident_mail *m)
{
	char time[STR_TIME_SIZE];

	if (!m->opened_us)
		return;
	buf_printf(out, "%.19sZ", str_time(time, m->opened_us));
	if (m->resolved_us)
		buf_printf(out, ", resolved %.19sZ", str_time(time, m->resolved_us));
}

static void fact_rss(struct buf *out, const struct incident_mail *m)
{
	if (m->culprit.name && m->culprit.rss_bytes >= 0)
		body_bytes(out, m->culprit.rss_bytes);
}

static void fact_growth(struct buf *out, const struct incident_mail *m)
{
	if (!m->culprit.name || !isfinite(m->culprit.growth))
		return;
	body_growth(out, m->culprit.growth);
	if (isfinite(m->r2))
		buf_printf(out, " (r2 %.2f)", m->r2);
}

static void fact_oom(struct buf *out, const struct incident_mail *m)
{
	if (m->time_to_oom_us < 0)
		return;
	buf_puts(out, "about ");
	put_duration(out, m->time_to_oom_us);
	buf_puts(out, " at this rate");
}

static void fact_host_memory(struct buf *out, const struct incident_mail *m)
{
	if (m->host_available < 0)
		return;
	body_bytes(out, m->host_available);
	buf_puts(out, " available");
	if (m->host_total > 0) {
		buf_puts(out, " of ");
		body_bytes(out, m->host_total);
	}
}

static void put_value(struct buf *out, const char *label, double v, enum mail_unit unit)
{
	if (!isfinite(v))
		return;
	buf_printf(out, "%s%s ", out->len ? ", " : "", label);
	switch (unit) {
	case MAIL_UNIT_BYTES:
		body_bytes(out, to_int(v));
		break;
	case MAIL_UNIT_BYTES_PER_HOUR:
		body_growth(out, v);
		break;
	case MAIL_UNIT_SECONDS:
		put_duration(out, to_int(fmin(v, 9e12) * USEC_PER_SEC));
		break;
	case MAIL_UNIT_NUMBER:
		buf_printf(out, "%.6g", v);
		break;
	}
}

static void fact_values(struct buf *out, const struct incident_mail *m)
{
	put_value(out, "first", m->first_value, m->unit);
	put_value(out, "peak", m->peak_value, m->unit);
	put_value(out, "last", m->last_value, m->unit);
	put_value(out, "when resolved", m->resolved_value, m->unit);
}

size_t body_room_take(struct body_room *room, const char *text, size_t most)
{
	size_t len = strlen(text);
	size_t n = MIN_OF(most, room->bytes);
	/* a hostile byte is shown as four, and what is short has its markup too */
	size_t shown = MAX_OF(str_is_safe(text, len) ? len : 4 * len, (size_t)BODY_PIECE_MIN);

	room->bytes -= MIN_OF(n, shown);
	return n;
}

size_t body_lines(const struct mail_section *s)
{
	return MIN_OF(s->line_count, (size_t)MESSAGE_LINES);
}

size_t body_rows(const struct mail_section *s)
{
	if (!s->columns || s->columns > MESSAGE_COLUMNS)
		return 0;
	return MIN_OF(s->cell_count / s->columns, (size_t)MESSAGE_LINES);
}

void body_link(struct buf *out, const struct incident_mail *m)
{
	if (has(m->link)) {
		buf_puts(out, "/");
		encode_plain(out, m->link, BODY_LINK_MAX);
	} else {
		buf_printf(out, "/#/alerts/%" PRId64, m->incident);
	}
}

const char *body_link_words(const struct incident_mail *m)
{
	return has(m->link) ? "All that is known" : "Look or acknowledge";
}

bool body_rule_line(const struct incident_mail *m, size_t *at, char line[BODY_RULE_MAX])
{
	static const char more[] = "...";
	const char *s = m->rule_text ? m->rule_text + *at : "";
	size_t room = BODY_RULE_MAX - MIN_OF(*at, (size_t)BODY_RULE_MAX);
	size_t len = strcspn(s, "\n");
	bool cut = len >= room;
	size_t n;

	if (!*s)
		return false;
	n = str_safe(line, BODY_RULE_MAX - strlen(more), s, MIN_OF(len, room));
	if (cut)
		memcpy(line + n, more, sizeof(more));
	*at += cut ? strlen(s) : len + (s[len] == '\n');
	return true;
}

const struct body_fact body_facts[] = {
#define X(function, label) {label, fact_##function},
	BODY_FACT_LIST(X)
#undef X
};
const size_t body_fact_count = ARRAY_SIZE(body_facts);
