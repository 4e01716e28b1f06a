/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/snapshot.h"

#include <string.h>

#include "common/check.h"
#include "proto/command.h"

static const struct snapshot_layout layouts[] = {
	{
		.kind = SNAPSHOT_TRACEMALLOC,
		.action = COMMAND_TRACEMALLOC,
		.word = "tracemalloc",
		.name = "place",
		.about = "called_from",
		.values = {"grown_bytes", "more_blocks", "bytes", "blocks"},
		.totals = {"grown_bytes", "more_blocks", "trace_bytes", "seconds"},
	},
	{
		.kind = SNAPSHOT_REFERRERS,
		.action = COMMAND_REFERRERS,
		.word = "referrers",
		.name = "chain",
		.about = "through",
		.values = {"objects"},
		.totals = {"heap_objects", "type_objects"},
	},
	{
		.kind = SNAPSHOT_SIZES,
		.action = COMMAND_SIZES,
		.word = "sizes",
		.name = "held_by",
		.about = "type",
		.keyed_by_about = true,
		.values = {"bytes", "own_bytes", "objects", "length"},
		.totals = {"heap_objects", "containers"},
	},
};

const struct snapshot_layout *snapshot_layout(unsigned kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i].kind == kind)
			return &layouts[i];
	return NULL;
}

const struct snapshot_layout *snapshot_layout_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		if (strcmp(layouts[i].word, word) == 0)
			return &layouts[i];
	return NULL;
}

const struct snapshot_layout *snapshot_layout_of(unsigned action)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i].action == action)
			return &layouts[i];
	return NULL;
}

size_t snapshot_names(const char *const names[SNAPSHOT_VALUES_MAX + 1])
{
	size_t n = 0;

	while (names[n])
		n++;
	return n;
}
