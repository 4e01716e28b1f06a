/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services.h - a host's processes summed by service. RSS counts shared pages once a process, so
 * sums are an upper bound where workers share memory.
 */
#ifndef MEMHERD_COLLECTOR_API_SERVICES_H
#define MEMHERD_COLLECTOR_API_SERVICES_H

#include "collector/fleet/registry.h"

struct service_sum {
	const char *name; /* of the first process; good until control returns to the loop */
	const struct process *largest;
	int64_t processes;
	int64_t rss_bytes;
	int64_t anon_bytes;
	int64_t swap_bytes;
	double growth; /* bytes an hour, of those whose growth is known */
};

/* Largest RSS first; free() it. NULL without memory. */
struct service_sum *services_of(const struct host *h, int64_t now_us, size_t *ret_n);
/* The process of that service with the largest RSS; NULL. */
const struct process *services_largest(const struct host *h, const char *service);

#endif
