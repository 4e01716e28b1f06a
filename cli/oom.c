/* SPDX-License-Identifier: Apache-2.0 */
/* Who was killed and why: oom, oom last, oom show. */
#include <string.h>

#include "cli/cli.h"
#include "common/str.h"

#define PRESET_LIMIT "50"

/* ---- the list ---- */

/* 'shop (c0ffee)': the service, and the container when it is called otherwise. */
static void cell_place(struct table *t, const json_t *o)
{
	const char *service = field_text(o, "service");
	const char *container = field_text(o, "container");

	if (service && container && !strstr(service, container))
		table_printf(t, "%.200s (%.200s)", service, container);
	else
		table_cell(t, service ? service : container);
}

/* The limit that was reached: whose, and how much. */
static void cell_limit(struct table *t, const json_t *k)
{
	const json_t *bytes = json_object_get(k, "limit_bytes");
	const char *path = field_text(k, "limit_cgroup");
	const char *owner = field_text(k, "limit_owner");
	char text[STR_UNIT_SIZE];

	if (!path)
		table_cell(t, "the host's memory");
	else if (json_is_number(bytes))
		table_printf(t, "%.200s %s", owner ? owner : path,
			     str_bytes(text, (int64_t)json_number_value(bytes)));
	else
		table_cell(t, owner ? owner : path);
}

static void kill_row(struct table *t, const json_t *k)
{
	cell_time(t, k, "time");
	cell_text(t, k, "host");
	cell_text(t, k, "comm");
	cell_number(t, k, "pid");
	cell_bytes(t, k, "rss_bytes");
	cell_place(t, k);
	cell_limit(t, k);
	cell_text(t, k, "cause");
	cell_text(t, k, "grower");
	cell_text(t, k, "id");
}

static int list(struct cli *c)
{
	static const char *const headings[] = {"TIME",  "HOST",  "VICTIM", ">PID", ">RSS", "OF",
					       "LIMIT", "CAUSE", "GROWER", ">ID",  NULL};
	char path[1024] = "/oom-events";

	if (cli_add_query(c, path, sizeof(path), "host", c->host) < 0 ||
	    cli_add_query(c, path, sizeof(path), "limit", c->limit ? c->limit : PRESET_LIMIT) < 0)
		return cli_usage("oom");
	return cli_list(c, path, headings, kill_row);
}

/* ---- one kill ---- */

static void show_party(const char *label, const json_t *p)
{
	const char *place = field_text(p, "service");
	const char *container = field_text(p, "container");
	const char *comm = field_text(p, "comm");

	if (!json_is_object(p)) {
		cli_line("%-10s not known", label);
		return;
	}
	cli_say("%-10s %s", label, comm ? comm : "a process");
	if (json_is_number(json_object_get(p, "pid")))
		cli_say(" (pid %lld)", (long long)field_int(p, "pid"));
	if (place)
		cli_say(" of %s", place);
	if (container)
		cli_say(", container %s", container);
	cli_break();
	if (field_text(p, "cmdline"))
		cli_line("%-10s %s", "", field_text(p, "cmdline"));
}

/* 'label  used of all', nothing when neither is known. */
static void show_share(const char *label, const json_t *f, const char *part, const char *whole,
		       const char *word)
{
	const json_t *p = json_object_get(f, part);
	const json_t *w = json_object_get(f, whole);
	char text[STR_UNIT_SIZE];

	if (!json_is_number(p) && !json_is_number(w))
		return;
	cli_say("%-10s %s", label, json_is_number(p) ? str_bytes(text, field_int(f, part)) : "?");
	if (json_is_number(w))
		cli_say(" %s of %s", word, str_bytes(text, field_int(f, whole)));
	else
		cli_say(" %s", word);
	cli_break();
}

