/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/approval_mail.h"

#include <stdio.h>
#include <string.h>

#include "collector/command/approval.h"
#include "collector/notice_mail.h"
#include "common/str.h"

/* pid 0: the whole host. */
static const char *target_of(const struct action_row *row)
{
	return *row->process ? row->process : row->pid ? "a process" : "the whole host";
}

void approval_mail(struct mailer *m, const struct action_row *row)
{
	char subject[2 * ACTION_NAME_SIZE + 64];
	char how[COMMAND_DETAIL_SIZE], id[UUID_TEXT_SIZE], pid[24] = "";
	char text[2 * ACTION_NAME_SIZE + ACTION_PARAMS_SIZE + COMMAND_DETAIL_SIZE + 512];

	uuid_text(id, row->cmd_id);
	approval_text(row, how);
	if (row->pid)
		snprintf(pid, sizeof(pid), " (pid %d)", row->pid);
	snprintf(subject, sizeof(subject), "[memherd] %s of %s on %s waits for approval",
		 row->action, target_of(row), row->host);
	snprintf(text, sizeof(text),
		 "%s asked for %s of %s%s on %s%s%s.\nReason: %s\n\nIt %s.\n"
		 "Somebody else than who asked has to approve it; until then nothing is done.\n",
		 row->actor, row->action, target_of(row), pid, row->host,
		 strcmp(row->params, "{}") == 0 ? "" : ", with ",
		 strcmp(row->params, "{}") == 0 ? "" : row->params,
		 *row->reason ? row->reason : "none was given", how);
	notice_mail(m, "approval", id, subject, text);
}
