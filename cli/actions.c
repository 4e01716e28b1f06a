/* SPDX-License-Identifier: Apache-2.0 */
/* What is done: trim, restart, actions. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/sign.h"
#include "common/str.h"

#define WAIT_SEC 150
#define POLL_US  300000

/* States in which nothing more will happen. */
static const char *const ended[] = {"done",      "failed",  "ineffective", "expired",
				    "cancelled", "refused", "unknown",     NULL};

static bool has_ended(const json_t *action)
{
	const char *state = field_text(action, "state");

	for (size_t i = 0; state && ended[i]; i++)
		if (strcmp(state, ended[i]) == 0)
			return true;
	return false;
}

static const char *const headings[] = {
	"ACTION", "TYPE",    "STATE",  "VERDICT",         "HOST", ">PID", "BY",
	"WHEN",   ">BEFORE", ">AFTER", "WHAT CAME OF IT", NULL};

static void action_row(struct table *t, const json_t *a)
{
	cell_text(t, a, "id");
	table_printf(t, "%s%s", field_text(a, "type") ? field_text(a, "type") : "?",
		     json_is_true(json_object_get(a, "dry_run")) ? " (dry run)" : "");
	cell_text(t, a, "state");
	cell_text(t, a, "verdict");
	cell_text(t, a, "host");
	cell_number(t, a, "pid");
	cell_text(t, a, "actor");
	cell_age(t, a, "created");
	cell_bytes(t, a, "rss_before_bytes");
	cell_bytes(t, a, "rss_after_bytes");
	cell_text(t, a, "detail");
}

static const char *const effect_headings[] = {"LATER", ">RSS", ">PSS", ">PID", "MEASURED", NULL};

static void effect_row(struct table *t, const json_t *e)
{
	cell_seconds(t, e, "after_seconds");
	cell_bytes(t, e, "rss_bytes");
	cell_bytes(t, e, "pss_bytes");
	cell_number(t, e, "pid");
	cell_age(t, e, "time");
}

/* What it was expected to give, and what was there later. */
static int print_effects(const struct cli *c, const json_t *a)
{
	const json_t *effects = json_object_get(a, "effects");
	const char *history = field_text(a, "history");
	const char *next = field_text(a, "next_effect");

	if (history)
		fprintf(stderr, "memherd: %s\n", history);
	if (next)
		fprintf(stderr,
			"memherd: what it takes later is measured next at %.19sZ: memherd actions "
			"%s\n",
			next, field_text(a, "id") ? field_text(a, "id") : "ID");
	if (json_array_size(effects) == 0)
		return CLI_OK;
	return cli_print_items(c, effects, effect_headings, effect_row);
}

int cli_print_action(struct cli *c, const json_t *a)
{
	int code;

	if (c->json)
		return cli_print_json(a);
	code = cli_print_item(c, a, headings, action_row);
	return code ? code : print_effects(c, a);
}

static int get_action(struct cli *c, const char *id, json_t **ret)
{
	char escaped[128];
	char path[160];

	if (rest_escape(c->rest, id, escaped, sizeof(escaped)) < 0)
		return cli_usage("actions");
	snprintf(path, sizeof(path), "/actions/%s", escaped);
	return cli_get(c, path, ret);
}

static int list_actions(struct cli *c)
{
	char path[64] = "/actions";
	int64_t limit;

	if (c->limit) {
		if (str_parse_int(c->limit, &limit) < 0 || limit < 1)
			return cli_usage("actions");
		snprintf(path, sizeof(path), "/actions?limit=%d", (int)MIN_OF(limit, 1000));
	}
	return cli_list(c, path, headings, action_row);
}

int command_actions(struct cli *c)
{
	json_t *action = NULL;
	int code;

	if (c->n_args == 0)
		return list_actions(c);
	if ((c->n_args == 2) != (strcmp(c->args[0], "show") == 0))
		return cli_usage("actions");
	code = get_action(c, c->args[c->n_args - 1], &action);
	if (!code)
		code = cli_print_action(c, action);
	json_decref(action);
	return code;
}

