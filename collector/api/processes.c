/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/cells.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/top.h"
#include "collector/api/view.h"
#include "collector/store/store_host.h"
#include "common/str.h"

/* A process with what the list is sorted by. */
struct ranked {
	const struct host *h;
	const struct process *p;
	double key;
};

/* Largest first; then by id, so that the order is total and a cursor can hold a place in it. */
static int by_key(const void *a, const void *b)
{
	const struct ranked *x = a;
	const struct ranked *y = b;

	if (x->key != y->key)
		return x->key < y->key ? 1 : -1;
	return (x->p->proc_id > y->p->proc_id) - (x->p->proc_id < y->p->proc_id);
}

#define SORT_GROWTH (-1)

/* What is asked for. */
struct wish {
	int sort; /* a metric, or SORT_GROWTH */
	int64_t pid;
	const char *service;
	const char *q;
	int64_t now_us;
	bool paged; /* it goes on behind last, whose process is place */
	struct ranked last;
	struct process place;
};

/* The metric of 'sort', or SORT_GROWTH; false when the call has been ended. */
static bool sort_of(struct call *c, int *ret)
{
	const char *text = query_get(&c->query, "sort");

	*ret = METRIC_RSS;
	if (!text)
		return true;
	*ret = strcmp(text, "growth") == 0 ? SORT_GROWTH : metric_find(text);
	if (*ret >= 0 || strcmp(text, "growth") == 0)
		return true;
	call_fail(c, 400, "cannot sort by '%.64s': 'growth' or a metric", text);
	return false;
}

static double key_of(const struct process *p, int sort, int64_t now_us)
{
	double key = sort == SORT_GROWTH ? view_growth(p, now_us) : NAN;

	if (sort >= 0 && p->v[sort] != METRIC_ABSENT)
		key = (double)p->v[sort];
	return isfinite(key) ? key : -1e300; /* unknown last */
}

/* 'KEY:ID' of the last row of the page before; -EINVAL. */
static int parse_cursor(const char *text, double *ret_key, int64_t *ret_id)
{
	char *end;

	*ret_key = strtod(text, &end);
	if (end == text || *end != ':' || isnan(*ret_key))
		return -EINVAL;
	return str_parse_int(end + 1, ret_id);
}

/* The query; false when the call has been ended. */
static bool wish_of(struct call *c, struct wish *k)
{
	const char *cursor = query_get(&c->query, "cursor");

	*k = (struct wish){.service = query_get(&c->query, "service"),
			   .q = query_get(&c->query, "q"),
			   .now_us = c->now_us,
			   .paged = cursor != NULL};
	if (!call_limit(c) || !sort_of(c, &k->sort))
		return false;
	k->last.p = &k->place;
	if (!cursor || parse_cursor(cursor, &k->last.key, &k->place.proc_id) == 0)
		return true;
	call_fail(c, 400, "cursor '%.64s' is not one that was given here", cursor);
	return false;
}

static bool wanted(const struct wish *k, const struct process *p)
{
	return (!k->pid || p->pid == k->pid) &&
	       (!k->service || strcmp(p->service, k->service) == 0) &&
	       (!k->q || strcasestr(p->cmdline, k->q) || strcasestr(p->comm, k->q) ||
		strcasestr(p->service, k->q));
}

static void add_host(struct top *top, const struct wish *k, const struct host *h)
{
	struct process *p;
	struct process *next;

	HASH_ITER (hh, h->processes, p, next) {
		struct ranked row = {.h = h, .p = p};

		if (!wanted(k, p))
			continue;
		row.key = key_of(p, k->sort, k->now_us);
		if (!k->paged || by_key(&row, &k->last) > 0)
			top_add(top, &row);
	}
}

static void reply(struct call *c, struct top *top)
{
	size_t end = MIN_OF(top->n, (size_t)c->limit);
	const struct ranked *row = NULL;
	char cursor[64];

	top_sort(top);
	call_list(c);
	for (size_t i = 0; i < end; i++) {
		row = top_get(top, i);
		view_process(&c->json, row->h, row->p, c->now_us, 0);
	}
	if (row && end < top->n)
		snprintf(cursor, sizeof(cursor), "%.17g:%lld", row->key,
			 (long long)row->p->proc_id);
	call_list_end(c, row && end < top->n ? cursor : NULL);
}

