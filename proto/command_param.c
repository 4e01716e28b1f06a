/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/command_param.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/str.h"

/* Rows of one action are in the order of the body's numbers: a new one goes behind them. */
static const struct command_param rows[] = {
	{
		.action = COMMAND_CENSUS,
		.name = "method",
		.unit = COMMAND_UNIT_WORD,
		.max = 3,
		.words = "fitting|snapshot|stopped|live",
		.help = "how the objects are read",
	},
	{
		.action = COMMAND_TRACEMALLOC,
		.name = "seconds",
		.unit = COMMAND_UNIT_SECONDS,
		.min = 1,
		.max = 10,
		.preset = 5,
		.help = "how long to trace",
	},
	{
		.action = COMMAND_TRACEMALLOC,
		.name = "frames",
		.min = 1,
		.max = 25,
		.preset = 5,
		.help = "of each allocation's traceback",
	},
	{
		.action = COMMAND_REFERRERS,
		.name = "type",
		.unit = COMMAND_UNIT_TEXT,
		.required = true,
		.min = 1,
		.max = COMMAND_REASON_SIZE - 1,
		.help = "whose objects: module.Class, or the end of it",
	},
	{
		.action = COMMAND_REFERRERS,
		.name = "max",
		.min = 1,
		.max = 20,
		.preset = 5,
		.help = "of its newest objects",
	},
	{
		.action = COMMAND_REFERRERS,
		.name = "objects",
		.min = 1000,
		.max = 50000000,
		.preset = 2000000,
		.help = "refuse a heap of more",
	},
	{
		.action = COMMAND_SIZES,
		.name = "seconds",
		.unit = COMMAND_UNIT_SECONDS,
		.min = 1,
		.max = 8,
		.preset = 5,
		.help = "how long to measure at most",
	},
	{
		.action = COMMAND_SIZES,
		.name = "containers",
		.min = 1,
		.max = 50,
		.preset = 25,
		.help = "how many to tell of",
	},
	{
		.action = COMMAND_SIZES,
		.name = "objects",
		.min = 1000,
		.max = 50000000,
		.preset = 2000000,
		.help = "refuse a heap of more",
	},
	{
		.action = COMMAND_GC,
		.name = "generation",
		.max = 2,
		.preset = 2,
		.help = "the oldest to be collected",
	},
	{
		.action = COMMAND_GC_THRESHOLD,
		.name = "young",
		.required = true,
		.max = INT32_MAX,
		.help = "of generation 0; 0 switches automatic collection off",
	},
	{
		.action = COMMAND_GC_THRESHOLD,
		.name = "middle",
		.max = INT32_MAX,
		.preset = 10,
		.help = "of generation 1",
	},
	{
		.action = COMMAND_GC_THRESHOLD,
		.name = "old",
		.max = INT32_MAX,
		.preset = 10,
		.help = "of generation 2",
	},
	{
		.action = COMMAND_LIMIT,
		.name = "bytes",
		.unit = COMMAND_UNIT_BYTES,
		.required = true,
		.min = 1 << 20,
		.max = 1LL << 46,
		.help = "the limit",
	},
	{
		.action = COMMAND_LIMIT,
		.name = "for",
		.unit = COMMAND_UNIT_SECONDS,
		.min = 5,
		.max = 86400,
		.preset = 600,
		.help = "how long; then it is taken back",
	},
	{
		.action = COMMAND_LIMIT,
		.name = "kind",
		.unit = COMMAND_UNIT_WORD,
		.max = 1,
		.words = "high|max",
		.help = "slow down above it (cgroup v2), or kill",
	},
	{
		.action = COMMAND_RECLAIM,
		.name = "bytes",
		.unit = COMMAND_UNIT_BYTES,
		.required = true,
		.min = 1 << 20,
		.max = 1LL << 46,
		.help = "how much is to be given back",
	},
	{
		.action = COMMAND_DROP_CACHES,
		.name = "kind",
		.unit = COMMAND_UNIT_WORD,
		.max = 2,
		.words = "pagecache|slab|both",
		.help = "cached files, cached names, or both",
	},
	{
		.action = COMMAND_OOM_SCORE,
		.name = "score",
		.required = true,
		.min = -999,
		.max = 1000,
		.help = "oom_score_adj: the higher, the sooner it is killed",
	},
	{
		.action = COMMAND_OOM_SCORE,
		.name = "for",
		.unit = COMMAND_UNIT_SECONDS,
		.max = 86400,
		.help = "how long; then it is taken back; 0 = it stays until it ends",
	},
};