/* A word on an action that waits; the answer is the action. */
static int tell(struct cli *c, const char *word, json_t *body)
{
	json_t *action = NULL;
	char escaped[128];
	char path[192];
	int code;

	if (rest_escape(c->rest, c->args[0], escaped, sizeof(escaped)) < 0)
		return cli_usage(word);
	snprintf(path, sizeof(path), "/actions/%s/%s", escaped, word);
	code = cli_ask(c, &(struct rest_request){.method = "POST", .path = path, .body = body},
		       &action);
	if (!code)
		code = cli_print_action(c, action);
	json_decref(action);
	return code;
}

/* The approver's own signature on what waits, as the body of his approval. */
static int sign_waiting(struct cli *c, json_t **ret_body)
{
	json_t *action = NULL, *process = NULL;
	uint8_t id[16];
	char path[96];
	char warrant[CLI_WARRANT_SIZE];
	int code = get_action(c, c->args[0], &action);

	if (code)
		return code;
	snprintf(path, sizeof(path), "/processes/%.40s",
		 field_text(action, "process_id") ? field_text(action, "process_id") : "0");
	if (!field_text(action, "type") || !field_text(action, "id") ||
	    uuid_parse(id, field_text(action, "id")) < 0)
		code = CLI_FAILED;
	if (!code)
		code = cli_get(c, path, &process);
	if (!code)
		code = cli_warrant(c,
				   &(struct cli_wish){.type = field_text(action, "type"),
						      .id = id,
						      .process = process,
						      .params = json_object_get(action, "params")},
				   warrant);
	if (!code)
		*ret_body = json_pack("{s:s}", "warrant", warrant);
	json_decref(process);
	json_decref(action);
	return code;
}

int command_approve(struct cli *c)
{
	json_t *body = NULL;
	int code = c->sign_key ? sign_waiting(c, &body) : CLI_OK;

	if (!code)
		code = tell(c, "approve", body);
	json_decref(body);
	return code;
}

int command_cancel(struct cli *c)
{
	return tell(c, "cancel", NULL);
}

/* What a person is asked before a running process is touched; one %s. */
#define TRIM_ASKS                                                                          \
	"trim calls malloc_trim inside the running process '%s': it is held for about a\n" \
	"millisecond, its allocator locks while it works."
#define RESTART_ASKS                                                                         \
	"restart ends the process '%s' and has whoever supervises it start it again: one\n"  \
	"worker of gunicorn, uWSGI or celery, one program of supervisord, else its whole\n"  \
	"systemd unit or container; --dry-run tells who that is and what the work at hand\n" \
	"sees of it."

#define GC_ASKS                                                                                   \
	"gc has the process '%s' run gc.collect(): all its Python stands still meanwhile, some\n" \
	"10 ms to 1 s per million objects."
#define GC_SET_ASKS                                                                                \
	"This changes how the garbage collector of the process '%s' works from now on, by a few\n" \
	"lines of Python that its main thread runs."
#define LIMIT_ASKS                                                                              \
	"limit bounds the memory of the whole cgroup of '%s' for a time: above it the kernel\n" \
	"slows it down, or with --kind max kills; --dry-run tells what would be set."

#define RECLAIM_ASKS                                                                            \
	"reclaim has the kernel take memory from the whole cgroup of '%s': what is needed of\n" \
	"it is read from disk or swap again."
#define OOM_SCORE_ASKS                                                                     \
	"oom-score changes how early the kernel kills the process '%s' when memory runs\n" \
	"out; it does not outlive the process."
#define SHED_ASKS                                                                                \
	"shed asks the service of '%s' to give memory back by the hook that the host's policy\n" \
	"names: it may serve less for a while."
#define DROP_CACHES_ASKS                                                                       \
	"drop-caches throws the caches of the whole host '%s' away: every service reads its\n" \
	"files from disk again, and it rarely helps; --dry-run says why."

#define TRACE_ASKS                                                                                \
	"snapshot traces the allocations of the process '%s' for some seconds: each takes some\n" \
	"times longer meanwhile, and a block that lives some hundred bytes more."

#define SEARCH_ASKS                                                                            \
	"snapshot has the main thread of '%s' go through all its objects, some 100 ms to 1 s " \
	"per\n"                                                                                \
	"million; it does nothing else meanwhile."

