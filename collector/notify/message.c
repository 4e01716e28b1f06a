/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "collector/notify/body.h"
#include "collector/notify/encode.h"
#include "collector/notify/message_inner.h"
#include "common/clock.h"

#define RECIPIENTS_MAX 64

const char *mail_state_word(enum mail_state s)
{
	static const char *const words[] = {
#define X(NAME, word, colour) [MAIL_##NAME] = #word,
		MAIL_STATE_LIST(X)
#undef X
	};

	return (size_t)s < ARRAY_SIZE(words) ? words[s] : "unknown";
}

void message_subject(struct buf *out, const struct incident_mail *m)
{
	const char *culprit = body_culprit(m);

	buf_puts(out, "[memherd] ");
	encode_plain(out, m->host, BODY_NAME_MAX);
	if (!m->host || strcmp(culprit, m->host) != 0) {
		buf_puts(out, " ");
		encode_plain(out, culprit, BODY_NAME_MAX);
	}
	buf_puts(out, ": ");
	encode_plain(out, m->headline, BODY_NAME_MAX);
	buf_printf(out, " (INC-%" PRId64 ")", m->incident);
}

/* RFC 5322 section 3.3, always UTC; strftime's names would follow the locale. */
static void put_date(struct buf *out, int64_t wall_us)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)(wall_us / USEC_PER_SEC);
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return;
	buf_printf(out, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d +0000\r\n",
		   days + 3 * (size_t)tm.tm_wday, tm.tm_mday, months + 3 * (size_t)tm.tm_mon,
		   tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* The time of opening keeps two installations, or one that was set up anew, apart. */
static void put_thread(struct buf *out, const struct incident_mail *m, const char *domain)
{
	buf_printf(out, "Message-ID: <inc%" PRId64 ".%" PRIx64 ".%u.%s@%s>\r\n", m->incident,
		   m->opened_us, m->sequence, mail_state_word(m->state), domain);
	buf_printf(out, "In-Reply-To: <inc%" PRId64 ".%" PRIx64 "@%s>\r\n", m->incident,
		   m->opened_us, domain);
	buf_printf(out, "References: <inc%" PRId64 ".%" PRIx64 "@%s>\r\n", m->incident,
		   m->opened_us, domain);
}

/* One address a line, folded; blank lines are skipped. */
static int put_recipients(struct buf *out, const char *recipients, struct error *err)
{
	char address[256];
	unsigned n = 0;

	buf_puts(out, "To: ");
	for (const char *s = recipients; *s;) {
		size_t len = strcspn(s, "\r\n");

		if (len >= sizeof(address))
			return error_set(err, -EINVAL, "recipient '%.40s...' is too long", s);
		memcpy(address, s, len);
		address[len] = '\0';
		s += len + strspn(s + len, "\r\n");
		if (!len)
			continue;
		if (!encode_is_address(address))
			return error_set(err, -EINVAL, "recipient '%s' is no mail address",
					 address);
		if (++n > RECIPIENTS_MAX)
			return error_set(err, -EINVAL, "more than %d recipients", RECIPIENTS_MAX);
		buf_printf(out, "%s%s", n > 1 ? ",\r\n " : "", address);
	}
	buf_puts(out, "\r\n");
	return n ? 0 : error_set(err, -EINVAL, "no recipient");
}

int message_put_envelope(struct buf *out, int64_t now_us, const char *from, const char *recipients,
			 struct error *err)
{
	if (!encode_is_address(from))
		return error_set(err, -EINVAL, "sender '%s' is no mail address", from);
	put_date(out, now_us);
	buf_printf(out, "From: memherd <%s>\r\n", from);
	return put_recipients(out, recipients, err);
}

static int put_headers(struct buf *out, const struct incident_mail *m, const char *from,
		       const char *recipients, struct error *err)
{
	auto_buf struct buf subject = BUF_INIT(1024);
	char incident[32];
	const char *domain;
	int rc;

	message_subject(&subject, m);
	rc = buf_status(&subject);
	if (rc < 0)
		return error_sys(err, rc, "cannot write the subject");
	snprintf(incident, sizeof(incident), "INC-%" PRId64, m->incident);

	rc = message_put_envelope(out, m->now_us, from, recipients, err);
	if (rc < 0)
		return rc;
	domain = strchr(from, '@') + 1;
	encode_header(out, "Subject", (char *)subject.data);
	put_thread(out, m, domain);
	buf_printf(out, "List-Id: memherd alerts <alerts.memherd.%s>\r\n", domain);
	buf_puts(out, "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n");
	encode_header(out, "X-Memherd-Host", m->host ? m->host : "");
	encode_header(out, "X-Memherd-Rule", m->rule ? m->rule : "");
	encode_header(out, "X-Memherd-Severity", m->level ? m->level : "");
	encode_header(out, "X-Memherd-Incident", incident);
	encode_header(out, "X-Memherd-State", mail_state_word(m->state));
	return 0;
}

static int put_part(struct buf *out, const char *type, size_t max, const struct incident_mail *m,
		    void (*body)(struct buf *out, const struct incident_mail *m))
{
	auto_buf struct buf text = BUF_INIT(max);
	int rc;

	body(&text, m);
	rc = buf_status(&text);
	if (rc < 0)
		return rc;
	buf_printf(out,
		   "Content-Type: %s; charset=utf-8\r\n"
		   "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
		   type);
	encode_quoted_printable(out, (char *)text.data, text.len);
	return 0;
}

int message_build(struct buf *out, const struct incident_mail *m, const char *from,
		  const char *recipients, struct error *err)
{
	/* '=_' cannot stand in quoted-printable text, so no body can hold the boundary */
	static const char boundary[] = "=_memherd_alternative";
	int rc = put_headers(out, m, from, recipients, err);

	if (rc < 0)
		return rc;
	buf_printf(out,
		   "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; "
		   "boundary=\"%s\"\r\n\r\n--%s\r\n",
		   boundary, boundary);
	rc = put_part(out, "text/plain", BODY_TEXT_MAX, m, body_text);
	if (!rc) {
		buf_printf(out, "\r\n--%s\r\n", boundary);
		rc = put_part(out, "text/html", BODY_HTML_MAX, m, body_html);
	}
	buf_printf(out, "\r\n--%s--\r\n", boundary);
	if (!rc)
		rc = buf_status(out);
	return rc < 0 ? error_sys(err, rc, "cannot build the message") : 0;
}
