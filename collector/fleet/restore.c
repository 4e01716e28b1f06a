/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/restore.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/store/store_fleet.h"

#define MAGIC 0x72657374u

struct restore {
	unsigned magic;
	struct registry *registry;
	struct db *db;
	restore_done *done;
	void *arg;
};

static void on_postures(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct restore *s = arg;

	MAGIC_CHECK(s, MAGIC);
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		struct fleet_posture p;
		struct host *h;

		store_fleet_posture(r, i, &p);
		h = registry_find_host(s->registry, p.host_id);
		if (h)
			registry_posture(h, p.findings, p.t_us);
	}
	s->done(s->arg, rc, err);
}

static void on_kills(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct restore *s = arg;

	MAGIC_CHECK(s, MAGIC);
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		struct fleet_kill k;
		struct host *h;

		store_fleet_kill(r, i, &k);
		h = registry_find_host(s->registry, k.host_id);
		if (h)
			(void)registry_kill_is_new(h, k.kill_id);
	}
	if (rc == 0)
		rc = store_fleet_postures(s->db, on_postures, s);
	if (rc < 0)
		s->done(s->arg, rc, err);
}

int restore_new(struct registry *r, struct db *db, restore_done *done, void *arg,
		struct restore **ret)
{
	struct restore *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	*s = (struct restore){.magic = MAGIC, .registry = r, .db = db, .done = done, .arg = arg};
	rc = store_fleet_kills(db, REGISTRY_KILLS, on_kills, s);
	if (rc < 0)
		free(s);
	else
		*ret = s;
	return rc;
}

void restore_free(struct restore **r)
{
	free(*r);
	*r = NULL;
}
