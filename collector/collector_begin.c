/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start, once the loop runs: a turn at the lease, hosts, alerts, what was stored last; then the
 * doors open. Later the same place hears who leads.
 */
#include <errno.h>
#include <event2/event.h>

#include "collector/api/api.h"
#include "collector/collector_inner.h"
#include "collector/command/dispatch.h"
#include "collector/fleet/adopter.h"
#include "collector/fleet/enroll.h"
#include "collector/fleet/holders.h"
#include "collector/fleet/ingest.h"
#include "collector/fleet/listener.h"
#include "collector/fleet/restore.h"
#include "collector/fleet/session.h"
#include "collector/incident.h"
#include "collector/kill_alert.h"
#include "collector/leader.h"
#include "collector/notify/mail.h"
#include "collector/store/store.h"
#include "collector/store/store_fleet.h"
#include "common/clock.h"
#include "common/log.h"

#define BEGIN_RETRY_MS 50
#define DEAD_LEASES    2 /* a collector that gave no sign for so many leases has no agents */
#define FOLLOW_BACK_US (60 * USEC_PER_SEC)
#define GONE_LEASES    4 /* ... is not taken for gone before */

/* ---- doors ---- */

static int make_api(struct collector *c, struct error *err)
{
	struct http_config http;
	struct api_context ctx = {
		.registry = &c->registry,
		.db = store_db(c->store),
		.store = c->store,
		.dispatch = c->dispatch,
		.rules = {incidents_write_rules, incidents_check_rules, c->incidents},
		.stats = &c->stats,
		.enroll_host = c->public_host,
		.enroll_port = listener_port(c->listen_enroll),
		.ca_pin = c->id.pin,
		.cells = c->o->cells,
	};
	int rc = identity_path(c->token_path, sizeof(c->token_path), c->o->state_dir, "admin.token",
			       err);

	if (rc < 0)
		return rc;
	ctx.admin_token_path = c->token_path;
	http_config_init(&http);
	http.listen = c->o->listen_http;
	http.allowed_hosts = c->o->http_hosts;
	http.tls = collector_is_loopback(c->o->listen_http) ? NULL : c->id.web;
	return api_new(c->base, &http, &ctx, &c->api, err);
}

static int listen_for_agents(struct collector *c, struct error *err)
{
	const struct listener_limits stream = {
		.per_second = (unsigned)c->o->accepts_per_second,
		.max_open = (unsigned)c->o->max_agents,
		.max_new_per_address = 256,
	};
	const struct listener_limits enroll = {.per_second = 50,
					       .max_open = 256,
					       .max_new_per_address = 8};
	struct enroll_config config = {
		.ca = c->id.ca,
		.tls = c->id.enroll,
		.db = store_db(c->store),
		.registry = &c->registry,
		.command_key = c->id.command_public,
	};
	int rc = listener_new(c->base, c->o->listen_stream, &stream, sessions_accept, c->sessions,
			      &c->listen_stream, err);

	if (rc < 0)
		return rc;
	config.stream_port = listener_port(c->listen_stream);
	if (enroller_new(c->base, &config, &c->enroller) < 0)
		return error_set(err, -ENOMEM, "no memory to start");
	return listener_new(c->base, c->o->listen_enroll, &enroll, enroller_accept, c->enroller,
			    &c->listen_enroll, err);
}

/* ---- other collectors ---- */

/* Its first batches may have been passed over: nobody here knew whose they are. */
static void on_new_host(void *arg, struct host *h)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	incidents_expect(c->incidents, h);
	store_follow_back(c->store, FOLLOW_BACK_US);
}

static void on_followed_row(void *arg, const struct store_replayed *r)
{
	struct collector *c = arg;
	struct host *h;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	h = registry_find_host(&c->registry, r->host_id);
	if (!h)
		return;
	if (!h->connected)
		h->last_seen_us = MAX_OF(h->last_seen_us, r->rcv_us);
	ingest_replay(c->ingest, h, r);
}

/* Each part that only the leader may do things in is told. */
static void lead(struct collector *c, int64_t fence)
{
	bool leads = fence > 0;

	c->fence = fence;
	incidents_lead(c->incidents, leads);
	kill_alerts_lead(c->kills, leads);
	dispatch_lead(c->dispatch, leads);
	mailer_forget(c->mailer);
}

