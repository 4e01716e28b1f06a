/* SPDX-License-Identifier: Apache-2.0 */
/*
 * naming.h - asks memherd-names for the containers that have no name yet, and has their processes
 * told again when it comes. Never waits. Owns nothing: the descriptor is the caller's.
 */
#ifndef MEMHERD_AGENT_SENSE_NAMING_H
#define MEMHERD_AGENT_SENSE_NAMING_H

#include "agent/names/client.h"
#include "agent/sense/sampler.h"

struct naming {
	struct names_client client;
	struct sampler *sampler;
};

/* fd: sense's end of the pair with names, -1 = nobody to ask. sampler must outlive it. */
void naming_init(struct naming *n, struct sampler *sampler, int fd);
/* Takes what came and asks for what is wanted; after each round. How many containers got a name, or
 * -EPIPE when names is gone for good (it is not asked again). */
int naming_turn(struct naming *n, int64_t now_us) must_use;

#endif
