/* SPDX-License-Identifier: Apache-2.0 */
/* store_rows.h - inside of the store: the rows that a group of batches becomes. */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_ROWS_H
#define MEMHERD_COLLECTOR_STORE_STORE_ROWS_H

#include "collector/store/store_inner.h"

/* Adds the steps that store those of the group whose verdict is VERDICT_STORE. */
int store_rows_add(struct db_tx *tx, struct inbox *inbox, struct pending *const *group,
		   size_t n) must_use;

#endif
