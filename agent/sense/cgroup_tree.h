/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_tree.h - the memory cgroups that matter: those with processes that we track, and all above
 * them. Each has a small id for the wire; each round their figures are read anew, cheaply.
 *
 * The owner says which process is in which cgroup (join at birth, leave at exit); a cgroup leaves
 * the tree when nobody is in it or below it. Ids are 0..511, the lowest free one first, and not
 * reused in the round in which they became free. Beyond 512: refused, counted.
 *
 * A cgroup whose folder has gone is told once as CGROUP_GONE with its last figures. No descriptor
 * is held: one on a removed cgroup's file only gives ENODEV (measured), so it cannot save a
 * counter. What can is the parent: in v2 its memory.events counts what happened below it, also in
 * cgroups that came and went between two rounds: 'unseen_kills'. v1 counts in the victim's own
 * cgroup alone; there /proc/vmstat's oom_kill is the check.
 *
 * The mounted root has no id (CGROUP_NONE): it is the host. Names are raw bytes from the host:
 * str_safe before they are shown. Memory is about 350 bytes and the path a cgroup.
 */
#ifndef MEMHERD_AGENT_SENSE_CGROUP_TREE_H
#define MEMHERD_AGENT_SENSE_CGROUP_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/cgroup_mount.h"
#include "agent/sense/cgroup_stat.h"
#include "common/check.h"
#include "common/error.h"

#define CGROUP_MAX           512u
#define CGROUP_NONE          UINT16_MAX
#define CGROUP_OWNER_HOST    UINT16_MAX       /* MemTotal is the limit */
#define CGROUP_OWNER_OUTSIDE (UINT16_MAX - 1) /* the mounted root, or one above it */
/* Rounds between two readings of everything. */
#define CGROUP_FULL_EVERY 6u

enum cgroup_state {
	CGROUP_NEW,   /* was not read yet */
	CGROUP_LIVE,  /* its figures are of this round */
	CGROUP_GONE,  /* its folder has gone: the last figures */
	CGROUP_BLIND, /* there, but it tells nothing: not to be read, or without the memory
			 controller */
};

struct cgroup {
	char *path; /* below the mount, "/a/b"; raw */
	uint32_t hash;
	uint32_t born;        /* the round of its first reading */
	uint32_t members;     /* processes that are tracked in it */
	uint16_t children;    /* in the tree */
	uint16_t parent;      /* CGROUP_NONE = the root */
	uint8_t state;        /* enum cgroup_state */
	bool gone_now;        /* went in this round: tell it */
	bool unlimited;       /* neither it nor any above it has a limit below MemTotal */
	uint16_t owner;       /* whose limit 'effective' is: an id, or CGROUP_OWNER_... */
	int64_t effective;    /* KiB: the least of all limits that hold and MemTotal */
	int64_t new_kills;    /* oom_kill since the round before; nothing at the first */
	int64_t unseen_kills; /* v2: of new_kills, those that no cgroup of the tree below explains
			       */
	int64_t v[CGROUP_FIGURE_COUNT];
};

struct cgroup_tree {
	struct cgroup_mount mount;
	int fd; /* of the mount; -1 = no memory cgroups here */
	struct cgroup *by_id[CGROUP_MAX];
	uint32_t freed[CGROUP_MAX]; /* the round in which an id became free */
	uint32_t high;              /* ids are below this */
	uint32_t count;
	uint32_t round;
	int64_t root_limit; /* KiB: of the mounted root, which in a container is its own cgroup */
	uint64_t refused;   /* cgroups beyond CGROUP_MAX, or without memory for them */
};

/* A host without memory cgroups (version CGROUP_NO_VERSION) is fine: joining then gives
 * CGROUP_NONE. */
int cgroup_tree_init(struct cgroup_tree *t, const struct cgroup_mount *m,
		     struct error *err) must_use;
void cgroup_tree_fini(struct cgroup_tree *t);

/* One more process is in that cgroup: its id, or CGROUP_NONE (the root, out of sight, no room). */
uint16_t cgroup_tree_join(struct cgroup_tree *t, const struct procfs_cgroup *paths) must_use;
void cgroup_tree_leave(struct cgroup_tree *t, uint16_t id);

/* Reads every cgroup and works out limits and kills. mem_total: KiB, METRIC_ABSENT = not known. */
void cgroup_tree_read(struct cgroup_tree *t, int64_t mem_total);
/* After the round was told: takes out what is gone or empty. */
void cgroup_tree_sweep(struct cgroup_tree *t);

static inline struct cgroup *cgroup_tree_get(const struct cgroup_tree *t, uint16_t id)
{
	return id < t->high ? t->by_id[id] : NULL;
}

#endif