static void show_limit(const json_t *kill, const json_t *figures)
{
	const char *path = field_text(kill, "limit_cgroup");
	const char *owner = field_text(kill, "limit_owner");

	if (path) {
		cli_say("%-10s cgroup %s", "Limit", path);
		if (owner)
			cli_say(" of %s", owner);
		cli_break();
		show_share("", figures, "usage_bytes", "limit_bytes", "in use");
		show_share("", figures, "swap_usage_bytes", "swap_limit_bytes", "of swap in use");
	} else {
		cli_line("%-10s none: the host itself had no memory left", "Limit");
	}
	show_share("Host", figures, "host_available_bytes", "host_total_bytes", "available");
	show_share("", figures, "host_swap_free_bytes", "host_swap_total_bytes", "of swap free");
}

/* Why it grew and where its memory was, as far as that was known before. */
static void show_python(const json_t *victim)
{
	static const struct {
		const char *key;
		const char *word;
	} parts[] = {
		{"pymalloc_bytes", "Python's small objects"},
		{"malloc_bytes", "the C library's heap"},
		{"malloc_free_bytes", "of it free"},
		{"native_bytes", "native buffers"},
		{"shmem_bytes", "shared memory"},
		{"file_bytes", "files"},
	};
	const json_t *python = json_object_get(victim, "python");
	const json_t *census = json_object_get(python, "census");
	const json_t *memory = json_object_get(census, "memory");
	const char *why = field_text(json_object_get(python, "verdict"), "sentence");
	char text[STR_UNIT_SIZE];

	if (why)
		cli_line("%-10s %s", "Why", why);
	if (!json_object_size(memory))
		return;
	cli_say("%-10s at %s:", "", field_or(census, "time"));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (field_int(memory, parts[i].key) > 0)
			cli_say(" %s %s,", parts[i].word,
				str_bytes(text, field_int(memory, parts[i].key)));
	cli_say(" %lld objects", (long long)field_int(census, "objects"));
	cli_break();
}

static void show_head(const json_t *kill)
{
	const json_t *d = json_object_get(kill, "dossier");
	const char *time = field_text(kill, "time");
	const char *text = field_text(d, "cause_text");

	cli_line("%s, %s, kill %s", field_or(kill, "host"), time ? time : "at an unknown time",
		 field_or(kill, "id"));
	cli_break();
	cli_line("%s", field_or(kill, "verdict"));
	cli_break();
	show_party("Victim", json_object_get(d, "victim"));
	show_python(json_object_get(d, "victim"));
	show_party("Trigger", json_object_get(d, "trigger"));
	cli_line("%-10s %s, %s%s%s", "Cause", field_or(kill, "cause"), field_or(kill, "confidence"),
		 text ? ": " : "", text ? text : "");
	show_limit(kill, json_object_get(d, "figures"));
	if (json_is_false(json_object_get(kill, "complete")))
		cli_line("%-10s the kernel's report was not seen whole", "Note");
	if (json_is_true(json_object_get(kill, "replayed")))
		cli_line(
			"%-10s found in the log after the fact: growth of that moment is not known",
			"Note");
}

static void grower_row(struct table *t, const json_t *p)
{
	cell_number(t, p, "pid");
	cell_bytes(t, p, "rss_bytes");
	cell_grown(t, p, "grown_1m_bytes");
	cell_grown(t, p, "grown_10m_bytes");
	cell_grown(t, p, "grown_60m_bytes");
	cell_text(t, p, "service");
	table_cell(t, field_text(p, "cmdline") ? field_text(p, "cmdline") : field_text(p, "comm"));
}

static void task_row(struct table *t, const json_t *p)
{
	cell_number(t, p, "pid");
	cell_bytes(t, p, "rss_bytes");
	cell_bytes(t, p, "swap_bytes");
	cell_number(t, p, "oom_score_adj");
	cell_text(t, p, "service");
	cell_text(t, p, "comm");
}

static void action_row(struct table *t, const json_t *a)
{
	cell_time(t, a, "time");
	cell_text(t, a, "type");
	cell_text(t, a, "state");
	cell_number(t, a, "pid");
	cell_text(t, a, "service");
	cell_text(t, a, "reason");
}

