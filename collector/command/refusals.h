/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refusals.h - writes what refusal.h's book has into the audit log, one row after the other:
 * 'command.refuse', with actor, target and, in its document, what was asked for, why not and how
 * often. While the database is away they wait in the book; what is in it at the end is lost.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_REFUSALS_H
#define MEMHERD_COLLECTOR_COMMAND_REFUSALS_H

#include "collector/command/refusal.h"

struct db;
struct refusals;

int refusals_new(struct db *db, struct refusals **ret) must_use;
/* The loop may not run between this and db_free. */
void refusals_free(struct refusals **r);
/* True: it is the first of its kind, for now. */
bool refusals_note(struct refusals *r, const struct refusal *one);
/* Once a second. */
void refusals_turn(struct refusals *r);

#endif
