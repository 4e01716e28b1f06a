/* SPDX-License-Identifier: Apache-2.0 */
/* When nothing is to be done to hosts or services: maintenance. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "common/clock.h"
#include "common/str.h"

static const char *const headings[] = {"ID",    "STATE",  "HOST",   "SERVICE", "FROM",
				       "UNTIL", "SET BY", "REASON", NULL};

static void maintenance_row(struct table *t, const json_t *m)
{
	cell_text(t, m, "id");
	cell_text(t, m, "state");
	cell_text(t, m, "host");
	cell_text(t, m, "service");
	cell_time(t, m, "from");
	cell_time(t, m, "until");
	cell_text(t, m, "created_by");
	cell_text(t, m, "reason");
}

static int list(struct cli *c)
{
	bool all = c->state && strcmp(c->state, "all") == 0;
	char path[128] = "/maintenance";

	if (c->state && !all && strcmp(c->state, "open") != 0)
		return cli_usage("maintenance");
	if (cli_add_query(c, path, sizeof(path), "state", all ? NULL : "open") < 0 ||
	    cli_add_query(c, path, sizeof(path), "limit", c->limit) < 0)
		return cli_usage("maintenance");
	return cli_list(c, path, headings, maintenance_row);
}

/* An option that an action takes as a parameter, too. */
static const char *param(const struct cli *c, const char *name)
{
	const char *known;

	for (size_t i = 0; i < CLI_PARAMS_MAX && (known = command_param_name(i)); i++)
		if (strcmp(known, name) == 0)
			return c->params[i];
	return NULL;
}

/* Until when, as REST takes it; false when that was told to be wrong. */
static bool find_end(const struct cli *c, char out[STR_TIME_SIZE])
{
	const char *span = param(c, "for");
	int64_t now_us = clock_wall_us();
	int64_t from_us = now_us, span_us;

	if (!span == !c->until) {
		fputs("memherd: maintenance has an end: say either --for 2h or --until TIME\n",
		      stderr);
		return false;
	}
	if (c->until) {
		if (str_copy(out, STR_TIME_SIZE, c->until))
			return true;
		fprintf(stderr, "memherd: --until '%.64s' is no time (2026-01-02T03:04:05Z)\n",
			c->until);
		return false;
	}
	if (c->from && str_parse_time(c->from, now_us, &from_us) < 0) {
		fprintf(stderr, "memherd: --from '%.64s' is no time (2026-01-02T03:04:05Z)\n",
			c->from);
		return false;
	}
	if (str_parse_duration(span, &span_us) < 0 || span_us <= 0 || span_us > INT64_MAX / 2) {
		fprintf(stderr, "memherd: --for '%.64s' is no duration (30min, 2h, 7d)\n", span);
		return false;
	}
	str_time(out, from_us + span_us);
	return true;
}

static void say_cover(const json_t *m)
{
	fprintf(stderr,
		"memherd: it covers %" PRId64 " host(s) and %" PRId64
		" process(es) as they are now; dry runs are let through\n",
		field_int(m, "covers_hosts"), field_int(m, "covers_processes"));
}

static int set(struct cli *c)
{
	const char *target = c->args[1];
	const char *slash = strchr(target, '/');
	char until[STR_TIME_SIZE];
	json_t *answer = NULL;
	json_t *body;
	int code;

	if (!c->reason || !*c->reason) {
		fputs("memherd: say by --reason why nothing may be done\n", stderr);
		return CLI_USAGE;
	}
	if (!find_end(c, until))
		return CLI_USAGE;
	body = json_pack("{s:s%, s:s, s:s}", "host", target,
			 slash ? (size_t)(slash - target) : strlen(target), "until", until,
			 "reason", c->reason);
	if (body && slash)
		json_object_set_new(body, "service", json_string(slash + 1));
	if (body && c->from)
		json_object_set_new(body, "from", json_string(c->from));
	if (!body) {
		fputs("memherd: the target and the reason must be UTF-8 text\n", stderr);
		return CLI_USAGE;
	}
	code = cli_ask(
		c, &(struct rest_request){.method = "POST", .path = "/maintenance", .body = body},
		&answer);
	json_decref(body);
	if (code)
		return code;
	if (c->json) {
		code = cli_print_json(answer);
	} else {
		code = cli_print_item(c, answer, headings, maintenance_row);
		say_cover(answer);
	}
	json_decref(answer);
	return code;
}

static int end(struct cli *c)
{
	json_t *answer = NULL;
	char id[64], path[128];
	int code;

	if (rest_escape(c->rest, c->args[1], id, sizeof(id)) < 0)
		return cli_usage("maintenance");
	snprintf(path, sizeof(path), "/maintenance/%s", id);
	code = cli_ask(c, &(struct rest_request){.method = "DELETE", .path = path}, &answer);
	json_decref(answer);
	return code;
}

int command_maintenance(struct cli *c)
{
	if (c->n_args == 0)
		return list(c);
	if (c->n_args == 2 && strcmp(c->args[0], "set") == 0)
		return set(c);
	if (c->n_args == 2 && strcmp(c->args[0], "end") == 0)
		return end(c);
	return cli_usage("maintenance");
}
