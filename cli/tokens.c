/* SPDX-License-Identifier: Apache-2.0 */
/* Who may come in: enroll-token, login-link. */
#include <string.h>

#include "cli/cli.h"
#include "common/str.h"

static int create(struct cli *c)
{
	json_t *body = json_object();
	json_t *answer = NULL;
	int64_t ttl_us = 0;
	int64_t uses = 1;
	int code;

	if ((c->ttl && (str_parse_duration(c->ttl, &ttl_us) < 0 || ttl_us < 1000000)) ||
	    (c->uses && (str_parse_int(c->uses, &uses) < 0 || uses < 1))) {
		json_decref(body);
		return cli_usage("enroll-token");
	}
	if (c->ttl)
		json_object_set_new(body, "ttl_seconds", json_integer(ttl_us / 1000000));
	json_object_set_new(body, "uses", json_integer(uses));
	if (c->note)
		json_object_set_new(body, "note", json_string(c->note));
	code = cli_ask(
		c, &(struct rest_request){.method = "POST", .path = "/enroll-tokens", .body = body},
		&answer);
	json_decref(body);
	if (code)
		return code;
	if (c->json) {
		code = cli_print_json(answer);
	} else {
		/* The token alone on stdout, so that it can go straight into a file. */
		puts(field_text(answer, "token") ? field_text(answer, "token") : "");
		fprintf(stderr,
			"It is shown once and ends %s. On the new host:\n"
			"  sudo memherd-agent enroll      (asks for the token)\n",
			field_text(answer, "expires") ? field_text(answer, "expires") : "soon");
	}
	json_decref(answer);
	return code;
}

static void token_row(struct table *t, const json_t *k)
{
	cell_text(t, k, "id");
	cell_age(t, k, "created");
	cell_text(t, k, "created_by");
	cell_text(t, k, "expires");
	cell_number(t, k, "uses_left");
	cell_text(t, k, "note");
}

static int list(struct cli *c)
{
	static const char *const headings[] = {">ID",        "CREATED", "BY", "EXPIRES",
					       ">USES LEFT", "NOTE",    NULL};

	return cli_list(c, "/enroll-tokens", headings, token_row);
}

static int delete (struct cli *c)
{
	json_t *answer = NULL;
	char id[64];
	char path[128];
	int code;

	if (c->n_args < 2 || rest_escape(c->rest, c->args[1], id, sizeof(id)) < 0)
		return cli_usage("enroll-token");
	snprintf(path, sizeof(path), "/enroll-tokens/%s", id);
	code = cli_ask(c, &(struct rest_request){.method = "DELETE", .path = path}, &answer);
	json_decref(answer);
	return code;
}

int command_enroll_token(struct cli *c)
{
	if (strcmp(c->args[0], "create") == 0)
		return create(c);
	if (strcmp(c->args[0], "list") == 0)
		return list(c);
	if (strcmp(c->args[0], "delete") == 0)
		return delete (c);
	return cli_usage("enroll-token");
}

int command_login_link(struct cli *c)
{
	json_t *answer = NULL;
	int code = cli_ask(c, &(struct rest_request){.method = "POST", .path = "/login-links"},
			   &answer);

	if (code)
		return code;
	if (c->json)
		code = cli_print_json(answer);
	else
		puts(field_text(answer, "url") ? field_text(answer, "url") : "");
	json_decref(answer);
	return code;
}
