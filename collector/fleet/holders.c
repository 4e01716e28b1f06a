/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/holders.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "collector/fleet/registry.h"
#include "collector/store/store.h"
#include "collector/store/store_lease.h"
#include "common/log.h"
#include "common/str.h"

#define HOLDERS_MAGIC 0x686f6c64u
#define EVERY_SEC     2

struct holders {
	unsigned magic;
	struct store *store;
	struct registry *registry;
	int64_t dead_us;
	holders_new_host *on_new;
	void *arg;
	struct event *timer;
	bool asking;
};

static void take(struct holders *all, const struct fleet_holder *f)
{
	struct host *h = registry_find_host(all->registry, f->host_id);
	bool fresh = !h;

	if (fresh)
		h = registry_host(all->registry, f->host_id, f->uuid, f->name);
	if (!h)
		return;
	h->elsewhere = f->holder >= 0 && f->holder != store_writer(all->store);
	(void)str_copy(h->holder, sizeof(h->holder), f->holder_name);
	if (h->elsewhere)
		h->act = f->act;
	if (h->elsewhere || fresh)
		h->last_seen_us = MAX_OF(h->last_seen_us, f->last_seen_us);
	if (fresh)
		all->on_new(all->arg, h);
}

static void on_rows(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct holders *all = arg;

	MAGIC_CHECK(all, HOLDERS_MAGIC);
	all->asking = false;
	if (rc < 0)
		log_debug("holders of hosts not read error=\"%s\"", err ? err->msg : "");
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		struct fleet_holder f;

		store_fleet_holder(r, i, &f);
		take(all, &f);
	}
}

static void on_timer(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct holders *all = arg;

	MAGIC_CHECK(all, HOLDERS_MAGIC);
	if (!all->asking &&
	    store_fleet_holders(store_db(all->store), all->dead_us, on_rows, all) == 0)
		all->asking = true;
}

int holders_new(struct event_base *base, struct store *store, struct registry *registry,
		int64_t dead_us, holders_new_host *on_new, void *arg, struct holders **ret)
{
	const struct timeval every = {.tv_sec = EVERY_SEC};
	struct holders *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	*all = (struct holders){.magic = HOLDERS_MAGIC,
				.store = store,
				.registry = registry,
				.dead_us = dead_us,
				.on_new = on_new,
				.arg = arg};
	all->timer = event_new(base, -1, EV_PERSIST, on_timer, all);
	if (!all->timer || event_add(all->timer, &every) < 0) {
		holders_free(&all);
		return -ENOMEM;
	}
	*ret = all;
	return 0;
}

void holders_free(struct holders **slot)
{
	struct holders *all = take_ptr(*slot);

	if (!all)
		return;
	if (all->timer)
		event_free(all->timer);
	all->magic = 0;
	free(all);
}