static bool confirmed(const struct cli *c, const char *question, const char *target)
{
	const char *mark = strstr(question, "%s");
	char answer[8] = "";

	if (c->yes || c->dry_run)
		return true;
	if (!isatty(STDIN_FILENO)) {
		fputs("memherd: not a terminal: say --yes to act, or --dry-run to look\n", stderr);
		return false;
	}
	fprintf(stderr, "%.*s%s%s Go on? [y/N] ", (int)(mark - question), question, target,
		mark + 2);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

/* Asks until the action has ended; replaces *action. */
static int wait_for_end(struct cli *c, json_t **action)
{
	for (int i = 0; i < WAIT_SEC * 1000000 / POLL_US && !has_ended(*action); i++) {
		const char *id = field_text(*action, "id");
		json_t *next = NULL;
		int code;

		usleep(POLL_US);
		code = get_action(c, id ? id : "", &next);
		if (code)
			return code;
		json_decref(*action);
		*action = next;
	}
	return has_ended(*action) ? CLI_OK : CLI_TIMEOUT;
}

bool cli_action_done(const json_t *action)
{
	const char *state = field_text(action, "state");

	return state && strcmp(state, "done") == 0;
}

/* As REST takes it: a word or a text as it is, else a number in the unit of the action's table. */
static json_t *json_of_param(const struct command_param *p, const char *text, struct error *err)
{
	int64_t value;

	if (command_param_parse(p, text, &value, err) < 0)
		return NULL;
	return p->unit == COMMAND_UNIT_WORD || p->unit == COMMAND_UNIT_TEXT ? json_string(text)
									    : json_integer(value);
}

/* What was said of the action's parameters; NULL when that was told to be wrong. */
static json_t *params_of(const struct cli *c, const char *type)
{
	enum command_action action = (enum command_action)command_action_find(type);
	json_t *o = json_object();
	struct error err = {""};
	const char *name;

	for (size_t i = 0; i < CLI_PARAMS_MAX && (name = command_param_name(i)); i++) {
		int at = command_param_find(action, name);
		json_t *v = NULL;

		if (!c->params[i])
			continue;
		if (at < 0)
			error_set(&err, -EINVAL, "%s takes no --%s", type, name);
		else
			v = json_of_param(command_param_at(action, (size_t)at), c->params[i], &err);
		if (!v || json_object_set_new(o, name, v) < 0) {
			fprintf(stderr, "memherd: %s\n", err.msg);
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

static void say_waiting(const json_t *action)
{
	const char *state = field_text(action, "state");
	const char *id = field_text(action, "id");

	if (state && id && strcmp(state, "waiting_approval") == 0)
		fprintf(stderr,
			"memherd: it waits for somebody else's approval: memherd approve %s, or "
			"memherd cancel %s\n",
			id, id);
}

/* An operator's own signature, on the process that the target means now. */
static int sign_wish(struct cli *c, const char *type, json_t *params, json_t *body)
{
	json_t *process = NULL;
	uint8_t id[16];
	char warrant[CLI_WARRANT_SIZE];
	char target[64];
	int code = cli_target(c, c->args[0], &process);

	if (code)
		return code;
	random_bytes(id, sizeof(id));
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	code = cli_warrant(
		c, &(struct cli_wish){.type = type, .id = id, .process = process, .params = params},
		warrant);
	snprintf(target, sizeof(target), "%.20s:%" PRId64,
		 field_text(process, "host_id") ? field_text(process, "host_id") : "0",
		 (int64_t)json_integer_value(json_object_get(process, "pid")));
	if (!code && (json_object_set_new(body, "warrant", json_string(warrant)) < 0 ||
		      json_object_set_new(body, "target", json_string(target)) < 0))
		code = CLI_FAILED;
	json_decref(process);
	return code;
}

int cli_act(struct cli *c, const char *type, const char *question, json_t **ret)
{
	uint8_t random[16];
	char key[2 * sizeof(random) + 1];
	json_t *params = params_of(c, type);
	json_t *body;
	const char *state;
	int code;

	if (!params)
		return CLI_USAGE;
	if (!confirmed(c, question, c->args[0])) {
		json_decref(params);
		return CLI_NOT_ALLOWED;
	}
	random_bytes(random, sizeof(random));
	str_hex(key, random, sizeof(random));
	body = json_pack("{s:s, s:s, s:s, s:b}", "type", type, "target", c->args[0], "reason",
			 c->reason ? c->reason : "asked on the command line", "dry_run",
			 (int)c->dry_run);
	if (!body) {
		fputs("memherd: the target and the reason must be UTF-8 text\n", stderr);
		json_decref(params);
		return CLI_USAGE;
	}
	if (json_object_size(params))
		json_object_set(body, "params", params);
	code = c->sign_key && !c->dry_run ? sign_wish(c, type, params, body) : CLI_OK;
	json_decref(params);
	if (code) {
		json_decref(body);
		return code;
	}
	code = cli_ask(c,
		       &(struct rest_request){.method = "POST",
					      .path = "/actions",
					      .body = body,
					      .idempotency_key = key},
		       ret);
	json_decref(body);
	if (code)
		return code;
	say_waiting(*ret);
	/* A dry run is asked for its answer. */
	if (c->wait || c->dry_run)
		code = wait_for_end(c, ret);
	state = field_text(*ret, "state");
	if (!code && has_ended(*ret) && state && strcmp(state, "done") != 0)
		code = strcmp(state, "refused") == 0 ? CLI_NOT_ALLOWED : CLI_FAILED;
	return code;
}

static int act(struct cli *c, const char *type, const char *question)
{
	json_t *action = NULL;
	int code = cli_act(c, type, question, &action);

	if (action && cli_print_action(c, action) != CLI_OK && !code)
		code = CLI_FAILED;
	json_decref(action);
	return code;
}

int command_trim(struct cli *c)
{
	return act(c, "trim", TRIM_ASKS);
}

int command_restart(struct cli *c)
{
	return act(c, "restart", RESTART_ASKS);
}

int command_gc(struct cli *c)
{
	return act(c, "gc", GC_ASKS);
}

int command_gc_threshold(struct cli *c)
{
	return act(c, "gc-threshold", GC_SET_ASKS);
}

int command_gc_freeze(struct cli *c)
{
	return act(c, "gc-freeze", GC_SET_ASKS);
}

int command_gc_unfreeze(struct cli *c)
{
	return act(c, "gc-unfreeze", GC_SET_ASKS);
}

int command_limit(struct cli *c)
{
	return act(c, "limit", LIMIT_ASKS);
}

int command_reclaim(struct cli *c)
{
	return act(c, "reclaim", RECLAIM_ASKS);
}

int command_oom_score(struct cli *c)
{
	return act(c, "oom-score", OOM_SCORE_ASKS);
}

int command_shed(struct cli *c)
{
	return act(c, "shed", SHED_ASKS);
}

int command_drop_caches(struct cli *c)
{
	return act(c, "drop-caches", DROP_CACHES_ASKS);
}

/* An option that is a parameter of another action by that name. */
static void drop_param(struct cli *c, const char *name)
{
	const char *known;

	for (size_t i = 0; i < CLI_PARAMS_MAX && (known = command_param_name(i)); i++)
		if (strcmp(known, name) == 0)
			c->params[i] = NULL;
}

/* Takes one, waits for its end, and shows what was stored. */
static int snap(struct cli *c, const char *kind, const char *question)
{
	json_t *action = NULL;
	bool done;
	int code;

	c->wait = true;
	code = cli_act(c, kind, question, &action);
	done = !code && !c->dry_run && cli_action_done(action);
	if (done && c->json)
		code = cli_print_snapshot_of(c, field_or(action, "id"));
	else if (action && cli_print_action(c, action) != CLI_OK && !code)
		code = CLI_FAILED;
	else if (done) {
		cli_break();
		code = cli_print_snapshot_of(c, field_or(action, "id"));
	}
	json_decref(action);
	return code;
}

/* A census is a snapshot too, under its own name. */
int command_snapshot(struct cli *c)
{
	static const struct {
		const char *kind;
		const char *question;
	} kinds[] = {
		{"tracemalloc", TRACE_ASKS},
		{"referrers", SEARCH_ASKS},
		{"sizes", SEARCH_ASKS},
	};
	const char *kind = c->kind ? c->kind : "census";

	drop_param(c, "kind");
	if (strcmp(kind, "census") == 0) {
		c->now = true;
		return command_census(c);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kind, kinds[i].kind) == 0)
			return snap(c, kind, kinds[i].question);
	fprintf(stderr, "memherd: --kind '%s': expected census, tracemalloc, referrers or sizes\n",
		kind);
	return CLI_USAGE;
}
