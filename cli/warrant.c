/* SPDX-License-Identifier: Apache-2.0 */
/* Warrants: what an operator signs himself, with a key that no collector has. keygen. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "common/clock.h"
#include "common/sign.h"
#include "common/str.h"

#define LIFE_US (3600 * USEC_PER_SEC)

_Static_assert(CLI_WARRANT_SIZE == 2 * sizeof(struct command_warrant) + 1, "hex digits");

static int wrong(const struct error *err)
{
	fprintf(stderr, "memherd: %s\n", err->msg);
	return CLI_USAGE;
}

static int64_t id_of(const json_t *o, const char *key)
{
	const char *text = field_text(o, key);
	int64_t v;

	return text && str_parse_int(text, &v) == 0 ? v : -1;
}

static int take_param(struct command_statement *s, const char *name, const json_t *v,
		      struct error *err)
{
	int at = command_param_find(s->action, name);

	if (at < 0)
		return error_set(err, -EINVAL, "%s takes no parameter of that name",
				 command_action_word(s->action));
	if (json_is_integer(v)) {
		s->params[at] = json_integer_value(v);
		return 0;
	}
	return command_param_parse(command_param_at(s->action, (size_t)at),
				   json_is_string(v) ? json_string_value(v) : "", &s->params[at],
				   err);
}

/* What is not said is preset, as the collector does. */
static int take_params(struct command_statement *s, json_t *params, struct error *err)
{
	const char *name;
	json_t *v;
	int rc = 0;

	if (command_param_of_text(s->action))
		return error_set(err, -EINVAL, "%s cannot be signed: no statement has its '%s'",
				 command_action_word(s->action),
				 command_param_of_text(s->action)->name);
	command_params_preset(s->action, s->params);
	json_object_foreach (params, name, v)
		if (rc == 0)
			rc = take_param(s, name, v, err);
	return rc < 0 ? rc : command_params_check(s->action, s->params, err);
}

/* By the collector's word: which boot of which host, which start of the process. */
static int take_target(struct command_statement *s, const json_t *host, const json_t *process,
		       struct error *err)
{
	const char *uuid = field_text(host, "uuid");
	const char *boot = field_text(host, "boot_id");
	const json_t *pid = json_object_get(process, "pid");
	int64_t ticks = id_of(process, "start_ticks");

	if (!uuid || !boot || uuid_parse(s->host_uuid, uuid) < 0 ||
	    uuid_parse(s->boot_id, boot) < 0)
		return error_set(err, -EINVAL,
				 "the collector does not tell the host's uuid and boot: it is "
				 "older, or has not heard of the host since it began");
	if (!json_is_integer(pid) || ticks < 0)
		return error_set(err, -EINVAL, "the collector does not tell which process it is");
	s->pid = (uint32_t)json_integer_value(pid);
	s->start_ticks = (uint64_t)ticks;
	return 0;
}

static int take_times(const struct cli *c, struct command_statement *s, struct error *err)
{
	int64_t life_us = LIFE_US;

	if (c->ttl && (str_parse_duration(c->ttl, &life_us) < 0 || life_us < USEC_PER_SEC ||
		       life_us > COMMAND_STATEMENT_LIFE_US))
		return error_set(err, -EINVAL, "--ttl '%s': expected 1s to 24h", c->ttl);
	s->issued_us = clock_wall_us();
	s->expires_us = s->issued_us + life_us;
	return 0;
}

/* What he signs is what he reads here. */
static void show(const struct command_statement *s, const json_t *host, const json_t *process)
{
	char params[COMMAND_PARAMS_SIZE], until[STR_TIME_SIZE], uuid[UUID_TEXT_SIZE];
	char name[256], comm[256];
	const char *host_name = field_text(host, "name");
	const char *process_name = field_text(process, "comm");

	str_time(until, s->expires_us);
	uuid_text(uuid, s->host_uuid);
	str_safe(name, sizeof(name), host_name ? host_name : "", host_name ? strlen(host_name) : 0);
	str_safe(comm, sizeof(comm), process_name ? process_name : "",
		 process_name ? strlen(process_name) : 0);
	command_params_text(params, s->action, s->params, NULL);
	fprintf(stderr,
		"memherd: signing %s%s%s of process %u (%s, start %" PRIu64
		") on host %s (%s), good once until %.19sZ\n",
		command_action_word(s->action), *params ? " " : "", params, s->pid, comm,
		s->start_ticks, name, uuid, until);
}

static int sign(const struct cli *c, const struct command_statement *s, char *out,
		struct error *err)
{
	struct command_warrant w;
	struct sign_key *key = NULL;
	int rc = sign_key_load(c->sign_key, &key, err);

	if (rc < 0)
		return rc;
	command_statement_pack(w.statement, s);
	rc = sign_make(key, COMMAND_WARRANT_DOMAIN, w.statement, sizeof(w.statement), w.signature);
	sign_key_free(&key);
	if (rc < 0)
		return error_sys(err, rc, "cannot sign with '%s'", c->sign_key);
	str_hex(out, (const uint8_t *)&w, sizeof(w));
	return 0;
}

int cli_warrant(struct cli *c, const struct cli_wish *wish, char out[CLI_WARRANT_SIZE])
{
	int action = command_action_find(wish->type);
	struct command_statement s = {.action = (enum command_action)action};
	struct error err = {""};
	char path[64];
	json_t *host = NULL;
	int code;
	int rc;

	if (action < 0) {
		fputs("memherd: this version does not know the action\n", stderr);
		return CLI_FAILED;
	}
	memcpy(s.id, wish->id, sizeof(s.id));
	snprintf(path, sizeof(path), "/hosts/%" PRId64, id_of(wish->process, "host_id"));
	code = cli_get(c, path, &host);
	if (code)
		return code;
	rc = take_params(&s, wish->params, &err);
	if (!rc)
		rc = take_target(&s, host, wish->process, &err);
	if (!rc)
		rc = take_times(c, &s, &err);
	if (!rc)
		show(&s, host, wish->process);
	if (!rc)
		rc = sign(c, &s, out, &err);
	json_decref(host);
	return rc < 0 ? wrong(&err) : CLI_OK;
}

int command_keygen(struct cli *c)
{
	uint8_t pub[SIGN_KEY_SIZE];
	char hex[2 * SIGN_KEY_SIZE + 1];
	struct sign_key *key = NULL;
	struct error err = {""};
	int rc = sign_key_open(c->args[0], &key, &err);

	if (!rc && sign_key_public(key, pub) < 0)
		rc = error_set(&err, -EIO, "cannot make the public half of '%s'", c->args[0]);
	sign_key_free(&key);
	if (rc < 0)
		return wrong(&err);
	str_hex(hex, pub, sizeof(pub));
	cli_line("%s", hex);
	return CLI_OK;
}
