/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outage.h - tells people that the database is away, by a way that needs no database: the log, and
 * one mail that goes straight to the relay when it was away for 'outage_mail', one when it is back
 * for good. A database that comes and goes makes no more mails than that every OUTAGE_QUIET_US.
 */
#ifndef MEMHERD_COLLECTOR_OUTAGE_H
#define MEMHERD_COLLECTOR_OUTAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Back for so long (or for outage_mail, if that is shorter) counts as back. */
#define OUTAGE_STEADY_US (60 * INT64_C(1000000))
/* Between the first mails of two outages. */
#define OUTAGE_QUIET_US (600 * INT64_C(1000000))

struct mailer;
struct outage;

/* What there is to tell, each time that it is looked at. */
struct outage_view {
	const char *trouble; /* why nothing is stored; NULL = all is well */
	size_t queued_bytes;
	size_t queued_batches;
	int64_t queue_bytes; /* of which agents may fill the most part */
	unsigned agents;     /* connected */
	int64_t boot_us;
	int64_t wall_us;
};

/* after_us 0: only the log. name is the collector's, for people. */
int outage_new(struct mailer *mailer, int64_t after_us, const char *name,
	       struct outage **ret) must_use;
void outage_free(struct outage **o);
/* To be called about once a second. */
void outage_look(struct outage *o, const struct outage_view *v);
/* Of the outage at hand; 0 when there is none. */
int64_t outage_lasts_us(const struct outage *o, int64_t boot_us);

#endif
