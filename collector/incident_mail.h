/* SPDX-License-Identifier: Apache-2.0 */
/*
 * incident_mail.h - fills a mail about an incident with what the fleet in memory knows now: the
 * culprit, who else is large or grows, the host's room. Its strings point into the registry and the
 * arguments, so the mail is built before control returns to the loop.
 */
#ifndef MEMHERD_COLLECTOR_INCIDENT_MAIL_H
#define MEMHERD_COLLECTOR_INCIDENT_MAIL_H

#include "collector/fleet/registry.h"
#include "collector/notify/message.h"

/* The room that the pointers of an incident_mail point into. */
struct incident_scene {
	struct mail_process top_rss[MESSAGE_TOP];
	struct mail_process top_growth[MESSAGE_TOP];
	struct mail_point points[TREND_POINTS];
};

/* Sets culprit, growth, tops, points and the host's figures of m; p may be NULL (a host's alert, or
 * the process has gone): then the host's culprit, if any, is the one. */
void incident_scene_fill(struct incident_scene *s, struct incident_mail *m, struct host *h,
			 struct process *p, int64_t now_us);
/* Bytes per hour over the last half hour; NaN when it cannot be told. ret_r2 may be NULL. */
double process_growth(const struct process *p, int64_t now_us, double *ret_r2);

#endif
