/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/cgroup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <xxhash.h>

int cgroup_tree_init(struct cgroup_tree *t, const struct cgroup_mount *m, struct error *err)
{
	*t = (struct cgroup_tree){.mount = *m, .fd = -1, .root_limit = METRIC_ABSENT};
	if (m->version == CGROUP_NO_VERSION)
		return 0;
	t->fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->fd < 0)
		return error_sys(err, -errno, "cannot open '%s'", m->path);
	return 0;
}

static void drop(struct cgroup_tree *t, uint16_t id)
{
	free(t->by_id[id]->path);
	free(t->by_id[id]);
	t->by_id[id] = NULL;
	t->freed[id] = t->round;
	t->count--;
}

void cgroup_tree_fini(struct cgroup_tree *t)
{
	for (uint32_t id = 0; id < t->high; id++)
		if (t->by_id[id])
			drop(t, (uint16_t)id);
	if (t->fd >= 0)
		close(t->fd);
	*t = (struct cgroup_tree){.fd = -1};
}

/* ---- who is in the tree ---- */

static uint16_t find(const struct cgroup_tree *t, const char *path, size_t len, uint32_t hash)
{
	for (uint32_t id = 0; id < t->high; id++) {
		const struct cgroup *c = t->by_id[id];

		/* one that has gone stays until its members have left; its path may be another's */
		if (c && c->hash == hash && c->state != CGROUP_GONE && strlen(c->path) == len &&
		    memcmp(c->path, path, len) == 0)
			return (uint16_t)id;
	}
	return CGROUP_NONE;
}

static uint16_t take_id(const struct cgroup_tree *t)
{
	for (uint32_t id = 0; id < CGROUP_MAX; id++)
		if (!t->by_id[id] && (!t->freed[id] || t->freed[id] != t->round))
			return (uint16_t)id;
	return CGROUP_NONE;
}

static uint16_t add(struct cgroup_tree *t, const char *path, size_t len, uint16_t parent,
		    uint32_t hash)
{
	uint16_t id = take_id(t);
	struct cgroup *c = id == CGROUP_NONE ? NULL : malloc(sizeof(*c));
	char *copy = c ? strndup(path, len) : NULL;

	if (!copy) {
		free(c);
		t->refused++;
		return CGROUP_NONE;
	}
	*c = (struct cgroup){
		.path = copy,
		.hash = hash,
		.parent = parent,
		.state = CGROUP_NEW,
		.owner = CGROUP_OWNER_HOST,
		.effective = METRIC_ABSENT,
	};
	for (unsigned i = 0; i < CGROUP_FIGURE_COUNT; i++)
		c->v[i] = METRIC_ABSENT;
	t->by_id[id] = c;
	t->high = MAX_OF(t->high, id + 1u);
	t->count++;
	if (parent != CGROUP_NONE)
		t->by_id[parent]->children++;
	return id;
}

/* Takes out what nobody needs any more, and what was above it only for its sake. */
static void prune(struct cgroup_tree *t, uint16_t id)
{
	while (id != CGROUP_NONE) {
		struct cgroup *c = t->by_id[id];
		uint16_t parent = c->parent;

		if (c->members || c->children || c->gone_now)
			return;
		drop(t, id);
		if (parent != CGROUP_NONE)
			t->by_id[parent]->children--;
		id = parent;
	}
}

uint16_t cgroup_tree_join(struct cgroup_tree *t, const struct procfs_cgroup *paths)
{
	const char *path = cgroup_mount_below(&t->mount, paths);
	uint16_t id = CGROUP_NONE;
	size_t len = 0;

	if (t->fd < 0 || !path || !*path)
		return CGROUP_NONE;
	/* from the top down: the parents first */
	do {
		uint16_t parent = id;
		uint32_t hash;

		len += 1 + strcspn(path + len + 1, "/");
		hash = (uint32_t)XXH3_64bits(path, len);
		id = find(t, path, len, hash);
		if (id == CGROUP_NONE)
			id = add(t, path, len, parent, hash);
		if (id == CGROUP_NONE) {
			prune(t, parent);
			return CGROUP_NONE;
		}
	} while (path[len]);
	t->by_id[id]->members++;
	return id;
}

void cgroup_tree_leave(struct cgroup_tree *t, uint16_t id)
{
	struct cgroup *c = cgroup_tree_get(t, id);

	if (c && c->members)
		c->members--;
}

/* ---- a round ---- */

