/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/kill.h"

#include <stddef.h>
#include <string.h>

#include "common/check.h"

static const struct {
	const char *word;
	const char *help;
	bool oom;
} causes[KILL_CAUSE_COUNT] = {
#define X(NAME, word, oom, help) {#word, help, oom},
	KILL_CAUSE_LIST(X)
#undef X
};

static const char *const confidences[KILL_CONFIDENCE_COUNT] = {
#define X(NAME, word) #word,
	KILL_CONFIDENCE_LIST(X)
#undef X
};

static const char *const figures[KILL_FIGURE_COUNT] = {
#define X(NAME, name) #name,
	KILL_FIGURE_LIST(X)
#undef X
};

static const struct {
	const char *name;
	bool is_kib;
} totals[KILL_TOTAL_COUNT] = {
#define X(NAME, name, is_kib) {#name, is_kib},
	KILL_TOTAL_LIST(X)
#undef X
};

const char *kill_cause_word(unsigned cause)
{
	return cause < ARRAY_SIZE(causes) ? causes[cause].word : NULL;
}

const char *kill_cause_help(unsigned cause)
{
	return cause < ARRAY_SIZE(causes) ? causes[cause].help : NULL;
}

bool kill_cause_is_oom(unsigned cause)
{
	return cause < ARRAY_SIZE(causes) && causes[cause].oom;
}

int kill_cause_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (strcmp(causes[i].word, word) == 0)
			return (int)i;
	return -1;
}

const char *kill_confidence_word(unsigned confidence)
{
	return confidence < ARRAY_SIZE(confidences) ? confidences[confidence] : NULL;
}

const char *kill_figure_name(unsigned figure)
{
	return figure < ARRAY_SIZE(figures) ? figures[figure] : NULL;
}

const char *kill_total_name(unsigned total)
{
	return total < ARRAY_SIZE(totals) ? totals[total].name : NULL;
}

bool kill_total_is_kib(unsigned total)
{
	return total < ARRAY_SIZE(totals) && totals[total].is_kib;
}
