/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval.h - what is said of an action that waits for a second person. Pure.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_APPROVAL_H
#define MEMHERD_COLLECTOR_COMMAND_APPROVAL_H

#include "collector/store/store_command.h"

/* One clause, as an action's detail: until when, and how. */
void approval_text(const struct action_row *row, char out[COMMAND_DETAIL_SIZE]);

#endif
