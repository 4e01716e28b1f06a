/* SPDX-License-Identifier: Apache-2.0 */
/* What a level does instead of a trim: 'do "limit bytes=512MiB for=10min"'. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/rule/parse.h"
#include "proto/command_param.h"

/* What a rule may ask for: nothing that ends a process, and nothing that only looks. */
static const enum command_action allowed[] = {COMMAND_TRIM, COMMAND_GC, COMMAND_LIMIT,
					      COMMAND_RECLAIM, COMMAND_SHED};

static int find_action(struct rule_parser *p, const char *word, enum command_action *ret)
{
	char list[128] = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		if (strcmp(command_action_word(allowed[i]), word) == 0) {
			*ret = allowed[i];
			return 0;
		}
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s'%s'", i ? ", " : "",
				      command_action_word(allowed[i]));
	}
	return rule_parser_fail(p, "a rule does %s, not '%.40s'", list, word);
}

/* The same words, units and bounds as by hand. */
static int take_params(struct rule_parser *p, char *rest, struct rule_level_def *l)
{
	struct error why = {""};
	char *word;

	command_params_preset(l->action, l->params);
	while ((word = strtok_r(NULL, " ", &rest))) {
		char *value = strchr(word, '=');

		if (!value)
			return rule_parser_fail(p, "'%.40s': expected NAME=VALUE", word);
		*value++ = '\0';
		if (command_params_set(l->action, word, value, l->params, &why) < 0)
			return rule_parser_fail(p, "%s", why.msg);
	}
	if (command_params_check(l->action, l->params, &why) < 0)
		return rule_parser_fail(p, "%s", why.msg);
	return 0;
}

int rule_parse_do(struct rule_parser *p, struct rule_level_def *l)
{
	char *text, *word, *rest = NULL;
	int rc;

	if (!rule_parser_at_word(p, "do"))
		return 0;
	if (l->level != RULE_TRIM)
		return rule_parser_fail(p, "'do' is of the level that acts, not of '%s'",
					rule_level_names[l->level]);
	rc = rule_parser_advance(p);
	if (rc < 0)
		return rc;
	if (p->token.kind != TOKEN_TEXT)
		return rule_parser_expected(p, "an action in quotes");
	l->do_text = rule_parser_copy(p);
	text = rule_parser_copy(p); /* is cut into words */
	if (!l->do_text || !text)
		return -ENOMEM;
	if (strpbrk(text, "\"\\"))
		return rule_parser_fail(p, "an action has no quotes in it");
	word = strtok_r(text, " ", &rest);
	rc = find_action(p, word ? word : "", &l->action);
	if (rc == 0)
		rc = take_params(p, rest, l);
	return rc < 0 ? rc : rule_parser_advance(p);
}
