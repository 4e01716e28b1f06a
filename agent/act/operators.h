/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operators.h - who may sign what the policy wants signed (signed=yes), beside the collector: keys
 * in a folder of root's, whose private halves no collector ever has. Who has the collector's key
 * alone cannot make such a command; who has an operator's key alone cannot either.
 *
 * What an operator signs (command_statement) names host, process, action and parameters and has an
 * id and an end of its own. The id is the command's, and the journal carries an id out once. Where
 * the journal does not reach back to when it was signed, it is refused: it may have been used.
 */
#ifndef MEMHERD_AGENT_ACT_OPERATORS_H
#define MEMHERD_AGENT_ACT_OPERATORS_H

#include "common/error.h"
#include "proto/command.h"

#define OPERATORS_MAX      64
#define OPERATOR_NAME_SIZE 64

/* Whose of FOLDER/NAME.pub signed these bytes, none of which is looked at: NAME. -EACCES: nobody's;
 * another error names the file that cannot be used. */
int operators_check(const char *folder, const struct command_warrant *o,
		    char ret_name[OPERATOR_NAME_SIZE], struct error *err) must_use;
/*
 * Does what came along belong to the command, and in time? Both signatures are checked before.
 * reach_us: journal_reach(). -EACCES, -EBADMSG, -ESTALE. Pure.
 */
int operators_agree(const struct command_request *r, const struct command *c, int64_t now_us,
		    int64_t reach_us, struct error *err) must_use;

#endif
