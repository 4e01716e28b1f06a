/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/clock.h"
#include "common/str.h"

#define SAY_MAX 2048 /* the longest text that REST tells of a kill is a fourth of it */

const struct cli_command cli_commands[] = {
	{"status", 0, 0, command_status, "",
	 "the fleet in one screen: hosts, worst, firing alerts"},
	{"store", 0, 0, command_store, "", "what the database takes, by table, the largest first"},
	{"hosts", 0, 0, command_hosts, "", "every host: memory, culprit, time to OOM"},
	{"host", 1, 1, command_host, "HOST",
	 "one host: memory, pressure, what is wrong with its set-up, limits, containers"},
	{"oom", 0, 2, command_oom, "[last [HOST] | show ID] [--host HOST] [--limit N]",
	 "who was killed for memory and why, the newest first; a kill's whole dossier"},
	{"ps", 1, 1, command_ps, "HOST", "the processes of a host, the largest first"},
	{"top", 0, 1, command_top, "[processes|services] [--sort WHAT] [--limit N]",
	 "the largest processes or services of the whole fleet (20); sorted by rss, growth, or "
	 "another figure"},
	{"alerts", 0, 0, command_alerts, "[--state firing|resolved] [--host HOST] [--limit N]",
	 "alerts, the newest first"},
	{"ack", 1, 1, command_ack, "ALERT", "say that somebody looks after an alert"},
	{"trim", 1, 1, command_trim,
	 "HOST:PID|HOST/SERVICE [--dry-run] [--yes] [--wait] [--reason TEXT]",
	 "give freed heap pages back (malloc_trim in the running process)"},
	{"restart", 1, 1, command_restart,
	 "HOST:PID|HOST/SERVICE [--dry-run] [--yes] [--wait] [--reason TEXT]",
	 "have a process started again by systemd, its container engine or its parent"},
	{"snapshot", 1, 1, command_snapshot,
	 "HOST:PID|HOST/SERVICE [--kind census|tracemalloc|referrers|sizes] [--type T] [--max N] "
	 "[--seconds N] [--frames N] [--containers N] [--objects N] [--dry-run] [--yes] [--reason "
	 "TEXT]",
	 "a new census; which lines of a Python program allocate what stays; who holds the objects "
	 "of a "
	 "type; which containers hold most"},
	{"snapshots", 0, 2, command_snapshots,
	 "[HOST:PID|HOST/SERVICE] [--kind tracemalloc|referrers|sizes] [--limit N] | show SNAPSHOT "
	 "[--diff[=SNAPSHOT]] [--top N]",
	 "what was found in Python processes, the newest first; one of them; what grew since "
	 "another"},
	{"gc", 1, 1, command_gc,
	 "HOST:PID|HOST/SERVICE [--generation 0|1|2] [--dry-run] [--yes] [--wait] [--reason TEXT]",
	 "gc.collect() in a Python process"},
	{"gc-threshold", 1, 1, command_gc_threshold,
	 "HOST:PID|HOST/SERVICE --young N [--middle N] [--old N] [--dry-run] [--yes] [--wait] "
	 "[--reason TEXT]",
	 "gc.set_threshold() in a Python process; tells the old ones"},
	{"gc-freeze", 1, 1, command_gc_freeze,
	 "HOST:PID|HOST/SERVICE [--dry-run] [--yes] [--wait] [--reason TEXT]",
	 "gc.freeze() in a Python process: what is there is collected no more"},
	{"gc-unfreeze", 1, 1, command_gc_unfreeze,
	 "HOST:PID|HOST/SERVICE [--dry-run] [--yes] [--wait] [--reason TEXT]",
	 "gc.unfreeze() in a Python process"},
	{"limit", 1, 1, command_limit,
	 "HOST:PID|HOST/SERVICE --bytes N [--for 10min] [--kind high|max] [--dry-run] [--yes] "
	 "[--wait]",
	 "bound the memory of its cgroup for a time"},
	{"reclaim", 1, 1, command_reclaim,
	 "HOST:PID|HOST/SERVICE --bytes N [--dry-run] [--yes] [--wait] [--reason TEXT]",
	 "have the kernel take memory from its cgroup now"},
	{"oom-score", 1, 1, command_oom_score,
	 "HOST:PID|HOST/SERVICE --score N [--for 10min] [--dry-run] [--yes] [--wait] "
	 "[--reason TEXT]",
	 "set its oom_score_adj: who is killed first"},
	{"shed", 1, 1, command_shed,
	 "HOST:PID|HOST/SERVICE [--dry-run] [--yes] [--wait] [--reason TEXT]",
	 "ask a service to shed memory by the hook that its host's policy names"},
	{"drop-caches", 1, 1, command_drop_caches,
	 "HOST [--kind pagecache|slab|both] [--dry-run] [--yes] [--wait] [--reason TEXT]",
	 "throw a host's caches away, once an hour at most; it rarely helps"},
	{"census", 1, 1, command_census,
	 "HOST:PID|HOST/SERVICE [--diff[=CENSUS]] [--top N] [--now [--wait] [--dry-run] [--yes]]",
	 "what the objects of a Python process are, which types grew; --now counts them anew"},
	{"explain", 1, 1, command_explain, "HOST:PID|HOST/SERVICE",
	 "why a Python process grows: verdict, evidence, where its memory is, what to do"},
	{"actions", 0, 2, command_actions, "[[show] ACTION] [--limit N]",
	 "what was done to processes and what it gained"},
	{"approve", 1, 1, command_approve, "ACTION [--sign-key FILE [--ttl 1h]]",
	 "let an action go ahead that waits for a second person"},
	{"cancel", 1, 1, command_cancel, "ACTION",
	 "give up an action that waits for approval or for its host"},
	{"keygen", 1, 1, command_keygen, "FILE",
	 "an operator's key for --sign-key, made where there is none; prints its public half for "
	 "hosts' /etc/memherd/operators/NAME.pub"},
	{"audit", 0, 2, command_audit, "[verify [HEAD]] [--limit N]",
	 "who did what, the oldest first; verify follows its chain of hashes, and looks for a head "
	 "that was kept"},
	{"breakers", 0, 3, command_breakers, "[close ACTOR TYPE]",
	 "rules whose action stands still because it gave nothing"},
	{"maintenance", 0, 2, command_maintenance,
	 "[--state open|all] | set HOST[/SERVICE] --for 2h|--until TIME [--from TIME] --reason "
	 "TEXT "
	 "| end ID",
	 "have nothing done to hosts or services for a time (* and ? in names); what is to come or "
	 "under way"},
	{"enroll-token", 1, 2, command_enroll_token,
	 "create [--ttl 1h] [--uses 1] [--note TEXT] | list | delete ID",
	 "one-time tokens for new hosts"},
	{"login-link", 0, 0, command_login_link, "", "a one-time link that logs a browser in"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

int cli_usage(const char *name)
{
	for (const struct cli_command *k = cli_commands; k->name; k++)
		if (strcmp(k->name, name) == 0)
			fprintf(stderr, "usage: memherd %s %s\n", k->name, k->usage);
	return CLI_USAGE;
}

static int exit_of(int rc)
{
	static const struct {
		int rc;
		enum cli_exit code;
	} codes[] = {{-EACCES, CLI_NOT_ALLOWED},
		     {-ENOENT, CLI_NOT_FOUND},
		     {-ENOTCONN, CLI_UNREACHABLE}};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].rc == rc)
			return codes[i].code;
	return CLI_FAILED;
}