static void open_doors(struct collector *c)
{
	struct error err = {""};
	int rc = listen_for_agents(c, &err);

	if (!rc)
		rc = make_api(c, &err);
	if (!rc)
		rc = holders_new(c->base, c->store, &c->registry, DEAD_LEASES * c->o->lease_us,
				 on_new_host, c, &c->holders);
	if (!rc && adopter_new(c->store, MAX_OF(c->o->adopt_after_us, GONE_LEASES * c->o->lease_us),
			       &c->adopter) < 0)
		rc = error_set(&err, -ENOMEM, "no memory to start");
	if (rc < 0) {
		collector_fail(c, rc == -EADDRINUSE ? -EINVAL : rc, &err);
		return;
	}
	c->open = true;
	lead(c, leader_fence(c->leader));
	store_follow(c->store, on_followed_row, c);
	log_info("ready stream=%u enroll=%u http=%s hosts=%u", listener_port(c->listen_stream),
		 listener_port(c->listen_enroll), c->o->listen_http, HASH_COUNT(c->registry.hosts));
}

static void on_replayed_row(void *arg, const struct store_replayed *r)
{
	struct collector *c = arg;
	struct host *h;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	h = registry_find_host(&c->registry, r->host_id);
	if (h)
		ingest_replay(c->ingest, h, r);
}

static void on_replayed(void *arg, int rc, const struct error *err)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (rc < 0)
		collector_fail(c, rc,
			       err ? err
				   : &(struct error){"cannot read back what was stored last"});
	else
		open_doors(c);
}

/* Alerts first: what is read back then finds them open and raises nothing anew. */
static void on_kills_restored(void *arg)
{
	struct collector *c = arg;
	int rc;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	rc = store_replay(c->store, on_replayed_row, on_replayed, c);
	if (rc < 0)
		collector_fail(c, rc, &(struct error){"cannot read back what was stored last"});
}

static void on_restored(void *arg)
{
	struct collector *c = arg;
	int rc;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	rc = kill_alerts_restore(c->kills, on_kills_restored, c);
	if (rc < 0)
		collector_fail(c, rc, &(struct error){"cannot read the alerts of kills"});
}

static void on_known(void *arg, int rc, const struct error *err)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (rc == 0)
		rc = incidents_restore(c->incidents, on_restored, c);
	if (rc < 0)
		collector_fail(c, rc,
			       err ? err : &(struct error){"cannot read what hosts told last"});
}

static void on_hosts(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		struct fleet_host f;
		struct host *h;

		store_fleet_host(r, i, &f);
		h = registry_host(&c->registry, f.host_id, f.uuid, f.name);
		if (h)
			incidents_expect(c->incidents, h);
		else
			rc = -ENOMEM;
	}
	if (rc == 0)
		rc = restore_new(&c->registry, store_db(c->store), on_known, c, &c->restore);
	if (rc < 0)
		collector_fail(c, rc, err ? err : &(struct error){"cannot read the hosts"});
}

/* The first turn at the lease: what follows depends on it. */
static void begin(struct collector *c)
{
	if (c->fence == 0) {
		incidents_lead(c->incidents, false);
		kill_alerts_lead(c->kills, false);
		dispatch_lead(c->dispatch, false);
	}
	event_active(c->begin, EV_TIMEOUT, 0);
}

static void on_leader(void *arg, int64_t fence)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (c->open) {
		lead(c, fence);
	} else if (!c->begun) { /* later ones are told when the doors open */
		c->begun = true;
		c->fence = fence;
		begin(c);
	}
}

static void on_replaced(void *arg)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	collector_fail(
		c, -EEXIST,
		&(struct error){
			"another process has started as this collector (collector.uuid in its "
			"state_dir is the same as ours), or another collector took us for gone "
			"(adopt_after): start again"});
}

static const struct leader_ops leader_ops = {.changed = on_leader, .replaced = on_replaced};

/* The pool's connections come up with the loop. */
static void on_begin(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	const struct timeval moment = {.tv_usec = BEGIN_RETRY_MS * 1000};
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (!store_ready(c->store) ||
	    store_fleet_load(store_db(c->store), on_hosts, c) == -ENOTCONN)
		event_add(c->begin, &moment);
}

int collector_begin(struct collector *c, struct error *err)
{
	c->begin = evtimer_new(c->base, on_begin, c);
	if (!c->begin)
		return error_set(err, -ENOMEM, "no memory to start");
	return leader_new(c->base, c->store, c->o->lease_us, &leader_ops, c, &c->leader);
}
