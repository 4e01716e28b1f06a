/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.h - tells when a rule's action stands still because it gave nothing: its row, its alert
 * and its audit row are written here, and its alert is resolved when it is over. That nothing is
 * asked for meanwhile is standdown.h's.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_BREAKER_H
#define MEMHERD_COLLECTOR_COMMAND_BREAKER_H

#include <stdint.h>

#include "collector/store/store_command.h"

struct breaker;
struct ledger;

struct breaker_config {
	struct db *db;
	struct ledger *ledger;
	int64_t results; /* in a row; 0 = no breaker */
	/* One was opened; row has actor, action and, in detail, a sentence. */
	void (*tripped)(void *arg, const struct action_row *row);
	void *arg;
};

int breaker_new(const struct breaker_config *c, struct breaker **ret) must_use;
void breaker_free(struct breaker **b);
/* Once a second, while we lead. */
void breaker_turn(struct breaker *b);

#endif
