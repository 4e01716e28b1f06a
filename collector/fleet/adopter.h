/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopter.h - the batches of a collector that is gone, decoded once more to be sealed: a fleet of
 * their own beside the one that is shown, made with the first batch and forgotten at the end.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_ADOPTER_H
#define MEMHERD_COLLECTOR_FLEET_ADOPTER_H

#include <stdint.h>

#include "common/error.h"

struct adopter;
struct store;

/* From now on, while the store leads, for a collector that gave no sign for silent_us. To be freed
 * after the store. */
int adopter_new(struct store *store, int64_t silent_us, struct adopter **ret) must_use;
void adopter_free(struct adopter **a);

#endif
