/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/route.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/fleet/registry.h"
#include "common/clock.h"
#include "common/log.h"

#define ROUTE_MAGIC 0x726f7574u
#define CLAIM_AGE_US                                                                 \
	USEC_PER_SEC /* younger ones are on their way from where they were asked for \
		      */
#define ENDED_BACK_US (30 * USEC_PER_SEC)
#define OPEN_MAX_US   (26 * 3600 * USEC_PER_SEC) /* no command is open, or waits, for longer */

struct route {
	unsigned magic;
	struct route_config config;
	bool claiming;
	bool listening;
};

/* ---- out ---- */

static void on_claimed(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct route *route = arg;

	MAGIC_CHECK(route, ROUTE_MAGIC);
	route->claiming = false;
	if (rc < 0) {
		log_warn("command error=\"cannot look for what is to be sent: %s\"",
			 err ? err->msg : "");
		return;
	}
	for (size_t i = 0; i < db_rows(r); i++) {
		struct command_body b;

		if (store_command_body(r, i, &b) == 0)
			route->config.send(route->config.arg, &b);
	}
}

/* The hosts whose agents are connected to us. */
static int64_t *hosts_here(const struct route *route, size_t *ret_n)
{
	const struct registry *registry = route->config.registry;
	int64_t *ids = calloc(HASH_COUNT(registry->hosts) + 1, sizeof(*ids));

	*ret_n = 0;
	for (const struct host *h = registry->hosts; ids && h; h = h->hh.next)
		if (h->connected)
			ids[(*ret_n)++] = h->host_id;
	return ids;
}

static void claim_waiting(struct route *route)
{
	int64_t now_us = clock_wall_us();
	size_t n;
	auto_free int64_t *ids = hosts_here(route, &n);

	if (ids && n && !route->claiming &&
	    store_command_claim(route->config.db, ids, n, now_us, now_us - CLAIM_AGE_US,
				route->config.writer, on_claimed, route) == 0)
		route->claiming = true;
}

/* ---- back ---- */

static void on_ended(void *arg, int rc, const struct db_result *r,
		     const struct error *err unused_arg)
{
	struct route *route = arg;

	MAGIC_CHECK(route, ROUTE_MAGIC);
	route->listening = false;
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		struct action_row row;

		store_command_row(r, i, &row);
		route->config.ended(route->config.arg, &row);
	}
}

static void listen_for_ends(struct route *route)
{
	int64_t now_us = clock_wall_us();

	if (!route->listening &&
	    store_command_finished(route->config.db, now_us - OPEN_MAX_US, now_us - ENDED_BACK_US,
				   on_ended, route) == 0)
		route->listening = true;
}

void route_turn(struct route *route, bool claim, bool listen)
{
	MAGIC_CHECK(route, ROUTE_MAGIC);
	if (claim)
		claim_waiting(route);
	if (listen && route->config.ended)
		listen_for_ends(route);
}

int route_new(const struct route_config *c, struct route **ret)
{
	struct route *route = calloc(1, sizeof(*route));

	if (!route)
		return -ENOMEM;
	route->magic = ROUTE_MAGIC;
	route->config = *c;
	*ret = route;
	return 0;
}

void route_free(struct route **slot)
{
	struct route *route = take_ptr(*slot);

	if (!route)
		return;
	route->magic = 0;
	free(route);
}
