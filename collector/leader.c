/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/leader.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>

#include "collector/store/store.h"
#include "collector/store/store_lease.h"
#include "common/clock.h"
#include "common/log.h"

#define LEADER_MAGIC 0x6c656164u
#define LOOK_US      (200 * 1000LL) /* between two looks at our clock */

struct leader {
	unsigned magic;
	struct store *store;
	struct leader_state state;
	const struct leader_ops *ops;
	void *arg;
	struct event *timer;
	bool asking;
	bool told; /* what the first turn said */
	bool told_leads;
	bool ending;
	int64_t sent_us; /* boot clock: of the turn under way, or the last */
	int64_t told_fence;
};

/* ---- the state ---- */

void leader_heard(struct leader_state *s, int64_t sent_us, int64_t fence, bool others)
{
	s->alone = !others;
	s->leads = fence > 0;
	if (!s->leads)
		return;
	s->fence = fence;
	s->until_us = sent_us + s->lease_us;
}

bool leader_is(const struct leader_state *s, int64_t now_us)
{
	return s->leads && (s->alone || now_us < s->until_us);
}

void leader_look(struct leader_state *s, int64_t now_us)
{
	s->leads = leader_is(s, now_us);
}

int64_t leader_next_us(const struct leader_state *s)
{
	return s->lease_us / 3;
}

/* ---- its turns ---- */

static void tell(struct leader *l)
{
	int64_t fence = leader_fence(l);

	if (l->told && fence == l->told_fence)
		return;
	l->told = true;
	l->told_fence = fence;
	db_set_fence(store_db(l->store), fence);
	store_lead(l->store, fence > 0);
	if (fence)
		log_info("leader=%d fence=%" PRId64 " event=leads", store_writer(l->store), fence);
	else
		log_info("leader=%d event=follows", store_writer(l->store));
	l->ops->changed(l->arg, fence);
}

static void on_turn(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct leader *l = arg;
	struct lease_turn t;

	MAGIC_CHECK(l, LEADER_MAGIC);
	l->asking = false;
	if (rc < 0) {
		log_debug("leader=%d lease not renewed error=\"%s\"", store_writer(l->store),
			  err ? err->msg : "");
		l->sent_us = 0; /* again at the next look */
		return;
	}
	store_lease_read(r, &t);
	if (!t.alive) {
		l->ops->replaced(l->arg);
		return;
	}
	store_keep_from(l->store, t.keep_from_us);
	leader_heard(&l->state, l->sent_us, t.fence, t.others);
	tell(l);
}

static void take_turn(struct leader *l, int64_t now_us)
{
	const struct lease_self self = {.writer = store_writer(l->store),
					.boot = store_boot(l->store)};

	if (store_lease_turn(store_db(l->store), &self, l->state.lease_us,
			     store_oldest_unsealed(l->store), l->state.fence, on_turn, l) < 0)
		return;
	l->asking = true;
	l->sent_us = now_us;
}

static void on_look(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct leader *l = arg;
	int64_t now_us = clock_boot_us();

	MAGIC_CHECK(l, LEADER_MAGIC);
	leader_look(&l->state, now_us);
	if (l->told)
		tell(l);
	if (!l->asking && !l->ending && now_us - l->sent_us >= leader_next_us(&l->state))
		take_turn(l, now_us);
}

int64_t leader_fence(const struct leader *l)
{
	return leader_leads(l) ? l->state.fence : 0;
}

bool leader_leads(const struct leader *l)
{
	return leader_is(&l->state, clock_boot_us());
}

void leader_release(struct leader *l)
{
	if (!l || l->ending)
		return;
	l->ending = true;
	if (leader_leads(l) && store_lease_release(store_db(l->store), store_writer(l->store),
						   l->state.fence, NULL, NULL) < 0)
		log_debug("lease not handed over");
	l->state.leads = false;
	if (l->told)
		tell(l);
}

int leader_new(struct event_base *base, struct store *store, int64_t lease_us,
	       const struct leader_ops *ops, void *arg, struct leader **ret)
{
	const struct timeval every = {.tv_usec = LOOK_US};
	struct leader *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	*l = (struct leader){.magic = LEADER_MAGIC,
			     .store = store,
			     .state = {.lease_us = lease_us},
			     .ops = ops,
			     .arg = arg};
	l->timer = event_new(base, -1, EV_PERSIST, on_look, l);
	if (!l->timer || event_add(l->timer, &every) < 0) {
		leader_free(&l);
		return -ENOMEM;
	}
	event_active(l->timer, EV_TIMEOUT, 0);
	*ret = l;
	return 0;
}

void leader_free(struct leader **slot)
{
	struct leader *l = take_ptr(*slot);

	if (!l)
		return;
	if (l->timer)
		event_free(l->timer);
	l->magic = 0;
	free(l);
}
