/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/breaker_mail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "collector/notify/mail.h"
#include "common/clock.h"
#include "common/log.h"

void breaker_mail(struct mailer *m, const struct action_row *row)
{
	char subject[128], thread[64], text[COMMAND_DETAIL_SIZE + 512];
	struct error err = {""};
	const struct mail_notice n = {.subject = subject,
				      .text = text,
				      .state = "firing",
				      .thread = thread,
				      .sequence = 1,
				      .now_us = clock_wall_us()};
	int rc;

	snprintf(subject, sizeof(subject), "[memherd] %s of %s stopped", row->action, row->actor);
	snprintf(thread, sizeof(thread), "breaker.%" PRIx64, (uint64_t)n.now_us);
	snprintf(text, sizeof(text),
		 "%s.\n\nThe rule's alerts are told all the same. What was done and what came of "
		 "it: "
		 "memherd actions.\nTo have it tried again before: memherd breakers close %s %s\n",
		 row->detail, row->actor, row->action);
	rc = mail_notice(m, &n, &err);
	if (rc < 0 && rc != -ENOTSUP)
		log_error("breaker mail not sent error=\"%s\"", err.msg);
}