/* Of one host, or of all of them; one row more than is shown tells whether there is a next page. */
static void list(struct call *c, const struct wish *k, const struct host *one)
{
	struct host *h;
	struct host *next;
	struct top top;

	if (top_init(&top, (size_t)c->limit + 1, sizeof(struct ranked), by_key) < 0) {
		call_fail(c, 503, "out of memory");
		return;
	}
	if (one)
		add_host(&top, k, one);
	else
		HASH_ITER (hh, c->api->ctx.registry->hosts, h, next)
			add_host(&top, k, h);
	reply(c, &top);
	top_fini(&top);
}

void host_processes(struct call *c)
{
	struct host *h = call_host(c, c->params[0]);
	struct wish k;

	if (h && wish_of(c, &k) && call_query_int(c, "pid", 0, 1, INT32_MAX, &k.pid))
		list(c, &k, h);
}

void process_list(struct call *c)
{
	struct cells_list of_cells = {.path = "/processes", .order = CELLS_NUMBER};
	struct wish k;

	if (!wish_of(c, &k))
		return;
	if (k.sort == SORT_GROWTH)
		(void)str_copy(of_cells.key, sizeof(of_cells.key), "growth_bytes_per_hour");
	else
		view_metric_key(of_cells.key, &metric_infos[k.sort]);
	if (!cells_take(c, &of_cells))
		list(c, &k, NULL);
}

/* How it ended, as its agent found out; null when that was not told. */
static void write_ended(struct json_writer *w, const struct process_row *p)
{
	jw_key(w, "ended");
	if (!*p->cause) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_k_str(w, "cause", p->cause);
	view_text(w, "confidence", p->confidence);
	view_count(w, "signal", p->exit_signal);
	view_number(w, "exit_code", p->exit_code);
	jw_k_str(w, "verdict", p->verdict);
	jw_object_end(w);
}

static void write_stored(struct json_writer *w, const struct process_row *p)
{
	jw_object(w);
	jw_k_id(w, "id", p->proc_id);
	jw_k_id(w, "host_id", p->host_id);
	jw_k_str(w, "host", p->host);
	jw_k_bool(w, "alive", false);
	jw_k_int(w, "pid", p->pid);
	jw_k_int(w, "ppid", p->ppid);
	view_number(w, "uid", p->uid);
	jw_k_id(w, "start_ticks", p->start_ticks);
	jw_k_str(w, "comm", p->comm);
	jw_k_str(w, "cmdline", p->cmdline);
	jw_k_str(w, "exe", p->exe);
	jw_k_str(w, "cgroup", p->cgroup);
	jw_k_str(w, "service", p->service);
	view_text(w, "container", p->container);
	view_text(w, "role", p->role);
	view_count(w, "slot", p->slot);
	jw_k_null(w, "cgroup_id");
	jw_k_null(w, "limit_bytes");
	jw_k_null(w, "limited_by");
	for (int i = 0; i < METRIC_COUNT; i++)
		view_metric(w, &metric_infos[i], METRIC_ABSENT);
	jw_k_null(w, "growth_bytes_per_hour");
	jw_k_time(w, "first_seen", p->first_seen_us);
	jw_k_time(w, "last_seen", p->last_seen_us);
	write_ended(w, p);
	jw_k_null(w, "verdict");
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i,
		      char *cursor unused_arg)
{
	struct process_row row;

	store_process_row(r, i, &row);
	write_stored(w, &row);
}

void process_get(struct call *c)
{
	static const struct row_kind kind = {.name = "process", .write = write_row};
	struct host *h;
	struct process *p;
	struct db *db;
	int64_t id;

	if (!call_id(c, c->params[0], &id))
		return;
	p = view_find_process(c->api->ctx.registry, id, &h);
	if (p) {
		view_process(&c->json, h, p, c->now_us, VIEW_VERDICT);
		call_reply(c, 200);
		return;
	}
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_process_get(db, id, rows_one, c));
}
