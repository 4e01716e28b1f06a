/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong: alerts, ack. */
#include "cli/cli.h"

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

	if (cli_add_query(c, path, sizeof(path), "state", c->state) < 0 ||
	    cli_add_query(c, path, sizeof(path), "host", c->host) < 0 ||
	    cli_add_query(c, path, sizeof(path), "limit", c->limit) < 0)
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
