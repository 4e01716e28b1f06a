/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/cells.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "collector/api/api.h"
#include "collector/cell/cell.h"
#include "collector/cell/fetch.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define GATHER_MAGIC 0x67617468u
#define DEADLINE_US  (5 * USEC_PER_SEC)
#define ANSWER_MAX   ((size_t)16 << 20)
#define REPEATED     5 /* times its length a text may take when written anew: 0.1 has 17 digits */
#define QUERY_MAX    16384
#define WHY_SIZE     256

/* What one cell said. */
struct part {
	struct gather *g;
	const struct cell *cell;
	json_t *doc; /* NULL: why tells */
	char why[WHY_SIZE];
	size_t at; /* rows of it that were taken */
};

/* A call that waits for its cells. */
struct gather {
	unsigned magic;
	struct gather *prev, *next; /* utlist */
	struct cells *cells;
	struct call *c;
	struct cells_list list;
	size_t left; /* answers to come */
	size_t n;
	struct part parts[];
};

struct cells {
	struct fetcher *fetcher;
	struct cell *list;
	size_t n;
	struct gather *gathers;
};

/* ---- the answer ---- */

static void write_state(struct call *c, const struct gather *g)
{
	bool partial = false;

	jw_key(&c->json, "cells");
	jw_array(&c->json);
	for (size_t i = 0; i < g->n; i++) {
		const struct part *p = &g->parts[i];

		partial |= !p->doc;
		jw_object(&c->json);
		jw_k_str(&c->json, "name", p->cell->name);
		jw_k_bool(&c->json, "ok", p->doc != NULL);
		jw_k_str(&c->json, "error", p->doc ? NULL : p->why);
		jw_object_end(&c->json);
	}
	jw_array_end(&c->json);
	jw_k_bool(&c->json, "partial", partial);
}

static void write_json(struct json_writer *w, const json_t *value)
{
	auto_free char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	jw_raw(w, text);
}

static json_t *head_of(const struct part *p)
{
	return json_array_get(json_object_get(p->doc, "items"), p->at);
}

/* Of the rows that stand first in their cells the one that stands first of all. */
static struct part *first_of(struct gather *g)
{
	struct part *first = NULL;

	for (size_t i = 0; i < g->n; i++) {
		struct part *p = &g->parts[i];

		if (head_of(p) &&
		    (!first || cells_compare(&g->list, head_of(p), head_of(first)) < 0))
			first = p;
	}
	return first;
}

static void write_rows(struct call *c, struct gather *g)
{
	struct part *p;

	jw_key(&c->json, "items");
	jw_array(&c->json);
	for (int n = 0; n < c->limit && (p = first_of(g)); n++) {
		json_t *row = head_of(p);

		json_object_set_new(row, "cell", json_string(p->cell->name));
		write_json(&c->json, row);
		p->at++;
	}
	jw_array_end(&c->json);
}

/* Of one cell its pages can be gone through. */
static void write_cursor(struct call *c, const struct gather *g)
{
	const json_t *cursor = g->n == 1 ? json_object_get(g->parts[0].doc, "next_cursor") : NULL;

	jw_k_str(&c->json, "next_cursor", json_string_value(cursor));
}

static void reply_list(struct call *c, struct gather *g)
{
	jw_object(&c->json);
	write_rows(c, g);
	write_cursor(c, g);
	write_state(c, g);
	jw_object_end(&c->json);
	call_reply(c, 200);
}

static void reply_merged(struct call *c, struct gather *g)
{
	const char *names[CELLS_MAX];
	json_t *docs[CELLS_MAX];

	for (size_t i = 0; i < g->n; i++) {
		names[i] = g->parts[i].cell->name;
		docs[i] = g->parts[i].doc;
	}
	jw_object(&c->json);
	g->list.merge(c, names, docs, g->n);
	write_state(c, g);
	jw_object_end(&c->json);
	call_reply(c, 200);
}

static void gather_free(struct gather *g)
{
	DL_DELETE(g->cells->gathers, g);
	for (size_t i = 0; i < g->n; i++)
		json_decref(g->parts[i].doc);
	g->magic = 0;
	free(g);
}

static void gather_end(struct gather *g)
{
	struct call *c = g->c;
	bool any = false;

	for (size_t i = 0; i < g->n; i++)
		any |= g->parts[i].doc != NULL;
	if (!any)
		call_fail(c, 503, "no cell answers; '%s': %s", g->parts[0].cell->name,
			  g->parts[0].why);
	else if (*g->list.key)
		reply_list(c, g);
	else
		reply_merged(c, g);
	gather_free(g);
}

/* ---- asking ---- */

/* What a cell that refuses says is for whoever asked. */
static void read_refusal(struct part *p, long status)
{
	const char *detail = json_string_value(json_object_get(p->doc, "detail"));
	char text[WHY_SIZE / 2];

	str_safe(text, sizeof(text), detail ? detail : "", detail ? strlen(detail) : 0);
	(void)snprintf(p->why, sizeof(p->why), "HTTP %ld%s%s", status, *text ? ": " : "", text);
	json_decref(p->doc);
	p->doc = NULL;
}

/* What one cell answers must not fill the room that the reply has for all. */
static int check_size(const json_t *answer, size_t len, struct error *err)
{
	if (len <= ANSWER_MAX / REPEATED || json_dumpb(answer, NULL, 0, JSON_COMPACT) <= ANSWER_MAX)
		return 0;
	return error_set(err, -EFBIG, "its answer is larger than %zu bytes", ANSWER_MAX);
}

