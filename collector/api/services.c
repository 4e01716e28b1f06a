/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/services.h"

#include <math.h>
#include <string.h>

#include "collector/api/view.h"

static int64_t bytes_of(const struct process *p, enum metric m)
{
	return p->v[m] == METRIC_ABSENT ? 0 : p->v[m] * 1024;
}

static int by_name(const void *a, const void *b)
{
	const struct process *const *x = a;
	const struct process *const *y = b;

	return strcmp((*x)->service, (*y)->service);
}

static int by_rss(const void *a, const void *b)
{
	const struct service_sum *x = a;
	const struct service_sum *y = b;

	return (x->rss_bytes < y->rss_bytes) - (x->rss_bytes > y->rss_bytes);
}

static void add_limit(struct service_sum *s, const struct host *h, const struct process *p)
{
	const struct cgroup *g = registry_cgroup_of(h, p);
	int64_t limit = registry_limit_of(h, p);

	if (limit == METRIC_ABSENT || (s->limit_bytes >= 0 && limit * 1024 >= s->limit_bytes))
		return;
	s->limit_bytes = limit * 1024;
	s->limited_by = g ? g->limited_by : "";
}

static void add_container(struct service_sum *s, const char *name)
{
	if (!*name || s->n_containers == SERVICE_CONTAINERS_MAX)
		return;
	for (size_t i = 0; i < s->n_containers; i++)
		if (strcmp(s->containers[i], name) == 0)
			return;
	s->containers[s->n_containers++] = name;
}

/* Who it is about: the largest, and the master where there is one. */
static void add_person(struct service_sum *s, const struct process *p)
{
	if (!s->largest || bytes_of(p, METRIC_RSS) > bytes_of(s->largest, METRIC_RSS))
		s->largest = p;
	if (!s->main || s->main->role != WIRE_ROLE_MASTER)
		s->main = p->role == WIRE_ROLE_MASTER ? p : s->largest;
	s->oldest_us = s->processes ? MIN_OF(s->oldest_us, p->first_seen_us) : p->first_seen_us;
	s->newest_us = MAX_OF(s->newest_us, p->first_seen_us);
	s->workers += p->role == WIRE_ROLE_WORKER;
}

static void add(struct service_sum *s, const struct host *h, const struct process *p,
		int64_t now_us)
{
	double growth = view_growth(p, now_us);
	bool pss = p->v[METRIC_PSS] != METRIC_ABSENT;

	if (!s->processes)
		*s = (struct service_sum){.name = p->service, .limit_bytes = -1, .limited_by = ""};
	add_person(s, p);
	add_limit(s, h, p);
	add_container(s, p->container);
	s->processes++;
	s->rss_bytes += bytes_of(p, METRIC_RSS);
	s->pss_bytes += bytes_of(p, pss ? METRIC_PSS : METRIC_RSS);
	s->pss_known |= pss;
	s->anon_bytes += bytes_of(p, METRIC_ANON);
	s->swap_bytes += bytes_of(p, METRIC_SWAP);
	if (isfinite(growth))
		s->growth += growth;
}

struct service_sum *services_of(const struct host *h, int64_t now_us, size_t *ret_n)
{
	size_t count = HASH_COUNT(h->processes);
	const struct process **list = calloc(count + 1, sizeof(const struct process *));
	struct service_sum *sums = calloc(count + 1, sizeof(*sums));
	struct process *p;
	struct process *next;
	size_t n = 0;
	size_t services = 0;

	if (!list || !sums) {
		free(list);
		free(sums);
		return NULL;
	}
	HASH_ITER (hh, h->processes, p, next)
		list[n++] = p;
	qsort(list, n, sizeof(*list), by_name);
	for (size_t i = 0; i < n; i++) {
		services += i == 0 || strcmp(list[i]->service, list[i - 1]->service) != 0;
		add(&sums[services - 1], h, list[i], now_us);
	}
	qsort(sums, services, sizeof(*sums), by_rss);
	free(list);
	*ret_n = services;
	return sums;
}

const struct process *services_largest(const struct host *h, const char *service)
{
	const struct process *best = NULL;
	struct process *p;
	struct process *next;

	HASH_ITER (hh, h->processes, p, next)
		if (strcmp(p->service, service) == 0 &&
		    (!best || bytes_of(p, METRIC_RSS) > bytes_of(best, METRIC_RSS)))
			best = p;
	return best;
}

static void write_containers(struct json_writer *w, const struct service_sum *s)
{
	jw_key(w, "containers");
	jw_array(w);
	for (size_t i = 0; i < s->n_containers; i++)
		jw_str(w, s->containers[i]);
	jw_array_end(w);
}

void view_service(struct json_writer *w, const struct host *h, const struct service_sum *s)
{
	jw_object(w);
	jw_k_str(w, "service", s->name);
	jw_k_id(w, "host_id", h->host_id);
	jw_k_str(w, "host", h->name);
	jw_k_int(w, "processes", s->processes);
	jw_k_int(w, "workers", s->workers);
	jw_k_id(w, "main_process_id", s->main->proc_id);
	jw_k_time(w, "since", s->oldest_us);
	jw_k_time(w, "last_start", s->newest_us);
	jw_k_int(w, "rss_bytes", s->rss_bytes);
	view_number(w, "pss_bytes", s->pss_known ? s->pss_bytes : -1);
	jw_k_int(w, "anon_bytes", s->anon_bytes);
	jw_k_int(w, "swap_bytes", s->swap_bytes);
	view_number(w, "limit_bytes", s->limit_bytes);
	view_text(w, "limited_by", s->limited_by);
	write_containers(w, s);
	jw_k_num(w, "growth_bytes_per_hour", s->growth);
	jw_object_end(w);
}
