/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/approval.h"

#include <stdio.h>

#include "common/str.h"

void approval_text(const struct action_row *row, char out[COMMAND_DETAIL_SIZE])
{
	char id[UUID_TEXT_SIZE], until[STR_TIME_SIZE];

	uuid_text(id, row->cmd_id);
	str_time(until, row->expires_us);
	snprintf(out, COMMAND_DETAIL_SIZE,
		 "waits for approval until %.19sZ: memherd approve %s, or memherd cancel %s", until,
		 id, id);
}
