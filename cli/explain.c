/* SPDX-License-Identifier: Apache-2.0 */
/* Why a Python process grows, with all that is known of it on one screen. */
#include <string.h>

#include "cli/cli.h"
#include "common/str.h"

#define ACTIONS_LOOKED_AT "100"
#define ACTIONS_SHOWN     5

/* What REST said; each NULL when it could not be had. */
struct story {
	json_t *process;
	json_t *service;
	json_t *gc;
	json_t *census; /* the newest, without its types */
	json_t *actions;
};

static void story_fini(struct story *s)
{
	json_decref(s->process);
	json_decref(s->service);
	json_decref(s->gc);
	json_decref(s->census);
	json_decref(s->actions);
}

/* ---- asking ---- */

/* Only actions on that process, the newest few. */
static json_t *actions_on(const json_t *answer, const char *process)
{
	json_t *list = json_array();
	const json_t *a;
	size_t i;

	json_array_foreach (json_object_get(answer, "items"), i, a)
		if (strcmp(field_or(a, "process_id"), process) == 0 &&
		    json_array_size(list) < ACTIONS_SHOWN)
			json_array_append(list, (json_t *)(void *)a);
	return list;
}

static int ask_process(struct cli *c, struct story *s, const char *id)
{
	char path[1024];
	json_t *answer = NULL;
	int code;

	snprintf(path, sizeof(path), "/processes/%.32s", id);
	code = cli_get(c, path, &s->process);
	if (code)
		return code;
	snprintf(path, sizeof(path), "/processes/%.32s/gc", id);
	code = cli_get(c, path, &s->gc);
	snprintf(path, sizeof(path), "/processes/%.32s/census?limit=1", id);
	if (!code)
		code = cli_get(c, path, &answer);
	if (!code)
		s->census = json_incref(json_array_get(json_object_get(answer, "items"), 0));
	json_decref(answer);
	answer = NULL;
	snprintf(path, sizeof(path), "/actions?limit=" ACTIONS_LOOKED_AT);
	if (!code && cli_add_query(c, path, sizeof(path), "host", field_or(s->process, "host")) < 0)
		return CLI_USAGE;
	if (!code)
		code = cli_get(c, path, &answer);
	if (!code)
		s->actions = actions_on(answer, id);
	json_decref(answer);
	return code;
}

static int ask_service(struct cli *c, struct story *s, const char *host, const char *service)
{
	char path[4096];

	snprintf(path, sizeof(path), "/hosts/%s/services/%s", host, service);
	return cli_get(c, path, &s->service);
}

/* Of a process its service too, whose earlier lives say more than one. */
static int ask_of_process(struct cli *c, struct story *s)
{
	char host[1024];
	char service[1024];
	json_t *listed = NULL;
	int code = cli_target(c, c->args[0], &listed);

	if (!code)
		code = ask_process(c, s, field_or(listed, "id"));
	json_decref(listed);
	if (code || !field_text(s->process, "service") || !*field_text(s->process, "service"))
		return code;
	if (rest_escape(c->rest, field_or(s->process, "host"), host, sizeof(host)) < 0 ||
	    rest_escape(c->rest, field_or(s->process, "service"), service, sizeof(service)) < 0)
		return cli_usage("explain");
	return ask_service(c, s, host, service);
}

static int ask(struct cli *c, struct story *s)
{
	char host[1024];
	char service[1024];
	const char *process;
	int code;

	if (!cli_target_service(c, c->args[0], host, service, sizeof(host)))
		return ask_of_process(c, s);
	code = ask_service(c, s, host, service);
	process = field_text(s->service, "verdict_process_id");
	return code || !process ? code : ask_process(c, s, process);
}

/* ---- telling ---- */

static void show_verdict(const struct story *s)
{
	const json_t *p = s->process ? s->process : s->service;
	const json_t *v = json_object_get(p, "verdict");
	const char *service = field_text(p, "service");

	cli_say("%s %s", field_or(p, "host"), service && *service ? service : field_or(p, "comm"));
	if (s->process)
		cli_say(" (pid %lld)", (long long)field_int(p, "pid"));
	if (field_text(s->gc, "version"))
		cli_say(", Python %s", field_text(s->gc, "version"));
	cli_break();
	if (!json_is_object(v)) {
		cli_line("no Python interpreter was seen in it: why it grows cannot be told");
		return;
	}
	cli_line("%s [%s, %s]", field_or(v, "sentence"), field_or(v, "kind"),
		 field_or(v, "confidence"));
	cli_lines("Evidence", json_object_get(v, "evidence"), "  ");
}

