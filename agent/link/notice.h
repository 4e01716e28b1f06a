/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notice.h - what sense is told of commands (agent/record.h): what memherd-actd is about to do to a
 * process, and that it was not done after all. Dry runs are nobody's business. False when sense is
 * not there or does not read: then how the process ends will be a riddle.
 */
#ifndef MEMHERD_AGENT_LINK_NOTICE_H
#define MEMHERD_AGENT_LINK_NOTICE_H

#include <stdbool.h>

#include "agent/link/intake.h"
#include "proto/command.h"

/* in: NULL = no sense. What cannot be read will be refused, and is not told. */
bool notice_begin(struct intake *in, const struct command_request *q) must_use;
/* Takes it back when the process was left as it was. */
bool notice_result(struct intake *in, const uint8_t result[COMMAND_RESULT_SIZE]) must_use;

#endif
