/* SPDX-License-Identifier: Apache-2.0 */
/* What was found in Python processes: stored snapshots, one of them, what grew between two. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/str.h"

#define TOP_PRESET 25
#define TOP_MAX    256
/* It comes by another way than the action's end. */
#define ARRIVE_TRIES 50
#define ARRIVE_US    200000

static const char *const list_headings[] = {"SNAPSHOT", "KIND", "HOST",    ">PID",
					    "COMM",     "WHEN", "SUBJECT", NULL};

static void list_row(struct table *t, const json_t *s)
{
	cell_text(t, s, "id");
	cell_text(t, s, "kind");
	cell_text(t, s, "host");
	cell_number(t, s, "pid");
	cell_text(t, s, "comm");
	cell_age(t, s, "time");
	cell_text(t, s, "subject");
}

/* ---- one ---- */

static const char *const trace_headings[] = {">GROWN", ">MORE BLOCKS", ">BYTES",
					     "PLACE",  "CALLED FROM",  NULL};

static void trace_row(struct table *t, const json_t *r)
{
	cell_grown(t, r, "grown_bytes");
	cell_number(t, r, "more_blocks");
	cell_bytes(t, r, "bytes");
	cell_text(t, r, "place");
	cell_text(t, r, "called_from");
}

static const char *const chain_headings[] = {">OBJECTS", "CHAIN", "THROUGH", NULL};

static void chain_row(struct table *t, const json_t *r)
{
	cell_number(t, r, "objects");
	cell_text(t, r, "chain");
	cell_text(t, r, "through");
}

static const char *const size_headings[] = {">BYTES", ">ALONE",  ">OBJECTS", ">LENGTH",
					    "TYPE",   "HELD BY", NULL};

static void size_row(struct table *t, const json_t *r)
{
	cell_bytes(t, r, "bytes");
	cell_bytes(t, r, "own_bytes");
	cell_number(t, r, "objects");
	if (field_int(r, "length") < 0)
		table_cell(t, NULL);
	else
		cell_number(t, r, "length");
	cell_text(t, r, "type");
	cell_text(t, r, "held_by");
}

static const char *const trace_diff_headings[] = {">GROWN", ">MORE BLOCKS", "IN", "PLACE", NULL};

static void trace_diff_row(struct table *t, const json_t *r)
{
	cell_grown(t, r, "grown_bytes_growth");
	cell_number(t, r, "more_blocks_growth");
	cell_text(t, r, "in");
	cell_text(t, r, "place");
}

static const char *const chain_diff_headings[] = {">MORE OBJECTS", "IN", "CHAIN", NULL};

static void chain_diff_row(struct table *t, const json_t *r)
{
	cell_number(t, r, "objects_growth");
	cell_text(t, r, "in");
	cell_text(t, r, "chain");
}

static const char *const size_diff_headings[] = {">GROWN", ">MORE", ">BYTES",  ">LENGTH",
						 "IN",     "TYPE",  "HELD BY", NULL};

static void size_diff_row(struct table *t, const json_t *r)
{
	cell_grown(t, r, "bytes_growth");
	cell_number(t, r, "length_growth");
	cell_bytes(t, r, "bytes");
	cell_number(t, r, "length");
	cell_text(t, r, "in");
	cell_text(t, r, "type");
	cell_text(t, r, "held_by");
}

struct look {
	const char *kind;
	const char *const *headings;
	void (*row)(struct table *t, const json_t *r);
	const char *const *diff_headings;
	void (*diff_row)(struct table *t, const json_t *r);
};

static const struct look looks[] = {
	{"tracemalloc", trace_headings, trace_row, trace_diff_headings, trace_diff_row},
	{"referrers", chain_headings, chain_row, chain_diff_headings, chain_diff_row},
	{"sizes", size_headings, size_row, size_diff_headings, size_diff_row},
};

static const struct look *look_of(const json_t *snapshot)
{
	const char *kind = field_text(snapshot, "kind");

	for (size_t i = 0; kind && i < ARRAY_SIZE(looks); i++)
		if (strcmp(looks[i].kind, kind) == 0)
			return &looks[i];
	return NULL;
}

static int unknown(const json_t *snapshot)
{
	fprintf(stderr, "memherd: kind '%.64s' is not known here; --json prints it\n",
		field_or(snapshot, "kind"));
	return CLI_FAILED;
}

static void show_head(const json_t *s)
{
	const char *subject = field_text(s, "subject");
	const char *note = field_text(s, "note");
	const char *name;
	json_t *total;

	cli_line("%s pid %lld, %s", field_or(s, "host"), (long long)field_int(s, "pid"),
		 field_or(s, "time"));
	cli_line("%s %s (%s)%s%s", field_or(s, "kind"), field_or(s, "id"), field_or(s, "reason"),
		 subject ? " of " : "", subject ? subject : "");
	/* the macro takes no const, and changes nothing */
	json_object_foreach ((json_t *)(uintptr_t)json_object_get(s, "totals"), name, total)
		cli_line("%-14s %lld", name, (long long)json_integer_value(total));
	if (note)
		cli_line("note: %s", note);
}

