/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series.h - whose series it is: the kinds of object that have figures over time, and what each
 * kind's columns are. A kind's number is what table host_chunk stores; processes have a table of
 * their own. Pure tables.
 */
#ifndef MEMHERD_COLLECTOR_STORE_SERIES_H
#define MEMHERD_COLLECTOR_STORE_SERIES_H

#include <stdint.h>

#include "collector/store/chunk.h"
#include "proto/metric.h"

enum series_kind {
	SERIES_PROCESS = 0,
	SERIES_HOST = 1,
	SERIES_CGROUP = 2,
	SERIES_INTERPRETER = 3,
	SERIES_KINDS
};

/* A hash key: no byte of it is padding. */
struct series_id {
	int64_t obj_id; /* identity_process(), _cgroup(), _interpreter(); 0 for the host */
	int32_t host_id;
	int32_t kind; /* enum series_kind */
};

#define SERIES_OF_PROCESS(host, proc)   ((struct series_id){(proc), (host), SERIES_PROCESS})
#define SERIES_OF_HOST(host)            ((struct series_id){0, (host), SERIES_HOST})
#define SERIES_OF_CGROUP(host, id)      ((struct series_id){(id), (host), SERIES_CGROUP})
#define SERIES_OF_INTERPRETER(host, id) ((struct series_id){(id), (host), SERIES_INTERPRETER})

struct series_type {
	const char *name;                /* 'process' */
	const struct metric_info *infos; /* spec->n_columns of them */
	const struct chunk_spec *spec;
	int (*find)(const char *name); /* the metric of that name, or -1 */
	unsigned usual;                /* the metric that is meant when none is named */
};

/* By enum series_kind. */
extern const struct series_type series_types[SERIES_KINDS];

#endif
