/* SPDX-License-Identifier: Apache-2.0 */
/* A process's cycle collector: as it is now, over the last minutes, and what was told of it. */
#include <errno.h>
#include <math.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/view.h"
#include "collector/store/store_census.h"
#include "collector/store/store_host.h"
#include "common/clock.h"
#include "proto/python.h"

#define GENERATIONS  3
#define WINDOW_US    (10 * 60 * USEC_PER_SEC) /* that rates are told over, at most */
#define EVENTS_US    (7 * 24 * 3600 * USEC_PER_SEC)
#define EVENTS_MAX   100
#define MIN_PER_USEC (1.0 / (60 * USEC_PER_SEC))

static int64_t figure(const struct process *p, enum metric m)
{
	return p ? p->v[m] : METRIC_ABSENT;
}

static void write_figure(struct json_writer *w, const char *key, int64_t v)
{
	if (v == METRIC_ABSENT)
		jw_k_null(w, key);
	else
		jw_k_int(w, key, v);
}

/* Per minute, or NAN. */
static double rate_of(const struct process *p, enum python_series s)
{
	int64_t added;
	int64_t span;

	if (!p || !p->python || !python_added(&p->python->history, s, WINDOW_US, &added, &span))
		return NAN;
	return (double)added / ((double)span * MIN_PER_USEC);
}

/* Of a generation: the oldest's is what the younger ones leave of all. */
static int64_t share(const struct process *p, enum metric all, enum metric first, unsigned g)
{
	int64_t young = figure(p, first);
	int64_t middle = figure(p, first + 1);
	int64_t total = figure(p, all);

	if (g < GENERATIONS - 1)
		return g ? middle : young;
	if (young == METRIC_ABSENT || middle == METRIC_ABSENT || total == METRIC_ABSENT)
		return METRIC_ABSENT;
	return total - young - middle;
}

/* 1, 0 or not known. */
static void write_flag(struct json_writer *w, const char *key, int64_t v)
{
	if (v == METRIC_ABSENT)
		jw_k_null(w, key);
	else
		jw_k_bool(w, key, v != 0);
}

static void write_milliseconds(struct json_writer *w, const char *key, int64_t ms)
{
	jw_k_num(w, key, ms == METRIC_ABSENT ? NAN : (double)ms / 1e3);
}

static void write_generation(struct json_writer *w, const struct process *p, unsigned g)
{
	static const enum python_series series[GENERATIONS] = {PYTHON_OF_GC0, PYTHON_OF_GC1,
							       PYTHON_OF_GC2};

	jw_object(w);
	jw_k_int(w, "generation", g);
	write_figure(w, "count", figure(p, METRIC_GC_COUNT0 + g));
	write_figure(w, "threshold", figure(p, METRIC_GC_THRESHOLD0 + g));
	write_figure(w, "collections", figure(p, METRIC_GC0 + g));
	jw_k_num(w, "collections_per_minute", rate_of(p, series[g]));
	write_figure(w, "collected", share(p, METRIC_COLLECTED, METRIC_COLLECTED0, g));
	write_figure(w, "uncollectable", share(p, METRIC_UNCOLLECTABLE, METRIC_UNCOLLECTABLE0, g));
	jw_object_end(w);
}

