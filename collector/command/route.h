/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - commands and results between collectors: what was asked for anywhere goes out through
 * the collector that has the agent's connection, and a rule's leader hears of results that came in
 * elsewhere. Both by looking at the table once a second.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_ROUTE_H
#define MEMHERD_COLLECTOR_COMMAND_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/store/store_command.h"

struct db;
struct registry;
struct route;

struct route_config {
	struct db *db;
	struct registry *registry; /* read only: which agents are connected here */
	int writer;                /* store_writer() */
	/* A command of a host whose agent is connected here: it is 'sent' in the table already. */
	void (*send)(void *arg, const struct command_body *b);
	/* A rule's action ended, here or elsewhere, in the last half minute: told again and again.
	 */
	void (*ended)(void *arg, const struct action_row *row);
	void *arg;
};

int route_new(const struct route_config *c, struct route **ret) must_use;
void route_free(struct route **r);
/* Once a second. claim: send what waits; listen: ask for what ended. */
void route_turn(struct route *r, bool claim, bool listen);

#endif
