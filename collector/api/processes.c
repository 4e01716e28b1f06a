/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/view.h"
#include "collector/store/store_host.h"
#include "common/str.h"

/* A process with what the list is sorted by. */
struct ranked {
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

static bool wanted(const struct process *p, const char *service, const char *q, int64_t pid)
{
	return (!pid || p->pid == pid) && (!service || strcmp(p->service, service) == 0) &&
	       (!q || strcasestr(p->cmdline, q) || strcasestr(p->comm, q) ||
		strcasestr(p->service, q));
}

static struct ranked *rank(struct call *c, const struct host *h, int sort, int64_t pid,
			   size_t *ret_n)
{
	const char *service = query_get(&c->query, "service");
	const char *q = query_get(&c->query, "q");
	struct ranked *list = calloc(HASH_COUNT(h->processes) + 1, sizeof(*list));
	struct process *p;
	struct process *next;

	*ret_n = 0;
	if (!list)
		return NULL;
	HASH_ITER (hh, h->processes, p, next)
		if (wanted(p, service, q, pid))
			list[(*ret_n)++] = (struct ranked){p, key_of(p, sort, c->now_us)};
	qsort(list, *ret_n, sizeof(*list), by_key);
	return list;
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

/* The place of the first row after the page before; false when the call has been ended. */
static bool take_cursor(struct call *c, const struct ranked *list, size_t n, size_t *ret)
{
	const char *cursor = query_get(&c->query, "cursor");
	struct process place = {0};
	struct ranked last = {.p = &place};

	*ret = 0;
	if (!cursor)
		return true;
	if (parse_cursor(cursor, &last.key, &place.proc_id) < 0) {
		call_fail(c, 400, "cursor '%.64s' is not one that was given here", cursor);
		return false;
	}
	while (*ret < n && by_key(&list[*ret], &last) <= 0)
		(*ret)++;
	return true;
}

void host_processes(struct call *c)
{
	struct host *h = call_host(c, c->params[0]);
	auto_free struct ranked *list = NULL;
	char cursor[64];
	size_t n;
	size_t i;
	size_t end;
	int64_t pid;
	int sort;

	if (!h || !call_limit(c) || !sort_of(c, &sort) ||
	    !call_query_int(c, "pid", 0, 1, INT32_MAX, &pid))
		return;
	list = rank(c, h, sort, pid, &n);
	if (!list) {
		call_fail(c, 503, "out of memory");
		return;
	}
	if (!take_cursor(c, list, n, &i))
		return;
	end = MIN_OF(n, i + (size_t)c->limit);
	call_list(c);
	for (; i < end; i++)
		view_process(&c->json, h, list[i].p, c->now_us, 0);
	if (end < n)
		snprintf(cursor, sizeof(cursor), "%.17g:%lld", list[end - 1].key,
			 (long long)list[end - 1].p->proc_id);
	call_list_end(c, end < n ? cursor : NULL);
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