/* One interpreter's figures, as enum interpreter_metric. */
static void write_interpreter(struct json_writer *w, uint64_t number,
			      const int64_t v[INTERPRETER_METRIC_COUNT])
{
	jw_object(w);
	jw_k_int(w, "number", (int64_t)number);
	write_flag(w, "enabled", v[INTERPRETER_METRIC_GC_ENABLED]);
	write_flag(w, "collecting", v[INTERPRETER_METRIC_GC_COLLECTING]);
	write_figure(w, "frozen", v[INTERPRETER_METRIC_GC_FROZEN]);
	write_milliseconds(w, "time_seconds", v[INTERPRETER_METRIC_GC_TIME]);
	jw_key(w, "generations");
	jw_array(w);
	for (unsigned g = 0; g < GENERATIONS; g++) {
		jw_object(w);
		jw_k_int(w, "generation", g);
		write_figure(w, "count", v[INTERPRETER_METRIC_GC_COUNT0 + g]);
		write_figure(w, "threshold", v[INTERPRETER_METRIC_GC_THRESHOLD0 + g]);
		write_figure(w, "collections", v[INTERPRETER_METRIC_GC0 + g]);
		write_figure(w, "collected", v[INTERPRETER_METRIC_COLLECTED0 + g]);
		write_figure(w, "uncollectable", v[INTERPRETER_METRIC_UNCOLLECTABLE0 + g]);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
}

/* The figures of a process with one interpreter are that one's. */
static void write_only_one(struct json_writer *w, const struct process *p)
{
	int64_t v[INTERPRETER_METRIC_COUNT];

	for (unsigned g = 0; g < GENERATIONS; g++) {
		v[INTERPRETER_METRIC_GC0 + g] = p->v[METRIC_GC0 + g];
		v[INTERPRETER_METRIC_COLLECTED0 + g] =
			share(p, METRIC_COLLECTED, METRIC_COLLECTED0, g);
		v[INTERPRETER_METRIC_UNCOLLECTABLE0 + g] =
			share(p, METRIC_UNCOLLECTABLE, METRIC_UNCOLLECTABLE0, g);
		v[INTERPRETER_METRIC_GC_COUNT0 + g] = p->v[METRIC_GC_COUNT0 + g];
		v[INTERPRETER_METRIC_GC_THRESHOLD0 + g] = p->v[METRIC_GC_THRESHOLD0 + g];
	}
	v[INTERPRETER_METRIC_GC_ENABLED] = p->v[METRIC_GC_ENABLED];
	v[INTERPRETER_METRIC_GC_COLLECTING] = p->v[METRIC_GC_COLLECTING];
	v[INTERPRETER_METRIC_GC_FROZEN] = p->v[METRIC_GC_FROZEN];
	v[INTERPRETER_METRIC_GC_TIME] = p->v[METRIC_GC_TIME];
	write_interpreter(w, 0, v);
}

static void write_interpreters(struct json_writer *w, const struct process *p)
{
	jw_key(w, "by_interpreter");
	jw_array(w);
	for (size_t i = 0; p && i < p->n_interpreters; i++)
		write_interpreter(w, p->interpreters[i].number, p->interpreters[i].v);
	if (p && p->v[METRIC_INTERPRETERS] == 1)
		write_only_one(w, p);
	jw_array_end(w);
}

static void write_state(struct json_writer *w, const struct process *p)
{
	int64_t state = figure(p, METRIC_PYTHON_STATE);
	int64_t version = figure(p, METRIC_PYTHON_VERSION);
	bool known = state >= 0 && state < PYTHON_STATES;
	char text[PYTHON_VERSION_SIZE];

	jw_k_str(w, "version",
		 version > 0 && version <= UINT32_MAX ? python_version_text(text, (uint32_t)version)
						      : NULL);
	jw_k_str(w, "state", known ? python_state_word((unsigned)state) : NULL);
	jw_k_str(w, "state_text", known ? python_state_text((unsigned)state) : NULL);
	write_figure(w, "interpreters", figure(p, METRIC_INTERPRETERS));
	write_flag(w, "enabled", figure(p, METRIC_GC_ENABLED));
	write_flag(w, "collecting", figure(p, METRIC_GC_COLLECTING));
	write_figure(w, "frozen", figure(p, METRIC_GC_FROZEN));
}

static void write_totals(struct json_writer *w, const struct process *p)
{
	int64_t added;
	int64_t span;
	bool spent = p && p->python &&
		     python_added(&p->python->history, PYTHON_OF_GC_TIME, WINDOW_US, &added, &span);

	write_figure(w, "collected", figure(p, METRIC_COLLECTED));
	jw_k_num(w, "collected_per_minute", rate_of(p, PYTHON_OF_COLLECTED));
	write_figure(w, "uncollectable", figure(p, METRIC_UNCOLLECTABLE));
	write_milliseconds(w, "time_seconds", figure(p, METRIC_GC_TIME));
	jw_k_num(w, "time_ratio", spent ? (double)added * 1e3 / (double)span : NAN);
}

static void write_events(struct json_writer *w, const struct db_result *r)
{
	jw_key(w, "events");
	if (!r) {
		jw_null(w);
		return;
	}
	jw_array(w);
	for (size_t i = 0; i < db_rows(r); i++) {
		jw_object(w);
		jw_k_time(w, "time", db_time(r, i, 0));
		jw_k_raw(w, "details", db_text(r, i, 1));
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* r: NULL when the database is away. Of a process that has ended only what was told is left. */
static void answer(struct call *c, const struct db_result *r)
{
	struct json_writer *w = &c->json;
	struct host *h;
	const struct process *p = view_find_process(c->api->ctx.registry, c->object_id, &h);

	jw_object(w);
	jw_k_id(w, "process_id", c->object_id);
	write_state(w, p);
	jw_key(w, "generations");
	jw_array(w);
	for (unsigned g = 0; g < GENERATIONS; g++)
		write_generation(w, p, g);
	jw_array_end(w);
	write_totals(w, p);
	write_interpreters(w, p);
	write_events(w, r);
	jw_object_end(w);
	call_reply(c, 200);
}

static void on_events(void *arg, int rc, const struct db_result *r,
		      const struct error *err unused_arg)
{
	if (rc < 0)
		call_fail_db(call_of(arg), rc);
	else
		answer(call_of(arg), r);
}

static int ask_events(struct call *c, struct db *db)
{
	return store_gc_events(db, c->object_id, c->now_us - EVENTS_US, EVENTS_MAX, on_events, c);
}

static void on_process(void *arg, int rc, const struct db_result *r,
		       const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct db *db;

	if (!rows_found(c, rc, r))
		return;
	db = rows_reader(c, c->rows);
	if (db)
		rows_asked(c, ask_events(c, db));
}

void process_gc(struct call *c)
{
	static const struct row_kind kind = {.name = "process"};
	struct db *db = api_reader(c->api);
	struct host *h;

	if (!call_id(c, c->params[0], &c->object_id))
		return;
	if (view_find_process(c->api->ctx.registry, c->object_id, &h)) {
		/* Memory answers with the database away. */
		if (!db || ask_events(c, db) < 0)
			answer(c, NULL);
		return;
	}
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_process_get(db, c->object_id, on_process, c));
}