const struct command_param *command_param_at(enum command_action action, size_t i)
{
	for (size_t n = 0; n < ARRAY_SIZE(rows); n++)
		if (rows[n].action == action && i-- == 0)
			return &rows[n];
	return NULL;
}

static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(*a == '-' && *b == '_'))
			return false;
	return *a == *b;
}

int command_param_find(enum command_action action, const char *name)
{
	const struct command_param *p;

	for (size_t i = 0; (p = command_param_at(action, i)); i++)
		if (same_name(p->name, name))
			return (int)i;
	return -1;
}

static bool is_first_of_name(size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, rows[n].name) == 0)
			return false;
	return true;
}

const char *command_param_name(size_t i)
{
	for (size_t n = 0; n < ARRAY_SIZE(rows); n++)
		if (is_first_of_name(n) && i-- == 0)
			return rows[n].name;
	return NULL;
}

void command_params_preset(enum command_action action, int64_t params[COMMAND_PARAMS])
{
	const struct command_param *p;

	memset(params, 0, COMMAND_PARAMS * sizeof(*params));
	for (size_t i = 0; i < COMMAND_PARAMS && (p = command_param_at(action, i)); i++)
		params[i] = p->required ? INT64_MIN : p->preset;
}

char *command_param_text(char buf[COMMAND_PARAM_TEXT_SIZE], const struct command_param *p,
			 int64_t value)
{
	char unit[STR_UNIT_SIZE];

	switch (p->unit) {
	case COMMAND_UNIT_BYTES:
		str_copy(buf, COMMAND_PARAM_TEXT_SIZE, str_bytes(unit, value));
		return buf;
	case COMMAND_UNIT_SECONDS:
		snprintf(buf, COMMAND_PARAM_TEXT_SIZE, "%" PRId64 " s", value);
		return buf;
	case COMMAND_UNIT_WORD:
		if (command_param_word(buf, p, value))
			return buf;
		break;
	case COMMAND_UNIT_TEXT:
		snprintf(buf, COMMAND_PARAM_TEXT_SIZE, "%" PRId64 " bytes", value);
		return buf;
	case COMMAND_UNIT_NONE:
		break;
	}
	snprintf(buf, COMMAND_PARAM_TEXT_SIZE, "%" PRId64, value);
	return buf;
}

const char *command_param_word(char buf[COMMAND_PARAM_TEXT_SIZE], const struct command_param *p,
			       int64_t value)
{
	const char *word = p->words ? p->words : "";

	for (; value > 0 && *word; value--) {
		word += strcspn(word, "|");
		word += *word == '|';
	}
	if (value != 0 || !*word)
		return NULL;
	snprintf(buf, COMMAND_PARAM_TEXT_SIZE, "%.*s", (int)strcspn(word, "|"), word);
	return buf;
}

int command_param_check(const struct command_param *p, int64_t value, struct error *err)
{
	const char *action = command_action_word(p->action);
	char bound[COMMAND_PARAM_TEXT_SIZE];

	if (p->required && value == INT64_MIN)
		return error_set(err, -EINVAL, "%s: '%s' must be given: %s", action, p->name,
				 p->help);
	if (value >= p->min && value <= p->max)
		return 0;
	if (p->unit == COMMAND_UNIT_WORD)
		return error_set(err, -EINVAL, "%s: '%s' is one of %s", action, p->name, p->words);
	return error_set(err, -EINVAL, "%s: '%s' is %" PRId64 ", but %s %s", action, p->name, value,
			 value < p->min ? "at least" : "at most",
			 command_param_text(bound, p, value < p->min ? p->min : p->max));
}