static void on_answer(void *arg, long status, const struct buf *body, const char *why)
{
	struct part *p = arg;
	struct gather *g = p->g;
	struct error err = {""};

	MAGIC_CHECK(g, GATHER_MAGIC);
	if (!status)
		(void)str_copy(p->why, sizeof(p->why), why);
	else if (call_json_depth((const char *)body->data, body->len) <= CALL_DEPTH_MAX)
		p->doc = json_loadb((const char *)body->data, body->len, 0, NULL);
	if (status && status != 200)
		read_refusal(p, status);
	else if (status && (cells_check(&g->list, p->doc, &err) < 0 ||
			    check_size(p->doc, body->len, &err) < 0)) {
		json_decref(p->doc);
		p->doc = NULL;
		(void)str_copy(p->why, sizeof(p->why), err.msg);
	}
	if (--g->left == 0)
		gather_end(g);
}

/* The same question, about what the cell itself holds. */
static int write_path(const struct call *c, const struct cells_list *list, char *out, size_t size)
{
	auto_buf struct buf query = BUF_INIT(QUERY_MAX);
	int rc = fetch_query(&query, "cell", "self");
	int n;

	for (unsigned i = 0; i < c->query.n && rc == 0; i++)
		if (strcmp(c->query.fields[i].name, "cell") != 0)
			rc = fetch_query(&query, c->query.fields[i].name, c->query.fields[i].value);
	if (rc < 0)
		return rc;
	n = snprintf(out, size, "/api/v1%s?%.*s", list->path, (int)query.len,
		     (const char *)query.data);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static void ask(struct gather *g, struct part *p, const char *path)
{
	const struct fetch_limits limits = {.deadline_us = DEADLINE_US, .max_bytes = ANSWER_MAX};
	struct error err = {""};

	if (fetch_get(g->cells->fetcher, p->cell, path, &limits, on_answer, p, &err) == 0)
		return;
	(void)str_copy(p->why, sizeof(p->why), err.msg);
	g->left--;
}

static void begin(struct cells *cells, struct call *c, const struct cells_list *list,
		  const struct cell *one)
{
	size_t n = one ? 1 : cells->n;
	struct gather *g = calloc(1, sizeof(*g) + n * sizeof(g->parts[0]));
	char path[8000];

	if (!g || write_path(c, list, path, sizeof(path)) < 0) {
		free(g);
		call_fail(c, g ? 400 : 503, g ? "the query is too long" : "out of memory");
		return;
	}
	*g = (struct gather){
		.magic = GATHER_MAGIC, .cells = cells, .c = c, .list = *list, .left = n, .n = n};
	DL_APPEND(cells->gathers, g);
	for (size_t i = 0; i < n; i++)
		g->parts[i] = (struct part){.g = g, .cell = one ? one : &cells->list[i]};
	for (size_t i = 0; i < n; i++)
		ask(g, &g->parts[i], path);
	if (g->left == 0)
		gather_end(g);
}

static const struct cell *find(const struct cells *cells, const char *name)
{
	for (size_t i = 0; i < cells->n; i++)
		if (strcmp(cells->list[i].name, name) == 0)
			return &cells->list[i];
	return NULL;
}

bool cells_take(struct call *c, const struct cells_list *list)
{
	const char *name = query_get(&c->query, "cell");
	struct cells *cells = c->api->cells;
	const struct cell *one = NULL;

	if (name && strcmp(name, "self") == 0)
		return false;
	if (!cells && !name)
		return false;
	if (name && cells)
		one = find(cells, name);
	if (name && !one) {
		call_fail(c, 400, "there is no cell '%.64s' here", name);
		return true;
	}
	if (*list->key && !call_limit(c))
		return true;
	if (!one && query_get(&c->query, "cursor")) {
		call_fail(c, 400, "pages are of one cell: say which with 'cell'");
		return true;
	}
	begin(cells, c, list, one);
	return true;
}

bool cells_refuse(struct call *c)
{
	if (!c->api->cells)
		return false;
	call_fail(c, 409,
		  "this collector only shows what its cells hold: ask the collector of the "
		  "cell whose host it is");
	return true;
}

/* ---- its life ---- */

int cells_new(struct event_base *base, const char *text, struct cells **ret, struct error *err)
{
	struct cell *list = NULL;
	int n = cells_parse(text, &list, err);
	struct cells *cells;
	int rc;

	if (n <= 0)
		return n;
	cells = calloc(1, sizeof(*cells));
	if (!cells) {
		free(list);
		return error_sys(err, -ENOMEM, "cells");
	}
	cells->list = list;
	cells->n = (size_t)n;
	rc = fetcher_new(base, &cells->fetcher, err);
	for (int i = 0; i < n && rc == 0; i++) {
		rc = fs_check_private(list[i].token_file, err);
		if (rc < 0)
			error_wrap(err, "cell '%s'", list[i].name);
	}
	if (rc < 0) {
		cells_free(&cells);
		return rc;
	}
	*ret = cells;
	return 0;
}

void cells_free(struct cells **slot)
{
	struct cells *cells = take_ptr(*slot);
	struct gather *g;
	struct gather *next;

	if (!cells)
		return;
	fetcher_free(&cells->fetcher);
	DL_FOREACH_SAFE (cells->gathers, g, next)
		gather_free(g);
	free(cells->list);
	free(cells);
}
