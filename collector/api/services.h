/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services.h - a host's processes summed by service. RSS counts shared pages once a process, so
 * sums of it are an upper bound where workers share memory; sums of PSS are not.
 */
#ifndef MEMHERD_COLLECTOR_API_SERVICES_H
#define MEMHERD_COLLECTOR_API_SERVICES_H

#include "collector/fleet/registry.h"
#include "common/json.h"

#define SERVICE_CONTAINERS_MAX 8 /* told of one service */

struct service_sum {
	const char *name; /* of the first process; good until control returns to the loop */
	const struct process *largest;
	const struct process *main; /* its master, else the largest */
	int64_t processes;
	int64_t workers;
	int64_t oldest_us; /* when the longest-living of its processes was first seen */
	int64_t newest_us; /* ... and the youngest */
	int64_t rss_bytes;
	int64_t pss_bytes;      /* RSS where PSS is not known */
	bool pss_known;         /* of one process at least */
	int64_t limit_bytes;    /* the smallest that holds for one of them; -1 = not known */
	const char *limited_by; /* path of the cgroup whose limit that is; '' = the host's memory */
	const char *containers[SERVICE_CONTAINERS_MAX];
	size_t n_containers;
	int64_t anon_bytes;
	int64_t swap_bytes;
	double growth; /* bytes an hour, of those whose growth is known */
};

/* Largest RSS first; free() it. NULL without memory. */
struct service_sum *services_of(const struct host *h, int64_t now_us, size_t *ret_n);
/* An object. */
void view_service(struct json_writer *w, const struct host *h, const struct service_sum *s);
/* The process of that service with the largest RSS; NULL. */
const struct process *services_largest(const struct host *h, const char *service);

#endif
