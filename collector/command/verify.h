/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.h - measures what actions gave back some seconds, a minute and ten minutes after them,
 * from the samples that are there anyway, and writes it into their rows. What is due stands in the
 * table, so whoever leads next takes it up.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_VERIFY_H
#define MEMHERD_COLLECTOR_COMMAND_VERIFY_H

#include "collector/command/effect.h"
#include "collector/store/store_command.h"

struct ledger;
struct registry;
struct verify;

struct verify_config {
	struct db *db;
	struct ledger *ledger;
	struct registry *registry; /* read only */
	int64_t stages_s[EFFECT_STAGES];
	/* The verdict of one is written. */
	void (*verified)(void *arg, const struct action_row *row);
	void *arg;
};

int verify_new(const struct verify_config *c, struct verify **ret) must_use;
void verify_free(struct verify **v);
/* Once a second, while we lead. */
void verify_turn(struct verify *v);

#endif