int cli_ask(struct cli *c, const struct rest_request *q, json_t **ret)
{
	struct error err = {""};
	char safe[4 * sizeof(err.msg)];
	int rc = rest_call(c->rest, q, ret, &err);

	if (rc == 0)
		return CLI_OK;
	/* The problem may quote what a process called itself. */
	str_safe(safe, sizeof(safe), err.msg, strlen(err.msg));
	fprintf(stderr, "memherd: %s\n", safe);
	if (rc == -EACCES)
		fputs("hint: set MEMHERD_TOKEN or use --token-file; tokens are made with POST "
		      "/api/v1/tokens\n",
		      stderr);
	if (rc == -ENOTCONN)
		fputs("hint: set MEMHERD_URL or use --url\n", stderr);
	return exit_of(rc);
}

int cli_get(struct cli *c, const char *path, json_t **ret)
{
	return cli_ask(c, &(struct rest_request){.method = "GET", .path = path}, ret);
}

int cli_print_item(const struct cli *c, const json_t *item, const char *const *headings,
		   void (*row)(struct table *t, const json_t *item))
{
	struct table t;

	table_init(&t, headings);
	row(&t, item);
	return cli_print_table(c, &t);
}

int cli_print_items(const struct cli *c, const json_t *items, const char *const *headings,
		    void (*row)(struct table *t, const json_t *item))
{
	const json_t *item;
	struct table t;
	size_t i;

	table_init(&t, headings);
	json_array_foreach (items, i, item)
		row(&t, item);
	return cli_print_table(c, &t);
}

/* The same with the cell that each row is of before it. */
static int print_cells(const struct cli *c, const json_t *items, const char *const *headings,
		       void (*row)(struct table *t, const json_t *item))
{
	const char *with[TABLE_COLUMNS_MAX + 1] = {"CELL"};
	const json_t *item;
	struct table t;
	size_t i;

	for (i = 0; i + 2 < ARRAY_SIZE(with) && headings[i]; i++)
		with[i + 1] = headings[i];
	table_init(&t, with);
	json_array_foreach (items, i, item) {
		cell_text(&t, item, "cell");
		row(&t, item);
	}
	return cli_print_table(c, &t);
}

