/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector_inner.h - the parts of a running collector, between collector.c, which makes and takes
 * down, collector_begin.c, which gets from the first turn at the lease to open doors, and
 * collector_once.c, which has the commands that end.
 */
#ifndef MEMHERD_COLLECTOR_COLLECTOR_INNER_H
#define MEMHERD_COLLECTOR_COLLECTOR_INNER_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/collector.h"
#include "collector/fleet/registry.h"
#include "collector/identity.h"
#include "collector/stats.h"

#define COLLECTOR_MAGIC 0xc011ec70u

struct collector {
	unsigned magic;
	const struct collector_options *o;
	struct event_base *base;
	struct embedded *embedded;
	struct identity id;
	struct registry registry;
	struct store *store;
	struct ingest *ingest;
	struct restore *restore;
	struct leader *leader;
	struct holders *holders;
	struct adopter *adopter;
	char name[320];
	bool begun;
	bool open;     /* the doors are */
	int64_t fence; /* as the parts were told */
	struct incidents *incidents;
	struct kill_alerts *kills;
	struct mailer *mailer;
	struct outage *outage;
	struct dispatch *dispatch;
	struct sessions *sessions;
	struct enroller *enroller;
	struct listener *listen_stream;
	struct listener *listen_enroll;
	struct api *api;
	struct collector_stats stats;
	struct event *signals[2];
	struct event *begin;
	struct event *tick;
	char public_host[256];
	char base_url[512];
	char token_path[4096];
	struct error trouble; /* why the loop was ended, when not by a signal */
	int rc;
};

/* Ends the loop; collector_run() returns this. */
void collector_fail(struct collector *c, int rc, const struct error *err);
/* Of 'database': what to connect to, and the private server that was started for it, if any. */
int collector_database(const struct collector_options *o, struct embedded **ret_own,
		       const char **ret_conninfo, struct error *err) must_use;
/* Files with secrets that others may read are refused. */
int collector_check_secrets(const struct collector_options *o, struct error *err) must_use;
bool collector_is_loopback(const char *address);
/* Takes a first turn at the lease; all else follows from the loop. */
int collector_begin(struct collector *c, struct error *err) must_use;

#endif