int command_params_check(enum command_action action, const int64_t params[COMMAND_PARAMS],
			 struct error *err)
{
	for (size_t i = 0; i < COMMAND_PARAMS; i++) {
		const struct command_param *p = command_param_at(action, i);
		int rc = p ? command_param_check(p, params[i], err) : 0;

		if (!p && params[i])
			rc = error_set(err, -EINVAL, "%s takes %s parameter",
				       command_action_word(action), i ? "no further" : "no");
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int parse_word(const struct command_param *p, const char *text, int64_t *ret)
{
	char word[COMMAND_PARAM_TEXT_SIZE];

	for (int64_t i = 0; command_param_word(word, p, i); i++) {
		if (strcmp(word, text) != 0)
			continue;
		*ret = i;
		return 0;
	}
	return -EINVAL;
}

/* A name that can be put into a log, a page and a string of Python alike. */
static bool is_name(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_.<>", *c) && !(*c & 0x80))
			return false;
	return *text && str_is_safe(text, strlen(text));
}

int command_param_parse(const struct command_param *p, const char *text, int64_t *ret,
			struct error *err)
{
	static const char *const expected[] = {
		[COMMAND_UNIT_NONE] = "a whole number",
		[COMMAND_UNIT_BYTES] = "a size such as 64MiB",
		[COMMAND_UNIT_SECONDS] = "a duration of whole seconds such as 10s",
		[COMMAND_UNIT_TEXT] = "a name such as module.Class",
	};
	int64_t value = 0;
	int rc = -EINVAL;

	switch (p->unit) {
	case COMMAND_UNIT_NONE:
		rc = str_parse_int(text, &value);
		break;
	case COMMAND_UNIT_BYTES:
		rc = str_parse_bytes(text, &value);
		break;
	case COMMAND_UNIT_SECONDS:
		rc = str_parse_duration(text, &value);
		if (rc == 0 && value % USEC_PER_SEC)
			rc = -EINVAL;
		value /= USEC_PER_SEC;
		break;
	case COMMAND_UNIT_WORD:
		rc = parse_word(p, text, &value);
		break;
	case COMMAND_UNIT_TEXT:
		rc = is_name(text) ? 0 : -EINVAL;
		value = (int64_t)strlen(text);
		break;
	}
	if (rc < 0 && p->unit == COMMAND_UNIT_WORD)
		return error_set(err, -EINVAL, "%s: '%s' is '%.40s', but one of %s",
				 command_action_word(p->action), p->name, text, p->words);
	if (rc < 0)
		return error_set(err, -EINVAL, "%s: '%s' is '%.40s': expected %s",
				 command_action_word(p->action), p->name, text, expected[p->unit]);
	rc = command_param_check(p, value, err);
	if (rc == 0)
		*ret = value;
	return rc;
}

int command_params_set(enum command_action action, const char *name, const char *text,
		       int64_t params[COMMAND_PARAMS], struct error *err)
{
	int i = command_param_find(action, name);

	if (i < 0)
		return error_set(err, -EINVAL, "%s takes no parameter '%.40s'",
				 command_action_word(action), name);
	return command_param_parse(command_param_at(action, (size_t)i), text, &params[i], err);
}

char *command_params_text(char buf[COMMAND_PARAMS_SIZE], enum command_action action,
			  const int64_t params[COMMAND_PARAMS], const char *text)
{
	const struct command_param *p;
	char value[COMMAND_PARAM_TEXT_SIZE];
	size_t n = 0;

	*buf = '\0';
	for (size_t i = 0; i < COMMAND_PARAMS && (p = command_param_at(action, i)); i++)
		n += (size_t)snprintf(buf + n, COMMAND_PARAMS_SIZE - n, "%s%s=%s", i ? " " : "",
				      p->name,
				      p->unit == COMMAND_UNIT_TEXT
					      ? text
					      : command_param_text(value, p, params[i]));
	return buf;
}

const struct command_param *command_param_of_text(enum command_action action)
{
	const struct command_param *p;

	for (size_t i = 0; (p = command_param_at(action, i)); i++)
		if (p->unit == COMMAND_UNIT_TEXT)
			return p;
	return NULL;
}

int command_text_check(enum command_action action, const int64_t params[COMMAND_PARAMS],
		       const char *text, struct error *err)
{
	const struct command_param *p = command_param_of_text(action);
	int64_t len;
	int rc = p ? command_param_parse(p, text, &len, err) : 0;

	if (p && rc == 0 && len != params[command_param_find(action, p->name)])
		rc = error_set(err, -EINVAL, "%s: '%s' has not the length that was said",
			       command_action_word(action), p->name);
	return rc;
}