/* Who did not answer; CLI_PARTLY when there is one. */
static int tell_cells(const json_t *cells)
{
	const json_t *cell;
	char safe[4 * SAY_MAX];
	char text[SAY_MAX];
	int code = CLI_OK;
	size_t i;

	json_array_foreach (cells, i, cell) {
		if (json_is_true(json_object_get(cell, "ok")))
			continue;
		snprintf(text, sizeof(text), "cell '%s' did not answer: %s", field_or(cell, "name"),
			 field_or(cell, "error"));
		str_safe(safe, sizeof(safe), text, strlen(text));
		fprintf(stderr, "memherd: %s\n", safe);
		code = CLI_PARTLY;
	}
	return code;
}

int cli_list(struct cli *c, const char *path, const char *const *headings,
	     void (*row)(struct table *t, const json_t *item))
{
	json_t *answer = NULL;
	const json_t *items;
	const json_t *cells;
	int code = cli_get(c, path, &answer);

	if (code)
		return code;
	items = json_object_get(answer, "items");
	cells = json_object_get(answer, "cells");
	if (c->json)
		code = cli_print_json(answer);
	else if (cells)
		code = print_cells(c, items, headings, row);
	else
		code = cli_print_items(c, items, headings, row);
	if (!code)
		code = tell_cells(cells);
	json_decref(answer);
	return code;
}

int cli_add_query(struct cli *c, char *path, size_t size, const char *key, const char *value)
{
	size_t n = strlen(path);
	char escaped[256];

	if (!value)
		return 0;
	if (rest_escape(c->rest, value, escaped, sizeof(escaped)) < 0)
		return -1;
	snprintf(path + n, size - n, "%c%s=%s", strchr(path, '?') ? '&' : '?', key, escaped);
	return 0;
}

static void say(const char *fmt, va_list ap)
{
	char text[SAY_MAX];
	char safe[4 * SAY_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	str_safe(safe, sizeof(safe), text, strlen(text));
	fputs(safe, stdout);
}

void cli_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void cli_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	cli_break();
}

void cli_break(void)
{
	putchar('\n');
}

void cli_title(const char *title)
{
	cli_break();
	cli_line("%s", title);
}

void cli_lines(const char *title, const json_t *lines, const char *mark)
{
	const json_t *line;
	size_t i;

	if (json_array_size(lines))
		cli_title(title);
	json_array_foreach (lines, i, line)
		cli_line("%s%s", mark, json_string_value(line) ? json_string_value(line) : "");
}

int cli_print_json(const json_t *json)
{
	/* ASCII, because a terminal obeys the C1 controls, which JSON does not ask to escape. */
	if (json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) < 0)
		return CLI_FAILED;
	putchar('\n');
	return CLI_OK;
}

int cli_print_table(const struct cli *c, struct table *t)
{
	int rc = table_print(t, stdout, c->tty);

	if (rc < 0)
		fputs("memherd: no memory for the table\n", stderr);
	table_fini(t);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

const char *field_text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

const char *field_or(const json_t *o, const char *key)
{
	const char *text = field_text(o, key);

	return text ? text : "-";
}

int64_t field_int(const json_t *o, const char *key)
{
	return (int64_t)json_number_value(json_object_get(o, key));
}

void cell_text(struct table *t, const json_t *o, const char *key)
{
	table_cell(t, field_text(o, key));
}

void cell_bytes(struct table *t, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	char text[STR_UNIT_SIZE];

	table_cell(t, json_is_number(v) ? str_bytes(text, (int64_t)json_number_value(v)) : NULL);
}

void cell_growth(struct table *t, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	char text[STR_UNIT_SIZE];

	if (!json_is_number(v))
		table_cell(t, NULL);
	else
		table_printf(t, "%s%s/h", json_number_value(v) > 0 ? "+" : "",
			     str_bytes(text, (int64_t)json_number_value(v)));
}

void cell_grown(struct table *t, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	char text[STR_UNIT_SIZE];

	if (!json_is_number(v))
		table_cell(t, NULL);
	else
		table_printf(t, "%s%s", json_number_value(v) > 0 ? "+" : "",
			     str_bytes(text, (int64_t)json_number_value(v)));
}

void cell_time(struct table *t, const json_t *o, const char *key)
{
	const char *when = field_text(o, key);

	if (when && strlen(when) >= 19)
		table_printf(t, "%.10s %.8sZ", when, when + 11);
	else
		table_cell(t, NULL);
}

void cell_number(struct table *t, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_number(v))
		table_printf(t, "%.0f", json_number_value(v));
	else
		table_cell(t, NULL);
}

void cell_seconds(struct table *t, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	char text[STR_UNIT_SIZE];

	table_cell(t, json_is_number(v) ? str_duration(text, (int64_t)(json_number_value(v) * 1e6))
					: NULL);
}

void cell_age(struct table *t, const json_t *o, const char *key)
{
	const char *when = field_text(o, key);
	int64_t now = clock_wall_us();
	char text[STR_UNIT_SIZE];
	int64_t at;

	if (!when || str_parse_time(when, now, &at) < 0)
		table_cell(t, NULL);
	else
		table_printf(t, "%s ago", str_duration(text, MAX_OF(now - at, (int64_t)0)));
}
