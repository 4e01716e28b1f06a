/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/type.h"

#include <math.h>
#include <stdio.h>

#include "common/str.h"

static const struct {
	const char *name;
	bool numeric;
	signed char bytes;
	signed char seconds;
} types[RULE_TYPE_COUNT] = {
#define X(NAME, text, numeric, bytes, seconds) [RULE_##NAME] = {text, numeric, bytes, seconds},
	RULE_TYPE_LIST(X)
#undef X
};

const char *rule_type_name(enum rule_type t)
{
	return types[t].name;
}

bool rule_type_numeric(enum rule_type t)
{
	return types[t].numeric;
}

/* The type with these exponents; a dimensionless one is the given. */
static int find(int bytes, int seconds, enum rule_type dimensionless)
{
	if (!bytes && !seconds)
		return (int)dimensionless;
	for (int t = RULE_BYTES; t < RULE_TYPE_COUNT; t++)
		if (types[t].bytes == bytes && types[t].seconds == seconds)
			return t;
	return -1;
}

int rule_type_mul(enum rule_type a, enum rule_type b)
{
	if (!types[a].numeric || !types[b].numeric)
		return -1;
	return find(types[a].bytes + types[b].bytes, types[a].seconds + types[b].seconds,
		    a == RULE_RATIO && b == RULE_RATIO ? RULE_RATIO : RULE_COUNT);
}

int rule_type_div(enum rule_type a, enum rule_type b)
{
	if (!types[a].numeric || !types[b].numeric)
		return -1;
	return find(types[a].bytes - types[b].bytes, types[a].seconds - types[b].seconds,
		    RULE_RATIO);
}

int rule_type_per_second(enum rule_type t)
{
	return rule_type_div(t, RULE_DURATION);
}

static void bytes_text(char *out, double v, const char *suffix)
{
	char unit[STR_UNIT_SIZE];

	/* A cast of what does not fit is undefined; nothing measured is above an exbibyte. */
	if (fabs(v) > 0x1p60)
		snprintf(out, RULE_VALUE_SIZE, "%.3g B%s", v, suffix);
	else
		snprintf(out, RULE_VALUE_SIZE, "%s%s", str_bytes(unit, llround(v)), suffix);
}

static void duration_text(char *out, double seconds)
{
	char unit[STR_UNIT_SIZE];

	if (isinf(seconds) || fabs(seconds) > 1e11)
		snprintf(out, RULE_VALUE_SIZE, "never");
	else
		snprintf(out, RULE_VALUE_SIZE, "%s", str_duration(unit, llround(seconds * 1e6)));
}

char *rule_value_text(char out[RULE_VALUE_SIZE], enum rule_type t, double v)
{
	switch (t) {
	case RULE_BOOL:
		snprintf(out, RULE_VALUE_SIZE, "%s", v != 0 ? "true" : "false");
		break;
	case RULE_BYTES:
		bytes_text(out, v, "");
		break;
	case RULE_BYTE_RATE:
		bytes_text(out, v * 3600, "/h");
		break;
	case RULE_RATIO:
		snprintf(out, RULE_VALUE_SIZE, "%.3g%%", v * 100);
		break;
	case RULE_DURATION:
		duration_text(out, v);
		break;
	case RULE_COUNT_RATE:
		snprintf(out, RULE_VALUE_SIZE, "%.3g/s", v);
		break;
	case RULE_COUNT:
		snprintf(out, RULE_VALUE_SIZE, "%.6g", v);
		break;
	case RULE_STRING:
	case RULE_TYPE_COUNT:
		out[0] = '\0';
		break;
	}
	return out;
}
