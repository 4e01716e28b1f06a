/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch_inner.h - dispatch's state, shared by dispatch.c (parts, timer, lifetime) and its parts
 * dispatch_issue.c, dispatch_approve.c, dispatch_refuse.c, dispatch_send.c and dispatch_result.c;
 * nobody else includes it.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_DISPATCH_INNER_H
#define MEMHERD_COLLECTOR_COMMAND_DISPATCH_INNER_H

#include "collector/command/asker.h"
#include "collector/command/breaker.h"
#include "collector/command/dispatch.h"
#include "collector/command/ledger.h"
#include "collector/command/refusals.h"
#include "collector/command/route.h"
#include "collector/command/told.h"
#include "collector/command/verify.h"

#define DISPATCH_MAGIC        0x64697370u /* 'disp' */
#define DISPATCH_SWITCHED_OFF "remediation is switched off on this collector"

struct event;

/* A result that could not be stored yet. */
struct held {
	struct held *prev, *next; /* utlist */
	struct action_row row;
};

struct dispatch {
	unsigned magic;
	struct dispatch_config config;
	struct ledger ledger;
	struct event *timer;
	struct asker *askers;
	struct held *held; /* oldest first */
	unsigned held_count;
	struct route *route;
	struct verify *verify;
	struct breaker *breaker;
	struct told *told;
	struct refusals *refusals;
	bool leads;
	bool expiring;
};

/* ---- dispatch_refuse.c ---- */

/* Tells of a refusal, if rc is one: row has its host, process and action. what: issue, approve,
 * cancel. */
void dispatch_refuse(struct dispatch *d, const char *what, const char *by,
		     const struct action_row *row, int rc, const char *why);

/* ---- dispatch_send.c ---- */

/* -ENOTCONN: its host is not connected here. */
int dispatch_send(struct dispatch *d, int32_t host_id, const uint8_t cmd_id[16],
		  const struct command_request *request) must_use;
/* Stored and signed: to its host, when that is here. Any other collector's turn finds it. */
void dispatch_send_stored(struct dispatch *d, struct action_row *row,
			  const struct command_request *body);

/* ---- dispatch_result.c ---- */

/* Logs the end and tells ops.finished. */
void dispatch_tell_end(struct dispatch *d, const struct action_row *row);
/* Stores the results that could not be stored when they came. */
void dispatch_store_held(struct dispatch *d);

#endif
