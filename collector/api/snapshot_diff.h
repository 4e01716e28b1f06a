/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_diff.h - what became of the rows between two snapshots of one kind. Pure.
 */
#ifndef MEMHERD_COLLECTOR_API_SNAPSHOT_DIFF_H
#define MEMHERD_COLLECTOR_API_SNAPSHOT_DIFF_H

#include <jansson.h>

#include "common/error.h"
#include "proto/snapshot.h"

/*
 * now, base: JSON texts, arrays of objects as collector/fleet/snapshot.h makes them. An array of at
 * most top objects, the largest growth of the layout's first number first: the name, the text about
 * it, 'in' ('both', 'new', 'gone'), each number (null for 'gone') and 'NUMBER_growth', for which
 * what is not there counts as 0: a snapshot has its largest rows only. Rows that have the same name
 * are added up. -EBADMSG: not such an array.
 */
int snapshot_diff_rows(const struct snapshot_layout *layout, const char *now, const char *base,
		       size_t top, json_t **ret, struct error *err) must_use;

#endif
