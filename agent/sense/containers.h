/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containers.h - what the containers of this host are called, as far as is known: from a file
 * inside (container_file.h), or from the engine through memherd-names.
 *
 * What a container says of itself is kept behind its runtime ('podman:web'), so that none can pose
 * as another service; what the engine says counts as it is. Bounded: at the maximum the one that
 * was not met for longest makes room. Pure.
 */
#ifndef MEMHERD_AGENT_SENSE_CONTAINERS_H
#define MEMHERD_AGENT_SENSE_CONTAINERS_H

#include "agent/names/question.h"
#include "agent/sense/container.h"

#define CONTAINERS_MAX          512u
#define CONTAINERS_ASK_AGAIN_US 60000000

struct known_container {
	char id[CONTAINER_ID_LEN + 1];
	char label[32]; /* container_label(): what it is called without a name */
	char *name;     /* NULL = not known */
	char *service;  /* NULL = label */
	char *image;    /* NULL = not told */
	int64_t met_us;
	int64_t ask_us; /* when to ask for its name; INT64_MAX = known */
	bool looked;    /* inside it */
};

struct containers {
	struct known_container *all;
	uint32_t count;
	uint32_t cap;
	uint32_t max;
};

void containers_init(struct containers *c, uint32_t max);
void containers_fini(struct containers *c);

/* The entry of a container that has an id, made if need be; NULL for one that has none, or without
 * memory. Good until the next call. */
struct known_container *containers_meet(struct containers *c, const struct container *of,
					int64_t now_us);
/* NULL when it was never met. */
const struct known_container *containers_find(const struct containers *c, const char *id);
/* What its service is called now. */
const char *containers_service(const struct known_container *k);
/* What it says of itself. */
void containers_told_inside(struct known_container *k, const char *name, const char *service);

/* The ids to ask for now, at most n; each is then not due for CONTAINERS_ASK_AGAIN_US. They are
 * good until the next call. */
size_t containers_wanted(struct containers *c, int64_t now_us, const char **ids, size_t n);
/* What the engine said. True when its service is called otherwise now: before gets what it was
 * called. */
bool containers_learn(struct containers *c, const struct names_answer *a, char *before,
		      size_t size);

#endif
