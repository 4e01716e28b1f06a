/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"

#define CHECK_TEXT_MAX (256 * 1024)

void rules_get(struct call *c)
{
	const struct api_rules *rules = &c->api->ctx.rules;

	if (!rules->write) {
		call_fail(c, 503, "no rules are loaded");
		return;
	}
	jw_object(&c->json);
	rules->write(rules->arg, &c->json);
	jw_object_end(&c->json);
	call_reply(c, 200);
}

void rules_check(struct call *c)
{
	static const char *const names[] = {"text", NULL};
	const struct api_rules *rules = &c->api->ctx.rules;
	const json_t *text;
	struct error err = {.msg = ""};
	int rc;

	if (!rules->check) {
		call_fail(c, 503, "no rules are loaded");
		return;
	}
	if (!call_object(c, names))
		return;
	text = json_object_get(c->body, "text");
	if (!json_is_string(text) || json_string_length(text) > CHECK_TEXT_MAX) {
		call_invalid(c, "/text", "'text' must be a string of at most %d bytes",
			     CHECK_TEXT_MAX);
		return;
	}
	rc = rules->check(rules->arg, json_string_value(text), json_string_length(text), &err);
	if (rc < 0 && rc != -EINVAL) {
		call_fail(c, 503, "out of memory");
		return;
	}
	jw_object(&c->json);
	jw_k_bool(&c->json, "ok", rc == 0);
	jw_k_str(&c->json, "error", rc < 0 ? err.msg : NULL);
	jw_object_end(&c->json);
	call_reply(c, 200);
}
