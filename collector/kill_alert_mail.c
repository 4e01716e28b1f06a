/* SPDX-License-Identifier: Apache-2.0 */
/* The mail about kills: made of what their dossiers say, which came from a host and is not trusted
 * to be anything but JSON. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "collector/kill_alert_inner.h"
#include "collector/notify/mail.h"
#include "common/arena.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define LETTER_BYTES ((size_t)64 * 1024)
#define LINE_SIZE    400
#define COLUMNS      5
#define ROWS         (1 + 2 + 3) /* heading, victim and trigger, who grew most */
#define LINES_MAX    24
#define SECTIONS     4

/* The room that a mail's pointers point into. */
struct letter {
	struct arena words;
	struct mail_section sections[SECTIONS];
	const char *lines[SECTIONS][LINES_MAX];
	const char *cells[ROWS * COLUMNS];
	size_t n_cells;
	size_t n; /* sections begun */
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* Bytes; -1 = not known. */
static int64_t bytes_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_number(v) ? MAX_OF((int64_t)json_number_value(v), (int64_t)0) : -1;
}

/* ---- a party ---- */

const char *kill_alert_name(const json_t *party)
{
	static const char *const keys[] = {"service", "container", "comm"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (*text_of(party, keys[i]))
			return text_of(party, keys[i]);
	return "";
}

const json_t *kill_alert_culprit(const json_t *kill)
{
	static const char *const spans[] = {"grown_1m_bytes", "grown_10m_bytes", "grown_60m_bytes"};
	const json_t *first = json_array_get(json_object_get(kill, "growers"), 0);

	for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
		if (json_number_value(json_object_get(first, spans[i])) > 0)
			return first;
	return json_object_get(kill, "victim");
}

/* 'python3 (pid 11) of shop' */
static void put_party(struct buf *out, const json_t *party)
{
	const char *comm = text_of(party, "comm");
	int64_t pid = json_integer_value(json_object_get(party, "pid"));
	const char *name = kill_alert_name(party);

	if (!json_is_object(party))
		return;
	buf_puts(out, *comm ? comm : "a process");
	if (pid > 0)
		buf_printf(out, " (pid %" PRId64 ")", pid);
	if (strcmp(name, comm) != 0)
		buf_printf(out, " of %s", name);
}

void kill_alert_describe(char *out, size_t size, const json_t *party)
{
	auto_buf struct buf b = BUF_INIT(1024);
	int64_t rss = bytes_of(party, "rss_bytes");
	char text[STR_UNIT_SIZE];

	put_party(&b, party);
	if (rss >= 0)
		buf_printf(&b, ", %s", str_bytes(text, rss));
	str_copy(out, size, b.data ? (const char *)b.data : "");
}

/* ---- sections ---- */

static const char *keep(struct letter *l, const struct buf *b)
{
	const char *copy =
		b->data && !b->failed ? arena_strndup(&l->words, (char *)b->data, b->len) : NULL;

	return copy ? copy : "";
}

static void begin(struct letter *l, const char *title)
{
	struct mail_section *s = &l->sections[l->n];

	*s = (struct mail_section){.title = title, .lines = l->lines[l->n]};
	l->n++;
}

static void add_line(struct letter *l, const struct buf *b)
{
	struct mail_section *s = &l->sections[l->n - 1];

	if (b->len && s->line_count < LINES_MAX)
		l->lines[l->n - 1][s->line_count++] = keep(l, b);
}

/* A section that has nothing to say is none. */
static void end(struct letter *l)
{
	const struct mail_section *s = &l->sections[l->n - 1];

	if (!s->line_count && !s->cell_count)
		l->n--;
}

/* '22:01:02  python3 (pid 11) of shop, 512 MiB: killed by the kernel: ...' */
static void add_kill(struct letter *l, const json_t *kill)
{
	auto_buf struct buf b = BUF_INIT(2 * (size_t)LINE_SIZE);
	const char *time = text_of(kill, "time");
	char whom[LINE_SIZE];

	kill_alert_describe(whom, sizeof(whom), json_object_get(kill, "victim"));
	buf_printf(&b, "%.10s %.8sZ  %s: %s", time, strlen(time) > 11 ? time + 11 : "", whom,
		   text_of(kill, "cause_text"));
	add_line(l, &b);
}

static void add_kills(struct letter *l, const struct kill_alert *a, size_t from)
{
	auto_buf struct buf b = BUF_INIT(LINE_SIZE);
	const json_t *kill;
	size_t i;

	begin(l, "Kills");
	if (a->kills > 1)
		buf_printf(&b, "%u kills", a->kills);
	if (a->mails)
		buf_printf(&b, ", %u of them since the mail before", a->untold);
	add_line(l, &b);
	json_array_foreach (a->kept, i, kill)
		if (i >= from)
			add_kill(l, kill);
	if (a->untold > a->fresh) {
		buf_reset(&b);
		buf_printf(&b, "and %zu more", (size_t)a->untold - a->fresh);
		add_line(l, &b);
	}
	end(l);
}

static void add_cell(struct letter *l, const struct buf *b)
{
	if (l->n_cells < ARRAY_SIZE(l->cells))
		l->cells[l->n_cells++] = keep(l, b);
}

static void add_bytes(struct letter *l, const json_t *party, const char *key, bool growth)
{
	const json_t *v = json_object_get(party, key);
	auto_buf struct buf b = BUF_INIT(64);
	char text[STR_UNIT_SIZE];

	if (json_is_number(v))
		buf_printf(&b, "%s%s", growth && json_number_value(v) > 0 ? "+" : "",
			   str_bytes(text, (int64_t)json_number_value(v)));
	add_cell(l, &b);
}

static void add_party(struct letter *l, const char *role, const json_t *party)
{
	auto_buf struct buf who = BUF_INIT(1024);

	if (!json_is_object(party))
		return;
	buf_printf(&who, "%s: ", role);
	put_party(&who, party);
	add_cell(l, &who);
	add_bytes(l, party, "rss_bytes", false);
	add_bytes(l, party, "grown_1m_bytes", true);
	add_bytes(l, party, "grown_10m_bytes", true);
	add_bytes(l, party, "grown_60m_bytes", true);
}

static void add_who(struct letter *l, const json_t *kill)
{
	static const char *const headings[COLUMNS] = {"who", "RSS", "1 min", "10 min", "60 min"};
	const json_t *grower;
	size_t i;

	begin(l, "Who it was, and who had grown");
	for (i = 0; i < COLUMNS; i++)
		l->cells[l->n_cells++] = headings[i];
	add_party(l, "victim", json_object_get(kill, "victim"));
	add_party(l, "trigger", json_object_get(kill, "trigger"));
	json_array_foreach (json_object_get(kill, "growers"), i, grower)
		add_party(l, i ? "grew" : "grew most", grower);
	l->sections[l->n - 1].cells = l->cells;
	l->sections[l->n - 1].columns = COLUMNS;
	l->sections[l->n - 1].cell_count = l->n_cells;
}

static void put_share(struct buf *b, const char *what, int64_t part, int64_t whole)
{
	char text[STR_UNIT_SIZE];

	if (part < 0 && whole < 0)
		return;
	buf_printf(b, "%s%s %s", b->len ? "; " : "", what, part < 0 ? "?" : str_bytes(text, part));
	if (whole >= 0)
		buf_printf(b, " of %s", str_bytes(text, whole));
}

/* Whose memory had run out, and what the host had at that moment. */
static void add_limit(struct letter *l, const json_t *kill)
{
	const json_t *f = json_object_get(kill, "figures");
	const char *path = text_of(kill, "limit_cgroup");
	const char *owner = text_of(kill, "limit_owner");
	auto_buf struct buf limit = BUF_INIT(2 * (size_t)LINE_SIZE);
	auto_buf struct buf host = BUF_INIT(LINE_SIZE);

	begin(l, "Whose limit");
	if (*path) {
		buf_printf(&limit, "%s%s%.200s", owner, *owner ? ", cgroup " : "cgroup ", path);
		put_share(&limit, "in use", bytes_of(f, "usage_bytes"), bytes_of(f, "limit_bytes"));
		put_share(&limit, "swap", bytes_of(f, "swap_usage_bytes"),
			  bytes_of(f, "swap_limit_bytes"));
	} else {
		buf_puts(&limit, "none: the host itself had no memory left");
	}
	add_line(l, &limit);
	put_share(&host, "host at that moment: available", bytes_of(f, "host_available_bytes"),
		  bytes_of(f, "host_total_bytes"));
	put_share(&host, "swap free", bytes_of(f, "host_swap_free_bytes"),
		  bytes_of(f, "host_swap_total_bytes"));
	add_line(l, &host);
}

static void add_advice(struct letter *l, const json_t *kill)
{
	const json_t *one;
	size_t i;

	begin(l, "What would have prevented it");
	json_array_foreach (json_object_get(kill, "advice"), i, one) {
		auto_buf struct buf b = BUF_INIT(2048);

		buf_puts(&b, json_string_value(one) ? json_string_value(one) : "");
		add_line(l, &b);
	}
	end(l);
}

/* ---- the mail itself ---- */

static void set_culprit(struct incident_mail *m, const json_t *kill, struct host *h)
{
	const json_t *who = kill_alert_culprit(kill);
	int64_t pid = json_integer_value(json_object_get(who, "pid"));

	m->culprit = (struct mail_process){
		.pid = pid > 0 && pid <= UINT32_MAX ? (uint32_t)pid : 0,
		.name = *text_of(who, "comm") ? text_of(who, "comm") : NULL,
		.cmdline = text_of(who, "cmdline"),
		.rss_bytes = -1, /* it may be the one that is gone */
		.growth = NAN,
	};
	m->host_available = m->host_total = -1;
	if (!h)
		return;
	if (h->v[HOST_METRIC_AVAILABLE] != METRIC_ABSENT)
		m->host_available = h->v[HOST_METRIC_AVAILABLE] * 1024;
	if (h->v[HOST_METRIC_TOTAL] != METRIC_ABSENT)
		m->host_total = h->v[HOST_METRIC_TOTAL] * 1024;
}

static void write_letter(struct letter *l, const struct kill_alert *a, const json_t *kill,
			 size_t from)
{
	add_who(l, kill);
	add_limit(l, kill);
	add_advice(l, kill);
	add_kills(l, a, from);
}

static int send_letter(struct kill_alert *a, struct letter *l, int64_t now_us, struct error *err)
{
	size_t from = json_array_size(a->kept) - a->fresh;
	const json_t *kill = json_array_get(a->kept, from);
	char link[64];
	struct incident_mail m = {
		.incident = a->alert_id,
		.sequence = a->mails + 1,
		.state = a->mails ? MAIL_AGAIN : MAIL_FIRING,
		.rule = KILL_ALERT_RULE,
		.level = "mail",
		.headline = "OOM kill",
		.subject_kind = "host",
		.host = a->host,
		.service = *a->service ? a->service : NULL,
		.opened_us = a->opened_us,
		.now_us = now_us,
		.r2 = NAN,
		.time_to_oom_us = -1,
		.first_value = NAN,
		.peak_value = NAN,
		.last_value = NAN,
		.resolved_value = NAN,
		.summary = text_of(kill, "verdict"),
		.sections = l->sections,
		.why = "a kill for memory is always told; oom_mail = no in collector.conf ends it",
		.link = *text_of(kill, "kill_id") ? link : NULL,
	};

	snprintf(link, sizeof(link), "#oom=%s", text_of(kill, "kill_id"));
	write_letter(l, a, kill, from);
	m.section_count = l->n;
	set_culprit(&m, kill, registry_find_host(a->all->registry, a->host_id));
	return mail_incident(a->all->mailer, &m, err);
}

/* A mailed kill is on record in its dossier: the alert's row, which lists show, need not repeat it.
 * The newest stays whole, it tells who is to blame. */
static void forget_details(struct kill_alert *a)
{
	static const char *const details[] = {"growers", "advice", "figures", "trigger"};

	for (size_t i = 0; i + 1 < json_array_size(a->kept); i++)
		for (size_t n = 0; n < ARRAY_SIZE(details); n++)
			json_object_del(json_array_get(a->kept, i), details[n]);
}

void kill_alert_mail(struct kill_alert *a, int64_t now_us)
{
	struct error err = {""};
	struct letter l = {.n = 0};
	int rc = 0;

	arena_init(&l.words, LETTER_BYTES);
	if (a->all->mailer)
		rc = send_letter(a, &l, now_us, &err);
	if (rc < 0 && rc != -ENOTSUP)
		log_error("alert=%" PRId64 " mail not sent error=\"%s\"", a->alert_id, err.msg);
	arena_fini(&l.words);
	/* Its row counts the mails, so that none is sent twice over a restart. */
	a->mails++;
	a->mailed_us = now_us;
	a->untold = 0;
	a->fresh = 0;
	a->news = false;
	forget_details(a);
	a->unsaved = true;
}
