/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h - a TCP port: who may come in, and how fast.
 *
 * Accepts are admitted by a token bucket (a fleet that reconnects at once must not starve the loop
 * of its turns), a cap on connections and a cap per address on those that have not yet been
 * greeted. Who is refused is closed before TLS costs anything. What an admitted connection becomes
 * is the owner's: the callback owns fd.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_LISTENER_H
#define MEMHERD_COLLECTOR_FLEET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct event_base;
struct listener;

struct listener_limits {
	unsigned per_second; /* admissions, burst of one second */
	unsigned max_open;
	unsigned max_new_per_address; /* between accept and listener_greeted() */
};

/* What the owner keeps per connection and hands back. */
struct admission {
	struct listener *listener;
	uint32_t address_hash;
	bool greeted;
};

typedef void listener_accept(void *arg, int fd, const struct admission *a);

/* address is 'host:port', '[v6]:port' or ':port'; port 0 takes a free one. */
int listener_new(struct event_base *base, const char *address, const struct listener_limits *limits,
		 listener_accept *accept, void *arg, struct listener **ret,
		 struct error *err) must_use;
/* Closes the port; the connections it admitted live on. l may be NULL. */
void listener_stop(struct listener *l);
/* Not before the last of its connections has ended: they are counted here. */
void listener_free(struct listener **l);
uint16_t listener_port(const struct listener *l);
/* The peer has said who it is: it no longer counts against its address. */
void listener_greeted(struct admission *a);
/* The connection ended. */
void listener_closed(struct admission *a);
uint64_t listener_refused(const struct listener *l);

#endif
