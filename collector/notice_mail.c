/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notice_mail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "collector/notify/mail.h"
#include "common/clock.h"
#include "common/log.h"

static void thread_of(char *out, size_t size, const char *what, const char *id, int64_t now_us)
{
	if (id)
		snprintf(out, size, "%s.%s", what, id);
	else
		snprintf(out, size, "%s.%" PRIx64, what, (uint64_t)now_us);
	for (char *c = out; *c; c++)
		if (*c == '-')
			*c = '.';
}

void notice_mail(struct mailer *m, const char *what, const char *id, const char *subject,
		 const char *text)
{
	char thread[80];
	struct error err = {""};
	const struct mail_notice n = {.subject = subject,
				      .text = text,
				      .state = "firing",
				      .thread = thread,
				      .sequence = 1,
				      .now_us = clock_wall_us()};
	int rc;

	thread_of(thread, sizeof(thread), what, id, n.now_us);
	rc = mail_notice(m, &n, &err);
	if (rc < 0 && rc != -ENOTSUP)
		log_error("%s mail not sent error=\"%s\"", what, err.msg);
}
