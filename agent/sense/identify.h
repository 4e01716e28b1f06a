/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identify.h - files a process under its service: which one, what it is to it, and which of its
 * workers it is.
 *
 * Roles: what a title says ('nginx: worker process'), else the family. A worker is a child of a
 * process that runs the same program in the same service and is no worker itself; that one is the
 * master. A fork that is about to exec looks like a worker for a moment, so its parent becomes the
 * master only once the child has been seen to stay what it was.
 */
#ifndef MEMHERD_AGENT_SENSE_IDENTIFY_H
#define MEMHERD_AGENT_SENSE_IDENTIFY_H

#include "agent/sense/describe.h"
#include "agent/sense/sampler.h"

/* Sets service, slot, entry and role of the entry; what was filed before is taken back where it
 * differs. d->service becomes the parent's where d says that it runs what its parent runs. */
void identify(struct sampler *s, uint32_t id, struct description *d);
/* A look found it unchanged: a worker by its family makes its parent the master, which is then to
 * be told again. */
void identify_settled(struct sampler *s, uint32_t id, uint32_t ppid);
/* What has ended leaves its service. Before anybody is announced in a round, so that a replaced
 * worker's slot is free and a service that was down for a moment is known to be new. */
void identify_ended(struct sampler *s);

/* A container got a name: whoever is filed under what it was called ('docker:0123456789ab', with or
 * without a unit behind it) is to be told again. */
void identify_renamed(struct sampler *s, const char *before);

#endif
