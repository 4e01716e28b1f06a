/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/notice.h"

#include <string.h>

#include "collector/notify/encode.h"
#include "collector/notify/message_inner.h"

static void put_headers(struct buf *out, const struct mail_notice *n, const char *domain)
{
	encode_header(out, "Subject", n->subject);
	buf_printf(out, "Message-ID: <%s.%u.%s@%s>\r\n", n->thread, n->sequence, n->state, domain);
	buf_printf(out, "In-Reply-To: <%s@%s>\r\n", n->thread, domain);
	buf_printf(out, "References: <%s@%s>\r\n", n->thread, domain);
	buf_printf(out, "List-Id: memherd alerts <alerts.memherd.%s>\r\n", domain);
	buf_puts(out, "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n");
	encode_header(out, "X-Memherd-State", n->state);
	buf_puts(out, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		      "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
}

int notice_build(struct buf *out, const struct mail_notice *n, const char *from,
		 const char *recipients, struct error *err)
{
	int rc = message_put_envelope(out, n->now_us, from, recipients, err);

	if (rc < 0)
		return rc;
	put_headers(out, n, strchr(from, '@') + 1);
	encode_quoted_printable(out, n->text, strlen(n->text));
	rc = buf_status(out);
	return rc < 0 ? error_sys(err, rc, "cannot build the message") : 0;
}
