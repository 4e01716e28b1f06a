/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong: alerts, ack. */
#include <string.h>

#include "cli/cli.h"

/* Appends '?key=value' or '&key=value', the value percent-encoded; nothing without a value. */
static int add_query(struct cli *c, char *path, size_t size, const char *key, const char *value)
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

static void alert_row(struct table *t, const json_t *a)
{
	cell_text(t, a, "id");
	cell_text(t, a, "state");
	cell_text(t, a, "level");
	cell_text(t, a, "host");
	cell_text(t, a, "rule");
	cell_age(t, a, "opened");
	cell_text(t, a, "title");
}

int command_alerts(struct cli *c)
{
	static const char *const headings[] = {">ID",  "STATE",  "LEVEL", "HOST",
					       "RULE", "OPENED", "WHAT",  NULL};
	char path[1024] = "/alerts";

	if (add_query(c, path, sizeof(path), "state", c->state) < 0 ||
	    add_query(c, path, sizeof(path), "host", c->host) < 0 ||
	    add_query(c, path, sizeof(path), "limit", c->limit) < 0)
		return cli_usage("alerts");
	return cli_list(c, path, headings, alert_row);
}

int command_ack(struct cli *c)
{
	json_t *answer = NULL;
	char id[64];
	char path[128];
	int code;

	if (rest_escape(c->rest, c->args[0], id, sizeof(id)) < 0)
		return cli_usage("ack");
	snprintf(path, sizeof(path), "/alerts/%s/ack", id);
	code = cli_ask(c, &(struct rest_request){.method = "POST", .path = path}, &answer);
	if (!code && c->json)
		code = cli_print_json(answer);
	json_decref(answer);
	return code;
}
