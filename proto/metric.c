/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/metric.h"

#include <string.h>

const struct metric_info metric_infos[METRIC_COUNT] = {
#define X(NAME, name, kind, unit, help) {#name, METRIC_##kind, UNIT_##unit, help},
	METRIC_LIST(X)
#undef X
};

const struct metric_info host_metric_infos[HOST_METRIC_COUNT] = {
#define X(NAME, name, kind, unit, help) {#name, METRIC_##kind, UNIT_##unit, help},
	HOST_METRIC_LIST(X)
#undef X
};

const struct metric_info cgroup_metric_infos[CGROUP_METRIC_COUNT] = {
#define X(NAME, name, kind, unit, help) {#name, METRIC_##kind, UNIT_##unit, help},
	CGROUP_METRIC_LIST(X)
#undef X
};

const struct metric_info interpreter_metric_infos[INTERPRETER_METRIC_COUNT] = {
#define X(NAME, name, kind, unit, help) {#name, METRIC_##kind, UNIT_##unit, help},
	INTERPRETER_METRIC_LIST(X)
#undef X
};

static int find(const struct metric_info *infos, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(infos[i].name, name) == 0)
			return i;
	return -1;
}

int metric_find(const char *name)
{
	return find(metric_infos, METRIC_COUNT, name);
}

int host_metric_find(const char *name)
{
	return find(host_metric_infos, HOST_METRIC_COUNT, name);
}

int cgroup_metric_find(const char *name)
{
	return find(cgroup_metric_infos, CGROUP_METRIC_COUNT, name);
}

int interpreter_metric_find(const char *name)
{
	return find(interpreter_metric_infos, INTERPRETER_METRIC_COUNT, name);
}

static const struct {
	double scale;
	const char *name;
} units[] = {
	[UNIT_KIB] = {1024, "bytes"},
	[UNIT_COUNT] = {1, "count"},
	[UNIT_MS] = {0.001, "seconds"},
	[UNIT_PER_10000] = {0.0001, "ratio"},
};

double metric_scale(enum metric_unit unit)
{
	return units[unit].scale;
}

const char *metric_unit_name(enum metric_unit unit)
{
	return units[unit].name;
}
