/* SPDX-License-Identifier: Apache-2.0 */
/* Who did what: audit. */
#include <string.h>

#include "cli/cli.h"

static void audit_row(struct table *t, const json_t *a)
{
	cell_text(t, a, "id");
	cell_time(t, a, "time");
	cell_text(t, a, "actor");
	cell_text(t, a, "action");
	cell_text(t, a, "target");
}

static void chain_row(struct table *t, const json_t *a)
{
	const json_t *holds = json_object_get(a, "holds_head");

	table_cell(t, json_is_true(json_object_get(a, "ok")) ? "ok" : "broken");
	cell_number(t, a, "rows");
	cell_text(t, a, "head");
	table_cell(t,
		   json_is_boolean(holds) ? (json_is_true(holds) ? "is there" : "is gone") : NULL);
	cell_text(t, a, "why");
}

static void journal_row(struct table *t, const json_t *j)
{
	cell_text(t, j, "host");
	cell_number(t, j, "last");
	cell_number(t, j, "untold");
	cell_number(t, j, "breaks");
	cell_text(t, j, "why");
}

/* Hosts whose own journal of actions does not fit, or has records that nothing told of. */
static int print_journals(struct cli *c, const json_t *answer)
{
	static const char *const headings[] = {"HOST",    ">JOURNAL", ">UNTOLD",
					       ">BREAKS", "WHY",      NULL};
	struct table t;
	unsigned n = 0;
	const json_t *j;
	size_t i;

	table_init(&t, headings);
	json_array_foreach (json_object_get(answer, "journals"), i, j) {
		if (!json_integer_value(json_object_get(j, "untold")) &&
		    !json_integer_value(json_object_get(j, "breaks")))
			continue;
		journal_row(&t, j);
		n++;
	}
	if (n)
		return cli_print_table(c, &t);
	table_fini(&t);
	return 0;
}

/* Follows the chain of hashes; a cut at its end shows only against a head that was kept. */
static int verify(struct cli *c)
{
	static const char *const headings[] = {"CHAIN", ">ROWS", "HEAD", "KEPT HEAD", "WHY", NULL};
	char path[256] = "/audit/verify";
	json_t *answer = NULL;
	int code;

	if (c->n_args == 2 && cli_add_query(c, path, sizeof(path), "head", c->args[1]) < 0)
		return cli_usage("audit");
	code = cli_get(c, path, &answer);
	if (code)
		return code;
	if (c->json) {
		code = cli_print_json(answer);
	} else {
		code = cli_print_item(c, answer, headings, chain_row);
		if (!code)
			code = print_journals(c, answer);
	}
	if (!code && !json_is_true(json_object_get(answer, "ok")))
		code = CLI_FAILED;
	json_decref(answer);
	return code;
}

int command_audit(struct cli *c)
{
	static const char *const headings[] = {">ID", "TIME", "ACTOR", "ACTION", "TARGET", NULL};
	char path[128] = "/audit";

	if (c->n_args && strcmp(c->args[0], "verify") != 0)
		return cli_usage("audit");
	if (c->n_args)
		return verify(c);
	if (cli_add_query(c, path, sizeof(path), "limit", c->limit) < 0)
		return cli_usage("audit");
	return cli_list(c, path, headings, audit_row);
}
