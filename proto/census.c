/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/census.h"

#include <string.h>

#include "common/check.h"

struct word {
	const char *word;
	const char *help;
};

static const struct word methods[] = {
#define X(NAME, word, help) {#word, help},
	CENSUS_METHOD_LIST(X)
#undef X
};

static const struct word reasons[] = {
#define X(NAME, word, help) {#word, help},
	CENSUS_REASON_LIST(X)
#undef X
};

static const struct word parts[] = {
#define X(NAME, name, is_bytes, help) {#name, help},
	HEAP_PART_LIST(X)
#undef X
};

const char *census_method_word(unsigned method)
{
	return method < CENSUS_METHOD_COUNT ? methods[method].word : NULL;
}

const char *census_method_help(unsigned method)
{
	return method < CENSUS_METHOD_COUNT ? methods[method].help : NULL;
}

const char *census_reason_word(unsigned reason)
{
	return reason < CENSUS_REASON_COUNT ? reasons[reason].word : NULL;
}

const char *heap_part_name(unsigned part)
{
	return part < HEAP_PART_COUNT ? parts[part].word : NULL;
}

const char *heap_part_help(unsigned part)
{
	return part < HEAP_PART_COUNT ? parts[part].help : NULL;
}

int census_method_find(const char *word)
{
	for (int i = 0; i < CENSUS_METHOD_COUNT; i++)
		if (strcmp(methods[i].word, word) == 0)
			return i;
	return -1;
}
