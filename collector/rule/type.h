/* SPDX-License-Identifier: Apache-2.0 */
/*
 * type.h - the types of the rule language and the arithmetic of their units.
 *
 * Numbers are doubles in base units: bytes, seconds, a plain ratio (1 = 100 %), per second. A
 * numeric type is bytes^a * seconds^b; dimensionless is either a count or a ratio. Pure.
 */
#ifndef MEMHERD_COLLECTOR_RULE_TYPE_H
#define MEMHERD_COLLECTOR_RULE_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/check.h"

/* X(NAME, how it is called in errors, numeric, bytes^, seconds^) */
#define RULE_TYPE_LIST(X)                                     \
	X(BOOL, "a condition", false, 0, 0)                   \
	X(STRING, "text", false, 0, 0)                        \
	X(COUNT, "a count", true, 0, 0)                       \
	X(RATIO, "a ratio", true, 0, 0)                       \
	X(BYTES, "bytes", true, 1, 0)                         \
	X(DURATION, "a duration", true, 0, 1)                 \
	X(BYTE_RATE, "a rate in bytes per time", true, 1, -1) \
	X(COUNT_RATE, "a rate in counts per time", true, 0, -1)

enum rule_type {
#define X(NAME, text, numeric, bytes, seconds) RULE_##NAME,
	RULE_TYPE_LIST(X)
#undef X
		RULE_TYPE_COUNT
};

const char *rule_type_name(enum rule_type t);
bool rule_type_numeric(enum rule_type t);
/* The type of a product, a quotient or of 'per second'; -1 where the language has none. */
int rule_type_mul(enum rule_type a, enum rule_type b);
int rule_type_div(enum rule_type a, enum rule_type b);
int rule_type_per_second(enum rule_type t);

#define RULE_VALUE_SIZE 40
/* As a person reads it: '512 MiB', '87.5%', '41 MiB/h', 'never' for an infinite duration. */
char *rule_value_text(char out[RULE_VALUE_SIZE], enum rule_type t, double v);

#endif
