/* SPDX-License-Identifier: Apache-2.0 */
/* What the objects of a Python process are: its newest census, or a new one; which types grew. */
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/str.h"

#define TOP_PRESET 20
#define TOP_MAX    512
/* The census comes by another way than the action's end. */
#define ARRIVE_TRIES 50
#define ARRIVE_US    200000

static const char question[] =
	"census counts the objects of the running process '%s': it is held for some milliseconds\n"
	"while a snapshot of its memory is taken, which is then read beside it.";

static int take_top(const struct cli *c, int *ret)
{
	int64_t top = TOP_PRESET;

	if (c->top && (str_parse_int(c->top, &top) < 0 || top < 1 || top > TOP_MAX))
		return cli_usage("census");
	*ret = (int)top;
	return CLI_OK;
}

/* ---- one census ---- */

static void show_bytes(const char *label, const json_t *o, const char *key)
{
	char text[STR_UNIT_SIZE];

	if (json_is_number(json_object_get(o, key)))
		cli_line("%-12s %s", label, str_bytes(text, field_int(o, key)));
}

static void show_head(const json_t *census)
{
	const json_t *parts = json_object_get(census, "parts");
	const char *note = field_text(census, "note");
	char size[STR_UNIT_SIZE];

	cli_line("%s pid %lld, Python %s, %s", field_or(census, "host"),
		 (long long)field_int(census, "pid"), field_or(census, "version"),
		 field_or(census, "time"));
	cli_line("census %s (%s, %s), held for %.1f ms", field_or(census, "id"),
		 field_or(census, "method"), field_or(census, "reason"),
		 json_number_value(json_object_get(census, "pause_seconds")) * 1e3);
	cli_line("%lld objects of %lld types, %s", (long long)field_int(census, "objects"),
		 (long long)field_int(census, "types_total"),
		 str_bytes(size, field_int(census, "objects_bytes")));
	show_bytes("RSS", parts, "rss_bytes");
	show_bytes("pymalloc", parts, "pymalloc_bytes");
	show_bytes("  free", parts, "pymalloc_free_bytes");
	show_bytes("malloc", parts, "malloc_bytes");
	show_bytes("  free", parts, "malloc_free_bytes");
	show_bytes("native", parts, "native_bytes");
	if (note)
		cli_line("note: %s", note);
}

static void type_row(struct table *t, const json_t *o)
{
	cell_text(t, o, "name");
	cell_number(t, o, "count");
	cell_bytes(t, o, "bytes");
}

static int show(struct cli *c, const json_t *census, int top)
{
	static const char *const headings[] = {"TYPE", ">COUNT", ">BYTES", NULL};
	json_t *types = json_copy(json_object_get(census, "types"));
	int code;

	while (json_array_size(types) > (size_t)top)
		json_array_remove(types, json_array_size(types) - 1);
	show_head(census);
	cli_break();
	code = cli_print_items(c, types, headings, type_row);
	json_decref(types);
	return code;
}

/* ---- two ---- */

static void growth_row(struct table *t, const json_t *o)
{
	cell_text(t, o, "name");
	table_printf(t, "%+lld%s", (long long)field_int(o, "count_growth"),
		     json_is_false(json_object_get(o, "known")) ? " ?" : "");
	cell_grown(t, o, "bytes_growth");
	cell_number(t, o, "count");
	cell_bytes(t, o, "bytes");
}

static int show_diff(struct cli *c, const json_t *diff)
{
	static const char *const headings[] = {"TYPE", ">MORE", ">GROWN", ">COUNT", ">BYTES", NULL};
	const json_t *now = json_object_get(diff, "census");
	const json_t *base = json_object_get(diff, "base");
	double span = json_number_value(json_object_get(diff, "span_seconds"));
	char size[STR_UNIT_SIZE];
	char time[STR_UNIT_SIZE];

	cli_line("census %s of %s against %s of %s", field_or(now, "id"), field_or(now, "time"),
		 field_or(base, "id"), field_or(base, "time"));
	cli_line("in %s: %+lld objects, %s%s", str_duration(time, (int64_t)(span * 1e6)),
		 (long long)field_int(diff, "objects_growth"),
		 field_int(diff, "objects_bytes_growth") < 0 ? "" : "+",
		 str_bytes(size, field_int(diff, "objects_bytes_growth")));
	cli_break();
	return cli_print_items(c, json_object_get(diff, "types"), headings, growth_row);
}

/* ---- what is asked ---- */

static int newest(struct cli *c, const char *process, json_t **ret)
{
	char path[128];
	json_t *answer = NULL;
	const json_t *first;
	int code;

	snprintf(path, sizeof(path), "/processes/%.32s/census?limit=1", process);
	code = cli_get(c, path, &answer);
	first = json_array_get(json_object_get(answer, "items"), 0);
	if (!code && field_text(first, "id"))
		*ret = json_incref((json_t *)(void *)first);
	json_decref(answer);
	return code;
}

/* The census that the action led to; *ret stays NULL when it does not come. */
static int await(struct cli *c, const char *process, const char *action, json_t **ret)
{
	for (int i = 0; i < ARRIVE_TRIES; i++) {
		json_t *census = NULL;
		int code = newest(c, process, &census);

		if (code)
			return code;
		if (census && strcmp(field_or(census, "action_id"), action) == 0) {
			*ret = census;
			return CLI_OK;
		}
		json_decref(census);
		usleep(ARRIVE_US);
	}
	return CLI_OK;
}

/* Asks for one; *ret is it when it was waited for and came. */
static int take_one(struct cli *c, const char *process, json_t **ret)
{
	json_t *action = NULL;
	int code = cli_act(c, "census", question, &action);
	bool wait = !code && c->wait && !c->dry_run && cli_action_done(action);

	if (wait)
		code = await(c, process, field_or(action, "id"), ret);
	if (action && !*ret && cli_print_action(c, action) != CLI_OK && !code)
		code = CLI_FAILED;
	if (wait && !code && !*ret) {
		fputs("memherd: it was taken, but its result has not come yet\n", stderr);
		code = CLI_TIMEOUT;
	}
	json_decref(action);
	return code;
}

static int show_census(struct cli *c, const char *id, int top)
{
	json_t *answer = NULL;
	char path[256];
	int code;

	snprintf(path, sizeof(path), "/censuses/%.32s", id);
	if (c->diff) {
		snprintf(path, sizeof(path), "/censuses/%.32s/diff?top=%d", id, top);
		if (cli_add_query(c, path, sizeof(path), "base", c->base) < 0)
			return cli_usage("census");
	}
	code = cli_get(c, path, &answer);
	if (!code && c->json)
		code = cli_print_json(answer);
	else if (!code)
		code = c->diff ? show_diff(c, answer) : show(c, answer, top);
	json_decref(answer);
	return code;
}

static int run(struct cli *c, const char *process, int top)
{
	json_t *census = NULL;
	int code = c->now ? take_one(c, process, &census) : newest(c, process, &census);

	if (!code && census) {
		code = show_census(c, field_or(census, "id"), top);
	} else if (!code && !c->now) {
		fputs("memherd: it was never counted; --now does\n", stderr);
		code = CLI_NOT_FOUND;
	}
	json_decref(census);
	return code;
}

int command_census(struct cli *c)
{
	json_t *process = NULL;
	int top = TOP_PRESET;
	int code = take_top(c, &top);

	if (!code)
		code = cli_target(c, c->args[0], &process);
	if (!code)
		code = run(c, field_or(process, "id"), top);
	json_decref(process);
	return code;
}
