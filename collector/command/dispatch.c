/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch's parts, its timer and its lifetime; what it does is in dispatch_issue.c (what is asked
 * for), dispatch_approve.c, dispatch_refuse.c, dispatch_send.c and dispatch_result.c. */
#include "collector/command/dispatch.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <utlist.h>

#include "collector/command/dispatch_inner.h"
#include "common/clock.h"
#include "common/log.h"

#define TICK_S          1
#define ANSWER_GRACE_US (120 * USEC_PER_SEC) /* for the answer to a command that was sent */

_Static_assert(DISPATCH_KEY_MAX + 1 == LEDGER_KEY_SIZE, "a key fits the ledger's");
_Static_assert(EFFECT_TEXT_SIZE == ACTION_EFFECTS_SIZE, "effects fit a row");
_Static_assert(DISPATCH_IN_FLIGHT_MAX == LEDGER_IN_FLIGHT_MAX, "one limit");

/* ---- the timer ---- */

static void expire_next(struct dispatch *d);

static void on_expired(void *arg, int rc, const struct action_row *row,
		       const struct command_request *body unused_arg, const struct error *err)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	d->expiring = false;
	if (rc == 0) {
		dispatch_tell_end(d, row);
		expire_next(d);
	} else if (rc != -ENOENT) {
		log_warn("command error=\"cannot end expired ones: %s\"", err ? err->msg : "");
	}
}

static void expire_next(struct dispatch *d)
{
	if (ledger_expire(&d->ledger, clock_wall_us(), ANSWER_GRACE_US, on_expired, d) == 0)
		d->expiring = true;
}

static void on_tick(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (!db_ready(d->config.db))
		return;
	dispatch_store_held(d);
	told_turn(d->told);
	refusals_turn(d->refusals);
	if (!d->expiring && d->leads)
		expire_next(d);
	route_turn(d->route, d->config.remediation, d->leads);
	if (d->leads) {
		verify_turn(d->verify);
		breaker_turn(d->breaker);
	}
}

/* ---- the parts ---- */

/* One that goes missing on its way is sent again when its host connects again. */
static void on_routed(void *arg, const struct command_body *b)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	(void)!dispatch_send(d, b->host_id, b->cmd_id, &b->request);
}

static void on_ended(void *arg, const struct action_row *row)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (d->leads)
		d->config.ops.ended(d->config.ops.arg, row);
}

static int make_route(struct dispatch *d)
{
	const struct route_config config = {
		.db = d->config.db,
		.registry = d->config.registry,
		.writer = d->config.writer,
		.send = on_routed,
		.ended = d->config.ops.ended ? on_ended : NULL,
		.arg = d,
	};

	return route_new(&config, &d->route);
}

static void on_verified(void *arg, const struct action_row *row)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (d->config.ops.verified)
		d->config.ops.verified(d->config.ops.arg, row);
}

static int make_verify(struct dispatch *d)
{
	struct verify_config config = {
		.db = d->config.db,
		.ledger = &d->ledger,
		.registry = d->config.registry,
		.verified = on_verified,
		.arg = d,
	};

	memcpy(config.stages_s, d->config.stages_s, sizeof(config.stages_s));
	return verify_new(&config, &d->verify);
}

static void on_tripped(void *arg, const struct action_row *row)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	log_warn("breaker actor=\"%s\" action=%s event=opened why=\"%s\"", row->actor, row->action,
		 row->detail);
	if (d->config.ops.tripped)
		d->config.ops.tripped(d->config.ops.arg, row);
}

static int make_breaker(struct dispatch *d)
{
	const struct breaker_config config = {
		.db = d->config.db,
		.ledger = &d->ledger,
		.results = d->config.limits.breaker,
		.tripped = on_tripped,
		.arg = d,
	};

	return breaker_new(&config, &d->breaker);
}

static void on_broken(void *arg, const char *host, const char *why)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (d->config.ops.journal_broken)
		d->config.ops.journal_broken(d->config.ops.arg, host, why);
}

static int make_told(struct dispatch *d)
{
	const struct told_config config = {.db = d->config.db, .broken = on_broken, .arg = d};

	return told_new(&config, &d->told);
}

/* ---- lifetime ---- */

int dispatch_new(struct event_base *base, const struct dispatch_config *c, struct dispatch **ret,
		 struct error *err)
{
	const struct timeval every = {.tv_sec = TICK_S};
	struct dispatch *d = calloc(1, sizeof(*d));

	if (!d)
		return error_sys(err, -ENOMEM, "cannot set up dispatch");
	d->magic = DISPATCH_MAGIC;
	d->config = *c;
	if (!d->config.stages_s[0])
		memcpy(d->config.stages_s, effect_stages_s, sizeof(effect_stages_s));
	if (!d->config.approve_within_us)
		d->config.approve_within_us = DISPATCH_APPROVE_US;
	d->leads = true;
	ledger_init(&d->ledger, c->db, &c->limits);
	d->timer = event_new(base, -1, EV_PERSIST, on_tick, d);
	if (!d->timer || event_add(d->timer, &every) < 0 || make_route(d) < 0 ||
	    make_verify(d) < 0 || make_breaker(d) < 0 || make_told(d) < 0 ||
	    refusals_new(c->db, &d->refusals) < 0) {
		dispatch_free(&d);
		return error_sys(err, -ENOMEM, "cannot set up dispatch");
	}
	*ret = d;
	return 0;
}

void dispatch_free(struct dispatch **slot)
{
	struct dispatch *d = take_ptr(*slot);
	struct held *h, *next;

	if (!d)
		return;
	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (d->timer)
		event_free(d->timer);
	ledger_fini(&d->ledger);
	route_free(&d->route);
	verify_free(&d->verify);
	breaker_free(&d->breaker);
	told_free(&d->told);
	refusals_free(&d->refusals);
	asker_free_all(&d->askers);
	DL_FOREACH_SAFE (d->held, h, next)
		free(h);
	d->magic = 0;
	free(d);
}

void dispatch_lead(struct dispatch *d, bool leads)
{
	d->leads = leads;
}

void dispatch_set_remediation(struct dispatch *d, bool on)
{
	d->config.remediation = on;
}

bool dispatch_remediation(const struct dispatch *d)
{
	return d->config.remediation;
}