/* Without the memory controller a cgroup has none of the files; its processes count further up. */
static bool is_there(const struct cgroup_tree *t, const struct cgroup *c)
{
	return faccessat(t->fd, c->path + 1, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void read_one(struct cgroup_tree *t, uint16_t id)
{
	struct cgroup *c = t->by_id[id];
	bool full = (id + t->round) % CGROUP_FULL_EVERY == 0;
	int64_t kills = c->v[CGROUP_EV_OOM_KILL];
	bool first = c->state == CGROUP_NEW;
	int r;

	c->gone_now = false;
	c->new_kills = 0;
	c->unseen_kills = 0;
	if (c->state == CGROUP_GONE)
		return;
	r = cgroup_stat_read(t->fd, c->path + 1, t->mount.version,
			     full ? CGROUP_FULL : CGROUP_LIGHT, c->v);
	if (r < 0 && !is_there(t, c)) {
		/* one that was never read came and went unseen */
		c->gone_now = !first;
		c->state = CGROUP_GONE;
		return;
	}
	c->state = r < 0 ? CGROUP_BLIND : CGROUP_LIVE;
	if (first)
		c->born = t->round;
	/* A smaller count is another cgroup of the same name: all of it is new. */
	if (!first && r == 0 && kills != METRIC_ABSENT && c->v[CGROUP_EV_OOM_KILL] != kills &&
	    c->v[CGROUP_EV_OOM_KILL] != METRIC_ABSENT)
		c->new_kills = c->v[CGROUP_EV_OOM_KILL] > kills ? c->v[CGROUP_EV_OOM_KILL] - kills
								: c->v[CGROUP_EV_OOM_KILL];
}

static void lower(struct cgroup *c, int64_t limit, uint16_t owner)
{
	if (limit == METRIC_ABSENT || (c->effective != METRIC_ABSENT && c->effective <= limit))
		return;
	c->effective = limit;
	c->owner = owner;
	c->unlimited = false;
}

static void work_out_limit(struct cgroup_tree *t, uint16_t id, int64_t mem_total)
{
	struct cgroup *c = t->by_id[id];
	int64_t hier = c->v[CGROUP_HIER_LIMIT];

	c->effective = mem_total;
	c->owner = CGROUP_OWNER_HOST;
	c->unlimited = true;
	lower(c, t->root_limit, CGROUP_OWNER_OUTSIDE);
	/* v1 knows what holds for it, also what cannot be seen from here, and whether what is above
	 * it counts at all (use_hierarchy). 'No limit' is absent. */
	if (t->mount.version == CGROUP_V1 && c->v[CGROUP_USAGE] != METRIC_ABSENT)
		lower(c, hier, CGROUP_OWNER_OUTSIDE);
	for (uint16_t up = id; up != CGROUP_NONE; up = t->by_id[up]->parent) {
		int64_t limit = t->by_id[up]->v[CGROUP_LIMIT];

		if (t->mount.version == CGROUP_V2)
			lower(c, limit, up);
		else if (c->owner == CGROUP_OWNER_OUTSIDE && limit == hier)
			c->owner = up;
	}
}

/* v2 counts a kill in the victim's cgroup and in all above it. What neither this cgroup itself nor
 * one of the tree below it had was in a cgroup that we never saw, or saw too late. */
static void work_out_unseen(struct cgroup_tree *t)
{
	for (uint32_t id = 0; id < t->high; id++)
		if (t->by_id[id] && t->by_id[id]->children)
			t->by_id[id]->unseen_kills = t->by_id[id]->new_kills;
	for (uint32_t id = 0; id < t->high; id++) {
		const struct cgroup *c = t->by_id[id];
		struct cgroup *up;

		if (!c || c->parent == CGROUP_NONE)
			continue;
		up = t->by_id[c->parent];
		up->unseen_kills = MAX_OF(up->unseen_kills - c->new_kills, (int64_t)0);
	}
}

void cgroup_tree_read(struct cgroup_tree *t, int64_t mem_total)
{
	if (t->fd >= 0 && t->round % CGROUP_FULL_EVERY == 0)
		t->root_limit = cgroup_stat_limit(t->fd, ".", t->mount.version);
	t->round++;
	for (uint32_t id = 0; id < t->high; id++)
		if (t->by_id[id])
			read_one(t, (uint16_t)id);
	for (uint32_t id = 0; id < t->high; id++)
		if (t->by_id[id])
			work_out_limit(t, (uint16_t)id, mem_total);
	if (t->mount.version == CGROUP_V2)
		work_out_unseen(t);
}

void cgroup_tree_sweep(struct cgroup_tree *t)
{
	for (uint32_t id = 0; id < t->high; id++) {
		struct cgroup *c = t->by_id[id];

		if (!c)
			continue;
		c->gone_now = false;
		prune(t, (uint16_t)id);
	}
	while (t->high && !t->by_id[t->high - 1])
		t->high--;
}
