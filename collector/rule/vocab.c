/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/vocab.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"

const char *const rule_kind_names[RULE_KIND_COUNT] = {"process", "service", "host"};
const char *const rule_level_names[RULE_LEVEL_COUNT] = {"log", "mail", "trim"};

static const char *const planned[] = {
	"restart", "container", "fleet", "event", "build",    "verify", "needs", "unless",
	"group",   "active",    "quiet", "test",  "suppress", "block",  "by",    "p",
	"changes", "step",      "ewma",  "base",  "peers",    "sum",    "topk",  "median",
	"share",   "snapshot",  "at",    "with",  "dossier",
};

static const struct {
	const char *name;
	enum rule_type type;
	unsigned subjects;
} labels[RULE_LABEL_COUNT] = {
#define X(NAME, name, type, subjects) {#name, RULE_##type, subjects},
	RULE_LABEL_LIST(X)
#undef X
};

static const struct {
	const char *name;
	bool half;
} functions[RULE_FN_COUNT] = {
#define X(NAME, name, half) {#name, half},
	RULE_FN_LIST(X)
#undef X
};

static int find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

int rule_kind_find(const char *name)
{
	return find(rule_kind_names, RULE_KIND_COUNT, name);
}

int rule_level_find(const char *name)
{
	return find(rule_level_names, RULE_LEVEL_COUNT, name);
}

bool rule_word_is_planned(const char *word)
{
	return find(planned, (int)ARRAY_SIZE(planned), word) >= 0;
}

int rule_label_find(const char *name, enum rule_type *ret_type, unsigned *ret_subjects)
{
	for (int i = 0; i < RULE_LABEL_COUNT; i++) {
		if (strcmp(labels[i].name, name) != 0)
			continue;
		*ret_type = labels[i].type;
		*ret_subjects = labels[i].subjects;
		return i;
	}
	return -1;
}

int rule_fn_find(const char *name)
{
	for (int i = 0; i < RULE_FN_COUNT; i++)
		if (strcmp(functions[i].name, name) == 0)
			return i;
	return -1;
}

const char *rule_fn_name(enum rule_fn fn)
{
	return functions[fn].name;
}

bool rule_fn_needs_half(enum rule_fn fn)
{
	return functions[fn].half;
}

int rule_fn_type(enum rule_fn fn, enum rule_type t)
{
	if (!rule_type_numeric(t))
		return -1;
	switch (fn) {
	case RULE_FN_RATE:
	case RULE_FN_SLOPE:
		return rule_type_per_second(t);
	case RULE_FN_R2:
		return RULE_RATIO;
	case RULE_FN_COUNTED:
		return RULE_COUNT;
	case RULE_FN_TTO:
		return rule_type_per_second(t) < 0 ? -1 : RULE_DURATION;
	case RULE_FN_AVG:
	case RULE_FN_MIN:
	case RULE_FN_MAX:
	case RULE_FN_LAST:
	case RULE_FN_FIRST:
	case RULE_FN_DELTA:
	case RULE_FN_STDDEV:
	case RULE_FN_COUNT:
		break;
	}
	return (int)t;
}

static struct rule_var metric_var(enum rule_source source, int index, enum metric_unit unit)
{
	static const enum rule_type types[] = {
		[UNIT_KIB] = RULE_BYTES,
		[UNIT_COUNT] = RULE_COUNT,
		[UNIT_MS] = RULE_DURATION,
		[UNIT_PER_10000] = RULE_RATIO,
	};

	return (struct rule_var){source, index, types[unit], metric_scale(unit)};
}

/* A host's own words: its metrics and what is derived from them. */
static int host_var(enum rule_source source, const char *name, struct rule_var *ret)
{
	int i = host_metric_find(name);

	if (i >= 0) {
		*ret = metric_var(source, i, host_metric_infos[i].unit);
		return 0;
	}
	if (strcmp(name, "used") == 0)
		*ret = (struct rule_var){RULE_SRC_USED, 0, RULE_BYTES, 1024};
	else if (strcmp(name, "swap_used") == 0)
		*ret = (struct rule_var){RULE_SRC_SWAP_USED, 0, RULE_BYTES, 1024};
	else
		return -ENOENT;
	return 0;
}

int rule_var_find(enum rule_kind kind, const char *name, struct rule_var *ret)
{
	int i;

	if (strcmp(name, "age") == 0) {
		*ret = (struct rule_var){RULE_SRC_AGE, 0, RULE_DURATION, 1e-6};
		return 0;
	}
	if (str_starts(name, "host."))
		return host_var(RULE_SRC_HOST, name + 5, ret);
	if (kind == RULE_HOST)
		return host_var(RULE_SRC_HOST, name, ret);
	i = metric_find(name);
	if (i >= 0) {
		*ret = metric_var(RULE_SRC_OWN, i, metric_infos[i].unit);
		return 0;
	}
	if (strcmp(name, "limit") == 0)
		*ret = (struct rule_var){RULE_SRC_LIMIT, 0, RULE_BYTES, 1024};
	else if (strcmp(name, "count") == 0 && kind == RULE_SERVICE)
		*ret = (struct rule_var){RULE_SRC_PROCESSES, 0, RULE_COUNT, 1};
	else
		return -ENOENT;
	return 0;
}
