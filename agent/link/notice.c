/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/notice.h"

#include <string.h>

bool notice_begin(struct intake *in, const struct command_request *q)
{
	struct record_action a = {.state = RECORD_ACTION_BEGINS};
	struct command c;

	/* Unsigned as far as we know; whether it is carried out the result says. */
	if (command_unpack(q->body, sizeof(q->body), &c, NULL) < 0 || c.dry_run || !c.pid ||
	    !c.start_ticks)
		return true;
	memcpy(a.id, c.id, sizeof(a.id));
	a.pid = c.pid;
	a.start_ticks = c.start_ticks;
	a.action = (uint16_t)c.action;
	return in && intake_tell_action(in, &a);
}

bool notice_result(struct intake *in, const uint8_t result[COMMAND_RESULT_SIZE])
{
	struct record_action a = {.state = RECORD_ACTION_OFF};
	struct command_result r;

	if (command_result_unpack(result, COMMAND_RESULT_SIZE, &r, NULL) < 0 ||
	    r.status == COMMAND_DRY_RUN || command_result_acted(&r))
		return true;
	memcpy(a.id, r.id, sizeof(a.id));
	return in && intake_tell_action(in, &a);
}
