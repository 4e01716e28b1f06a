/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drop_caches.h - the action 'drop-caches': the host's clean page cache, its cached names, or both
 * are thrown away, by /proc/sys/vm/drop_caches. Of the whole host, so it has no process. It rarely
 * helps: what is thrown away counts as available before, and has to be read again.
 */
#ifndef MEMHERD_AGENT_ACT_DROP_CACHES_H
#define MEMHERD_AGENT_ACT_DROP_CACHES_H

#include "agent/act/action.h"

#define DROP_CACHES_REST_US (3600 * INT64_C(1000000)) /* between two, whatever the policy says */

/* Places of its parameters; a kind's word is one less than what the kernel is told. */
enum drop_caches_param { DROP_CACHES_KIND };

struct drop_caches_figures {
	int64_t total; /* bytes, as all below */
	int64_t free;
	int64_t available;
	int64_t cached; /* without shared memory */
	int64_t slab;   /* that can be given back */
};

/* -EBADMSG: a text that /proc/meminfo does not hold. Pure. */
int drop_caches_parse(const char *meminfo, struct drop_caches_figures *ret,
		      struct error *err) must_use;
/* p is NULL. rss_before and rss_after of the result are the host's memory that is not free. */
void drop_caches_run(const struct process *p, const struct action_order *o,
		     struct command_result *r);

#endif
