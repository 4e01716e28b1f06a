/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holders.h - which collector has which agent's connection, as the hosts' rows tell: read every two
 * seconds, and with it hosts that enrolled at another collector.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_HOLDERS_H
#define MEMHERD_COLLECTOR_FLEET_HOLDERS_H

#include <stdint.h>

struct event_base;
struct holders;
struct host;
struct registry;
struct store;

/* A host came into the registry that was not in it. */
typedef void holders_new_host(void *arg, struct host *h);

/* A collector that gave no sign of life for dead_us has no connections. */
int holders_new(struct event_base *base, struct store *store, struct registry *registry,
		int64_t dead_us, holders_new_host *on_new, void *arg, struct holders **ret);
void holders_free(struct holders **h);

#endif
