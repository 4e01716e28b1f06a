/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/params.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

static int wrong_kind(const struct command_param *p, struct error *err)
{
	if (p->unit == COMMAND_UNIT_WORD)
		return error_set(err, -EINVAL, "%s: '%s' is one of %s",
				 command_action_word(p->action), p->name, p->words);
	if (p->unit == COMMAND_UNIT_TEXT)
		return error_set(err, -EINVAL, "%s: '%s' must be a text",
				 command_action_word(p->action), p->name);
	return error_set(err, -EINVAL, "%s: '%s' must be a whole number%s",
			 command_action_word(p->action), p->name,
			 p->unit == COMMAND_UNIT_BYTES     ? " of bytes"
			 : p->unit == COMMAND_UNIT_SECONDS ? " of seconds"
							   : "");
}

static int take(const struct command_param *p, const json_t *v, int64_t *ret, struct error *err)
{
	if (p->unit == COMMAND_UNIT_WORD || p->unit == COMMAND_UNIT_TEXT)
		return json_is_string(v) ? command_param_parse(p, json_string_value(v), ret, err)
					 : wrong_kind(p, err);
	if (!json_is_integer(v))
		return wrong_kind(p, err);
	*ret = json_integer_value(v);
	return command_param_check(p, *ret, err);
}

int params_from_json(enum command_action action, const json_t *json, int64_t ret[COMMAND_PARAMS],
		     const char **ret_text, struct error *err)
{
	const struct command_param *of_text = command_param_of_text(action);
	int64_t params[COMMAND_PARAMS];
	const char *name;
	json_t *value;
	int rc;

	command_params_preset(action, params);
	if (json && !json_is_null(json) && !json_is_object(json))
		return error_set(err, -EINVAL, "'params' must be an object");
	/* the macro takes no const, and changes nothing */
	json_object_foreach ((json_t *)(uintptr_t)json, name, value) {
		char safe[64];
		int i = command_param_find(action, name);

		str_safe(safe, sizeof(safe), name, strlen(name));
		if (i < 0)
			return error_set(err, -EINVAL, "'%s' takes no parameter%s '%s'",
					 command_action_word(action),
					 command_param_at(action, 0) ? "" : "s, so not", safe);
		rc = take(command_param_at(action, (size_t)i), value, &params[i], err);
		if (rc < 0)
			return rc;
	}
	rc = command_params_check(action, params, err);
	if (rc < 0)
		return rc;
	memcpy(ret, params, sizeof(params));
	*ret_text = of_text ? json_string_value(json_object_get(json, of_text->name)) : NULL;
	return 0;
}

static json_t *value_of(const struct command_param *p, int64_t value, const char *text)
{
	char word[COMMAND_PARAM_TEXT_SIZE];

	if (p->unit == COMMAND_UNIT_TEXT)
		return json_string(text);

	if (p->unit == COMMAND_UNIT_WORD && command_param_word(word, p, value))
		return json_string(word);
	return json_integer(value);
}

char *params_to_json(enum command_action action, const int64_t params[COMMAND_PARAMS],
		     const char *text)
{
	const struct command_param *p;
	json_t *o = json_object();
	char *ret;

	for (size_t i = 0; i < COMMAND_PARAMS && (p = command_param_at(action, i)); i++) {
		char name[COMMAND_PARAM_TEXT_SIZE];

		str_copy(name, sizeof(name), p->name);
		for (char *c = name; *c; c++)
			if (*c == '-')
				*c = '_';
		if (json_object_set_new(o, name, value_of(p, params[i], text)) < 0) {
			json_decref(o);
			return NULL;
		}
	}
	ret = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return ret;
}
