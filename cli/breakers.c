/* SPDX-License-Identifier: Apache-2.0 */
/* What stands still because it gave nothing: breakers. */
#include <string.h>

#include "cli/cli.h"

static const char *const headings[] = {"ACTOR",  "TYPE",  "OPEN",      ">RESULTS",
				       "OPENED", "UNTIL", "CLOSED BY", NULL};

static void breaker_row(struct table *t, const json_t *b)
{
	cell_text(t, b, "actor");
	cell_text(t, b, "type");
	table_cell(t, json_is_true(json_object_get(b, "open")) ? "open" : "closed");
	cell_number(t, b, "results");
	cell_age(t, b, "opened");
	cell_time(t, b, "until");
	cell_text(t, b, "closed_by");
}

static int close_breaker(struct cli *c)
{
	json_t *answer = NULL;
	char actor[256], type[128], path[512];
	int code;

	if (rest_escape(c->rest, c->args[1], actor, sizeof(actor)) < 0 ||
	    rest_escape(c->rest, c->args[2], type, sizeof(type)) < 0)
		return cli_usage("breakers");
	snprintf(path, sizeof(path), "/breakers/%s/%s/close", actor, type);
	code = cli_ask(c, &(struct rest_request){.method = "POST", .path = path}, &answer);
	if (code)
		return code;
	code = c->json ? cli_print_json(answer) : cli_print_item(c, answer, headings, breaker_row);
	json_decref(answer);
	return code;
}

int command_breakers(struct cli *c)
{
	if (c->n_args == 0)
		return cli_list(c, "/breakers", headings, breaker_row);
	if (c->n_args != 3 || strcmp(c->args[0], "close") != 0)
		return cli_usage("breakers");
	return close_breaker(c);
}