/* The first top rows. */
static json_t *first_rows(const json_t *o, int top)
{
	json_t *rows = json_copy(json_object_get(o, "rows"));

	while (json_array_size(rows) > (size_t)top)
		json_array_remove(rows, json_array_size(rows) - 1);
	return rows;
}

static int show(struct cli *c, const json_t *s, int top)
{
	const struct look *look = look_of(s);
	json_t *rows;
	int code;

	if (!look)
		return unknown(s);
	rows = first_rows(s, top);
	show_head(s);
	cli_break();
	code = cli_print_items(c, rows, look->headings, look->row);
	json_decref(rows);
	return code;
}

static int show_diff(struct cli *c, const json_t *diff)
{
	const json_t *now = json_object_get(diff, "snapshot");
	const json_t *base = json_object_get(diff, "base");
	double span = json_number_value(json_object_get(diff, "span_seconds"));
	const struct look *look = look_of(now);
	char time[STR_UNIT_SIZE];

	if (!look)
		return unknown(now);
	cli_line("%s %s of %s against %s of %s, %s", look->kind, field_or(now, "id"),
		 field_or(now, "time"), field_or(base, "id"), field_or(base, "time"),
		 str_duration(time, (int64_t)(span * 1e6)));
	cli_break();
	return cli_print_items(c, json_object_get(diff, "rows"), look->diff_headings,
			       look->diff_row);
}

static int take_top(const struct cli *c, int *ret)
{
	int64_t top = TOP_PRESET;

	if (c->top && (str_parse_int(c->top, &top) < 0 || top < 1 || top > TOP_MAX))
		return cli_usage("snapshots");
	*ret = (int)top;
	return CLI_OK;
}

static int show_one(struct cli *c, const char *id)
{
	json_t *answer = NULL;
	char escaped[128];
	char path[256];
	int top = TOP_PRESET;
	int code = take_top(c, &top);

	if (code || rest_escape(c->rest, id, escaped, sizeof(escaped)) < 0)
		return code ? code : cli_usage("snapshots");
	snprintf(path, sizeof(path), "/snapshots/%s", escaped);
	if (c->diff) {
		snprintf(path, sizeof(path), "/snapshots/%s/diff?top=%d", escaped, top);
		if (cli_add_query(c, path, sizeof(path), "base", c->base) < 0)
			return cli_usage("snapshots");
	}
	code = cli_get(c, path, &answer);
	if (!code && c->json)
		code = cli_print_json(answer);
	else if (!code)
		code = c->diff ? show_diff(c, answer) : show(c, answer, top);
	json_decref(answer);
	return code;
}

/* ---- lists ---- */

static int list(struct cli *c, const char *target)
{
	json_t *process = NULL;
	char path[256] = "/snapshots";
	int code = target ? cli_target(c, target, &process) : CLI_OK;

	if (!code && (cli_add_query(c, path, sizeof(path), "process",
				    process ? field_text(process, "id") : NULL) < 0 ||
		      cli_add_query(c, path, sizeof(path), "kind", c->kind) < 0 ||
		      cli_add_query(c, path, sizeof(path), "limit", c->limit) < 0))
		code = cli_usage("snapshots");
	if (!code)
		code = cli_list(c, path, list_headings, list_row);
	json_decref(process);
	return code;
}

int command_snapshots(struct cli *c)
{
	if (c->n_args == 2)
		return strcmp(c->args[0], "show") == 0 ? show_one(c, c->args[1])
						       : cli_usage("snapshots");
	if (c->n_args == 1 && strcmp(c->args[0], "show") == 0)
		return cli_usage("snapshots");
	return list(c, c->n_args ? c->args[0] : NULL);
}

/* ---- one that was just taken ---- */

/* Its id, into id; "" when it has not come. */
static int find(struct cli *c, const char *action, char *id, size_t size)
{
	char path[128] = "/snapshots";
	json_t *answer = NULL;
	const char *found;
	int code;

	if (cli_add_query(c, path, sizeof(path), "action", action) < 0)
		return CLI_FAILED;
	code = cli_get(c, path, &answer);
	found = field_text(json_array_get(json_object_get(answer, "items"), 0), "id");
	*id = '\0';
	if (!code && found)
		str_copy(id, size, found);
	json_decref(answer);
	return code;
}

int cli_print_snapshot_of(struct cli *c, const char *action)
{
	char id[64];

	for (int i = 0; i < ARRIVE_TRIES; i++) {
		int code = find(c, action, id, sizeof(id));

		if (code || *id)
			return code ? code : show_one(c, id);
		usleep(ARRIVE_US);
	}
	fputs("memherd: it was taken, but its result has not come yet\n", stderr);
	return CLI_TIMEOUT;
}
