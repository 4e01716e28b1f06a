/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/journal_mail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "collector/notify/mail.h"
#include "common/clock.h"
#include "common/log.h"

void journal_mail(struct mailer *m, const char *host, const char *why)
{
	char subject[384], thread[64], text[1536];
	struct error err = {""};
	const struct mail_notice n = {.subject = subject,
				      .text = text,
				      .state = "firing",
				      .thread = thread,
				      .sequence = 1,
				      .now_us = clock_wall_us()};
	int rc;

	snprintf(subject, sizeof(subject), "[memherd] %s: its journal of actions was changed",
		 host);
	snprintf(thread, sizeof(thread), "journal.%" PRIx64, (uint64_t)n.now_us);
	snprintf(
		text, sizeof(text),
		"The journal in which memherd-actd on %s keeps what it did does not fit what it "
		"told before: %s.\n\nThat is so after the machine was put back to a copy, or the "
		"file was moved away or changed. On the host: memherd-actd journal --verify. Here: "
		"memherd audit verify.\n",
		host, why);
	rc = mail_notice(m, &n, &err);
	if (rc < 0 && rc != -ENOTSUP)
		log_error("journal mail not sent error=\"%s\"", err.msg);
}
