/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/approval_mail.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/command/approval.h"
#include "collector/notify/mail.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

/* pid 0: the whole host. */
static const char *target_of(const struct action_row *row)
{
	return *row->process ? row->process : row->pid ? "a process" : "the whole host";
}

void approval_mail(struct mailer *m, const struct action_row *row)
{
	char subject[2 * ACTION_NAME_SIZE + 64], thread[16 + UUID_TEXT_SIZE];
	char how[COMMAND_DETAIL_SIZE], id[UUID_TEXT_SIZE], pid[24] = "";
	char text[2 * ACTION_NAME_SIZE + ACTION_PARAMS_SIZE + COMMAND_DETAIL_SIZE + 512];
	struct error err = {""};
	const struct mail_notice n = {.subject = subject,
				      .text = text,
				      .state = "firing",
				      .thread = thread,
				      .sequence = 1,
				      .now_us = clock_wall_us()};
	int rc;

	uuid_text(id, row->cmd_id);
	approval_text(row, how);
	if (row->pid)
		snprintf(pid, sizeof(pid), " (pid %d)", row->pid);
	snprintf(subject, sizeof(subject), "[memherd] %s of %s on %s waits for approval",
		 row->action, target_of(row), row->host);
	snprintf(thread, sizeof(thread), "approval.%s", id);
	for (char *c = thread; *c; c++)
		if (*c == '-')
			*c = '.';
	snprintf(text, sizeof(text),
		 "%s asked for %s of %s%s on %s%s%s.\nReason: %s\n\nIt %s.\n"
		 "Somebody else than who asked has to approve it; until then nothing is done.\n",
		 row->actor, row->action, target_of(row), pid, row->host,
		 strcmp(row->params, "{}") == 0 ? "" : ", with ",
		 strcmp(row->params, "{}") == 0 ? "" : row->params,
		 *row->reason ? row->reason : "none was given", how);
	rc = mail_notice(m, &n, &err);
	if (rc < 0 && rc != -ENOTSUP)
		log_error("approval mail not sent error=\"%s\"", err.msg);
}