static void show_trend(const struct story *s)
{
	const json_t *trend = json_object_get(s->service, "trend");

	if (!field_text(trend, "sentence"))
		return;
	cli_title("Over its lives");
	cli_line("  %s %s", field_or(s->service, "service"), field_or(trend, "sentence"));
}

static void show_part(const char *label, const json_t *o, const char *key)
{
	char text[STR_UNIT_SIZE];

	if (json_is_number(json_object_get(o, key)))
		cli_line("  %-26s %s", label, str_bytes(text, field_int(o, key)));
}

/* Where the RSS goes: by the kernel now, by a census then. */
static void show_memory(const struct story *s)
{
	const json_t *parts = json_object_get(s->census, "parts");

	if (!s->process)
		return;
	cli_title("Where its memory is");
	show_part("RSS", s->process, "rss_bytes");
	show_part("  anonymous", s->process, "anon_bytes");
	show_part("  file mappings", s->process, "file_bytes");
	show_part("  shared memory", s->process, "shmem_bytes");
	show_part("swap", s->process, "swap_bytes");
	show_part("limit", s->process, "limit_bytes");
	if (!s->census)
		return;
	cli_line("  by the census of %s:", field_or(s->census, "time"));
	show_part("  objects (tracked)", s->census, "objects_bytes");
	show_part("  small objects (pymalloc)", parts, "pymalloc_bytes");
	show_part("    of them free", parts, "pymalloc_free_bytes");
	show_part("  C library's heap", parts, "malloc_bytes");
	show_part("    of it free", parts, "malloc_free_bytes");
	show_part("  other anonymous memory", parts, "native_bytes");
	show_part("  a trim would give back", parts, "trim_gain_bytes");
}

static void show_generation(const json_t *g)
{
	const json_t *rate = json_object_get(g, "collections_per_minute");

	cli_say("  generation %lld: count %lld of %lld, %lld collections",
		(long long)field_int(g, "generation"), (long long)field_int(g, "count"),
		(long long)field_int(g, "threshold"), (long long)field_int(g, "collections"));
	if (json_is_number(rate))
		cli_say(", %.1f a minute", json_number_value(rate));
	cli_break();
}

static void show_gc(const struct story *s)
{
	const json_t *enabled = json_object_get(s->gc, "enabled");
	const json_t *g;
	size_t i;

	if (!json_is_boolean(enabled))
		return;
	cli_title("Its collector");
	cli_line("  automatic collection is %s; collected %lld objects, could not %lld",
		 json_is_true(enabled) ? "on" : "off", (long long)field_int(s->gc, "collected"),
		 (long long)field_int(s->gc, "uncollectable"));
	json_array_foreach (json_object_get(s->gc, "generations"), i, g)
		show_generation(g);
}

static void action_row(struct table *t, const json_t *a)
{
	cell_age(t, a, "created");
	cell_text(t, a, "type");
	cell_text(t, a, "state");
	cell_text(t, a, "actor");
	cell_bytes(t, a, "freed_bytes");
	cell_text(t, a, "detail");
}

static int show(const struct cli *c, const struct story *s)
{
	static const char *const headings[] = {"WHEN", "TYPE",   "STATE",
					       "BY",   ">FREED", "WHAT CAME OF IT",
					       NULL};
	const json_t *p = s->process ? s->process : s->service;
	int code = CLI_OK;

	show_verdict(s);
	show_trend(s);
	show_memory(s);
	show_gc(s);
	if (json_array_size(s->actions)) {
		cli_title("What was done");
		code = cli_print_items(c, s->actions, headings, action_row);
	}
	cli_lines("What to do", json_object_get(json_object_get(p, "verdict"), "advice"), "  - ");
	return code;
}

static int print_json(const struct story *s)
{
	json_t *all =
		json_pack("{s:O?, s:O?, s:O?, s:O?, s:O?}", "process", s->process, "service",
			  s->service, "gc", s->gc, "census", s->census, "actions", s->actions);
	int code = all ? cli_print_json(all) : CLI_FAILED;

	json_decref(all);
	return code;
}

int command_explain(struct cli *c)
{
	struct story s = {NULL};
	int code = ask(c, &s);

	if (!code)
		code = c->json ? print_json(&s) : show(c, &s);
	story_fini(&s);
	return code;
}