static void event_row(struct table *t, const json_t *e)
{
	cell_time(t, e, "time");
	cell_text(t, e, "kind");
	cell_number(t, e, "pid");
	cell_text(t, e, "comm");
	cell_text(t, e, "verdict");
}

static void alert_row(struct table *t, const json_t *a)
{
	table_printf(t, "INC-%s", field_or(a, "id"));
	cell_time(t, a, "opened");
	cell_text(t, a, "title");
}

static int show_tables(const struct cli *c, const json_t *d, const json_t *recent)
{
	static const char *const growers[] = {">PID",    ">RSS",    ">1 MIN",  ">10 MIN",
					      ">60 MIN", "SERVICE", "COMMAND", NULL};
	static const char *const tasks[] = {">PID",    ">RSS", ">SWAP", ">ADJ",
					    "SERVICE", "COMM", NULL};
	static const char *const actions[] = {"TIME",    "TYPE",   "STATE", ">PID",
					      "SERVICE", "REASON", NULL};
	static const char *const events[] = {"TIME", "KIND", ">PID", "COMM", "VERDICT", NULL};
	static const char *const alerts[] = {"ALERT", "OPENED", "WHAT", NULL};
	const json_t *service = json_object_get(recent, "service");
	const struct {
		const char *title;
		const json_t *items;
		const char *const *headings;
		void (*row)(struct table *t, const json_t *item);
	} parts[] = {
		{"Who had grown before it", json_object_get(d, "growers"), growers, grower_row},
		{"The kernel's table of tasks", json_object_get(d, "tasks"), tasks, task_row},
		{"Actions in the hour before", json_object_get(recent, "actions"), actions,
		 action_row},
		{"Starts, ends and kills of the service in the day before",
		 json_object_get(service, "events"), events, event_row},
		{"Alerts that were open", json_object_get(recent, "alerts"), alerts, alert_row},
	};
	int code = CLI_OK;

	for (size_t i = 0; !code && i < ARRAY_SIZE(parts); i++) {
		if (!json_array_size(parts[i].items))
			continue;
		cli_title(parts[i].title);
		code = cli_print_items(c, parts[i].items, parts[i].headings, parts[i].row);
	}
	return code;
}

static int show(struct cli *c, const char *id)
{
	json_t *kill = NULL;
	const json_t *d;
	char name[64];
	char path[128];
	int code;

	if (rest_escape(c->rest, id, name, sizeof(name)) < 0)
		return cli_usage("oom");
	snprintf(path, sizeof(path), "/oom-events/%s", name);
	code = cli_get(c, path, &kill);
	if (code)
		return code;
	d = json_object_get(kill, "dossier");
	if (c->json) {
		code = cli_print_json(kill);
	} else {
		show_head(kill);
		cli_lines("What would have prevented it", json_object_get(d, "advice"), "- ");
		code = show_tables(c, d, json_object_get(kill, "recent"));
		cli_lines("Evidence", json_object_get(d, "evidence"), "  ");
	}
	json_decref(kill);
	return code;
}

/* The newest kill, of a host when one is named. */
static int show_last(struct cli *c)
{
	json_t *answer = NULL;
	const char *id;
	char path[1024] = "/oom-events?limit=1";
	int code;

	if (c->n_args > 1)
		c->host = c->args[1];
	if (cli_add_query(c, path, sizeof(path), "host", c->host) < 0)
		return cli_usage("oom");
	code = cli_get(c, path, &answer);
	if (code)
		return code;
	id = field_text(json_array_get(json_object_get(answer, "items"), 0), "id");
	if (id) {
		code = show(c, id);
	} else {
		fputs("memherd: no kill is known\n", stderr);
		code = CLI_NOT_FOUND;
	}
	json_decref(answer);
	return code;
}

int command_oom(struct cli *c)
{
	if (c->n_args == 0)
		return list(c);
	if (strcmp(c->args[0], "last") == 0)
		return show_last(c);
	if (strcmp(c->args[0], "show") == 0 && c->n_args == 2)
		return show(c, c->args[1]);
	return cli_usage("oom");
}
